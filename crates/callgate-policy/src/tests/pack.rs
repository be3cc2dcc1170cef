//! The starter pack and the policy guide, as they are shipped, against the catalog that is shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_model::caller::Caller;
use callgate_model::products;
use callgate_model::target::{Obstacle, Resource, Target};
use callgate_model::vocabulary::{Effect, FieldType, Operation, Reversibility, Risk, Vocabulary};

use super::world::{agent, alice_via, brief, call_of, decide, issue, person, unresolved};
use crate::{Bundle, PreparedCaller, Source, Tier, could_allow};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What policies need of a catalog; the gateway reads the rest.
fn vocabulary() -> Vocabulary {
    let catalog: toml::Table = read(&repository("catalogs/atlassian.toml")).parse().expect("TOML");
    let text = |value: Option<&toml::Value>| value.and_then(|v| v.as_str()).map(ToOwned::to_owned);
    let kinds = catalog["target"].as_table().expect("a table").iter();
    let kinds = kinds.map(|(kind, about)| (kind.clone(), text(about.get("in"))));
    let operations = catalog["operation"].as_table().expect("a table").iter();
    let operations = operations.map(|(name, about)| {
        let word = |key| text(about.get(key)).unwrap_or_else(|| panic!("{name}: {key}"));
        let fields = about.get("fields").and_then(|fields| fields.as_table()).into_iter().flatten();
        let fields = fields.map(|(field, kind)| {
            (field.clone(), FieldType::parse(kind.as_str().expect("a name")).expect("a type"))
        });
        let targets = about["targets"].as_array().expect("an array").iter();
        let operation = Operation {
            name: name.clone(),
            title: word("title"),
            effect: Effect::parse(&word("effect")).expect("an effect"),
            risk: Risk::parse(&word("risk")).expect("a risk"),
            reversibility: Reversibility::parse(&word("reversibility")).expect("one of three"),
            targets: targets.map(|kind| kind.as_str().expect("a name").to_owned()).collect(),
            fields: fields.collect(),
        };
        (name.clone(), Arc::new(operation))
    });
    let mut vocabulary = products::vocabulary();
    vocabulary.operations.extend(operations);
    vocabulary.target_kinds.extend(kinds);
    vocabulary
}

fn load(vocabulary: &Vocabulary, sources: &[Source]) -> Bundle {
    Bundle::load(vocabulary, sources).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("\n{p}")).collect::<String>())
    })
}

fn pack() -> Vec<Source> {
    let mut sources = Vec::new();
    for tier in Tier::ALL {
        let folder = repository("policies/atlassian").join(tier.folder());
        for file in fs::read_dir(&folder).expect("a folder") {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            sources.push(Source { tier: *tier, name, text: read(&path) });
        }
    }
    sources
}

/// Who, what, where, and what must be decided.
const DECIDED: &str = "
release | jira.issue.read           | OPS-1                  | allow permitted [automation-reads-acme,engineering-reads-acme]
release | jira.issue.edit           | ENG-1                  | allow permitted [automation-changes-eng,engineering-writes-eng]
release | jira.issue.edit           | OPS-1                  | deny agent_not_permitted+human_not_permitted []
release | jira.issue.delete         | ENG-1                  | approval_required approval_required [critical-needs-lead,delete-needs-lead]
release | jira.issue.comment.delete | ENG-1                  | approval_required approval_required [delete-needs-lead]
release | jira.issue.read           | HR-1                   | deny guardrail [no-agent-in-hr]
release | jira.issue.watcher.add    | ENG-1                  | deny guardrail [no-agent-shares]
triage  | jira.issue.edit           | ENG-1                  | deny agent_not_permitted []
triage  | jira.issue.comment.add    | ENG-1                  | allow permitted [assistants-comment-in-eng,engineering-writes-eng]
triage  | confluence.page.read      | opaque                 | allow permitted [agents-read-any-page,engineering-reads-any-page]
triage  | confluence.page.edit      | opaque                 | deny target_unresolved []
triage  | confluence.page.search    | query Confluence::Page | deny query_unbounded []
triage  | jira.issue.search         | query Jira::Issue      | deny query_unbounded []
bob     | confluence.page.read      | opaque                 | deny target_unresolved []
bob     | jira.issue.edit           | SUP-1                  | allow permitted [assistants-write-sup,support-writes-sup]
bob     | jira.issue.delete         | SUP-1                  | deny agent_not_permitted+human_not_permitted []
bob     | jira.issue.read           | ENG-1                  | deny human_not_permitted []
bob     | atlassian.account.read    | account                | allow permitted [everybody-sees-own-account]";

fn target(named: &str) -> Target {
    match named.split_once(' ') {
        Some((_query, kind)) => unresolved(kind, Obstacle::Query),
        None if named == "opaque" => unresolved("Confluence::Page", Obstacle::OpaqueId),
        None if named == "account" => {
            Target::located(Resource::new("Atlassian::Account", "self"), vec![])
        }
        None => issue(named),
    }
}

#[test]
fn the_starter_pack_decides_as_its_comments_say() {
    let vocabulary = vocabulary();
    let bundle = load(&vocabulary, &pack());
    let release = alice_via("release-bot", "automation");
    let triage = alice_via("triage-bot", "assistant");
    let bob = Caller { agent: Some(agent("triage-bot", "assistant")), ..person("bob", "support") };
    for line in DECIDED.trim().lines() {
        let [who, operation, place, expected] =
            line.split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let caller = match who {
            "release" => &release,
            "triage" => &triage,
            _ => &bob,
        };
        let call = call_of(&vocabulary.operations[operation]);
        let decision = decide(&bundle, caller.clone(), &call, &target(place));
        assert_eq!(brief(&decision), expected, "{line}");
    }
    let listed = |caller: &Caller, name: &str| {
        let operation = &vocabulary.operations[name];
        could_allow(
            &bundle,
            &PreparedCaller::new(caller.clone()),
            "atlassian",
            operation,
            operation.risk,
        )
    };
    assert!(listed(&release, "jira.issue.delete") && !listed(&release, "jira.project.edit"));
    assert!(!listed(&bob, "jira.issue.delete") && !listed(&bob, "confluence.page.read"));
}

#[test]
fn every_policy_in_the_guide_loads() {
    assert!(policies_of("policies.md") >= 10);
    assert_eq!(policies_of("catalogs.md"), 3);
    assert_eq!(policies_of("resources-and-prompts.md"), 4);
    assert_eq!(policies_of("shadow.md"), 1);
}

/// Loads every block of policies of a page, and says how many there are.
fn policies_of(page: &str) -> usize {
    let vocabulary = vocabulary();
    let guide = read(&repository("docs").join(page));
    let blocks: Vec<&str> = guide.split("\n```cedar ").skip(1).collect();
    assert_eq!(guide.matches("```cedar").count(), blocks.len());
    for block in &blocks {
        let (folder, rest) = block.split_once('\n').expect("a line");
        let (text, _) = rest.split_once("\n```").expect("an end");
        let tier = Tier::ALL.iter().find(|tier| tier.folder() == folder).expect("a folder");
        let source = Source { tier: *tier, name: page.into(), text: text.into() };
        assert!(!load(&vocabulary, &[source]).is_empty(), "{text}");
    }
    blocks.len()
}
