//! One call after strict parsing, with its meaning: a `tools/call`, or a request for a prompt or a resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::Digest;
use crate::envelope::Action;
use crate::json::Object;
use crate::vocabulary::{FieldValue, Operation, Risk};

/// A method whose requests are decided one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// What is asked of the gateway itself, by its API.
    Api,
    /// Possible values of an argument.
    CompletionComplete,
    /// What a server asks a person for, through the client.
    ElicitationCreate,
    /// One prompt.
    PromptsGet,
    /// One resource.
    ResourcesRead,
    /// To be told when one resource changes.
    ResourcesSubscribe,
    /// The folders that the client works in, which a server asks for.
    RootsList,
    /// What a server asks the client's model.
    SamplingCreateMessage,
    /// To give up a task that a server made of a call.
    TasksCancel,
    /// How far a task is, and its end.
    TasksGet,
    /// What answers the questions of a task.
    TasksUpdate,
    /// One call of a tool.
    ToolsCall,
}

impl Method {
    /// Whether it is about a task, which is there because another call was let through.
    #[must_use]
    pub const fn is_about_task(self) -> bool {
        matches!(self, Self::TasksCancel | Self::TasksGet | Self::TasksUpdate)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::CompletionComplete => "completion/complete",
            Self::ElicitationCreate => "elicitation/create",
            Self::PromptsGet => "prompts/get",
            Self::ResourcesRead => "resources/read",
            Self::ResourcesSubscribe => "resources/subscribe",
            Self::RootsList => "roots/list",
            Self::SamplingCreateMessage => "sampling/createMessage",
            Self::TasksCancel => "tasks/cancel",
            Self::TasksGet => "tasks/get",
            Self::TasksUpdate => "tasks/update",
            Self::ToolsCall => "tools/call",
        }
    }
}

/// A call whose operation is known. What is sent upstream is `arguments`, as they are; what is decided is `effective`,
/// which is the same, or what a dispatcher tool wraps.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The configured name of the server.
    pub server: Arc<str>,
    /// What kind of request it is.
    pub method: Method,
    /// The tool as the client called it; or the name of the prompt, or the URI of the resource.
    pub tool: String,
    /// What it means.
    pub operation: Arc<Operation>,
    /// The operation's risk, or more if the tool, or its annotations, raise it.
    pub risk: Risk,
    /// The digest of the tool's whole definition, as the server gave it. Prompts and resources have none.
    pub definition: Option<Digest>,
    /// The arguments as called. Of any other method than `tools/call`, all its parameters: what is sent.
    pub arguments: Object,
    /// The arguments of the operation, if a dispatcher wrapped them.
    pub unwrapped: Option<Object>,
    /// The digest of `arguments`.
    pub arguments_digest: Digest,
    /// The projected fields, every one that the operation has.
    pub fields: BTreeMap<String, FieldValue>,
}

impl ToolCall {
    /// What is done, as scopes and grants know it.
    #[must_use]
    pub fn action(&self) -> Action<'_> {
        let (operation, effect) = (self.operation.name.as_str(), self.operation.effect);
        Action { server: &self.server, operation, effect, risk: self.risk }
    }

    /// The arguments of the operation itself.
    #[must_use]
    pub fn effective(&self) -> &Object {
        self.unwrapped.as_ref().unwrap_or(&self.arguments)
    }
}
