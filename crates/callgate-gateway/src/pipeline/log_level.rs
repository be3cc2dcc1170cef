//! What a client of the legacy era wants to hear of a server's log: said once for its session, used for its calls. The
//! modern era says it with each request.

use callgate_mcp::http::StatusCode;
use callgate_mcp::log_level::LogLevel;
use callgate_mcp::reply;
use callgate_model::json::Object;

use super::{Gateway, Reply, Request};

impl Gateway {
    /// Answers `logging/setLevel`. Nothing is sent to the server before a call needs it.
    pub(super) fn set_log_level(&self, request: &Request) -> Reply {
        let Some(level) = level_in(&request.params) else {
            return self.refuse_params(request, "`level` must be a level of a log message".into());
        };
        if let Some(session) = &request.session {
            self.sessions.set_log_level(session, request.caller.key, level);
        }
        Reply::json(StatusCode::OK, reply::result(&request.id, Object::default()))
    }
}

/// The level that the parameters of `logging/setLevel` name.
pub(super) fn level_in(params: &Object) -> Option<LogLevel> {
    params.get("level").and_then(LogLevel::from_json)
}
