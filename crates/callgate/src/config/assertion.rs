//! The section of the gateway's own signature.

use std::sync::Arc;

use callgate_gateway::assertion::Signer;
use serde::Deserialize;

use super::section::Reader;
use super::server::RawSecret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAssertion {
    key: RawSecret,
}

impl Reader {
    /// By whom the gateway's statements are known, which is its address.
    pub(super) fn signer(&mut self, public_url: Option<&str>) -> Option<Arc<Signer>> {
        let raw: Option<RawAssertion> = self.optional("assertion")?;
        let raw = raw?;
        let Some(public_url) = public_url else {
            let text = "whose statements they are could not be told";
            let hint = "set `listen.public_url`, under which the keys are found";
            self.problem("assertion", text, Some(hint.to_owned()));
            return None;
        };
        let made = self.secret(raw.key).and_then(|key| {
            Signer::new(public_url.to_owned(), &key).map_err(|error| error.to_string())
        });
        match made {
            Ok(signer) => Some(Arc::new(signer)),
            Err(text) => {
                let hint = "openssl genpkey -algorithm ed25519 -out assertion.pem";
                self.problem("assertion.key", &text, Some(hint.to_owned()));
                None
            }
        }
    }

    /// Says that `place` wants a statement, and there is nobody to sign it.
    pub(super) fn nobody_signs(&mut self, place: &str) {
        if !self.is_said("assertion") {
            let hint = "[assertion]\n  key = { file = \"assertion.pem\" }  # openssl genpkey -algorithm ed25519";
            self.problem(place, "there is no key to sign with", Some(hint.to_owned()));
        }
    }
}
