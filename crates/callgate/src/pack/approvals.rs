//! What became of approvals: who asked, who said what to it and how they were known, and which call used it. How one ended is
//! decided by the model, as it is for the gateway.

mod story;

use std::collections::{BTreeMap, VecDeque};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::Change;

use super::files::Files;
use super::{Period, Seen};
use crate::cli::Failure;

use story::Story;

pub(super) const CSV: &str = "approvals.csv";
/// Who decides sooner has hardly read it.
const QUICK_MS: u64 = 3_000;
/// The most approvals that are remembered at one time; what is asked for beyond that is counted and left out.
const APPROVALS_MAX: usize = 100_000;
const COLUMNS: &[&str] = &[
    "id",
    "asked_at",
    "asked_by",
    "agent",
    "operation",
    "server",
    "tool",
    "risk",
    "targets",
    "gates",
    "quorum",
    "ended_as",
    "decided_at",
    "decided_in_s",
    "votes",
    "used_at",
    "used_by_calls",
    "broken_by",
    "broken_why",
    "reviewed",
    "index",
];

/// All of them that matter to the period.
#[derive(Debug)]
pub(super) struct Approvals {
    period: Period,
    stories: BTreeMap<Id, Story>,
    /// Those that were over before the period, the first first: they make room when there is none.
    over: VecDeque<Id>,
    /// When the pack is made.
    end: Timestamp,
    /// The most that are remembered.
    pub(super) most: usize,
    /// Records of the period about approvals that are not told: for want of room, or since it was erased about which.
    pub(super) left_out: u64,
}

/// What is counted of those of the period.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) asked: u64,
    pub(super) ended: BTreeMap<&'static str, u64>,
    pub(super) said: u64,
    pub(super) by_passkey: u64,
    pub(super) quick: u64,
    pub(super) of_own: u64,
    pub(super) broken: u64,
    pub(super) unreviewed: u64,
    /// Used although nobody had approved them by then.
    pub(super) unapproved: u64,
    /// Of which something that decides was erased.
    pub(super) erased: u64,
    /// How long it took until they were decided, in milliseconds, ascending.
    pub(super) took_ms: Vec<u64>,
    pub(super) approved_ms: Vec<u64>,
    pub(super) denied_ms: Vec<u64>,
}

impl Approvals {
    /// Of a period, as far as they are known at `end`.
    pub(super) const fn of(period: Period, end: Timestamp) -> Self {
        Self {
            period,
            stories: BTreeMap::new(),
            over: VecDeque::new(),
            end,
            most: APPROVALS_MAX,
            left_out: 0,
        }
    }

    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        match seen.change() {
            "approval_requested" => self.asked(seen),
            "approval_voted" => self.said(seen),
            "approval_withdrawn" => self.note(seen, seen.approval, Story::withdraw),
            "approval_expired" => self.note(seen, seen.approval, |one, _| one.expire()),
            "glass_broken" => {
                let glass = match seen.read() {
                    Some(Change::GlassBroken { glass, .. }) => Some(*glass),
                    Some(_) | None => None,
                };
                self.note(seen, seen.approval, |one, at| one.break_glass(glass, at));
            }
            "glass_reviewed" => match seen.read() {
                Some(Change::GlassReviewed { review }) => {
                    self.note(seen, Some(review.approval), |one, _| one.review(*review));
                }
                Some(_) | None => self.note(seen, None, |_, _| ()),
            },
            _ if seen.kind == "intent" => self.used(seen),
            _ => {}
        }
    }

    fn asked(&mut self, seen: &Seen<'_>) {
        let has_room = self.stories.len() < self.most || self.make_room();
        let Some(id) = seen.approval.filter(|_| has_room) else {
            self.left_out += u64::from(seen.is_inside);
            return;
        };
        // What was erased is still known to have been asked for.
        let approval = match seen.read() {
            Some(Change::ApprovalRequested { approval, .. }) => Some(*approval),
            Some(_) | None => None,
        };
        self.stories.insert(id, Story::asked(seen.at, seen.index, approval));
        self.note(seen, Some(id), |_, _| ());
    }

    fn said(&mut self, seen: &Seen<'_>) {
        let vote = match seen.read() {
            Some(Change::ApprovalVoted { vote }) => Some(*vote),
            Some(_) | None => None,
        };
        self.note(seen, seen.approval, |one, at| one.vote(vote, at));
    }

    fn used(&mut self, seen: &Seen<'_>) {
        if let (Some(id), Some(call)) = (seen.approval, seen.call) {
            self.note(seen, Some(id), |one, at| one.spend(call, at));
        }
    }

    fn note(
        &mut self,
        seen: &Seen<'_>,
        id: Option<Id>,
        change: impl FnOnce(&mut Story, Timestamp),
    ) {
        let Some((id, one)) = id.and_then(|id| Some((id, self.stories.get_mut(&id)?))) else {
            self.left_out += u64::from(seen.is_inside);
            return;
        };
        one.is_inside |= seen.is_inside;
        change(one, seen.at);
        if !one.is_inside && !one.is_over && one.has_ended() {
            one.is_over = true;
            self.over.push_back(id);
        }
    }

    /// Forgets the first that was over before the period. `false`, if there is none.
    fn make_room(&mut self) -> bool {
        while let Some(id) = self.over.pop_front() {
            if self.stories.get(&id).is_some_and(|one| !one.is_inside) {
                self.stories.remove(&id);
                return true;
            }
        }
        false
    }

    /// Those of the period, the oldest first.
    fn inside(&self) -> Vec<(Id, &Story)> {
        let all = self.stories.iter().filter(|(_, one)| one.is_inside);
        let mut all: Vec<_> = all.map(|(id, one)| (*id, one)).collect();
        all.sort_by_key(|(_, one)| one.index);
        all
    }

    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        let mut table = files.table(CSV, COLUMNS)?;
        for (id, one) in self.inside() {
            table.row(&one.row(id, self.end))?;
        }
        table.flush()
    }

    pub(super) fn figures(&self) -> Figures {
        let mut all = Figures::default();
        for (_, one) in self.inside() {
            all.asked += u64::from(self.period.has(one.asked));
            *all.ended.entry(one.ended(self.end)).or_default() += 1;
            all.broken += u64::from(one.broken.is_some());
            all.unreviewed += u64::from(one.is_due());
            all.unapproved += u64::from(one.is_unapproved());
            all.erased += u64::from(one.is_erased());
            all.said(one, self.period);
            if let Some((at, is_approved)) = one.decided.filter(|(at, _)| self.period.has(*at)) {
                let list = if is_approved { &mut all.approved_ms } else { &mut all.denied_ms };
                list.push(at.ms_since(one.asked));
                all.took_ms.push(at.ms_since(one.asked));
            }
        }
        all.took_ms.sort_unstable();
        all
    }
}

impl Figures {
    fn said(&mut self, one: &Story, period: Period) {
        for said in one.said.iter().filter(|said| period.has(said.at)) {
            self.said += 1;
            let Some(word) = &said.word else { continue };
            self.by_passkey += u64::from(word.has_passkey);
            self.quick += u64::from(said.at.ms_since(one.asked) < QUICK_MS);
            self.of_own += u64::from(word.approves && one.is_of(&word.by));
        }
    }

    /// How long half of them took at most, in seconds.
    pub(super) fn median_s(&self) -> u64 {
        let half = self.took_ms.len().saturating_sub(1) / 2;
        self.took_ms.get(half).map_or(0, |ms| ms.div_ceil(1_000))
    }
}
