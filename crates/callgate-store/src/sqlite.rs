//! Evidence in one SQLite file.
//!
//! Any number of processes write a file, each its own chain, and any number read it meanwhile. A commit is on the disk
//! before it is acknowledged: write-ahead log, `synchronous = FULL`. How far copies have come may be lost, and is not waited for.

mod backup;
mod dialect;
#[cfg(test)]
mod forgotten;
mod insert;
mod links;
mod open_error;
#[cfg(test)]
mod plans;
mod reserve;
mod schema;
#[cfg(test)]
mod tests;
mod writers;

sql!();

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use callgate_model::ambient::Id;
use callgate_model::json::Json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    Sqlite as Engine, SqliteArguments as Arguments, SqliteConnectOptions, SqliteConnection,
    SqliteConnection as Sql, SqliteJournalMode, SqliteRow as SqlRow, SqliteSynchronous,
};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use self::SqliteStore as Store;
use crate::evidence::{Applies, Row, StoreError, StoreFuture};
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
    /// If nobody else can, the one that joined last.
    latest: Mutex<Option<Id>>,
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
            latest: Mutex::default(),
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
        Self { writing, reading: None, deciding: None, writers: None, latest: Mutex::default() }
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
}

/// What the one text of both engines ([`crate::sql`]) leaves to each.
impl SqliteStore {
    async fn append_rows(&self, rows: &[Row]) -> Result<(), StoreError> {
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
    }

    async fn prove_writable(&self) -> Result<(), StoreError> {
        if let Some(writers) = &self.writers {
            writers.keep_room().await?;
        }
        let proved = self.writing.lock().await.prove().await;
        self.noticing(proved)
    }

    async fn join_as(&self, writer: Id) -> Result<(), StoreError> {
        match &self.writers {
            Some(writers) => writers.join(&writer.to_string()).await?,
            None => *self.latest.lock().await = Some(writer),
        }
        Ok(())
    }

    async fn left_by_the_dead(&self) -> Result<Vec<Id>, StoreError> {
        let (living, turn) = match &self.writers {
            Some(writers) => writers.living().await?,
            None => (self.latest.lock().await.iter().map(Id::to_string).collect(), None),
        };
        if self.writers.as_ref().is_some_and(|writers| !writers.has_dead()) {
            return Ok(Vec::new());
        }
        let living: Vec<Json> = living.into_iter().map(Json::from).collect();
        let found = sqlx::query(
            // The inner one needs nothing but an index; the writer is looked up for what is left. One call has one.
            "SELECT DISTINCT call FROM evidence WHERE kind = 'intent' \
             AND writer NOT IN (SELECT value FROM json_each($1)) \
             AND call IN (SELECT call FROM evidence WHERE call IS NOT NULL GROUP BY call \
             HAVING SUM(kind = 'outcome') = 0) ORDER BY call",
        )
        .bind(Json::from(living).to_text())
        .fetch_all(&mut *self.reading().await?)
        .await?;
        if let Some(writers) = self.writers.as_ref().filter(|_| found.is_empty()) {
            writers.dead_left_nothing();
        }
        // Until then nobody began whom we have not seen.
        drop(turn);
        found.iter().map(|row| rows::id(row, "call")).collect()
    }

    /// There is nobody else to wait for.
    fn soon<'a, T>(
        &'a self,
        answer: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(answer)
    }

    /// The same.
    fn within<'a, T>(
        &'a self,
        answer: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(answer)
    }

    /// A connection that has ended what was begun before.
    async fn after_appends(&self, _writer: Id) -> Result<Guard<'_>, StoreError> {
        self.writing().await
    }

    async fn writing(&self) -> Result<Guard<'_>, StoreError> {
        Ok(settled(&self.writing).await)
    }

    async fn reading(&self) -> Result<Guard<'_>, StoreError> {
        Ok(settled(self.reading.as_ref().unwrap_or(&self.writing)).await)
    }

    async fn deciding(&self) -> Result<Guard<'_>, StoreError> {
        Ok(settled(self.deciding.as_ref().unwrap_or(&self.writing)).await)
    }

    /// For what a crash of the machine may take back. It takes back the last that was written, never anything from before a record
    /// that is on the disk: there is one write-ahead log.
    async fn unsynced(&self) -> Result<Guard<'_>, StoreError> {
        let mut connection = self.writing.lock().await;
        connection.settled().await;
        Ok(MutexGuard::map(connection, |connection| {
            connection.unsynced.as_mut().unwrap_or(&mut connection.sqlite)
        }))
    }
}

type Guard<'a> = MappedMutexGuard<'a, SqliteConnection>;

async fn settled(connection: &Mutex<Connection>) -> Guard<'_> {
    let mut connection = connection.lock().await;
    connection.settled().await;
    MutexGuard::map(connection, |connection| &mut connection.sqlite)
}

/// A connection that remembers whether a transaction may still be open in it.
#[derive(Debug)]
struct Connection {
    sqlite: SqliteConnection,
    /// Another one to the same file, whose commits do not wait for the disk. It is here and not beside: SQLite has no queue for those
    /// who write, so that who waits there finds no place while calls are recorded.
    unsynced: Option<SqliteConnection>,
    unfinished: bool,
    known: links::Known,
    /// How many records are not linked, as far as this connection knows; nothing, if it has to look.
    unlinked: Option<i64>,
}

impl Connection {
    fn new(sqlite: SqliteConnection) -> Self {
        let known = links::Known::default();
        Self { sqlite, unsynced: None, unfinished: false, known, unlinked: None }
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
        let first = insert::entries(&mut self.sqlite, rows).await?;
        let numbers = links::numbers(&mut self.sqlite, &mut self.known, rows).await?;
        insert::payloads(&mut self.sqlite, rows, first, &numbers).await?;
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
            None => links::unlinked(&mut self.sqlite).await?,
        };
        self.unlinked = Some(unlinked);
        if unlinked < search::LINKED_TOGETHER_MIN {
            return Ok(());
        }
        self.unlinked = None;
        self.unfinished = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.sqlite).await?;
        links::link(&mut self.sqlite).await?;
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
