//! A store that remembers for every record how many calls the site had executed when the record became durable: that is
//! what I1 is about, and it needs no clock.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::approval::ApprovalState;
use callgate_model::authority::{Grant, Revocation, SignInLink, ToolPin, UpstreamSecret};
use callgate_model::budget::Marked;
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use callgate_sim::Running;
use callgate_store::{
    AuthorityStore, ChannelState, EvidenceStore, Filter, GrantState, NoticeStore, PasskeyState,
    Row, SessionState, SessionStore, Settled, SqliteStore, StoreError, StoreFuture, Taken, Tally,
    TokenState,
};

use crate::support::json;

/// A store that remembers what the site had executed when each record became durable.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) inner: Arc<SqliteStore>,
    sim: Weak<Running>,
    stored: Mutex<Vec<(Row, usize)>>,
    /// How long an append takes, in milliseconds.
    pub(crate) slow_ms: AtomicU64,
}

impl Watched {
    pub(crate) async fn new(sim: Weak<Running>) -> Self {
        let inner = Arc::new(SqliteStore::open_in_memory().await.unwrap());
        Self { inner, sim, stored: Mutex::default(), slow_ms: AtomicU64::new(0) }
    }

    /// Every record that is durable.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.stored.lock().unwrap().iter().map(|(row, _)| row.clone()).collect()
    }

    /// Every record that is durable, and how many calls had been executed when it became so.
    pub(crate) fn stored(&self) -> Vec<(Row, usize)> {
        self.stored.lock().unwrap().clone()
    }
}

impl EvidenceStore for Watched {
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let slow = Duration::from_millis(self.slow_ms.load(Ordering::Relaxed));
            tokio::time::sleep(slow).await;
            self.inner.append(rows).await?;
            let executed = self.sim.upgrade().map_or(0, |sim| sim.ledger().entries().len());
            let durable = rows.iter().map(|row| (row.clone(), executed));
            self.stored.lock().unwrap().extend(durable);
            Ok(())
        })
    }

    fn prove(&self) -> StoreFuture<'_, ()> {
        self.inner.prove()
    }

    fn head(&self, writer: Id) -> StoreFuture<'_, Option<(u64, Digest)>> {
        self.inner.head(writer)
    }

    fn last_chain(&self) -> StoreFuture<'_, Option<(Id, Digest)>> {
        self.inner.last_chain()
    }

    fn join(&self, writer: Id) -> StoreFuture<'_, ()> {
        self.inner.join(writer)
    }

    fn orphans(&self) -> StoreFuture<'_, Vec<Id>> {
        self.inner.orphans()
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Row>> {
        self.inner.list(filter)
    }

    fn page<'a>(&'a self, filter: &'a Filter, from: u64) -> StoreFuture<'a, Vec<Row>> {
        self.inner.page(filter, from)
    }

    fn tally<'a>(&'a self, filter: &'a Filter, every_ms: i64) -> StoreFuture<'a, Vec<Tally>> {
        self.inner.tally(filter, every_ms)
    }

    fn unsettled(&self, reads: bool, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        self.inner.unsettled(reads, limit)
    }

    fn payloads_before<'a>(
        &'a self,
        kind: &'a str,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'a, Vec<u64>> {
        self.inner.payloads_before(kind, before, limit)
    }

    fn show(&self, call: Id) -> StoreFuture<'_, Vec<Row>> {
        self.inner.show(call)
    }

    fn read(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        self.inner.read(from, limit)
    }

    fn size(&self) -> StoreFuture<'_, u64> {
        self.inner.size()
    }

    fn writers(&self) -> StoreFuture<'_, Vec<Id>> {
        self.inner.writers()
    }
}

/// What is in force, unless the store is down.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) inner: Arc<SqliteStore>,
    pub(crate) is_down: AtomicBool,
}

impl InForce {
    fn up(&self) -> Result<(), StoreError> {
        let is_down = self.is_down.load(Ordering::Relaxed);
        if is_down { Err(StoreError::Malformed { column: "any" }) } else { Ok(()) }
    }
}

impl SessionStore for InForce {
    fn session(&self, digest: Digest) -> StoreFuture<'_, Option<SessionState>> {
        self.inner.session(digest)
    }

    fn sessions(&self, now: Timestamp) -> StoreFuture<'_, Vec<SessionState>> {
        self.inner.sessions(now)
    }

    fn seen(&self, id: Id, at: Timestamp) -> StoreFuture<'_, ()> {
        self.inner.seen(id, at)
    }

    fn sign_in_link(&self, digest: Digest) -> StoreFuture<'_, Option<SignInLink>> {
        self.inner.sign_in_link(digest)
    }
}

impl NoticeStore for InForce {
    fn notices_waiting(&self, now: Timestamp) -> StoreFuture<'_, Vec<(String, u32, u32)>> {
        self.inner.notices_waiting(now)
    }

    fn take_notices<'a>(
        &'a self,
        channel: &'a str,
        during: (Timestamp, Timestamp),
        limit: u32,
    ) -> StoreFuture<'a, Vec<Taken>> {
        self.inner.take_notices(channel, during, limit)
    }

    fn settle_notice<'a>(
        &'a self,
        taken: &'a Taken,
        settled: Settled,
        at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        self.inner.settle_notice(taken, settled, at)
    }

    fn retry_notices<'a>(&'a self, channel: &'a str, at: Timestamp) -> StoreFuture<'a, u64> {
        self.inner.retry_notices(channel, at)
    }

    fn channels(&self, now: Timestamp) -> StoreFuture<'_, Vec<ChannelState>> {
        self.inner.channels(now)
    }
}

impl AuthorityStore for InForce {
    fn version(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            self.up()?;
            self.inner.version().await
        })
    }

    fn tokens(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<TokenState>> {
        self.inner.tokens(now)
    }

    fn token(&self, id: Id) -> StoreFuture<'_, Option<TokenState>> {
        self.inner.token(id)
    }

    fn revocations(&self) -> StoreFuture<'_, Vec<Revocation>> {
        self.inner.revocations()
    }

    fn grants_of<'a>(
        &'a self,
        holders: &'a [String],
        places: &'a [String],
        now: Timestamp,
    ) -> StoreFuture<'a, Vec<Grant>> {
        Box::pin(async move {
            self.up()?;
            self.inner.grants_of(holders, places, now).await
        })
    }

    fn grant(&self, id: Id) -> StoreFuture<'_, Option<GrantState>> {
        self.inner.grant(id)
    }

    fn grants(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<GrantState>> {
        self.inner.grants(now)
    }

    fn secrets(&self) -> StoreFuture<'_, Vec<UpstreamSecret>> {
        self.inner.secrets()
    }

    fn budget_marks(&self, key: Digest, now: Timestamp) -> StoreFuture<'_, Vec<Marked>> {
        Box::pin(async move {
            self.up()?;
            self.inner.budget_marks(key, now).await
        })
    }

    fn to_review(&self) -> StoreFuture<'_, Vec<ApprovalState>> {
        self.inner.to_review()
    }

    fn approvals_to_expire(&self, now: Timestamp) -> StoreFuture<'_, Vec<Id>> {
        self.inner.approvals_to_expire(now)
    }

    fn passkeys<'a>(&'a self, who: Option<&'a str>) -> StoreFuture<'a, Vec<PasskeyState>> {
        self.inner.passkeys(who)
    }

    fn pins(&self) -> StoreFuture<'_, Vec<ToolPin>> {
        self.inner.pins()
    }

    fn approval_for(&self, binding: Digest) -> StoreFuture<'_, Option<ApprovalState>> {
        Box::pin(async move {
            self.up()?;
            self.inner.approval_for(binding).await
        })
    }

    fn approval_taken_by(&self, call: Id) -> StoreFuture<'_, Option<ApprovalState>> {
        self.inner.approval_taken_by(call)
    }

    fn approval(&self, id: Id) -> StoreFuture<'_, Option<ApprovalState>> {
        self.inner.approval(id)
    }

    fn approvals(&self, now: Option<Timestamp>) -> StoreFuture<'_, Vec<ApprovalState>> {
        self.inner.approvals(now)
    }

    fn used<'a>(&'a self, uses: &'a [(Id, Timestamp)]) -> StoreFuture<'a, ()> {
        self.inner.used(uses)
    }
}

/// The decisions of a record, without those about what the gateway itself reads.
pub(crate) fn decided(rows: &[Row]) -> impl Iterator<Item = &Row> {
    let is_own =
        |row: &&Row| event(row).get("resolves").is_some_and(|call| call.as_str().is_some());
    rows.iter()
        .filter(|row| row.kind == "intent" || row.kind == "refusal")
        .filter(move |row| !is_own(row))
}

/// The reasons of a decision in a row.
pub(crate) fn reasons(row: &Row) -> Vec<String> {
    let decision = event(row).get("decision").cloned().unwrap_or(Json::Null);
    let reasons = decision.get("reasons").and_then(Json::as_array).unwrap_or_default();
    reasons.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// What the record in a row says.
pub(crate) fn event(row: &Row) -> Json {
    json(&row.text).get("event").unwrap().clone()
}

/// The digest of the arguments in a row.
pub(crate) fn arguments_digest(row: &Row) -> Option<String> {
    event(row).get("arguments_digest").and_then(Json::as_str).map(str::to_owned)
}

/// When the tests begin.
pub(crate) const STARTED_MS: i64 = 1_795_600_000_000;

/// Time that goes on by a millisecond whenever somebody looks, and randomness that counts.
#[derive(Debug, Default)]
pub(crate) struct ManualClock {
    looked: AtomicI64,
    drawn: AtomicU64,
}

impl ManualClock {
    /// So many milliseconds go by.
    pub(crate) fn pass(&self, milliseconds: i64) {
        self.looked.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Ambient for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(STARTED_MS + self.looked.fetch_add(1, Ordering::Relaxed))
    }

    fn random(&self) -> [u8; 16] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = [0; 16];
        // Ids keep the first ten of them.
        bytes[2..10].copy_from_slice(&drawn);
        bytes
    }
}
