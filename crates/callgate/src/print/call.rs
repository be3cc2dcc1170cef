//! A call as it is recorded, in words: the same on the command line and in the console.

use std::collections::BTreeSet;

use callgate_model::ambient::Id;
use callgate_model::authority::{Administered, Change, from_text};
use callgate_model::evidence::Link;
use callgate_model::json::Json;
use callgate_store::{EvidenceStore, Filter, Row, StoreError};

use super::approval::voted;

/// What is told of a decided call. Its texts are as they were recorded: whoever shows them makes them safe.
#[derive(Debug)]
pub(crate) struct CallTold {
    pub(crate) verdict: String,
    pub(crate) server: String,
    pub(crate) tool: String,
    pub(crate) operation: String,
    pub(crate) effect: String,
    pub(crate) risk: String,
    pub(crate) targets: Vec<String>,
    pub(crate) who: String,
    pub(crate) reasons: Vec<String>,
    /// With the owner of each.
    pub(crate) policies: Vec<(String, String)>,
    /// What it would be if nothing were in shadow, and why, if that is something else.
    pub(crate) would: Option<String>,
    /// How long it took to decide.
    pub(crate) took: String,
    /// The approval that it waits for, or that let it through.
    pub(crate) approval: Option<String>,
    /// Whether the gateway read this itself, to find what another call touches.
    pub(crate) is_own_read: bool,
    /// Whether what the record says was erased: all but the decision is unknown.
    pub(crate) is_erased: bool,
}

const ERASED: &str = "(erased)";

impl CallTold {
    /// Of an intent or a refusal.
    pub(crate) fn of(row: &Row) -> Self {
        let event = row.event();
        let is_erased = event == Json::Null;
        let at = |path: [&str; 2]| event.get(path[0]).and_then(|inner| inner.get(path[1]));
        let list = |path| at(path).and_then(Json::as_array).unwrap_or_default();
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let policy = |policy: &Json| (text(policy, "id"), text(policy, "owner"));
        let micros = event.get("decided_in_us").and_then(Json::as_number);
        let micros = micros.and_then(|number| number.as_i64()).unwrap_or(0);
        Self {
            verdict: owned(row.verdict.as_deref()),
            server: owned(row.server.as_deref()),
            tool: owned(row.tool.as_deref()),
            operation: owned(row.operation.as_deref()),
            effect: owned(at(["understood", "effect"]).and_then(Json::as_str)),
            risk: owned(at(["understood", "risk"]).and_then(Json::as_str)),
            targets: list(["understood", "targets"]).iter().map(target).collect(),
            who: if is_erased {
                ERASED.to_owned()
            } else {
                who(event.get("caller").unwrap_or(&Json::Null))
            },
            reasons: list(["decision", "reasons"]).iter().map(plain).collect(),
            policies: list(["decision", "policies"]).iter().map(policy).collect(),
            would: at(["decision", "would"]).map(would),
            took: format!(
                "{:.1} ms",
                f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0
            ),
            approval: at(["approved_by", "id"]).and_then(Json::as_str).map(str::to_owned),
            is_own_read: event.get("resolves").is_some_and(|call| *call != Json::Null),
            is_erased,
        }
    }

    /// Decision, tool, targets, caller, reasons, policies and time, on one line.
    pub(crate) fn line(&self) -> String {
        if self.is_erased {
            return format!("{:<17} {ERASED}", self.verdict);
        }
        let policies: Vec<&str> = self.policies.iter().map(|(id, _)| &**id).collect();
        let would = self.would.as_ref().map(|would| format!("  would be {would}"));
        format!(
            "{:<17} {:<24} {:<34} {:<24} {} [{}] {}{}",
            self.verdict,
            self.tool,
            self.targets.join(", "),
            self.who,
            self.reasons.join(","),
            policies.join(","),
            self.took,
            would.unwrap_or_default()
        )
    }
}

/// `deny: guardrail by no-edits`
fn would(decision: &Json) -> String {
    let list = |name: &str| decision.get(name).and_then(Json::as_array).unwrap_or_default();
    let reasons: Vec<String> = list("reasons").iter().map(plain).collect();
    let policies: Vec<String> = list("policies").iter().map(|one| text(one, "id")).collect();
    let by = if policies.is_empty() { "" } else { " by " };
    let verdict = text(decision, "verdict");
    format!("{verdict}: {}{by}{}", reasons.join("+"), policies.join(", "))
}

/// The newest decisions that match, each with its outcome.
pub(crate) async fn newest(
    store: &dyn EvidenceStore,
    filter: Filter,
    limit: u32,
) -> Result<Vec<(Row, Option<String>)>, StoreError> {
    let filter = Filter { decided: true, limit: Some(limit), ..filter };
    let mut lines = Vec::new();
    for row in store.list(&filter).await? {
        let outcome = match row.call.filter(|_| row.kind == "intent") {
            Some(call) => ending(&store.show(call).await?),
            None => None,
        };
        lines.push((row, outcome));
    }
    Ok(lines)
}

/// The records of a call, and those of the approval that it waited for or went by: who was asked, saw it, and decided, and which
/// call spent it. In the order of the log; none, if there is no such call.
pub(crate) async fn records_of(
    store: &dyn EvidenceStore,
    call: Id,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = store.show(call).await?;
    let approval = |row: &Row| {
        let event = row.event();
        event.get("approved_by")?.get("id")?.as_str().map(str::to_owned)
    };
    if let Some(id) = rows.iter().find_map(approval) {
        let filter = Filter::default().with(Link::Approval, Some(id));
        let found = store.list(&filter).await?.into_iter();
        rows.extend(found.filter(|row| {
            row.kind == "change" || (row.call != Some(call) && spends_approval(&row.event()))
        }));
        rows.sort_by_key(|row| row.index);
    }
    Ok(rows)
}

/// What a record of a call or of its approval tells, in a few words.
pub(crate) fn heading(row: &Row, call: Id) -> String {
    let event = row.event();
    let spends = spends_approval(&event);
    match row.call {
        Some(other) if other != call => return format!("approval spent by the call {other}"),
        Some(_) if spends => return format!("{}, which spends the approval", row.kind),
        Some(_) | None => {}
    }
    let by = text(&event, "by");
    match from_text::<Administered>(&event.to_text()).map(|all| all.change) {
        Some(Change::ApprovalRequested { approval, .. }) => {
            let asked: BTreeSet<_> = approval.gates.iter().map(|gate| &*gate.approvers).collect();
            format!("approval asked of {}", asked.into_iter().collect::<Vec<_>>().join(" and "))
        }
        Some(Change::ApprovalViewed { .. }) => format!("approval seen by {by}"),
        Some(Change::ApprovalVoted { vote }) => voted(&vote),
        Some(Change::ApprovalWithdrawn { .. }) => format!("approval withdrawn by {by}"),
        Some(Change::ApprovalExpired { .. }) => "approval expired".to_owned(),
        Some(Change::GlassBroken { .. }) => format!("glass broken by {by}"),
        Some(Change::GlassReviewed { review }) => format!("{} says {by}", review.verdict.told()),
        // Nothing else is about a call or its approval, but what was erased, of which no more is known.
        Some(_) | None => row.kind.clone(),
    }
}

fn spends_approval(event: &Json) -> bool {
    let spends = event.get("approved_by").and_then(|approval| approval.get("spends"));
    spends.and_then(Json::as_bool).unwrap_or(false)
}

/// What came of a call, by its records: its last outcome, unless somebody has settled it.
pub(crate) fn ending(rows: &[Row]) -> Option<String> {
    let settled = rows.iter().rfind(|row| row.kind == "settled");
    let finding = settled.map(|row| text(&row.event(), "finding")).filter(|it| !it.is_empty());
    finding.or_else(|| rows.iter().rev().find_map(|row| row.outcome.clone()))
}

/// Whether somebody has to say what became of a call: nobody knows, and nobody has.
pub(crate) fn is_unsettled(rows: &[Row]) -> bool {
    let unknown = ["cancelled", "indeterminate", "timed_out"];
    let last = rows.iter().rev().find(|row| matches!(&*row.kind, "outcome" | "settled"));
    last.and_then(|row| row.outcome.as_deref()).is_some_and(|how| unknown.contains(&how))
}

fn text(value: &Json, name: &str) -> String {
    value.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Something that a call touches, as it is recorded: `Jira::Issue acme/ENG-42`, or why nobody knows which it is,
/// and how the agent spelled it.
pub(crate) fn target(target: &Json) -> String {
    let text = |name: &str| target.get(name).and_then(Json::as_str);
    let kind = text("kind").unwrap_or_default();
    match (text("id"), text("unresolved"), text("spelled")) {
        (Some(id), ..) => format!("{kind} {id}"),
        (None, Some(why), Some(spelled)) => format!("{kind} unresolved ({why}: {spelled})"),
        (None, Some(why), None) => format!("{kind} unresolved ({why})"),
        (None, None, _) => kind.to_owned(),
    }
}

fn who(caller: &Json) -> String {
    let id = |link: &str| caller.get(link).and_then(|link| link.get("id")).and_then(Json::as_str);
    match (id("accountable"), id("agent")) {
        (Some(accountable), Some(agent)) => format!("{accountable} via {agent}"),
        (Some(accountable), None) => accountable.to_owned(),
        (None, _) => "nobody".to_owned(),
    }
}

/// A value as indented lines, without what is empty.
pub(crate) fn outline(value: &Json, depth: usize) -> Vec<String> {
    let indent = "  ".repeat(depth);
    let members: Vec<(String, &Json)> = match value {
        Json::Object(object) => {
            object.iter().map(|(name, value)| (name.to_owned(), value)).collect()
        }
        Json::Array(elements) => elements.iter().map(|element| ("-".to_owned(), element)).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            return vec![format!("{indent}{}", plain(value))];
        }
    };
    let mut lines = Vec::new();
    for (name, member) in members {
        match member {
            Json::Null => {}
            Json::Object(object) if object.is_empty() => {}
            Json::Array(elements) if elements.is_empty() => {}
            Json::Object(_) | Json::Array(_) => {
                lines.push(format!("{indent}{name}"));
                lines.extend(outline(member, depth + 1));
            }
            Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                lines.push(format!("{indent}{name}: {}", plain(member)));
            }
        }
    }
    lines
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_text(), str::to_owned)
}
