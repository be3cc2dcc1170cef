//! What is weak by configuration: it works, and whoever set it should know what it costs.

use std::net::SocketAddr;

use rustix::process::geteuid;

use super::{Finding, counted};
use crate::config::Config;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut found = dangers(config);
    found.push(listen(config.listen, config.proxies.is_empty()));
    found.extend(user(geteuid().is_root()));
    // What only matters where others come to the gateway.
    let is_public =
        config.resources.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    if is_public {
        found.extend(sealing(config));
        found.extend(noted(config));
    }
    found
}

fn dangers(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "danger";
    if config.dangers.is_empty() {
        return vec![Finding::ok(CHECK, "no setting that weakens safety is in use")];
    }
    let finding = |at: &String| {
        let (name, (text, remedy)) = (at.rsplit('.').next().unwrap_or(at), cost(at));
        Finding::warning(CHECK, format!("{at}: {text}"), remedy.replace("{}", name))
    };
    config.dangers.iter().map(finding).collect()
}

/// What a setting costs, and what stands in its place.
fn cost(at: &str) -> (&'static str, &'static str) {
    match at.rsplit('.').next().unwrap_or(at) {
        "danger_static_tokens" => (
            "whoever has one of these tokens is taken for its holder, until the configuration is changed",
            "make tokens that end with `callgate token create`, or connect an identity provider",
        ),
        "danger_anonymous" => (
            "whoever sends no credential is taken for somebody",
            "take `{}` out: every caller should have a credential",
        ),
        "danger_shorter" => (
            "records are erased sooner than laws may ask for",
            "keep what records say for 190 days or more",
        ),
        _ => ("what goes there can be read and changed on the way", "use TLS, and take `{}` out"),
    }
}

/// TLS ends before the gateway, so whoever reaches its port itself speaks in the clear.
fn listen(address: SocketAddr, no_proxies: bool) -> Finding {
    const CHECK: &str = "listen";
    if address.ip().is_loopback() {
        return Finding::ok(CHECK, format!("{address}: only this machine reaches it"));
    }
    let text = format!("{address}: other machines reach it, and it speaks no TLS");
    if no_proxies {
        let remedy = "let only the proxy at which TLS ends reach it (a firewall, a network policy), and name that proxy in `listen.proxies`: \
                      else every request seems to come from it";
        return Finding::warning(CHECK, text, remedy);
    }
    Finding::ok(CHECK, format!("{text}; a proxy is before it. Nothing else should reach that port"))
}

fn user(is_root: bool) -> Option<Finding> {
    let remedy = "run it as a user of its own: the service and the container in `packaging` do";
    is_root.then(|| Finding::warning("user", "this runs as root, and nothing of it has to", remedy))
}

fn sealing(config: &Config) -> Option<Finding> {
    let text = "there is no `[sealing]`: what clients bring back in a later round is worth nothing after a restart, or at another gateway";
    let remedy = "openssl rand -base64 32 > sealing.key, and name it in `sealing.keys`";
    config.sealing.is_none().then(|| Finding::warning("sealing", text, remedy))
}

/// Who has the database and the key can make another log; what was noted elsewhere tells.
fn noted(config: &Config) -> Option<Finding> {
    let elsewhere = &config.evidence.elsewhere;
    let count = elsewhere.anchors.len() + elsewhere.witnesses.len();
    if count > 0 {
        let text = format!("checkpoints are noted at {}", counted(count, "other place"));
        return Some(Finding::ok("evidence", text));
    }
    let text = "checkpoints are noted nowhere else: whoever has this machine could write another history, or cut off its end";
    let remedy = "configure one of `[evidence.anchors]` or `[evidence.witnesses]`";
    Some(Finding::warning("evidence", text, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn an_address_that_others_reach_is_told_unless_a_proxy_is_before_it() {
        for (address, no_proxies, level) in [
            ("127.0.0.1:8077", true, Level::Ok),
            ("[::1]:8077", true, Level::Ok),
            ("0.0.0.0:8077", true, Level::Warning),
            ("192.0.2.1:8077", true, Level::Warning),
            ("0.0.0.0:8077", false, Level::Ok),
        ] {
            let found = listen(address.parse().unwrap(), no_proxies);
            assert_eq!(found.level, level, "{found:?}");
        }
    }

    #[test]
    fn every_danger_says_what_it_costs() {
        for (at, cost_of) in [
            ("danger_static_tokens", "until the configuration is changed"),
            ("listen.danger_anonymous", "no credential"),
            ("evidence.retention.danger_shorter", "erased"),
            ("servers.jira.danger_plain_http", "on the way"),
        ] {
            assert!(cost(at).0.contains(cost_of), "{at}");
        }
        assert!(user(true).is_some() && user(false).is_none());
    }
}
