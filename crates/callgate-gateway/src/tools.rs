//! What a server offers: its tool definitions, each with its meaning, fetched when needed and kept for a while.
//!
//! The list is fetched with the server's own credential; what a caller sees of it is decided for each caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use callgate_mcp::http::HeaderValue;
use callgate_mcp::tool::ToolDefinition;
use callgate_mcp::upstream::{SessionKey, Upstream, UpstreamError};
use callgate_model::vocabulary::{Operation, Risk};
use tokio::sync::Mutex;

use crate::catalog::{self, ServerCatalog};
use crate::schema::ArgumentSchema;

/// How long a fetched list is good.
#[derive(Clone, Copy, Debug)]
pub struct ToolsLimits {
    /// Younger lists are used as they are.
    pub fresh: Duration,
    /// Older lists are not used, even if the server cannot be asked.
    pub stale_max: Duration,
    /// A list is not fetched again sooner, whatever is asked for.
    pub refetch_min: Duration,
}

impl Default for ToolsLimits {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(60),
            stale_max: Duration::from_secs(3600),
            refetch_min: Duration::from_secs(2),
        }
    }
}

/// One tool of a server.
#[derive(Debug)]
pub struct Tool {
    /// As the server defines it.
    pub definition: ToolDefinition,
    /// Its arguments. A tool whose schema cannot be used is not offered.
    pub schema: ArgumentSchema,
    /// What it can mean: one operation, or for a dispatcher each of its tier. Never empty.
    pub operations: Vec<(Arc<Operation>, Risk)>,
}

/// A server's tools at one time.
#[derive(Debug)]
pub struct ToolSet {
    /// The classified tools, in the server's order.
    pub tools: Vec<Arc<Tool>>,
    by_name: HashMap<String, usize>,
    unclassified: Vec<String>,
    fetched: Instant,
}

impl ToolSet {
    /// The tool `name`, if the server has it and a catalog knows it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Tool>> {
        self.by_name.get(name).and_then(|index| self.tools.get(*index))
    }

    /// Whether the server has the tool `name` but no catalog knows it.
    #[must_use]
    pub fn is_unclassified(&self, name: &str) -> bool {
        self.unclassified.iter().any(|unclassified| unclassified == name)
    }
}

/// The tools of one server, as last fetched.
#[derive(Debug, Default)]
pub struct Tools {
    limits: ToolsLimits,
    current: ArcSwapOption<ToolSet>,
    /// Held while fetching: callers that wait for it find what the first one fetched.
    fetching: Mutex<Option<Instant>>,
}

/// What fetching needs.
#[derive(Debug)]
pub struct Source<'a> {
    /// The server.
    pub upstream: &'a Upstream,
    /// What its tools mean.
    pub catalog: &'a ServerCatalog,
    /// The gateway's own upstream session.
    pub key: &'a SessionKey,
    /// The server's credential.
    pub credential: Option<&'a HeaderValue>,
}

impl Tools {
    /// Nothing fetched yet.
    #[must_use]
    pub fn new(limits: ToolsLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// A list young enough to be used, fetched if need be. With `wanted`, a list without that tool is fetched again
    /// before the tool is said not to exist.
    ///
    /// # Errors
    /// The server's fault, if it cannot be asked and no list is young enough.
    pub async fn get(
        &self,
        source: &Source<'_>,
        wanted: Option<&str>,
    ) -> Result<Arc<ToolSet>, UpstreamError> {
        if let Some(current) = self.current.load_full().filter(|set| self.serves(set, wanted)) {
            return Ok(current);
        }
        let mut last_tried = self.fetching.lock().await;
        let current = self.current.load_full();
        if let Some(current) = &current {
            let recently = last_tried.is_some_and(|at| at.elapsed() < self.limits.refetch_min);
            if self.serves(current, wanted)
                || (recently && current.fetched.elapsed() < self.limits.stale_max)
            {
                return Ok(Arc::clone(current));
            }
        }
        *last_tried = Some(Instant::now());
        match fetch(source).await {
            Ok(set) => {
                let set = Arc::new(set);
                self.current.store(Some(Arc::clone(&set)));
                Ok(set)
            }
            Err(error) => {
                current.filter(|set| set.fetched.elapsed() < self.limits.stale_max).ok_or(error)
            }
        }
    }

    fn serves(&self, set: &ToolSet, wanted: Option<&str>) -> bool {
        let has = wanted.is_none_or(|name| set.get(name).is_some() || set.is_unclassified(name));
        let age = set.fetched.elapsed();
        age < self.limits.fresh && (has || age < self.limits.refetch_min)
    }
}

async fn fetch(source: &Source<'_>) -> Result<ToolSet, UpstreamError> {
    let page = source.upstream.list_tools(source.key, source.credential).await?;
    for (name, why) in &page.refused {
        tracing::warn!(tool = name.as_str(), why = why.as_str(), "tool definition refused");
    }
    let mut set = ToolSet {
        tools: Vec::new(),
        by_name: HashMap::new(),
        unclassified: Vec::new(),
        fetched: Instant::now(),
    };
    for definition in page.tools {
        let name = definition.name.clone();
        match classify(definition, source.catalog) {
            Ok(Some(tool)) => {
                set.by_name.insert(name, set.tools.len());
                set.tools.push(Arc::new(tool));
            }
            Ok(None) => set.unclassified.push(name),
            Err(why) => {
                tracing::warn!(tool = name, why, "tool definition refused");
                set.unclassified.push(name);
            }
        }
    }
    Ok(set)
}

fn classify(definition: ToolDefinition, catalog: &ServerCatalog) -> Result<Option<Tool>, String> {
    let hints = &definition.annotations;
    let operations: Vec<_> = catalog
        .operations_of(&definition.name)
        .into_iter()
        .map(|(operation, risk)| {
            let risk = catalog::raise(&operation, risk, hints.destructive, hints.read_only);
            (operation, risk)
        })
        .collect();
    if operations.is_empty() {
        return Ok(None);
    }
    if let Some(why) = callgate_mcp::inbound::invalid_param_headers(&definition.input_schema) {
        return Err(why);
    }
    let schema =
        ArgumentSchema::compile(&definition.input_schema).map_err(|error| error.to_string())?;
    Ok(Some(Tool { definition, schema, operations }))
}
