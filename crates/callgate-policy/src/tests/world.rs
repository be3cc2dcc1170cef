//! A small Atlassian site: its vocabulary, its people, its things.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_model::ambient::Timestamp;
use callgate_model::call::{Method, ToolCall};
use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity, Workflow,
};
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::json::Object;
use callgate_model::target::{Obstacle, Resource, Target, Unresolved};
use callgate_model::vocabulary::{Effect, FieldType, Operation, Reversibility, Risk, Vocabulary};

use crate::{Bundle, Explanation, PreparedCaller, Problem, Question, Source, Tier};

pub(super) const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

const KINDS: [(&str, Option<&str>); 10] = [
    ("Atlassian::Site", None),
    ("Jira::Project", Some("Atlassian::Site")),
    ("Jira::Issue", Some("Jira::Project")),
    ("Confluence::Space", Some("Atlassian::Site")),
    ("Confluence::Page", Some("Confluence::Space")),
    ("Bitbucket::Workspace", None),
    ("Bitbucket::Repository", Some("Bitbucket::Workspace")),
    ("Bitbucket::Branch", Some("Bitbucket::Repository")),
    ("Bitbucket::PullRequest", Some("Bitbucket::Repository")),
    ("Compass::Component", Some("Atlassian::Site")),
];

const OPERATIONS: [(&str, Effect, Risk, &str); 16] = [
    ("bitbucket.pullrequest.merge", Effect::Write, Risk::High, "Bitbucket::PullRequest"),
    ("confluence.page.create", Effect::Write, Risk::Medium, "Confluence::Space"),
    ("confluence.page.delete", Effect::Delete, Risk::High, "Confluence::Page"),
    ("confluence.page.edit", Effect::Write, Risk::Medium, "Confluence::Page"),
    ("confluence.page.read", Effect::Read, Risk::Low, "Confluence::Page"),
    ("confluence.search", Effect::Read, Risk::Medium, "Confluence::Space"),
    ("jira.comment.write", Effect::Write, Risk::Low, "Jira::Issue"),
    ("jira.issue.create", Effect::Write, Risk::Medium, "Jira::Project"),
    ("jira.issue.delete", Effect::Delete, Risk::Critical, "Jira::Issue"),
    ("jira.issue.edit", Effect::Write, Risk::Medium, "Jira::Issue"),
    ("jira.issue.read", Effect::Read, Risk::Low, "Jira::Issue"),
    ("jira.issue.transition", Effect::Write, Risk::Medium, "Jira::Issue"),
    ("jira.project.admin", Effect::Admin, Risk::Critical, "Jira::Project"),
    ("jira.project.read", Effect::Read, Risk::Low, "Jira::Project"),
    ("jira.search", Effect::Read, Risk::Medium, "Jira::Project"),
    ("atlassian/whoami", Effect::Read, Risk::Low, "Atlassian::Site"),
];

pub(super) fn vocabulary() -> Vocabulary {
    let kinds = KINDS.iter().map(|(kind, within)| ((*kind).into(), within.map(Into::into)));
    let operations = OPERATIONS.iter().map(|(name, effect, risk, target)| {
        let mut targets = vec![(*target).to_owned()];
        if *name == "jira.search" {
            targets.insert(0, "Jira::Issue".into());
        }
        let operation = Operation {
            name: (*name).into(),
            title: format!("{name} for tests"),
            effect: *effect,
            risk: *risk,
            reversibility: Reversibility::Recoverable,
            targets,
            fields: fields(name),
        };
        ((*name).to_owned(), Arc::new(operation))
    });
    Vocabulary {
        operations: operations.collect(),
        target_kinds: kinds.collect(),
        ..Vocabulary::default()
    }
}

fn fields(operation: &str) -> BTreeMap<String, FieldType> {
    let fields: &[(&str, FieldType)] = match operation {
        "jira.issue.edit" => &[
            ("notify", FieldType::Flag),
            ("points", FieldType::Count),
            ("summary", FieldType::Text),
            ("changed-fields", FieldType::Names),
        ],
        "jira.issue.transition" => &[("to", FieldType::Text)],
        _ => &[],
    };
    fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

pub(super) fn source(tier: Tier, text: &str) -> Source {
    Source { tier, name: "test.cedar".into(), text: text.into() }
}

/// A bundle of policies without annotations: each line-wise `(tier, id, rest)`.
pub(super) fn try_bundle(policies: &[(Tier, &str, &str)]) -> Result<Bundle, Vec<Problem>> {
    let sources: Vec<Source> = policies
        .iter()
        .map(|(tier, id, rest)| {
            let approval = if *tier == Tier::Approval { "@approval(\"team:leads\") " } else { "" };
            let text = format!("@id(\"{id}\") @reason(\"test\") @owner(\"me\") {approval}{rest}");
            source(*tier, &text)
        })
        .collect();
    Bundle::load(&vocabulary(), &sources)
}

pub(super) fn bundle(policies: &[(Tier, &str, &str)]) -> Bundle {
    try_bundle(policies).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub(super) fn identity(subject: &str) -> Identity {
    Identity { issuer: None, subject: subject.into() }
}

pub(super) fn agent(name: &str, class: &str) -> Agent {
    Agent { identity: identity(name), class: Some(class.into()), assurance: Assurance::Configured }
}

pub(super) fn person(name: &str, group: &str) -> Caller {
    Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: identity(name),
            groups: vec![group.into()],
            assurance: Assurance::Configured,
        },
        agent: None,
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
        workflow: Some(run("nightly", Assurance::Asserted)),
    }
}

pub(super) fn run(name: &str, assurance: Assurance) -> Workflow {
    Workflow { run: name.into(), purpose: None, ticket: None, within: None, assurance }
}

pub(super) fn alice() -> Caller {
    person("alice", "engineering")
}

pub(super) fn alice_via(name: &str, class: &str) -> Caller {
    Caller { agent: Some(agent(name, class)), ..alice() }
}

pub(super) fn call(name: &str) -> ToolCall {
    call_of(&vocabulary().operations[name])
}

pub(super) fn call_of(operation: &Arc<Operation>) -> ToolCall {
    let fields = operation.fields.iter().map(|(name, kind)| (name.clone(), kind.absent()));
    ToolCall {
        server: "atlassian".into(),
        tool: "someTool".into(),
        operation: Arc::clone(operation),
        risk: operation.risk,
        definition: None,
        method: Method::ToolsCall,
        arguments: Object::default(),
        unwrapped: None,
        arguments_digest: Digest::default(),
        fields: fields.collect(),
    }
}

pub(super) fn site() -> Resource {
    Resource::new("Atlassian::Site", "acme")
}

pub(super) fn issue(key: &str) -> Target {
    let (project, _) = key.split_once('-').expect("a key like ENG-1");
    Target::located(
        Resource::new("Jira::Issue", format!("acme/{key}")),
        vec![Resource::new("Jira::Project", format!("acme/{project}")), site()],
    )
}

pub(super) fn page(space: &str, id: &str) -> Target {
    Target::located(
        Resource::new("Confluence::Page", format!("acme/{id}")),
        vec![Resource::new("Confluence::Space", format!("acme/{space}")), site()],
    )
}

pub(super) fn unresolved(kind: &str, obstacle: Obstacle) -> Target {
    Target::Unresolved(Unresolved {
        kind: kind.into(),
        site: "acme".into(),
        obstacle,
        spelled: "?".into(),
    })
}

/// Decides, and insists that the index changed nothing.
pub(super) fn decide(
    bundle: &Bundle,
    caller: Caller,
    call: &ToolCall,
    target: &Target,
) -> Decision {
    decide_all(bundle, caller, call, std::slice::from_ref(target), &[])
}

pub(super) fn decide_all(
    bundle: &Bundle,
    caller: Caller,
    call: &ToolCall,
    targets: &[Target],
    lifted: &[String],
) -> Decision {
    let caller = PreparedCaller::new(caller);
    let question = Question { caller: &caller, call, targets, now: NOW, grant: None, lifted };
    assert!(bundle.verify_slice(&question), "slice and full set differ");
    crate::decide(bundle, &question)
}

pub(super) fn explain(
    bundle: &Bundle,
    caller: Caller,
    call: &ToolCall,
    target: &Target,
) -> Explanation {
    let caller = PreparedCaller::new(caller);
    let targets = std::slice::from_ref(target);
    crate::explain(
        bundle,
        &Question { caller: &caller, call, targets, now: NOW, grant: None, lifted: &[] },
    )
}

/// `deny human_not_permitted [policies]`, for comparing at a glance.
pub(super) fn brief(decision: &Decision) -> String {
    let reasons: Vec<_> = decision.codes().collect();
    let policies: Vec<_> = decision.policies.iter().map(|policy| policy.id.as_str()).collect();
    format!("{} {} [{}]", decision.verdict.as_str(), reasons.join("+"), policies.join(","))
}
