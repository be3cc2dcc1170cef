//! What the pages show: from the gateway's own record of the call. What an agent says about it stands apart.

use askama::Template;
use callgate_model::ambient::Timestamp;
use callgate_model::approval::{Approval, ApprovalState};
use callgate_model::json::{Json, JsonLimits, read};

use super::chart::{Chart, Series};
use crate::habits::{Habits, TIMES_S};
use crate::print::approval as told;
use crate::print::{safe, safe_lines};

#[derive(Template)]
#[template(path = "console/inbox.html")]
pub(super) struct Inbox<'a> {
    pub(super) who: &'a str,
    pub(super) csrf: &'a str,
    pub(super) note: Option<&'a str>,
    /// What waits for whoever looks, and what does not: those of both that there are.
    pub(super) waiting: Vec<(&'static str, Vec<Shown>)>,
    /// Those for which the glass was broken, and that nobody has reviewed.
    pub(super) broken: Vec<Shown>,
    pub(super) ended: Vec<Shown>,
    /// How people decide: what is counted, and how much.
    pub(super) figures: Vec<(&'static str, String)>,
    pub(super) suggestions: Vec<String>,
    /// How long it took to decide, if anybody did.
    pub(super) chart: Option<Chart>,
    /// When the page was made, and of what.
    pub(super) now: String,
    pub(super) seen: String,
}

#[derive(Template)]
#[template(path = "console/approval.html")]
pub(super) struct ApprovalPage<'a> {
    pub(super) who: &'a str,
    pub(super) csrf: &'a str,
    pub(super) problem: Option<String>,
    pub(super) one: Shown,
    /// The gates, each with why it is there and whose it is, if its policy is still in force.
    pub(super) gates: Vec<(String, Option<String>)>,
    /// Whether whoever looks may break the glass, and whether they may review that it was broken.
    pub(super) can_break: bool,
    pub(super) can_review: bool,
    /// When the page was made, and of what.
    pub(super) now: String,
    pub(super) seen: String,
}

#[derive(Template)]
#[template(path = "console/message.html")]
pub(super) struct Message<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// How long people took to decide.
pub(super) fn times(habits: &Habits) -> Option<Chart> {
    const SAID: &[Series] = &[("allow", "approved"), ("deny", "denied")];
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let names = TIMES_S.iter().map(|most| format!("within {}", told::duration(*most)));
    let names = names.chain(["later".to_owned()]);
    let bars = names.zip(&habits.times);
    let bars = bars.map(|(name, said)| (name, vec![count(said.approved), count(said.denied)]));
    Chart::of("How long it took to decide", SAID, bars.collect())
}

/// An approval in words.
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) code: String,
    pub(super) shown: String,
    pub(super) standing: &'static str,
    pub(super) clock: String,
    pub(super) use_within: String,
    pub(super) title: String,
    pub(super) operation: String,
    pub(super) effect: String,
    pub(super) risk: String,
    pub(super) reversibility: String,
    pub(super) tool: String,
    pub(super) server: String,
    /// Each with what people call it, as its server says.
    pub(super) targets: Vec<(String, Option<String>)>,
    pub(super) asker: String,
    pub(super) client: String,
    pub(super) workflow: Option<String>,
    pub(super) votes: Vec<String>,
    pub(super) arguments: Vec<Argument>,
    /// Whether it is known what some of them would replace.
    pub(super) replaces: bool,
    /// What may be granted beside it.
    pub(super) offer: Option<String>,
    /// Why, in the agent's own words.
    pub(super) why: Option<String>,
    /// Whether whoever approves it needs a passkey.
    pub(super) step_up: bool,
}

/// One argument of the call.
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) value: String,
    /// What it would replace, as far as the gateway could read it.
    pub(super) now: Option<String>,
    /// Whether letters of other scripts are in it: some look like those of ASCII.
    pub(super) is_foreign: bool,
}

impl Shown {
    /// With the arguments if `whole`.
    pub(super) fn of(state: &ApprovalState, now: Timestamp, whole: bool) -> Self {
        let approval = &state.approval;
        let (about, asker) = (&approval.about, &approval.asker);
        Self {
            id: approval.id.to_string(),
            code: approval.short_code(),
            shown: if whole { approval.shown().to_string() } else { String::new() },
            standing: state.standing(now).as_str(),
            clock: told::clock(state, now),
            use_within: told::duration(approval.use_within_s),
            title: safe(&about.title),
            operation: safe(&about.operation),
            effect: about.effect.clone(),
            risk: about.risk.clone(),
            reversibility: about.reversibility.clone(),
            tool: safe(&about.tool),
            server: safe(&about.server),
            targets: told::named_targets(state)
                .iter()
                .map(|(target, title)| (safe(target), title.as_deref().map(safe)))
                .collect(),
            asker: safe(&asker.summary()),
            client: safe(&format!("{} ({})", asker.client, asker.credential)),
            workflow: asker.workflow.as_deref().map(safe),
            votes: told::votes(state).iter().map(|vote| safe(vote)).collect(),
            replaces: approval.looks.iter().any(|look| !look.now.is_empty()),
            arguments: if whole { arguments(approval) } else { Vec::new() },
            offer: told::offer(approval).as_deref().map(safe),
            why: about.why.as_deref().map(safe),
            step_up: approval.gates.iter().any(|gate| gate.step_up),
        }
    }
}

/// The arguments; the members of those that are objects one by one, beside what they would replace.
fn arguments(approval: &Approval) -> Vec<Argument> {
    let canonical = approval.arguments.as_bytes();
    let Ok(Json::Object(arguments)) = read(canonical, &JsonLimits::default()) else {
        return Vec::new();
    };
    let now = |path: &str| approval.looks.iter().find_map(|look| look.now.get(path));
    let one = |path: String, value: &Json| {
        let text = value.as_str().map_or_else(|| value.to_text(), str::to_owned);
        let is_foreign = !text.is_ascii();
        let now = now(&path).map(|now| safe_lines(now));
        Argument { name: safe(&path), value: safe_lines(&text), now, is_foreign }
    };
    let mut shown = Vec::new();
    for (name, value) in arguments.iter() {
        match value {
            Json::Object(members) if !members.is_empty() => shown.extend(
                members.iter().map(|(member, value)| one(format!("{name}.{member}"), value)),
            ),
            Json::Array(_)
            | Json::Bool(_)
            | Json::Null
            | Json::Number(_)
            | Json::Object(_)
            | Json::String(_) => shown.push(one(name.to_owned(), value)),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the agent writes is shown as it is sent, as text, and nothing of it can look like what the gateway says.
    #[test]
    fn a08_what_an_agent_writes_is_text() {
        let at = Timestamp::from_unix_ms(1_795_600_000_000);
        let mut approval = told::sample(at);
        let told =
            "</pre><h1>Approved by the security team</h1>\n\u{202e}gnp.exe\u{1b}[2J \u{430}dmin";
        approval.arguments = serde_json::json!({ "body": told, "<b>x</b>": 1 }).to_string();
        approval.about.title = "<script>alert(1)</script>".to_owned();
        let state = ApprovalState::asked(approval);
        let one = Shown::of(&state, at, true);
        let body = one.arguments.iter().find(|argument| argument.name == "body").unwrap();
        assert!(body.is_foreign, "a Cyrillic a");
        let html = {
            let (now, seen) = (String::new(), String::new());
            ApprovalPage {
                who: "carol",
                csrf: "x",
                problem: None,
                gates: Vec::new(),
                one,
                now,
                seen,
                can_break: false,
                can_review: false,
            }
            .render()
        }
        .unwrap();
        for hidden in ["<h1>Approved", "<script>", "<b>x", "\u{202e}", "\u{1b}"] {
            assert!(!html.contains(hidden), "{hidden}: {html}");
        }
        for shown in [
            "Approved by the security team",
            "\\u{202e}gnp.exe",
            "\\u{1b}[2J",
            "not only ASCII letters",
        ] {
            assert!(html.contains(shown), "{shown}: {html}");
        }
    }
}
