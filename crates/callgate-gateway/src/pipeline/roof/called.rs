//! What things are called under the roof: a tool or a prompt `SERVER__NAME`, a resource `SERVER+URI`, which is a URI again.

use callgate_mcp::limits::TOOL_NAME_BYTES_MAX;
use callgate_mcp::message::{Message, Subject};
use callgate_model::call::Method;
use callgate_model::json::{Json, Object};
use callgate_model::products::mcp::{PROMPT_NAME_BYTES_MAX, URI_BYTES_MAX};

use super::super::admit::{Entrance, Request};
use crate::method::{Treatment, treatment};

/// Between a server's name, which has no underscores, and a name of its own.
const JOINT: &str = "__";
/// Between a server's name and a URI of its own.
const URI_JOINT: &str = "+";

/// The tool or prompt `name` of `server`.
pub(in super::super) fn called(server: &str, name: &str) -> String {
    format!("{server}{JOINT}{name}")
}

/// The resource `uri` of `server`; or a template of one.
pub(in super::super) fn called_uri(server: &str, uri: &str) -> String {
    format!("{server}{URI_JOINT}{uri}")
}

/// What a request names, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `name`
    Tool(String),
    /// `name`
    Prompt(String),
    /// `uri`
    Resource(String),
    /// `ref.name`
    OfPrompt(String),
    /// `ref.uri`
    OfTemplate(String),
}

impl Named {
    /// What `message` names, if it is for one server and says so.
    pub(super) fn in_message(message: &Message) -> Option<Self> {
        let Message::Request(request) = message else { return None };
        let params = &request.params;
        let text = |params: &Object, name: &str| params.get(name)?.as_str().map(str::to_owned);
        match treatment(&request.method, false) {
            Treatment::Decide(Method::ToolsCall) => text(params, "name").map(Self::Tool),
            Treatment::Decide(Method::PromptsGet) => text(params, "name").map(Self::Prompt),
            Treatment::Decide(Method::ResourcesRead)
            | Treatment::Subscribe
            | Treatment::Unsubscribe => text(params, "uri").map(Self::Resource),
            Treatment::Decide(Method::CompletionComplete) => {
                let reference = params.get("ref")?.as_object()?;
                match text(reference, "name") {
                    Some(name) => Some(Self::OfPrompt(name)),
                    None => text(reference, "uri").map(Self::OfTemplate),
                }
            }
            Treatment::Accept
            | Treatment::Decide(_)
            | Treatment::Discover
            | Treatment::FilterEntries(_)
            | Treatment::FilterTools
            | Treatment::Initialize
            | Treatment::Listen
            | Treatment::Pong
            | Treatment::Refuse
            | Treatment::SetLogLevel => None,
        }
    }

    /// As the client calls it.
    pub(super) fn called(&self) -> &str {
        let (Self::Tool(called)
        | Self::Prompt(called)
        | Self::Resource(called)
        | Self::OfPrompt(called)
        | Self::OfTemplate(called)) = self;
        called
    }

    /// The server it names, and what that calls it.
    pub(super) fn split(&self) -> Option<(&str, &str)> {
        match self {
            Self::Tool(called) | Self::Prompt(called) | Self::OfPrompt(called) => {
                called.split_once(JOINT).filter(|(_, name)| !name.is_empty())
            }
            Self::Resource(called) | Self::OfTemplate(called) => split_uri(called),
        }
    }

    /// What it is, if it is no tool.
    pub(super) fn subject(&self) -> Option<Subject> {
        match self {
            Self::Tool(_) => None,
            Self::Prompt(name) | Self::OfPrompt(name) => Some(Subject::Prompt(name.clone())),
            Self::Resource(uri) | Self::OfTemplate(uri) => Some(Subject::Resource(uri.clone())),
        }
    }

    /// Puts what the server calls it in its place.
    pub(super) fn replace(&self, params: &mut Object, name: &str) {
        match self {
            Self::Tool(_) | Self::Prompt(_) => params.set("name", name),
            Self::Resource(_) => params.set("uri", name),
            Self::OfPrompt(_) => change(params, "ref", |reference| with(reference, "name", name)),
            Self::OfTemplate(_) => change(params, "ref", |reference| with(reference, "uri", name)),
        }
    }
}

/// The server that a URI names, and the URI that it has there.
pub(super) fn split_uri(called: &str) -> Option<(&str, &str)> {
    called.split_once(URI_JOINT).filter(|(_, uri)| !uri.is_empty())
}

/// An entry of a list under the name that it has under the roof, if that is not too long for one. `member` holds it.
pub(super) fn renamed(request: &Request, member: &str, entry: &Json) -> Option<Json> {
    let mut entry: Object = entry.as_object()?.clone();
    let own = entry.get(member)?.as_str()?;
    let (called, max) = match member {
        "name" => (request.as_called(own), TOOL_NAME_BYTES_MAX.min(PROMPT_NAME_BYTES_MAX)),
        _ => (request.uri_as_called(own), URI_BYTES_MAX),
    };
    if called.len() > max {
        tracing::warn!(called, "too long a name under the roof: not listed");
        return None;
    }
    entry.set(member, called);
    // Where a tool has a page, it is a resource.
    change(&mut entry, "_meta", |meta| {
        let mut meta = meta.as_object().cloned().unwrap_or_default();
        change(&mut meta, "ui", |ui| at_uri(request, ui, "resourceUri"));
        at_uri(request, &meta.into(), "ui/resourceUri")
    });
    Some(entry.into())
}

/// A result in which every resource is called as it is under the roof, if the client is there.
pub(in super::super) fn in_result(request: &Request, method: Method, result: &mut Object) {
    if request.entrance != Entrance::UnderRoof {
        return;
    }
    match method {
        Method::ToolsCall => change(result, "content", |all| each(all, |one| block(request, one))),
        Method::PromptsGet => change(result, "messages", |all| {
            each(all, |message| {
                let mut message = message.as_object().cloned().unwrap_or_default();
                change(&mut message, "content", |content| match content.as_array() {
                    Some(_) => each(content, |one| block(request, one)),
                    None => block(request, content),
                });
                message.into()
            })
        }),
        Method::ResourcesRead => {
            change(result, "contents", |all| each(all, |one| at_uri(request, one, "uri")))
        }
        Method::Api
        | Method::CompletionComplete
        | Method::ElicitationCreate
        | Method::ResourcesSubscribe
        | Method::RootsList
        | Method::SamplingCreateMessage
        | Method::TasksCancel
        | Method::TasksGet
        | Method::TasksUpdate => {}
    }
}

/// A block of content.
fn block(request: &Request, block: &Json) -> Json {
    match block.get("type").and_then(Json::as_str) {
        Some("resource_link") => at_uri(request, block, "uri"),
        Some("resource") => {
            let mut block = block.as_object().cloned().unwrap_or_default();
            change(&mut block, "resource", |resource| at_uri(request, resource, "uri"));
            block.into()
        }
        Some(_) | None => block.clone(),
    }
}

/// The same with the URI in `member` as the client calls it.
fn at_uri(request: &Request, json: &Json, member: &str) -> Json {
    match json.get(member).and_then(Json::as_str) {
        Some(uri) => with(json, member, &request.uri_as_called(uri)),
        None => json.clone(),
    }
}

fn with(json: &Json, member: &str, text: &str) -> Json {
    let mut object = json.as_object().cloned().unwrap_or_default();
    object.set(member, text);
    object.into()
}

fn each(all: &Json, change: impl Fn(&Json) -> Json) -> Json {
    match all.as_array() {
        Some(all) => all.iter().map(change).collect::<Vec<_>>().into(),
        None => all.clone(),
    }
}

fn change(object: &mut Object, member: &str, change: impl FnOnce(&Json) -> Json) {
    if let Some(changed) = object.get(member).map(change) {
        object.set(member, changed);
    }
}
