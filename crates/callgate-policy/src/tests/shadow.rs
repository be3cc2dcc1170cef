//! Policies that are looked at and enforce nothing.

use callgate_model::decision::Decision;
use callgate_model::target::Obstacle;
use callgate_model::vocabulary::{FieldValue, Vocabulary};
use proptest::prelude::*;

use super::decisions::{BOTS, DELETE_GATE, ENG_ALL};
use super::properties::{Asked, bundle_of, config, policy, questions, strength, with};
use super::world::*;
use crate::Tier::{Approval, Guardrail, Permit};
use crate::{Bundle, PreparedCaller, Tier, could_allow};

/// What is, and what would be.
fn both(decision: &Decision) -> String {
    let would = decision.would.as_deref().map(brief);
    format!("{} | {}", brief(decision), would.as_deref().unwrap_or("-"))
}

fn told(rules: &Bundle, operation: &str, key: &str) -> String {
    both(&decide(rules, alice(), &call(operation), &issue(key)))
}

#[test]
fn what_is_in_shadow_is_told_and_enforces_nothing() {
    let rules = bundle(&[
        ENG_ALL,
        (
            Guardrail,
            "no-edits",
            r#"@shadow forbid(principal, action == Action::"jira.issue.edit", resource);"#,
        ),
        (
            Approval,
            "deletes",
            r#"@shadow forbid(principal, action in Action::"delete", resource);"#,
        ),
        (
            Permit,
            "ops",
            r#"@shadow permit(principal, action, resource in Jira::Project::"acme/OPS");"#,
        ),
    ]);
    let told = |operation, key| told(&rules, operation, key);
    assert_eq!(told("jira.issue.read", "ENG-1"), "allow permitted [eng] | -");
    assert_eq!(
        told("jira.issue.edit", "ENG-1"),
        "allow permitted [eng] | deny guardrail [no-edits]"
    );
    assert_eq!(
        told("jira.issue.delete", "ENG-1"),
        "allow permitted [eng] | approval_required approval_required [deletes]"
    );
    assert_eq!(
        told("jira.issue.read", "OPS-1"),
        "deny human_not_permitted [] | allow permitted [ops]"
    );
    // A guardrail denies as well as the want of a permit.
    assert_eq!(told("jira.issue.edit", "HR-1"), "deny human_not_permitted [] | -");
    assert!(!rules.has_gates());
}

#[test]
fn i5_an_error_in_shadow_denies_nothing() {
    let rules = bundle(&[
        ENG_ALL,
        (
            Guardrail,
            "overflows",
            r#"@shadow forbid(principal, action == Action::"jira.issue.edit", resource)
            when { context.input.points + 9223372036854775000 > 0 };"#,
        ),
    ]);
    let mut edit = call("jira.issue.edit");
    edit.fields.insert("points".into(), FieldValue::Count(5_000));
    let decision = decide(&rules, alice(), &edit, &issue("ENG-1"));
    assert_eq!(both(&decision), "allow permitted [eng] | deny policy_error [overflows]");
}

#[test]
fn i3_a_permit_in_shadow_lists_nothing_and_a_wall_in_shadow_hides_nothing() {
    let rules = bundle(&[
        (Permit, "reads", r#"permit(principal, action in Action::"read", resource);"#),
        (
            Permit,
            "edits",
            "@shadow @needs_reason @redact(\"email\") permit(principal, action, resource);",
        ),
        (Guardrail, "wall", "@shadow forbid(principal, action, resource);"),
    ]);
    let caller = PreparedCaller::new(alice());
    let lists = |name: &str| {
        let operation = &vocabulary().operations[name];
        could_allow(&rules, &caller, "atlassian", operation, operation.risk)
    };
    assert!(lists("jira.issue.read") && !lists("jira.issue.edit"));
    assert!(!rules.needs_reasons());
    let read = decide(&rules, alice(), &call("jira.issue.read"), &issue("ENG-1"));
    assert!(read.obliges.is_none());
    assert_eq!(both(&read), "allow permitted [reads] | deny guardrail [wall]");
}

#[test]
fn an_approval_lifts_gates_in_force_and_none_in_shadow() {
    let shadow = r#"@shadow forbid(principal, action in Action::"delete", resource);"#;
    let rules = bundle(&[ENG_ALL, BOTS, DELETE_GATE, (Approval, "second", shadow)]);
    let lifted = ["delete-gate".to_owned()];
    let (delete, target) = (call("jira.issue.delete"), [issue("ENG-1")]);
    let decision = decide_all(&rules, alice(), &delete, &target, &lifted);
    assert_eq!(
        both(&decision),
        "allow permitted [eng] | approval_required approval_required [second]"
    );
    let asks = decide_all(&rules, alice(), &delete, &target, &[]);
    assert!(both(&asks).ends_with("[delete-gate,second]"), "{}", both(&asks));
}

#[test]
fn nobody_is_asked_for_what_only_a_policy_in_shadow_wants_to_know() {
    let asking = Vocabulary { looked_up: ["summary".to_owned()].into(), ..vocabulary() };
    let load = |shadow: &str| {
        let text = format!(
            "@id(\"x\") @reason(\"r\") @owner(\"o\") {shadow} forbid(principal, action == Action::\"jira.issue.edit\", resource) when {{ context.input.summary == \"x\" }};"
        );
        Bundle::load(&asking, &[source(Guardrail, &text)])
    };
    let problems = load("@shadow").err().unwrap();
    assert!(problems[0].message.contains("cannot name the field `summary`"), "{problems:?}");
    assert!(load("").unwrap().looks_up("summary"));
    let elsewhere = "@shadow forbid(principal, action == Action::\"jira.issue.edit\", resource);";
    let rules = bundle(&[(Guardrail, "x", elsewhere)]);
    assert!(!rules.looks_up("summary"));
}

#[test]
fn shadow_says_nothing_more() {
    for bad in ["@shadow(\"true\")", "@shadow(\"false\")"] {
        let text = format!("{bad} forbid(principal, action, resource);");
        assert!(try_bundle(&[(Guardrail, "x", &text)]).is_err(), "{bad}");
    }
}

/// The policies that are put in shadow, by their places.
type InShadow = Vec<bool>;

fn shadowed(policies: &[(Tier, String)], hidden: &InShadow) -> Vec<(Tier, String)> {
    let mark = |((tier, text), hidden): (&(Tier, String), &bool)| {
        (*tier, if *hidden { format!("@shadow {text}") } else { text.clone() })
    };
    policies.iter().zip(hidden).map(mark).collect()
}

fn said(bundle: &Bundle, asked: &Asked) -> Decision {
    with(asked, &[], |question| {
        assert!(bundle.verify_slice(question));
        crate::decide(bundle, question)
    })
}

/// What people are told of a decision, but for the bundle and what would be.
fn plain(decision: Decision) -> Decision {
    Decision { would: None, bundle: callgate_model::digest::Digest::default(), ..decision }
}

proptest! {
    #![proptest_config(config())]

    /// In shadow it is as if a policy were not there; and what would be is what is once it is in force.
    #[test]
    fn i9_a_policy_in_shadow_is_not_there_and_says_what_it_would_do(
        policies in prop::collection::vec((policy(), any::<bool>()), 0..12),
        questions in questions(),
    ) {
        let (policies, hidden): (Vec<_>, InShadow) = policies.into_iter().unzip();
        let bundle = bundle_of(&shadowed(&policies, &hidden));
        let all = bundle_of(&policies);
        // Those that are not there are replaced by one that never matters, so that the others keep their ids.
        let nothing = (Guardrail, "forbid(principal == User::\"nobody\", action, resource) ;".to_owned());
        let without: Vec<_> = policies.iter().zip(&hidden)
            .map(|(one, hidden)| if *hidden { nothing.clone() } else { one.clone() })
            .collect();
        let without = bundle_of(&without);
        for asked in &questions {
            let decision = said(&bundle, asked);
            let enforced = said(&all, asked);
            prop_assert_eq!(plain(decision.clone()), plain(said(&without, asked)));
            let would = decision.would.as_deref().unwrap_or(&decision);
            prop_assert_eq!(&would.verdict, &enforced.verdict);
            prop_assert_eq!(decision.would.is_some(), decision.verdict != enforced.verdict);
            if policies.iter().zip(&hidden).all(|((tier, _), hidden)| !hidden || *tier != Permit) {
                // Only forbids are in shadow: to put them in force narrows.
                prop_assert!(strength(&enforced.verdict) <= strength(&decision.verdict));
            }
        }
    }
}

#[test]
fn what_is_not_known_is_in_shadow_as_in_force() {
    let rules = bundle(&[(
        Permit,
        "any-page",
        r#"@shadow permit(principal, action in Action::"read", resource == Unresolved::"Jira::Issue");"#,
    )]);
    let target = unresolved("Jira::Issue", Obstacle::OpaqueId);
    let decision = decide(&rules, alice(), &call("jira.issue.read"), &target);
    assert_eq!(both(&decision), "deny target_unresolved [] | allow permitted [any-page]");
}
