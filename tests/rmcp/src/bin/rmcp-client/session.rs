//! One session, and what each step does in it.

use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompletionInfo,
    GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams, RequestMetaObject,
    RequestParamsMeta as _, ServerNotification, SetLevelRequestParams, SubscribeRequestParams,
    SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{RunningService, Subscription};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::connect::connect;
use crate::failure::Failure;
use crate::hearer::{Heard, Hearer, News};
use crate::{member, with};

/// How long a server may take to end after its client has gone.
const END_MAX: Duration = Duration::from_secs(5);

/// The SDK handles each notification in a task of its own: what came before an answer may be heard after it.
const SETTLE: Duration = Duration::from_millis(50);

/// How often a call may be answered with questions.
const ROUNDS_MAX: usize = 10;

type Told = Result<Value, Failure>;

pub(crate) struct Session {
    pub(crate) running: RunningService<RoleClient, Hearer>,
    child: Option<Child>,
    news: UnboundedReceiver<News>,
    log: Option<Value>,
    pub(crate) has_tasks: bool,
    /// The last task that a call was answered with.
    pub(crate) task: Option<String>,
    following: Option<AbortHandle>,
}

impl Session {
    /// The session, and what it is.
    pub(crate) async fn connect(plan: &Value) -> Result<(Self, Value), Failure> {
        let (teller, news) = unbounded_channel();
        let (running, child) = connect(plan, teller).await?;
        let mut session = Self {
            running,
            child,
            news,
            log: plan.get("log").cloned(),
            has_tasks: member(plan, "tasks") == true,
            task: None,
            following: None,
        };
        if let Some(level) = session.log.clone().filter(|_| !session.is_modern()) {
            let level = serde_json::from_value(level).map_err(|error| Failure::other(&error))?;
            session.running.set_level(SetLevelRequestParams::new(level)).await?;
        }
        if member(plan, "listens") == true && session.is_modern() {
            let changes = SubscriptionFilter::builder().tools_list_changed().build();
            session.listen(changes).await?;
        }
        let server = session.running.peer_info();
        let hello = json!({
            "client": "rmcp",
            "protocolVersion": server.as_ref().map(|server| server.protocol_version.clone()),
            "serverInfo": server.as_ref().map(|server| server.server_info.clone()),
        });
        Ok((session, hello))
    }

    pub(crate) async fn run(&mut self, op: &str, step: &Value) -> Told {
        match op {
            "list" => self.list().await,
            "call" => self.call(step).await,
            "offers" => self.offers().await,
            "read" => self.read(text(step, "uri")?).await,
            "prompt" => self.prompt(step).await,
            "complete" => self.complete(step).await,
            "changed" => self.changed().await,
            "subscribe" => self.subscribe(text(step, "uri")?).await,
            "unsubscribe" => self.unsubscribe(text(step, "uri")?).await,
            "updated" => self.updated().await,
            "task_get" => self.task_get(step).await,
            "task_update" => self.task_update(step).await,
            "task_cancel" => self.task_cancel(step).await,
            "wait_ms" => {
                sleep(Duration::from_millis(member(step, "ms").as_u64().unwrap_or_default())).await;
                Ok(json!({}))
            }
            _ => Err(Failure::plan("unknown op")),
        }
    }

    /// Lets the server end by itself: a gate that is killed cannot close its record.
    pub(crate) async fn close(mut self) {
        if let Some(following) = self.following.take() {
            following.abort();
        }
        self.running.cancel().await.map(drop).unwrap_or_default();
        if let Some(mut child) = self.child {
            // Whoever does not end in time is killed.
            timeout(END_MAX, child.wait()).await.map(drop).unwrap_or_default();
        }
    }

    fn is_modern(&self) -> bool {
        let modern = ProtocolVersion::V_2026_07_28;
        self.running.peer_info().is_some_and(|server| server.protocol_version >= modern)
    }

    async fn list(&self) -> Told {
        let tools = self.running.list_all_tools().await?;
        let names: Vec<_> = tools.iter().map(|tool| &tool.name).collect();
        Ok(json!({ "tools": names }))
    }

    async fn call(&mut self, step: &Value) -> Told {
        let mut params = CallToolRequestParams::new(text(step, "tool")?.to_owned());
        params.arguments = member(step, "arguments").as_object().cloned();
        if let Some(level) = self.log.clone().filter(|_| self.is_modern()) {
            let level = serde_json::from_value(level).map_err(|error| Failure::other(&error))?;
            let mut meta = RequestMetaObject::new();
            meta.set_log_level(level);
            *params.meta_mut() = Some(meta);
        }
        self.running.service().take();
        let answer = match member(step, "cancel_ms").as_u64() {
            None => self.answer(params).await?,
            // The SDK tells the server of a call that nobody waits for any more.
            Some(patience) => {
                let answer = timeout(Duration::from_millis(patience), self.answer(params)).await;
                let Ok(answer) = answer else { return Ok(json!({ "cancelled": true })) };
                answer?
            }
        };
        if member(step, "progress") == true || self.log.is_some() {
            sleep(SETTLE).await;
        }
        Ok(self.told(answer, member(step, "progress") == true))
    }

    /// The SDK answers questions by itself, unless tasks may come.
    async fn answer(&self, mut params: CallToolRequestParams) -> Result<CallToolResponse, Failure> {
        if !self.has_tasks {
            return Ok(self.running.call_tool(params).await?.into());
        }
        for _ in 0..ROUNDS_MAX {
            let answer = self.running.call_tool_once(params.clone()).await?;
            let CallToolResponse::InputRequired(round) = answer else { return Ok(answer) };
            let questions = round.input_requests.unwrap_or_default();
            params.input_responses = Some(self.answers(questions)?);
            params.request_state = round.request_state;
        }
        Err(Failure::plan("too many rounds"))
    }

    fn told(&mut self, answer: CallToolResponse, with_progress: bool) -> Value {
        let heard = self.running.service().take();
        let progress = if with_progress { heard.progress } else { Vec::new() };
        let told = match answer {
            CallToolResponse::Complete(result) => result_told(&result),
            CallToolResponse::Task(created) => {
                self.task = Some(created.task.task_id.clone());
                json!({ "task": created.task })
            }
            other @ (CallToolResponse::InputRequired(_) | _) => {
                json!({ "unexpected": format!("{other:?}") })
            }
        };
        let Heard { log, asked, .. } = heard;
        with(told, json!({ "progress": progress, "log": log, "asked": asked }))
    }

    async fn offers(&self) -> Told {
        let resources = self.running.list_all_resources().await?;
        let templates = self.running.list_all_resource_templates().await?;
        let prompts = self.running.list_all_prompts().await?;
        Ok(json!({
            "resources": resources.iter().map(|one| &one.uri).collect::<Vec<_>>(),
            "templates": templates.iter().map(|one| &one.uri_template).collect::<Vec<_>>(),
            "prompts": prompts.iter().map(|one| &one.name).collect::<Vec<_>>(),
        }))
    }

    async fn read(&self, uri: &str) -> Told {
        let params = ReadResourceRequestParams::new(uri);
        let result = self.running.read_resource(params).await?;
        Ok(json!({ "text": texts(&json!(result), "/contents", "/text") }))
    }

    async fn prompt(&self, step: &Value) -> Told {
        let mut params = GetPromptRequestParams::new(text(step, "name")?);
        params.arguments = member(step, "arguments").as_object().cloned();
        let result = self.running.get_prompt(params).await?;
        Ok(json!({ "text": texts(&json!(result), "/messages", "/content/text") }))
    }

    async fn complete(&self, step: &Value) -> Told {
        let (argument, value) = (text(step, "argument")?, text(step, "value")?);
        let completion: CompletionInfo = match member(step, "prompt").as_str() {
            Some(prompt) => {
                self.running.complete_prompt_argument(prompt, argument, value, None).await?
            }
            None => {
                let template = text(step, "template")?;
                self.running.complete_resource_argument(template, argument, value, None).await?
            }
        };
        Ok(json!({ "values": completion.values }))
    }

    async fn changed(&mut self) -> Told {
        loop {
            if let News::ToolsChanged = self.heard().await? {
                return self.list().await;
            }
        }
    }

    async fn updated(&mut self) -> Told {
        loop {
            if let News::Updated(uri) = self.heard().await? {
                return Ok(json!({ "uri": uri }));
            }
        }
    }

    async fn heard(&mut self) -> Result<News, Failure> {
        self.news.recv().await.ok_or_else(|| Failure::plan("nobody tells news"))
    }

    async fn subscribe(&mut self, uri: &str) -> Told {
        if !self.is_modern() {
            self.running.subscribe(SubscribeRequestParams::new(uri)).await?;
            return Ok(json!({}));
        }
        let filter = SubscriptionFilter::builder().resource_subscriptions([uri]).build();
        self.listen(filter).await
    }

    async fn unsubscribe(&mut self, uri: &str) -> Told {
        if let Some(following) = self.following.take() {
            following.abort();
        } else {
            self.running.unsubscribe(UnsubscribeRequestParams::new(uri)).await?;
        }
        Ok(json!({}))
    }

    /// Of the modern era: one stream at a time, which is told what was acknowledged.
    async fn listen(&mut self, filter: SubscriptionFilter) -> Told {
        let subscription = self.running.listen(filter).await?;
        let acknowledged = json!(subscription.acknowledged());
        let hearer = self.running.service().clone();
        let following = tokio::spawn(follow(subscription, hearer)).abort_handle();
        if let Some(before) = self.following.replace(following) {
            before.abort();
        }
        Ok(json!({ "acknowledged": acknowledged }))
    }
}

async fn follow(mut subscription: Subscription, hearer: Hearer) {
    while let Ok(Some(notification)) = subscription.next().await {
        if let ServerNotification::ResourceUpdatedNotification(update) = notification {
            hearer.tell(News::Updated(update.params.uri));
        } else if let ServerNotification::ToolListChangedNotification(_) = notification {
            hearer.tell(News::ToolsChanged);
        }
    }
}

pub(crate) fn result_told(result: &CallToolResult) -> Value {
    json!({
        "isError": result.is_error.unwrap_or_default(),
        "text": texts(&json!(result), "/content", "/text"),
        "structured": result.structured_content,
        "meta": result.meta,
    })
}

/// The texts at `part` of each member of the list at `list`, one a line.
fn texts(value: &Value, list: &str, part: &str) -> String {
    let parts = value.pointer(list).and_then(Value::as_array).into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|one| one.pointer(part)?.as_str()).collect();
    texts.join("\n")
}

pub(crate) fn text<'a>(step: &'a Value, name: &str) -> Result<&'a str, Failure> {
    member(step, name).as_str().ok_or_else(|| Failure::plan(&format!("`{name}` is missing")))
}
