//! Hearing from a server that its lists have changed. Nothing else that it says by itself is taken.

use std::sync::{Mutex, PoisonError};

use callgate_model::json::{Json, Object};
use http::HeaderValue;
use tokio::time::timeout;

use super::outgoing::{Ask, Route, base_headers};
use super::question::Patience;
use super::{CallErrorKind, SessionKey, Told, Transport, Upstream};
use crate::code;
use crate::lists::ListKind;
use crate::message::{Notification, RequestId, RpcError};

/// What a server tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From now on it tells of changes.
    Attentive,
    /// This list is another one now.
    Changed(ListKind),
}

/// Why nothing more is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It told of changes until now.
    Ended,
    /// It does not tell of changes, at least not in a way that is served here.
    Never,
}

impl Heard {
    pub(super) fn of(told: &Notification) -> Option<Self> {
        match told.method.as_str() {
            "notifications/subscriptions/acknowledged" => Some(Self::Attentive),
            method => ListKind::of_notification(method).map(Self::Changed),
        }
    }
}

impl Upstream {
    /// Hears what the server tells of its lists, for as long as it does; dropping the future ends that. A server that is
    /// a child process is started for it.
    ///
    /// # Errors
    /// What went wrong with the server or on the way to it.
    pub async fn follow(
        &self,
        key: &SessionKey,
        credential: Option<&HeaderValue>,
        mut hear: impl FnMut(Heard) + Send,
    ) -> Result<Silence, CallErrorKind> {
        let ask = listening(credential);
        let route = timeout(self.limits.total, self.route(key, &ask));
        let route = route.await.unwrap_or(Err(CallErrorKind::Timeout))?;
        let listen = ask.outgoing(self.next_id(), &route);
        let outcome = match (&self.transport, route) {
            (Transport::Stdio(stdio), _) => return stdio.follow(listen, hear).await,
            (Transport::Http(connection), Route::Legacy(session)) => {
                let mut headers = base_headers(credential);
                session.write(&mut headers);
                let hear = Mutex::new(hear);
                let hear = |heard| (hear.lock().unwrap_or_else(PoisonError::into_inner))(heard);
                let on_told = |told| {
                    if let Told::Notification(told) = told
                        && let Some(heard) = Heard::of(&told)
                    {
                        hear(heard);
                    }
                };
                let (none, opened) = (Object::default(), || hear(Heard::Attentive));
                return connection.stand(headers, &none, Patience::default, opened, on_told).await;
            }
            (Transport::Http(connection), Route::Modern) => {
                let mut on_told = |_: &RequestId, told: Told| {
                    if let Told::Notification(told) = told
                        && let Some(heard) = Heard::of(&told)
                    {
                        hear(heard);
                    }
                };
                connection.exchange(listen, &Patience::default(), &mut on_told).await
            }
        };
        outcome.map(|reply| silence(&reply.outcome)).map_err(|error| error.kind)
    }
}

/// What the end of listening means.
pub(super) fn silence(outcome: &Result<Object, RpcError>) -> Silence {
    match outcome {
        Err(error) if error.code == code::METHOD_NOT_FOUND => Silence::Never,
        Ok(_) | Err(_) => Silence::Ended,
    }
}

fn listening(credential: Option<&HeaderValue>) -> Ask<'_> {
    let filter = ListKind::ALL
        .into_iter()
        .fold(Object::default(), |filter, kind| filter.with(kind.filter(), Json::Bool(true)));
    let mut ask = Ask::new("subscriptions/listen", credential);
    ask.params.set("notifications", filter);
    ask
}
