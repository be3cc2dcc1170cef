//! Hearing from a server that its lists, or single resources, have changed. Nothing else that it says by itself is taken.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use callgate_model::json::{Json, Object};
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::timeout;

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
    /// It does not tell of changes, at least not in a way that is served here.
    Never,
}

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
        let hear = Mutex::new(hear);
        let hear = |heard| (hear.lock().unwrap_or_else(PoisonError::into_inner))(heard);
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
                tokio::select! {
                    heard = connection.stand(headers, &none, Patience::default, opened, on_told) => heard,
                    () = self.subscribe(&route, credential, wanted) => Ok(Silence::Ended),
                }
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
        let begin = |wanted: &mut watch::Receiver<Uris>| {
            let ask = listening(credential, &wanted.borrow_and_update());
            let (tell, acknowledged) = watch::channel(false);
            (listen(ask.outgoing(self.next_id(), &Route::Modern), tell), acknowledged)
        };
        let (mut current, mut acknowledged) = begin(&mut wanted);
        let mut before = None;
        loop {
            let is_acknowledged = async {
                acknowledged.wait_for(|acknowledged| *acknowledged).await.ok();
            };
            tokio::select! {
                silence = &mut current => return silence,
                () = is_acknowledged, if before.is_some() => before = None,
                _ = ended(&mut before), if before.is_some() => before = None,
                // Nothing else will be wanted once its sender is gone.
                Ok(()) = wanted.changed() => {
                    let (next, its) = begin(&mut wanted);
                    before = Some(std::mem::replace(&mut current, next));
                    acknowledged = its;
                }
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
            let now = wanted.borrow_and_update().clone();
            for (method, uris) in [
                ("resources/subscribe", now.difference(&known)),
                ("resources/unsubscribe", known.difference(&now)),
            ] {
                for uri in uris {
                    let mut ask = Ask::new(method, credential);
                    ask.params.set("uri", &**uri);
                    let outgoing = ask.outgoing(self.next_id(), route);
                    let said = timeout(self.limits.total, self.tell(outgoing)).await;
                    if !matches!(said, Ok(Ok(ref reply)) if reply.outcome.is_ok()) {
                        tracing::debug!(method, %uri, ?said, "the server does not take it");
                    }
                }
            }
            known = now;
            if wanted.changed().await.is_err() {
                std::future::pending().await
            }
        }
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
