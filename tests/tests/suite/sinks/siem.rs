//! A receiver of syslog over TLS, with an authority of its own: Python's TLS, and a parser that others wrote.

use std::time::Duration;

use callgate_tests::gateway::Setup;
use callgate_tests::{announced, install};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Certificates of an authority of its own, in a folder.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        let command = command.args(arguments.split(' ')).current_dir(folder.path());
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("{new} -x509 -keyout ca.key -out ca.pem -subj /CN=authority"));
    for (name, of) in
        [("server", "subjectAltName=DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")]
    {
        openssl(&format!(
            "{new} -x509 -CA ca.pem -CAkey ca.key -keyout {name}.key -out {name}.pem -subj /CN={name} -addext {of} -addext basicConstraints=critical,CA:FALSE"
        ));
    }
    folder
}

/// A receiver of syslog over TLS.
pub(super) struct Siem {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Siem {
    pub(super) async fn start() -> Self {
        let folder = certificates();
        let (port, child) = Self::listen(&folder, 0).await;
        Self { folder, port, child }
    }

    async fn listen(folder: &TempDir, port: u16) -> (u16, Child) {
        let readers = install::readers(&install::default_directory()).unwrap();
        let mut reader = Command::new(&readers.interpreter);
        reader.arg(&readers.syslog).arg(folder.path()).arg(port.to_string());
        let (port, child) = announced(&mut reader).await.unwrap();
        (port.parse().unwrap(), child)
    }

    /// It ends when it has read what it took: nobody could send that again.
    pub(super) async fn stop(&mut self) {
        let mut count = None;
        while count != Some(self.messages().len()) {
            count = Some(self.messages().len());
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        self.child.kill().await.unwrap();
    }

    pub(super) async fn again(&mut self) {
        (_, self.child) = Self::listen(&self.folder, self.port).await;
    }

    /// The section of a sink, and the files that it names.
    pub(super) fn sink(&self, name: &str, more: &str) -> String {
        format!(
            "[evidence.sinks.{name}]\nkind = \"syslog\"\naddress = \"localhost:{}\"\nauthority = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = {{ file = \"client.key\" }}\n{more}",
            self.port
        )
    }

    pub(super) fn files(&self, setup: Setup) -> Setup {
        ["ca.pem", "client.pem", "client.key"].into_iter().fold(setup, |setup, name| {
            setup.file(name, &std::fs::read_to_string(self.folder.path().join(name)).unwrap())
        })
    }

    pub(super) fn messages(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("messages.jsonl"));
        lines(&text.unwrap_or_default())
    }
}

/// Every whole line that is JSON.
pub(super) fn lines(text: &str) -> Vec<Value> {
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| serde_json::from_str(line).ok()).collect()
}
