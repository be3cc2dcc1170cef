//! The Cedar schema as text, generated from the vocabulary: what policies can name, and with which types.
//!
//! It must cover every call that can happen, so that a policy which loads cannot meet an unknown type later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use callgate_model::vocabulary::{Effect, FieldType, Operation, Risk, Vocabulary};
use cedar_policy::EntityId;

/// What is the same for every vocabulary.
const CORE: &str = r"// Who asks. A group may be in groups.
entity Group in [Group];
entity User in [Group];
entity ServiceAccount in [Group];
entity AgentClass;
entity Agent in [AgentClass];

// What they ask with. `context.via` is one Delegation, which is in every link that is verified or configured.
entity Client;
entity Workflow;
entity Credential;
entity Delegation in [Agent, AgentClass, Client, Workflow, Credential];

// What a call touches when nobody can say. Its id is the kind of thing that it would be.
entity Unresolved { kind: String, site: String, obstacle: String };
";

/// The schema of `vocabulary`. Kinds must be type names; everything else may be any text.
pub(crate) fn text(vocabulary: &Vocabulary) -> String {
    let mut text = CORE.to_owned();
    text.push_str("\n// What a call touches.\n");
    text.push_str(&kinds(vocabulary));
    text.push_str("\n// Groups of operations.\n");
    for group in groups(vocabulary) {
        push(&mut text, format_args!("action {};\n", quoted(&group)));
    }
    text.push_str("\n// What can be done.\n");
    for operation in vocabulary.operations.values() {
        text.push_str(&action(operation));
    }
    text
}

/// The groups that exist whatever the catalogs say, so that a policy about them always loads.
pub(crate) fn standing_groups() -> impl Iterator<Item = String> {
    let effects = Effect::ALL.iter().map(|effect| effect.as_str().to_owned());
    let risks = Risk::ALL.iter().flat_map(|risk| {
        [format!("risk.from.{}", risk.as_str()), format!("risk.up_to.{}", risk.as_str())]
    });
    effects.chain(["mutate".to_owned()]).chain(risks)
}

fn groups(vocabulary: &Vocabulary) -> BTreeSet<String> {
    let of_operations = vocabulary.operations.values().flat_map(|operation| memberships(operation));
    standing_groups()
        .chain(of_operations)
        .filter(|group| !vocabulary.operations.contains_key(group))
        .collect()
}

/// Every group the operation can be in. A tool, or its annotations, may raise the risk of one call; so policies about
/// the higher risks are checked against this operation as well.
fn memberships(operation: &Operation) -> BTreeSet<String> {
    let possible = Risk::ALL.iter().filter(|risk| **risk >= operation.risk);
    possible.flat_map(|risk| operation.groups(*risk)).collect()
}

/// The kinds of target. Cedar wants a namespace in one piece.
fn kinds(vocabulary: &Vocabulary) -> String {
    let mut namespaces: BTreeMap<&str, String> = BTreeMap::new();
    for (kind, container) in &vocabulary.target_kinds {
        let (namespace, name) = kind.rsplit_once("::").unwrap_or(("", kind));
        let within = container.as_ref().map(|container| format!(" in [{container}]"));
        let line = format!("entity {name}{};\n", within.unwrap_or_default());
        namespaces.entry(namespace).or_default().push_str(&line);
    }
    let pieces = namespaces.into_iter().map(|(namespace, kinds)| match namespace {
        "" => kinds,
        _ => format!("namespace {namespace} {{\n{kinds}}}\n"),
    });
    pieces.collect()
}

fn action(operation: &Operation) -> String {
    let groups: Vec<String> = memberships(operation).iter().map(|group| quoted(group)).collect();
    let mut resources = operation.targets.clone();
    resources.push("Unresolved".to_owned());
    let title = operation.title.replace(char::is_control, " ");
    let mut text = format!("\n// {title}\naction {}", quoted(&operation.name));
    push(&mut text, format_args!(" in [{}] appliesTo {{\n", groups.join(", ")));
    text.push_str("  principal: [User, ServiceAccount, Agent],\n");
    push(&mut text, format_args!("  resource: [{}],\n", resources.join(", ")));
    text.push_str("  context: {\n    via: Delegation,\n    now: datetime,\n    server: String,\n");
    push(
        &mut text,
        format_args!("    tool: String,\n    input: {{{}}},\n", fields(&operation.fields)),
    );
    text.push_str("    grant?: { id: String, by: String, reason: String, ticket: String },\n");
    text.push_str("    workflow?: { run: String, purpose: String, ticket: String },\n");
    text.push_str("  },\n};\n");
    text
}

fn fields(fields: &BTreeMap<String, FieldType>) -> String {
    let typed = fields.iter().map(|(name, kind)| {
        let kind = match kind {
            FieldType::Text => "String",
            FieldType::Flag => "Bool",
            FieldType::Count => "Long",
            FieldType::Names => "Set<String>",
        };
        format!("{}: {kind}", quoted(name))
    });
    typed.collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", EntityId::new(text).escaped())
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = text.write_fmt(more);
}
