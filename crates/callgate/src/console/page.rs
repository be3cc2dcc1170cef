//! What the pages show: everything from the gateway's own record of the call, nothing from what an agent says about it.

use askama::Template;
use callgate_model::ambient::Timestamp;
use callgate_model::approval::ApprovalState;
use callgate_model::json::{Json, JsonLimits, read};

use super::chart::{Chart, Series};
use crate::habits::{Habits, TIMES_S};
use crate::print::approval as told;
use crate::print::{safe, safe_lines};

#[derive(Template)]
#[template(path = "console/sign_in.html")]
pub(super) struct SignIn<'a> {
    pub(super) problem: Option<&'a str>,
    pub(super) next: &'a str,
}

#[derive(Template)]
#[template(path = "console/inbox.html")]
pub(super) struct Inbox<'a> {
    pub(super) who: &'a str,
    pub(super) csrf: &'a str,
    pub(super) note: Option<&'a str>,
    pub(super) waiting: Vec<Shown>,
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
    pub(super) targets: Vec<String>,
    pub(super) asker: String,
    pub(super) client: String,
    pub(super) workflow: Option<String>,
    pub(super) gates: Vec<String>,
    pub(super) votes: Vec<String>,
    pub(super) arguments: Vec<Argument>,
}

/// One argument of the call.
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) value: String,
    /// Whether letters of other scripts are in it: some look like those of ASCII.
    pub(super) is_foreign: bool,
}

impl Shown {
    /// With the arguments if `whole`.
    pub(super) fn of(state: &ApprovalState, now: Timestamp, whole: bool) -> Self {
        let approval = &state.approval;
        let (about, asker) = (&approval.about, &approval.asker);
        let gates = approval.gates.iter();
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
            targets: told::targets(state).iter().map(|target| safe(target)).collect(),
            asker: safe(&asker.summary()),
            client: safe(&format!("{} ({})", asker.client, asker.credential)),
            workflow: asker.workflow.as_deref().map(safe),
            gates: gates
                .map(|gate| {
                    safe(&format!("{} by {} of {}", gate.policy, gate.quorum, gate.approvers))
                })
                .collect(),
            votes: told::votes(state).iter().map(|vote| safe(vote)).collect(),
            arguments: if whole { arguments(&approval.arguments) } else { Vec::new() },
        }
    }
}

fn arguments(canonical: &str) -> Vec<Argument> {
    let Ok(Json::Object(arguments)) = read(canonical.as_bytes(), &JsonLimits::default()) else {
        return Vec::new();
    };
    let shown = arguments.iter().map(|(name, value)| {
        let text = match value {
            Json::String(text) => text.clone(),
            other @ (Json::Array(_)
            | Json::Bool(_)
            | Json::Null
            | Json::Number(_)
            | Json::Object(_)) => other.to_text(),
        };
        Argument { name: safe(name), value: safe_lines(&text), is_foreign: !text.is_ascii() }
    });
    shown.collect()
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
        let state = ApprovalState { approval, votes: Vec::new(), use_until: None, ended: None };
        let one = Shown::of(&state, at, true);
        let body = one.arguments.iter().find(|argument| argument.name == "body").unwrap();
        assert!(body.is_foreign, "a Cyrillic a");
        let html = ApprovalPage { who: "carol", csrf: "x", problem: None, one }.render().unwrap();
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
