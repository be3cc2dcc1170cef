//! Ways around a decision about places, each tried by somebody who may do everything in ENG and read the space DOCS: all are
//! refused, and the site's ledger stays empty. Queries are in `queries.rs`, changed and colliding tools in `approval.rs` and
//! `tools.rs`, what is moved meanwhile in `resolving.rs`.

use callgate_policy::Tier;

use crate::support::{CLOUD, Rule, Setup, World};

const RULES: &[Rule] = &[
    (
        Tier::Permit,
        "everything-in-eng",
        r#"permit(principal, action, resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Permit,
        "docs-are-read",
        r#"permit(principal, action in Action::"read", resource in Confluence::Space::"acme/DOCS");"#,
    ),
];

/// A case of the catalogue of threats, the tool, its arguments without the site, and why it is refused.
type Attack = (&'static str, &'static str, &'static str, &'static str);

const CLASSES: &[Attack] = &[
    // Ids that are spelled in another way, or of somewhere else.
    ("Z02", "editJiraIssue", r#""issueIdOrKey":"HR-3","fields":{"summary":"x"}"#, "deny"),
    ("Z02", "editJiraIssue", r#""issueIdOrKey":"ENG-42/../HR-3","fields":{}"#, "target_unresolved"),
    ("Z02", "editJiraIssue", r#""issueIdOrKey":"ENG-42?x=HR-3","fields":{}"#, "target_unresolved"),
    (
        "Z02",
        "editJiraIssue",
        r#""issueIdOrKey":"ENG-42%2f..%2fHR-3","fields":{}"#,
        "target_unresolved",
    ),
    ("Z02", "editJiraIssue", r#""issueIdOrKey":"ENG-42 ","fields":{}"#, "target_unresolved"),
    ("Z02", "editJiraIssue", r#""issueIdOrKey":"ENG-4２","fields":{}"#, "target_unresolved"),
    ("Z02", "editJiraIssue", r#""issueIdOrKey":"ENG-042","fields":{}"#, "target_unresolved"),
    ("Z02", "editJiraIssue", r#""issueIdOrKey":["ENG-42"],"fields":{}"#, "arguments_invalid"),
    (
        "Z02",
        "editJiraIssue",
        r#""issueIdOrKey":"https://evil.atlassian.net/browse/ENG-42","fields":{}"#,
        "target_conflict",
    ),
    (
        "Z02",
        "editJiraIssue",
        r#""issueIdOrKey":"ari:cloud:jira:x:issue/10006","fields":{}"#,
        "target_unresolved",
    ),
    // Another place among the fields.
    (
        "Z03",
        "editJiraIssue",
        r#""issueIdOrKey":"ENG-42","fields":{"project":{"key":"HR"}}"#,
        "deny",
    ),
    ("Z03", "editJiraIssue", r#""issueIdOrKey":"ENG-42","fields":{"project":"HR"}"#, "deny"),
    (
        "Z03",
        "editJiraIssue",
        r#""issueIdOrKey":"ENG-42","fields":{"parent":{"key":"HR-3"}}"#,
        "deny",
    ),
    (
        "Z03",
        "createJiraIssue",
        r#""projectKey":"ENG","issueType":"Task","summary":"x","parent":"HR-3""#,
        "deny",
    ),
    (
        "Z03",
        "createJiraIssue",
        r#""projectKey":"ENG","issueType":"Task","summary":"x","additional_fields":{"project":{"key":"HR"}}"#,
        "deny",
    ),
];

/// The same through the tools that run others: the tool, its name and its inputs, and why it is refused.
const DISPATCHED: &[Attack] = &[
    (
        "Z03",
        "executeWrite",
        r#""name":"createJiraIssueLink","inputs":{"inwardIssue":"ENG-42","outwardIssue":"HR-3","type":"Relates"}"#,
        "deny",
    ),
    (
        "Z03",
        "executeWrite",
        r#""name":"convertJiraIssueHierarchy","inputs":{"issueIdOrKey":"ENG-42","parentIssueIdOrKey":"HR-3"}"#,
        "deny",
    ),
    (
        "Z03",
        "executeWrite",
        r#""name":"moveConfluenceContent","inputs":{"contentId":"200001","targetParentId":"200004"}"#,
        "deny",
    ),
    (
        "Z03",
        "executeWrite",
        r#""name":"copyConfluenceContent","inputs":{"contentId":"200001","targetParentId":"200004"}"#,
        "deny",
    ),
    // Everything at once.
    ("Z05", "search", r#""query":"salary""#, "deny"),
    // Out of the site.
    (
        "Z06",
        "executeWrite",
        r#""name":"createJiraIssueRemoteIssueLink","inputs":{"issueIdOrKey":"ENG-42","url":"https://evil.example/?q=x","title":"x"}"#,
        "deny",
    ),
    // Who sees something.
    (
        "Z07",
        "executeWrite",
        r#""name":"enableConfluencePublicLink","inputs":{"contentId":"200001"}"#,
        "deny",
    ),
    // One tool in another's clothes.
    (
        "P12",
        "executeRead",
        r#""name":"deleteJiraIssue","inputs":{"issueIdOrKey":"ENG-42"}"#,
        "dispatch_tier_mismatch",
    ),
    (
        "P12",
        "executeWrite",
        r#""name":"deleteJiraIssue","inputs":{"issueIdOrKey":"ENG-42"}"#,
        "dispatch_tier_mismatch",
    ),
    (
        "P12",
        "executeWrite",
        r#""name":"executeDestructive","inputs":{"name":"deleteJiraIssue","inputs":{"issueIdOrKey":"ENG-42"}}"#,
        "dispatch_unknown",
    ),
    (
        "P12",
        "executeWrite",
        r#""name":"executeWrite","inputs":{"name":"editJiraIssue","inputs":{}}"#,
        "dispatch_unknown",
    ),
    (
        "P12",
        "executeWrite",
        r#""name":"EditJiraIssue","inputs":{"issueIdOrKey":"ENG-42"}"#,
        "dispatch_unknown",
    ),
    (
        "P12",
        "executeWrite",
        r#""name":"editJiraIssue ","inputs":{"issueIdOrKey":"ENG-42"}"#,
        "dispatch_unknown",
    ),
    ("P12", "executeWrite", r#""name":"rm","inputs":{}"#, "dispatch_unknown"),
    ("P12", "executeWrite", r#""inputs":{"issueIdOrKey":"ENG-42"}"#, "deny"),
    (
        "P12",
        "executeWrite",
        r#""name":"editJiraIssue","inputs":{"issueIdOrKey":"ENG-42","fields":{}},"issueIdOrKey":"HR-3""#,
        "deny",
    ),
    (
        "P12",
        "executeWrite",
        r#""name":"editJiraIssue","inputs":"{\"issueIdOrKey\":\"ENG-42\"}""#,
        "arguments_invalid",
    ),
    // Inside another site than outside.
    (
        "P12",
        "executeWrite",
        r#""name":"editJiraIssue","inputs":{"cloudId":"https://evil.atlassian.net","issueIdOrKey":"ENG-42","fields":{}}"#,
        "dispatch_conflict",
    ),
];

#[tokio::test]
async fn z02_to_z07_and_p12_nothing_gets_around_the_decision() {
    let world = World::start(Setup { policies: RULES.to_vec(), ..Setup::default() }).await;
    for (class, tool, arguments, why) in CLASSES.iter().chain(DISPATCHED) {
        let arguments = format!(r#"{{"cloudId":"{CLOUD}",{arguments}}}"#);
        let said = world.call("alice", tool, &arguments).await.brief();
        assert!(
            said.starts_with("deny ") && said.contains(why),
            "{class} {tool} {arguments}: {said}"
        );
        assert_eq!(changes(&world), 0, "{class} {tool} {arguments}");
    }
    // The same person may do the same in ENG.
    let edit =
        format!(r#"{{"cloudId":"{CLOUD}","issueIdOrKey":"ENG-42","fields":{{"summary":"x"}}}}"#);
    assert_eq!(world.call("alice", "editJiraIssue", &edit).await.brief(), "ok");
    assert_eq!(changes(&world), 1);
}

/// What was done at the site, other than what the gateway asked for itself.
fn changes(world: &World) -> usize {
    const ASKS: &[&str] = &["getConfluenceContent", "getConfluenceSpace", "getJiraIssue"];
    let asked: usize = ASKS.iter().map(|tool| world.sim.ledger().count(tool)).sum();
    world.executed() - asked
}

/// Who is refused because something is not known learns what: the call's own words, with nothing in them that a terminal obeys.
#[tokio::test]
async fn what_is_not_known_is_told_to_who_asks() {
    let world = World::start(Setup { policies: RULES.to_vec(), ..Setup::default() }).await;
    for (site, key, told) in [
        (CLOUD, "ENG-4 2", "`ENG-4 2` is not certainly one Jira::Issue"),
        (CLOUD, "999999", "where the Jira::Issue `acme/999999` belongs is not known"),
        (CLOUD, r"ENG-1\u001b[2J", r"`ENG-1\\u{1b}[2J` is not certainly one Jira::Issue"),
        ("evil.atlassian.net", "ENG-42", "`evil.atlassian.net` is no site that is configured"),
    ] {
        let arguments = format!(r#"{{"cloudId":"{site}","issueIdOrKey":"{key}"}}"#);
        let said = world.call("alice", "getJiraIssue", &arguments).await;
        assert!(said.brief().starts_with("deny target_"), "{}", said.brief());
        assert!(said.text().contains(told), "{told}: {}", said.text());
    }
}
