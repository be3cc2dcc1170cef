//! Who was given what, since when, until when, and how that ended: tokens, grants, revocations, secrets, passkeys. Of secrets there
//! is whose they are, and nothing of them: neither they nor a digest of them.

mod held;

use std::collections::{BTreeMap, VecDeque};

use callgate_model::ambient::Timestamp;
use callgate_model::authority::Change;

use super::files::Files;
use super::{Period, Seen};
use crate::cli::Failure;
use crate::export::{at, text_at};

use held::Held;

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
    "used",
    "given_at",
    "given_by",
    "until",
    "taken_back_at",
    "taken_back_by",
    "ended_at",
    "ended_as",
    "replaces",
    "why",
    "index",
];
/// The changes by which something is given or ends.
const CHANGES: [&str; 11] = [
    "grant_issued",
    "grant_revoked",
    "passkey_added",
    "passkey_removed",
    "revocation_lifted",
    "revoked",
    "secret_removed",
    "secret_set",
    "token_issued",
    "token_revoked",
    "token_rotated",
];
const DAY_MS: u64 = 86_400_000;

/// By which something is known: its kind and id.
type Key = (&'static str, String);

/// All of it that matters to the period.
#[derive(Debug)]
pub(super) struct Access {
    period: Period,
    held: BTreeMap<Key, Held>,
    /// What another of the same key took the place of.
    past: Vec<Held>,
    /// What a clock ends before the period: it makes room when there is none.
    over: VecDeque<Key>,
    /// The most that is remembered.
    pub(super) most: usize,
    /// What had no room, or ends in the period and was never seen to be given.
    pub(super) left_out: u64,
    /// Records until the end of the period by which something was given or ended, of which nobody knows any more what.
    pub(super) erased: u64,
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
    pub(super) const fn of(period: Period) -> Self {
        Self {
            period,
            held: BTreeMap::new(),
            past: Vec::new(),
            over: VecDeque::new(),
            most: HELD_MAX,
            left_out: 0,
            erased: 0,
        }
    }

    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        if seen.kind == "intent" {
            return self.used(seen);
        }
        if !CHANGES.contains(&seen.change()) {
            return;
        }
        match seen.read() {
            Some(change) => self.change(seen, change),
            None => self.erased += u64::from(seen.at < self.period.to),
        }
    }

    fn change(&mut self, seen: &Seen<'_>, change: Change) {
        match change {
            Change::TokenIssued { token } => self.give(seen, Held::token(&token)),
            Change::TokenRotated { token, old_ends } => {
                if let Some(old) = token.replaces {
                    self.shorten(("token", old.to_string()), old_ends);
                }
                self.give(seen, Held::token(&token));
            }
            Change::GrantIssued { grant } => self.give(seen, Held::grant(&grant)),
            Change::Revoked { revocation } => self.give(seen, Held::revocation(&revocation)),
            Change::SecretSet { secret } => self.give(seen, Held::secret(&secret.owner)),
            Change::PasskeyAdded { passkey, .. } => self.give(seen, Held::passkey(&passkey)),
            Change::TokenRevoked { id } => self.end(seen, ("token", id.to_string())),
            Change::GrantRevoked { id } => self.end(seen, ("grant", id.to_string())),
            Change::RevocationLifted { id } => self.end(seen, ("revocation", id.to_string())),
            Change::SecretRemoved { owner } => self.end(seen, Held::secret(&owner).key()),
            Change::PasskeyRemoved { id, .. } => self.end(seen, ("passkey", id)),
            Change::ApprovalExpired { .. }
            | Change::ApprovalRequested { .. }
            | Change::ApprovalViewed { .. }
            | Change::ApprovalVoted { .. }
            | Change::ApprovalWithdrawn { .. }
            | Change::Configured { .. }
            | Change::GlassBroken { .. }
            | Change::GlassReviewed { .. }
            | Change::NoticeGivenUp { .. }
            | Change::PayloadsErased { .. }
            | Change::PoliciesActivated { .. }
            | Change::Restored { .. }
            | Change::SignInLinkMade { .. }
            | Change::SignInRefused { .. }
            | Change::SignedIn { .. }
            | Change::SignedOut { .. }
            | Change::ToolPinned { .. }
            | Change::ToolUnpinned { .. } => {}
        }
    }

    /// A call takes a use of a grant.
    fn used(&mut self, seen: &Seen<'_>) {
        let by = at(seen.event, "granted_by");
        if at(by, "spends").as_bool() == Some(true)
            && let Some(grant) = self.held.get_mut(&("grant", text_at(by, "id").to_owned()))
        {
            grant.use_up(seen.at);
        }
    }

    /// What is given after the period is no part of it.
    fn give(&mut self, seen: &Seen<'_>, held: Held) {
        if seen.at >= self.period.to {
            return;
        }
        let key = held.key();
        if let Some(before) = self.held.remove(&key) {
            let before = before.replaced(seen.at);
            self.past.extend(Some(before).filter(|one| !self.is_over(one)));
        }
        if self.held.len() + self.past.len() >= self.most && !self.make_room() {
            self.left_out += 1;
            return;
        }
        let by = text_at(seen.event, "by").to_owned();
        let held = held.given(seen.at, by, seen.index);
        if self.is_over(&held) {
            self.over.push_back(key.clone());
        }
        self.held.insert(key, held);
    }

    /// A token is good until another moment, if that is earlier: another takes its place.
    fn shorten(&mut self, key: Key, until: Timestamp) {
        let Some(mut old) = self.held.remove(&key) else { return };
        let was_over = self.is_over(&old);
        old.rotated(until);
        if self.is_over(&old) && !was_over {
            self.over.push_back(key.clone());
        }
        self.held.insert(key, old);
    }

    fn end(&mut self, seen: &Seen<'_>, key: Key) {
        let Some(mut held) = self.held.remove(&key) else {
            self.left_out += u64::from(seen.is_inside);
            return;
        };
        let is_queued = self.is_over(&held);
        held.taken = Some((seen.at, text_at(seen.event, "by").to_owned()));
        // Nothing that was taken back before the period is asked for again.
        if is_queued || !self.is_over(&held) {
            self.held.insert(key, held);
        }
    }

    /// Whether it is over before the period, and so no part of it.
    fn is_over(&self, held: &Held) -> bool {
        held.ended().is_some_and(|(at, _)| at < self.period.from)
    }

    /// Forgets the first that was over before the period. `false`, if there is none.
    fn make_room(&mut self) -> bool {
        while let Some(key) = self.over.pop_front() {
            if self.held.get(&key).is_some_and(|held| self.is_over(held)) {
                self.held.remove(&key);
                return true;
            }
        }
        false
    }

    /// What was in force at some time of the period, in the order in which it was given.
    fn inside(&self) -> Vec<&Held> {
        let all = self.held.values().chain(&self.past).filter(|one| !self.is_over(one));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|one| one.index);
        all
    }

    /// Writes it, as it is at `end`.
    pub(super) fn write(&self, files: &Files, end: Timestamp) -> Result<(), Failure> {
        let mut table = files.table(CSV, COLUMNS)?;
        for one in self.inside() {
            table.row(&one.row(end))?;
        }
        table.flush()
    }

    /// What there is of a kind; what is in force is so at `end`.
    pub(super) fn figures(&self, kind: &str, end: Timestamp) -> Figures {
        let mut all = Figures::default();
        for one in self.inside().into_iter().filter(|one| one.kind == kind) {
            all.given += u64::from(self.period.has(one.given));
            all.taken += u64::from(one.taken.as_ref().is_some_and(|(at, _)| self.period.has(*at)));
            if one.ended().is_some_and(|(ended, _)| ended <= end) {
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
