//! A validated set of policies, indexed. One that does not validate cannot exist as a value.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use callgate_model::decision::{Gate, PolicyRef};
use callgate_model::digest::Digest;
use callgate_model::obligation::Obligations;
use callgate_model::target::Resource;
use callgate_model::vocabulary::Vocabulary;
use cedar_policy::ffi::DetailedError;
use cedar_policy::{EntityUid, PolicyId, PolicySet, Schema, Validator};

use crate::annotations::{self, Label};
use crate::check::{Checker, parse};
use crate::index::Index;
use crate::known::Known;
use crate::names::{CORE, Closure, Names};
use crate::schema;
use crate::scope::Scope;
use crate::source::{Complaint, Problem, Source, Statement, Tier, statements};

/// The most policies in a bundle.
pub const MAX_POLICIES: usize = 100_000;
/// The most permits whose scope names nothing. Every one of them is evaluated on every call.
pub const MAX_UNSCOPED_PERMITS: usize = 64;

/// Policies that may be decided by.
#[derive(Debug)]
pub struct Bundle {
    schema: String,
    validator: Validator,
    digest: Digest,
    policies: Vec<Policy>,
    index: Index,
    knows_grants: bool,
    has_gates: bool,
    needs_reasons: bool,
    looked_up: BTreeSet<String>,
    /// The channels that gates name, by the gates.
    channels: BTreeMap<String, String>,
    pub(crate) names: Names,
    pub(crate) known: Known,
}

/// One policy of a bundle.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) tier: Tier,
    pub(crate) about: PolicyRef,
    pub(crate) gate: Option<Gate>,
    /// What a permit obliges to.
    pub(crate) obliges: Option<Box<Obligations>>,
    pub(crate) scope: Scope,
    /// Whether it is looked at only, and enforces nothing.
    pub(crate) in_shadow: bool,
    /// A set of this policy alone, to ask whether its `when` and `unless` let it hold; `None` if it has neither.
    pub(crate) alone: Option<PolicySet>,
    /// Kept instead of what Cedar made of it, which is ten times as large and seldom needed.
    text: String,
}

/// A policy as people read it.
#[derive(Clone, Copy, Debug)]
pub struct PolicyText<'a> {
    /// The folder it is in.
    pub tier: Tier,
    /// What it is called, why it exists and whose it is.
    pub about: &'a PolicyRef,
    /// Who approves, if it asks for that.
    pub gate: Option<&'a Gate>,
    /// Whether it enforces nothing.
    pub in_shadow: bool,
    /// Its text, from the first annotation to the semicolon.
    pub text: &'a str,
}

impl Bundle {
    /// Parses, validates and indexes `sources` against `vocabulary`. No policy at all is a bundle too: it denies
    /// everything.
    ///
    /// # Errors
    /// Everything that is wrong, at once, in the order of the sources.
    pub fn load(vocabulary: &Vocabulary, sources: &[Source]) -> Result<Self, Vec<Problem>> {
        let known = Known::new(vocabulary)
            .map_err(|wrong| wrong.into_iter().map(schema_problem).collect::<Vec<_>>())?;
        let schema = schema::text(vocabulary);
        let (parsed, _warnings) = Schema::from_cedarschema_str(&schema)
            .map_err(|error| vec![schema_problem(DetailedError::from(&error).message)])?;
        let mut draft = Draft::new(parsed, vocabulary.looked_up.clone());
        for source in sources {
            draft.read(source);
        }
        draft.finish(schema, known)
    }

    /// Whether a policy may want to know the field `name`, whose value has to be asked for.
    #[must_use]
    pub fn looks_up(&self, name: &str) -> bool {
        self.looked_up.contains(name)
    }

    /// What decisions under this bundle have in common: the digest of its schema and its policies, whatever files they
    /// were in.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a grant could change what any policy says.
    #[must_use]
    pub const fn knows_grants(&self) -> bool {
        self.knows_grants
    }

    /// Whether some policy lets calls through only with an approval.
    #[must_use]
    pub const fn has_gates(&self) -> bool {
        self.has_gates
    }

    /// Whether some permit obliges whoever calls to say why.
    #[must_use]
    pub const fn needs_reasons(&self) -> bool {
        self.needs_reasons
    }

    /// The places that permits name, other than kinds of what is not known.
    pub fn places(&self) -> impl Iterator<Item = Resource> {
        let in_force = self.policies.iter().filter(|policy| !policy.in_shadow);
        let permits = in_force.filter(|policy| policy.is_permit());
        let anchors = permits.filter_map(|policy| policy.scope.resource.anchor.as_ref());
        let known = anchors.filter(|anchor| *anchor.uid.type_name() != CORE.unresolved);
        known.map(|anchor| {
            let id: &str = anchor.uid.id().as_ref();
            Resource::new(anchor.uid.type_name().to_string(), id)
        })
    }

    /// The channels by which people are told of what gates hold, by the gates that name one.
    #[must_use]
    pub const fn channels(&self) -> &BTreeMap<String, String> {
        &self.channels
    }

    /// Each channel that a policy names: of what a gate holds, or of what a permit lets through.
    pub fn channels_named(&self) -> impl Iterator<Item = (Tier, &str, &str)> {
        let of_gates = self.channels.iter();
        let of_gates =
            of_gates.map(|(id, channel)| (Tier::Approval, id.as_str(), channel.as_str()));
        let of_permits = self.policies.iter().flat_map(|policy| {
            let channels = policy.obliges.iter().flat_map(|obliges| &obliges.notify);
            channels.map(|channel| (Tier::Permit, policy.about.id.as_str(), channel.as_str()))
        });
        of_gates.chain(of_permits)
    }

    /// The gates that want a passkey of whoever approves, by their policies.
    pub fn steps_up(&self) -> impl Iterator<Item = &str> {
        let gates = self.policies.iter().filter_map(|policy| policy.gate.as_ref());
        gates.filter(|gate| gate.step_up).map(|gate| gate.policy.as_str())
    }

    /// What the policy of that id says of itself.
    #[must_use]
    pub fn about(&self, id: &str) -> Option<&PolicyRef> {
        self.policies.iter().map(|policy| &policy.about).find(|about| about.id == id)
    }

    /// Every policy, for people.
    pub fn texts(&self) -> impl Iterator<Item = PolicyText<'_>> {
        self.policies.iter().map(|policy| PolicyText {
            tier: policy.tier,
            about: &policy.about,
            gate: policy.gate.as_ref(),
            in_shadow: policy.in_shadow,
            text: &policy.text,
        })
    }

    /// The schema in Cedar's own notation.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The schema, parsed.
    pub(crate) fn cedar_schema(&self) -> &Schema {
        self.validator.schema()
    }

    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The policies whose scope matches.
    pub(crate) fn slice<'a>(
        &'a self,
        principal: (&EntityUid, &Closure),
        action: &Closure,
        resource: (&EntityUid, &Closure),
    ) -> Vec<&'a Policy> {
        let found = self.index.find(principal.1, action, resource.1);
        let candidates = found.into_iter().filter_map(|position| self.policies.get(position));
        candidates
            .filter(|policy| {
                policy.scope.action.covers(action)
                    && policy.scope.principal.covers(principal.0.type_name(), principal.1)
                    && policy.scope.resource.covers(resource.0.type_name(), resource.1)
            })
            .collect()
    }

    /// The permits that the principal and the action match, whatever the resource.
    pub(crate) fn permits(
        &self,
        (uid, principal): (&EntityUid, &Closure),
        action: &Closure,
    ) -> Vec<&Policy> {
        let found = self.index.permits_of(principal);
        let candidates = found.filter_map(|position| self.policies.get(position));
        candidates
            .filter(|policy| {
                policy.scope.action.covers(action)
                    && policy.scope.principal.covers(uid.type_name(), principal)
            })
            .collect()
    }

    /// The guardrails that no argument of a call can avoid.
    pub(crate) fn walls(&self) -> impl Iterator<Item = &Policy> {
        self.index.walls().iter().filter_map(|position| self.policies.get(*position))
    }
}

impl Policy {
    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_permit(&self) -> bool {
        self.tier == Tier::Permit
    }

    pub(crate) fn is_wall(&self) -> bool {
        self.tier == Tier::Guardrail && self.alone.is_none() && self.scope.resource.is_any()
    }

    /// What Cedar makes of it, made again.
    pub(crate) fn cedar(&self) -> Option<cedar_policy::Policy> {
        cedar_policy::Policy::parse(Some(PolicyId::new(&self.about.id)), &self.text).ok()
    }
}

/// A bundle that is being read.
struct Draft {
    checker: Checker,
    policies: Vec<Policy>,
    texts: Vec<(Tier, String, Digest)>,
    names: Names,
    /// Where each id was first used.
    ids: BTreeMap<String, String>,
    channels: BTreeMap<String, String>,
    seen: usize,
    unscoped_permits: usize,
    knows_grants: bool,
    /// The fields whose values have to be asked for.
    looked_up: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Draft {
    fn new(schema: Schema, looked_up: BTreeSet<String>) -> Self {
        Self {
            looked_up,
            checker: Checker::new(schema),
            policies: Vec::new(),
            texts: Vec::new(),
            names: Names::default(),
            ids: BTreeMap::new(),
            channels: BTreeMap::new(),
            seen: 0,
            unscoped_permits: 0,
            knows_grants: false,
            problems: Vec::new(),
        }
    }

    fn read(&mut self, source: &Source) {
        for statement in statements(&source.text) {
            self.seen += 1;
            if self.seen > MAX_POLICIES {
                let complaint = Complaint::new(format!("more than {MAX_POLICIES} policies"));
                self.problems.push(statement.problem(source, complaint));
                return;
            }
            let complaints = self.add(source, &statement).err().unwrap_or_default();
            self.problems.extend(complaints.into_iter().map(|c| statement.problem(source, c)));
        }
    }

    fn add(&mut self, source: &Source, statement: &Statement<'_>) -> Result<(), Vec<Complaint>> {
        let tier = source.tier;
        let cedar = parse(statement)?;
        let scope = Scope::of(&cedar, &mut self.names);
        let mut complaints = self.checker.check(tier, &cedar, &scope);
        complaints.extend(self.count_unscoped(tier, &scope));
        let label = annotations::read(tier, &cedar);
        if let Ok(label) = &label {
            complaints.extend(self.claim_id(&label.about.id, source, statement));
            complaints.extend(self.asks_in_shadow(label, &cedar));
        }
        let Label { about, gate, obliges, notify, in_shadow } = match label {
            Ok(label) if complaints.is_empty() => label,
            Ok(_) => return Err(complaints),
            Err(more) => return Err(complaints.into_iter().chain(more).collect()),
        };
        let text = Digest::of(statement.canonical().as_bytes());
        self.texts.push((tier, about.id.clone(), text));
        let alone = if cedar.has_non_scope_constraint() {
            // As Cedar writes it, the name of an attribute is spelled in one way.
            self.knows_grants |= !in_shadow && cedar.to_string().contains("grant");
            let alone = PolicySet::from_policies([cedar.new_id(PolicyId::new(&about.id))]);
            Some(alone.map_err(|error| vec![Complaint::cedar(DetailedError::from(&error))])?)
        } else {
            None
        };
        self.channels.extend(notify.map(|channel| (about.id.clone(), channel)));
        let text = statement.text.to_owned();
        self.policies.push(Policy { tier, about, gate, obliges, scope, in_shadow, alone, text });
        Ok(())
    }

    /// That a policy in shadow names what the server would have to be asked for: nobody is, for its sake.
    fn asks_in_shadow(&self, label: &Label, cedar: &cedar_policy::Policy) -> Option<Complaint> {
        if !label.in_shadow || !cedar.has_non_scope_constraint() {
            return None;
        }
        let written = cedar.to_string();
        let names = |field: &&String| written.contains("input") && written.contains(&***field);
        let field = self.looked_up.iter().find(names)?;
        Some(
            Complaint::new(format!("a policy in shadow cannot name the field `{field}`"))
                .hint("no server is asked for what only a policy in shadow wants to know"),
        )
    }

    fn claim_id(
        &mut self,
        id: &str,
        source: &Source,
        statement: &Statement<'_>,
    ) -> Option<Complaint> {
        let place = format!("{}/{}:{}", source.tier.folder(), source.name, statement.line);
        match self.ids.entry(id.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(place);
                None
            }
            Entry::Occupied(first) => Some(
                Complaint::new(format!("the id {id} is taken")).hint(format!("by {}", first.get())),
            ),
        }
    }

    fn count_unscoped(&mut self, tier: Tier, scope: &Scope) -> Option<Complaint> {
        if tier != Tier::Permit || !scope.is_open() {
            return None;
        }
        self.unscoped_permits += 1;
        (self.unscoped_permits > MAX_UNSCOPED_PERMITS).then(|| {
            Complaint::new(format!("more than {MAX_UNSCOPED_PERMITS} permits with an empty scope"))
                .hint(
                    "name a principal, an action or a resource; these are evaluated on every call",
                )
        })
    }

    fn finish(mut self, schema: String, known: Known) -> Result<Bundle, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        self.texts.sort_unstable();
        let digest = digest(&schema, &self.texts);
        let mut index = Index::default();
        for (position, policy) in self.policies.iter().enumerate() {
            index.file(position, policy);
        }
        let needs = |policy: &Policy| policy.obliges.as_ref().is_some_and(|one| one.needs_reason);
        let in_force = || self.policies.iter().filter(|policy| !policy.in_shadow);
        // A name may be written with escapes.
        let names = |text: &str, field: &str| {
            [field, "\\u", "\\x"].iter().any(|written| text.contains(written))
        };
        self.looked_up.retain(|field| in_force().any(|policy| names(&policy.text, field)));
        let (has_gates, needs_reasons) =
            (in_force().any(|policy| policy.gate.is_some()), in_force().any(needs));
        Ok(Bundle {
            has_gates,
            needs_reasons,
            schema,
            validator: self.checker.into_validator(),
            digest,
            policies: self.policies,
            index,
            knows_grants: self.knows_grants,
            looked_up: self.looked_up,
            channels: self.channels,
            names: self.names,
            known,
        })
    }
}

fn schema_problem(message: String) -> Problem {
    Problem { source: "schema".to_owned(), line: None, message, hint: None }
}

fn digest(schema: &str, texts: &[(Tier, String, Digest)]) -> Digest {
    let mut bytes = b"callgate policy bundle 1\n".to_vec();
    bytes.extend_from_slice(Digest::of(schema.as_bytes()).as_bytes());
    for (tier, id, text) in texts {
        // Neither folder names nor ids contain a line break.
        bytes.extend_from_slice(format!("{}\n{id}\n{text}\n", tier.folder()).as_bytes());
    }
    Digest::of(&bytes)
}
