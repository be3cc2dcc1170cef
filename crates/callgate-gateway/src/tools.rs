//! What a server can do: its tool definitions, each with its meaning.
//!
//! The list is fetched with the gateway's own credential, in nobody's name; what a caller sees of it is decided for each caller.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_mcp::tool::ToolDefinition;
use callgate_model::vocabulary::{Operation, Risk};

use crate::catalog::{self, ServerCatalog};
use crate::kept::ListError;
use crate::schema::ArgumentSchema;
use crate::server::Server;

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
    /// What cannot be called because no catalog knows it, or because of how it is defined.
    pub unclassified: Vec<Unclassified>,
    /// Names of what is no tool, and why.
    pub refused: Vec<(String, String)>,
    by_name: HashMap<String, usize>,
}

/// A tool that cannot be called.
#[derive(Debug)]
pub struct Unclassified {
    /// As the server defines it.
    pub definition: ToolDefinition,
    /// What is wrong with its definition; if nothing is, no catalog knows it.
    pub why: Option<String>,
}

impl ToolSet {
    /// The tool `name`, if the server has it and a catalog knows it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Tool>> {
        self.by_name.get(name).and_then(|index| self.tools.get(*index))
    }

    /// Whether the server has the tool `name`, whatever catalogs know.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || self.is_unclassified(name)
    }

    /// Whether the server has the tool `name` but no catalog knows it.
    #[must_use]
    pub fn is_unclassified(&self, name: &str) -> bool {
        self.unclassified.iter().any(|one| one.definition.name == name)
    }
}

/// Fetches the tools of `server`.
///
/// # Errors
/// The server's fault, if it cannot be asked.
pub(crate) async fn fetch(server: &Server) -> Result<ToolSet, ListError> {
    let presented = server.broker.for_gateway().await?;
    let page = server.upstream.list_tools(&server.own_key, presented.header()).await;
    let page = page.inspect_err(|error| presented.listed(error))?;
    for (name, why) in &page.refused {
        tracing::warn!(tool = name.as_str(), why = why.as_str(), "tool definition refused");
    }
    let mut set = ToolSet {
        tools: Vec::new(),
        unclassified: Vec::new(),
        refused: page.refused,
        by_name: HashMap::new(),
    };
    for definition in page.tools {
        match classify(definition, &server.catalog) {
            Ok(tool) => {
                set.by_name.insert(tool.definition.name.clone(), set.tools.len());
                set.tools.push(Arc::new(tool));
            }
            Err(one) => {
                if let Some(why) = &one.why {
                    tracing::warn!(tool = one.definition.name, why, "tool definition refused");
                }
                set.unclassified.push(*one);
            }
        }
    }
    Ok(set)
}

fn classify(
    definition: ToolDefinition,
    catalog: &ServerCatalog,
) -> Result<Tool, Box<Unclassified>> {
    let hints = &definition.annotations;
    let operations: Vec<_> = catalog
        .operations_of(&definition.name)
        .into_iter()
        .map(|(operation, risk)| {
            let risk = catalog::raise(&operation, risk, hints.destructive, hints.read_only);
            (operation, risk)
        })
        .collect();
    let schema = if operations.is_empty() { Err(None) } else { schema(&definition).map_err(Some) };
    match schema {
        Ok(schema) => Ok(Tool { definition, schema, operations }),
        Err(why) => Err(Box::new(Unclassified { definition, why })),
    }
}

fn schema(definition: &ToolDefinition) -> Result<ArgumentSchema, String> {
    match callgate_mcp::inbound::invalid_param_headers(&definition.input_schema) {
        Some(why) => Err(why),
        None => {
            ArgumentSchema::compile(&definition.input_schema).map_err(|error| error.to_string())
        }
    }
}
