//! Breaking the glass: alone, with a passkey, told to others, reviewed by somebody else; and never for oneself.

use callgate_gateway::pipeline::{Breaking, ErrandError};
use callgate_model::ambient::{Ambient as _, Id};
use callgate_model::approval::{ApprovalState, GlassVerdict, Occasion, Standing};
use callgate_model::authority::{Proof, SubjectKind};
use callgate_model::products::gateway::NAME;
use callgate_policy::Tier;
use callgate_store::{AuthorityStore as _, NoticeStore as _, Row};

use crate::approvals::{RULES, WAITS};
use crate::client::delete;
use crate::store::event;
use crate::support::{POLICIES, Rule, Setup, World};

const SLOW: Rule = (
    Tier::Approval,
    "deletes",
    r#"@quorum("2") @use_within("2h") forbid(principal, action in Action::"delete", resource);"#,
);
const GLASS: Rule = (
    Tier::Permit,
    "glass",
    r#"permit(principal, action in [Action::"callgate.approval.break_glass", Action::"callgate.approval.review"], resource) when { principal in Group::"leads" || principal in Group::"engineering" };"#,
);
async fn world() -> World {
    let others = POLICIES.iter().filter(|(tier, ..)| *tier != Tier::Approval).copied();
    let policies = others.chain(RULES.iter().copied()).chain([SLOW, GLASS]).collect();
    let break_glass = &["ops", "board"];
    let same_person = vec![["alice", "alyce"].map(str::to_owned).into()];
    World::start(Setup { policies, break_glass, same_person, ..Setup::default() }).await
}

impl World {
    /// Somebody with a passkey, called as they are.
    async fn breaker(&self, who: &'static str) -> &'static str {
        let by = self.gateway.holder(who, NAME).await.unwrap();
        let name = by.caller.accountable.identity.to_string();
        self.adds(who, &name, None).await.unwrap();
        who
    }

    async fn urgent(&self, key: &str) -> ApprovalState {
        let said = self.call("alice-release", "executeDestructive", &delete(key)).await;
        assert_eq!(said.brief(), WAITS);
        let all = self.open_approvals().await;
        all.into_iter().find(|state| state.approval.arguments.contains(key)).unwrap()
    }

    async fn breaks(&self, who: &str, state: &ApprovalState) -> Result<Id, String> {
        self.breaks_for(who, state, ("customers cannot pay", "INC-7")).await
    }

    async fn breaks_for(
        &self,
        who: &str,
        state: &ApprovalState,
        (reason, ticket): (&str, &str),
    ) -> Result<Id, String> {
        let (id, shown) = (state.approval.id, state.approval.shown());
        let (reason, ticket) = (reason.to_owned(), ticket.to_owned());
        let proof = Proof { passkey: who.to_owned(), counter: 0 };
        let by = self.gateway.holder(who, NAME).await.unwrap();
        let broken = self.gateway.break_glass(&by, id, Breaking { reason, ticket, shown, proof });
        broken.await.map(|_| id).map_err(told)
    }

    async fn reviews(&self, who: &str, id: Id, note: &str) -> Result<ApprovalState, String> {
        let who = self.gateway.holder(who, NAME).await.unwrap();
        let said = (GlassVerdict::NotJustified, note);
        self.gateway.review_glass(&who, id, said).await.map_err(told)
    }
}

fn told(error: ErrandError) -> String {
    match error {
        ErrandError::Refused(decision) => decision.codes().collect::<Vec<_>>().join("+"),
        other @ (ErrandError::Wrong(_) | ErrandError::Gone | ErrandError::Unavailable) => {
            other.to_string()
        }
    }
}

#[tokio::test]
async fn broken_glass_lets_one_call_through_and_the_record_says_so() {
    let world = world().await;
    let carol = world.breaker("carol-lead").await;
    let state = world.urgent("ENG-42").await;
    let id = world.breaks(carol, &state).await.unwrap();
    let broken = world.approval(id).await;
    let now = world.clock.now();
    let Standing::Approved { until } = broken.standing(now) else { panic!("{broken:?}") };
    assert!(until <= now.after_ms(30 * 60 * 1000), "the gate says two hours");
    let now = (world.clock.now(), world.clock.now().after_ms(1));
    for channel in ["ops", "board"] {
        let taken = world.store.inner.take_notices(channel, now, 9).await.unwrap();
        let occasions: Vec<Occasion> = taken.iter().map(|one| one.occasion).collect();
        assert_eq!(occasions, [Occasion::GlassBroken], "{channel}");
    }
    let delete = delete("ENG-42");
    assert_eq!(world.call("alice-release", "executeDestructive", &delete).await.brief(), "ok");
    assert_eq!(world.call("alice-release", "executeDestructive", &delete).await.brief(), WAITS);
    world.reviews("dave-lead", id, "a lead was there").await.unwrap();

    let rows = world.record().await;
    let changes: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(event(row).get("change")?.as_str()?.to_owned()))
        .collect();
    assert_eq!(
        changes,
        [
            "passkey_added",
            "approval_requested",
            "glass_broken",
            "approval_requested",
            "glass_reviewed"
        ]
    );
    let is_made =
        |row: &&Row| row.kind == "intent" && row.operation.as_deref() == Some("jira.issue.delete");
    let made = rows.iter().find(is_made);
    let by = event(made.unwrap()).get("approved_by").cloned().unwrap();
    assert_eq!(by.get("by_glass").unwrap().to_text(), "true");
    assert_eq!(by.get("id").unwrap().as_str(), Some(&*id.to_string()));
    let glass = rows.iter().find(|row| row.text.contains("glass_broken")).unwrap();
    let known = r#""known":{"assurance":"configured","credential":"static_token","id":null}"#;
    for recorded in ["INC-7", "customers cannot pay", carol, known] {
        assert!(glass.text.contains(recorded), "{recorded}: {}", glass.text);
    }
}

/// A06: not even here.
#[tokio::test]
async fn a06_nobody_breaks_the_glass_for_themselves() {
    let world = world().await;
    let state = world.urgent("ENG-42").await;
    let own = "it is your own call: nobody breaks the glass for themselves";
    for who in ["alice-lead", "alyce-lead"] {
        let own_call = world.breaker(who).await;
        assert_eq!(world.breaks(own_call, &state).await.unwrap_err(), own, "{who}");
    }
    // Nobody without the role; and no agent, whose person has it.
    let bob = world.breaker("bob").await;
    assert_eq!(world.breaks(bob, &state).await.unwrap_err(), "human_not_permitted");
    let carol = world.breaker("carol-lead").await;
    let shown = state.approval.shown();
    for (who, why) in
        [("carol-bot", "agent_not_permitted"), ("robot-lead", "only a person decides")]
    {
        let by = world.gateway.holder(who, NAME).await.unwrap();
        let (reason, ticket) = ("urgent".to_owned(), "INC-7".to_owned());
        let proof = Proof { passkey: who.to_owned(), counter: 0 };
        let breaking = Breaking { reason, ticket, shown, proof };
        let refused = world.gateway.break_glass(&by, state.approval.id, breaking).await;
        let refused = told(refused.unwrap_err());
        assert!(refused.contains(why), "{who}: {refused}");
        assert!(!world.gateway.may_break_glass(&by, &state));
    }
    for said in [("", "INC-7"), ("it is urgent", " "), ("", "")] {
        let refused = world.breaks_for(carol, &state, said).await.unwrap_err();
        assert_eq!(refused, "say why it cannot wait, and for which ticket: both are recorded");
    }
    let carol_herself = world.gateway.holder("carol-lead", NAME).await.unwrap();
    assert!(world.gateway.may_break_glass(&carol_herself, &state));
    assert!(world.approval(state.approval.id).await.glass.is_none());
}

#[tokio::test]
async fn until_somebody_else_has_reviewed_it_nobody_breaks_another() {
    let world = world().await;
    let carol = world.breaker("carol-lead").await;
    let (first, second) = (world.urgent("ENG-42").await, world.urgent("ENG-43").await);
    let id = world.breaks(carol, &first).await.unwrap();
    let refused = world.breaks(carol, &second).await.unwrap_err();
    assert_eq!(refused, "you have broken the glass before, and nobody has reviewed that yet");
    let other = "it was for your own call, or by yourself: somebody else has to review it";
    for who in ["carol-lead", "alice", "alyce-lead"] {
        assert_eq!(world.reviews(who, id, "fine").await.unwrap_err(), other, "{who}");
    }
    assert_eq!(world.reviews("bob", id, "fine").await.unwrap_err(), "human_not_permitted");
    let empty = world.reviews("dave-lead", id, "  ").await.unwrap_err();
    assert_eq!(empty, "say why: it is recorded");
    assert_eq!(world.store.inner.to_review().await.unwrap().len(), 1);
    let reviewed = world.reviews("dave-lead", id, "a lead was there").await.unwrap();
    let review = reviewed.glass.unwrap().review.unwrap();
    assert_eq!((&*review.by, review.verdict), ("dave", GlassVerdict::NotJustified));
    let again = world.reviews("dave-lead", id, "or not").await.unwrap_err();
    assert_eq!(again, "there is no broken glass to be reviewed");
    world.breaks(carol, &second).await.unwrap();
}

#[tokio::test]
async fn i8_broken_glass_ends_after_half_an_hour_or_with_who_broke_it() {
    let world = world().await;
    let (carol, dave) = (world.breaker("carol-lead").await, world.breaker("dave-lead").await);
    let (late, revoked) = (world.urgent("ENG-42").await, world.urgent("ENG-43").await);
    world.breaks(carol, &late).await.unwrap();
    let id = world.breaks(dave, &revoked).await.unwrap();
    world.revoke(SubjectKind::Human, "dave", None).await;
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-43")).await;
    assert_eq!(said.brief(), WAITS);
    assert_eq!(world.approval(id).await.standing(world.clock.now()).as_str(), "withdrawn");
    world.clock.pass(30 * 60 * 1000);
    let said = world.call("alice-release", "executeDestructive", &delete("ENG-42")).await;
    assert_eq!(said.brief(), WAITS);
    assert_eq!(world.sim.ledger().count("deleteJiraIssue"), 0);
}

/// Where nobody would be told, nobody breaks anything.
#[tokio::test]
async fn without_channels_there_is_no_glass() {
    let policies = [POLICIES, RULES, &[GLASS]].concat();
    let world = World::start(Setup { policies, ..Setup::default() }).await;
    let carol = world.breaker("carol-lead").await;
    let state = world.urgent("ENG-42").await;
    let refused = world.breaks(carol, &state).await.unwrap_err();
    assert_eq!(refused, "nobody breaks the glass here: nobody would be told");
    let by = world.gateway.holder("carol-lead", NAME).await.unwrap();
    assert!(!world.gateway.may_break_glass(&by, &state));
}
