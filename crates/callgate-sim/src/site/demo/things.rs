//! What belongs to Acme's projects, pages and repositories. Each kind is there in two places, so that a wrong one
//! can be named.

use serde_json::{Value, json};

use crate::site::{Site, Thing, ThingKind, members};

/// All of it.
pub(super) fn all() -> Vec<Thing> {
    [issues(), plans(), jira(), pages(), source(), requests(), pipelines()]
        .into_iter()
        .flatten()
        .collect()
}

/// Kind, id, what it belongs to, and the rest.
type Row = (ThingKind, &'static str, &'static str, Value);

fn things<const N: usize>(rows: [Row; N]) -> Vec<Thing> {
    let thing = |(kind, id, of, fields): Row| Thing {
        kind,
        id: id.to_owned(),
        of: of.to_owned(),
        fields: members(fields),
    };
    rows.map(thing).into()
}

/// ENG-42 is 10002, ENG-44 is 10004, HR-3 is 10011.
fn issues() -> Vec<Thing> {
    use ThingKind::{Change, IssueAttachment, Property, RemoteLink, Watcher, Worklog};
    things([
        (
            IssueAttachment,
            "41001",
            "10002",
            json!({
            "filename": "timeouts.csv", "mimeType": "text/csv", "content": "MDI6MTAsdGltZW91dA==" }),
        ),
        (
            IssueAttachment,
            "41002",
            "10011",
            json!({
            "filename": "bands.csv", "mimeType": "text/csv", "content": "RTEsRTIsRTM=" }),
        ),
        (
            Worklog,
            "42001",
            "10002",
            json!({ "author": "Alice Moreau", "timeSpent": "3h", "commentBody": "Reproduced." }),
        ),
        (
            Worklog,
            "42002",
            "10011",
            json!({ "author": "Mei Tanaka", "timeSpent": "1d", "commentBody": "First draft." }),
        ),
        (
            RemoteLink,
            "43001",
            "10004",
            json!({
            "title": "Pull request 7", "url": "https://bitbucket.org/acme/payments-api/pull-requests/7" }),
        ),
        (
            RemoteLink,
            "43002",
            "10011",
            json!({ "title": "Survey", "url": "https://survey.example/2027" }),
        ),
        (Watcher, "45001", "10002", json!({ "name": "Alice Moreau" })),
        (
            Change,
            "44001",
            "10002",
            json!({
            "author": "Alice Moreau", "field": "status", "from": "To Do", "to": "In Progress" }),
        ),
        (
            Change,
            "44002",
            "10011",
            json!({
            "author": "Mei Tanaka", "field": "status", "from": "To Do", "to": "In Progress" }),
        ),
        (Property, "issue/10002/triage", "10002", json!({ "value": { "severity": 2 } })),
        (Property, "issue/10011/review", "10011", json!({ "value": { "round": 1 } })),
        (Property, "project/20001/settings", "20001", json!({ "value": { "release": "tuesday" } })),
    ])
}

fn plans() -> Vec<Thing> {
    use ThingKind::{Board, Component, RelatedWork, Sprint, Version};
    let version = || json!({ "name": "2026.11", "released": false, "archived": false });
    things([
        (Version, "30101", "ENG", version()),
        (Version, "30102", "OPS", version()),
        (Version, "30103", "SUP", version()),
        (Version, "30104", "HR", version()),
        (
            RelatedWork,
            "30201",
            "30101",
            json!({ "title": "Release notes", "category": "Communication" }),
        ),
        (
            RelatedWork,
            "30202",
            "30104",
            json!({ "title": "Letter to everybody", "category": "Communication" }),
        ),
        (Component, "30301", "ENG", json!({ "name": "checkout", "lead": "Alice Moreau" })),
        (Component, "30302", "HR", json!({ "name": "compensation", "lead": "Mei Tanaka" })),
        (Board, "1", "ENG", json!({ "name": "Engineering board", "type": "scrum" })),
        (Board, "2", "OPS", json!({ "name": "Operations board", "type": "kanban" })),
        (Board, "3", "HR", json!({ "name": "People board", "type": "scrum" })),
        (
            Sprint,
            "11",
            "1",
            json!({ "name": "Sprint 24", "state": "active", "issues": ["10001", "10002"] }),
        ),
        (Sprint, "12", "1", json!({ "name": "Sprint 25", "state": "future", "issues": [] })),
        (Sprint, "31", "3", json!({ "name": "Reviews", "state": "active", "issues": ["10011"] })),
    ])
}

fn jira() -> Vec<Thing> {
    use ThingKind::{Dashboard, Filter, Screen};
    things([
        (
            Filter,
            "50001",
            "",
            json!({
            "name": "Open bugs", "jql": "project = ENG AND type = Bug AND status != Done", "owner": "Alice Moreau" }),
        ),
        (
            Filter,
            "50002",
            "",
            json!({ "name": "People matters", "jql": "project = HR", "owner": "Mei Tanaka" }),
        ),
        (Dashboard, "51001", "", json!({ "name": "Payments", "owner": "Alice Moreau" })),
        (
            Screen,
            "52001",
            "",
            json!({ "name": "Default screen", "fields": ["summary", "description"] }),
        ),
    ])
}

/// The salary bands are 200004; DOCS has 200001 to 200003.
fn pages() -> Vec<Thing> {
    use ThingKind::{PageAttachment, PageComment, Reaction, Restriction, Task, Template};
    things([
        (
            PageComment,
            "210001",
            "200001",
            json!({
            "author": "Dana Okafor", "body": "Also on holidays?", "resolutionStatus": "open" }),
        ),
        (
            PageComment,
            "210002",
            "200004",
            json!({
            "author": "Mei Tanaka", "body": "Not final.", "resolutionStatus": "open" }),
        ),
        (
            PageAttachment,
            "att220001",
            "200002",
            json!({
            "title": "dashboard.png", "mediaType": "image/png", "content": "iVBORw0KGgo=" }),
        ),
        (
            PageAttachment,
            "att220002",
            "200004",
            json!({
            "title": "bands.csv", "mediaType": "text/csv", "content": "RTEsRTIsRTM=" }),
        ),
        (
            Task,
            "230001",
            "200002",
            json!({
            "body": "Add the phone number of the acquirer", "status": "incomplete", "assignedTo": "Dana Okafor" }),
        ),
        (
            Task,
            "230002",
            "200005",
            json!({
            "body": "Ask counsel", "status": "incomplete", "assignedTo": "Mei Tanaka" }),
        ),
        (
            Template,
            "240001",
            "DOCS",
            json!({ "name": "Runbook", "templateType": "page", "body": "What is it for?" }),
        ),
        (
            Template,
            "240002",
            "HR",
            json!({ "name": "Review", "templateType": "page", "body": "Confidential." }),
        ),
        (
            Template,
            "240003",
            "",
            json!({ "name": "Meeting notes", "templateType": "page", "body": "Who was there?" }),
        ),
        (Reaction, "250001", "200001", json!({ "emojiId": "1f44d", "user": "Alice Moreau" })),
        (Restriction, "260001", "200004", json!({ "operation": "read", "groups": ["people"] })),
    ])
}

fn source() -> Vec<Thing> {
    use ThingKind::{Branch, Commit, DefaultReviewer, File, Report};
    let branch = |name: &str, target: &str| json!({ "name": name, "target": { "hash": target } });
    let commit = |message: &str| json!({ "message": message, "author": "Tomasz Zielinski" });
    things([
        (Branch, "payments-api/main", "payments-api", branch("main", "a1f0c3d")),
        (
            Branch,
            "payments-api/fix/ENG-44-refund-retry",
            "payments-api",
            branch("fix/ENG-44-refund-retry", "b2e1d4f"),
        ),
        (
            Branch,
            "payments-api/fix/ENG-42-timeout",
            "payments-api",
            branch("fix/ENG-42-timeout", "c3d2e5a"),
        ),
        (Branch, "infrastructure/main", "infrastructure", branch("main", "d4c3f6b")),
        (
            Branch,
            "infrastructure/change/OPS-8",
            "infrastructure",
            branch("change/OPS-8", "e5b4a7c"),
        ),
        (Branch, "website/main", "website", branch("main", "f6a5b8d")),
        (Commit, "a1f0c3d", "payments-api", commit("Release 2026.10")),
        (Commit, "b2e1d4f", "payments-api", commit("ENG-44 send the idempotency key")),
        (Commit, "c3d2e5a", "payments-api", commit("ENG-42 keep the basket")),
        (Commit, "d4c3f6b", "infrastructure", commit("Add the new cluster")),
        (Commit, "e5b4a7c", "infrastructure", commit("OPS-8 switch over")),
        (Commit, "f6a5b8d", "website", commit("New imprint")),
        (
            File,
            "payments-api/main/README.md",
            "payments-api",
            json!({ "path": "README.md", "content": "Takes payments." }),
        ),
        (
            File,
            "infrastructure/main/hosts.toml",
            "infrastructure",
            json!({ "path": "hosts.toml", "content": "db = \"10.0.0.7\"" }),
        ),
        (
            Report,
            "270001",
            "payments-api",
            json!({ "commit": "a1f0c3d", "title": "Coverage", "result": "PASSED" }),
        ),
        (
            Report,
            "270002",
            "infrastructure",
            json!({ "commit": "d4c3f6b", "title": "Plan", "result": "FAILED" }),
        ),
        (DefaultReviewer, "280001", "payments-api", json!({ "display_name": "Alice Moreau" })),
        (DefaultReviewer, "280002", "infrastructure", json!({ "display_name": "Dana Okafor" })),
    ])
}

fn requests() -> Vec<Thing> {
    use ThingKind::{RequestComment, RequestTask};
    let content = |raw: &str| json!({ "content": { "raw": raw }, "user": "Alice Moreau" });
    things([
        (RequestComment, "290001", "payments-api/7", content("Is the key kept for a day?")),
        (RequestComment, "290002", "infrastructure/3", content("Not before Sunday.")),
        (
            RequestTask,
            "291001",
            "payments-api/7",
            json!({ "content": { "raw": "Add a test" }, "state": "UNRESOLVED" }),
        ),
        (
            RequestTask,
            "291002",
            "infrastructure/3",
            json!({ "content": { "raw": "Tell support" }, "state": "UNRESOLVED" }),
        ),
    ])
}

fn pipelines() -> Vec<Thing> {
    use ThingKind::{Deployment, Environment, Pipeline, Step};
    let run = |number: u64, branch: &str| json!({ "build_number": number, "target": { "ref_name": branch }, "state": "COMPLETED" });
    things([
        (Pipeline, "{pipeline-1}", "payments-api", run(1, "main")),
        (Pipeline, "{pipeline-2}", "infrastructure", run(1, "main")),
        (
            Step,
            "{step-1}",
            "{pipeline-1}",
            json!({ "name": "Test", "state": "COMPLETED", "log": "212 tests passed" }),
        ),
        (
            Step,
            "{step-2}",
            "{pipeline-2}",
            json!({ "name": "Plan", "state": "COMPLETED", "log": "3 to change" }),
        ),
        (Environment, "{environment-1}", "payments-api", json!({ "name": "Production" })),
        (Environment, "{environment-2}", "infrastructure", json!({ "name": "Production" })),
        (
            Deployment,
            "{deployment-1}",
            "payments-api",
            json!({ "environment": { "uuid": "{environment-1}" }, "state": "COMPLETED" }),
        ),
        (
            Deployment,
            "{deployment-2}",
            "infrastructure",
            json!({ "environment": { "uuid": "{environment-2}" }, "state": "COMPLETED" }),
        ),
    ])
}

/// Who works at Acme: account id and name.
pub(crate) const PEOPLE: &[(&str, &str)] = &[
    ("5b10ac8d82e05b22cc7d4ef5", "Callgate Service"),
    ("5b10ac8d82e05b22cc7d4e01", "Alice Moreau"),
    ("5b10ac8d82e05b22cc7d4e02", "Tomasz Zielinski"),
    ("5b10ac8d82e05b22cc7d4e03", "Dana Okafor"),
    ("5b10ac8d82e05b22cc7d4e04", "Jonas Lind"),
    ("5b10ac8d82e05b22cc7d4e05", "Mei Tanaka"),
    ("5b10ac8d82e05b22cc7d4e06", "Priya Raman"),
];

impl Site {
    /// The people whose name or account id contains `text`, in any case.
    pub(crate) fn people(&self, text: &str) -> Vec<Value> {
        let wanted = text.to_lowercase();
        let is_wanted =
            |(id, name): &&(&str, &str)| *id == wanted || name.to_lowercase().contains(&wanted);
        let found = PEOPLE.iter().filter(is_wanted);
        found
            .map(|(id, name)| json!({ "accountId": id, "displayName": name, "site": self.url }))
            .collect()
    }
}
