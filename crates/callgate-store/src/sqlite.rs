//! Evidence in one SQLite file.
//!
//! Any number of processes write a file, each its own chain, and any number read it meanwhile. A commit is on the disk
//! before it is acknowledged: write-ahead log, `synchronous = FULL`.

mod approvals;
mod authority;
mod glass;
mod notices;
mod passkeys;
mod rows;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;
mod writers;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use callgate_model::ambient::Id;
use callgate_model::digest::Digest;
use callgate_model::json::Json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _};
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};

use crate::evidence::{EvidenceStore, Filter, LIST_MAX, Row, StoreError, StoreFuture, Tally};
use writers::Writers;

/// The evidence in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writing: Mutex<Connection>,
    /// A second connection, so that who searches does not hold up who records; `None` if there can be only one.
    reading: Option<Mutex<Connection>>,
    /// A third one, so that a call which needs to look something up waits for no search.
    deciding: Option<Mutex<Connection>>,
    /// Who writes; `None` if nobody else can.
    writers: Option<Writers>,
}

/// Why a file could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file or its lock file cannot be made or read.
    #[error("cannot open `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process opens it and does not get done.
    #[error("`{}` is being opened by another process, which holds `{}`", path.display(), lock.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// It was written by a newer version of this program.
    #[error("`{}` has schema version {found}, and this program knows versions up to {known}", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// It is to be read, and has no evidence or an older version's.
    #[error("`{}` has schema version {found}, and only a gateway may bring it to version {known}", path.display())]
    Older {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// SQLite cannot use it.
    #[error("cannot use `{}` as an evidence database", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
}

impl SqliteStore {
    /// Opens `path` to write; makes the file if there is none, readable by its owner only.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        create(path).map_err(failed)?;
        // Writers know each other by the file, whatever links lead to it.
        let path = &path.canonicalize().map_err(failed)?;
        let writers = Writers::of(path);
        let opening = writers.opening().await.map_err(|source| {
            let lock = writers.lock().to_owned();
            if source.kind() == io::ErrorKind::WouldBlock {
                OpenError::InUse { path: path.clone(), lock }
            } else {
                OpenError::File { path: lock, source }
            }
        })?;
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Where an ordinary fsync does not reach the disk (macOS), ask for the one that does.
            .pragma("fullfsync", "1")
            // Copying pages to the database every 16 MB instead of every 4 spares a fifth of the work.
            .pragma("wal_autocheckpoint", "4000");
        let mut writing = connect(path, &options).await?;
        schema::migrate(&mut writing, path).await?;
        drop(opening);
        let read = async || connect(path, &self::options(path).read_only(true)).await;
        let (reading, deciding) = (read().await?, read().await?);
        Ok(Self {
            writing: Mutex::new(Connection::new(writing)),
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

    async fn reading(&self) -> MutexGuard<'_, Connection> {
        self.reading.as_ref().unwrap_or(&self.writing).lock().await
    }

    async fn deciding(&self) -> MutexGuard<'_, Connection> {
        self.deciding.as_ref().unwrap_or(&self.writing).lock().await
    }
}

/// What a filter means; [`rows::matching`] binds it. What is only in the text is looked for last. The next place is `?17`.
macro_rules! matching {
    () => {
        "WHERE (?1 IS NULL OR kind = ?1) \
         AND (?2 IS NULL OR verdict = ?2) AND (?3 IS NULL OR outcome = ?3) \
         AND (?4 IS NULL OR server = ?4) AND (?5 IS NULL OR tool = ?5) \
         AND (?6 IS NULL OR operation = ?6) AND (?7 IS NULL OR accountable = ?7) \
         AND (?8 IS NULL OR agent = ?8) AND (?9 IS NULL OR call = ?9) \
         AND (?10 IS NULL OR at_ms >= ?10) \
         AND (NOT ?11 OR verdict IS NOT NULL) \
         AND (?12 IS NULL OR id > (SELECT MAX(id) FROM evidence) - ?12) \
         AND (?13 IS NULL OR server IS NOT ?13) \
         AND (?14 IS NULL OR text ->> '$.event.caller.client.name' = ?14) \
         AND (?15 IS NULL OR EXISTS ( \
             SELECT 1 FROM json_each(text, '$.event.decision.reasons') WHERE value = ?15)) \
         AND (?16 IS NULL OR EXISTS ( \
             SELECT 1 FROM json_tree(text, '$.event.understood.targets') \
             WHERE (key = 'id' OR path LIKE '%.in') \
             AND (atom = ?16 OR substr(atom, -length(?16) - 2) = '::' || ?16))) \
         AND (?17 IS NULL OR at_ms < ?17)"
    };
}

impl EvidenceStore for SqliteStore {
    fn append<'a>(&'a self, rows: &'a [Row]) -> StoreFuture<'a, ()> {
        Box::pin(async {
            self.writing.lock().await.append(rows).await?;
            if let Some(writers) = &self.writers {
                writers.has_begun();
            }
            Ok(())
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
            let living = self.writers.as_ref().map_or_else(Vec::new, Writers::living);
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
        Box::pin(async move {
            let query =
                concat!("SELECT * FROM evidence ", matching!(), " ORDER BY id DESC LIMIT ?18");
            let found = rows::matching(sqlx::query(query), filter)
                .bind(filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX))
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(rows::read).collect()
        })
    }

    fn page<'a>(&'a self, filter: &'a Filter, from: u64) -> StoreFuture<'a, Vec<(u64, Row)>> {
        Box::pin(async move {
            let query = concat!(
                "SELECT * FROM evidence AS one WHERE id >= ?18 \
                 AND (?19 IS NULL OR at_ms >= ?19) AND (?20 IS NULL OR at_ms < ?20) \
                 AND EXISTS (SELECT 1 FROM evidence ",
                matching!(),
                " AND (id = one.id OR (one.kind IN ('outcome', 'settled') \
                 AND call = one.call AND kind = 'intent'))) ORDER BY id LIMIT ?21"
            );
            let timeless = Filter { since: None, until: None, ..filter.clone() };
            let found = rows::matching(sqlx::query(query), &timeless)
                .bind(i64::try_from(from).unwrap_or(i64::MAX).saturating_add(1))
                .bind(filter.since.map(|since| since.unix_ms()))
                .bind(filter.until.map(|until| until.unix_ms()))
                .bind(filter.limit.unwrap_or(LIST_MAX).min(LIST_MAX))
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(|row| Ok((rows::place(row)?, rows::read(row)?))).collect()
        })
    }

    fn end(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            // Ids count from 1, places from 0.
            let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 AS id FROM evidence")
                .fetch_one(self.reading().await.settled().await)
                .await?;
            rows::place(&row)
        })
    }

    fn tally<'a>(&'a self, filter: &'a Filter, every_ms: i64) -> StoreFuture<'a, Vec<Tally>> {
        Box::pin(async move {
            let query = concat!(
                "SELECT at_ms / ?18 * ?18 AS span, verdict, COUNT(*) AS count FROM evidence ",
                matching!(),
                " AND verdict IS NOT NULL GROUP BY span, verdict ORDER BY span, verdict"
            );
            let found = rows::matching(sqlx::query(query), filter)
                .bind(every_ms.max(1))
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(rows::tally).collect()
        })
    }

    fn show(&self, call: Id) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(async move {
            let found = sqlx::query("SELECT * FROM evidence WHERE call = ? ORDER BY id")
                .bind(call.to_string())
                .fetch_all(self.reading().await.settled().await)
                .await?;
            found.iter().map(rows::read).collect()
        })
    }

    fn chain(&self, writer: Id, from: u64, limit: u32) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let found = sqlx::query(
                "SELECT text FROM evidence WHERE writer = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
            )
            .bind(writer.to_string())
            .bind(i64::try_from(from).unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(self.reading().await.settled().await)
            .await?;
            found.iter().map(|row| Ok(row.try_get("text")?)).collect()
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
    unfinished: bool,
}

impl Connection {
    const fn new(sqlite: SqliteConnection) -> Self {
        Self { sqlite, unfinished: false }
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
        }
        &mut self.sqlite
    }

    async fn append(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let sqlite = self.settled().await;
        if rows::is_one_statement(rows) && rows.iter().all(|row| row.applies.is_empty()) {
            // It is a transaction by itself, and every statement less is two changes of threads less to wait for.
            return Ok(rows::insert(sqlite, rows).await?);
        }
        self.unfinished = true;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.sqlite).await?;
        let mut refused = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            for applies in &row.applies {
                if !authority::apply(&mut self.sqlite, applies, row.at).await? {
                    refused.push(place);
                    break;
                }
            }
        }
        if !refused.is_empty() {
            // What was applied goes with it: the rest is tried again without these.
            self.settled().await;
            return Err(StoreError::Refused { rows: refused });
        }
        rows::insert(&mut self.sqlite, rows).await?;
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
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
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
