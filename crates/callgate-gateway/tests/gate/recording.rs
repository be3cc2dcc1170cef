//! What of arguments comes into the record.

use std::collections::BTreeMap;

use callgate_gateway::recording::Recording;
use callgate_model::treatment::Treatment;
use callgate_policy::Tier;

use crate::client::{delete, edit, issue};
use crate::support::{POLICIES, Rule, Setup, World};

/// What is not asked for is not recorded: not of calls, and not of what is asked to be approved.
#[tokio::test]
async fn only_digests_of_arguments_are_recorded_unless_somebody_asks_for_more() {
    let world = World::start(Setup { recording: Recording::default(), ..Setup::default() }).await;
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "canary-text")).await;
    assert_eq!(said.brief(), "ok");
    let waits = world.call("alice-release", "executeDestructive", &delete("ENG-45")).await;
    assert_eq!(waits.brief(), "approval_required approval_required");
    let rows = world.record().await;
    let intent = rows.iter().find(|row| row.kind == "intent").unwrap();
    assert!(intent.text.contains(r#""arguments":null"#), "{}", intent.text);
    assert!(intent.text.contains(r#""arguments_digest":""#), "{}", intent.text);
    assert!(rows.iter().all(|row| !row.text.contains("canary-text")));
    let asked = rows.iter().find(|row| row.text.contains("approval_requested")).unwrap();
    assert!(asked.text.contains(r#""arguments":null"#), "{}", asked.text);
}

/// A rule is for an operation, however it is called: straight, through a dispatcher, or while it waits for approval. What
/// is refused before it is known which operation it is, has no rule.
#[tokio::test]
async fn i7_what_a_rule_drops_is_dropped_inside_a_dispatcher_and_of_what_is_not_named() {
    let rules = [
        ("jira.issue.delete", ("issueIdOrKey", Treatment::Drop)),
        ("jira.issue.edit", ("fields", Treatment::Drop)),
    ];
    let fields = rules.map(|(operation, (path, treatment))| {
        (operation.to_owned(), BTreeMap::from([(path.to_owned(), treatment)]))
    });
    let recording = Recording { arguments: true, fields: fields.into(), ..Recording::default() };
    let world = World::start(Setup { recording, ..Setup::default() }).await;
    let waits = world.call("alice-release", "executeDestructive", &delete("ENG-45")).await;
    assert_eq!(waits.brief(), "approval_required approval_required");
    for tool in ["editJiraIssue", "noSuchTool"] {
        world.call("alice-release", tool, &edit("ENG-42", "canary-text")).await;
    }
    let rows = world.record().await;
    let of = |kind: &str, about: &str| {
        let row = rows.iter().find(|row| row.kind == kind && row.text.contains(about)).unwrap();
        row.text.split_once(r#""arguments":"#).unwrap().1.to_owned()
    };
    let cloud = crate::support::CLOUD;
    let deleted = format!(r#"{{"cloudId":"{cloud}"}}"#);
    for (kind, about) in [("refusal", "executeDestructive"), ("change", "approval_requested")] {
        assert!(of(kind, about).starts_with(&deleted), "{kind}: {rows:?}");
    }
    assert!(of("refusal", "noSuchTool").starts_with("null"));
    assert!(rows.iter().all(|row| !row.text.contains("canary-text")));
}

/// What a permit wants kept out is out of the call's record, and of the approval's that somebody is asked for.
#[tokio::test]
async fn i7_what_a_permit_keeps_out_of_the_record_is_not_in_it() {
    let drops: Rule = (
        Tier::Permit,
        "drops",
        r#"@record("fields: drop, issueIdOrKey: hash") permit(principal == User::"alice", action in Action::"mutate", resource);"#,
    );
    let recording = Recording { arguments: true, ..Recording::default() };
    let policies = POLICIES.iter().copied().chain([drops]).collect();
    let world = World::start(Setup { recording, policies, ..Setup::default() }).await;
    let edited = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "canary-text")).await;
    assert_eq!(edited.brief(), "ok");
    let waits = world.call("alice-release", "executeDestructive", &delete("ENG-45")).await;
    assert_eq!(waits.brief(), "approval_required approval_required");
    // Whoever is obliged to nothing is recorded as ever.
    world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    let rows = world.record().await;
    assert!(rows.iter().all(|row| !row.text.contains("canary-text")));
    // There is no key to hash with: it is dropped.
    let cloud = crate::support::CLOUD;
    let rest = format!(r#""arguments":{{"cloudId":"{cloud}"}}"#);
    let of = |about: &str| {
        rows.iter().filter(|row| row.text.contains(about) && row.text.contains(&rest)).count()
    };
    assert_eq!((of(r#""editJiraIssue""#), of(r#""executeDestructive""#)), (1, 2), "{rows:?}");
    assert!(rows.iter().any(|row| row.text.contains(r#""issueIdOrKey":"ENG-42""#)));
}

/// What policies saw is recorded so that the call can be decided again: if it is asked for, without what somebody keeps out of
/// the record, and never with a secret.
#[tokio::test]
async fn i7_what_policies_saw_is_recorded_as_far_as_rules_let_it() {
    let rule = BTreeMap::from([("fields.summary".to_owned(), Treatment::Drop)]);
    let ruled = BTreeMap::from([("jira.issue.edit".to_owned(), rule)]);
    let secret = format!("ATATT{}", "x".repeat(20));
    for (input, fields, labels, wanted) in [
        (false, BTreeMap::new(), "\"urgent\"", None),
        (true, BTreeMap::new(), "\"urgent\"", Some(r#""labels":["urgent"]"#)),
        (true, BTreeMap::new(), &*format!("{secret:?}"), Some(r#""changed":["#)),
        (true, ruled, "\"urgent\"", None),
    ] {
        let recording = Recording { input, fields, ..Recording::default() };
        let world = World::start(Setup { recording, ..Setup::default() }).await;
        let labels = format!(r#""fields":{{"labels":[{labels}]}}"#);
        let call = edit("ENG-42", "x").replace(r#""fields":{"summary":"x"}"#, &labels);
        assert_eq!(world.call("alice-release", "editJiraIssue", &call).await.brief(), "ok");
        let rows = world.record().await;
        let intent = &rows.iter().find(|row| row.kind == "intent").unwrap().text;
        let seen = intent.split_once(r#""input":"#).map(|(_, seen)| seen);
        match wanted {
            Some(wanted) => assert!(seen.unwrap().contains(wanted), "{intent}"),
            None => assert!(!intent.contains("urgent"), "{intent}"),
        }
        assert!(!intent.contains(&secret), "{intent}");
        assert!(
            !intent.contains("redacted"),
            "what is not as policies saw it is left out: {intent}"
        );
    }
}
