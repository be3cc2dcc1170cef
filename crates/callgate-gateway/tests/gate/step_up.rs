//! Gates that want a passkey of whoever approves: the gateway counts what the console has checked, and whether it still may.

use callgate_gateway::pipeline::Ballot;
use callgate_model::ambient::Ambient as _;
use callgate_model::approval::Standing;
use callgate_model::authority::{Change, Passkey, Proof};
use callgate_model::digest::Digest;
use callgate_policy::Tier;
use callgate_store::AuthorityStore as _;

use crate::approvals::{RULES, WAITS};
use crate::client::delete;
use crate::support::{POLICIES, Rule, Setup, World};

const STEPS_UP: Rule = (
    Tier::Approval,
    "deletes",
    r#"@step_up("passkey") forbid(principal, action in Action::"delete", resource);"#,
);

const WANTED: &str =
    "whoever approves this proves by a passkey that it is them: do it on its page in the console";
const GONE: &str = "it was changed meanwhile, or there is no such thing";

async fn world() -> World {
    let others = POLICIES.iter().filter(|(tier, ..)| *tier != Tier::Approval).copied();
    let policies = others.chain(RULES.iter().copied()).chain([STEPS_UP]).collect();
    World::start(Setup { policies, ..Setup::default() }).await
}

impl World {
    async fn deletes_now(&self, key: &str) -> String {
        self.call("alice-release", "executeDestructive", &delete(key)).await.brief()
    }

    pub(crate) async fn adds(
        &self,
        id: &str,
        who: &str,
        proof: Option<Proof>,
    ) -> Result<(), String> {
        let passkey = Box::new(Passkey {
            id: id.to_owned(),
            who: who.to_owned(),
            name: "a key".to_owned(),
            added: self.clock.now(),
            key_digest: Digest::of(b"key"),
            key: "key".to_owned(),
            counter: 0,
        });
        let added = Change::PasskeyAdded { passkey, proof };
        let done = self.gateway.administer(who.to_owned(), added).await;
        done.map_err(|error| error.to_string())
    }

    /// What a lead says to the one call that waits.
    async fn proves(&self, approves: bool, proof: Option<Proof>) -> Result<(), String> {
        let approval = self.waiting().await.approval;
        let ballot =
            Ballot { approves, grants: false, reason: None, shown: approval.shown(), proof };
        self.ballots("carol-lead", approval.id, ballot).await.map(drop)
    }
}

fn proof(passkey: &str, counter: u32) -> Option<Proof> {
    Some(Proof { passkey: passkey.to_owned(), counter })
}

#[tokio::test]
async fn a06_nobody_approves_what_wants_a_passkey_without_their_own() {
    let world = world().await;
    assert_eq!(world.deletes_now("ENG-42").await, WAITS);
    world.adds("daves", "dave", None).await.unwrap();
    world.adds("carols", "carol", None).await.unwrap();
    for (brought, told) in [(None, WANTED), (proof("daves", 1), GONE), (proof("nobodys", 1), GONE)]
    {
        assert_eq!(world.proves(true, brought).await, Err(told.to_owned()));
    }
    assert_eq!(world.waiting().await.standing(world.clock.now()), Standing::Waiting);
    world.proves(true, proof("carols", 1)).await.unwrap();
    assert_eq!(world.deletes_now("ENG-42").await, "ok");

    // One that was seen before, as if somebody had a copy.
    assert_eq!(world.deletes_now("ENG-43").await, WAITS);
    for counter in [1, 0] {
        assert_eq!(world.proves(true, proof("carols", counter)).await, Err(GONE.to_owned()));
    }
    // One that was removed.
    let removed =
        |proof| Change::PasskeyRemoved { id: "carols".to_owned(), who: "carol".to_owned(), proof };
    for wrong in [proof("daves", 9), proof("carols", 1)] {
        assert!(world.gateway.administer("carol".to_owned(), removed(wrong)).await.is_err());
    }
    world.gateway.administer("carol".to_owned(), removed(proof("carols", 2))).await.unwrap();
    assert_eq!(world.proves(true, proof("carols", 9)).await, Err(GONE.to_owned()));
    // To deny it needs none.
    world.proves(false, None).await.unwrap();
    assert_eq!(world.deletes_now("ENG-43").await, "deny approval_denied");
    assert_eq!(world.sim.ledger().count("deleteJiraIssue"), 1);
}

#[tokio::test]
async fn whoever_has_a_passkey_adds_another_by_it_alone() {
    let world = world().await;
    world.adds("first", "carol", None).await.unwrap();
    for wrong in [None, proof("daves", 1), proof("second", 1)] {
        assert!(world.adds("second", "carol", wrong.clone()).await.is_err(), "{wrong:?}");
    }
    // One that never counts says so each time.
    for number in 0..Passkey::OF_ONE_MAX - 1 {
        world.adds(&format!("more{number}"), "carol", proof("first", 0)).await.unwrap();
    }
    assert!(world.adds("over", "carol", proof("first", 0)).await.is_err(), "too many");
    assert!(world.adds("first", "dave", None).await.is_err(), "it is somebody's");
    let all = world.store.inner.passkeys(Some("carol")).await.unwrap();
    assert_eq!(all.len(), usize::try_from(Passkey::OF_ONE_MAX).unwrap());
    assert_eq!((all[0].passkey.id.as_str(), all[0].passkey.key.as_str()), ("first", "key"));
    assert!(all[0].used.is_some() && all[1].used.is_none());
    let rows = world.record().await;
    assert!(
        rows.iter().all(|row| !row.text.contains(r#""key":"key""#)),
        "what checks it is not recorded"
    );
}
