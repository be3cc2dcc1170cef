//! What servers ask a client of the legacy era in the middle of a call: a request in the other direction, decided and
//! recorded as a call of its own. A server of the modern era ends its answer with what it needs; then this asks the client
//! and calls again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::message::{self, InputRequired, Notification, RequestId, Round, RpcError};
use callgate_mcp::upstream::{Answered, Question};
use callgate_model::ambient::Id;
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::{Concluded, Decided, Outcome};
use callgate_model::json::{Json, Object};
use callgate_model::products::mcp::Asking;
use callgate_model::reason::Reason;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::carry::Running;
use super::{Gateway, Request};
use crate::answer;
use crate::evidence::{OpenEvidence, Permit};
use crate::limits::Limit;
use crate::name::name_asking;
use crate::questions::Asked;
use crate::session::InSession;

/// For a client to answer: a person may have to read and to think.
const ANSWER_WITHIN: Duration = Duration::from_secs(5 * 60);
/// Before a server that only wants its state back is given it.
const STATE_AFTER: Duration = Duration::from_millis(250);
/// Rounds of one call.
const ROUNDS_MAX: usize = 16;
/// How much is recorded of a client's refusal, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// Who is asked, and in which call.
pub(super) struct Party {
    /// As if the client had asked; its method is that of the question.
    request: Request,
    session: String,
    /// `None` if the server does not say of which call its question is.
    call: Option<Id>,
}

impl Party {
    /// The client that made `request`, if it has a session in which it can be asked.
    pub(super) fn of(request: &Request, call: Option<Id>) -> Self {
        let session = request.session.clone().unwrap_or_default();
        Self { request: request.aside(), session, call }
    }
}

impl Running {
    /// The client of this call.
    pub(super) fn party(&self) -> Party {
        let first = self.decided.continues.unwrap_or(self.decided.call);
        Party::of(&self.request, Some(first))
    }
}

impl Gateway {
    /// Takes what a client answers. What nobody asked is nobody's.
    pub(super) fn take_answer(&self, at: &InSession, response: message::Response) {
        if !self.questions.answer(at, response.outcome) {
            tracing::debug!("an answer to no question was dropped");
        }
    }

    /// Puts a question of a server to the client, and gives the server its answer.
    pub(super) async fn put(
        self: Arc<Self>,
        party: Arc<Party>,
        mut question: Question,
        say: mpsc::Sender<Bytes>,
    ) {
        let (method, params) = (question.method.clone(), std::mem::take(&mut question.params));
        let (party, say) = self.where_to_put(&question, party, say);
        let answered = self.ask_client(&party, &method, params, &say, question.withdrawn()).await;
        question.answer(answered);
    }

    /// A question of which it is not known whose call it is of goes where the client listens for what belongs to none, if it
    /// does: the call that it came with may end before it.
    fn where_to_put(
        &self,
        question: &Question,
        party: Arc<Party>,
        say: mpsc::Sender<Bytes>,
    ) -> (Arc<Party>, mpsc::Sender<Bytes>) {
        if question.is_certain {
            return (party, say);
        }
        let caller = party.request.caller.key;
        let stream = self.sessions.stream(&party.session, caller).unwrap_or(say);
        (Arc::new(Party::of(&party.request, None)), stream)
    }

    /// Asks the client, if policy allows it, until it answers or nobody wants to know any more.
    async fn ask_client(
        &self,
        party: &Party,
        method: &str,
        params: Object,
        say: &mpsc::Sender<Bytes>,
        withdrawn: impl Future<Output = ()>,
    ) -> Answered {
        let (permit, mut evidence) = self.permit_question(party, method, params).await?;
        let (call, asked) = permit.spend();
        let id = RequestId::Text(format!("callgate-{call}"));
        let (caller, session) = (party.request.caller.key, party.session.clone());
        let Some(asked_now) = self.questions.ask(InSession { caller, session, id: id.clone() })
        else {
            self.metrics.limited(Limit::Questions);
            let busy = Err(failed(Limit::Questions.told()));
            return self.conclude_question(party, evidence, Outcome::NotDispatched, busy).await;
        };
        let mut open = Open { asked: asked_now, id: id.clone(), say, is_answered: true };
        let method = method.to_owned();
        let request = message::Request { id, method, params: asked.arguments }.into_bytes();
        let answering = async {
            if say.send(request).await.is_err() {
                return (Outcome::NotDispatched, Err(failed("the client has gone")));
            }
            evidence.dispatched();
            open.is_answered = false;
            match open.asked.answered().await {
                Some(answered) => {
                    open.is_answered = true;
                    let good = answered.is_ok();
                    let outcome = if good { Outcome::Succeeded } else { Outcome::UpstreamError };
                    (outcome, answered)
                }
                None => (Outcome::Cancelled, Err(failed("the client has gone"))),
            }
        };
        let given_up = |why: &str| (Outcome::Cancelled, Err(failed(why)));
        let (outcome, answered) = tokio::select! {
            answered = timeout(ANSWER_WITHIN, answering) => answered.unwrap_or_else(|_elapsed| {
                (Outcome::TimedOut, Err(failed("the client did not answer in time")))
            }),
            () = withdrawn => given_up("it was withdrawn"),
            () = say.closed() => given_up("the client has gone"),
            () = self.listeners.ended() => given_up("the gateway ends"),
        };
        drop(open);
        self.conclude_question(party, evidence, outcome, answered).await
    }

    /// Asks the client of `request` something for the gateway itself. `None` if that cannot be.
    pub(super) fn ask_for_gateway<'a>(
        &self,
        request: &Request,
        (method, params): (&str, Object),
        say: &'a mpsc::Sender<Bytes>,
    ) -> Option<Open<'a>> {
        let id = RequestId::Text(format!("callgate-{}", self.ambient.id()));
        let (caller, session) = (request.caller.key, request.session.clone()?);
        let asked = self.questions.ask(InSession { caller, session, id: id.clone() })?;
        let open = Open { asked, id: id.clone(), say, is_answered: false };
        let asks = message::Request { id, method: method.to_owned(), params };
        say.try_send(asks.into_bytes()).ok()?;
        Some(open)
    }

    /// Records how a question ended, before the server learns it.
    async fn conclude_question(
        &self,
        party: &Party,
        evidence: OpenEvidence,
        outcome: Outcome,
        answered: Answered,
    ) -> Answered {
        let call = evidence.id();
        let result = answered.as_ref().ok().map(|result| {
            let text = result.to_text();
            (Digest::of(text.as_bytes()), u64::try_from(text.len()).unwrap_or(u64::MAX))
        });
        let detail = answered
            .as_ref()
            .err()
            .map(|error| error.to_string().chars().take(DETAIL_CHARS_MAX).collect());
        self.metrics.concluded(&party.request.server.name, &call.to_string(), outcome, 0);
        let concluded = Concluded { call, outcome, upstream_us: None, result, detail };
        match evidence.conclude(concluded).await {
            Ok(()) => answered,
            Err(error) => {
                tracing::error!(%error, "what a client answered could not be recorded");
                Err(failed("it cannot be recorded"))
            }
        }
    }

    /// Decides and records a question.
    async fn permit_question(
        &self,
        party: &Party,
        method: &str,
        params: Object,
    ) -> Result<(Permit, OpenEvidence), RpcError> {
        let Some(asking) = Asking::of_method(method) else {
            return Err(RpcError {
                code: code::METHOD_NOT_FOUND,
                ..failed("nobody can be asked this")
            });
        };
        let begun = Instant::now();
        let (request, bundle) = (&party.request, self.bundle.load_full());
        let mut record = self.begin_record(request, "", &params, bundle.digest());
        method.clone_into(&mut record.method);
        record.continues = party.call;
        let named = name_asking(&request.server.name, asking, params);
        record.decision = self.decide(request, &named, &bundle);
        self.settings.recording.name(&mut record, &named);
        record.decided_in_us = micros(begun);
        if !record.decision.is_allow() {
            self.record_refusal(record);
            return Err(failed("policy does not let this client be asked"));
        }
        let opened = self.open_call(request, record, named).await;
        opened.map(|(_, opening)| opening).map_err(|_refusal| failed("it cannot be recorded"))
    }

    /// Puts what a server of the modern era needs to a client of the legacy era, and decides the call again. What comes
    /// of it is the next intent, or the answer. `None` if the client cancelled.
    pub(super) async fn next_round(
        self: &Arc<Self>,
        running: &mut Running,
        required: InputRequired,
        say: &mpsc::Sender<Bytes>,
    ) -> Option<Result<(Permit, OpenEvidence), Bytes>> {
        running.rounds += 1;
        if running.rounds >= ROUNDS_MAX {
            let text = "the server asks again and again";
            return Some(Err(running.failed(Outcome::InputRequired, text)));
        }
        let responses = match self.ask_for(running, required.requests, say).await? {
            Ok(responses) => responses,
            Err(error) => {
                let text =
                    format!("the client does not give what the server needs: {}", error.message);
                return Some(Err(running.failed(Outcome::InputRequired, &text)));
            }
        };
        running.way.round = Round { state: required.state, responses };
        Some(self.decide_again(running).await)
    }

    /// What the client answers, under the keys of what it was asked. `None` if it cancelled the call.
    async fn ask_for(
        &self,
        running: &Running,
        requests: Option<Object>,
        say: &mpsc::Sender<Bytes>,
    ) -> Option<Result<Option<Object>, RpcError>> {
        let Some(requests) = requests.filter(|requests| !requests.is_empty()) else {
            return running.unless_cancelled(say, sleep(STATE_AFTER)).await.map(|()| Ok(None));
        };
        let (party, mut responses) = (running.party(), Object::default());
        // One after the other: it may be a person who is asked.
        for (key, request) in requests.iter() {
            let method = request.get("method").and_then(Json::as_str).unwrap_or_default();
            let params = request.get("params").and_then(Json::as_object).cloned();
            let params = for_legacy(params.unwrap_or_default(), || self.ambient.id());
            let mut is_cancelled = false;
            let cancelled = async {
                running.cancelled(say).await;
                is_cancelled = true;
            };
            let answered = self.ask_client(&party, method, params, say, cancelled).await;
            match answered {
                _ if is_cancelled => return None,
                Ok(answer) => responses.set(key, answer),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(Some(responses)))
    }

    /// Whether a tool is still the one that was called.
    async fn is_as_it_was(&self, running: &Running) -> bool {
        let Some(tool) = &running.way.tool else { return true };
        let name = &tool.definition.name;
        let now = running.request.server.tools(Some(name)).await;
        let digest = now.ok().and_then(|set| Some(set.get(name)?.definition.digest));
        digest == Some(tool.definition.digest)
    }

    async fn decide_again(&self, running: &mut Running) -> Result<(Permit, OpenEvidence), Bytes> {
        let Some(named) = running.named.clone() else {
            return Err(running.failed(Outcome::InputRequired, "it cannot be made again"));
        };
        let (begun, bundle) = (Instant::now(), self.bundle.load_full());
        let before = &running.decided;
        let mut record = Decided {
            call: self.ambient.id(),
            continues: before.continues.or(Some(before.call)),
            responses_digest: running.way.round.responses.as_ref().map(Digest::of_object),
            decision: Decision::deny(Reason::ToolUnknown, bundle.digest()),
            // It is the same call.
            budgets: Vec::new(),
            ..Decided::clone(before)
        };
        if self.is_as_it_was(running).await {
            let used = before.under;
            self.decide_on(&running.request, &named, &bundle, used, &mut record).await;
        }
        record.decided_in_us = micros(begun);
        if !record.decision.is_allow() {
            return Err(self.refusal(&running.request, record, None, false));
        }
        // The last one may have ended while somebody was asked.
        let Some(presented) = self.presented(&running.request, &mut record).await else {
            return Err(self.refusal(&running.request, record, None, false));
        };
        running.way.presented = presented;
        let (decided, opening) = self.open_call(&running.request, record, *named).await?;
        running.decided = decided;
        Ok(opening)
    }
}

/// A question that the client has. Dropped before its answer, the client is told so.
pub(super) struct Open<'a> {
    asked: Asked,
    id: RequestId,
    say: &'a mpsc::Sender<Bytes>,
    is_answered: bool,
}

impl Open<'_> {
    /// What the client answers. `None` if it has gone.
    pub(super) async fn answered(&mut self) -> Option<Answered> {
        let answered = self.asked.answered().await;
        self.is_answered = true;
        answered
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let params = Object::default().with("requestId", self.id.to_json());
        let told = Notification { method: "notifications/cancelled".to_owned(), params };
        // A client that reads nothing more waits for nothing either.
        self.say.try_send(told.into_bytes()).ok();
    }
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn failed(message: &str) -> RpcError {
    RpcError { code: answer::REFUSED, message: message.to_owned(), data: None }
}

/// What the modern era asks, as clients of the legacy era know it: a form is what needs no name, and a page has one of its
/// own.
fn for_legacy(mut params: Object, id: impl FnOnce() -> Id) -> Object {
    match params.get("mode").and_then(Json::as_str) {
        Some("form") => drop(params.remove("mode")),
        Some("url") if params.get("elicitationId").is_none() => {
            params.set("elicitationId", id().to_string());
        }
        Some(_) | None => {}
    }
    params
}
