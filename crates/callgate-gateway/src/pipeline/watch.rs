//! Watching one server for one who listens: it looks at the caller's own lists whenever they may have changed, so that
//! what is told is what a list would show (I3, I6), and decides again on a resource before its change is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use callgate_mcp::lists::{ListKind, PerList};
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};

use super::{Gateway, Request};
use crate::follow::{Beat, Interests};
use crate::kept::ListError;
use crate::server::lists_of;

/// What a caller could see of one kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sight {
    digest: Digest,
    is_empty: bool,
}

/// One server, as one caller sees it.
pub(super) struct Watch {
    gateway: Arc<Gateway>,
    /// Who listens.
    request: Request,
    lists: PerList<bool>,
    pulse: watch::Receiver<PerList<Beat>>,
    updated: broadcast::Receiver<Arc<str>>,
    heard: PerList<Beat>,
    /// What was seen last. `None` if nothing could be.
    seen: PerList<Option<Sight>>,
    due: Due,
}

/// What is to be told.
#[derive(Default)]
struct Due {
    lists: PerList<bool>,
    /// By the URIs under which the client knows them.
    resources: BTreeSet<Arc<str>>,
}

impl Due {
    /// The next thing to be told.
    fn take(&mut self) -> Option<(&'static str, Object)> {
        if let Some(kind) = self.lists.kinds().next() {
            *self.lists.of_mut(kind) = false;
            return Some((kind.notification(), Object::default()));
        }
        let uri = self.resources.pop_first()?;
        Some(("notifications/resources/updated", Object::default().with("uri", &*uri)))
    }

    fn is_empty(&self) -> bool {
        self.lists.kinds().next().is_none() && self.resources.is_empty()
    }
}

impl Watch {
    pub(super) fn new(gateway: &Arc<Gateway>, request: Request, lists: PerList<bool>) -> Self {
        let mut pulse = request.server.listen();
        let heard = *pulse.borrow_and_update();
        Self {
            gateway: Arc::clone(gateway),
            updated: request.server.changes.updated(),
            request,
            lists,
            pulse,
            heard,
            seen: PerList::default(),
            due: Due::default(),
        }
    }

    /// Takes a first look, and waits for the server to attend.
    pub(super) async fn prepare(&mut self) {
        for kind in self.lists.kinds() {
            self.look(kind, false).await;
        }
        self.request.server.changes.attentive().await;
    }

    /// Tells of changes until this caller may see nothing any more.
    pub(super) async fn tell(
        &mut self,
        events: &mpsc::Sender<Bytes>,
        interests: watch::Receiver<Interests>,
        say: impl Fn(&str, Object) -> Bytes,
    ) {
        // What was found first is no change.
        self.due.lists = PerList::default();
        let mut is_last = false;
        loop {
            tokio::select! {
                room = events.reserve(), if !self.due.is_empty() => {
                    let (Ok(room), Some((method, params))) = (room, self.due.take()) else { return };
                    room.send(say(method, params));
                }
                beat = self.pulse.changed(), if !is_last => {
                    if beat.is_err() { return }
                    is_last = self.look_again().await && interests.borrow().is_empty();
                }
                updated = self.updated.recv(), if !is_last => match updated {
                    Ok(uri) => self.note(&interests.borrow(), Some(&uri)),
                    // Any may be among what was lost.
                    Err(RecvError::Lagged(_)) => self.note(&interests.borrow(), None),
                    Err(RecvError::Closed) => return,
                },
                else => return,
            }
        }
    }

    /// Notes that a resource has changed, for those of this server that the caller may still read (I8).
    fn note(&mut self, interests: &Interests, updated: Option<&str>) {
        let bundle = self.gateway.bundle();
        for (uri, interest) in interests {
            let is_it = Arc::ptr_eq(&interest.server, &self.request.server)
                && updated.is_none_or(|updated| updated == interest.uri());
            if is_it && self.gateway.decide(&self.request, &interest.named, &bundle).is_allow() {
                self.due.resources.insert(Arc::clone(uri));
            }
        }
    }

    /// Looks at what may have changed. Whether this caller may see nothing any more of what it could see.
    async fn look_again(&mut self) -> bool {
        let now = *self.pulse.borrow_and_update();
        let before = std::mem::replace(&mut self.heard, now);
        let saw = self.lists.kinds().any(|kind| self.seen.of(kind).is_some_and(|s| !s.is_empty));
        for kind in self.lists.kinds() {
            if now.of(kind) != before.of(kind) {
                self.look(kind, now.of(kind).said != before.of(kind).said).await;
            }
        }
        saw && self.lists.kinds().all(|kind| self.seen.of(kind).is_some_and(|s| s.is_empty))
    }

    /// Looks at one kind of list. A change is due if it is another one for this caller; or if the server said so, to whom
    /// it shows anything.
    async fn look(&mut self, kind: ListKind, said: bool) {
        let changes = &self.request.server.changes;
        let Ok(_turn) = changes.looking.acquire().await else { return };
        let Ok(now) = self.gateway.sight(&self.request, kind).await else { return };
        let before = self.seen.of_mut(kind).replace(now);
        if before != Some(now) || (said && !now.is_empty) {
            *self.due.lists.of_mut(kind) = true;
        }
    }
}

impl Gateway {
    /// What the caller of `request` may see of the lists of `kind`: what a list would show (I3).
    async fn sight(&self, request: &Request, kind: ListKind) -> Result<Sight, ListError> {
        let mut shown = Vec::new();
        match kind {
            ListKind::Tools => {
                for tool in self.tools_shown(request).await? {
                    shown.extend(tool.definition.digest.as_bytes());
                }
                if !shown.is_empty() {
                    // Whether their callers are asked why.
                    let bundle = self.bundle.load();
                    shown.extend([bundle.has_gates(), bundle.needs_reasons()].map(u8::from));
                }
            }
            ListKind::Prompts | ListKind::Resources => {
                for list in lists_of(kind) {
                    for entry in self.entries(request, *list).await? {
                        shown.extend(entry.to_text().bytes());
                    }
                }
            }
        }
        Ok(Sight { digest: Digest::of(&shown), is_empty: shown.is_empty() })
    }
}
