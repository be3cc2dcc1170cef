//! What every store must do with the authority that is in force, as one suite.

use std::collections::BTreeSet;
use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::authority::{
    ApiToken, Change, Grant, Holder, Revocation, Secret, SecretFor, Subject, SubjectKind, ToolOf,
    ToolPin, UpstreamSecret, Use,
};
use callgate_model::digest::Digest;
use callgate_model::envelope::Portion;
use callgate_model::evidence::{Event, Link};
use callgate_model::target::Resource;

use crate::conformance::{open_calls, verified};
use crate::engines::Engine;
use crate::logged::Logged;
use crate::testing::{Fault, intent};
use crate::{Durability, EvidenceError, Filter, GRANTS_TOGETHER_MAX};

const HOUR_MS: u64 = 3_600_000;

impl Logged {
    fn now(&self) -> Timestamp {
        self.ambient.now()
    }

    async fn grant(&self, holder: &str, place: Option<&str>, uses: u32) -> Id {
        let grant = self.make_grant(holder, place, uses);
        let id = grant.id;
        self.change(Change::GrantIssued { grant: Box::new(grant) }).await.unwrap();
        id
    }

    fn make_grant(&self, holder: &str, place: Option<&str>, uses: u32) -> Grant {
        let (id, now) = (self.ambient.id(), self.now());
        let places = place.iter().map(|place| Resource::new("Jira::Project", *place));
        Grant {
            id,
            holder: Holder { agent: Some(holder.to_owned()), ..Holder::default() },
            scope: Portion {
                actions: BTreeSet::from(["write".to_owned()]),
                within: places.collect(),
                ..Portion::default()
            },
            begins: now,
            ends: now.after_ms(HOUR_MS),
            uses,
            reason: "a release".to_owned(),
            ticket: None,
            by: "operator".to_owned(),
            issued: now,
            lifts: None,
        }
    }

    async fn found(&self, holder: &str, places: &[&str], now: Timestamp) -> Vec<Id> {
        let holder = Holder { agent: Some(holder.to_owned()), ..Holder::default() }.key();
        let places: Vec<_> = places.iter().map(|place| (*place).to_owned()).collect();
        let found = self.store.grants_of(&[holder], &places, now).await.unwrap();
        found.into_iter().map(|grant| grant.id).collect()
    }

    /// The intent of a call that takes a use.
    async fn spend(&self, grant: Id) -> Result<(), EvidenceError> {
        let mut decided = intent(self.ambient.id(), "alice", "release-bot");
        decided.under.grant = Some(Use { id: grant, spends: true });
        self.log.record(Event::Decided(Arc::new(decided)), Durability::Durable).await
    }

    fn token(&self) -> ApiToken {
        let (id, now) = (self.ambient.id(), self.now());
        ApiToken {
            id,
            name: "nightly".to_owned(),
            digest: Secret::new(id, [[7; 16]; 2]).digest(),
            owner: "alice".to_owned(),
            service_account: None,
            groups: Vec::new(),
            agent: "release-bot".to_owned(),
            class: None,
            scope: Portion::default(),
            networks: Vec::new(),
            issued: now,
            ends: now.after_ms(HOUR_MS),
            idle_s: None,
            replaces: None,
            first: id,
        }
    }
}

with_each_engine!(
    i2_fifty_callers_share_the_uses_of_a_grant_and_no_more,
    i2_who_is_refused_is_told_so_once_the_other_is_stored,
    i2_a_use_is_spent_once_whatever_the_store_says,
    what_others_record_meanwhile_is_not_lost_with_a_refusal,
    grants_are_found_by_holder_and_place_while_they_are_in_force,
    i13_grants_of_one_holder_for_one_place_have_a_bound,
    tokens_are_issued_rotated_once_and_revoked,
    revocations_hold_until_they_are_lifted,
    secrets_are_set_replaced_and_removed_and_are_in_no_record,
    i5_an_approval_takes_the_place_of_what_it_says_and_of_nothing_else,
);

async fn i2_fifty_callers_share_the_uses_of_a_grant_and_no_more(engine: Engine) {
    let world = Arc::new(Logged::new(engine).await);
    let grant = world.grant("release-bot", Some("acme/ENG"), 10).await;
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.spend(grant).await })
        })
        .collect();
    let (mut spent, mut refused) = (0, 0);
    for result in tries {
        match result.await.unwrap() {
            Ok(()) => spent += 1,
            Err(EvidenceError::Refused) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((spent, refused), (10, 40));
    assert!(world.log.is_healthy(), "a refusal is no failure");
    let state = world.store.grant(grant).await.unwrap().unwrap();
    assert_eq!(state.left, 0);
    let intents = Filter::default().with(Link::Kind, Some("intent".to_owned()));
    assert_eq!(world.store.list(&intents).await.unwrap().len(), 10, "who was refused left nothing");
    assert!(world.found("release-bot", &["Jira::Project::acme/ENG"], world.now()).await.is_empty());
    assert_eq!(
        world.spend(grant).await.unwrap_err().to_string(),
        EvidenceError::Refused.to_string()
    );
    let (writer, head) = world.store.last_chain().await.unwrap().unwrap();
    assert_eq!(verified(&*world.store, writer).await, head);
}

/// Whoever comes second can see what was in their way when they are told so.
async fn i2_who_is_refused_is_told_so_once_the_other_is_stored(engine: Engine) {
    let world = Logged::new(engine).await;
    for _ in 0..20 {
        let grant = world.grant("release-bot", None, 1).await;
        let spends = async || {
            let spent = world.spend(grant).await;
            let left = world.store.grant(grant).await.unwrap().unwrap().left;
            assert_eq!(left, 0, "{spent:?}");
            spent.is_ok()
        };
        let (one, other, third) = tokio::join!(spends(), spends(), spends());
        assert_eq!([one, other, third].iter().filter(|spent| **spent).count(), 1);
    }
}

async fn i2_a_use_is_spent_once_whatever_the_store_says(engine: Engine) {
    for (fault, left) in [(Fault::Fail, 2), (Fault::FailAfterCommit, 1)] {
        let world = Logged::new(engine).await;
        let grant = world.grant("release-bot", None, 2).await;
        world.faulty.nth(1, fault);
        assert!(matches!(world.spend(grant).await, Err(EvidenceError::Store(_))), "{fault:?}");
        world.log.health().wait_for(|healthy| *healthy).await.unwrap();
        let state = world.store.grant(grant).await.unwrap().unwrap();
        assert_eq!(state.left, left, "{fault:?}");
        world.log.shutdown().await.unwrap();
        assert!(open_calls(&*world.store).await.is_empty(), "{fault:?}");
    }
}

async fn what_others_record_meanwhile_is_not_lost_with_a_refusal(engine: Engine) {
    let world = Arc::new(Logged::new(engine).await);
    let grant = world.grant("release-bot", None, 1).await;
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                if number % 2 == 0 {
                    return world.spend(grant).await.is_ok();
                }
                let decided = intent(world.ambient.id(), "bob", "helper");
                let event = Event::Decided(Arc::new(decided));
                world.log.record(event, Durability::Durable).await.unwrap();
                false
            })
        })
        .collect();
    let mut spent = 0;
    for task in tasks {
        spent += usize::from(task.await.unwrap());
    }
    assert_eq!(spent, 1);
    let of_bob = Filter::default().with(Link::Human, Some("bob".to_owned()));
    assert_eq!(world.store.list(&of_bob).await.unwrap().len(), 20);
}

async fn grants_are_found_by_holder_and_place_while_they_are_in_force(engine: Engine) {
    let world = Logged::new(engine).await;
    let eng = world.grant("release-bot", Some("acme/ENG"), 1).await;
    let anywhere = world.grant("release-bot", None, 1).await;
    let ops = world.grant("release-bot", Some("acme/OPS"), 1).await;
    let other = world.grant("helper", Some("acme/ENG"), 1).await;
    let mut later = world.make_grant("late", None, 1);
    later.begins = world.now().after_ms(HOUR_MS / 2);
    let late = later.id;
    world.change(Change::GrantIssued { grant: Box::new(later) }).await.unwrap();

    let now = world.now();
    let places = ["*", "Jira::Issue::acme/ENG-1", "Jira::Project::acme/ENG"];
    assert_eq!(world.found("release-bot", &places, now).await, [eng, anywhere]);
    assert_eq!(world.found("helper", &places, now).await, [other]);
    assert!(world.found("nobody", &places, now).await.is_empty());
    assert!(world.found("late", &places, now).await.is_empty());
    assert_eq!(world.found("late", &places, now.after_ms(HOUR_MS / 2)).await, [late]);
    assert!(world.found("helper", &places, now.after_ms(HOUR_MS)).await.is_empty());

    world.change(Change::GrantRevoked { id: eng }).await.unwrap();
    assert_eq!(world.found("release-bot", &places, world.now()).await, [anywhere]);
    assert!(matches!(world.spend(eng).await, Err(EvidenceError::Refused)), "taken back");
    assert!(matches!(world.spend(late).await, Err(EvidenceError::Refused)), "not begun");
    assert!(matches!(world.spend(world.ambient.id()).await, Err(EvidenceError::Refused)));
    world.spend(ops).await.unwrap();
    let again = world.change(Change::GrantRevoked { id: eng }).await;
    assert!(matches!(again, Err(EvidenceError::Refused)));
    let left: Vec<_> = world.store.grants(None).await.unwrap();
    assert_eq!(left.len(), 5);
    let in_force = world.store.grants(Some(world.now())).await.unwrap();
    assert_eq!(in_force.len(), 3);
}

async fn i13_grants_of_one_holder_for_one_place_have_a_bound(engine: Engine) {
    let world = Logged::new(engine).await;
    for _ in 0..GRANTS_TOGETHER_MAX {
        world.grant("release-bot", Some("acme/ENG"), 1).await;
    }
    let more = Box::new(world.make_grant("release-bot", Some("acme/ENG"), 1));
    let refused = world.change(Change::GrantIssued { grant: more.clone() }).await;
    assert!(matches!(refused, Err(EvidenceError::Refused)));
    assert!(world.store.grant(more.id).await.unwrap().is_none(), "nothing of it is left");
    world.grant("release-bot", Some("acme/OPS"), 1).await;
}

async fn tokens_are_issued_rotated_once_and_revoked(engine: Engine) {
    let world = Logged::new(engine).await;
    let before = world.store.version().await.unwrap();
    let token = world.token();
    world.change(Change::TokenIssued { token: Box::new(token.clone()) }).await.unwrap();
    assert_ne!(world.store.version().await.unwrap(), before, "a reader notices");
    let twice = world.change(Change::TokenIssued { token: Box::new(token.clone()) }).await;
    assert!(matches!(twice, Err(EvidenceError::Refused)));

    let next = || {
        let next = world.token();
        Box::new(ApiToken { replaces: Some(token.id), first: token.id, ..next })
    };
    let old_ends = world.now().after_ms(60_000);
    let rotated = next();
    let change = Change::TokenRotated { token: rotated.clone(), old_ends };
    world.change(change).await.unwrap();
    let again = Change::TokenRotated { token: next(), old_ends };
    assert!(matches!(world.change(again).await, Err(EvidenceError::Refused)), "two successors");

    let mut tokens = world.store.tokens(Some(world.now())).await.unwrap();
    tokens.sort_by_key(|state| state.token.id);
    let ends: Vec<_> = tokens.iter().map(|state| (state.token.id, state.ends)).collect();
    assert_eq!(ends, [(token.id, old_ends), (rotated.id, rotated.ends)]);
    assert_eq!(world.store.tokens(Some(old_ends)).await.unwrap().len(), 1);

    let used = world.now();
    world.store.used(&[(rotated.id, used), (token.id, used)]).await.unwrap();
    world.store.used(&[(rotated.id, Timestamp::default())]).await.unwrap();
    world.change(Change::TokenRevoked { id: token.id }).await.unwrap();
    let again = world.change(Change::TokenRevoked { id: token.id }).await;
    assert!(matches!(again, Err(EvidenceError::Refused)));
    let left = world.store.tokens(Some(world.now())).await.unwrap();
    assert_eq!(left.iter().map(|state| state.used).collect::<Vec<_>>(), [Some(used)]);
    assert_eq!(world.store.tokens(None).await.unwrap().len(), 2, "all of them");
    let gone = world.store.token(token.id).await.unwrap().unwrap();
    assert!(gone.revoked.is_some() && gone.token == token);
    assert_eq!(world.store.token(world.ambient.id()).await.unwrap(), None);
}

async fn revocations_hold_until_they_are_lifted(engine: Engine) {
    let world = Logged::new(engine).await;
    let revocation = Revocation {
        id: world.ambient.id(),
        subject: Subject::new(SubjectKind::Human, "corp/mallory"),
        issued_before: None,
        reason: "left".to_owned(),
        at: world.now(),
    };
    let revoked = Change::Revoked { revocation: Box::new(revocation.clone()) };
    world.change(revoked).await.unwrap();
    assert_eq!(world.store.revocations().await.unwrap(), vec![revocation.clone()]);
    world.change(Change::RevocationLifted { id: revocation.id }).await.unwrap();
    assert!(world.store.revocations().await.unwrap().is_empty());
    let again = world.change(Change::RevocationLifted { id: revocation.id }).await;
    assert!(matches!(again, Err(EvidenceError::Refused)));
}

async fn secrets_are_set_replaced_and_removed_and_are_in_no_record(engine: Engine) {
    let world = Logged::new(engine).await;
    let secret = |server: &str, sealed: &str| UpstreamSecret {
        owner: SecretFor {
            server: server.to_owned(),
            holder: Subject::new(SubjectKind::Human, "corp/alice"),
        },
        scheme: "bearer".to_owned(),
        set: Timestamp::default(),
        sealed: sealed.to_owned(),
    };
    let set = async |secret: &UpstreamSecret| {
        world.change(Change::SecretSet { secret: Box::new(secret.clone()) }).await.unwrap();
    };
    let (first, second, wiki) =
        (secret("jira", "canary-1"), secret("jira", "canary-2"), secret("wiki", "canary-3"));
    set(&first).await;
    set(&second).await;
    set(&wiki).await;
    assert_eq!(world.store.secrets().await.unwrap(), [second.clone(), wiki.clone()]);
    let removed = || Change::SecretRemoved { owner: second.owner.clone() };
    world.change(removed()).await.unwrap();
    assert!(matches!(world.change(removed()).await, Err(EvidenceError::Refused)));
    assert_eq!(world.store.secrets().await.unwrap(), [wiki]);
    let rows = world.store.list(&Filter::default()).await.unwrap();
    assert!(rows.iter().all(|row| !row.text.contains("canary")), "I7");
}

async fn i5_an_approval_takes_the_place_of_what_it_says_and_of_nothing_else(engine: Engine) {
    let world = Logged::new(engine).await;
    let pin = |tool: &str, definition: &str, replaces: Option<&str>| ToolPin {
        of: ToolOf { server: "jira".to_owned(), tool: tool.to_owned() },
        digest: Digest::of(definition.as_bytes()),
        definition: definition.to_owned(),
        replaces: replaces.map(|before| Digest::of(before.as_bytes())),
        at: Timestamp::default(),
    };
    let set =
        async |pin: &ToolPin| world.change(Change::ToolPinned { pin: Box::new(pin.clone()) }).await;
    let (first, other) = (pin("a", "one", None), pin("b", "one", None));
    set(&first).await.unwrap();
    set(&other).await.unwrap();
    for stale in
        [pin("a", "two", None), pin("a", "two", Some("zero")), pin("c", "two", Some("one"))]
    {
        assert!(matches!(set(&stale).await, Err(EvidenceError::Refused)), "{stale:?}");
    }
    assert_eq!(world.store.pins().await.unwrap(), [first, other.clone()]);
    let second = pin("a", "two", Some("one"));
    set(&second).await.unwrap();
    assert_eq!(world.store.pins().await.unwrap(), [second.clone(), other.clone()]);
    let unpin = || Change::ToolUnpinned { of: second.of.clone() };
    world.change(unpin()).await.unwrap();
    assert!(matches!(world.change(unpin()).await, Err(EvidenceError::Refused)));
    assert_eq!(world.store.pins().await.unwrap(), [other]);
}
