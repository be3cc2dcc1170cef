//! From a tool and its arguments to a call whose meaning and targets are known.

use std::sync::Arc;

use callgate_model::call::ToolCall;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::reason::Reason;
use callgate_model::target::Target;
use callgate_model::vocabulary::Effect;

use crate::catalog::{self, Named, ServerCatalog};
use crate::server::Server;
use crate::tools::{Tool, ToolSet};

/// A refusal before any policy was asked: the reason, and what exactly was wrong, for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnameable {
    /// The reason.
    pub reason: Reason,
    /// The fault in the arguments, if that was it.
    pub detail: Option<String>,
}

impl From<Reason> for Unnameable {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None }
    }
}

/// A call and everything it touches.
#[derive(Debug)]
pub struct NamedCall {
    /// The call.
    pub call: ToolCall,
    /// What it touches. Never empty.
    pub targets: Vec<Target>,
}

/// Names a call of `tool`: dispatcher unwrapped, arguments checked, fields projected, targets located.
///
/// # Errors
/// [`Unnameable`] if the meaning is not certain.
pub fn name(
    server: &Server,
    set: &ToolSet,
    tool: &Tool,
    arguments: Object,
) -> Result<NamedCall, Unnameable> {
    let invalid = |detail| Unnameable { reason: Reason::ArgumentsInvalid, detail: Some(detail) };
    let definition = &tool.definition;
    let named = server.catalog.name(&definition.name, &arguments)?;
    let changes = named.operation.effect != Effect::Read;
    tool.schema.check(&arguments, changes).map_err(invalid)?;
    if let Some((inner, unwrapped)) = named.inner.as_deref().zip(named.unwrapped.as_ref())
        && let Some(inner) = set.get(inner)
    {
        inner.schema.check(unwrapped, changes).map_err(invalid)?;
    }
    let hints = &definition.annotations;
    let risk = if named.unwrapped.is_some() {
        named.risk
    } else {
        catalog::raise(&named.operation, named.risk, hints.destructive, hints.read_only)
    };
    let named = Named { risk, ..named };
    understand(&server.name, &server.catalog, named, &definition.name, definition.digest, arguments)
}

/// The call that `named` and `arguments` make, with what it touches.
///
/// # Errors
/// [`Unnameable`] if what it touches is contradictory or too much.
pub fn understand(
    server: &Arc<str>,
    catalog: &ServerCatalog,
    named: Named,
    tool: &str,
    definition: Digest,
    arguments: Object,
) -> Result<NamedCall, Unnameable> {
    let effective = named.unwrapped.as_ref().unwrap_or(&arguments);
    let targets = catalog.locate(&named, effective)?;
    let fields = catalog.fields(&named, effective);
    let call = ToolCall {
        server: Arc::clone(server),
        tool: tool.to_owned(),
        operation: Arc::clone(&named.operation),
        risk: named.risk,
        definition,
        arguments_digest: Digest::of_object(&arguments),
        unwrapped: named.unwrapped,
        arguments,
        fields,
    };
    Ok(NamedCall { call, targets })
}
