//! What every store must do with notices, as one suite.

use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::approval::{Notice, Occasion};
use callgate_model::authority::{Change, Use};
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::Event;
use callgate_model::reason::Reason;
use tokio::task::JoinSet;

use crate::approving::{NOW, World, approval, at};
use crate::engines::Engine;
use crate::testing::intent;
use crate::{ERROR_BYTES_MAX, NOTICES_WAITING_MAX, Settled, Taken};

/// How long a notice is somebody's who has taken it, in seconds.
const TAKEN_S: u64 = 30;

impl World {
    /// Asks for approval of `what`; of both occasions the channel `ops` is told.
    async fn ask_and_tell(&self, what: &str, when: Timestamp) -> Id {
        let approval = approval(self.ambient.id(), what, what, when);
        let id = approval.id;
        let notices = [Occasion::Requested, Occasion::Closed].map(|occasion| Notice {
            id: self.ambient.id(),
            channel: "ops".to_owned(),
            occasion,
            page: Some("https://gate.example/x".to_owned()),
        });
        let notices = notices.to_vec();
        let asked = Change::ApprovalRequested { approval: Box::new(approval), notices };
        assert!(self.change(asked, when).await);
        id
    }

    async fn take(&self, when: Timestamp, limit: u32) -> Vec<Taken> {
        let until = when.after_ms(TAKEN_S * 1_000);
        self.store.take_notices("ops", (when, until), limit).await.unwrap()
    }

    async fn take_one(&self, when: Timestamp) -> Taken {
        let mut all = self.take(when, 10).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    async fn settle(&self, taken: &Taken, settled: Settled, when: Timestamp) {
        self.store.settle_notice(taken, settled, when).await.unwrap();
    }

    /// Delivered, waiting, given up.
    async fn counted(&self, when: Timestamp) -> (u64, u64, u64) {
        let all = self.store.channels(when).await.unwrap();
        let one = all.iter().find(|one| one.channel == "ops").unwrap();
        (one.delivered, one.waiting, one.given_up)
    }

    async fn waiting(&self, when: Timestamp) -> Vec<(String, u32, u32)> {
        self.store.notices_waiting(when).await.unwrap()
    }
}

with_each_engine!(
    a_notice_is_taken_once_and_told_again_when_it_is_decided,
    whatever_ends_an_approval_is_told,
    what_fails_is_tried_again_and_what_is_lost_in_a_crash_too,
    what_is_given_up_is_recorded_and_counted_once,
    what_was_given_up_is_sent_once_more_if_somebody_wants_it,
    nobody_is_told_of_what_is_not_asked,
    i5_who_is_to_be_told_of_a_call_is_stored_with_it_or_the_call_is_not,
    of_many_senders_one_takes_each,
);

async fn a_notice_is_taken_once_and_told_again_when_it_is_decided(engine: Engine) {
    let world = World::new(engine).await;
    assert!(world.waiting(NOW).await.is_empty() && world.take(NOW, 10).await.is_empty());
    let id = world.ask_and_tell("delete", NOW).await;
    assert_eq!(world.waiting(NOW).await, [("ops".to_owned(), 1, 1)]);
    assert!(world.store.take_notices("other", (NOW, at(9)), 9).await.unwrap().is_empty());
    let taken = world.take_one(NOW).await;
    assert_eq!((taken.about, taken.occasion, taken.attempt), (id, Occasion::Requested, 1));
    assert_eq!(taken.page.as_deref(), Some("https://gate.example/x"));
    assert!(world.take(at(1), 10).await.is_empty(), "somebody has it");
    assert_eq!(world.waiting(at(1)).await, [("ops".to_owned(), 0, 1)], "it is on its way");
    world.settle(&taken, Settled::Delivered, at(1)).await;
    assert_eq!(world.counted(at(1)).await, (1, 0, 0), "what is told later does not wait yet");
    assert!(world.take(at(TAKEN_S + 1), 10).await.is_empty(), "it is there");

    assert!(world.vote(id, "bob", true, at(40)).await);
    assert!(world.take(at(41), 10).await.is_empty(), "another one has to approve it");
    assert!(world.vote(id, "carol", true, at(50)).await);
    let taken = world.take_one(at(50)).await;
    assert_eq!((taken.about, taken.occasion), (id, Occasion::Closed));
    world.settle(&taken, Settled::Needless, at(51)).await;
    assert!(world.take(at(2_000), 10).await.is_empty());
    assert_eq!(world.counted(at(2_000)).await, (1, 0, 0));
}

/// Each way in which an approval ends tells those who are told of that, at once; the clock does when it runs out.
async fn whatever_ends_an_approval_is_told(engine: Engine) {
    let world = World::new(engine).await;
    for (what, is_told_at) in [("denied", 5), ("withdrawn", 5), ("expired", 900)] {
        let id = world.ask_and_tell(what, NOW).await;
        let asked = world.take_one(NOW).await;
        world.settle(&asked, Settled::Delivered, NOW).await;
        match what {
            "denied" => assert!(world.vote(id, "bob", false, at(5)).await),
            "withdrawn" => {
                let reason = "not needed".to_owned();
                assert!(world.change(Change::ApprovalWithdrawn { id, reason }, at(5)).await);
            }
            _ => {}
        }
        assert!(world.take(at(is_told_at - 1), 10).await.is_empty(), "{what}");
        let told = world.take_one(at(is_told_at)).await;
        assert_eq!((told.about, told.occasion), (id, Occasion::Closed), "{what}");
        world.settle(&told, Settled::Delivered, at(is_told_at)).await;
    }
    // What is told already is not told again when the call is made.
    let id = world.ask_and_tell("spent", NOW).await;
    assert!(world.vote(id, "bob", true, at(1)).await && world.vote(id, "carol", true, at(2)).await);
    for taken in world.take(at(2), 10).await {
        world.settle(&taken, Settled::Delivered, at(2)).await;
    }
    let mut decided = intent(world.ambient.id(), "alice", "release-bot");
    decided.under.approval = Some(Use { id, spends: true });
    assert!(world.happens(Event::Decided(Arc::new(decided)), at(3)).await);
    assert!(world.take(at(2_000), 10).await.is_empty());
}

async fn what_fails_is_tried_again_and_what_is_lost_in_a_crash_too(engine: Engine) {
    let world = World::new(engine).await;
    world.ask_and_tell("delete", NOW).await;
    let first = world.take_one(NOW).await;
    let failed = |again| Settled::Failed { error: "é".repeat(ERROR_BYTES_MAX), again };
    world.settle(&first, failed(at(10)), at(1)).await;
    assert_eq!(world.counted(at(2)).await, (0, 1, 0));
    assert!(world.take(at(9), 10).await.is_empty(), "not so soon");
    let second = world.take_one(at(10)).await;
    assert_eq!(first.failure, None);
    assert_eq!(second.failure.as_ref().map(String::len), Some(ERROR_BYTES_MAX));
    assert_eq!((second.id, second.attempt), (first.id, 2));
    // Whoever took it is gone; later somebody else does. What the first one says then does not count, but if it is there.
    let third = world.take_one(at(10 + TAKEN_S)).await;
    assert_eq!((third.id, third.attempt), (first.id, 3));
    world.settle(&second, failed(at(11)), at(41)).await;
    assert!(world.take(at(45), 10).await.is_empty(), "the third one has it");
    world.settle(&second, Settled::Delivered, at(46)).await;
    world.settle(&third, failed(at(47)), at(47)).await;
    let all = world.store.channels(at(100)).await.unwrap();
    assert_eq!((all[0].delivered, all[0].waiting, all[0].delivered_at), (1, 0, Some(at(46))));
    let (error, when) = all[0].failure.clone().unwrap();
    assert_eq!((error, when), ("é".repeat(ERROR_BYTES_MAX / 2), at(1)));
}

async fn what_is_given_up_is_recorded_and_counted_once(engine: Engine) {
    let world = World::new(engine).await;
    world.ask_and_tell("delete", NOW).await;
    let taken = world.take_one(NOW).await;
    let given_up = || Change::NoticeGivenUp {
        id: taken.id,
        channel: "ops".to_owned(),
        attempts: 1,
        reason: "no answer".to_owned(),
    };
    assert!(world.change(given_up(), at(1)).await);
    assert!(!world.change(given_up(), at(2)).await, "somebody else has");
    world.settle(&taken, Settled::Delivered, at(3)).await;
    assert_eq!(world.counted(at(3)).await, (0, 0, 1));
    let all = world.store.channels(at(3)).await.unwrap();
    assert_eq!(all[0].failure, Some(("no answer".to_owned(), at(1))));
}

async fn what_was_given_up_is_sent_once_more_if_somebody_wants_it(engine: Engine) {
    let world = World::new(engine).await;
    world.ask_and_tell("delete", NOW).await;
    let taken = world.take_one(NOW).await;
    assert_eq!(world.store.retry_notices("ops", NOW).await.unwrap(), 0, "nothing was given up");
    let (channel, reason) = ("ops".to_owned(), "no answer".to_owned());
    let given_up = Change::NoticeGivenUp { id: taken.id, channel, attempts: 8, reason };
    assert!(world.change(given_up, at(1)).await);
    assert_eq!(world.store.retry_notices("others", at(2)).await.unwrap(), 0);
    assert_eq!(world.store.retry_notices("ops", at(2)).await.unwrap(), 1);
    assert_eq!(world.counted(at(2)).await, (0, 1, 0));
    let again = world.take_one(at(2)).await;
    assert_eq!((again.id, again.attempt), (taken.id, 1), "with all its attempts");
    world.settle(&again, Settled::Delivered, at(3)).await;
    assert_eq!(world.store.retry_notices("ops", at(4)).await.unwrap(), 0, "it is there");
}

/// An approval that is not asked for tells nobody, and none is asked for of which nobody could be told.
async fn nobody_is_told_of_what_is_not_asked(engine: Engine) {
    let world = World::new(engine).await;
    let id = world.ask_and_tell("delete", NOW).await;
    let again = approval(world.ambient.id(), "delete", "delete", at(1));
    let notice = |id| {
        vec![Notice { id, channel: "ops".to_owned(), occasion: Occasion::Requested, page: None }]
    };
    let notices = notice(world.ambient.id());
    let asked = Change::ApprovalRequested { approval: Box::new(again), notices };
    assert!(!world.change(asked, at(1)).await, "it is asked for already");
    let taken = world.take_one(at(1)).await;
    assert_eq!(taken.about, id);
    let other = approval(world.ambient.id(), "other", "other", at(1));
    let (other_id, notices) = (other.id, notice(taken.id));
    let asked = Change::ApprovalRequested { approval: Box::new(other), notices };
    assert!(!world.change(asked, at(1)).await, "the id is taken");
    let found = crate::AuthorityStore::approval(&*world.store, other_id).await.unwrap();
    assert!(found.is_none(), "all of it or nothing");
}

/// Of a call that is let through, people are told by what is in the transaction of its intent; if there is no room for that, there is
/// no intent either.
async fn i5_who_is_to_be_told_of_a_call_is_stored_with_it_or_the_call_is_not(engine: Engine) {
    let world = World::new(engine).await;
    let let_through = async |channels: &[&str]| {
        let call = world.ambient.id();
        let notice = |channel: &&str| Notice {
            id: world.ambient.id(),
            channel: (*channel).to_owned(),
            occasion: Occasion::LetThrough,
            page: None,
        };
        let mut decided = intent(call, "alice", "release-bot");
        decided.notices = channels.iter().map(notice).collect();
        (call, world.happens(Event::Decided(Arc::new(decided)), NOW).await)
    };
    let (call, is_stored) = let_through(&["ops", "audit"]).await;
    assert!(is_stored);
    let taken = world.take_one(NOW).await;
    assert_eq!((taken.about, taken.occasion), (call, Occasion::LetThrough));
    world.settle(&taken, Settled::Delivered, NOW).await;
    for _ in 0..NOTICES_WAITING_MAX {
        assert!(let_through(&["ops"]).await.1);
    }
    let (call, is_stored) = let_through(&["audit", "ops"]).await;
    assert!(!is_stored, "I13: there is no room");
    assert!(crate::EvidenceStore::show(&*world.store, call).await.unwrap().is_empty());
    let waiting = world.waiting(NOW).await;
    assert_eq!(waiting[0], ("audit".to_owned(), 1, 1), "all of it or nothing");
    // Whoever is asked does not wait for what is only told.
    let id = world.ask_and_tell("delete", at(1)).await;
    let first = world.take(at(1), 1).await.remove(0);
    assert_eq!((first.about, first.occasion), (id, Occasion::Requested));
    for taken in world.take(at(1), 10).await {
        world.settle(&taken, Settled::Delivered, at(1)).await;
    }
    assert!(let_through(&["ops"]).await.1);
    // Whoever is refused is told nobody of.
    let mut refused = intent(world.ambient.id(), "alice", "release-bot");
    refused.notices = vec![Notice {
        id: world.ambient.id(),
        channel: "refusals".to_owned(),
        occasion: Occasion::LetThrough,
        page: None,
    }];
    refused.decision = Decision::deny(Reason::ToolUnknown, Digest::default());
    assert!(world.happens(Event::Decided(Arc::new(refused)), NOW).await);
    assert!(world.waiting(NOW).await.iter().all(|(channel, ..)| channel != "refusals"));
}

/// Many senders, each notice to one of them.
async fn of_many_senders_one_takes_each(engine: Engine) {
    const APPROVALS: usize = 100;
    let world = Arc::new(World::new(engine).await);
    for number in 0..APPROVALS {
        world.ask_and_tell(&number.to_string(), NOW).await;
    }
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let world = Arc::clone(&world);
        senders.spawn(async move {
            let mut all = Vec::new();
            loop {
                let some = world.take(at(1), 3).await;
                assert!(some.len() <= 3);
                if some.is_empty() {
                    return all;
                }
                all.extend(some.into_iter().map(|taken| taken.id));
            }
        });
    }
    let mut taken: Vec<Id> = senders.join_all().await.into_iter().flatten().collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), APPROVALS);
}
