use std::sync::Arc;
use std::time::Duration;

use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::audit::Auditor;
use callgate_model::evidence::{Chain, Event, Payload};

use super::schema::STEPS;
use super::server::Database;
use super::{Address, PostgresError, PostgresStore};
use crate::approving::World;
use crate::testing::{Ticking, intent, outcome};
use crate::{
    AuthorityStore as _, CursorStore as _, Durability, EvidenceLimits, EvidenceLog,
    EvidenceStore as _, Holder, Row, StoreError,
};

fn holder() -> Holder {
    let at = Timestamp::from_unix_ms;
    Holder { id: Ticking::new(1).id(), since: at(0), until: at(1_000) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn replicas_that_open_an_empty_database_together_make_it_once() {
    let database = Database::new().await;
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = database.url();
        opening.spawn(async move {
            PostgresStore::open(&Address::new(&url, None).unwrap()).await.unwrap()
        });
    }
    assert_eq!(opening.join_all().await.len(), 8);
    // Each version is counted once; a second one of any would be in the way of this.
    database.run("CREATE UNIQUE INDEX once ON callgate_schema (version)").await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn a_newer_database_is_refused_and_left_as_it_is() {
    let database = Database::new().await;
    drop(database.open().await);
    database.run("INSERT INTO callgate_schema VALUES (1000)").await;
    let refused = PostgresStore::open(&Address::new(&database.url(), None).unwrap()).await;
    let known = i64::try_from(STEPS.len()).unwrap();
    match refused {
        Err(PostgresError::Newer { found, known: told }) => {
            assert_eq!((found, told), (1_000, known));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn i7_the_password_in_an_address_is_not_told() {
    let address = Address::new("postgres://callgate:canary@127.0.0.1:1/x", None).unwrap();
    let error = PostgresStore::open(&address).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn a_database_that_was_lost_is_an_error_and_comes_back_without_a_restart() {
    let database = Database::new().await;
    let store = database.open().await;
    store.take_cursor("siem", holder(), 7).await.unwrap();

    database.lose(false).await;
    let lost = store.take_cursor("siem", holder(), 7).await;
    assert!(matches!(lost, Err(StoreError::Database(_))), "{lost:?}");

    database.lose(true).await;
    let kept = store.cursor("siem").await.unwrap().unwrap();
    assert_eq!(kept.next, 7);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i8_a_server_that_only_reads_answers_nothing() {
    let database = Database::new().await;
    let store = database.open().await;
    store.take_cursor("siem", holder(), 7).await.unwrap();

    let name = database.name();
    database.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    database.lose(true).await;
    let read = store.cursor("siem").await;
    assert!(matches!(read, Err(StoreError::Database(_))), "{read:?}");
    let opened = PostgresStore::open(&Address::new(&database.url(), None).unwrap()).await;
    assert!(matches!(opened, Err(PostgresError::Database(_))), "{opened:?}");

    database
        .run(&format!("SET transaction_read_only = off; ALTER DATABASE {name} RESET ALL"))
        .await;
    assert!(store.cursor("siem").await.unwrap().is_some());
}

/// Two replicas, each with a writer of its own.
async fn two(database: &Database) -> [(Arc<PostgresStore>, Chain); 2] {
    let ambient = Ticking::new(1);
    let mut both = Vec::new();
    for _ in 0..2 {
        let store = Arc::new(database.open().await);
        let chain = Chain::new(ambient.id());
        store.join(chain.writer()).await.unwrap();
        both.push((store, chain));
    }
    both.try_into().unwrap()
}

fn sealed(chain: &mut Chain, event: &Event) -> Row {
    Row::seal(chain, Timestamp::from_unix_ms(1), event, Payload::new(event, [7; 16]))
}

fn intent_of(call: Id) -> Event {
    Event::Decided(Arc::new(intent(call, "alice", "release-bot")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn e04_a_replica_that_dies_leaves_its_calls_to_the_others_after_its_lease() {
    let database = Database::new().await;
    let [(dying, mut chain), (other, _)] = two(&database).await;
    let (open, concluded) = (chain.writer(), Ticking::new(9).id());
    let rows = [intent_of(open), intent_of(concluded), outcome(concluded)];
    let rows = rows.map(|event| sealed(&mut chain, &event));
    dying.append(&rows).await.unwrap();
    assert_eq!(other.orphans().await.unwrap(), [], "it lives");
    drop(dying);
    let died = format!("UPDATE writers SET lives_until_ms = 1 WHERE writer = '{}'", chain.writer());
    database.run(&died).await;
    assert_eq!(other.orphans().await.unwrap(), [open]);

    let ambient = Arc::new(Ticking::new(50));
    let log = EvidenceLog::open(
        Arc::<PostgresStore>::clone(&other),
        Arc::<Ticking>::clone(&ambient),
        EvidenceLimits::default(),
    );
    let (_log, recovery) = log.await.unwrap();
    assert_eq!(recovery.indeterminate, [open]);
    assert_eq!(other.orphans().await.unwrap(), []);
    assert_eq!(database.number("SELECT COUNT(*) FROM open_calls").await, 0);
}

/// What was given up may be on its way for long: the database, or the network, may have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i1_nobody_is_told_the_head_while_an_append_may_still_come() {
    let database = Database::new().await;
    let [(store, mut chain), _] = two(&database).await;
    let writer = chain.writer();
    let row = [sealed(&mut chain, &intent_of(writer))];
    // Somebody else has the turn, and does not get done.
    let mut slow = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT size FROM log FOR UPDATE").execute(&mut slow).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(300), store.append(&row)).await;
    assert!(given_up.is_err());
    let head = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.head(writer).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!head.is_finished(), "it may still be stored");
    sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
    assert_eq!(head.await.unwrap(), Some((0, row[0].hash)), "it was stored");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i1_an_append_that_comes_after_the_head_was_told_is_refused() {
    let database = Database::new().await;
    let [(store, mut chain), _] = two(&database).await;
    let writer = chain.writer();
    assert_eq!(store.head(writer).await.unwrap(), None);
    // As one does that is of an earlier attempt.
    let late = "SELECT COUNT(*) FROM callgate_turn($1, 1, 1, 1)";
    let turns: i64 = sqlx::query_scalar(late)
        .bind(writer.to_string())
        .fetch_one(&mut database.connect().await)
        .await
        .unwrap();
    assert_eq!(turns, 0);
    database.run("UPDATE writers SET attempt = attempt + 1").await;
    for event in [intent_of(writer), Event::Administered(Arc::new(sample_change()))] {
        let row = [sealed(&mut chain.clone(), &event)];
        let refused = store.append(&row).await;
        assert!(matches!(refused, Err(StoreError::Overtaken)), "{refused:?}");
    }
    assert_eq!(store.size().await.unwrap(), 0);
    // And the writer goes on.
    store.head(writer).await.unwrap();
    store.append(&[sealed(&mut chain, &intent_of(writer))]).await.unwrap();
}

fn sample_change() -> Administered {
    let change = Change::SignedOut { id: Ticking::new(7).id() };
    Administered { by: "operator".to_owned(), change }
}

/// By the clock of the database, whatever a replica's says.
#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i2_what_has_ended_by_the_database_s_clock_is_not_spent() {
    let database = Database::new().await;
    let address = Address::new(&database.url(), None).unwrap();
    let store = Arc::new(PostgresStore::open(&address).await.unwrap());
    // The clock of these is far behind.
    let world = World::of(Arc::<PostgresStore>::clone(&store), None);
    let long_ago = Timestamp::from_unix_ms(1_000_000_000);
    assert!(world.ask("alice", "delete", long_ago).await.is_some());
    let open = store.approvals(None).await.unwrap();
    assert!(!world.vote(open[0].approval.id, "bob", true, long_ago).await, "nobody can decide it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i11_replicas_write_one_log_without_gaps() {
    let database = Database::new().await;
    let mut writing = tokio::task::JoinSet::new();
    for seed in [1, 2] {
        let (store, ambient) = (Arc::new(database.open().await), Arc::new(Ticking::new(seed)));
        let limits = EvidenceLimits::default();
        let shared = Arc::<PostgresStore>::clone(&store);
        let (log, _) =
            EvidenceLog::open(shared, Arc::<Ticking>::clone(&ambient), limits).await.unwrap();
        writing.spawn(async move {
            for _ in 0..90 {
                log.record(intent_of(ambient.id()), Durability::Durable).await.unwrap();
            }
            store
        });
    }
    let stores = writing.join_all().await;
    let rows = stores[0].read(0, u32::MAX).await.unwrap();
    let indexes: Vec<u64> = rows.iter().filter_map(|row| row.index).collect();
    assert_eq!(indexes, (0..182).collect::<Vec<u64>>());
    let mut auditor = Auditor::new();
    for row in &rows {
        auditor.entry(row.entry.as_bytes(), Some(row.text.as_bytes())).unwrap();
    }
    assert_eq!(database.number("SELECT size FROM log").await, 182);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i11_rows_cannot_be_changed_or_removed_by_mistake() {
    let database = Database::new().await;
    let [(store, mut chain), _] = two(&database).await;
    let call = chain.writer();
    store.append(&[sealed(&mut chain, &intent_of(call))]).await.unwrap();
    let statements = [
        "UPDATE evidence SET entry = ''",
        "DELETE FROM evidence",
        "TRUNCATE evidence",
        "UPDATE payloads SET text = ''",
    ];
    for statement in statements {
        let refused =
            sqlx::raw_sql(statement).execute(&mut database.connect().await).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

/// Whoever acknowledges has the commit on the disk, whatever the server is told otherwise.
#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i1_a_server_that_would_acknowledge_early_does_not() {
    let database = Database::new().await;
    let name = database.name();
    database.run(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let store = database.open().await;
    let commits: String = sqlx::query_scalar("SHOW synchronous_commit")
        .fetch_one(&mut *store.writing().await.unwrap())
        .await
        .unwrap();
    assert_eq!(commits, "local");
}

/// Records are linked as they become many, behind whoever stores them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn all_but_the_newest_are_linked() {
    let database = Database::new().await;
    let [(store, mut chain), _] = two(&database).await;
    let ids = Ticking::new(9);
    for size in [300, 400, 700] {
        let rows: Vec<Row> = (0..size).map(|_| sealed(&mut chain, &intent_of(ids.id()))).collect();
        store.append(&rows).await.unwrap();
    }
    while database.number("SELECT upto FROM linked").await < 700 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let linked = database.number("SELECT COUNT(DISTINCT id) FROM links").await;
    assert!(linked >= 700, "{linked}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn what_is_erased_is_in_no_table() {
    let database = Database::new().await;
    let [(store, mut chain), _] = two(&database).await;
    let ids = Ticking::new(9);
    let rows = ["alice", "bob", "alice"].map(|human| {
        let decided = intent(ids.id(), human, "release-bot");
        sealed(&mut chain, &Event::Decided(Arc::new(decided)))
    });
    store.append(&rows).await.unwrap();
    let change = Change::PayloadsErased { indexes: vec![0, 2, 99], reason: "asked for".to_owned() };
    let by = "operator".to_owned();
    let erased = Event::Administered(Arc::new(Administered { by, change }));
    store.append(&[sealed(&mut chain, &erased)]).await.unwrap();
    let named = "SELECT COUNT(*) FROM link_values WHERE link IN ('human', 'agent') \
                 AND value IN ('release-bot', 'bob')";
    let of_alice = "SELECT COUNT(*) FROM link_values WHERE value = 'alice'";
    assert_eq!((database.number(named).await, database.number(of_alice).await), (2, 0));
    assert_eq!(database.number("SELECT COUNT(*) FROM payloads").await, 2);
    assert_eq!(database.number("SELECT COUNT(DISTINCT id) FROM links").await, 1, "bob's");
}
