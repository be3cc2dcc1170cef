//! What tools mean: the catalogs, and naming a call by them.
//!
//! A catalog is data about one server product. What a tool does is decided by whoever read what it does, never by its
//! name or by what the server says of it; the server's own hints can only raise a risk ([`raise`]). A tool that no
//! catalog knows has no meaning and is refused. It must not know policies.

mod assemble;
mod file;
mod path;
mod problem;
mod resolver;
mod rule;
mod section;
pub(crate) mod select;
mod server;
mod signature;
mod uri;

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_model::products::atlassian::SiteMap;
use callgate_model::treatment::Treatments;
use callgate_model::vocabulary::{Effect, Operation, Risk, Vocabulary};

pub use path::{Path, Step};
pub use problem::Problem;
pub use resolver::{Ask, Finds, Found, Given, Lookup, Resolver, RestPath, Seen};
pub use rule::{
    Dispatcher, FieldRule, Language, Listing, PromptRule, Reading, ResourceRule, Source, Split,
    TargetRule, ToolRule,
};
pub use server::{Named, ServerCatalog};
pub use signature::{NAMESPACE, NotASigner, SignatureError, Signers};
pub use uri::{UriShape, scheme};

/// The catalogs that are part of the program.
const SHIPPED: &[(&str, &str)] = &[
    ("catalogs/atlassian.toml", include_str!("../../../catalogs/atlassian.toml")),
    ("catalogs/atlassian-rovo.toml", include_str!("../../../catalogs/atlassian-rovo.toml")),
    ("catalogs/atlassian-rovo-v1.toml", include_str!("../../../catalogs/atlassian-rovo-v1.toml")),
    ("catalogs/mcp-atlassian.toml", include_str!("../../../catalogs/mcp-atlassian.toml")),
    ("catalogs/github.toml", include_str!("../../../catalogs/github.toml")),
    ("catalogs/postgres.toml", include_str!("../../../catalogs/postgres.toml")),
    ("catalogs/slack.toml", include_str!("../../../catalogs/slack.toml")),
    ("catalogs/filesystem.toml", include_str!("../../../catalogs/filesystem.toml")),
    ("catalogs/fetch.toml", include_str!("../../../catalogs/fetch.toml")),
    ("catalogs/memory.toml", include_str!("../../../catalogs/memory.toml")),
];

/// All catalogs, checked against each other.
#[derive(Clone, Debug, Default)]
pub struct Catalogs {
    by_name: BTreeMap<String, Arc<Catalog>>,
    vocabulary: Vocabulary,
    overrides: Vec<Override>,
    /// By operation, what happens to fields of its arguments on their way into the record.
    records: BTreeMap<String, Treatments>,
}

/// What one server product's tools and resources mean.
#[derive(Clone, Debug)]
struct Catalog {
    name: String,
    about: About,
    tools: BTreeMap<String, Arc<ToolRule>>,
    dispatchers: BTreeMap<String, Dispatcher>,
    /// By the texts of their shapes, no two of which meet.
    resources: BTreeMap<String, ResourceRule>,
    /// By their names: those that do something.
    prompts: BTreeMap<String, PromptRule>,
    /// By the kinds of what they resolve.
    resolvers: BTreeMap<String, Arc<Resolver>>,
    /// By their own names.
    lookups: BTreeMap<String, Arc<Lookup>>,
    /// Reading a resource, with every kind that any catalog's URIs name.
    read_resource: Arc<Operation>,
}

/// What a catalog says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its version; of an extended catalog, those of all its files.
    pub version: String,
    /// What it is about, in a line.
    pub what: Option<String>,
    /// With what it was compared, and when.
    pub verified: Option<String>,
    /// Where that can be read.
    pub sources: Vec<String>,
}

impl About {
    /// What a file that extends this catalog makes of it.
    fn extended(&self, by: &Self) -> Self {
        Self {
            version: format!("{}+{}", self.version, by.version),
            what: by.what.clone().or_else(|| self.what.clone()),
            verified: by.verified.clone().or_else(|| self.verified.clone()),
            sources: [&*self.sources, &*by.sources].concat(),
        }
    }
}

/// A tool, or a shape of URIs, that a later file gives another meaning than an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The file that does.
    pub file: String,
    /// The catalog in which it does.
    pub catalog: String,
    /// The tool or the shape.
    pub tool: String,
}

/// Why a server has no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerCatalogError {
    /// No such catalog.
    #[error("server `{server}`: there is no catalog `{catalog}`; there are: {known}")]
    Unknown {
        /// The server.
        server: String,
        /// What it was given.
        catalog: String,
        /// What there is.
        known: String,
    },
    /// Its targets are in sites, and none is configured.
    #[error(
        "server `{server}`: the targets of catalog `{catalog}` are in sites; configure at least one"
    )]
    NoSites {
        /// The server.
        server: String,
        /// Its catalog.
        catalog: String,
    },
}

impl Catalogs {
    /// The catalogs in `files`, pairs of a name and a text. Files may use and extend those before them.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(files: &[(&str, &str)]) -> Result<Self, Vec<Problem>> {
        let report = section::Report::default();
        let read = files.iter().filter_map(|(name, text)| file::read(&report, name, text));
        let catalogs = assemble::assemble(read.collect(), &report);
        let problems = report.into_problems();
        if problems.is_empty() { Ok(catalogs) } else { Err(problems) }
    }

    /// The catalogs that are part of the program, and the operator's own.
    ///
    /// # Errors
    /// Everything that is wrong with `extra`.
    pub fn shipped(extra: &[(&str, &str)]) -> Result<Self, Vec<Problem>> {
        let mut all = Self::load(&[SHIPPED, extra].concat())?;
        // That one shipped catalog extends another is no news.
        all.overrides.retain(|one| extra.iter().any(|(file, _)| *file == one.file));
        Ok(all)
    }

    /// Everything that policies can name.
    #[must_use]
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The tools and URIs that a later file gave another meaning, for the startup log.
    #[must_use]
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// By operation, what happens to fields of its arguments on their way into the record, unless the operator says otherwise.
    #[must_use]
    pub const fn records(&self) -> &BTreeMap<String, Treatments> {
        &self.records
    }

    /// What each catalog says of itself, by name, and how many tools it knows.
    pub fn about(&self) -> impl Iterator<Item = (&str, &About, usize)> {
        let known = |catalog: &Catalog| catalog.tools.len() + catalog.dispatchers.len();
        self.by_name.iter().map(move |(name, found)| (name.as_str(), &found.about, known(found)))
    }

    /// Every tool of every catalog, with the catalog's name and the tool's.
    pub fn every_tool(&self) -> impl Iterator<Item = (&str, &ToolRule, &str)> {
        self.by_name.iter().flat_map(|(catalog, found)| {
            let tools = found.tools.iter();
            tools.map(|(name, rule)| (catalog.as_str(), &**rule, name.as_str()))
        })
    }

    /// The catalog `catalog` for the server `server`, whose targets are in `sites`.
    ///
    /// # Errors
    /// [`ServerCatalogError`] if there is no such catalog or it cannot do without sites.
    pub fn for_server(
        &self,
        server: &str,
        catalog: &str,
        sites: SiteMap,
    ) -> Result<ServerCatalog, ServerCatalogError> {
        let Some(found) = self.by_name.get(catalog) else {
            return Err(ServerCatalogError::Unknown {
                server: server.to_owned(),
                catalog: catalog.to_owned(),
                known: self.by_name.keys().cloned().collect::<Vec<_>>().join(", "),
            });
        };
        let mut rules = found.rules();
        if sites.is_empty() && rules.any(TargetRule::is_in_site) {
            return Err(ServerCatalogError::NoSites {
                server: server.to_owned(),
                catalog: catalog.to_owned(),
            });
        }
        Ok(ServerCatalog::new(Arc::clone(found), sites))
    }
}

impl Catalog {
    /// Every rule for targets.
    fn rules(&self) -> impl Iterator<Item = &TargetRule> {
        let of_tools = self.tools.values().flat_map(|tool| &tool.targets);
        of_tools.chain(self.resources.values().flat_map(|resource| &resource.targets))
    }
}

/// The risk of a call when the server itself says that the tool destroys, or that it does not only read. Hints are not
/// trusted: they never lower it (T04).
#[must_use]
pub fn raise(
    operation: &Operation,
    risk: Risk,
    destructive_hint: Option<bool>,
    read_only_hint: Option<bool>,
) -> Risk {
    let destroys = destructive_hint == Some(true);
    let floor = match operation.effect {
        Effect::Read if destroys || read_only_hint == Some(false) => Risk::High,
        Effect::Write | Effect::Share | Effect::Delete | Effect::Admin if destroys => Risk::Medium,
        Effect::Read | Effect::Write | Effect::Share | Effect::Delete | Effect::Admin => Risk::Low,
    };
    risk.max(floor)
}

#[cfg(test)]
mod tests;
