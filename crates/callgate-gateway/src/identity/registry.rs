//! What is in force of the authority that the store keeps: the gateway's own tokens, and who is let in no more.
//!
//! It is a copy in memory, looked up at every request. It is read again when the store says that it is another one, and as
//! soon as a change is made by this gateway itself (I8). When it cannot be told whether the copy is still right, nobody is
//! let in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::authority::{
    Grant, Holder, Revocation, SecretFor, Subject, SubjectKind, UpstreamSecret,
};
use callgate_model::caller::Caller;
use callgate_model::digest::Digest;
use callgate_model::envelope::Action;
use callgate_model::json::{Json, Object};
use callgate_model::target::Target;
use callgate_store::{AuthorityStore, StoreError, TokenState};
use ipnet::IpNet;
use tokio::sync::{MutexGuard, watch};
use tokio::time::timeout;

use super::{Identified, Unacceptable, Visit};

/// How often the store is asked whether anything has changed.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the copy is taken for right without that; I8 has 2 seconds.
const STALE_AFTER: Duration = Duration::from_millis(1_750);
/// How long who comes waits for the store to say what is in force.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often it is written down when tokens were used.
const WRITE_USES_EVERY: Duration = Duration::from_secs(15);

/// The authority in force.
#[derive(Debug)]
pub struct Registry {
    store: Arc<dyn AuthorityStore>,
    known: ArcSwap<Known>,
    /// When the copy was last known to be right.
    fresh: Mutex<Instant>,
    /// When tokens were used, as far as it is not written down.
    uses: Mutex<HashMap<Id, Timestamp>>,
    changed: watch::Sender<()>,
    /// One reads at a time, for all who wait.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    version: u64,
    tokens: HashMap<Id, Held>,
    revoked: HashMap<Subject, Vec<Revocation>>,
    secrets: HashMap<SecretFor, UpstreamSecret>,
    /// The digests of approved tools, by server and tool.
    pins: HashMap<String, HashMap<String, Digest>>,
}

/// A token that is in force.
#[derive(Debug)]
struct Held {
    state: TokenState,
    networks: Vec<IpNet>,
    identified: Arc<Identified>,
}

impl Registry {
    /// What `store` has at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(
        store: Arc<dyn AuthorityStore>,
        now: Timestamp,
    ) -> Result<Arc<Self>, StoreError> {
        let known = Known::read(&*store, now).await?;
        Ok(Arc::new(Self {
            store,
            known: ArcSwap::from_pointee(known),
            fresh: Mutex::new(Instant::now()),
            uses: Mutex::default(),
            changed: watch::Sender::default(),
            asking: tokio::sync::Mutex::default(),
        }))
    }

    /// Reads what has changed in the store.
    ///
    /// # Errors
    /// [`StoreError`]; the copy grows stale then.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), StoreError> {
        // One after the other: what was read first must not take the place of what was read later.
        let turn = self.asking.lock().await;
        self.look(now, &turn).await
    }

    async fn look(&self, now: Timestamp, _turn: &MutexGuard<'_, ()>) -> Result<(), StoreError> {
        let asked = Instant::now();
        if self.store.version().await? != self.known.load().version {
            let known = Known::read(&*self.store, now).await?;
            self.known.store(Arc::new(known));
            self.changed.send_replace(());
        }
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        *fresh = asked.max(*fresh);
        Ok(())
    }

    /// Keeps the copy right, for as long as it is polled.
    pub async fn follow(&self, ambient: Arc<dyn Ambient>) {
        let mut written = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.refresh(ambient.now()).await {
                tracing::error!(%error, "what is in force cannot be read");
            }
            if written.elapsed() >= WRITE_USES_EVERY {
                written = Instant::now();
                self.write_uses().await;
            }
        }
    }

    /// Writes down when tokens were used.
    pub async fn write_uses(&self) {
        let uses = std::mem::take(&mut *self.uses());
        let uses: Vec<_> = uses.into_iter().collect();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.store.used(&uses).await {
            tracing::warn!(%error, "when tokens were used cannot be written down");
            let mut again = self.uses();
            for (id, at) in uses {
                again.entry(id).or_insert(at);
            }
        }
    }

    /// The holder of the token `id`, which `token` says that it is.
    pub(super) fn holder(
        &self,
        id: Id,
        token: Digest,
        now: Timestamp,
        visit: &Visit<'_>,
    ) -> Result<Arc<Identified>, Unacceptable> {
        let known = self.known.load();
        let held = known.tokens.get(&id).ok_or(Unacceptable::Unknown)?;
        // The text has 256 bits that nobody can guess, and only its digest is compared; in constant time all the same.
        verify_slices_are_equal(held.state.token.digest.as_bytes(), token.as_bytes())
            .map_err(|_other| Unacceptable::Unknown)?;
        if held.state.ends <= now {
            return Err(Unacceptable::Expired);
        }
        let scope = &held.state.token.scope;
        if !visit.server.is_empty()
            && !scope.servers.is_empty()
            && !scope.servers.contains(visit.server)
        {
            return Err(Unacceptable::Audience);
        }
        let is_near = |peer: IpAddr| held.networks.iter().any(|net| net.contains(&peer));
        if !held.networks.is_empty() && !visit.peer.is_some_and(|peer| is_near(peer.to_canonical()))
        {
            return Err(Unacceptable::Network);
        }
        let mut uses = self.uses();
        let used = uses.get(&id).copied().max(held.state.used);
        let idle_ms = now.ms_since(used.unwrap_or(held.state.token.issued));
        if held.state.token.idle_s.is_some_and(|most| idle_ms > most.saturating_mul(1_000)) {
            return Err(Unacceptable::Unused);
        }
        uses.insert(id, now);
        Ok(Arc::clone(&held.identified))
    }

    /// Whether everybody in the chain of `caller` is still let in, as far as is known.
    pub(crate) fn admits(&self, caller: &Caller) -> Result<(), Unacceptable> {
        let known = self.known.load();
        if known.revoked.is_empty() {
            return Ok(());
        }
        let issued = caller.credential.issued;
        let is_revoked = |subject: &Subject| {
            let all = known.revoked.get(subject);
            all.is_some_and(|all| all.iter().any(|one| one.reaches(issued)))
        };
        let owner = caller.credential.id.as_deref().and_then(Id::parse);
        let owner = owner
            .and_then(|id| known.tokens.get(&id))
            .map(|held| Subject::new(SubjectKind::Human, held.state.token.owner.clone()));
        if Subject::all_of(caller).iter().chain(&owner).any(is_revoked) {
            return Err(Unacceptable::Revoked);
        }
        Ok(())
    }

    /// Whether `subject` is revoked already with all that was made before then, or at all.
    /// The person who answers for the token that `caller` came with, if it is one of the gateway's own.
    pub(crate) fn owner(&self, caller: &Caller) -> Option<String> {
        let id = Id::parse(caller.credential.id.as_deref()?)?;
        self.known.load().tokens.get(&id).map(|held| held.state.token.owner.clone())
    }

    pub(crate) fn is_revoked(&self, subject: &Subject, before: Option<Timestamp>) -> bool {
        let known = self.known.load();
        let mut all = known.revoked.get(subject).into_iter().flatten();
        all.any(|one| match (one.issued_before, before) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(known), Some(before)) => known >= before,
        })
    }

    /// The grants that cover `action` of `caller` on all of `targets` at `now`, those that end first before others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn grants(
        &self,
        caller: &Caller,
        action: Action<'_>,
        targets: &[Target],
        now: Timestamp,
    ) -> Result<Vec<Grant>, StoreError> {
        let Some(first) = targets.first() else { return Ok(Vec::new()) };
        let (holders, places) = (Holder::keys_of(caller), Grant::places_of(first));
        let mut grants = self.store.grants_of(&holders, &places, now).await?;
        grants.retain(|grant| grant.covers(caller, action, targets));
        Ok(grants)
    }

    /// The grant of that id, if it was not taken back and is in force at `now`, however few uses are left.
    pub(crate) async fn standing_grant(
        &self,
        id: Id,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        let state = self.store.grant(id).await?.filter(|state| state.revoked.is_none());
        Ok(state.map(|state| state.grant).filter(|grant| grant.begins <= now && now < grant.ends))
    }

    /// The secret of `owner`, sealed.
    pub(crate) fn secret(&self, owner: &SecretFor) -> Option<UpstreamSecret> {
        self.known.load().secrets.get(owner).cloned()
    }

    /// The digest of the definition by which the tool is approved.
    pub(crate) fn pin(&self, server: &str, tool: &str) -> Option<Digest> {
        self.known.load().pins.get(server)?.get(tool).copied()
    }

    /// Where it is kept.
    pub(crate) fn store(&self) -> &dyn AuthorityStore {
        &*self.store
    }

    /// Ready after the next change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is known is right, or it is asked for now.
    pub(super) async fn current(&self, now: Timestamp) -> Result<(), Unacceptable> {
        let is_fresh = || {
            let fresh = *self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.elapsed() <= STALE_AFTER
        };
        if is_fresh() {
            return Ok(());
        }
        let refreshed = async {
            let turn = self.asking.lock().await;
            // Somebody else may have asked meanwhile.
            if is_fresh() { Ok(()) } else { self.look(now, &turn).await }
        };
        match timeout(ANSWER_WITHIN, refreshed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "what is in force cannot be read");
                Err(Unacceptable::NoRegistry)
            }
            Err(_elapsed) => Err(Unacceptable::NoRegistry),
        }
    }

    fn uses(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Timestamp>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    async fn read(store: &dyn AuthorityStore, now: Timestamp) -> Result<Self, StoreError> {
        // If it changes meanwhile, it is read again.
        let version = store.version().await?;
        let mut known = Self { version, ..Self::default() };
        for state in store.tokens(Some(now)).await? {
            known.tokens.insert(state.token.id, Held::new(state));
        }
        for revocation in store.revocations().await? {
            known.revoked.entry(revocation.subject.clone()).or_default().push(revocation);
        }
        for secret in store.secrets().await? {
            known.secrets.insert(secret.owner.clone(), secret);
        }
        for pin in store.pins().await? {
            let tools = known.pins.entry(pin.of.server).or_default();
            tools.insert(pin.of.tool, pin.digest);
        }
        Ok(known)
    }
}

impl Held {
    fn new(state: TokenState) -> Self {
        // One that cannot be read lets nobody in: it matches nothing, but is there.
        let networks = state.token.networks.iter();
        let networks = networks.map(|net| net.parse().unwrap_or(NOWHERE)).collect();
        let mut caller = state.token.caller();
        caller.credential.expires = Some(state.ends);
        let lineage = Object::default().with("token", Json::from(state.token.first.to_string()));
        let identified = Identified::with_key(caller, Digest::of_object(&lineage));
        Self { state, networks, identified: Arc::new(identified) }
    }
}

/// An address that nobody comes from.
const NOWHERE: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED, 32));
