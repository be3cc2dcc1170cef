//! What every store must do for who looks for records, whether they are linked by what they are found, or not yet.

use std::sync::Arc;

use callgate_model::ambient::Ambient as _;
use callgate_model::evidence::{Chain, Event, Link, Payload};

use crate::engines::Engine;
use crate::testing::{Ticking, intent};
use crate::{Filter, Row};

with_each_engine!(what_is_linked_and_what_is_not_yet_is_found_alike);

/// What is found is the same, whether its records are linked yet, or some of them, or none.
async fn what_is_linked_and_what_is_not_yet_is_found_alike(engine: Engine) {
    let opened = engine.open().await;
    let store = &*opened.store;
    let ambient = Ticking::new(1);
    let mut chain = Chain::new(ambient.id());
    let mut expected: Vec<Vec<u64>> = vec![Vec::new(); 3];
    let humans = ["alice", "bob", "carol"];
    let mut index = 0;
    for size in [1, 300, 212, 1, 1_200, 400, 7] {
        let mut rows = Vec::new();
        for _ in 0..size {
            let human = usize::try_from(index % 3).unwrap();
            expected[human].insert(0, index);
            let event =
                Event::Decided(Arc::new(intent(ambient.id(), humans[human], "release-bot")));
            rows.push(Row::seal(&mut chain, ambient.now(), &event, Payload::new(&event, [7; 16])));
            index += 1;
        }
        store.append(&rows).await.unwrap();
        for (human, expected) in humans.iter().zip(&expected) {
            let filter = Filter { limit: Some(1_000), ..Filter::default() };
            let filter = filter.with(Link::Human, Some((*human).to_owned()));
            let listed = store.list(&filter).await.unwrap();
            let found: Vec<u64> = listed.iter().filter_map(|row| row.index).collect();
            assert_eq!(found, *expected, "{human} of {index}");
            let others = Filter { limit: Some(1_000), ..Filter::default() }
                .with(Link::Agent, Some("release-bot".to_owned()))
                .without(Link::Human, human);
            let others = store.list(&others).await.unwrap();
            let wanted = usize::try_from(index).unwrap() - expected.len();
            assert_eq!(others.len(), wanted.min(1_000), "not {human} of {index}");
            let page = store.page(&filter, 0).await.unwrap();
            assert_eq!(page.len(), expected.len(), "{human} of {index}, in order");
            let tallies = store.tally(&filter, i64::MAX).await.unwrap();
            let counted: u64 = tallies.iter().map(|tally| tally.count).sum();
            assert_eq!(counted, u64::try_from(expected.len()).unwrap(), "{human} of {index}");
        }
    }
}
