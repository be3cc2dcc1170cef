//! Scopes are an envelope: what no scope covers is never allowed, and what one covers is decided by policy (I10).

use callgate_gateway::identity::DetailRule;
use callgate_model::envelope::{Portion, Portions};
use callgate_model::json::{Json, Object};
use callgate_model::target::Resource;

use crate::client::{delete, edit, issue};
use crate::store::{event, reasons};
use crate::tokens::{Corp, Made};

fn portions() -> Portions {
    let portion = |actions: &[&str], within: &[Resource]| Portion {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        within: within.iter().cloned().collect(),
        ..Portion::default()
    };
    let eng = Resource::new("Jira::Project", "acme/ENG");
    Portions::from([
        ("jira:read".to_owned(), portion(&["read"], &[])),
        ("jira:write".to_owned(), portion(&["read", "jira.issue.edit"], &[eng])),
    ])
}

fn with(corp: &Corp, scope: &str) -> String {
    corp.key.token(&corp.claims_but("scope", scope))
}

#[tokio::test]
async fn i10_what_no_scope_covers_is_not_allowed_and_the_client_is_told_which_would() {
    let corp = Corp::with_portions(portions()).await;
    let reader = with(&corp, "openid jira:read");
    assert_eq!(corp.read(&reader).await.brief(), "ok");
    let said = corp.world.call(&reader, "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!((said.status.as_u16(), said.brief().as_str()), (403, "deny scope_insufficient"));
    assert_eq!(
        said.headers.get("www-authenticate").unwrap(),
        "Bearer error=\"insufficient_scope\", scope=\"jira:read jira:write\", \
         resource_metadata=\"https://gate.example/.well-known/oauth-protected-resource/mcp/atlassian\""
    );
    let writer = with(&corp, "jira:read jira:write");
    let said = corp.world.call(&writer, "editJiraIssue", &edit("ENG-42", "x")).await;
    assert_eq!((said.status.as_u16(), said.brief().as_str()), (200, "ok"));
    // A token whose issuer says nothing of scopes, or none that is known, has none.
    for token in [corp.key.token(&corp.claims()), with(&corp, "mcp"), with(&corp, "")] {
        assert_eq!(corp.read(&token).await.brief(), "deny scope_insufficient");
    }
    let list = corp.key.token(&corp.claims_but("scope", Object::default()));
    assert_eq!(corp.read(&list).await.status.as_u16(), 401, "no text and no list");
    let rows = corp.world.record().await;
    let refusal = rows.iter().find(|row| &*row.kind == "refusal").unwrap();
    assert_eq!(reasons(refusal), ["scope_insufficient"]);
    let caller = event(refusal).get("caller").unwrap().to_text();
    assert!(caller.contains(r#""scopes":["jira:read"]"#), "{caller}");
}

#[tokio::test]
async fn i10_a_scope_allows_nothing_by_itself_and_nobody_is_sent_for_one_in_vain() {
    let corp = Corp::with_portions(portions()).await;
    let writer = with(&corp, "jira:read jira:write");
    // Covered by a scope, but policy does not permit it.
    let said = corp.world.call(&writer, "getJiraIssue", &issue("OPS-7")).await;
    assert_eq!((said.status.as_u16(), said.brief().as_str()), (200, "deny human_not_permitted"));
    // Neither: then another scope would not help.
    let said = corp.world.call(&writer, "editJiraIssue", &edit("OPS-7", "x")).await;
    assert_eq!(said.status.as_u16(), 200);
    assert_eq!(said.brief(), "deny human_not_permitted+scope_insufficient");
    // I3: what a scope that may be asked for covers is listed, and nothing else is.
    let listed = corp.world.list(&with(&corp, "jira:read")).await.tools();
    assert!(listed.contains(&"editJiraIssue".to_owned()), "{listed:?}");
    assert!(!listed.contains(&"deleteJiraIssue".to_owned()), "{listed:?}");
    let said = corp.world.call(&writer, "deleteJiraIssue", &delete("ENG-42")).await;
    assert_eq!(said.status.as_u16(), 200);
    assert!(said.text().contains("Unknown tool"), "{}", said.text());
    assert_eq!(corp.world.executed(), 0);
}

#[tokio::test]
async fn i10_authorization_details_are_an_envelope_too() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let rule = DetailRule {
        kind: "Jira::Project".into(),
        id: "acme/{identifier}".into(),
        actions: [("read".to_owned(), set(&["read"]))].into(),
    };
    let details = [("jira_project".to_owned(), rule)].into();
    let corp = Corp::made(Made { details, ..Made::default() }).await;
    let token = |details: Json| corp.key.token(&corp.claims_but("authorization_details", details));
    let detail = |project: &str| {
        Object::default()
            .with("type", "jira_project")
            .with("identifier", project)
            .with("actions", vec![Json::from("read")])
    };
    let of = |project: &str| token(Json::Array(vec![detail(project).into()]));
    assert_eq!(corp.read(&of("ENG")).await.brief(), "ok");
    let said = corp.world.call(&of("ENG"), "editJiraIssue", &edit("ENG-42", "x")).await;
    assert!(said.brief().contains("scope_insufficient"), "{}", said.brief());
    assert_eq!(corp.read(&of("OPS")).await.brief(), "deny scope_insufficient");
    let none = corp.key.token(&corp.claims());
    assert_eq!(corp.read(&none).await.brief(), "deny scope_insufficient");
    assert_eq!(corp.read(&token("x".into())).await.status.as_u16(), 401, "it cannot be read");
    let listed = corp.world.list(&of("ENG")).await.tools();
    assert!(listed.contains(&"getJiraIssue".to_owned()), "{listed:?}");
    assert!(!listed.contains(&"editJiraIssue".to_owned()), "I3: {listed:?}");
}
