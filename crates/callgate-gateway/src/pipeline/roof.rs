//! All servers under one roof, for clients that want one entry. A tool or a prompt is called `SERVER__NAME`; from there on
//! it is that server's, decided by the same policy, and recorded as if it had been called there. A resource is `SERVER+URI`.

mod called;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callgate_mcp::http::request::Parts;
use callgate_mcp::http::{Method, StatusCode};
use callgate_mcp::message::Message;
use callgate_mcp::upstream::List;
use callgate_model::call::Method as Call;
use callgate_model::decision::Decision;
use callgate_model::reason::Reason;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::admit::{Entered, Entrance, Request, invalid, session_in};
use super::list::listed;
use super::why::with_why;
use super::{Gateway, Reply};
use crate::identity::Identified;
use crate::kept::ListError;
use crate::method::{Treatment, treatment};
use crate::server::Server;
use called::{Named, renamed, split_uri};

pub(super) use called::{called, called_uri, in_result};

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
        match self.admit_under_roof(http, &body).await {
            Ok(Asked::One(request)) => self.serve(request, Some(&http.headers)).await,
            Ok(Asked::All(request)) => self.serve_all(request).await,
            Err(reply) => *reply,
        }
    }

    async fn admit_under_roof(
        self: &Arc<Self>,
        http: &Parts,
        body: &[u8],
    ) -> Result<Asked, Box<Reply>> {
        let begun = Instant::now();
        let caller = self.who(http, "").await?;
        if http.method == Method::GET && session_in(&http.headers).is_some() {
            let entered = self.enter_roof(caller, begun)?;
            return Err(Box::new(self.listen_in_session(&http.headers, entered)?));
        }
        self.check_post(http, &caller, "")?;
        let message = Message::read(body, &self.settings.json);
        let named = message.as_ref().ok().and_then(Named::in_message);
        let found = named.as_ref().and_then(|named| {
            let (server, name) = named.split()?;
            Some((Arc::clone(self.servers.get(server)?), name.to_owned()))
        });
        let entered = match &found {
            Some((server, _)) => {
                let (server, entrance) = (Arc::clone(server), Entrance::UnderRoof);
                Entered { server, caller, entrance, begun }
            }
            None => self.enter_roof(caller, begun)?,
        };
        let mut request = self.receive(&entered, &http.headers, message)?;
        match (named, found) {
            (Some(named), Some((_, name))) => {
                named.replace(&mut request.params, &name);
                Ok(Asked::One(request))
            }
            (Some(named), None) => {
                request.subject = named.subject();
                Err(Box::new(self.no_such(&request, named.called())))
            }
            (None, _) => Ok(Asked::All(request)),
        }
    }

    /// Who comes for what is of no server.
    fn enter_roof(&self, caller: Arc<Identified>, begun: Instant) -> Result<Entered, Box<Reply>> {
        let Some(any) = self.servers.values().next() else {
            let reason = Reason::ServerUnknown;
            let refused = invalid(StatusCode::NOT_FOUND, reason.message());
            return Err(self.turn_away(Some(&caller), "", &refused, reason));
        };
        // Any will do: none is asked.
        Ok(Entered { server: Arc::clone(any), caller, entrance: Entrance::Roof, begun })
    }

    /// The server of a resource that is called so under the roof, and the URI that it has there.
    pub(super) fn of_uri(&self, called: &str) -> Option<(Arc<Server>, String)> {
        let (server, uri) = split_uri(called)?;
        Some((Arc::clone(self.servers.get(server)?), uri.to_owned()))
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
            Treatment::FilterEntries(list) => self.all_entries(&request, list).await,
            Treatment::Accept
            | Treatment::Discover
            | Treatment::Initialize
            | Treatment::Listen
            | Treatment::Pong
            | Treatment::SetLogLevel => self.serve(request, None).await,
            Treatment::Decide(Call::TasksCancel | Call::TasksGet | Call::TasksUpdate) => {
                self.serve(request, None).await
            }
            Treatment::Decide(_) | Treatment::Subscribe | Treatment::Unsubscribe => {
                let text = "it must name a tool, a prompt or a resource of one server";
                self.refuse_params(&request, text.to_owned())
            }
            Treatment::Refuse => self.refuse_method(&request),
        }
    }

    /// What can be had of each server. One that cannot be asked hides nothing of the others, nor holds them up.
    async fn all_tools(&self, request: &Request) -> Reply {
        let of_each = self.each(request).map(async |one| {
            let tools = Box::pin(in_time(&one, self.tools_shown(&one))).await;
            let bundle = self.bundle.load();
            let definitions = tools.iter().flatten().map(|tool| with_why(tool, &bundle));
            definitions.filter_map(|tool| renamed(&one, "name", &tool)).collect::<Vec<_>>()
        });
        listed(request, "tools", join_all(of_each).await.concat())
    }

    async fn all_entries(&self, request: &Request, list: List) -> Reply {
        let member = match list {
            List::Prompts => "name",
            List::Resources => "uri",
            List::Templates => "uriTemplate",
        };
        let of_each = self.each(request).map(async |one| {
            let entries = Box::pin(in_time(&one, self.entries(&one, list))).await;
            let named = entries.iter().flatten().filter_map(|entry| renamed(&one, member, entry));
            named.collect::<Vec<_>>()
        });
        listed(request, list.member(), join_all(of_each).await.concat())
    }

    /// The request as each server would have it.
    pub(super) fn each(&self, request: &Request) -> impl Iterator<Item = Request> {
        self.servers.values().map(|server| {
            let (server, entrance) = (Arc::clone(server), Entrance::UnderRoof);
            Request { server, entrance, ..request.aside() }
        })
    }
}

/// What one server has, if it can be had soon.
async fn in_time<T>(
    one: &Request,
    asked: impl Future<Output = Result<Vec<T>, ListError>>,
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
