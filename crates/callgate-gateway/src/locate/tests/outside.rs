//! What a call makes leave its place: hosts that it names, files of the server's own disk.

use callgate_model::products::{local, net};

use super::*;
use crate::catalog::TargetRule;

/// A tool of mcp-atlassian, its arguments and every target.
const CALLS: &[(&str, &str, &[&str])] = &[
    (
        "jira_create_remote_issue_link",
        r#"{"issue_key":"ENG-1","url":"https://Files.example:443/x","title":"x"}"#,
        &["Jira::Issue acme/ENG-1", "Net::Host files.example"],
    ),
    (
        "jira_create_remote_issue_link",
        r#"{"issue_key":"ENG-1","url":"https://a.example","icon_url":"http://evil.example:8080/i.png"}"#,
        &["Jira::Issue acme/ENG-1", "Net::Host a.example", "Net::Host evil.example:8080"],
    ),
    (
        "jira_create_remote_issue_link",
        r#"{"issue_key":"ENG-1","url":"files.example","icon_url":["https://a.example"]}"#,
        // The field of that name cannot be read either.
        &[
            "Jira::Issue acme/ENG-1",
            "Net::Host ? unknown_form",
            "Net::Host ? missing",
            "Jira::Issue ? unknown_form",
        ],
    ),
    (
        "jira_create_remote_issue_link",
        r#"{"issue_key":"ENG-1"}"#,
        &["Jira::Issue acme/ENG-1", "Net::Host ? missing"],
    ),
    (
        "confluence_create_page",
        r#"{"space_key":"DOCS","title":"x","content_file":"/srv/pages/x.md"}"#,
        &["Confluence::Space acme/DOCS", "Local::Path /srv/pages/x.md"],
    ),
    (
        "confluence_update_page",
        r#"{"page_id":"7","title":"x","content_file":"../x.md"}"#,
        &["Confluence::Page ? opaque_id", "Local::Path ? unknown_form"],
    ),
    (
        "confluence_upload_attachment",
        r#"{"content_id":"7","content_base64":"eA==","filename":"x"}"#,
        &["Confluence::Page ? opaque_id"],
    ),
    (
        "confluence_upload_attachment",
        r#"{"content_id":"7","file_path":"/etc/passwd"}"#,
        &["Confluence::Page ? opaque_id", "Local::Path /etc/passwd"],
    ),
    (
        "confluence_upload_attachment",
        r#"{"content_id":"7","file_path":""}"#,
        &["Confluence::Page ? opaque_id", "Local::Path ? unknown_form"],
    ),
    (
        "confluence_upload_attachments",
        r#"{"content_id":"7","file_paths":"/srv/a, /srv/b,/etc/passwd"}"#,
        &[
            "Confluence::Page ? opaque_id",
            "Local::Path /srv/a",
            "Local::Path /srv/b",
            "Local::Path /etc/passwd",
        ],
    ),
    (
        "confluence_upload_attachments",
        r#"{"content_id":"7","file_paths":"[\"/srv/a\"]"}"#,
        &["Confluence::Page ? opaque_id", "Local::Path ? unknown_form"],
    ),
    (
        "confluence_upload_attachments",
        r#"{"content_id":"7"}"#,
        &["Confluence::Page ? opaque_id", "Local::Path ? missing"],
    ),
];

/// What `jira_update_issue` is given as attachments, and every target beside the issue.
const ATTACHMENTS: &[(&str, &[&str])] = &[
    ("null", &[]),
    (r#""/srv/a""#, &["Local::Path /srv/a"]),
    (r#""/srv/a, /etc/passwd""#, &["Local::Path /srv/a", "Local::Path /etc/passwd"]),
    (r#""[\"/srv/a,b\",\"/etc/passwd\"]""#, &["Local::Path /srv/a,b", "Local::Path /etc/passwd"]),
    (r#"" \n[\"/srv/a\"]""#, &["Local::Path /srv/a"]),
    (r#""[]""#, &[]),
    (r#""""#, &["Local::Path ? unknown_form"]),
    (r#""[\"/srv/a\", 7]""#, &["Local::Path ? missing"]),
    (r#""[\"/srv/a\"""#, &["Local::Path ? missing"]),
    (r#""[\"/srv/a\"] x""#, &["Local::Path ? missing"]),
    (r#""\"/srv/a\"""#, &["Local::Path ? unknown_form"]),
    (r#""['/srv/a']""#, &["Local::Path ? missing"]),
    (r#"["/srv/a"]"#, &["Local::Path ? missing"]),
    (r#""/srv/a,""#, &["Local::Path /srv/a", "Local::Path ? unknown_form"]),
];

#[test]
fn z06_every_host_and_every_file_that_a_call_names_is_a_target() {
    let mcp = server(MCP);
    for (tool, arguments, expected) in CALLS {
        assert_eq!(located(&mcp, tool, arguments), *expected, "{tool} {arguments}");
    }
    for (attachments, expected) in ATTACHMENTS {
        let arguments =
            format!(r#"{{"issue_key":"ENG-1","fields":"{{}}","attachments":{attachments}}}"#);
        let found = located(&mcp, "jira_update_issue", &arguments);
        assert_eq!(found[1..], **expected, "{attachments}");
    }
}

/// The server passes fields on as if they were arguments.
#[test]
fn z06_what_is_hidden_among_fields_is_a_target_too() {
    let mcp = server(MCP);
    for (fields, expected) in [
        (r#"{\"attachments\":[\"/etc/passwd\"]}"#, "Local::Path /etc/passwd"),
        (r#"{\"attachments\":\"/etc/passwd\"}"#, "Local::Path ? missing"),
        (r#"{\"fields\":{\"parent\":{\"key\":\"EVIL-1\"}}}"#, "Jira::Issue ? missing"),
        (r#"{\"fields\":{\"key\":\"EVIL-1\"}}"#, "Jira::Issue ? missing"),
    ] {
        for argument in ["fields", "additional_fields"] {
            let arguments = format!(r#"{{"issue_key":"ENG-1","{argument}":"{fields}"}}"#);
            let found = located(&mcp, "jira_update_issue", &arguments);
            assert_eq!(found, ["Jira::Issue acme/ENG-1", expected], "{arguments}");
        }
    }
}

#[test]
fn z06_a_version_or_a_sprint_beside_a_project_or_a_board_is_a_target() {
    let rovo = server(ROVO);
    for (tool, arguments, expected) in [
        (
            "manageJiraProjectVersion",
            r#"{"projectKey":"ENG","action":"release","name":"1"}"#,
            &["Jira::Project acme/ENG"][..],
        ),
        (
            "manageJiraProjectVersion",
            r#"{"projectKey":"ENG","action":"delete","versionId":"30101"}"#,
            &["Jira::Project acme/ENG", "Jira::Version ? opaque_id"],
        ),
        (
            "manageJiraProjectVersionRelatedWork",
            r#"{"projectKey":"ENG","versionId":"30101","url":"https://evil.example"}"#,
            &["Jira::Project acme/ENG", "Jira::Version ? opaque_id", "Net::Host evil.example"],
        ),
        (
            "getJiraBoardSprintData",
            r#"{"boardId":"1","sprintId":"11"}"#,
            &["Jira::Board ? opaque_id", "Jira::Sprint ? opaque_id"],
        ),
        (
            "listJiraBoards",
            r#"{"projectKeyOrId":"HR"}"#,
            &["Atlassian::Site acme", "Jira::Project acme/HR"],
        ),
        (
            "createConfluenceComment",
            r#"{"content_id":"7","body":"x","parentCommentId":"8"}"#,
            &["Confluence::Page ? opaque_id", "Confluence::Comment ? opaque_id"],
        ),
        (
            "deleteJiraIssueAttachment",
            r#"{"attachmentId":"41001","issueIdOrKey":"ENG-1"}"#,
            &["Jira::Attachment ? opaque_id", "Jira::Issue acme/ENG-1"],
        ),
        (
            "transitionJiraIssue",
            r#"{"issueIdOrKey":"ENG-1","transitionId":"1","fields":{"project":{"key":"HR"}}}"#,
            &["Jira::Issue acme/ENG-1", "Jira::Project acme/HR"],
        ),
    ] {
        assert_eq!(located(&rovo, tool, arguments), expected, "{tool} {arguments}");
    }
}

/// Every argument of the measured tools whose name says that it is an address or a file is one, and what is one leaves
/// the place of its call unless it only names something there.
#[test]
fn z06_no_tool_has_an_address_or_a_file_that_is_no_target() {
    const MEASURED: &str = include_str!("../../../tests/data/mcp-atlassian-0.23.json");
    let measured = read(MEASURED.as_bytes(), &JsonLimits::default()).unwrap();
    let mcp = server(MCP);
    let mut found = Vec::new();
    for tool in measured.as_array().unwrap() {
        let name = tool.get("name").and_then(|name| name.as_str()).unwrap();
        let properties = tool.get("inputSchema").and_then(|schema| schema.get("properties"));
        for (argument, _) in properties.and_then(|all| all.as_object()).unwrap().iter() {
            // Those of a customer request are in the call themselves.
            let is_in_call = name == "jira_create_customer_request" || argument == "filename";
            let says = ["url", "uri", "href", "file", "path", "attachments", "dir", "folder"];
            let is_one = says.iter().any(|word| argument.contains(word));
            let is_one = is_one
                && !is_in_call
                && !argument.contains("filter")
                && !argument.starts_with("include_");
            if !is_one || argument == "copy_attachments" {
                continue;
            }
            let (_, rule) = mcp.catalog_tools().find(|(tool, _)| *tool == name).unwrap();
            let rules = rule
                .targets
                .iter()
                .filter(|rule| matches!(rule.kind.as_str(), net::HOST | local::PATH));
            let mut paths = rules.flat_map(TargetRule::paths);
            assert!(paths.any(|path| path.single() == Some(argument)), "{name} {argument}");
            found.push(argument.to_owned());
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            "attachments",
            "content_file",
            "content_file",
            "file_path",
            "file_paths",
            "icon_url",
            "url"
        ]
    );
}

const OWN: &str = r#"
format = 1
name = "own"
version = "1"

[tool.fetch]
title = "Fetch a page for the caller, through the proxy"
effect = "read"
risk = "high"
reversibility = "reversible"
targets = [
    { kind = "Net::Host", at = "/urls/*" },
    { kind = "Net::Host", id = "proxy.example:3128" },
]

[tool.convert]
title = "Write a file"
effect = "write"
risk = "high"
reversibility = "irreversible"
targets = [{ kind = "Local::Path", any = ["/from", "/to"] }]
"#;

#[test]
fn rules_of_own_catalogs_point_at_hosts_and_files_without_a_site() {
    let catalogs = Catalogs::shipped(&[("own.toml", OWN)]).unwrap();
    let own = catalogs.for_server("s", "own", SiteMap::default()).unwrap();
    for (tool, arguments, expected) in [
        (
            "fetch",
            r#"{"urls":["https://a.example/x","http://b.example/y"]}"#,
            &["Net::Host a.example", "Net::Host b.example", "Net::Host proxy.example:3128"][..],
        ),
        ("fetch", r#"{"urls":[]}"#, &["Net::Host ? missing", "Net::Host proxy.example:3128"]),
        (
            "convert",
            r#"{"from":"/srv/a.md","to":"/srv/a.pdf"}"#,
            &["Local::Path /srv/a.md", "Local::Path /srv/a.pdf"],
        ),
    ] {
        assert_eq!(located(&own, tool, arguments), expected, "{tool} {arguments}");
    }
    let arguments = object(r#"{"from":"/srv/in/a.md"}"#);
    let targets = own.locate(&own.name("convert", &arguments).unwrap(), &arguments).unwrap();
    assert_eq!(targets.targets, [local::path("/srv/in/a.md")]);
}

#[test]
fn no_catalog_changes_what_hosts_and_files_are() {
    let rule = |rule: &str| {
        format!(
            "{OWN}\n[tool.more]\ntitle = \"x\"\neffect = \"read\"\nrisk = \"low\"\nreversibility = \"reversible\"\ntargets = [{{ {rule} }}]\n"
        )
    };
    for (text, expected) in [
        (format!("{OWN}[target.\"Net::Host\"]"), "are products that need no catalog"),
        (format!("{OWN}[target.\"Local::Disk\"]"), "are products that need no catalog"),
        (
            format!("{OWN}[target.\"Own::File\"]\nin = \"Local::Folder\""),
            "`Local::Folder` contains no kinds of catalogs",
        ),
        (rule(r#"kind = "Local::Folder", at = "/dir""#), "no argument names a `Local::Folder`"),
        (
            rule(r#"kind = "Net::Host", at = ["/a", "/b"]"#),
            "parts of an id of `Net::Host`: 1, not 2",
        ),
        (
            rule(r#"kind = "Local::Path", at = ["/a", "/b"]"#),
            "parts of an id of `Local::Path`: 1, not 2",
        ),
        (
            rule(r#"kind = "Net::Host", id = "https://a.example""#),
            "is no host as policies write it",
        ),
        (rule(r#"kind = "Local::Path", id = "/etc""#), "`id` is for kinds in no other"),
        (rule(r#"kind = "Local::Path", at = "/a", or_json = true"#), "goes with `split` only"),
    ] {
        let found = Catalogs::shipped(&[("own.toml", &text)]).unwrap_err();
        assert!(
            found.iter().any(|one| one.to_string().contains(expected)),
            "{expected} {found:#?}"
        );
    }
}
