//! Authority that is given and taken back: the gateway's own tokens, grants, revocations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use callgate_gateway::identity::Peer;
use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::authority::{
    ApiToken, Change, Grant, Holder, Revocation, Secret, Subject, SubjectKind,
};
use callgate_model::envelope::Portion;
use callgate_model::json::Json;
use callgate_model::target::Resource;
use callgate_model::vocabulary::Risk;
use callgate_policy::Tier;
use callgate_store::EvidenceError;

use crate::client::{Ask, Said, delete, edit, issue};
use crate::store::{event, reasons};
use crate::support::{POLICIES, Rule, Setup, World, soon};

/// Agents read, and write under a grant only.
const ZERO: &[Rule] = &[
    (Tier::Permit, "read", r#"permit(principal, action in Action::"read", resource);"#),
    (
        Tier::Permit,
        "write-under-a-grant",
        r#"permit(principal, action in Action::"write", resource) when { context has grant && context.grant.ticket like "OPS-*" };"#,
    ),
];

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn name(name: &str) -> Option<String> {
    Some(name.to_owned())
}

pub(crate) fn scope(actions: &[&str], within: &[&str]) -> Portion {
    Portion {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        within: within.iter().map(|place| Resource::new("Jira::Project", *place)).collect(),
        ..Portion::default()
    }
}

impl World {
    async fn zero() -> Self {
        Self::start(Setup { policies: ZERO.to_vec(), ..Setup::default() }).await
    }

    pub(crate) async fn change(&self, change: Change) -> Result<(), EvidenceError> {
        self.gateway.administer("operator".to_owned(), change).await
    }

    fn new_token(&self) -> (ApiToken, String) {
        let id = self.clock.id();
        let secret = Secret::new(id, [self.clock.random(), self.clock.random()]);
        let now = self.clock.now();
        let token = ApiToken {
            id,
            name: "nightly".to_owned(),
            digest: secret.digest(),
            owner: "alice".to_owned(),
            service_account: None,
            groups: vec!["engineering".to_owned()],
            agent: "release-bot".to_owned(),
            class: name("automation"),
            scope: scope(&["read", "write", "share", "delete", "admin"], &[]),
            networks: Vec::new(),
            issued: now,
            ends: now.after_ms(30 * DAY_MS),
            idle_s: None,
            replaces: None,
            first: id,
        };
        (token, secret.expose().to_owned())
    }

    pub(crate) async fn token(&self, change: impl FnOnce(&mut ApiToken)) -> (Id, String) {
        let (mut token, text) = self.new_token();
        change(&mut token);
        let id = token.id;
        self.change(Change::TokenIssued { token: Box::new(token) }).await.unwrap();
        (id, text)
    }

    pub(crate) async fn grant(&self, change: impl FnOnce(&mut Grant)) -> Id {
        let (id, now) = (self.clock.id(), self.clock.now());
        let mut grant = Grant {
            lifts: None,
            id,
            holder: Holder { agent: name("release-bot"), ..Holder::default() },
            scope: scope(&["jira.issue.edit"], &["acme/ENG"]),
            begins: now,
            ends: now.after_ms(60 * 60 * 1000),
            uses: 1,
            reason: "a release".to_owned(),
            ticket: name("OPS-1"),
            by: "operator".to_owned(),
            issued: now,
        };
        change(&mut grant);
        self.change(Change::GrantIssued { grant: Box::new(grant) }).await.unwrap();
        id
    }

    pub(crate) async fn revoke(
        &self,
        kind: SubjectKind,
        name: &str,
        before: Option<Timestamp>,
    ) -> Id {
        let id = self.clock.id();
        let revocation = Revocation {
            id,
            subject: Subject::new(kind, name),
            issued_before: before,
            reason: "a test".to_owned(),
            at: self.clock.now(),
        };
        self.change(Change::Revoked { revocation: Box::new(revocation) }).await.unwrap();
        id
    }

    async fn read(&self, token: &str) -> Said {
        self.call(token, "getJiraIssue", &issue("ENG-42")).await
    }

    async fn edit(&self, token: &str, key: &str) -> String {
        self.call(token, "editJiraIssue", &edit(key, "x")).await.brief()
    }
}

#[tokio::test]
async fn a_token_of_the_gateway_makes_the_chain_of_its_owner_and_agent() {
    let world = World::start(Setup::default()).await;
    let (id, text) = world.token(|_| {}).await;
    assert_eq!(world.read(&text).await.brief(), "ok");
    assert_eq!(world.edit(&text, "ENG-42").await, "ok");
    let rows = world.record().await;
    let caller = event(rows.iter().find(|row| row.kind == "intent").unwrap());
    let caller = caller.get("caller").unwrap().to_text();
    for expected in [r#""id":"alice""#, r#""id":"release-bot""#, r#""kind":"api_token""#] {
        assert!(caller.contains(expected), "{expected} not in {caller}");
    }
    assert!(caller.contains(&id.to_string()));
    let change = event(rows.iter().find(|row| row.kind == "change").unwrap());
    assert_eq!(change.get("change").and_then(Json::as_str), Some("token_issued"));
    let secret = text.get(36..100).unwrap();
    assert!(rows.iter().all(|row| !row.text.contains(secret)), "I7: no secret is recorded");
}

#[tokio::test]
async fn i5_a_token_is_good_only_where_when_and_for_what_it_was_made() {
    let world = World::start(Setup::default()).await;
    let status = async |text: &str| world.read(text).await.status.as_u16();
    let (_, text) = world.token(|_| {}).await;
    let other = if text.ends_with('0') { "1" } else { "0" };
    let slip = format!("{}{other}", text.get(..text.len() - 1).unwrap());
    let (_, unknown) = world.new_token();
    // The right id with another secret.
    let id = Id::parse(text.get(4..36).unwrap()).unwrap();
    let forged = Secret::new(id, [[9; 16]; 2]);
    for wrong in [&slip, &unknown, forged.expose(), text.get(..60).unwrap(), "cgt_"] {
        assert_eq!(status(wrong).await, 401, "{wrong}");
    }
    let elsewhere = |token: &mut ApiToken| {
        token.scope.servers = BTreeSet::from(["github".to_owned()]);
    };
    assert_eq!(status(&world.token(elsewhere).await.1).await, 401, "for another server");

    let reader = world.token(|token| token.scope = scope(&["read"], &["acme/ENG"])).await.1;
    assert_eq!(world.read(&reader).await.brief(), "ok");
    assert_eq!(world.edit(&reader, "ENG-42").await, "deny token_exceeded");
    let listed = world.list(&reader).await.tools();
    assert!(listed.contains(&"getJiraIssue".to_owned()), "{listed:?}");
    assert!(!listed.contains(&"editJiraIssue".to_owned()), "I3: {listed:?}");
    let narrow =
        world.token(|token| token.scope = scope(&["read", "write"], &["acme/OPS"])).await.1;
    assert_eq!(world.edit(&narrow, "ENG-42").await, "deny token_exceeded");
    let low = world.token(|token| token.scope.risk_max = Some(Risk::Low)).await.1;
    assert_eq!(world.read(&low).await.brief(), "ok");
    assert_ne!(world.edit(&low, "ENG-42").await, "ok", "its risk is higher");

    let near = world.token(|token| token.networks = vec!["10.0.0.0/8".to_owned()]).await.1;
    let from = async |address: Option<&str>| {
        let ask = Ask::call(&near, "getJiraIssue", &issue("ENG-42"));
        let mut head = ask.head();
        if let Some(address) = address {
            head.extensions.insert(Peer(address.parse().unwrap()));
        }
        world.gateway.handle(&head, "atlassian", ask.body()).await.status.as_u16()
    };
    assert_eq!(from(Some("10.1.2.3")).await, 200);
    assert_eq!(from(Some("::ffff:10.1.2.3")).await, 200);
    assert_eq!(from(Some("192.0.2.1")).await, 401);
    assert_eq!(from(None).await, 401, "where it comes from has to be known");
}

#[tokio::test]
async fn a_token_ends_by_itself_unused_or_replaced() {
    let world = World::start(Setup::default()).await;
    let status = async |text: &str| world.read(text).await.status.as_u16();
    let (_, brief) = world.token(|token| token.ends = token.issued.after_ms(DAY_MS)).await;
    let (_, idle) = world.token(|token| token.idle_s = Some(3_600)).await;
    let (_, unused) = world.token(|token| token.idle_s = Some(3_600)).await;
    let (old, old_text) = world.token(|_| {}).await;
    world.clock.pass(3_000_000);
    assert_eq!(status(&idle).await, 200);
    world.clock.pass(3_000_000);
    assert_eq!((status(&idle).await, status(&unused).await), (200, 401), "a use counts");

    let (new, new_text) = world.new_token();
    let token = Box::new(ApiToken { replaces: Some(old), first: old, ..new });
    let old_ends = world.clock.now().after_ms(60_000);
    world.change(Change::TokenRotated { token, old_ends }).await.unwrap();
    let session = world.session(&old_text).await;
    let resumed = Ask::call(&new_text, "getJiraIssue", &issue("ENG-42")).in_session(&session);
    assert_eq!(world.ask(&resumed).await.brief(), "ok", "its sessions are its successor's");
    assert_eq!((status(&old_text).await, status(&new_text).await), (200, 200));
    world.clock.pass(60_000);
    assert_eq!((status(&old_text).await, status(&new_text).await), (401, 200));
    assert_eq!(status(&brief).await, 200);
    world.clock.pass(i64::try_from(DAY_MS).unwrap());
    assert_eq!(status(&brief).await, 401);
}

#[tokio::test]
async fn i8_what_is_revoked_is_refused_on_the_next_call() {
    let world = World::start(Setup::default()).await;
    let (token, text) = world.token(|_| {}).await;
    let (_, job) = world.token(|token| token.service_account = name("ci")).await;
    assert_eq!(
        (world.read(&text).await.brief(), world.read(&job).await.brief()),
        ("ok".into(), "ok".into())
    );
    world.change(Change::TokenRevoked { id: token }).await.unwrap();
    assert_eq!(world.read(&text).await.status.as_u16(), 401);

    for (kind, who, held) in [
        (SubjectKind::Human, "alice", "alice"),
        (SubjectKind::Human, "alice", "alice-release"),
        // Its owner, who is not in its chain.
        (SubjectKind::Human, "alice", &*job),
        (SubjectKind::ServiceAccount, "ci", "ci"),
        (SubjectKind::ServiceAccount, "ci", &*job),
        (SubjectKind::Agent, "release-bot", "alice-release"),
        (SubjectKind::Agent, "scout", "alice-through-scout"),
        (SubjectKind::Client, "tests", "bob"),
    ] {
        let before = world.read(held).await.status.as_u16();
        let revocation = world.revoke(kind, who, None).await;
        let during = world.read(held).await.status.as_u16();
        world.change(Change::RevocationLifted { id: revocation }).await.unwrap();
        let after = world.read(held).await.status.as_u16();
        assert_eq!((before, during, after), (200, 401, 200), "{kind:?} {who}: {held}");
    }
    let (_, older) = world.token(|_| {}).await;
    world.revoke(SubjectKind::Human, "alice", Some(world.clock.now())).await;
    let (_, newer) = world.token(|_| {}).await;
    assert_eq!(world.read(&older).await.status.as_u16(), 401);
    assert_eq!(world.read(&newer).await.status.as_u16(), 200, "made after the cut");
    let rows = world.record().await;
    let refused = rows.iter().filter(|row| reasons(row) == ["unauthenticated"]).count();
    assert_eq!(refused, 10, "each is in the record");
}

#[tokio::test]
async fn i8_another_process_revokes_and_the_stream_of_who_is_revoked_ends() {
    let world = World::start(Setup::default()).await;
    let listening =
        Ask::new("alice", "subscriptions/listen", r#"{"notifications":{"toolsListChanged":true}}"#);
    let reply = listening.reply(&world.gateway).await;
    soon("a stream", || world.gateway.streams_open() == 1).await;
    // Not through this gateway: as a command does it.
    let revocation = Revocation {
        id: world.clock.id(),
        subject: Subject::new(SubjectKind::Human, "alice"),
        issued_before: None,
        reason: "left".to_owned(),
        at: world.clock.now(),
    };
    let event = callgate_model::evidence::Event::Administered(Arc::new(
        callgate_model::authority::Administered {
            by: "somebody else".to_owned(),
            change: Change::Revoked { revocation: Box::new(revocation) },
        },
    ));
    let mut chain = callgate_model::evidence::Chain::new(world.clock.id());
    let payload = callgate_model::evidence::Payload::new(&event, [7; 16]);
    let row = callgate_store::Row::seal(&mut chain, world.clock.now(), &event, payload);
    callgate_store::EvidenceStore::append(&*world.store.inner, &[row]).await.unwrap();
    soon("the end of the stream", || world.gateway.streams_open() == 0).await;
    drop(reply);
    assert_eq!(world.read("alice").await.status.as_u16(), 401);
    assert_eq!(world.read("alice-release").await.status.as_u16(), 401);
}

#[tokio::test]
async fn i5_when_it_cannot_be_told_what_is_in_force_nobody_is_let_in() {
    let world = World::start(Setup::default()).await;
    let (_, text) = world.token(|_| {}).await;
    let is_down = |is: bool| world.in_force.is_down.store(is, Ordering::Relaxed);
    is_down(true);
    assert_eq!(world.read(&text).await.status.as_u16(), 200, "it was looked at just now");
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    for held in ["alice", &text] {
        let said = world.read(held).await;
        assert_eq!(said.status.as_u16(), 503, "{held}");
        assert!(said.headers.contains_key("retry-after"));
    }
    is_down(false);
    assert_eq!(world.read("alice").await.status.as_u16(), 200);
}

#[tokio::test]
async fn i5_a_grant_that_cannot_be_looked_up_is_none() {
    let world = World::zero().await;
    world.grant(|_| {}).await;
    world.in_force.is_down.store(true, Ordering::Relaxed);
    let denied = "deny agent_not_permitted+human_not_permitted";
    assert_eq!(world.edit("alice-release", "ENG-42").await, denied);
    world.in_force.is_down.store(false, Ordering::Relaxed);
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok");
}

#[tokio::test]
async fn a_grant_lets_through_what_it_is_for_as_often_as_it_says() {
    let world = World::zero().await;
    let denied = "deny agent_not_permitted+human_not_permitted";
    assert_eq!(world.edit("alice-release", "ENG-42").await, denied);
    let grant = world.grant(|grant| grant.uses = 2).await;
    // Reads need none, and take none.
    assert_eq!(world.read("alice-release").await.brief(), "ok");
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok");
    for (who, key) in [("alice", "ENG-42"), ("alice-triage", "ENG-42"), ("alice-release", "OPS-7")]
    {
        assert_ne!(world.edit(who, key).await, "ok", "{who} {key}");
    }
    let comment = r#"{"cloudId":"acme","issueIdOrKey":"ENG-42","commentBody":"x"}"#;
    let said = world.call("alice-release", "addCommentToJiraIssue", comment).await;
    assert_ne!(said.brief(), "ok", "another operation: {}", said.text());
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok");
    assert_eq!(world.edit("alice-release", "ENG-42").await, denied, "it is spent");
    assert_eq!(world.executed(), 3);
    let listed = world.list("alice-release").await.tools();
    assert!(listed.contains(&"editJiraIssue".to_owned()), "I3: {listed:?}");
    let rows = world.record().await;
    let under: Vec<_> = rows
        .iter()
        .filter(|row| row.kind == "intent")
        .filter_map(|row| Some(event(row).get("granted_by")?.get("id")?.as_str()?.to_owned()))
        .collect();
    assert_eq!(under, [grant.to_string(), grant.to_string()]);
}

#[tokio::test]
async fn a_grant_counts_only_as_policy_says_and_never_lifts_a_guardrail() {
    let mut policies = ZERO.to_vec();
    policies.push((
        Tier::Guardrail,
        "no-ops",
        r#"forbid(principal, action in Action::"mutate", resource in Jira::Project::"acme/OPS");"#,
    ));
    let world = World::start(Setup { policies, ..Setup::default() }).await;
    world.grant(|grant| grant.ticket = name("HR-1")).await;
    let denied = "deny agent_not_permitted+human_not_permitted";
    assert_eq!(world.edit("alice-release", "ENG-42").await, denied, "policy wants another ticket");
    world.grant(|grant| grant.scope.within.clear()).await;
    assert_eq!(world.edit("alice-release", "OPS-7").await, "deny guardrail");
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok", "the second one is found");

    // Without a policy that knows grants, they are nothing.
    let world = World::start(Setup { policies: POLICIES.to_vec(), ..Setup::default() }).await;
    world.grant(|grant| grant.scope.within.clear()).await;
    assert_ne!(world.edit("alice-triage", "ENG-42").await, "ok");
}

#[tokio::test]
async fn a_grant_lifts_a_gate_where_policy_says_so() {
    let mut policies = POLICIES.to_vec();
    policies.retain(|(_, id, _)| *id != "deletes");
    policies.push((
        Tier::Approval,
        "deletes",
        r#"forbid(principal, action in Action::"delete", resource) unless { context has grant };"#,
    ));
    let world = World::start(Setup { policies, ..Setup::default() }).await;
    let call =
        async || world.call("alice-release", "executeDestructive", &delete("ENG-45")).await.brief();
    assert_eq!(call().await, "approval_required approval_required");
    world
        .grant(|grant| grant.scope.actions = BTreeSet::from(["jira.issue.delete".to_owned()]))
        .await;
    assert_eq!(call().await, "ok");
    assert_eq!(call().await, "approval_required approval_required");
}

#[tokio::test]
async fn i2_fifty_callers_share_one_grant() {
    let world = Arc::new(World::zero().await);
    world.grant(|grant| grant.uses = 10).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.edit("alice-release", "ENG-42").await })
        })
        .collect();
    let mut said = std::collections::BTreeMap::<String, usize>::new();
    for call in calls {
        *said.entry(call.await.unwrap()).or_default() += 1;
    }
    assert_eq!(said.remove("ok"), Some(10), "{said:?}");
    assert!(
        said.keys().all(|brief| brief == "deny grant_spent"
            || brief == "deny agent_not_permitted+human_not_permitted"),
        "{said:?}"
    );
    assert_eq!(world.executed(), 10);
}

#[tokio::test]
async fn i8_a_grant_that_has_ended_or_was_taken_back_is_none() {
    let world = World::zero().await;
    let taken = world.grant(|grant| grant.uses = 5).await;
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok");
    world.change(Change::GrantRevoked { id: taken }).await.unwrap();
    assert_ne!(world.edit("alice-release", "ENG-42").await, "ok");
    world.grant(|grant| grant.uses = 5).await;
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok");
    world.clock.pass(60 * 60 * 1000);
    assert_ne!(world.edit("alice-release", "ENG-42").await, "ok");
    world.grant(|grant| grant.begins = grant.begins.after_ms(600_000)).await;
    assert_ne!(world.edit("alice-release", "ENG-42").await, "ok");
    world.clock.pass(600_000);
    assert_eq!(world.edit("alice-release", "ENG-42").await, "ok");
}
