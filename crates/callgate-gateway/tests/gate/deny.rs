//! I5: whatever is not known, not classified, not permitted or not recordable is denied; and every reason there is for
//! that is given for something.

use std::collections::BTreeSet;

use callgate_model::reason::Reason;
use callgate_policy::Tier;
use callgate_store::testing::Fault;

use crate::client::{Ask, delete, edit, issue};
use crate::people::everybody;
use crate::store::{decided, reasons};
use crate::support::{CLOUD, POLICIES, Rule, Setup, World, nobody_there};

const MORE: &[Rule] = &[
    (
        Tier::Guardrail,
        "keep-eng-44",
        r#"forbid(principal, action in Action::"mutate", resource == Jira::Issue::"acme/ENG-44");"#,
    ),
    (
        Tier::Guardrail,
        "no-scout",
        r#"forbid(principal == Agent::"scout", action in Action::"mutate", resource);"#,
    ),
    (
        Tier::Guardrail,
        "overflows",
        r#"forbid(principal, action == Action::"jira.issue.create", resource) when { context.input.batch_size - 9223372036854775807 - 2 < 0 };"#,
    ),
    (
        Tier::Permit,
        "pull-requests",
        r#"permit(principal in Group::"engineering", action in Action::"read", resource in Bitbucket::Workspace::"acme");"#,
    ),
];

/// A catalog in which an edit can touch many issues.
const WIDE: &str = r#"
format = 1
name = "wide"
version = "1"
about = "An edit of many issues at once"
extends = "atlassian-rovo"
[tool.editJiraIssue]
operation = "jira.issue.edit"
targets = [{ kind = "Jira::Issue", at = "/fields/labels/*" }]
[tool.editJiraIssue.fields]
changed = { at = "/fields", as = "keys" }
labels = { at = "/fields/labels" }
"#;

async fn world() -> World {
    let down = nobody_there().await;
    World::start(Setup {
        policies: [POLICIES, MORE].concat(),
        catalogs: &[("wide.toml", WIDE)],
        servers: vec![("wide", "wide", None), ("down", "atlassian-rovo", Some(down))],
        ..Setup::default()
    })
    .await
}

fn many(count: usize) -> String {
    let keys: Vec<String> = (1..=count).map(|n| format!("\"ENG-{n}\"")).collect();
    let labels = keys.join(",");
    format!(r#"{{"cloudId":"{CLOUD}","issueIdOrKey":"ENG-42","fields":{{"labels":[{labels}]}}}}"#)
}

/// One request for every reason, in an order that does not matter.
fn requests() -> Vec<(Reason, Ask)> {
    let call = |reason, token: &str, tool: &str, arguments: &str| {
        (reason, Ask::call(token, tool, &arguments.replace("$", CLOUD)))
    };
    let (read, write, run) = ("getJiraIssue", "editJiraIssue", "executeRead");
    vec![
        call(Reason::Permitted, "alice-release", read, &issue("ENG-42")),
        call(Reason::Permitted, "alice-release", write, &edit("ENG-42", "x")),
        call(Reason::ActorForbidden, "alice-through-scout", write, &edit("ENG-42", "x")),
        call(Reason::AgentNotPermitted, "alice-triage", write, &edit("ENG-42", "x")),
        call(Reason::HumanNotPermitted, "bob-release", write, &edit("ENG-42", "x")),
        call(Reason::ServiceAccountNotPermitted, "cron", read, &issue("ENG-42")),
        call(Reason::ApprovalRequired, "alice-release", "executeDestructive", &delete("ENG-45")),
        call(Reason::ArgumentsInvalid, "alice", read, r#"{"cloudId":"$","issueIdOrKey":7}"#),
        call(
            Reason::DispatchConflict,
            "alice",
            run,
            r#"{"name":"getJiraIssue","issueIdOrKey":"HR-3","inputs":{"issueIdOrKey":"ENG-42"}}"#,
        ),
        call(Reason::DispatchTierMismatch, "alice", run, r#"{"name":"deleteJiraIssue"}"#),
        call(Reason::DispatchUnknown, "alice", run, r#"{"name":"dropEverything"}"#),
        call(Reason::Guardrail, "alice", write, &edit("ENG-44", "x")),
        (Reason::MethodUnsupported, Ask::new("alice", "tasks/list", "{}")),
        call(
            Reason::PolicyError,
            "alice",
            "createJiraIssue",
            r#"{"cloudId":"$","projectKey":"ENG","issueType":"Task","summary":"x"}"#,
        ),
        call(
            Reason::QueryUnbounded,
            "alice",
            "searchJiraIssuesUsingJql",
            r#"{"cloudId":"$","jql":"project = ENG OR text ~ x"}"#,
        ),
        (
            Reason::RequestMalformed,
            Ask::new("alice", "tools/call", r#"{"name":"getJiraIssue","arguments":[]}"#),
        ),
        call(
            Reason::TargetConflict,
            "alice",
            run,
            r#"{"name":"listBitbucketRepoPullRequests","inputs":{"workspaceId":"acme","repoSlug":"evil/website"}}"#,
        ),
        call(Reason::TargetUnresolved, "alice", write, &edit("ENG_42", "x")),
        call(Reason::TargetUnresolved, "alice", read, &issue("../ENG-42")),
        (Reason::ServerUnknown, Ask::call("alice", read, &issue("ENG-42")).at("nowhere")),
        (Reason::SessionUnknown, Ask::new("alice", "tools/list", "{}").in_session("guessed")),
        (
            Reason::TaskUnknown,
            Ask::new("alice", "tasks/get", r#"{"taskId":"guessed"}"#)
                .declaring(crate::tasks::TASKS),
        ),
        (Reason::TooManyTargets, Ask::call("alice", write, &many(101)).at("wide")),
        (Reason::Permitted, Ask::call("alice", write, &many(3)).at("wide")),
        call(Reason::ToolUnclassified, "alice", "getLoomVideo", r#"{"videoId":"1"}"#),
        call(Reason::ToolUnknown, "alice", "dropEverything", "{}"),
        (Reason::Unauthenticated, Ask::call("stranger", read, &issue("ENG-42"))),
        (Reason::UpstreamUnavailable, Ask::call("alice", read, &issue("ENG-42")).at("down")),
    ]
}

#[tokio::test]
async fn i5_every_reason_is_given_and_only_what_is_permitted_is_made() {
    let world = world().await;
    let mut expected = Vec::new();
    for (reason, ask) in requests() {
        let before = world.executed();
        let said = world.ask(&ask).await;
        let made = world.executed() - before;
        // What is to be approved is read by the gateway, for those who decide.
        let done = [Reason::Permitted, Reason::ApprovalRequired].contains(&reason);
        assert_eq!(made, usize::from(done), "{reason:?}: {said:?}");
        assert_eq!(world.sim.ledger().count("deleteJiraIssue"), 0);
        expected.push(vec![reason.code().to_owned()]);
    }
    world.faults.every(Some(Fault::Fail));
    let said = world.call("alice", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny evidence_unavailable");
    expected.push(vec![Reason::EvidenceUnavailable.code().to_owned()]);
    world.faults.every(None);

    let rows = world.record().await;
    let given: Vec<Vec<String>> = decided(&rows).map(reasons).collect();
    assert_eq!(given, expected);

    let given: BTreeSet<String> = given.into_iter().flatten().chain([overloaded().await]).collect();
    // Only tokens of issuers have scopes, and others for those: `scopes.rs`, `broker.rs`. Of the others, see `authority.rs`.
    let elsewhere = [
        // `approvals.rs`, `delivery.rs`
        Reason::ApprovalDenied,
        Reason::ApprovalExpired,
        Reason::ApprovalSpent,
        Reason::ApprovalWithdrawn,
        Reason::ApprovalsTooMany,
        Reason::CredentialUnavailable,
        // `resolving.rs`
        Reason::GatewayRead,
        Reason::GrantSpent,
        Reason::ScopeInsufficient,
        Reason::TokenExceeded,
        // `granted.rs`
        Reason::ApprovalOwnerless,
        // `obligations.rs`
        Reason::ReasonRequired,
        // `shadow.rs`
        Reason::ShadowServer,
        // `pins.rs`
        Reason::ToolChanged,
        Reason::ToolUnapproved,
        Reason::WorkflowExceeded,
        Reason::WorkflowInvalid,
    ];
    for reason in Reason::ALL {
        let is_given = given.contains(reason.code()) || elsewhere.contains(reason);
        assert!(is_given, "{}", reason.code());
    }
}

/// The reason of a gateway that has no room for a call.
async fn overloaded() -> String {
    let world = World::start(Setup { calls_in_flight_max: 0, ..Setup::default() }).await;
    let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny overloaded");
    assert_eq!(world.calls_sent(), 0);
    reasons(world.record().await.last().unwrap()).remove(0)
}

/// E08: what is turned away before it is a request is in the record too.
#[tokio::test]
async fn i5_an_unknown_server_and_an_unknown_session_are_refused_and_recorded() {
    let world = World::start(Setup::default()).await;
    let read = Ask::call("alice", "getJiraIssue", &issue("ENG-42"));
    assert_eq!(world.ask(&read.clone().at("nowhere")).await.status.as_u16(), 404);
    assert_eq!(world.ask(&read.clone().in_session("guessed")).await.status.as_u16(), 404);
    assert_eq!(world.ask(&read.in_session("")).await.status.as_u16(), 404);
    assert!(world.sim.ledger().requests().is_empty());
    let rows = world.record().await;
    let refusals: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").collect();
    assert_eq!(refusals.len(), 3, "{rows:#?}");
    for (refusal, reason) in
        refusals.iter().zip(["server_unknown", "session_unknown", "session_unknown"])
    {
        assert_eq!(refusal.accountable.as_deref(), Some("alice"));
        assert_eq!(reasons(refusal), [reason]);
    }
}

#[tokio::test]
async fn i4_what_is_wrong_in_a_pipe_is_recorded_also_if_nobody_waits_for_an_answer() {
    let world = World::start(Setup::default()).await;
    let pipe = world.gateway.pipe("atlassian", everybody().swap_remove(0)).unwrap();
    for line in [
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"_meta":1,"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/unheard"}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","id":"#,
    ] {
        world.gateway.read_line(&pipe, line.as_bytes());
    }
    let rows = world.record().await;
    let refused: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").map(reasons).collect();
    assert_eq!(refused, [["request_malformed"], ["method_unsupported"], ["request_malformed"]]);
}
