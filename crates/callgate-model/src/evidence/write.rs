//! Events as they are recorded: canonical JSON, members in its order.

use super::link::{Links, links_of};
use super::{Concluded, Decided, Event, Understood};
use crate::authority::{Use, to_text};
use crate::caller::Caller;
use crate::json::{CanonicalObject, Json, Object};
use crate::target::Target;

/// What records say of a caller. Made once, for it stands in the record of every call.
#[derive(Debug, PartialEq, Eq)]
pub struct CallerRecord {
    /// The human or the service account.
    pub accountable: String,
    /// The agent.
    pub agent: Option<String>,
    /// By what all its records are found.
    pub(super) links: Links,
    canonical: String,
}

impl CallerRecord {
    /// What records say of `caller`.
    #[must_use]
    pub fn new(caller: &Caller) -> Self {
        Self {
            accountable: caller.accountable.identity.to_string(),
            agent: caller.agent.as_ref().map(|agent| agent.identity.to_string()),
            links: links_of(caller),
            canonical: String::from_utf8(caller.to_json().canonical()).unwrap_or_default(),
        }
    }
}

impl Event {
    /// The event as it stands in its payload.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Opened { version, after } => {
                let object = CanonicalObject::new(out);
                let object = object.optional("after", *after, |(writer, head), out| {
                    CanonicalObject::new(out).plain("head", head).plain("writer", writer).end();
                });
                object.text("version", version).end();
            }
            Self::Decided(decided) => decided.write(out),
            Self::Concluded(concluded) => concluded.write(out),
            Self::Administered(administered) => out.push_str(&to_text(&**administered)),
            Self::Settled(settled) => settled.write(out),
        }
    }
}

impl Decided {
    fn write(&self, out: &mut String) {
        let digest = self.arguments_digest.map(|digest| digest.to_string());
        let responses = self.responses_digest.map(|digest| digest.to_string());
        let continues = self.continues.map(|call| call.to_string());
        let resolves = self.resolves.map(|call| call.to_string());
        let caller = self.caller.as_deref().map_or("null", |caller| &caller.canonical);
        let object = CanonicalObject::new(out)
            .optional("approved_by", self.under.approval, |one, out| {
                CanonicalObject::new(out)
                    .json("by_glass", &self.under.by_glass.into())
                    .plain("id", one.id)
                    .json("spends", &one.spends.into())
                    .end();
            })
            .json("arguments", &self.arguments)
            .optional_text("arguments_digest", digest.as_deref())
            .plain("call", self.call)
            .member("caller", |out| out.push_str(caller))
            .optional_text("client_says", self.client_says.as_deref())
            .optional_text("continues", continues.as_deref())
            .integer("decided_in_us", self.decided_in_us)
            .json("decision", &self.decision.to_json().into())
            .optional("granted_by", self.under.grant, write_use)
            .text("method", &self.method);
        let object = match self.notices.as_slice() {
            [] => object,
            _ => object.member("notices", |out| out.push_str(&to_text(&self.notices))),
        };
        object
            .optional_text("resolves", resolves.as_deref())
            .optional_text("responses_digest", responses.as_deref())
            .text("server", &self.server)
            .text("tool", &self.tool)
            .optional_text("trace", self.trace.as_deref())
            .optional("understood", self.understood.as_ref(), Understood::write)
            .optional_text("why", self.why.as_deref())
            .end();
    }
}

fn write_use(Use { id, spends }: Use, out: &mut String) {
    CanonicalObject::new(out).plain("id", id).json("spends", &spends.into()).end();
}

impl Understood {
    fn write(&self, out: &mut String) {
        let targets: Vec<Json> = self.targets.iter().map(target_to_json).collect();
        let definition = self.definition.map(|digest| digest.to_string());
        let object = CanonicalObject::new(out)
            .optional_text("definition", definition.as_deref())
            .text("effect", self.effect.as_str());
        let object = if self.input.is_empty() {
            object
        } else {
            object.json("input", &self.input.clone().into())
        };
        object
            .text("operation", &self.operation)
            .text("reversibility", self.reversibility.as_str())
            .text("risk", self.risk.as_str())
            .json("targets", &targets.into())
            .end();
    }
}

impl Concluded {
    fn write(&self, out: &mut String) {
        CanonicalObject::new(out)
            .plain("call", self.call)
            .optional_text("detail", self.detail.as_deref())
            .text("outcome", self.outcome.as_str())
            .optional("result", self.result, |(digest, bytes), out| {
                CanonicalObject::new(out).integer("bytes", bytes).plain("digest", digest).end();
            })
            .optional_integer("upstream_us", self.upstream_us)
            .end();
    }
}

/// A target as it is recorded.
#[must_use]
pub fn target_to_json(target: &Target) -> Json {
    match target {
        Target::Located(located) => Object::default()
            .with("kind", located.resource.kind.as_str())
            .with("id", located.resource.id.as_str())
            .with(
                "in",
                located
                    .containers
                    .iter()
                    .map(|c| format!("{}::{}", c.kind, c.id))
                    .collect::<Vec<_>>(),
            )
            .into(),
        Target::Unresolved(unresolved) => Object::default()
            .with("kind", unresolved.kind.as_str())
            .with("unresolved", unresolved.obstacle.as_str())
            .with("spelled", unresolved.spelled.as_str())
            .with("site", unresolved.site.as_str())
            .into(),
    }
}
