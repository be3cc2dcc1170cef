//! Approvals: a call that waits, those who decide about it, and that it is made once, as it was shown.

use std::sync::atomic::Ordering;

use callgate_gateway::pipeline::{Ballot, ErrandError};
use callgate_model::ambient::{Ambient as _, Id};
use callgate_model::approval::{ApprovalState, COOLS_DOWN_S, Standing, WAITING_MAX};
use callgate_model::authority::SubjectKind;
use callgate_model::digest::Digest;
use callgate_model::products::gateway::NAME;
use callgate_policy::Tier;
use callgate_store::AuthorityStore as _;

use crate::client::{Ask, delete, edit};
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World, catalogs, load};

/// Leads may decide about calls.
pub(crate) const RULES: &[Rule] = &[(
    Tier::Permit,
    "leads-decide",
    r#"permit(principal in Group::"leads", action in [Action::"callgate.approval.decide", Action::"callgate.approval.show"], resource);"#,
)];

const MINUTE: i64 = 60_000;

async fn world() -> World {
    World::start(Setup { policies: [POLICIES, RULES].concat(), ..Setup::default() }).await
}

impl World {
    pub(crate) async fn approval(&self, id: Id) -> ApprovalState {
        self.store.inner.approval(id).await.unwrap().unwrap()
    }

    pub(crate) async fn open_approvals(&self) -> Vec<ApprovalState> {
        self.store.inner.approvals(Some(self.clock.now())).await.unwrap()
    }

    /// The one approval that waits, or can be used.
    pub(crate) async fn waiting(&self) -> ApprovalState {
        let [one] = self.open_approvals().await.try_into().unwrap();
        one
    }

    pub(crate) async fn says(
        &self,
        who: &str,
        id: Id,
        approves: bool,
    ) -> Result<ApprovalState, String> {
        let shown = self.approval(id).await.approval.shown();
        self.says_of(who, id, approves, shown).await
    }

    async fn says_of(
        &self,
        who: &str,
        id: Id,
        approves: bool,
        shown: Digest,
    ) -> Result<ApprovalState, String> {
        self.ballots(
            who,
            id,
            Ballot {
                approves,
                grants: false,
                reason: Some("as agreed".to_owned()),
                shown,
                proof: None,
            },
        )
        .await
    }

    pub(crate) async fn ballots(
        &self,
        who: &str,
        id: Id,
        ballot: Ballot,
    ) -> Result<ApprovalState, String> {
        let voter = self.gateway.holder(who, NAME).await.unwrap();
        self.gateway.vote(&voter, id, ballot).await.map_err(|error| match error {
            ErrandError::Refused(decision) => decision.codes().collect::<Vec<_>>().join("+"),
            other @ (ErrandError::Wrong(_) | ErrandError::Gone | ErrandError::Unavailable) => {
                other.to_string()
            }
        })
    }

    async fn delete(&self, who: &str, key: &str) -> String {
        self.call(who, "executeDestructive", &delete(key)).await.brief()
    }

    fn deleted(&self) -> usize {
        self.sim.ledger().count("deleteJiraIssue")
    }
}

pub(crate) const WAITS: &str = "approval_required approval_required";

#[tokio::test]
async fn a01_a_call_that_was_approved_is_made_once_and_the_record_tells_it_all() {
    let world = world().await;
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-42")).await;
    assert_eq!(said.brief(), WAITS);
    let waiting = world.waiting().await;
    let id = waiting.approval.id;
    assert!(said.text().contains(&format!("It waits as the approval {id}.")), "{}", said.text());
    let page = format!("https://gate.example/console/approvals/{id}");
    assert!(said.text().contains(&format!("Who may approve it does so at {page}")));
    assert_eq!(waiting.approval.asker.summary(), "alice via release-bot");
    assert_eq!(waiting.approval.about.operation, "jira.issue.delete");
    assert!(waiting.approval.arguments.contains("ENG-42"));
    // The same call again joins it, in any spelling of its JSON; another one does not (A03).
    let spelled = delete("ENG-42").replace(
        r#""inputs":{"issueIdOrKey":"ENG-42"}"#,
        r#""inputs": { "issueIdOrKey" : "ENG\u002d42" }"#,
    );
    assert_eq!(world.call("alice-release", "executeDestructive", &spelled).await.brief(), WAITS);
    assert_eq!(world.waiting().await.approval.id, id);

    let viewer = world.gateway.holder("carol-lead", NAME).await.unwrap();
    let shown = world.gateway.show_approval(&viewer, id).await.unwrap();
    assert_eq!(shown, waiting);
    let decided = world.says("carol-lead", id, true).await.unwrap();
    assert!(matches!(decided.standing(world.clock.now()), Standing::Approved { .. }));
    let known = decided.votes[0].known.as_ref().unwrap();
    assert_eq!((known.to_string().as_str(), &known.id), ("static_token, configured", &None));
    assert_eq!(world.deleted(), 0, "nothing is made by approving it");
    assert_eq!(world.delete("alice-release", "ENG-42").await, "ok");
    assert_eq!(world.deleted(), 1);
    // A01: it was used.
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    assert_eq!(world.deleted(), 1);
    assert_ne!(world.waiting().await.approval.id, id);

    let rows = world.record().await;
    let changes: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(event(row).get("change")?.as_str()?.to_owned()))
        .collect();
    let expected =
        ["approval_requested", "approval_viewed", "approval_voted", "approval_requested"];
    assert_eq!(changes, expected);
    let intent = rows
        .iter()
        .rfind(|row| &*row.kind == "intent" && row.tool.as_deref() == Some("executeDestructive"));
    let approved = event(intent.unwrap()).get("approved_by").unwrap().to_text();
    assert_eq!(approved, format!(r#"{{"by_glass":false,"id":"{id}","spends":true}}"#));
}

/// Whatever else is called needs its own.
#[tokio::test]
async fn a03_a04_nothing_but_the_call_that_was_shown_is_made() {
    let world = world().await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    world.says("carol-lead", id, true).await.unwrap();
    for (who, key) in [("alice-release", "ENG-43"), ("alice", "ENG-42")] {
        assert_eq!(world.delete(who, key).await, WAITS, "{who} {key}");
    }
    let flat = r#"{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"ENG-42"}"#;
    let said = world.call("alice-release", "deleteJiraIssue", flat).await.brief();
    assert!(said.starts_with("deny") || said == WAITS || said.starts_with("error"), "{said}");
    assert_eq!(world.deleted(), 0);
    assert_eq!(world.delete("alice-release", "ENG-42").await, "ok");
}

/// A06: nobody approves their own call, and nobody but people approves any.
#[tokio::test]
async fn a06_only_other_people_whom_the_gate_names_approve() {
    let mut setup = Setup { policies: [POLICIES, RULES].concat(), ..Setup::default() };
    setup.same_person = vec![["alice", "alyce"].map(str::to_owned).into()];
    let world = World::start(setup).await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    for (who, why) in [
        ("alice-lead", "it is your own call: somebody else has to decide about it"),
        ("alyce-lead", "it is your own call: somebody else has to decide about it"),
        ("carol-bot", "agent_not_permitted"),
        ("robot-lead", "only a person decides, by themselves: no agent and no service account"),
        ("bob", "human_not_permitted"),
        ("alice-release", "agent_not_permitted+human_not_permitted"),
    ] {
        assert_eq!(world.says(who, id, true).await, Err(why.to_owned()), "{who}");
        assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS, "{who}");
    }
    // Nor does anybody approve what they were not shown (A08).
    let other = world.says_of("carol-lead", id, true, Digest::of(b"another")).await;
    assert_eq!(other, Err("it is not what you were shown: look at it again".to_owned()));
    assert_eq!(world.deleted(), 0);
    world.says("carol-lead", id, true).await.unwrap();
    let again = world.says("dave-lead", id, false).await;
    assert!(again.unwrap_err().contains("changed meanwhile"), "a07: it is decided");
    assert_eq!(world.delete("alice-release", "ENG-42").await, "ok");
}

#[tokio::test]
async fn a_denial_is_told_and_is_not_asked_about_again_for_a_while() {
    let world = world().await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    world.says("carol-lead", id, false).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.delete("alice-release", "ENG-42").await, "deny approval_denied");
    }
    assert!(world.open_approvals().await.is_empty());
    world.clock.pass(i64::try_from(COOLS_DOWN_S).unwrap() * 1_000);
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    assert_eq!(world.deleted(), 0);
}

/// A02: silence is denial, and what was approved is good for five minutes.
#[tokio::test]
async fn a02_an_approval_has_two_clocks() {
    let world = world().await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    world.clock.pass(15 * MINUTE);
    assert!(world.says("carol-lead", id, true).await.is_err(), "too late");
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    world.says("carol-lead", id, true).await.unwrap();
    world.clock.pass(5 * MINUTE);
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS, "too late");
    assert_eq!(world.deleted(), 0);
}

/// A04, I8: what an approval hangs on is still there when it is used.
#[tokio::test]
async fn a04_other_policies_and_revoked_people_end_an_approval() {
    let world = world().await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    let first = world.waiting().await.approval.id;
    world.says("carol-lead", first, true).await.unwrap();
    let more: Rule =
        (Tier::Permit, "more", r#"permit(principal == User::"zoe", action, resource);"#);
    let rules = [POLICIES, RULES, &[more]].concat();
    world.gateway.activate(load(&catalogs(&[]), &rules));
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    assert_eq!(world.approval(first).await.standing(world.clock.now()).as_str(), "withdrawn");

    let second = world.waiting().await.approval.id;
    world.says("carol-lead", second, true).await.unwrap();
    world.revoke(SubjectKind::Human, "carol", None).await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    assert_eq!(world.approval(second).await.standing(world.clock.now()).as_str(), "withdrawn");
    assert_eq!(world.deleted(), 0);
}

/// A09: so many calls of one caller wait at one time.
#[tokio::test]
async fn a09_nobody_asks_without_end() {
    let world = world().await;
    let edits = (0..WAITING_MAX + 1).map(|number| format!("ENG-{}", 42 + number));
    let mut said = Vec::new();
    for key in edits {
        said.push(world.delete("alice-release", &key).await);
    }
    let (last, all) = said.split_last().unwrap();
    assert!(all.iter().all(|one| one == WAITS), "{all:?}");
    assert_eq!(last, "deny approvals_too_many");
    assert_eq!(world.delete("alice", "ENG-99").await, WAITS, "others are not held up");
}

/// I5: without a store nobody has approved anything.
#[tokio::test]
async fn i5_a_store_that_fails_lets_nothing_through() {
    let world = world().await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    world.says("carol-lead", world.waiting().await.approval.id, true).await.unwrap();
    world.in_force.is_down.store(true, Ordering::Relaxed);
    let said = world.delete("alice-release", "ENG-42").await;
    assert!(said.starts_with("deny") || said.starts_with("http"), "{said}");
    world.in_force.is_down.store(false, Ordering::Relaxed);
    assert_eq!(world.deleted(), 0);
    assert_eq!(world.delete("alice-release", "ENG-42").await, "ok");
}

/// I2, A05: of many that come at once with one approval, one is made.
#[tokio::test]
async fn i2_a05_calls_at_the_same_time_share_no_approval() {
    let world = world().await;
    assert_eq!(world.delete("alice-release", "ENG-42").await, WAITS);
    world.says("carol-lead", world.waiting().await.approval.id, true).await.unwrap();
    let calls = (0..16).map(|_| world.delete("alice-release", "ENG-42"));
    let said = futures_util::future::join_all(calls).await;
    let made = said.iter().filter(|one| *one == "ok").count();
    assert_eq!((made, world.deleted()), (1, 1), "{said:?}");
    assert!(
        said.iter().all(|one| one == "ok" || one == WAITS || one == "deny approval_spent"),
        "{said:?}"
    );
}

/// What was not approved in time is not made by whoever was revoked either, and an edit needs no approval at all.
#[tokio::test]
async fn only_what_a_gate_holds_back_waits() {
    let world = world().await;
    let said = world.ask(&Ask::call("alice-release", "editJiraIssue", &edit("ENG-42", "x"))).await;
    assert_eq!(said.brief(), "ok");
    // What would be denied anyway asks nobody.
    assert!(world.delete("alice-release", "HR-3").await.starts_with("deny"));
    assert!(world.open_approvals().await.is_empty());
}

/// Somebody decides while the request is held: the call goes on, or is denied, in the same answer.
#[tokio::test]
async fn a_request_is_held_for_a_while() {
    let policies = [POLICIES, RULES].concat();
    let hold = std::time::Duration::from_secs(20);
    let world = World::start(Setup { policies: policies.clone(), hold, ..Setup::default() }).await;
    let soon = async |key: &str, approves: bool| {
        let decided = async {
            loop {
                if let [one] = world.open_approvals().await.as_slice() {
                    break world.says("carol-lead", one.approval.id, approves).await.unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::join!(world.delete("alice-release", key), decided).0
    };
    assert_eq!(Box::pin(soon("ENG-42", true)).await, "ok");
    assert_eq!(Box::pin(soon("ENG-43", false)).await, "deny approval_denied");
    assert_eq!(world.deleted(), 1);
    // Both the asking and the call are in the record.
    let rows = world.record().await;
    let of_tool = |row: &&callgate_store::Row| row.tool.as_deref() == Some("executeDestructive");
    let kinds: Vec<&str> = rows.iter().filter(of_tool).map(|row| &*row.kind).collect();
    assert_eq!(kinds, ["refusal", "intent", "refusal", "refusal"]);

    let hold = std::time::Duration::from_millis(300);
    let world = World::start(Setup { policies, hold, ..Setup::default() }).await;
    let begun = std::time::Instant::now();
    let session = world.session("alice-release").await;
    let ask = Ask::call("alice-release", "executeDestructive", &delete("ENG-42"));
    assert_eq!(world.ask(&ask.in_session(&session)).await.brief(), WAITS);
    assert!(begun.elapsed() >= hold, "nobody came");
}
