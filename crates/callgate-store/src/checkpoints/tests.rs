use callgate_model::digest::Digest;
use callgate_model::evidence::{Chain, Event, Payload};
use callgate_model::transparency::{
    Path, Subtree, leaf_hash, verify_consistency, verify_inclusion,
};
use futures_util::future::join_all;

use super::*;
use crate::engines::{Engine, Opened};
use crate::postgres::server::Database;
use crate::testing::{Ticking, outcome};
use crate::{Row, Store, hash_of, prove};

/// A store, and who writes to it.
struct Bench {
    store: Arc<dyn Store>,
    ambient: Arc<Ticking>,
    chain: Chain,
    _database: Option<Database>,
}

impl Bench {
    async fn new(engine: Engine) -> Self {
        let Opened { store, database } = engine.open().await;
        let ambient = Arc::new(Ticking::new(1));
        let chain = Chain::new(ambient.id());
        Self { store, ambient, chain, _database: database }
    }

    async fn append(&mut self, count: usize) {
        let events: Vec<Event> = (0..count).map(|_| outcome(self.ambient.id())).collect();
        let seal = |event: &Event| {
            let payload = Payload::new(event, self.ambient.random());
            Row::seal(&mut self.chain, self.ambient.now(), event, payload)
        };
        let rows: Vec<Row> = events.iter().map(seal).collect();
        self.store.append(&rows).await.unwrap();
    }

    fn checkpoints(&self, seeds: &[u8]) -> Checkpoints {
        let signer = |seed: &u8| Signer::new("gate.example/log", &[*seed; 32]).unwrap();
        let (store, ambient) = (Arc::clone(&self.store), Arc::clone(&self.ambient));
        Checkpoints::new(store, ambient, seeds.iter().map(signer).collect())
    }

    /// The root over all that is stored, made anew.
    async fn root(&self) -> Digest {
        let mut tree = Frontier::new();
        for row in self.store.read(0, u32::MAX).await.unwrap() {
            tree.push(leaf_hash(row.entry.as_bytes()));
        }
        tree.root()
    }
}

fn verified(kept: &KeptCheckpoint, seeds: &[u8]) -> Checkpoint {
    let keys: Vec<_> = seeds
        .iter()
        .map(|seed| Signer::new("gate.example/log", &[*seed; 32]).unwrap().verifier())
        .collect();
    Checkpoint::verify(&kept.note, &keys).unwrap().checkpoint
}

with_each_engine!(
    i11_a_checkpoint_is_of_all_that_is_stored,
    i11_proofs_are_made_of_what_is_kept,
    i11_whoever_makes_the_tree_makes_one_tree,
    while_a_key_takes_the_place_of_another_both_sign,
    the_end_has_a_checkpoint,
);

async fn i11_a_checkpoint_is_of_all_that_is_stored(engine: Engine) {
    let mut bench = Bench::new(engine).await;
    let checkpoints = bench.checkpoints(&[1]);
    checkpoints.make().await.unwrap();
    assert_eq!(bench.store.last_checkpoint().await.unwrap(), None, "of nothing");
    for count in [1, 2, 300, 10_000] {
        bench.append(count).await;
        checkpoints.make().await.unwrap();
        let last = bench.store.last_checkpoint().await.unwrap().unwrap();
        assert_eq!(checkpoints.newest().borrow().as_ref(), Some(&last));
        let checkpoint = verified(&last, &[1]);
        assert_eq!(checkpoint.size, bench.store.size().await.unwrap());
        assert_eq!(checkpoint.root, bench.root().await);
        checkpoints.make().await.unwrap();
    }
    let all = bench.store.checkpoints(0, 100).await.unwrap();
    assert_eq!(all.iter().map(|one| one.size).collect::<Vec<_>>(), [1, 3, 303, 10_303]);
    assert_eq!(bench.store.checkpoints(4, 1).await.unwrap(), all[2..3]);
}

async fn i11_proofs_are_made_of_what_is_kept(engine: Engine) {
    let mut bench = Bench::new(engine).await;
    bench.append(70_000).await;
    bench.checkpoints(&[1]).make().await.unwrap();
    let (tree, store) = (bench.store.tree().await.unwrap(), &*bench.store);
    let hashes = store.hashes(0, 70_000).await.unwrap();
    for index in [0, 1, 255, 256, 65_535, 65_536, 69_999] {
        let path = Path::inclusion(index, tree.size()).unwrap();
        let proof = prove(store, &path).await.unwrap();
        let leaf = &hashes[usize::try_from(index).unwrap()];
        verify_inclusion(leaf, index, tree.size(), &proof, &tree.root()).unwrap();
    }
    for old in [1, 256, 300, 65_536, 66_000] {
        let mut before = Frontier::new();
        hashes[..old].iter().for_each(|hash| before.push(*hash));
        let size = u64::try_from(old).unwrap();
        let proof = prove(store, &Path::consistency(size, tree.size()).unwrap()).await.unwrap();
        verify_consistency(size, &before.root(), tree.size(), &tree.root(), &proof).unwrap();
    }
    for missing in [Subtree { level: 16, index: 2 }, Subtree { level: 3, index: 1 << 20 }] {
        assert!(hash_of(store, missing).await.is_err(), "{missing:?}");
    }
}

async fn i11_whoever_makes_the_tree_makes_one_tree(engine: Engine) {
    let mut bench = Bench::new(engine).await;
    let rivals: Vec<_> = (0..4).map(|_| bench.checkpoints(&[1])).collect();
    for _ in 0..5 {
        bench.append(9_000).await;
        let made = join_all(rivals.iter().map(Checkpoints::make)).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let last = bench.store.last_checkpoint().await.unwrap().unwrap();
        assert_eq!(verified(&last, &[1]).root, bench.root().await);
    }
    // Nothing that is behind replaces what is ahead.
    assert!(!bench.store.grow(1, &Frontier::new(), &[]).await.unwrap());
    assert_eq!(bench.store.tree().await.unwrap().size(), 45_000);
}

async fn while_a_key_takes_the_place_of_another_both_sign(engine: Engine) {
    let mut bench = Bench::new(engine).await;
    bench.append(1).await;
    bench.checkpoints(&[2, 1]).make().await.unwrap();
    let last = bench.store.last_checkpoint().await.unwrap().unwrap();
    for seed in [1, 2] {
        assert_eq!(verified(&last, &[seed]).size, 1);
    }
    bench.append(1).await;
    assert!(matches!(bench.checkpoints(&[]).make().await, Err(CheckpointError::Unsigned)));
}

async fn the_end_has_a_checkpoint(engine: Engine) {
    let mut bench = Bench::new(engine).await;
    let checkpoints = Arc::new(bench.checkpoints(&[1]));
    bench.append(7).await;
    let (store, hour) = (Arc::clone(&bench.store), Duration::from_secs(3_600));
    Arc::clone(&checkpoints)
        .run(hour, async {
            let mut newest = checkpoints.newest();
            newest.wait_for(Option::is_some).await.unwrap();
            bench.append(1).await;
        })
        .await;
    assert_eq!(store.last_checkpoint().await.unwrap().unwrap().size, 8);
}
