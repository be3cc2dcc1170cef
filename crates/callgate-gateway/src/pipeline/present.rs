//! Before an intent is recorded: what its server will be called with.

use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;

use super::{Gateway, Request};
use crate::credential::Presented;

impl Gateway {
    /// What the server is called with. If there is nothing, the record says that the call is refused: nothing may be
    /// recorded as intended that could not be done.
    pub(super) async fn presented(
        &self,
        request: &Request,
        record: &mut Decided,
    ) -> Option<Presented> {
        let (server, caller) = (&request.server, &request.caller);
        match server.broker.for_caller(caller, self.ambient.now()).await {
            Ok(presented) => Some(presented),
            Err(why) => {
                tracing::warn!(server = &*server.name, call = %record.call, %why, "no credential");
                let bundle = record.decision.bundle;
                record.decision = Decision::deny(Reason::CredentialUnavailable, bundle);
                None
            }
        }
    }
}
