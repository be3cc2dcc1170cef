//! A server that goes without a word, as when its machine loses power: connections stay, and nothing ever comes of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_model::ambient::Ambient as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::server::Database;
use super::{Address, PostgresStore};
use crate::testing::Ticking;
use crate::{AuthorityStore as _, EvidenceStore as _};

/// What is between: each connection carries what is said, until all that there are fall silent.
async fn between(to: String, silent: watch::Receiver<u32>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (mut silent, to) = (silent.clone(), to.clone());
            silent.mark_unchanged();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    ended = copy_bidirectional(&mut near, &mut far) => drop(ended),
                    _ = silent.changed() => std::future::pending().await,
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i5_a_server_that_falls_silent_is_asked_anew_before_the_system_notices() {
    let database = Database::new().await;
    let url = database.url();
    let server = url.split('@').nth(1).unwrap().split('/').next().unwrap();
    let (fall_silent, silent) = watch::channel(0);
    let port = between(server.to_owned(), silent).await;
    let address = url.replace(server, &format!("127.0.0.1:{port}"));
    let store = PostgresStore::open(&Address::new(&address, None).unwrap()).await.unwrap();
    let store = Arc::new(store);
    store.join(Ticking::new(1).id()).await.unwrap();
    store.version().await.unwrap();

    fall_silent.send(1).unwrap();
    // As many as there are connections for, and more.
    let asked = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..6 {
        let store = Arc::clone(&store);
        asking.spawn(async move { store.version().await.is_ok() });
    }
    while let Some(answered) = asking.join_next().await {
        answered.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(10), "somebody waits for ever");
    }
    while store.version().await.is_err() || store.append(&[]).await.is_err() {
        assert!(asked.elapsed() < Duration::from_secs(30), "it is not asked anew");
    }
}
