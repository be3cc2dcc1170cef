mod github;
mod outside;

use callgate_model::json::{JsonLimits, Object, read};
use callgate_model::products::atlassian::{SiteEntry, SiteMap};
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Target};
use callgate_model::vocabulary::FieldValue;
use proptest::prelude::*;

use super::TARGETS_MAX;
use crate::catalog::{Catalogs, ServerCatalog};

const ACME: &str = "11111111-2222-3333-4444-555555555555";

fn sites(default: Option<&str>) -> SiteMap {
    let site = |alias: &str, cloud_id: &str| SiteEntry {
        alias: alias.into(),
        cloud_id: Some(cloud_id.into()),
        url: Some(format!("https://{alias}.atlassian.net")),
    };
    let other = site("other", "99999999-2222-3333-4444-555555555555");
    SiteMap::new(&[site("acme", ACME), other], default).unwrap()
}

fn server(catalog: &str) -> ServerCatalog {
    Catalogs::shipped(&[]).unwrap().for_server("s", catalog, sites(Some("acme"))).unwrap()
}

fn object(text: &str) -> Object {
    let json = read(text.as_bytes(), &JsonLimits::default()).unwrap();
    json.as_object().unwrap_or_else(|| panic!("{text}")).clone()
}

/// The targets of a call, each as its id or the reason why it has none.
fn located(server: &ServerCatalog, tool: &str, arguments: &str) -> Vec<String> {
    let arguments = object(arguments);
    let named = server.name(tool, &arguments).unwrap();
    let effective = named.unwrapped.as_ref().unwrap_or(&arguments);
    let targets = server.locate(&named, effective).unwrap().targets;
    targets
        .iter()
        .map(|target| match target {
            Target::Located(found) => found.resource.to_string().replace('"', ""),
            Target::Unresolved(not) => format!("{} ? {}", not.kind, not.obstacle.as_str()),
        })
        .collect()
}

const ROVO: &str = "atlassian-rovo";
const MCP: &str = "mcp-atlassian";

/// A catalog, a tool, its arguments and every target.
const CALLS: &[(&str, &str, &str, &[&str])] = &[
    (
        ROVO,
        "createJiraIssueLink",
        r#"{"inwardIssue":"ENG-1","outwardIssue":"OPS-2"}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Issue acme/OPS-2"],
    ),
    (
        ROVO,
        "editJiraIssue",
        r#"{"issueIdOrKey":"ENG-1","fields":{"summary":"x"}}"#,
        &["Jira::Issue acme/ENG-1"],
    ),
    (
        ROVO,
        "editJiraIssue",
        r#"{"issueIdOrKey":"ENG-1","fields":{"parent":{"key":"OPS-2"},"project":{"key":"OPS"}}}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Issue acme/OPS-2", "Jira::Project acme/OPS"],
    ),
    (
        ROVO,
        "editJiraIssue",
        r#"{"issueIdOrKey":"ENG-1","fields":{"parent":{"id":10042}}}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Issue ? opaque_id"],
    ),
    (
        ROVO,
        "editJiraIssue",
        r#"{"issueIdOrKey":"ENG-1","fields":{"parent":{"key":"ENG-2","id":"1"}}}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Issue ? missing"],
    ),
    (
        ROVO,
        "createConfluenceContent",
        r#"{"parent":{"spaceId":"docs","parentContentId":"7"}}"#,
        &["Confluence::Space acme/DOCS", "Confluence::Page ? opaque_id"],
    ),
    (
        ROVO,
        "mergeBitbucketRepoPullRequest",
        r#"{"workspaceId":"acme","repoSlug":"web","pullRequestId":7}"#,
        &["Bitbucket::PullRequest acme/web/7"],
    ),
    (
        ROVO,
        "mergeBitbucketRepoPullRequest",
        r#"{"workspaceId":"acme","pullRequestId":7}"#,
        &["Bitbucket::PullRequest ? missing"],
    ),
    (
        ROVO,
        "getBitbucketRepository",
        r#"{"workspaceId":"acme","repoSlug":"evil/web","cloudId":"x"}"#,
        &["Bitbucket::Repository ? conflict", "Atlassian::Site ? unknown_site"],
    ),
    (
        ROVO,
        "executeDestructive",
        r#"{"name":"deleteJiraIssue","cloudId":"https://other.atlassian.net/","inputs":{"issueIdOrKey":"eng-1"}}"#,
        &["Jira::Issue other/ENG-1"],
    ),
    (
        MCP,
        "jira_move_issue",
        r#"{"issue_key":"ENG-1","target_project_key":"OPS"}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Project acme/OPS"],
    ),
    (
        MCP,
        "jira_add_issues_to_sprint",
        r#"{"sprint_id":"7","issue_keys":"ENG-1, ops-2,ENG-1"}"#,
        &["Jira::Sprint ? opaque_id", "Jira::Issue acme/ENG-1", "Jira::Issue acme/OPS-2"],
    ),
    (
        MCP,
        "jira_move_issues_to_backlog",
        r#"{"issue_keys":"ENG-1,,../EVIL-2"}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Issue ? unknown_form", "Jira::Issue ? unknown_form"],
    ),
    (
        MCP,
        "confluence_copy_page",
        r#"{"source_page_id":"7","destination_space_key":"OPS","destination_parent_id":"8"}"#,
        &[
            "Confluence::Page ? opaque_id",
            "Confluence::Space acme/OPS",
            "Confluence::Page ? opaque_id",
        ],
    ),
    (
        MCP,
        "confluence_get_page",
        r#"{"title":"x","space_key":"docs"}"#,
        &["Confluence::Space acme/DOCS"],
    ),
    (MCP, "confluence_get_page", "{}", &["Confluence::Page ? missing"]),
    (MCP, "jira_get_agile_boards", r#"{"project_key":"ENG"}"#, &["Jira::Project acme/ENG"]),
    (MCP, "jira_get_agile_boards", r#"{"project_key":null}"#, &["Atlassian::Site acme"]),
    (MCP, "jira_search_assignable_users", r#"{"query":"x"}"#, &["Atlassian::Site ? missing"]),
    (MCP, "jira_search", r#"{"jql":"project = ENG AND text ~ x"}"#, &["Jira::Project acme/ENG"]),
    (
        MCP,
        "jira_search",
        r#"{"jql":"key in (eng-1, 10042)"}"#,
        &["Jira::Issue acme/ENG-1", "Jira::Issue ? opaque_id"],
    ),
    (MCP, "jira_search", r#"{"jql":"project = ENG OR text ~ x"}"#, &["Jira::Issue ? query"]),
    (
        MCP,
        "jira_search",
        r#"{"jql":"project = ENG","projects_filter":"HR"}"#,
        &["Jira::Issue ? query"],
    ),
    (MCP, "jira_search", r#"{"jql":["project = ENG"]}"#, &["Jira::Issue ? query"]),
    (MCP, "confluence_search", r#"{"query":"space = DOCS"}"#, &["Confluence::Space acme/DOCS"]),
    (MCP, "confluence_search", r#"{"query":"space in (DOCS)"}"#, &["Confluence::Page ? query"]),
    (
        MCP,
        "confluence_search",
        r#"{"query":"space = DOCS","spaces_filter":""}"#,
        &["Confluence::Page ? query"],
    ),
    (
        ROVO,
        "searchConfluence",
        r#"{"cql":"space in (DOCS, \"~me\") AND id = 7"}"#,
        &["Confluence::Space acme/DOCS", "Confluence::Space acme/~me"],
    ),
    (ROVO, "searchConfluence", r#"{"cql":"id = 7"}"#, &["Confluence::Page ? opaque_id"]),
    (MCP, "jira_get_issue", "{}", &["Jira::Issue ? missing"]),
    (MCP, "jira_get_issue", r#"{"issue_key":["ENG-1"]}"#, &["Jira::Issue ? missing"]),
    (MCP, "jira_get_issue", r#"{"issue_key":true}"#, &["Jira::Issue ? missing"]),
];

#[test]
fn z03_z04_every_thing_a_call_names_is_a_target() {
    for (catalog, tool, arguments, expected) in CALLS {
        assert_eq!(located(&server(catalog), tool, arguments), *expected, "{tool} {arguments}");
    }
}

#[test]
fn z04_json_in_a_string_is_read_strictly_and_whole() {
    let mcp = server("mcp-atlassian");
    for (tool, arguments, expected) in [
        (
            "jira_batch_create_issues",
            r#"{"issues":"[{\"project_key\":\"ENG\"},{\"project_key\":\"OPS\",\"parent\":\"EVIL-1\"}]"}"#,
            vec!["Jira::Project acme/ENG", "Jira::Project acme/OPS", "Jira::Issue acme/EVIL-1"],
        ),
        (
            "jira_batch_create_issues",
            r#"{"issues":"[{\"project_key\":\"ENG\"},{\"summary\":\"x\"}]"}"#,
            vec!["Jira::Project acme/ENG", "Jira::Project ? missing"],
        ),
        ("jira_batch_create_issues", r#"{"issues":"[]"}"#, vec!["Jira::Project ? missing"]),
        (
            "jira_update_issue",
            r#"{"issue_key":"ENG-1","fields":"{\"parent\":\"OPS-2\"}","additional_fields":"{\"epicKey\":\"EVIL-3\"}"}"#,
            vec!["Jira::Issue acme/ENG-1", "Jira::Issue acme/OPS-2", "Jira::Issue acme/EVIL-3"],
        ),
    ] {
        assert_eq!(located(&mcp, tool, arguments), expected, "{tool} {arguments}");
    }
    for unreadable in
        [r#"{\"parent\":\"ENG-2\",\"parent\":\"EVIL-1\"}"#, "{parent: 'EVIL-1'}", "[]", "", "NaN"]
    {
        let arguments = format!(r#"{{"issue_key":"ENG-1","fields":"{unreadable}"}}"#);
        let found = located(&mcp, "jira_update_issue", &arguments);
        assert!(found.contains(&"Jira::Issue ? missing".to_owned()), "{unreadable}: {found:?}");
    }
}

#[test]
fn z02_the_site_of_a_call_is_certain() {
    let rovo = server("atlassian-rovo");
    for (arguments, expected) in [
        (format!(r#"{{"cloudId":"{ACME}","issueIdOrKey":"ENG-1"}}"#), "Jira::Issue acme/ENG-1"),
        (r#"{"cloudId":"other.atlassian.net","issueIdOrKey":"ENG-1"}"#.into(), "Jira::Issue other/ENG-1"),
        (r#"{"issueIdOrKey":"ENG-1"}"#.into(), "Jira::Issue acme/ENG-1"),
        (r#"{"cloudId":"evil.atlassian.net","issueIdOrKey":"ENG-1"}"#.into(), "Jira::Issue ? unknown_site"),
        (r#"{"cloudId":"acme","issueIdOrKey":"ENG-1"}"#.into(), "Jira::Issue ? unknown_site"),
        (r#"{"cloudId":7,"issueIdOrKey":"ENG-1"}"#.into(), "Jira::Issue ? unknown_site"),
        (r#"{"cloudId":"","issueIdOrKey":"ENG-1"}"#.into(), "Jira::Issue ? unknown_site"),
        (
            r#"{"cloudId":"other.atlassian.net","issueIdOrKey":"https://acme.atlassian.net/browse/ENG-1"}"#.into(),
            "Jira::Issue ? conflict",
        ),
    ] {
        let arguments: String = arguments;
        assert_eq!(located(&rovo, "getJiraIssue", &arguments), [expected], "{arguments}");
    }
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let undecided = catalogs.for_server("s", "atlassian-rovo", sites(None)).unwrap();
    assert_eq!(
        located(&undecided, "getJiraIssue", r#"{"issueIdOrKey":"ENG-1"}"#),
        ["Jira::Issue ? missing"]
    );
    assert_eq!(located(&undecided, "listJiraProjects", "{}"), ["Atlassian::Site ? missing"]);
    assert_eq!(located(&undecided, "atlassianUserInfo", "{}"), ["Atlassian::Account self"]);
}

/// API tokens are bound to no site: what a call says of another one may not be overlooked by any tool.
#[test]
fn z02_every_tool_sees_that_a_call_names_another_site() {
    let rovo = server("atlassian-rovo");
    let elsewhere = [
        r#""99999999-0000-3333-4444-555555555555""#,
        r#""https://evil.atlassian.net""#,
        r#""evil.atlassian.net""#,
        r#""https://acme.atlassian.net@evil.atlassian.net""#,
        r#""acme""#,
        "7",
        r#"["https://acme.atlassian.net"]"#,
    ];
    let tools: Vec<String> = rovo.catalog_tools().map(|(tool, _)| tool.to_owned()).collect();
    assert!(tools.len() > 50);
    for tool in &tools {
        for site in elsewhere {
            let arguments = format!(r#"{{"cloudId":{site},"workspaceId":"a","repoSlug":"b"}}"#);
            let found = located(&rovo, tool, &arguments);
            let is_seen = found.iter().any(|target| target.ends_with("? unknown_site"));
            assert!(is_seen, "{tool} {site}: {found:?}");
        }
    }
    let bitbucket = r#"{"workspaceId":"a","repoSlug":"b","cloudId":"acme.atlassian.net"}"#;
    assert_eq!(located(&rovo, "getBitbucketRepository", bitbucket), ["Bitbucket::Repository a/b"]);
}

#[test]
fn z02_a_tool_without_rules_for_targets_touches_the_site_that_the_call_names() {
    let own = "format = 1\nname = \"own\"\nversion = \"1\"\nabout = \"x\"\nuses = [\"atlassian\"]\nsite = \"/cloudId\"\n[tool.ping]\ntitle = \"Ping\"\neffect = \"read\"\nrisk = \"low\"\nreversibility = \"reversible\"\n";
    let catalogs = Catalogs::shipped(&[("own.toml", own)]);
    let catalogs = catalogs.unwrap_or_else(|found| panic!("{found:#?}"));
    let own = catalogs.for_server("s", "own", sites(Some("acme"))).unwrap();
    for (arguments, expected) in [
        ("{}", "Atlassian::Site acme"),
        (r#"{"cloudId":"other.atlassian.net"}"#, "Atlassian::Site other"),
        (r#"{"cloudId":"evil.atlassian.net"}"#, "Atlassian::Site ? unknown_site"),
    ] {
        assert_eq!(located(&own, "ping", arguments), [expected]);
    }
}

#[test]
fn containers_follow_the_kinds_of_the_catalog() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let kinds = &catalogs.vocabulary().target_kinds;
    let rovo = server("atlassian-rovo");
    for (tool, arguments) in [
        ("getJiraIssue", r#"{"issueIdOrKey":"ENG-1"}"#),
        ("getConfluenceSpace", r#"{"spaceKey":"DOCS"}"#),
        ("getBitbucketRepoPullRequest", r#"{"workspaceId":"a","repoSlug":"b","pullRequestId":1}"#),
        ("createBitbucketRepoCommit", r#"{"workspaceId":"a","repoSlug":"b","branch":"main"}"#),
        ("listJiraProjects", "{}"),
    ] {
        let arguments = object(arguments);
        let named = rovo.name(tool, &arguments).unwrap();
        let targets = rovo.locate(&named, &arguments).unwrap();
        let [Target::Located(found)] = targets.targets.as_slice() else {
            panic!("{tool}: {targets:?}")
        };
        let mut kind = &found.resource.kind;
        for container in &found.containers {
            assert_eq!(kinds[kind].as_ref(), Some(&container.kind));
            kind = &container.kind;
        }
        assert_eq!(kinds[kind], None);
    }
}

#[test]
fn z04_targets_are_capped() {
    let mcp = server("mcp-atlassian");
    let keys = |count: usize| {
        let keys: Vec<String> = (1..=count).map(|n| format!("ENG-{n}")).collect();
        Object::default().with("issue_keys", keys.join(","))
    };
    let named = mcp.name("jira_move_issues_to_backlog", &keys(1)).unwrap();
    assert_eq!(mcp.locate(&named, &keys(TARGETS_MAX)).unwrap().targets.len(), TARGETS_MAX);
    assert_eq!(mcp.locate(&named, &keys(TARGETS_MAX + 1)), Err(Reason::TooManyTargets));
    assert_eq!(mcp.fields(&named, &keys(101))["issues"], FieldValue::Count(101));
}

#[test]
fn fields_are_total_and_typed() {
    let mcp = server("mcp-atlassian");
    let fields = |tool: &str, arguments: &str| {
        let arguments = object(arguments);
        let named = mcp.name(tool, &arguments).unwrap();
        let fields = mcp.fields(&named, &arguments);
        assert!(fields.keys().eq(named.operation.fields.keys()), "{tool}");
        fields
    };
    let names = |names: &[&str]| FieldValue::Names(names.iter().map(|n| (*n).to_owned()).collect());

    let update = fields(
        "jira_update_issue",
        r#"{"issue_key":"ENG-1","fields":"{\"security\":1,\"labels\":[\"b\",\"a\",\"b\"]}","additional_fields":"{\"due\":null}","attachments":"/etc/passwd"}"#,
    );
    assert_eq!(update["changed"], names(&["due", "labels", "security"]));
    assert_eq!(update["labels"], names(&["a", "b"]));
    assert_eq!(update["local_files"], FieldValue::Count(1));
    let nothing = fields("jira_update_issue", "{}");
    assert_eq!(nothing["changed"], names(&[]));
    assert_eq!(nothing["local_files"], FieldValue::Count(0));

    let comment = fields("jira_add_comment", r#"{"public":false,"visibility":"{}"}"#);
    assert_eq!(comment["public"], FieldValue::Text("false".into()));
    assert_eq!(comment["restricted"], FieldValue::Flag(true));
    let upload = fields("confluence_upload_attachments", r#"{"file_paths":"a, b,,c"}"#);
    assert_eq!(upload["local_files"], FieldValue::Count(3));
    let access =
        fields("confluence_set_page_restrictions", r#"{"read_users":["u"],"read_groups":["g"]}"#);
    assert_eq!((&access["readers"], &access["editors"]), (&names(&["g", "u"]), &names(&[])));
    let batch = fields("jira_batch_create_issues", r#"{"issues":"[{\"labels\":[\"x\"]},{}]"}"#);
    assert_eq!((&batch["batch_size"], &batch["labels"]), (&FieldValue::Count(2), &names(&["x"])));
}

#[test]
fn i5_a_field_that_policies_could_not_see_is_an_unresolved_target() {
    let mcp = server("mcp-atlassian");
    for (tool, arguments) in [
        ("jira_add_comment", r#"{"issue_key":"ENG-1","public":{"is":true}}"#),
        ("jira_update_version", r#"{"version_id":"1","released":"yes"}"#),
        ("jira_remove_watcher", r#"{"issue_key":"ENG-1","username":"a","account_id":"b"}"#),
        ("confluence_set_page_restrictions", r#"{"page_id":"1","read_users":{"a":1}}"#),
        ("jira_transition_issue", r#"{"issue_key":"ENG-1","fields":"{'security': 1}"}"#),
    ] {
        let arguments = object(arguments);
        let named = mcp.name(tool, &arguments).unwrap();
        let targets = mcp.locate(&named, &arguments).unwrap();
        let unreadable = |target: &Target| match target {
            Target::Unresolved(not) => not.obstacle == Obstacle::UnknownForm,
            Target::Located(_) => false,
        };
        assert!(targets.targets.iter().any(unreadable), "{tool}: {targets:?}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "ENG-[1-9]|[a-z]{2,3}|\\[\\{\\}\\]|\\PC{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("key|id|parent|project_key", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn i13_any_arguments_give_targets_and_every_field(values in prop::collection::vec(json(), 4)) {
        for catalog in ["atlassian-rovo", "mcp-atlassian"] {
            let server = server(catalog);
            for (index, (tool, rule)) in server.catalog_tools().enumerate() {
                let mut arguments = Object::default();
                for (step, argument) in rule.arguments().enumerate() {
                    arguments.set(argument, values[(index + step) % values.len()].clone());
                }
                let named = server.name(tool, &arguments).unwrap();
                match server.locate(&named, &arguments) {
                    Ok(targets) => prop_assert!((1..=TARGETS_MAX).contains(&targets.targets.len())),
                    Err(reason) => prop_assert_eq!(reason, Reason::TooManyTargets),
                }
                let fields = server.fields(&named, &arguments);
                prop_assert!(fields.keys().eq(named.operation.fields.keys()));
            }
        }
    }
}
