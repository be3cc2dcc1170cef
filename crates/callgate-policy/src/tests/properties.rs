//! What must hold for every bundle and every call.

use callgate_model::call::ToolCall;
use callgate_model::caller::{Assurance, Caller};
use callgate_model::decision::Verdict;
use callgate_model::target::{Obstacle, Resource, Target};
use callgate_model::vocabulary::{FieldValue, Risk, Vocabulary};
use proptest::prelude::*;
use proptest::sample::select;

use super::world::*;
use crate::{Bundle, PreparedCaller, Question, Source, Tier, could_allow, could_allow_in, decide};

const OPERATIONS: [&str; 4] =
    ["jira.issue.read", "jira.issue.edit", "jira.issue.delete", "jira.comment.write"];
const PRINCIPALS: [&str; 12] = [
    "principal",
    "principal",
    "principal is User",
    "principal is Agent",
    "principal == User::\"alice\"",
    "principal == Agent::\"bot\"",
    "principal in User::\"alice\"",
    "principal in Group::\"engineering\"",
    "principal in Group::\"support\"",
    "principal in AgentClass::\"automation\"",
    "principal is User in Group::\"engineering\"",
    "principal is Agent in AgentClass::\"assistant\"",
];
const ACTIONS: [&str; 9] = [
    "action",
    "action",
    "action in Action::\"read\"",
    "action in Action::\"mutate\"",
    "action in [Action::\"write\", Action::\"jira.issue\", Action::\"delete\"]",
    "action in Action::\"jira\"",
    "action == Action::\"jira.issue.edit\"",
    "action in Action::\"jira.issue.edit\"",
    "action in Action::\"risk.{}.medium\"",
];
const RESOURCES: [&str; 12] = [
    "resource",
    "resource",
    "resource is Jira::Issue",
    "resource is Unresolved",
    "resource == Unresolved::\"Jira::Issue\"",
    "resource in Unresolved::\"Jira::Issue\"",
    "resource == Jira::Issue::\"acme/ENG-1\"",
    "resource in Jira::Issue::\"acme/ENG-1\"",
    "resource in Jira::Project::\"acme/ENG\"",
    "resource in Jira::Project::\"acme/OPS\"",
    "resource in Atlassian::Site::\"acme\"",
    "resource is Jira::Issue in Jira::Project::\"acme/ENG\"",
];
const CONDITIONS: [&str; 6] = [
    "",
    "",
    "when { context.via in AgentClass::\"automation\" }",
    "unless { context.via in Client::\"editor\" }",
    "when { context.now > datetime(\"2026-01-01\") }",
    // Overflows if `points` is large: an error.
    "unless { context.input has points && context.input.points + 9223372036854775000 > 0 }",
];

pub(super) fn policy() -> impl Strategy<Value = (Tier, String)> {
    let tier = prop_oneof![
        1 => Just(Tier::Guardrail),
        2 => Just(Tier::Approval),
        6 => Just(Tier::Permit),
    ];
    (
        tier,
        select(&PRINCIPALS[..]),
        select(&ACTIONS[..]),
        select(&RESOURCES[..]),
        select(&CONDITIONS[..]),
    )
        .prop_map(|(tier, principal, action, resource, condition)| {
            let (effect, bound) =
                if tier == Tier::Permit { ("permit", "up_to") } else { ("forbid", "from") };
            let action = action.replace("{}", bound);
            (tier, format!("{effect}({principal}, {action}, {resource}) {condition};"))
        })
}

/// A small vocabulary: loading is what takes time.
fn small() -> Vocabulary {
    let mut small = vocabulary();
    small.operations.retain(|name, _| OPERATIONS.contains(&name.as_str()));
    small.target_kinds.retain(|kind, _| kind == "Atlassian::Site" || kind.starts_with("Jira::"));
    small
}

/// A bundle of those that validate: what is drawn at random may be impossible (a delete of what is unresolved).
pub(super) fn bundle_of(policies: &[(Tier, String)]) -> Bundle {
    let source = |(n, (tier, text)): (usize, &(Tier, String))| {
        let gate = if *tier == Tier::Approval { "@approval(\"team:leads\")" } else { "" };
        let text = format!("@id(\"p{n}\") @reason(\"r\") @owner(\"o\") {gate} {text}");
        Source { tier: *tier, name: format!("p{n}"), text }
    };
    let mut sources: Vec<Source> = policies.iter().enumerate().map(source).collect();
    Bundle::load(&small(), &sources).unwrap_or_else(|problems| {
        assert!(
            problems.iter().all(|problem| {
                problem.message.contains("impossible")
                    || problem.message.contains("applicable action")
            }),
            "{problems:#?}"
        );
        let is_bad = |source: &Source| {
            let place = format!("{}/{}", source.tier.folder(), source.name);
            problems.iter().any(|problem| problem.source == place)
        };
        sources.retain(|source| !is_bad(source));
        Bundle::load(&small(), &sources).expect("the others are good")
    })
}

fn caller() -> impl Strategy<Value = Caller> {
    let agents = select(vec![None, Some(("bot", "automation")), Some(("bot", "assistant"))]);
    let assurance = prop_oneof![1 => Just(Assurance::Asserted), 9 => Just(Assurance::Verified)];
    (
        select(vec!["alice", "bob"]),
        select(vec!["engineering", "support"]),
        agents,
        assurance,
        any::<bool>(),
    )
        .prop_map(|(name, group, bot, assurance, relayed)| {
            let mut caller = person(name, group);
            caller.accountable.assurance = assurance;
            caller.agent = bot.map(|(name, class)| agent(name, class));
            if relayed {
                caller.actors.push(agent("scout", "assistant"));
            }
            caller
        })
}

fn target() -> impl Strategy<Value = Target> {
    select(vec![
        issue("ENG-1"),
        issue("ENG-2"),
        issue("OPS-1"),
        unresolved("Jira::Issue", Obstacle::OpaqueId),
        unresolved("Jira::Issue", Obstacle::Query),
        unresolved("Jira::Issue", Obstacle::UnknownSite),
        unresolved("Jira::Project", Obstacle::Conflict),
    ])
}

fn tool_call() -> impl Strategy<Value = ToolCall> {
    let names =
        vec!["jira.issue.read", "jira.issue.edit", "jira.issue.delete", "jira.comment.write"];
    (select(names), select(Risk::ALL), select(vec![0, 5000])).prop_map(|(name, risk, points)| {
        let mut call = call(name);
        call.risk = risk;
        if let Some(value) = call.fields.get_mut("points") {
            *value = FieldValue::Count(points);
        }
        call
    })
}

pub(super) fn config() -> ProptestConfig {
    // Each case asks every call below; loading is what takes time.
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}

pub(super) type Asked = (Caller, ToolCall, Vec<Target>);

pub(super) fn questions() -> impl Strategy<Value = Vec<Asked>> {
    let question = (caller(), tool_call(), prop::collection::vec(target(), 1..3));
    prop::collection::vec(question, 24)
}

pub(super) fn with<T>(asked: &Asked, lifted: &[String], ask: impl FnOnce(&Question<'_>) -> T) -> T {
    let (caller, call, targets) = asked;
    let caller = PreparedCaller::new(caller.clone());
    ask(&Question { caller: &caller, call, targets, now: NOW, grant: None, lifted })
}

pub(super) fn strength(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Deny => 0,
        Verdict::ApprovalRequired(_) => 1,
        Verdict::Allow => 2,
    }
}

/// What a target is known to be in.
fn places(target: &Target) -> &[Resource] {
    match target {
        Target::Located(located) => &located.containers,
        Target::Unresolved(_) => &[],
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn slice_and_full_set_agree_and_i3_what_is_allowed_is_listed(
        policies in prop::collection::vec(policy(), 0..14),
        questions in questions(),
    ) {
        let bundle = bundle_of(&policies);
        for asked in &questions {
            with(asked, &["p0".to_owned(), "p3".to_owned()], |question| {
                prop_assert!(bundle.verify_slice(question));
                let decision = decide(&bundle, question);
                if strength(&decision.verdict) > 0 {
                    let (_, call, targets) = asked;
                    let (caller, operation) = (question.caller, &call.operation);
                    prop_assert!(could_allow(&bundle, caller, "atlassian", operation, call.risk));
                    for place in targets.iter().flat_map(places) {
                        prop_assert!(could_allow_in(&bundle, caller, "atlassian", operation, call.risk, place));
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn i9_more_forbids_or_more_risk_never_allow_more(
        policies in prop::collection::vec(policy(), 0..10),
        more in prop::collection::vec(policy(), 1..4),
        questions in questions(),
    ) {
        let before = bundle_of(&policies);
        let forbids = more.into_iter().filter(|(tier, _)| *tier != Tier::Permit);
        let after = bundle_of(&policies.into_iter().chain(forbids).collect::<Vec<_>>());
        for asked in &questions {
            let decide = |bundle, asked: &Asked| {
                strength(&with(asked, &[], |question| decide(bundle, question)).verdict)
            };
            let was = decide(&before, asked);
            prop_assert!(decide(&after, asked) <= was);
            let (caller, call, targets) = asked.clone();
            let riskier = ToolCall { risk: Risk::Critical, ..call };
            prop_assert!(decide(&before, &(caller, riskier, targets)) <= was);
        }
    }

    #[test]
    fn i10_a_chain_may_no_more_than_its_human_alone_or_than_fewer_targets(
        policies in prop::collection::vec(policy(), 0..14),
        questions in questions(),
    ) {
        // Conditions about the chain may name the agent, so only scopes are compared.
        let unconditional = |(_, text): &(Tier, String)| text.ends_with(") ;");
        let scopes: Vec<_> = policies.into_iter().filter(unconditional).collect();
        let bundle = bundle_of(&scopes);
        for asked in &questions {
            let strength = |asked: &Asked| {
                strength(&with(asked, &[], |question| decide(&bundle, question)).verdict)
            };
            let (caller, call, targets) = asked.clone();
            let alone = Caller { agent: None, actors: vec![], ..caller.clone() };
            prop_assert!(strength(asked) <= strength(&(alone, call.clone(), targets.clone())));
            let fewer = targets[..1].to_vec();
            prop_assert!(strength(asked) <= strength(&(caller, call, fewer)));
        }
    }
}
