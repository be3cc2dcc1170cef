//! From a tool and its arguments, or a prompt or resource, to a call whose meaning and targets are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_mcp::message::Subject;
use callgate_model::call::{Method, ToolCall};
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::products::mcp::{self, Asking};
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Resource, Target, Unresolved};
use callgate_model::vocabulary::{Effect, Operation};

use crate::catalog::{self, Named, Seen, ServerCatalog};
use crate::locate::{LookedUp, Touched};
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
#[derive(Clone, Debug)]
pub struct NamedCall {
    /// The call.
    pub call: ToolCall,
    /// What it touches. Never empty.
    pub targets: Vec<Target>,
    /// The fields whose values only the server knows.
    pub looked_up: Vec<LookedUp>,
    /// The projects in a query that may be meant by their names.
    pub by_name: Vec<Resource>,
    /// Why a query has no bounds, for whoever wrote it.
    pub gap: Option<String>,
    /// What was seen of things that a change touches, when it was asked where they are.
    pub seen: Vec<(Resource, Seen)>,
}

impl NamedCall {
    /// A call of which all is known that there is to know.
    #[must_use]
    pub const fn plain(call: ToolCall, targets: Vec<Target>) -> Self {
        Self {
            call,
            targets,
            looked_up: Vec::new(),
            by_name: Vec::new(),
            gap: None,
            seen: Vec::new(),
        }
    }

    /// What of the call is not known, for whoever made it, if that is why it is denied.
    #[must_use]
    pub fn unknown(&self, decision: &Decision) -> Option<String> {
        if self.gap.is_some() {
            return self.gap.clone();
        }
        let is_why = decision.reasons.contains(&Reason::TargetUnresolved);
        let mut unresolved = self.targets.iter().filter_map(|target| match target {
            Target::Unresolved(unresolved) => Some(unresolved),
            Target::Located(_) => None,
        });
        let Unresolved { kind, obstacle, spelled, .. } = unresolved.next().filter(|_| is_why)?;
        let said = spelled.escape_debug();
        Some(match obstacle {
            Obstacle::Conflict => format!("what the call names twice differs: `{said}`"),
            Obstacle::Missing => {
                format!("nothing names the {kind}: an argument is missing, or no text")
            }
            Obstacle::OpaqueId => format!("where the {kind} `{said}` belongs is not known"),
            Obstacle::Query => format!("what the query finds is not known: `{said}`"),
            Obstacle::UnknownForm => format!("`{said}` is not certainly one {kind}"),
            Obstacle::UnknownSite => format!("`{said}` is no site that is configured"),
        })
    }
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
    let digest = Some(definition.digest);
    understand(&server.name, &server.catalog, named, &definition.name, digest, arguments)
}

/// What asking for `subject` means.
#[must_use]
pub fn operation_of<'a>(catalog: &'a ServerCatalog, subject: &Subject) -> &'a Arc<Operation> {
    match subject {
        Subject::Prompt(_) => mcp::get_prompt(),
        Subject::Resource(_) => catalog.read_resource(),
    }
}

/// Names a request of `method` for a prompt or a resource of `server`. Only what is read is a URI: what is completed is
/// a template.
///
/// # Errors
/// [`Unnameable`] if its name or URI cannot be one, or names too much.
pub fn name_subject(
    server: &Arc<str>,
    catalog: &ServerCatalog,
    method: Method,
    subject: &Subject,
    params: Object,
) -> Result<NamedCall, Unnameable> {
    let operation = operation_of(catalog, subject);
    let target = match subject {
        Subject::Prompt(name) => mcp::prompt(server, name),
        Subject::Resource(uri) => mcp::resource(server, uri),
    };
    let target = target.map_err(|detail| Unnameable {
        reason: Reason::ArgumentsInvalid,
        detail: Some(detail.to_owned()),
    })?;
    let (risk, targets) = match (method, subject) {
        (Method::CompletionComplete, _) => (operation.risk, vec![target]),
        (_, Subject::Prompt(name)) => match catalog.prompt(name) {
            None => (operation.risk, vec![target]),
            Some(rule) => {
                let form = Obstacle::UnknownForm;
                let touched =
                    Target::unresolved(&rule.touches, "", form, &format!("prompt {name}"));
                (operation.risk.max(rule.risk), vec![target, touched])
            }
        },
        (_, Subject::Resource(uri)) => catalog.locate_uri(target, uri)?,
    };
    let call = ToolCall {
        server: Arc::clone(server),
        method,
        tool: subject.name().to_owned(),
        operation: Arc::clone(operation),
        risk,
        definition: None,
        arguments_digest: Digest::of_object(&params),
        unwrapped: None,
        arguments: params,
        fields: BTreeMap::new(),
    };
    Ok(NamedCall::plain(call, targets))
}

/// That `server` asks the caller for something, with `params`.
#[must_use]
pub fn name_asking(server: &Arc<str>, asking: Asking, params: Object) -> NamedCall {
    let operation = asking.operation();
    let call = ToolCall {
        server: Arc::clone(server),
        method: asking.method(),
        tool: String::new(),
        operation: Arc::clone(operation),
        risk: operation.risk,
        definition: None,
        arguments_digest: Digest::of_object(&params),
        unwrapped: None,
        arguments: params,
        fields: BTreeMap::new(),
    };
    let targets = vec![Target::located(mcp::server(server), Vec::new())];
    NamedCall::plain(call, targets)
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
    definition: Option<Digest>,
    arguments: Object,
) -> Result<NamedCall, Unnameable> {
    let effective = named.unwrapped.as_ref().unwrap_or(&arguments);
    let Touched { targets, by_name, gap } = catalog.locate(&named, effective)?;
    let fields = catalog.fields(&named, effective);
    let looked_up = catalog.looked_up(&named, effective);
    let call = ToolCall {
        server: Arc::clone(server),
        method: Method::ToolsCall,
        tool: tool.to_owned(),
        operation: Arc::clone(&named.operation),
        risk: named.risk,
        definition,
        arguments_digest: Digest::of_object(&arguments),
        unwrapped: named.unwrapped,
        arguments,
        fields,
    };
    Ok(NamedCall { call, targets, looked_up, by_name, gap, seen: Vec::new() })
}
