//! Calls of which nobody knows whether they took effect are settled by people, and stay what they were.

use std::future::pending;
use std::sync::Arc;

use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::evidence::Finding;
use callgate_model::json::Object;
use callgate_model::products::gateway::{Errand, NAME};
use callgate_policy::Tier;
use callgate_sim::Fault;
use callgate_store::EvidenceStore as _;
use tokio::sync::oneshot;

use crate::client::edit;
use crate::support::{POLICIES, Rule, Setup, World};

const SETTLES: Rule = (
    Tier::Permit,
    "settles",
    r#"permit(principal in Group::"leads", action in [Action::"callgate.call.settle", Action::"callgate.call.list"], resource);"#,
);

impl World {
    async fn settles(&self, who: &str, call: Id, note: &str) -> Result<(), String> {
        let who = self.gateway.holder(who, NAME).await.unwrap();
        let settled = self.gateway.settle(&who, call, (Finding::TookEffect, note)).await;
        settled.map_err(|error| match error {
            ErrandError::Refused(decision) => decision.codes().collect::<Vec<_>>().join("+"),
            other @ (ErrandError::Wrong(_) | ErrandError::Gone | ErrandError::Unavailable) => {
                other.to_string()
            }
        })
    }
}

#[tokio::test]
async fn a_call_that_nobody_knows_of_is_settled_by_a_person_and_once() {
    let policies = POLICIES.iter().copied().chain([SETTLES]).collect();
    let world = World::start(Setup { policies, ..Setup::default() }).await;
    world.sim.fault(Fault::DropAfterExecuting);
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "once")).await;
    assert_eq!(world.sim.ledger().count("editJiraIssue"), 1, "{said:?}");
    let unknown = world.store.unsettled(false, 10).await.unwrap();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    let call = unknown[0].call.unwrap();

    assert_eq!(world.settles("bob", call, "seen").await, Err("human_not_permitted".to_owned()));
    let unsaid = world.settles("carol-lead", call, " ").await.unwrap_err();
    assert!(unsaid.contains("how you know"), "{unsaid}");
    let carol = world.gateway.holder("carol-lead", NAME).await.unwrap();
    let told = world.gateway.unsettled(&carol, 10).await.unwrap();
    assert_eq!((told.len(), told[0].0.kind.as_str()), (1, "intent"));
    world.settles("carol-lead", call, "the issue says once").await.unwrap();
    let gone = world.settles("carol-lead", call, "the issue says once").await.unwrap_err();
    assert!(gone.contains("no such thing"), "{gone}");

    assert!(world.store.unsettled(false, 10).await.unwrap().is_empty());
    let rows = world.store.show(call).await.unwrap();
    let kinds: Vec<&str> = rows.iter().map(|row| &*row.kind).collect();
    assert_eq!(kinds, ["intent", "outcome", "settled"]);
    let event = rows[2].event();
    let said = |name: &str| event.get(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!((said("by"), said("finding")), ("carol".to_owned(), "took_effect".to_owned()));
}

/// Whoever asked the gateway itself may leave at any time too. What was asked for may be done by then.
#[tokio::test]
async fn i1_an_errand_whose_client_went_away_is_not_said_to_be_undone() {
    let policies = POLICIES.iter().copied().chain([SETTLES]).collect();
    let world = World::start(Setup { policies, ..Setup::default() }).await;
    let carol = world.gateway.holder("carol-lead", NAME).await.unwrap();
    let gateway = Arc::clone(&world.gateway);
    let (begun, begins) = oneshot::channel();
    let errand = tokio::spawn(async move {
        let work = async {
            begun.send(()).unwrap();
            pending::<Result<(), ErrandError>>().await
        };
        gateway.run_errand(&carol, Errand::CallSettle, None, Object::default(), work).await
    });
    begins.await.unwrap();
    errand.abort();
    errand.await.unwrap_err();
    let outcomes = world.record().await.into_iter().filter_map(|row| row.outcome);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["indeterminate"]);
}
