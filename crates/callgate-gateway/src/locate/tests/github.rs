//! What calls of servers reach beside what they name first.

use super::*;

#[test]
fn z01_a_search_of_github_is_bounded_by_what_it_names() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let github = catalogs.for_server("g", "github", SiteMap::default()).unwrap();
    let touched = |tool: &str, arguments: &str| {
        let arguments = object(arguments);
        let named = github.name(tool, &arguments).unwrap();
        let touched = github.locate(&named, &arguments).unwrap();
        let targets: Vec<String> = touched.targets.iter().map(ToString::to_string).collect();
        (targets.join(" "), touched.gap.unwrap_or_default())
    };
    let web = "GitHub::Repository \"acme/web\"";
    let query = r#"{"query": "is:open repo:Acme/Web"}"#;
    for tool in ["search_code", "search_commits", "search_issues", "search_repositories"] {
        assert_eq!(touched(tool, query).0, web, "{tool}");
    }
    // The server binds a query that names no repository to the one beside it.
    let beside = r#"{"query": "crash", "owner": "acme", "repo": "web"}"#;
    assert_eq!(touched("search_pull_requests", beside).0, web);
    let own = r#"{"query": "org:evil", "owner": "acme", "repo": "web"}"#;
    assert_eq!(touched("search_issues", own).0, format!("GitHub::Owner \"evil\" {web}"));
    for (tool, arguments, why) in [
        ("search_issues", r#"{"query": "repo:acme/web OR crash"}"#, "both sides"),
        ("search_issues", r#"{"query": "crash", "owner": "acme"}"#, "both the owner"),
        ("search_issues", r#"{"query": "x OR y", "owner": "acme", "repo": "web"}"#, "both sides"),
        ("search_issues", r#"{"query": ["repo:acme/web"]}"#, "no text"),
        ("search_users", r#"{"query": "org:acme"}"#, "free text"),
    ] {
        let (targets, gap) = touched(tool, arguments);
        assert!(targets.starts_with("unresolved GitHub::Everything (query)"), "{targets}");
        assert!(gap.contains(why), "{arguments}: {gap}");
    }
}

/// What GitHub does not look at, or what is of another repository than the one beside it.
#[test]
fn z03_what_a_call_of_github_reaches_beside_its_repository_is_a_target() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let github = catalogs.for_server("g", "github", SiteMap::default()).unwrap();
    let own = r#""owner":"acme","repo":"ok","issue_number":1"#;
    for (tool, more, expected) in [
        ("sub_issue_write", r#""method":"add","sub_issue_id":7"#, "GitHub::Owner acme"),
        (
            "issue_dependency_write",
            r#""related_repo":"secret","related_issue_number":7"#,
            "GitHub::Repository ? missing",
        ),
        (
            "issue_dependency_write",
            r#""related_owner":"acme","related_repo":"secret""#,
            "GitHub::Repository acme/secret",
        ),
        (
            "pull_request_review_write",
            r#""pullNumber":1,"threadId":"PRRT_x""#,
            "GitHub::Node PRRT_x",
        ),
        ("discussion_comment_write", r#""commentNodeID":"DC_x""#, "GitHub::Node DC_x"),
        (
            "projects_write",
            r#""item_owner":"acme","item_repo":"secret""#,
            "GitHub::Repository acme/secret",
        ),
        ("projects_write", r#""items":[{"node_id":"x"}]"#, "GitHub::Node ? missing"),
    ] {
        let found = located(&github, tool, &format!("{{{own},{more}}}"));
        assert!(
            found.iter().any(|target| target.starts_with(expected)),
            "{tool} {more}: {found:?}"
        );
    }
}

#[test]
fn z02_a_transition_says_all_that_it_changes() {
    let rovo = server("atlassian-rovo-v1");
    let arguments = r#"{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"ENG-1","transition":{"id":"31"},
        "update":{"issuelinks":[{"add":{"outwardIssue":{"key":"SEC-1"}}}],"parent":[{"set":{"key":"SEC-2"}}]}}"#;
    let found = located(&rovo, "transitionJiraIssue", arguments);
    assert_eq!(found.len(), 3, "{found:?}");
    let arguments =
        object(r#"{"transition":{"id":"31"},"transitionId":"11","issueIdOrKey":"ENG-1"}"#);
    let named = rovo.name("transitionJiraIssue", &arguments).unwrap();
    let looked_up = rovo.looked_up(&named, &arguments);
    assert!(looked_up.iter().all(|one| one.key.is_empty()), "two that differ are none");
}

/// The prompt of the server of pages fetches what it is told to.
#[test]
fn z05_a_prompt_that_does_something_touches_what_is_not_known() {
    use callgate_mcp::message::Subject;
    use callgate_model::call::Method;
    use callgate_model::vocabulary::Risk;

    let catalogs = Catalogs::shipped(&[]).unwrap();
    let fetch = catalogs.for_server("f", "fetch", SiteMap::default()).unwrap();
    let prompt = |name: &str| {
        let subject = Subject::Prompt(name.to_owned());
        let server = "f".into();
        let named = crate::name::name_subject(
            &server,
            &fetch,
            Method::PromptsGet,
            &subject,
            Object::default(),
        );
        let named = named.unwrap();
        let targets: Vec<String> = named.targets.iter().map(ToString::to_string).collect();
        (named.call.risk, targets.join(" "))
    };
    let (risk, targets) = prompt("fetch");
    assert_eq!(risk, Risk::High);
    assert!(
        targets.ends_with(r#"unresolved Net::Host (unknown_form) "prompt fetch""#),
        "{targets}"
    );
    assert_eq!(prompt("other").0, Risk::Low);
}
