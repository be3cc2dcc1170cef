//! What the site offers beside tools: its handbook and its issues as resources, two prompts, and completion.
//!
//! As lax as its tools: whoever may ask may have everything, also what is only for people.

use serde_json::{Map, Value, json};

use crate::answer::Era;
use crate::endpoint::headers_of;
use crate::ledger::LedgerEntry;
use crate::rpc::{self, Exchange, Message, Reply, RpcError};
use crate::site::Site;

/// How many entries a page of a list has.
const PAGE_SIZE: usize = 2;

/// Begins the address of an issue, which ends in its key.
const ISSUES: &str = "acme://issues/";

/// Address, title and text of each page.
const HANDBOOK: &[(&str, &str, &str)] = &[
    ("acme://handbook/engineering", "How we build", "Every change is reviewed."),
    ("acme://handbook/people", "What we pay", "Salaries: nobody's business."),
    ("acme://handbook/support", "How we help", "Every request is answered within a day."),
];

/// Name, title, argument and text of each prompt.
const PROMPTS: &[(&str, &str, &str, &str)] = &[
    ("triage_issue", "Triage an issue", "key", "Read the issue and propose a priority: "),
    ("weekly_report", "Write the weekly report", "project", "Report what was done in "),
];

/// What the site says it can do.
pub(crate) fn capabilities(exchange: &Exchange) -> Value {
    if exchange.shared.options.only_tools {
        json!({ "tools": {} })
    } else {
        json!({ "tools": {}, "resources": {}, "prompts": {}, "completions": {} })
    }
}

/// The answer to a list, if it asks for one.
pub(crate) fn list(exchange: &Exchange, message: &Message) -> Option<Reply> {
    if exchange.shared.options.only_tools {
        return None;
    }
    let (member, all) = match message.method.as_str() {
        "prompts/list" => ("prompts", PROMPTS.iter().map(prompt_definition).collect()),
        "resources/list" => ("resources", HANDBOOK.iter().map(page_definition).collect()),
        "resources/templates/list" => ("resourceTemplates", vec![template_definition()]),
        _ => return None,
    };
    Some(rpc::page(member, all, PAGE_SIZE, message))
}

fn page_definition((uri, title, _): &(&str, &str, &str)) -> Value {
    let name = uri.rsplit('/').next();
    json!({ "uri": uri, "name": name, "title": title, "mimeType": "text/plain", "vendor": { "rev": 7 } })
}

fn template_definition() -> Value {
    json!({ "uriTemplate": format!("{ISSUES}{{key}}"), "name": "issue", "mimeType": "text/plain" })
}

fn prompt_definition((name, title, argument, _): &(&str, &str, &str, &str)) -> Value {
    let arguments = json!([{ "name": argument, "required": true }]);
    json!({ "name": name, "title": title, "arguments": arguments, "vendor": { "rev": 7 } })
}

/// Whether it is a request for one thing.
pub(crate) fn asks(exchange: &Exchange, message: &Message) -> bool {
    let methods = ["completion/complete", "prompts/get", "resources/read"];
    !exchange.shared.options.only_tools && methods.contains(&message.method.as_str())
}

/// The answer to a request for one thing, if it is one: executes and records.
pub(crate) fn ask(exchange: &Exchange, message: &Message, era: Era) -> Option<Reply> {
    if !asks(exchange, message) {
        return None;
    }
    let site = exchange.shared.site();
    let (name, answer) = match message.method.as_str() {
        "resources/read" => {
            let uri = message.text_param("uri").unwrap_or_default();
            (uri.to_owned(), read(&site, uri).ok_or_else(|| not_found(uri, era)))
        }
        "prompts/get" => {
            let name = message.text_param("name").unwrap_or_default();
            (name.to_owned(), get(name, message.params.get("arguments")))
        }
        "completion/complete" => complete(&site, message),
        _ => return None,
    };
    if answer.is_ok() {
        exchange.shared.ledger.executed(entry(exchange, message, name));
    }
    Some(answer)
}

fn entry(exchange: &Exchange, message: &Message, name: String) -> LedgerEntry {
    let params = message.params.iter().filter(|(name, _)| *name != "_meta");
    let params: Map<String, Value> = params.map(|(k, v)| (k.clone(), v.clone())).collect();
    LedgerEntry {
        number: 0,
        tool: name,
        operation: message.method.clone(),
        arguments: Value::Object(params).to_string(),
        headers: headers_of(&exchange.headers),
        is_error: false,
        at: std::time::Duration::ZERO,
    }
}

fn read(site: &Site, uri: &str) -> Option<Value> {
    let page = HANDBOOK.iter().find(|(known, ..)| *known == uri);
    let text = match page {
        Some((.., text)) => (*text).to_owned(),
        None => site.issue(uri.strip_prefix(ISSUES)?)?.summary.clone(),
    };
    Some(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
}

fn not_found(uri: &str, era: Era) -> RpcError {
    let code = match era {
        Era::Modern => -32602,
        Era::Legacy => -32002,
    };
    RpcError { data: Some(json!({ "uri": uri })), ..RpcError::new(code, "Resource not found") }
}

fn get(name: &str, arguments: Option<&Value>) -> Reply {
    let unknown = || RpcError::invalid_params(format!("Unknown prompt: {name}"));
    let (_, title, argument, text) =
        PROMPTS.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
    let value = arguments.and_then(|arguments| arguments.get(*argument)).and_then(Value::as_str);
    let missing = || RpcError::invalid_params(format!("Missing argument: {argument}"));
    let text = format!("{text}{}", value.ok_or_else(missing)?);
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    Ok(json!({ "description": title, "messages": [message] }))
}

/// What is to be completed, and the values for it.
fn complete(site: &Site, message: &Message) -> (String, Reply) {
    let text = |parent: &str, name: &str| {
        let value = message.params.get(parent).and_then(|parent| parent.get(name));
        value.and_then(Value::as_str).unwrap_or_default()
    };
    let (name, uri, begun) = (text("ref", "name"), text("ref", "uri"), text("argument", "value"));
    let known: Vec<String> = match (uri.is_empty(), text("argument", "name")) {
        (true, "project") => site.projects.iter().map(|project| project.key.clone()).collect(),
        (true, "key") | (false, "key") => site.issues.iter().map(|one| one.key.clone()).collect(),
        _ => Vec::new(),
    };
    let values: Vec<String> =
        known.into_iter().filter(|value| value.starts_with(begun)).take(100).collect();
    let result = json!({ "completion": { "values": values, "hasMore": false } });
    (if uri.is_empty() { name } else { uri }.to_owned(), Ok(result))
}
