//! Who may do what where, under the starter pack, as a table that a reader can check: `matrix.txt`. A change of policy,
//! catalog or decision that changes anybody's authority is a visible difference. `UPDATE=1` writes the table anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use callgate_gateway::catalog::{Catalogs, ServerCatalog};
use callgate_gateway::identity::ChainSpec;
use callgate_gateway::rehearse::{Asked, Rehearsal, Supposed, rehearse};
use callgate_model::ambient::Timestamp;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::json::Object;
use callgate_policy::{Bundle, Source, Tier};

use crate::people::chain;
use crate::support::{CLOUD, catalogs, json, sites};

/// Callers, each for its class.
const CALLERS: &[(&str, &str, &str, &str, &str)] = &[
    ("an engineer", "alice", "engineering", "", ""),
    ("an engineer's automation", "alice", "engineering", "release-bot", "automation"),
    ("an engineer's assistant", "alice", "engineering", "triage-bot", "assistant"),
    ("an engineer's agent of no class", "alice", "engineering", "stray-bot", ""),
    ("a supporter", "bob", "support", "", ""),
    ("a supporter's assistant", "bob", "support", "triage-bot", "assistant"),
    ("a supporter's automation", "bob", "support", "release-bot", "automation"),
    ("somebody of no group", "mallory", "", "", ""),
    ("a service account of no group", "service:nightly", "", "", ""),
    ("a service account's automation", "service:nightly", "", "release-bot", "automation"),
];

const PROJECTS: [&str; 4] = ["ENG", "OPS", "SUP", "HR"];

/// Operations of a project, whose key is `$P`.
const IN_PROJECTS: &[(&str, &str, &str)] = &[
    ("read an issue", "getJiraIssue", r#"{"issueIdOrKey":"$P-1"}"#),
    (
        "read its comments",
        "executeRead",
        r#"{"name":"listJiraIssueComments","inputs":{"issueIdOrKey":"$P-1"}}"#,
    ),
    ("comment", "addOrEditJiraIssueComment", r#"{"issueIdOrKey":"$P-1","commentBody":"x"}"#),
    (
        "create an issue",
        "createJiraIssue",
        r#"{"projectKey":"$P","issueType":"Task","summary":"x"}"#,
    ),
    ("edit an issue", "editJiraIssue", r#"{"issueIdOrKey":"$P-1","fields":{"summary":"x"}}"#),
    (
        "move it under ENG-1",
        "editJiraIssue",
        r#"{"issueIdOrKey":"$P-1","fields":{"parent":{"key":"ENG-1"}}}"#,
    ),
    (
        "link it to ENG-1",
        "createJiraIssueLink",
        r#"{"inwardIssue":"$P-1","outwardIssue":"ENG-1","type":"Blocks"}"#,
    ),
    (
        "transition an issue",
        "transitionJiraIssue",
        r#"{"issueIdOrKey":"$P-1","transitionId":"21"}"#,
    ),
    (
        "watch an issue",
        "executeWrite",
        r#"{"name":"watchJiraIssue","inputs":{"issueIdOrKey":"$P-1"}}"#,
    ),
    (
        "link it to the docs",
        "executeWrite",
        r#"{"name":"createJiraIssueRemoteIssueLink","inputs":{"issueIdOrKey":"$P-1","url":"https://docs.acme.example/x","title":"x"}}"#,
    ),
    (
        "link it to a web page",
        "executeWrite",
        r#"{"name":"createJiraIssueRemoteIssueLink","inputs":{"issueIdOrKey":"$P-1","url":"https://elsewhere.example/x","title":"x"}}"#,
    ),
    (
        "delete a comment",
        "executeDestructive",
        r#"{"name":"deleteJiraComment","inputs":{"issueIdOrKey":"$P-1","commentId":"5"}}"#,
    ),
    (
        "delete an issue",
        "executeDestructive",
        r#"{"name":"deleteJiraIssue","inputs":{"issueIdOrKey":"$P-1"}}"#,
    ),
    (
        "administer the project",
        "executeWrite",
        r#"{"name":"updateJiraProject","inputs":{"projectKey":"$P","projectIdOrKey":"$P"}}"#,
    ),
];

/// Operations elsewhere.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("ask who one is", "atlassianUserInfo", "{}"),
    ("list projects", "executeRead", r#"{"name":"listJiraProjects"}"#),
    ("search with JQL", "searchJiraIssuesUsingJql", r#"{"jql":"project = ENG"}"#),
    ("search everything", "search", r#"{"query":"salary"}"#),
    ("read an issue by number", "getJiraIssue", r#"{"issueIdOrKey":"10042"}"#),
    ("edit an issue by number", "editJiraIssue", r#"{"issueIdOrKey":"10042","fields":{}}"#),
    ("read a page", "getConfluenceContent", r#"{"content_id":"65540"}"#),
    ("search with CQL", "searchConfluence", r#"{"cql":"space = HR"}"#),
    (
        "write a page in DOCS",
        "createConfluenceContent",
        r#"{"spaceId":"DOCS","parent":{"spaceId":"DOCS"},"title":"x","body":"x"}"#,
    ),
    (
        "write a page in HR",
        "createConfluenceContent",
        r#"{"spaceId":"HR","parent":{"spaceId":"HR"},"title":"x","body":"x"}"#,
    ),
    ("change a page", "updateConfluenceContent", r#"{"content_id":"65540","body":"x"}"#),
    (
        "publish a page",
        "executeWrite",
        r#"{"name":"enableConfluencePublicLink","inputs":{"content_id":"65540"}}"#,
    ),
    (
        "read a pull request",
        "executeRead",
        r#"{"name":"getBitbucketRepoPullRequest","inputs":{"workspaceId":"acme","repoSlug":"website","pullRequestId":7}}"#,
    ),
    (
        "merge a pull request",
        "executeWrite",
        r#"{"name":"mergeBitbucketRepoPullRequest","inputs":{"workspaceId":"acme","repoSlug":"website","pullRequestId":7}}"#,
    ),
    (
        "delete through a read",
        "executeRead",
        r#"{"name":"deleteJiraIssue","inputs":{"issueIdOrKey":"ENG-1"}}"#,
    ),
    ("watch a video", "getLoomVideo", r#"{"videoId":"1"}"#),
];

#[test]
fn the_authority_under_the_starter_pack_is_what_the_table_says() {
    let catalogs = catalogs(&[]);
    let servers = BTreeMap::from([(
        "atlassian".to_owned(),
        catalogs.for_server("atlassian", "atlassian-rovo", sites()).unwrap(),
    )]);
    let table = table(&servers, &starter_pack(&catalogs));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate/matrix.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    for (line, (got, expected)) in table.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, expected, "line {} of {}", line + 1, file.display());
    }
    assert_eq!(table, expected);
}

pub(crate) fn starter_pack(catalogs: &Catalogs) -> Bundle {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/atlassian");
    let sources: Vec<Source> = Tier::ALL
        .iter()
        .flat_map(|tier| files(&folder.join(tier.folder())).into_iter().map(|file| (*tier, file)))
        .map(|(tier, file)| Source {
            tier,
            name: file.display().to_string(),
            text: std::fs::read_to_string(&file).unwrap(),
        })
        .collect();
    assert!(!sources.is_empty(), "{}", folder.display());
    Bundle::load(catalogs.vocabulary(), &sources).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn table(servers: &BTreeMap<String, ServerCatalog>, bundle: &Bundle) -> String {
    let mut lines = vec![
        "Who may do what where, under policies/atlassian. Written by the test `matrix` with UPDATE=1."
            .to_owned(),
        "`deny agent+human`: neither link of the chain is permitted.".to_owned(),
    ];
    for (class, who, group, agent, agent_class) in CALLERS {
        let caller = chain(who, group, agent, agent_class);
        let cell = |tool, arguments: &str| cell(servers, bundle, &caller, tool, arguments);
        let via = if agent.is_empty() { String::new() } else { format!(" via {agent}") };
        lines.extend([String::new(), format!("{class}: {who}{via}"), String::new()]);
        lines.push(row("", &PROJECTS.map(str::to_owned)));
        for (what, tool, arguments) in IN_PROJECTS {
            let cells = PROJECTS.map(|project| cell(tool, &arguments.replace("$P", project)));
            lines.push(row(what, &cells));
        }
        lines.push(String::new());
        let elsewhere =
            ELSEWHERE.iter().map(|(what, tool, arguments)| row(what, &[cell(tool, arguments)]));
        lines.extend(elsewhere);
    }
    lines.join("\n") + "\n"
}

fn cell(
    servers: &BTreeMap<String, ServerCatalog>,
    bundle: &Bundle,
    caller: &ChainSpec,
    tool: &str,
    arguments: &str,
) -> String {
    let rehearsal = Rehearsal {
        caller: caller.clone(),
        server: "atlassian".to_owned(),
        asked: Asked::Tool(tool.to_owned(), with_site(tool, arguments)),
        grant: None,
        supposed: Supposed::default(),
    };
    let now = Timestamp::from_unix_ms(1_795_600_000_000);
    brief(&rehearse(servers, bundle, &rehearsal, now).unwrap().decision(bundle))
}

fn row(what: &str, cells: &[String]) -> String {
    let padded: String = cells.iter().map(|cell| format!("{cell:<24}")).collect();
    format!("  {what:<25}{padded}").trim_end().to_owned()
}

/// The arguments with the site, where the tool has one.
fn with_site(tool: &str, arguments: &str) -> Object {
    let mut arguments = json(arguments).as_object().unwrap().clone();
    if tool != "atlassianUserInfo" && tool != "getLoomVideo" {
        arguments.set("cloudId", CLOUD);
    }
    arguments
}

/// The verdict; of a denial the reasons without what all such reasons end in.
fn brief(decision: &Decision) -> String {
    let short = |code: &'static str| match code.trim_end_matches("_not_permitted") {
        "service_account" => "service",
        code => code,
    };
    let codes: Vec<&str> = decision.codes().map(short).collect();
    match decision.verdict {
        Verdict::Allow => "allow".to_owned(),
        Verdict::ApprovalRequired(_) => "approval".to_owned(),
        Verdict::Deny => format!("deny {}", codes.join("+")),
    }
}
