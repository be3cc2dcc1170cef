//! The whole log as a folder that anybody can verify without us, in the layout of C2SP `tlog-tiles`, with the payloads and all
//! checkpoints beside it: `callgate evidence tiles`, and a part of an auditor's pack.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use callgate_model::ambient::Timestamp;
use callgate_model::json::Json;
use callgate_model::transparency::{TILE_WIDTH, Tile, Tiling, bundle};
use callgate_store::{KeptCheckpoint, Row, Store};

use crate::cli::Failure;
use crate::private;

/// Records that are read in one go: some whole bundles.
const PAGE: u32 = 1_024;

/// Whose payloads are in the folder: those of records of this time. The entries are all there, or nothing could be verified.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Payloads {
    /// Of this moment or later.
    pub(crate) from: Option<Timestamp>,
    /// Before this moment.
    pub(crate) to: Option<Timestamp>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Entries: as many as the checkpoint is about.
    pub(crate) entries: u64,
    /// Payloads.
    pub(crate) payloads: u64,
}

/// Writes the log up to its newest checkpoint to `folder`, which must not be there yet.
pub(crate) async fn write(
    store: &dyn Store,
    folder: &Path,
    payloads: Payloads,
    mut tell: impl FnMut(u64, u64),
) -> Result<Written, Failure> {
    let failed = |error: io::Error| Failure::Other(format!("{}: {error}", folder.display()));
    let last = last_checkpoint(store).await?;
    let mut tiles = Tiles::begin(folder, payloads).map_err(failed)?;
    while tiles.written.entries < last.size {
        let rows = read_to(store, tiles.written.entries, last.size).await?;
        rows.iter().try_for_each(|row| tiles.take(row)).map_err(failed)?;
        tell(tiles.written.entries, last.size);
    }
    tiles.end(store, &last).await
}

/// The newest checkpoint: what an export is of.
pub(crate) async fn last_checkpoint(store: &dyn Store) -> Result<KeptCheckpoint, Failure> {
    let last = store.last_checkpoint().await?;
    let none = "there is no checkpoint yet: a gateway signs one some seconds after it starts";
    Ok(last.ok_or(none)?)
}

/// The next records from the place `from` on, of a log that was signed with `size` of them.
pub(crate) async fn read_to(store: &dyn Store, from: u64, size: u64) -> Result<Vec<Row>, Failure> {
    let left = size.saturating_sub(from).min(u64::from(PAGE));
    let rows = store.read(from, u32::try_from(left).unwrap_or(PAGE)).await?;
    if rows.is_empty() {
        return Err("the log is shorter than its newest checkpoint: records were removed".into());
    }
    Ok(rows)
}

/// A folder that is being written.
pub(crate) struct Tiles {
    folder: PathBuf,
    wanted: Payloads,
    tiling: Tiling,
    /// The entries of the bundle that is not full yet.
    open: Vec<String>,
    payloads: BufWriter<File>,
    checkpoints: BufWriter<File>,
    written: Written,
}

impl Tiles {
    /// Makes it.
    pub(crate) fn begin(folder: &Path, wanted: Payloads) -> io::Result<Self> {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        // What was there before must not be taken for a part of this.
        private::folder(folder)?;
        let file = |name| Ok::<_, io::Error>(BufWriter::new(private::file(&folder.join(name))?));
        Ok(Self {
            folder: folder.to_owned(),
            wanted,
            tiling: Tiling::default(),
            open: Vec::new(),
            payloads: file("payloads.jsonl")?,
            checkpoints: file("checkpoints.jsonl")?,
            written: Written::default(),
        })
    }

    /// Writes the next record.
    pub(crate) fn take(&mut self, row: &Row) -> io::Result<()> {
        let index = self.written.entries;
        let mut full = Vec::new();
        self.tiling.push(row.hash, |tile, bytes| full.push((tile, bytes.to_vec())));
        full.iter().try_for_each(|(tile, bytes)| self.file(&tile.path(), bytes))?;
        self.open.push(row.entry.clone());
        self.written.entries += 1;
        if self.written.entries.is_multiple_of(TILE_WIDTH) {
            self.bundle()?;
        }
        let Payloads { from, to } = self.wanted;
        let is_wanted = from.is_none_or(|from| row.at >= from) && to.is_none_or(|to| row.at < to);
        if is_wanted && !row.text.is_empty() {
            // The text is canonical, so that it stands here byte for byte.
            writeln!(self.payloads, "{{\"index\":{index},\"payload\":{}}}", row.text)?;
            self.written.payloads += 1;
        }
        Ok(())
    }

    /// Writes the entries that are open as the last bundle of so many.
    fn bundle(&mut self) -> io::Result<()> {
        let size = self.written.entries;
        let Some(tile) = size.checked_sub(1).and_then(|last| Tile::of(0, last / TILE_WIDTH, size))
        else {
            return Ok(());
        };
        let entries = std::mem::take(&mut self.open);
        let bytes = bundle(entries.iter().map(String::as_bytes)).map_err(io::Error::other)?;
        self.file(&tile.bundle_path(), &bytes)
    }

    fn checkpoint(&mut self, checkpoint: &KeptCheckpoint) -> io::Result<()> {
        writeln!(self.checkpoints, "{}", Json::from(checkpoint.note.as_str()).to_text())
    }

    /// Writes what is left, and the checkpoints up to `last`.
    pub(crate) async fn end(
        mut self,
        store: &dyn Store,
        last: &KeptCheckpoint,
    ) -> Result<Written, Failure> {
        let folder = self.folder.clone();
        let failed = |error: io::Error| Failure::Other(format!("{}: {error}", folder.display()));
        let mut from = 0;
        loop {
            let some = store.checkpoints(from, PAGE).await?;
            let Some(newest) = some.last() else { break };
            from = newest.size + 1;
            let some = some.iter().filter(|one| one.size <= last.size);
            some.into_iter().try_for_each(|one| self.checkpoint(one)).map_err(failed)?;
        }
        self.finish(last).map_err(failed)
    }

    fn finish(mut self, last: &KeptCheckpoint) -> io::Result<Written> {
        if !self.open.is_empty() {
            self.bundle()?;
        }
        let mut rest = Vec::new();
        self.tiling.rest(|tile, bytes| rest.push((tile, bytes.to_vec())));
        rest.iter().try_for_each(|(tile, bytes)| self.file(&tile.path(), bytes))?;
        self.payloads.flush()?;
        self.checkpoints.flush()?;
        // With it the folder is whole.
        self.file("checkpoint", last.note.as_bytes())?;
        Ok(self.written)
    }

    fn file(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        private::file(&path)?.write_all(bytes)
    }
}
