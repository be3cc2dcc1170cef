//! Hearing from a server that its lists, or single resources, have changed. Nothing else that it says by itself is taken.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_model::json::{Json, Object};
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::exchange::Reply;
use super::outgoing::{Ask, Outgoing, Route, base_headers};
use super::question::Patience;
use super::{CallError, CallErrorKind, SessionKey, Told, Transport, Upstream};
use crate::code;
use crate::lists::ListKind;
use crate::message::{Notification, RequestId, RpcError};

/// What a server tells by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From now on it tells of changes.
    Attentive,
    /// This list is another one now.
    Changed(ListKind),
    /// The resource of this URI has changed.
    Updated(Arc<str>),
}

/// Why nothing more is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It told of changes until now.
    Ended,
    /// It knows nothing of the session any more.
    Lost,
    /// It does not tell of changes, at least not in a way that is served here.
    Never,
}

/// Before a server is asked for something else: what is wanted may change again at once.
const TOGETHER: Duration = Duration::from_millis(20);

/// URIs of resources whose changes somebody wants to hear of.
pub type Uris = BTreeSet<Arc<str>>;

impl Heard {
    pub(super) fn of(told: &Notification) -> Option<Self> {
        match told.method.as_str() {
            "notifications/subscriptions/acknowledged" => Some(Self::Attentive),
            "notifications/resources/updated" => {
                Some(Self::Updated(told.params.get("uri")?.as_str()?.into()))
            }
            method => ListKind::of_notification(method).map(Self::Changed),
        }
    }
}

/// Hears of changes as a request for them is answered; it does not end by itself.
pub(super) type Listening<'a> =
    Pin<Box<dyn Future<Output = Result<Silence, CallErrorKind>> + Send + 'a>>;

impl Upstream {
    /// Hears what the server tells of its lists and of the resources that are `wanted`, for as long as it does; dropping the
    /// future ends that. A server that is a child process is started for it.
    ///
    /// # Errors
    /// What went wrong with the server or on the way to it.
    pub async fn follow(
        &self,
        key: &SessionKey,
        credential: Option<&HeaderValue>,
        wanted: watch::Receiver<Uris>,
        hear: impl FnMut(Heard) + Send,
    ) -> Result<Silence, CallErrorKind> {
        let ask = Ask::of_gateway("subscriptions/listen", credential);
        let route = timeout(self.limits.total, self.route(key, &ask));
        let route = route.await.unwrap_or(Err(CallErrorKind::Timeout))?;
        let (hear, begun) = (Mutex::new(hear), AtomicBool::new(false));
        let hear = |heard| {
            // It is asked anew now and then, and attentive all the time.
            let is_again = heard == Heard::Attentive && begun.swap(true, Ordering::Relaxed);
            if !is_again {
                (hear.lock().unwrap_or_else(PoisonError::into_inner))(heard);
            }
        };
        // What it was is not known any more: it may have been anything.
        let all = wanted.clone();
        let lost = || {
            ListKind::ALL.into_iter().map(Heard::Changed).for_each(&hear);
            all.borrow().iter().cloned().map(Heard::Updated).for_each(&hear);
        };
        match (&self.transport, &route) {
            (Transport::Http(connection), Route::Legacy(session)) => {
                let mut headers = base_headers(credential);
                session.write(&mut headers);
                let on_told = |told| {
                    if let Some(heard) = heard_in(&told) {
                        hear(heard);
                    }
                };
                let (none, opened) = (Object::default(), || hear(Heard::Attentive));
                let heard = tokio::select! {
                    heard = connection.stand(headers, &none, Patience::default, opened, on_told) => heard,
                    () = self.subscribe(&route, credential, wanted) => Ok(Silence::Ended),
                };
                if heard == Ok(Silence::Lost) {
                    self.sessions.forget(key, session).await;
                }
                heard
            }
            (Transport::Http(connection), Route::Modern) => {
                let listen = |listen, acknowledged: watch::Sender<bool>| -> Listening<'_> {
                    Box::pin(async {
                        let acknowledged = acknowledged;
                        let mut on_told = |_: &RequestId, told: Told| {
                            let Some(heard) = heard_in(&told) else { return };
                            if heard == Heard::Attentive {
                                acknowledged.send_replace(true);
                            }
                            hear(heard);
                        };
                        let patience = Patience::default();
                        let reply = connection.exchange(listen, &patience, &mut on_told).await;
                        reply.map(|reply| silence(&reply.outcome)).map_err(|error| error.kind)
                    })
                };
                self.listen_on(credential, wanted, listen).await
            }
            (Transport::Stdio(stdio), Route::Legacy(_)) => {
                tokio::select! {
                    heard = stdio.follow(&hear, &lost) => heard,
                    () = self.subscribe(&route, credential, wanted) => Ok(Silence::Ended),
                }
            }
            (Transport::Stdio(stdio), Route::Modern) => {
                let listen = |listen, acknowledged| stdio.listen(listen, acknowledged);
                tokio::select! {
                    heard = stdio.follow(&hear, &lost) => heard,
                    heard = self.listen_on(credential, wanted, listen) => heard,
                }
            }
        }
    }

    /// Listens, and anew whenever something else is wanted: the old request ends when the new one is acknowledged, so
    /// that nothing is missed.
    async fn listen_on<'a>(
        &self,
        credential: Option<&HeaderValue>,
        mut wanted: watch::Receiver<Uris>,
        listen: impl Fn(Outgoing, watch::Sender<bool>) -> Listening<'a>,
    ) -> Result<Silence, CallErrorKind> {
        let begin = |uris: &Uris| {
            let ask = listening(credential, uris);
            let (tell, acknowledged) = watch::channel(false);
            (listen(ask.outgoing(self.next_id(), &Route::Modern), tell), acknowledged)
        };
        let mut asked = Asked::new(wanted.borrow_and_update().clone());
        let (mut current, mut acknowledged) = begin(&asked.now);
        let mut before = None;
        loop {
            let is_acknowledged = async {
                acknowledged.wait_for(|acknowledged| *acknowledged).await.ok();
            };
            tokio::select! {
                silence = &mut current => match before.take() {
                    // The one before goes on. What was added cannot be had, or not together.
                    Some(still) => {
                        current = still;
                        asked.refuse();
                    }
                    None => return silence,
                },
                () = is_acknowledged, if asked.is_new => {
                    before = None;
                    asked.take();
                }
                _ = ended(&mut before), if before.is_some() => before = None,
                // Nothing else will be wanted once its sender is gone. Much may be wanted at once.
                Ok(()) = wanted.changed(), if !asked.is_new => sleep(TOGETHER).await,
            }
            if !asked.is_new && asked.next(&wanted.borrow_and_update()) {
                let (next, its) = begin(&asked.now);
                before = Some(std::mem::replace(&mut current, next));
                acknowledged = its;
            }
        }
    }

    async fn tell(&self, outgoing: Outgoing) -> Result<Reply, CallError> {
        Box::pin(self.exchange(outgoing, &Patience::default(), &mut |_, _| {})).await
    }

    /// Tells a server of the legacy era which resources are wanted. Does not return.
    async fn subscribe(
        &self,
        route: &Route,
        credential: Option<&HeaderValue>,
        mut wanted: watch::Receiver<Uris>,
    ) {
        let mut known = Uris::new();
        loop {
            let (now, mut failed) = (wanted.borrow_and_update().clone(), Uris::new());
            for (method, uris) in [
                ("resources/subscribe", now.difference(&known)),
                ("resources/unsubscribe", known.difference(&now)),
            ] {
                for uri in uris {
                    let mut ask = Ask::new(method, credential);
                    ask.params.set("uri", &**uri);
                    let outgoing = ask.outgoing(self.next_id(), route);
                    let said = timeout(self.limits.total, self.tell(outgoing)).await;
                    if matches!(said, Ok(Ok(ref reply)) if reply.outcome.is_ok()) {
                        continue;
                    }
                    tracing::debug!(method, %uri, ?said, "the server does not take it");
                    // It is asked again when something else is wanted.
                    failed.insert(Arc::clone(uri));
                }
            }
            known = now.difference(&failed).cloned().collect();
            if wanted.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

/// What a server was asked for.
struct Asked {
    /// By the request that was made last, and whether it has not been acknowledged.
    now: Uris,
    is_new: bool,
    /// By the last one that was acknowledged.
    taken: Uris,
    /// What the server does not take.
    refused: Uris,
    /// Whether to add one thing at a time, because it did not take several.
    one_by_one: bool,
}

impl Asked {
    fn new(now: Uris) -> Self {
        let (taken, refused) = (Uris::new(), Uris::new());
        Self { now, is_new: true, taken, refused, one_by_one: false }
    }

    /// The last request was acknowledged.
    fn take(&mut self) {
        self.is_new = false;
        self.taken = self.now.clone();
    }

    /// The last request was refused.
    fn refuse(&mut self) {
        self.is_new = false;
        let mut added = self.now.difference(&self.taken);
        match (added.next(), added.next()) {
            (Some(only), None) => drop(self.refused.insert(Arc::clone(only))),
            (Some(_), Some(_)) => self.one_by_one = true,
            (None, _) => {}
        }
        self.now = self.taken.clone();
    }

    /// Whether to ask for something else, now that this is wanted.
    fn next(&mut self, wanted: &Uris) -> bool {
        self.refused.retain(|uri| wanted.contains(uri));
        let mut next: Uris = self.taken.intersection(wanted).cloned().collect();
        let mut added =
            wanted.iter().filter(|uri| !self.taken.contains(*uri) && !self.refused.contains(*uri));
        if self.one_by_one {
            next.extend(added.next().cloned());
            self.one_by_one = added.next().is_some();
        } else {
            next.extend(added.cloned());
        }
        let changes = next != self.now;
        if changes {
            (self.now, self.is_new) = (next, true);
        }
        changes
    }
}

async fn ended(listening: &mut Option<Listening<'_>>) {
    match listening {
        Some(listening) => drop(listening.await),
        None => std::future::pending().await,
    }
}

fn heard_in(told: &Told) -> Option<Heard> {
    match told {
        Told::Notification(told) => Heard::of(told),
        Told::Question(_) => None,
    }
}

/// What the end of listening means.
pub(super) fn silence(outcome: &Result<Object, RpcError>) -> Silence {
    match outcome {
        Err(error) if error.code == code::METHOD_NOT_FOUND => Silence::Never,
        Ok(_) | Err(_) => Silence::Ended,
    }
}

fn listening<'a>(credential: Option<&'a HeaderValue>, uris: &Uris) -> Ask<'a> {
    let mut filter = ListKind::ALL
        .into_iter()
        .fold(Object::default(), |filter, kind| filter.with(kind.filter(), Json::Bool(true)));
    if !uris.is_empty() {
        let uris = uris.iter().map(|uri| Json::from(&**uri)).collect::<Vec<_>>();
        filter.set("resourceSubscriptions", uris);
    }
    let mut ask = Ask::of_gateway("subscriptions/listen", credential);
    ask.params.set("notifications", filter);
    ask
}
