//! The half of the client that the server speaks to: it notes what it hears and answers with what the plan has.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::ErrorData;
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationCapability, FormElicitationCapability,
    Implementation, InputRequest, ListRootsResult, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProtocolVersion, ResourceUpdatedNotificationParam, Root,
    RootsCapabilities, SamplingCapability, SamplingMessage, TASKS_EXTENSION_ID,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::member;

/// What is heard at any time.
#[derive(Debug)]
pub(crate) enum News {
    ToolsChanged,
    Updated(String),
}

/// What is heard during one step.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) progress: Vec<f64>,
    pub(crate) log: Vec<Value>,
    pub(crate) asked: Vec<Value>,
}

#[derive(Clone)]
pub(crate) struct Hearer {
    answers: Value,
    tasks: bool,
    version: ProtocolVersion,
    heard: Arc<Mutex<Heard>>,
    news: UnboundedSender<News>,
}

impl Hearer {
    pub(crate) fn new(plan: &Value, version: ProtocolVersion, news: UnboundedSender<News>) -> Self {
        let (answers, tasks) = (member(plan, "answers").clone(), member(plan, "tasks") == true);
        Self { answers, tasks, version, heard: Arc::default(), news }
    }

    /// What was heard since this was last asked.
    pub(crate) fn take(&self) -> Heard {
        mem::take(&mut *self.heard())
    }

    pub(crate) fn tell(&self, news: News) {
        // Nobody waits for news once the plan is done.
        self.news.send(news).unwrap_or_default();
    }

    /// The answer to what a server wants to know before it goes on.
    pub(crate) fn answer(&self, question: InputRequest) -> Result<Value, ErrorData> {
        let answer = match question {
            InputRequest::Elicitation(request) => json!(self.elicited(&request.params)?),
            InputRequest::CreateMessage(request) => json!(self.sampled(&request.params)?),
            InputRequest::ListRoots(_) => json!(self.roots()?),
            other => return Err(ErrorData::invalid_params(format!("what is {other:?}?"), None)),
        };
        Ok(answer)
    }

    fn elicited(&self, params: &ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        self.asked(json!({ "elicitation": params }));
        serde_json::from_value(self.given("elicitation")?).map_err(|error| wrong(&error))
    }

    fn sampled(
        &self,
        params: &CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.asked(json!({ "sampling": params.messages }));
        let text: String =
            serde_json::from_value(self.given("sampling")?).map_err(|error| wrong(&error))?;
        let message = SamplingMessage::assistant_text(text);
        Ok(CreateMessageResult::new(message, "a model".to_owned()))
    }

    fn roots(&self) -> Result<ListRootsResult, ErrorData> {
        self.asked(json!({ "roots": {} }));
        let uris: Vec<String> =
            serde_json::from_value(self.given("roots")?).map_err(|error| wrong(&error))?;
        Ok(ListRootsResult::new(uris.into_iter().map(Root::new).collect()))
    }

    fn given(&self, name: &str) -> Result<Value, ErrorData> {
        let given = self.answers.get(name).cloned();
        given.ok_or_else(|| ErrorData::invalid_params(format!("nobody gives {name}"), None))
    }

    fn asked(&self, question: Value) {
        self.heard().asked.push(question);
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capabilities(&self) -> ClientCapabilities {
        let mut capabilities = ClientCapabilities::default();
        if self.answers.get("elicitation").is_some() {
            let form = FormElicitationCapability::new();
            capabilities.elicitation = Some(ElicitationCapability::new().with_form(form));
        }
        capabilities.sampling = self.answers.get("sampling").map(|_| SamplingCapability::default());
        capabilities.roots = self.answers.get("roots").map(|_| RootsCapabilities::default());
        if self.tasks {
            let tasks = (TASKS_EXTENSION_ID.to_owned(), serde_json::Map::new());
            capabilities.extensions = Some([tasks].into());
        }
        capabilities
    }
}

impl ClientHandler for Hearer {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(self.capabilities(), Implementation::new("callgate-drive", "1.0.0"))
            .with_protocol_version(self.version.clone())
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.elicited(&request)
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.sampled(&params)
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        self.roots()
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.heard().progress.push(params.progress);
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.heard().log.push(json!({ "level": params.level, "data": params.data }));
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.tell(News::Updated(params.uri));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tell(News::ToolsChanged);
    }
}

/// The plan has an answer of the wrong kind.
fn wrong(error: &serde_json::Error) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
