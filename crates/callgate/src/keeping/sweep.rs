//! What time does to the record: approvals that expire are told, what records say is erased when it was kept for long enough, and
//! calls are closed whose gateway lives no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pipeline::Gateway;
use callgate_model::ambient::{Ambient, DAY_MS};
use callgate_model::authority::Change;
use callgate_store::{ERASED_TOGETHER_MAX, EvidenceError};
use tokio::time::{MissedTickBehavior, interval};

use super::basis::BY;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long records are kept, in milliseconds, by their kind; those of other kinds are kept for ever.
pub(crate) type Retention = BTreeMap<&'static str, u64>;

/// Looks now and then. Never returns.
pub(super) async fn run(gateway: Arc<Gateway>, retention: Retention, ambient: Arc<dyn Ambient>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match gateway.close_left().await {
            Ok(0) => {}
            Ok(calls) => tracing::warn!(
                calls,
                "another gateway ended before these calls did: marked indeterminate"
            ),
            Err(error) => {
                tracing::warn!(%error, "calls that another gateway left open could not be closed")
            }
        }
        if let Err(error) = expire(&gateway, &*ambient).await {
            tracing::warn!(%error, "approvals that have expired could not be recorded as such");
        }
        if let Err(error) = erase(&gateway, &retention, &*ambient).await {
            tracing::warn!(%error, "records that are old enough could not be erased");
        }
    }
}

/// Records of each approval whose time is over that it is.
pub(super) async fn expire(gateway: &Gateway, ambient: &dyn Ambient) -> Result<(), EvidenceError> {
    let store = gateway.authority().ok_or(EvidenceError::Closed)?;
    for id in store.approvals_to_expire(ambient.now()).await? {
        match gateway.administer(BY.to_owned(), Change::ApprovalExpired { id }).await {
            // Another gateway has said it, or somebody was faster than the clock.
            Ok(()) | Err(EvidenceError::Refused) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Erases what was kept for long enough.
pub(super) async fn erase(
    gateway: &Gateway,
    retention: &Retention,
    ambient: &dyn Ambient,
) -> Result<(), EvidenceError> {
    let store = gateway.recorded().ok_or(EvidenceError::Closed)?;
    for (kind, kept_ms) in retention {
        let before = ambient.now().before_ms(*kept_ms);
        loop {
            let indexes = store.payloads_before(kind, before, ERASED_TOGETHER_MAX).await?;
            if indexes.is_empty() {
                break;
            }
            let reason = format!("kept for {} days", kept_ms / DAY_MS);
            gateway.administer(BY.to_owned(), Change::PayloadsErased { indexes, reason }).await?;
        }
    }
    Ok(())
}
