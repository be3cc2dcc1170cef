//! The gateway under test: the release binary with a configuration of its own.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use callgate_model::digest::Digest;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::Failure;
use crate::child::Child;

/// The token of the caller of everything but streams that stay open.
pub(crate) const TOKEN: &str = "bench-token";

/// The token of one of many callers.
pub(crate) fn token_of(caller: usize) -> String {
    format!("{TOKEN}-{caller}")
}

/// For the gateway to load its policies and listen.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A gateway and the folder it lives in.
pub(crate) struct Gateway {
    pub(crate) child: Child,
    folder: TempDir,
}

/// What one gateway has beside what all have.
#[derive(Default)]
pub(crate) struct Extra {
    /// Sections of the configuration.
    pub(crate) sections: String,
    pub(crate) permits: String,
}

impl Gateway {
    /// A token that the gateway has made.
    pub(crate) async fn own_token(&self) -> Result<String, Failure> {
        let mut command = Command::new(binary()?);
        command.args(["token", "create", "--name", "bench", "--owner", "issuer/ada"]);
        command.args(["--agent", "release-bot", "--config"]);
        let made = command.arg(self.folder.path().join("callgate.toml")).output().await?;
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }
}

/// Starts a gateway with `count` permits, two of which concern the calls, and many callers.
pub(crate) async fn start(
    upstream: &str,
    count: usize,
    callers: usize,
    extra: &Extra,
) -> Result<Gateway, Failure> {
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    write(folder.path(), &address, upstream, (count, callers), extra)?;
    let mut command = Command::new(binary()?);
    command.args(["serve", "--config"]).arg(folder.path().join("callgate.toml"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = Child::at(address.clone(), &mut command)?;
    let begun = Instant::now();
    while TcpStream::connect(&address).await.is_err() {
        if begun.elapsed() > STARTS_WITHIN {
            return Err("the gateway does not start".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Gateway { child, folder })
}

/// The command that puts the gate around this program as a server on standard input and output, and the folder it needs.
pub(crate) fn wrapped() -> Result<(Command, TempDir), Failure> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "127.0.0.1:0", "127.0.0.1:1", (10, 0), &Extra::default())?;
    let mut command = Command::new(binary()?);
    command.args(["wrap", "--server", "bench", "--caller", "bench", "--config"]);
    command.arg(folder.path().join("callgate.toml")).arg("--");
    command.arg(std::env::current_exe()?).arg("upstream-stdio");
    Ok((command, folder))
}

fn binary() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()?;
    let folder = this.parent().ok_or("no folder")?;
    Ok(folder.join("callgate"))
}

fn write(
    folder: &Path,
    address: &str,
    upstream: &str,
    (count, callers): (usize, usize),
    extra: &Extra,
) -> Result<(), Failure> {
    let permits = folder.join("policies").join("permits");
    fs::create_dir_all(&permits)?;
    fs::write(permits.join("bench.cedar"), policies(count))?;
    fs::write(permits.join("extra.cedar"), &extra.permits)?;
    let sections = &extra.sections;
    let tokens: String = std::iter::once(("bench".to_owned(), TOKEN.to_owned()))
        .chain((0..callers).map(|caller| (format!("bench-{caller}"), token_of(caller))))
        .map(|(name, token)| token_section(&name, &token))
        .collect();
    let configuration = format!(
        r#"
[listen]
address = "{address}"
[store]
path = "evidence.db"
[policies]
folder = "policies"
[log]
filter = "error"
[servers.bench]
url = "http://{upstream}/mcp"
catalog = "atlassian-rovo"
era = "modern"
[servers.listing]
url = "http://{upstream}/98"
catalog = "mcp-atlassian"
era = "modern"
[servers.listing.sites.acme]
url = "https://acme.atlassian.net"
[servers.streaming]
url = "http://{upstream}/sse"
catalog = "atlassian-rovo"
era = "modern"
[servers.streaming.sites.acme]
cloud_id = "5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4"
url = "https://acme.atlassian.net"
[servers.bench.sites.acme]
cloud_id = "5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4"
url = "https://acme.atlassian.net"
{sections}{tokens}"#
    );
    fs::write(folder.join("callgate.toml"), configuration)?;
    Ok(())
}

/// A caller of whom the two permits speak.
fn token_section(name: &str, token: &str) -> String {
    let digest = Digest::of(token.as_bytes());
    format!(
        r#"[[danger_static_tokens]]
name = "{name}"
sha256 = "{digest}"
human = "{name}"
groups = ["engineering"]
agent = "release-bot"
class = "automation"
"#
    )
}

fn policies(count: usize) -> String {
    let permit = |index: usize, principal: &str, project: &str| {
        format!(
            "@id(\"bench-{index}\")\n@reason(\"measured\")\n@owner(\"bench\")\npermit(principal in {principal}, action in [Action::\"read\", Action::\"write\"], resource in Jira::Project::\"acme/{project}\");\n"
        )
    };
    let mut text = permit(0, "Group::\"engineering\"", "ENG");
    text.push_str(&permit(1, "AgentClass::\"automation\"", "ENG"));
    for index in 2..count {
        text.push_str(&permit(
            index,
            &format!("Group::\"team-{}\"", index % 500),
            &format!("P{index}"),
        ));
    }
    text
}

/// The median time of one `fsync` after a write of 4 kB, where the temporary files are.
pub(crate) fn fsync_us() -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("probe"))?;
    let mut times = Vec::new();
    for _ in 0..101 {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(median.as_secs_f64() * 1e6)
}
