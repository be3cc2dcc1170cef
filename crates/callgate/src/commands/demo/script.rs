//! The conversation.

use callgate_model::json::{Json, JsonLimits, Object, read};

use super::folder::LEAD;
use crate::cli::Failure;

/// One call of the conversation.
pub(super) struct Call {
    /// What it shows.
    pub(super) about: &'static str,
    /// The development token.
    pub(super) token: &'static str,
    /// The tool.
    pub(super) tool: &'static str,
    /// The arguments.
    arguments: &'static str,
    /// The token of whoever approves what waits, before it is called.
    pub(super) approved_by: Option<&'static str>,
}

/// What is said, in order.
pub(super) const CALLS: &[Call] = &[
    Call {
        about: "Alice's release bot reads an issue",
        token: "demo-alice-release-bot",
        tool: "getJiraIssue",
        arguments: r#"{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"ENG-42"}"#,
        approved_by: None,
    },
    Call {
        about: "and edits it: another spelling of the same issue",
        token: "demo-alice-release-bot",
        tool: "editJiraIssue",
        arguments: r#"{"cloudId":"5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4","issueIdOrKey":"eng-42","fields":{"summary":"Edited through the gate"}}"#,
        approved_by: None,
    },
    Call {
        about: "but not in the HR project: no agent may touch it, whoever asks",
        token: "demo-alice-release-bot",
        tool: "editJiraIssue",
        arguments: r#"{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"HR-3","fields":{"summary":"x"}}"#,
        approved_by: None,
    },
    Call {
        about: "Alice may edit ENG, the triage bot may not: both links must be permitted",
        token: "demo-alice-triage-bot",
        tool: "editJiraIssue",
        arguments: r#"{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"ENG-42","fields":{"summary":"x"}}"#,
        approved_by: None,
    },
    Call {
        about: "Deleting hides in a dispatcher; it is found there, and needs a lead's approval",
        token: "demo-alice-release-bot",
        tool: "executeDestructive",
        arguments: r#"{"name":"deleteJiraIssue","cloudId":"https://acme.atlassian.net","inputs":{"issueIdOrKey":"ENG-45"}}"#,
        approved_by: None,
    },
    Call {
        about: "Carol, a lead, looks at exactly this call and approves it; then it is made, once",
        token: "demo-alice-release-bot",
        tool: "executeDestructive",
        arguments: r#"{"name":"deleteJiraIssue","cloudId":"https://acme.atlassian.net","inputs":{"issueIdOrKey":"ENG-45"}}"#,
        approved_by: Some(LEAD),
    },
    Call {
        about: "A page's id says nothing of its space, so the site is asked first: HR again",
        token: "demo-alice-release-bot",
        tool: "getConfluenceContent",
        arguments: r#"{"cloudId":"https://acme.atlassian.net","content_id":"200004"}"#,
        approved_by: None,
    },
    Call {
        about: "A search could reach every project",
        token: "demo-alice-release-bot",
        tool: "searchJiraIssuesUsingJql",
        arguments: r#"{"cloudId":"https://acme.atlassian.net","jql":"text ~ \"salary\""}"#,
        approved_by: None,
    },
    Call {
        about: "An unknown tool",
        token: "demo-bob-triage-bot",
        tool: "dropEverything",
        arguments: "{}",
        approved_by: None,
    },
];

/// What is left waiting, for whoever wants to see it in the console.
pub(super) const LEFT: Call = Call {
    about: "Alice's release bot would delete ENG-43; that waits for a lead",
    token: "demo-alice-release-bot",
    tool: "executeDestructive",
    arguments: r#"{"name":"deleteJiraIssue","cloudId":"https://acme.atlassian.net","inputs":{"issueIdOrKey":"ENG-43"}}"#,
    approved_by: None,
};

/// The arguments of `call`.
pub(super) fn arguments(call: &Call) -> Result<Object, Failure> {
    match read(call.arguments.as_bytes(), &JsonLimits::default()) {
        Ok(Json::Object(arguments)) => Ok(arguments),
        Ok(_) => Err(Failure::Other(format!("{}: not an object", call.tool))),
        Err(error) => Err(Failure::Other(format!("{}: {error}", call.tool))),
    }
}
