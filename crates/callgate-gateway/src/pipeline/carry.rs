//! After the decision: record the intent, forward, conclude, relay.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::http::{HeaderValue, StatusCode};
use callgate_mcp::message::RequestId;
use callgate_mcp::reply;
use callgate_mcp::upstream::{Answer, CallError, CallErrorKind, Meanwhile};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::{Concluded, Decided, Outcome};
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use callgate_model::vocabulary::Effect;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::rounds::Asked;
use super::{Gateway, Request};
use crate::answer;
use crate::cancel::{Cancellable, Registered};
use crate::evidence::{OpenError, OpenEvidence, Permit, open};
use crate::forward::{Way, forward, outcome_of};
use crate::name::NamedCall;
use crate::round::Opened;
use crate::tools::Tool;

/// Messages that may wait for a slow client; more progress than that is dropped.
const MESSAGES_WAITING_MAX: usize = 64;

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers beyond the content type.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// Its body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// None.
    Empty,
    /// Messages for as long as the client listens and the gateway serves. In the modern era the last one is the answer.
    Listening(mpsc::Receiver<Bytes>),
    /// Messages, the last of which is the answer.
    Stream(mpsc::Receiver<Bytes>),
    /// One message.
    Whole(Bytes),
}

impl Reply {
    pub(super) const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Empty }
    }

    pub(super) const fn json(status: StatusCode, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Whole(body) }
    }
}

/// What the running call tells the one who waits for it.
enum Told {
    Meanwhile(Meanwhile),
    /// The status is that of an answer which comes first: a stream has begun with another.
    Last(StatusCode, Bytes),
}

/// A call on its way.
struct Running {
    request: Request,
    evidence: OpenEvidence,
    call: String,
    decided: Arc<Decided>,
    method: Method,
    effect: Effect,
    way: Way,
    opened: Opened,
    /// By which a client of the legacy era cancels it.
    registered: Option<Registered>,
    /// Given back when the outcome is recorded: a client that does not read its answer holds no room.
    slot: OwnedSemaphorePermit,
}

impl Gateway {
    /// Makes an allowed call and answers its client.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        request: Request,
        named: NamedCall,
        tool: Option<Arc<Tool>>,
        asked: Asked,
        mut record: Decided,
    ) -> Reply {
        let Ok(slot) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            record.decision = Decision::deny(Reason::Overloaded, record.decision.bundle);
            return self.refuse(&request, record, None, false);
        };
        let decided = Arc::new(record);
        let (method, effect) = (named.call.method, named.call.operation.effect);
        let (permit, evidence) = match open(&self.evidence, Arc::clone(&decided), named.call).await
        {
            Ok(opened) => opened,
            Err(OpenError::NotAllowed | OpenError::Evidence(_)) => {
                let bundle = decided.decision.bundle;
                let decision = Decision::deny(Reason::EvidenceUnavailable, bundle);
                let record = Decided { decision, ..Arc::unwrap_or_clone(decided) };
                return self.refuse(&request, record, None, false);
            }
        };
        self.metrics.decided(&decided);
        let running = Running {
            call: decided.call.to_string(),
            decided,
            method,
            effect,
            way: Way {
                key: request.server.session_key(&request.caller, request.session.as_deref()),
                trace: request.trace.clone(),
                progress: request.progress_token.is_some(),
                log_level: request.log_level,
                tool,
                capabilities: asked.capabilities,
                round: asked.round,
            },
            opened: asked.opened,
            registered: self.register(&request),
            request,
            evidence,
            slot,
        };
        let (tell, told) = mpsc::channel(MESSAGES_WAITING_MAX);
        let token = running.request.progress_token.clone();
        let id = running.request.id.clone();
        let gateway = Arc::clone(self);
        // A task of its own: in the legacy era a client that goes away has not cancelled, and in any era the outcome
        // has to be recorded.
        tokio::spawn(async move { gateway.run(running, permit, tell).await });
        answer_with(told, &id, token).await
    }

    /// Makes a call of a session cancellable by name, if it is the only one of that name on its way.
    fn register(&self, request: &Request) -> Option<Registered> {
        let session = request.session.clone().filter(|_| !request.cancels_by_leaving)?;
        let (caller, id) = (request.caller.key, request.id.clone());
        self.cancels.register(Cancellable { caller, session, id })
    }

    async fn run(&self, mut running: Running, permit: Permit, tell: mpsc::Sender<Told>) {
        let begun = Instant::now();
        let Some(answered) = running.exchange(permit, &tell).await.map(|a| running.fit(a)) else {
            let call = running.call.clone();
            self.metrics.concluded(&running.request.server.name, &call, Outcome::Cancelled, 0);
            let concluded = concluded(&running, Outcome::Cancelled, None, None);
            if let Err(error) = running.evidence.conclude(concluded).await {
                tracing::error!(call, %error, "an outcome could not be recorded");
            }
            return;
        };
        let upstream_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = outcome_of(&answered, running.effect);
        let concluded = Concluded {
            detail: answered.as_ref().err().map(CallError::to_string),
            result: result_of(&answered),
            ..concluded(&running, outcome, Some(upstream_us), None)
        };
        let last = self.answer_of(&running, answered, outcome);
        let Running { request, evidence, call, slot, .. } = running;
        self.metrics.concluded(&request.server.name, &call, outcome, upstream_us);
        let last = match evidence.conclude(concluded).await {
            Ok(()) => last,
            Err(error) => {
                tracing::error!(call, %error, "an outcome could not be recorded");
                Told::Last(StatusCode::OK, answer::unrecorded(&request.id, &call))
            }
        };
        drop(slot);
        // A client that has gone does not hear it; the record has it.
        tell.send(last).await.ok();
    }
}

impl Gateway {
    fn answer_of(
        &self,
        running: &Running,
        answered: Result<Answer, CallError>,
        outcome: Outcome,
    ) -> Told {
        let (era, id) = (running.request.era, &running.request.id);
        let body = match answered {
            Ok(Answer::Result { result, .. }) => answer::relayed(era, id, running.method, result),
            Ok(Answer::InputRequired(required)) => {
                let (request, decided) = (&running.request, &running.decided);
                match self.seal_round(request, decided, &running.opened, required) {
                    Some(required) => reply::result(id, required.into_result()),
                    None => {
                        let text = "what the server needs cannot be sealed";
                        reply::error(Some(id), code::INTERNAL_ERROR, text, None)
                    }
                }
            }
            Ok(Answer::RpcError { code, message, data }) => {
                let body = answer::relayed_error(era, id, code, &message, data);
                return Told::Last(running.status_of_error(code), body);
            }
            Err(error) => {
                let subject = running.request.subject.as_ref();
                answer::failed(era, id, subject, &running.call, outcome, &error.to_string())
            }
        };
        Told::Last(StatusCode::OK, body)
    }
}

impl Running {
    /// The server's answer; `None` if the client cancelled by going away.
    async fn exchange(
        &mut self,
        permit: Permit,
        tell: &mpsc::Sender<Told>,
    ) -> Option<Result<Answer, CallError>> {
        let cancellable = self.request.cancels_by_leaving;
        let registered = self.registered.as_ref();
        let cancelled = async {
            match registered {
                Some(registered) => registered.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let on_told = |told| {
            // Progress and log messages may be lost; the answer may not.
            tell.try_send(Told::Meanwhile(told)).ok();
        };
        let answer = forward(permit, &mut self.evidence, &self.request.server, &self.way, on_told);
        tokio::select! {
            answer = answer => Some(answer),
            () = tell.closed(), if cancellable => None,
            () = cancelled => None,
        }
    }

    /// A client of the legacy era cannot be asked in this way, and would take the question for an empty success.
    fn fit(&self, answered: Result<Answer, CallError>) -> Result<Answer, CallError> {
        match answered {
            Ok(Answer::InputRequired(_)) if !self.request.is_modern() => {
                let text = "it needs input, which the client cannot give".to_owned();
                Err(CallError { sent: true, kind: CallErrorKind::NotMcp(text) })
            }
            answered => answered,
        }
    }

    /// The one error that only the server can know of and that has a status of its own.
    fn status_of_error(&self, code: i64) -> StatusCode {
        if code == code::MISSING_CAPABILITY && self.request.is_modern() {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        }
    }
}

fn concluded(
    running: &Running,
    outcome: Outcome,
    upstream_us: Option<u64>,
    detail: Option<String>,
) -> Concluded {
    Concluded { call: running.evidence.id(), outcome, upstream_us, result: None, detail }
}

fn result_of(answered: &Result<Answer, CallError>) -> Option<(Digest, u64)> {
    match answered {
        Ok(Answer::Result { result, .. }) => {
            let text = result.to_text();
            Some((Digest::of(text.as_bytes()), u64::try_from(text.len()).unwrap_or(u64::MAX)))
        }
        Ok(Answer::InputRequired(_) | Answer::RpcError { .. }) | Err(_) => None,
    }
}

/// One document if the answer comes first; a stream if anything else does.
async fn answer_with(mut told: mpsc::Receiver<Told>, id: &RequestId, token: Option<Json>) -> Reply {
    match told.recv().await {
        Some(Told::Last(status, answer)) => Reply::json(status, answer),
        Some(Told::Meanwhile(first)) => {
            let (events, body) = mpsc::channel(MESSAGES_WAITING_MAX);
            tokio::spawn(stream(first, told, token, events));
            Reply { status: StatusCode::OK, headers: Vec::new(), body: ReplyBody::Stream(body) }
        }
        None => {
            let text = "the call was abandoned; see the evidence";
            let body = reply::error(Some(id), code::INTERNAL_ERROR, text, None);
            Reply::json(StatusCode::OK, body)
        }
    }
}

async fn stream(
    first: Meanwhile,
    mut told: mpsc::Receiver<Told>,
    token: Option<Json>,
    events: mpsc::Sender<Bytes>,
) {
    let mut next = Some(Told::Meanwhile(first));
    while let Some(message) = next {
        let (text, last) = match message {
            Told::Meanwhile(Meanwhile::Log(params)) => (reply::log(params), false),
            Told::Meanwhile(Meanwhile::Progress(params)) => {
                (progress(params, token.as_ref()), false)
            }
            Told::Last(_, answer) => (answer, true),
        };
        if events.send(text).await.is_err() || last {
            return;
        }
        // The client may go away between two messages: the running call has to learn of it.
        next = tokio::select! {
            message = told.recv() => message,
            () = events.closed() => return,
        };
    }
}

/// Progress under the client's own token.
fn progress(params: Object, token: Option<&Json>) -> Bytes {
    reply::progress(token.unwrap_or(&Json::Null), params)
}
