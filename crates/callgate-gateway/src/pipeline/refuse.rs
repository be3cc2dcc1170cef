//! Refusals of what is no call, or none that can be decided: recorded, and said in the words of the wire.

use std::sync::Arc;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::http::StatusCode;
use callgate_mcp::inbound::Refused;
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use callgate_model::authority::Under;
use callgate_model::decision::Decision;
use callgate_model::evidence::{Decided, Event};
use callgate_model::json::Json;
use callgate_model::reason::Reason;

use super::{Gateway, Reply, Request};
use crate::answer;
use crate::evidence::enqueue;
use crate::identity::Identified;
use crate::spans::Failure;

impl Gateway {
    /// Records a refusal. If even that cannot be recorded, it stays a refusal.
    pub(crate) fn record_refusal(&self, record: Decided) {
        self.metrics.decided(&record);
        if let Err(error) = enqueue(&self.evidence, Event::Decided(Arc::new(record))) {
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }

    /// Records a refusal and answers it; with what a client can ask its user for, if that is what lacks.
    pub(super) fn refuse(
        &self,
        request: &Request,
        record: Decided,
        detail: Option<&str>,
        hidden: bool,
    ) -> Reply {
        let challenge = self.scopes_wanted(request, &record).filter(|_| !hidden);
        let answer = self.refusal(request, record, detail, hidden);
        let Some(challenge) = challenge else { return Reply::json(StatusCode::OK, answer) };
        let mut reply = Reply::json(StatusCode::FORBIDDEN, answer);
        reply.headers.push(("www-authenticate", challenge));
        reply
    }

    /// Records a refusal and says it.
    pub(super) fn refusal(
        &self,
        request: &Request,
        record: Decided,
        detail: Option<&str>,
        hidden: bool,
    ) -> Bytes {
        let (era, id, subject) = (request.era, &request.id, request.subject.as_ref());
        request.decided(&record);
        let answer = if hidden {
            request.ends(Failure::Rpc(answer::unknown_code(era, subject)));
            answer::unknown(era, id, subject, &request.as_called(&record.tool))
        } else {
            request.ends_refused();
            answer::refused(era, id, subject, &record, (detail, self.approval_page(&record)))
        };
        self.record_refusal(record);
        answer
    }

    /// Refuses and records what never became a request.
    pub(super) fn turn_away(
        &self,
        caller: Option<&Arc<Identified>>,
        server: &str,
        refused: &Refused,
        reason: Reason,
    ) -> Box<Reply> {
        self.record_refusal(Decided {
            call: self.ambient.id(),
            caller: caller.map(|caller| Arc::clone(&caller.record)),
            continues: None,
            resolves: None,
            client_says: None,
            why: None,
            method: String::new(),
            server: server.chars().take(64).collect(),
            tool: String::new(),
            understood: None,
            arguments_digest: None,
            hashes: Vec::new(),
            arguments: Json::from(refused.message.chars().take(200).collect::<String>()),
            responses_digest: None,
            under: Under::default(),
            decision: Decision::deny(reason, self.bundle.load().digest()),
            decided_in_us: 0,
            notices: Vec::new(),
            budgets: Vec::new(),
            trace: None,
        });
        Box::new(Reply::json(refused.status, refusal_body(None, refused)))
    }

    /// Refuses and records a request that contradicts itself on the wire.
    pub(super) fn refuse_wire(
        &self,
        request: &Request,
        mut record: Decided,
        refused: &Refused,
        reason: Reason,
    ) -> Reply {
        record.decision = Decision::deny(reason, record.decision.bundle);
        request.decided(&record);
        request.ends(Failure::Rpc(refused.code));
        self.record_refusal(record);
        let body = refusal_body(Some(&request.id), refused);
        Reply::json(refused.status, body)
    }

    /// Refuses and records parameters that are not those of one call.
    pub(super) fn refuse_params(&self, request: &Request, message: String) -> Reply {
        let record = self.blank_record(request, "", self.bundle.load().digest());
        self.refuse_invalid(request, record, message)
    }

    /// Refuses and records a call whose parameters were read, but are not good.
    pub(super) fn refuse_invalid(
        &self,
        request: &Request,
        record: Decided,
        message: String,
    ) -> Reply {
        let modern = request.is_modern();
        let status = if modern { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        let refused = Refused { status, code: code::INVALID_PARAMS, message, data: None };
        self.refuse_wire(request, record, &refused, Reason::RequestMalformed)
    }

    /// Refuses and records a method that is not served. Clients of the legacy era break on an HTTP error.
    pub(super) fn refuse_method(&self, request: &Request) -> Reply {
        let bundle = self.bundle.load().digest();
        let mut record = self.blank_record(request, "", bundle);
        record.decision = Decision::deny(Reason::MethodUnsupported, bundle);
        request.decided(&record);
        request.ends(Failure::Rpc(code::METHOD_NOT_FOUND));
        self.record_refusal(record);
        let status = if request.is_modern() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let text = Reason::MethodUnsupported.message();
        Reply::json(status, reply::error(Some(&request.id), code::METHOD_NOT_FOUND, text, None))
    }
}

pub(super) fn refusal_body(id: Option<&RequestId>, refused: &Refused) -> Bytes {
    reply::error(id, refused.code, &refused.message, refused.data.clone())
}
