//! What a store of evidence has to do, and the row it keeps.
//!
//! The entry is the evidence, and the text is what it says. The other columns repeat parts of them so that they can be
//! found, and are never trusted over them.

mod filter;

use std::fmt::Debug;
use std::sync::Arc;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::Notice;
use callgate_model::authority::{Change, Use};
use callgate_model::digest::Digest;
use callgate_model::evidence::{About, Chain, Decided, Event, Links, Payload, record};
use callgate_model::json::{Json, JsonLimits, Object, read};
use futures_util::future::BoxFuture;
use thiserror::Error;

pub use filter::Filter;

/// The most rows one [`EvidenceStore::list`] returns.
pub const LIST_MAX: u32 = 1_000;

/// The most records that one change erases: others wait while it is stored.
pub const ERASED_TOGETHER_MAX: u32 = 250;

/// What a store promises to answer.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Where evidence is kept. Rows are added and never changed.
pub trait EvidenceStore: Debug + Send + Sync {
    /// Adds `rows` in one transaction, all or none, durable when it answers `Ok`. After an error, or if the future was
    /// dropped, they may have been stored; [`Self::head`] tells.
    /// What the rows apply to the authority in force is part of the transaction: [`StoreError::Refused`] names those that
    /// could not be applied, and then nothing was stored.
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()>;

    /// Proves, after an error, that records can be stored again: by committing something, and by keeping the room free that
    /// outcomes may need when there is none.
    fn prove(&self) -> StoreFuture<'_, ()>;

    /// The last row of a writer. It answers only when every append begun earlier has ended.
    fn head(&self, writer: Id) -> StoreFuture<'_, Option<(u64, Digest)>>;

    /// The latest writer and the head of its chain.
    fn last_chain(&self) -> StoreFuture<'_, Option<(Id, Digest)>>;

    /// Makes `writer` known as one that lives, until the store is dropped or its process ends. Another writer that begins
    /// waits until this one's first append is done.
    fn join(&self, writer: Id) -> StoreFuture<'_, ()>;

    /// Calls with an intent and no outcome, but for those of writers that live: theirs may be on their way.
    fn orphans(&self) -> StoreFuture<'_, Vec<Id>>;

    /// The rows that match `filter`, newest first.
    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Row>>;

    /// The same in the order of the log, from the index `from` on: the rows that match `filter`, and what became of the calls
    /// whose intents do. `since` and `until` are of each row itself.
    fn page<'a>(&'a self, filter: &'a Filter, from: u64) -> StoreFuture<'a, Vec<Row>>;

    /// How many decisions match `filter`, whose limit does not matter, in each span of `every_ms` milliseconds, by verdict; nothing
    /// of a span without any.
    fn tally<'a>(&'a self, filter: &'a Filter, every_ms: i64) -> StoreFuture<'a, Vec<Tally>>;

    /// The newest calls of which it is not known whether they took effect, and that nobody has settled: the outcome of each.
    /// Calls that were to read only are among them if `reads`.
    fn unsettled(&self, reads: bool, limit: u32) -> StoreFuture<'_, Vec<Row>>;

    /// The places of the oldest records of this kind that happened before `before` and are not erased: up to `limit`. None of
    /// a call that has no outcome, or of which it is not known what it did: without them nobody could settle it.
    fn payloads_before<'a>(
        &'a self,
        kind: &'a str,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'a, Vec<u64>>;

    /// Everything about one call, oldest first.
    fn show(&self, call: Id) -> StoreFuture<'_, Vec<Row>>;

    /// The rows of the log in its order: up to `limit`, beginning with the index `from`.
    fn read(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Row>>;

    /// How many entries the log has.
    fn size(&self) -> StoreFuture<'_, u64>;

    /// Every writer, in the order they began.
    fn writers(&self) -> StoreFuture<'_, Vec<Id>>;
}

/// How many decisions of one verdict there were in a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// When the span begins: a multiple of its length.
    pub at: Timestamp,
    /// The verdict.
    pub verdict: String,
    /// How many.
    pub count: u64,
}

/// What a record does to the authority that is in force, by being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applies {
    /// A call takes one use of this grant (I2).
    Spend(Id),
    /// A call takes this approval (I2).
    SpendApproval {
        /// Which.
        approval: Id,
        /// The call.
        call: Id,
        /// The call that took it before and that this one goes on with; nothing, if nobody has taken it.
        after: Option<Id>,
    },
    /// People are told of a call that is let through.
    Tell {
        /// The call.
        call: Id,
        /// What each channel is sent.
        notices: Vec<Notice>,
    },
    /// Nobody will say what became of a call any more, and nobody has.
    Close(Id),
    /// Somebody says what became of a call of which that is not known.
    Settle(Id),
    /// Authority is given or taken back.
    Change(Arc<Change>),
}

impl Applies {
    /// Whether something that was recorded is erased.
    pub(crate) fn erases(&self) -> bool {
        match self {
            Self::Change(change) => matches!(**change, Change::PayloadsErased { .. }),
            Self::Close(_)
            | Self::Settle(_)
            | Self::Spend(_)
            | Self::SpendApproval { .. }
            | Self::Tell { .. } => false,
        }
    }
}

/// One record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the log, from 0. What is not stored yet has none.
    pub index: Option<u64>,
    /// Whose chain it is in.
    pub writer: Id,
    /// Its place in the chain.
    pub sequence: u64,
    /// The hash of `entry`.
    pub hash: Digest,
    /// When it happened.
    pub at: Timestamp,
    /// `opened`, `intent`, `refusal`, `outcome`, `settled` or `change`.
    pub kind: String,
    /// The call it is about.
    pub call: Option<Id>,
    /// The server called.
    pub server: Option<String>,
    /// The tool called.
    pub tool: Option<String>,
    /// The operation it was understood to be.
    pub operation: Option<String>,
    /// The verdict, of an intent or a refusal.
    pub verdict: Option<String>,
    /// What became of the call, of an outcome.
    pub outcome: Option<String>,
    /// The accountable identity: the human, or the service account.
    pub accountable: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The entry: canonical JSON.
    pub entry: String,
    /// The payload: canonical JSON. Empty, if it was erased.
    pub text: String,
    /// By what it is found. A row that was read has none.
    pub links: Links,
    /// What it does to the authority in force. A row that was read does nothing any more.
    pub applies: Vec<Applies>,
}

impl Row {
    /// Seals `event`, whose payload that is, as the next record of `chain`.
    #[must_use]
    pub fn seal(chain: &mut Chain, at: Timestamp, event: &Event, payload: Payload) -> Self {
        let sealed = chain.seal(at, event.kind(), About::of(event), payload.digest());
        let mut row = Self {
            index: None,
            writer: chain.writer(),
            sequence: sealed.sequence,
            hash: sealed.hash,
            at,
            kind: event.kind().as_str().to_owned(),
            call: None,
            server: None,
            tool: None,
            operation: None,
            verdict: None,
            outcome: None,
            accountable: None,
            agent: None,
            entry: sealed.entry,
            text: payload.into_text(),
            links: event.links(),
            applies: Vec::new(),
        };
        match event {
            Event::Opened { .. } => {}
            Event::Decided(decided) => row.describe(decided),
            Event::Concluded(concluded) => {
                row.call = Some(concluded.call);
                row.outcome = Some(concluded.outcome.as_str().to_owned());
            }
            Event::Administered(administered) => {
                row.applies = vec![Applies::Change(Arc::new(administered.change.clone()))];
            }
            Event::Settled(settled) => {
                row.call = Some(settled.call);
                row.applies = vec![Applies::Settle(settled.call)];
            }
        }
        row
    }

    /// The same, of an outcome that holds only if there is none yet.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.applies.extend(self.call.map(Applies::Close));
        self
    }

    /// The event; `null`, if it was erased.
    #[must_use]
    pub fn event(&self) -> Json {
        let payload = parse(&self.text);
        payload.get("event").cloned().unwrap_or(Json::Null)
    }

    /// The whole record as it is printed and exported.
    #[must_use]
    pub fn record(&self) -> Object {
        let (entry, payload) = (parse(&self.entry), parse(&self.text));
        let entry = entry.as_object().cloned().unwrap_or_default();
        record(entry, Some(&payload), self.hash, self.index)
    }

    fn describe(&mut self, decided: &Decided) {
        self.call = Some(decided.call);
        self.server = Some(decided.server.clone());
        self.tool = Some(decided.tool.clone());
        self.operation = decided.understood.as_ref().map(|is| is.operation.clone());
        self.verdict = Some(decided.decision.verdict.as_str().to_owned());
        if let Some(caller) = decided.caller.as_deref() {
            self.accountable = Some(caller.accountable.clone());
            self.agent.clone_from(&caller.agent);
        }
        let spent = |one: Option<Use>| one.filter(|one| one.spends && decided.is_intent());
        let grant = spent(decided.under.grant).map(|grant| Applies::Spend(grant.id));
        let approval = spent(decided.under.approval).map(|approval| Applies::SpendApproval {
            approval: approval.id,
            call: decided.call,
            after: decided.under.after,
        });
        let notices = Some(&decided.notices).filter(|all| decided.is_intent() && !all.is_empty());
        let tell = notices.map(|all| Applies::Tell { call: decided.call, notices: all.clone() });
        self.applies = grant.into_iter().chain(approval).chain(tell).collect();
    }
}

/// The calls of [`EvidenceStore::unsettled`]: the intent of each, and its outcome.
///
/// # Errors
/// [`StoreError`].
pub async fn unsettled_calls(
    store: &dyn EvidenceStore,
    reads: bool,
    limit: u32,
) -> Result<Vec<(Row, Row)>, StoreError> {
    let mut calls = Vec::new();
    for outcome in store.unsettled(reads, limit).await? {
        let Some(call) = outcome.call else { continue };
        let intent = store.show(call).await?.into_iter().find(|row| row.kind == "intent");
        calls.extend(intent.map(|intent| (intent, outcome)));
    }
    Ok(calls)
}

/// What was written here; `null`, if it is not that any more.
fn parse(text: &str) -> Json {
    read(text.as_bytes(), &JsonLimits::of_bytes(text.len())).unwrap_or(Json::Null)
}

/// Why a store did not answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the evidence database failed")]
    Database(#[from] sqlx::Error),
    /// There is no room. What was kept free for outcomes is free now: they can be stored at once.
    #[error(
        "there is no room for evidence, and for the {wanted} bytes that are kept free for outcomes: make room on its disk"
    )]
    Full {
        /// What is to be kept free, in bytes.
        wanted: u64,
    },
    /// The writers that live cannot be told.
    #[error("the locks of the evidence writers cannot be used")]
    Writers(#[from] std::io::Error),
    /// A later attempt of the same writer has taken the place of this one: nobody waits for it any more.
    #[error("a later attempt of the same writer has taken the place of this one")]
    Overtaken,
    /// These of the rows would take what is not there any more, or change what has changed meanwhile.
    #[error("what the record takes or changes is not there any more")]
    Refused {
        /// Their places among the rows, ascending.
        rows: Vec<usize>,
    },
    /// A column does not hold what was stored in it.
    #[error("the evidence database holds a malformed `{column}`")]
    Malformed {
        /// Which.
        column: &'static str,
    },
}
