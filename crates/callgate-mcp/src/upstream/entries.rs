//! The lists beside that of the tools: resources, templates of resources, prompts. Their entries are given as they are.

use callgate_model::json::{Json, Object};
use http::HeaderValue;
use tokio::time::Instant;

use super::{CallErrorKind, SessionKey, Upstream, UpstreamError, page_of, refuse_incomplete};
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
        let deadline = Instant::now() + self.limits.total;
        let (mut entries, mut cursor, mut bytes) = (Vec::new(), None, 0);
        for _ in 0..self.limits.pages_max {
            let ask = page_of(list.method(), credential, cursor.take());
            let (_, reply) = self.ask_for_page(key, &ask, deadline).await?;
            bytes += reply.bytes;
            let result = reply.outcome.map_err(UpstreamError::Refused)?;
            refuse_incomplete(&result)?;
            cursor = read_page(result, list, &mut entries).map_err(CallErrorKind::NotMcp)?;
            if entries.len() > self.limits.tools_max || bytes > self.limits.response_bytes_max {
                return Err(CallErrorKind::TooLarge.into());
            }
            if cursor.is_none() {
                return Ok(entries);
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
