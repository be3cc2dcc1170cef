//! What people and agents are shown: explanations and lists of tools.

use callgate_model::caller::{Assurance, Caller};
use callgate_model::decision::Verdict;
use callgate_model::target::Resource;

use super::decisions::{BOTS, DELETE_GATE, ENG_ALL};
use super::world::*;
use crate::Tier::{Guardrail, Permit};
use crate::{Bundle, MAX_NEAR_MISSES, PreparedCaller, could_allow, could_allow_in};

#[test]
fn an_explanation_names_the_near_misses() {
    let rules = bundle(&[
        (
            Permit,
            "elsewhere",
            r#"permit(principal in Group::"engineering", action, resource in Jira::Project::"acme/OPS");"#,
        ),
        (Permit, "reads", r#"permit(principal, action in Action::"read", resource);"#),
        (Permit, "support", r#"permit(principal in Group::"support", action, resource);"#),
        (
            Permit,
            "quiet",
            r#"permit(principal, action == Action::"jira.issue.edit", resource) when { context.input.points > 3 };"#,
        ),
        (
            Permit,
            "far",
            r#"permit(principal in Group::"support", action in Action::"read", resource);"#,
        ),
    ]);
    let explanation = explain(&rules, alice(), &call("jira.issue.edit"), &issue("ENG-1"));
    assert_eq!(brief(&explanation.decision), "deny human_not_permitted []");
    let [asked] = explanation.asked.as_slice() else { panic!("one link, one target") };
    assert_eq!(
        (asked.link.as_str(), asked.target.as_str()),
        ("human alice", "Jira::Issue \"acme/ENG-1\"")
    );
    let near: Vec<_> = asked.near.iter().map(|n| (n.missed, n.policy.as_str())).collect();
    assert_eq!(
        near,
        [
            ("action", "reads"),
            ("condition", "quiet"),
            ("principal", "support"),
            ("resource", "elsewhere")
        ]
    );
}

#[test]
fn an_explanation_shows_each_link_and_bounds_its_length() {
    let texts: Vec<(String, String)> = (0..30)
        .map(|n| {
            (format!("p{n}"), format!(r#"permit(principal == User::"u{n}", action, resource);"#))
        })
        .collect();
    let mut policies: Vec<_> =
        texts.iter().map(|(id, text)| (Permit, id.as_str(), text.as_str())).collect();
    policies.extend([BOTS, DELETE_GATE]);
    let rules = bundle(&policies);
    let caller = alice_via("release-bot", "automation");
    let explanation = explain(&rules, caller, &call("jira.issue.delete"), &issue("ENG-1"));
    assert_eq!(brief(&explanation.decision), "deny human_not_permitted []");
    let [human, bot] = explanation.asked.as_slice() else { panic!("two links") };
    assert_eq!(human.verdict, Verdict::Deny);
    assert_eq!(human.near.len(), MAX_NEAR_MISSES);
    assert_eq!(bot.link, "agent release-bot");
    assert_eq!(bot.policies, ["delete-gate"]);
    assert!(matches!(bot.verdict, Verdict::ApprovalRequired(_)) && bot.near.is_empty());
}

fn listing() -> Bundle {
    bundle(&[
        ENG_ALL,
        DELETE_GATE,
        (
            Permit,
            "bots-ops",
            r#"permit(principal in AgentClass::"automation", action, resource in Jira::Project::"acme/OPS");"#,
        ),
        (
            Permit,
            "assistants",
            r#"permit(principal in AgentClass::"assistant", action, resource == Jira::Issue::"acme/ENG-1");"#,
        ),
        (
            Permit,
            "merge",
            r#"permit(principal in Group::"engineering", action in Action::"bitbucket", resource);"#,
        ),
        (
            Permit,
            "pages",
            r#"permit(principal in Group::"engineering", action in Action::"confluence", resource is Unresolved);"#,
        ),
        (
            Guardrail,
            "no-comments",
            r#"forbid(principal in Group::"engineering", action in Action::"jira.comment", resource);"#,
        ),
        (
            Guardrail,
            "some-edits",
            r#"forbid(principal, action == Action::"jira.issue.edit", resource) when { context.input.notify };"#,
        ),
    ])
}

#[test]
fn i3_a_tool_is_listed_if_some_call_could_be_allowed() {
    let rules = listing();
    let listed = |caller: Caller| {
        let caller = PreparedCaller::new(caller);
        let vocabulary = vocabulary();
        let operations = vocabulary.operations.values();
        operations
            .filter(|operation| {
                could_allow(&rules, &caller, "atlassian", operation, operation.risk)
            })
            .map(|operation| operation.name.clone())
            .collect::<Vec<_>>()
    };
    // Comments meet a guardrail without a way round; deletes only a gate; page writes have no permit that reaches them.
    let human = [
        "bitbucket.pullrequest.merge",
        "confluence.page.read",
        "confluence.search",
        "jira.issue.create",
        "jira.issue.delete",
        "jira.issue.edit",
        "jira.issue.read",
        "jira.issue.transition",
        "jira.project.admin",
        "jira.project.read",
        "jira.search",
    ];
    assert_eq!(listed(alice()), human);
    // What the human may do is all in ENG and what this agent may do is all in OPS.
    assert!(listed(alice_via("release-bot", "automation")).is_empty());
    assert_eq!(
        listed(alice_via("chatty", "assistant")),
        [
            "jira.issue.delete",
            "jira.issue.edit",
            "jira.issue.read",
            "jira.issue.transition",
            "jira.search"
        ]
    );
    assert!(listed(person("bob", "support")).is_empty());
    let mut says = alice();
    says.accountable.assurance = Assurance::Asserted;
    assert!(listed(says).is_empty());
}

#[test]
fn i3_what_could_be_allowed_in_a_place_is_read_off_the_permits_for_it() {
    let rules = listing();
    let vocabulary = vocabulary();
    let could = |caller: Caller, operation: &str, project: &str| {
        let caller = PreparedCaller::new(caller);
        let operation = &vocabulary.operations[operation];
        let place = Resource::new("Jira::Project", project);
        could_allow_in(&rules, &caller, "atlassian", operation, operation.risk, &place)
    };
    assert!(could(alice(), "jira.issue.edit", "acme/ENG"));
    assert!(could(alice(), "jira.issue.delete", "acme/ENG"), "after approval");
    assert!(!could(alice(), "jira.issue.edit", "acme/OPS"));
    assert!(!could(alice(), "jira.comment.write", "acme/ENG"), "a wall stands before it");
    assert!(could(alice_via("chatty", "assistant"), "jira.issue.edit", "acme/ENG"));
    assert!(!could(alice_via("release-bot", "automation"), "jira.issue.edit", "acme/ENG"));
    assert!(!could(alice_via("release-bot", "automation"), "jira.issue.edit", "acme/OPS"));
    assert!(!could(person("bob", "support"), "jira.issue.edit", "acme/ENG"));
    // What is in a place is located: a permit for what is not says nothing about it.
    assert!(!could(alice(), "confluence.page.read", "acme/ENG"));
    let search = &vocabulary.operations["jira.search"];
    let space = Resource::new("Confluence::Space", "acme/DOCS");
    let caller = PreparedCaller::new(alice());
    assert!(
        !could_allow_in(&rules, &caller, "atlassian", search, search.risk, &space),
        "no issue is in it"
    );
    let unknown = Resource::new("No::Kind", "acme/ENG");
    let read = &vocabulary.operations["jira.issue.read"];
    assert!(!could_allow_in(
        &rules,
        &PreparedCaller::new(alice()),
        "atlassian",
        read,
        read.risk,
        &unknown
    ));
}
