use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::evidence::{Chain, Event, Finding, Payload, Settled};
use callgate_store::{EvidenceStore as _, Row, SqliteStore};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::syslog::Protection;
use super::*;
use crate::ambient::Machine;

/// A store with as many records as there are lengths of what they say.
async fn store(lengths: impl Iterator<Item = usize>) -> SqliteStore {
    let store = SqliteStore::open_in_memory().await.unwrap();
    let mut chain = Chain::new(Machine.id());
    for length in lengths {
        let event = match length {
            0 => Event::Opened { version: "0".to_owned(), after: None },
            _ => Event::Settled(settled(length)),
        };
        let payload = Payload::new(&event, [7; 16]);
        let mut row = Row::seal(&mut chain, Timestamp::from_unix_ms(0), &event, payload);
        row.applies.clear();
        store.append(&[row]).await.unwrap();
    }
    store
}

fn settled(length: usize) -> Settled {
    let call = Id::parse("019acb5e-8b1c-7d5e-a1c4-3f0d2b6e9a77").unwrap();
    let (by, note) = ("carol".to_owned(), "x".repeat(length));
    Settled { call, by, finding: Finding::TookEffect, note }
}

async fn read(store: &SqliteStore, first: u64, next: Option<u64>) -> (u64, usize) {
    let batch = Batch::read(store, &Wanted::default(), first, next).await.unwrap();
    assert_eq!(batch.first, first);
    (batch.next, batch.exported().count())
}

#[tokio::test]
async fn i13_a_batch_has_so_many_records_and_no_more() {
    let store = store((0..260).map(|_| 0)).await;
    assert_eq!(read(&store, 0, None).await, (250, 250));
    assert_eq!(read(&store, 250, None).await, (260, 10));
    assert_eq!(read(&store, 260, None).await, (260, 0));
    // What is sent again is what was sent, whatever came meanwhile.
    assert_eq!(read(&store, 250, Some(253)).await, (253, 3));
    assert_eq!(read(&store, 250, Some(250)).await, (260, 10));
}

#[tokio::test]
async fn i13_a_batch_is_so_long_and_no_longer() {
    let store = store([300 << 10, 200 << 10, 100 << 10, 900 << 10, 0].into_iter()).await;
    assert_eq!(read(&store, 0, None).await, (2, 2));
    assert_eq!(read(&store, 2, None).await, (3, 1));
    // One that is longer goes alone.
    assert_eq!(read(&store, 3, None).await, (4, 1));
    assert_eq!(read(&store, 4, None).await, (5, 1));
}

#[tokio::test]
async fn what_is_not_wanted_is_passed_over() {
    let store = store([0, 10, 0, 10].into_iter()).await;
    let kinds = ["settled".to_owned()].into();
    let wanted = Wanted { kinds, ..Wanted::default() };
    let batch = Batch::read(&store, &wanted, 0, None).await.unwrap();
    assert_eq!((batch.next, batch.exported().count()), (4, 2));
    // Of a call of which nothing is known any more, it was let through at least.
    for (decision, count) in [("allow", 4), ("deny", 2)] {
        let wanted = Wanted { decisions: [decision.to_owned()].into(), ..Wanted::default() };
        let batch = Batch::read(&store, &wanted, 0, None).await.unwrap();
        assert_eq!(batch.exported().count(), count, "{decision}");
    }
}

/// A receiver that closes the connection may not have read what was in it.
#[tokio::test]
async fn what_a_receiver_may_not_have_had_is_sent_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(address, Protection::DangerNone);
    syslog.send(b"1 a".to_vec()).await.unwrap();
    let (first, _) = listener.accept().await.unwrap();
    syslog.send(b"1 b".to_vec()).await.unwrap();
    drop(first);
    // Until it is known here.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    syslog.send(b"1 c".to_vec()).await.unwrap();
    syslog.close().await;
    let (mut second, _) = listener.accept().await.unwrap();
    let mut all = String::new();
    second.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "1 b1 c");
}
