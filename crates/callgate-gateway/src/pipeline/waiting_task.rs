//! Calls that wait for an approval as tasks of the gateway. A task is nothing but its approval: its id says which, sealed for
//! its caller, so it is as durable as that and good for nobody else (I6). Whenever its client asks and the approval was
//! decided, the call is decided anew and made, with what the client has and may at that moment: as if it had been repeated.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_mcp::http::StatusCode;
use callgate_mcp::message::ToolsCallParams;
use callgate_mcp::reply;
use callgate_model::ambient::Id;
use callgate_model::approval::{ApprovalState, Ended, Standing};
use callgate_model::authority::{Change, Use};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::Outcome;
use callgate_model::json::{Json, JsonLimits, Object, read, read_relayed};
use callgate_model::reason::Reason;
use tokio::sync::watch;
use tokio::time::timeout;

use super::admit::Entrance;
use super::batch::whole;
use super::deliver::Waiting;
use super::{Attempt, Gateway, Reply, Request};
use crate::answer;
use crate::tasks::made::{Going, Told};

/// What the ids are sealed for.
const PURPOSE: &str = "approval task";
/// How often a client is to ask, in milliseconds.
const ASK_EVERY_MS: i64 = 2_000;
/// How long a client that asks is held while the call is made: most are made within this.
const MADE_WITHIN: Duration = Duration::from_secs(10);

impl Gateway {
    /// Answers a call that waits with a task.
    pub(super) async fn as_task(&self, waiting: Waiting) -> Reply {
        let Waiting { request, approval, refused, .. } = waiting;
        let (inside, bound) = (format!("{approval} {}", request.server.name), request.caller.key);
        let random = self.ambient.random();
        let id = self.keys.seal(PURPOSE, bound.to_string().as_bytes(), inside.as_bytes(), random);
        let state = match self.authority() {
            Some(store) => store.approval(approval).await.ok().flatten(),
            None => None,
        };
        let (Some(id), Some(state)) = (id, state) else { return refused };
        let task = waits(&id, &state).with("resultType", "task");
        Reply::json(StatusCode::OK, reply::result(&request.id, task))
    }

    /// The approval that the task `id` is, if it is one of this caller at the server that they come to; which is then asked.
    pub(super) fn waiting_task(&self, request: &mut Request, id: &str) -> Option<Id> {
        let bound = request.caller.key.to_string();
        let inside = self.keys.open(PURPOSE, bound.as_bytes(), id)?;
        let (approval, server) = std::str::from_utf8(&inside).ok()?.split_once(' ')?;
        if request.entrance == Entrance::Roof {
            request.server = Arc::clone(self.servers.get(server)?);
            request.entrance = Entrance::UnderRoof;
        }
        Id::parse(approval).filter(|_| &*request.server.name == server)
    }

    /// Answers what a client asks of such a task.
    pub(super) async fn of_waiting(
        self: &Arc<Self>,
        request: Request,
        method: Method,
        (id, approval): (String, Id),
    ) -> Reply {
        let (era, answered) = (request.era, request.id.clone());
        let task = if method == Method::TasksGet {
            self.look_at(request, id, approval).await
        } else {
            // To `tasks/update` there is nothing to say: nothing was asked.
            if method == Method::TasksCancel {
                self.give_up(&request, &id, approval).await;
            }
            Some(Object::default())
        };
        match task {
            Some(task) => Reply::json(StatusCode::OK, answer::finish(era, &answered, task)),
            None => {
                let text = "approvals cannot be looked up: ask again later";
                let code = callgate_mcp::code::INTERNAL_ERROR;
                Reply::json(StatusCode::OK, reply::error(Some(&answered), code, text, None))
            }
        }
    }

    /// Takes back what waits; what was begun goes on.
    async fn give_up(&self, request: &Request, id: &str, approval: Id) {
        let Ok(going) = self.tasks.made.begin(id) else { return };
        let reason = "its client gave it up".to_owned();
        let change = Change::ApprovalWithdrawn { id: approval, reason };
        match self.administer(request.caller.caller.summary(), change).await {
            Ok(()) => going.end(Object::default().with("status", "cancelled"), 0),
            Err(error) => tracing::debug!(%approval, %error, "an approval is not taken back"),
        }
    }

    /// How far a task is; if its approval was decided, what comes of it.
    async fn look_at(
        self: &Arc<Self>,
        request: Request,
        id: String,
        approval: Id,
    ) -> Option<Object> {
        if let Some(told) = self.tasks.made.find(&id) {
            return self.told(&id, approval, told).await;
        }
        let state = self.approval_of(approval).await?;
        let is_as_it_was = state.approval.bundle == self.bundle.load().digest();
        if state.standing(self.ambient.now()) == Standing::Waiting && is_as_it_was {
            return Some(waits(&id, &state));
        }
        let told = match self.tasks.made.begin(&id) {
            Ok(going) => {
                let told = going.told();
                // A task of its own: a client that leaves has not given up its task.
                tokio::spawn(Arc::clone(self).go_on(request, state, going));
                told
            }
            Err(told) => told,
        };
        self.told(&id, approval, told).await
    }

    async fn approval_of(&self, approval: Id) -> Option<ApprovalState> {
        self.authority()?.approval(approval).await.ok().flatten()
    }

    async fn told(
        &self,
        id: &str,
        approval: Id,
        mut told: watch::Receiver<Told>,
    ) -> Option<Object> {
        let state = self.approval_of(approval).await?;
        let ended = timeout(MADE_WITHIN, told.wait_for(Option::is_some)).await;
        let ended = ended.ok().and_then(|ended| ended.ok()?.clone());
        let Some(ended) = ended else {
            return Some(task(id, &state, "working", "The call is on its way."));
        };
        let mut task = task(id, &state, "completed", "");
        ended.iter().for_each(|(name, value)| task.set(name, value.clone()));
        Some(task)
    }

    /// Makes the call whose approval was decided, if it is one that can still be made; and tells what came of it.
    async fn go_on(self: Arc<Self>, mut request: Request, state: ApprovalState, going: Going) {
        "tools/call".clone_into(&mut request.method);
        request.why.clone_from(&state.approval.about.why);
        // Nobody is there who could be asked, and it is a task already.
        (request.capabilities, request.cancels_by_leaving) = (Object::default(), false);
        let answer = match state.standing(self.ambient.now()) {
            Standing::Waiting | Standing::Approved { .. } => {
                self.make_approved(request, &state).await
            }
            Standing::Expired | Standing::Unused => {
                self.refuse_task_of(&request, &state, Reason::ApprovalExpired)
            }
            Standing::Ended(Ended::Denied) => {
                self.refuse_task_of(&request, &state, Reason::ApprovalDenied)
            }
            Standing::Ended(Ended::Withdrawn) => {
                self.refuse_task_of(&request, &state, Reason::ApprovalWithdrawn)
            }
            // By repeating it, or before a restart.
            Standing::Ended(Ended::Spent { call }) => {
                let (id, call) = (&request.id, call.to_string());
                let what = "it was made before, and its result is not kept any more";
                answer::failed(request.era, id, None, &call, Outcome::Indeterminate, what)
            }
        };
        if let Some(ended) = ended(&answer) {
            going.end(ended, answer.len());
        }
    }

    /// The answer to the call, as if it had been repeated.
    async fn make_approved(self: &Arc<Self>, request: Request, state: &ApprovalState) -> Bytes {
        let approval = &state.approval;
        let limits = &self.settings.json;
        let arguments = read(approval.arguments.as_bytes(), limits).ok();
        let Some(Json::Object(arguments)) = arguments else {
            return self.refuse_task_of(&request, state, Reason::ApprovalSpent);
        };
        let (name, bundle) = (approval.about.tool.clone(), self.bundle.load_full());
        let record = self.begin_record(&request, &name, &arguments, bundle.digest());
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

    fn refuse_task_of(&self, request: &Request, state: &ApprovalState, reason: Reason) -> Bytes {
        let bundle = self.bundle.load().digest();
        let mut record = self.blank_record(request, &state.approval.about.tool, bundle);
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

/// How the task of a call ended that was answered so. `None` if that is no answer.
fn ended(answer: &[u8]) -> Option<Object> {
    // It was made here, of what was within the limits of its server.
    let (bytes_max, nodes_max) = (answer.len(), answer.len());
    let limits = JsonLimits { bytes_max, nodes_max, ..JsonLimits::default() };
    let answer = read_relayed(answer, &limits).ok()?;
    if let Some(Json::Object(result)) = answer.get("result") {
        let mut result = result.clone();
        result.remove("resultType");
        return Some(Object::default().with("result", result));
    }
    let error = answer.get("error")?.clone();
    Some(Object::default().with("status", "failed").with("error", error))
}
