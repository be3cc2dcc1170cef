//! Files to catalogs: operations, kinds and tools looked up across files, overrides noted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callgate_model::products::{self, atlassian, mcp, net};
use callgate_model::vocabulary::{Effect, FieldType, Operation, Vocabulary};

use super::file::{CatalogFile, Meaning, ResourceEntry, ToolEntry};
use super::problem::nearest;
use super::resolver::{Ask, Lookup, Resolver};
use super::rule::{Reading, ResourceRule, Source, TargetRule, ToolRule};
use super::section::Report;
use super::{Catalog, Catalogs, Override};

const SITE: &str = "Atlassian::Site";

/// The catalogs that `files` make, in their order. Meaningless if anything was reported.
pub(super) fn assemble(files: Vec<CatalogFile>, report: &Report) -> Catalogs {
    let mut catalogs = Catalogs { vocabulary: products::vocabulary(), ..Catalogs::default() };
    let read_resource = read_resource(&files);
    let operations = &mut catalogs.vocabulary.operations;
    operations.insert(read_resource.name.clone(), Arc::clone(&read_resource));
    let mut build = Build { report, catalogs, read_resource, ignoring_case: BTreeSet::new() };
    for file in &files {
        build.declare(file);
    }
    build.check_kinds(&files);
    for file in files {
        build.add(file);
    }
    build.catalogs
}

struct Build<'a> {
    report: &'a Report,
    catalogs: Catalogs,
    read_resource: Arc<Operation>,
    /// The kinds whose ids are the same in any case.
    ignoring_case: BTreeSet<String>,
}

impl Build<'_> {
    /// Takes the kinds and operations of `file` into the vocabulary.
    fn declare(&mut self, file: &CatalogFile) {
        let vocabulary = &mut self.catalogs.vocabulary;
        for (kind, entry) in &file.kinds {
            let container = entry.container.clone();
            self.ignoring_case.extend(entry.ignores_case.then(|| kind.clone()));
            if vocabulary.target_kinds.insert(kind.clone(), container).is_some() {
                let at = format!("target.{kind:?}");
                self.report.note(&file.file, at, "another file has this kind".into(), None);
            }
        }
        for (name, operation) in &file.operations {
            let at = format!("operation.{name:?}");
            if vocabulary.operations.insert(name.clone(), Arc::new(operation.clone())).is_some() {
                self.report.note(&file.file, at, "another file has this operation".into(), None);
            }
        }
    }

    fn check_kinds(&self, files: &[CatalogFile]) {
        let kinds = &self.catalogs.vocabulary.target_kinds;
        let unknown = |file: &CatalogFile, at: String, kind: &str| {
            let hint = nearest(kind, kinds.keys().map(String::as_str));
            self.report.note(&file.file, at, format!("unknown kind `{kind}`"), hint);
        };
        for file in files {
            for (kind, entry) in &file.kinds {
                let at = format!("target.{kind:?}.in");
                match &entry.container {
                    Some(container) if !kinds.contains_key(container) => {
                        unknown(file, at, container);
                    }
                    Some(container) if atlassian::knows(container) && !atlassian::knows(kind) => {
                        // Its container's id would be what the call says, not the canonical one.
                        let message = format!("`{container}` contains no kinds of other products");
                        self.report.note(&file.file, at, message, None);
                    }
                    Some(container) if products::has_kind(container) => {
                        // What is in a server is known by the request, never by what a call says.
                        let message = format!("`{container}` contains no kinds of catalogs");
                        self.report.note(&file.file, at, message, None);
                    }
                    Some(_) if chain(&self.catalogs.vocabulary, kind).is_none() => {
                        let message = "contains itself".to_owned();
                        self.report.note(&file.file, at, message, None);
                    }
                    Some(_) | None => {}
                }
            }
            for (name, operation) in &file.operations {
                for kind in operation.targets.iter().filter(|kind| !kinds.contains_key(*kind)) {
                    unknown(file, format!("operation.{name:?}.targets"), kind);
                }
            }
        }
    }

    /// Makes the catalog of `file`.
    fn add(&mut self, file: CatalogFile) {
        let mut catalog = self.base(&file);
        for used in &file.uses {
            if !self.catalogs.by_name.contains_key(used) {
                let hint = nearest(used, self.catalogs.by_name.keys().map(String::as_str));
                self.note(&file, "uses".into(), format!("unknown catalog `{used}`"), hint);
            }
        }
        for name in file.dispatchers.keys().filter(|name| file.tools.contains_key(*name)) {
            let at = format!("dispatcher.{name}");
            self.note(&file, at, "a tool has the same name".into(), None);
        }
        for name in file.dispatchers.keys().chain(file.tools.keys()) {
            let tool = catalog.tools.remove(name).is_some();
            if catalog.dispatchers.remove(name).is_some() || tool {
                self.override_of(&file, name);
            }
        }
        catalog.dispatchers.extend(file.dispatchers.clone());
        for (name, entry) in &file.tools {
            if let Some(rule) = self.tool(&file, entry) {
                catalog.tools.insert(name.clone(), Arc::new(rule));
            }
        }
        self.add_resources(&file, &mut catalog.resources);
        for (name, rule) in &file.prompts {
            if !self.catalogs.vocabulary.target_kinds.contains_key(&rule.touches) {
                let at = format!("prompt.{name:?}.touches");
                self.note(&file, at, format!("unknown kind `{}`", rule.touches), None);
            }
            catalog.prompts.insert(name.clone(), rule.clone());
        }
        for (operation, rules) in &file.records {
            if self.catalogs.vocabulary.operations.contains_key(operation) {
                let known = self.catalogs.records.entry(operation.clone()).or_default();
                known.extend(rules.clone());
            } else {
                let at = format!("record.{operation:?}");
                let known = self.catalogs.vocabulary.operations.keys().map(String::as_str);
                let hint = nearest(operation, known);
                self.note(&file, at, format!("unknown operation `{operation}`"), hint);
            }
        }
        for (name, (at, lookup)) in &file.lookups {
            self.check_lookup(&file, at, lookup, &catalog);
            catalog.lookups.insert(name.clone(), Arc::new(lookup.clone()));
        }
        self.check_looked_up(&file, &catalog);
        for (kind, (at, resolver)) in &file.resolvers {
            if let Some(resolver) = self.resolver(&file, at, resolver, &catalog) {
                catalog.resolvers.insert(kind.clone(), Arc::new(resolver));
            }
        }
        self.catalogs.by_name.insert(file.name, Arc::new(catalog));
    }

    fn add_resources(&mut self, file: &CatalogFile, known: &mut BTreeMap<String, ResourceRule>) {
        for uri in file.resources.keys() {
            if known.remove(uri).is_some() {
                self.override_of(file, uri);
            }
        }
        for (uri, entry) in &file.resources {
            if let Some((other, _)) = known.iter().find(|(_, rule)| rule.shape.meets(&entry.shape))
            {
                let message = format!("a URI could be of this shape and of `{other}`");
                let hint = format!("to give that another meaning, write `[resource.{other:?}]`");
                self.note(file, entry.at.clone(), message, Some(hint));
            }
            known.insert(uri.clone(), self.resource(file, entry));
        }
    }

    fn resource(&self, file: &CatalogFile, entry: &ResourceEntry) -> ResourceRule {
        let operation = &self.read_resource;
        let targets = entry.targets.iter();
        ResourceRule {
            shape: entry.shape.clone(),
            risk: entry.risk.unwrap_or(operation.risk),
            targets: targets
                .filter_map(|(at, rule)| self.target(file, at, rule, operation))
                .collect(),
        }
    }

    /// The resolver with the kind that contains what it resolves, if its catalog can ask so.
    fn resolver(
        &self,
        file: &CatalogFile,
        at: &str,
        resolver: &Resolver,
        catalog: &Catalog,
    ) -> Option<Resolver> {
        let note = |message: String, hint| self.note(file, at.to_owned(), message, hint);
        let kinds = &self.catalogs.vocabulary.target_kinds;
        let Some(container) = kinds.get(&resolver.kind).and_then(Option::clone) else {
            let hint = nearest(&resolver.kind, kinds.keys().map(String::as_str));
            note(format!("`{}` is no kind that another contains", resolver.kind), hint);
            return None;
        };
        if !atlassian::knows(&resolver.kind) {
            note("only ids of Atlassian's products are resolved".to_owned(), None);
        }
        resolver.asks.iter().for_each(|ask| self.check_ask(file, at, ask, catalog));
        Some(Resolver { container, ..resolver.clone() })
    }

    /// Whether `catalog` can ask so.
    fn check_ask(&self, file: &CatalogFile, at: &str, ask: &Ask, catalog: &Catalog) {
        let Ask::Tool { name, .. } = ask else { return };
        match catalog.tools.get(name).map(|rule| rule.operation.effect) {
            Some(Effect::Read) => {}
            Some(_) => {
                self.note(file, at.to_owned(), format!("`{name}` does not only read"), None);
            }
            None => {
                let hint = nearest(name, catalog.tools.keys().map(String::as_str));
                self.note(file, at.to_owned(), format!("unknown tool `{name}`"), hint);
            }
        }
    }

    fn check_lookup(&self, file: &CatalogFile, at: &str, lookup: &Lookup, catalog: &Catalog) {
        self.check_ask(file, at, &lookup.ask, catalog);
        if !atlassian::knows(&lookup.kind) {
            let message = "only values of Atlassian's products are looked up".to_owned();
            self.note(file, format!("{at}.of"), message, None);
        }
    }

    /// Whether every field of `file` that is looked up can be, and remembers what these fields are called.
    fn check_looked_up(&mut self, file: &CatalogFile, catalog: &Catalog) {
        for entry in file.tools.values() {
            for (name, rule) in &entry.fields {
                let Some(lookup) = &rule.lookup else { continue };
                if !catalog.lookups.contains_key(lookup) {
                    let at = format!("{}.fields.{name}.lookup", entry.at);
                    let hint = nearest(lookup, catalog.lookups.keys().map(String::as_str));
                    self.note(file, at, format!("unknown lookup `{lookup}`"), hint);
                }
                self.catalogs.vocabulary.looked_up.insert(name.clone());
            }
        }
    }

    /// What the catalog of `file` begins with.
    fn base(&self, file: &CatalogFile) -> Catalog {
        let catalogs = &self.catalogs.by_name;
        let fresh = Catalog {
            name: file.name.clone(),
            about: file.about.clone(),
            tools: BTreeMap::new(),
            dispatchers: BTreeMap::new(),
            resources: BTreeMap::new(),
            prompts: BTreeMap::new(),
            resolvers: BTreeMap::new(),
            lookups: BTreeMap::new(),
            read_resource: Arc::clone(&self.read_resource),
        };
        let Some(base) = &file.extends else {
            if catalogs.contains_key(&file.name) {
                let hint =
                    format!("to add to it or change it, write `extends = \"{}\"`", file.name);
                let message = format!("there is a catalog `{}` already", file.name);
                self.note(file, "name".into(), message, Some(hint));
            }
            return fresh;
        };
        match catalogs.get(base) {
            Some(base) => Catalog {
                tools: base.tools.clone(),
                dispatchers: base.dispatchers.clone(),
                resources: base.resources.clone(),
                prompts: base.prompts.clone(),
                resolvers: base.resolvers.clone(),
                lookups: base.lookups.clone(),
                about: base.about.extended(&file.about),
                ..fresh
            },
            None => {
                let hint = nearest(base, catalogs.keys().map(String::as_str));
                self.note(file, "extends".into(), format!("unknown catalog `{base}`"), hint);
                fresh
            }
        }
    }

    fn override_of(&mut self, file: &CatalogFile, tool: &str) {
        self.catalogs.overrides.push(Override {
            file: file.file.clone(),
            catalog: file.name.clone(),
            tool: tool.to_owned(),
        });
    }

    fn tool(&mut self, file: &CatalogFile, entry: &ToolEntry) -> Option<ToolRule> {
        let operation = match &entry.meaning {
            Meaning::Own(operation) => {
                let operation = Arc::new(operation.as_ref().clone());
                let known = &mut self.catalogs.vocabulary.operations;
                known.insert(operation.name.clone(), Arc::clone(&operation));
                operation
            }
            Meaning::Named { operation, .. } => self.operation(file, entry, operation)?,
        };
        let risk = match entry.meaning {
            Meaning::Named { risk: Some(risk), .. } if risk < operation.risk => {
                let hint = format!("`{}` is {}", operation.name, operation.risk.as_str());
                let at = format!("{}.risk", entry.at);
                self.note(file, at, "a tool can only raise the risk".into(), Some(hint));
                operation.risk
            }
            Meaning::Named { risk, .. } => risk.unwrap_or(operation.risk),
            Meaning::Own(_) => operation.risk,
        };
        self.check_fields(file, entry, &operation);
        let targets: Vec<TargetRule> = entry
            .targets
            .iter()
            .filter_map(|(at, rule)| self.target(file, at, rule, &operation))
            .collect();
        let (site, fields) = (entry.site.clone(), entry.fields.clone());
        let (by, why) = (format!("{} {}", file.file, file.about.version), entry.why.clone());
        let lists = entry.lists.clone();
        Some(ToolRule { operation, risk, targets, site, fields, lists, by, why })
    }

    /// The operation that `entry` names.
    fn operation(
        &self,
        file: &CatalogFile,
        entry: &ToolEntry,
        name: &str,
    ) -> Option<Arc<Operation>> {
        if products::has_operation(name) {
            let message = "a tool means no operation of `mcp` or `callgate`".to_owned();
            self.note(file, format!("{}.operation", entry.at), message, None);
            return None;
        }
        let known = &self.catalogs.vocabulary.operations;
        let found = known.get(name).cloned();
        if found.is_none() {
            let hint = nearest(name, known.keys().map(String::as_str));
            let at = format!("{}.operation", entry.at);
            self.note(file, at, format!("unknown operation `{name}`"), hint);
        }
        found
    }

    fn check_fields(&self, file: &CatalogFile, entry: &ToolEntry, operation: &Operation) {
        for (name, rule) in &entry.fields {
            let at = format!("{}.fields.{name}", entry.at);
            let Some(field) = operation.fields.get(name) else {
                let hint = nearest(name, operation.fields.keys().map(String::as_str));
                let message = format!("`{}` has no field `{name}`", operation.name);
                self.note(file, at, message, hint);
                continue;
            };
            let fits = match field {
                _ if rule.lookup.is_some() => *field == FieldType::Text,
                FieldType::Text => rule.reading == Reading::Value && rule.split.is_none(),
                FieldType::Flag => matches!(rule.reading, Reading::Value | Reading::Present),
                FieldType::Count => matches!(rule.reading, Reading::Value | Reading::Count),
                FieldType::Names => matches!(rule.reading, Reading::Value | Reading::Keys),
            };
            if !fits {
                let message = format!("cannot be read so: the field is of type {}", field.as_str());
                self.note(file, at, message, None);
            }
        }
    }

    /// The rule with its containers, if it fits its operation.
    fn target(
        &self,
        file: &CatalogFile,
        at: &str,
        rule: &TargetRule,
        operation: &Operation,
    ) -> Option<TargetRule> {
        let kinds = &self.catalogs.vocabulary.target_kinds;
        let Some(containers) = chain(&self.catalogs.vocabulary, &rule.kind) else {
            let hint = nearest(&rule.kind, kinds.keys().map(String::as_str));
            self.note(file, format!("{at}.kind"), format!("unknown kind `{}`", rule.kind), hint);
            return None;
        };
        if products::has_kind(&rule.kind) && !products::is_in_arguments(&rule.kind) {
            let message = format!("no argument names a `{}`", rule.kind);
            self.note(file, format!("{at}.kind"), message, None);
            return None;
        }
        let mut needed = vec![rule.kind.as_str()];
        needed.extend(rule.or_site.then_some(SITE));
        if let Source::Query { language, .. } = &rule.source {
            needed.extend(language.bounds());
        }
        for kind in needed {
            if !operation.targets.iter().any(|known| known == kind) {
                let message = format!("`{}` has no targets of kind `{kind}`", operation.name);
                let hint = Some(format!("it has {}", operation.targets.join(", ")));
                self.note(file, format!("{at}.kind"), message, hint);
            }
        }
        if let Some(message) = misfit(rule, &containers) {
            self.note(file, at.to_owned(), message, None);
        }
        let outermost_first = containers.iter().rev().chain([&rule.kind]);
        let ignores_case = outermost_first.map(|kind| self.ignoring_case.contains(kind)).collect();
        Some(TargetRule { containers, ignores_case, ..rule.clone() })
    }

    fn note(&self, file: &CatalogFile, at: String, message: String, hint: Option<String>) {
        self.report.note(&file.file, at, message, hint);
    }
}

/// Reading a resource, with the kinds that URIs name. One for all servers: policies are checked against it.
fn read_resource(files: &[CatalogFile]) -> Arc<Operation> {
    let rules = files.iter().flat_map(|file| file.resources.values());
    let rules = rules.flat_map(|resource| &resource.targets);
    let mut operation = Operation::clone(mcp::read_resource());
    for (_, rule) in rules {
        operation.targets.push(rule.kind.clone());
        if let Source::Query { language, .. } = &rule.source {
            operation.targets.extend(language.bounds().iter().map(|kind| (*kind).to_owned()));
        }
    }
    operation.targets.sort();
    operation.targets.dedup();
    Arc::new(operation)
}

/// Why the ids of `rule` cannot be those of its kind.
fn misfit(rule: &TargetRule, containers: &[String]) -> Option<String> {
    match &rule.source {
        Source::Constant(_) if !containers.is_empty() => {
            Some(format!("`id` is for kinds in no other: `{}` is in {containers:?}", rule.kind))
        }
        Source::Constant(id) if rule.kind == net::HOST && !net::is_host(id) => {
            Some(format!("`{id}` is no host as policies write it: `files.example`"))
        }
        Source::Ids { alternatives, .. } => {
            let in_site = containers.last().is_some_and(|outermost| outermost == SITE);
            let is_one = in_site && atlassian::knows(&rule.kind);
            let is_one = is_one || products::is_in_arguments(&rule.kind);
            let wanted = if is_one { 1 } else { containers.len() + 1 };
            let other = alternatives.iter().map(Vec::len).find(|parts| *parts != wanted)?;
            Some(format!("parts of an id of `{}`: {wanted}, not {other}", rule.kind))
        }
        Source::Constant(_) | Source::WholeSite | Source::Query { .. } => None,
    }
}

/// The kinds that contain `kind`, innermost first. None if it is unknown or contains itself.
fn chain(vocabulary: &Vocabulary, kind: &str) -> Option<Vec<String>> {
    let mut containers = Vec::new();
    let mut inner = vocabulary.target_kinds.get(kind)?;
    while let Some(container) = inner {
        if containers.contains(container) || container == kind {
            return None;
        }
        containers.push(container.clone());
        inner = vocabulary.target_kinds.get(container)?;
    }
    Some(containers)
}
