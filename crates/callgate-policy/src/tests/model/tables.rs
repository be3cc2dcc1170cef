//! What the random worlds are made of: each part of a rule as policies write it, and beside it what it means.

use callgate_model::ambient::Id;
use callgate_model::authority::{Grant, Holder};
use callgate_model::call::ToolCall;
use callgate_model::caller::{AccountableKind, Assurance, Caller};
use callgate_model::envelope::Portion;
use callgate_model::target::{Obstacle, Target};
use callgate_model::vocabulary::{Effect, FieldValue, Risk, Vocabulary};

use crate::tests::world::{self, NOW, agent, issue, person, unresolved};
use crate::{Bundle, Source, Tier};

pub(super) const GUARDRAIL: Tier = Tier::Guardrail;
pub(super) const APPROVAL: Tier = Tier::Approval;
pub(super) const PERMIT: Tier = Tier::Permit;

pub(super) const OPERATIONS: [&str; 4] =
    ["jira.issue.read", "jira.issue.edit", "jira.issue.delete", "jira.comment.write"];

/// Random numbers that are the same each time (`SplitMix64`).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One in so many.
    fn rarely(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// What a link of the chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    ServiceAccount,
    Agent,
    Actor,
}

/// A link of the chain: its name, and its group or class.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) kind: Kind,
    name: &'static str,
    of: &'static str,
    pub(super) assured: bool,
}

impl Link {
    fn is_agent(&self) -> bool {
        matches!(self.kind, Kind::Agent | Kind::Actor)
    }
}

/// What is done.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    operation: &'static str,
    pub(super) effect: Effect,
    pub(super) own_risk: Risk,
    /// As it counts for the call.
    pub(super) risk: Risk,
    /// A field of edits.
    points: i64,
}

impl Deed {
    pub(super) fn of(operation: &str) -> Self {
        let (operation, effect, risk) = match operation {
            "jira.issue.read" => ("jira.issue.read", Effect::Read, Risk::Low),
            "jira.issue.edit" => ("jira.issue.edit", Effect::Write, Risk::Medium),
            "jira.issue.delete" => ("jira.issue.delete", Effect::Delete, Risk::Critical),
            _ => ("jira.comment.write", Effect::Write, Risk::Low),
        };
        Self { operation, effect, own_risk: risk, risk, points: 0 }
    }
}

/// What it touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Issue(&'static str),
    Opaque,
    Query,
    Elsewhere,
    Conflict,
}

impl Place {
    pub(super) fn is_unknown(&self) -> bool {
        !matches!(self, Self::Issue(_))
    }

    pub(super) fn target(&self) -> Target {
        let open = |obstacle| unresolved("Jira::Issue", obstacle);
        match self {
            Self::Issue(key) => issue(key),
            Self::Opaque => open(Obstacle::OpaqueId),
            Self::Query => open(Obstacle::Query),
            Self::Elsewhere => open(Obstacle::UnknownSite),
            Self::Conflict => open(Obstacle::Conflict),
        }
    }
}

type Row<T> = (&'static str, fn(&T) -> bool);

const WHO: [Row<Link>; 11] = [
    ("principal", |_| true),
    ("principal is User", |link| link.kind == Kind::User),
    ("principal is ServiceAccount", |link| link.kind == Kind::ServiceAccount),
    ("principal is Agent", Link::is_agent),
    ("principal == User::\"alice\"", |link| link.kind == Kind::User && link.name == "alice"),
    ("principal == Agent::\"bot\"", |link| link.is_agent() && link.name == "bot"),
    ("principal in Agent::\"scout\"", |link| link.is_agent() && link.name == "scout"),
    ("principal in Group::\"engineering\"", |link| !link.is_agent() && link.of == "engineering"),
    ("principal in AgentClass::\"automation\"", |link| link.is_agent() && link.of == "automation"),
    ("principal is User in Group::\"support\"", |link| {
        link.kind == Kind::User && link.of == "support"
    }),
    ("principal is Agent in AgentClass::\"assistant\"", |link| {
        link.is_agent() && link.of == "assistant"
    }),
];

/// `{}` is from where risks are named: upwards by forbids, downwards by permits.
const WHAT: [Row<Deed>; 8] = [
    ("action", |_| true),
    ("action in Action::\"read\"", |deed| deed.effect == Effect::Read),
    ("action in Action::\"mutate\"", |deed| deed.effect != Effect::Read),
    ("action in [Action::\"write\", Action::\"delete\"]", |deed| deed.effect != Effect::Read),
    ("action in Action::\"jira.issue\"", |deed| deed.operation.starts_with("jira.issue.")),
    ("action == Action::\"jira.issue.edit\"", |deed| deed.operation == "jira.issue.edit"),
    ("action in Action::\"risk.from.high\"", |deed| deed.risk >= Risk::High),
    ("action in Action::\"risk.up_to.medium\"", |deed| deed.risk <= Risk::Medium),
];

const WHERE: [Row<Place>; 9] = [
    ("resource", |_| true),
    ("resource", |_| true),
    ("resource is Jira::Issue", |place| !place.is_unknown()),
    ("resource is Unresolved", Place::is_unknown),
    ("resource == Unresolved::\"Jira::Issue\"", Place::is_unknown),
    ("resource == Jira::Issue::\"acme/ENG-1\"", |place| *place == Place::Issue("ENG-1")),
    (
        "resource in Jira::Project::\"acme/ENG\"",
        |place| matches!(place, Place::Issue(key) if key.starts_with("ENG-")),
    ),
    ("resource in Atlassian::Site::\"acme\"", |place| !place.is_unknown()),
    (
        "resource is Jira::Issue in Jira::Project::\"acme/OPS\"",
        |place| matches!(place, Place::Issue(key) if key.starts_with("OPS-")),
    ),
];

/// A condition, and whether it holds; nothing, if its evaluation errs.
type When = (&'static str, fn(&Case) -> Option<bool>);

const WHEN: [When; 8] = [
    ("", |_| Some(true)),
    ("", |_| Some(true)),
    ("", |_| Some(true)),
    ("when { context.via in AgentClass::\"automation\" }", |case| {
        Some(case.agent.as_ref().is_some_and(|agent| agent.assured && agent.of == "automation"))
    }),
    ("unless { context.via in Client::\"editor\" }", |case| Some(!case.client_assured)),
    ("when { context has grant }", |case| Some(case.granted)),
    ("when { context.now > datetime(\"2100-01-01\") }", |_| Some(false)),
    // Overflows if `points` is large.
    (
        "unless { context.input has points && context.input.points + 9223372036854775000 > 0 }",
        |case| match (case.deed.operation, case.deed.points) {
            ("jira.issue.edit", 0) => Some(false),
            ("jira.issue.edit", _) => None,
            _ => Some(true),
        },
    ),
];

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) tier: Tier,
    pub(super) in_shadow: bool,
    who: Row<Link>,
    what: Row<Deed>,
    place: Row<Place>,
    when: When,
}

impl Rule {
    pub(super) fn draw(chance: &mut Chance, n: usize) -> Self {
        let tier = chance.one(&[
            GUARDRAIL, APPROVAL, APPROVAL, APPROVAL, PERMIT, PERMIT, PERMIT, PERMIT, PERMIT, PERMIT,
        ]);
        let allowed =
            |row: &Row<Deed>| !row.0.contains(if tier == PERMIT { ".from." } else { ".up_to." });
        let wide = chance.rarely(if tier == PERMIT { 2 } else { 6 });
        let what: Vec<Row<Deed>> = WHAT.iter().copied().filter(allowed).collect();
        Self {
            id: format!("p{n:02}"),
            tier,
            in_shadow: chance.rarely(4),
            // Most say little, so that calls get past one rule to the next.
            who: if wide { WHO[0] } else { chance.one(&WHO) },
            what: if chance.rarely(2) { WHAT[0] } else { chance.one(&what) },
            place: if wide { WHERE[0] } else { chance.one(&WHERE) },
            when: if wide && tier == PERMIT { WHEN[0] } else { chance.one(&WHEN) },
        }
    }

    pub(super) fn text(&self) -> String {
        let effect = if self.tier == PERMIT { "permit" } else { "forbid" };
        let gate = if self.tier == APPROVAL { "@approval(\"team:leads\") " } else { "" };
        let shadow = if self.in_shadow { "@shadow " } else { "" };
        format!(
            "@id(\"{}\") @reason(\"r\") @owner(\"o\") {gate}{shadow}{effect}({}, {}, {}) {};",
            self.id, self.who.0, self.what.0, self.place.0, self.when.0
        )
    }

    pub(super) fn is_guardrail(&self) -> bool {
        self.tier == GUARDRAIL
    }

    pub(super) fn names_unresolved(&self) -> bool {
        self.place.0.contains("Unresolved")
    }

    pub(super) fn covers(&self, link: &Link, deed: &Deed, place: &Place) -> bool {
        (self.who.1)(link) && (self.what.1)(deed) && (self.place.1)(place)
    }

    pub(super) fn holds(&self, case: &Case) -> Option<bool> {
        (self.when.1)(case)
    }
}

/// The rules that can be loaded, and their bundle: what can never match is no policy.
pub(super) fn load(mut rules: Vec<Rule>) -> (Vec<Rule>, Bundle) {
    let mut small: Vocabulary = world::vocabulary();
    small.operations.retain(|name, _| OPERATIONS.contains(&name.as_str()));
    small.target_kinds.retain(|kind, _| kind == "Atlassian::Site" || kind.starts_with("Jira::"));
    let sources = |rules: &[Rule]| -> Vec<Source> {
        let source =
            |rule: &Rule| Source { tier: rule.tier, name: rule.id.clone(), text: rule.text() };
        rules.iter().map(source).collect()
    };
    if let Err(problems) = Bundle::load(&small, &sources(&rules)) {
        let is_bad = |rule: &Rule| {
            let place = format!("{}/{}", rule.tier.folder(), rule.id);
            problems.iter().any(|problem| problem.source == place)
        };
        for problem in &problems {
            let is_known = ["impossible", "applicable action"]
                .iter()
                .any(|text| problem.message.contains(text));
            assert!(is_known, "{problem}");
        }
        rules.retain(|rule| !is_bad(rule));
    }
    let bundle = Bundle::load(&small, &sources(&rules)).unwrap();
    (rules, bundle)
}

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Among those of its world.
    pub(super) number: usize,
    accountable: Link,
    pub(super) agent: Option<Link>,
    actor: Option<Link>,
    client_assured: bool,
    pub(super) only_reads: bool,
    pub(super) granted: bool,
    pub(super) deed: Deed,
    pub(super) places: Vec<Place>,
    pub(super) lifted: Vec<String>,
}

impl Case {
    pub(super) fn draw(chance: &mut Chance, (number, rules): (usize, usize)) -> Self {
        let mut deed = Deed::of(chance.one(&OPERATIONS));
        if deed.operation == "jira.issue.edit" {
            deed.points = chance.one(&[0, 0, 5_000]);
        }
        deed.risk = deed.own_risk.max(chance.one(Risk::ALL));
        let kind = chance.one(&[Kind::User, Kind::User, Kind::User, Kind::ServiceAccount]);
        let name = chance.one(&["alice", "alice", "bob"]);
        let of = chance.one(&["engineering", "engineering", "support"]);
        let accountable = Link { kind, name, of, assured: !chance.rarely(12) };
        let class = chance.one(&["automation", "assistant"]);
        let agent = Link { kind: Kind::Agent, name: "bot", of: class, assured: !chance.rarely(8) };
        let actor = Link { kind: Kind::Actor, name: "scout", of: "assistant", assured: true };
        let known = [Place::Issue("ENG-1"), Place::Issue("ENG-2"), Place::Issue("OPS-1")];
        let open = [Place::Opaque, Place::Query, Place::Elsewhere, Place::Conflict];
        let count = 1 + chance.below(2);
        let places = (0..count)
            .map(|_| if chance.rarely(3) { chance.one(&open) } else { chance.one(&known) });
        let places = places.collect();
        let lifted = (0..rules).filter(|_| chance.rarely(4)).map(|n| format!("p{n:02}")).collect();
        Self {
            number,
            accountable,
            agent: chance.rarely(2).then_some(agent),
            actor: chance.rarely(3).then_some(actor),
            client_assured: !chance.rarely(3),
            only_reads: chance.rarely(10),
            granted: chance.rarely(3),
            deed,
            places,
            lifted,
        }
    }

    pub(super) fn links(&self) -> Vec<Link> {
        [Some(&self.accountable), self.agent.as_ref(), self.actor.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn caller(&self) -> Caller {
        let assurance = |assured| if assured { Assurance::Verified } else { Assurance::Asserted };
        let of = |link: &Link| {
            let mut one = agent(link.name, link.of);
            one.assurance = assurance(link.assured);
            one
        };
        let mut caller = person(self.accountable.name, self.accountable.of);
        if self.accountable.kind == Kind::ServiceAccount {
            caller.accountable.kind = AccountableKind::ServiceAccount;
        }
        caller.accountable.assurance = assurance(self.accountable.assured);
        caller.client.assurance = assurance(self.client_assured);
        caller.agent = self.agent.as_ref().map(of);
        caller.actors = self.actor.iter().map(of).collect();
        caller
    }

    pub(super) fn call(&self) -> ToolCall {
        let mut call = world::call(self.deed.operation);
        call.risk = self.deed.risk;
        if let Some(points) = call.fields.get_mut("points") {
            *points = FieldValue::Count(self.deed.points);
        }
        call
    }

    pub(super) fn grant(&self) -> Option<Grant> {
        self.granted.then(|| Grant {
            id: Id::new(NOW, [1; 16]),
            holder: Holder::default(),
            scope: Portion::default(),
            begins: NOW,
            ends: NOW,
            uses: 1,
            reason: "r".to_owned(),
            ticket: None,
            by: "b".to_owned(),
            issued: NOW,
            lifts: None,
        })
    }
}
