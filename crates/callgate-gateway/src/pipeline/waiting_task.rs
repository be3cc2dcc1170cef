//! Calls that wait for an approval as tasks of the gateway. A task is nothing but its approval: its id says which, sealed for
//! its caller, so it is as durable as that and good for nobody else (I6). Whenever its client asks and the approval was
//! decided, the call is decided anew and made, with what the client has and may at that moment: as if it had been repeated.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_mcp::http::StatusCode;
use callgate_mcp::message::ToolsCallParams;
use callgate_mcp::{code, reply};
use callgate_model::ambient::Id;
use callgate_model::approval::{ApprovalState, Asker, Ended, Standing};
use callgate_model::authority::{Change, Use};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::{Link, Outcome};
use callgate_model::json::{Json, JsonLimits, Object, read, read_relayed};
use callgate_model::reason::Reason;
use callgate_store::{EvidenceError, Filter, StoreError};
use tokio::sync::watch;
use tokio::time::timeout;

use super::admit::Entrance;
use super::batch::whole;
use super::deliver::{Waiting, ended};
use super::{Attempt, Gateway, Reply, Request};
use crate::answer;
use crate::spans::Failure;
use crate::tasks::made::{Going, Told};

/// What the ids are sealed for.
const PURPOSE: &str = "approval task";
/// How often a client is to ask, in milliseconds.
const ASK_EVERY_MS: i64 = 2_000;
/// How long a client that asks is held while the call is made: most are made within this.
const MADE_WITHIN: Duration = Duration::from_secs(10);

/// A task that is nothing but an approval.
pub(super) struct TaskOfApproval {
    /// What the client calls it.
    id: String,
    approval: Id,
    /// The call that was refused for it.
    first: Id,
}

impl Gateway {
    /// Answers a call that waits with a task.
    pub(super) async fn as_task(&self, waiting: Waiting) -> Reply {
        let Waiting { request, approval, record, refused, .. } = waiting;
        let first = record.continues.unwrap_or(record.call);
        let inside = format!("{approval} {first} {}", request.server.name);
        let (bound, random) = (request.caller.key.to_string(), self.ambient.random());
        let id = self.keys.seal(PURPOSE, bound.as_bytes(), inside.as_bytes(), random);
        let state = self.approval_of(approval).await.ok().flatten();
        let (Some(id), Some(state)) = (id, state) else { return refused };
        let task = waits(&id, &state).with("resultType", "task");
        request.ends(None);
        Reply::json(StatusCode::OK, reply::result(&request.id, task))
    }

    /// What the task `id` is of, if it is one of this caller at the server that they come to; which is then asked.
    pub(super) fn waiting_task(&self, request: &mut Request, id: &str) -> Option<TaskOfApproval> {
        let bound = request.caller.key.to_string();
        let inside = self.keys.open(PURPOSE, bound.as_bytes(), id)?;
        let mut inside = std::str::from_utf8(&inside).ok()?.splitn(3, ' ');
        let (approval, first) = (Id::parse(inside.next()?)?, Id::parse(inside.next()?)?);
        let server = inside.next()?;
        if request.entrance == Entrance::Roof {
            request.server = Arc::clone(self.servers.get(server)?);
            request.entrance = Entrance::UnderRoof;
        }
        let is_here = &*request.server.name == server;
        is_here.then(|| TaskOfApproval { id: id.to_owned(), approval, first })
    }

    /// Answers what a client asks of such a task.
    pub(super) async fn of_waiting(
        self: &Arc<Self>,
        request: Request,
        method: Method,
        of: TaskOfApproval,
    ) -> Reply {
        let (era, answered) = (request.era, request.id.clone());
        let caller = &request.caller.caller;
        let owner = self.identities.registry().and_then(|registry| registry.owner(caller));
        let task = match self.approval_of(of.approval).await {
            // One of another run of the same agent is another's.
            Ok(Some(state)) if state.approval.asker.is_same_chain(&Asker::of(caller, owner)) => {
                if method == Method::TasksGet {
                    Some(self.look_at(request, state, of).await)
                } else if method == Method::TasksCancel {
                    self.give_up(&request, of.approval).await
                } else {
                    // To `tasks/update` there is nothing to say: nothing was asked.
                    Some(Object::default())
                }
            }
            Ok(_) => return self.refuse_task(&request),
            Err(_) => {
                request.ends(Failure::Rpc(code::INTERNAL_ERROR));
                None
            }
        };
        match task {
            Some(task) => Reply::json(StatusCode::OK, answer::finish(era, &answered, task)),
            None => {
                let text = "the store fails: ask again later";
                let body = reply::error(Some(&answered), code::INTERNAL_ERROR, text, None);
                Reply::json(StatusCode::OK, body)
            }
        }
    }

    /// Takes back what waits; what was begun goes on. `None` if it cannot be taken back now.
    async fn give_up(&self, request: &Request, approval: Id) -> Option<Object> {
        let taken = Object::default();
        let Ok(going) = self.tasks.made.begin(approval) else { return Some(taken) };
        let reason = "its client gave it up".to_owned();
        let change = Change::ApprovalWithdrawn { id: approval, reason };
        match self.administer(request.caller.caller.summary(), change).await {
            Ok(()) => {
                going.end(Object::default().with("status", "cancelled"), 0);
                Some(taken)
            }
            // It has ended already.
            Err(EvidenceError::Refused) => Some(taken),
            Err(error) => {
                tracing::error!(%approval, %error, "an approval cannot be taken back");
                request.ends(Failure::Rpc(code::INTERNAL_ERROR));
                None
            }
        }
    }

    /// How far a task is; if its approval was decided, what comes of it.
    async fn look_at(
        self: &Arc<Self>,
        request: Request,
        state: ApprovalState,
        of: TaskOfApproval,
    ) -> Object {
        let told = match self.tasks.made.find(of.approval) {
            Some(told) => told,
            None => {
                let still_counts = state.approval.bundle == self.bundle.load().digest();
                if state.standing(self.ambient.now()) == Standing::Waiting && still_counts {
                    return waits(&of.id, &state);
                }
                match self.tasks.made.begin(of.approval) {
                    Ok(going) => {
                        let told = going.told();
                        // A task of its own: a client that leaves has not given up its task.
                        let going_on =
                            Arc::clone(self).go_on(request, state.clone(), (of.first, going));
                        tokio::spawn(going_on);
                        told
                    }
                    Err(told) => told,
                }
            }
        };
        how_far(&of.id, &state, told).await
    }

    async fn approval_of(&self, approval: Id) -> Result<Option<ApprovalState>, StoreError> {
        let Some(store) = self.authority() else { return Ok(None) };
        store.approval(approval).await.inspect_err(|error| {
            tracing::error!(%error, "an approval cannot be looked up");
        })
    }

    /// Makes the call whose approval was decided, if it is one that can still be made; and tells what came of it.
    async fn go_on(
        self: Arc<Self>,
        mut request: Request,
        state: ApprovalState,
        (first, going): (Id, Going),
    ) {
        "tools/call".clone_into(&mut request.method);
        request.why.clone_from(&state.approval.about.why);
        // Nobody is there who could be asked, and it is a task already.
        (request.capabilities, request.cancels_by_leaving) = (Object::default(), false);
        let standing = state.standing(self.ambient.now());
        let answer = match (standing, ended(standing)) {
            // By repeating it, or before a restart or a change of policies.
            (Standing::Ended(Ended::Spent { call }), _) => self.made_before(&request, call).await,
            (_, Some(reason)) => self.refuse_task_of(&request, &state, first, reason),
            (_, None) => self.make_approved(request, &state, first).await,
        };
        going.end(told(&answer), answer.len());
    }

    /// What is told of a call that was made, and whose result is not kept.
    async fn made_before(&self, request: &Request, call: Id) -> Bytes {
        let filter = Filter { call: Some(call), limit: Some(1), ..Filter::default() };
        let filter = filter.with(Link::Kind, Some("outcome".to_owned()));
        let rows = match self.recorded() {
            Some(recorded) => recorded.list(&filter).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let outcome = rows.first().and_then(|row| Outcome::parse(row.outcome.as_deref()?));
        let (id, call) = (&request.id, call.to_string());
        let why = "it is not kept any more";
        let outcome = outcome.unwrap_or(Outcome::Indeterminate);
        if matches!(outcome, Outcome::Succeeded | Outcome::ToolError) {
            answer::withheld(request.era, id, None, &call, outcome, why)
        } else {
            answer::failed(request.era, id, None, &call, outcome, "it was begun before")
        }
    }

    /// The answer to the call, as if it had been repeated.
    async fn make_approved(
        self: &Arc<Self>,
        request: Request,
        state: &ApprovalState,
        first: Id,
    ) -> Bytes {
        let approval = &state.approval;
        let limits = &self.settings.json;
        let arguments = read(approval.arguments.as_bytes(), limits).ok();
        let Some(Json::Object(arguments)) = arguments else {
            return self.refuse_task_of(&request, state, first, Reason::ApprovalSpent);
        };
        let (name, bundle) = (approval.about.tool.clone(), self.bundle.load_full());
        let mut record = self.begin_record(&request, &name, &arguments, bundle.digest());
        record.continues = Some(first);
        let (meta, round) = (Object::default(), Default::default());
        let params = ToolsCallParams { name, arguments, meta, round: Default::default() };
        let attempt = Attempt { request, params, round, bundle, record };
        let reply = match Box::pin(self.attempt(attempt, None)).await {
            Ok(reply) => reply,
            // The policies have changed, and it is asked about anew: as a call that is repeated then.
            Err(waiting) => waiting.refused,
        };
        whole(reply).await.unwrap_or_default()
    }

    fn refuse_task_of(
        &self,
        request: &Request,
        state: &ApprovalState,
        first: Id,
        reason: Reason,
    ) -> Bytes {
        let bundle = self.bundle.load().digest();
        let mut record = self.blank_record(request, &state.approval.about.tool, bundle);
        record.continues = Some(first);
        record.decision = Decision::deny(reason, bundle);
        record.under.approval = Some(Use { id: state.approval.id, spends: false });
        self.refusal(request, record, None, false)
    }
}

/// A task that waits for its approval.
fn waits(id: &str, state: &ApprovalState) -> Object {
    let code = state.approval.short_code();
    let says = format!("It waits for the approval {} (code {code}).", state.approval.id);
    task(id, state, "working", &says)
}

/// What describes a task in every answer.
fn task(id: &str, state: &ApprovalState, status: &str, says: &str) -> Object {
    let approval = &state.approval;
    let last = state.votes.last().map_or(approval.at, |vote| vote.at);
    let until = approval.decide_until.after_ms(approval.use_within_s.saturating_mul(1_000));
    let ttl = i64::try_from(until.ms_since(approval.at)).unwrap_or(i64::MAX);
    let mut task = Object::default()
        .with("taskId", id)
        .with("status", status)
        .with("createdAt", approval.at.to_string())
        .with("lastUpdatedAt", last.to_string())
        .with("ttlMs", ttl)
        .with("pollIntervalMs", ASK_EVERY_MS);
    if !says.is_empty() {
        task.set("statusMessage", says);
    }
    task
}

/// How far a task is that goes on, or has ended.
async fn how_far(id: &str, state: &ApprovalState, mut told: watch::Receiver<Told>) -> Object {
    let ended = timeout(MADE_WITHIN, told.wait_for(Option::is_some)).await;
    let Some(ended) = ended.ok().and_then(|ended| ended.ok()?.clone()) else {
        return task(id, state, "working", "The call is on its way.");
    };
    let mut task = task(id, state, "completed", "");
    ended.iter().for_each(|(name, value)| task.set(name, value.clone()));
    task
}

/// What is told of a task whose call was answered so.
fn told(answer: &[u8]) -> Object {
    // It was made here, of what was within the limits of its server.
    let limits = JsonLimits::of_bytes(answer.len());
    let failed = |error: Json| Object::default().with("status", "failed").with("error", error);
    let answer = read_relayed(answer, &limits).ok();
    let member = |name| answer.as_ref().and_then(|answer| answer.get(name)).cloned();
    match (member("result"), member("error")) {
        (Some(Json::Object(mut result)), _) => {
            result.remove("resultType");
            Object::default().with("result", result)
        }
        (_, Some(error)) => failed(error),
        (_, None) => {
            let message = "the call was made, and its answer cannot be told; see the evidence";
            let error = Object::default().with("code", code::INTERNAL_ERROR);
            failed(error.with("message", message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Larger than what a server's limits let a string of a request be.
    #[test]
    fn an_answer_of_any_size_is_told_and_what_cannot_be_is_said_to_have_failed() {
        let content = Object::default().with("content", "x".repeat(2 << 20));
        let answer =
            Object::default().with("result", content.clone().with("resultType", "complete"));
        assert_eq!(told(answer.to_text().as_bytes()).get("result"), Some(&content.into()));
        for none in ["", "{}", "[", r#"{"result":7}"#] {
            let told = told(none.as_bytes());
            assert_eq!(told.get("status"), Some(&"failed".into()), "{none}");
            assert!(told.get("error").is_some(), "{none}");
        }
        let error = Object::default().with("error", Object::default().with("code", -32_603));
        assert_eq!(told(error.to_text().as_bytes()).get("error"), error.get("error"));
    }
}
