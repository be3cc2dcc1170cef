//! A store that fails on demand, for tests: here, and of the crates above.

mod sample;

pub use sample::{Ticking, intent, outcome};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;

use crate::evidence::{EvidenceStore, Filter, Row, StoreError, StoreFuture, Tally};

/// How an append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is an error, and nothing is stored.
    Fail,
    /// It is an error, and everything is stored: a connection lost after `COMMIT`.
    FailAfterCommit,
    /// There is no room. The first append fails, nothing is stored, and what was kept free is given up; later ones have room
    /// by that.
    Full,
    /// It never answers, and nothing is stored.
    Hang,
}

/// A store whose appends fail as told.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn EvidenceStore>,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    appends: u64,
    every: Option<Fault>,
    one: Option<(u64, Fault)>,
    /// Whether what was kept free is given up.
    given_up: bool,
}

impl FaultyStore {
    /// `inner`, which does not fail yet.
    #[must_use]
    pub fn new(inner: Arc<dyn EvidenceStore>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// From now on every append has `fault`, or none.
    pub fn every(&self, fault: Option<Fault>) {
        self.plan().every = fault;
    }

    /// The `n`th append from now has `fault`; the next one is the first.
    pub fn nth(&self, n: u64, fault: Fault) {
        let mut plan = self.plan();
        plan.one = Some((plan.appends + n, fault));
    }

    /// How many appends were begun.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.plan().appends
    }

    fn next(&self) -> Option<Fault> {
        let mut plan = self.plan();
        plan.appends += 1;
        let now = plan.appends;
        plan.one.take_if(|(n, _)| *n == now).map(|(_, fault)| fault).or(plan.every)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EvidenceStore for FaultyStore {
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()> {
        let fault = self.next();
        let has_room =
            fault == Some(Fault::Full) && std::mem::replace(&mut self.plan().given_up, true);
        Box::pin(faulty(fault.filter(|_| !has_room), self.inner.append(rows)))
    }

    fn prove(&self) -> StoreFuture<'_, ()> {
        let fault = self.next();
        self.plan().given_up &= fault.is_some();
        Box::pin(faulty(fault, self.inner.prove()))
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

async fn faulty(fault: Option<Fault>, work: StoreFuture<'_, ()>) -> Result<(), StoreError> {
    let injected = || StoreError::Database(sqlx::Error::Protocol("injected fault".to_owned()));
    match fault {
        None => work.await,
        Some(Fault::Fail) => Err(injected()),
        Some(Fault::FailAfterCommit) => {
            work.await?;
            Err(injected())
        }
        Some(Fault::Full) => Err(StoreError::Full { wanted: 0 }),
        Some(Fault::Hang) => std::future::pending().await,
    }
}
