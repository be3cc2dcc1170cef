//! Evidence in one SQLite file.
//!
//! Any number of processes write a file, each its own chain, and any number read it meanwhile. A commit is on the disk
//! before it is acknowledged: write-ahead log, `synchronous = FULL`. How far copies have come may be lost, and is not waited for.

mod approvals;
mod authority;
mod backup;
mod cursors;
mod glass;
mod notices;
mod open_error;
mod passkeys;
mod reserve;
mod retention;
mod rows;
mod schema;
mod search;
mod sessions;
#[cfg(test)]
mod tests;
mod tree;
mod writers;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::{Mutex, MutexGuard};

use crate::evidence::{
    Applies, EvidenceStore, Filter, LIST_MAX, Row, StoreError, StoreFuture, Tally,
};
use crate::fail_point::{Point, pass};
use reserve::{WAL_PAGES, is_for_want_of_room};
use writers::Writers;

pub use backup::{Vacated, copy};
pub use open_error::OpenError;
pub use reserve::room_for_outcomes;

/// The evidence in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writing: Mutex<Connection>,
    /// A second connection, so that who searches does not hold up who records; `None` if there can be only one.
    reading: Option<Mutex<Connection>>,
    /// A third one, so that a call which needs to look something up waits for no search.
    deciding: Option<Mutex<Connection>>,
    /// Who writes; `None` if nobody else can. Boxed, for futures that hold a store.
    writers: Option<Box<Writers>>,
}

impl SqliteStore {
    /// Opens `path` to write; makes the file if there is none, readable by its owner only.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |source| OpenError::file(path, source);
        create(path).map_err(failed)?;
        // Writers know each other by the file, whatever links lead to it.
        let path = &path.canonicalize().map_err(failed)?;
        let writers = Box::new(Writers::of(path));
        let opening = writers.opening().await;
        let opening = opening.map_err(|error| OpenError::lock(path, writers.lock(), error))?;
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Where an ordinary fsync does not reach the disk (macOS), ask for the one that does.
            .pragma("fullfsync", "1")
            // Copying pages to the database every 16 MB instead of every 4 spares a fifth of the work.
            .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
            // What is erased is overwritten.
            .pragma("secure_delete", "1");
        let mut writing = connect(path, &options).await?;
        schema::migrate(&mut writing, path).await?;
        drop(opening);
        let unsynced = options.synchronous(SqliteSynchronous::Normal);
        let unsynced = Some(connect(path, &unsynced).await?);
        let read = async || connect(path, &self::options(path).read_only(true)).await;
        let (reading, deciding) = (read().await?, read().await?);
        Ok(Self {
            writing: Mutex::new(Connection { unsynced, ..Connection::new(writing) }),
            reading: Some(Mutex::new(Connection::new(reading))),
            deciding: Some(Mutex::new(Connection::new(deciding))),
            writers: Some(writers),
        })
    }

    /// Opens `path` to read, which works while a gateway writes it.
    ///
    /// # Errors
    /// [`OpenError`], if there is no such file among others.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let mut connection = connect(path, &options(path).read_only(true)).await?;
        schema::check(&mut connection, path).await?;
        Ok(Self::alone(connection))
    }

    /// A store in memory, which is gone with it: for tests and demonstrations.
    ///
    /// # Errors
    /// [`OpenError`], if SQLite cannot be used.
    pub async fn open_in_memory() -> Result<Self, OpenError> {
        let path = Path::new(":memory:");
        let options = SqliteConnectOptions::new().in_memory(true).disable_statement_logging();
        let mut connection = connect(path, &options).await?;
        schema::migrate(&mut connection, path).await?;
        Ok(Self::alone(connection))
    }

    fn alone(connection: SqliteConnection) -> Self {
        let writing = Mutex::new(Connection::new(connection));
        Self { writing, reading: None, deciding: None, writers: None }
    }

    /// Keeps so many bytes free on the disk for the outcomes of calls on their way, from when a writer joins.
    #[must_use]
    pub fn with_room(mut self, bytes: u64) -> Self {
        if let Some(writers) = &mut self.writers {
            writers.keeping(bytes);
        }
        self
    }

    /// What was kept free is given up when room is wanting.
    fn noticing(&self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        match (done, &self.writers) {
            (Err(StoreError::Database(error)), Some(writers)) if is_for_want_of_room(&error) => {
                tracing::error!(%error, "the disk of the evidence database is full");
                Err(StoreError::Full { wanted: writers.give_up_room() })
            }
            (done, Some(_) | None) => done,
        }
    }

    async fn reading(&self) -> MutexGuard<'_, Connection> {
        self.reading.as_ref().unwrap_or(&self.writing).lock().await
    }

    async fn deciding(&self) -> MutexGuard<'_, Connection> {
        self.deciding.as_ref().unwrap_or(&self.writing).lock().await
    }
}

/// Rows with their payloads, as [`rows::row`] reads them.
macro_rules! rows {
    ($which:literal) => {
        concat!(
            "SELECT evidence.*, payloads.text FROM evidence LEFT JOIN payloads USING (id) ",
            $which
        )
    };
}

impl EvidenceStore for SqliteStore {
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()> {
        Box::pin(async {
            let mut connection = self.writing.lock().await;
            self.noticing(connection.append(rows).await)?;
            // What is stored is found, whether or not it is linked now.
            if self.writers.as_ref().is_none_or(|writers| !writers.is_full())
                && let Err(error) = connection.link(rows.len()).await
            {
                tracing::warn!(%error, "records could not be linked");
            }
            if let Some(writers) = &self.writers {
                writers.has_begun();
            }
            Ok(())
        })
    }

    fn prove(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            if let Some(writers) = &self.writers {
                writers.keep_room().await?;
            }
            let proved = self.writing.lock().await.prove().await;
            self.noticing(proved)
        })
    }

    fn head(&self, writer: Id) -> StoreFuture<'_, Option<(u64, Digest)>> {
        Box::pin(async move {
            let mut connection = self.writing.lock().await;
            let row = sqlx::query(
                "SELECT sequence, hash FROM evidence WHERE writer = ? ORDER BY sequence DESC LIMIT 1",
            )
            .bind(writer.to_string())
            .fetch_optional(connection.settled().await)
            .await?;
            row.map(|row| Ok((rows::sequence(&row)?, rows::hash(&row)?))).transpose()
        })
    }

    fn last_chain(&self) -> StoreFuture<'_, Option<(Id, Digest)>> {
        Box::pin(async move {
            let Some(writer) = self.writers().await?.pop() else { return Ok(None) };
            Ok(self.head(writer).await?.map(|(_, head)| (writer, head)))
        })
    }

    fn join(&self, writer: Id) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if let Some(writers) = &self.writers {
                writers.join(&writer.to_string()).await?;
            }
            Ok(())
        })
    }

    fn orphans(&self) -> StoreFuture<'_, Vec<Id>> {
        Box::pin(async move {
            let living = self.writers.as_deref().map_or_else(Vec::new, Writers::living);
            let living: Vec<Json> = living.into_iter().map(Json::from).collect();
            let found = sqlx::query(
                // The inner one needs nothing but an index; the writer is looked up for what is left. One call has one.
                "SELECT DISTINCT call FROM evidence WHERE kind = 'intent' \
                 AND writer NOT IN (SELECT value FROM json_each(?)) \
                 AND call IN (SELECT call FROM evidence WHERE call IS NOT NULL GROUP BY call \
                 HAVING SUM(kind = 'outcome') = 0) ORDER BY call",
            )
            .bind(Json::from(living).to_text())
            .fetch_all(self.reading().await.settled().await)
            .await?;
            found.iter().map(|row| rows::id(row, "call")).collect()
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Row>> {
        Box::pin(async move { search::list(self.reading().await.settled().await, filter).await })
    }

    fn page<'a>(&'a self, filter: &'a Filter, from: u64) -> StoreFuture<'a, Vec<Row>> {
        Box::pin(
            async move { search::page(self.reading().await.settled().await, filter, from).await },
        )
    }

    fn tally<'a>(&'a self, filter: &'a Filter, every_ms: i64) -> StoreFuture<'a, Vec<Tally>> {
        Box::pin(async move {
            search::tally(self.reading().await.settled().await, filter, every_ms).await
        })
    }

    fn unsettled(&self, reads: bool, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(async move {
            let query = rows!(
                "WHERE outcome IN ('cancelled', 'indeterminate', 'timed_out') AND NOT EXISTS ( \
                 SELECT 1 FROM evidence AS later WHERE later.call = evidence.call \
                 AND later.id > evidence.id AND later.kind IN ('outcome', 'settled')) \
                 AND (?1 OR NOT EXISTS ( \
                 SELECT 1 FROM evidence AS intent JOIN payloads USING (id) \
                 WHERE intent.call = evidence.call AND intent.kind = 'intent' \
                 AND json_extract(payloads.text, '$.event.understood.effect') = 'read')) \
                 ORDER BY id DESC LIMIT ?2"
            );
            let found = sqlx::query(query)
                .bind(reads)
                .bind(limit.min(LIST_MAX))
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(rows::row).collect()
        })
    }

    fn payloads_before<'a>(
        &'a self,
        kind: &'a str,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            retention::due(self.reading().await.settled().await, kind, before, limit).await
        })
    }

    fn show(&self, call: Id) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(async move {
            let found = sqlx::query(rows!("WHERE call = ? ORDER BY id"))
                .bind(call.to_string())
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(rows::row).collect()
        })
    }

    fn read(&self, from: u64, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(async move {
            let found = sqlx::query(rows!("WHERE id > ? ORDER BY id LIMIT ?"))
                .bind(i64::try_from(from).unwrap_or(i64::MAX))
                .bind(limit)
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(rows::row).collect()
        })
    }

    fn size(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let size: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM evidence")
                .fetch_one(self.reading().await.settled().await)
                .await?;
            u64::try_from(size).map_err(|_negative| StoreError::Malformed { column: "id" })
        })
    }

    fn writers(&self) -> StoreFuture<'_, Vec<Id>> {
        Box::pin(async move {
            let found = sqlx::query("SELECT writer FROM evidence WHERE sequence = 0 ORDER BY id")
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(|row| rows::id(row, "writer")).collect()
        })
    }
}

/// A connection that remembers whether a transaction may still be open in it.
#[derive(Debug)]
struct Connection {
    sqlite: SqliteConnection,
    /// Another one to the same file, whose commits do not wait for the disk. It is here and not beside: SQLite has no queue for those
    /// who write, so that who waits there finds no place while calls are recorded.
    unsynced: Option<SqliteConnection>,
    unfinished: bool,
    known: search::Known,
    /// How many records are not linked, as far as this connection knows; nothing, if it has to look.
    unlinked: Option<i64>,
}

impl Connection {
    fn new(sqlite: SqliteConnection) -> Self {
        let known = search::Known::default();
        Self { sqlite, unsynced: None, unfinished: false, known, unlinked: None }
    }

    /// For what a crash of the machine may take back. It takes back the last that was written, never anything from before a record
    /// that is on the disk: there is one write-ahead log.
    async fn unsynced(&mut self) -> &mut SqliteConnection {
        self.settled().await;
        self.unsynced.as_mut().unwrap_or(&mut self.sqlite)
    }

    /// The connection, after ending what an append that failed or was abandoned left open: no later statement may see
    /// or commit its rows.
    async fn settled(&mut self) -> &mut SqliteConnection {
        if self.unfinished {
            if let Err(error) = sqlx::query("ROLLBACK").execute(&mut self.sqlite).await {
                // As good: the transaction had ended by itself.
                tracing::debug!(%error, "nothing to roll back");
            }
            self.unfinished = false;
            self.known.forget();
        }
        &mut self.sqlite
    }

    /// Commits something that changes nothing.
    async fn prove(&mut self) -> Result<(), StoreError> {
        self.settled().await;
        self.unfinished = true;
        schema::touch(&mut self.sqlite).await?;
        self.unfinished = false;
        Ok(())
    }

    async fn append(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.settled().await;
        self.unfinished = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.sqlite).await?;
        let mut refused = Vec::new();
        if rows.iter().flat_map(|row| &row.applies).any(Applies::erases) {
            // Numbers of values that go must not be used any more.
            self.known.forget();
        }
        for (place, row) in rows.iter().enumerate() {
            for applies in &row.applies {
                if !authority::apply(&mut self.sqlite, applies, row.at).await? {
                    refused.push(place);
                    break;
                }
            }
        }
        let of_kind = |kind| rows.iter().filter(|row| row.kind == kind).count();
        let (intents, outcomes) = (of_kind("intent"), of_kind("outcome"));
        pass(Point::Claimed, intents);
        if !refused.is_empty() {
            // What was applied goes with it: the rest is tried again without these.
            self.settled().await;
            return Err(StoreError::Refused { rows: refused });
        }
        let first = rows::insert_entries(&mut self.sqlite, rows).await?;
        let numbers = search::numbers(&mut self.sqlite, &mut self.known, rows).await?;
        rows::insert_payloads(&mut self.sqlite, rows, first, &numbers).await?;
        pass(Point::IntentWritten, intents);
        pass(Point::OutcomeWritten, outcomes);
        sqlx::query("COMMIT").execute(&mut self.sqlite).await?;
        self.unfinished = false;
        pass(Point::IntentCommitted, intents);
        pass(Point::OutcomeCommitted, outcomes);
        Ok(())
    }

    /// Links what is stored, if there is enough that is not linked yet, now that there are so many more.
    async fn link(&mut self, more: usize) -> Result<(), sqlx::Error> {
        let unlinked = match self.unlinked {
            Some(unlinked) => unlinked.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)),
            None => search::unlinked(&mut self.sqlite).await?,
        };
        self.unlinked = Some(unlinked);
        if unlinked < search::LINKED_TOGETHER_MIN {
            return Ok(());
        }
        self.unlinked = None;
        self.unfinished = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.sqlite).await?;
        search::link(&mut self.sqlite).await?;
        sqlx::query("COMMIT").execute(&mut self.sqlite).await?;
        self.unfinished = false;
        Ok(())
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).disable_statement_logging()
}

async fn connect(
    path: &Path,
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, OpenError> {
    let failed = |source| OpenError::database(path, source);
    options.connect().await.map_err(failed)
}

/// Makes the file. SQLite gives the files it makes beside it the same mode.
fn create(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    private().open(path)?;
    // The name of a new file is durable only with its directory.
    #[cfg(unix)]
    if let Some(directory) = path.canonicalize()?.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
