//! The commands of clients that only know pipes.

use std::path::Path;

use callgate_tests::drive::Plan;
use callgate_tests::gateway::{Folder, Gateway, program};

use super::world::ALICE;

/// Of a client that starts its server itself, with the gate around it; Alice's.
pub(crate) fn wrapping(folder: &Folder, server: &str) -> Plan {
    let config = folder.path().join("callgate.toml");
    let (program, caller) = (program().unwrap().display().to_string(), setup_name(&config));
    let config = config.display().to_string();
    let command = [&program, "wrap", "--config", &config, "--server", server, "--caller", &caller];
    Plan::of_command(&command)
}

/// Of a client of a gateway that runs elsewhere; Alice's, whose token is put into `folder`.
pub(crate) fn bridging(gateway: &Gateway, folder: &Path) -> Plan {
    let token = folder.join("token");
    std::fs::write(&token, ALICE).unwrap();
    let (program, token) = (program().unwrap().display().to_string(), token.display().to_string());
    let url = gateway.url("atlassian");
    Plan::of_command(&[&program, "bridge", &url, "--token-file", &token])
}

/// What the configuration calls Alice.
fn setup_name(config: &Path) -> String {
    let text = std::fs::read_to_string(config).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("name = \""));
    let mut alice = names.filter(|name| name.starts_with("alice via release-bot"));
    alice.next().unwrap().trim_end_matches('"').to_owned()
}
