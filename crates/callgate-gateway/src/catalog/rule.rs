//! The rules of one tool or of the URIs of one shape, as `locate` follows them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use callgate_model::vocabulary::{Effect, Operation, Risk};

use super::path::Path;
use super::uri::UriShape;

/// What a catalog says about one tool.
#[derive(Clone, Debug)]
pub struct ToolRule {
    /// What it means.
    pub operation: Arc<Operation>,
    /// The operation's risk, or more.
    pub risk: Risk,
    /// Where its targets are.
    pub targets: Vec<TargetRule>,
    /// The argument that names the site, if no target says otherwise.
    pub site: Option<Path>,
    /// Where its fields are.
    pub fields: BTreeMap<String, FieldRule>,
    /// Where its answer lists tools that can be run, if it does.
    pub lists: Option<Listing>,
    /// The file that says so, with the version of its catalog.
    pub by: String,
    /// Why it says so, if that is not plain.
    pub why: Option<String>,
}

/// Where the answer of a tool lists other tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The array of them: members only.
    pub rows: Path,
    /// In each, the name.
    pub name: Path,
}

/// What a catalog says about the resources whose URIs are of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRule {
    /// The shape.
    pub shape: UriShape,
    /// The operation's risk, or more.
    pub risk: Risk,
    /// What they name, in the shape's variables.
    pub targets: Vec<TargetRule>,
}

/// Where targets of one kind are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRule {
    /// Their kind.
    pub kind: String,
    /// The kinds that contain it, innermost first.
    pub containers: Vec<String>,
    /// For each part of an id, outermost first, whether it is the same in any case.
    pub ignores_case: Vec<bool>,
    /// Where their ids are.
    pub source: Source,
    /// The argument that names the site.
    pub site: Option<Path>,
    /// Whether it may be absent without being missed.
    pub optional: bool,
    /// Whether the whole site is the target if it is absent.
    pub or_site: bool,
}

impl fmt::Display for TargetRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match &self.source {
            Source::WholeSite => f.write_str(", the whole site")?,
            Source::Constant(id) => write!(f, " \"{id}\"")?,
            Source::Query { path, .. } => write!(f, ", whatever the query at {path} finds")?,
            Source::Ids { alternatives, .. } => {
                let parts = |paths: &Vec<Path>| {
                    paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
                };
                let any: Vec<String> = alternatives.iter().map(parts).collect();
                write!(f, " at {}", any.join(" or "))?;
            }
        }
        match (self.optional, self.or_site) {
            (true, _) => f.write_str(", if it is there"),
            (false, true) => f.write_str(", or else the whole site"),
            (false, false) => Ok(()),
        }
    }
}

/// Where ids are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The site itself is the target.
    WholeSite,
    /// Always the same id.
    Constant(String),
    /// In the arguments. Each alternative that is present gives targets; its paths are the parts of one id.
    Ids {
        /// At least one.
        alternatives: Vec<Vec<Path>>,
        /// How several ids are in one string.
        split: Option<Split>,
    },
    /// Whatever a query finds.
    Query {
        /// Where the query is.
        path: Path,
        /// What it is written in.
        language: Language,
        /// Arguments that the server mixes into it: with one of them it is another query.
        mixed: Vec<Path>,
    },
}

/// How several ids are in one string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// What separates them.
    pub separator: char,
    /// Whether they may be a JSON array instead.
    pub or_json: bool,
}

/// What a query is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Jira's.
    Jql,
    /// Confluence's.
    Cql,
    /// That of GitHub's searches. What `mixed` names are the owner and the name of a repository, to which the server binds a
    /// query that names none itself.
    GitHub,
    /// Confluence's if there is an `=` in it; else free text.
    CqlOrText,
    /// That of databases, which has no bounds: what a statement does is not told from its text.
    Sql,
    /// Free text, which has no bounds.
    Text,
}

/// A prompt that does something when it is asked for. What that touches, only the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptRule {
    /// The kind of thing that it touches.
    pub touches: String,
    /// How bad a wrong one is.
    pub risk: Risk,
}

/// Where a field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// Everywhere it can be.
    pub paths: Vec<Path>,
    /// What of it is taken.
    pub reading: Reading,
    /// What separates several in one string.
    pub split: Option<char>,
    /// By which of the catalog's lookups the value is found for what stands there.
    pub lookup: Option<String>,
}

/// What of a value is taken for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The value.
    Value,
    /// The names of its members.
    Keys,
    /// How many there are.
    Count,
    /// Whether there is one.
    Present,
}

/// A tool that runs another one, which its arguments name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatcher {
    /// The argument with the name of the tool.
    pub name: String,
    /// The argument with the tool's arguments.
    pub arguments: String,
    /// The argument with the site, which the tool takes under the same name.
    pub site: Option<String>,
    /// Arguments that mean nothing.
    pub ignored: Vec<String>,
    /// What tools run through it may do.
    pub effects: Vec<Effect>,
}

impl ToolRule {
    /// The names of the arguments that its rules look at.
    #[cfg(test)]
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        let of_targets = self.targets.iter().flat_map(|rule| rule.source.paths());
        of_targets.chain(self.fields.values().flat_map(|field| &field.paths)).filter_map(|path| {
            match path.steps().first() {
                Some(super::path::Step::Member(name)) => Some(name.as_str()),
                Some(_) | None => None,
            }
        })
    }
}

impl Source {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Ids { alternatives, .. } => alternatives.iter().flatten().collect(),
            Self::Query { path, mixed, .. } => std::iter::once(path).chain(mixed).collect(),
            Self::WholeSite | Self::Constant(_) => Vec::new(),
        }
    }
}

impl Language {
    /// The kinds of what queries in it are bounded by.
    #[must_use]
    pub const fn bounds(self) -> &'static [&'static str] {
        match self {
            Self::Jql => &["Jira::Issue", "Jira::Project"],
            Self::Cql | Self::CqlOrText => &["Confluence::Page", "Confluence::Space"],
            Self::GitHub => &["GitHub::Owner", "GitHub::Repository"],
            Self::Sql | Self::Text => &[],
        }
    }
}

impl TargetRule {
    /// Everywhere it looks.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.source.paths().into_iter().chain(&self.site)
    }

    /// Whether its targets are in a site.
    #[must_use]
    pub fn is_in_site(&self) -> bool {
        const SITE: &str = "Atlassian::Site";
        self.kind == SITE || self.containers.last().is_some_and(|outermost| outermost == SITE)
    }
}
