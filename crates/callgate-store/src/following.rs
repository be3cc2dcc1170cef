//! What every store must do for those who send evidence elsewhere, as one suite.

use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Timestamp};

use crate::engines::{Engine, Files, Opened};
use crate::testing::Ticking;
use crate::{Cursor, CursorStore, Holder, KeptCheckpoint, Store, TreeStore};

fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

/// Two who want the same cursor.
fn rivals() -> [impl Fn(i64) -> Holder; 2] {
    let ambient = Ticking::new(1);
    let rival = || {
        let id = ambient.id();
        move |since| Holder { id, since: at(since), until: at(since + 1_000) }
    };
    [rival(), rival()]
}

/// Runs the suite of cursors; `open` makes an empty store each time.
async fn conforms(open: impl AsyncFn() -> Opened) {
    a_cursor_is_of_whoever_takes_it_for_a_while(&*open().await.store).await;
    a_cursor_only_goes_forward(&*open().await.store).await;
    cursors_differ_if_their_case_does(&*open().await.store).await;
    an_error_is_kept_whatever_is_in_it(&*open().await.store).await;
    one_of_many_takes_a_cursor(&open().await.store).await;
    a_cosignature_is_not_lost(&*open().await.store).await;
}

async fn a_cursor_is_of_whoever_takes_it_for_a_while(store: &dyn CursorStore) {
    let [one, other] = rivals();
    assert_eq!(store.cursor("siem").await.unwrap(), None);
    let taken = store.take_cursor("siem", one(0), 7).await.unwrap().unwrap();
    let new = Cursor { name: "siem".to_owned(), next: 7, moved_at: None, failure: None };
    assert_eq!(taken, new);
    assert_eq!(store.take_cursor("siem", other(999), 0).await.unwrap(), None);
    // It is held for longer, and then not any more.
    assert!(store.take_cursor("siem", one(999), 0).await.unwrap().is_some());
    assert_eq!(store.take_cursor("siem", other(1_998), 0).await.unwrap(), None);
    assert_eq!(store.take_cursor("siem", other(1_999), 0).await.unwrap(), Some(new.clone()));
    // Whoever lost it moves nothing, tells nothing, and cannot leave it.
    assert!(!store.move_cursor("siem", one(0).id, 9, at(5)).await.unwrap());
    store.fail_cursor("siem", one(0).id, "late", at(5)).await.unwrap();
    store.leave_cursor("siem", one(0).id).await.unwrap();
    assert_eq!(store.cursor("siem").await.unwrap(), Some(new));
    assert_eq!(store.take_cursor("siem", one(2_000), 0).await.unwrap(), None);
    store.leave_cursor("siem", other(0).id).await.unwrap();
    assert!(store.take_cursor("siem", one(2_000), 0).await.unwrap().is_some());
}

async fn a_cursor_only_goes_forward(store: &dyn CursorStore) {
    let [one, _] = rivals();
    let id = one(0).id;
    assert!(!store.move_cursor("siem", id, 1, at(1)).await.unwrap(), "there is none");
    store.take_cursor("siem", one(0), 0).await.unwrap();
    store.take_cursor("anchors.vault", one(0), 3).await.unwrap();
    store.fail_cursor("siem", id, &"ä".repeat(600), at(1)).await.unwrap();
    let failed = store.cursor("siem").await.unwrap().unwrap();
    assert_eq!(failed.failure, Some(("ä".repeat(250), at(1))));
    assert!(store.move_cursor("siem", id, 500, at(2)).await.unwrap());
    assert!(!store.move_cursor("siem", id, 499, at(3)).await.unwrap());
    let (siem, vault) = (
        Cursor { name: "siem".to_owned(), next: 500, moved_at: Some(at(2)), failure: None },
        Cursor { name: "anchors.vault".to_owned(), next: 3, moved_at: None, failure: None },
    );
    assert_eq!(store.cursors().await.unwrap(), [vault, siem]);
}

async fn cursors_differ_if_their_case_does(store: &dyn CursorStore) {
    let [one, _] = rivals();
    for (name, begin) in [("a", 1), ("B", 2), ("b", 3), ("\u{e4}", 4), ("A", 5)] {
        let taken = store.take_cursor(name, one(0), begin).await.unwrap().unwrap();
        assert_eq!((taken.name.as_str(), taken.next), (name, begin));
    }
    let all: Vec<_> = store.cursors().await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(all, ["A", "B", "a", "b", "\u{e4}"]);
}

async fn an_error_is_kept_whatever_is_in_it(store: &dyn CursorStore) {
    let [one, _] = rivals();
    let error = "o'hara; \0 \u{1F600}";
    store.take_cursor("siem", one(0), 0).await.unwrap();
    store.fail_cursor("siem", one(0).id, error, at(1)).await.unwrap();
    let failed = store.cursor("siem").await.unwrap().unwrap();
    assert_eq!(failed.failure, Some((error.to_owned(), at(1))));
}

async fn one_of_many_takes_a_cursor(store: &Arc<dyn Store>) {
    let ambient = Ticking::new(1);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let holder = Holder { id: ambient.id(), since: at(0), until: at(1) };
        let store = Arc::clone(store);
        all.spawn(async move { store.take_cursor("siem", holder, 0).await.unwrap().is_some() });
    }
    let taken = all.join_all().await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 1);
}

async fn a_cosignature_is_not_lost(store: &dyn TreeStore) {
    let signed = KeptCheckpoint { size: 5, at: at(1), note: "signed".to_owned() };
    store.keep_checkpoint(&signed).await.unwrap();
    assert!(store.cosign_checkpoint(&signed, "signed, cosigned").await.unwrap());
    assert!(!store.cosign_checkpoint(&signed, "by another").await.unwrap());
    // Another gateway signs the same tree later.
    store.keep_checkpoint(&signed).await.unwrap();
    let kept = store.last_checkpoint().await.unwrap().unwrap();
    assert_eq!(kept, KeptCheckpoint { note: "signed, cosigned".to_owned(), ..signed });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_a_file_conforms() {
    let files = Files::new();
    conforms(async || files.open().await).await;
}

#[tokio::test]
async fn i12_memory_conforms() {
    conforms(async || Engine::Sqlite.open().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i12_postgres_conforms() {
    conforms(async || Engine::Postgres.open().await).await;
}
