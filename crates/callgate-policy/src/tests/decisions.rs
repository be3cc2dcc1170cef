//! Who gets which answer, and why.

use std::sync::Arc;

use callgate_model::ambient::Timestamp;
use callgate_model::caller::{AccountableKind, Agent, Assurance, Caller};
use callgate_model::decision::{Gate, Verdict};
use callgate_model::target::{Obstacle, Resource, Target};
use callgate_model::vocabulary::{FieldValue, Risk};

use super::world::*;
use crate::Tier::{Approval, Guardrail, Permit};
use crate::{Bundle, PreparedCaller, Question};

pub(super) const ENG_ALL: (crate::Tier, &str, &str) = (
    Permit,
    "eng",
    r#"permit(principal in Group::"engineering", action, resource in Jira::Project::"acme/ENG");"#,
);
pub(super) const BOTS: (crate::Tier, &str, &str) = (
    Permit,
    "bots",
    r#"permit(principal in AgentClass::"automation", action, resource in Jira::Project::"acme/ENG");"#,
);
pub(super) const DELETE_GATE: (crate::Tier, &str, &str) = (
    Approval,
    "delete-gate",
    r#"@quorum("2") @decide_within("1h") @use_within("90s") forbid(principal, action in Action::"delete", resource);"#,
);

fn told(bundle: &Bundle, caller: Caller, operation: &str, target: &Target) -> String {
    brief(&decide(bundle, caller, &call(operation), target))
}

#[test]
fn an_empty_bundle_denies_everything() {
    let empty = bundle(&[]);
    assert!(empty.is_empty());
    assert_eq!(
        told(&empty, alice(), "jira.issue.read", &issue("ENG-1")),
        "deny human_not_permitted []"
    );
}

#[test]
fn three_answers_in_order_of_strength() {
    let rules = bundle(&[
        ENG_ALL,
        DELETE_GATE,
        (
            Guardrail,
            "keep-eng-9",
            r#"forbid(principal, action in Action::"delete", resource == Jira::Issue::"acme/ENG-9");"#,
        ),
    ]);
    let told = |operation, key| told(&rules, alice(), operation, &issue(key));
    assert_eq!(told("jira.issue.edit", "ENG-1"), "allow permitted [eng]");
    assert_eq!(
        told("jira.issue.delete", "ENG-1"),
        "approval_required approval_required [delete-gate]"
    );
    assert_eq!(told("jira.issue.delete", "ENG-9"), "deny guardrail [keep-eng-9]");
    // Nobody is asked to approve what would be denied anyway.
    assert_eq!(told("jira.issue.delete", "OPS-1"), "deny human_not_permitted []");
}

#[test]
fn a_gate_says_who_may_open_it_and_for_how_long() {
    let rules = bundle(&[ENG_ALL, DELETE_GATE]);
    let decision = decide(&rules, alice(), &call("jira.issue.delete"), &issue("ENG-1"));
    let gate = Gate {
        policy: "delete-gate".into(),
        approvers: "team:leads".into(),
        quorum: 2,
        decide_within_s: 3600,
        use_within_s: 90,
        denials: 1,
        escalation: None,
        grants: None,
        step_up: false,
    };
    assert_eq!(decision.verdict, Verdict::ApprovalRequired(vec![gate]));
    assert_eq!(decision.bundle, rules.digest());
}

#[test]
fn a05_an_approval_lifts_the_gates_it_names_and_nothing_else() {
    let critical = (
        Approval,
        "critical",
        r#"forbid(principal, action in Action::"risk.from.critical", resource);"#,
    );
    let wall =
        (Guardrail, "wall", r#"forbid(principal, action, resource == Jira::Issue::"acme/ENG-9");"#);
    let rules = bundle(&[ENG_ALL, DELETE_GATE, critical, wall]);
    let told = |key, lifted: &[&str]| {
        let lifted: Vec<String> = lifted.iter().map(|id| (*id).into()).collect();
        brief(&decide_all(&rules, alice(), &call("jira.issue.delete"), &[issue(key)], &lifted))
    };
    assert_eq!(told("ENG-1", &[]), "approval_required approval_required [critical,delete-gate]");
    assert_eq!(told("ENG-1", &["critical"]), "approval_required approval_required [delete-gate]");
    assert_eq!(told("ENG-1", &["critical", "delete-gate"]), "allow permitted [eng]");
    assert_eq!(told("ENG-9", &["critical", "delete-gate", "wall"]), "deny guardrail [wall]");
    assert_eq!(told("OPS-1", &["critical", "delete-gate"]), "deny human_not_permitted []");
}

#[test]
fn i10_neither_link_lends_the_other_what_it_lacks() {
    let rules = bundle(&[ENG_ALL, BOTS]);
    let told = |caller, key| told(&rules, caller, "jira.issue.edit", &issue(key));
    let bob_via_bot =
        Caller { agent: Some(agent("release-bot", "automation")), ..person("bob", "support") };
    assert_eq!(told(alice_via("release-bot", "automation"), "ENG-1"), "allow permitted [bots,eng]");
    assert_eq!(told(alice_via("chatty", "assistant"), "ENG-1"), "deny agent_not_permitted []");
    assert_eq!(told(bob_via_bot, "ENG-1"), "deny human_not_permitted []");
    assert_eq!(
        told(alice_via("release-bot", "automation"), "OPS-1"),
        "deny agent_not_permitted+human_not_permitted []"
    );
}

#[test]
fn i10_an_approval_does_not_lend_the_agent_what_it_lacks() {
    let rules = bundle(&[ENG_ALL, DELETE_GATE]);
    let caller = alice_via("release-bot", "automation");
    assert_eq!(
        told(&rules, caller, "jira.issue.delete", &issue("ENG-1")),
        "deny agent_not_permitted []"
    );
}

#[test]
fn every_target_must_be_allowed() {
    let rules = bundle(&[ENG_ALL, DELETE_GATE]);
    let told = |operation, targets: &[Target]| {
        brief(&decide_all(&rules, alice(), &call(operation), targets, &[]))
    };
    assert_eq!(told("jira.issue.edit", &[issue("ENG-1"), issue("ENG-2")]), "allow permitted [eng]");
    assert_eq!(
        told("jira.issue.edit", &[issue("ENG-1"), issue("OPS-1")]),
        "deny human_not_permitted []"
    );
    assert_eq!(told("jira.issue.edit", &[]), "deny target_unresolved []");
}

#[test]
fn a_service_account_answers_for_itself() {
    let mut caller = alice();
    caller.accountable.kind = AccountableKind::ServiceAccount;
    let humans = bundle(&[(Permit, "humans", "permit(principal is User, action, resource);")]);
    assert_eq!(
        told(&humans, caller.clone(), "jira.issue.read", &issue("ENG-1")),
        "deny service_account_not_permitted []"
    );
    let services = bundle(&[(
        Permit,
        "services",
        r#"permit(principal is ServiceAccount in Group::"engineering", action, resource);"#,
    )]);
    assert_eq!(
        told(&services, caller, "jira.issue.read", &issue("ENG-1")),
        "allow permitted [services]"
    );
}

#[test]
fn an_asserted_link_never_helps_to_allow() {
    let rules = bundle(&[
        ENG_ALL,
        BOTS,
        (
            Permit,
            "nightly",
            r#"permit(principal, action, resource in Jira::Project::"acme/OPS") when { context.via in Workflow::"nightly" };"#,
        ),
        (
            Approval,
            "not-nightly",
            r#"forbid(principal, action in Action::"jira.comment", resource) unless { context.via in Workflow::"nightly" };"#,
        ),
    ]);
    let told = |caller, operation, key| told(&rules, caller, operation, &issue(key));
    let mut alice_says = alice();
    alice_says.accountable.assurance = Assurance::Asserted;
    assert_eq!(told(alice_says.clone(), "jira.issue.edit", "ENG-1"), "deny human_not_permitted []");
    assert_eq!(told(alice_says, "jira.comment.write", "ENG-1"), "deny human_not_permitted []");
    let bot = Agent { assurance: Assurance::Asserted, ..agent("release-bot", "automation") };
    let caller = Caller { agent: Some(bot), ..alice() };
    assert_eq!(told(caller, "jira.issue.edit", "ENG-1"), "deny agent_not_permitted []");

    // The workflow of the test world is asserted: neither `when` nor `unless` believes it.
    assert_eq!(told(alice(), "jira.issue.edit", "OPS-1"), "deny human_not_permitted []");
    assert_eq!(
        told(alice(), "jira.comment.write", "ENG-1"),
        "approval_required approval_required [not-nightly]"
    );
    let run = run("nightly", Assurance::Verified);
    let nightly = Caller { workflow: Some(run), ..alice() };
    assert_eq!(told(nightly.clone(), "jira.issue.edit", "OPS-1"), "allow permitted [nightly]");
    assert_eq!(told(nightly, "jira.comment.write", "ENG-1"), "allow permitted [eng]");
}

#[test]
fn earlier_actors_can_be_forbidden_but_lend_nothing() {
    let rules = bundle(&[
        BOTS,
        (Permit, "scout", r#"permit(principal == Agent::"scout", action, resource);"#),
        (
            Guardrail,
            "no-scout",
            r#"forbid(principal == Agent::"scout", action in Action::"mutate", resource);"#,
        ),
        (Approval, "gate", r#"forbid(principal == Agent::"scout", action, resource);"#),
        (Permit, "alice", r#"permit(principal == User::"alice", action, resource);"#),
    ]);
    let with_scout =
        |caller: Caller| Caller { actors: vec![agent("scout", "assistant")], ..caller };
    let bot = || with_scout(alice_via("release-bot", "automation"));
    assert_eq!(
        told(&rules, bot(), "jira.issue.edit", &issue("ENG-1")),
        "deny actor_forbidden [no-scout]"
    );
    assert_eq!(
        told(&rules, bot(), "jira.issue.read", &issue("ENG-1")),
        "allow permitted [alice,bots]"
    );
    assert_eq!(
        told(&rules, bot(), "jira.issue.read", &issue("OPS-1")),
        "deny agent_not_permitted []"
    );
}

#[test]
fn i5_a_policy_that_errs_denies() {
    let overflow = "when { context.input.points + 9223372036854775807 > 0 }";
    let forbid =
        format!(r#"forbid(principal, action == Action::"jira.issue.edit", resource) {overflow};"#);
    let permit =
        format!(r#"permit(principal, action == Action::"jira.issue.edit", resource) {overflow};"#);
    for tier in [Guardrail, Approval, Permit] {
        let text = if tier == Permit { &permit } else { &forbid };
        let rules = bundle(&[ENG_ALL, (tier, "sum", text)]);
        let mut call = call("jira.issue.edit");
        call.fields.insert("points".into(), FieldValue::Count(1));
        let decision = decide(&rules, alice(), &call, &issue("ENG-1"));
        assert_eq!(brief(&decision), "deny policy_error [sum]", "{tier:?}");
    }
}

#[test]
fn i5_an_actor_policy_that_errs_denies() {
    let rules = bundle(&[
        ENG_ALL,
        BOTS,
        (
            Guardrail,
            "sum",
            r#"forbid(principal == Agent::"scout", action == Action::"jira.issue.edit", resource) when { context.input.points + 9223372036854775807 > 0 };"#,
        ),
    ]);
    let mut call = call("jira.issue.edit");
    call.fields.insert("points".into(), FieldValue::Count(1));
    let caller = Caller {
        actors: vec![agent("scout", "assistant")],
        ..alice_via("release-bot", "automation")
    };
    assert_eq!(brief(&decide(&rules, caller, &call, &issue("ENG-1"))), "deny policy_error [sum]");
}

#[test]
fn i5_a_call_that_validation_did_not_foresee_is_denied() {
    let all = bundle(&[(Permit, "all", "permit(principal, action, resource);")]);
    let edit = || call("jira.issue.edit");
    let denied = "deny policy_error []";
    let told = |call, target: &Target| brief(&decide(&all, alice(), &call, target));
    assert_eq!(told(edit(), &issue("ENG-1")), "allow permitted [all]");

    let mut absent = edit();
    absent.fields.remove("notify");
    assert_eq!(told(absent, &issue("ENG-1")), denied);
    let mut mistyped = edit();
    mistyped.fields.insert("notify".into(), FieldValue::Text("no".into()));
    assert_eq!(told(mistyped, &issue("ENG-1")), denied);
    let mut other = edit();
    Arc::make_mut(&mut other.operation).risk = Risk::Low;
    assert_eq!(told(other, &issue("ENG-1")), denied);
    let mut unheard = edit();
    Arc::make_mut(&mut unheard.operation).name = "jira.issue.shred".into();
    assert_eq!(told(unheard, &issue("ENG-1")), denied);
    assert_eq!(told(edit(), &page("DOCS", "1")), denied);
    let issue = Resource::new("Jira::Issue", "acme/ENG-1");
    let space = Resource::new("Confluence::Space", "acme/ENG");
    assert_eq!(told(edit(), &Target::located(issue.clone(), vec![space])), denied);
    let projects = ["ENG", "OPS"].map(|key| Resource::new("Jira::Project", key));
    assert_eq!(told(edit(), &Target::located(issue, projects.into())), denied);
}

#[test]
fn i5_a_time_that_cannot_be_written_denies() {
    let all = bundle(&[(Permit, "all", "permit(principal, action, resource);")]);
    let (caller, call) = (PreparedCaller::new(alice()), call("jira.issue.read"));
    let targets = [issue("ENG-1")];
    for now in [i64::MIN, i64::MAX] {
        let now = Timestamp::from_unix_ms(now);
        let question = Question {
            caller: &caller,
            call: &call,
            targets: &targets,
            now,
            grant: None,
            lifted: &[],
        };
        assert_eq!(brief(&crate::decide(&all, &question)), "deny policy_error []");
    }
}

#[test]
fn conditions_see_the_fields_the_time_and_the_chain() {
    let rules = bundle(&[(
        Permit,
        "narrow",
        r#"permit(principal, action == Action::"jira.issue.edit", resource) when {
            context.input.summary like "fix*" && !context.input.notify && context.input.points < 5
            && context.input["changed-fields"].contains("summary")
            && context.now < datetime("2026-12-01T00:00:00Z")
            && context.server == "atlassian" && context.tool == "someTool"
            && context.via in Client::"editor" && context.via in Credential::"static_token"
        };"#,
    )]);
    let mut edit = call("jira.issue.edit");
    edit.fields.insert("summary".into(), FieldValue::Text("fix \"it\"\n\u{202e}".into()));
    assert_eq!(
        brief(&decide(&rules, alice(), &edit, &issue("ENG-1"))),
        "deny human_not_permitted []"
    );
    edit.fields.insert("changed-fields".into(), FieldValue::Names(vec!["summary".into()]));
    assert_eq!(brief(&decide(&rules, alice(), &edit, &issue("ENG-1"))), "allow permitted [narrow]");
    let asserted = Caller {
        client: callgate_model::caller::Client { assurance: Assurance::Asserted, ..alice().client },
        ..alice()
    };
    assert_eq!(
        brief(&decide(&rules, asserted, &edit, &issue("ENG-1"))),
        "deny human_not_permitted []"
    );
}

#[test]
fn only_a_permit_that_names_unresolved_permits_it() {
    let anything = (Permit, "anything", "permit(principal, action, resource);");
    let pages = (
        Permit,
        "pages",
        r#"permit(principal, action in Action::"read", resource == Unresolved::"Confluence::Page");"#,
    );
    let opaque = unresolved("Confluence::Page", Obstacle::OpaqueId);
    let told = |rules: &Bundle, operation, target: &Target| told(rules, alice(), operation, target);

    let rules = bundle(&[anything]);
    assert_eq!(told(&rules, "confluence.page.read", &opaque), "deny target_unresolved []");
    let rules = bundle(&[anything, pages]);
    assert_eq!(told(&rules, "confluence.page.read", &opaque), "allow permitted [pages]");
    // Only a read may have an unresolved target, and only of the kind named.
    assert_eq!(told(&rules, "confluence.page.edit", &opaque), "deny target_unresolved []");
    let query = unresolved("Jira::Issue", Obstacle::Query);
    assert_eq!(told(&rules, "jira.search", &query), "deny query_unbounded []");
    let conflict = unresolved("Confluence::Page", Obstacle::Conflict);
    assert_eq!(told(&rules, "confluence.page.read", &conflict), "deny target_conflict []");

    let rules = bundle(&[(
        Permit,
        "queries",
        r#"permit(principal, action, resource is Unresolved) when { resource.obstacle == "query" && resource.site == "acme" && resource.kind like "Jira::*" };"#,
    )]);
    assert_eq!(told(&rules, "jira.search", &query), "allow permitted [queries]");
    assert_eq!(told(&rules, "confluence.page.read", &opaque), "deny target_unresolved []");
}

#[test]
fn z02_no_permit_reaches_another_site() {
    let rules = bundle(&[
        (Permit, "anything", "permit(principal, action, resource);"),
        (Permit, "unknown", "permit(principal, action, resource is Unresolved);"),
        (
            Permit,
            "named",
            r#"permit(principal, action, resource is Unresolved) when { resource.obstacle == "unknown_site" };"#,
        ),
    ]);
    let elsewhere = unresolved("Confluence::Page", Obstacle::UnknownSite);
    for operation in ["confluence.page.read", "confluence.page.edit"] {
        let said = told(&rules, alice(), operation, &elsewhere);
        assert_eq!(said, "deny target_unresolved []", "{operation}");
    }
}

#[test]
fn forbids_hold_for_what_is_not_known() {
    let rules = bundle(&[
        (Permit, "pages", "permit(principal, action, resource is Unresolved);"),
        (Guardrail, "not-bob", r#"forbid(principal == User::"bob", action, resource);"#),
        (Approval, "ask", r#"forbid(principal == User::"alice", action, resource);"#),
    ]);
    let opaque = unresolved("Confluence::Page", Obstacle::OpaqueId);
    let told = |caller| told(&rules, caller, "confluence.page.read", &opaque);
    assert_eq!(told(person("bob", "support")), "deny guardrail [not-bob]");
    assert_eq!(told(alice()), "approval_required approval_required [ask]");
}

#[test]
fn i9_the_risk_of_a_call_can_be_raised_but_not_lowered() {
    let rules = bundle(&[
        (
            Permit,
            "up-to-medium",
            r#"permit(principal, action in Action::"risk.up_to.medium", resource);"#,
        ),
        (
            Approval,
            "from-high",
            r#"forbid(principal, action in Action::"risk.from.high", resource);"#,
        ),
        (Permit, "named", r#"permit(principal, action in Action::"jira.issue", resource);"#),
    ]);
    let told = |risk| {
        let mut edit = call("jira.issue.edit");
        edit.risk = risk;
        brief(&decide(&rules, alice(), &edit, &issue("ENG-1")))
    };
    assert_eq!(told(Risk::Low), "allow permitted [named,up-to-medium]");
    assert_eq!(told(Risk::Medium), "allow permitted [named,up-to-medium]");
    assert_eq!(told(Risk::High), "approval_required approval_required [from-high]");
}

#[test]
fn ids_are_data_not_syntax() {
    let rules =
        bundle(&[(Permit, "alice", r#"permit(principal == User::"alice", action, resource);"#)]);
    for name in ["alice\"", "Alice", "alice ", "x\" || true", "okta/alice", "\0", ""] {
        let caller = person(name, "engineering\"::\"");
        assert_eq!(
            told(&rules, caller, "jira.issue.read", &issue("ENG-1")),
            "deny human_not_permitted []",
            "{name:?}"
        );
    }
}
