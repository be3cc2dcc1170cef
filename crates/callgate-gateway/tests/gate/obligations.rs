//! What an allowance obliges to: what of an answer is shown, and that whoever calls says why.

use callgate_gateway::pipeline::ErrandError;
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway::{Errand, NAME};
use callgate_policy::Tier;

use crate::approvals::{RULES, WAITS};
use crate::client::{Ask, Said, delete, edit, issue};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World};

/// Beside the permits that are there.
const REDACTS: Rule = (
    Tier::Permit,
    "redacts",
    r#"@redact("summary, description") permit(principal == User::"alice", action == Action::"jira.issue.read", resource);"#,
);
const SMALL: Rule = (
    Tier::Permit,
    "small",
    r#"@result_within("20B") permit(principal == User::"alice", action == Action::"jira.issue.edit", resource in Jira::Project::"acme/ENG");"#,
);
const SAYS_WHY: Rule = (
    Tier::Permit,
    "says-why",
    r#"@needs_reason permit(principal == User::"alice", action in [Action::"jira.issue.edit", Action::"jira.issue.delete"], resource in Jira::Project::"acme/ENG");"#,
);

async fn world(rules: &[Rule]) -> World {
    World::start(Setup { policies: [POLICIES, RULES, rules].concat(), ..Setup::default() }).await
}

fn member(said: &Said, name: &str) -> Json {
    said.answer().get("result").and_then(|result| result.get(name)).cloned().unwrap_or(Json::Null)
}

fn with_why(arguments: &str, why: &str) -> String {
    let why = Json::from(why).to_text();
    arguments.replacen('{', &format!(r#"{{"callgate_reason":{why},"#), 1)
}

#[tokio::test]
async fn what_a_permit_redacts_no_client_sees() {
    let plain = world(&[]).await;
    let before = plain.call("alice", "getJiraIssue", &issue("ENG-42")).await;
    assert!(before.text().contains("summary"), "{before:?}");
    let world = world(&[REDACTS]).await;
    let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "ok");
    let text = said.text();
    assert!(text.contains(r#"\"summary\":\"[redacted]\""#) && text.contains("ENG-42"), "{text}");
    // Whose permits do not oblige sees it all.
    assert!(world.call("bob", "getJiraIssue", &issue("ENG-42")).await.text().len() > text.len());
    let rows = world.record().await;
    let decision = event(rows.iter().find(|row| row.kind == "intent").unwrap());
    let obliged = decision.get("decision").unwrap().get("obligations").unwrap().get("redact");
    assert_eq!(obliged.unwrap().to_text(), r#"["description","summary"]"#);
}

#[tokio::test]
async fn what_is_not_shown_was_made_and_does_not_look_as_if_it_could_be_repeated() {
    let world = world(&[SMALL]).await;
    let said = world.call("alice", "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!(said.brief(), "allow succeeded");
    assert!(said.text().contains("Do not repeat the call for that."), "{said:?}");
    assert_eq!((world.executed(), world.outcomes().await), (1, vec!["succeeded".to_owned()]));
}

#[tokio::test]
async fn who_has_to_say_why_is_told_so_and_no_server_hears_it() {
    let world = world(&[SAYS_WHY]).await;
    let arguments = edit("ENG-42", "x");
    let said = world.call("alice", "editJiraIssue", &arguments).await;
    assert_eq!((said.brief().as_str(), world.calls_sent()), ("deny reason_required", 0));
    for none in ["", "  "] {
        let said = world.call("alice", "editJiraIssue", &with_why(&arguments, none)).await;
        assert_eq!(said.brief(), "deny reason_required");
    }
    let long = world.call("alice", "editJiraIssue", &with_why(&arguments, &"x".repeat(501))).await;
    assert_eq!(long.brief(), "error -32602");
    let said = world.call("alice", "editJiraIssue", &with_why(&arguments, "ENG-42 says so")).await;
    assert_eq!(said.brief(), "ok");
    let requests = world.sim.ledger().requests();
    assert!(requests.iter().all(|request| !request.body.contains("callgate_reason")));
    assert!(requests.iter().all(|request| !request.body.contains("ENG-42 says so")));
    let secret = with_why(&arguments, "with ATATT3xFfGF0aaaaaaaaaaaa");
    assert_eq!(world.call("alice", "editJiraIssue", &secret).await.brief(), "ok");
    let rows = world.record().await;
    assert!(rows.iter().all(|row| !event(row).to_text().contains("ATATT")), "I7: {rows:?}");
    let intent = event(rows.iter().find(|row| row.kind == "intent").unwrap());
    assert_eq!(intent.get("why"), Some(&"ENG-42 says so".into()));
    assert!(!intent.get("arguments").unwrap().to_text().contains("callgate_reason"));
}

/// In other words, it is the same call: an agent seldom says a thing in the same words twice.
#[tokio::test]
async fn a08_what_an_agent_says_is_no_part_of_what_is_approved() {
    let world = world(&[SAYS_WHY]).await;
    let deletes = async |why: &str| {
        let arguments = with_why(&delete("ENG-42"), why);
        world.call("alice-release", "executeDestructive", &arguments).await.brief()
    };
    let arguments = delete("ENG-42");
    let silent = world.call("alice-release", "executeDestructive", &arguments).await;
    assert_eq!(silent.brief(), "deny reason_required", "nobody is asked before it is said");
    assert_eq!(deletes("It is a duplicate").await, WAITS);
    let waiting = world.waiting().await.approval;
    assert_eq!(waiting.about.why.as_deref(), Some("It is a duplicate"));
    assert!(!waiting.arguments.contains("duplicate"));
    world.says("carol-lead", waiting.id, true).await.unwrap();
    assert_eq!(deletes("As I said").await, "ok");
}

#[tokio::test]
async fn the_reason_is_listed_where_somebody_could_want_to_know_it() {
    let asked = async |rules: &[Rule], tool: &str| {
        let world = World::start(Setup { policies: rules.to_vec(), ..Setup::default() }).await;
        let list = world.list("alice").await;
        let tools = member(&list, "tools");
        let one =
            tools.as_array().unwrap().iter().find(|one| one.get("name") == Some(&tool.into()));
        let properties =
            one.unwrap().get("inputSchema").unwrap().get("properties").unwrap().clone();
        properties.get("callgate_reason").is_some()
    };
    let has_gate = POLICIES.iter().any(|(tier, ..)| *tier == Tier::Approval);
    assert!(has_gate && asked(POLICIES, "editJiraIssue").await);
    assert!(!asked(POLICIES, "getJiraIssue").await, "nobody approves what changes nothing");
    let ungated: Vec<Rule> =
        POLICIES.iter().filter(|(tier, ..)| *tier != Tier::Approval).copied().collect();
    assert!(!asked(&ungated, "editJiraIssue").await);
    assert!(asked(&[ungated, vec![SAYS_WHY]].concat(), "getJiraIssue").await);
    let world = world(&[]).await;
    let ask = Ask::call("alice-release", "editJiraIssue", &with_why(&edit("ENG-42", "x"), "why"));
    assert_eq!(world.ask(&ask).await.brief(), "ok", "it can always be said");
}

/// The gateway's own operations have no answers to redact and no argument for a reason.
#[tokio::test]
async fn i5_a_permit_that_obliges_lets_nobody_do_what_cannot_meet_it() {
    let looks: Rule = (
        Tier::Permit,
        "leads-look",
        r#"@redact("arguments") permit(principal in Group::"leads", action == Action::"callgate.approval.list", resource);"#,
    );
    let world = world(&[looks]).await;
    let lead = world.gateway.holder("carol-lead", NAME).await.unwrap();
    let run = async |errand| {
        let work = async { Ok(()) };
        let told = world.gateway.run_errand(&lead, errand, None, Object::default(), work).await;
        told.map_err(|error| match error {
            ErrandError::Refused(decision) => decision.codes().collect::<Vec<_>>().join("+"),
            other @ (ErrandError::Wrong(_) | ErrandError::Gone | ErrandError::Unavailable) => {
                other.to_string()
            }
        })
    };
    assert_eq!(run(Errand::ApprovalList).await, Err("policy_error".to_owned()));
    assert_eq!(run(Errand::ApprovalShow).await, Ok(()), "another permit obliges to nothing");
}
