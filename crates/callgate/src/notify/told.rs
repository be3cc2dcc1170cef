//! What people are told of an approval: made by the gateway from its own record of the call, never from what an agent says about it.
//!
//! For people it is inert: nothing in it that comes from elsewhere is a link, a mention or markup, wherever it is shown.

use callgate_gateway::pipeline::Gateway;
use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::{ApprovalState, Ended, Occasion, Standing};
use callgate_model::decision::{Gate, PolicyRef};
use callgate_model::json::{Json, JsonLimits, read};
use callgate_model::redact;
use callgate_store::Taken;
use serde_json::{Value, json};

use crate::print::approval as words;
use crate::print::safe;

/// Longest text from elsewhere that is shown, in characters.
const TEXT_CHARS_MAX: usize = 300;
/// Most targets or arguments that are shown one by one.
const SHOWN_MAX: usize = 10;
/// The longest message, in characters: Slack takes 3000.
const MESSAGE_CHARS_MAX: usize = 2_900;
/// The longest title, in characters: Slack takes 150.
const TITLE_CHARS_MAX: usize = 140;

/// What there is to be told, by name.
pub(super) const NAMES: [&str; 25] = [
    "accountable",
    "agent",
    "approval",
    "asked_at",
    "asked_by",
    "client",
    "code",
    "credential",
    "decide_until",
    "effect",
    "gates",
    "granted",
    "occasion",
    "operation",
    "page",
    "reversibility",
    "risk",
    "server",
    "standing",
    "targets",
    "title",
    "tool",
    "use_within_s",
    "votes",
    "workflow",
];
/// What there is only if the configuration says so.
pub(super) const ARGUMENTS: &str = "arguments";

/// Something to be told.
#[derive(Debug)]
pub(crate) struct Told {
    /// By which whoever gets it twice knows it.
    pub(super) id: Id,
    pub(super) occasion: Occasion,
    pub(super) at: Timestamp,
    pub(super) state: ApprovalState,
    /// The gates, with what their policies say of themselves, if these are still in force.
    pub(super) gates: Vec<(Gate, Option<PolicyRef>)>,
    /// Where somebody can decide. The address alone lets nobody do anything.
    pub(super) page: Option<String>,
}

/// A message for people: plain text, a line each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Whether somebody is to decide, or only to look.
    pub(super) asks: bool,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) page: Option<String>,
}

/// How texts are made fit for whoever reads them.
pub(super) struct Reader {
    /// Those from elsewhere.
    pub(super) foreign: fn(&str) -> String,
    /// Those of the operator, or of a catalog.
    pub(super) own: fn(&str) -> String,
}

/// Programs get everything as it is.
pub(super) const PROGRAMS: Reader = Reader { foreign: str::to_owned, own: str::to_owned };
/// People get nothing that could be taken for something else.
pub(super) const PEOPLE: Reader = Reader { foreign: inert, own: safe };

impl Told {
    pub(super) fn new(
        gateway: &Gateway,
        taken: &Taken,
        state: ApprovalState,
        at: Timestamp,
    ) -> Self {
        let Taken { id, occasion, page, .. } = taken;
        let bundle = gateway.bundle();
        let is_in_force = bundle.digest() == state.approval.bundle;
        let about = |gate: &Gate| {
            let policy = bundle.about(&gate.policy).filter(|_| is_in_force);
            (gate.clone(), policy.cloned())
        };
        let gates = state.approval.gates.iter().map(about).collect();
        // Somebody else may have pages who asked.
        let page = gateway.page_of(state.approval.id).or_else(|| page.clone());
        Self { id: *id, occasion: *occasion, at, state, gates, page }
    }

    /// All of it by name: for programs, and for templates.
    pub(super) fn data(&self, arguments: bool, reader: &Reader) -> Value {
        let Reader { foreign, own } = reader;
        let approval = &self.state.approval;
        let (about, asker) = (&approval.about, &approval.asker);
        let gate = |(gate, policy): &(Gate, Option<PolicyRef>)| {
            json!({
                "policy": own(&gate.policy),
                "approvers": own(&gate.approvers),
                "quorum": gate.quorum,
                "reason": policy.as_ref().map(|policy| own(&policy.reason)),
                "owner": policy.as_ref().map(|policy| own(&policy.owner)),
            })
        };
        let votes = self.state.votes.iter().map(|vote| {
            json!({
                "by": foreign(&vote.by),
                "approves": vote.approves,
                "reason": vote.reason.as_deref().map(foreign),
                "at": vote.at,
            })
        });
        let mut data = json!({
            "approval": approval.id,
            "code": approval.short_code(),
            "occasion": self.occasion.as_str(),
            "standing": self.state.standing(self.at).as_str(),
            "page": self.page,
            "asked_by": foreign(&asker.summary()),
            "accountable": foreign(&asker.accountable),
            "agent": asker.agent.as_deref().map(foreign),
            "client": foreign(&asker.client),
            "credential": own(&asker.credential),
            "workflow": asker.workflow.as_deref().map(foreign),
            "server": own(&about.server),
            "tool": foreign(&about.tool),
            "operation": own(&about.operation),
            "title": own(&about.title),
            "effect": own(&about.effect),
            "risk": own(&about.risk),
            "reversibility": own(&about.reversibility),
            "targets": words::targets(&self.state).iter().map(|one| foreign(one)).collect::<Vec<_>>(),
            "gates": self.gates.iter().map(gate).collect::<Vec<_>>(),
            "granted": self.granted().as_deref().map(foreign),
            "votes": votes.collect::<Vec<_>>(),
            "asked_at": approval.at,
            "decide_until": approval.decide_until,
            "use_within_s": approval.use_within_s,
        });
        if let Some(all) = data.as_object_mut().filter(|_| arguments) {
            all.insert(ARGUMENTS.to_owned(), read_by(*foreign, &self.arguments()));
        }
        data
    }

    /// As people read it who have no template of their own.
    pub(super) fn message(&self, arguments: bool) -> Message {
        let approval = &self.state.approval;
        let (about, asker) = (&approval.about, &approval.asker);
        let mut lines = Vec::new();
        let mut say = |name: &str, text: &str| lines.push(format!("{name}: {text}"));
        say("asked by", &inert(&asker.summary()));
        say("through", &format!("{} ({})", inert(&asker.client), safe(&asker.credential)));
        asker.workflow.iter().for_each(|run| say("in the run", &inert(run)));
        // Of a resource, it is the URI that was asked for.
        say("tool", &format!("{} on {}", inert(&about.tool), safe(&about.server)));
        say("means", &safe(&format!("{}: {}", about.operation, about.title)));
        let effect = format!("{}, {} risk, {}", about.effect, about.risk, about.reversibility);
        say("effect", &safe(&effect));
        some(words::targets(&self.state)).iter().for_each(|target| say("touches", &inert(target)));
        for (gate, policy) in &self.gates {
            say("gate", &safe(&gate.told()));
            if let Some(policy) = policy {
                say("because", &safe(&format!("{} ({})", policy.reason, policy.owner)));
            }
        }
        say("clock", &words::clock(&self.state, self.at));
        words::votes(&self.state).iter().for_each(|vote| say("said", &inert(vote)));
        self.granted().iter().for_each(|what| say("granted", &inert(what)));
        let told = self.arguments();
        let named = told.as_object().filter(|_| arguments).into_iter().flatten();
        let named = named.map(|(name, value)| format!("{name} = {value}"));
        some(named.collect()).iter().for_each(|text| say("argument", &inert(text)));
        if self.page.is_none() && self.occasion.asks() {
            lines.push(format!("decide: callgate approvals show {}", approval.id));
        }
        Message::new(&self.title(), lines, self.page.clone())
    }

    /// The arguments without secrets, while it is open; then, what is recorded of them.
    fn arguments(&self) -> Value {
        let approval = &self.state.approval;
        let whole = approval.arguments.as_bytes();
        let whole = read(whole, &JsonLimits::of_bytes(whole.len())).ok();
        let told = whole.as_ref().and_then(Json::as_object).map(redact::arguments);
        let told = told.and_then(|told| serde_json::to_value(told).ok());
        told.unwrap_or_else(|| approval.about.arguments.clone())
    }

    /// What those who approved it let through beside it.
    fn granted(&self) -> Option<String> {
        self.state.granted().and_then(|_| words::offer(&self.state.approval))
    }

    fn title(&self) -> String {
        let approval = &self.state.approval;
        let what = match (self.occasion, self.state.standing(self.at)) {
            (Occasion::Requested, _) => "Approval wanted",
            (Occasion::LetThrough, _) => "Let through",
            (Occasion::GlassBroken, _) => "Glass broken",
            (Occasion::Escalated, _) => "Approval still wanted",
            (Occasion::Closed, Standing::Waiting | Standing::Expired) => "Nobody decided",
            (Occasion::Closed, Standing::Ended(Ended::Denied)) => "Denied",
            (Occasion::Closed, Standing::Ended(Ended::Withdrawn)) => "Withdrawn",
            (
                Occasion::Closed,
                Standing::Approved { .. } | Standing::Unused | Standing::Ended(Ended::Spent { .. }),
            ) => "Approved",
        };
        let (code, about) = (approval.short_code(), &approval.about);
        format!("{what}: {code}, {}, {} risk", about.operation, about.risk)
    }
}

impl Message {
    /// A message of at most so many characters as every channel takes.
    pub(super) fn new(title: &str, lines: Vec<String>, page: Option<String>) -> Self {
        let title = safe(title).chars().take(TITLE_CHARS_MAX).collect();
        let mut room = MESSAGE_CHARS_MAX;
        let mut kept = Vec::new();
        for line in lines {
            let length = line.chars().count() + 1;
            if length > room {
                let begin: String = line.chars().take(room).collect();
                kept.push(begin + "…");
                break;
            }
            room -= length;
            kept.push(line);
        }
        Self { asks: true, title, lines: kept, page }
    }

    /// What the link says.
    pub(super) const fn link(&self) -> &'static str {
        if self.asks { "Look at it and decide" } else { "Look at it" }
    }

    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The first of them, and how many more there are.
pub(super) fn some(mut all: Vec<String>) -> Vec<String> {
    let more = all.len().saturating_sub(SHOWN_MAX);
    all.truncate(SHOWN_MAX);
    all.extend((more > 0).then(|| format!("and {more} more")));
    all
}

pub(super) fn read_by(foreign: fn(&str) -> String, value: &Value) -> Value {
    match value {
        Value::String(text) => foreign(text).into(),
        Value::Array(all) => all.iter().map(|one| read_by(foreign, one)).collect(),
        Value::Object(all) => {
            all.iter().map(|(name, one)| (foreign(name), read_by(foreign, one))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Text of which no program makes a link: what is no address any more is no address of an attacker. Its brackets are for people.
pub(super) fn inert(text: &str) -> String {
    let text: Vec<char> = safe(text).chars().collect();
    let mut inert = String::new();
    for (index, c) in text.iter().copied().enumerate().take(TEXT_CHARS_MAX) {
        let before = index.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(index + 1);
        let follows = before.is_some_and(|c| c.is_alphanumeric());
        let leads = after.is_some_and(|c| c.is_alphabetic());
        match c {
            '.' if follows && leads => inert.push_str("[.]"),
            ':' if follows && (leads || after == Some(&'/')) => inert.push_str("[:]"),
            c => inert.push(c),
        }
    }
    if text.len() > TEXT_CHARS_MAX {
        inert.push('…');
    }
    inert
}

#[cfg(test)]
pub(super) mod tests;
