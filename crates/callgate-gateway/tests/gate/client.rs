//! What a client sends and what it is told, in either protocol era.

use std::sync::Arc;

use bytes::Bytes;
use callgate_gateway::answer;
use callgate_gateway::pipeline::{Gateway, Reply, ReplyBody};
use callgate_model::json::{Json, Object};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};

use crate::support::{World, json};

/// One request of a client, to be changed before it is sent.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) token: String,
    pub(crate) server: &'static str,
    pub(crate) method: String,
    /// The parameters as text, without `_meta`.
    pub(crate) params: String,
    /// The session, if the client is of the legacy era.
    pub(crate) session: Option<String>,
    /// Under which progress is wanted.
    pub(crate) progress: Option<&'static str>,
    /// From which level on log messages are wanted, by a client of the modern era.
    pub(crate) log_level: Option<&'static str>,
    /// What a client of the modern era declares.
    pub(crate) declares: &'static str,
}

impl Ask {
    pub(crate) fn new(token: &str, method: &str, params: &str) -> Self {
        Self {
            token: token.to_owned(),
            server: "atlassian",
            method: method.to_owned(),
            params: params.to_owned(),
            session: None,
            progress: None,
            log_level: None,
            declares: "{}",
        }
    }

    /// A `tools/call`.
    pub(crate) fn call(token: &str, tool: &str, arguments: &str) -> Self {
        let name = Json::from(tool).to_text();
        let params = format!(r#"{{"name":{name},"arguments":{arguments}}}"#);
        Self::new(token, "tools/call", &params)
    }

    /// A `resources/read`.
    pub(crate) fn read(token: &str, uri: &str) -> Self {
        Self::new(token, "resources/read", &format!(r#"{{"uri":{}}}"#, Json::from(uri).to_text()))
    }

    /// A `prompts/get`.
    pub(crate) fn get(token: &str, name: &str, arguments: &str) -> Self {
        let name = Json::from(name).to_text();
        Self::new(token, "prompts/get", &format!(r#"{{"name":{name},"arguments":{arguments}}}"#))
    }

    pub(crate) fn at(self, server: &'static str) -> Self {
        Self { server, ..self }
    }

    pub(crate) fn in_session(self, session: &str) -> Self {
        Self { session: Some(session.to_owned()), ..self }
    }

    pub(crate) fn wanting_progress(self, token: &'static str) -> Self {
        Self { progress: Some(token), ..self }
    }

    pub(crate) fn wanting_logs(self, level: &'static str) -> Self {
        Self { log_level: Some(level), ..self }
    }

    pub(crate) fn declaring(self, declares: &'static str) -> Self {
        Self { declares, ..self }
    }

    fn is_modern(&self) -> bool {
        self.session.is_none() && self.method != "initialize"
    }

    /// The bytes of the message. The arguments are passed as they were written.
    pub(crate) fn body(&self) -> Bytes {
        let mut meta = Object::default();
        if self.is_modern() {
            meta.set("io.modelcontextprotocol/protocolVersion", "2026-07-28");
            meta.set("io.modelcontextprotocol/clientCapabilities", json(self.declares));
        }
        if let Some(token) = self.progress {
            meta.set("progressToken", token);
        }
        if let Some(level) = self.log_level {
            meta.set("io.modelcontextprotocol/logLevel", level);
        }
        let meta = meta.to_text();
        let open = self.params.strip_suffix('}').unwrap();
        let comma = if open == "{" { "" } else { "," };
        let method = &self.method;
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{open}{comma}"_meta":{meta}}}}}"#
        )
        .into()
    }

    pub(crate) fn head(&self) -> Parts {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/mcp/atlassian")
            .header("host", "gate.test")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if self.is_modern() {
            request = request
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", &self.method);
            let member = match self.method.as_str() {
                "tools/call" | "prompts/get" => "name",
                "resources/read" => "uri",
                "tasks/cancel" | "tasks/get" | "tasks/update" => "taskId",
                _ => "",
            };
            if let Some(name) = json(&self.params).get(member).and_then(Json::as_str) {
                request = request.header("mcp-name", name);
            }
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        request.body(()).unwrap().into_parts().0
    }

    pub(crate) async fn reply(&self, gateway: &Arc<Gateway>) -> Reply {
        Box::pin(gateway.handle(&self.head(), self.server, self.body())).await
    }
}

/// What the client is told.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The messages, one unless it was a stream.
    pub(crate) messages: Vec<String>,
}

impl Said {
    pub(crate) async fn of(reply: Reply) -> Self {
        let headers = reply.headers.into_iter();
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value)).collect();
        let mut messages = Vec::new();
        match reply.body {
            ReplyBody::Empty => {}
            ReplyBody::Whole(body) => messages.push(String::from_utf8(body.into()).unwrap()),
            ReplyBody::Listening(mut events) | ReplyBody::Stream(mut events) => {
                while let Some(event) = events.recv().await {
                    messages.push(String::from_utf8(event.into()).unwrap());
                }
            }
        }
        Self { status: reply.status, headers, messages }
    }

    /// The text of the answer.
    pub(crate) fn text(&self) -> &str {
        self.messages.last().map_or("", String::as_str)
    }

    pub(crate) fn answer(&self) -> Json {
        json(self.text())
    }

    /// `ok`, `tool_error`, `error CODE`, or the decision with its reasons or its outcome; of what is no tool, `refused`
    /// before it.
    pub(crate) fn brief(&self) -> String {
        if self.messages.is_empty() {
            return format!("http {}", self.status.as_u16());
        }
        let said = self.answer();
        if let Some(error) = said.get("error") {
            let data = error.get("data");
            if let Some(decision) = data.and_then(|data| data.get(answer::DECISION_KEY)) {
                assert_eq!(error.get("code"), Some(&answer::REFUSED.into()), "{said:?}");
                assert_eq!(self.status, StatusCode::OK);
                return format!("refused {}", brief_decision(decision));
            }
            return format!("error {}", error.get("code").unwrap().to_text());
        }
        let result = said.get("result").unwrap();
        let decision = result.get("_meta").and_then(|meta| meta.get(answer::DECISION_KEY));
        let failed = result.get("isError") == Some(&Json::Bool(true));
        match decision {
            None if failed => "tool_error".to_owned(),
            None => "ok".to_owned(),
            Some(decision) => {
                assert!(failed, "a decision is only told of calls that did not succeed: {said:?}");
                brief_decision(decision)
            }
        }
    }

    /// The names of the tools in a list.
    pub(crate) fn tools(&self) -> Vec<String> {
        let answer = self.answer();
        let tools = answer.get("result").and_then(|result| result.get("tools")).cloned();
        let tools = tools.unwrap_or_else(|| panic!("{answer:?}"));
        let name = |tool: &Json| tool.get("name").and_then(Json::as_str).unwrap().to_owned();
        tools.as_array().unwrap().iter().map(name).collect()
    }
}

fn brief_decision(decision: &Json) -> String {
    let text = |value: &Json, name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
    let verdict = text(decision, "decision").unwrap();
    if let Some(outcome) = text(decision, "outcome") {
        return format!("{verdict} {outcome}");
    }
    let reasons = decision.get("reasons").and_then(Json::as_array).unwrap();
    let codes: Vec<String> = reasons.iter().map(|reason| text(reason, "code").unwrap()).collect();
    format!("{verdict} {}", codes.join("+"))
}

impl World {
    pub(crate) async fn ask(&self, ask: &Ask) -> Said {
        Said::of(ask.reply(&self.gateway).await).await
    }

    /// Sends other bytes under the headers of `ask`.
    pub(crate) async fn raw(&self, ask: &Ask, body: Bytes) -> Said {
        Said::of(Box::pin(self.gateway.handle(&ask.head(), ask.server, body)).await).await
    }

    /// A modern client's call.
    pub(crate) async fn call(&self, token: &str, tool: &str, arguments: &str) -> Said {
        self.ask(&Ask::call(token, tool, arguments)).await
    }

    /// A modern client's list.
    pub(crate) async fn list(&self, token: &str) -> Said {
        self.ask(&Ask::new(token, "tools/list", "{}")).await
    }

    /// A session of the legacy era.
    pub(crate) async fn session(&self, token: &str) -> String {
        let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"old","version":"1"}}"#;
        let said = self.ask(&Ask::new(token, "initialize", params)).await;
        said.headers.get("mcp-session-id").unwrap().to_str().unwrap().to_owned()
    }
}

/// The arguments of `getJiraIssue`.
pub(crate) fn issue(key: &str) -> String {
    format!(r#"{{"cloudId":"{}","issueIdOrKey":"{key}"}}"#, crate::support::CLOUD)
}

/// The arguments of `editJiraIssue`.
pub(crate) fn edit(key: &str, summary: &str) -> String {
    let cloud = crate::support::CLOUD;
    format!(r#"{{"cloudId":"{cloud}","issueIdOrKey":"{key}","fields":{{"summary":"{summary}"}}}}"#)
}

/// The arguments of `executeDestructive` for a deletion.
pub(crate) fn delete(key: &str) -> String {
    let cloud = crate::support::CLOUD;
    format!(
        r#"{{"name":"deleteJiraIssue","cloudId":"{cloud}","inputs":{{"issueIdOrKey":"{key}"}}}}"#
    )
}
