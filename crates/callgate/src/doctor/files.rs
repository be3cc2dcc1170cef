//! Who else may read what is secret, and who else may change what is believed.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use callgate_policy::Tier;

use super::{Finding, counted};
use crate::assemble::files_in;
use crate::cases;
use crate::config::{Config, StoreConfig};

const CHECK: &str = "files";

/// What others than owner and group may do, and what the group may.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;
/// In a folder with it, one may only replace one's own files.
const STICKY: u32 = 0o1000;

pub(super) fn examine(path: &Path, config: &Config) -> Vec<Finding> {
    let secrets: BTreeSet<PathBuf> =
        config.secret_files.iter().cloned().chain(of_database(config)).collect();
    let believed = believed(path, config);
    let mut found = Vec::new();
    let mut looked = 0;
    let secret = |mode| mode & (OTHERS_READ | OTHERS_WRITE | GROUP_WRITE) != 0;
    let changeable = |mode| mode & OTHERS_WRITE != 0;
    let each = secrets.iter().map(|path| (path, true));
    for (path, is_secret) in each.chain(believed.iter().map(|path| (path, false))) {
        let about = match fs::metadata(path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let text = format!("{}: {error}", path.display());
                found.push(Finding::warning(CHECK, text, "let the gateway's user look at it"));
                continue;
            }
        };
        looked += 1;
        let mode = about.mode() & 0o7777;
        if is_secret && secret(mode) {
            let what = if mode & OTHERS_READ == 0 { "change" } else { "read" };
            let text = format!("{}: others may {what} it (mode {mode:o})", path.display());
            found.push(Finding::problem(CHECK, text, private(path, &about)));
        } else if !is_secret && changeable(mode) && mode & STICKY == 0 {
            let text = format!("{}: everybody may change it (mode {mode:o})", path.display());
            found.push(Finding::problem(CHECK, text, format!("chmod o-w {}", path.display())));
        }
    }
    if found.is_empty() {
        let text =
            format!("{}: nobody else reads a secret or changes a rule", counted(looked, "file"));
        found.push(Finding::ok(CHECK, text));
    }
    found
}

/// The command that makes it its owner's; what a group may read stays so.
fn private(path: &Path, about: &Metadata) -> String {
    let mode =
        if about.mode() & 0o040 == 0 || about.mode() & OTHERS_READ != 0 { "600" } else { "640" };
    let mode = if about.is_dir() { "700" } else { mode };
    format!("chmod {mode} {}", path.display())
}

/// The database, what SQLite and we keep beside it, and the key that signs.
fn of_database(config: &Config) -> impl Iterator<Item = PathBuf> {
    file_of(config).into_iter().flat_map(|store| {
        ["", "-wal", "-shm", ".key"].map(|end| {
            let mut path = store.as_os_str().to_owned();
            path.push(end);
            path.into()
        })
    })
}

fn file_of(config: &Config) -> Option<&PathBuf> {
    match &config.store {
        StoreConfig::Sqlite(path) => Some(path),
        StoreConfig::Postgres(_) => None,
    }
}

/// What decides: the configuration, policies and catalogs, and the folders that they stand in.
fn believed(path: &Path, config: &Config) -> BTreeSet<PathBuf> {
    let tiers = [Tier::Guardrail, Tier::Approval, Tier::Permit];
    let folders = tiers.map(|tier| config.policies.join(tier.folder()));
    let policies = folders.iter().flat_map(|folder| files_in(folder, "cedar"));
    let files: BTreeSet<PathBuf> = policies
        .chain(cases::files(&config.policies))
        .chain(config.catalogs.files.iter().cloned())
        .chain([path.to_owned()])
        .chain(file_of(config).cloned())
        .collect();
    let around = files.iter().filter_map(|file| file.parent());
    let around =
        around.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let around: BTreeSet<PathBuf> = around.map(Path::to_owned).collect();
    let mut all = files;
    // That is a secret, and looked at as one.
    all.retain(|file| file_of(config) != Some(file));
    all.extend(around);
    all.extend(folders);
    all.insert(config.policies.clone());
    all
}
