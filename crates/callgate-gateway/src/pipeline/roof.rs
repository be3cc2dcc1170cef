//! All servers under one roof, for clients that want one entry. A tool or a prompt is called `SERVER__NAME`; from there on
//! it is that server's, decided by the same policy, and recorded as if it had been called there. What has no name of that
//! kind (resources, streams of changes) is not served under the roof.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_mcp::http::request::Parts;
use callgate_mcp::http::{HeaderValue, Method, StatusCode};
use callgate_mcp::limits::TOOL_NAME_BYTES_MAX;
use callgate_mcp::message::{Message, Subject};
use callgate_mcp::upstream::{List, UpstreamError};
use callgate_model::call::Method as Call;
use callgate_model::decision::Decision;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::admit::{Entered, Request, invalid};
use super::list::listed;
use super::{Gateway, Reply};
use crate::method::{Treatment, treatment};

/// Between a server's name, which has no underscores, and a name of its own.
const JOINT: &str = "__";
/// For one server to give its list, when all are asked.
const EACH_WITHIN: Duration = Duration::from_secs(10);

/// What is asked under the roof.
enum Asked {
    /// For one server.
    One(Request),
    /// For all of them, or for none.
    All(Request),
}

impl Gateway {
    /// Answers one HTTP request to `/mcp`.
    pub async fn handle_roof(self: &Arc<Self>, http: &Parts, body: Bytes) -> Reply {
        match self.admit_under_roof(http, &body) {
            Ok(Asked::One(request)) => self.serve(request, Some(&http.headers)).await,
            Ok(Asked::All(request)) => self.serve_all(request).await,
            Err(reply) => *reply,
        }
    }

    fn admit_under_roof(self: &Arc<Self>, http: &Parts, body: &[u8]) -> Result<Asked, Box<Reply>> {
        let caller = self.who(http, "")?;
        if http.method == Method::GET {
            let headers = vec![("allow", HeaderValue::from_static("POST, DELETE"))];
            let reply = Reply { headers, ..Reply::empty(StatusCode::METHOD_NOT_ALLOWED) };
            return Err(Box::new(reply));
        }
        self.check_post(http, &caller, "")?;
        let message = Message::read(body, &self.settings.json);
        let called = message.as_ref().ok().and_then(name_in);
        let found = called.as_deref().and_then(|called| {
            let (server, name) = called.split_once(JOINT).filter(|(_, name)| !name.is_empty())?;
            Some((Arc::clone(self.servers.get(server)?), name.to_owned()))
        });
        let entered = match &found {
            Some((server, _)) => Entered {
                server: Arc::clone(server),
                caller,
                prefix: Some(format!("{}{JOINT}", server.name)),
            },
            None => {
                let Some(any) = self.servers.values().next() else {
                    let reason = Reason::ServerUnknown;
                    let refused = invalid(StatusCode::NOT_FOUND, reason.message());
                    return Err(self.turn_away(Some(&caller), "", &refused, reason));
                };
                // Any will do: none is asked.
                Entered { server: Arc::clone(any), caller, prefix: Some(String::new()) }
            }
        };
        let mut request = self.receive(&entered, &http.headers, message)?;
        match (called, found) {
            (Some(_), Some((_, name))) => {
                request.params.set("name", name);
                Ok(Asked::One(request))
            }
            (Some(called), None) => {
                if treatment(&request.method, true) == Treatment::Decide(Call::PromptsGet) {
                    request.subject = Some(Subject::Prompt(called.clone()));
                }
                Err(Box::new(self.no_such(&request, &called)))
            }
            (None, _) => Ok(Asked::All(request)),
        }
    }

    fn no_such(&self, request: &Request, called: &str) -> Reply {
        let bundle = self.bundle.load().digest();
        let mut record = self.blank_record(request, called, bundle);
        record.decision = Decision::deny(Reason::ToolUnknown, bundle);
        self.refuse(request, record, None, true)
    }

    async fn serve_all(self: &Arc<Self>, request: Request) -> Reply {
        match treatment(&request.method, request.is_modern()) {
            Treatment::FilterTools => self.all_tools(&request).await,
            Treatment::FilterEntries(List::Prompts) => self.all_prompts(&request).await,
            Treatment::FilterEntries(list) => listed(&request, list.member(), Vec::new()),
            Treatment::Accept
            | Treatment::Discover
            | Treatment::Initialize
            | Treatment::Pong
            | Treatment::SetLogLevel => self.serve(request, None).await,
            nameless if is_of_one_server(nameless) => {
                self.refuse_params(&request, "`name` must be a string".to_owned())
            }
            Treatment::Decide(_) | Treatment::Listen | Treatment::Refuse => {
                self.refuse_method(&request)
            }
        }
    }

    /// What can be had of each server. One that cannot be asked hides nothing of the others, nor holds them up.
    async fn all_tools(&self, request: &Request) -> Reply {
        let of_each = self.each(request).map(async |one| {
            let tools = Box::pin(in_time(&one, self.tools_shown(&one))).await;
            let definitions = tools.iter().flatten().map(|tool| &tool.definition.definition);
            definitions.filter_map(|definition| renamed(&one, definition)).collect::<Vec<_>>()
        });
        listed(request, "tools", join_all(of_each).await.concat())
    }

    async fn all_prompts(&self, request: &Request) -> Reply {
        let of_each = self.each(request).map(async |one| {
            let prompts = Box::pin(in_time(&one, self.entries(&one, List::Prompts))).await;
            let named = prompts.iter().flatten().filter_map(|prompt| renamed(&one, prompt));
            named.collect::<Vec<_>>()
        });
        listed(request, List::Prompts.member(), join_all(of_each).await.concat())
    }

    /// The request as each server would have it.
    fn each(&self, request: &Request) -> impl Iterator<Item = Request> {
        self.servers.values().map(|server| {
            let caller = Arc::clone(&request.caller);
            let one = Request::unasked(Arc::clone(server), caller, request.era);
            Request { prefix: Some(format!("{}{JOINT}", server.name)), ..one }
        })
    }
}

/// What one server has, if it can be had soon.
async fn in_time<T>(
    one: &Request,
    asked: impl Future<Output = Result<Vec<T>, UpstreamError>>,
) -> Option<Vec<T>> {
    match timeout(EACH_WITHIN, asked).await {
        Ok(Ok(entries)) => Some(entries),
        Ok(Err(error)) => {
            tracing::warn!(server = one.place(), %error, "not listed under the roof");
            None
        }
        Err(_elapsed) => {
            tracing::warn!(server = one.place(), "not listed under the roof: it takes too long");
            None
        }
    }
}

/// The name that says which server is meant.
fn name_in(message: &Message) -> Option<String> {
    let Message::Request(request) = message else { return None };
    let has_name = is_of_one_server(treatment(&request.method, true));
    let name = request.params.get("name").filter(|_| has_name)?;
    name.as_str().map(str::to_owned)
}

/// Whether the name of a server stands in what is asked.
fn is_of_one_server(treatment: Treatment) -> bool {
    matches!(treatment, Treatment::Decide(Call::PromptsGet | Call::ToolsCall))
}

/// A definition under the name that it has under the roof, if that is not too long for one.
fn renamed(request: &Request, definition: &Json) -> Option<Json> {
    let mut definition: Object = definition.as_object()?.clone();
    let name = request.as_called(definition.get("name")?.as_str()?);
    if name.len() > TOOL_NAME_BYTES_MAX {
        tracing::warn!(name, "too long a name under the roof: not listed");
        return None;
    }
    definition.set("name", name);
    Some(definition.into())
}
