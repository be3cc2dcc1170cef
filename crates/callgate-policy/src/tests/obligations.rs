//! What permits oblige to.

use super::decisions::{BOTS, DELETE_GATE, ENG_ALL};
use super::loading::problem;
use super::world::*;
use crate::Tier::{Guardrail, Permit};

const CAREFUL: (crate::Tier, &str, &str) = (
    Permit,
    "careful",
    r#"@redact("email, phone") @result_within("64kB") permit(principal in Group::"engineering", action, resource);"#,
);
const SAYS_WHY: (crate::Tier, &str, &str) = (
    Permit,
    "says-why",
    r#"@needs_reason @result_within("1kB") permit(principal in AgentClass::"automation", action, resource);"#,
);

fn obligations(rules: &[(crate::Tier, &str, &str)], operation: &str) -> String {
    let decision = decide(
        &bundle(rules),
        alice_via("release-bot", "automation"),
        &call(operation),
        &issue("ENG-1"),
    );
    decision.obligations().to_json().to_text()
}

const NONE: &str =
    r#"{"redact":[],"result_bytes_max":null,"needs_reason":false,"notify":[],"record":[]}"#;

#[test]
fn i9_every_permit_that_holds_obliges_and_none_is_loosened_by_another() {
    assert_eq!(obligations(&[ENG_ALL, BOTS], "jira.issue.read"), NONE);
    let careful = r#"{"redact":["email","phone"],"result_bytes_max":64000,"needs_reason":false,"notify":[],"record":[]}"#;
    assert_eq!(obligations(&[ENG_ALL, CAREFUL, BOTS], "jira.issue.read"), careful);
    // Of both links.
    let both = r#"{"redact":["email","phone"],"result_bytes_max":1000,"needs_reason":true,"notify":[],"record":[]}"#;
    assert_eq!(obligations(&[ENG_ALL, CAREFUL, BOTS, SAYS_WHY], "jira.issue.read"), both);
    // They are known before anybody is asked; who is denied is obliged to nothing.
    let gated = &[ENG_ALL, CAREFUL, BOTS, SAYS_WHY, DELETE_GATE];
    assert_eq!(obligations(gated, "jira.issue.delete"), both);
    let never = (Guardrail, "never", "forbid(principal, action, resource);");
    assert_eq!(obligations(&[ENG_ALL, CAREFUL, BOTS, never], "jira.issue.read"), NONE);
}

#[test]
fn i9_people_are_told_by_the_channels_of_every_permit_that_holds() {
    let told = (
        Permit,
        "told",
        r#"@notify("leads, audit") permit(principal in Group::"engineering", action, resource);"#,
    );
    let also = (
        Permit,
        "also",
        r#"@notify("audit") permit(principal, action in Action::"write", resource);"#,
    );
    let rules = [ENG_ALL, told, also, BOTS];
    assert!(obligations(&rules, "jira.issue.read").contains(r#""notify":["audit","leads"]"#));
    assert_eq!(obligations(&[ENG_ALL, also, BOTS], "jira.issue.read"), NONE);
    let bundle = bundle(&rules);
    let mut named: Vec<_> = bundle.channels_named().collect();
    named.sort_unstable();
    let expected = [("also", "audit"), ("told", "audit"), ("told", "leads")];
    assert_eq!(named, expected.map(|(id, channel)| (Permit, id, channel)));
}

#[test]
fn i9_of_what_permits_want_recorded_the_stricter_holds() {
    let careful = (
        Permit,
        "careful",
        r#"@record("fields.summary: truncate, fields.assignee: hash") permit(principal in Group::"engineering", action, resource);"#,
    );
    let also = (
        Permit,
        "also",
        r#"@record("fields.summary:drop,fields.assignee:keep") permit(principal in AgentClass::"automation", action, resource);"#,
    );
    for rules in [[ENG_ALL, careful, also, BOTS], [ENG_ALL, also, careful, BOTS]] {
        let both = r#""record":["fields.assignee: hash","fields.summary: drop"]}"#;
        let told = obligations(&rules, "jira.issue.read");
        assert!(told.ends_with(both), "{told}");
    }
}

#[test]
fn i5_an_obligation_that_is_not_known_keeps_the_policies_from_loading() {
    for (annotation, told) in [
        (r#"@redakt("email")"#, "@redakt is no annotation of permits/ (hint: @redact?)"),
        (
            r#"@watermark("yes")"#,
            "@watermark is no annotation of permits/ (hint: comments are for people, annotations are for Callgate)",
        ),
        (
            r#"@redact("")"#,
            r#"@redact cannot be `` (hint: names of members of the answer, at most 32: @redact("emailAddress, accountId"))"#,
        ),
        (
            r#"@redact("a,,b")"#,
            r#"@redact cannot be `a,,b` (hint: names of members of the answer, at most 32: @redact("emailAddress, accountId"))"#,
        ),
        (
            r#"@notify("leads,")"#,
            r#"@notify cannot be `leads,` (hint: name sections [notify.NAME] of the configuration, at most 8: @notify("leads, audit"))"#,
        ),
        (
            r#"@record("fields")"#,
            r#"@record cannot be `fields` (hint: fields of the arguments, each once, at most 32, with `keep`, `truncate`, `hash` or `drop`: @record("fields.description: drop, fields.assignee: hash"))"#,
        ),
        (
            r#"@record("fields: gone")"#,
            r#"@record cannot be `fields: gone` (hint: fields of the arguments, each once, at most 32, with `keep`, `truncate`, `hash` or `drop`: @record("fields.description: drop, fields.assignee: hash"))"#,
        ),
        (
            r#"@record("fields..x: drop")"#,
            r#"@record cannot be `fields..x: drop` (hint: fields of the arguments, each once, at most 32, with `keep`, `truncate`, `hash` or `drop`: @record("fields.description: drop, fields.assignee: hash"))"#,
        ),
        (
            r#"@record("a: drop, a: keep")"#,
            r#"@record cannot be `a: drop, a: keep` (hint: fields of the arguments, each once, at most 32, with `keep`, `truncate`, `hash` or `drop`: @record("fields.description: drop, fields.assignee: hash"))"#,
        ),
        (
            r#"@result_within("all")"#,
            r#"@result_within cannot be `all` (hint: a whole number of B, kB or MB: @result_within("64kB"))"#,
        ),
        (
            r#"@needs_reason("a good one")"#,
            "@needs_reason stands alone (hint: the reason is given with the call; it is not compared with anything)",
        ),
    ] {
        let text = format!("{annotation} permit(principal, action, resource);");
        assert_eq!(problem(Permit, &text), format!("permits/test.cedar:1: {told}"));
    }
    let text = r#"@redact("email") forbid(principal, action, resource);"#;
    let told = "guardrails/test.cedar:1: @redact is no annotation of guardrails/ (hint: only policies in permits/ have it)";
    assert_eq!(problem(Guardrail, text), told);
}
