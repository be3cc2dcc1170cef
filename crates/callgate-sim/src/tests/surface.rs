//! Every tool: that it is there, that its arguments are those of the catalog, and that it does something.

use std::collections::BTreeSet;

use super::*;
use crate::tools::Tier;

const CATALOG: &str = include_str!("../../../../catalogs/atlassian-rovo.toml");

/// A call of each tool that the demo site can answer. Those that begin with `PAYMENTS` are about the repository
/// payments-api.
const CALLS: &[(&str, &str)] = &[
    ("getJiraIssue", r#"{"issueIdOrKey":"10002"}"#),
    ("searchJiraIssuesUsingJql", r#"{"jql":"sprint = 11"}"#),
    (
        "createJiraIssue",
        r#"{"projectKey":"ENG","issueType":"Task","summary":"x","parent":"ENG-41","additional_fields":{"labels":["new"]}}"#,
    ),
    (
        "editJiraIssue",
        r#"{"issueIdOrKey":"ENG-43","fields":{"project":{"key":"OPS"},"parent":{"key":"OPS-8"}}}"#,
    ),
    (
        "transitionJiraIssue",
        r#"{"issueIdOrKey":"ENG-43","transitionId":"41","fields":{"labels":["done"]},"comment":"Done."}"#,
    ),
    (
        "addOrEditJiraIssueComment",
        r#"{"issueIdOrKey":"ENG-43","commentBody":"x","commentVisibility":{"type":"role","value":"Admins"}}"#,
    ),
    ("listJiraIssueTransitions", r#"{"issueIdOrKey":"ENG-43"}"#),
    ("convertJiraIssueHierarchy", r#"{"issueIdOrKey":"ENG-43","parentIssueIdOrKey":"ENG-42"}"#),
    ("deleteJiraIssue", r#"{"issueIdOrKey":"ENG-43"}"#),
    ("listJiraIssueComments", r#"{"issueIdOrKey":"ENG-42"}"#),
    ("listJiraIssueRemoteIssueLinks", r#"{"issueIdOrKey":"ENG-44"}"#),
    ("listJiraIssueWorklogs", r#"{"issueIdOrKey":"ENG-42"}"#),
    ("listJiraIssueChangelogs", r#"{"issueIdOrKey":"ENG-42"}"#),
    ("downloadJiraIssueAttachment", r#"{"attachmentId":"41001","issueIdOrKey":"ENG-42"}"#),
    ("findJiraIssueAssignableUsers", r#"{"projectKey":"ENG","query":"alice"}"#),
    (
        "getJiraEntityProperty",
        r#"{"entityType":"issue","entityId":"ENG-42","propertyKey":"triage"}"#,
    ),
    (
        "editJiraEntityProperty",
        r#"{"entityType":"board","entityId":"1","propertyKey":"tint","value":{"is":"red"}}"#,
    ),
    (
        "createJiraIssueLink",
        r#"{"type":"Blocks","inwardIssue":"ENG-42","outwardIssue":"OPS-7","comment":"See there."}"#,
    ),
    (
        "addOrEditJiraIssueWorklog",
        r#"{"issueIdOrKey":"ENG-42","timeSpent":"5m","worklogId":"42001"}"#,
    ),
    (
        "createJiraIssueRemoteIssueLink",
        r#"{"issueIdOrKey":"ENG-42","url":"https://x.example","title":"x"}"#,
    ),
    ("watchJiraIssue", r#"{"issueIdOrKey":"ENG-42"}"#),
    ("uploadAttachmentToJiraIssue", r#"{"issueIdOrKey":"ENG-42","filename":"x","content":"eA=="}"#),
    ("deleteJiraComment", r#"{"issueIdOrKey":"ENG-42","commentId":"510002"}"#),
    ("deleteJiraIssueAttachment", r#"{"attachmentId":"41001"}"#),
    ("listJiraProjects", "{}"),
    ("listJiraProjectIssueTypesMetadata", r#"{"projectIdOrKey":"20001"}"#),
    ("getJiraIssueTypeMetaWithFields", r#"{"projectKey":"ENG","issueTypeId":"10002"}"#),
    ("listJiraProjectComponents", r#"{"projectKey":"ENG"}"#),
    ("getJiraProjectVersions", r#"{"projectKey":"ENG"}"#),
    ("getJiraProjectVersionRelatedWork", r#"{"versionId":"30101"}"#),
    ("lookupJiraAccountId", r#"{"searchString":"mei"}"#),
    ("getJiraUser", r#"{"accountId":"5b10ac8d82e05b22cc7d4e01"}"#),
    ("getJiraCurrentUser", "{}"),
    ("listJiraIssueLinkTypes", "{}"),
    ("listJiraStatuses", "{}"),
    ("listJiraFilters", r#"{"filterName":"bugs"}"#),
    ("listJiraDashboards", "{}"),
    (
        "manageJiraProjectVersionRelatedWork",
        r#"{"projectKey":"ENG","versionId":"30101","action":"create","title":"x"}"#,
    ),
    ("manageJiraProjectVersion", r#"{"projectKey":"ENG","action":"release","name":"2026.11"}"#),
    ("createJiraProject", r#"{"key":"NEW","name":"New"}"#),
    ("updateJiraProject", r#"{"projectKey":"ENG","description":"x"}"#),
    ("updateJiraScreen", r#"{"screenId":"52001","fields":["summary"]}"#),
    ("listJiraBoards", r#"{"projectKeyOrId":"ENG"}"#),
    ("getJiraBoardConfig", r#"{"boardId":"1"}"#),
    ("getJiraBoardIssueData", r#"{"boardId":"1"}"#),
    ("getJiraBoardSprintData", r#"{"boardId":"1","sprintId":"11"}"#),
    ("listJiraBoardSprints", r#"{"boardId":"1","state":"active"}"#),
    ("manageJiraSprint", r#"{"sprintId":"11","state":"closed"}"#),
    ("createJiraBoard", r#"{"name":"x","type":"kanban","projectKeyOrId":"SUP"}"#),
    ("getConfluenceContent", r#"{"contentId":"200001"}"#),
    ("searchConfluence", r#"{"cql":"space.id = 65537"}"#),
    (
        "createConfluenceContent",
        r#"{"parent":{"spaceId":"DOCS","parentContentId":"200001"},"title":"x","body":"x"}"#,
    ),
    (
        "updateConfluenceContent",
        r#"{"contentId":"200001","snapshotToken":"snap-200001-1","parentId":"200002"}"#,
    ),
    ("exportConfluenceContent", r#"{"content_id":"200001"}"#),
    ("resolveConfluenceContentMacros", r#"{"content_id":"200001"}"#),
    ("archiveConfluenceContent", r#"{"content_id":"200001"}"#),
    ("unarchiveConfluenceContent", r#"{"content_id":"200001"}"#),
    ("moveConfluenceContent", r#"{"content_id":"200001","targetId":"200004"}"#),
    ("copyConfluenceContent", r#"{"content_id":"200001","targetParentId":"200004"}"#),
    ("addLabelsToConfluenceContent", r#"{"content_id":"200001","labels":["x"]}"#),
    ("setConfluenceContentStatus", r#"{"content_id":"200001","status":"Rough draft"}"#),
    ("listConfluenceSpaces", "{}"),
    ("getConfluenceSpace", r#"{"spaceId":"65537"}"#),
    ("getConfluencePersonalSpace", "{}"),
    ("listConfluenceContent", r#"{"spaceKey":"DOCS","type":"page"}"#),
    ("listConfluenceTemplates", r#"{"spaceKey":"DOCS"}"#),
    ("getConfluenceTemplate", r#"{"templateId":"240001"}"#),
    ("createConfluenceFolder", r#"{"spaceKey":"DOCS","title":"x"}"#),
    ("createConfluenceSpace", r#"{"key":"NEW","name":"New"}"#),
    ("getConfluencePublicLinkStatus", r#"{"content_id":"200001"}"#),
    ("getConfluenceContentRestrictionState", r#"{"content_id":"200004"}"#),
    ("getConfluenceContentPermissions", r#"{"content_id":"200004"}"#),
    ("getConfluenceReactions", r#"{"content_id":"200001"}"#),
    ("enableConfluencePublicLink", r#"{"content_url":"https://acme.atlassian.net/wiki/x/AwANAQ"}"#),
    ("disableConfluencePublicLink", r#"{"content_id":"200001"}"#),
    ("addConfluenceReaction", r#"{"content_id":"200001","emojiId":"1f389"}"#),
    ("listConfluenceComments", r#"{"content_id":"200001"}"#),
    ("getConfluenceComment", r#"{"commentId":"210001"}"#),
    ("createConfluenceComment", r#"{"content_id":"200001","body":"x","parentCommentId":"210001"}"#),
    ("updateConfluenceComment", r#"{"commentId":"210001","body":"x"}"#),
    ("updateConfluenceCommentResolution", r#"{"commentId":"210001","resolved":true}"#),
    ("listConfluenceAttachments", r#"{"content_id":"200002"}"#),
    ("getConfluenceAttachment", r#"{"attachmentId":"att220001"}"#),
    ("downloadConfluenceAttachment", r#"{"attachmentId":"att220001","content_id":"200002"}"#),
    ("createConfluenceAttachment", r#"{"content_id":"200001","title":"x","content":"eA=="}"#),
    ("listConfluenceTasks", r#"{"spaceId":"65537","status":"incomplete"}"#),
    ("completeConfluenceTask", r#"{"taskId":"230001"}"#),
    ("listBitbucketWorkspaces", "{}"),
    ("getBitbucketWorkspace", r#"{"workspaceId":"acme"}"#),
    ("listBitbucketRepositories", r#"{"workspaceId":"acme"}"#),
    ("getBitbucketRepository", "PAYMENTS"),
    ("getBitbucketRepoDefaultReviewers", "PAYMENTS"),
    ("listBitbucketRepoPullRequests", r#"PAYMENTS"state":"OPEN"}"#),
    ("getBitbucketRepoPullRequest", r#"PAYMENTS"pullRequestId":7}"#),
    ("getBitbucketRepoPullRequestDiff", r#"PAYMENTS"pullRequestId":7}"#),
    ("listBitbucketRepoPullRequestComments", r#"PAYMENTS"pullRequestId":7}"#),
    ("listBitbucketRepoPullRequestTasks", r#"PAYMENTS"pullRequestId":7}"#),
    (
        "createBitbucketRepoPullRequest",
        r#"PAYMENTS"title":"x","sourceBranch":"fix/ENG-42-timeout"}"#,
    ),
    ("updateBitbucketRepoPullRequest", r#"PAYMENTS"pullRequestId":7,"title":"x"}"#),
    (
        "addBitbucketRepoPullRequestComment",
        r#"PAYMENTS"pullRequestId":7,"content":"x","parentId":"290001"}"#,
    ),
    ("approveBitbucketRepoPullRequest", r#"PAYMENTS"pullRequestId":7}"#),
    ("requestChangesOnBitbucketRepoPullRequest", r#"PAYMENTS"pullRequestId":7}"#),
    ("mergeBitbucketRepoPullRequest", r#"PAYMENTS"pullRequestId":7,"closeSourceBranch":true}"#),
    ("getBitbucketRepoBranch", r#"PAYMENTS"name":"main"}"#),
    ("getBitbucketRepoCommit", r#"PAYMENTS"commit":"a1f0c3d"}"#),
    ("listBitbucketRepoCommitReports", r#"PAYMENTS"commit":"a1f0c3d"}"#),
    ("getBitbucketRepoFileContent", r#"PAYMENTS"path":"README.md"}"#),
    ("createBitbucketRepoBranch", r#"PAYMENTS"name":"new"}"#),
    (
        "createBitbucketRepoCommit",
        r#"PAYMENTS"branch":"main","message":"x","files":{"README.md":"x"}}"#,
    ),
    ("listBitbucketRepoPipelines", "PAYMENTS"),
    ("getBitbucketRepoPipeline", r#"PAYMENTS"pipelineUuid":"{pipeline-1}"}"#),
    ("listBitbucketRepoPipelineSteps", r#"PAYMENTS"pipelineUuid":"{pipeline-1}"}"#),
    (
        "getBitbucketRepoPipelineStepLog",
        r#"PAYMENTS"pipelineUuid":"{pipeline-1}","stepUuid":"{step-1}"}"#,
    ),
    ("listBitbucketRepoDeployments", "PAYMENTS"),
    ("listBitbucketRepoEnvironments", "PAYMENTS"),
    ("getBitbucketRepoEnvironment", r#"PAYMENTS"environmentUuid":"{environment-1}"}"#),
    ("runBitbucketRepoPipeline", r#"PAYMENTS"branch":"main"}"#),
    ("search", r#"{"query":"refund"}"#),
    ("getAccessibleAtlassianResources", "{}"),
    ("atlassianUserInfo", "{}"),
    ("getLoomVideo", r#"{"videoId":"1"}"#),
    ("fetch", r#"{"id":"ari:cloud:jira:acme:issue/10002"}"#),
    ("getTeamworkGraphObject", r#"{"objects":["ENG-42","200001"]}"#),
    ("getTeamworkGraphContext", r#"{"objectIdentifier":"ENG-42"}"#),
    ("addTeamworkGraphContext", r#"{"objectIdentifier":"ENG-42","context":"x"}"#),
];

const MAY_BE_EMPTY: [&str; 4] = ["labels", "context", "approvals", "changes_requested"];

/// The arguments of the call of `tool`; each call has a site if the tool knows one.
fn arguments(tool: &str) -> Value {
    let (_, text) =
        CALLS.iter().find(|(name, _)| *name == tool).unwrap_or_else(|| panic!("{tool}"));
    let repository = r#"{"workspaceId":"acme","repoSlug":"payments-api""#;
    let text = match text.strip_prefix("PAYMENTS") {
        Some("") => format!("{repository}}}"),
        Some(rest) => format!("{repository},{rest}"),
        None => (*text).to_owned(),
    };
    let mut arguments: Value = serde_json::from_str(&text).unwrap();
    if params(tool).contains("cloudId") {
        arguments["cloudId"] = json!("https://acme.atlassian.net");
    }
    arguments
}

/// Every tool's definition.
fn definitions() -> Vec<Value> {
    tools::listed(true)
}

fn names() -> Vec<String> {
    let all = definitions();
    all.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn params(tool: &str) -> BTreeSet<String> {
    let all = definitions();
    let found = all.iter().find(|one| one["name"] == tool).unwrap_or_else(|| panic!("{tool}"));
    found["inputSchema"]["properties"].as_object().unwrap().keys().cloned().collect()
}

fn call(site: &mut Site, tool: &str, arguments: &Value) -> Result<Value, String> {
    tools::run(site, true, tool, arguments.as_object().unwrap().clone()).unwrap().result
}

#[test]
fn every_tool_answers_and_only_those_that_change_change_the_site() {
    let all = names();
    assert_eq!(all.len(), CALLS.len());
    for tool in &all {
        let mut site = Site::demo();
        if tool == "unarchiveConfluenceContent" {
            call(&mut site, "archiveConfluenceContent", &arguments(tool)).unwrap();
        }
        let before = site.clone();
        let answer = call(&mut site, tool, &arguments(tool));
        assert!(answer.is_ok(), "{tool}: {answer:?}");
        let reads = tools::tier(tool) == Some(Tier::Read);
        assert_eq!(site == before, reads, "{tool}: {answer:?}");
    }
}

#[test]
fn answers_of_lists_have_something() {
    let mut site = Site::demo();
    for tool in names().iter().filter(|tool| tools::tier(tool) == Some(Tier::Read)) {
        let answer = call(&mut site, tool, &arguments(tool)).unwrap();
        let members = answer.as_object().into_iter().flatten();
        let empty = members
            .filter(|(name, value)| **value == json!([]) && !MAY_BE_EMPTY.contains(&name.as_str()));
        let empty: Vec<&str> = empty.map(|(name, _)| name.as_str()).collect();
        assert_eq!(empty, Vec::<&str>::new(), "{tool}: {answer}");
    }
}

#[test]
fn tools_and_arguments_are_those_of_the_catalog() {
    let all = names();
    let mut tool = String::new();
    let mut seen = BTreeSet::new();
    for line in CATALOG.lines() {
        if let Some(head) = line.strip_prefix("[tool.") {
            tool = head.trim_end_matches(']').trim_end_matches(".fields").to_owned();
            seen.insert(tool.clone());
            assert!(all.contains(&tool) || tool == "discover", "{tool}");
        } else if line.starts_with("[dispatcher.") {
            tool.clear();
        } else if !tool.is_empty() && !line.starts_with('#') && !line.starts_with("lists = ") {
            for pointer in line.split('"').filter(|part| part.starts_with('/')) {
                let name = pointer.split('/').nth(1).unwrap().trim_end_matches('!');
                assert!(params(&tool).contains(name), "{tool} has no {name}");
            }
        }
    }
    assert_eq!(seen.len(), 125);
    let beside: Vec<&String> = all.iter().filter(|tool| !seen.contains(*tool)).collect();
    assert_eq!(beside, ["getLoomVideo"], "which no catalog classifies");
}

#[test]
fn every_tool_has_one_dispatcher_and_refuses_what_it_does_not_know() {
    let dispatchers = ["executeRead", "executeWrite", "executeDestructive"];
    for tool in names() {
        let right = tools::tier(&tool).unwrap().dispatcher();
        for dispatcher in dispatchers {
            let mut site = Site::demo();
            if tool == "unarchiveConfluenceContent" {
                call(&mut site, "archiveConfluenceContent", &arguments(&tool)).unwrap();
            }
            let before = site.clone();
            let through = json!({ "name": tool, "inputs": arguments(&tool) });
            let answer = run(&mut site, dispatcher, &through);
            assert_eq!(answer.is_ok(), dispatcher == right, "{tool} by {dispatcher}: {answer:?}");
            assert!(answer.is_ok() || site == before, "{tool} by {dispatcher}");
        }
        let mut site = Site::demo();
        let mut more = arguments(&tool);
        more["noSuchArgument"] = json!(1);
        let refused = call(&mut site, &tool, &more).unwrap_err();
        assert!(refused.contains("unrecognized key 'noSuchArgument'"), "{tool}: {refused}");
        assert_eq!(site, Site::demo(), "{tool}");
    }
}

#[test]
fn another_site_is_refused_by_every_tool_that_has_one() {
    for tool in names() {
        let mut elsewhere = arguments(&tool);
        if elsewhere.get("cloudId").is_none() {
            continue;
        }
        elsewhere["cloudId"] = json!("https://other.atlassian.net");
        let mut site = Site::demo();
        assert!(call(&mut site, &tool, &elsewhere).is_err(), "{tool}");
        assert_eq!(site, Site::demo(), "{tool}");
    }
}

#[test]
fn discover_tells_of_every_tool_with_its_dispatcher() {
    let mut site = Site::demo();
    for tool in names() {
        let found = run(&mut site, "discover", &json!({ "query": tool })).unwrap();
        let found = found["operations"].as_array().unwrap();
        let own = found.iter().find(|one| one["name"] == *tool).unwrap();
        assert_eq!(own["executeWith"], tools::tier(&tool).unwrap().dispatcher());
        assert!(own["inputSchema"]["properties"].is_object() && own["description"].is_string());
    }
}

#[tokio::test]
async fn the_flat_list_has_pages_with_every_tool_once() {
    let sim = start(SimOptions { flat_tools: true, ..SimOptions::default() }).await;
    let mut headers = modern("");
    headers.retain(|(name, _)| *name != "mcp-name" && *name != "mcp-method");
    headers.push(("mcp-method", "tools/list"));
    let (mut cursor, mut listed, mut pages) = (None, Vec::new(), 0);
    loop {
        let mut body: Value = serde_json::from_str(&call_of("tools/list")).unwrap();
        if let Some(cursor) = &cursor {
            body["params"]["cursor"] = json!(cursor);
        }
        let (_, answer) = Raw::new(&sim, &headers).send("POST", &body.to_string()).await;
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let answer: Value = serde_json::from_str(json).unwrap();
        let tools = answer["result"]["tools"].as_array().unwrap().iter();
        listed.extend(tools.map(|tool| tool["name"].as_str().unwrap().to_owned()));
        pages += 1;
        cursor = answer["result"]["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((listed, pages), (names(), 4));
}

fn call_of(method: &str) -> String {
    super::call().replace("tools/call", method)
}
