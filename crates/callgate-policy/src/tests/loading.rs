//! What loads, what does not, and what is said about it.

use std::collections::BTreeMap;

use super::world::*;
use crate::Tier::{Approval, Guardrail, Permit};
use crate::{Bundle, MAX_POLICY_BYTES, MAX_UNSCOPED_PERMITS, Problem, Source, Tier};

fn problems(sources: &[Source]) -> Vec<String> {
    let problems = Bundle::load(&vocabulary(), sources).expect_err("it must not load");
    problems.iter().map(Problem::to_string).collect()
}

/// The only problem of one policy with good annotations.
pub(super) fn problem(tier: Tier, policy: &str) -> String {
    let problems = try_bundle(&[(tier, "x", policy)]).expect_err("it must not load");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].to_string()
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let permits = source(
        Permit,
        "// People.\n@id(\"a\") @reason(\"r\") @owner(\"o\")\npermit(principal, action in\n  Action::\"reed\", resource);\n\
         @id(\"a\") @owner(\"o\") permit(principal ==, action, resource);\n\
         @id(\"b\")\npermit(principal, action, resource);\nforbid",
    );
    let approvals = source(
        Approval,
        "@id(\"A b\") @reason(\"r\") @owner(\"o\") @aproval(\"team:leads\") @quorum(\"0\")\n\
         permit(principal, action, resource);",
    );
    assert_eq!(
        problems(&[permits, approvals]),
        [
            "permits/test.cedar:4: unrecognized action `Action::\"reed\"` (hint: did you mean `Action::\"read\"`?)",
            "permits/test.cedar:5: unexpected token `,`",
            "permits/test.cedar:6: the policy has no @reason (hint: say why it exists, for people: @reason(\"…\"))",
            "permits/test.cedar:6: the policy has no @owner (hint: say whom to ask: @owner(\"team-platform\"))",
            "permits/test.cedar:8: unexpected end of input",
            "approvals/test.cedar:1: approvals/ holds forbids only (hint: a permit belongs in permits/)",
            "approvals/test.cedar:1: @aproval is no annotation of approvals/ (hint: @approval?)",
            "approvals/test.cedar:1: `A b` cannot be an id (hint: ids are made of a-z, 0-9, `.`, `_` and `-`, at most 128 of them)",
            "approvals/test.cedar:1: the policy has no @approval (hint: say who may approve: @approval(\"team:leads\"))",
            "approvals/test.cedar:1: @quorum cannot be `0` (hint: a whole number from 1 to 10: @quorum(\"2\"))",
        ]
    );
}

#[test]
fn the_annotation_vocabulary_is_closed() {
    let all = "permit(principal, action, resource);";
    assert_eq!(
        problem(Permit, &format!("@resaon(\"x\") {all}")),
        "permits/test.cedar:1: @resaon is no annotation of permits/ (hint: @reason?)"
    );
    assert_eq!(
        problem(Permit, &format!("@approval(\"team:leads\") {all}")),
        "permits/test.cedar:1: @approval is no annotation of permits/ (hint: only policies in approvals/ have it)"
    );
    let gate = "forbid(principal, action, resource);";
    for bad in [
        "@quorum(\"0\")",
        "@quorum(\"eleven\")",
        "@decide_within(\"15\")",
        "@use_within(\"8d\")",
        "@tier(\"approval\")",
        "@quorum",
        "@notify",
        "@notify(\"Team Leads\")",
    ] {
        assert!(try_bundle(&[(Approval, "x", &format!("{bad} {gate}"))]).is_err(), "{bad}");
    }
    let unnamed = source(
        Approval,
        "@id(\"x\") @reason(\"r\") @owner(\"o\") @approval(\"leads\") forbid(principal, action, resource);",
    );
    assert_eq!(
        problems(&[unnamed]),
        [
            "approvals/test.cedar:1: `leads` cannot approve (hint: name a team, @approval(\"team:leads\"), or let the person of the call confirm it, @approval(\"human\"), or ask whoever owns what it touches, @approval(\"owner\"))"
        ]
    );
}

#[test]
fn a_gate_may_name_the_channel_by_which_people_are_told() {
    let gate = |id: &str, more: &str| {
        format!(
            "@id(\"{id}\") @reason(\"r\") @owner(\"o\") @approval(\"team:leads\") {more}\nforbid(principal, action, resource);\n"
        )
    };
    let named = source(Approval, &(gate("told", "@notify(\"leads\")") + &gate("untold", "")));
    let bundle = Bundle::load(&vocabulary(), &[named]).unwrap();
    let channels = [("told".to_owned(), "leads".to_owned())];
    assert_eq!(*bundle.channels(), BTreeMap::from(channels));
    assert_eq!(bundle.about("untold").unwrap().owner, "o");
    assert!(bundle.about("other").is_none());
    let problem = problem(Guardrail, "@notify(\"leads\") forbid(principal, action, resource);");
    assert!(problem.contains("no annotation of guardrails/"), "{problem}");
}

#[test]
fn each_folder_holds_one_kind_of_policy() {
    let permit = "permit(principal, action, resource);";
    let forbid = "forbid(principal, action, resource);";
    for (tier, wrong) in [(Guardrail, permit), (Approval, permit), (Permit, forbid)] {
        let problem = problem(tier, wrong);
        assert!(problem.contains(&format!("{}/ holds", tier.folder())), "{problem}");
    }
}

#[test]
fn an_id_is_used_once_in_the_whole_bundle() {
    let wall = (Guardrail, "x", "forbid(principal, action, resource);");
    let permit = (Permit, "x", "permit(principal, action, resource);");
    let problems = try_bundle(&[wall, permit]).expect_err("the ids are equal");
    assert_eq!(
        problems[0].to_string(),
        "permits/test.cedar:1: the id x is taken (hint: by guardrails/test.cedar:1)"
    );
}

#[test]
fn i9_permits_name_risks_from_below_and_forbids_from_above() {
    assert!(
        problem(
            Permit,
            r#"permit(principal, action in [Action::"read", Action::"risk.from.low"], resource);"#
        )
        .contains("risk.up_to.")
    );
    assert!(
        problem(Guardrail, r#"forbid(principal, action in Action::"risk.up_to.high", resource);"#)
            .contains("risk.from.")
    );
    for (tier, effect) in [(Permit, "permit"), (Approval, "forbid"), (Guardrail, "forbid")] {
        for group in ["risk.from.high", "risk.up_to.high"] {
            let policy = format!(
                r#"{effect}(principal, action, resource) unless {{ action in [Action::"{group}"] }};"#
            );
            let problems = try_bundle(&[(tier, "x", &policy)]).expect_err("it must not load");
            let told = |p: &Problem| p.message.contains("a condition names a risk group");
            assert!(problems.iter().any(told), "{policy}");
        }
    }
    bundle(&[
        (Permit, "p", r#"permit(principal, action in Action::"risk.up_to.low", resource);"#),
        (Guardrail, "g", r#"forbid(principal, action in Action::"risk.from.critical", resource);"#),
    ]);
}

#[test]
fn i9_a_policy_about_high_risks_is_checked_against_all_that_could_be_raised_to_them() {
    // Only deletes and administration are critical by themselves, and neither has the field; an edit can be raised.
    let problem = problem(
        Guardrail,
        r#"forbid(principal, action in Action::"risk.from.critical", resource) when { context.input.notify };"#,
    );
    assert!(problem.contains("notify"), "{problem}");
    bundle(&[(
        Guardrail,
        "g",
        r#"forbid(principal, action in Action::"risk.from.critical", resource) when { context.input has notify && context.input.notify };"#,
    )]);
}

#[test]
fn what_validation_cannot_vouch_for_does_not_load() {
    for (why, policy) in [
        (
            "unknown operation",
            r#"permit(principal, action == Action::"jira.issue.shred", resource);"#,
        ),
        ("unknown kind", r#"permit(principal, action, resource in Jira::Board::"1");"#),
        (
            "unknown field",
            r#"permit(principal, action == Action::"jira.issue.edit", resource) when { context.input.sumary == "" };"#,
        ),
        (
            "field of another operation",
            r#"permit(principal, action in Action::"jira.issue", resource) when { context.input.points > 1 };"#,
        ),
        (
            "a string is not in anything",
            r#"permit(principal, action, resource) when { context.tool in ["a"] };"#,
        ),
        ("never true", r#"permit(principal, action, resource) when { false };"#),
        (
            "no such call",
            r#"permit(principal, action == Action::"jira.issue.edit", resource is Confluence::Page);"#,
        ),
        ("template", r#"permit(principal == ?principal, action, resource);"#),
        (
            "looks too far",
            r#"permit(principal, action, resource) when { Unresolved::"x".site == "acme" };"#,
        ),
        ("two in one", "permit(principal, action, resource) permit(principal, action, resource);"),
        ("confusable", "permit(principal == User::\"\u{430}lice\", action, resource);"),
    ] {
        assert!(try_bundle(&[(Permit, "x", policy)]).is_err(), "{why}");
    }
}

#[test]
fn i13_size_and_number_are_bounded() {
    let long = format!(
        "permit(principal, action, resource) when {{ context.tool != \"{}\" }};",
        "x".repeat(MAX_POLICY_BYTES)
    );
    assert!(problem(Permit, &long).contains("more than 65536 bytes"));

    let texts: Vec<(String, &str)> = (0..=MAX_UNSCOPED_PERMITS)
        .map(|n| (format!("p{n}"), "permit(principal, action, resource);"))
        .collect();
    let policies: Vec<_> = texts.iter().map(|(id, text)| (Permit, id.as_str(), *text)).collect();
    assert!(try_bundle(&policies[1..]).is_ok());
    let problems = try_bundle(&policies).expect_err("one too many");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("empty scope"), "{}", problems[0]);
}

#[test]
fn i13_what_would_exhaust_the_stack_or_slip_past_validation_is_refused_before_cedar_sees_it() {
    let nested = [
        format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}1{} == 1", "[".repeat(90), "]".repeat(90)),
        format!("{}true{}", "if true then ".repeat(50), " else true".repeat(50)),
        format!("context{} == 1", ".x".repeat(300)),
        format!("1 == 1{}", "+0".repeat(10_000)),
    ];
    for condition in nested {
        let policy = format!("permit(principal, action, resource) when {{ {condition} }};");
        assert!(
            problem(Permit, &policy).contains("more than")
                || problem(Permit, &policy).contains("deeper")
        );
    }
    // What the limits allow is checked to its end.
    let chain =
        format!("permit(principal, action, resource) when {{ context{} == 1 }};", ".x".repeat(100));
    assert!(try_bundle(&[(Permit, "x", &chain)]).is_err());
    let condition = format!("{}{}", "(".repeat(15), ")".repeat(15)).replace("()", "(true)");
    bundle(&[(
        Permit,
        "x",
        &format!("permit(principal, action, resource) when {{ {condition} }};"),
    )]);
}

#[test]
fn a_scope_like_one_that_was_found_good_is_still_checked_for_what_its_names_hide() {
    let permit = |name: &str| format!("permit(principal in Group::\"{name}\", action, resource);");
    let good = permit("platform");
    bundle(&[(Permit, "a", &good), (Permit, "b", &permit("data"))]);
    for (name, what) in [("p\u{430}yments", "mixed scripts"), ("\\u{202e}x", "BIDI")] {
        let problems = try_bundle(&[(Permit, "a", &good), (Permit, "b", &permit(name))]);
        let problems = problems.expect_err("it must not load");
        assert!(problems[0].message.contains(what), "{}", problems[0]);
    }
    let unknown = good.replace("Group", "Gruop");
    assert!(try_bundle(&[(Permit, "a", &good), (Permit, "b", &unknown)]).is_err());
}

#[test]
fn the_digest_is_of_the_policies_not_of_the_files() {
    let one =
        "// one\n@id(\"one\") @reason(\"r\") @owner(\"o\")\npermit(principal, action, resource);\n";
    let two = "@id(\"two\") @reason(\"r\") @owner(\"o\") permit(principal,\n\n action, resource);";
    let load =
        |sources: &[Source]| Bundle::load(&vocabulary(), sources).expect("it loads").digest();
    let apart = load(&[source(Permit, two), source(Permit, one)]);
    let mut together = source(Permit, &format!("{one}{}", two.replace("\n\n", "")));
    together.name = "other.cedar".into();
    assert_eq!(apart, load(std::slice::from_ref(&together)));

    together.text = together.text.replace("\"r\"", "\"s\"");
    assert_ne!(apart, load(&[together]));
    let mut smaller = vocabulary();
    smaller.operations.remove("jira.search");
    let other = Bundle::load(&smaller, &[source(Permit, two), source(Permit, one)]);
    assert_ne!(apart, other.expect("it loads").digest());
}

#[test]
fn a_broken_vocabulary_is_a_problem_not_a_panic() {
    let load = |change: &dyn Fn(&mut callgate_model::vocabulary::Vocabulary)| {
        let mut vocabulary = vocabulary();
        change(&mut vocabulary);
        let problems = Bundle::load(&vocabulary, &[]).expect_err("it must not load");
        assert!(problems.iter().all(|problem| problem.source == "schema"));
        problems[0].message.clone()
    };
    let kinds = |kind: &'static str, within: Option<&'static str>| {
        move |v: &mut callgate_model::vocabulary::Vocabulary| {
            v.target_kinds.insert(kind.into(), within.map(Into::into));
        }
    };
    assert!(load(&kinds("a; entity Evil", None)).contains("not a kind"));
    assert!(load(&kinds("Jira::Board", Some("Jira::Nothing"))).contains("no kind of target"));
    assert!(load(&kinds("Jira::Loop", Some("Jira::Loop"))).contains("in itself"));
    load(&kinds("User", None));
    load(&kinds("Jira::in", None));
    assert!(
        load(&|v| {
            let mut operation = v.operations["jira.search"].as_ref().clone();
            operation.name = "mutate".into();
            operation.targets.push("Nothing::Known".into());
            v.operations.insert("mutate".into(), operation.into());
        })
        .contains("the name of a group")
    );
}

#[test]
fn the_schema_takes_any_name_of_an_operation_or_field() {
    let mut vocabulary = vocabulary();
    let mut operation = vocabulary.operations["jira.search"].as_ref().clone();
    operation.name = "git-hub/get \"it\"\\ in.if\u{1f}".into();
    operation.title = "a\nb */ entity Evil;".into();
    let fields = ["if", "a-b", "\"", "\u{e9} \u{7f}", "__entity"];
    operation.fields = fields
        .iter()
        .map(|name| ((*name).to_owned(), callgate_model::vocabulary::FieldType::Text))
        .collect();
    vocabulary.operations.insert(operation.name.clone(), operation.into());
    let loaded = Bundle::load(&vocabulary, &[]);
    assert!(loaded.is_ok(), "{loaded:#?}");
}
