//! A configured upstream server.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_mcp::document::Document;
use callgate_mcp::lists::ListKind;
use callgate_mcp::upstream::{Heard, List, SessionKey, Silence, Upstream, Uris};
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use tokio::sync::{Semaphore, watch};

use crate::assertion::Signer;
use crate::breaker::{Breaker, BreakerLimits};
use crate::bulkhead::SERVER_CALLS_MAX;
use crate::catalog::ServerCatalog;
use crate::credential::Broker;
use crate::follow::Changes;
use crate::identity::Identified;
use crate::kept::{Kept, ListError, ListLimits};
use crate::offers::{Offer, Offers};
use crate::pin::ApprovedBy;
use crate::resolve::{FOUND_FOR, Finds};
use crate::shadow::Shadow;
use crate::tools::{self, ToolSet};

/// An upstream server with everything that is known of it.
#[derive(Debug)]
pub struct Server {
    /// Its configured name: `/mcp/{name}`.
    pub name: Arc<str>,
    /// What its tools mean and where their targets stand.
    pub catalog: ServerCatalog,
    pub(crate) upstream: Upstream,
    pub(crate) broker: Broker,
    /// By whom, and under which address, it is told that calls went through the gate.
    pub(crate) vouched: Option<Vouched>,
    tools: Kept<ToolSet>,
    offers: Offers,
    pub(crate) limits: ListLimits,
    /// Extensions that it may be told of, beside those that are known.
    pub(crate) extensions: Vec<String>,
    /// Where things were found to belong.
    pub(crate) finds: Finds,
    /// Who approves its tools.
    pub(crate) approved_by: ApprovedBy,
    /// The products' own interfaces.
    pub(crate) rest: Rest,
    /// Whether the place of what can move is asked for before it is changed, even if its name tells it.
    pub(crate) confirms_moves: bool,
    /// For how long policies are not enforced for it, if they are not.
    pub(crate) shadow: Option<Shadow>,
    /// For those who listen.
    pub(crate) changes: Changes,
    /// Room for calls at this server.
    pub(crate) calls: Arc<Semaphore>,
    calls_max: usize,
    /// Whether it answers.
    pub(crate) breaker: Breaker,
    pub(crate) own_key: SessionKey,
}

/// The addresses of products' own interfaces, by the aliases of sites and the products' names (`Jira`).
pub type Rest = BTreeMap<(String, String), Document>;

/// By whom, and under which address, a server is told that calls went through the gate.
#[derive(Debug)]
pub(crate) struct Vouched {
    pub(crate) signer: Arc<Signer>,
    pub(crate) to: String,
}

impl Server {
    /// The server `name`.
    #[must_use]
    pub fn new(
        name: &str,
        upstream: Upstream,
        catalog: ServerCatalog,
        broker: Broker,
        limits: ListLimits,
    ) -> Self {
        Self {
            name: name.into(),
            catalog,
            upstream,
            broker,
            vouched: None,
            tools: Kept::new(limits),
            offers: Offers::new(limits),
            limits,
            extensions: Vec::new(),
            finds: Finds::new(FOUND_FOR),
            approved_by: ApprovedBy::default(),
            rest: Rest::default(),
            confirms_moves: false,
            shadow: None,
            changes: Changes::default(),
            calls: Arc::new(Semaphore::new(SERVER_CALLS_MAX)),
            calls_max: SERVER_CALLS_MAX,
            breaker: Breaker::new(BreakerLimits::default()),
            own_key: SessionKey::new(format!("{name} gateway")),
        }
    }

    /// The same, which may be told of these extensions beside those that are known.
    #[must_use]
    pub fn with_extensions(self, extensions: Vec<String>) -> Self {
        Self { extensions, ..self }
    }

    /// The same, which is asked before something is changed that may have been moved since it was named.
    #[must_use]
    pub fn confirming_moves(self, confirms_moves: bool) -> Self {
        Self { confirms_moves, ..self }
    }

    /// The same, for whose calls policies are not enforced for a time.
    #[must_use]
    pub fn in_shadow(self, shadow: Option<Shadow>) -> Self {
        Self { shadow, ..self }
    }

    /// For how long policies are not enforced for it, if they are not.
    #[must_use]
    pub const fn shadow(&self) -> Option<Shadow> {
        self.shadow
    }

    /// The same, with so many calls in progress at one time, which is left alone after so many that it does not answer.
    #[must_use]
    pub fn bounded(self, calls_max: usize, limits: BreakerLimits) -> Self {
        let (calls, breaker) = (Arc::new(Semaphore::new(calls_max)), Breaker::new(limits));
        Self { calls, calls_max, breaker, ..self }
    }

    /// The same, whose tools are approved so.
    #[must_use]
    pub fn approved_by(self, approved_by: ApprovedBy) -> Self {
        Self { approved_by, ..self }
    }

    /// The same, whose products can be asked themselves.
    #[must_use]
    pub fn with_rest(self, rest: Rest) -> Self {
        Self { rest, ..self }
    }

    /// The same, at the address `to`, which is told by `signer` of every call that it went through the gate.
    #[must_use]
    pub fn with_assertion(self, signer: Arc<Signer>, to: String) -> Self {
        Self { vouched: Some(Vouched { signer, to }), ..self }
    }

    /// The issuer whose callers' tokens are exchanged for those that it is called with.
    #[must_use]
    pub fn exchanges(&self) -> Option<&str> {
        self.broker.exchanges()
    }

    /// Its address, if it is not a child of ours.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.upstream.url()
    }

    /// Who approves its tools.
    #[must_use]
    pub const fn tools_approved_by(&self) -> ApprovedBy {
        self.approved_by
    }

    /// How many calls are in progress there.
    #[must_use]
    pub fn calls_in_flight(&self) -> usize {
        self.calls_max.saturating_sub(self.calls.available_permits())
    }

    /// Whether it is left alone, because it does not answer.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        self.breaker.is_open()
    }

    /// Ends it, if it is a child of ours.
    pub async fn stop(&self) {
        self.upstream.stop().await;
    }

    /// The tools it has. With `wanted`, a list without that tool is fetched again before the tool is said not to exist.
    ///
    /// # Errors
    /// See [`Kept::get`].
    pub async fn tools(&self, wanted: Option<&str>) -> Result<Arc<ToolSet>, ListError> {
        let has = |set: &ToolSet| wanted.is_none_or(|name| set.has(name));
        // Boxed: it is rare, and large.
        self.tools.get(has, Box::pin(tools::fetch(self))).await
    }

    /// The entries of `list` that it has.
    ///
    /// # Errors
    /// See [`Kept::get`].
    pub async fn offers(&self, list: List) -> Result<Arc<Vec<Offer>>, ListError> {
        self.offers.get(list, self).await
    }

    /// The next who needs a list of this kind fetches it again.
    pub(crate) fn expire(&self, kind: ListKind) {
        match kind {
            ListKind::Tools => self.tools.expire(),
            ListKind::Prompts | ListKind::Resources => self.offers.expire(kind),
        }
    }

    /// Tells one state of the lists of a kind from another.
    pub(crate) async fn digest_of(&self, kind: ListKind) -> Result<Digest, ListError> {
        let mut bytes = Vec::new();
        match kind {
            ListKind::Tools => {
                let set = self.tools(None).await?;
                set.tools.iter().for_each(|tool| bytes.extend(tool.definition.digest.as_bytes()));
            }
            ListKind::Prompts | ListKind::Resources => {
                for list in lists_of(kind) {
                    let offers = self.offers(*list).await?;
                    offers
                        .iter()
                        .for_each(|offer| bytes.extend(offer.definition.to_text().bytes()));
                }
            }
        }
        Ok(Digest::of(&bytes))
    }

    /// Hears what the server tells of its lists and of the resources that are `wanted`.
    ///
    /// # Errors
    /// See [`Upstream::follow`]; and if there is nothing to ask it with.
    pub(crate) async fn follow_upstream(
        &self,
        wanted: watch::Receiver<Uris>,
        hear: impl FnMut(Heard) + Send,
    ) -> Result<Silence, ListError> {
        let presented = self.broker.for_gateway().await?;
        let following = self.upstream.follow(&self.own_key, presented.header(), wanted, hear);
        Ok(following.await.inspect_err(|failed| presented.took(failed))?)
    }

    /// The upstream session of one caller, and of one session of theirs in which they can be asked for `asked`: never
    /// shared with another (S06).
    pub(crate) fn session_key(
        &self,
        caller: &Identified,
        session: Option<&str>,
        asked: &Object,
    ) -> SessionKey {
        let (session, asked) = (session.unwrap_or_default(), Digest::of_object(asked));
        let bound = format!("{}\0{}\0{session}\0{asked}", self.name, caller.key);
        SessionKey::new(Digest::of(bound.as_bytes()).to_string())
    }
}

/// The lists beside that of the tools whose changes are told as one.
pub(crate) const fn lists_of(kind: ListKind) -> &'static [List] {
    match kind {
        ListKind::Prompts => &[List::Prompts],
        ListKind::Resources => &[List::Resources, List::Templates],
        ListKind::Tools => &[],
    }
}
