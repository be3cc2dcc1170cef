//! What gates may say beside who approves: how many deny, who else may after a while, and what may be granted in the place of
//! asking about each call.

use callgate_gateway::pipeline::Ballot;
use callgate_model::ambient::{Ambient as _, Id};
use callgate_model::approval::{Ended, Standing};
use callgate_model::authority::{Change, Grant, SubjectKind};
use callgate_policy::Tier;
use callgate_store::AuthorityStore as _;

use crate::approvals::{RULES, WAITS};
use crate::client::delete;
use crate::support::{POLICIES, Rule, Setup, World, catalogs, load};

const MINUTE: i64 = 60_000;

const GRANTS: Rule = (
    Tier::Approval,
    "deletes",
    r#"@grants("2 in 2h") forbid(principal, action in Action::"delete", resource);"#,
);
const TWO_GRANT: Rule = (
    Tier::Approval,
    "deletes",
    r#"@quorum("2") @grants("2 in 2h") forbid(principal, action in Action::"delete", resource);"#,
);
const STRICT: Rule = (
    Tier::Approval,
    "deletes",
    r#"@denials("2") forbid(principal, action in Action::"delete", resource);"#,
);
const ESCALATES: Rule = (
    Tier::Approval,
    "deletes",
    r#"@escalates_to("team:support") @escalates_after("5m") forbid(principal, action in Action::"delete", resource);"#,
);
/// Whoever is in support may decide, if a gate names them.
const SUPPORT: Rule = (
    Tier::Permit,
    "support-decides",
    r#"permit(principal in Group::"support", action == Action::"callgate.approval.decide", resource);"#,
);

fn with(gate: Rule) -> Vec<Rule> {
    let others = POLICIES.iter().filter(|(tier, ..)| *tier != Tier::Approval).copied();
    others.chain(RULES.iter().copied()).chain([gate, SUPPORT]).collect()
}

async fn world(gate: Rule) -> World {
    World::start(Setup { policies: with(gate), ..Setup::default() }).await
}

impl World {
    async fn deletes(&self, who: &str, key: &str) -> String {
        self.call(who, "executeDestructive", &delete(key)).await.brief()
    }

    /// A lead approves what waits for `key`, and grants what is offered.
    async fn grants(&self, key: &str) -> Id {
        assert_eq!(self.deletes("alice-release", key).await, WAITS);
        self.grants_what_waits().await
    }

    pub(crate) async fn grants_what_waits(&self) -> Id {
        let approval = self.waiting().await.approval;
        let ballot = Ballot {
            approves: true,
            grants: true,
            reason: None,
            shown: approval.shown(),
            proof: None,
        };
        self.ballots("carol-lead", approval.id, ballot).await.unwrap();
        approval.id
    }

    fn made(&self) -> usize {
        self.sim.ledger().count("deleteJiraIssue")
    }
}

#[tokio::test]
async fn i2_what_is_granted_with_an_approval_lets_so_many_like_it_through_and_no_other() {
    let world = world(GRANTS).await;
    let id = world.grants("ENG-42").await;
    let offer = world.store.inner.approval(id).await.unwrap().unwrap().approval.offer.unwrap();
    assert_eq!((offer.most.uses, offer.within.len()), (2, 1));
    // The call itself takes its own approval.
    assert_eq!(world.deletes("alice-release", "ENG-42").await, "ok");
    // Those of another chain of the same person are asked about.
    for who in ["alice", "alice-through-scout"] {
        assert_eq!(world.deletes(who, "ENG-43").await, WAITS, "{who}");
    }
    assert_eq!(world.deletes("alice-release", "ENG-43").await, "ok");
    assert_eq!(world.deletes("alice-release", "ENG-44").await, "ok");
    assert_eq!(world.deletes("alice-release", "ENG-45").await, WAITS, "two were granted");
    assert_eq!(world.made(), 3);
    let rows = world.record().await;
    let of_tool = |row: &&callgate_store::Row| row.tool.as_deref() == Some("executeDestructive");
    let intents = rows.iter().filter(of_tool).filter(|row| row.kind == "intent");
    let under: Vec<(bool, bool)> = intents
        .map(|row| {
            let event = crate::store::event(row);
            let is = |name: &str| event.get(name).is_some_and(|one| one.as_object().is_some());
            (is("approved_by"), is("granted_by"))
        })
        .collect();
    assert_eq!(under, [(true, false), (false, true), (false, true)]);
}

#[tokio::test]
async fn i2_what_several_grant_is_granted_once_whoever_comes_last() {
    let world = world(TWO_GRANT).await;
    assert_eq!(world.deletes("alice-release", "ENG-42").await, WAITS);
    let approval = world.waiting().await.approval;
    let ballot = || Ballot {
        approves: true,
        grants: true,
        reason: None,
        shown: approval.shown(),
        proof: None,
    };
    world.ballots("carol-lead", approval.id, ballot()).await.unwrap();
    // What another replica has issued, to which the same two have said so.
    let mut state = world.approval(approval.id).await;
    let mut other = state.votes[0].clone();
    other.by = "dave".to_owned();
    state.votes.push(other);
    let grant = Grant::beside(&state, world.clock.now()).unwrap();
    state.ended = Some((Ended::Withdrawn, world.clock.now()));
    assert!(Grant::beside(&state, world.clock.now()).is_none(), "it was taken back");
    let issued = Change::GrantIssued { grant: Box::new(grant) };
    world.gateway.administer("dave".to_owned(), issued).await.unwrap();
    world.ballots("dave-lead", approval.id, ballot()).await.unwrap();
    assert_eq!(world.deletes("alice-release", "ENG-42").await, "ok");
    assert_eq!(world.deletes("alice-release", "ENG-43").await, "ok");
    assert_eq!(world.deletes("alice-release", "ENG-44").await, "ok");
    assert_eq!(world.deletes("alice-release", "ENG-45").await, WAITS, "two were granted, once");

    // Two that come at once.
    let approval = world.waiting().await.approval;
    let says = async |who: &str| {
        let shown = approval.shown();
        let ballot = Ballot { approves: true, grants: true, reason: None, shown, proof: None };
        world.ballots(who, approval.id, ballot).await
    };
    let (one, other) = tokio::join!(says("carol-lead"), says("dave-lead"));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let grants = world.store.inner.grants(Some(world.clock.now())).await.unwrap();
    let ids: Vec<Id> = grants.iter().map(|grant| grant.grant.id).collect();
    assert_eq!(ids, [approval.id], "the other one is used up");
}

#[tokio::test]
async fn i8_what_was_granted_ends_with_the_policies_its_time_and_whoever_granted_it() {
    let world = world(GRANTS).await;
    world.grants("ENG-42").await;
    let other: Rule =
        (Tier::Permit, "other", r#"permit(principal == User::"zoe", action, resource);"#);
    world.gateway.activate(load(&catalogs(&[]), &[with(GRANTS), vec![other]].concat()));
    assert_eq!(world.deletes("alice-release", "ENG-43").await, WAITS, "other policies");
    world.gateway.activate(load(&catalogs(&[]), &with(GRANTS)));
    assert_eq!(world.deletes("alice-release", "ENG-44").await, "ok");
    world.clock.pass(2 * 60 * MINUTE);
    assert_eq!(world.deletes("alice-release", "ENG-45").await, WAITS, "after two hours");

    let world = self::world(GRANTS).await;
    world.grants("ENG-42").await;
    let grants = world.store.inner.grants(Some(world.clock.now())).await.unwrap();
    let revoked = Change::GrantRevoked { id: grants[0].grant.id };
    world.gateway.administer("operator".to_owned(), revoked).await.unwrap();
    assert_eq!(world.deletes("alice-release", "ENG-43").await, WAITS, "it was revoked");

    let world = self::world(GRANTS).await;
    world.grants("ENG-42").await;
    world.revoke(SubjectKind::Human, "carol", None).await;
    assert_eq!(world.deletes("alice-release", "ENG-43").await, WAITS, "who granted it was");
    assert_eq!(world.made(), 0);
}

#[tokio::test]
async fn nothing_is_granted_that_no_gate_offers_and_a_denial_counts_more() {
    let world = world(STRICT).await;
    assert_eq!(world.deletes("alice-release", "ENG-42").await, WAITS);
    let approval = world.waiting().await.approval;
    let ballot =
        Ballot { approves: true, grants: true, reason: None, shown: approval.shown(), proof: None };
    let told = world.ballots("carol-lead", approval.id, ballot).await.unwrap_err();
    assert_eq!(told, "nothing but the one call can be approved here");

    let world = self::world(GRANTS).await;
    assert_eq!(world.deletes("alice-release", "ENG-43").await, WAITS);
    let denied = world.waiting().await.approval.id;
    world.says("carol-lead", denied, false).await.unwrap();
    world.grants("ENG-42").await;
    assert_eq!(world.deletes("alice-release", "ENG-43").await, "deny approval_denied");
    assert_eq!(world.deletes("alice-release", "ENG-44").await, "ok");
}

#[tokio::test]
async fn a_gate_says_how_many_deny() {
    let world = world(STRICT).await;
    assert_eq!(world.deletes("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    let once = world.says("carol-lead", id, false).await.unwrap();
    assert_eq!(once.standing(world.clock.now()), Standing::Waiting);
    assert!(world.says("carol-lead", id, false).await.is_err(), "one person counts once");
    let twice = world.says("dave-lead", id, false).await.unwrap();
    assert_eq!(twice.standing(world.clock.now()), Standing::Ended(Ended::Denied));
}

#[tokio::test]
async fn after_a_while_others_may_decide_and_silence_is_still_denial() {
    let world = world(ESCALATES).await;
    assert_eq!(world.deletes("alice-release", "ENG-42").await, WAITS);
    let id = world.waiting().await.approval.id;
    let early = world.says("bob", id, true).await.unwrap_err();
    assert_eq!(early, "you are none of those who may approve it");
    world.clock.pass(5 * MINUTE);
    let own = world.says("alice-lead", id, true).await.unwrap_err();
    assert!(own.starts_with("it is your own call"), "{own}");
    world.says("bob", id, true).await.unwrap();
    assert_eq!(world.deletes("alice-release", "ENG-42").await, "ok");
    assert_eq!(world.deletes("alice-release", "ENG-43").await, WAITS);
    world.clock.pass(15 * MINUTE);
    let late = world.open_approvals().await;
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(world.made(), 1);
}

/// Whoever owns what a call touches approves it; of what nobody owns there is nobody to ask.
#[tokio::test]
async fn a_gate_for_owners_is_for_the_team_that_owns_the_container() {
    let gate: Rule = (
        Tier::Approval,
        "deletes",
        r#"@approval("owner") forbid(principal, action in Action::"delete", resource);"#,
    );
    let owners: &[_] = &[("Jira::Project", "acme/ENG", "team:leads")];
    let start = async |owners| {
        World::start(Setup { policies: with(gate), owners, ..Setup::default() }).await
    };
    let world = start(owners).await;
    assert_eq!(world.deletes("alice-release", "ENG-42").await, WAITS);
    let approval = world.waiting().await.approval;
    assert_eq!(approval.gates[0].approvers, "team:leads");
    let other = world.says("bob", approval.id, true).await.unwrap_err();
    assert_eq!(other, "you are none of those who may approve it");
    world.says("carol-lead", approval.id, true).await.unwrap();
    assert_eq!(world.deletes("alice-release", "ENG-42").await, "ok");
    let world = start(&[]).await;
    assert_eq!(world.deletes("alice-release", "ENG-42").await, "deny approval_ownerless");
    assert!(world.open_approvals().await.is_empty() && world.made() == 0);
}
