use callgate_model::ambient::{Ambient as _, Timestamp};

use super::schema::STEPS;
use super::server::Database;
use super::{PostgresError, PostgresStore};
use crate::testing::Ticking;
use crate::{CursorStore as _, Holder, StoreError};

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
        opening.spawn(async move { PostgresStore::open(&url).await.unwrap() });
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
    let refused = PostgresStore::open(&database.url()).await;
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
    for url in ["postgres://callgate:canary@127.0.0.1:1/x", "postgres://callgate:canary@[/x"] {
        let error = PostgresStore::open(url).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
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
    let opened = PostgresStore::open(&database.url()).await;
    assert!(matches!(opened, Err(PostgresError::Database(_))), "{opened:?}");

    database
        .run(&format!("SET transaction_read_only = off; ALTER DATABASE {name} RESET ALL"))
        .await;
    assert!(store.cursor("siem").await.unwrap().is_some());
}
