//! A server in shadow: what policies say is recorded and not enforced, and what is not known goes through no more than ever.

use callgate_gateway::pin::ApprovedBy;
use callgate_gateway::shadow::Shadow;
use callgate_model::ambient::Timestamp;
use callgate_model::authority::SubjectKind;
use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_store::testing::Fault;

use crate::client::{Ask, delete, edit, issue};
use crate::store::{STARTED_MS, event};
use crate::support::{CLOUD, POLICIES, Rule, Setup, World, catalogs, load};

const HOUR_MS: i64 = 3_600_000;
const WAITS: &str = "approval_required approval_required";

async fn world(writes: bool, more: &[Rule]) -> World {
    let until = Timestamp::from_unix_ms(STARTED_MS + HOUR_MS);
    let policies = POLICIES.iter().chain(more).copied().collect();
    World::start(Setup { shadow: Some(Shadow { until, writes }), policies, ..Setup::default() })
        .await
}

/// `verdict reasons | what would be` of each decision in the record.
async fn decisions(world: &World) -> Vec<String> {
    let rows = world.record().await;
    let told = |decision: &Json| {
        let reasons = decision.get("reasons").and_then(Json::as_array).unwrap_or_default();
        let reasons: Vec<_> = reasons.iter().filter_map(Json::as_str).collect();
        format!("{} {}", decision.get("verdict").and_then(Json::as_str).unwrap(), reasons.join("+"))
    };
    let decided = rows.iter().filter(|row| ["intent", "refusal"].contains(&row.kind.as_str()));
    // What is shown to whoever approves is no call of anybody's.
    let decided = decided.filter(|row| !row.text.contains("gateway_read"));
    let decided = decided.map(|row| event(row).get("decision").unwrap().clone());
    let both = |decision: Json| {
        let would = decision.get("would").map(told);
        format!("{} | {}", told(&decision), would.unwrap_or_else(|| "-".to_owned()))
    };
    decided.map(both).collect()
}

#[tokio::test]
async fn what_policies_deny_is_let_through_for_a_time_and_recorded() {
    let world = world(true, &[]).await;
    let tools = world.list("nobody").await.tools();
    for tool in ["getJiraIssue", "editJiraIssue", "executeDestructive"] {
        assert!(tools.iter().any(|listed| listed == tool), "{tool} is not listed");
    }
    for (who, tool, arguments) in [
        ("nobody", "getJiraIssue", issue("ENG-42")),
        ("nobody", "editJiraIssue", edit("ENG-42", "x")),
        ("alice-release", "executeDestructive", delete("ENG-45")),
        ("alice-release", "getJiraIssue", issue("ENG-42")),
    ] {
        assert_eq!(world.call(who, tool, &arguments).await.brief(), "ok", "{who} {tool}");
    }
    world.clock.pass(HOUR_MS);
    let said = world.call("nobody", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny human_not_permitted");
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-41")).await;
    assert_eq!(said.brief(), WAITS);
    assert!(world.list("nobody").await.tools().is_empty());
    let told = decisions(&world).await;
    assert_eq!(
        told,
        [
            "allow shadow_server | deny human_not_permitted",
            "allow shadow_server | deny human_not_permitted",
            "allow shadow_server | approval_required approval_required",
            "allow permitted | -",
            "deny human_not_permitted | -",
            "approval_required approval_required | -",
        ]
    );
    let made = |tool: &str| world.sim.ledger().count(tool);
    assert_eq!((made("editJiraIssue"), made("deleteJiraIssue")), (1, 1));
    // The one that was asked for is the one after the shadow.
    let asked =
        world.store.rows().into_iter().filter(|row| row.text.contains("approval_requested"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn i5_only_reads_are_let_through_unless_the_operator_says_more() {
    let world = world(false, &[]).await;
    let tools = world.list("nobody").await.tools();
    assert!(
        tools.contains(&"getJiraIssue".to_owned()) && !tools.contains(&"editJiraIssue".to_owned())
    );
    assert_eq!(world.call("nobody", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let search = format!(r#"{{"cloudId":"{CLOUD}","jql":"text ~ x"}}"#);
    assert_eq!(world.call("nobody", "searchJiraIssuesUsingJql", &search).await.brief(), "ok");
    let said = world.call("nobody", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny human_not_permitted");
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-45")).await;
    assert_eq!(said.brief(), WAITS);
}

/// Whoever says `writes` says nothing of what is not known, nor of credentials.
#[tokio::test]
async fn i5_what_is_not_known_is_refused_in_shadow_too() {
    let world = world(true, &[]).await;
    let elsewhere = issue("ENG-42").replace(CLOUD, "https://other.atlassian.net");
    let missing = format!(r#"{{"cloudId":"{CLOUD}"}}"#);
    for (who, tool, arguments, wanted) in [
        ("nobody", "getJiraIssue", &*elsewhere, "deny target_unresolved"),
        ("nobody", "editJiraIssue", &*missing, "deny arguments_invalid"),
        ("alice-asserted", "editJiraIssue", &edit("OPS-7", "x"), "deny agent_not_permitted"),
        ("asserted-human", "getJiraIssue", &issue("ENG-42"), "deny human_not_permitted"),
    ] {
        let said = world.call(who, tool, arguments).await.brief();
        assert!(said.starts_with(wanted), "{who} {tool}: {said}");
    }
    let said = world.call("nobody", "noSuchTool", "{}").await;
    assert!(said.brief().contains("tool_unknown") || said.brief().starts_with("error"), "{said:?}");
    let ask = Ask::call("nobody", "editJiraIssue", &edit("ENG-42", "x"));
    let twice = String::from_utf8(ask.body().into()).unwrap();
    let twice = twice.replacen(r#""arguments":{"#, r#""arguments":{"issueIdOrKey":"ENG-1","#, 1);
    let said = world.raw(&ask, twice.into()).await;
    assert_eq!(said.status.as_u16(), 400, "{said:?}");
    let said = world.ask(&Ask::call("no-such-token", "getJiraIssue", &issue("ENG-42"))).await;
    assert_eq!(said.status.as_u16(), 401);
    world.revoke(SubjectKind::Human, "mallory", None).await;
    let said = world.call("nobody", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.status.as_u16(), 401);
    assert_eq!(world.executed(), 0);
}

/// The server is asked where a thing is also for what policies deny: else a change of it could never be let through, and what
/// would have been would be told of something else.
#[tokio::test]
async fn i5_a_change_of_what_cannot_be_located_is_refused_in_shadow_too() {
    let world = world(true, &[]).await;
    let change = |id: &str| {
        format!(
            r#"{{"cloudId":"{CLOUD}","content_id":"{id}","snapshotToken":"snap-{id}-1","body":"x"}}"#
        )
    };
    let said = world.call("nobody", "updateConfluenceContent", &change("999999")).await;
    assert_eq!(said.brief(), "deny target_unresolved");
    assert_eq!(world.sim.ledger().count("updateConfluenceContent"), 0);
    world.call("nobody", "updateConfluenceContent", &change("200001")).await;
    assert_eq!(world.sim.ledger().count("updateConfluenceContent"), 1);
    let told = decisions(&world).await;
    let wanted = ["deny target_unresolved | -", "allow shadow_server | deny human_not_permitted"];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn i5_a_policy_that_errs_stops_a_write_in_shadow() {
    let errs: Rule = (
        Tier::Guardrail,
        "overflows",
        r#"forbid(principal, action, resource) when { context.now.offset(duration("106751991167d")) > context.now };"#,
    );
    let world = world(true, &[errs]).await;
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny policy_error");
    assert_eq!(world.call("alice-release", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let told = decisions(&world).await;
    assert_eq!(told, ["deny policy_error | -", "allow shadow_server | deny policy_error"]);
}

#[tokio::test]
async fn i1_in_shadow_too_nothing_is_sent_that_is_not_recorded() {
    let world = world(true, &[]).await;
    world.faults.every(Some(Fault::Fail));
    let said = world.call("nobody", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny evidence_unavailable");
    world.faults.every(None);
    assert_eq!(world.executed(), 0);
}

/// What is put in force holds for the next call, shadow or not; and what a policy in shadow says stands beside it.
#[tokio::test]
async fn policies_in_shadow_on_a_server_in_shadow_are_told_apart() {
    let world = world(true, &[]).await;
    let rule: Rule = (
        Tier::Guardrail,
        "no-edits",
        r#"@shadow forbid(principal, action == Action::"jira.issue.edit", resource);"#,
    );
    let rules: Vec<Rule> = POLICIES.iter().chain([&rule]).copied().collect();
    world.gateway.activate(load(&catalogs(&[]), &rules));
    assert_eq!(
        world.call("alice-release", "editJiraIssue", &edit("ENG-42", "x")).await.brief(),
        "ok"
    );
    assert_eq!(decisions(&world).await, ["allow permitted | deny guardrail"]);
}

/// A tool that nobody approved may be anything; a token is for what it was made for.
#[tokio::test]
async fn i5_i10_tools_and_tokens_are_what_they_are_in_shadow_too() {
    let until = Timestamp::from_unix_ms(STARTED_MS + HOUR_MS);
    let shadow = Some(Shadow { until, writes: true });
    let approved_by = ApprovedBy::Operator;
    let pinned = World::start(Setup { shadow, approved_by, ..Setup::default() }).await;
    let said = pinned.call("alice-release", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny tool_unapproved");
    assert_eq!(pinned.executed(), 0);

    let world = world(true, &[]).await;
    let reads = crate::authority::scope(&["read"], &["acme/ENG"]);
    let (_, token) = world.token(|token| token.scope = reads).await;
    let said = world.call(&token, "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny token_exceeded");
    let said = world.call(&token, "getJiraIssue", &issue("OPS-7")).await;
    assert!(said.brief().contains("token_exceeded"), "{said:?}");
    let tools = world.list(&token).await.tools();
    assert!(!tools.contains(&"editJiraIssue".to_owned()), "I3: {tools:?}");
    assert_eq!(world.executed(), 0);
}
