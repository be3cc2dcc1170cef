//! `callgate evidence tiles`: the whole log as a folder that anybody can verify without us, in the layout of C2SP
//! `tlog-tiles`, with the payloads and all checkpoints beside it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use callgate_model::ambient::Timestamp;
use callgate_model::json::Json;
use callgate_model::transparency::{TILE_WIDTH, Tile, Tiling, bundle};
use callgate_store::{EvidenceStore as _, KeptCheckpoint, Row, SqliteStore, TreeStore as _};

use crate::cli::Failure;

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
    store: &SqliteStore,
    folder: &Path,
    payloads: Payloads,
    mut tell: impl FnMut(u64, u64),
) -> Result<Written, Failure> {
    let unreadable = |error| Failure::Other(format!("the evidence cannot be read: {error}"));
    let failed = |error: io::Error| Failure::Other(format!("{}: {error}", folder.display()));
    let last = store.last_checkpoint().await.map_err(unreadable)?;
    let Some(last) = last else {
        return Err(
            "there is no checkpoint yet: a gateway signs one some seconds after it starts".into()
        );
    };
    let mut writer = Writer::new(folder, payloads).map_err(failed)?;
    while writer.written.entries < last.size {
        let left = last.size - writer.written.entries;
        let limit = u32::try_from(left.min(u64::from(PAGE))).unwrap_or(PAGE);
        let rows = store.read(writer.written.entries, limit).await.map_err(unreadable)?;
        if rows.is_empty() {
            return Err(
                "the log is shorter than its newest checkpoint: records were removed".into()
            );
        }
        writer.take(&rows).map_err(failed)?;
        tell(writer.written.entries, last.size);
    }
    let mut from = 0;
    loop {
        let some = store.checkpoints(from, PAGE).await.map_err(unreadable)?;
        let Some(newest) = some.last() else { break };
        from = newest.size + 1;
        let some = some.iter().filter(|one| one.size <= last.size);
        some.into_iter().try_for_each(|one| writer.checkpoint(one)).map_err(failed)?;
    }
    writer.end(&last).map_err(failed)
}

/// A folder that is being written.
struct Writer {
    folder: PathBuf,
    wanted: Payloads,
    tiling: Tiling,
    /// The entries of the bundle that is not full yet.
    open: Vec<String>,
    payloads: BufWriter<File>,
    checkpoints: BufWriter<File>,
    written: Written,
}

impl Writer {
    fn new(folder: &Path, wanted: Payloads) -> io::Result<Self> {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        // What was there before must not be taken for a part of this.
        fs::create_dir(folder)?;
        let file = |name| Ok::<_, io::Error>(BufWriter::new(File::create_new(folder.join(name))?));
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

    fn take(&mut self, rows: &[Row]) -> io::Result<()> {
        for row in rows {
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
            let is_wanted =
                from.is_none_or(|from| row.at >= from) && to.is_none_or(|to| row.at < to);
            if is_wanted && !row.text.is_empty() {
                // The text is canonical, so that it stands here byte for byte.
                writeln!(self.payloads, "{{\"index\":{index},\"payload\":{}}}", row.text)?;
                self.written.payloads += 1;
            }
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

    fn end(mut self, last: &KeptCheckpoint) -> io::Result<Written> {
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
        fs::write(path, bytes)
    }
}
