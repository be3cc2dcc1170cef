//! What a query can find is what is decided. The site's ledger tells what was really searched.

use callgate_model::json::Json;
use callgate_policy::Tier;

use crate::support::{CLOUD, POLICIES, Rule, Setup, World};

/// Engineers may read DOCS; everybody may read the whole site, but what is HR's is forbidden.
const RULES: &[Rule] = &[
    (
        Tier::Permit,
        "docs",
        r#"permit(principal in Group::"engineering", action, resource in Confluence::Space::"acme/DOCS");"#,
    ),
    (
        Tier::Permit,
        "support-reads-the-site",
        r#"permit(principal in Group::"support", action in Action::"read", resource in Atlassian::Site::"acme");"#,
    ),
    (Tier::Guardrail, "hr", r#"forbid(principal, action, resource in Jira::Project::"acme/HR");"#),
];

async fn world() -> World {
    World::start(Setup { policies: [POLICIES, RULES].concat(), ..Setup::default() }).await
}

impl World {
    async fn jql(&self, token: &str, jql: &str) -> String {
        let arguments = format!(r#"{{"cloudId":"{CLOUD}","jql":{}}}"#, Json::from(jql).to_text());
        self.call(token, "searchJiraIssuesUsingJql", &arguments).await.brief()
    }

    async fn cql(&self, token: &str, cql: &str) -> String {
        let arguments = format!(r#"{{"cloudId":"{CLOUD}","cql":{}}}"#, Json::from(cql).to_text());
        self.call(token, "searchConfluence", &arguments).await.brief()
    }

    fn searched(&self) -> usize {
        let ledger = self.sim.ledger();
        ledger.count("searchJiraIssuesUsingJql") + ledger.count("searchConfluence")
    }
}

#[tokio::test]
async fn z01_a_query_is_decided_in_every_place_that_bounds_it() {
    let world = world().await;
    for good in [
        "project = ENG",
        "project = eng AND status = Done ORDER BY created",
        "status = Done AND (project = ENG OR key = ENG-42)",
        "key in (ENG-41, ENG-42)",
    ] {
        assert_eq!(world.jql("alice", good).await, "ok", "{good}");
    }
    assert_eq!(world.jql("alice", "project in (ENG, OPS)").await, "deny human_not_permitted");
    assert_eq!(world.jql("alice", "key in (ENG-41, OPS-8)").await, "deny human_not_permitted");
    assert_eq!(world.cql("alice", "space = DOCS AND text ~ \"refund\"").await, "ok");
    assert_eq!(world.cql("alice", "space in (DOCS, HR)").await, "deny human_not_permitted");
    assert_eq!(world.searched(), 5);
}

/// The attacks of Z01: each is denied, and the site searches nothing.
#[tokio::test]
async fn z01_no_query_that_reaches_out_is_made() {
    let world = world().await;
    for jql in [
        "project = ENG OR assignee = bob",
        "project = ENG) OR (project = HR",
        "project = ENG AND text ~ x OR project = HR",
        "key = HR-3",
        "issuekey in (ENG-42, HR-3)",
        "filter = 50002",
        "parent = HR-3",
        "issue in linkedIssues(HR-3)",
        "project in projectsLeadByUser()",
        "text ~ salary",
        "project = ENG /* OR */ OR text ~ x",
        "summary ~ \"ORDER BY\" OR project = HR",
        "NOT project = ENG",
        "project != ENG",
        "",
        "ORDER BY created",
        "project = select",
        "project = \"H\\u0052\"",
        "project = ENG OR project = \"HR\"",
        "project in (ENG, 20004)",
    ] {
        let said = world.jql("alice", jql).await;
        assert!(said.starts_with("deny "), "{jql}: {said}");
    }
    for cql in [
        "space != DOCS",
        "ancestor = 200004",
        "type = space",
        "type = page",
        "space = currentSpace()",
        "space = DOCS OR macro = jira",
        "space = DOCS) OR (space = HR",
        "id = 200004",
        "space = 'DOCS'",
        "refund",
    ] {
        let said = world.cql("alice", cql).await;
        assert!(said.starts_with("deny "), "{cql}: {said}");
    }
    assert_eq!(world.searched(), 0);
}

/// Jira takes the name of a project where no project has it for its key.
#[tokio::test]
async fn z01_the_name_of_a_project_is_not_taken_for_a_key() {
    let world = world().await;
    world.sim.site(|site| {
        let hr = site.projects.iter_mut().find(|project| project.key == "HR").unwrap();
        hr.name = "PEOPLE".to_owned();
    });
    assert_eq!(world.jql("bob", "project = OPS").await, "ok");
    assert_eq!(world.jql("bob", "project = HR").await, "deny guardrail");
    assert_eq!(world.jql("bob", "project = PEOPLE").await, "deny target_unresolved");
    assert_eq!(world.searched(), 1);
}

#[tokio::test]
async fn who_wrote_the_query_is_told_how_to_write_it() {
    let world = world().await;
    let ask = async |jql: &str| {
        let arguments = format!(r#"{{"cloudId":"{CLOUD}","jql":{}}}"#, Json::from(jql).to_text());
        world.call("alice", "searchJiraIssuesUsingJql", &arguments).await.text().to_owned()
    };
    let told = ask("project = ENG OR assignee = bob").await;
    let wanted = "at character 18: `assignee` says nothing of where; write `project = KEY AND (…)`";
    assert!(told.contains(wanted), "{told}");
    let told = ask("project = ENG) OR (a = b").await;
    assert!(
        told.contains("at character 14: here should be AND, OR, ORDER BY or the end"),
        "{told}"
    );
}
