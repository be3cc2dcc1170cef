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
    /// Somebody or something, by a name that is known here.
    pub(crate) fn subject(&self, Subject { kind, name }: Subject) -> Result<Subject, String> {
        Ok(Subject { kind, name: self.name(kind.as_str(), name)? })
    }

    /// A new revocation.
    pub(crate) fn revocation(&self, asked: NewRevocation) -> Result<Revocation, String> {
        let subject = self.subject(Subject { kind: asked.kind, name: asked.name })?;
        if subject.kind == SubjectKind::Jti && !subject.name.contains('/') {
            return Err("jti: say whose it is, too: `ISSUER/JTI`".to_owned());
        }
        Ok(Revocation {
            id: self.ambient.id(),
            subject,
            issued_before: asked.issued_before,
            reason: text("reason", asked.reason)?,
            at: self.now(),
        })
    }
}
