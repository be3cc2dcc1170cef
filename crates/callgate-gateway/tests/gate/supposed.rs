//! Rehearsals where a server would be asked: what is said it would say is decided by as if it had.

use std::collections::BTreeMap;

use callgate_gateway::rehearse::{CaseFile, run_case};
use callgate_model::ambient::Timestamp;
use callgate_policy::Tier;

use crate::support::{Rule, catalogs, load, sites};

const RULES: &[Rule] = &[
    (
        Tier::Permit,
        "docs",
        r#"permit(principal, action in Action::"confluence", resource in Confluence::Space::"acme/DOCS");"#,
    ),
    (
        Tier::Permit,
        "eng",
        r#"permit(principal, action in Action::"jira", resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Guardrail,
        "done",
        r#"forbid(principal, action == Action::"jira.issue.transition", resource) when { context.input.status == "Done" };"#,
    ),
];

/// What comes of a call of `tool`, with what is supposed, as TOML.
fn run(tool: &str, arguments: &str, supposed: &str, want: &str) -> Result<(), String> {
    let catalogs = catalogs(&[]);
    let bundle = load(&catalogs, RULES);
    let server = catalogs.for_server("a", "atlassian-rovo", sites()).unwrap();
    let servers = BTreeMap::from([("a".to_owned(), server)]);
    let file: CaseFile = toml::from_str(&format!(
        "[caller.alice]\nhuman = \"alice\"\n[[case]]\nname = \"x\"\ncaller = \"alice\"\nserver = \"a\"\ntool = \"{tool}\"\n\
         arguments = {{ cloudId = \"https://acme.atlassian.net\", {arguments} }}\nwant = \"{want}\"\n{supposed}"
    ))
    .unwrap();
    run_case(&servers, &bundle, &file, &file.cases[0], Timestamp::from_unix_ms(0))
}

#[test]
fn what_would_be_found_is_followed_to_its_end() {
    let comment = |supposed: &str, want: &str| {
        run("updateConfluenceComment", "commentId = \"7\", body = \"x\"", supposed, want)
    };
    assert_eq!(comment("reasons = [\"target_unresolved\"]", "deny"), Ok(()));
    // A comment, its page, its space by number, its space by key.
    let mut found = [
        "'Confluence::Comment::\"acme/7\"' = 'Confluence::Page::\"acme/12\"'",
        "'Confluence::Page::\"acme/12\"' = 'Confluence::Space::\"acme/98\"'",
        "'Confluence::Space::\"acme/98\"' = 'Confluence::Space::\"acme/DOCS\"'",
    ];
    assert_eq!(comment(&format!("[case.found]\n{}", found.join("\n")), "allow"), Ok(()));
    found[2] = "'Confluence::Space::\"acme/98\"' = 'Confluence::Space::\"acme/HR\"'";
    assert_eq!(comment(&format!("[case.found]\n{}", found.join("\n")), "deny"), Ok(()));
    // A chain that is broken leads nowhere, and one without an end ends.
    let broken = &found[..2];
    assert_eq!(comment(&format!("[case.found]\n{}", broken.join("\n")), "deny"), Ok(()));
    found[2] = "'Confluence::Space::\"acme/98\"' = 'Confluence::Space::\"acme/98\"'";
    assert_eq!(comment(&format!("[case.found]\n{}", found.join("\n")), "deny"), Ok(()));
}

#[test]
fn a_thing_in_two_places_is_in_both() {
    let link = |places: &str, want: &str| {
        let found = format!("[case.found]\n'Jira::Issue::\"acme/10042\"' = {places}");
        run("getJiraIssue", "issueIdOrKey = \"10042\"", &found, want)
    };
    assert_eq!(
        link("['Jira::Issue::\"acme/ENG-1\"', 'Jira::Issue::\"acme/ENG-2\"']", "allow"),
        Ok(())
    );
    assert_eq!(
        link("['Jira::Issue::\"acme/ENG-1\"', 'Jira::Issue::\"acme/HR-2\"']", "deny"),
        Ok(())
    );
    for wrong in ["'ENG-1'", "'Jira::Issue::\"ENG-1\"'", "'Jira::Issue::\"elsewhere/ENG-1\"'"] {
        let error = link(wrong, "deny").unwrap_err();
        assert!(error.contains("is not in a site of the server"), "{error}");
    }
}

#[test]
fn what_would_be_looked_up_is_known_only_if_it_is_said() {
    let transition = |supposed: &str, want: &str| {
        run(
            "transitionJiraIssue",
            "issueIdOrKey = \"ENG-1\", transitionId = \"31\"",
            supposed,
            want,
        )
    };
    assert_eq!(transition("looked_up = { status = \"Open\" }", "allow"), Ok(()));
    assert_eq!(
        transition("looked_up = { status = \"Done\" }\nreasons = [\"guardrail\"]", "deny"),
        Ok(())
    );
    assert_eq!(transition("reasons = [\"target_unresolved\"]", "deny"), Ok(()));
}
