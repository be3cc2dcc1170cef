//! Where opaque ids belong, by what the site answers, and what lies where another place was named.

use super::*;

const SITE: &str = "https://acme.atlassian.net";

/// Calls with the site; what is at `pointer` in the answer.
fn at(site: &mut Site, tool: &str, mut arguments: Value, pointer: &str) -> Value {
    if !tool.contains("Bitbucket") {
        arguments["cloudId"] = json!(SITE);
    }
    let arguments = arguments.as_object().unwrap().clone();
    let answer = tools::run(site, true, tool, arguments).unwrap().result;
    let answer = answer.unwrap_or_else(|error| panic!("{tool}: {error}"));
    answer.pointer(pointer).unwrap_or_else(|| panic!("{tool}: {answer}")).clone()
}

#[test]
fn a_place_can_be_read_for_every_opaque_id() {
    let mut site = Site::demo();
    for (tool, arguments, pointer, wanted) in [
        ("getJiraIssue", json!({ "issueIdOrKey": "10011" }), "/key", "HR-3"),
        ("getJiraIssue", json!({ "issueIdOrKey": "ENG-42" }), "/fields/attachment/0/id", "41001"),
        ("downloadJiraIssueAttachment", json!({ "attachmentId": "41002" }), "/issue/key", "HR-3"),
        (
            "getJiraProjectVersionRelatedWork",
            json!({ "versionId": "30104" }),
            "/version/project",
            "HR",
        ),
        ("getJiraProjectVersions", json!({ "projectIdOrKey": "20004" }), "/values/0/id", "30104"),
        ("getJiraBoardConfig", json!({ "boardId": "3" }), "/location/projectKey", "HR"),
        ("listJiraBoardSprints", json!({ "boardId": "3" }), "/values/0/originBoardId", "3"),
        ("getJiraBoardSprintData", json!({ "boardId": "3" }), "/board/location/projectKey", "HR"),
        ("searchJiraIssuesUsingJql", json!({ "jql": "sprint = 31" }), "/issues/0/key", "HR-3"),
        ("listJiraFilters", json!({ "filterName": "People" }), "/values/0/jql", "project = HR"),
        (
            "listJiraIssueTransitions",
            json!({ "issueIdOrKey": "10002" }),
            "/transitions/3/to/name",
            "Done",
        ),
        ("getConfluenceContent", json!({ "content_id": "AwANBA" }), "/spaceId", "65538"),
        ("getConfluenceSpace", json!({ "spaceId": "65538" }), "/key", "HR"),
        ("getConfluenceComment", json!({ "commentId": "210002" }), "/pageId", "200004"),
        ("getConfluenceAttachment", json!({ "attachmentId": "att220002" }), "/pageId", "200004"),
        ("listConfluenceTasks", json!({}), "/results/1/pageId", "200005"),
        ("listConfluenceTasks", json!({}), "/results/1/spaceId", "65538"),
        ("getConfluenceTemplate", json!({ "templateId": "240002" }), "/spaceKey", "HR"),
    ] {
        assert_eq!(at(&mut site, tool, arguments, pointer), wanted, "{tool} {pointer}");
    }
    assert_eq!(site, Site::demo());
}

#[test]
fn a_moved_issue_is_found_by_its_old_key() {
    let mut site = Site::demo();
    site.links.push(Link {
        kind: "Blocks".to_owned(),
        inward: "ENG-42".to_owned(),
        outward: "OPS-7".to_owned(),
    });
    assert_eq!(site.move_issue("ENG-42", "hr").as_deref(), Some("HR-5"));
    for name in ["ENG-42", "eng-42", "10002", "HR-5"] {
        assert_eq!(at(&mut site, "getJiraIssue", json!({ "issueIdOrKey": name }), "/key"), "HR-5");
    }
    assert_eq!(site.links[0].inward, "HR-5");
    let back = json!({ "issueIdOrKey": "HR-5", "fields": { "project": "ENG" } });
    assert_eq!(at(&mut site, "editJiraIssue", back, "/key"), "ENG-46", "no key is given twice");
    let old = json!({ "issueIdOrKey": "ENG-42" });
    assert_eq!(at(&mut site, "getJiraIssue", old, "/fields/project/key"), "ENG");
    let search = json!({ "jql": "key = HR-5" });
    assert_eq!(at(&mut site, "searchJiraIssuesUsingJql", search, "/issues/0/key"), "ENG-46");
}

#[test]
fn sub_tasks_and_what_belongs_to_an_issue_go_with_it() {
    let mut site = Site::demo();
    let convert = json!({ "issueIdOrKey": "HR-4", "parentIssueIdOrKey": "HR-3" });
    at(&mut site, "convertJiraIssueHierarchy", convert, "/fields/parent/key");
    at(&mut site, "deleteJiraIssue", json!({ "issueIdOrKey": "HR-3" }), "/deleted");
    assert!(site.issue("HR-3").is_none() && site.issue("HR-4").is_none());
    assert!(site.thing(ThingKind::IssueAttachment, "41002").is_none());
    assert!(site.thing(ThingKind::IssueAttachment, "41001").is_some());
}

#[test]
fn the_id_decides_where_the_product_lets_it() {
    let mut site = Site::demo();
    // The place that is named beside the id is not looked at.
    let attachment = json!({ "attachmentId": "41002", "issueIdOrKey": "ENG-42" });
    at(&mut site, "deleteJiraIssueAttachment", attachment, "/deleted");
    assert!(site.thing(ThingKind::IssueAttachment, "41002").is_none());
    let version =
        json!({ "projectKey": "ENG", "action": "archive", "name": "x", "versionId": "30104" });
    at(&mut site, "manageJiraProjectVersion", version, "/versions");
    assert_eq!(site.thing(ThingKind::Version, "30104").unwrap().text("name"), "x");
    let answer = json!({ "content_id": "200001", "parentCommentId": "210002", "body": "x" });
    assert_eq!(at(&mut site, "createConfluenceComment", answer, "/pageId"), "200004");
    let page = json!({ "spaceId": "DOCS", "parentId": "200004", "title": "x", "body": "x" });
    assert_eq!(at(&mut site, "createConfluenceContent", page, "/spaceKey"), "HR");
    // Here it is.
    let worklog = json!({ "issueIdOrKey": "ENG-42", "worklogId": "42002", "timeSpent": "1m", "cloudId": SITE });
    assert!(
        run(
            &mut site,
            "executeWrite",
            &json!({ "name": "addOrEditJiraIssueWorklog", "inputs": worklog })
        )
        .is_err()
    );
    let log = json!({ "workspaceId": "acme", "repoSlug": "payments-api", "pipelineUuid": "{pipeline-2}", "stepUuid": "{step-2}" });
    assert!(
        run(
            &mut site,
            "executeRead",
            &json!({ "name": "getBitbucketRepoPipelineStepLog", "inputs": log })
        )
        .is_err()
    );
}

#[test]
fn issues_are_found_by_what_they_belong_to() {
    let mut site = Site::demo();
    let fields = json!({ "fixVersions": [{ "id": "30101", "name": "2026.11" }], "priority": { "name": "High" } });
    let edit = json!({ "issueIdOrKey": "ENG-43", "fields": fields });
    assert_eq!(at(&mut site, "editJiraIssue", edit, "/fields/priority/name"), "High");
    for (jql, keys) in [
        ("filter = 50001", "ENG-42 ENG-44"),
        ("filter = 'People matters' AND status = 'To Do'", "HR-4"),
        ("sprint = 'Sprint 24'", "ENG-41 ENG-42"),
        ("fixVersion = 30101 and priority = high", "ENG-43"),
        ("project = 20002 AND type = Incident", "OPS-7"),
    ] {
        let found = at(&mut site, "searchJiraIssuesUsingJql", json!({ "jql": jql }), "/issues");
        let found: Vec<&str> =
            found.as_array().unwrap().iter().map(|issue| issue["key"].as_str().unwrap()).collect();
        assert_eq!(found.join(" "), keys, "{jql}");
    }
}

#[test]
fn pages_move_with_what_is_under_them() {
    let mut site = Site::demo();
    let under = json!({ "spaceId": "DOCS", "parentId": "200001", "title": "x", "body": "x" });
    let child = at(&mut site, "createConfluenceContent", under, "/id");
    let into_itself = json!({ "cloudId": SITE, "content_id": "200001", "targetId": child });
    let into_itself = json!({ "name": "moveConfluenceContent", "inputs": into_itself });
    assert!(run(&mut site, "executeWrite", &into_itself).is_err());
    let away = json!({ "content_id": "200001", "targetParentId": "AwANBA" });
    assert_eq!(at(&mut site, "moveConfluenceContent", away, "/spaceKey"), "HR");
    assert_eq!(site.page(child.as_str().unwrap()).unwrap().space, "HR");
    let copy = json!({ "content_id": "200004", "targetId": "200002" });
    assert_eq!(at(&mut site, "copyConfluenceContent", copy, "/spaceKey"), "DOCS");
    assert_eq!(site.page("200004").unwrap().space, "HR");
}

#[test]
fn what_was_made_is_found() {
    let mut site = Site::demo();
    let repository = |more: Value| {
        let mut all = json!({ "workspaceId": "acme", "repoSlug": "website" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let files = json!({ "branch": "new", "message": "x", "files": { "a.txt": "hello" } });
    let hash = at(&mut site, "createBitbucketRepoCommit", repository(files), "/id");
    let branch = repository(json!({ "name": "new" }));
    assert_eq!(at(&mut site, "getBitbucketRepoBranch", branch, "/target/hash"), hash);
    let file = repository(json!({ "path": "a.txt", "branch": "new" }));
    assert_eq!(at(&mut site, "getBitbucketRepoFileContent", file, "/content"), "hello");
    let request = repository(json!({ "title": "x", "sourceBranch": "new" }));
    assert_eq!(at(&mut site, "createBitbucketRepoPullRequest", request, "/id"), 1);
    let comment = repository(json!({ "pullRequestId": 1, "content": "x" }));
    assert_eq!(at(&mut site, "addBitbucketRepoPullRequestComment", comment, "/pullrequest/id"), 1);
    let run = repository(json!({ "branch": "new" }));
    let run = at(&mut site, "runBitbucketRepoPipeline", run, "/id");
    let list = at(&mut site, "listBitbucketRepoPipelines", repository(json!({})), "/values/0/id");
    assert_eq!(list, run);
    let board = json!({ "name": "x", "type": "scrum", "projectKeyOrId": "SUP" });
    let board = at(&mut site, "createJiraBoard", board, "/id");
    let config = json!({ "boardId": board });
    assert_eq!(at(&mut site, "getJiraBoardConfig", config, "/location/projectKey"), "SUP");
}

#[tokio::test]
async fn a_snapshot_tells_whether_the_site_has_changed() {
    let sim = start(SimOptions::default()).await;
    let before = sim.snapshot();
    assert_eq!(before, sim.snapshot());
    sim.site(|site| site.move_issue("ENG-42", "OPS"));
    assert_ne!(before, sim.snapshot());
}
