//! After the decision: record the intent, forward, conclude, relay.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::extension;
use callgate_mcp::http::StatusCode;
use callgate_mcp::message::InputRequired;
use callgate_mcp::reply;
use callgate_mcp::upstream::{Answer, CallError, CallErrorKind, Meanwhile};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::{Concluded, Decided, Outcome};
use callgate_model::json::{Json, Number, Object};
use callgate_model::reason::Reason;
use callgate_model::vocabulary::Effect;
use callgate_store::EvidenceError;
use tokio::sync::{mpsc, oneshot};

use super::reply::{MESSAGES_WAITING_MAX, Reply, answer_with};
use super::rounds::Asked;
use super::{Gateway, Request, roof};
use crate::answer;
use crate::bulkhead::Slot;
use crate::cancel::Registered;
use crate::catalog::Listing;
use crate::evidence::{OpenError, OpenEvidence, Permit, open};
use crate::forward::{Way, forward, outcome_of, result_of};
use crate::limits::Limit;
use crate::name::NamedCall;
use crate::obligation::shown;
use crate::round::Opened;
use crate::session::InSession;
use crate::spans::Failure;
use crate::tools::Tool;

/// A call on its way.
pub(super) struct Running {
    pub(super) request: Request,
    /// The record of the round that is on its way.
    pub(super) decided: Arc<Decided>,
    method: Method,
    effect: Effect,
    pub(super) way: Way,
    pub(super) opened: Opened,
    /// What was allowed, to be decided again: if the server asks and the client answers in the meantime, or if it makes a
    /// task of it.
    pub(super) named: Option<Box<NamedCall>>,
    /// Whether the client can be asked while the call is on its way.
    can_be_asked: bool,
    /// How often it was made before.
    pub(super) rounds: usize,
    /// By which a client of the legacy era cancels it.
    registered: Option<Registered>,
    /// Given back when the outcome is recorded: a client that does not read its answer holds no room.
    _slot: Slot,
}

/// The answer. The status is that of one which comes first: a stream has begun with another.
pub(super) type Last = (StatusCode, Bytes);

/// A call may have been made that nobody can be told of.
type Opening = (Permit, OpenEvidence);

impl Gateway {
    /// Makes an allowed call and answers its client.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        mut request: Request,
        named: NamedCall,
        tool: Option<Arc<Tool>>,
        (asked, slot): (Asked, Slot),
        mut record: Decided,
    ) -> Reply {
        let Some(presented) = self.presented(&request, &mut record).await else {
            return self.refuse(&request, record, None, false);
        };
        if let Err(told) = Box::pin(self.count(&request, &named, &mut record)).await {
            return self.refuse(&request, record, Some(&told), false);
        }
        let (method, effect) = (named.call.method, named.call.operation.effect);
        let is_interactive = !request.is_modern();
        let can_be_asked = is_interactive && !asked.capabilities.is_empty();
        let mut capabilities = asked.capabilities;
        if !asked.extensions.is_empty() {
            capabilities.set(extension::MEMBER, asked.extensions);
        }
        let may_be_task = extension::is_declared(&capabilities, extension::TASKS);
        let kept = (can_be_asked || may_be_task).then(|| Box::new(named.clone()));
        let (decided, opened) = match self.open_call(&request, record, named).await {
            Ok(opened) => opened,
            Err(refusal) => return Reply::json(StatusCode::OK, refusal),
        };
        let in_session = if is_interactive { &capabilities } else { &Object::default() };
        let session = request.session.as_deref();
        let running = Running {
            decided,
            method,
            effect,
            way: Way {
                presented,
                key: request.server.session_key(&request.caller, session, in_session),
                trace: request.trace.clone(),
                span: request.span.as_ref().map(|span| span.part()),
                progress: request.progress_token.is_some(),
                log_level: request.log_level,
                tool,
                capabilities,
                is_interactive,
                round: asked.round,
            },
            opened: asked.opened,
            named: kept,
            can_be_asked,
            rounds: 0,
            registered: request.registered.take().or_else(|| self.register(&request)),
            request,
            _slot: slot,
        };
        let (say, said) = mpsc::channel(MESSAGES_WAITING_MAX);
        let (tell, last) = oneshot::channel();
        let id = running.request.id.clone();
        let gateway = Arc::clone(self);
        // A task of its own: in the legacy era a client that goes away has not cancelled, and in any era the outcome
        // has to be recorded.
        tokio::spawn(async move {
            if let Some((status, answer)) = gateway.run(running, opened, say).await {
                // A client that has gone does not hear it; the record has it.
                tell.send(Reply::json(status, answer)).ok();
            }
        });
        answer_with(said, last, &id).await
    }

    /// Records the intent; or gives the refusal, if it cannot be recorded.
    pub(super) async fn open_call(
        &self,
        request: &Request,
        mut record: Decided,
        named: NamedCall,
    ) -> Result<(Arc<Decided>, Opening), Bytes> {
        record.notices = self.notices_of_call(&record, named.call.method);
        let decided = Arc::new(record);
        match open(&self.evidence, Arc::clone(&decided), named.call).await {
            Ok(opened) => {
                request.decided(&decided);
                self.metrics.decided(&decided);
                Ok((decided, opened))
            }
            Err(error) => {
                let mut record = Arc::unwrap_or_clone(decided);
                record.notices = Vec::new();
                let takes = record.under.spends() || record.budgets.iter().any(|one| one.exact);
                let told = match error {
                    OpenError::Evidence(EvidenceError::Refused) if takes => {
                        Box::pin(self.is_lost(&mut record)).await
                    }
                    OpenError::Evidence(_) | OpenError::NotAllowed => {
                        self.is_beyond(&error);
                        let reason = Reason::EvidenceUnavailable;
                        record.decision = Decision::deny(reason, record.decision.bundle);
                        record.budgets = Vec::new();
                        None
                    }
                };
                Err(self.refusal(request, record, told.as_deref(), false))
            }
        }
    }

    /// Makes a call of a session cancellable by name, if it is the only one of that name on its way.
    pub(super) fn register(&self, request: &Request) -> Option<Registered> {
        let session = request.session.clone().filter(|_| !request.cancels_by_leaving)?;
        let (caller, id) = (request.caller.key, request.id.clone());
        self.cancels.register(InSession { caller, session, id })
    }

    /// Makes the call, in as many rounds as the server asks and the client answers meanwhile. `None` if it was cancelled.
    async fn run(
        self: &Arc<Self>,
        mut running: Running,
        mut opening: Opening,
        say: mpsc::Sender<Bytes>,
    ) -> Option<Last> {
        loop {
            let (permit, evidence) = opening;
            // Boxed, as what follows: each is large, and there is one of them at a time.
            let made = Box::pin(self.make(&mut running, permit, evidence, &say));
            let answered = made.await?;
            let required = match answered {
                Made::Required(required) => required,
                Made::Last(last) => return Some(last),
            };
            let next = Box::pin(self.next_round(&mut running, required, &say));
            opening = match next.await? {
                Ok(opening) => opening,
                Err(refusal) => return Some((StatusCode::OK, refusal)),
            };
        }
    }

    /// Makes one round of the call and records what came of it.
    async fn make(
        self: &Arc<Self>,
        running: &mut Running,
        permit: Permit,
        mut evidence: OpenEvidence,
        say: &mpsc::Sender<Bytes>,
    ) -> Option<Made> {
        let begun = Instant::now();
        let answered = self.exchange(running, permit, &mut evidence, say).await;
        let Some(answered) = answered.map(|answered| running.fit(answered)) else {
            running.request.ends(Failure::Cancelled);
            self.conclude(running, evidence, Outcome::Cancelled, None, None).await.ok();
            return None;
        };
        let upstream_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Asking how far a task is changes nothing.
        let is_poll = running.method == Method::TasksGet;
        let effect = if is_poll { Effect::Read } else { running.effect };
        let outcome = outcome_of(&answered, effect);
        let concluded =
            self.conclude(running, evidence, outcome, Some(upstream_us), Some(&answered));
        if concluded.await.is_err() {
            let call = running.decided.call.to_string();
            running.request.ends(Failure::Rpc(code::INTERNAL_ERROR));
            let answer = answer::unrecorded(&running.request.id, &call);
            return Some(Made::Last((StatusCode::OK, answer)));
        }
        match answered {
            Ok(Answer::InputRequired(required)) if running.may_be_asked() => {
                Some(Made::Required(required))
            }
            answered => Some(Made::Last(self.answer_of(running, answered, outcome))),
        }
    }

    async fn conclude(
        &self,
        running: &Running,
        evidence: OpenEvidence,
        outcome: Outcome,
        upstream_us: Option<u64>,
        answered: Option<&Result<Answer, CallError>>,
    ) -> Result<(), EvidenceError> {
        let call = evidence.id();
        let detail = answered.and_then(|answered| Some(answered.as_ref().err()?.to_string()));
        let result = answered.and_then(result_of);
        let concluded = Concluded { call, outcome, upstream_us, result, detail };
        let server = &running.request.server;
        let moves = running.effect != Effect::Read
            && running.decided.understood.as_ref().is_none_or(|known| known.targets.len() != 1);
        if moves {
            // One of several things may be in another now.
            server.finds.forget();
        }
        let us = upstream_us.unwrap_or_default();
        self.metrics.concluded(&server.name, &call.to_string(), outcome, us);
        match answered {
            Some(Err(CallError { kind: CallErrorKind::Timeout, .. })) => {
                self.metrics.limited(Limit::UpstreamTime);
            }
            Some(Err(CallError { kind: CallErrorKind::TooLarge, .. })) => {
                self.metrics.limited(Limit::UpstreamBytes);
            }
            Some(_) | None => {}
        }
        evidence.conclude(concluded).await.inspect_err(|error| {
            tracing::error!(%call, %error, "an outcome could not be recorded");
        })
    }

    /// The server's answer; `None` if the client cancelled.
    async fn exchange(
        self: &Arc<Self>,
        running: &Running,
        permit: Permit,
        evidence: &mut OpenEvidence,
        say: &mpsc::Sender<Bytes>,
    ) -> Option<Result<Answer, CallError>> {
        let party = running.may_be_asked().then(|| Arc::new(running.party()));
        let redacts = !running.decided.decision.obligations().redact.is_empty();
        let on_told = |told| {
            let message = match told {
                // It could say anything.
                Meanwhile::Log(_) if redacts => return,
                Meanwhile::Log(params) => reply::log(params),
                Meanwhile::Progress(mut params) => {
                    if redacts {
                        params.remove("message");
                    }
                    match progress(params, &running.request) {
                        Some(message) => message,
                        None => return,
                    }
                }
                Meanwhile::Question(question) => {
                    if let Some(party) = &party {
                        let asking = Arc::clone(self).put(Arc::clone(party), question, say.clone());
                        tokio::spawn(asking);
                    }
                    return;
                }
            };
            // Progress and log messages may be lost; the answer may not.
            say.try_send(message).ok();
        };
        let (server, way) = (&running.request.server, &running.way);
        let voucher = self.voucher(&running.request, running.decided.decision.bundle);
        let answer = forward(permit, evidence, server, way, voucher, on_told);
        running.unless_cancelled(say, answer).await
    }

    fn answer_of(
        &self,
        running: &Running,
        answered: Result<Answer, CallError>,
        outcome: Outcome,
    ) -> Last {
        let (era, id) = (running.request.era, &running.request.id);
        let obligations = running.decided.decision.obligations();
        running.request.ends(Failure::of(&answered));
        let answered = match answered.map(|answer| shown(obligations, answer)) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => return (StatusCode::OK, running.withheld(outcome, why)),
            Err(error) => Err(error),
        };
        let body = match answered {
            // There is nothing in it but that it was taken.
            Ok(Answer::Result { .. })
                if matches!(running.method, Method::TasksCancel | Method::TasksUpdate) =>
            {
                answer::finish(era, id, Object::default())
            }
            Ok(Answer::Result { mut result, is_error, .. }) => {
                if let Some(listing) = running.listing().filter(|_| !is_error) {
                    result = self.only_usable(&running.request, listing, &result);
                }
                roof::in_result(&running.request, running.method, &mut result);
                answer::relayed(era, id, running.method, result)
            }
            Ok(Answer::InputRequired(required)) => {
                let (request, decided) = (&running.request, &running.decided);
                match self.seal_round(request, decided, &running.opened, required) {
                    Some(required) => reply::result(id, required.into_result()),
                    None => {
                        let text = "what the server needs cannot be sealed";
                        request.ends(Failure::Rpc(code::INTERNAL_ERROR));
                        reply::error(Some(id), code::INTERNAL_ERROR, text, None)
                    }
                }
            }
            Ok(Answer::Task(task)) => {
                let task = self.task_for_client(running, task);
                // In place of an answer it is none that is complete.
                if running.method == Method::ToolsCall {
                    reply::result(id, task)
                } else {
                    answer::finish(era, id, task)
                }
            }
            Ok(Answer::RpcError { code: code::URL_ELICITATION_REQUIRED, .. })
                if !running.may_be_shown_pages() =>
            {
                let text = "it needs a person to open a page, which this client may not be asked";
                running.failed(outcome, text)
            }
            Ok(Answer::RpcError { code, message, data }) => {
                let body = answer::relayed_error(era, id, code, &message, data);
                return (running.status_of_error(code), body);
            }
            Err(error) => running.failed(outcome, &error.to_string()),
        };
        (StatusCode::OK, body)
    }
}

/// What one round gave.
enum Made {
    Last(Last),
    /// The server needs this from the client, which can be asked.
    Required(InputRequired),
}

impl Running {
    /// `work`, unless the client cancels the call meanwhile.
    pub(super) async fn unless_cancelled<T>(
        &self,
        say: &mpsc::Sender<Bytes>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.cancelled(say) => None,
        }
    }

    /// Whether its client may be asked. What is redacted could be in a question.
    fn may_be_asked(&self) -> bool {
        self.can_be_asked && self.decided.decision.obligations().redact.is_empty()
    }

    /// Ready when the client cancels the call.
    pub(super) async fn cancelled(&self, say: &mpsc::Sender<Bytes>) {
        given_up(self.registered.as_ref(), say, self.request.cancels_by_leaving).await;
    }

    /// Where its answer lists tools, if it does.
    fn listing(&self) -> Option<&Listing> {
        let tool = &self.way.tool.as_ref()?.definition.name;
        self.request.server.catalog.rule(tool)?.lists.as_ref()
    }

    /// A client of the legacy era takes what asks it in the modern way for an empty success.
    fn fit(&self, answered: Result<Answer, CallError>) -> Result<Answer, CallError> {
        match answered {
            Ok(Answer::InputRequired(_)) if !self.request.is_modern() && !self.can_be_asked => {
                let text = "it needs input, which the client cannot give".to_owned();
                Err(CallError { sent: true, kind: CallErrorKind::NotMcp(text) })
            }
            answered => answered,
        }
    }

    /// The answer that says that the call failed.
    pub(super) fn failed(&self, outcome: Outcome, what: &str) -> Bytes {
        self.request.ends_refused();
        let (request, call) = (&self.request, self.decided.call.to_string());
        answer::failed(request.era, &request.id, request.subject.as_ref(), &call, outcome, what)
    }

    /// The answer that says that the call was made, and why not what it gave.
    fn withheld(&self, outcome: Outcome, why: &str) -> Bytes {
        self.request.ends_refused();
        let (request, call) = (&self.request, self.decided.call.to_string());
        answer::withheld(request.era, &request.id, request.subject.as_ref(), &call, outcome, why)
    }

    /// Whether the server may ask for a page to be opened; in the modern era it does so in another way.
    fn may_be_shown_pages(&self) -> bool {
        let elicitation = self.way.capabilities.get("elicitation");
        !self.request.is_modern() && elicitation.is_some_and(|modes| modes.get("url").is_some())
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

/// Ready when the client cancels by name, or has gone, if that is the same.
pub(super) async fn given_up(
    registered: Option<&Registered>,
    say: &mpsc::Sender<Bytes>,
    cancels_by_leaving: bool,
) {
    let by_name = async {
        match registered {
            Some(registered) => registered.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = say.closed(), if cancels_by_leaving => {}
        () = by_name => {}
    }
}

/// Progress under the client's own token. It only ever grows: what is below what the client heard already is left out.
fn progress(params: Object, request: &Request) -> Option<Bytes> {
    let value = params.get("progress").and_then(Json::as_number).map(Number::as_f64);
    let is_more = request.progressed.is_none_or(|heard| value.is_some_and(|value| value > heard));
    let token = request.progress_token.as_ref().unwrap_or(&Json::Null);
    is_more.then(|| reply::progress(token, params))
}
