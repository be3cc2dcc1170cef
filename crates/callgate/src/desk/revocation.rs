//! Revocations that are asked for.

use callgate_model::ambient::Timestamp;
use callgate_model::authority::{Revocation, Subject, SubjectKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Desk, text};

/// A revocation that is asked for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRevocation {
    /// What kind of thing is revoked.
    #[schema(value_type = String)]
    pub(crate) kind: SubjectKind,
    /// Its name, as policies have it; of `jti`, `ISSUER/JTI`.
    pub(crate) name: String,
    /// Only with credentials made before this moment.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) issued_before: Option<Timestamp>,
    /// Why.
    pub(crate) reason: String,
}

impl Desk {
    /// A new revocation.
    pub(crate) fn revocation(&self, asked: NewRevocation) -> Result<Revocation, String> {
        let name = self.name(asked.kind.as_str(), asked.name)?;
        if asked.kind == SubjectKind::Jti && !name.contains('/') {
            return Err("jti: say whose it is, too: `ISSUER/JTI`".to_owned());
        }
        Ok(Revocation {
            id: self.ambient.id(),
            subject: Subject { kind: asked.kind, name },
            issued_before: asked.issued_before,
            reason: text("reason", asked.reason)?,
            at: self.now(),
        })
    }
}
