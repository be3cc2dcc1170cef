use std::sync::Arc;
use std::time::Duration;

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::{Chain, Event, Payload};
use sqlx::Connection as _;
use tempfile::TempDir;

use super::*;
use crate::conformance::{open_calls, verified};
use crate::testing::{Ticking, intent, outcome};
use crate::{
    AuthorityStore as _, CursorStore as _, Durability, EvidenceError, EvidenceLimits, EvidenceLog,
    EvidenceStore, Holder,
};

fn opened(chain: &mut Chain) -> Vec<Row> {
    let event = Event::Opened { version: "0".to_owned(), after: None };
    vec![Row::seal(chain, Timestamp::default(), &event, Payload::new(&event, [7; 16]))]
}

/// Copies of the evidence that are behind move their cursors all the time, and whoever records a call waits for the same lock.
#[tokio::test]
async fn e03_no_record_waits_for_a_cursor_to_be_on_the_disk() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path().join("evidence.db")).await.unwrap();
    let ask = async |of: &mut SqliteConnection, pragma: &'static str| -> i64 {
        sqlx::query_scalar(pragma).fetch_one(of).await.unwrap()
    };
    // It changes with what others commit.
    let seen =
        async || ask(store.writing.lock().await.settled().await, "PRAGMA data_version").await;
    let synchronous = "PRAGMA synchronous";
    assert_eq!(ask(&mut *store.writing().await.unwrap(), synchronous).await, 2, "records are");
    assert_eq!(ask(&mut *store.unsynced().await.unwrap(), synchronous).await, 1);
    let (now, until) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(9));
    let holder = Holder { id: Ticking::new(1).id(), since: now, until };
    let mut all = vec![seen().await];
    store.take_cursor("siem", holder, 0).await.unwrap();
    all.push(seen().await);
    assert!(store.move_cursor("siem", holder.id, 1, now).await.unwrap());
    all.push(seen().await);
    store.fail_cursor("siem", holder.id, "away", now).await.unwrap();
    all.push(seen().await);
    store.leave_cursor("siem", holder.id).await.unwrap();
    all.push(seen().await);
    assert!(all.is_sorted_by(|one, next| one < next), "{all:?}");
}

#[tokio::test]
async fn a_file_has_any_number_of_readers_while_it_is_written() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    assert!(matches!(
        SqliteStore::open_read_only(&path).await,
        Err(OpenError::Database { path: told, .. }) if told == path
    ));
    let store = SqliteStore::open(&path).await.unwrap();
    let mut chain = Chain::new(Ticking::new(1).id());
    store.append(&opened(&mut chain)).await.unwrap();

    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    assert_eq!(reader.writers().await.unwrap(), [chain.writer()]);
    assert!(reader.append(&[]).await.is_err(), "a reader wrote");
    drop(store);
    assert_eq!(reader.writers().await.unwrap(), [chain.writer()]);
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_writers_share_a_file_and_leave_each_others_open_calls_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let open = async |path: &Path, seed: u8| {
        let store = Arc::new(SqliteStore::open(path).await.unwrap());
        let ambient = Arc::new(Ticking::new(seed));
        let limits = EvidenceLimits::default();
        EvidenceLog::open(Arc::clone(&store) as Arc<dyn EvidenceStore>, ambient, limits).await
    };
    let ids = Ticking::new(9);
    let intent = |call| Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
    let (first, recovered) = open(&path, 1).await.unwrap();
    assert!(recovered.indeterminate.is_empty());
    let (on_its_way, left_open) = (ids.id(), ids.id());
    first.record(intent(on_its_way), Durability::Durable).await.unwrap();

    // The second one begins while the first one has a call on its way, and crashes with one of its own.
    let (second, recovered) = open(&link, 2).await.unwrap();
    assert!(recovered.indeterminate.is_empty(), "{recovered:?}");
    second.record(intent(left_open), Durability::Durable).await.unwrap();
    let records = (0..40).map(async |n| {
        let log = if n % 2 == 0 { &first } else { &second };
        let call = ids.id();
        log.record(intent(call), Durability::Durable).await?;
        log.record(outcome(call), Durability::Durable).await
    });
    assert!(futures_util::future::join_all(records).await.iter().all(Result::is_ok));
    second.shutdown().await.unwrap();
    drop(second);

    let (third, recovered) = open(&path, 3).await.unwrap();
    assert_eq!(recovered.indeterminate, [left_open]);
    // What one of those that live has settled is settled.
    let (fourth, recovered) = open(&path, 4).await.unwrap();
    assert!(recovered.indeterminate.is_empty(), "{recovered:?}");
    fourth.shutdown().await.unwrap();
    drop(fourth);
    first.shutdown().await.unwrap();
    third.shutdown().await.unwrap();
    let store = SqliteStore::open_read_only(&path).await.unwrap();
    let writers = store.writers().await.unwrap();
    assert_eq!(writers.len(), 4);
    for writer in writers {
        verified(&store, writer).await;
    }
    let names = std::fs::read_dir(directory.path().join("evidence.db.writers")).unwrap();
    assert_eq!(names.count(), 0, "nobody lives");
}

#[tokio::test]
async fn e06_what_a_writer_left_that_crashed_is_closed_while_others_go_on() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let open = async |seed| {
        let store = Arc::new(SqliteStore::open(&path).await.unwrap());
        let shared = Arc::<SqliteStore>::clone(&store);
        let limits = EvidenceLimits::default();
        let log = EvidenceLog::open(shared, Arc::new(Ticking::new(seed)), limits).await.unwrap();
        (store, log.0)
    };
    let (left, own) = (Ticking::new(8).id(), Ticking::new(9).id());
    let intent = |call| Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
    let (store, log) = open(1).await;
    let (crashing, its_log) = open(2).await;
    log.record(intent(own), Durability::Durable).await.unwrap();
    its_log.record(intent(left), Durability::Durable).await.unwrap();
    assert_eq!(store.orphans().await.unwrap(), [], "both live");
    its_log.shutdown().await.unwrap();
    drop(crashing);
    // Who crashes leaves its file, and nobody holds its lock.
    let its = EvidenceStore::writers(&*store).await.unwrap()[1];
    std::fs::write(path.with_extension("db.writers").join(its.to_string()), "").unwrap();
    assert_eq!(store.orphans().await.unwrap(), [left]);
    log.close(left).await.unwrap();
    assert_eq!(store.orphans().await.unwrap(), []);
    assert_eq!(open_calls(&*store).await, [own]);
}

#[tokio::test]
async fn e06_a_writer_that_does_not_get_done_beginning_holds_the_next_one_up_in_bounds() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let slow = SqliteStore::open(&path).await.unwrap();
    slow.join(Ticking::new(1).id()).await.unwrap();
    let refused = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains("evidence.db.lock"), "{refused}");
    drop(slow);
    SqliteStore::open(&path).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path().join("evidence.db")).await.unwrap();
    store.append(&opened(&mut Chain::new(Ticking::new(1).id()))).await.unwrap();
    let mut names = Vec::new();
    for entry in directory.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["evidence.db", "evidence.db-shm", "evidence.db-wal", "evidence.db.lock"]);
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_acknowledged() {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(directory.path().join("evidence.db")).await.unwrap();
    let mut connection = store.writing.lock().await;
    let sqlite = connection.settled().await;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *sqlite).await.unwrap();
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *sqlite).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

#[tokio::test]
async fn a_version_of_the_future_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut connection = store.writing.lock().await;
    sqlx::query("PRAGMA user_version = 1000").execute(&mut connection.sqlite).await.unwrap();
    drop(connection);
    drop(store);
    for refused in [SqliteStore::open(&path).await, SqliteStore::open_read_only(&path).await] {
        assert!(matches!(refused, Err(OpenError::Newer { found: 1000, known: 11, .. })));
    }
    let path = directory.path().join("empty.db");
    std::fs::write(&path, "").unwrap();
    let refused = SqliteStore::open_read_only(&path).await;
    assert!(matches!(refused, Err(OpenError::Older { found: 0, known: 11, .. })));
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_to_the_latest_with_all_that_is_in_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let first = options(&path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    let mut first = connect(&path, &first).await.unwrap();
    let insert = "INSERT INTO evidence (writer, sequence, hash, at_ms, kind, text) \
                  VALUES ('w', 0, x'00', 1, 'opened', '{}'); PRAGMA user_version = 1;";
    for statements in [schema::STEPS[0], insert] {
        sqlx::raw_sql(statements).execute(&mut first).await.unwrap();
    }
    first.close().await.unwrap();
    let refused = SqliteStore::open_read_only(&path).await;
    assert!(matches!(refused, Err(OpenError::Older { found: 1, known: 11, .. })));

    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!((store.size().await.unwrap(), store.version().await.unwrap()), (0, 0));
    assert!(store.tokens(None).await.unwrap().is_empty());
    let mut chain = Chain::new(Ticking::new(1).id());
    store.append(&opened(&mut chain)).await.unwrap();
    assert_eq!(store.size().await.unwrap(), 1);
    let mut connection = store.writing.lock().await;
    let kept: String = sqlx::query_scalar("SELECT text FROM evidence_format_1")
        .fetch_one(&mut connection.sqlite)
        .await
        .unwrap();
    assert_eq!(kept, "{}");
}

/// No record of format 2 says that it was asked for, so no call may say it goes by it.
#[tokio::test]
async fn i3_approvals_of_before_the_records_of_today_are_withdrawn() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let before = options(&path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    let mut before = connect(&path, &before).await.unwrap();
    let insert = "INSERT INTO approvals (id, binding, asker, at_ms, decide_until_ms, use_until_ms, text, arguments, looks) \
                  VALUES ('a', 'b', 'alice', 1, 2, 4102444800000, '{}', '{}', '[]'); PRAGMA user_version = 10;";
    for statements in schema::STEPS[..10].iter().copied().chain([insert]) {
        sqlx::raw_sql(statements).execute(&mut before).await.unwrap();
    }
    before.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let mut connection = store.writing.lock().await;
    let found: (String, i64, Option<String>, Option<String>) =
        sqlx::query_as("SELECT ended, ended_ms, arguments, looks FROM approvals")
            .fetch_one(&mut connection.sqlite)
            .await
            .unwrap();
    assert_eq!(found, ("withdrawn".to_owned(), 1, None, None));
}

/// Records are linked as they become many.
#[tokio::test]
async fn all_but_the_newest_are_linked() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let (ambient, mut chain) = (Ticking::new(1), Chain::new(Ticking::new(2).id()));
    let mut seal =
        |event: &Event| Row::seal(&mut chain, ambient.now(), event, Payload::new(event, [7; 16]));
    for size in [300, 400, 700, 7] {
        let rows = (0..size).map(|_| outcome(ambient.id()));
        store.append(&rows.map(|event| seal(&event)).collect::<Vec<_>>()).await.unwrap();
    }
    let linked: i64 = sqlx::query_scalar("SELECT upto FROM linked")
        .fetch_one(&mut *store.writing().await.unwrap())
        .await
        .unwrap();
    assert_eq!(linked, 1_400);
}

/// Nothing of who is erased is left in the file, also in what was not linked yet; what others have stays found.
#[tokio::test]
async fn what_is_erased_is_in_no_table() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let ambient = Ticking::new(1);
    let mut chain = Chain::new(ambient.id());
    let mut seal =
        |event: &Event| Row::seal(&mut chain, ambient.now(), event, Payload::new(event, [7; 16]));
    let humans = ["alice", "bob", "alice"];
    let rows: Vec<Row> = humans
        .map(|human| seal(&Event::Decided(Arc::new(intent(ambient.id(), human, "release-bot")))))
        .into();
    store.append(&rows).await.unwrap();
    let change = Change::PayloadsErased { indexes: vec![0, 2, 99], reason: "asked for".to_owned() };
    let by = "operator".to_owned();
    let erased = seal(&Event::Administered(Arc::new(Administered { by, change })));
    store.append(&[erased]).await.unwrap();
    let mut connection = store.writing.lock().await;
    let values: Vec<String> =
        sqlx::query_scalar("SELECT value FROM link_values WHERE link IN ('human', 'agent')")
            .fetch_all(&mut connection.sqlite)
            .await
            .unwrap();
    assert_eq!(values, ["release-bot", "bob"]);
    let (payloads, links): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM payloads), (SELECT COUNT(DISTINCT id) FROM links)",
    )
    .fetch_one(&mut connection.sqlite)
    .await
    .unwrap();
    assert_eq!(
        (payloads, links),
        (2, 1),
        "bob's, and that of the erasure, which is not linked yet"
    );
}

#[tokio::test]
async fn i11_rows_cannot_be_changed_or_removed_by_mistake() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    store.append(&opened(&mut Chain::new(Ticking::new(1).id()))).await.unwrap();
    let mut connection = store.writing.lock().await;
    let statements =
        ["UPDATE evidence SET entry = ''", "DELETE FROM evidence", "UPDATE payloads SET text = ''"];
    for statement in statements {
        let refused = sqlx::query(statement).execute(&mut connection.sqlite).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn an_abandoned_append_leaves_nothing_open() {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let mut chain = Chain::new(Ticking::new(1).id());
    let rows = opened(&mut chain);
    let mut connection = store.writing.lock().await;
    connection.unfinished = true;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection.sqlite).await.unwrap();
    insert::entries(&mut connection.sqlite, &rows).await.unwrap();
    drop(connection);
    assert_eq!(store.head(chain.writer()).await.unwrap(), None, "an uncommitted row was seen");
    store.append(&rows).await.unwrap();
    assert_eq!(store.head(chain.writer()).await.unwrap(), Some((0, rows[0].hash)));
}

#[tokio::test]
async fn e01_a_full_disk_is_an_error_until_there_is_room() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let store = Arc::new(SqliteStore::open(&path).await.unwrap().with_room(100_000));
    let kept_free = || {
        let mut files = std::fs::read_dir(directory.path().join("evidence.db.writers")).unwrap();
        files.next().unwrap().unwrap().metadata().unwrap().len()
    };
    let pages = async |limit: &'static str| {
        let mut connection = store.writing.lock().await;
        sqlx::query(limit).execute(connection.settled().await).await.unwrap();
    };
    let ambient = Arc::new(Ticking::new(1));
    let (log, _) = EvidenceLog::open(
        Arc::<SqliteStore>::clone(&store),
        Arc::<Ticking>::clone(&ambient),
        EvidenceLimits::default(),
    )
    .await
    .unwrap();
    let write = async || {
        let call = ambient.id();
        let event = Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
        log.record(event, Durability::Durable).await.map(|()| call)
    };

    assert_eq!(kept_free(), 100_000);
    pages("PRAGMA max_page_count = 20").await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        match write().await {
            Ok(call) => acknowledged.push(call),
            Err(error) => break error,
        }
    };
    // The disk itself has room: at once the store seems to work again, until there is something to be stored.
    assert!(refused.to_string().contains("not stored"), "{refused}");
    let last = *acknowledged.last().unwrap();
    // The effect of this one happened: its outcome, too large for what is left, is kept until there is room.
    let mut outcome = outcome(last);
    if let Event::Concluded(concluded) = &mut outcome {
        concluded.detail = Some("x".repeat(20_000));
    }
    assert!(log.record(outcome, Durability::Durable).await.is_err());
    assert!(!log.is_healthy());

    pages("PRAGMA max_page_count = 100000").await;
    log.health().wait_for(|healthy| *healthy).await.unwrap();
    assert_eq!(kept_free(), 100_000);
    acknowledged.push(write().await.unwrap());
    assert!(log.is_healthy());
    log.shutdown().await.unwrap();
    acknowledged.retain(|call| *call != last);
    assert_eq!(open_calls(&*store).await, acknowledged);
    let (writer, head) = store.last_chain().await.unwrap().unwrap();
    assert_eq!(verified(&*store, writer).await, head);
}

#[tokio::test]
async fn e03_a_file_locked_by_a_stranger_is_an_error_in_time() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("evidence.db");
    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let ambient = Arc::new(Ticking::new(1));
    let (log, _) = EvidenceLog::open(
        Arc::<SqliteStore>::clone(&store),
        Arc::<Ticking>::clone(&ambient),
        EvidenceLimits { append_timeout: Duration::from_millis(200), ..EvidenceLimits::default() },
    )
    .await
    .unwrap();
    let write = async || {
        let call = ambient.id();
        let event = Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
        log.record(event, Durability::Durable).await.map(|()| call)
    };

    let mut stranger = connect(&path, &options(&path)).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut stranger).await.unwrap();
    // What gives up here is in the middle of an append.
    assert!(matches!(write().await, Err(EvidenceError::Timeout)));
    assert!(matches!(write().await, Err(EvidenceError::Failing)));
    sqlx::query("ROLLBACK").execute(&mut stranger).await.unwrap();

    log.health().wait_for(|healthy| *healthy).await.unwrap();
    let call = write().await.unwrap();
    log.shutdown().await.unwrap();
    assert_eq!(open_calls(&*store).await, [call]);
    let (writer, head) = store.last_chain().await.unwrap().unwrap();
    assert_eq!(verified(&*store, writer).await, head);
}

#[tokio::test]
async fn e01_a_database_that_is_read_only_is_one_that_fails_until_it_is_written() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("evidence.db")).await.unwrap());
    let ambient = Arc::new(Ticking::new(1));
    let probe_interval = Duration::from_millis(20);
    let limits = EvidenceLimits { probe_interval, ..EvidenceLimits::default() };
    let opening = EvidenceLog::open(
        Arc::<SqliteStore>::clone(&store),
        Arc::<Ticking>::clone(&ambient),
        limits,
    );
    let (log, _) = opening.await.unwrap();
    let write = async || {
        let call = ambient.id();
        let event = Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
        log.record(event, Durability::Durable).await.map(|()| call)
    };
    let is_read_only = async |pragma: &'static str| {
        let mut connection = store.writing.lock().await;
        sqlx::query(pragma).execute(connection.settled().await).await.unwrap();
    };
    let done = write().await.unwrap();

    is_read_only("PRAGMA query_only = 1").await;
    assert!(matches!(write().await, Err(EvidenceError::Store(_))));
    assert!(log.record(outcome(done), Durability::Durable).await.is_err());
    for _ in 0..5 {
        tokio::time::sleep(3 * probe_interval).await;
        assert!(!log.is_healthy(), "it was taken for one that can be written");
        assert!(matches!(write().await, Err(EvidenceError::Failing)));
    }

    is_read_only("PRAGMA query_only = 0").await;
    log.health().wait_for(|healthy| *healthy).await.unwrap();
    let call = write().await.unwrap();
    log.shutdown().await.unwrap();
    assert_eq!(open_calls(&*store).await, [call], "what happened was kept");
}
