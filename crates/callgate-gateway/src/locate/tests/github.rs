//! Searches of GitHub.

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
