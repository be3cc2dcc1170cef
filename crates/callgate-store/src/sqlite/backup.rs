//! A copy of a database that others write, and a database in the place of another.
//!
//! SQLite makes the copy itself, as the database is at one moment, whoever writes meanwhile. What must not be: a database that is taken from
//! under somebody who has it open, or the log of commits of one beside another.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use callgate_model::ambient::Timestamp;
use sqlx::{Connection as _, Row as _};

use super::writers::Writers;
use super::{OpenError, SqliteStore, connect, options, private, schema};
use crate::evidence::StoreError;

/// How long somebody is waited for who has the database open.
const BUSY_MAX: Duration = Duration::from_millis(500);
/// What SQLite calls the log of its commits, beside the database.
const LOG: &str = "-wal";

/// Copies the database `from`, as it is at one moment, to `to`, which must not be there yet: readable by its owner only, and on the disk when this returns.
/// It may be of an older version. Others may write it meanwhile.
///
/// # Errors
/// [`OpenError`].
pub async fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::database(from, source);
    let mut connection = connect(from, &options(from).read_only(true)).await?;
    schema::refuse_newer(&mut connection, from).await?;
    // It is made private before anything is in it: SQLite takes an empty file for none.
    let file = private().create_new(true).open(to).map_err(|error| OpenError::file(to, error))?;
    let name = to.to_str().ok_or_else(|| io::Error::other("its name is not UTF-8"));
    let name = name.map_err(|error| OpenError::file(to, error))?;
    sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await.map_err(failed)?;
    // SQLite does not wait for the disk here.
    file.sync_all().map_err(|error| OpenError::file(to, error))?;
    connection.close().await.map_err(failed)
}

impl SqliteStore {
    /// What SQLite finds wrong with the file itself; nothing, if it is well.
    ///
    /// # Errors
    /// [`StoreError`], if it cannot even be read.
    pub async fn damage(&self) -> Result<Option<String>, StoreError> {
        let mut connection = self.reading().await?;
        let found = sqlx::query("PRAGMA integrity_check(1)");
        let found: String = found.fetch_one(&mut *connection).await?.try_get(0)?;
        Ok(Some(found).filter(|found| found != "ok"))
    }

    /// No link that is there signs anybody in any more: it may have done so already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn use_up_links(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut connection = self.writing.lock().await;
        let query = sqlx::query("UPDATE sign_in_links SET used_ms = ? WHERE used_ms IS NULL");
        query.bind(at.unix_ms()).execute(connection.settled().await).await?;
        Ok(())
    }

    /// Closes it, and waits for that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close(self) -> Result<(), StoreError> {
        let others = [self.reading, self.deciding].into_iter().flatten();
        for connection in others.chain([self.writing]) {
            let super::Connection { sqlite, unsynced, .. } = connection.into_inner();
            for sqlite in unsynced.into_iter().chain([sqlite]) {
                sqlite.close().await?;
            }
        }
        Ok(())
    }
}

/// A place of a database that nobody has open, and that nobody opens to write until this is dropped. There may be none.
#[derive(Debug)]
#[must_use = "others are kept out for as long as this is kept"]
pub struct Vacated {
    path: PathBuf,
    _opening: File,
}

impl Vacated {
    /// Waits for its turn at `path`.
    ///
    /// # Errors
    /// [`OpenError::Written`] if somebody writes it; [`OpenError`].
    pub async fn of(path: &Path) -> Result<Self, OpenError> {
        let path = if path.exists() {
            path.canonicalize().map_err(|error| OpenError::file(path, error))?
        } else {
            path.to_owned()
        };
        let writers = Writers::of(&path);
        let opening = writers
            .opening()
            .await
            .map_err(|error| OpenError::lock(&path, writers.lock(), error))?;
        let living = writers.others().map_err(|error| OpenError::file(&path, error))?;
        if !living.is_empty() {
            return Err(OpenError::Written { path });
        }
        Ok(Self { path, _opening: opening })
    }

    /// Puts the database `new`, which nobody has open and which is on the same disk, in this place. What was there is at `kept` then; a damaged one
    /// as it was. At no moment is there none.
    ///
    /// # Errors
    /// [`OpenError::Written`] if somebody has one of them open; [`OpenError`]. Until the last step nothing is changed by it.
    pub async fn replace(&self, new: &Path, kept: &Path) -> Result<(), OpenError> {
        let failed = |error| OpenError::file(&self.path, error);
        if fold(new).await != State::Folded {
            return Err(OpenError::Written { path: new.to_owned() });
        }
        // SQLite removes a log of commits that it can make nothing of.
        let (log, log_kept) = (with(&self.path, LOG), with(kept, LOG));
        let is_kept = fs::hard_link(log, &log_kept).is_ok();
        let state = fold(&self.path).await;
        if is_kept && state != State::Damaged {
            fs::remove_file(&log_kept).map_err(failed)?;
        }
        if state == State::Open {
            return Err(OpenError::Written { path: self.path.clone() });
        }
        self.rename(new, kept).map_err(failed)
    }

    fn rename(&self, new: &Path, kept: &Path) -> io::Result<()> {
        // A log of commits that stays would be taken for that of the new one.
        for end in [LOG, "-shm"] {
            match fs::rename(with(&self.path, end), with(kept, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match fs::hard_link(&self.path, kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        File::open(new)?.sync_all()?;
        fs::rename(new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing, or a database with nothing beside it.
    Folded,
    /// What somebody has open.
    Open,
    /// What SQLite cannot use.
    Damaged,
}

/// SQLite gives up its log of commits only to whoever is alone, and folds it into the database by that.
async fn fold(path: &Path) -> State {
    if !path.exists() {
        return State::Folded;
    }
    let options = options(path).busy_timeout(BUSY_MAX);
    let Ok(mut connection) = connect(path, &options).await else { return State::Damaged };
    let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE");
    let mode = mode.fetch_one(&mut connection).await;
    connection.close().await.ok();
    match mode {
        Ok(mode) if mode == "wal" => State::Open,
        Ok(_) => State::Folded,
        Err(error) => {
            // SQLITE_BUSY.
            let code = error.as_database_error().and_then(|error| error.code());
            if code.is_some_and(|code| code == "5") { State::Open } else { State::Damaged }
        }
    }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use callgate_model::ambient::Ambient as _;
    use callgate_model::evidence::{Chain, Event, Payload};
    use tempfile::TempDir;

    use super::*;
    use crate::EvidenceStore as _;
    use crate::evidence::Row;
    use crate::testing::{Ticking, intent};

    async fn records(store: &SqliteStore, count: u8) {
        let ambient = Ticking::new(count);
        let mut chain = Chain::new(ambient.id());
        for _ in 0..count {
            let event = Event::Decided(Arc::new(intent(ambient.id(), "alice", "bot")));
            let payload = Payload::new(&event, ambient.random());
            let row = Row::seal(&mut chain, ambient.now(), &event, payload);
            store.append(&[row]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_copy_is_whole_private_and_takes_no_place_that_is_taken() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let store = SqliteStore::open(&from).await.unwrap();
        records(&store, 20).await;
        copy(&from, &to).await.unwrap();
        records(&store, 5).await;
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let copied = SqliteStore::open_read_only(&to).await.unwrap();
        assert_eq!((copied.size().await.unwrap(), store.size().await.unwrap()), (20, 25));
        assert_eq!(copied.damage().await.unwrap(), None);
        assert_eq!(copied.read(0, 20).await.unwrap(), store.read(0, 20).await.unwrap());
        assert!(matches!(copy(&from, &to).await, Err(OpenError::File { .. })));
        assert_eq!(copied.size().await.unwrap(), 20, "what was there is as it was");
    }

    #[tokio::test]
    async fn nobody_is_replaced_who_is_open_and_what_was_there_is_kept() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let store = SqliteStore::open(at("a.db")).await.unwrap();
        records(&store, 3).await;
        copy(&at("a.db"), &at("b.db")).await.unwrap();
        records(&store, 1).await;
        // It has not joined the writers, and still has it open.
        let vacated = Vacated::of(&at("a.db")).await.unwrap();
        let replaced = vacated.replace(&at("b.db"), &at("kept.db")).await;
        assert!(matches!(replaced, Err(OpenError::Written { .. })), "{replaced:?}");
        assert!(at("b.db").exists() && !at("kept.db").exists());
        store.close().await.unwrap();
        vacated.replace(&at("b.db"), &at("kept.db")).await.unwrap();
        drop(vacated);
        let sizes =
            async |name: &str| SqliteStore::open(at(name)).await.unwrap().size().await.unwrap();
        assert_eq!((sizes("a.db").await, sizes("kept.db").await), (3, 4));
        assert!(!at("b.db").exists());
    }

    #[tokio::test]
    async fn a_database_that_is_none_and_a_log_beside_it_are_put_aside() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let store = SqliteStore::open(at("good.db")).await.unwrap();
        records(&store, 3).await;
        store.close().await.unwrap();
        copy(&at("good.db"), &at("new.db")).await.unwrap();
        fs::write(at("a.db"), "no database at all ".repeat(1_000)).unwrap();
        fs::write(at("a.db-wal"), "a log").unwrap();
        let vacated = Vacated::of(&at("a.db")).await.unwrap();
        vacated.replace(&at("new.db"), &at("kept.db")).await.unwrap();
        drop(vacated);
        assert_eq!(fs::read_to_string(at("kept.db-wal")).unwrap(), "a log");
        assert_eq!(SqliteStore::open(at("a.db")).await.unwrap().size().await.unwrap(), 3);
    }
}
