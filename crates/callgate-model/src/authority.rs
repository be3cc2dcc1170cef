//! Authority that is given and taken back while the gateway runs: tokens, grants, revocations, sessions of the console.
//!
//! Each comes to be, and ends, by a [`Change`] in the evidence and in no other way: what is in force is what the record says.

mod grant;
mod passkey;
mod pin;
mod revocation;
mod secret;
mod session;
mod setup;
mod token;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use grant::{Grant, Holder, Lifts, Under, Use};
pub use passkey::{Passkey, Proof};
pub use pin::{ToolOf, ToolPin};
pub use revocation::{Revocation, Subject, SubjectKind};
pub use secret::{SecretFor, UpstreamSecret};
pub use session::{ConsoleSession, LOCAL, SignInLink, Way};
pub use setup::{EvidenceSetup, PlaceSetup, PolicyInForce, ServerSetup, Setup, WitnessSetup};
pub use token::{ApiToken, Presented, Secret};

use crate::ambient::{Id, Timestamp};
use crate::approval::{Approval, Glass, GlassReview, Look, Notice, Vote};
use crate::digest::Digest;
use crate::json::Json;

/// What becomes of the authority that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A token is made.
    TokenIssued {
        /// It.
        token: Box<ApiToken>,
    },
    /// A token is made in place of another, which ends a little later.
    TokenRotated {
        /// The new one; it says which it replaces.
        token: Box<ApiToken>,
        /// When the old one ends.
        old_ends: Timestamp,
    },
    /// A token is good no more.
    TokenRevoked {
        /// Which.
        id: Id,
    },
    /// A grant is made.
    GrantIssued {
        /// It.
        grant: Box<Grant>,
    },
    /// A grant is good no more.
    GrantRevoked {
        /// Which.
        id: Id,
    },
    /// Somebody or something is let in no more.
    Revoked {
        /// Who or what.
        revocation: Box<Revocation>,
    },
    /// A revocation holds no more.
    RevocationLifted {
        /// Which.
        id: Id,
    },
    /// A person's secret for a server is set, in place of the one before.
    SecretSet {
        /// It.
        secret: Box<UpstreamSecret>,
    },
    /// A person's secret for a server is not used any more.
    SecretRemoved {
        /// Whose, for which server.
        #[serde(rename = "for")]
        owner: SecretFor,
    },
    /// A tool is approved as its server defines it.
    ToolPinned {
        /// What is approved.
        pin: Box<ToolPin>,
    },
    /// Somebody is asked to approve a call.
    ApprovalRequested {
        /// What is asked.
        approval: Box<Approval>,
        /// Who is told, and when.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notices: Vec<Notice>,
    },
    /// Somebody who may decide about a call was shown it.
    ApprovalViewed {
        /// Which.
        id: Id,
        /// The digest of what they were shown.
        shown: Digest,
    },
    /// Somebody approves a call, or denies it.
    ApprovalVoted {
        /// What they say.
        vote: Box<Vote>,
    },
    /// Nobody decided about a call in time, or it was not made in time.
    ApprovalExpired {
        /// Which.
        id: Id,
    },
    /// A call is not to be approved any more, or not to be made although it was.
    ApprovalWithdrawn {
        /// Which.
        id: Id,
        /// Why.
        reason: String,
    },
    /// Nobody could be told: it is not tried any more.
    NoticeGivenUp {
        /// Which notice.
        id: Id,
        /// The channel.
        channel: String,
        /// How often it was tried.
        attempts: u32,
        /// Why.
        reason: String,
    },
    /// A gateway runs with this configuration.
    Configured {
        /// It.
        setup: Box<Setup>,
    },
    /// Policies are put in force.
    PoliciesActivated {
        /// The bundle.
        bundle: Digest,
        /// Each of them.
        policies: Vec<PolicyInForce>,
    },
    /// What records say is erased. That they were there, and that these are all, is still proved.
    PayloadsErased {
        /// The places of the records in the log.
        indexes: Vec<u64>,
        /// Why: nothing of whom they were about.
        reason: String,
    },
    /// The log was put back from a backup: what was recorded after that is not in it.
    Restored {
        /// How many records the backup has.
        records: u64,
        /// When the last of them was made.
        until: Option<Timestamp>,
        /// What in it was left as it was then, although it may have been used or taken back since.
        kept: Vec<String>,
    },
    /// A tool is approved no more.
    ToolUnpinned {
        /// Which.
        of: ToolOf,
    },
    /// A link is made that signs somebody in.
    SignInLinkMade {
        /// It.
        link: Box<SignInLink>,
    },
    /// Somebody signs in to the console.
    SignedIn {
        /// Their session.
        session: Box<ConsoleSession>,
        /// The link that is used up by it, if they came by one.
        link: Option<Id>,
    },
    /// Somebody could not sign in to the console.
    SignInRefused {
        /// Who, if that is known.
        who: Option<String>,
        /// Why.
        reason: String,
    },
    /// A session of the console ends.
    SignedOut {
        /// Which.
        id: Id,
    },
    /// Somebody has another passkey.
    PasskeyAdded {
        /// It.
        passkey: Box<Passkey>,
        /// By one that they had before, if they had any.
        proof: Option<Proof>,
    },
    /// A passkey proves nothing any more.
    PasskeyRemoved {
        /// Which.
        id: String,
        /// Whose it was.
        who: String,
        /// By which of theirs, if it is them who removed it.
        proof: Option<Proof>,
    },
    /// Somebody breaks the glass for a call.
    GlassBroken {
        /// Who, for which, and why.
        glass: Box<Glass>,
        /// Who is told.
        notices: Vec<Notice>,
    },
    /// Somebody else says whether that was right.
    GlassReviewed {
        /// What they say.
        review: Box<GlassReview>,
    },
}

impl Change {
    /// Its name in records.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ApprovalExpired { .. } => "approval_expired",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::ApprovalViewed { .. } => "approval_viewed",
            Self::ApprovalVoted { .. } => "approval_voted",
            Self::ApprovalWithdrawn { .. } => "approval_withdrawn",
            Self::Configured { .. } => "configured",
            Self::GlassBroken { .. } => "glass_broken",
            Self::GlassReviewed { .. } => "glass_reviewed",
            Self::GrantIssued { .. } => "grant_issued",
            Self::GrantRevoked { .. } => "grant_revoked",
            Self::NoticeGivenUp { .. } => "notice_given_up",
            Self::PasskeyAdded { .. } => "passkey_added",
            Self::PasskeyRemoved { .. } => "passkey_removed",
            Self::PayloadsErased { .. } => "payloads_erased",
            Self::PoliciesActivated { .. } => "policies_activated",
            Self::Restored { .. } => "restored",
            Self::RevocationLifted { .. } => "revocation_lifted",
            Self::Revoked { .. } => "revoked",
            Self::SecretRemoved { .. } => "secret_removed",
            Self::SecretSet { .. } => "secret_set",
            Self::SignInLinkMade { .. } => "sign_in_link_made",
            Self::SignInRefused { .. } => "sign_in_refused",
            Self::SignedIn { .. } => "signed_in",
            Self::SignedOut { .. } => "signed_out",
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::TokenRotated { .. } => "token_rotated",
            Self::ToolPinned { .. } => "tool_pinned",
            Self::ToolUnpinned { .. } => "tool_unpinned",
        }
    }
}

/// A change, and who made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administered {
    /// Who: a caller of the gateway, or an operator at its machine.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// What is kept as text.
pub trait Kept: Serialize + DeserializeOwned {}

impl Kept for Administered {}
impl Kept for ApiToken {}
impl Kept for Approval {}
impl Kept for ConsoleSession {}
impl Kept for Glass {}
impl Kept for GlassReview {}
impl Kept for Grant {}
impl Kept for Passkey {}
impl Kept for Revocation {}
impl Kept for SignInLink {}
impl Kept for ToolPin {}
impl Kept for UpstreamSecret {}
impl Kept for Vote {}
impl Kept for Vec<Look> {}
impl Kept for Vec<Notice> {}
impl Kept for Vec<Vote> {}

/// The text of `thing` in a store and in the record: canonical JSON. [`from_text`] reads it.
pub fn to_text(thing: &impl Kept) -> String {
    // What is written here has text keys only, and no numbers that JSON does not have.
    let json = serde_json::to_value(thing).map_or(Json::Null, Json::from);
    String::from_utf8(json.canonical()).unwrap_or_default()
}

/// What [`to_text`] wrote.
#[must_use]
pub fn from_text<T: Kept>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
pub(crate) use tests::examples;

#[cfg(test)]
mod tests;
