//! Tools that run other tools.

use super::*;

/// A dispatcher, its arguments with `$ACME` for the site's id, and the operation or the refusal.
const DISPATCHED: &[(&str, &str, Result<&str, Reason>)] = &[
    (
        "executeRead",
        r#"{"name":"getJiraIssue","inputs":{"issueIdOrKey":"ENG-1"}}"#,
        Ok("jira.issue.read"),
    ),
    ("executeDestructive", r#"{"name":"deleteJiraIssue"}"#, Ok("jira.issue.delete")),
    ("executeDestructive", r#"{"name":"manageJiraProjectVersion"}"#, Ok("jira.version.manage")),
    ("executeWrite", r#"{"name":"enableConfluencePublicLink"}"#, Ok("confluence.page.publish")),
    ("execute", r#"{"name":"deleteJiraIssue"}"#, Ok("jira.issue.delete")),
    ("executeRead", r#"{"name":"deleteJiraIssue"}"#, Err(Reason::DispatchTierMismatch)),
    ("executeWrite", r#"{"name":"deleteJiraIssue"}"#, Err(Reason::DispatchTierMismatch)),
    ("executeDestructive", r#"{"name":"editJiraIssue"}"#, Err(Reason::DispatchTierMismatch)),
    ("executeWrite", r#"{"name":"getJiraIssue"}"#, Err(Reason::DispatchTierMismatch)),
    ("executeRead", r#"{"name":"getJiraIssue "}"#, Err(Reason::DispatchUnknown)),
    ("executeRead", r#"{"name":"getjiraissue"}"#, Err(Reason::DispatchUnknown)),
    ("executeRead", r#"{"name":["getJiraIssue"]}"#, Err(Reason::DispatchUnknown)),
    ("executeRead", r#"{"inputs":{"name":"getJiraIssue"}}"#, Err(Reason::DispatchUnknown)),
    (
        "execute",
        r#"{"name":"executeRead","inputs":{"name":"getJiraIssue"}}"#,
        Err(Reason::DispatchUnknown),
    ),
    ("execute", r#"{"name":"execute"}"#, Err(Reason::DispatchUnknown)),
    ("executeRead", r#"{"name":"getJiraIssue","inputs":"{}"}"#, Err(Reason::ArgumentsInvalid)),
    ("executeRead", r#"{"name":"getJiraIssue","inputs":null}"#, Err(Reason::ArgumentsInvalid)),
    (
        "executeRead",
        r#"{"name":"getJiraIssue","issueIdOrKey":"EVIL-1","inputs":{}}"#,
        Err(Reason::DispatchConflict),
    ),
    (
        "executeRead",
        r#"{"name":"getJiraIssue","cloudId":"$ACME","inputs":{"cloudId":"$ACME"}}"#,
        Ok("jira.issue.read"),
    ),
    (
        "executeRead",
        r#"{"name":"getJiraIssue","cloudId":"$ACME","inputs":{"cloudId":"acme.atlassian.net"}}"#,
        Ok("jira.issue.read"),
    ),
    (
        "executeRead",
        r#"{"name":"getJiraIssue","cloudId":"$ACME","inputs":{"cloudId":"other.atlassian.net"}}"#,
        Err(Reason::DispatchConflict),
    ),
    (
        "executeRead",
        r#"{"name":"getJiraIssue","cloudId":"$ACME","inputs":{"cloudId":null}}"#,
        Err(Reason::DispatchConflict),
    ),
    ("noSuchTool", "{}", Err(Reason::ToolUnclassified)),
    ("EXECUTE", r#"{"name":"getJiraIssue"}"#, Err(Reason::ToolUnclassified)),
];

#[test]
fn p12_a_dispatcher_is_the_tool_it_runs() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let server = catalogs.for_server("atlassian", "atlassian-rovo", sites()).unwrap();
    let arguments = |text: &str| object(&text.replace("$ACME", ACME));
    for (tool, text, expected) in DISPATCHED {
        let named = server.name(tool, &arguments(text));
        let operation = named.as_ref().map(|named| named.operation.name.as_str()).map_err(|r| *r);
        assert_eq!(operation, *expected, "{tool} {text}");
    }
    let outer = r#"{"name":"getJiraIssue","cloudId":"$ACME","inputs":{"issueIdOrKey":"ENG-1"}}"#;
    let named = server.name("executeRead", &arguments(outer)).unwrap();
    assert_eq!(named.inner.as_deref(), Some("getJiraIssue"));
    let unwrapped = arguments(r#"{"issueIdOrKey":"ENG-1","cloudId":"$ACME"}"#);
    assert_eq!(named.unwrapped, Some(unwrapped));
}

/// The shapes that other servers' dispatchers have, as the page writes them.
#[test]
fn p12_dispatchers_of_other_shapes_are_the_tools_they_run() {
    let shapes = PAGE.split("[dispatcher.call_tool]").nth(1).unwrap().split("```").next().unwrap();
    let file = format!("{}\n[dispatcher.call_tool]{shapes}", examples(OWN)[0]);
    let catalogs = Catalogs::shipped(&[("tracker.toml", &file)]).unwrap();
    let server = catalogs.for_server("t", "tracker", SiteMap::default()).unwrap();
    for (tool, arguments, expected) in [
        (
            "call_tool",
            r#"{"name":"get_ticket","arguments":{"board":"a"}}"#,
            Ok("tracker/get_ticket"),
        ),
        ("call_tool", r#"{"name":"update_ticket"}"#, Ok("tracker/update_ticket")),
        ("execute_tool", r#"{"tool_name":"get_ticket","reason":"x"}"#, Ok("tracker/get_ticket")),
        ("execute_tool", r#"{"tool_name":"update_ticket"}"#, Err(Reason::DispatchTierMismatch)),
        ("call_tool", r#"{"tool_name":"get_ticket"}"#, Err(Reason::DispatchUnknown)),
        (
            "call_tool",
            r#"{"name":"execute_tool","arguments":{"tool_name":"get_ticket"}}"#,
            Err(Reason::DispatchUnknown),
        ),
        ("call_tool", r#"{"name":"tracker.get_ticket"}"#, Err(Reason::DispatchUnknown)),
        ("call_tool", r#"{"name":"get_ticket","board":"b"}"#, Err(Reason::DispatchConflict)),
        ("call_tool", r#"{"name":"get_ticket","reason":"x"}"#, Err(Reason::DispatchConflict)),
        ("call_tool", r#"{"name":"get_ticket","arguments":"{}"}"#, Err(Reason::ArgumentsInvalid)),
        ("run_tool", r#"{"name":"get_ticket"}"#, Err(Reason::ToolUnclassified)),
    ] {
        let named = server.name(tool, &object(arguments));
        let operation = named.as_ref().map(|named| named.operation.name.as_str()).map_err(|r| *r);
        assert_eq!(operation, expected, "{tool} {arguments}");
    }
}

#[test]
fn i3_a_dispatcher_lists_what_it_can_run() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let server = catalogs.for_server("atlassian", "atlassian-rovo", sites()).unwrap();
    let names = |tool| -> BTreeSet<String> {
        server
            .operations_of(tool)
            .into_iter()
            .map(|(operation, _)| operation.name.clone())
            .collect()
    };
    assert!(names("noSuchTool").is_empty());
    assert_eq!(names("getJiraIssue"), BTreeSet::from(["jira.issue.read".to_owned()]));
    assert!(names("executeRead").contains("jira.issue.read"));
    assert!(server.operations_of("executeRead").iter().all(|(o, _)| o.effect == Effect::Read));
    let everything: BTreeSet<String> = server
        .catalog_tools()
        .map(|(tool, _)| server.name(tool, &Object::default()).unwrap().operation.name.clone())
        .collect();
    assert_eq!(names("execute"), everything);
}
