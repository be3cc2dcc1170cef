use callgate_model::digest::Digest;

use super::*;
use crate::notify::template::Template;
use crate::notify::told::{PEOPLE, PROGRAMS};
use callgate_model::approval::Occasion;

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

/// A call by an agent that writes what looks like a link.
fn called(page: Option<&str>) -> News {
    let record = json!({ "event": {
        "caller": { "accountable": { "id": "alice" }, "agent": { "id": "release-bot" } },
        "understood": { "effect": "delete", "risk": "high", "targets": [{ "kind": "Jira::Issue", "id": "https://evil.example" }] },
        "decision": { "policies": [{ "id": "leads-delete", "owner": "platform", "reason": "x" }], "reasons": ["permitted"] },
        "arguments": { "key": "www.evil.example" },
        "decided_in_us": 40,
    } });
    let call = Id::new(NOW, [1; 16]);
    let row = Row {
        index: Some(1),
        writer: call,
        sequence: 1,
        hash: Digest::default(),
        at: NOW,
        kind: "intent".to_owned(),
        call: Some(call),
        server: Some("atlassian".to_owned()),
        tool: Some("deleteJiraIssue".to_owned()),
        operation: Some("jira.issue.delete".to_owned()),
        verdict: Some("allow".to_owned()),
        outcome: None,
        accountable: Some("alice".to_owned()),
        agent: Some("release-bot".to_owned()),
        entry: String::new(),
        text: record.to_string(),
        links: Vec::new(),
        applies: Vec::new(),
    };
    let taken = Taken {
        id: Id::new(NOW, [2; 16]),
        channel: "leads".to_owned(),
        about: call,
        occasion: Occasion::LetThrough,
        page: None,
        attempt: 1,
        failure: None,
    };
    News::Call(Box::new(Called::new(&taken, &row, page.map(str::to_owned), NOW.after_ms(500))))
}

#[test]
fn people_are_told_what_was_let_through_and_by_which_permit() {
    let message = called(Some("https://gate.example/console/calls/x")).message(false);
    assert_eq!(message.title, "Let through: jira.issue.delete, high risk");
    assert_eq!(
        message.lines,
        [
            "asked by: alice via release-bot",
            "tool: deleteJiraIssue on atlassian",
            "effect: delete, high risk",
            "touches: Jira::Issue https[:]//evil[.]example",
            "let through by: leads-delete (platform)",
            "at: 2026-11-25 09:46:40 UTC",
        ]
    );
    assert_eq!(message.link(), "Look at it", "nobody is to decide");
    let last = called(None).message(false).lines.pop().unwrap();
    assert!(last.starts_with("look: callgate evidence show 01"), "{last}");
}

#[test]
fn its_arguments_are_told_only_if_somebody_wants_them() {
    let news = called(None);
    assert!(
        !news.message(false).text().contains("www")
            && news.data(false, &PROGRAMS).get("arguments").is_none()
    );
    assert!(news.message(true).text().contains("argument: key = \"www[.]evil[.]example\""));
    assert_eq!(news.data(true, &PROGRAMS)["arguments"]["key"], "www.evil.example");
    assert_eq!(news.data(true, &PEOPLE)["arguments"]["key"], "www[.]evil[.]example");
    assert_eq!(news.event(), "dev.callgate.call.let_through");
}

#[test]
fn a_test_says_that_it_is_one() {
    let page = "https://gate.example/console/channels".to_owned();
    let (channel, by) = ("leads".to_owned(), "www.evil.example".to_owned());
    let trial = News::Trial(Trial { id: Id::new(NOW, [3; 16]), at: NOW, channel, by, page });
    let message = trial.message(true);
    assert_eq!(message.title, "Test of the channel leads");
    assert_eq!(message.lines[0], "asked by: www[.]evil[.]example");
    assert_eq!((trial.event().as_str(), trial.is_too_late()), ("dev.callgate.test", false));
    assert_eq!(trial.data(true, &PROGRAMS)["asked_by"], "www.evil.example");
}

/// A template is for approvals: what it names is not there.
#[test]
fn a_template_leaves_it_as_it_is() {
    let template = Template::new(Some("{{ code }}".to_owned()), None, false).unwrap();
    let news = called(None);
    assert_eq!(template.message(&news, false).unwrap(), news.message(false));
}
