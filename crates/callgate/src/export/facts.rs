//! What a record says, in the words that all formats share. Texts are as they were recorded: each format makes them safe in its own way.

mod change;

use callgate_model::ambient::Timestamp;
use callgate_model::evidence::Kind;
use callgate_model::json::{Json, Number, Object};

pub(super) use change::{Changed, Does};

use super::Exported;
use crate::print::call::target;

/// What stands where a format wants a text and nothing is known.
pub(super) const UNKNOWN: &str = "unknown";

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be.
    Allow,
    /// It may not be.
    Deny,
    /// Somebody has to approve it first.
    ApprovalRequired,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// As it was asked for.
    Well,
    /// It was refused, or failed.
    Badly,
    /// It is not known, or not yet.
    Unknown,
}

/// How much somebody should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// It is how things go.
    Informational,
    /// Worth a look if many come.
    Low,
    /// Worth a look.
    Medium,
    /// Somebody should look.
    High,
    /// Somebody should look now.
    Critical,
}

/// A record, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The record.
    pub(super) record: &'a Json,
    /// What it is about.
    pub(super) kind: Kind,
    /// Its event; `null` if that was erased.
    event: &'a Json,
    /// The event that says who wanted what, and what was decided: its own or its intent's.
    decided: &'a Json,
}

impl<'a> Facts<'a> {
    pub(super) fn of(exported: &Exported<'a>) -> Self {
        let record = exported.record;
        // One that this version does not know is told as a change that it does not know.
        let kind = Kind::parse(text_at(record, "kind")).unwrap_or(Kind::Change);
        let event = at(record, "event");
        let decided = match kind {
            Kind::Intent | Kind::Refusal => event,
            Kind::Outcome | Kind::Settled => {
                exported.intent.map_or(&Json::Null, |intent| at(intent, "event"))
            }
            Kind::Opened | Kind::Change => &Json::Null,
        };
        Self { record, kind, event, decided }
    }

    /// Whether its content was erased: who, what and where are not known any more.
    pub(super) fn is_erased(&self) -> bool {
        *self.event == Json::Null
    }

    /// A member of the event, by the names that lead to it, joined by dots; `null` if it is not there.
    pub(super) fn event(&self, path: &str) -> &'a Json {
        at(self.event, path)
    }

    /// The same as text.
    pub(super) fn told(&self, path: &str) -> &'a str {
        text_at(self.event, path)
    }

    /// A member of the event that says who wanted what.
    pub(super) fn decided(&self, path: &str) -> &'a Json {
        at(self.decided, path)
    }

    /// The same as text.
    pub(super) fn asked(&self, path: &str) -> &'a str {
        text_at(self.decided, path)
    }

    /// A member of the record as text.
    pub(super) fn own(&self, path: &str) -> &'a str {
        text_at(self.record, path)
    }

    /// A member that stands in the entry, and did in the event before.
    fn either(&self, name: &str) -> &'a str {
        Some(self.own(name)).filter(|text| !text.is_empty()).unwrap_or_else(|| self.told(name))
    }

    /// The call that it is about.
    pub(super) fn call(&self) -> &'a str {
        self.either("call")
    }

    /// The outcome of a call, what somebody found of it, or what they said of an approval.
    pub(super) fn outcome(&self) -> &'a str {
        match self.kind {
            Kind::Settled => self.told("finding"),
            Kind::Outcome => self.either("outcome"),
            Kind::Change => self.said_of_it(),
            Kind::Opened | Kind::Intent | Kind::Refusal => "",
        }
    }

    /// What was changed: `token_issued`.
    pub(super) fn change(&self) -> &'a str {
        self.either("change")
    }

    /// When, in milliseconds since 1970.
    pub(super) fn at_ms(&self) -> i64 {
        Timestamp::parse(self.own("at")).unwrap_or_default().unix_ms()
    }

    /// The decision, if it is about a call.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self.kind {
            Kind::Intent | Kind::Outcome | Kind::Settled => Some(Verdict::Allow),
            Kind::Refusal if self.asked("decision.verdict") == "approval_required" => {
                Some(Verdict::ApprovalRequired)
            }
            Kind::Refusal => Some(Verdict::Deny),
            Kind::Opened | Kind::Change => None,
        }
    }

    /// The reason codes.
    pub(super) fn reasons(&self) -> Vec<&'a str> {
        texts(self.decided("decision.reasons"))
    }

    /// The policies that determined it, each with its owner.
    pub(super) fn policies(&self) -> Vec<(&'a str, &'a str)> {
        let policies = self.decided("decision.policies").as_array().unwrap_or_default();
        policies.iter().map(|policy| (text_at(policy, "id"), text_at(policy, "owner"))).collect()
    }

    /// The same in words: `deletes-need-a-lead (platform)`.
    pub(super) fn policies_told(&self) -> Vec<String> {
        self.policies().into_iter().map(|(id, owner)| format!("{id} ({owner})")).collect()
    }

    /// What the call touches, or the call that waits for an approval.
    pub(super) fn targets(&self) -> &'a [Json] {
        let places = [self.decided("understood.targets"), self.event("approval.about.targets")];
        places.into_iter().find_map(Json::as_array).unwrap_or_default()
    }

    /// The same in words: `Jira::Issue acme/ENG-42`.
    pub(super) fn targets_told(&self) -> Vec<String> {
        self.targets().iter().map(target).collect()
    }

    /// Who did it: whose call it is, or who made a change. Empty if it is not known.
    pub(super) fn who(&self) -> &'a str {
        match self.kind {
            // Who made it may be told with the agent that acts for them, in one text; here they stand apart.
            Kind::Change => first(&[self.told("approval.asker.accountable"), self.told("by")]),
            Kind::Opened | Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled => {
                self.asked("caller.accountable.id")
            }
        }
    }

    /// Who says what became of a call of which the gateway does not know.
    pub(super) fn settled_by(&self) -> &'a str {
        if self.kind == Kind::Settled { self.told("by") } else { "" }
    }

    /// The agent that acts.
    pub(super) fn agent(&self) -> &'a str {
        first(&[self.asked("caller.agent.id"), self.told("approval.asker.agent")])
    }

    /// The approval that it is about, that it waits for, or that let it through.
    pub(super) fn approval(&self) -> &'a str {
        let places = [
            self.asked("approved_by.id"),
            self.own("approval.id"),
            self.told("approval.id"),
            self.told("vote.approval"),
            self.told("glass.approval"),
            self.told("review.approval"),
        ];
        first(&places)
    }

    /// Why, in the words of whoever did it: asserted.
    pub(super) fn why(&self) -> &'a str {
        let places = [
            self.asked("why"),
            self.told("grant.reason"),
            self.told("revocation.reason"),
            self.told("vote.reason"),
            self.told("glass.reason"),
            self.told("review.note"),
            self.told("reason"),
            self.told("note"),
        ];
        first(&places)
    }

    /// The ticket that it belongs to.
    pub(super) fn ticket(&self) -> &'a str {
        let places = [
            self.asked("caller.workflow.ticket"),
            self.told("grant.ticket"),
            self.told("glass.ticket"),
        ];
        first(&places)
    }

    /// How long the server took, in microseconds.
    pub(super) fn upstream_us(&self) -> Option<i64> {
        self.event("upstream_us").as_number().and_then(Number::as_i64)
    }

    /// How it went.
    pub(super) fn went(&self) -> Went {
        match self.kind {
            Kind::Opened | Kind::Change => Went::Well,
            Kind::Settled if self.outcome() == "took_effect" => Went::Well,
            Kind::Intent | Kind::Settled => Went::Unknown,
            Kind::Refusal => Went::Badly,
            Kind::Outcome => match self.outcome() {
                "succeeded" => Went::Well,
                "tool_error" | "upstream_error" | "not_dispatched" => Went::Badly,
                // Cancelled, timed out, indeterminate: nobody knows. Or it is not over.
                _ => Went::Unknown,
            },
        }
    }

    /// Whether it is an outcome after which somebody has to look at the server.
    fn is_in_doubt(&self) -> bool {
        self.kind == Kind::Outcome
            && matches!(self.outcome(), "timed_out" | "cancelled" | "indeterminate")
    }

    /// How much somebody should care: a call by its risk, and one step more if it was denied or nobody knows what became of it.
    pub(super) fn severity(&self) -> Severity {
        match self.kind {
            Kind::Opened => Severity::Informational,
            Kind::Change => Changed::of(self.change()).severity,
            Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled => {
                let is_more = self.verdict() == Some(Verdict::Deny) || self.is_in_doubt();
                match (self.asked("understood.risk"), is_more) {
                    ("low", false) => Severity::Informational,
                    ("low", true) | ("medium", false) => Severity::Low,
                    ("high", true) | ("critical", false) => Severity::High,
                    ("critical", true) => Severity::Critical,
                    // Medium or high, or it never got so far that its risk was known.
                    _ => Severity::Medium,
                }
            }
        }
    }

    /// The chain but for the human and the client, for which formats have places of their own.
    pub(super) fn delegation(&self) -> Object {
        let member = |name: &str| self.decided(&format!("caller.{name}")).clone();
        super::said([
            ("agent", member("agent")),
            ("actors", member("actors")),
            ("workflow", member("workflow")),
            ("assurance", member("accountable.assurance")),
            (
                "credential",
                super::said([
                    ("kind", member("credential.kind")),
                    ("id", member("credential.id")),
                    ("digest", member("credential.digest")),
                ])
                .into(),
            ),
            ("client_says", self.decided("client_says").clone()),
        ])
    }

    /// One sentence for people.
    pub(super) fn sentence(&self) -> String {
        if self.is_erased() && self.kind != Kind::Outcome {
            return format!("{}: the content of this record was erased", self.own("kind"));
        }
        match self.kind {
            Kind::Opened => format!("Callgate {} has started", self.told("version")),
            Kind::Change => self.change_told(),
            Kind::Intent => format!("allowed: {}", self.call_told()),
            Kind::Refusal if self.verdict() == Some(Verdict::ApprovalRequired) => {
                format!("approval required: {}", self.call_told())
            }
            Kind::Refusal => {
                format!("denied ({}): {}", self.reasons().join(", "), self.call_told())
            }
            Kind::Outcome => format!("{}: {}", self.outcome(), self.call_told()),
            Kind::Settled => {
                format!("{} says {}: {}", self.told("by"), self.outcome(), self.call_told())
            }
        }
    }

    fn call_told(&self) -> String {
        if *self.decided == Json::Null {
            return "a call of which no more is known".to_owned();
        }
        let what =
            first(&[self.asked("tool"), self.asked("method"), "a request that could not be read"]);
        let operation = Some(self.asked("understood.operation"));
        let operation = operation.filter(|is| !is.is_empty() && *is != what);
        let means = operation.map(|is| format!(" ({is})")).unwrap_or_default();
        let on = Some(self.targets_told()).filter(|targets| !targets.is_empty());
        let on = on.map(|targets| format!(" on {}", targets.join(", "))).unwrap_or_default();
        let who = first(&[self.who(), "nobody known"]);
        let via = Some(self.agent()).filter(|agent| !agent.is_empty());
        let via = via.map(|agent| format!(" via {agent}")).unwrap_or_default();
        format!("{what}{means}{on} for {who}{via}")
    }
}

impl Verdict {
    /// Its name in records.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::ApprovalRequired => "approval_required",
        }
    }
}

/// The member that `path` leads to.
pub(crate) fn at<'a>(value: &'a Json, path: &str) -> &'a Json {
    path.split('.').try_fold(value, Json::get).unwrap_or(&Json::Null)
}

/// The same as text; empty if there is none.
pub(crate) fn text_at<'a>(value: &'a Json, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The texts of an array.
pub(crate) fn texts(value: &Json) -> Vec<&str> {
    value.as_array().unwrap_or_default().iter().filter_map(Json::as_str).collect()
}

/// The first that says something.
pub(super) fn first<'a>(texts: &[&'a str]) -> &'a str {
    texts.iter().find(|text| !text.is_empty()).copied().unwrap_or_default()
}
