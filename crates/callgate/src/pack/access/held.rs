//! One thing that was given: what of it is told, and how it ends.

use callgate_model::ambient::Timestamp;
use callgate_model::authority::{ApiToken, Grant, Passkey, Revocation, SecretFor};
use callgate_model::envelope::Portion;

use super::Key;

/// Something that was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) kind: &'static str,
    id: String,
    name: String,
    who: String,
    agent: String,
    what: String,
    /// For how many calls it is.
    uses: Option<u64>,
    /// How many took it, as far as records tell.
    used: u64,
    pub(super) given: Timestamp,
    by: String,
    pub(super) until: Option<Timestamp>,
    pub(super) taken: Option<(Timestamp, String)>,
    /// When it ended in another way, and in which.
    gone: Option<(Timestamp, &'static str)>,
    replaces: String,
    why: String,
    pub(super) index: u64,
    pub(super) is_anywhere: bool,
}

impl Held {
    pub(super) fn token(token: &ApiToken) -> Self {
        Self {
            kind: "token",
            id: token.id.to_string(),
            name: token.name.clone(),
            who: token.service_account.as_ref().unwrap_or(&token.owner).clone(),
            agent: token.agent.clone(),
            what: scope(&token.scope),
            until: Some(token.ends),
            replaces: token.replaces.map(|old| old.to_string()).unwrap_or_default(),
            is_anywhere: token.scope.within.is_empty(),
            ..Self::default()
        }
    }

    pub(super) fn grant(grant: &Grant) -> Self {
        let holder = &grant.holder;
        let who = holder.human.as_ref().or(holder.service_account.as_ref());
        Self {
            kind: "grant",
            id: grant.id.to_string(),
            name: grant.ticket.clone().unwrap_or_default(),
            who: who.cloned().unwrap_or_default(),
            agent: holder.agent.clone().unwrap_or_default(),
            what: scope(&grant.scope),
            uses: Some(grant.uses.into()),
            until: Some(grant.ends),
            why: grant.reason.clone(),
            is_anywhere: grant.scope.within.is_empty(),
            ..Self::default()
        }
    }

    pub(super) fn revocation(revocation: &Revocation) -> Self {
        Self {
            kind: "revocation",
            id: revocation.id.to_string(),
            name: revocation.subject.kind.as_str().to_owned(),
            who: revocation.subject.name.clone(),
            why: revocation.reason.clone(),
            ..Self::default()
        }
    }

    /// Whose secret for what: there is nothing else to be told of it.
    pub(super) fn secret(of: &SecretFor) -> Self {
        Self {
            kind: "secret",
            id: format!("{}/{}", of.server, of.holder),
            name: of.server.clone(),
            who: of.holder.name.clone(),
            ..Self::default()
        }
    }

    pub(super) fn passkey(passkey: &Passkey) -> Self {
        Self {
            kind: "passkey",
            id: passkey.id.clone(),
            name: passkey.name.clone(),
            who: passkey.who.clone(),
            ..Self::default()
        }
    }

    /// When it was given, by whom, and by which record.
    pub(super) fn given(self, given: Timestamp, by: String, index: u64) -> Self {
        Self { given, by, index, ..self }
    }

    pub(super) fn key(&self) -> Key {
        (self.kind, self.id.clone())
    }

    /// Another of the same key took its place, unless it had ended before.
    pub(super) fn replaced(mut self, at: Timestamp) -> Self {
        if self.ended().is_none_or(|(ended, _)| ended > at) {
            self.gone = Some((at, "replaced"));
        }
        self
    }

    /// It is good for a while only, since a token took its place.
    pub(super) fn rotated(&mut self, until: Timestamp) {
        if self.until.is_none_or(|ends| until < ends) {
            self.until = Some(until);
            self.gone = Some((until, "replaced"));
        }
    }

    /// A call takes a use.
    pub(super) fn use_up(&mut self, at: Timestamp) {
        self.used += 1;
        if self.uses == Some(self.used) {
            self.gone = Some((at, "used_up"));
        }
    }

    /// When it was good no more, as far as that is known, and why.
    pub(super) fn ended(&self) -> Option<(Timestamp, &'static str)> {
        let taken = self.taken.as_ref().map(|(at, _)| (*at, "taken_back"));
        let ran_out = self.until.map(|at| (at, "ran_out"));
        [taken, self.gone, ran_out].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(super) fn row(&self, end: Timestamp) -> [String; 18] {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let (taken, taken_by) = self.taken.clone().unzip();
        let (ended, how) = self.ended().filter(|(at, _)| *at <= end).unzip();
        let used = self.uses.map(|_| self.used.to_string());
        [
            self.kind.to_owned(),
            self.id.clone(),
            self.name.clone(),
            self.who.clone(),
            self.agent.clone(),
            self.what.clone(),
            self.uses.map(|uses| uses.to_string()).unwrap_or_default(),
            used.unwrap_or_default(),
            self.given.to_string(),
            self.by.clone(),
            time(self.until),
            time(taken),
            taken_by.unwrap_or_default(),
            time(ended),
            how.unwrap_or("in_force").to_owned(),
            self.replaces.clone(),
            self.why.clone(),
            self.index.to_string(),
        ]
    }
}

/// What a token or a grant is for, in words.
fn scope(scope: &Portion) -> String {
    let Portion { servers, actions, within, risk_max } = scope;
    let joined = |all: Vec<String>| all.join(" ");
    let places = within.iter().map(|place| format!("{} {}", place.kind, place.id));
    let parts = [
        ("servers", joined(servers.iter().cloned().collect())),
        ("operations", joined(actions.iter().cloned().collect())),
        ("within", joined(places.collect())),
        ("risk up to", risk_max.map(|risk| risk.as_str().to_owned()).unwrap_or_default()),
    ];
    let said = parts.iter().filter(|(_, what)| !what.is_empty());
    let said: Vec<String> = said.map(|(name, what)| format!("{name} {what}")).collect();
    if said.is_empty() {
        "anything that policy lets its holder do".to_owned()
    } else {
        said.join("; ")
    }
}
