//! What every store must do with those who sign in to the console, as one suite.

use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::authority::{Change, ConsoleSession, SignInLink, Way};
use callgate_model::digest::Digest;

use crate::engines::Engine;
use crate::logged::Logged;
use crate::testing::Fault;
use crate::{EvidenceError, Filter, LINKS_MAX, SESSIONS_OF_ONE_MAX, SessionState};

impl Logged {
    fn session(&self, who: &str, secret: &str) -> ConsoleSession {
        let now = self.ambient.now();
        ConsoleSession {
            id: self.ambient.id(),
            digest: Digest::of(secret.as_bytes()),
            way: Way::Token,
            who: who.to_owned(),
            groups: Vec::new(),
            client: "console".to_owned(),
            issued: now,
            authenticated: None,
            begun: now,
            ends: now.after_ms(ConsoleSession::LASTS_MS),
            sealed: Some(format!("sealed {secret}")),
        }
    }

    async fn sign_in(&self, session: &ConsoleSession) -> Result<(), EvidenceError> {
        self.change(Change::SignedIn { session: Box::new(session.clone()), link: None }).await
    }

    async fn is_in(&self, secret: &str) -> bool {
        self.store.session(Digest::of(secret.as_bytes())).await.unwrap().is_some()
    }

    async fn link(&self, secret: &str, lasts_ms: u64) -> SignInLink {
        let link = self.make_link(secret, lasts_ms);
        self.change(Change::SignInLinkMade { link: Box::new(link.clone()) }).await.unwrap();
        link
    }

    fn make_link(&self, secret: &str, lasts_ms: u64) -> SignInLink {
        let (made, digest) = (self.ambient.now(), Digest::of(secret.as_bytes()));
        let ends = made.after_ms(lasts_ms);
        SignInLink { id: self.ambient.id(), digest, who: "local/operator".to_owned(), made, ends }
    }
}

with_each_engine!(
    a_session_is_there_until_it_is_ended_and_its_secrets_are_in_no_record,
    i13_one_person_has_so_many_sessions_and_the_one_that_is_not_used_makes_room,
    what_has_ended_by_itself_is_forgotten,
    a11_a_link_signs_one_in_however_many_come_with_it,
    i2_a_link_is_used_once_whatever_the_store_says,
    i13_so_many_links_are_good_at_one_time,
);

async fn a_session_is_there_until_it_is_ended_and_its_secrets_are_in_no_record(engine: Engine) {
    let world = Logged::new(engine).await;
    let session = world.session("corp/carol", "canary");
    world.sign_in(&session).await.unwrap();
    let found = world.store.session(session.digest).await.unwrap().unwrap();
    assert_eq!((found.session, found.seen), (session.clone(), session.begun));
    let twice = world.sign_in(&session).await;
    assert!(matches!(twice, Err(EvidenceError::Refused)), "one browser, one session");

    let listed = world.store.sessions(world.ambient.now()).await.unwrap();
    let without = ConsoleSession { sealed: None, ..session.clone() };
    assert_eq!(listed, [SessionState { session: without, seen: session.begun }]);

    let later = session.begun.after_ms(60_000);
    world.store.seen(session.id, later).await.unwrap();
    world.store.seen(session.id, Timestamp::default()).await.unwrap();
    let seen = world.store.session(session.digest).await.unwrap().unwrap().seen;
    assert_eq!(seen, later, "it does not go back");

    let out = || Change::SignedOut { id: session.id };
    world.change(out()).await.unwrap();
    assert!(!world.is_in("canary").await);
    assert!(matches!(world.change(out()).await, Err(EvidenceError::Refused)));
    let rows = world.store.list(&Filter::default()).await.unwrap();
    assert!(rows.iter().any(|row| row.text.contains("signed_in")));
    assert!(rows.iter().all(|row| !row.text.contains("canary")), "I7");
}

async fn i13_one_person_has_so_many_sessions_and_the_one_that_is_not_used_makes_room(
    engine: Engine,
) {
    let world = Logged::new(engine).await;
    let others = world.session("corp/dave", "dave");
    world.sign_in(&others).await.unwrap();
    let mut first = None;
    for number in 0..SESSIONS_OF_ONE_MAX {
        let session = world.session("corp/carol", &number.to_string());
        world.sign_in(&session).await.unwrap();
        first.get_or_insert(session.id);
    }
    // The oldest is used all the time.
    world.store.seen(first.unwrap(), world.ambient.now()).await.unwrap();
    world.sign_in(&world.session("corp/carol", "one more")).await.unwrap();
    for (secret, is) in [("0", true), ("1", false), ("2", true), ("one more", true), ("dave", true)]
    {
        assert_eq!(world.is_in(secret).await, is, "{secret}");
    }
}

async fn what_has_ended_by_itself_is_forgotten(engine: Engine) {
    let world = Logged::new(engine).await;
    let mut ended = world.session("corp/carol", "ended");
    ended.ends = ended.begun;
    let mut idle = world.session("corp/carol", "idle");
    let long_ago = idle.begun.unix_ms() - i64::try_from(ConsoleSession::IDLE_MS).unwrap();
    idle.begun = Timestamp::from_unix_ms(long_ago);
    let good = world.session("corp/dave", "good");
    for session in [&ended, &idle, &good] {
        world.sign_in(session).await.unwrap();
    }
    let listed = world.store.sessions(world.ambient.now()).await.unwrap();
    assert_eq!(listed.iter().map(|state| state.session.id).collect::<Vec<_>>(), [good.id]);
    let much_later = good.begun.after_ms(ConsoleSession::IDLE_MS);
    assert_eq!(world.store.sessions(much_later).await.unwrap(), []);
    world.sign_in(&world.session("corp/erin", "new")).await.unwrap();
    for (secret, is) in [("ended", false), ("idle", false), ("good", true), ("new", true)] {
        assert_eq!(world.is_in(secret).await, is, "{secret}");
    }
}

async fn a11_a_link_signs_one_in_however_many_come_with_it(engine: Engine) {
    let world = Arc::new(Logged::new(engine).await);
    let link = world.link("code", SignInLink::LASTS_MS).await;
    assert_eq!(world.store.sign_in_link(link.digest).await.unwrap(), Some(link.clone()));
    let tries: Vec<_> = (0..20)
        .map(|number| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let session = Box::new(world.session("local/operator", &number.to_string()));
                world.change(Change::SignedIn { session, link: Some(link.id) }).await
            })
        })
        .collect();
    let mut signed_in = 0;
    for result in tries {
        match result.await.unwrap() {
            Ok(()) => signed_in += 1,
            Err(EvidenceError::Refused) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(signed_in, 1);
    assert_eq!(world.store.sign_in_link(link.digest).await.unwrap(), None, "it is used");

    let late = world.link("late", 0).await;
    let session = Box::new(world.session("local/operator", "late"));
    let came = world.change(Change::SignedIn { session, link: Some(late.id) }).await;
    assert!(matches!(came, Err(EvidenceError::Refused)), "it has ended");
    assert!(!world.is_in("late").await);
}

/// Whoever is told that it failed may have used it up, and nobody else can.
async fn i2_a_link_is_used_once_whatever_the_store_says(engine: Engine) {
    for fault in [Fault::Fail, Fault::FailAfterCommit] {
        let world = Logged::new(engine).await;
        let link = world.link("code", SignInLink::LASTS_MS).await;
        let come = async |secret: &str| {
            let session = Box::new(world.session("local/operator", secret));
            world.change(Change::SignedIn { session, link: Some(link.id) }).await
        };
        world.faulty.nth(1, fault);
        assert!(matches!(come("first").await, Err(EvidenceError::Store(_))), "{fault:?}");
        world.log.health().wait_for(|healthy| *healthy).await.unwrap();
        assert!(matches!(come("second").await, Err(EvidenceError::Refused)), "{fault:?}");
        assert!(world.is_in("first").await && !world.is_in("second").await, "{fault:?}");
    }
}

async fn i13_so_many_links_are_good_at_one_time(engine: Engine) {
    let world = Logged::new(engine).await;
    world.link("ended", 0).await;
    for number in 0..LINKS_MAX {
        world.link(&number.to_string(), SignInLink::LASTS_MS).await;
    }
    let more = Box::new(world.make_link("more", SignInLink::LASTS_MS));
    let refused = world.change(Change::SignInLinkMade { link: more }).await;
    assert!(matches!(refused, Err(EvidenceError::Refused)));
}
