mod dispatch;
mod reserved;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_model::products::atlassian::{SiteEntry, SiteMap};
use callgate_model::products::{self, mcp};
use callgate_model::reason::Reason;

use super::*;

const MEASURED: &str = include_str!("../../tests/data/mcp-atlassian-0.23.json");
const PAGE: &str = include_str!("../../../../docs/catalogs.md");
const OWN: &str = include_str!("../../../../docs/catalog-of-your-own.md");
const ACME: &str = "11111111-2222-3333-4444-555555555555";

fn sites() -> SiteMap {
    let site = |alias: &str, cloud_id: &str| SiteEntry {
        alias: alias.into(),
        cloud_id: Some(cloud_id.into()),
        url: Some(format!("https://{alias}.atlassian.net")),
    };
    let other = site("other", "99999999-2222-3333-4444-555555555555");
    SiteMap::new(&[site("acme", ACME), other], Some("acme")).unwrap()
}

fn object(text: &str) -> Object {
    let json = read(text.as_bytes(), &JsonLimits::default()).unwrap();
    json.as_object().unwrap().clone()
}

fn problems(text: &str) -> Vec<String> {
    let problems = Catalogs::shipped(&[("own.toml", text)]).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn own(rest: &str) -> String {
    format!("format = 1\nname = \"own\"\nversion = \"1\"\nuses = [\"atlassian\"]\n{rest}")
}

#[test]
fn shipped_catalogs_load() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    assert!(catalogs.overrides().is_empty());
    let vocabulary = catalogs.vocabulary();
    for (name, operation) in &vocabulary.operations {
        assert!(!operation.title.is_empty() && !operation.targets.is_empty(), "{name}");
        let irreversible =
            operation.reversibility == callgate_model::vocabulary::Reversibility::Irreversible;
        assert!(operation.effect != Effect::Read || !irreversible, "{name}");
        assert!(
            operation.effect == Effect::Read || !irreversible || operation.risk >= Risk::Medium
        );
    }
    let used: BTreeSet<&str> = catalogs
        .by_name
        .values()
        .flat_map(|catalog| catalog.tools.values())
        .map(|tool| tool.operation.name.as_str())
        .collect();
    let of_catalogs = vocabulary.operations.keys().filter(|name| !products::has_operation(name));
    for name in of_catalogs {
        assert!(used.contains(name.as_str()), "no tool means {name}");
    }
}

#[test]
fn t04_every_measured_tool_is_classified_by_what_it_does() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let classified = &catalogs.by_name["mcp-atlassian"].tools;
    let measured = read(MEASURED.as_bytes(), &JsonLimits::default()).unwrap();
    let tools = measured.as_array().unwrap();
    assert_eq!((tools.len(), classified.len()), (98, 98));
    for tool in tools {
        let name = tool.get("name").and_then(Json::as_str).unwrap();
        let rule = classified.get(name).unwrap_or_else(|| panic!("{name} is not classified"));
        let hint = |hint| tool.get("annotations").and_then(|hints| hints.get(hint)?.as_bool());
        // This server's hints were found to be right about reading, though not about destroying.
        assert_eq!(
            rule.operation.effect == Effect::Read,
            hint("readOnlyHint") == Some(true),
            "{name}"
        );
        if hint("destructiveHint") == Some(true) {
            assert!(rule.operation.effect != Effect::Read, "{name}");
        }
        let schema = tool.get("inputSchema").unwrap();
        for (path, is_needed) in paths(rule) {
            let Some(Step::Member(argument)) = path.steps().first() else { panic!("{path}") };
            let property = schema.get("properties").and_then(|properties| properties.get(argument));
            let property = property.unwrap_or_else(|| panic!("{name} has no argument {argument}"));
            if path.steps().get(1) == Some(&Step::Parse) {
                assert_eq!(
                    property.get("type").and_then(Json::as_str),
                    Some("string"),
                    "{name} {path}"
                );
            }
            let required = schema.get("required").and_then(Json::as_array).unwrap();
            assert!(
                !is_needed || required.iter().any(|name| name.as_str() == Some(argument)),
                "{name}: {argument} is not required"
            );
        }
    }
}

/// Every path of a rule, and whether the call must have it.
fn paths(rule: &ToolRule) -> Vec<(&Path, bool)> {
    let mut paths: Vec<(&Path, bool)> =
        rule.fields.values().flat_map(|field| &field.paths).map(|path| (path, false)).collect();
    for target in &rule.targets {
        paths.extend(target.site.iter().map(|path| (path, false)));
        match &target.source {
            Source::Query { path, .. } => paths.push((path, true)),
            Source::Ids { alternatives, .. } => {
                let is_needed = !target.optional && !target.or_site && alternatives.len() == 1;
                paths.extend(alternatives.iter().flatten().map(|path| (path, is_needed)));
            }
            Source::WholeSite | Source::Constant(_) => {}
        }
    }
    paths
}

#[test]
fn names_that_mislead_are_classed_by_what_they_do() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    for (catalog, tool, operation, effect, risk) in [
        (
            "atlassian-rovo",
            "transitionJiraIssue",
            "jira.issue.transition",
            Effect::Write,
            Risk::Medium,
        ),
        (
            "atlassian-rovo",
            "mergeBitbucketRepoPullRequest",
            "bitbucket.pullrequest.merge",
            Effect::Write,
            Risk::Critical,
        ),
        (
            "atlassian-rovo",
            "enableConfluencePublicLink",
            "confluence.page.publish",
            Effect::Share,
            Risk::Critical,
        ),
        (
            "atlassian-rovo",
            "moveConfluenceContent",
            "confluence.page.move",
            Effect::Write,
            Risk::High,
        ),
        ("atlassian-rovo", "deleteJiraIssue", "jira.issue.delete", Effect::Delete, Risk::Critical),
        ("atlassian-rovo", "search", "atlassian.search", Effect::Read, Risk::Critical),
        ("mcp-atlassian", "jira_delete_issue", "jira.issue.delete", Effect::Delete, Risk::Critical),
        ("mcp-atlassian", "jira_update_issue", "jira.issue.edit", Effect::Write, Risk::Medium),
        ("mcp-atlassian", "jira_get_create_fields", "jira.project.read", Effect::Read, Risk::Low),
        (
            "mcp-atlassian",
            "confluence_reply_to_comment",
            "confluence.comment.add",
            Effect::Write,
            Risk::Medium,
        ),
        (
            "mcp-atlassian",
            "jira_batch_create_issues",
            "jira.issue.create",
            Effect::Write,
            Risk::High,
        ),
    ] {
        let server = catalogs.for_server("s", catalog, sites()).unwrap();
        let named = server.name(tool, &Object::default()).unwrap();
        assert_eq!(named.operation.name, operation);
        assert_eq!((named.operation.effect, named.risk), (effect, risk), "{tool}");
    }
}

#[test]
fn t04_hints_only_raise_the_risk() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let operation = |name: &str| &catalogs.vocabulary().operations[name];
    let (read, write) = (operation("jira.issue.read"), operation("jira.issue.worklog.add"));
    for (operation, destructive, read_only, expected) in [
        (read, None, Some(true), Risk::Low),
        (read, None, None, Risk::Low),
        (read, Some(true), Some(true), Risk::High),
        (read, None, Some(false), Risk::High),
        (write, Some(false), Some(true), Risk::Low),
        (write, Some(true), None, Risk::Medium),
    ] {
        assert_eq!(raise(operation, Risk::Low, destructive, read_only), expected);
        for risk in Risk::ALL {
            assert!(raise(operation, *risk, destructive, read_only) >= *risk);
        }
    }
}

const FAULTY: &str = r#"
pupose = "x"
[operation."write.x"]
title = "x"
effect = "wirte"
[operation."own.thing.edit"]
title = "x"
effect = "write"
risk = "low"
reversibility = "reversible"
targets = ["Jira::Isue"]
fields = { labels = "nmes" }
[target."Own::Thing"]
in = "Own::Thing"
[target."Own::Build"]
in = "Bitbucket::Repository"
[tool.one]
operation = "jira.issue.edti"
[tool.two]
operation = "jira.issue.delete"
risk = "low"
targets = [
    { kind = "Jira::Issue", at = "/key", optinal = true },
    { kind = "Jira::Project", at = "/project" },
    { kind = "Jira::Issue", at = "issue" },
    { kind = "Jira::Issue" },
    { kind = "Jira::Issue", at = ["/a", "/b"] },
    { kind = "Jira::Issue", at = "/a", query = "/b" },
]
fields = { lables = { at = "/x" } }
[tool.three]
title = "x"
effect = "read"
[tool.four]
operation = "jira.issue.edit"
fields = { labels = { at = "/labels", as = "present" } }
[dispatcher.one]
name = "/a/b"
arguments = "/inputs"
effects = ["red"]
[dispatcher.four]
name = "/name"
arguments = "/inputs"
effects = ["read"]
"#;

const FAULTS: &[&str] = &[
    "pupose: unknown key",
    "operation.\"write.x\": the first word of an operation cannot be that of an action group",
    "operation.\"write.x\".effect: unknown word `wirte` (did you mean `write`?)",
    "operation.\"write.x\": `risk` is missing",
    "operation.\"own.thing.edit\".fields.labels: unknown word `nmes` (did you mean `names`?)",
    "operation.\"own.thing.edit\".targets: unknown kind `Jira::Isue` (did you mean `Jira::Issue`?)",
    "target.\"Own::Thing\".in: contains itself",
    "tool.one.operation: unknown operation `jira.issue.edti` (did you mean `jira.issue.edit`?)",
    "tool.two.risk: a tool can only raise the risk (`jira.issue.delete` is critical)",
    "tool.two.targets[0].optinal: unknown key (did you mean `optional`?)",
    "tool.two.targets[1].kind: `jira.issue.delete` has no targets of kind `Jira::Project` (it has Jira::Issue)",
    "tool.two.targets[2].at: `issue` is no path: a path begins with `/`",
    "tool.two.targets[3]: where is the target? (write `at`, the path of the argument that names it)",
    "tool.two.targets[5]: only one of `at`, `query`",
    "tool.three: `risk` is missing",
    "tool.four.fields.labels: cannot be read so: the field is of type names",
    "dispatcher.one.name: must be one argument, as `/name`",
    "dispatcher.one.effects: unknown word `red` (did you mean `read`?)",
    "dispatcher.four: a tool has the same name",
    "operation.\"write.x\": `reversibility` is missing",
    "tool.three: `reversibility` is missing",
    "tool.two.fields.lables: `jira.issue.delete` has no field `lables`",
    "tool.two.targets[4]: parts of an id of `Jira::Issue`: 1, not 2",
    "target.\"Own::Build\".in: `Bitbucket::Repository` contains no kinds of other products",
];

#[test]
fn what_happens_to_fields_on_their_way_into_the_record_is_said_by_operation() {
    let said = "[record.\"jira.issue.edit\"]\n\"fields.summary\" = \"truncate\"\nissueIdOrKey = \"keep\"\n";
    let catalogs = Catalogs::shipped(&[("own.toml", &own(said))]).unwrap();
    let rules = &catalogs.records()["jira.issue.edit"];
    let rules: Vec<_> = rules.iter().map(|(path, rule)| (path.as_str(), rule.as_str())).collect();
    assert_eq!(rules, [("fields.summary", "truncate"), ("issueIdOrKey", "keep")]);
    let wrong = "[record.\"jira.issue.edti\"]\na = \"keep\"\n[record.\"jira.issue.edit\"]\n\"a..b\" = \"gone\"\n";
    assert_eq!(
        problems(&own(wrong)),
        [
            "own.toml: record.\"jira.issue.edit\".\"a..b\": a field is named by members with dots between",
            "own.toml: record.\"jira.issue.edit\".\"a..b\": unknown word `gone` (one of: keep, truncate, hash, drop)",
            "own.toml: record.\"jira.issue.edti\": unknown operation `jira.issue.edti` (did you mean `jira.issue.edit`?)",
        ]
    );
}

#[test]
fn faults_are_shown_at_once_with_place_and_hint() {
    let found = problems(&own(FAULTY));
    for fault in FAULTS {
        let expected = format!("own.toml: {fault}");
        assert!(found.contains(&expected), "{expected}\nin {found:#?}");
    }
    assert_eq!(found.len(), FAULTS.len(), "{found:#?}");
}

#[test]
fn faults_of_whole_files() {
    for (text, expected) in [
        ("format = ", "own.toml: TOML parse error at line 1"),
        (
            "format = 2\nname = \"own\"\nversion = \"1\"",
            "own.toml: format: unknown format (write `format = 1`)",
        ),
        ("format = 1\nname = \"Own\"\nversion = \"1\"", "own.toml: name: a name is lower-case"),
        (
            "format = 1\nname = \"own\"\nversion = \"1\"\nuses = [\"atlasian\"]",
            "unknown catalog `atlasian` (did you mean `atlassian`?)",
        ),
        (
            "format = 1\nname = \"own\"\nversion = \"1\"\nextends = \"none\"",
            "own.toml: extends: unknown catalog `none`",
        ),
        (
            "format = 1\nname = \"mcp-atlassian\"\nversion = \"1\"",
            "there is a catalog `mcp-atlassian` already (to add to it or change it, write `extends = \"mcp-atlassian\"`)",
        ),
        (
            "format = 1\nname = \"own\"\nversion = \"1\"\n[operation.\"jira.issue.edit\"]\ntitle = \"x\"\neffect = \"read\"\nrisk = \"low\"\nreversibility = \"reversible\"",
            "operation.\"jira.issue.edit\": another file has this operation",
        ),
        (
            "format = 1\nname = \"own\"\nversion = \"1\"\n[target.\"Jira::Issue\"]",
            "target.\"Jira::Issue\": another file has this kind",
        ),
    ] {
        let found = problems(text);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{expected}\nin {found:#?}"
        );
    }
}

/// The examples of a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_page_s_examples_load_and_override_openly() {
    let [tracker, _cases] = examples(OWN)[..] else { panic!("two") };
    let [extension, _signers, publisher, resolvers, reader, records] = examples(PAGE)[..] else {
        panic!("six")
    };
    let records = format!("format = 1\nname = \"records\"\nversion = \"1\"\n{records}");
    let files = [
        ("tracker.toml", tracker),
        ("ours.toml", extension),
        ("resolvers.toml", resolvers),
        ("publisher.toml", publisher),
        ("reader.toml", reader),
        ("records.toml", &records),
    ];
    let catalogs = Catalogs::shipped(&files).unwrap();
    let expected = Override {
        file: "ours.toml".into(),
        catalog: "atlassian-rovo".into(),
        tool: "transitionJiraIssue".into(),
    };
    assert_eq!(catalogs.overrides(), [expected]);

    let rovo = catalogs.for_server("a", "atlassian-rovo", sites()).unwrap();
    assert_eq!(rovo.about().version, "1+our-1+our-2");
    let risk = |tool| rovo.name(tool, &Object::default()).map(|named| named.risk);
    assert_eq!(risk("transitionJiraIssue"), Ok(Risk::Critical));
    assert_eq!(risk("getLoomVideo"), Ok(Risk::High));
    assert_eq!(risk("getJiraIssue"), Ok(Risk::Low));

    let uri = "jira://acme.atlassian.net/issues/ENG-42";
    let reader = catalogs.for_server("jira", "jira-reader", sites()).unwrap();
    let (_, targets) = reader.locate_uri(mcp::resource("jira", uri).unwrap(), uri).unwrap();
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, [&format!("MCP::Resource \"jira/{uri}\""), "Jira::Issue \"acme/ENG-42\""]);

    let tracker = catalogs.for_server("t", "tracker", SiteMap::default()).unwrap();
    let arguments =
        object(r#"{"board":"Ops","number":42,"to_board":"dev","fields":{"due":1},"notify":true}"#);
    let named = tracker.name("move_ticket", &arguments).unwrap();
    assert_eq!(named.operation.name, "tracker/move_ticket");
    let targets = tracker.locate(&named, &arguments).unwrap().targets;
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["Tracker::Ticket \"ops/42\"", "Tracker::Board \"dev\""]);
    let named = tracker.name("update_ticket", &arguments).unwrap();
    let fields = tracker.fields(&named, &arguments);
    let expected = BTreeMap::from([
        ("changed".to_owned(), callgate_model::vocabulary::FieldValue::Names(vec!["due".into()])),
        ("notify".to_owned(), callgate_model::vocabulary::FieldValue::Flag(true)),
    ]);
    assert_eq!(fields, expected);
    assert!(catalogs.vocabulary().operations.contains_key("tracker/search_tickets"));
}

#[test]
fn an_extension_under_its_own_name_stands_beside() {
    let text = own(
        "extends = \"mcp-atlassian\"\n[tool.jira_search]\noperation = \"jira.issue.search\"\nrisk = \"critical\"\ntargets = [{ kind = \"Jira::Issue\", query = \"/jql\", language = \"jql\" }]\n",
    );
    let catalogs = Catalogs::shipped(&[("own.toml", &text)]).unwrap();
    let risk = |catalog| {
        let server = catalogs.for_server("s", catalog, sites()).unwrap();
        server.name("jira_search", &Object::default()).unwrap().risk
    };
    assert_eq!((risk("own"), risk("mcp-atlassian")), (Risk::Critical, Risk::Medium));
    assert_eq!(catalogs.overrides().len(), 1);
}

#[test]
fn i5_a_server_without_catalog_or_sites_does_not_start() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let error = catalogs.for_server("s", "rovo", sites()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "server `s`: there is no catalog `rovo`; there are: atlassian, atlassian-rovo, \
         atlassian-rovo-v1, fetch, filesystem, github, mcp-atlassian, memory, postgres, slack"
    );
    let error = catalogs.for_server("s", "mcp-atlassian", SiteMap::default()).unwrap_err();
    assert!(matches!(error, ServerCatalogError::NoSites { .. }));
}
