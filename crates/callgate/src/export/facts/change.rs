//! What a change of authority does, and what it is about.

use callgate_model::json::Json;

use super::{Facts, Severity, UNKNOWN, Went, at, first};
use crate::export::said;

/// What a change does to the thing that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::export) enum Does {
    /// It comes to be.
    Create,
    /// Somebody was shown it.
    Read,
    /// It is another one after.
    Update,
    /// It is good no more.
    Delete,
}

/// A change of authority: what it is of, what it does, and how much somebody should care.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) struct Changed {
    /// What it is about: a token, a grant.
    pub(in crate::export) thing: &'static str,
    /// What it does to that; `None`, if this version does not know the change.
    pub(in crate::export) does: Option<Does>,
    /// How much somebody should care.
    pub(super) severity: Severity,
    /// Whether it tells that something was not done.
    pub(super) is_failure: bool,
}

/// What a person or a policy calls something, and what it is called by for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::export) struct Named {
    /// Its id.
    pub(in crate::export) id: String,
    /// Its name.
    pub(in crate::export) name: String,
}

impl<'a> Facts<'a> {
    /// What a change is about.
    pub(in crate::export) fn entity(&self) -> Named {
        let ids = ["token.id", "grant.id", "revocation.id", "approval.id", "vote.approval"];
        let more =
            ["glass.approval", "review.approval", "session.id", "link.id", "passkey.id", "id"];
        let digests = ["setup.configuration", "bundle"];
        let id = ids.into_iter().chain(more).chain(digests);
        let id = id.map(|path| self.told(path)).find(|id| !id.is_empty());
        let names = [
            "token.name",
            "approval.about.operation",
            "passkey.name",
            "channel",
            "revocation.subject.name",
            "setup.version",
        ];
        let pairs = [
            ["pin.of.server", "pin.of.tool"],
            ["of.server", "of.tool"],
            ["secret.for.server", "secret.for.holder.name"],
            ["for.server", "for.holder.name"],
        ];
        let name = names.into_iter().map(|path| self.told(path)).find(|name| !name.is_empty());
        let pair = pairs.map(|pair| pair.map(|path| self.told(path)));
        let pair = pair.into_iter().find(|[server, _]| !server.is_empty());
        Named {
            id: id.unwrap_or(self.own("approval.id")).to_owned(),
            name: name.map(str::to_owned).or(pair.map(|pair| pair.join("/"))).unwrap_or_default(),
        }
    }

    /// What somebody said of an approval, or of broken glass; or that what was wanted was not done.
    pub(super) fn said_of_it(&self) -> &'a str {
        match (self.event("vote.approves").as_bool(), self.went()) {
            (Some(true), _) => "approves",
            (Some(false), _) => "denies",
            (None, Went::Badly) => "failed",
            (None, Went::Well | Went::Unknown) => self.told("review.verdict"),
        }
    }

    /// The thing itself, as far as it says what it is good for. The definition of a tool is for those who read the record.
    pub(in crate::export) fn content(&self) -> Json {
        let things = [
            "token",
            "grant",
            "revocation",
            "vote",
            "glass",
            "review",
            "secret",
            "session",
            "link",
            "passkey",
            "setup",
        ];
        let thing =
            things.into_iter().map(|thing| self.event(thing)).find(|it| it.as_object().is_some());
        let of = |path: &str| self.event(path).clone();
        if let Some(thing) = thing {
            return thing.clone();
        }
        let policies = self.event("policies").as_array().unwrap_or_default();
        let policies: Vec<Json> = policies.iter().map(|policy| at(policy, "id").clone()).collect();
        // The arguments of a call stay in the record, also if it waits for an approval, and so do the texts of policies.
        said([
            ("asker", of("approval.asker")),
            ("server", of("approval.about.server")),
            ("tool", of("approval.about.tool")),
            ("risk", of("approval.about.risk")),
            ("targets", of("approval.about.targets")),
            ("gates", of("approval.gates")),
            ("decide_until", of("approval.decide_until")),
            ("digest", of("pin.digest")),
            ("replaces", of("pin.replaces")),
            ("shown", of("shown")),
            ("attempts", of("attempts")),
            ("policies", policies.into()),
            ("indexes", of("indexes")),
            ("records", of("records")),
            ("until", of("until")),
            ("kept", of("kept")),
        ])
        .into()
    }

    /// Whose thing a change is about, if it is somebody's.
    pub(in crate::export) fn whose(&self) -> &'a str {
        let places = [
            self.told("token.owner"),
            self.told("grant.holder.human"),
            self.told("grant.holder.service_account"),
            self.told("grant.holder.agent"),
            self.told("session.who"),
            self.told("link.who"),
            self.told("passkey.who"),
            self.told("approval.asker.accountable"),
            self.told("secret.for.holder.name"),
            self.told("for.holder.name"),
            self.told("who"),
        ];
        first(&places)
    }

    /// It in words.
    pub(super) fn change_told(&self) -> String {
        let Named { id, name } = self.entity();
        let parts = [self.said_of_it(), &*name, &*id].into_iter().filter(|part| !part.is_empty());
        let what = parts.collect::<Vec<_>>().join(" ");
        if self.went() == Went::Badly {
            let of = first(&[self.told("channel"), self.who(), UNKNOWN]);
            return format!("{}: {of}: {}", self.change(), self.why());
        }
        format!("{}: {what} by {}", self.change(), first(&[self.told("by"), UNKNOWN]))
    }
}

impl Changed {
    /// The table of changes.
    pub(in crate::export) fn of(change: &str) -> Self {
        use Does::{Create, Delete, Read, Update};
        use Severity::{High, Informational, Low, Medium};
        let (thing, does, severity) = match change {
            "token_issued" => ("token", Create, Low),
            "token_rotated" => ("token", Update, Informational),
            "token_revoked" => ("token", Delete, Low),
            "grant_issued" => ("grant", Create, Low),
            "grant_revoked" => ("grant", Delete, Low),
            "revoked" => ("revocation", Create, Medium),
            "revocation_lifted" => ("revocation", Delete, Medium),
            "secret_set" => ("secret", Update, Low),
            "secret_removed" => ("secret", Delete, Low),
            "tool_pinned" => ("tool", Update, Low),
            "tool_unpinned" => ("tool", Delete, Low),
            "approval_requested" => ("approval", Create, Low),
            "approval_viewed" => ("approval", Read, Informational),
            "approval_voted" => ("approval", Update, Low),
            "approval_withdrawn" => ("approval", Delete, Low),
            "glass_broken" => ("approval", Update, High),
            "glass_reviewed" => ("approval", Update, Medium),
            "approval_expired" => ("approval", Update, Low),
            "configured" => ("configuration", Update, Low),
            "policies_activated" => ("policies", Update, Medium),
            "payloads_erased" => ("records", Delete, Medium),
            "restored" => ("records", Update, High),
            "sign_in_refused" => ("session", Create, Medium),
            "notice_given_up" => ("notice", Update, Medium),
            "sign_in_link_made" => ("sign-in link", Create, Low),
            "signed_in" => ("session", Create, Informational),
            "signed_out" => ("session", Delete, Informational),
            "passkey_added" => ("passkey", Create, Low),
            "passkey_removed" => ("passkey", Delete, Medium),
            _ => return Self { thing: UNKNOWN, does: None, severity: Medium, is_failure: false },
        };
        let is_failure = matches!(change, "sign_in_refused" | "notice_given_up");
        Self { thing, does: Some(does), severity, is_failure }
    }
}
