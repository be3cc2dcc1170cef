//! What became of one approval: its state, which the model decides, and what entries tell when the content of records was erased.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{
    Approval, ApprovalState, Ended, Glass, GlassReview, Known, Standing, Vote,
};
use callgate_model::authority::Proof;
use callgate_model::decision::Gate;
use callgate_model::json::Json;

use crate::pack::counts::ERASED;
use crate::print::call::target;

/// Calls that are named one by one of an approval: one takes it, and others go on with that.
const CALLS_MAX: usize = 100;

/// One approval.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) asked: Timestamp,
    pub(super) index: u64,
    /// What the gateway makes of it; nothing, if what was asked was erased.
    state: Option<ApprovalState>,
    targets: String,
    pub(super) said: Vec<Said>,
    /// When it was decided, and whether it was approved.
    pub(super) decided: Option<(Timestamp, bool)>,
    /// Whether something was said to it of which nobody knows any more what.
    is_lost: bool,
    /// What entries tell of its end when nothing else does.
    over: Option<&'static str>,
    /// When somebody broke the glass for it.
    pub(super) broken: Option<Timestamp>,
    pub(super) review: Option<String>,
    used: Option<Used>,
    calls: Vec<String>,
    calls_left: u64,
    /// Whether something of it happened in the period.
    pub(super) is_inside: bool,
    /// Whether it may be forgotten when there is no room.
    pub(super) is_over: bool,
}

/// That a call took it.
#[derive(Clone, Copy, Debug)]
struct Used {
    at: Timestamp,
    /// Whether it was good then, as far as that is known.
    is_good: bool,
}

/// Somebody's word; nothing of it, if it was erased.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: Timestamp,
    pub(super) word: Option<Word>,
}

#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) by: String,
    /// How they were known.
    pub(super) how: String,
    pub(super) approves: bool,
    pub(super) has_passkey: bool,
}

impl Story {
    /// Somebody was asked. Of the whole call that is kept which is told.
    pub(super) fn asked(at: Timestamp, index: u64, approval: Option<Approval>) -> Self {
        let mut story = Self { asked: at, index, ..Self::default() };
        if let Some(mut approval) = approval {
            let targets = std::mem::take(&mut approval.about.targets);
            let targets: Vec<String> =
                targets.into_iter().map(|one| target(&Json::from(one))).collect();
            story.targets = targets.join("; ");
            approval.about.arguments = serde_json::Value::Null;
            approval.about.why = None;
            approval.offer = None;
            story.state = Some(ApprovalState::asked(approval));
        }
        story
    }

    pub(super) fn vote(&mut self, vote: Option<Vote>, at: Timestamp) {
        let Some(vote) = vote else {
            self.is_lost = true;
            return self.said.push(Said { at, word: None });
        };
        let has_passkey = vote.proof.is_some();
        let how = how(vote.known.as_ref(), vote.proof.as_ref());
        let word = Word { by: vote.by.clone(), how, approves: vote.approves, has_passkey };
        self.said.push(Said { at, word: Some(word) });
        if let Some(state) = &mut self.state
            && state.vote(vote, at)
            && self.decided.is_none()
            && !self.is_lost
            && (state.ended.is_some() || state.use_until.is_some())
        {
            self.decided = Some((at, state.is_approved()));
        }
    }

    pub(super) fn break_glass(&mut self, glass: Option<Glass>, at: Timestamp) {
        self.broken = Some(at);
        match (glass, &mut self.state) {
            (Some(glass), Some(state)) => _ = state.break_glass(glass, at),
            (_, _) => self.is_lost = true,
        }
    }

    /// A review counts as the gateway counts it: not by whoever broke the glass.
    pub(super) fn review(&mut self, review: GlassReview) {
        let said = format!("{} by {}", review.verdict.as_str(), review.by);
        let state = self.state.as_mut().filter(|state| state.glass.is_some());
        if state.is_none_or(|state| state.review(review)) {
            self.review.get_or_insert(said);
        }
    }

    pub(super) fn spend(&mut self, call: Id, at: Timestamp) {
        if self.used.is_none() {
            let known = self.state.as_mut().filter(|_| !self.is_lost);
            let is_good = known.is_none_or(|state| state.spend(call, at));
            self.used = Some(Used { at, is_good });
        }
        if self.calls.len() < CALLS_MAX {
            self.calls.push(call.to_string());
        } else {
            self.calls_left += 1;
        }
    }

    pub(super) fn withdraw(&mut self, at: Timestamp) {
        self.over = Some("withdrawn");
        if let Some(state) = &mut self.state {
            state.withdraw(at);
        }
    }

    pub(super) fn expire(&mut self) {
        self.over = Some("expired");
        if let Some(state) = &mut self.state {
            state.expire();
        }
    }

    /// Its state, if all that made it so is known.
    fn known(&self) -> Option<&ApprovalState> {
        self.state.as_ref().filter(|_| !self.is_lost)
    }

    /// Whether something that would decide about it was erased.
    pub(super) fn is_erased(&self) -> bool {
        self.known().is_none()
    }

    /// Whether it is over, as its records tell, and nobody is to say anything of it any more. Of what was erased that is not known,
    /// and not waited for.
    pub(super) fn has_ended(&self) -> bool {
        let ended = self.known().is_none_or(|state| state.ended.is_some());
        (ended || self.used.is_some() || self.over.is_some()) && !self.is_due()
    }

    /// Whether the glass was broken for it, and nobody has reviewed that.
    pub(super) const fn is_due(&self) -> bool {
        self.broken.is_some() && self.review.is_none()
    }

    /// Whether it was used although it was not approved by then.
    pub(super) fn is_unapproved(&self) -> bool {
        self.used.is_some_and(|used| !used.is_good)
    }

    /// Whether the call was this one's.
    pub(super) fn is_of(&self, who: &str) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| state.approval.asker.people.iter().any(|person| person == who))
    }

    /// How it ended, as far as `end` goes.
    pub(super) fn ended(&self, end: Timestamp) -> &'static str {
        match (self.used, self.known()) {
            (Some(Used { is_good: false, .. }), _) => "used_unapproved",
            (Some(_), _) if self.broken.is_some() => "used_by_broken_glass",
            (Some(_), _) => "used",
            (None, None) => self.over.unwrap_or(ERASED),
            (None, Some(state)) => match state.standing(end) {
                Standing::Waiting => self.over.unwrap_or("waiting"),
                Standing::Approved { .. } => self.over.unwrap_or("approved"),
                Standing::Expired | Standing::Unused => "expired",
                Standing::Ended(Ended::Denied) => "denied",
                Standing::Ended(Ended::Spent { .. }) => "used",
                Standing::Ended(Ended::Withdrawn) => "withdrawn",
            },
        }
    }

    /// As a row of the table.
    pub(super) fn row(&self, id: Id, end: Timestamp) -> Vec<String> {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let approval = self.state.as_ref().map(|state| &state.approval);
        let of = |text: fn(&Approval) -> &str| approval.map(text).unwrap_or_default().to_owned();
        let decided = self.decided.map(|(at, _)| at);
        let took = decided.map(|at| (at.ms_since(self.asked) / 1_000).to_string());
        let said: Vec<String> = self.said.iter().map(Said::told).collect();
        let (broken_by, broken_why) = self.glass();
        vec![
            id.to_string(),
            self.asked.to_string(),
            of(|one| &one.asker.accountable),
            of(|one| one.asker.agent.as_deref().unwrap_or_default()),
            of(|one| &one.about.operation),
            of(|one| &one.about.server),
            of(|one| &one.about.tool),
            of(|one| &one.about.risk),
            self.targets.clone(),
            self.gates(|gate| gate.policy.clone()),
            self.gates(|gate| gate.quorum.to_string()),
            self.ended(end).to_owned(),
            time(decided),
            took.unwrap_or_default(),
            said.join("; "),
            time(self.used.map(|used| used.at)),
            self.calls_told(),
            broken_by,
            broken_why,
            self.review.clone().unwrap_or_default(),
            self.index.to_string(),
        ]
    }

    fn gates(&self, told: fn(&Gate) -> String) -> String {
        let gates = self.state.iter().flat_map(|state| &state.approval.gates);
        gates.map(told).collect::<Vec<_>>().join(" ")
    }

    fn calls_told(&self) -> String {
        let more = Some(self.calls_left).filter(|left| *left > 0);
        let more = more.map(|left| format!(" and {left} more")).unwrap_or_default();
        format!("{}{more}", self.calls.join(" "))
    }

    /// Who broke the glass and how they were known, and why.
    fn glass(&self) -> (String, String) {
        let glass = self.state.as_ref().and_then(|state| state.glass.as_ref());
        match glass.map(|glass| &glass.glass) {
            Some(glass) => {
                let how = how(glass.known.as_ref(), Some(&glass.proof));
                (format!("{} ({how})", glass.by), format!("{} {}", glass.ticket, glass.reason))
            }
            None if self.broken.is_some() => (ERASED.to_owned(), ERASED.to_owned()),
            None => (String::new(), String::new()),
        }
    }
}

impl Said {
    fn told(&self) -> String {
        let Self { at, word } = self;
        let Some(Word { by, how, approves, .. }) = word else {
            return format!("somebody said something at {at} (erased)");
        };
        let verb = if *approves { "approves" } else { "denies" };
        format!("{by} {verb} at {at} ({how})")
    }
}

/// How somebody was known: the kind of credential and its assurance, and a passkey if they used one.
fn how(known: Option<&Known>, proof: Option<&Proof>) -> String {
    let known = known.map_or_else(|| "not recorded".to_owned(), Known::to_string);
    if proof.is_some() { format!("{known} and a passkey") } else { known }
}
