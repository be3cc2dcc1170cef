//! What it costs to find what a call touches: `cargo run --release --package callgate-gateway --example touched`.
#![expect(clippy::print_stdout, reason = "an example reports on standard output")]
#![expect(clippy::expect_used, reason = "an example has no input")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use callgate_gateway::catalog::{Catalogs, ServerCatalog};
use callgate_gateway::identity::{ChainSpec, Identified};
use callgate_gateway::resolve::{FOUND_FOR, Finds, Holder, Places};
use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::json::{JsonLimits, Object, read};
use callgate_model::products::atlassian::query::jql;
use callgate_model::products::atlassian::{SiteEntry, SiteMap};
use callgate_model::target::{Located, Resource};
use callgate_model::vocabulary::Effect;
use callgate_policy::{Bundle, Source, Tier, could_allow};

const ROUNDS: u32 = 20_000;

/// What is located, in which calls.
const CALLS: &[(&str, &str, &str)] = &[
    ("locate an issue", "jira_get_issue", r#"{"issue_key":"ENG-42"}"#),
    (
        "locate a move: two targets",
        "jira_move_issue",
        r#"{"issue_key":"ENG-42","target_project_key":"OPS"}"#,
    ),
    (
        "locate an edit: JSON in a string",
        "jira_update_issue",
        r#"{"issue_key":"ENG-42","fields":"{\"summary\":\"x\",\"labels\":[\"a\"]}"}"#,
    ),
];

fn main() {
    let catalogs = Catalogs::shipped(&[]).expect("the catalogs are good");
    let site = SiteEntry {
        alias: "acme".to_owned(),
        cloud_id: None,
        url: Some("https://acme.atlassian.net".to_owned()),
    };
    let sites = SiteMap::new(&[site], None).expect("a site");
    let catalog = catalogs.for_server("jira", "mcp-atlassian", sites).expect("a catalog");

    println!("what                                          time   target");
    for (what, tool, arguments) in CALLS {
        let arguments = object(arguments);
        let taken = time(ROUNDS, || locate(&catalog, tool, &arguments));
        println!("{what:40} {taken:>9.1?}   5 µs");
    }
    let clause = |n: i32| format!("(status = \"S {n}\" AND assignee != user{n} OR votes > {n})");
    let clauses: Vec<String> = (0..18).map(clause).collect();
    let query = format!("project = ENG AND ({})", clauses.join(" OR "));
    let taken = time(ROUNDS, || jql(&query).is_ok());
    println!("{:40} {taken:>9.1?}   50 µs", format!("analyse a JQL of {} bytes", query.len()));
    println!("{:40} {:>9.1?}   500 µs", "filter the list of 98 tools", filter(&catalogs, &catalog));
    println!("{:40} {:>9.1?}   2 µs", "what was found before, of 10,000 things", found());
}

fn time(rounds: u32, mut work: impl FnMut() -> bool) -> Duration {
    (0..rounds / 10).for_each(|_| assert!(black_box(work())));
    let start = Instant::now();
    (0..rounds).for_each(|_| assert!(black_box(work())));
    start.elapsed() / rounds
}

fn object(text: &str) -> Object {
    let json = read(text.as_bytes(), &JsonLimits::default()).expect("JSON");
    json.as_object().cloned().unwrap_or_default()
}

fn locate(catalog: &ServerCatalog, tool: &str, arguments: &Object) -> bool {
    let named = catalog.name(tool, arguments).expect("a tool");
    catalog.locate(&named, arguments).is_ok()
}

/// Which of the tools somebody could use, who may work in one project.
fn filter(catalogs: &Catalogs, catalog: &ServerCatalog) -> Duration {
    let text = r#"@id("e") @reason("r") @owner("o") permit(principal in Group::"engineering", action, resource in Jira::Project::"acme/ENG");"#;
    let source = Source { tier: Tier::Permit, name: "p.cedar".to_owned(), text: text.to_owned() };
    let bundle = Bundle::load(catalogs.vocabulary(), &[source]).expect("a bundle");
    let caller = caller();
    let all = catalogs.every_tool().filter(|(of, ..)| *of == "mcp-atlassian");
    let tools: Vec<&str> = all.map(|(_, _, tool)| tool).collect();
    assert_eq!(tools.len(), 98);
    let operations: Vec<_> = tools.iter().map(|tool| catalog.operations_of(tool)).collect();
    time(200, || {
        let could = operations.iter().filter(|all| {
            all.iter().any(|(operation, risk)| {
                could_allow(&bundle, &caller.caller, "jira", operation, *risk)
            })
        });
        could.count() > 10
    })
}

fn caller() -> Identified {
    let chain = ChainSpec {
        human: Some("alice".to_owned()),
        groups: vec!["engineering".to_owned()],
        ..ChainSpec::default()
    };
    Identified::new(chain.to_caller(Digest::default()).expect("a chain"))
}

fn found() -> Duration {
    let (finds, now) = (Finds::new(FOUND_FOR), Timestamp::from_unix_ms(0));
    let holder = Holder::of(&caller());
    let thing = |number: usize| Resource {
        kind: "Confluence::Page".to_owned(),
        id: format!("acme/{number}"),
    };
    let places: Places = [Located {
        resource: Resource::new("Confluence::Page", "acme/1"),
        containers: vec![Resource::new("Confluence::Space", "acme/DOCS")],
    }]
    .into();
    (0..10_000).for_each(|number| finds.put(thing(number), (holder, places.clone()), 0, now));
    let wanted = thing(5_000);
    time(ROUNDS, || finds.get(&wanted, (holder, Effect::Read), now).is_ok())
}
