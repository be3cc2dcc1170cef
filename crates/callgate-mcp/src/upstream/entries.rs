//! The lists beside that of the tools: resources, templates of resources, prompts. Their entries are given as they are.

use callgate_model::json::{Json, Object};
use http::HeaderValue;
use tokio::time::Instant;

use super::answer::refuse_incomplete;
use super::outgoing::{Ask, Route};
use super::{CallErrorKind, SessionKey, Upstream, UpstreamError};
use crate::limits::TOKEN_BYTES_MAX;

/// A list of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Its prompts.
    Prompts,
    /// Its resources.
    Resources,
    /// Its templates of resources.
    Templates,
}

impl List {
    /// The method that asks for it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of its result that holds the entries.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }
}

impl Upstream {
    /// All entries of `list`, as `key` and `credential` see them.
    ///
    /// # Errors
    /// [`UpstreamError`], also if there are more pages or entries than the limits allow: half a list is no list.
    pub async fn list_entries(
        &self,
        list: List,
        key: &SessionKey,
        credential: Option<&HeaderValue>,
    ) -> Result<Vec<Json>, UpstreamError> {
        let mut entries = Vec::new();
        let take = |_, result| {
            let next = read_page(result, list, &mut entries)?;
            Ok((next, entries.len()))
        };
        self.pages(list.method(), key, credential, take).await?;
        Ok(entries)
    }

    /// Asks for one page after the other. `take` is given whether the server is of the modern era, and a page; it says where
    /// the next one begins, and how many entries there are by now.
    pub(super) async fn pages(
        &self,
        method: &'static str,
        key: &SessionKey,
        credential: Option<&HeaderValue>,
        mut take: impl FnMut(bool, Object) -> Result<(Option<String>, usize), String> + Send,
    ) -> Result<(), UpstreamError> {
        let deadline = Instant::now() + self.limits.total;
        let (mut ask, mut bytes) = (Ask::of_gateway(method, credential), 0);
        for _ in 0..self.limits.pages_max {
            let asked = self.ask(key, &ask, deadline, &mut |_, _| {}).await;
            let (route, reply) = asked.map_err(|error| error.kind)?;
            bytes += reply.bytes;
            let result = reply.outcome.map_err(UpstreamError::Refused)?;
            refuse_incomplete(&result)?;
            let is_modern = matches!(route, Route::Modern);
            let (next, count) = take(is_modern, result).map_err(CallErrorKind::NotMcp)?;
            if count > self.limits.tools_max || bytes > self.limits.response_bytes_max {
                return Err(CallErrorKind::TooLarge.into());
            }
            match next {
                Some(cursor) => ask.params.set("cursor", cursor),
                None => return Ok(()),
            }
        }
        Err(CallErrorKind::TooLarge.into())
    }
}

/// Takes the entries of one page, and says where the next begins.
fn read_page(
    mut result: Object,
    list: List,
    entries: &mut Vec<Json>,
) -> Result<Option<String>, String> {
    match result.remove(list.member()) {
        Some(Json::Array(page)) => entries.extend(page),
        _ => return Err(format!("`{}` must be an array", list.member())),
    }
    match result.remove("nextCursor") {
        None => Ok(None),
        Some(Json::String(cursor)) if cursor.len() <= TOKEN_BYTES_MAX => Ok(Some(cursor)),
        Some(_) => Err("`nextCursor` must be a short string".to_owned()),
    }
}
