//! Resources, prompts and completion: decided like tools, and without a catalog.

mod asked;
mod mapped;

use callgate_mcp::upstream::EraSetting;
use callgate_model::json::Json;
use callgate_policy::Tier;
use callgate_sim::{Eras, SimOptions};

use crate::client::{Ask, Said};
use crate::matrix::starter_pack;
use crate::support::{Rule, Setup, UPSTREAM_SECRET, World, catalogs, load};

/// Engineers may read whatever the site has, its automation may have everything; nobody's agent reads what is for
/// people, and what is for support needs a lead.
const POLICIES: &[Rule] = &[
    (
        Tier::Permit,
        "engineers-read",
        r#"permit(principal in Group::"engineering", action == Action::"mcp.resource.read", resource in MCP::Server::"atlassian");"#,
    ),
    (
        Tier::Permit,
        "engineers-triage",
        r#"permit(principal in Group::"engineering", action == Action::"mcp.prompt.get", resource == MCP::Prompt::"atlassian/triage_issue");"#,
    ),
    (
        Tier::Permit,
        "automation",
        r#"permit(principal in AgentClass::"automation", action in Action::"mcp", resource in MCP::Server::"atlassian");"#,
    ),
    (
        Tier::Guardrail,
        "people",
        r#"forbid(principal is Agent, action in Action::"read", resource == MCP::Resource::"atlassian/acme://handbook/people");"#,
    ),
    (
        Tier::Approval,
        "support",
        r#"forbid(principal, action in Action::"mcp.resource", resource == MCP::Resource::"atlassian/acme://handbook/support");"#,
    ),
];

const ENGINEERING: &str = "acme://handbook/engineering";
const PEOPLE: &str = "acme://handbook/people";
const SUPPORT: &str = "acme://handbook/support";
const PAGES: [&str; 3] = [ENGINEERING, PEOPLE, SUPPORT];
const PROMPTS: [(&str, &str); 2] =
    [("triage_issue", r#"{"key":"ENG-42"}"#), ("weekly_report", r#"{"project":"ENG"}"#)];
const TEMPLATE: &str = "acme://issues/{key}";

const CALLERS: [&str; 7] =
    ["alice", "alice-release", "alice-triage", "bob-release", "nobody", "ci", "alice-asserted"];

fn setup(eras: Eras) -> Setup {
    let sim = SimOptions { token: Some(UPSTREAM_SECRET.to_owned()), eras, ..SimOptions::default() };
    Setup { policies: POLICIES.to_vec(), sim, reveal: false, ..Setup::default() }
}

/// How one client asks: in the modern era, or in a session of its own.
async fn client(world: &World, token: &str, modern: bool) -> impl Fn(Ask) -> Ask + use<> {
    let session = if modern { None } else { Some(world.session(token).await) };
    move |ask| match &session {
        Some(session) => ask.in_session(session),
        None => ask,
    }
}

fn complete(token: &str, reference: &str, argument: &str) -> Ask {
    let argument = format!(r#"{{"name":"{argument}","value":"ENG-4"}}"#);
    let params = format!(r#"{{"ref":{reference},"argument":{argument}}}"#);
    Ask::new(token, "completion/complete", &params)
}

/// The values of `member` in the list `list`.
fn members(said: &Said, list: &str, member: &str) -> Vec<String> {
    let answer = said.answer();
    let list = answer.get("result").and_then(|result| result.get(list));
    let list = list.and_then(Json::as_array).unwrap_or_else(|| panic!("{answer:?}"));
    list.iter().map(|one| one.get(member).and_then(Json::as_str).unwrap().to_owned()).collect()
}

fn could(said: &Said) -> bool {
    said.brief() == "ok" || said.brief() == "refused approval_required approval_required"
}

#[tokio::test]
async fn i3_who_is_shown_a_resource_or_prompt_may_have_it_and_nobody_else() {
    for eras in [Eras::Both, Eras::Modern, Eras::Legacy] {
        let world = World::start(setup(eras)).await;
        let mut had = Vec::new();
        for (caller, modern) in CALLERS.iter().flat_map(|c| [(*c, true), (*c, false)]) {
            let by = client(&world, caller, modern).await;
            let list = world.ask(&by(Ask::new(caller, "resources/list", "{}"))).await;
            let shown = members(&list, "resources", "uri");
            for uri in PAGES {
                let said = world.ask(&by(Ask::read(caller, uri))).await;
                let place = format!("{eras:?}: {caller}, modern {modern}, {uri}: {said:?}");
                assert_eq!(could(&said), shown.iter().any(|one| one == uri), "{place}");
                had.extend((said.brief() == "ok").then(|| uri.to_owned()));
            }
            let list = world.ask(&by(Ask::new(caller, "prompts/list", "{}"))).await;
            let shown = members(&list, "prompts", "name");
            for (prompt, arguments) in PROMPTS {
                let said = world.ask(&by(Ask::get(caller, prompt, arguments))).await;
                let place = format!("{eras:?}: {caller}, modern {modern}, {prompt}: {said:?}");
                assert_eq!(could(&said), shown.iter().any(|one| one == prompt), "{place}");
                had.extend((said.brief() == "ok").then(|| prompt.to_owned()));
            }
        }
        // Alice and the service account read two pages and get a prompt; through the automation it is one page.
        assert_eq!(had.len(), 2 * (3 + 2 + 3), "{eras:?}: {had:?}");
        let ledger = world.sim.ledger().entries();
        let reached: Vec<String> = ledger.iter().map(|entry| entry.tool.clone()).collect();
        assert_eq!(reached, had, "{eras:?}: what was let through is what the site did");
    }
}

#[tokio::test]
async fn every_caller_is_shown_exactly_what_the_policies_say() {
    let world = World::start(setup(Eras::Both)).await;
    for (caller, pages, prompts, templates) in [
        ("alice", &PAGES[..], &["triage_issue"][..], &[TEMPLATE][..]),
        ("alice-release", &[ENGINEERING, SUPPORT], &["triage_issue"], &[TEMPLATE]),
        ("alice-triage", &[], &[], &[]),
        ("nobody", &[], &[], &[]),
    ] {
        let list = async |method| world.ask(&Ask::new(caller, method, "{}")).await;
        let resources = list("resources/list").await;
        assert_eq!(members(&resources, "resources", "uri"), pages, "{caller}");
        let prompt_list = list("prompts/list").await;
        assert_eq!(members(&prompt_list, "prompts", "name"), prompts, "{caller}");
        let all = list("resources/templates/list").await;
        assert_eq!(members(&all, "resourceTemplates", "uriTemplate"), templates, "{caller}");
    }
    // All pages of each list were fetched once, for everybody.
    let lists = |method: &str| {
        let requests = world.sim.ledger().requests();
        requests.iter().filter(|r| r.header("mcp-method") == Some(method)).count()
    };
    assert_eq!((lists("resources/list"), lists("prompts/list")), (2, 1));
    assert_eq!(lists("resources/templates/list"), 1);
}

#[tokio::test]
async fn i6_r07_results_are_private_and_of_the_clients_era_and_otherwise_as_the_server_wrote_them()
{
    for eras in [Eras::Modern, Eras::Legacy] {
        let world = World::start(setup(eras)).await;
        for modern in [true, false] {
            let by = client(&world, "alice", modern).await;
            let asks = [
                (Ask::new("alice", "resources/list", "{}"), Some("30000")),
                (Ask::new("alice", "resources/templates/list", "{}"), Some("30000")),
                (Ask::new("alice", "prompts/list", "{}"), Some("30000")),
                (Ask::read("alice", ENGINEERING), Some("0")),
                (Ask::get("alice", "triage_issue", r#"{"key":"ENG-42"}"#), None),
            ];
            for (ask, ttl) in asks {
                let said = world.ask(&by(ask.clone())).await;
                let result = said.answer().get("result").unwrap().clone();
                let place = format!("{eras:?} for modern {modern}: {result:?}");
                let text = |name: &str| result.get(name).map(Json::to_text);
                let of_era = |text: &str| modern.then(|| text.to_owned());
                assert_eq!(text("resultType"), of_era("\"complete\""), "{place}");
                assert_eq!(text("ttlMs"), ttl.and_then(of_era), "{place}");
                assert_eq!(text("cacheScope"), ttl.and_then(|_| of_era("\"private\"")), "{place}");
                if ask.method.ends_with("s/list") && !ask.method.contains("templates") {
                    assert!(said.text().contains(r#""vendor":{"rev":7}"#), "{place}");
                    assert_eq!(said.headers.get("cache-control").unwrap(), "no-store");
                }
            }
            let said = world.ask(&by(Ask::read("alice", "acme://issues/ENG-42"))).await;
            assert!(said.text().contains("Checkout fails"), "{said:?}");
        }
    }
}

/// Nothing of what is refused reaches the site: not even a question about it.
#[tokio::test]
async fn i5_what_is_refused_says_why_and_goes_nowhere() {
    let world = World::start(Setup { reveal: true, ..setup(Eras::Both) }).await;
    let weekly = PROMPTS[1];
    for (caller, ask, wanted) in [
        ("alice-release", Ask::read("alice-release", PEOPLE), "deny guardrail"),
        ("alice", Ask::read("alice", SUPPORT), "approval_required approval_required"),
        ("nobody", Ask::read("nobody", ENGINEERING), "deny human_not_permitted"),
        ("alice-triage", Ask::read("alice-triage", ENGINEERING), "deny agent_not_permitted"),
        ("alice", Ask::get("alice", weekly.0, weekly.1), "deny human_not_permitted"),
        ("alice", Ask::read("alice", "a b"), "deny arguments_invalid"),
    ] {
        for modern in [true, false] {
            let by = client(&world, caller, modern).await;
            let said = world.ask(&by(ask.clone())).await;
            assert_eq!(said.brief(), format!("refused {wanted}"), "{caller}");
            let error = said.answer().get("error").cloned().unwrap();
            let text = error.get("message").and_then(Json::as_str).unwrap().to_owned();
            let (_, reason) = wanted.split_once(' ').unwrap();
            assert!(text.contains(reason), "{text}");
            assert_eq!(text.contains("Do not retry"), wanted.starts_with("deny"), "{text}");
        }
    }
    assert_eq!(world.executed(), 0);
    let requests = world.sim.ledger().requests();
    assert!(requests.is_empty(), "{requests:?}");
}

#[tokio::test]
async fn i3_to_whoever_may_have_nothing_nothing_exists() {
    let world = World::start(setup(Eras::Both)).await;
    let mut told = Vec::new();
    for modern in [true, false] {
        let by = client(&world, "nobody", modern).await;
        for uri in [ENGINEERING, "acme://no/such/thing", "not a uri", "../x"] {
            let said = world.ask(&by(Ask::read("nobody", uri))).await;
            let code = if modern { "error -32602" } else { "error -32002" };
            assert_eq!((said.brief().as_str(), said.status.as_u16()), (code, 200), "{uri}");
            told.push((modern, said.text().to_owned()));
        }
        for name in ["triage_issue", "no_such_prompt"] {
            let said = world.ask(&by(Ask::get("nobody", name, "{}"))).await;
            assert_eq!(said.brief(), "error -32602", "{name}");
            assert!(said.text().contains(&format!("Unknown prompt: {name}")), "{said:?}");
            let reference = format!(r#"{{"type":"ref/prompt","name":"{name}"}}"#);
            let said = world.ask(&by(complete("nobody", &reference, "key"))).await;
            assert_eq!(said.brief(), "error -32602", "{name}");
        }
    }
    told.dedup();
    assert_eq!(told.len(), 2, "one answer for everything in each era: {told:?}");
    // What a permit for another server lets one have is not here.
    world.gateway.activate(load(
        &catalogs(&[]),
        &[
            (
                Tier::Permit,
                "e",
                r#"permit(principal, action, resource in MCP::Server::"elsewhere");"#,
            ),
            (
                Tier::Permit,
                "u",
                r#"permit(principal, action in Action::"read", resource is Unresolved);"#,
            ),
        ],
    ));
    assert_eq!(world.ask(&Ask::read("nobody", ENGINEERING)).await.brief(), "error -32602");
    let list = world.ask(&Ask::new("nobody", "resources/templates/list", "{}")).await;
    assert!(members(&list, "resourceTemplates", "uriTemplate").is_empty());
    assert!(world.sim.ledger().requests().is_empty());
}

/// I9 of a kind: what the packs and permits of today say about products says nothing about resources and prompts.
#[tokio::test]
async fn i5_no_policy_about_a_product_lets_anybody_have_a_resource() {
    let world = World::start(setup(Eras::Both)).await;
    world.gateway.activate(starter_pack(&catalogs(&[])));
    Box::pin(check_nothing_is_had(&world)).await;
    world.gateway.activate(load(&catalogs(&[]), crate::support::POLICIES));
    Box::pin(check_nothing_is_had(&world)).await;
    assert!(world.sim.ledger().requests().is_empty());
}

async fn check_nothing_is_had(world: &World) {
    for caller in CALLERS {
        for (method, member) in [
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let list = world.ask(&Ask::new(caller, method, "{}")).await;
            assert!(members(&list, member, "name").is_empty(), "{caller} {method}");
        }
        let said = world.ask(&Ask::read(caller, ENGINEERING)).await;
        assert_eq!(said.brief(), "error -32602", "{caller}");
        let said = world.ask(&Ask::get(caller, PROMPTS[0].0, PROMPTS[0].1)).await;
        assert_eq!(said.brief(), "error -32602", "{caller}");
    }
}

#[tokio::test]
async fn a_server_without_resources_and_prompts_has_empty_lists() {
    for eras in [Eras::Modern, Eras::Legacy] {
        for era in [EraSetting::Auto, EraSetting::Legacy] {
            if eras == Eras::Modern && era == EraSetting::Legacy {
                continue;
            }
            let mut setup = Setup { era, ..setup(eras) };
            setup.sim.only_tools = true;
            let world = World::start(setup).await;
            for (method, member) in [
                ("resources/list", "resources"),
                ("resources/templates/list", "resourceTemplates"),
                ("prompts/list", "prompts"),
            ] {
                let list = world.ask(&Ask::new("alice", method, "{}")).await;
                assert!(members(&list, member, "name").is_empty(), "{eras:?} {method}");
            }
            let said = world.ask(&Ask::read("alice", ENGINEERING)).await;
            assert_eq!(said.brief(), "error -32601");
        }
    }
}

/// A list that cannot be had is said not to be there, and one that was had serves for a while.
#[tokio::test]
async fn lists_outlive_the_server_for_a_while() {
    let world = World::start(setup(Eras::Both)).await;
    let list = Ask::new("alice", "resources/list", "{}");
    assert_eq!(members(&world.ask(&list).await, "resources", "uri").len(), 3);
    let world = world.without_site().await;
    assert_eq!(members(&world.ask(&list).await, "resources", "uri").len(), 3);
    let said = world.ask(&Ask::new("alice", "prompts/list", "{}")).await;
    assert_eq!(said.brief(), "error -32603");
}

#[tokio::test]
async fn what_the_gateway_serves_is_declared() {
    let world = World::start(setup(Eras::Both)).await;
    let wanted = r#"{"completions":{},"extensions":EXTENSIONS,"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#;
    let discover = Ask::new("nobody", "server/discover", "{}");
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#;
    for ask in [discover, Ask::new("nobody", "initialize", params)] {
        let answer = world.ask(&ask).await.answer();
        let capabilities = answer.get("result").unwrap().get("capabilities").unwrap().to_text();
        let tasks = r#","io.modelcontextprotocol/tasks":{}"#;
        let tasks = if ask.method == "initialize" { "" } else { tasks };
        let extensions = format!(r#"{{"io.modelcontextprotocol/ui":{{}}{tasks}}}"#);
        assert_eq!(capabilities, wanted.replace("EXTENSIONS", &extensions), "{}", ask.method);
    }
}
