//! Following a server for those who listen: one task for each server, for as long as anybody does.
//!
//! The server says that a list has changed, or it is asked again when its list is no longer fresh. Either way those who
//! listen look again at what they may see, each for themselves.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_mcp::lists::{ListKind, PerList};
use callgate_mcp::upstream::{Heard, Silence, Uris};
use callgate_model::digest::Digest;
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio::time::Instant;

use crate::name::NamedCall;
use crate::server::Server;

/// For a server that told of changes and does not any more to be asked for them again.
const FOLLOW_AGAIN: Duration = Duration::from_secs(5);
/// The same, if all that is lost is the session.
const FOLLOW_LOST_AGAIN: Duration = Duration::from_secs(1);
/// What a server says meanwhile is said at once, however often it says it.
const SAID_MIN: Duration = Duration::from_millis(500);
/// A server is not asked again sooner, however short its lists are fresh.
const POLL_MIN: Duration = Duration::from_millis(100);
/// Those who look at one server's lists at one time: however many listen, calls get their turn meanwhile.
const LOOKING_MAX: usize = 1;

/// Changes of resources that may wait for who listens; of more, any may be among them.
const UPDATES_WAITING_MAX: usize = 256;
/// Resources of one server that anybody wants to hear of.
const RESOURCES_FOLLOWED_MAX: usize = 2_000;
/// Of these, one caller's, in all of their sessions and streams.
const INTERESTS_PER_CALLER_MAX: usize = 500;

/// Why to look again at one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Counts what may have changed it: policies, or what was fetched.
    pub(crate) look: u64,
    /// Counts how often the server said that it has changed.
    pub(crate) said: u64,
}

/// What those who listen to one server share.
#[derive(Debug)]
pub(crate) struct Changes {
    pulse: watch::Sender<PerList<Beat>>,
    /// Whether a change from now on will be heard of.
    attentive: watch::Sender<bool>,
    /// Whether there is a task that follows.
    followed: Mutex<bool>,
    pub(crate) looking: Semaphore,
    interests: Mutex<Counts>,
    wanted: watch::Sender<Uris>,
    /// The resources that have changed, as the server said.
    updated: broadcast::Sender<Arc<str>>,
}

/// Who wants to hear of what.
#[derive(Debug, Default)]
struct Counts {
    /// How many want to hear of one resource.
    of_resource: BTreeMap<Arc<str>, usize>,
    /// Of how many one caller wants to hear.
    of_caller: HashMap<Digest, usize>,
}

/// That somebody wants to hear when a resource of a server changes, for as long as this is kept.
#[derive(Debug)]
pub struct Interest {
    pub(crate) server: Arc<Server>,
    caller: Digest,
    uri: Arc<str>,
    /// The request for it, to be decided again whenever there is something to tell.
    pub(crate) named: NamedCall,
}

/// What somebody wants to hear of, by the URIs under which they know it.
pub type Interests = BTreeMap<Arc<str>, Arc<Interest>>;

impl Default for Changes {
    fn default() -> Self {
        Self {
            pulse: watch::Sender::default(),
            attentive: watch::Sender::new(false),
            followed: Mutex::default(),
            looking: Semaphore::new(LOOKING_MAX),
            interests: Mutex::default(),
            wanted: watch::Sender::default(),
            updated: broadcast::Sender::new(UPDATES_WAITING_MAX),
        }
    }
}

impl Changes {
    /// Lets those who listen look at all lists again.
    pub(crate) fn look(&self) {
        self.beat(|pulse| ListKind::ALL.into_iter().for_each(|kind| pulse.of_mut(kind).look += 1));
    }

    fn beat(&self, change: impl FnOnce(&mut PerList<Beat>)) {
        self.pulse.send_modify(change);
    }

    /// Ready when a change from now on will be heard of, as far as this server tells of changes at all.
    pub(crate) async fn attentive(&self) {
        // It cannot fail: the sender is ours.
        self.attentive.subscribe().wait_for(|attentive| *attentive).await.ok();
    }

    /// Tells which resources have changed, as far as anybody wants to hear of them.
    pub(crate) fn updated(&self) -> broadcast::Receiver<Arc<str>> {
        self.updated.subscribe()
    }

    /// Counts that `caller` wants to hear of `uri`. `false` if there is no room for that.
    fn want(&self, caller: Digest, uri: &Arc<str>) -> bool {
        let mut counts = self.interests();
        let own = counts.of_caller.get(&caller).copied().unwrap_or_default();
        let is_new = !counts.of_resource.contains_key(uri);
        let full = is_new && counts.of_resource.len() >= RESOURCES_FOLLOWED_MAX;
        if full || own >= INTERESTS_PER_CALLER_MAX {
            return false;
        }
        counts.of_caller.insert(caller, own + 1);
        *counts.of_resource.entry(Arc::clone(uri)).or_default() += 1;
        self.wanted.send_if_modified(|wanted| wanted.insert(Arc::clone(uri)));
        true
    }

    fn leave(&self, caller: Digest, uri: &Arc<str>) {
        let mut counts = self.interests();
        if let Entry::Occupied(mut own) = counts.of_caller.entry(caller) {
            *own.get_mut() = own.get().saturating_sub(1);
            if *own.get() == 0 {
                own.remove();
            }
        }
        let Some(count) = counts.of_resource.get_mut(uri) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.of_resource.remove(uri);
            self.wanted.send_if_modified(|wanted| wanted.remove(uri));
        }
    }

    fn interests(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Anything may have changed.
    fn may_have_changed(&self, said: &Said) {
        ListKind::ALL.into_iter().for_each(|kind| said.note(kind));
        for uri in self.wanted.borrow().iter() {
            // Nobody may listen any more.
            self.updated.send(Arc::clone(uri)).ok();
        }
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, bool> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interest {
    /// The interest of `caller` in the resource of `server` that `named` asks for. `None` if there are too many.
    pub(crate) fn new(server: &Arc<Server>, caller: Digest, named: NamedCall) -> Option<Self> {
        let (server, uri) = (Arc::clone(server), Arc::from(named.call.tool.as_str()));
        // Made only if there is room: dropping one gives room back.
        server.changes.want(caller, &uri).then(|| Self { server, caller, uri, named })
    }

    /// The resource, as its server calls it.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.server.changes.leave(self.caller, &self.uri);
    }
}

impl Server {
    /// Tells when to look again. The server is followed until the last of these is dropped.
    pub(crate) fn listen(self: &Arc<Self>) -> watch::Receiver<PerList<Beat>> {
        let pulse = self.changes.pulse.subscribe();
        let mut followed = self.changes.followed();
        if !std::mem::replace(&mut *followed, true) {
            tokio::spawn(follow(Arc::clone(self)));
        }
        pulse
    }
}

/// Follows until nobody listens.
async fn follow(server: Arc<Server>) {
    let changes = &server.changes;
    loop {
        let said = Said::default();
        tokio::select! {
            ((), ()) = async { tokio::join!(hear(&server, &said), react(&server, &said)) } => {}
            () = changes.pulse.closed() => {}
        }
        let mut followed = changes.followed();
        changes.attentive.send_replace(false);
        // Whoever comes now finds that nobody follows; whoever came before is counted.
        if changes.pulse.receiver_count() == 0 {
            *followed = false;
            return;
        }
    }
}

/// What the server said and nobody has reacted to.
#[derive(Default)]
struct Said {
    lists: Mutex<PerList<bool>>,
    anything: Notify,
}

impl Said {
    fn note(&self, kind: ListKind) {
        *self.lists.lock().unwrap_or_else(PoisonError::into_inner).of_mut(kind) = true;
        self.anything.notify_one();
    }

    fn take(&self) -> PerList<bool> {
        std::mem::take(&mut *self.lists.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Listens to the server. Never returns.
async fn hear(server: &Server, said: &Said) {
    let (attentive, heard_before) = (&server.changes.attentive, AtomicBool::new(false));
    loop {
        let hear = |heard| match heard {
            Heard::Attentive => {
                attentive.send_replace(true);
                // What happened since it told of changes last is not known.
                if heard_before.swap(true, Ordering::Relaxed) {
                    server.changes.may_have_changed(said);
                }
            }
            Heard::Changed(kind) => said.note(kind),
            // Nobody may listen any more.
            Heard::Updated(uri) => drop(server.changes.updated.send(uri)),
        };
        let silence = server.follow_upstream(server.changes.wanted.subscribe(), hear).await;
        // It will not be, so there is nothing to wait for.
        attentive.send_replace(true);
        let again = match silence {
            Ok(Silence::Never) => server.limits.fresh.max(FOLLOW_AGAIN),
            Ok(Silence::Lost) => FOLLOW_LOST_AGAIN,
            Ok(Silence::Ended) => FOLLOW_AGAIN,
            Err(error) => {
                tracing::debug!(server = &*server.name, %error, "changes are not heard of");
                FOLLOW_AGAIN
            }
        };
        tokio::time::sleep(again).await;
    }
}

/// Tells those who listen. Never returns.
async fn react(server: &Server, said: &Said) {
    let mut known: PerList<Option<Digest>> = PerList::default();
    let mut poll_at = Instant::now();
    loop {
        tokio::select! {
            () = said.anything.notified() => {
                let lists = said.take();
                lists.kinds().for_each(|kind| server.expire(kind));
                server.changes.beat(|pulse| lists.kinds().for_each(|kind| pulse.of_mut(kind).said += 1));
                tokio::time::sleep(SAID_MIN).await;
            }
            () = tokio::time::sleep_until(poll_at) => {
                poll(server, &mut known).await;
                poll_at = Instant::now() + server.limits.fresh.max(POLL_MIN);
            }
        }
    }
}

/// Asks for lists that are no longer fresh.
async fn poll(server: &Server, known: &mut PerList<Option<Digest>>) {
    for kind in ListKind::ALL {
        // A server that cannot be asked has not changed.
        let Ok(now) = server.digest_of(kind).await else { continue };
        if known.of_mut(kind).replace(now) != Some(now) {
            server.changes.beat(|pulse| pulse.of_mut(kind).look += 1);
        }
    }
}
