//! What a store of evidence has to do, and the row it keeps.
//!
//! The canonical text is the evidence. The other columns repeat parts of it so that it can be found, and are never
//! trusted over it.

use std::fmt::Debug;
use std::sync::Arc;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::Notice;
use callgate_model::authority::{Change, Use};
use callgate_model::digest::Digest;
use callgate_model::evidence::{Chain, Decided, Event};
use futures_util::future::BoxFuture;
use thiserror::Error;

/// The most rows one [`EvidenceStore::list`] returns.
pub const LIST_MAX: u32 = 1_000;

/// What a store promises to answer.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Where evidence is kept. Rows are added and never changed.
pub trait EvidenceStore: Debug + Send + Sync {
    /// Adds `rows` in one transaction, all or none, durable when it answers `Ok`. After an error, or if the future was
    /// dropped, they may have been stored; [`Self::head`] tells. With no rows it proves that the store can commit.
    /// What the rows apply to the authority in force is part of the transaction: [`StoreError::Refused`] names those that
    /// could not be applied, and then nothing was stored.
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()>;

    /// The last row of a writer. It answers only when every append begun earlier has ended.
    fn head(&self, writer: Id) -> StoreFuture<'_, Option<(u64, Digest)>>;

    /// The latest writer and the head of its chain.
    fn last_chain(&self) -> StoreFuture<'_, Option<(Id, Digest)>>;

    /// Makes `writer` known as one that lives, until the store is dropped or its process ends. Another writer that begins
    /// waits until this one's first append is done.
    fn join(&self, writer: Id) -> StoreFuture<'_, ()>;

    /// Calls with an intent and no outcome, but for those of writers that lived when this one joined: theirs may be on
    /// their way. To be asked before the first append: later its own calls are among them.
    fn orphans(&self) -> StoreFuture<'_, Vec<Id>>;

    /// The rows that match `filter`, newest first.
    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Row>>;

    /// The same in the order of the log, each with its place there, from the place `from` on: the rows that match `filter`, and
    /// what became of the calls whose intents do. `since` and `until` are of each row itself.
    fn page<'a>(&'a self, filter: &'a Filter, from: u64) -> StoreFuture<'a, Vec<(u64, Row)>>;

    /// The place in the log that the next row will have.
    fn end(&self) -> StoreFuture<'_, u64>;

    /// How many decisions match `filter`, whose limit does not matter, in each span of `every_ms` milliseconds, by verdict; nothing
    /// of a span without any.
    fn tally<'a>(&'a self, filter: &'a Filter, every_ms: i64) -> StoreFuture<'a, Vec<Tally>>;

    /// Everything about one call, oldest first.
    fn show(&self, call: Id) -> StoreFuture<'_, Vec<Row>>;

    /// The texts of a writer in the order of its chain: up to `limit`, beginning with the sequence `from`.
    fn chain(&self, writer: Id, from: u64, limit: u32) -> StoreFuture<'_, Vec<String>>;

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
    /// Authority is given or taken back.
    Change(Arc<Change>),
}

/// One record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose chain it is in.
    pub writer: Id,
    /// Its place in the chain.
    pub sequence: u64,
    /// SHA-256 of `text`.
    pub hash: Digest,
    /// When it happened.
    pub at: Timestamp,
    /// `opened`, `intent`, `refusal` or `outcome`.
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
    /// The record: canonical JSON.
    pub text: String,
    /// What it does to the authority in force. A row that was read does nothing any more.
    pub applies: Vec<Applies>,
}

impl Row {
    /// Seals `event`, which [`Event::canonical`] is, as the next record of `chain`.
    #[must_use]
    pub fn seal(chain: &mut Chain, at: Timestamp, event: &Event, canonical: &str) -> Self {
        let sealed = chain.seal(at, event.kind(), canonical);
        let mut row = Self {
            writer: chain.writer(),
            sequence: sealed.sequence,
            hash: sealed.hash,
            at,
            kind: event.kind().to_owned(),
            call: None,
            server: None,
            tool: None,
            operation: None,
            verdict: None,
            outcome: None,
            accountable: None,
            agent: None,
            text: sealed.text,
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
        }
        row
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

/// Which rows to list. What is `None` does not matter; text is compared exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only decisions: intents and refusals.
    pub decided: bool,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this verdict.
    pub verdict: Option<String>,
    /// Only this outcome.
    pub outcome: Option<String>,
    /// Only this server.
    pub server: Option<String>,
    /// Not this server.
    pub not_server: Option<String>,
    /// Only this tool.
    pub tool: Option<String>,
    /// Only this operation.
    pub operation: Option<String>,
    /// Only this accountable identity.
    pub accountable: Option<String>,
    /// Only this agent.
    pub agent: Option<String>,
    /// Only calls through this client.
    pub client: Option<String>,
    /// Only decisions with this reason code.
    pub reason: Option<String>,
    /// Only calls on this target, or in this container: its id (`acme/ENG-42`), or a container's with its kind
    /// (`Jira::Project::acme/ENG`).
    pub target: Option<String>,
    /// Only this call.
    pub call: Option<Id>,
    /// Only what happened at this moment or later.
    pub since: Option<Timestamp>,
    /// Only what happened before this moment.
    pub until: Option<Timestamp>,
    /// Only among so many of the newest records, so that what nobody did is not looked for in all of them.
    pub among: Option<u32>,
    /// How many at most; `None` and anything above it is [`LIST_MAX`].
    pub limit: Option<u32>,
}

/// Why a store did not answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the evidence database failed")]
    Database(#[from] sqlx::Error),
    /// The writers that live cannot be told.
    #[error("the locks of the evidence writers cannot be used")]
    Writers(#[from] std::io::Error),
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
