//! A file to which lines are added, and nothing else. It is written by a thread of its own, so that a disk that hangs holds up
//! nobody but whoever waits for this file, and a process that ends does not wait for it either.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

/// When a file is put aside, and how many of these are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// How long a file may become, in bytes.
    pub(crate) bytes_max: u64,
    /// How many are kept beside it, as `NAME.1`, which is the newest, `NAME.2` and so on.
    pub(crate) keep: u32,
}

/// What became of lines.
type Done = Result<(), String>;

/// A file, and who writes it.
#[derive(Debug)]
pub(crate) struct Appender {
    lines: Lines,
    thread: Option<mpsc::Sender<(String, oneshot::Sender<Done>)>>,
    /// What is still being written of an attempt that nobody waits for any more.
    unfinished: Option<oneshot::Receiver<Done>>,
}

impl Appender {
    /// The file at `path`, in which `header` stands first.
    pub(crate) const fn new(
        path: PathBuf,
        header: Option<String>,
        rotation: Option<Rotation>,
    ) -> Self {
        let lines = Lines { path, header, rotation, open: None };
        Self { lines, thread: None, unfinished: None }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.lines.path
    }

    /// Adds whole lines; they are on the disk when it answers.
    pub(crate) async fn append(&mut self, lines: String) -> Done {
        // There is never more than one write on its way. What became of one that was given up does not matter.
        self.finish().await.ok();
        let (done, finished) = oneshot::channel();
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => begin(self.lines.at()).map_err(|error| error.to_string())?,
        };
        let sent = thread.send((lines, done));
        self.thread = sent.is_ok().then_some(thread);
        self.unfinished = Some(finished);
        self.finish().await
    }

    async fn finish(&mut self) -> Done {
        let Some(unfinished) = &mut self.unfinished else { return Ok(()) };
        let done = unfinished.await;
        self.unfinished = None;
        done.unwrap_or_else(|_gone| Err("nobody writes the file any more".to_owned()))
    }
}

fn begin(mut file: Lines) -> io::Result<mpsc::Sender<(String, oneshot::Sender<Done>)>> {
    let (sender, receiver) = mpsc::channel::<(String, oneshot::Sender<Done>)>();
    let work = move || {
        while let Ok((lines, done)) = receiver.recv() {
            let path = file.path.display().to_string();
            let result = file.append(&lines).map_err(|error| format!("{path}: {error}"));
            // Nobody may wait for it any more.
            done.send(result).ok();
        }
    };
    thread::Builder::new().name("evidence file".to_owned()).spawn(work)?;
    Ok(sender)
}

/// The file as its thread has it.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    header: Option<String>,
    rotation: Option<Rotation>,
    open: Option<File>,
}

impl Lines {
    /// The same file, not open.
    fn at(&self) -> Self {
        let Self { path, header, rotation, .. } = self;
        Self { path: path.clone(), header: header.clone(), rotation: *rotation, open: None }
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        let file = self.open.take().filter(|file| is_at(file, &self.path));
        let mut file = match file {
            Some(file) => file,
            // It was put aside by somebody else, or is not open yet.
            None => open(&self.path)?,
        };
        let mut length = file.metadata()?.len();
        if let Some(rotation) = self.rotation
            && length > 0
            && length.saturating_add(lines.len() as u64) > rotation.bytes_max
        {
            put_aside(&self.path, rotation.keep)?;
            file = open(&self.path)?;
            length = file.metadata()?.len();
        }
        let header = self.header.as_ref().filter(|_| length == 0);
        let mut text = header.map(|header| format!("{header}\n")).unwrap_or_default();
        text.push_str(lines);
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        // After a failure it is opened anew, which looks whether a line was cut.
        self.open = Some(file);
        Ok(())
    }
}

/// Whether what is open is still what is found at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(open), Ok(found)) if same(&open, &found))
}

/// Opens the file to add lines, and makes it if there is none, for its owner only. A line that was cut short is ended.
fn open(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path);
    if found.as_ref().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is no file"));
    }
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if found.is_err() {
        sync_folder(path)?;
    } else if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// Gives the file another name, and those before it the names after theirs. The oldest goes.
fn put_aside(path: &Path, keep: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
    }
    fs::rename(path, numbered(1))?;
    sync_folder(path)
}

/// The name of a file is durable only with its folder.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
