use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::Notice;
use callgate_model::authority::Change;
use tempfile::TempDir;

use super::*;
use crate::assemble;
use crate::config::Config;
use crate::config::tests::premises;
use crate::print::approval::sample;

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);
/// The sample can be decided for so long.
const DECIDED_WITHIN_MS: u64 = 900_000;

/// The page of whoever asked.
const ELSEWHERE: &str = "https://gate.example/console/approvals/x";

const CONFIG: &str = concat!(
    premises!(),
    r#"[servers.memory]
url = "http://127.0.0.1:1/mcp"
catalog = "memory"
[tokens]
[notify.down]
kind = "slack"
url = { file = "down.url" }
"#
);

/// A clock that goes when it is told to.
#[derive(Default)]
struct Clock {
    ms: AtomicI64,
    drawn: AtomicU64,
}

impl Ambient for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(NOW.unix_ms() + self.ms.load(Ordering::Relaxed))
    }

    fn random(&self) -> [u8; 16] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let [a, b, c, d, e, f, g, h] = drawn;
        [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

/// A gateway with one approval, of which the channel is told that nobody has reached.
struct World {
    teller: Arc<Teller>,
    clock: Arc<Clock>,
    approval: Id,
    _folder: TempDir,
}

impl World {
    async fn new(channel: &str) -> Self {
        Self::at(channel, 8077).await
    }

    /// A gateway without a port has no pages.
    async fn at(channel: &str, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::write(folder.path().join("down.url"), format!("http://{nobody}/")).unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        let config = Config::parse(CONFIG, &folder.path().join("callgate.toml")).unwrap();
        let parts = assemble::parts(&config).map_err(|problems| problems.to_string()).unwrap();
        let channels = Arc::clone(&config.channels);
        let clock = Arc::new(Clock::default());
        let ambient: Arc<dyn Ambient> = Arc::<Clock>::clone(&clock);
        let (gateway, _store) =
            assemble::gateway(config, parts, Arc::clone(&ambient), port).await.unwrap();
        let approval = sample(NOW);
        let id = approval.id;
        let notice = |occasion| Notice {
            id: ambient.id(),
            channel: channel.to_owned(),
            occasion,
            page: Some(ELSEWHERE.to_owned()),
        };
        let notices = [Occasion::Requested, Occasion::Closed].map(notice).to_vec();
        let asked = Change::ApprovalRequested { approval: Box::new(approval), notices };
        gateway.administer("alice".to_owned(), asked).await.unwrap();
        let teller = Arc::new(Teller { gateway, channels, ambient });
        Self { teller, clock, approval: id, _folder: folder }
    }

    fn store(&self) -> &dyn AuthorityStore {
        self.teller.gateway.authority().unwrap()
    }

    fn pass(&self, ms: u64) {
        self.clock.ms.fetch_add(i64::try_from(ms).unwrap(), Ordering::Relaxed);
    }

    /// Looks once, and waits for all that this began.
    async fn look(&self) {
        let mut on_the_way = OnTheWay::default();
        self.teller.look(self.store(), &mut on_the_way).await.unwrap();
        on_the_way.sending.join_all().await;
    }

    /// Delivered, waiting, given up, and why not.
    async fn told(&self) -> (u64, u64, u64, String) {
        let all = self.store().channels(self.clock.now()).await.unwrap();
        let [one] = all.try_into().unwrap();
        let failure = one.failure.map(|(why, _)| why).unwrap_or_default();
        (one.delivered, one.waiting, one.given_up, failure)
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_tried_so_often_and_then_given_up() {
    let world = World::new("down").await;
    for attempt in 1..=ATTEMPTS_MAX {
        let (_, waiting, given_up, _) = world.told().await;
        assert_eq!((waiting, given_up), (1, 0), "before attempt {attempt}");
        world.look().await;
        // It is not tried sooner.
        world.look().await;
        world.pass(AGAIN.ms_max.min(3_u64.pow(attempt - 1) * AGAIN.first_ms));
    }
    let (delivered, waiting, given_up, why) = world.told().await;
    assert_eq!((delivered, waiting, given_up), (0, 0, 1), "{why}");
    assert!(why.contains("connection to the server failed"), "{why}");
    let metrics = world.teller.gateway.metrics();
    let failed =
        format!("callgate_notices_total{{channel=\"down\",outcome=\"failed\"}} {ATTEMPTS_MAX}");
    assert!(metrics.contains(&failed), "{metrics}");
    assert!(metrics.contains(r#"callgate_notices_total{channel="down",outcome="given_up"} 1"#));
    // That it ended is told nevertheless, or at least tried.
    world.pass(DECIDED_WITHIN_MS);
    assert_eq!(world.told().await.1, 1);
}

#[tokio::test]
async fn that_somebody_is_asked_is_not_told_once_it_has_ended() {
    let world = World::new("down").await;
    world.look().await;
    world.look().await;
    // The next attempt is never later than the end, when it is given up.
    world.pass(DECIDED_WITHIN_MS);
    world.look().await;
    let (_, waiting, given_up, why) = world.told().await;
    assert_eq!((waiting, given_up), (1, 1), "that it ended is to be told: {why}");
    let world = World::new("down").await;
    let (id, reason) = (world.approval, "not needed".to_owned());
    let withdrawn = Change::ApprovalWithdrawn { id, reason };
    world.teller.gateway.administer("alice".to_owned(), withdrawn).await.unwrap();
    world.look().await;
    let (_, waiting, given_up, why) = world.told().await;
    assert_eq!((waiting, given_up), (1, 0), "nobody was to be told any more: {why}");
}

#[tokio::test]
async fn what_was_taken_and_lost_is_tried_again_and_no_oftener_than_anything() {
    let world = World::new("down").await;
    for _ in 0..ATTEMPTS_MAX {
        let now = world.clock.now();
        let during = (now, now.after_ms(TAKEN_MS));
        assert_eq!(world.store().take_notices("down", during, 9).await.unwrap().len(), 1);
        world.pass(TAKEN_MS);
    }
    world.look().await;
    let (_, waiting, given_up, why) = world.told().await;
    assert_eq!((waiting, given_up, &*why), (0, 1, "the last attempt was not finished"));
}

/// Whoever sends it may have no pages, or others than whoever asked had when it did.
#[tokio::test]
async fn the_page_is_ours_or_else_that_of_whoever_asked() {
    for (port, page) in [(8077, "http://127.0.0.1:8077/console/approvals/0190a0b0"), (0, ELSEWHERE)]
    {
        let world = World::at("down", port).await;
        let now = world.clock.now();
        let taken = world.store().take_notices("down", (now, now), 1).await.unwrap().remove(0);
        let state = world.store().approval(world.approval).await.unwrap().unwrap();
        let told = Told::new(&world.teller.gateway, &taken, state, now);
        let found = told.message(false).page.unwrap();
        assert!(found.starts_with(page), "{found}");
    }
}

#[tokio::test]
async fn a_channel_that_is_configured_no_more_is_a_dead_one() {
    let world = World::new("gone").await;
    for _ in 0..2 {
        world.look().await;
        // Another gateway may have it.
        assert_eq!(world.told().await, (0, 1, 0, String::new()));
        world.pass(ABANDONED_MS / 2);
    }
    world.look().await;
    let (_, waiting, _, why) = world.told().await;
    assert_eq!((waiting, &*why), (1, "no channel of that name is configured any more"));
    let waits = |count: u32| {
        let metrics = world.teller.gateway.metrics();
        assert!(metrics.contains(&format!("callgate_notices_waiting{{channel=\"gone\"}} {count}")));
    };
    waits(1);
    // Once nothing waits any more, the metrics know that, too.
    let mut on_the_way = OnTheWay::default();
    on_the_way.rooms.insert("gone".to_owned(), Arc::new(Semaphore::new(1)));
    let now = world.clock.now().after_ms(AGAIN.ms_max);
    let during = (now, now.after_ms(1));
    for taken in world.store().take_notices("gone", during, 9).await.unwrap() {
        world.store().settle_notice(&taken, Settled::Delivered, now).await.unwrap();
    }
    world.teller.look(world.store(), &mut on_the_way).await.unwrap();
    waits(0);
}

#[test]
fn attempts_are_further_and_further_apart_and_never_at_one_moment() {
    let (least, most) = ([0; 16], [u8::MAX; 16]);
    let pauses: Vec<(u64, u64)> =
        (1..ATTEMPTS_MAX).map(|n| (AGAIN.ms(n, &least), AGAIN.ms(n, &most))).collect();
    assert_eq!(
        pauses,
        [
            (500, 1_000),
            (1_500, 3_000),
            (4_500, 9_000),
            (13_500, 27_000),
            (40_500, 81_000),
            (60_000, 120_000),
            (60_000, 120_000)
        ]
    );
    assert_eq!(AGAIN.ms(u32::MAX, &most), AGAIN.ms_max);
}
