//! Tasks: what a server has made of a call, and what its client asks of that later. Each request is decided as the call
//! was, recorded, and passed on under the server's own id.

use std::sync::Arc;
use std::time::Instant;

use callgate_mcp::http::StatusCode;
use callgate_mcp::inbound::Refused;
use callgate_mcp::message::{Task, TaskParams};
use callgate_mcp::{code, extension};
use callgate_model::call::{Method, ToolCall};
use callgate_model::digest::{Digest, hex};
use callgate_model::evidence::Decided;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;

use super::admit::Entrance;
use super::carry::Running;
use super::rounds::{Asked, extensions_of};
use super::{Gateway, Reply, Request, roof, understood};
use crate::name::NamedCall;
use crate::tasks::TaskOf;

impl Gateway {
    /// One request about a task, from its parameters to its answer.
    pub(super) async fn task(self: &Arc<Self>, mut request: Request, method: Method) -> Reply {
        let params = std::mem::take(&mut request.params);
        let updates = method == Method::TasksUpdate;
        let TaskParams { id, responses } = match TaskParams::read(params, updates) {
            Ok(params) => params,
            Err(refused) => return self.refuse_params(&request, refused.to_string()),
        };
        if !extension::is_declared(&request.capabilities, extension::TASKS) {
            return self.refuse_undeclared(&request);
        }
        if let Some(of) = self.waiting_task(&mut request, &id) {
            return self.of_waiting(request, method, of).await;
        }
        let found = self.tasks.find(&id, request.caller.key, self.ambient.now());
        let found = found.filter(|task| {
            request.entrance == Entrance::Roof || Arc::ptr_eq(&task.server, &request.server)
        });
        let Some(task) = found else { return self.refuse_task(&request) };
        if request.entrance == Entrance::Roof {
            (request.server, request.entrance) = (Arc::clone(&task.server), Entrance::UnderRoof);
        }
        (request.task, request.why) = (Some(id), task.why.clone());
        let bundle = self.bundle.load_full();
        let capabilities = self.may_be_asked(&request, &bundle);
        let mut params = Object::default().with("taskId", task.upstream_id.as_str());
        if let Some(responses) = responses {
            // Whoever may be asked nothing was asked nothing.
            let responses = if capabilities.is_empty() { Object::default() } else { responses };
            params.set("inputResponses", responses);
        }
        let named = of_task(&task.named, method, params);
        let mut record = self.record_of(&request, &task, &named, bundle.digest());
        let slot = match self.enter_call(&request, &mut record) {
            Ok(slot) => slot,
            Err(limit) => return self.refuse(&request, record, Some(limit.told()), false),
        };
        let begun = Instant::now();
        self.decide_on(&request, &named, &bundle, task.under, &mut record).await;
        record.decided_in_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if !record.decision.is_allow() {
            return self.refuse(&request, record, None, false);
        }
        let extensions = extensions_of(&request);
        let (round, opened) = Default::default();
        let asked = Asked { capabilities, extensions, round, opened };
        self.carry_out(request, named, None, (asked, slot), record).await
    }

    fn record_of(
        &self,
        request: &Request,
        task: &TaskOf,
        named: &NamedCall,
        bundle: Digest,
    ) -> Decided {
        let call = &named.call;
        let responses = call.arguments.get("inputResponses").and_then(Json::as_object);
        Decided {
            continues: Some(task.call),
            understood: Some(understood(named)),
            arguments_digest: Some(call.arguments_digest),
            responses_digest: responses.map(Digest::of_object),
            ..self.blank_record(request, &call.tool, bundle)
        }
    }

    /// Refuses and records a request about a task that is not the caller's, or of another server, or was forgotten.
    pub(super) fn refuse_task(&self, request: &Request) -> Reply {
        let reason = Reason::TaskUnknown;
        let (status, code) = (StatusCode::OK, code::INVALID_PARAMS);
        let refused = Refused { status, code, message: reason.message().to_owned(), data: None };
        let record = self.blank_record(request, "", self.bundle.load().digest());
        self.refuse_wire(request, record, &refused, reason)
    }

    /// Refuses and records a request about a task of a client that does not say that it knows of any.
    fn refuse_undeclared(&self, request: &Request) -> Reply {
        let tasks = Object::default().with(extension::TASKS, Object::default());
        let required = Object::default().with(extension::MEMBER, tasks);
        let data = Object::default().with("requiredCapabilities", required);
        let refused = Refused {
            status: StatusCode::BAD_REQUEST,
            code: code::MISSING_CAPABILITY,
            message: "the client does not declare the extension of tasks".to_owned(),
            data: Some(data.into()),
        };
        let record = self.blank_record(request, "", self.bundle.load().digest());
        self.refuse_wire(request, record, &refused, Reason::RequestMalformed)
    }

    /// What the client is told of a task: one that was just made of its call, or the one that it asked about.
    pub(super) fn task_for_client(&self, running: &Running, mut task: Task) -> Object {
        let request = &running.request;
        if let Some(result) = task.outcome() {
            let mut result = result.clone();
            roof::in_result(request, Method::ToolsCall, &mut result);
            task.result.set("result", result);
        }
        if let Some(id) = &request.task {
            return task.called(id);
        }
        let id = hex(&self.ambient.random());
        if let Some(named) = &running.named {
            let now = self.ambient.now();
            let made = TaskOf {
                caller: request.caller.key,
                server: Arc::clone(&request.server),
                named: of_task(named, Method::TasksGet, Object::default()),
                upstream_id: task.id.clone(),
                call: running.decided.continues.unwrap_or(running.decided.call),
                why: request.why.clone(),
                under: running.decided.under,
                made: now,
                ttl_ms: task.ttl_ms(),
            };
            self.tasks.add(id.clone(), made, now);
        }
        task.called(&id)
    }
}

/// A request about the task that was made of `named`. What it may touch is the same.
fn of_task(named: &NamedCall, method: Method, params: Object) -> NamedCall {
    let call = ToolCall {
        method,
        arguments_digest: Digest::of_object(&params),
        arguments: params,
        unwrapped: None,
        ..named.call.clone()
    };
    NamedCall::plain(call, named.targets.clone())
}
