//! What a tool that nobody has classified may do, guessed from its name, its hints and its arguments.
//!
//! A guess is for whoever writes the catalog. Nothing is ever decided by it: verbs were measured to call one write in four a
//! read (docs/catalogs.md says how often this one errs).

use std::fmt::Write as _;

use callgate_mcp::tool::ToolDefinition;
use callgate_model::json::Json;
use callgate_model::vocabulary::{Effect, Reversibility, Risk};

/// A guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What it may do.
    pub effect: Effect,
    /// How bad a wrong call may be.
    pub risk: Risk,
    /// How it may be taken back.
    pub reversibility: Reversibility,
    /// What the guess is made from.
    pub because: Vec<String>,
}

/// Verbs and other words, by what they often mean. The first table that has a word of the name counts.
const WORDS: &[(Effect, &[&str])] = &[
    (
        Effect::Admin,
        &[
            "admin",
            "grant",
            "install",
            "permission",
            "permissions",
            "role",
            "roles",
            "scheme",
            "screen",
        ],
    ),
    (
        Effect::Delete,
        &[
            "clear",
            "delete",
            "destroy",
            "drop",
            "erase",
            "kill",
            "purge",
            "remove",
            "terminate",
            "truncate",
            "uninstall",
            "wipe",
        ],
    ),
    (
        Effect::Share,
        &[
            "invite",
            "publish",
            "restriction",
            "restrictions",
            "share",
            "unpublish",
            "unwatch",
            "watch",
            "watcher",
            "watchers",
        ],
    ),
    (
        Effect::Write,
        &[
            "add",
            "append",
            "approve",
            "archive",
            "assign",
            "attach",
            "cancel",
            "close",
            "comment",
            "complete",
            "convert",
            "copy",
            "create",
            "disable",
            "dismiss",
            "edit",
            "enable",
            "execute",
            "fork",
            "import",
            "insert",
            "link",
            "lock",
            "manage",
            "mark",
            "merge",
            "move",
            "open",
            "patch",
            "post",
            "push",
            "put",
            "reindex",
            "rename",
            "reopen",
            "reply",
            "request",
            "rerun",
            "restore",
            "run",
            "save",
            "send",
            "set",
            "start",
            "stop",
            "submit",
            "subscribe",
            "transition",
            "trigger",
            "unarchive",
            "unlock",
            "unsubscribe",
            "update",
            "upload",
            "upsert",
            "write",
        ],
    ),
    (
        Effect::Read,
        &[
            "check", "compare", "count", "describe", "diff", "download", "explain", "export",
            "fetch", "find", "get", "info", "inspect", "list", "lookup", "preview", "query",
            "read", "resolve", "search", "show", "status", "validate", "view", "whoami",
        ],
    ),
];

/// Arguments by which a call can do anything at all.
const ANYTHING: &[&str] =
    &["code", "command", "cmd", "expression", "graphql", "script", "sql", "statement"];
/// Arguments by which a call reaches out, or into the machine of the server.
const OUTSIDE: &[&str] = &[
    "callback",
    "endpoint",
    "file",
    "file_path",
    "filepath",
    "host",
    "path",
    "uri",
    "url",
    "webhook",
];

/// Guesses what `tool` may do.
#[must_use]
pub fn propose(tool: &ToolDefinition) -> Proposal {
    let mut because = Vec::new();
    let words = words(&tool.name);
    // The gentlest word counts only if there is no other: `getOrCreate` creates.
    let found = WORDS.iter().find_map(|(effect, known)| {
        let word = words.iter().find(|word| known.contains(&word.as_str()))?;
        Some((*effect, word))
    });
    let mut effect = match found {
        Some((effect, word)) => {
            because.push(format!("`{word}` in the name"));
            effect
        }
        None => {
            because.push("no word of the name is known".to_owned());
            Effect::Write
        }
    };
    let mut risk = match (effect, found) {
        (_, None) => Risk::Critical,
        (Effect::Read, _) => Risk::Low,
        (Effect::Delete | Effect::Admin, _) => Risk::High,
        (_, Some(_)) => Risk::Medium,
    };
    let hints = &tool.annotations;
    if hints.destructive == Some(true) {
        because.push("the server hints that it destroys".to_owned());
        risk = risk.max(Risk::High);
    }
    if effect == Effect::Read && hints.read_only == Some(false) {
        because.push("the server hints that it does not only read".to_owned());
        (effect, risk) = (Effect::Write, risk.max(Risk::Medium));
    }
    for name in arguments(tool) {
        let lower = name.to_ascii_lowercase();
        if ANYTHING.contains(&lower.as_str()) {
            because.push(format!("by `{name}` it could do anything"));
            (effect, risk) =
                (if effect == Effect::Read { Effect::Write } else { effect }, Risk::Critical);
        } else if OUTSIDE.contains(&lower.as_str()) {
            because.push(format!("`{name}` may lead out of the product"));
            risk = risk.max(Risk::High);
        }
    }
    let reversibility = match effect {
        Effect::Read => Reversibility::Reversible,
        Effect::Delete => Reversibility::Irreversible,
        Effect::Write | Effect::Share | Effect::Admin => Reversibility::Recoverable,
    };
    Proposal { effect, risk, reversibility, because }
}

/// A table for a catalog, to be read, corrected and kept by a person. It does not load as it is: where the targets are is for
/// them to say.
#[must_use]
pub fn as_catalog(tool: &ToolDefinition, proposal: &Proposal) -> String {
    let title = tool.definition.get("title").or_else(|| tool.definition.get("description"));
    let title = title.and_then(Json::as_str).unwrap_or(&tool.name);
    let title: String = title.lines().next().unwrap_or_default().chars().take(100).collect();
    let mut text = String::new();
    for why in &proposal.because {
        // Writing to a string does not fail.
        writeln!(text, "# proposed: {}", plain(why)).ok();
    }
    let names = arguments(tool).map(|name| format!("/{}", plain(name))).collect::<Vec<_>>();
    write!(
        text,
        "[tool.{}]\ntitle = {}\neffect = \"{}\"\nrisk = \"{}\"\nreversibility = \"{}\"\n\
         # which of these say what it touches? {}\ntargets = \"?\"\n",
        toml::Value::String(tool.name.clone()),
        toml::Value::String(plain(&title)),
        proposal.effect.as_str(),
        proposal.risk.as_str(),
        proposal.reversibility.as_str(),
        names.join(", "),
    )
    .ok();
    text
}

fn arguments(tool: &ToolDefinition) -> impl Iterator<Item = &str> {
    let properties = tool.input_schema.get("properties").and_then(Json::as_object);
    properties.into_iter().flat_map(|all| all.iter()).map(|(name, _)| name)
}

/// What a server wrote, for a comment.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(120).collect()
}

/// The words of `createJiraIssue` and `jira_create_issue`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        let begins = letter.is_ascii_uppercase() && was_lower || !letter.is_ascii_alphanumeric();
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
        was_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    words
}

#[cfg(test)]
mod tests;
