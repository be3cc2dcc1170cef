//! The decision once more, as a table that fits on a page, without Cedar and without an index; and both compared over random
//! worlds. The two share what a call and a caller are, and no code that decides.
//!
//! Each rule of the model can be taken out. Then the two must differ in some world: so a rule that is lost in the real one is
//! found as well.

mod tables;

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::envelope::Portion;
use callgate_model::target::Target;
use callgate_model::vocabulary::Effect;

use super::world::{NOW, brief};
use crate::{Bundle, PreparedCaller, Question, could_allow};
use tables::{Case, Chance, Deed, Kind, Link, Place, Rule, load};

/// Bundles, and questions to each: what takes time is to load a bundle.
const BUNDLES: u64 = 80;
const QUESTIONS: usize = 100;
/// Of so many questions, one is also put to Cedar alone and explained, which takes as long as all the others.
const VERIFIED: usize = 20;
/// Where the random worlds begin. A failure prints the seed of its own.
const SEED: u64 = 0x0ca1_19a7_e000;

/// What the model can do without, to show that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    AnErrorDenies,
    AGuardrailDenies,
    NothingIsAllowedWithoutAPermit,
    TheAgentIsAsked,
    EveryTargetIsAsked,
    AGateAsks,
    ADenialGoesBeforeAGate,
    AnApprovalLiftsItsGate,
    AnApprovalLiftsNoGuardrail,
    WhatIsAssertedHelpsNobody,
    AnActorIsForbidden,
    AnActorIsNotPermitted,
    WhatIsUnresolvedNeedsAPermitForThat,
    AChangeOfWhatIsUnresolvedIsDenied,
    AConflictIsDenied,
    AnotherSiteIsDenied,
    ShadowEnforcesNothing,
    ATokenIsBounded,
    ARiskCounts,
}

const LAWS: [Law; 19] = [
    Law::AnErrorDenies,
    Law::AGuardrailDenies,
    Law::NothingIsAllowedWithoutAPermit,
    Law::TheAgentIsAsked,
    Law::EveryTargetIsAsked,
    Law::AGateAsks,
    Law::ADenialGoesBeforeAGate,
    Law::AnApprovalLiftsItsGate,
    Law::AnApprovalLiftsNoGuardrail,
    Law::WhatIsAssertedHelpsNobody,
    Law::AnActorIsForbidden,
    Law::AnActorIsNotPermitted,
    Law::WhatIsUnresolvedNeedsAPermitForThat,
    Law::AChangeOfWhatIsUnresolvedIsDenied,
    Law::AConflictIsDenied,
    Law::AnotherSiteIsDenied,
    Law::ShadowEnforcesNothing,
    Law::ATokenIsBounded,
    Law::ARiskCounts,
];

/// One answer of one link about one target.
enum Ruling {
    Allow(Ids),
    Ask(Ids),
    Deny(&'static str, Ids),
}

type Ids = BTreeSet<String>;

/// The model, but for the law that is taken out.
struct Model<'a> {
    rules: &'a [Rule],
    case: &'a Case,
    without: Option<Law>,
}

impl Model<'_> {
    fn has(&self, law: Law) -> bool {
        self.without != Some(law)
    }

    /// `verdict reasons [policies]`
    fn decides(&self) -> String {
        let case = self.case;
        let links = case.links();
        let targets =
            if self.has(Law::EveryTargetIsAsked) { &*case.places } else { &case.places[..1] };
        let rulings: Vec<Ruling> = targets
            .iter()
            .flat_map(|place| links.iter().filter_map(move |link| self.rules_on(link, place)))
            .collect();
        let (mut reasons, mut denying, mut asking, mut allowing) =
            (BTreeSet::new(), Ids::new(), Ids::new(), Ids::new());
        for ruling in rulings {
            match ruling {
                Ruling::Allow(ids) => allowing.extend(ids),
                Ruling::Ask(ids) => asking.extend(ids),
                Ruling::Deny(reason, ids) => {
                    reasons.insert(reason);
                    denying.extend(ids);
                }
            }
        }
        let gated_first = !self.has(Law::ADenialGoesBeforeAGate) && !asking.is_empty();
        let is_denied = !reasons.is_empty() && !gated_first;
        if self.has(Law::ATokenIsBounded) && case.only_reads && case.deed.effect != Effect::Read {
            let (mut all, ids) = if is_denied { (reasons, denying) } else { Default::default() };
            all.insert("token_exceeded");
            return told("deny", &all, &ids);
        }
        if is_denied {
            told("deny", &reasons, &denying)
        } else if !asking.is_empty() {
            told("approval_required", &["approval_required"].into(), &asking)
        } else {
            told("allow", &["permitted"].into(), &allowing)
        }
    }

    /// What one link is told of one target. Nothing, if it has no say.
    fn rules_on(&self, link: &Link, place: &Place) -> Option<Ruling> {
        if link.kind == Kind::Agent && !self.has(Law::TheAgentIsAsked) {
            return None;
        }
        let deny = |reason| Some(Ruling::Deny(reason, Ids::new()));
        if let Some(reason) = self.before_rules(place) {
            return deny(reason);
        }
        let is_actor = link.kind == Kind::Actor && self.has(Law::AnActorIsNotPermitted);
        let those: Vec<&Rule> =
            self.rules.iter().filter(|rule| self.counts(rule, link, place)).collect();
        let those = those.into_iter().filter(|rule| !is_actor || rule.is_guardrail());
        let (mut erring, mut walls, mut gates, mut permits) =
            (Ids::new(), Ids::new(), Ids::new(), Ids::new());
        for rule in those {
            let id = rule.id.clone();
            match (rule.holds(self.case), rule.tier) {
                (None, _) => drop(erring.insert(id)),
                (Some(false), _) => {}
                (Some(true), tables::GUARDRAIL) => drop(walls.insert(id)),
                (Some(true), tables::APPROVAL) => drop(gates.insert(id)),
                (Some(true), _) => drop(permits.insert(id)),
            }
        }
        if !erring.is_empty() && self.has(Law::AnErrorDenies) {
            return Some(Ruling::Deny("policy_error", erring));
        }
        if is_actor {
            let is_forbidden = !walls.is_empty() && self.has(Law::AnActorIsForbidden);
            return is_forbidden.then_some(Ruling::Deny("actor_forbidden", walls));
        }
        if !walls.is_empty() && self.has(Law::AGuardrailDenies) {
            return Some(Ruling::Deny("guardrail", walls));
        }
        let is_known = link.assured || !self.has(Law::WhatIsAssertedHelpsNobody);
        let is_permitted = !permits.is_empty() || !self.has(Law::NothingIsAllowedWithoutAPermit);
        if !is_permitted || !is_known {
            return deny(refusal(link, place));
        }
        let asks = !gates.is_empty() && self.has(Law::AGateAsks);
        Some(if asks { Ruling::Ask(gates) } else { Ruling::Allow(permits) })
    }

    /// What no rule can allow.
    fn before_rules(&self, place: &Place) -> Option<&'static str> {
        let changes = place.is_unknown() && self.case.deed.effect != Effect::Read;
        if *place == Place::Conflict && self.has(Law::AConflictIsDenied) {
            return Some("target_conflict");
        }
        let is_elsewhere = *place == Place::Elsewhere && self.has(Law::AnotherSiteIsDenied);
        let is_change = changes && self.has(Law::AChangeOfWhatIsUnresolvedIsDenied);
        (is_elsewhere || is_change).then_some("target_unresolved")
    }

    /// Whether a rule is one of those that are looked at.
    fn counts(&self, rule: &Rule, link: &Link, place: &Place) -> bool {
        let case = self.case;
        if rule.in_shadow && self.has(Law::ShadowEnforcesNothing) {
            return false;
        }
        let is_lifted = case.lifted.contains(&rule.id);
        let lifts = match rule.tier {
            tables::APPROVAL => self.has(Law::AnApprovalLiftsItsGate),
            tables::GUARDRAIL => !self.has(Law::AnApprovalLiftsNoGuardrail),
            tables::PERMIT => false,
        };
        if is_lifted && lifts {
            return false;
        }
        let names_it = rule.names_unresolved()
            || !place.is_unknown()
            || rule.tier != tables::PERMIT
            || !self.has(Law::WhatIsUnresolvedNeedsAPermitForThat);
        let mut deed = case.deed.clone();
        if !self.has(Law::ARiskCounts) {
            deed.risk = deed.own_risk;
        }
        names_it && rule.covers(link, &deed, place)
    }
}

fn refusal(link: &Link, place: &Place) -> &'static str {
    match (place, link.kind) {
        (Place::Query, _) => "query_unbounded",
        (place, _) if place.is_unknown() => "target_unresolved",
        (_, Kind::User) => "human_not_permitted",
        (_, Kind::ServiceAccount) => "service_account_not_permitted",
        (_, Kind::Agent) => "agent_not_permitted",
        (_, Kind::Actor) => "actor_forbidden",
    }
}

fn told(verdict: &str, reasons: &BTreeSet<&str>, ids: &Ids) -> String {
    let (reasons, ids): (Vec<_>, Vec<_>) =
        (reasons.iter().copied().collect(), ids.iter().cloned().collect());
    format!("{verdict} {} [{}]", reasons.join("+"), ids.join(","))
}

/// What the real one says, by the index and by Cedar alone; the same with what it would say if nothing were in shadow.
fn really(bundle: &Bundle, case: &Case) -> (String, String) {
    let mut caller = case.caller();
    if case.only_reads {
        let actions = ["read".to_owned()].into();
        caller.credential.within = Some(Portion { actions, ..Portion::default() });
    }
    let caller = PreparedCaller::new(caller);
    let (call, grant) = (case.call(), case.grant());
    let targets: Vec<Target> = case.places.iter().map(Place::target).collect();
    let grant = grant.as_ref();
    let question = Question {
        caller: &caller,
        call: &call,
        targets: &targets,
        now: NOW,
        grant,
        lifted: &case.lifted,
    };
    let decision = crate::decide(bundle, &question);
    if case.number.is_multiple_of(VERIFIED) {
        assert!(bundle.verify_slice(&question), "slice and full set differ: {case:?}");
        // Asked again, of what was prepared once, it says the same.
        assert_eq!(crate::decide(bundle, &question), decision);
        assert_eq!(crate::explain(bundle, &question).decision, decision);
    }
    if decision.verdict.as_str() != "deny" {
        // I3: what is allowed is listed.
        assert!(could_allow(bundle, &caller, "atlassian", &call.operation, call.risk), "{case:?}");
    }
    let would = decision.would.as_deref().map_or_else(|| brief(&decision), brief);
    (brief(&decision), would)
}

/// The rules and the cases of a seed.
fn world(seed: u64) -> (Vec<Rule>, Bundle, Vec<Case>) {
    let mut chance = Chance(seed);
    let count = chance.below(14);
    let drawn = (0..count).map(|n| Rule::draw(&mut chance, n)).collect();
    let (rules, bundle) = load(drawn);
    let cases = (0..QUESTIONS).map(|number| Case::draw(&mut chance, (number, count))).collect();
    (rules, bundle, cases)
}

/// Fewer rules that still do it.
fn shrunk(mut rules: Vec<Rule>, case: &Case) -> Vec<Rule> {
    let mut at = 0;
    while at < rules.len() {
        let mut fewer = rules.clone();
        fewer.remove(at);
        let (fewer, bundle) = load(fewer);
        if differs(&fewer, case, &really(&bundle, case)) {
            rules = fewer;
        } else {
            at += 1;
        }
    }
    rules
}

/// Whether the model says something else than the real one, which has said what is, and what would be.
fn differs(rules: &[Rule], case: &Case, (real, would): &(String, String)) -> bool {
    let all = Model { rules, case, without: Some(Law::ShadowEnforcesNothing) }.decides();
    // Of what would be no more than the verdict is told where that is the same.
    Model { rules, case, without: None }.decides() != *real || verdict(&all) != verdict(would)
}

fn verdict(told: &str) -> &str {
    told.split(' ').next().unwrap_or_default()
}

#[test]
fn i5_i9_i10_the_decision_is_what_a_page_of_rules_says() {
    let mut seen = BTreeMap::<String, usize>::new();
    for seed in SEED..SEED + BUNDLES {
        let (rules, bundle, cases) = world(seed);
        for case in &cases {
            let said = really(&bundle, case);
            if differs(&rules, case, &said) {
                let rules = shrunk(rules, case);
                let (_, bundle) = load(rules.clone());
                let model = Model { rules: &rules, case, without: None }.decides();
                let texts: Vec<String> = rules.iter().map(Rule::text).collect();
                panic!(
                    "seed {seed:#x}: the model says `{model}`, the real one {:?}\n{case:#?}\n{}",
                    really(&bundle, case),
                    texts.join("\n")
                );
            }
            *seen.entry(format!("{} -> {}", verdict(&said.0), verdict(&said.1))).or_default() += 1;
        }
    }
    // The worlds are not tame: each answer, and each change of it, comes up often enough to mean something.
    for one in ["allow", "approval_required", "deny"] {
        for other in ["allow", "approval_required", "deny"] {
            let both = format!("{one} -> {other}");
            let count = seen.get(&both).copied().unwrap_or_default();
            // More policies open no gate.
            let cannot_be = both == "approval_required -> allow";
            assert!(if cannot_be { count == 0 } else { count >= 10 }, "{both}: {seen:?}");
        }
    }
}

/// A rule that is not there is missed: so the comparison can fail.
#[test]
fn each_rule_of_the_model_is_missed_if_it_is_taken_out() {
    let mut left: Vec<Law> = LAWS.to_vec();
    for seed in SEED..SEED + BUNDLES {
        let (rules, bundle, cases) = world(seed);
        for case in &cases {
            let (real, _) = really(&bundle, case);
            left.retain(|law| Model { rules: &rules, case, without: Some(*law) }.decides() == real);
        }
        if left.is_empty() {
            return;
        }
    }
    panic!("nothing is different without {left:?}");
}

#[test]
fn the_models_table_of_operations_is_that_of_the_world() {
    for (name, operation) in super::world::vocabulary().operations {
        if tables::OPERATIONS.contains(&&*name) {
            let deed = Deed::of(&name);
            let known = (operation.effect, operation.risk);
            assert_eq!((deed.effect, deed.own_risk), known, "{name}");
        }
    }
}
