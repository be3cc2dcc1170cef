//! Decisions without a call: `explain` and decision cases. They go the same way as a call (name, locate, decide), but
//! ask no server: arguments are not checked against its schema, and its annotations raise no risk.

mod supposed;

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_mcp::message::Subject;
use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::{Grant, Holder};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::envelope::Portion;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use callgate_policy::{Bundle, Explanation, PreparedCaller, Question, decide, explain};
use serde::Deserialize;

use crate::catalog::ServerCatalog;
use crate::identity::ChainSpec;
use crate::name::{NamedCall, Unnameable, name_subject, understand};

pub use supposed::{OneOrMore, Supposed};

/// A call that nobody makes.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Who would ask.
    pub caller: ChainSpec,
    /// The server's configured name.
    pub server: String,
    /// What would be asked for.
    pub asked: Asked,
    /// The grant that would cover it, if one would.
    pub grant: Option<GrantSpec>,
    /// What the server would say where it would be asked.
    pub supposed: Supposed,
}

/// What policies see of a grant, as people write it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantSpec {
    /// Who gave it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The ticket that asks for it.
    pub ticket: Option<String>,
}

impl GrantSpec {
    fn to_grant(&self, now: Timestamp) -> Grant {
        Grant {
            id: Id::new(now, [0; 16]),
            holder: Holder::default(),
            scope: Portion::default(),
            begins: now,
            ends: now,
            uses: 1,
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            by: self.by.clone(),
            issued: now,
            lifts: None,
        }
    }
}

/// What a call that nobody makes would ask for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A prompt or a resource.
    Subject(Subject),
    /// A call of this tool with these arguments.
    Tool(String, Object),
}

impl Asked {
    /// What is named: one of the three.
    ///
    /// # Errors
    /// If it is not one of them, or a prompt or resource is given arguments, which nothing is decided by.
    pub fn one_of(
        tool: Option<String>,
        resource: Option<String>,
        prompt: Option<String>,
        arguments: Object,
    ) -> Result<Self, String> {
        match (tool, resource, prompt) {
            (Some(tool), None, None) => Ok(Self::Tool(tool, arguments)),
            (None, Some(_), None) | (None, None, Some(_)) if !arguments.is_empty() => {
                Err("`arguments` are those of a `tool`".to_owned())
            }
            (None, Some(uri), None) => Ok(Self::Subject(Subject::Resource(uri))),
            (None, None, Some(name)) => Ok(Self::Subject(Subject::Prompt(name))),
            (None | Some(_), None | Some(_), None | Some(_)) => {
                Err("write one of `tool`, `resource` and `prompt`".to_owned())
            }
        }
    }

    /// The tool, the URI or the prompt's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Subject(subject) => subject.name(),
            Self::Tool(name, _) => name,
        }
    }
}

/// Why a rehearsal could not be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RehearsalError {
    /// The chain is not one.
    #[error("the caller is not a chain: {0}")]
    Caller(String),
    /// There is no such server.
    #[error("there is no server `{0}` in the configuration")]
    Server(String),
    /// What is supposed makes no sense.
    #[error("what is supposed to be found: {0}")]
    Supposed(String),
}

/// What a call was understood to be.
#[derive(Debug)]
pub enum Rehearsed {
    /// It was decided by policy.
    Explained(Box<NamedCall>, Box<Explanation>),
    /// It would be refused before any policy is asked.
    Refused(Reason),
}

impl Rehearsed {
    /// The decision.
    #[must_use]
    pub fn decision(&self, bundle: &Bundle) -> Decision {
        match self {
            Self::Explained(_, explanation) => explanation.decision.clone(),
            Self::Refused(reason) => Decision::deny(*reason, bundle.digest()),
        }
    }
}

/// Explains what would be decided.
///
/// # Errors
/// [`RehearsalError`] if the question makes no sense.
pub fn rehearse(
    catalogs: &BTreeMap<String, ServerCatalog>,
    bundle: &Bundle,
    rehearsal: &Rehearsal,
    now: Timestamp,
) -> Result<Rehearsed, RehearsalError> {
    let caller = rehearsal.caller.to_caller(Digest::default()).map_err(RehearsalError::Caller)?;
    let caller = PreparedCaller::new(caller);
    let catalog = catalogs
        .get(&rehearsal.server)
        .ok_or_else(|| RehearsalError::Server(rehearsal.server.clone()))?;
    let mut named = match named(catalog, rehearsal) {
        Ok(named) => named,
        Err(unnameable) => return Ok(Rehearsed::Refused(unnameable.reason)),
    };
    let settled = rehearsal.supposed.settle(&mut named, catalog, bundle);
    settled.map_err(RehearsalError::Supposed)?;
    let grant = rehearsal.grant.as_ref().map(|grant| grant.to_grant(now));
    let question = Question {
        caller: &caller,
        call: &named.call,
        targets: &named.targets,
        now,
        grant: grant.as_ref(),
        lifted: &[],
    };
    let explanation = explain(bundle, &question);
    debug_assert_eq!(explanation.decision, decide(bundle, &question));
    Ok(Rehearsed::Explained(Box::new(named), Box::new(explanation)))
}

fn named(catalog: &ServerCatalog, rehearsal: &Rehearsal) -> Result<NamedCall, Unnameable> {
    let server: Arc<str> = rehearsal.server.as_str().into();
    match &rehearsal.asked {
        Asked::Tool(tool, arguments) => {
            let named = catalog.name(tool, arguments)?;
            understand(&server, catalog, named, tool, None, arguments.clone())
        }
        Asked::Subject(subject) => {
            let method = match subject {
                Subject::Prompt(_) => Method::PromptsGet,
                Subject::Resource(_) => Method::ResourcesRead,
            };
            name_subject(&server, catalog, method, subject, Object::default())
        }
    }
}

/// A file of decision cases, as users write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// Callers by a name of the file's own.
    #[serde(default, rename = "caller")]
    pub callers: BTreeMap<String, ChainSpec>,
    /// The cases.
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
}

/// What must be decided about a call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The name of a caller in the same file.
    pub caller: String,
    /// The server's configured name.
    pub server: String,
    /// The tool.
    pub tool: Option<String>,
    /// Or the URI of a resource.
    pub resource: Option<String>,
    /// Or the name of a prompt.
    pub prompt: Option<String>,
    /// The arguments of the tool.
    #[serde(default)]
    pub arguments: toml::Table,
    /// The grant that covers the call, if one does.
    pub grant: Option<GrantSpec>,
    /// What the server would say of where things belong.
    #[serde(default)]
    pub found: BTreeMap<String, OneOrMore>,
    /// What the server would say of fields that are asked for.
    #[serde(default)]
    pub looked_up: BTreeMap<String, String>,
    /// `allow`, `deny` or `approval_required`.
    pub want: String,
    /// The reason codes, all of them; not compared if left out.
    pub reasons: Option<Vec<String>>,
    /// The ids of the policies that determine it, all of them; not compared if left out.
    pub policies: Option<Vec<String>>,
}

/// Runs one case.
///
/// # Errors
/// What is different from what is wanted.
pub fn run_case(
    catalogs: &BTreeMap<String, ServerCatalog>,
    bundle: &Bundle,
    file: &CaseFile,
    case: &Case,
    now: Timestamp,
) -> Result<(), String> {
    let caller = file
        .callers
        .get(&case.caller)
        .ok_or_else(|| format!("there is no caller `{}` in this file", case.caller))?;
    let rehearsal = Rehearsal {
        caller: caller.clone(),
        server: case.server.clone(),
        asked: Asked::one_of(
            case.tool.clone(),
            case.resource.clone(),
            case.prompt.clone(),
            arguments_of(&case.arguments)?,
        )?,
        grant: case.grant.clone(),
        supposed: Supposed { found: case.found.clone(), looked_up: case.looked_up.clone() },
    };
    let rehearsed =
        rehearse(catalogs, bundle, &rehearsal, now).map_err(|error| error.to_string())?;
    let decision = rehearsed.decision(bundle);
    let codes: Vec<String> = decision.codes().map(str::to_owned).collect();
    let policies: Vec<String> = decision.policies.iter().map(|policy| policy.id.clone()).collect();
    let got = format!("{} {codes:?} by {policies:?}", decision.verdict.as_str());
    let differs = |wanted: &Option<Vec<String>>, got: &[String]| {
        wanted.as_ref().is_some_and(|wanted| {
            let mut wanted = wanted.clone();
            wanted.sort();
            let mut got = got.to_vec();
            got.sort();
            wanted != got
        })
    };
    if decision.verdict.as_str() != case.want {
        return Err(format!("wanted {}, got {got}", case.want));
    }
    if differs(&case.reasons, &codes) || differs(&case.policies, &policies) {
        return Err(format!("wanted {:?} by {:?}, got {got}", case.reasons, case.policies));
    }
    Ok(())
}

fn arguments_of(table: &toml::Table) -> Result<Object, String> {
    let value = serde_json::to_value(table).map_err(|error| error.to_string())?;
    match Json::from(value) {
        Json::Object(object) => Ok(object),
        Json::Array(_) | Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => {
            Err("the arguments are not a table".to_owned())
        }
    }
}
