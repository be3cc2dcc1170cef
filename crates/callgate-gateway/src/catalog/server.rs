//! A catalog bound to a server: naming its calls.

use std::sync::Arc;

use callgate_model::json::{Json, Object};
use callgate_model::products::atlassian::SiteMap;
use callgate_model::reason::Reason;
use callgate_model::vocabulary::{Effect, Operation, Risk};

use super::resolver::{Lookup, Resolver};
use super::rule::{Dispatcher, PromptRule, ResourceRule, ToolRule};
use super::{About, Catalog};

/// What the tools of one server mean, and where its sites are.
#[derive(Clone, Debug)]
pub struct ServerCatalog {
    catalog: Arc<Catalog>,
    pub(crate) sites: SiteMap,
}

/// A call whose meaning is known.
#[derive(Clone, Debug)]
pub struct Named {
    /// What it means.
    pub operation: Arc<Operation>,
    /// The operation's risk, or more if the catalog raises it for this tool.
    pub risk: Risk,
    /// The tool that a dispatcher runs.
    pub inner: Option<String>,
    /// The arguments of that tool.
    pub unwrapped: Option<Object>,
    pub(crate) rule: Arc<ToolRule>,
}

impl ServerCatalog {
    pub(super) const fn new(catalog: Arc<Catalog>, sites: SiteMap) -> Self {
        Self { catalog, sites }
    }

    /// The catalog's name.
    #[must_use]
    pub fn catalog_name(&self) -> &str {
        &self.catalog.name
    }

    /// What the catalog says of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.catalog.about
    }

    /// Reading a resource of any server: what policies were checked against.
    #[must_use]
    pub fn read_resource(&self) -> &Arc<Operation> {
        &self.catalog.read_resource
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = &ResourceRule> {
        self.catalog.resources.values()
    }

    /// What the prompt `name` does when it is asked for, if it does anything.
    pub(crate) fn prompt(&self, name: &str) -> Option<&PromptRule> {
        self.catalog.prompts.get(name)
    }

    /// How opaque ids of `kind` are resolved, if they are.
    pub(crate) fn resolver(&self, kind: &str) -> Option<&Arc<Resolver>> {
        self.catalog.resolvers.get(kind)
    }

    pub(crate) fn lookup(&self, name: &str) -> Option<&Arc<Lookup>> {
        self.catalog.lookups.get(name)
    }

    /// A call of `tool` with these arguments, or of a dispatcher that runs it, whichever the server `has`.
    pub(crate) fn called(
        &self,
        tool: &str,
        arguments: Object,
        has: impl Fn(&str) -> bool,
    ) -> Option<(String, Object)> {
        if has(tool) {
            return Some((tool.to_owned(), arguments));
        }
        let effect = self.catalog.tools.get(tool)?.operation.effect;
        let mut dispatchers = self.catalog.dispatchers.iter();
        let (name, dispatcher) =
            dispatchers.find(|(name, dispatcher)| dispatcher.effects == [effect] && has(name))?;
        let mut outer = Object::default().with(&dispatcher.name, tool);
        if let Some(name) = &dispatcher.site
            && let Some(site) = arguments.get(name)
        {
            outer.set(name, site.clone());
        }
        outer.set(&dispatcher.arguments, arguments);
        Some((name.clone(), outer))
    }

    /// What the catalog says about `tool`, if it is no dispatcher.
    #[must_use]
    pub fn rule(&self, tool: &str) -> Option<&ToolRule> {
        self.catalog.tools.get(tool).map(|rule| &**rule)
    }

    /// Whether `tool` runs other tools, and those of which effects.
    #[must_use]
    pub fn dispatches(&self, tool: &str) -> Option<&[Effect]> {
        self.catalog.dispatchers.get(tool).map(|dispatcher| &*dispatcher.effects)
    }

    /// Every tool that the catalog knows, but for dispatchers.
    pub fn catalog_tools(&self) -> impl Iterator<Item = (&str, &ToolRule)> {
        self.catalog.tools.iter().map(|(name, rule)| (name.as_str(), rule.as_ref()))
    }

    /// Every tool that runs other tools, and those of which effects.
    pub fn dispatchers(&self) -> impl Iterator<Item = (&str, &[Effect])> {
        let all = self.catalog.dispatchers.iter();
        all.map(|(name, dispatcher)| (name.as_str(), &*dispatcher.effects))
    }

    /// What a call of `tool` means, a dispatcher unwrapped.
    ///
    /// # Errors
    /// [`Reason::ToolUnclassified`]; of a dispatcher [`Reason::DispatchUnknown`], [`Reason::DispatchTierMismatch`],
    /// [`Reason::DispatchConflict`] or [`Reason::ArgumentsInvalid`].
    pub fn name(&self, tool: &str, arguments: &Object) -> Result<Named, Reason> {
        if let Some(rule) = self.catalog.tools.get(tool) {
            return Ok(Named::by(rule, None));
        }
        let dispatcher = self.catalog.dispatchers.get(tool).ok_or(Reason::ToolUnclassified)?;
        let inner = arguments.get(&dispatcher.name).and_then(Json::as_str);
        let inner = inner.ok_or(Reason::DispatchUnknown)?;
        // Dispatchers are not among the tools: one cannot run another. Nor can it run what lists tools: the answer would not
        // be known for one.
        let rule = self.catalog.tools.get(inner).filter(|rule| rule.lists.is_none());
        let rule = rule.ok_or(Reason::DispatchUnknown)?;
        if !dispatcher.effects.contains(&rule.operation.effect) {
            return Err(Reason::DispatchTierMismatch);
        }
        let unwrapped = self.unwrap(dispatcher, arguments)?;
        Ok(Named::by(rule, Some((inner.to_owned(), unwrapped))))
    }

    /// The tool that a call of `tool` is to run, if that is a dispatcher and says which.
    #[must_use]
    pub fn inner<'a>(&self, tool: &str, arguments: &'a Object) -> Option<&'a str> {
        arguments.get(&self.catalog.dispatchers.get(tool)?.name)?.as_str()
    }

    /// What a call of `tool` can mean: for a dispatcher everything that it runs. Empty if nothing is known.
    #[must_use]
    pub fn operations_of(&self, tool: &str) -> Vec<(Arc<Operation>, Risk)> {
        let meaning = |rule: &Arc<ToolRule>| (Arc::clone(&rule.operation), rule.risk);
        if let Some(rule) = self.catalog.tools.get(tool) {
            return vec![meaning(rule)];
        }
        let Some(dispatcher) = self.catalog.dispatchers.get(tool) else { return Vec::new() };
        let tier = |rule: &&Arc<ToolRule>| dispatcher.effects.contains(&rule.operation.effect);
        let mut operations: Vec<_> =
            self.catalog.tools.values().filter(tier).map(meaning).collect();
        operations.sort_by(|(a, a_risk), (b, b_risk)| (&a.name, a_risk).cmp(&(&b.name, b_risk)));
        operations.dedup_by(|(a, a_risk), (b, b_risk)| a.name == b.name && a_risk == b_risk);
        operations
    }

    /// The arguments of the tool that `dispatcher` runs. The site may stand beside them, among them or in both places
    /// if both say the same. Anything else beside them could be taken for an argument by the server, so it is refused.
    fn unwrap(&self, dispatcher: &Dispatcher, arguments: &Object) -> Result<Object, Reason> {
        let mut inner = match arguments.get(&dispatcher.arguments) {
            None => Object::default(),
            Some(Json::Object(inner)) => inner.clone(),
            Some(_) => return Err(Reason::ArgumentsInvalid),
        };
        let site = dispatcher.site.as_deref();
        let stray = arguments.iter().any(|(name, _)| {
            name != dispatcher.name
                && name != dispatcher.arguments
                && Some(name) != site
                && !dispatcher.ignored.iter().any(|ignored| ignored == name)
        });
        if stray {
            return Err(Reason::DispatchConflict);
        }
        if let Some((name, outer)) = site.and_then(|name| Some((name, arguments.get(name)?))) {
            match inner.get(name) {
                None => inner.set(name, outer.clone()),
                Some(own) if self.same_site(own, outer) => {}
                Some(_) => return Err(Reason::DispatchConflict),
            }
        }
        Ok(inner)
    }

    fn same_site(&self, a: &Json, b: &Json) -> bool {
        let resolve = |site: &Json| self.sites.resolve(site.as_str()?).ok();
        a == b || resolve(a).is_some_and(|site| Some(site) == resolve(b))
    }
}

impl Named {
    fn by(rule: &Arc<ToolRule>, inside: Option<(String, Object)>) -> Self {
        let (inner, unwrapped) = inside.unzip();
        Self {
            operation: Arc::clone(&rule.operation),
            risk: rule.risk,
            inner,
            unwrapped,
            rule: Arc::clone(rule),
        }
    }
}
