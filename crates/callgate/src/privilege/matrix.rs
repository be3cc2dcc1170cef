//! What the policies themselves say of an operation at a place, to one chain: of a call on something there, of which nothing more is
//! known.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_model::ambient::Timestamp;
use callgate_model::call::{Method, ToolCall};
use callgate_model::decision::Verdict;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::target::{Resource, Target};
use callgate_model::vocabulary::{Operation, Risk, Vocabulary};
use callgate_policy::{PreparedCaller, Question, could_allow_in, decide};

use super::Asking;

/// Containers of one thing that are looked for.
const CONTAINERS_MAX: usize = 16;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// It may.
    Allow,
    /// It may after an approval.
    Approval,
    /// That depends on what else the call says, or on a grant.
    Depends,
    /// It may not, whatever the call says.
    Deny,
}

impl Cell {
    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Approval => "approval",
            Self::Depends => "depends",
            Self::Deny => "deny",
        }
    }
}

impl Asking {
    /// Whether `caller` may do `operation` of `server` to something in `place`, or to that.
    pub(crate) fn cell(
        &self,
        caller: &PreparedCaller,
        (server, operation, risk): (&str, &Arc<Operation>, Risk),
        place: &Resource,
        now: Timestamp,
    ) -> Cell {
        if !could_allow_in(&self.bundle, caller, server, operation, risk, place) {
            return Cell::Deny;
        }
        let something = operation.targets.iter().find_map(|kind| self.something(kind, place));
        let Some(target) = something else { return Cell::Depends };
        let call = ToolCall {
            server: server.into(),
            method: Method::ToolsCall,
            tool: operation.name.clone(),
            operation: Arc::clone(operation),
            risk,
            definition: None,
            arguments: Object::default(),
            unwrapped: None,
            arguments_digest: Digest::default(),
            fields: absent(operation),
        };
        let targets = [target];
        let question =
            Question { caller, call: &call, targets: &targets, now, grant: None, lifted: &[] };
        match decide(&self.bundle, &question).verdict {
            Verdict::Allow => Cell::Allow,
            Verdict::ApprovalRequired(_) => Cell::Approval,
            Verdict::Deny => Cell::Depends,
        }
    }

    /// Whether `operation` can be about something in `place`, or that.
    pub(crate) fn is_in(&self, operation: &Operation, place: &Resource) -> bool {
        operation.targets.iter().any(|kind| self.something(kind, place).is_some())
    }

    /// A thing of `kind` in `place`, that `place` itself if it is one.
    fn something(&self, kind: &str, place: &Resource) -> Option<Target> {
        let above = above(&self.vocabulary, place);
        if kind == place.kind {
            return Some(Target::located(place.clone(), above));
        }
        let mut between = Vec::new();
        let mut container = self.vocabulary.target_kinds.get(kind)?.as_ref()?;
        while *container != place.kind && between.len() < CONTAINERS_MAX {
            between.push(Resource::new(container.as_str(), format!("{}/-", place.id)));
            container = self.vocabulary.target_kinds.get(container)?.as_ref()?;
        }
        between.push(place.clone());
        between.extend(above);
        Some(Target::located(Resource::new(kind, format!("{}/-", place.id)), between))
    }
}

/// Every field, as if the call did not have it.
fn absent(operation: &Operation) -> BTreeMap<String, callgate_model::vocabulary::FieldValue> {
    operation.fields.iter().map(|(name, is)| (name.clone(), is.absent())).collect()
}

/// What contains `place`: an id has the ids of what is around it before it.
fn above(vocabulary: &Vocabulary, place: &Resource) -> Vec<Resource> {
    let (mut all, mut inner) = (Vec::new(), place.clone());
    while let Some(Some(kind)) = vocabulary.target_kinds.get(&inner.kind)
        && let Some((id, _)) = inner.id.rsplit_once('/')
        && all.len() < CONTAINERS_MAX
    {
        inner = Resource::new(kind.as_str(), id);
        all.push(inner.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use callgate_gateway::catalog::Catalogs;
    use callgate_gateway::identity::ChainSpec;
    use callgate_policy::{Bundle, Source, Tier};

    use super::*;

    const PERMITS: &str = r#"
@id("a") @reason("-") @owner("-")
permit(principal == User::"alice", action in [Action::"read", Action::"delete", Action::"jira.issue.comment.add"], resource in Jira::Project::"acme/ENG");
@id("b") @reason("-") @owner("-")
permit(principal == User::"alice", action in Action::"read", resource in Atlassian::Site::"acme");
@id("c") @reason("-") @owner("-")
permit(principal == User::"alice", action == Action::"jira.issue.edit", resource in Jira::Project::"acme/ENG")
when { context.input.changed.contains("labels") };
"#;
    const GATES: &str = r#"
@id("d") @reason("-") @owner("-") @approval("team:leads")
forbid(principal, action in Action::"delete", resource);
"#;

    #[test]
    fn what_policy_says_is_what_is_shown() {
        let vocabulary = Catalogs::shipped(&[]).unwrap().vocabulary().clone();
        let source =
            |tier, text: &str| Source { tier, name: "x".to_owned(), text: text.to_owned() };
        let sources = [source(Tier::Permit, PERMITS), source(Tier::Approval, GATES)];
        let bundle = Bundle::load(&vocabulary, &sources).unwrap();
        let asking = Asking::new(
            (Arc::new(bundle), Arc::new(vocabulary.clone())),
            BTreeSet::new(),
            BTreeSet::new(),
        );
        let now = Timestamp::from_unix_ms(1_795_600_000_000);
        let alice = ChainSpec {
            human: Some("alice".to_owned()),
            client: "x".to_owned(),
            ..ChainSpec::default()
        };
        let alice = PreparedCaller::new(alice.to_caller(Digest::default()).unwrap());
        let cell = |name: &str, place: &Resource| {
            let operation = vocabulary.operations.get(name).unwrap();
            asking.cell(&alice, ("atlassian", operation, operation.risk), place, now)
        };
        let [eng, ops] = ["acme/ENG", "acme/OPS"].map(|id| Resource::new("Jira::Project", id));
        assert_eq!(cell("jira.issue.read", &eng), Cell::Allow);
        assert_eq!(cell("jira.issue.read", &ops), Cell::Allow, "it is in the site");
        assert_eq!(cell("jira.issue.delete", &eng), Cell::Approval);
        assert_eq!(cell("jira.issue.delete", &ops), Cell::Deny);
        assert_eq!(cell("jira.issue.edit", &eng), Cell::Depends, "on its fields");
        assert_eq!(cell("jira.issue.edit", &ops), Cell::Deny);
        let elsewhere = Resource::new("Confluence::Space", "acme/DOCS");
        assert_eq!(cell("jira.issue.read", &elsewhere), Cell::Deny, "no issue is in a space");
    }
}
