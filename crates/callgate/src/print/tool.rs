//! Tools in words: the same on the command line and in the console. Texts are as servers wrote them: whoever shows them makes
//! them safe.

use callgate_gateway::pin::{ApprovedBy, Standing};
use callgate_gateway::server::Server;
use callgate_gateway::tools::{Tool, ToolSet, Unclassified};
use callgate_mcp::tool::ToolDefinition;
use callgate_model::authority::ToolPin;
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_model::vocabulary::{Effect, Risk};

/// What comes before the tools of `server`.
pub(crate) fn heading(server: &Server, set: &ToolSet) -> Vec<String> {
    let catalog = &server.catalog;
    let by = match server.tools_approved_by() {
        ApprovedBy::Operator => "an operator approves each tool",
        ApprovedBy::FirstUse => "tools are approved by their first use",
        ApprovedBy::Nobody => "tools need no approval",
    };
    let count = set.tools.len() + set.unclassified.len() + set.refused.len();
    let (name, version) = (catalog.catalog_name(), &catalog.about().version);
    vec![format!("{}: {count} tools, catalog {name} {version}; {by}", server.name)]
}

/// A tool on one line.
pub(crate) fn line(server: &Server, tool: &Tool, standing: Standing) -> String {
    let name = &tool.definition.name;
    let standing = shown_standing(server, standing);
    if let Some(effects) = server.catalog.dispatches(name) {
        let effects = effects.iter().map(|effect| effect.as_str()).collect::<Vec<_>>().join(", ");
        let count = tool.operations.len();
        return format!("  {standing:<12} {name:<40} runs {count} operations: {effects}");
    }
    let Some((operation, risk)) = tool.operations.first() else { return String::new() };
    format!(
        "  {standing:<12} {name:<40} {:<34} {:<6} {:<8} {:<12} {}",
        operation.name,
        operation.effect.as_str(),
        risk.as_str(),
        operation.reversibility.as_str(),
        operation.targets.join(", ")
    )
}

pub(crate) fn unclassified_line(one: &Unclassified) -> String {
    let why = one.why.as_deref().unwrap_or("no catalog knows it: refused");
    format!("  {:<12} {:<40} {why}", "unclassified", one.definition.name)
}

pub(crate) fn refused_line((name, why): &(String, String)) -> String {
    format!("  {:<12} {name:<40} {why}", "refused")
}

/// How it stands, in a word.
pub(crate) fn shown_standing(server: &Server, standing: Standing) -> &'static str {
    match server.tools_approved_by() {
        ApprovedBy::Nobody => "trusted",
        ApprovedBy::Operator | ApprovedBy::FirstUse => standing.as_str(),
    }
}

/// Everything about one tool but its definition: the name of each fact, if it is another one than before, and the fact.
pub(crate) fn facts(
    server: &Server,
    tool: &Tool,
    standing: Standing,
    pin: Option<&ToolPin>,
) -> Vec<(&'static str, String)> {
    let (definition, catalog) = (&tool.definition, &server.catalog);
    let mut facts = Vec::new();
    let mut say = |name: &'static str, text: String| facts.push((name, text));
    let when = pin.map_or(String::new(), |pin| format!(", since {}", pin.at));
    say("standing", format!("{}{when}", shown_standing(server, standing)));
    say("digest", definition.digest.to_string());
    if let Some(rule) = catalog.rule(&definition.name) {
        say("operation", format!("{}: {}", rule.operation.name, rule.operation.title));
        say("effect", rule.operation.effect.as_str().to_owned());
        say("risk", risk(rule.risk, tool));
        say("reversibility", rule.operation.reversibility.as_str().to_owned());
        say("classified by", rule.by.clone());
        let compared = catalog.about().verified.as_ref();
        compared.into_iter().for_each(|with| say("compared with", with.clone()));
        rule.why.iter().for_each(|why| say("because", why.clone()));
        for target in &rule.targets {
            say("target", target.to_string());
        }
        for (name, field) in &rule.fields {
            let paths: Vec<String> = field.paths.iter().map(ToString::to_string).collect();
            say("field", format!("{name} at {}", paths.join(", ")));
        }
    } else if let Some(effects) = catalog.dispatches(&definition.name) {
        let effects: Vec<&str> = effects.iter().map(|effect: &Effect| effect.as_str()).collect();
        say("runs", format!("operations that {}", effects.join(", ")));
        for (operation, risk) in &tool.operations {
            say("", format!("{} ({})", operation.name, risk.as_str()));
        }
    }
    for (name, hint) in hints(tool) {
        say("server's hint", format!("{name}: {hint} (not trusted; it can only raise the risk)"));
    }
    facts
}

/// What the server says that a tool does.
pub(crate) fn description(definition: &ToolDefinition) -> &str {
    definition.definition.get("description").and_then(Json::as_str).unwrap_or("nothing")
}

/// The definition that was approved.
pub(crate) fn as_approved(pin: &ToolPin) -> Json {
    let limits = JsonLimits { bytes_max: 16 << 20, nodes_max: 1 << 20, ..JsonLimits::default() };
    read(pin.definition.as_bytes(), &limits).unwrap_or(Json::Null)
}

/// What comes before proposals for tools of `server`, so that all of it is a catalog.
pub(crate) fn above_proposals(server: &Server) -> String {
    let name = server.catalog.catalog_name();
    format!(
        "# Proposals, made from names, hints and arguments. They are often wrong: read what each tool does, and correct them.\n\
         # This file does not load before every `targets` says where they are (docs/catalogs.md).\n\
         format = 1\nname = \"{name}-more\"\nversion = \"1\"\nextends = \"{name}\"\n"
    )
}

/// The risk, and whether it is as high because of what the server hints.
fn risk(classified: Risk, tool: &Tool) -> String {
    let counted = tool.operations.first().map_or(classified, |(_, risk)| *risk);
    if counted == classified {
        return classified.as_str().to_owned();
    }
    format!("{}, raised from {} by a hint of the server", counted.as_str(), classified.as_str())
}

fn hints(tool: &Tool) -> Vec<(&'static str, bool)> {
    let hints = &tool.definition.annotations;
    let all = [
        ("destructiveHint", hints.destructive),
        ("idempotentHint", hints.idempotent),
        ("openWorldHint", hints.open_world),
        ("readOnlyHint", hints.read_only),
    ];
    all.into_iter().filter_map(|(name, hint)| Some((name, hint?))).collect()
}

/// A tool as JSON.
pub(crate) fn tool(server: &Server, tool: &Tool, standing: Standing) -> Json {
    let rule = server.catalog.rule(&tool.definition.name);
    let operations = tool.operations.iter().map(|(operation, risk)| {
        Json::from(
            Object::default()
                .with("operation", operation.name.as_str())
                .with("effect", operation.effect.as_str())
                .with("risk", risk.as_str())
                .with("reversibility", operation.reversibility.as_str())
                .with("targets", operation.targets.clone()),
        )
    });
    let targets = rule.map(|rule| rule.targets.iter().map(ToString::to_string).collect::<Vec<_>>());
    named(server, &tool.definition.name)
        .with("standing", shown_standing(server, standing))
        .with("digest", tool.definition.digest.to_string())
        .with("operations", operations.collect::<Vec<_>>())
        .with("classified_by", rule.map(|rule| rule.by.clone()))
        .with("why", rule.and_then(|rule| rule.why.clone()))
        .with("where", targets.unwrap_or_default())
        .into()
}

pub(crate) fn unclassified(server: &Server, one: &Unclassified) -> Json {
    named(server, &one.definition.name)
        .with("standing", "unclassified")
        .with("digest", one.definition.digest.to_string())
        .with("why", one.why.clone())
        .into()
}

pub(crate) fn refused(server: &Server, (name, why): &(String, String)) -> Json {
    named(server, name).with("standing", "refused").with("why", why.as_str()).into()
}

pub(crate) fn changed(server: &Server, tool: &Tool, pin: &ToolPin, found: &[String]) -> Json {
    named(server, &tool.definition.name)
        .with("approved", pin.at.to_string())
        .with("approved_digest", pin.digest.to_string())
        .with("digest", tool.definition.digest.to_string())
        .with("differences", found.to_vec())
        .into()
}

fn named(server: &Server, tool: &str) -> Object {
    Object::default().with("server", &*server.name).with("tool", tool)
}
