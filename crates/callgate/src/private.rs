//! Files and folders with what the store holds, which only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use tempfile::TempDir;

/// Makes a folder that is not there yet.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes a file that is not there yet.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a folder for what is to be `path`, on the same disk. It is gone when it is dropped.
pub(crate) fn beside(path: &Path, what: &str) -> io::Result<TempDir> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let prefix = format!(".callgate-{what}-");
    tempfile::Builder::new().prefix(&prefix).tempdir_in(folder.unwrap_or(Path::new(".")))
}

/// Writes a file, in place of one that may be there: at no moment has that name a part of it, or may others read it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
