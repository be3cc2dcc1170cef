//! The files of a pack. They are for their owner alone, as the store is: whoever hands them on decides to whom.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use callgate_model::json::Object;

use crate::cli::Failure;
use crate::export::cell;
use crate::private;

/// Where they are.
pub(super) struct Files {
    folder: PathBuf,
}

/// A table that is being written.
pub(super) struct Table {
    path: PathBuf,
    out: BufWriter<File>,
}

/// What could not be done with what is at `path`.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::Other(format!("{}: {error}", path.display()))
}

impl Files {
    /// Makes the folder. What was there before must not be taken for a part of this.
    pub(super) fn make(folder: &Path) -> Result<Self, Failure> {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        private::folder(folder).map_err(failed(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file that is not there yet, in a folder that is made if it is not there.
    pub(super) fn file(&self, name: &str) -> Result<BufWriter<File>, Failure> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        Ok(BufWriter::new(private::file(&path).map_err(failed(&path))?))
    }

    pub(super) fn text(&self, name: &str, text: &str) -> Result<(), Failure> {
        let mut file = self.file(name)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.flush());
        written.map_err(failed(&self.path(name)))
    }

    /// An object on lines of its own, so that people can read it.
    pub(super) fn json(&self, name: &str, object: &Object) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(object).unwrap_or_else(|_never| object.to_text());
        self.text(name, &format!("{text}\n"))
    }

    /// A table (RFC 4180) with these columns.
    pub(super) fn table(&self, name: &str, columns: &[&str]) -> Result<Table, Failure> {
        let mut table = Table { path: self.path(name), out: self.file(name)? };
        table.row(columns)?;
        Ok(table)
    }
}

impl Table {
    pub(super) fn row(&mut self, cells: &[impl AsRef<str>]) -> Result<(), Failure> {
        let cells: Vec<String> = cells.iter().map(|text| cell(text.as_ref())).collect();
        writeln!(self.out, "{}", cells.join(",")).map_err(failed(&self.path))
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(failed(&self.path))
    }
}
