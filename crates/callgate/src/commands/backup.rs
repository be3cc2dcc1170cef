//! `callgate backup`: a copy of the evidence database, made while a gateway writes it, and verified.

use std::fs;
use std::io;
use std::path::Path;

use callgate_model::json::Object;
use callgate_model::transparency::Verifier;
use callgate_store::{EvidenceStore as _, SqliteStore, copy};

use super::verify::verify;
use crate::cli::Failure;
use crate::cli::backup::Backup;
use crate::config::Config;
use crate::print::{self, causes};
use crate::verification::{Stop, Verified};
use crate::{keeping, private};

/// What a copy has.
pub(super) struct Copied {
    pub(super) verified: Verified,
    /// How many records, and when the last of them was made.
    pub(super) records: u64,
    pub(super) until: Option<callgate_model::ambient::Timestamp>,
}

pub(crate) async fn run(options: Backup) -> Result<(), Failure> {
    let config = options.config.load()?;
    let (from, to) = (file_of(&config)?, &options.to);
    if to.try_exists().map_err(|error| format!("{}: {error}", to.display()))? {
        return Err(
            format!("`{}` is there already: a backup overwrites nothing", to.display()).into()
        );
    }
    let keys = keeping::verifiers(&config)?;
    let source = SqliteStore::open_read_only(from).await.map_err(|error| causes(&error))?;
    let folder =
        private::beside(to, "backup").map_err(|error| format!("{}: {error}", to.display()))?;
    let made = folder.path().join("evidence.db");
    copy(from, &made).await.map_err(|error| causes(&error))?;
    let copied = examined(&made, &keys).await?;
    continues(&made, &source, copied.records).await?;
    place(&made, to).map_err(|error| format!("`{}` cannot be made: {error}", to.display()))?;
    let bytes = fs::metadata(to).map_or(0, |about| about.len());
    if options.json {
        print::json(&object(&copied, to, bytes).into());
        return Ok(());
    }
    print::line(&print::safe(&format!(
        "{}: {}, {} KiB",
        to.display(),
        told(&copied),
        bytes.div_ceil(1024)
    )));
    print::note(
        "not in it: the key that signs checkpoints, the configuration and its secrets; keep them elsewhere",
    );
    Ok(())
}

/// The database, if it is ours to copy.
pub(super) fn file_of(config: &Config) -> Result<&Path, Failure> {
    let file = config.store.file();
    let other = || {
        format!(
            "{} is copied by PostgreSQL's own means, `pg_dump` and `pg_restore`: see docs/operating.md",
            config.store
        )
    };
    Ok(file.ok_or_else(other)?)
}

/// Checks a copy as `evidence verify` checks the evidence, and as SQLite checks a file.
pub(super) async fn examined(path: &Path, keys: &[Verifier]) -> Result<Copied, Failure> {
    let store = SqliteStore::open_read_only(path).await.map_err(|error| causes(&error))?;
    let copied = checked(&store, keys).await?;
    store.close().await?;
    Ok(copied)
}

/// The same of an open one.
pub(super) async fn checked(store: &SqliteStore, keys: &[Verifier]) -> Result<Copied, Failure> {
    if let Some(damage) = store.damage().await? {
        return Err(format!("the database is damaged: {damage}").into());
    }
    let verified = match verify(store, keys).await {
        Ok(verified) => verified,
        Err(Stop::Broken(_)) if keys.is_empty() => {
            let text = "there is no key by which its checkpoints could be verified: put that key beside the database again \
                        (`evidence.db.key` beside `evidence.db`), or name it in `evidence.keys`";
            return Err(text.into());
        }
        Err(Stop::Broken(problem)) => {
            return Err(format!(
                "the evidence is BROKEN: {problem}; `callgate evidence verify` says the same"
            )
            .into());
        }
        Err(Stop::Unreadable(error)) => return Err(error.into()),
    };
    let records = store.size().await?;
    let until = store.read(records.saturating_sub(1), 1).await?.last().map(|row| row.at);
    Ok(Copied { verified, records, until })
}

/// Whether the copy is the beginning of what it was made of: its last record is there, at its place.
async fn continues(copy: &Path, source: &SqliteStore, records: u64) -> Result<(), Failure> {
    let copy = SqliteStore::open_read_only(copy).await.map_err(|error| causes(&error))?;
    let last = records.saturating_sub(1);
    let (ours, theirs) = (copy.read(last, 1).await?, source.read(last, 1).await?);
    let hashes = |rows: &[callgate_store::Row]| rows.iter().map(|row| row.hash).collect::<Vec<_>>();
    if hashes(&ours) == hashes(&theirs) {
        Ok(())
    } else {
        Err(format!("the copy is another log than its source: they differ at record {last}").into())
    }
}

/// Gives a file its name, if nothing has that name, and waits until that is on the disk.
fn place(made: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(made, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// It in words.
pub(super) fn told(copied: &Copied) -> String {
    let Copied { verified, records, until } = copied;
    let until = until.map_or_else(|| "none".to_owned(), |at| at.to_string());
    format!(
        "{records} records, the last of {until}; verified, {} of them under a signature",
        verified.signed
    )
}

fn object(copied: &Copied, to: &Path, bytes: u64) -> Object {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Object::default()
        .with("backup", to.display().to_string())
        .with("bytes", number(bytes))
        .with("records", number(copied.records))
        .with("signed", number(copied.verified.signed))
        .with("until", copied.until.map(|at| at.to_string()))
}
