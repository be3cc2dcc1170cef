//! What became of approvals: who asked, who said what to it and how they were known, and which call used it.

use std::collections::BTreeMap;

use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, Number};

use super::files::Files;
use super::{Period, Seen};
use crate::cli::Failure;
use crate::export::{at, text_at, texts};

pub(super) const CSV: &str = "approvals.csv";
/// Who decides sooner has hardly read it.
const QUICK_MS: u64 = 3_000;
/// The most approvals that are remembered at one time; what is asked for beyond that is counted and left out.
const APPROVALS_MAX: usize = 100_000;
/// The most people of whom it is remembered how they were known last.
const PEOPLE_MAX: usize = 10_000;
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

/// Somebody's word.
#[derive(Clone, Debug)]
pub(super) struct Said {
    by: String,
    /// How they were known: the kind of credential, and a passkey if they used one.
    how: String,
    approves: bool,
    at: Timestamp,
    has_passkey: bool,
}

/// One approval.
#[derive(Clone, Debug, Default)]
struct Story {
    asked: Timestamp,
    index: u64,
    asker: String,
    agent: String,
    operation: String,
    server: String,
    tool: String,
    risk: String,
    targets: String,
    people: Vec<String>,
    /// Each policy, how many have to approve, and how many denials end it.
    gates: Vec<(String, u64, u64)>,
    decide_until: Timestamp,
    use_within_ms: u64,
    said: Vec<Said>,
    /// By gate: how many approve, and how many deny.
    words: BTreeMap<String, (u64, u64)>,
    approved: Option<Timestamp>,
    denied: Option<Timestamp>,
    withdrawn: bool,
    expired: bool,
    used: Option<Timestamp>,
    calls: Vec<String>,
    broken: Option<(String, String)>,
    review: Option<String>,
    /// Whether something of it happened in the period.
    is_inside: bool,
}

/// All of them that matter to the period.
#[derive(Debug)]
pub(super) struct Approvals {
    period: Period,
    stories: BTreeMap<String, Story>,
    known: BTreeMap<String, String>,
    /// When the pack is made.
    end: Timestamp,
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
    /// How long it took until they were decided, in milliseconds, ascending.
    pub(super) took_ms: Vec<u64>,
    pub(super) approved_ms: Vec<u64>,
    pub(super) denied_ms: Vec<u64>,
}

impl Approvals {
    /// Of a period, as far as they are known at `end`.
    pub(super) fn of(period: Period, end: Timestamp) -> Self {
        Self { period, stories: BTreeMap::new(), known: BTreeMap::new(), end, left_out: 0 }
    }

    pub(super) fn take(&mut self, seen: &Seen<'_>) {
        match seen.change() {
            "approval_requested" => self.asked(seen),
            "approval_voted" => self.said(seen),
            "approval_withdrawn" => self.note(seen, which(seen), |one, _| {
                one.withdrawn = true;
            }),
            "approval_expired" => self.note(seen, which(seen), |one, _| {
                one.expired = true;
            }),
            "glass_broken" => {
                let text = |name: &str| text_at(seen.event, &format!("glass.{name}")).to_owned();
                let why = format!("{} {}", text("ticket"), text("reason")).trim().to_owned();
                self.note(seen, text_at(seen.event, "glass.approval"), |one, _| {
                    one.broken = Some((text("by"), why));
                });
            }
            "glass_reviewed" => {
                let text = |name: &str| text_at(seen.event, &format!("review.{name}"));
                let said = format!("{} by {}", text("verdict"), text("by"));
                self.note(seen, text("approval"), |one, _| one.review = Some(said));
            }
            _ if seen.kind == "intent" => self.intent(seen),
            _ => {}
        }
        if self.stories.len() >= APPROVALS_MAX {
            self.forget();
        }
    }

    /// Those that ended before the period, and of which nothing is to come.
    fn forget(&mut self) {
        self.stories.retain(|_, one| one.is_inside || !one.is_over());
    }

    fn asked(&mut self, seen: &Seen<'_>) {
        if self.stories.len() >= APPROVALS_MAX {
            self.left_out += u64::from(seen.is_inside);
            return;
        }
        let approval = at(seen.event, "approval");
        let text = |path: &str| text_at(approval, path).to_owned();
        let count = |json: &Json, name: &str| {
            let count = at(json, name).as_number().and_then(Number::as_i64);
            count.and_then(|count| u64::try_from(count).ok()).unwrap_or(1)
        };
        let gates = at(approval, "gates").as_array().unwrap_or_default();
        let gate = |gate: &Json| {
            (text_at(gate, "policy").to_owned(), count(gate, "quorum"), count(gate, "denials"))
        };
        let targets = at(approval, "about.targets").as_array().unwrap_or_default();
        let target = |one: &Json| format!("{} {}", text_at(one, "kind"), text_at(one, "id"));
        let people = texts(at(approval, "asker.people"));
        let story = Story {
            asked: seen.at,
            index: seen.index,
            asker: text("asker.accountable"),
            agent: text("asker.agent"),
            operation: text("about.operation"),
            server: text("about.server"),
            tool: text("about.tool"),
            risk: text("about.risk"),
            targets: targets.iter().map(target).collect::<Vec<_>>().join("; "),
            people: people.into_iter().map(str::to_owned).collect(),
            gates: gates.iter().map(gate).collect(),
            decide_until: Timestamp::parse(&text("decide_until")).unwrap_or(seen.at),
            use_within_ms: count(approval, "use_within_s").saturating_mul(1_000),
            is_inside: seen.is_inside,
            ..Story::default()
        };
        // What was erased is still known to have been asked for.
        self.stories.insert(text_at(seen.record, "approval.id").to_owned(), story);
    }

    fn said(&mut self, seen: &Seen<'_>) {
        let vote = at(seen.event, "vote");
        let by = text_at(vote, "by").to_owned();
        let has_passkey = *at(vote, "proof") != Json::Null;
        let known = self.known.get(&by).cloned().unwrap_or_default();
        let how = if has_passkey { format!("{known} and a passkey") } else { known };
        let approves = at(vote, "approves").as_bool() == Some(true);
        let gates: Vec<String> = texts(at(vote, "gates")).into_iter().map(str::to_owned).collect();
        let said = Said { by, how, approves, at: seen.at, has_passkey };
        self.note(seen, text_at(seen.record, "approval.id"), |one, at| {
            for gate in &gates {
                let words = one.words.entry(gate.clone()).or_default();
                words.0 += u64::from(approves);
                words.1 += u64::from(!approves);
            }
            one.said.push(said);
            one.decide(at);
        });
    }

    /// An intent by an approval; or one of somebody who is about to decide, which tells how they are known.
    fn intent(&mut self, seen: &Seen<'_>) {
        let id = text_at(seen.record, "approval.id");
        if !id.is_empty() {
            let call = text_at(seen.record, "call").to_owned();
            self.note(seen, id, |one, at| {
                one.used.get_or_insert(at);
                one.calls.push(call);
            });
        }
        if text_at(seen.event, "understood.operation").starts_with("callgate.approval.") {
            let caller = |path: &str| text_at(seen.event, &format!("caller.{path}")).to_owned();
            let who = caller("accountable.id");
            if self.known.len() < PEOPLE_MAX || self.known.contains_key(&who) {
                let how =
                    format!("{}, {}", caller("credential.kind"), caller("accountable.assurance"));
                self.known.insert(who, how);
            }
        }
    }

    fn note(&mut self, seen: &Seen<'_>, id: &str, change: impl FnOnce(&mut Story, Timestamp)) {
        if let Some(one) = self.stories.get_mut(id) {
            one.is_inside |= seen.is_inside;
            change(one, seen.at);
        }
    }

    /// Those of the period, the oldest first.
    fn inside(&self) -> Vec<(&str, &Story)> {
        let all = self.stories.iter().filter(|(_, one)| one.is_inside);
        let mut all: Vec<_> = all.map(|(id, one)| (id.as_str(), one)).collect();
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
            for said in one.said.iter().filter(|said| self.period.has(said.at)) {
                all.said += 1;
                all.by_passkey += u64::from(said.has_passkey);
                all.quick += u64::from(said.at.ms_since(one.asked) < QUICK_MS);
                all.of_own += u64::from(said.approves && one.people.contains(&said.by));
            }
            all.broken += u64::from(one.broken.is_some());
            all.unreviewed += u64::from(one.broken.is_some() && one.review.is_none());
            for (at, list) in
                [(one.approved, &mut all.approved_ms), (one.denied, &mut all.denied_ms)]
            {
                let took = at.filter(|at| self.period.has(*at)).map(|at| at.ms_since(one.asked));
                list.extend(took);
                all.took_ms.extend(took);
            }
        }
        all.took_ms.sort_unstable();
        all
    }
}

/// Which approval it is about: its entry says so, also when its content is erased; earlier ones said it in the event.
fn which<'a>(seen: &Seen<'a>) -> &'a str {
    let said = text_at(seen.record, "approval.id");
    if said.is_empty() { text_at(seen.event, "id") } else { said }
}

impl Figures {
    /// How long half of them took at most, in seconds.
    pub(super) fn median_s(&self) -> u64 {
        let half = self.took_ms.len().saturating_sub(1) / 2;
        self.took_ms.get(half).map_or(0, |ms| ms.div_ceil(1_000))
    }
}

impl Story {
    fn decide(&mut self, at: Timestamp) {
        let words = |gate: &str| self.words.get(gate).copied().unwrap_or_default();
        let is_denied = self.gates.iter().any(|(gate, _, denials)| words(gate).1 >= *denials);
        let is_approved = self.gates.iter().all(|(gate, quorum, _)| words(gate).0 >= *quorum);
        if self.approved.is_none() && self.denied.is_none() {
            self.denied = is_denied.then_some(at);
            self.approved = (is_approved && !is_denied).then_some(at);
        }
    }

    fn is_over(&self) -> bool {
        let is_reviewed = self.broken.is_none() || self.review.is_some();
        let ended = self.used.is_some() || self.denied.is_some() || self.withdrawn || self.expired;
        ended && is_reviewed
    }

    /// How it ended, as far as `end` goes.
    fn ended(&self, end: Timestamp) -> &'static str {
        let is_late = match self.approved {
            Some(at) => end > at.after_ms(self.use_within_ms),
            None => end > self.decide_until,
        };
        match () {
            () if self.used.is_some() && self.broken.is_some() => "used_by_broken_glass",
            () if self.used.is_some() => "used",
            () if self.withdrawn => "withdrawn",
            () if self.denied.is_some() => "denied",
            () if self.expired || is_late => "expired",
            () if self.approved.is_some() => "approved",
            () => "waiting",
        }
    }

    fn row(&self, id: &str, end: Timestamp) -> Vec<String> {
        let decided = self.approved.or(self.denied);
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let took = decided.map(|at| (at.ms_since(self.asked) / 1_000).to_string());
        let said = |one: &Said| {
            let verb = if one.approves { "approves" } else { "denies" };
            format!("{} {verb} at {} ({})", one.by, one.at, one.how)
        };
        let quorums: Vec<String> =
            self.gates.iter().map(|(_, quorum, _)| quorum.to_string()).collect();
        let gates: Vec<&str> = self.gates.iter().map(|(gate, _, _)| gate.as_str()).collect();
        let (broken_by, why) = self.broken.clone().unwrap_or_default();
        vec![
            id.to_owned(),
            self.asked.to_string(),
            self.asker.clone(),
            self.agent.clone(),
            self.operation.clone(),
            self.server.clone(),
            self.tool.clone(),
            self.risk.clone(),
            self.targets.clone(),
            gates.join(" "),
            quorums.join(" "),
            self.ended(end).to_owned(),
            time(decided),
            took.unwrap_or_default(),
            self.said.iter().map(said).collect::<Vec<_>>().join("; "),
            time(self.used),
            self.calls.join(" "),
            broken_by,
            why,
            self.review.clone().unwrap_or_default(),
            self.index.to_string(),
        ]
    }
}
