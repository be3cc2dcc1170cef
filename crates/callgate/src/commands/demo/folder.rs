//! What the demo writes: a configuration, the starter policies, a secret. All of it is there to be changed.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use callgate_model::digest::Digest;

use crate::private;

macro_rules! starter {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../../../policies/atlassian/", $path)))
    };
}

/// The starter policies by path.
const POLICIES: &[(&str, &str)] = &[
    starter!("guardrails/agents.cedar"),
    starter!("approvals/leads.cedar"),
    starter!("permits/agents.cedar"),
    starter!("permits/console.cedar"),
    starter!("permits/engineering.cedar"),
    starter!("permits/everybody.cedar"),
    starter!("permits/leads.cedar"),
    starter!("permits/support.cedar"),
    starter!("cases/jira.toml"),
];

/// The development tokens: token, human, group, agent, class.
const TOKENS: &[(&str, &str, &str, &str, &str)] = &[
    ("demo-alice-release-bot", "alice", "engineering", "release-bot", "automation"),
    ("demo-alice-triage-bot", "alice", "engineering", "triage-bot", "assistant"),
    ("demo-bob-triage-bot", "bob", "support", "triage-bot", "assistant"),
];

/// The token of Carol, a lead, who has no agent; and what she is called if a link signs her in.
pub(super) const LEAD: &str = "demo-carol";
pub(super) const LEAD_NAME: &str = "carol";

/// A secret for the simulated site.
pub(super) fn secret(random: [u8; 16]) -> String {
    Digest::of(&random).to_string()
}

/// Writes everything into `folder`; policies that are there already stay. Returns the configuration file.
pub(super) fn write(
    folder: &Path,
    listen: SocketAddr,
    site: &str,
    secret: &str,
) -> io::Result<PathBuf> {
    for (path, text) in POLICIES {
        let path = folder.join("policies").join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        if !path.exists() {
            fs::write(path, text)?;
        }
    }
    private::replace(&folder.join("upstream.secret"), secret.as_bytes())?;
    let file = folder.join("callgate.toml");
    fs::write(&file, configuration(listen, site))?;
    Ok(file)
}

fn configuration(listen: SocketAddr, site: &str) -> String {
    let mut text = format!(
        r#"# Written by `callgate demo`.

[listen]
address = "{listen}"

[store]
path = "evidence.db"

[evidence]
# To see what was called. Leave this out, and only digests of arguments are recorded.
arguments = "redacted"

[policies]
folder = "policies"

[servers.atlassian]
url = "{site}"
catalog = "atlassian-rovo"
# What a tool is when it is first used is remembered; if the server changes it, it waits for an operator. Leave this out, and an
# operator approves every tool: `callgate tools list`.
tools = "first_use"
credential = {{ scheme = "bearer", file = "upstream.secret" }}
default_site = "acme"

[servers.atlassian.sites.acme]
cloud_id = "5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4"
url = "https://acme.atlassian.net"
"#
    );
    for (token, human, group, agent, class) in TOKENS {
        text.push_str(&format!(
            r#"
# The token is `{token}`.
[[danger_static_tokens]]
name = "{token}"
sha256 = "{}"
human = "{human}"
groups = ["{group}"]
agent = "{agent}"
class = "{class}"
client = "demo"
"#,
            Digest::of(token.as_bytes())
        ));
    }
    text.push_str(&format!(
        r#"
# The token is `{LEAD}`: a lead, who decides about calls by herself.
[[danger_static_tokens]]
name = "{LEAD}"
sha256 = "{}"
human = "carol"
groups = ["leads"]
client = "demo"
"#,
        Digest::of(LEAD.as_bytes())
    ));
    text.push_str(&format!(
        r#"
# Whom `callgate console link --for {LEAD_NAME}` signs in: the same lead.
[console.people.{LEAD_NAME}]
groups = ["leads"]
roles = ["approver"]

[approvals]
same_person = [["carol", "local/{LEAD_NAME}"]]
"#
    ));
    text
}

/// What to do next. `program` is how this one was called: nobody has installed it yet.
pub(super) fn farewell(program: &str, address: SocketAddr, file: &Path, link: &str) -> String {
    let url = format!("http://{address}/mcp/atlassian");
    let token = TOKENS.first().map_or("", |(token, ..)| token);
    let tokens: Vec<&str> = TOKENS.iter().map(|(token, ..)| *token).collect();
    let file = file.display();
    format!(
        r#"
A call waits: Alice's release bot would delete ENG-43. Look at it and decide, as Carol, a lead (this link is good once, for
ten minutes; later, make another):

  {link}
  {program} console link --for {LEAD_NAME} --config {file}

The gateway stays up. Connect a client with one of the tokens {}:

  Claude Code   claude mcp add --transport http acme {url} --header "Authorization: Bearer {token}"
  VS Code       {{"servers":{{"acme":{{"type":"http","url":"{url}","headers":{{"Authorization":"Bearer {token}"}}}}}}}}
  Inspector     npx @modelcontextprotocol/inspector --cli {url} --transport http --header "Authorization: Bearer {token}" --method tools/list

Look at the evidence, ask why, change a policy (it is reloaded):

  {program} evidence list --config {file}
  {program} evidence show CALL --config {file}
  {program} policy test --config {file}

Stop with Ctrl-C."#,
        tokens.join(", ")
    )
}
