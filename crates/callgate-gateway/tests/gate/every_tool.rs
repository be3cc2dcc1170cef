//! One call of every tool of the servers whose schemas are known, and what it is understood to be: operation, effect, risk and every
//! target. The tables are pages of the documentation; a change of catalog that changes what a call means is a visible
//! difference there. `UPDATE=1` writes them anew.
//!
//! The schemas are those of the servers: of mcp-atlassian and GitHub's as they were measured, of Rovo as the simulated site has them. A call
//! has everything that its tool requires, and every argument that could name something.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use callgate_gateway::catalog::ServerCatalog;
use callgate_gateway::name::understand;
use callgate_gateway::schema::ArgumentSchema;
use callgate_mcp::upstream::{EraSetting, SessionKey, Upstream, UpstreamConfig, UpstreamLimits};
use callgate_model::json::{Json, Object};
use callgate_model::products::atlassian::SiteMap;
use callgate_sim::{Sim, SimOptions, Site};

use crate::support::{catalogs, json, sites};

/// Values of arguments that name something, or that mean something only in one form.
const SAMPLES: &[(&str, &str)] = &[
    ("additional_fields", r#""{\"priority\":{\"name\":\"High\"}}""#),
    ("attachmentId", r#""41001""#),
    ("attachment_id", r#""220001""#),
    ("attachments", r#""/srv/exports/report.pdf""#),
    ("boardId", r#""1""#),
    ("board_id", r#""1""#),
    ("branch", r#""main""#),
    ("cloudId", r#""https://acme.atlassian.net""#),
    ("commentId", r#""210001""#),
    ("comment_id", r#""210001""#),
    ("contentId", r#""200001""#),
    ("content_file", r#""/srv/exports/page.md""#),
    ("content_id", r#""200001""#),
    ("cql", r#""space = DOCS AND text ~ \"refund\"""#),
    ("destination_parent_id", r#""200002""#),
    ("destination_space_key", r#""DOCS""#),
    ("entityId", r#""10002""#),
    ("epic_key", r#""ENG-7""#),
    ("file_path", r#""/srv/exports/report.pdf""#),
    ("file_paths", r#""/srv/exports/a.pdf,/srv/exports/b.pdf""#),
    ("inwardIssue", r#""ENG-1""#),
    ("inward_issue_key", r#""ENG-1""#),
    ("issueIdOrKey", r#""ENG-42""#),
    ("issue_ids_or_keys", r#"["ENG-1","ENG-2"]"#),
    ("issue_key", r#""ENG-42""#),
    ("issue_keys", r#"["ENG-1","ENG-2"]"#),
    ("jql", r#""project = ENG AND status = Done""#),
    ("link_id", r#""40001""#),
    ("outwardIssue", r#""OPS-2""#),
    ("outward_issue_key", r#""OPS-2""#),
    ("pageId", r#""200001""#),
    ("page_id", r#""200001""#),
    ("parentCommentId", r#""210001""#),
    ("parentId", r#""200002""#),
    ("parentIssueIdOrKey", r#""ENG-7""#),
    ("parent_id", r#""200002""#),
    ("projectKey", r#""ENG""#),
    ("project_key", r#""ENG""#),
    ("pullRequestId", "7"),
    ("repoSlug", r#""website""#),
    ("service_desk_id", r#""4""#),
    ("source_page_id", r#""200001""#),
    ("spaceId", r#""DOCS""#),
    ("spaceKey", r#""DOCS""#),
    ("space_key", r#""DOCS""#),
    ("sprintId", r#""11""#),
    ("sprint_id", r#""11""#),
    ("targetParentId", r#""200004""#),
    ("target_project_key", r#""OPS""#),
    ("target_space_key", r#""HR""#),
    ("taskId", r#""230001""#),
    ("templateId", r#""240001""#),
    ("template_id", r#""240001""#),
    ("transitionId", r#""41""#),
    ("transition_id", r#""41""#),
    ("url", r#""https://status.example.com/1""#),
    ("versionId", r#""30101""#),
    ("version_id", r#""30101""#),
    ("workspaceId", r#""acme""#),
    ("issue_number", "42"),
    ("organization", r#""acme""#),
    ("owner", r#""Acme""#),
    ("pullNumber", "7"),
    ("repo", r#""payments-api""#),
];

/// Values of one tool alone.
const OF_TOOLS: &[(&str, &str, &str)] = &[
    ("confluence_search", "query", r#""space = DOCS AND type = page""#),
    (
        "jira_batch_create_issues",
        "issues",
        r#""[{\"project_key\":\"ENG\",\"summary\":\"a\",\"issue_type\":\"Task\"},{\"project_key\":\"OPS\",\"summary\":\"b\",\"issue_type\":\"Task\"}]""#,
    ),
    ("jira_create_versions_batch", "versions", r#""[{\"name\":\"1.0\"}]""#),
    ("jira_batch_create_versions", "versions", r#""[{\"name\":\"1.0\"}]""#),
    ("jira_update_issue", "fields", r#""{\"summary\":\"new\",\"labels\":[\"a\"]}""#),
    ("editJiraIssue", "fields", r#"{"summary":"new","labels":["a"]}"#),
];

fn sample(tool: &str, name: &str, schema: &Json) -> Json {
    let own = OF_TOOLS.iter().find(|(of, argument, _)| *of == tool && *argument == name);
    let known = || SAMPLES.iter().find(|(argument, _)| *argument == name).map(|(_, value)| *value);
    if let Some(value) = own.map(|(_, _, value)| *value).or_else(known) {
        return fitting(json(value), schema);
    }
    let first = schema.get("enum").and_then(Json::as_array).and_then(<[Json]>::first);
    match (first, kind(schema)) {
        (Some(first), _) => first.clone(),
        (None, "array") => {
            let items = schema.get("items").cloned().unwrap_or_else(|| Object::default().into());
            Json::Array(vec![sample(tool, "", &items)])
        }
        (None, "boolean") => true.into(),
        (None, "integer" | "number") => 1.into(),
        (None, "object") if schema.get("properties").is_some() => call(tool, schema).into(),
        (None, "object") => Object::default().into(),
        (None, _) => "x".into(),
    }
}

/// The value in the type that the schema wants.
fn fitting(value: Json, schema: &Json) -> Json {
    match (kind(schema), &value) {
        ("string", Json::Array(elements)) => {
            let texts: Vec<&str> = elements.iter().filter_map(Json::as_str).collect();
            texts.join(",").into()
        }
        ("array", Json::String(_)) => Json::Array(vec![value]),
        ("integer" | "number", Json::String(text)) => text.parse::<i64>().unwrap().into(),
        ("object", Json::String(text)) => json(text),
        ("string", Json::Number(number)) => number.literal().into(),
        _ => value,
    }
}

fn kind(schema: &Json) -> &str {
    let own = schema.get("type").and_then(Json::as_str);
    let any = || schema.get("anyOf")?.as_array()?.first()?.get("type")?.as_str();
    own.or_else(any).unwrap_or("string")
}

/// A call of a tool whose arguments have this schema.
fn call(tool: &str, schema: &Json) -> Object {
    let properties = schema.get("properties").and_then(Json::as_object).unwrap();
    let required = schema.get("required").and_then(Json::as_array).unwrap_or_default();
    let is_wanted = |name: &str| {
        let names_something = SAMPLES.iter().any(|(known, _)| *known == name)
            || OF_TOOLS.iter().any(|(of, known, _)| *of == tool && *known == name);
        names_something || required.iter().any(|one| one.as_str() == Some(name))
    };
    let wanted = properties.iter().filter(|(name, _)| is_wanted(name));
    wanted.fold(Object::default(), |all, (name, schema)| all.with(name, sample(tool, name, schema)))
}

/// The table of `tools`, each with the schema of its arguments.
fn table(catalog: &ServerCatalog, tools: &BTreeMap<String, Json>) -> String {
    let mut text = String::from(
        "| tool | call | operation | effect | risk | targets |\n|---|---|---|---|---|---|\n",
    );
    for (tool, schema) in tools {
        let arguments = call(tool, schema);
        let checked = ArgumentSchema::compile(schema).unwrap().check(&arguments, true);
        assert_eq!(checked, Ok(()), "{tool} {}", arguments.to_text());
        let named = catalog.name(tool, &arguments).unwrap_or_else(|why| panic!("{tool}: {why:?}"));
        let named = understand(&"s".into(), catalog, named, tool, None, arguments.clone());
        let named = named.unwrap_or_else(|why| panic!("{tool}: {why:?}"));
        let targets: Vec<String> = named.targets.iter().map(ToString::to_string).collect();
        let code = |text: &str| format!("`{}`", text.replace('|', "\\|").replace('`', "'"));
        let operation = &named.call.operation;
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            code(tool),
            code(&arguments.to_text()),
            code(&operation.name),
            operation.effect.as_str(),
            named.call.risk.as_str(),
            targets.iter().map(|target| code(target)).collect::<Vec<_>>().join("<br>"),
        )
        .unwrap();
    }
    text
}

fn compare(page: &str, title: &str, count: usize, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = format!(
        "# {title}\n\nGenerated by a test (`every_tool.rs`): one call of each of the {count} tools that the catalog knows, with \
         everything that it requires and every argument that could name something, and what the catalog makes of it. \
         `unresolved … (opaque_id)` is what the server is asked for before the decision, where the catalog says how.\n\n{table}"
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == text, "docs/{page} is not what calls mean; UPDATE=1 writes it anew");
}

#[test]
fn every_call_of_mcp_atlassian_means_what_the_page_says() {
    let catalog = catalogs(&[]).for_server("s", "mcp-atlassian", sites()).unwrap();
    let measured = json(include_str!("../data/mcp-atlassian-0.23.json"));
    let entry = |tool: &Json| {
        let name = tool.get("name").and_then(Json::as_str).unwrap().to_owned();
        (name, tool.get("inputSchema").unwrap().clone())
    };
    let tools: BTreeMap<String, Json> = measured.as_array().unwrap().iter().map(entry).collect();
    assert_eq!(tools.len(), 98);
    compare(
        "tools-mcp-atlassian.md",
        "What calls of mcp-atlassian mean",
        98,
        &table(&catalog, &tools),
    );
}

#[test]
fn every_call_of_github_means_what_the_page_says() {
    let catalog = catalogs(&[]).for_server("s", "github", SiteMap::default()).unwrap();
    let measured = json(include_str!("../data/github-64a49f34.json"));
    let entry = |tool: &Json| {
        let name = tool.get("name").and_then(Json::as_str).unwrap().to_owned();
        (name, tool.get("inputSchema").unwrap().clone())
    };
    let tools: BTreeMap<String, Json> = measured.as_array().unwrap().iter().map(entry).collect();
    compare(
        "tools-github.md",
        "What calls of GitHub's server mean",
        tools.len(),
        &table(&catalog, &tools),
    );
}

#[tokio::test]
async fn every_call_of_rovo_means_what_the_page_says() {
    let catalog = catalogs(&[]).for_server("s", "atlassian-rovo", sites()).unwrap();
    let sim = Sim::start(Site::demo(), SimOptions::default()).await.unwrap();
    let config = UpstreamConfig {
        url: format!("{}?tools=all", sim.url).parse().unwrap(),
        limits: UpstreamLimits::default(),
        era: EraSetting::Auto,
    };
    let upstream = Upstream::new(config).unwrap();
    let page = upstream.list_tools(&SessionKey::new("test".to_owned()), None).await.unwrap();
    let is_known = |name: &str| catalog.rule(name).is_some();
    let tools: BTreeMap<String, Json> = page
        .tools
        .into_iter()
        .filter(|tool| is_known(&tool.name))
        .map(|tool| (tool.name, tool.input_schema))
        .collect();
    let known = catalogs(&[]);
    let missing: Vec<&str> = known
        .every_tool()
        .filter(|(of, _, tool)| *of == "atlassian-rovo" && !tools.contains_key(*tool))
        .map(|(_, _, tool)| tool)
        .collect();
    // It is only in the list that is not flat.
    assert_eq!(missing, ["discover"]);
    let count = tools.len();
    compare(
        "tools-atlassian-rovo.md",
        "What calls of Atlassian Rovo mean",
        count,
        &table(&catalog, &tools),
    );
}
