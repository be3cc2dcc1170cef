//! The tools: names, tiers, argument names and schemas as Rovo v2 has them, and what each does to the site.
//!
//! A tool is one row of a table. Its schema and the check of its arguments come from the same parameter list, so
//! they cannot disagree.

mod bitbucket;
mod confluence;
mod dispatch;
mod jira;
mod kept;
mod platform;

#[cfg(test)]
pub(crate) use dispatch::tier;
pub(crate) use dispatch::{listed, run};

use serde_json::{Map, Value, json};

use crate::site::Site;

/// What a tool answers: JSON for the model, or the text of a tool error.
pub(crate) type ToolResult = Result<Value, String>;

/// Which dispatcher runs a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Read,
    Write,
    Destructive,
}

impl Tier {
    pub(crate) const fn dispatcher(self) -> &'static str {
        match self {
            Self::Read => "executeRead",
            Self::Write => "executeWrite",
            Self::Destructive => "executeDestructive",
        }
    }
}

/// One tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    name: &'static str,
    tier: Tier,
    /// Listed without `?tools=all`.
    primary: bool,
    about: &'static str,
    params: &'static [Param],
    run: Run,
}

/// What a tool does to the site.
type Run = fn(&mut Site, &Inputs) -> ToolResult;

type Params = &'static [Param];

const fn read(name: &'static str, about: &'static str, params: Params, run: Run) -> Tool {
    Tool { name, tier: Tier::Read, primary: false, about, params, run }
}

const fn write(name: &'static str, about: &'static str, params: Params, run: Run) -> Tool {
    Tool { name, tier: Tier::Write, primary: false, about, params, run }
}

const fn destroy(name: &'static str, about: &'static str, params: Params, run: Run) -> Tool {
    Tool { name, tier: Tier::Destructive, primary: false, about, params, run }
}

const fn primary(tool: Tool) -> Tool {
    Tool { primary: true, ..tool }
}

/// One argument of a tool.
#[derive(Debug)]
pub(crate) struct Param {
    name: &'static str,
    kind: Kind,
    required: bool,
    about: &'static str,
}

/// The type of an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Integer,
    Flag,
    Texts,
    Object,
    Choice(&'static [&'static str]),
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, required: true, about }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, required: false, about }
}

const CLOUD_ID: Param = required(
    "cloudId",
    Kind::Text,
    "UUID of the site, or its Jira or Confluence URL. Never resolved silently.",
);

/// Every operation, in the order it is listed.
fn all() -> impl Iterator<Item = &'static Tool> {
    let products = [jira::TOOLS, confluence::TOOLS, bitbucket::TOOLS, platform::TOOLS];
    products.into_iter().flatten().copied().flatten()
}

impl Tool {
    fn definition(&self) -> Value {
        json!({ "name": self.name, "description": self.about, "inputSchema": schema(self.params) })
    }
}

fn schema(params: &[Param]) -> Value {
    let properties: Map<String, Value> =
        params.iter().map(|param| (param.name.to_owned(), param.schema())).collect();
    let required: Vec<&str> =
        params.iter().filter(|param| param.required).map(|param| param.name).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

impl Param {
    fn schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Integer => json!({ "type": "integer" }),
            Kind::Flag => json!({ "type": "boolean" }),
            Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Object => json!({ "type": "object" }),
            Kind::Choice(values) => json!({ "type": "string", "enum": values }),
        };
        if let Some(members) = schema.as_object_mut() {
            members.insert("description".to_owned(), self.about.into());
        }
        schema
    }

    fn accepts(&self, value: &Value) -> bool {
        match self.kind {
            Kind::Text => value.is_string(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Flag => value.is_boolean(),
            Kind::Texts => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
            Kind::Object => value.is_object(),
            Kind::Choice(values) => value.as_str().is_some_and(|text| values.contains(&text)),
        }
    }
}

/// Arguments that fit their parameter list.
#[derive(Debug)]
pub(crate) struct Inputs(Map<String, Value>);

impl Inputs {
    fn check(params: &[Param], given: Map<String, Value>) -> Result<Self, String> {
        for (name, value) in &given {
            match params.iter().find(|param| param.name == name) {
                None => return Err(format!("Invalid arguments: unrecognized key '{name}'.")),
                Some(param) if !param.accepts(value) => {
                    return Err(format!("Invalid arguments: '{name}' has the wrong type."));
                }
                Some(_) => {}
            }
        }
        let missing = params.iter().find(|param| param.required && !given.contains_key(param.name));
        match missing {
            Some(param) => Err(format!("Invalid arguments: '{}' is required.", param.name)),
            None => Ok(Self(given)),
        }
    }

    /// The text `name`; empty if it is optional and was not given.
    fn text(&self, name: &str) -> &str {
        self.optional(name).unwrap_or_default()
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn integer(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.0.get(name).map(texts_of)
    }

    /// The first of these texts that was given.
    fn first(&self, names: &[&str]) -> Result<&str, String> {
        let found = names.iter().find_map(|name| self.optional(name));
        found.ok_or_else(|| format!("Invalid arguments: give one of {}.", names.join(", ")))
    }

    /// The arguments of these names that were given.
    fn pick(&self, names: &[&str]) -> Map<String, Value> {
        let given = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        given.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name).and_then(Value::as_object)
    }
}

/// The strings of an array.
fn texts_of(value: &Value) -> Vec<String> {
    let elements = value.as_array().into_iter().flatten();
    elements.filter_map(Value::as_str).map(str::to_owned).collect()
}
