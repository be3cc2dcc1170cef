//! Which writers of one file live. Each holds the lock of a file that has its name, in a folder beside the database; the
//! operating system lets go of it when the process ends, however it ends. So the next writer can tell what a crash left
//! open from what is on its way.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::private;
use super::reserve::Reserve;
use crate::evidence::StoreError;

/// How long one writer waits for another one to have begun.
const WAIT_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The writers of one file.
#[derive(Debug)]
pub(super) struct Writers {
    folder: PathBuf,
    lock: PathBuf,
    /// What each keeps free on the disk: its own file takes it.
    room_bytes: u64,
    /// Whether that was given up and is not free again.
    is_full: AtomicBool,
    /// Whether somebody has died, and it is not known that they left nothing open.
    has_dead: AtomicBool,
    held: Mutex<Held>,
}

/// The locks that this process holds.
#[derive(Debug, Default)]
struct Held {
    own: Vec<(PathBuf, Reserve)>,
    /// Until this writer has settled what others left: two must not settle the same.
    opening: Option<File>,
}

impl Writers {
    /// Those of `database`.
    pub(super) fn of(database: &Path) -> Self {
        let beside = |extension: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        };
        let (folder, lock) = (beside(".writers"), beside(".lock"));
        let is_full = AtomicBool::new(false);
        let has_dead = AtomicBool::new(true);
        Self { folder, lock, room_bytes: 0, is_full, has_dead, held: Mutex::default() }
    }

    /// Each writer that joins from now on keeps so many bytes free.
    pub(super) const fn keeping(&mut self, bytes: u64) {
        self.room_bytes = bytes;
    }

    /// The file whose lock is held while a writer begins.
    pub(super) fn lock(&self) -> &Path {
        &self.lock
    }

    /// Waits for its turn to begin. It lasts until the file is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another one does not get done.
    pub(super) async fn opening(&self) -> io::Result<File> {
        let file = private().open(&self.lock)?;
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes `writer` one that lives.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Writers`].
    pub(super) async fn join(&self, writer: &str) -> Result<(), StoreError> {
        let opening = self.opening().await?;
        create(&self.folder)?;
        let path = self.folder.join(writer);
        let file = private().open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        let reserve = Reserve { file: Arc::new(file), bytes: self.room_bytes };
        take(reserve.clone()).await?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.own.push((path, reserve));
        held.opening = Some(opening);
        Ok(())
    }

    /// Those that live. To be asked by whoever has [`Self::opening`].
    ///
    /// # Errors
    /// If the folder of their locks cannot be read.
    pub(super) fn others(&self) -> io::Result<Vec<String>> {
        match self.look() {
            // Nobody has ever written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            looked => looked,
        }
    }

    /// Gives up what was kept free: how many bytes are wanted.
    pub(super) fn give_up_room(&self) -> u64 {
        self.is_full.store(true, Ordering::Relaxed);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, reserve) in &held.own {
            if let Err(error) = reserve.give_up() {
                tracing::error!(path = %path.display(), %error, "the reserve cannot be given up");
            }
        }
        self.room_bytes
    }

    /// Keeps free again what was given up.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Writers`].
    pub(super) async fn keep_room(&self) -> Result<(), StoreError> {
        let reserves: Vec<Reserve> = {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.own.iter().map(|(_, reserve)| reserve.clone()).collect()
        };
        for reserve in reserves {
            take(reserve).await?;
        }
        self.is_full.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the disk was full a moment ago: then what room there is, is for outcomes.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Those that live now; as long as the file is there, nobody else begins.
    ///
    /// # Errors
    /// [`StoreError::Writers`], if another one does not get done beginning.
    pub(super) async fn living(&self) -> Result<(Vec<String>, Option<File>), StoreError> {
        let is_beginning = {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.opening.is_some()
        };
        let turn = if is_beginning { None } else { Some(self.opening().await?) };
        create(&self.folder)?;
        Ok((self.look()?, turn))
    }

    /// Whether somebody has died since it was last known that the dead left nothing open.
    pub(super) fn has_dead(&self) -> bool {
        self.has_dead.load(Ordering::Relaxed)
    }

    /// The dead left nothing open, or nothing any more.
    pub(super) fn dead_left_nothing(&self) {
        self.has_dead.store(false, Ordering::Relaxed);
    }

    /// What others left is settled: the next one may begin.
    pub(super) fn has_begun(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).opening = None;
    }

    /// Those whose locks are held. What is left of the others is removed.
    fn look(&self) -> io::Result<Vec<String>> {
        let mut living = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let file = match File::open(entry.path()) {
                Ok(file) => file,
                // It has just left.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match file.try_lock() {
                Ok(()) => {
                    self.has_dead.store(true, Ordering::Relaxed);
                    match fs::remove_file(entry.path()) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        Ok(()) | Err(_) => {}
                    }
                }
                Err(TryLockError::WouldBlock) => {
                    living.push(entry.file_name().to_string_lossy().into_owned());
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(living)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (path, reserve) in held.own.drain(..) {
            // If it stays, the next writer removes it.
            fs::remove_file(path).ok();
            drop(reserve);
        }
    }
}

/// Fills a reserve, on a thread that may wait for the disk.
async fn take(reserve: Reserve) -> Result<(), StoreError> {
    let taken = tokio::task::spawn_blocking(move || reserve.take()).await;
    taken.map_err(|ended| StoreError::Writers(io::Error::other(ended)))?
}

fn create(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
