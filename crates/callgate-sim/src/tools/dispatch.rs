//! From the name in `tools/call` to the operation: what is listed, what can be called, and the three dispatchers
//! that hide most operations.

use serde_json::{Map, Value, json};

use super::{Inputs, Kind, Param, Tier, Tool, ToolResult, all, optional, required, schema};
use crate::site::Site;

const TIERS: [Tier; 3] = [Tier::Read, Tier::Write, Tier::Destructive];

const DISPATCH: &[Param] = &[
    required("name", Kind::Text, "The operation to run, as discover names it."),
    optional("cloudId", Kind::Text, "UUID of the site, or its URL; for operations that need one."),
    optional("inputs", Kind::Object, "The operation's own arguments."),
];

const DISCOVER: &[Param] = &[required("query", Kind::Text, "What you want to do.")];

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Call {
    /// The operation that ran, or was meant.
    pub(crate) operation: String,
    pub(crate) result: ToolResult,
}

/// The definitions that `tools/list` shows: every operation, or the primary ones and the way to the others.
pub(crate) fn listed(flat: bool) -> Vec<Value> {
    let mut tools: Vec<Value> =
        all().filter(|tool| flat || tool.primary).map(Tool::definition).collect();
    if !flat {
        tools.push(definition("discover", "Find operations that are not listed here.", DISCOVER));
        tools.extend(TIERS.map(|tier| {
            let about = match tier {
                Tier::Read => "Run an operation that only reads.",
                Tier::Write => "Run an operation that creates or updates.",
                Tier::Destructive => "Run an operation that deletes or cannot be undone.",
            };
            definition(tier.dispatcher(), about, DISPATCH)
        }));
    }
    tools
}

fn definition(name: &str, about: &str, params: &[Param]) -> Value {
    json!({ "name": name, "description": about, "inputSchema": schema(params) })
}

/// The tier of an operation.
#[cfg(test)]
pub(crate) fn tier(name: &str) -> Option<Tier> {
    all().find(|tool| tool.name == name).map(|tool| tool.tier)
}

/// Runs `name`, or says that there is no such tool. Callable is what [`listed`] shows.
pub(crate) fn run(
    site: &mut Site,
    flat: bool,
    name: &str,
    arguments: Map<String, Value>,
) -> Option<Call> {
    if let Some(tool) = all().find(|tool| tool.name == name && (flat || tool.primary)) {
        return Some(Call { operation: name.to_owned(), result: tool.call(site, arguments) });
    }
    if flat {
        return None;
    }
    if name == "discover" {
        let result = Inputs::check(DISCOVER, arguments).map(|inputs| discover(&inputs));
        return Some(Call { operation: name.to_owned(), result });
    }
    let tier = TIERS.into_iter().find(|tier| tier.dispatcher() == name)?;
    Some(dispatch(site, tier, arguments))
}

fn dispatch(site: &mut Site, tier: Tier, arguments: Map<String, Value>) -> Call {
    let dispatcher = tier.dispatcher();
    let refuse =
        |operation: &str, text: String| Call { operation: operation.to_owned(), result: Err(text) };
    let outer = match Inputs::check(DISPATCH, arguments) {
        Ok(outer) => outer,
        Err(text) => return refuse(dispatcher, text),
    };
    let name = outer.text("name");
    let Some(tool) = all().find(|tool| tool.name == name) else {
        return refuse(
            dispatcher,
            format!("Unknown operation '{name}'. Use discover to find one."),
        );
    };
    if tool.tier != tier {
        let right = tool.tier.dispatcher();
        return refuse(name, format!("'{name}' cannot be run by {dispatcher}. Use {right}."));
    }
    let mut inputs = outer.object("inputs").cloned().unwrap_or_default();
    // What stands in `inputs` wins over what stands beside it; operations without a site ignore both.
    if let Some(cloud_id) = outer.optional("cloudId")
        && tool.params.iter().any(|param| param.name == "cloudId")
    {
        inputs.entry("cloudId").or_insert_with(|| cloud_id.into());
    }
    Call { operation: name.to_owned(), result: tool.call(site, inputs) }
}

impl Tool {
    fn call(&self, site: &mut Site, arguments: Map<String, Value>) -> ToolResult {
        let inputs = Inputs::check(self.params, arguments)?;
        if let Some(cloud_id) = inputs.optional("cloudId")
            && !site.is_named_by(cloud_id)
        {
            return Err(format!("Cloud id '{cloud_id}' isn't explicitly granted by the user."));
        }
        (self.run)(site, &inputs)
    }
}

fn discover(inputs: &Inputs) -> Value {
    let query = inputs.text("query").to_lowercase();
    let wanted: Vec<&str> = query.split_whitespace().collect();
    let found: Vec<Value> = all()
        .filter(|tool| {
            let text = format!("{} {}", tool.name, tool.about).to_lowercase();
            wanted.iter().any(|word| text.contains(word))
        })
        .map(|tool| {
            json!({
                "name": tool.name,
                "executeWith": tool.tier.dispatcher(),
                "description": tool.about,
                "inputSchema": schema(tool.params),
            })
        })
        .collect();
    json!({ "operations": found })
}
