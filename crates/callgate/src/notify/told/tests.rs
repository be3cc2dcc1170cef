use std::collections::BTreeSet;

use callgate_model::approval::{Offer, Vote};
use callgate_model::decision::Allotment;
use callgate_model::digest::Digest;

use super::*;
use crate::notify::news::News;
use crate::notify::template::Template;

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

/// Somebody is asked for a deletion, which `change` makes a little different.
pub(in crate::notify) fn told(change: impl FnOnce(&mut Told)) -> Told {
    let mut approval = words::sample(NOW);
    approval.about.targets = vec![json!({ "kind": "Jira::Issue", "id": "acme/ENG-45" })];
    approval.about.operation = "jira.issue.delete".to_owned();
    approval.about.arguments = json!({ "issueIdOrKey": "ENG-45" });
    approval.asker.agent = Some("release-bot".to_owned());
    let gate = Gate {
        policy: "deletes".to_owned(),
        approvers: "team:leads".to_owned(),
        quorum: 2,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 1,
        escalation: None,
        grants: None,
        step_up: false,
    };
    let policy = PolicyRef {
        id: "deletes".to_owned(),
        reason: "What is deleted is missed.".to_owned(),
        owner: "platform".to_owned(),
    };
    let state = ApprovalState::asked(approval);
    let mut told = Told {
        id: Id::new(NOW, [7; 16]),
        occasion: Occasion::Requested,
        at: NOW,
        page: Some(format!("https://gate.example/console/approvals/{}", state.approval.id)),
        state,
        gates: vec![(gate, Some(policy))],
    };
    change(&mut told);
    told
}

/// The same, as channels get it.
pub(in crate::notify) fn news(change: impl FnOnce(&mut Told)) -> News {
    News::Approval(Box::new(told(change)))
}

#[test]
fn people_are_told_who_wants_what_and_why_somebody_has_to_look() {
    let message = told(|_| {}).message(false);
    assert_eq!(message.title, "Approval wanted: 0000-0000, jira.issue.delete, high risk");
    assert_eq!(
        message.lines,
        [
            "asked by: alice via release-bot",
            "through: x (x)",
            "tool: x on x",
            "means: jira.issue.delete: x",
            "effect: write, high risk, reversible",
            "touches: Jira::Issue acme/ENG-45",
            "gate: deletes by 2 of team:leads",
            "because: What is deleted is missed. (platform)",
            "clock: to be decided until 2026-11-25 10:01:40 UTC, 15 minutes left",
        ]
    );
    assert!(message.page.unwrap().starts_with("https://gate.example/console/approvals/0190a0b0"));
}

/// A gateway behind a pipe has no pages.
#[test]
fn without_a_page_the_command_is_told() {
    let message = told(|told| told.page = None).message(false);
    let id = "0190a0b0-0000-7000-8000-000000000000";
    let command = format!("decide: callgate approvals show {id}");
    assert_eq!((message.lines.last(), message.page), (Some(&command), None));
}

#[test]
fn arguments_are_told_only_if_somebody_wants_them() {
    let told = told(|_| {});
    assert!(!told.message(false).text().contains("issueIdOrKey"));
    assert!(told.message(true).text().contains("argument: issueIdOrKey = \"ENG-45\""));
    assert!(told.data(false, &PROGRAMS).get("arguments").is_none());
    assert_eq!(told.data(true, &PROGRAMS)["arguments"]["issueIdOrKey"], "ENG-45");
}

fn vote(approves: bool) -> Vote {
    Vote {
        approval: Id::new(NOW, [1; 16]),
        by: "bob".to_owned(),
        approves,
        gates: Vec::new(),
        grants: false,
        reason: Some("not now".to_owned()),
        seen: Digest::default(),
        proof: None,
        known: None,
        at: NOW,
    }
}

#[test]
fn how_it_ended_is_told() {
    let title = |change: &dyn Fn(&mut Told)| {
        let told = told(|told| {
            told.occasion = Occasion::Closed;
            change(told);
        });
        let message = told.message(false);
        (message.title.split(':').next().unwrap().to_owned(), message.text())
    };
    assert_eq!(title(&|told| told.at = NOW.after_ms(900_000)).0, "Nobody decided");
    let (denied, text) = title(&|told| {
        told.state.votes.push(vote(false));
        told.state.ended = Some((Ended::Denied, NOW));
    });
    assert_eq!(denied, "Denied");
    assert!(text.contains("said: denied by bob at") && text.contains("not now"), "{text}");
    assert_eq!(title(&|told| told.state.ended = Some((Ended::Withdrawn, NOW))).0, "Withdrawn");
    let call = Id::new(NOW, [2; 16]);
    for ended in [None, Some((Ended::Spent { call }, NOW))] {
        let approved = title(&|told| {
            told.state.votes.push(vote(true));
            told.state.use_until = Some(NOW.after_ms(1));
            told.state.ended = ended;
        });
        assert_eq!(approved.0, "Approved");
    }
}

/// Not each call that it lets through is told, but what was granted, once.
#[test]
fn what_is_granted_beside_an_approval_is_told_with_its_end() {
    let granted = |grants| {
        let message = told(|told| {
            told.occasion = Occasion::Closed;
            let (most, within) = (Allotment { uses: 20, within_s: 14_400 }, BTreeSet::new());
            told.state.approval.offer = Some(Offer { most, within });
            told.state.approval.gates = vec![Gate { quorum: 1, ..told.gates[0].0.clone() }];
            let gates = vec!["deletes".to_owned()];
            told.state.votes.push(Vote { gates, grants, ..vote(true) });
        });
        message.message(false).text()
    };
    assert!(granted(true).contains("granted: up to 20 more calls of x"), "{}", granted(true));
    assert!(!granted(false).contains("granted:"));
}

#[test]
fn a08_nothing_from_elsewhere_is_a_link_or_hidden() {
    for (text, shown) in [
        ("https://evil.example/x", "https[:]//evil[.]example/x"),
        ("go to www.evil.example now", "go to www[.]evil[.]example now"),
        ("mailto:a@b.example", "mailto[:]a@b[.]example"),
        ("Jira::Issue acme/ENG-45", "Jira::Issue acme/ENG-45"),
        ("at 12:30, 1.5 of 2.", "at 12:30, 1.5 of 2."),
        ("a\u{202e}b\u{1b}[0m\nc", "a\\u{202e}b\\u{1b}[0m\\nc"),
    ] {
        assert_eq!(inert(text), shown);
    }
    let long = inert(&"x".repeat(TEXT_CHARS_MAX + 1));
    assert_eq!(long.chars().count(), TEXT_CHARS_MAX + 1);
    assert!(long.ends_with('…'));
    let told = told(|told| {
        let spelled = json!({ "kind": "Unresolved", "unresolved": "not_found", "spelled": "https://evil.example\r\nBcc: x" });
        told.state.approval.about.targets = vec![spelled];
        told.state.approval.about.tool = "https://evil.example/resource".to_owned();
        told.state.approval.about.arguments =
            json!({ "https://evil.example": ["www.evil.example"] });
    });
    let message = told.message(true);
    assert!(message.lines.iter().all(|line| !line.contains(['\r', '\n'])), "{message:?}");
    let template = Template::new(
        Some("{{ targets[0] }}\n{{ arguments }}{{ tool }}".to_owned()),
        Some("{{ targets[0] }}".to_owned()),
        true,
    );
    let own = template.unwrap().message(&News::Approval(Box::new(told)), true).unwrap();
    for text in [message.text(), own.text(), own.title] {
        assert!(!text.contains("evil.example") && text.contains("evil[.]example"), "{text}");
    }
}

#[test]
fn i13_a_message_is_no_longer_than_what_every_channel_takes() {
    let told = told(|told| {
        let target = json!({ "kind": "Jira::Issue", "id": "x".repeat(400) });
        told.state.approval.about.targets = vec![target; 1_000];
        told.state.approval.about.operation = "o".repeat(1_000);
    });
    let message = told.message(true);
    assert!(message.text().chars().count() <= MESSAGE_CHARS_MAX + 2);
    assert!(message.title.chars().count() <= TITLE_CHARS_MAX);
    assert!(message.lines.last().unwrap().ends_with('…'));
    let one = Message::new("x", vec!["y".repeat(MESSAGE_CHARS_MAX), "z".to_owned()], None);
    assert_eq!(one.text(), "y".repeat(MESSAGE_CHARS_MAX) + "…", "its beginning");
    let all = told.message(false);
    assert!(all.text().matches("touches").count() <= SHOWN_MAX + 1);
}

/// What a template may name is what there is, and what the page tells of.
#[test]
fn every_name_of_a_template_is_there() {
    let data = told(|_| {}).data(false, &PEOPLE);
    let mut names: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, NAMES);
    let page = include_str!("../../../../../docs/notifications.md");
    for name in NAMES {
        let is_told = page.contains(&format!("\"{name}\"")) || page.contains(&format!("`{name}`"));
        assert!(is_told, "{name}");
    }
}

#[test]
fn operators_say_it_in_their_own_words() {
    let template = |text: &str, arguments| Template::new(Some(text.to_owned()), None, arguments);
    let text = "{{ code }} {% if agent %}by {{ agent }}{% endif %}\n{% for gate in gates %}{{ gate.approvers }}: {{ gate.reason }}{% endfor %}";
    let message = template(text, false).unwrap().message(&news(|_| {}), false).unwrap();
    assert_eq!(
        message.lines,
        ["0000-0000 by release-bot", "team:leads: What is deleted is missed."]
    );
    assert!(message.page.is_some(), "whatever it says");
    assert!(message.title.starts_with("Approval wanted"));
    for (bad, why) in [
        ("{{ cod }}", "there is no `cod`; there are: accountable"),
        ("{{ arguments.x }}", "without `arguments = true`"),
        ("{% if %}", "syntax error"),
        (&"x".repeat(20_000), "longer than"),
    ] {
        let said = template(bad, false).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    assert!(template("{{ arguments.x }}", true).is_ok());
}
