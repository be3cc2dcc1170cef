//! How the cost of a decision grows with the number of policies: `cargo run --release --example growth`.
#![expect(clippy::print_stdout, reason = "an example reports on standard output")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "an example has no input")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_model::ambient::Timestamp;
use callgate_model::call::{Method, ToolCall};
use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity,
};
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::target::{Resource, Target};
use callgate_model::vocabulary::{Effect, Operation, Reversibility, Risk, Vocabulary};
use callgate_policy::{Bundle, PreparedCaller, Question, Source, Tier, could_allow, decide};

const ROUNDS: usize = 2_000;
const LISTINGS: usize = 50;

fn main() {
    let vocabulary = vocabulary();
    println!("policies     load   decide p50   decide p99   list all tools p50");
    for count in [10, 100, 1_000, 10_000] {
        let start = Instant::now();
        let bundle = Bundle::load(&vocabulary, &sources(count)).expect("the policies are good");
        let load = start.elapsed();
        let (caller, call) = (PreparedCaller::new(caller()), call(&vocabulary));
        let targets = [target("P1")];
        let now = Timestamp::from_unix_ms(0);
        let question = Question {
            caller: &caller,
            call: &call,
            targets: &targets,
            now,
            grant: None,
            lifted: &[],
        };
        assert!(decide(&bundle, &question).is_allow());
        let [p50, p99] = times(ROUNDS, || decide(&bundle, &question).is_allow());
        let [list, _] = times(LISTINGS, || {
            let operations = vocabulary.operations.values();
            operations.filter(|op| could_allow(&bundle, &caller, "atlassian", op, op.risk)).count()
                == 54
        });
        println!("{:8} {load:8.0?} {p50:12.1?} {p99:12.1?} {list:20.1?}", bundle.len());
    }
}

fn times(rounds: usize, mut work: impl FnMut() -> bool) -> [Duration; 2] {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_round| {
            let start = Instant::now();
            assert!(std::hint::black_box(work()));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    [times[rounds / 2], times[rounds * 99 / 100]]
}

/// Four that concern the call, whatever the number, a guardrail and a gate for all; the rest is about other groups and
/// other projects, some about the caller's own group elsewhere, some about its project for others.
fn sources(count: usize) -> Vec<Source> {
    let mut permits = String::new();
    for n in 0..count.saturating_sub(4) {
        let (group, project) = match n % 4 {
            0 => (0, n + 10),
            1 => (n + 10, 1),
            _ => (n + 10, n + 10),
        };
        permits.push_str(&policy(
            &format!("other-{n}"),
            &format!(r#"permit(principal in Group::"g{group}", action in Action::"read", resource in Jira::Project::"acme/P{project}");"#),
        ));
    }
    permits.push_str(&policy(
        "people",
        r#"permit(principal in Group::"g0", action, resource in Jira::Project::"acme/P1");"#,
    ));
    permits.push_str(&policy("agents", r#"permit(principal in AgentClass::"assistant", action, resource in Jira::Project::"acme/P1") when { context.via in Client::"editor" };"#));
    let guard =
        policy("guard", r#"forbid(principal is Agent, action in Action::"admin", resource);"#);
    let gate = format!(
        "@approval(\"team:leads\") {}",
        policy("gate", r#"forbid(principal, action in Action::"delete", resource);"#)
    );
    [(Tier::Permit, permits), (Tier::Guardrail, guard), (Tier::Approval, gate)]
        .map(|(tier, text)| Source { tier, name: "growth.cedar".into(), text })
        .into()
}

fn policy(id: &str, rest: &str) -> String {
    format!("@id(\"{id}\") @reason(\"growth\") @owner(\"bench\") {rest}\n")
}

fn vocabulary() -> Vocabulary {
    let kinds = [
        ("Atlassian::Site", None),
        ("Jira::Project", Some("Atlassian::Site")),
        ("Jira::Issue", Some("Jira::Project")),
    ];
    let operation = |n: usize| {
        let operation = Operation {
            name: format!("jira.issue.op{n}"),
            title: "An operation".into(),
            effect: Effect::ALL[n % Effect::ALL.len()],
            risk: Risk::Medium,
            reversibility: Reversibility::Recoverable,
            targets: vec!["Jira::Issue".into()],
            fields: BTreeMap::new(),
        };
        (operation.name.clone(), Arc::new(operation))
    };
    Vocabulary {
        operations: (0..72).map(operation).collect(),
        target_kinds: kinds.map(|(kind, within)| (kind.into(), within.map(Into::into))).into(),
        ..Vocabulary::default()
    }
}

fn caller() -> Caller {
    let identity = |subject: &str| Identity { issuer: None, subject: subject.into() };
    Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: identity("alice"),
            groups: vec!["g0".into(), "everyone".into()],
            assurance: Assurance::Configured,
        },
        agent: Some(Agent {
            identity: identity("bot"),
            class: Some("assistant".into()),
            assurance: Assurance::Configured,
        }),
        actors: Vec::new(),
        client: Client { name: "editor".into(), assurance: Assurance::Configured },
        credential: Credential {
            kind: CredentialKind::StaticToken,
            digest: Digest::default(),
            issued: None,
            expires: None,
            scopes: None,
            id: None,
            within: None,
        },
        workflow: None,
    }
}

fn call(vocabulary: &Vocabulary) -> ToolCall {
    let operation = Arc::clone(&vocabulary.operations["jira.issue.op0"]);
    ToolCall {
        server: "atlassian".into(),
        tool: "getJiraIssue".into(),
        risk: operation.risk,
        operation,
        definition: None,
        method: Method::ToolsCall,
        arguments: Object::default(),
        unwrapped: None,
        arguments_digest: Digest::default(),
        fields: BTreeMap::new(),
    }
}

fn target(project: &str) -> Target {
    Target::located(
        Resource::new("Jira::Issue", format!("acme/{project}-1")),
        vec![
            Resource::new("Jira::Project", format!("acme/{project}")),
            Resource::new("Atlassian::Site", "acme"),
        ],
    )
}
