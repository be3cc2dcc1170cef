//! What is forgotten of approvals, as the SQLite file has it.

use std::sync::Arc;

use callgate_model::ambient::Id;
use callgate_model::authority::Change;

use crate::SqliteStore;
use crate::approving::{World, at};

/// A world, and the store below it.
struct Below {
    world: World,
    sqlite: Arc<SqliteStore>,
}

impl Below {
    /// Erases what the request for an approval says.
    async fn erase_request(&self, id: Id) {
        let rows = self.world.store.read(0, 100).await.unwrap();
        let is_it =
            |entry: &str| entry.contains("approval_requested") && entry.contains(&id.to_string());
        let index = rows.iter().find(|row| is_it(&row.entry)).unwrap().index.unwrap();
        let reason = "asked for".to_owned();
        let change = Change::PayloadsErased { indexes: vec![index], reason };
        assert!(self.world.change(change, at(9)).await);
    }

    async fn glass(&self, statement: &'static str, id: Id) {
        let mut connection = self.sqlite.writing.lock().await;
        let query = sqlx::query(statement).bind(id.to_string());
        query.execute(&mut connection.sqlite).await.unwrap();
    }

    /// How many approvals, votes and broken glasses there are.
    async fn kept(&self) -> (i64, i64, i64) {
        let count = "SELECT (SELECT COUNT(*) FROM approvals), (SELECT COUNT(*) FROM votes), \
                     (SELECT COUNT(*) FROM glass)";
        let mut connection = self.sqlite.writing.lock().await;
        sqlx::query_as(count).fetch_one(&mut connection.sqlite).await.unwrap()
    }
}

#[tokio::test]
async fn what_an_approval_said_is_forgotten_with_its_request_once_it_has_ended() {
    let sqlite = Arc::new(SqliteStore::open_in_memory().await.unwrap());
    let world = World::of(Arc::<SqliteStore>::clone(&sqlite), None);
    let below = Below { world, sqlite };
    let world = &below.world;
    let spent = world.approved("one", at(0)).await;
    world.spend(spent, None, at(1)).await.unwrap();
    let in_force = world.approved("two", at(0)).await;
    let broken = world.approved("three", at(0)).await;
    world.spend(broken, None, at(1)).await.unwrap();
    let glass = "INSERT INTO glass (approval, breaker, at_ms, text) VALUES ($1, 'bob', 0, '{}')";
    below.glass(glass, broken).await;
    assert_eq!(below.kept().await, (3, 6, 1));

    below.erase_request(spent).await;
    assert_eq!(below.kept().await, (2, 4, 1));
    assert!(world.store.approval(spent).await.unwrap().is_none());
    // What is in force still is, and what somebody has to look at is there.
    below.erase_request(in_force).await;
    below.erase_request(broken).await;
    assert_eq!(below.kept().await, (2, 4, 1));
    assert!(world.spend(in_force, None, at(2)).await.is_some());
    below.glass("UPDATE glass SET review = '{}' WHERE approval = $1", broken).await;
    below.erase_request(broken).await;
    assert_eq!(below.kept().await, (1, 2, 0));
}
