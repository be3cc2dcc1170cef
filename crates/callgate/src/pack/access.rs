//! Who was given what, until when, and when it was taken back: tokens, grants, revocations, secrets, passkeys.

use std::collections::BTreeMap;

use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, Number};

use super::files::Files;
use super::{Period, Seen};
use crate::cli::Failure;
use crate::export::{at, text_at, texts};

pub(super) const CSV: &str = "access.csv";
/// The most that is remembered at one time; what is given beyond that is counted and left out.
const HELD_MAX: usize = 100_000;
const COLUMNS: &[&str] = &[
    "kind",
    "id",
    "name",
    "who",
    "agent",
    "what",
    "uses",
    "given_at",
    "given_by",
    "until",
    "taken_back_at",
    "taken_back_by",
    "replaces",
    "why",
    "index",
];
const DAY_MS: u64 = 86_400_000;

/// Something that was given.
#[derive(Clone, Debug, Default)]
struct Held {
    kind: &'static str,
    name: String,
    who: String,
    agent: String,
    what: String,
    uses: String,
    given: Timestamp,
    by: String,
    until: Option<Timestamp>,
    taken: Option<(Timestamp, String)>,
    replaces: String,
    why: String,
    index: u64,
    is_anywhere: bool,
}

/// All of it that matters to the period.
#[derive(Debug, Default)]
pub(super) struct Access {
    held: BTreeMap<(&'static str, String), Held>,
    pub(super) left_out: u64,
}

/// What is counted of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Given in the period.
    pub(super) given: u64,
    /// Taken back in the period.
    pub(super) taken: u64,
    /// In force at the end.
    pub(super) held: u64,
    /// Of these, without an end.
    pub(super) endless: u64,
    /// Of these, for longer than 90 days from when it was given.
    pub(super) long: u64,
    /// Of these, good for any place.
    pub(super) anywhere: u64,
    /// The longest time that one of these is good for, in days.
    pub(super) days_max: u64,
}

impl Access {
    pub(super) fn take(&mut self, seen: &Seen<'_>, period: Period) {
        let (event, change) = (seen.event, seen.change());
        let id = |path: &str| text_at(event, path).to_owned();
        match change {
            "token_issued" => self.give(seen, "token", id("token.id"), token(event)),
            "token_rotated" => {
                let old = text_at(event, "token.replaces").to_owned();
                let ends = Timestamp::parse(text_at(event, "old_ends"));
                if let Some(old) = self.held.get_mut(&("token", old)) {
                    old.until = ends.or(old.until);
                }
                self.give(seen, "token", id("token.id"), token(event));
            }
            "grant_issued" => self.give(seen, "grant", id("grant.id"), grant(event)),
            "revoked" => self.give(seen, "revocation", id("revocation.id"), revocation(event)),
            "secret_set" => {
                self.give(seen, "secret", owner(at(event, "secret.for")), secret(event))
            }
            "passkey_added" => self.give(seen, "passkey", id("passkey.id"), passkey(event)),
            "token_revoked" => self.end(seen, "token", id("id")),
            "grant_revoked" => self.end(seen, "grant", id("id")),
            "revocation_lifted" => self.end(seen, "revocation", id("id")),
            "secret_removed" => self.end(seen, "secret", owner(at(event, "for"))),
            "passkey_removed" => self.end(seen, "passkey", id("id")),
            _ => {}
        }
        if self.held.len() >= HELD_MAX {
            self.held.retain(|_, one| one.ended().is_none_or(|at| at >= period.from));
        }
    }

    fn give(&mut self, seen: &Seen<'_>, kind: &'static str, id: String, held: Held) {
        if seen.is_erased() {
            return;
        }
        if self.held.len() >= HELD_MAX {
            self.left_out += 1;
            return;
        }
        let by = text_at(seen.event, "by").to_owned();
        let held = Held { kind, given: seen.at, by, index: seen.index, ..held };
        self.held.insert((kind, id), held);
    }

    fn end(&mut self, seen: &Seen<'_>, kind: &'static str, id: String) {
        let taken = (seen.at, text_at(seen.event, "by").to_owned());
        match self.held.get_mut(&(kind, id)) {
            Some(held) => held.taken = Some(taken),
            None => self.left_out += u64::from(seen.is_inside),
        }
    }

    /// What was in force at some time of the period, in the order in which it was given.
    fn inside(&self, period: Period) -> Vec<(&str, &Held)> {
        let in_force = |one: &Held| {
            one.given < period.to && one.ended().is_none_or(|ended| ended >= period.from)
        };
        let all = self.held.iter().filter(|(_, one)| in_force(one));
        let mut all: Vec<_> = all.map(|((_, id), one)| (id.as_str(), one)).collect();
        all.sort_by_key(|(_, one)| one.index);
        all
    }

    pub(super) fn write(&self, files: &Files, period: Period) -> Result<(), Failure> {
        let mut table = files.table(CSV, COLUMNS)?;
        for (id, one) in self.inside(period) {
            table.row(&one.row(id))?;
        }
        table.flush()
    }

    /// What there is of a kind; what is in force is so at `end`.
    pub(super) fn figures(&self, kind: &str, period: Period, end: Timestamp) -> Figures {
        let mut all = Figures::default();
        for (_, one) in self.inside(period).into_iter().filter(|(_, one)| one.kind == kind) {
            all.given += u64::from(period.has(one.given));
            all.taken += u64::from(one.taken.as_ref().is_some_and(|(at, _)| period.has(*at)));
            if one.ended().is_some_and(|ended| ended < end) {
                continue;
            }
            all.held += 1;
            all.anywhere += u64::from(one.is_anywhere);
            match one.until {
                None => all.endless += 1,
                Some(until) => {
                    let days = until.ms_since(one.given).div_ceil(DAY_MS);
                    all.long += u64::from(days > 90);
                    all.days_max = all.days_max.max(days);
                }
            }
        }
        all
    }
}

impl Held {
    /// When it was good no more, as far as that is known.
    fn ended(&self) -> Option<Timestamp> {
        let taken = self.taken.as_ref().map(|(at, _)| *at);
        match (self.until, taken) {
            (Some(until), Some(taken)) => Some(until.min(taken)),
            (until, taken) => until.or(taken),
        }
    }

    fn row(&self, id: &str) -> [String; 15] {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let (taken, taken_by) = self.taken.clone().unzip();
        [
            self.kind.to_owned(),
            id.to_owned(),
            self.name.clone(),
            self.who.clone(),
            self.agent.clone(),
            self.what.clone(),
            self.uses.clone(),
            self.given.to_string(),
            self.by.clone(),
            time(self.until),
            time(taken),
            taken_by.unwrap_or_default(),
            self.replaces.clone(),
            self.why.clone(),
            self.index.to_string(),
        ]
    }
}

fn token(event: &Json) -> Held {
    let token = at(event, "token");
    let text = |name: &str| text_at(token, name).to_owned();
    let who = [text("service_account"), text("owner")];
    Held {
        name: text("name"),
        who: who.into_iter().find(|who| !who.is_empty()).unwrap_or_default(),
        agent: text("agent"),
        what: scope(at(token, "scope")),
        until: Timestamp::parse(&text("ends")),
        replaces: text("replaces"),
        is_anywhere: is_anywhere(at(token, "scope")),
        ..Held::default()
    }
}

fn grant(event: &Json) -> Held {
    let grant = at(event, "grant");
    let text = |name: &str| text_at(grant, name).to_owned();
    let holder = |name: &str| text_at(grant, &format!("holder.{name}")).to_owned();
    let who = [holder("human"), holder("service_account")];
    Held {
        name: text("ticket"),
        who: who.into_iter().find(|who| !who.is_empty()).unwrap_or_default(),
        agent: holder("agent"),
        what: scope(at(grant, "scope")),
        uses: at(grant, "uses")
            .as_number()
            .and_then(Number::as_i64)
            .map_or_else(String::new, |uses| uses.to_string()),
        until: Timestamp::parse(&text("ends")),
        why: text("reason"),
        is_anywhere: is_anywhere(at(grant, "scope")),
        ..Held::default()
    }
}

fn revocation(event: &Json) -> Held {
    let text = |name: &str| text_at(event, &format!("revocation.{name}")).to_owned();
    Held {
        name: text("subject.kind"),
        who: text("subject.name"),
        why: text("reason"),
        ..Held::default()
    }
}

fn secret(event: &Json) -> Held {
    let text = |name: &str| text_at(event, &format!("secret.for.{name}")).to_owned();
    Held { name: text("server"), who: text("holder.name"), ..Held::default() }
}

fn passkey(event: &Json) -> Held {
    let text = |name: &str| text_at(event, &format!("passkey.{name}")).to_owned();
    Held { name: text("name"), who: text("who"), ..Held::default() }
}

/// Whose secret for what, as an id.
fn owner(of: &Json) -> String {
    let text = |name: &str| text_at(of, name);
    format!("{}/{} {}", text("server"), text("holder.kind"), text("holder.name"))
}

fn is_anywhere(scope: &Json) -> bool {
    at(scope, "within").as_array().unwrap_or_default().is_empty()
}

/// What a token or a grant is for, in words.
fn scope(scope: &Json) -> String {
    let within = at(scope, "within").as_array().unwrap_or_default();
    let place = |one: &Json| match one.as_str() {
        Some(text) => text.to_owned(),
        None => format!("{} {}", text_at(one, "kind"), text_at(one, "id")),
    };
    let parts = [
        ("servers", texts(at(scope, "servers")).join(" ")),
        ("operations", texts(at(scope, "actions")).join(" ")),
        ("within", within.iter().map(place).collect::<Vec<_>>().join(" ")),
        ("risk up to", text_at(scope, "risk_max").to_owned()),
    ];
    let said = parts.iter().filter(|(_, what)| !what.is_empty());
    let said: Vec<String> = said.map(|(name, what)| format!("{name} {what}")).collect();
    if said.is_empty() {
        "anything that policy lets its holder do".to_owned()
    } else {
        said.join("; ")
    }
}
