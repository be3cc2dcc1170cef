//! Which era a child speaks, and its handshake. A child speaks for as long as it lives as it did at first.

use std::time::Duration;

use callgate_model::json::Object;
use tokio::time::timeout;

use super::child::Child;
use super::{CallError, CallErrorKind, EraSetting, ask};
use crate::message::RequestId;
use crate::upstream::detect::{Speaks, judge};
use crate::upstream::outgoing::{Ask, Route};
use crate::upstream::session::{Session, initialized, opened, opening};

/// For a child to answer `server/discover`. Some servers of the legacy era never do.
const PROBE_WITHIN: Duration = Duration::from_secs(10);

/// Finds out how `child` speaks, and shakes hands if that is done: then it is told of `capabilities`.
pub(super) async fn shake(
    child: &Child,
    era: EraSetting,
    capabilities: Object,
) -> Result<Route, CallErrorKind> {
    let speaks = match era {
        EraSetting::Modern => Speaks::Modern,
        EraSetting::Legacy => Speaks::Legacy,
        EraSetting::Auto => probe(child).await?,
    };
    match speaks {
        Speaks::Modern => Ok(Route::Modern),
        Speaks::Legacy => initialize(child, capabilities).await.map(Route::Legacy),
    }
}

async fn probe(child: &Child) -> Result<Speaks, CallErrorKind> {
    let discover = Ask::new("server/discover", None).outgoing(id("probe"), &Route::Modern);
    match timeout(PROBE_WITHIN, ask(child, discover, false, &mut |_, _| {})).await {
        Err(_elapsed) => Ok(Speaks::Legacy),
        Ok(Err(CallError { kind, .. })) => Err(kind),
        // Any error but one of the modern era's own means that it does not know the method.
        Ok(Ok(reply)) => judge(Ok(reply)),
    }
}

async fn initialize(child: &Child, capabilities: Object) -> Result<Session, CallErrorKind> {
    let opening = opening(id("initialize"), None, capabilities);
    let reply = ask(child, opening, false, &mut |_, _| {}).await;
    let session = opened(reply.map_err(|error| error.kind)?)?;
    child.tell(initialized())?;
    Ok(session)
}

/// Ids of calls are numbers.
fn id(text: &str) -> RequestId {
    RequestId::Text(text.to_owned())
}
