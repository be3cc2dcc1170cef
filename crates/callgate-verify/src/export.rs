//! The files of an export, read piece by piece and no further than they may be long.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use callgate_model::evidence::ENTRY_BYTES_MAX;
use callgate_model::evidence::audit::PAYLOAD_LIMITS;
use callgate_model::json::{Json, JsonLimits, read};
use callgate_model::transparency::{
    Checkpoint, CheckpointError, NOTE_BYTES_MAX, Signed, TILE_WIDTH, Tile, Verifier, unbundle,
};

use crate::broken::{Broken, Stop};

/// Longest bundle of entries, in bytes: all of them as long as they may be.
const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (ENTRY_BYTES_MAX + 2);
/// Longest tile, in bytes.
const TILE_BYTES_MAX: usize = TILE_WIDTH as usize * 32;
/// Longest line of payloads, in bytes: a payload with its index.
const PAYLOAD_LINE_BYTES_MAX: usize = PAYLOAD_LIMITS.bytes_max + 64;
/// Longest line of checkpoints, in bytes: each byte of a note may have to be escaped.
const CHECKPOINT_LINE_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX;

/// The latest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// All checkpoints, the oldest first.
const CHECKPOINTS: &str = "checkpoints.jsonl";
/// The payloads that are exported.
const PAYLOADS: &str = "payloads.jsonl";

/// An export in a folder.
#[derive(Debug)]
pub(crate) struct Export {
    folder: PathBuf,
}

impl Export {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The latest checkpoint, signed by one of the keys.
    pub(crate) fn checkpoint(&self, keys: &[Verifier]) -> Result<Signed, Stop> {
        let path = self.folder.join(CHECKPOINT);
        if !path.exists() {
            let folder = self.folder.display();
            return Err(Stop::Unreadable(format!(
                "{folder} is no export: it has no `{CHECKPOINT}`"
            )));
        }
        let text = text_of(CHECKPOINT, self.bytes(CHECKPOINT, NOTE_BYTES_MAX)?)?;
        signed(CHECKPOINT, &text, keys)
    }

    /// The entries of a bundle.
    pub(crate) fn bundle(&self, tile: Tile) -> Result<Bundle, Stop> {
        let path = tile.bundle_path();
        Ok(Bundle { bytes: self.bytes(&path, BUNDLE_BYTES_MAX)?, path, width: tile.width })
    }

    /// The bytes of a tile.
    pub(crate) fn tile(&self, tile: Tile) -> Result<Vec<u8>, Stop> {
        self.bytes(&tile.path(), TILE_BYTES_MAX)
    }

    pub(crate) fn payloads(&self) -> Result<Payloads, Stop> {
        let lines = self.lines(PAYLOADS, PAYLOAD_LINE_BYTES_MAX)?;
        let mut payloads = Payloads { lines, next: None };
        payloads.next = payloads.read()?;
        Ok(payloads)
    }

    pub(crate) fn checkpoints(&self) -> Result<Checkpoints, Stop> {
        Ok(Checkpoints { lines: self.lines(CHECKPOINTS, CHECKPOINT_LINE_BYTES_MAX)? })
    }

    fn bytes(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, Stop> {
        let file = self.open(path)?;
        bounded(file, bytes_max)
            .map_err(|error| unreadable(&self.folder.join(path), &error))?
            .ok_or_else(|| too_long(path, bytes_max))
    }

    fn lines(&self, path: &'static str, bytes_max: usize) -> Result<Lines, Stop> {
        let reader = BufReader::new(self.open(path)?);
        Ok(Lines { path: path.to_owned(), reader, number: 0, bytes_max })
    }

    /// A file of the export. One that is not there breaks it: it was taken away.
    fn open(&self, path: &str) -> Result<File, Stop> {
        match open(&self.folder.join(path)) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Broken::file(path, "the file", "that it is not there").into())
            }
            Err(error) => Err(unreadable(&self.folder.join(path), &error)),
        }
    }
}

/// The checkpoints that were noted before in a file: one, or one on each line as a JSON string.
pub(crate) fn noted(path: &Path, keys: &[Verifier]) -> Result<Vec<Checkpoint>, Stop> {
    let mut reader = BufReader::new(open(path).map_err(|error| unreadable(path, &error))?);
    let begins = reader.fill_buf().map_err(|error| unreadable(path, &error))?;
    if begins.first() != Some(&b'"') {
        let note = text_file(path, NOTE_BYTES_MAX)?;
        return Ok(vec![of_note(path, &note, keys)?]);
    }
    let mut lines = Lines {
        path: path.display().to_string(),
        reader,
        number: 0,
        bytes_max: CHECKPOINT_LINE_BYTES_MAX,
    };
    let mut noted = Vec::new();
    while let Some((line, is_ended)) = lines.any()? {
        let json = read(&line, &JsonLimits::of_bytes(CHECKPOINT_LINE_BYTES_MAX)).ok();
        match json.as_ref().and_then(Json::as_str) {
            Some(note) => noted.push(of_note(path, note, keys)?),
            // Whoever was cut off when it wrote a line has gone on after it. If nothing follows, what was to be noted is missing.
            None if json.is_none() && line.first() == Some(&b'"') && is_ended => {}
            None => {
                let (path, number) = (path.display(), lines.number);
                return Err(Stop::Unreadable(format!(
                    "{path} line {number}: no checkpoint as a JSON string, or one that was cut off"
                )));
            }
        }
    }
    Ok(noted)
}

fn of_note(path: &Path, note: &str, keys: &[Verifier]) -> Result<Checkpoint, Stop> {
    let read = Checkpoint::verify(note, keys).map(|signed| signed.checkpoint);
    read.map_err(|error| {
        let path = path.display();
        Stop::Unreadable(format!("{path} cannot be compared with: {error}"))
    })
}

/// The text of a file outside of the export.
pub(crate) fn text_file(path: &Path, bytes_max: usize) -> Result<String, Stop> {
    let bytes = open(path).and_then(|file| bounded(file, bytes_max));
    let bytes = bytes.map_err(|error| unreadable(path, &error))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let why = || Stop::Unreadable(format!("{}: no text, or too long", path.display()));
    text.ok_or_else(why)
}

/// Only plain files are read: anything else could be without end.
fn open(path: &Path) -> std::io::Result<File> {
    if path.metadata()?.is_file() {
        return File::open(path);
    }
    Err(std::io::Error::other("it is no file"))
}

/// All of a file; `None` if it is longer than it may be.
fn bounded(file: File, bytes_max: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Stop {
    Stop::Unreadable(format!("{}: {error}", path.display()))
}

fn too_long(path: &str, bytes_max: usize) -> Stop {
    Broken::file(path, format!("at most {bytes_max} bytes"), "more").into()
}

fn text_of(path: &str, bytes: Vec<u8>) -> Result<String, Stop> {
    let text = String::from_utf8(bytes);
    text.map_err(|_bytes| Broken::file(path, "UTF-8", "other bytes").into())
}

/// A checkpoint of the export. Whatever is wrong with it breaks the export.
fn signed(path: &str, note: &str, keys: &[Verifier]) -> Result<Signed, Stop> {
    Checkpoint::verify(note, keys).map_err(|error| {
        let expected = match &error {
            CheckpointError::Note(_) => "a note that is signed by one of the keys given",
            CheckpointError::Malformed => "a checkpoint",
            CheckpointError::OfAnotherLog { .. } => "a checkpoint signed by its own log",
        };
        Broken::file(path, expected, error.to_string()).into()
    })
}

/// A bundle of entries.
#[derive(Debug)]
pub(crate) struct Bundle {
    path: String,
    bytes: Vec<u8>,
    width: u16,
}

impl Bundle {
    pub(crate) fn entries(&self) -> Result<Vec<&[u8]>, Stop> {
        unbundle(&self.bytes, self.width).map_err(|error| {
            Broken::file(&self.path, format!("{} entries", self.width), error.to_string()).into()
        })
    }
}

/// A file of lines. In an export each of them ends.
#[derive(Debug)]
struct Lines {
    path: String,
    reader: BufReader<File>,
    number: u64,
    bytes_max: usize,
}

impl Lines {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        match self.any()? {
            Some((line, true)) => Ok(Some(line)),
            Some((_, false)) => {
                let expected = format!("a line of at most {} bytes, with its end", self.bytes_max);
                Err(self.broken(expected, "another"))
            }
            None => Ok(None),
        }
    }

    /// The next line without its end, and whether it has one. One that is too long has none.
    fn any(&mut self) -> Result<Option<(Vec<u8>, bool)>, Stop> {
        let mut line = Vec::new();
        let most = u64::try_from(self.bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut reader = (&mut self.reader).take(most);
        let read = reader.read_until(b'\n', &mut line);
        read.map_err(|error| Stop::Unreadable(format!("{}: {error}", self.path)))?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let is_ended = line.pop_if(|last| *last == b'\n').is_some();
        Ok(Some((line, is_ended)))
    }

    fn broken(&self, expected: impl Into<String>, found: impl Into<String>) -> Stop {
        Broken::file(&format!("{} line {}", self.path, self.number), expected, found).into()
    }
}

/// The payloads, in the order of their records.
#[derive(Debug)]
pub(crate) struct Payloads {
    lines: Lines,
    next: Option<(u64, Vec<u8>)>,
}

impl Payloads {
    /// The payload of a record, if it is there. Records are asked for one after the other.
    pub(crate) fn of(&mut self, index: u64) -> Result<Option<Vec<u8>>, Stop> {
        if self.next.as_ref().is_none_or(|(next, _)| *next != index) {
            return Ok(None);
        }
        let next = self.read()?;
        if let Some((after, _)) = &next
            && *after <= index
        {
            let expected = format!("the payload of a record after {index}");
            return Err(self.lines.broken(expected, format!("that of {after}")));
        }
        Ok(std::mem::replace(&mut self.next, next).map(|(_, payload)| payload))
    }

    /// That there are no others, after the last record.
    pub(crate) fn end(&self, size: u64) -> Result<(), Stop> {
        match &self.next {
            None => Ok(()),
            Some((index, _)) => {
                let expected = format!("payloads of the {size} records");
                Err(self.lines.broken(expected, format!("that of record {index}")))
            }
        }
    }

    fn read(&mut self) -> Result<Option<(u64, Vec<u8>)>, Stop> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let parts = || {
            let rest = line.strip_prefix(br#"{"index":"#)?.strip_suffix(b"}")?;
            let end = rest.iter().position(|byte| *byte == b',')?;
            let (index, rest) = rest.split_at_checked(end)?;
            let payload = rest.strip_prefix(br#","payload":"#)?;
            let text = std::str::from_utf8(index).ok()?;
            let index: u64 = text.parse().ok().filter(|index: &u64| index.to_string() == text)?;
            Some((index, payload.to_owned()))
        };
        let expected = "`index` and `payload` as canonical JSON";
        parts().map(Some).ok_or_else(|| self.lines.broken(expected, "something else"))
    }
}

/// The checkpoints, the oldest first.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    lines: Lines,
}

impl Checkpoints {
    /// The next one, signed by one of the keys.
    pub(crate) fn next(&mut self, keys: &[Verifier]) -> Result<Option<Signed>, Stop> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        let limits = JsonLimits::of_bytes(CHECKPOINT_LINE_BYTES_MAX);
        let json = read(&line, &limits).ok();
        let note = json.as_ref().and_then(Json::as_str);
        let note = note
            .ok_or_else(|| self.lines.broken("a checkpoint as a JSON string", "something else"))?;
        signed(&self.here(), note, keys).map(Some)
    }

    /// Where the last one stands.
    pub(crate) fn here(&self) -> String {
        format!("{CHECKPOINTS} line {}", self.lines.number)
    }
}
