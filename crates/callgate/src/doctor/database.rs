//! The evidence database: whether it can be written, on what disk it is, and whether there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use callgate_store::{
    Address, OpenError, PostgresError, PostgresStore, SqliteStore, Store, room_for_outcomes,
};
use rustix::fs::{Access, access, statvfs};
use tokio::time::timeout;

use super::{Finding, Level};
use crate::config::{Config, StoreConfig};
use crate::print::causes;

const DATABASE: &str = "database";
const DISK: &str = "disk";

/// What helps if a database is of an older version, or has nothing yet.
const OLDER: &str =
    "start the gateway: it brings the database to its own version. Take a backup before";
/// For a database server to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Less room than that, in bytes, is soon used up.
const ROOM_BYTES_MIN: u64 = 1 << 30;
/// What is free beside what a gateway keeps, without which it does not start.
const BESIDE_BYTES: u64 = 1 << 20;

/// What there is to say, and the store if it can be read.
pub(super) async fn examine(config: &Config) -> (Vec<Finding>, Option<Arc<dyn Store>>) {
    match &config.store {
        StoreConfig::Postgres(address) => of_server(address).await,
        StoreConfig::Sqlite(path) => of_file(path, config.limits.calls.in_flight_max).await,
    }
}

async fn of_server(address: &Address) -> (Vec<Finding>, Option<Arc<dyn Store>>) {
    let opened = timeout(ANSWER_WITHIN, Box::pin(PostgresStore::open_read_only(address))).await;
    match opened {
        Ok(Ok(store)) => {
            let well = Finding::ok(DATABASE, format!("{address} answers, and is of this version"));
            (vec![well], Some(Arc::new(store)))
        }
        Ok(Err(error @ PostgresError::Older { .. })) => {
            let text = format!("{address}: {}", causes(&error));
            (vec![Finding::warning(DATABASE, text, OLDER)], None)
        }
        Ok(Err(error)) => {
            let remedy = "see that the server is there, that this machine may go there, and that its user may use the database";
            let text = format!("{address}: {}", causes(&error));
            (vec![Finding::problem(DATABASE, text, remedy)], None)
        }
        Err(_elapsed) => {
            let remedy = "see that this machine may go there";
            (
                vec![Finding::problem(DATABASE, format!("{address}: no answer in time"), remedy)],
                None,
            )
        }
    }
}

async fn of_file(path: &Path, calls: usize) -> (Vec<Finding>, Option<Arc<dyn Store>>) {
    let mut found = vec![room(path, calls)];
    found.extend(kind_of_disk(path));
    let folder = folder_of(path);
    if !path.exists() {
        found.push(match access(&folder, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => {
                Finding::ok(DATABASE, format!("{} is made at the first start", path.display()))
            }
            Err(error) => {
                let text = format!("{} cannot be made: {error}", path.display());
                let remedy = format!(
                    "make the folder {}, and let the gateway's user write it",
                    folder.display()
                );
                Finding::problem(DATABASE, text, remedy)
            }
        });
        return (found, None);
    }
    let written = [path, &folder];
    let refused =
        written.iter().find_map(|path| Some((path, access(*path, Access::WRITE_OK).err()?)));
    if let Some((path, error)) = refused {
        let text = format!("{} cannot be written: {error}", path.display());
        let remedy = "let the gateway's user write the database and its folder, on a disk that is not read-only";
        found.push(Finding::problem(DATABASE, text, remedy));
    }
    match SqliteStore::open_read_only(path).await {
        Ok(store) => {
            let text = format!("{} can be read, and is of this version", path.display());
            found.push(Finding::ok(DATABASE, text));
            (found, Some(Arc::new(store)))
        }
        Err(error) => {
            found.push(unopened(&error));
            (found, None)
        }
    }
}

/// What an open database does not say.
pub(super) fn unreadable(config: &Config, why: &str) -> Finding {
    let text = format!("{} cannot be read: {why}", config.store);
    Finding::problem(
        DATABASE,
        text,
        "see whether the disk is well; `callgate restore` puts a backup in its place",
    )
}

fn unopened(error: &OpenError) -> Finding {
    let text = causes(error);
    match error {
        OpenError::Older { .. } => Finding::warning(DATABASE, text, OLDER),
        OpenError::Newer { .. } => Finding::problem(
            DATABASE,
            text,
            "run the version of callgate that wrote it, or a newer one",
        ),
        OpenError::Full { .. } => Finding::problem(DATABASE, text, "make room on its disk"),
        OpenError::File { .. }
        | OpenError::InUse { .. }
        | OpenError::Written { .. }
        | OpenError::Database { .. } => {
            let remedy = "it is no database of callgate, or a damaged one: `callgate restore` puts a backup in its place";
            Finding::problem(DATABASE, text, remedy)
        }
    }
}

/// Whether there is room for the outcomes of all calls that may be on their way, and for some time.
fn room(store: &Path, calls: usize) -> Finding {
    let folder = folder_of(store);
    let disk = match statvfs(&folder) {
        Ok(disk) => disk,
        Err(error) => {
            let text = format!("{}: {error}", folder.display());
            return Finding::problem(
                DISK,
                text,
                "make that folder, or name another one in `store.path`",
            );
        }
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = room_for_outcomes(calls).saturating_add(BESIDE_BYTES);
    let level = level(free, kept(store), needed);
    let text = format!("{} are free at {}", megabytes(free), folder.display());
    match level {
        Level::Ok => Finding::ok(DISK, text),
        Level::Warning => {
            Finding::warning(DISK, text, "make room: the evidence grows with every call")
        }
        Level::Problem => {
            let text = format!(
                "{text}, and {} have to be, for outcomes of calls on their way",
                megabytes(needed)
            );
            Finding::problem(DISK, text, "make room: until there is, calls are refused")
        }
    }
}

fn level(free: u64, kept: u64, needed: u64) -> Level {
    if free.saturating_add(kept) < needed {
        return Level::Problem;
    }
    if free < ROOM_BYTES_MIN { Level::Warning } else { Level::Ok }
}

/// What gateways that run keep free by files that take it.
fn kept(store: &Path) -> u64 {
    let mut writers = store.as_os_str().to_owned();
    writers.push(".writers");
    let files = fs::read_dir(PathBuf::from(writers)).into_iter().flatten();
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

/// SQLite needs shared memory and locks that mean something, and evidence a disk that stays.
#[cfg(target_os = "linux")]
fn kind_of_disk(store: &Path) -> Option<Finding> {
    const NETWORKED: &[(u32, &str)] = &[
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9P"),
        (0x00c3_6400, "Ceph"),
    ];
    const MEMORY: &[(u32, &str)] = &[(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];
    let disk = rustix::fs::statfs(folder_of(store)).ok()?;
    // The numbers have 32 bits, whatever the type has.
    let kind = u32::try_from(disk.f_type & 0xffff_ffff).ok()?;
    let named = |among: &[(u32, &'static str)]| {
        among.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
    };
    if let Some(name) = named(NETWORKED) {
        let text =
            format!("{} is on {name}: locks and shared memory do not hold there", store.display());
        return Some(Finding::problem(DISK, text, "put the database on a disk of this machine"));
    }
    let name = named(MEMORY)?;
    let text =
        format!("{} is on {name}: it is gone with the machine's next start", store.display());
    Some(Finding::warning(DISK, text, "put the database on a disk"))
}

#[cfg(not(target_os = "linux"))]
const fn kind_of_disk(_store: &Path) -> Option<Finding> {
    None
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        10_240.. => format!("{} GiB", bytes >> 30),
        megabytes => format!("{megabytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e01_room_that_a_gateway_keeps_counts_and_room_that_is_short_is_told() {
        const GIB: u64 = 1 << 30;
        for (free, kept, needed, is) in [
            (2 * GIB, 0, 30 << 20, Level::Ok),
            (GIB - 1, 0, 30 << 20, Level::Warning),
            (8 << 20, 29 << 20, 30 << 20, Level::Warning),
            (8 << 20, 0, 30 << 20, Level::Problem),
        ] {
            assert_eq!(level(free, kept, needed), is, "{free} {kept} {needed}");
        }
    }
}
