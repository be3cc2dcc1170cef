//! What a server is called with: its credential, before the intent is recorded; and what the gateway says of the call.

use bytes::Bytes;
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;

use super::{Gateway, Request};
use crate::assertion::{Signer, Voucher};
use crate::credential::{Presented, Vault};
use crate::server::Vouched;

impl Gateway {
    /// What the server is called with. If there is nothing, the record says that the call is refused: nothing may be
    /// recorded as intended that could not be done.
    pub(super) async fn presented(
        &self,
        request: &Request,
        record: &mut Decided,
    ) -> Option<Presented> {
        let (server, caller) = (&request.server, &request.caller);
        match server.broker.for_caller(caller, &*self.ambient, self.vault()).await {
            Ok(presented) => Some(presented),
            Err(why) => {
                tracing::warn!(server = &*server.name, call = %record.call, %why, "no credential");
                let bundle = record.decision.bundle;
                record.decision = Decision::deny(Reason::CredentialUnavailable, bundle);
                None
            }
        }
    }

    /// Where the secrets of persons are.
    fn vault(&self) -> Vault<'_> {
        Vault { registry: self.identities.registry().map(|registry| &**registry), keys: &self.keys }
    }

    /// Who vouches for a call to its server, if that asks for it.
    pub(super) fn voucher<'a>(&self, request: &'a Request, bundle: Digest) -> Option<Voucher<'a>> {
        let Vouched { signer, to } = request.server.vouched.as_ref()?;
        let (server, caller) = (to, &request.caller.caller);
        Some(Voucher { signer, server, caller, bundle, now: self.ambient.now() })
    }

    /// The keys by which servers know what the gateway says of calls.
    #[must_use]
    pub fn assertion_keys(&self) -> Option<Bytes> {
        let published = self.settings.signer.as_deref().map(Signer::published);
        published.map(|keys| keys.to_text().into())
    }
}
