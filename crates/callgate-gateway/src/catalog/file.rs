//! One catalog file, read and checked as far as it can be without the others.

mod resolver;
mod resource;
mod tool;

use std::collections::BTreeMap;

use callgate_model::products;
use callgate_model::treatment::{Treatment, Treatments};
use callgate_model::vocabulary::{Effect, FieldType, Operation, Reversibility, Risk};

use super::About;
use super::path::Path;
use super::resolver::{Lookup, Resolver};
use super::rule::{Dispatcher, FieldRule, Listing, PromptRule, TargetRule};
use super::section::{Report, Section};
use super::uri::UriShape;

/// The format this program reads.
const FORMAT: i64 = 1;

/// What is known at the top of a file.
const KNOWN: &[&str] = &[
    "about",
    "dispatcher",
    "extends",
    "format",
    "lookup",
    "name",
    "operation",
    "prompt",
    "record",
    "resolve",
    "resource",
    "site",
    "sources",
    "target",
    "tool",
    "uses",
    "verified",
    "version",
];

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct CatalogFile {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) about: About,
    pub(super) uses: Vec<String>,
    pub(super) extends: Option<String>,
    pub(super) kinds: BTreeMap<String, KindEntry>,
    pub(super) operations: BTreeMap<String, Operation>,
    pub(super) tools: BTreeMap<String, ToolEntry>,
    pub(super) dispatchers: BTreeMap<String, Dispatcher>,
    pub(super) resources: BTreeMap<String, ResourceEntry>,
    /// By name, what each touches.
    pub(super) prompts: BTreeMap<String, PromptRule>,
    /// By operation, what happens to fields of its arguments on their way into the record.
    pub(super) records: BTreeMap<String, Treatments>,
    /// By kind, each with its place in the file.
    pub(super) resolvers: BTreeMap<String, (String, Resolver)>,
    /// By name, each with its place in the file.
    pub(super) lookups: BTreeMap<String, (String, Lookup)>,
}

/// A kind of target.
#[derive(Clone, Debug)]
pub(super) struct KindEntry {
    pub(super) container: Option<String>,
    /// Whether `Acme` and `acme` are the same.
    pub(super) ignores_case: bool,
}

/// A tool, its operation not yet looked up.
#[derive(Clone, Debug)]
pub(super) struct ToolEntry {
    pub(super) meaning: Meaning,
    /// Each with its place in the file.
    pub(super) targets: Vec<(String, TargetRule)>,
    /// The argument that names the site, if no target says otherwise.
    pub(super) site: Option<Path>,
    pub(super) fields: BTreeMap<String, FieldRule>,
    /// Where its answer lists tools.
    pub(super) lists: Option<Listing>,
    /// Why it is said so, if that is not plain.
    pub(super) why: Option<String>,
    /// Its place in the file.
    pub(super) at: String,
}

/// The resources whose URIs are of one shape.
#[derive(Clone, Debug)]
pub(super) struct ResourceEntry {
    pub(super) shape: UriShape,
    /// If it is higher than that of other resources.
    pub(super) risk: Option<Risk>,
    /// Each with its place in the file.
    pub(super) targets: Vec<(String, TargetRule)>,
    /// Its place in the file.
    pub(super) at: String,
}

/// What a tool says of its operation.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    /// It has a name, and perhaps a higher risk for this tool.
    Named { operation: String, risk: Option<Risk> },
    /// The tool is its own operation.
    Own(Box<Operation>),
}

/// Reads the text of `file`.
pub(super) fn read(report: &Report, file: &str, text: &str) -> Option<CatalogFile> {
    let table = match toml::from_str::<toml::Table>(text) {
        Ok(table) => table,
        Err(error) => {
            report.note(file, String::new(), error.to_string().trim_end().to_owned(), None);
            return None;
        }
    };
    let top = Section::whole(report, file, &table);
    top.only(KNOWN);
    if table.get("format").and_then(toml::Value::as_integer) != Some(FORMAT) {
        top.fault("format", "unknown format", Some(format!("write `format = {FORMAT}`")));
    }
    let name = top.required_text("name").unwrap_or_default();
    if !is_name(name, "-") {
        top.fault("name", "a name is lower-case letters, digits and `-`", None);
    }
    let site = top.text("site").and_then(|text| path(&top, "site", text));
    Some(CatalogFile {
        file: file.to_owned(),
        name: name.to_owned(),
        about: About {
            version: top.required_text("version").unwrap_or_default().to_owned(),
            what: top.text("about").map(str::to_owned),
            verified: top.text("verified").map(str::to_owned),
            sources: top.texts("sources").into_iter().map(str::to_owned).collect(),
        },
        uses: top.texts("uses").into_iter().map(str::to_owned).collect(),
        extends: top.text("extends").map(str::to_owned),
        kinds: top.tables("target").into_iter().map(|(name, at)| kind(name, &at)).collect(),
        operations: top
            .tables("operation")
            .into_iter()
            .filter_map(|(name, at)| Some((name.to_owned(), operation(name, &at)?)))
            .collect(),
        tools: top
            .tables("tool")
            .into_iter()
            .filter_map(|(tool, at)| {
                Some((tool.to_owned(), tool::entry(name, tool, &at, site.as_ref())?))
            })
            .collect(),
        dispatchers: top
            .tables("dispatcher")
            .into_iter()
            .filter_map(|(name, at)| Some((name.to_owned(), dispatcher(&at)?)))
            .collect(),
        resources: top
            .tables("resource")
            .into_iter()
            .filter_map(|(uri, at)| Some((uri.to_owned(), resource::entry(uri, &at)?)))
            .collect(),
        prompts: top
            .tables("prompt")
            .into_iter()
            .filter_map(|(name, at)| Some((name.to_owned(), prompt(&at)?)))
            .collect(),
        records: top
            .tables("record")
            .into_iter()
            .map(|(operation, at)| (operation.to_owned(), treatments(&at)))
            .collect(),
        resolvers: resolver::entries(&top),
        lookups: resolver::lookups(&top),
    })
}

fn kind(name: &str, at: &Section<'_>) -> (String, KindEntry) {
    at.only(&["case", "in"]);
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !name.split_once("::").is_some_and(|(product, noun)| part(product) && part(noun)) {
        at.fault("", "a kind is `Product::Noun`", None);
    }
    if products::has_kind(name) {
        let message = "`Callgate`, `Local`, `MCP` and `Net` are products that need no catalog";
        at.fault("", message, None);
    }
    let ignores_case = at.word("case", &[("ignored", true)]).unwrap_or_default();
    (name.to_owned(), KindEntry { container: at.text("in").map(str::to_owned), ignores_case })
}

fn operation(name: &str, at: &Section<'_>) -> Option<Operation> {
    /// First words that policies know as groups of another sort.
    const TAKEN: &[&str] = &["admin", "delete", "mutate", "read", "risk", "share", "write"];
    at.only(&["effect", "fields", "reversibility", "risk", "targets", "title"]);
    let mut words = name.split('.');
    if words.clone().count() < 2 || !words.clone().all(|word| is_name(word, "_")) {
        at.fault("", "an operation is `product.noun.verb`, in lower case", None);
    }
    if words.next().is_some_and(|first| TAKEN.contains(&first)) {
        at.fault("", "the first word of an operation cannot be that of an action group", None);
    }
    if products::has_operation(name) {
        at.fault("", "`mcp` and `callgate` are products that need no catalog", None);
    }
    let mut targets: Vec<String> = at.texts("targets").into_iter().map(str::to_owned).collect();
    targets.sort();
    let fields = at.table("fields").map(|fields| field_types(&fields)).unwrap_or_default();
    with_effect(name.to_owned(), at, targets, fields)
}

fn treatments(at: &Section<'_>) -> Treatments {
    let mut rules = Treatments::new();
    for path in at.keys() {
        if path.split('.').any(str::is_empty) {
            at.fault(path, "a field is named by members with dots between", None);
        }
        if let Some(treatment) = at.word(path, &words(&Treatment::ALL, Treatment::as_str)) {
            rules.insert(path.to_owned(), treatment);
        }
    }
    rules
}

fn field_types(at: &Section<'_>) -> BTreeMap<String, FieldType> {
    let mut types = BTreeMap::new();
    for name in at.keys() {
        if !is_name(name, "_") {
            at.fault(name, "a field is lower-case letters, digits and `_`", None);
        }
        if let Some(field) = at.word(name, &words(FieldType::ALL, FieldType::as_str)) {
            types.insert(name.to_owned(), field);
        }
    }
    types
}

/// The operation `name`, whose effect, risk, reversibility and title are at `at`.
fn with_effect(
    name: String,
    at: &Section<'_>,
    targets: Vec<String>,
    fields: BTreeMap<String, FieldType>,
) -> Option<Operation> {
    let title = at.required_text("title").unwrap_or_default().to_owned();
    let effect = at.required_word("effect", &words(Effect::ALL, Effect::as_str));
    let risk = at.required_word("risk", &words(Risk::ALL, Risk::as_str));
    let reversibility =
        at.required_word("reversibility", &words(Reversibility::ALL, Reversibility::as_str));
    Some(Operation {
        name,
        title,
        effect: effect?,
        risk: risk?,
        reversibility: reversibility?,
        targets,
        fields,
    })
}

fn dispatcher(at: &Section<'_>) -> Option<Dispatcher> {
    at.only(&["arguments", "effects", "ignored", "name", "site"]);
    let effects = words(Effect::ALL, Effect::as_str);
    let effects: Vec<Effect> = at
        .texts("effects")
        .into_iter()
        .filter_map(|word| at.lookup("effects", word, &effects))
        .collect();
    if !at.has("effects") {
        at.fault("", "`effects` is missing", None);
    }
    let argument = |key, text| {
        let path = path(at, key, text)?;
        if path.single().is_none() {
            at.fault(key, "must be one argument, as `/name`", None);
        }
        path.single().map(str::to_owned)
    };
    let name = at.required_text("name").and_then(|text| argument("name", text));
    let arguments = at.required_text("arguments").and_then(|text| argument("arguments", text));
    let site = at.text("site").and_then(|text| argument("site", text));
    let ignored = at.texts("ignored").into_iter().filter_map(|text| argument("ignored", text));
    Some(Dispatcher {
        ignored: ignored.collect(),
        name: name?,
        arguments: arguments?,
        site,
        effects,
    })
}

fn prompt(at: &Section<'_>) -> Option<PromptRule> {
    at.only(&["risk", "touches"]);
    let risk = at.word("risk", &words(Risk::ALL, Risk::as_str)).unwrap_or(Risk::Low);
    Some(PromptRule { touches: at.required_text("touches")?.to_owned(), risk })
}

fn path(at: &Section<'_>, key: &str, text: &str) -> Option<Path> {
    match Path::parse(text) {
        Ok(path) => Some(path),
        Err(why) => {
            at.fault(key, format!("`{text}` is no path: {why}"), None);
            None
        }
    }
}

fn words<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|value| (name(*value), *value)).collect()
}

fn is_name(text: &str, joint: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || joint.as_bytes().contains(&b))
}
