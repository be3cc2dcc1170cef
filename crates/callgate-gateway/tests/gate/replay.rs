//! Recorded calls, decided again: by the same policies nothing changes, by others exactly what they say.

use std::collections::{BTreeMap, HashSet};

use callgate_gateway::catalog::ServerCatalog;
use callgate_gateway::recording::Recording;
use callgate_gateway::replay::{Candidate, Replayed};
use callgate_model::evidence::Recorded;
use callgate_policy::{Bundle, Tier};
use callgate_store::{AuthorityStore as _, Row};

use crate::client::{Ask, delete, edit, issue};
use crate::support::{CLOUD, POLICIES, Rule, Setup, World, catalogs, load, sites};

/// It is about nobody: another bundle that decides the same.
const IDLE: Rule =
    (Tier::Guardrail, "idle", r#"forbid(principal == User::"nobody-at-all", action, resource);"#);
/// The last of these looks at a field.
const LOOKS: &[Rule] = &[(
    Tier::Guardrail,
    "no-priorities",
    r#"forbid(principal, action == Action::"jira.issue.edit", resource) when { context.input.changed.contains("priority") };"#,
)];

fn rules(more: &[Rule]) -> Vec<Rule> {
    POLICIES.iter().chain(more).copied().collect()
}

fn without(id: &str, more: &[Rule]) -> Bundle {
    let kept: Vec<Rule> = rules(more).into_iter().filter(|(_, one, _)| *one != id).collect();
    load(&catalogs(&[]), &kept)
}

/// Some calls of everybody, with an approval and a grant beside it.
async fn lively(input: bool) -> World {
    let recording = Recording { input, ..Recording::default() };
    let world = World::start(Setup { recording, policies: rules(LOOKS), ..Setup::default() }).await;
    for who in
        ["alice", "alice-release", "alice-triage", "bob-release", "ci", "alice-through-scout"]
    {
        for key in ["ENG-42", "OPS-7"] {
            world.call(who, "getJiraIssue", &issue(key)).await;
            world.call(who, "editJiraIssue", &edit(key, "new")).await;
            let priority = edit(key, "new").replace("summary", "priority");
            world.call(who, "editJiraIssue", &priority).await;
        }
        world.call(who, "executeDestructive", &delete("ENG-45")).await;
        world.call(who, "noSuchTool", "{}").await;
        let search = format!(r#"{{"cloudId":"{CLOUD}","jql":"text ~ x"}}"#);
        world.call(who, "searchJiraIssuesUsingJql", &search).await;
        world.ask(&Ask::read(who, "jira://nowhere")).await;
    }
    world
}

/// Every answer of `bundle` to what is in the record, with the call's number there.
async fn replay(world: &World, rows: &[Row], bundle: &Bundle) -> Vec<(String, Replayed)> {
    let all = catalogs(&[]);
    let server = all.for_server("atlassian", "atlassian-rovo", sites()).unwrap();
    let by_name: BTreeMap<String, ServerCatalog> = [("atlassian".to_owned(), server)].into();
    let grants = world.store.inner.grants(None).await.unwrap();
    let grants = grants.into_iter().map(|state| state.grant);
    let mut candidate =
        Candidate::new(bundle, (all.vocabulary(), &by_name), HashSet::new(), grants);
    let decided = rows.iter().filter(|row| ["intent", "refusal"].contains(&row.kind.as_str()));
    let recorded = decided.map(|row| Recorded::read(&row.record().into()).unwrap());
    let told = |one: &Recorded| {
        let who = one.caller.as_ref().map(|caller| caller.summary()).unwrap_or_default();
        let known = one.known.as_ref();
        let targets = known.map(|known| format!("{:?}", known.targets)).unwrap_or_default();
        format!("{who}: {} {targets} {}", one.tool, one.verdict)
    };
    recorded.map(|one| (told(&one), candidate.replay(&one))).collect()
}

/// What changed: `change: caller: tool …`.
fn changed(all: &[(String, Replayed)]) -> Vec<String> {
    let told = |(about, what): &(String, Replayed)| match what {
        Replayed::NoSay => None,
        Replayed::Unknown(why) => Some(format!("{}: {about}", why.as_str())),
        Replayed::Decided(change, ..) if change.as_str() == "same" => None,
        Replayed::Decided(change, ..) => Some(format!("{}: {about}", change.as_str())),
    };
    all.iter().filter_map(told).collect()
}

#[tokio::test]
async fn by_the_same_policies_nothing_changes() {
    let world = lively(true).await;
    let rows = world.record().await;
    let in_force = load(&catalogs(&[]), &rules(LOOKS));
    let all = replay(&world, &rows, &in_force).await;
    assert_eq!(changed(&all), Vec::<String>::new());
    let decided = all.iter().filter(|(_, what)| matches!(what, Replayed::Decided(..))).count();
    assert!(decided >= 40, "{decided}");
    // Not because it is the same digest: nor by others that say the same.
    let alike = load(&catalogs(&[]), &rules(&[LOOKS, &[IDLE]].concat()));
    assert_ne!(alike.digest(), in_force.digest());
    assert_eq!(changed(&replay(&world, &rows, &alike).await), Vec::<String>::new());
}

#[tokio::test]
async fn by_others_exactly_those_calls_change_that_they_are_about() {
    let world = lively(true).await;
    let rows = world.record().await;
    let closed: Rule = (
        Tier::Guardrail,
        "closed",
        r#"forbid(principal == Agent::"triage-bot", action == Action::"jira.issue.read", resource);"#,
    );
    let stricter = load(&catalogs(&[]), &rules(&[LOOKS, &[closed]].concat()));
    let told = changed(&replay(&world, &rows, &stricter).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("newly_denied: alice via triage-bot: getJiraIssue"), "{told:?}");
    // No gate any more.
    let told = changed(&replay(&world, &rows, &without("deletes", LOOKS)).await);
    assert!(
        !told.is_empty() && told.iter().all(|one| one.starts_with("newly_allowed: ")),
        "{told:?}"
    );
    assert!(told.iter().all(|one| one.contains("executeDestructive")), "{told:?}");
    // Others approve.
    let other: Rule = (
        Tier::Approval,
        "deletes",
        r#"@approval("team:board") forbid(principal, action in Action::"delete", resource);"#,
    );
    let mut asks: Vec<Rule> = rules(LOOKS);
    asks.retain(|(_, id, _)| *id != "deletes");
    asks.push(other);
    let told = changed(&replay(&world, &rows, &load(&catalogs(&[]), &asks)).await);
    assert!(
        !told.is_empty() && told.iter().all(|one| one.starts_with("newly_asks_others: ")),
        "{told:?}"
    );
    // What looks at fields decides by them.
    let told = changed(&replay(&world, &rows, &without("no-priorities", LOOKS)).await);
    // Of alice, her release bot, the same through scout, and the pipeline; nobody else may edit.
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|one| one.starts_with("newly_allowed: ")), "{told:?}");
}

/// What the record does not say is not guessed.
#[tokio::test]
async fn what_is_not_recorded_is_not_guessed() {
    let world = lively(false).await;
    let rows = world.record().await;
    let in_force = load(&catalogs(&[]), &rules(LOOKS));
    assert_eq!(changed(&replay(&world, &rows, &in_force).await), Vec::<String>::new());
    let alike = load(&catalogs(&[]), &rules(&[LOOKS, &[IDLE]].concat()));
    let told = changed(&replay(&world, &rows, &alike).await);
    assert!(!told.is_empty());
    for one in told {
        assert!(one.starts_with("fields_not_recorded: ") && one.contains("editJiraIssue"), "{one}");
    }
}

/// An approval that was given, and a grant beside it, are what policies asked for.
#[tokio::test]
async fn what_was_approved_is_the_same_if_it_would_have_to_be_approved_again() {
    let grants: Rule = (
        Tier::Approval,
        "deletes",
        r#"@grants("2 in 2h") forbid(principal, action in Action::"delete", resource);"#,
    );
    let mut policies: Vec<Rule> = POLICIES.to_vec();
    policies.retain(|(_, id, _)| *id != "deletes");
    policies.push(grants);
    policies.extend(crate::approvals::RULES);
    let world = World::start(Setup { policies: policies.clone(), ..Setup::default() }).await;
    world.call("alice-release", "executeDestructive", &delete("ENG-45")).await;
    world.grants_what_waits().await;
    for key in ["ENG-45", "ENG-41"] {
        assert_eq!(
            world.call("alice-release", "executeDestructive", &delete(key)).await.brief(),
            "ok"
        );
    }
    let rows = world.record().await;
    policies.push(IDLE);
    let alike = load(&catalogs(&[]), &policies);
    assert_eq!(changed(&replay(&world, &rows, &alike).await), Vec::<String>::new());
    policies.retain(|(_, id, _)| *id != "deletes");
    let told = changed(&replay(&world, &rows, &load(&catalogs(&[]), &policies)).await);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|one| one.starts_with("newly_allowed: ")), "{told:?}");
}

const DOCS: Rule = (
    Tier::Permit,
    "docs",
    r#"permit(principal in Group::"engineering", action, resource in Confluence::Space::"acme/DOCS");"#,
);

/// Nobody asked where the page is, because it did not matter; by others it would.
#[tokio::test]
async fn where_a_thing_is_that_was_not_asked_for_is_not_guessed() {
    let page = |id: &str| format!(r#"{{"cloudId":"{CLOUD}","content_id":"{id}"}}"#);
    let world = World::start(Setup::default()).await;
    world.call("alice", "getConfluenceContent", &page("200001")).await;
    let rows = world.record().await;
    let told = changed(&replay(&world, &rows, &load(&catalogs(&[]), &rules(&[DOCS]))).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("place_not_asked: alice: getConfluenceContent"), "{told:?}");
    let alike = load(&catalogs(&[]), &rules(&[IDLE]));
    assert_eq!(changed(&replay(&world, &rows, &alike).await), Vec::<String>::new());

    // What was asked for is known: that it is there, elsewhere, or not found.
    let asked = World::start(Setup { policies: rules(&[DOCS]), ..Setup::default() }).await;
    for (id, said) in [
        ("200001", "ok"),
        ("200004", "deny human_not_permitted"),
        ("999999", "deny target_unresolved"),
    ] {
        let told = asked.call("alice", "getConfluenceContent", &page(id)).await;
        assert_eq!(told.brief(), said);
    }
    let rows = asked.record().await;
    let alike = load(&catalogs(&[]), &rules(&[DOCS, IDLE]));
    assert_eq!(changed(&replay(&asked, &rows, &alike).await), Vec::<String>::new());
    let told = changed(&replay(&asked, &rows, &load(&catalogs(&[]), POLICIES)).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("newly_denied: "), "{told:?}");
}

#[tokio::test]
async fn whether_a_grant_would_have_counted_is_not_guessed() {
    let under_a_grant: Rule = (
        Tier::Permit,
        "under-a-grant",
        r#"permit(principal, action in Action::"write", resource) when { context has grant };"#,
    );
    let world = World::start(Setup::default()).await;
    world.call("alice-release", "editJiraIssue", &edit("OPS-7", "before")).await;
    world.clock.pass(1_000);
    world.grant(|grant| grant.scope = crate::authority::scope(&["write"], &["acme/OPS"])).await;
    world.clock.pass(1_000);
    world.call("alice-release", "editJiraIssue", &edit("OPS-7", "under it")).await;
    world.call("bob", "editJiraIssue", &edit("OPS-7", "somebody else")).await;
    let rows = world.record().await;
    let told =
        changed(&replay(&world, &rows, &load(&catalogs(&[]), &rules(&[under_a_grant]))).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("grant_unknown: alice via release-bot: "), "{told:?}");

    // What was made under one is decided under it again.
    let policies = rules(&[under_a_grant]);
    let granted = World::start(Setup { policies, ..Setup::default() }).await;
    granted.grant(|grant| grant.scope = crate::authority::scope(&["write"], &["acme/OPS"])).await;
    let said = granted.call("alice-release", "editJiraIssue", &edit("OPS-7", "x")).await;
    assert_eq!(said.brief(), "ok");
    let rows = granted.record().await;
    let alike = load(&catalogs(&[]), &rules(&[under_a_grant, IDLE]));
    assert_eq!(changed(&replay(&granted, &rows, &alike).await), Vec::<String>::new());
    let told = changed(&replay(&granted, &rows, &load(&catalogs(&[]), POLICIES)).await);
    assert!(told.len() == 1 && told[0].starts_with("newly_denied: "), "{told:?}");
}

/// No policy makes a token good for more than it was made for.
#[tokio::test]
async fn i10_what_exceeded_a_token_is_denied_by_every_candidate() {
    let world = World::start(Setup::default()).await;
    let reader = |token: &mut callgate_model::authority::ApiToken| {
        token.scope = crate::authority::scope(&["read"], &["acme/ENG"]);
    };
    let (_, token) = world.token(reader).await;
    let said = world.call(&token, "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "deny token_exceeded");
    assert_eq!(world.call(&token, "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    let all: Rule = (Tier::Permit, "all", "permit(principal, action, resource);");
    let rows = world.record().await;
    let told = changed(&replay(&world, &rows, &load(&catalogs(&[]), &rules(&[all]))).await);
    assert_eq!(told, Vec::<String>::new());
}
