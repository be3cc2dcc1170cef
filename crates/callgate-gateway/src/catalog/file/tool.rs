//! The tables of tools: what a tool means, where its targets and fields are.

use std::collections::BTreeMap;

use callgate_model::vocabulary::{FieldType, Risk};

use super::{Meaning, ToolEntry, path, with_effect, words};
use crate::catalog::path::{Path, Step};
use crate::catalog::rule::{FieldRule, Language, Listing, Reading, Source, Split, TargetRule};
use crate::catalog::section::Section;

const LANGUAGES: &[(&str, Language)] = &[
    ("cql", Language::Cql),
    ("cql_or_text", Language::CqlOrText),
    ("github", Language::GitHub),
    ("jql", Language::Jql),
    ("sql", Language::Sql),
    ("text", Language::Text),
];

const READINGS: &[(&str, Reading)] = &[
    ("count", Reading::Count),
    ("keys", Reading::Keys),
    ("present", Reading::Present),
    ("value", Reading::Value),
];

/// The tool `tool` of `catalog`; `site` is where its calls name the site, unless a target says otherwise.
pub(super) fn entry(
    catalog: &str,
    tool: &str,
    at: &Section<'_>,
    site: Option<&Path>,
) -> Option<ToolEntry> {
    let targets: Vec<(String, TargetRule)> = at
        .list("targets")
        .iter()
        .filter_map(|rule| Some((rule.path.clone(), target(rule, site)?)))
        .collect();
    let own = !at.has("operation");
    let mut fields = BTreeMap::new();
    let mut types = BTreeMap::new();
    if let Some(section) = at.table("fields") {
        for (name, rule) in section.keys().filter_map(|name| Some((name, section.table(name)?))) {
            if let Some((rule, field)) = field(&rule, own) {
                fields.insert(name.to_owned(), rule);
                types.extend(field.map(|field| (name.to_owned(), field)));
            }
        }
    }
    let meaning = if own {
        own_operation(format!("{catalog}/{tool}"), at, &targets, types)?
    } else {
        at.only(&["fields", "lists", "operation", "risk", "targets", "why"]);
        Meaning::Named {
            operation: at.text("operation")?.to_owned(),
            risk: at.word("risk", &words(Risk::ALL, Risk::as_str)),
        }
    };
    let why = at.text("why").map(str::to_owned);
    let (site, lists) = (site.cloned(), at.table("lists").and_then(|table| listing(&table)));
    Some(ToolEntry { meaning, targets, site, fields, lists, why, at: at.path.clone() })
}

fn listing(at: &Section<'_>) -> Option<Listing> {
    at.only(&["name", "rows"]);
    let rows = path(at, "rows", at.required_text("rows")?)?;
    let name = path(at, "name", at.required_text("name")?)?;
    if !rows.steps().iter().all(|step| matches!(step, Step::Member(_))) {
        at.fault("rows", "must be the path of one array: neither `*` nor `!`", None);
    }
    Some(Listing { rows, name })
}

fn own_operation(
    name: String,
    at: &Section<'_>,
    targets: &[(String, TargetRule)],
    types: BTreeMap<String, FieldType>,
) -> Option<Meaning> {
    const KNOWN: &[&str] = &[
        "effect",
        "fields",
        "lists",
        "operation",
        "reversibility",
        "risk",
        "targets",
        "title",
        "why",
    ];
    at.only(KNOWN);
    let mut kinds: Vec<String> = targets.iter().map(|(_, rule)| rule.kind.clone()).collect();
    if targets.iter().any(|(_, rule)| rule.or_site) {
        kinds.push("Atlassian::Site".to_owned());
    }
    kinds.sort();
    kinds.dedup();
    with_effect(name, at, kinds, types).map(|operation| Meaning::Own(Box::new(operation)))
}

/// A rule for targets. Its containers are looked up when all kinds are known.
pub(super) fn target(at: &Section<'_>, site: Option<&Path>) -> Option<TargetRule> {
    at.only(&[
        "any", "at", "default", "id", "kind", "language", "mixed", "optional", "or_json", "query",
        "site", "split",
    ]);
    let kind = at.required_text("kind")?.to_owned();
    let source = source(at, &kind)?;
    let absent = at.has("at") || at.has("any");
    for key in ["default", "optional", "or_json", "split"] {
        if at.has(key) && !absent {
            at.fault(key, "goes with `at` or `any` only", None);
        }
    }
    let or_site = at.word("default", &[("site", true)]).unwrap_or_default();
    let optional = at.flag("optional");
    if optional && or_site {
        at.fault("optional", "`default` and `optional` exclude one another", None);
    }
    let site = match at.text("site") {
        Some(text) => path(at, "site", text),
        None => site.cloned(),
    };
    if site.as_ref().is_some_and(Path::is_plural) {
        at.fault("site", "a call names one site: no `*` here", None);
    }
    let (containers, ignores_case) = (Vec::new(), Vec::new());
    Some(TargetRule { kind, containers, ignores_case, source, site, optional, or_site })
}

fn source(at: &Section<'_>, kind: &str) -> Option<Source> {
    let given: Vec<&str> =
        ["any", "at", "id", "query"].into_iter().filter(|key| at.has(key)).collect();
    for key in ["language", "mixed"] {
        if at.has(key) && !at.has("query") {
            at.fault(key, "goes with `query` only", None);
        }
    }
    match given.as_slice() {
        [] if kind == "Atlassian::Site" => Some(Source::WholeSite),
        ["id"] => at.text("id").map(|id| Source::Constant(id.to_owned())),
        ["query"] => {
            let language = at.required_word("language", LANGUAGES);
            let path = path(at, "query", at.text("query")?)?;
            Some(Source::Query { path, language: language?, mixed: paths(at, "mixed") })
        }
        ["any"] => ids(at, paths(at, "any").into_iter().map(|path| vec![path]).collect()),
        ["at"] => ids(at, vec![paths(at, "at")]),
        [] => {
            let hint = "write `at`, the path of the argument that names it".to_owned();
            at.fault("", "where is the target?", Some(hint));
            None
        }
        _ => {
            at.fault("", format!("only one of `{}`", given.join("`, `")), None);
            None
        }
    }
}

fn ids(at: &Section<'_>, alternatives: Vec<Vec<Path>>) -> Option<Source> {
    let or_json = at.flag("or_json");
    let split = separator(at).map(|separator| Split { separator, or_json });
    if or_json && split.is_none() {
        at.fault("or_json", "goes with `split` only", None);
    }
    if alternatives.iter().any(Vec::is_empty) || alternatives.is_empty() {
        return None;
    }
    if let Some(parts) = alternatives.iter().find(|parts| parts.len() > 1)
        && (split.is_some() || parts.iter().any(Path::is_plural))
    {
        at.fault("at", "an id of several parts is one id: neither `*` nor `split`", None);
    }
    Some(Source::Ids { alternatives, split })
}

fn field(at: &Section<'_>, own: bool) -> Option<(FieldRule, Option<FieldType>)> {
    let known = ["as", "at", "lookup", "split", "type"];
    at.only(if own { &known } else { known.split_last().map_or(&[], |(_type, known)| known) });
    let reading = at.word("as", READINGS).unwrap_or(Reading::Value);
    let field = if own {
        Some(at.required_word("type", &words(FieldType::ALL, FieldType::as_str))?)
    } else {
        None
    };
    if !at.has("at") {
        at.fault("", "`at` is missing", None);
    }
    let paths = paths(at, "at");
    let split = separator(at);
    let lookup = at.text("lookup").map(str::to_owned);
    if lookup.is_some() && (split.is_some() || at.has("as") || paths.iter().any(Path::is_plural)) {
        at.fault("lookup", "what is looked up is one thing: neither `as`, `split` nor `*`", None);
    }
    if paths.is_empty() { None } else { Some((FieldRule { paths, reading, split, lookup }, field)) }
}

fn paths(at: &Section<'_>, key: &str) -> Vec<Path> {
    at.texts(key).into_iter().filter_map(|text| path(at, key, text)).collect()
}

fn separator(at: &Section<'_>) -> Option<char> {
    let text = at.text("split")?;
    let mut characters = text.chars();
    let first = characters.next();
    if first.is_none() || characters.next().is_some() {
        at.fault("split", "must be one character", None);
    }
    first
}
