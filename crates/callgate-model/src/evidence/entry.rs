//! What the log is made of. An entry says where a record stands, what it is about, and the digest of what it says; what
//! it says is its payload, kept beside it. So a payload can be erased, and all that was proved of the log stays proved.

use super::{Concluded, Decided, Event, Kind, Outcome, Settled};
use crate::ambient::{Id, Timestamp};
use crate::authority::{Administered, Change};
use crate::digest::Digest;
use crate::json::{CanonicalObject, Json, JsonLimits, Object, read};

/// The format of records written by this version.
pub const FORMAT: u64 = 2;

/// No entry is longer, in bytes.
pub const ENTRY_BYTES_MAX: usize = 4_096;

/// What a record says, apart from its place: canonical JSON with the event and a salt. Nobody can find out from its digest
/// what was erased, for nobody has the salt then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    text: String,
    digest: Digest,
}

impl Payload {
    /// That of `event`, with a salt that nobody can guess.
    #[must_use]
    pub fn new(event: &Event, salt: [u8; 16]) -> Self {
        let mut text = String::with_capacity(2_048);
        CanonicalObject::new(&mut text)
            .member("event", |out| event.write(out))
            .plain("salt", format_args!("{:032x}", u128::from_be_bytes(salt)))
            .end();
        Self { digest: Digest::of(text.as_bytes()), text }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// SHA-256 of the text: what the entry holds.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was sealed.
    pub at: Timestamp,
    /// The kind of record.
    pub kind: Kind,
    /// The digest of the payload.
    pub payload: Digest,
    /// The hash of the entry before it in its writer's chain; zeros for the first.
    pub previous: Digest,
    /// Its place in its writer's chain, from 0.
    pub sequence: u64,
    /// Whose chain it is in.
    pub writer: Id,
    /// What it is about.
    pub about: About,
}

/// What an entry says of its event, so that what belongs together can be checked when payloads are erased: nothing of
/// anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The approval that is asked for, decided, withdrawn, or by which a call is let through.
    pub approval: Option<ByApproval>,
    /// The call.
    pub call: Option<Id>,
    /// The name of the change.
    pub change: Option<String>,
    /// The first of several calls that are one, if this is a later one of them.
    pub continues: Option<Id>,
    /// What became of the call.
    pub outcome: Option<Outcome>,
}

/// An approval, as an entry names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByApproval {
    /// What it binds: the digest of everything that makes the call what it is. Of a vote and a withdrawal there is none.
    pub binding: Option<Digest>,
    /// Which.
    pub id: Id,
    /// Whether the call takes it.
    pub spends: bool,
}

impl About {
    /// What is said of `event`.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Opened { .. } => Self::default(),
            Event::Decided(decided) => Self::decided(decided),
            Event::Concluded(Concluded { call, outcome, .. }) => {
                Self { call: Some(*call), outcome: Some(*outcome), ..Self::default() }
            }
            Event::Administered(administered) => Self::changed(administered),
            Event::Settled(Settled { call, .. }) => Self { call: Some(*call), ..Self::default() },
        }
    }

    fn decided(decided: &Decided) -> Self {
        let approval = decided.under.approval.filter(|_| decided.is_intent());
        let approval = approval.map(|one| ByApproval {
            binding: decided.under.binding,
            id: one.id,
            spends: one.spends,
        });
        let continues = decided.continues.filter(|_| decided.is_intent());
        Self { approval, call: Some(decided.call), continues, ..Self::default() }
    }

    fn changed(administered: &Administered) -> Self {
        let approval = match &administered.change {
            Change::ApprovalRequested { approval, .. } => {
                Some((approval.id, Some(approval.binding)))
            }
            Change::ApprovalVoted { vote } => Some((vote.approval, None)),
            Change::ApprovalExpired { id } | Change::ApprovalWithdrawn { id, .. } => {
                Some((*id, None))
            }
            Change::GlassBroken { glass, .. } => Some((glass.approval, None)),
            Change::ApprovalViewed { .. }
            | Change::Configured { .. }
            | Change::GlassReviewed { .. }
            | Change::GrantIssued { .. }
            | Change::GrantRevoked { .. }
            | Change::NoticeGivenUp { .. }
            | Change::PasskeyAdded { .. }
            | Change::PasskeyRemoved { .. }
            | Change::PayloadsErased { .. }
            | Change::PoliciesActivated { .. }
            | Change::Restored { .. }
            | Change::RevocationLifted { .. }
            | Change::Revoked { .. }
            | Change::SecretRemoved { .. }
            | Change::SecretSet { .. }
            | Change::SignInLinkMade { .. }
            | Change::SignInRefused { .. }
            | Change::SignedIn { .. }
            | Change::SignedOut { .. }
            | Change::TokenIssued { .. }
            | Change::TokenRevoked { .. }
            | Change::TokenRotated { .. }
            | Change::ToolPinned { .. }
            | Change::ToolUnpinned { .. } => None,
        };
        let approval = approval.map(|(id, binding)| ByApproval { binding, id, spends: false });
        Self { approval, change: Some(administered.change.name().to_owned()), ..Self::default() }
    }
}

impl Entry {
    /// Its canonical JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(512);
        let mut object = CanonicalObject::new(&mut text);
        if let Some(ByApproval { binding, id, spends }) = self.about.approval {
            object = object.member("approval", |out| {
                let mut approval = CanonicalObject::new(out);
                if let Some(binding) = binding {
                    approval = approval.plain("binding", binding);
                }
                approval.plain("id", id).json("spends", &spends.into()).end();
            });
        }
        object = object.plain("at", self.at);
        if let Some(call) = self.about.call {
            object = object.plain("call", call);
        }
        if let Some(change) = &self.about.change {
            object = object.text("change", change);
        }
        if let Some(continues) = self.about.continues {
            object = object.plain("continues", continues);
        }
        object = object.integer("format", FORMAT).text("kind", self.kind.as_str());
        if let Some(outcome) = self.about.outcome {
            object = object.text("outcome", outcome.as_str());
        }
        object
            .plain("payload", self.payload)
            .plain("previous", self.previous)
            .integer("sequence", self.sequence)
            .plain("writer", self.writer)
            .end();
        text
    }

    /// Reads what [`Self::to_text`] wrote; nothing, if it is anything else in a single byte.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > ENTRY_BYTES_MAX {
            return None;
        }
        let json = read(text.as_bytes(), &JsonLimits::default()).ok()?;
        let entry = Self::from_json(json.as_object()?)?;
        (entry.to_text() == text).then_some(entry)
    }

    fn from_json(object: &Object) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Json::as_str);
        let digest = |name: &str| text(name)?.parse().ok();
        let approval = match object.get("approval") {
            None => None,
            Some(approval) => Some(ByApproval {
                binding: approval
                    .get("binding")
                    .and_then(Json::as_str)
                    .map(str::parse)
                    .transpose()
                    .ok()?,
                id: Id::parse(approval.get("id")?.as_str()?)?,
                spends: approval.get("spends")?.as_bool()?,
            }),
        };
        let about = About {
            approval,
            call: text("call").and_then(Id::parse),
            change: text("change").map(str::to_owned),
            continues: text("continues").and_then(Id::parse),
            outcome: text("outcome").and_then(Outcome::parse),
        };
        let sequence = object.get("sequence").and_then(Json::as_number)?.as_i64()?;
        Some(Self {
            at: Timestamp::parse(text("at")?)?,
            kind: Kind::parse(text("kind")?)?,
            payload: digest("payload")?,
            previous: digest("previous")?,
            sequence: u64::try_from(sequence).ok()?,
            writer: Id::parse(text("writer")?)?,
            about,
        })
    }
}
