//! Whether everything answers that the gateway has to reach, and whether it has the same time. All are asked at once, a few at
//! a time, and none is waited for longer than a limit says.

use std::collections::BTreeMap;
use std::time::Duration;

use callgate_gateway::identity::Issuer;
use callgate_gateway::pin::{ApprovedBy, Standing};
use callgate_gateway::server::Server;
use callgate_gateway::tools::ToolSet;
use callgate_mcp::document::Document;
use callgate_mcp::upstream::{CallErrorKind, UpstreamLimits};
use callgate_model::ambient::{Ambient, Timestamp};
use callgate_model::authority::ToolPin;
use callgate_store::Store;
use futures_util::{StreamExt as _, stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::timeout;

use super::{Finding, Level, counted, few};
use crate::assemble::{self, Parts};
use crate::config::Config;
use crate::notify::Channel;

/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// For a server to tell its tools; a program has to start first.
const TOOLS_WITHIN: Duration = Duration::from_secs(20);
/// So many are asked at one time.
const ASKED_TOGETHER_MAX: usize = 8;
/// Clocks that differ by more are told of, in milliseconds; by still more, tokens are taken for ended or for not yet good.
const SKEW_MS: u64 = 5_000;
const SKEW_MS_MAX: u64 = 30_000;

const SERVERS: &str = "servers";
const ISSUERS: &str = "issuers";
const CLOCK: &str = "clock";

/// The approved tools of all servers, by server and name.
type Pins = BTreeMap<(String, String), ToolPin>;

pub(super) async fn examine(
    config: &mut Config,
    parts: Option<Parts>,
    store: Option<&dyn Store>,
    ambient: &dyn Ambient,
) -> Vec<Finding> {
    let mut found = gateway(config).await;
    let issuers = stream::iter(config.issuers.iter().map(|one| Box::pin(issuer(one, ambient))));
    let issuers: Vec<_> = issuers.buffered(ASKED_TOGETHER_MAX).collect().await;
    let channels = stream::iter(config.channels.iter().map(|(name, one)| channel(name, one)));
    let channels: Vec<_> = channels.buffered(ASKED_TOGETHER_MAX).collect().await;
    let mut skews = Vec::new();
    for (findings, skew) in issuers {
        found.extend(findings);
        skews.extend(skew);
    }
    if let Some(mut parts) = parts {
        let pins = match store {
            Some(store) => store.pins().await.unwrap_or_default(),
            None => Vec::new(),
        };
        let key = |pin: &ToolPin| (pin.of.server.clone(), pin.of.tool.clone());
        let pins: Pins = pins.into_iter().map(|pin| (key(&pin), pin)).collect();
        match assemble::servers(config, &mut parts.catalogs) {
            Ok(servers) => {
                let asked = servers.iter().map(|one| Box::pin(server(one, &pins, ambient)));
                let asked: Vec<_> =
                    stream::iter(asked).buffered(ASKED_TOGETHER_MAX).collect().await;
                for (findings, skew) in asked {
                    found.extend(findings);
                    skews.extend(skew);
                }
            }
            Err(why) => {
                found.push(Finding::problem(SERVERS, why, "mend the section of that server"))
            }
        }
    }
    found.extend(channels);
    found.extend(clock(&skews));
    found
}

/// Whether a gateway answers where this one listens, and can record calls.
async fn gateway(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "gateway";
    let address = config.listen;
    if address.port() == 0 {
        return Vec::new();
    }
    let ip = if address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        address.ip().to_string()
    };
    let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
    let url = format!("http://{ip}:{}/readyz", address.port());
    let document = match document(&url) {
        Ok(document) => document,
        Err(why) => return vec![Finding::problem(CHECK, why, "mend `listen.address`")],
    };
    vec![match document.bytes_below("", None).await {
        Ok(_) => Finding::ok(CHECK, format!("{url} says that it is ready")),
        Err(CallErrorKind::Status(503)) => {
            let text = format!("{url} says that it is not ready: calls are refused");
            Finding::problem(
                CHECK,
                text,
                "see its log: evidence cannot be written, or it is being stopped",
            )
        }
        Err(why) => {
            let text = format!("no gateway answers at {url}: {why}");
            Finding::warning(CHECK, text, "`callgate serve` starts it")
        }
    }]
}

async fn issuer(issuer: &Issuer, ambient: &dyn Ambient) -> (Vec<Finding>, Option<Skew>) {
    let name = issuer.name();
    let keys = match timeout(ANSWER_WITHIN * 2, issuer.try_keys()).await {
        Ok(tried) => tried,
        Err(_elapsed) => Err("no answer in time".to_owned()),
    };
    let remedy = "see that its address is right, and that this machine may go there";
    let mut found = vec![match keys {
        Ok(0) => {
            let text = format!("{name}: none of its keys can be used: no token of it is accepted");
            Finding::problem(
                ISSUERS,
                text,
                "see `algorithms`: keys of other algorithms are not used",
            )
        }
        Ok(keys) => Finding::ok(ISSUERS, format!("{name}: {}", counted(keys, "key"))),
        Err(why) => {
            Finding::problem(ISSUERS, format!("{name}: its keys cannot be had: {why}"), remedy)
        }
    }];
    if let Some(Err(why)) = issuer.reach_introspection().await {
        let text = format!("{name}: it cannot be asked about tokens: {why}");
        found.push(Finding::problem(ISSUERS, text, remedy));
    }
    (found, skew(&format!("issuers.{name}"), issuer.keys_at(), ambient).await)
}

async fn channel(name: &str, channel: &Channel) -> Finding {
    const CHECK: &str = "notify";
    match channel.reach().await {
        Ok(()) => Finding::ok(CHECK, format!("{name} ({}) can be reached", channel.kind())),
        Err(why) => {
            let text = format!("{name} ({}) cannot be reached: {why}", channel.kind());
            Finding::problem(
                CHECK,
                text,
                "nobody hears by it that a call waits: see that this machine may go there",
            )
        }
    }
}

async fn server(
    server: &Server,
    pins: &Pins,
    ambient: &dyn Ambient,
) -> (Vec<Finding>, Option<Skew>) {
    let asked = match timeout(TOOLS_WITHIN, server.tools(None)).await {
        Ok(asked) => asked.map_err(|error| error.to_string()),
        Err(_elapsed) => Err("no answer in time".to_owned()),
    };
    server.stop().await;
    let found = match asked {
        Ok(set) => tools(server, &set, pins),
        Err(why) => {
            let text = format!("{} does not tell its tools: {why}", server.name);
            let remedy = "see that its address and the credential are right, and that this machine may go there; until then every call of it is refused";
            vec![Finding::problem(SERVERS, text, remedy)]
        }
    };
    let document = server.url().and_then(|url| document(&url).ok());
    let skew = match document {
        Some(document) => skew(&format!("servers.{}", server.name), &document, ambient).await,
        None => None,
    };
    (found, skew)
}

/// What of a server's tools waits for an operator.
fn tools(server: &Server, set: &ToolSet, pins: &Pins) -> Vec<Finding> {
    const CHECK: &str = "tools";
    let name = &server.name;
    let mut found =
        vec![Finding::ok(SERVERS, format!("{name}: {}", counted(set.tools.len(), "tool")))];
    let standing = |tool: &str, digest| {
        let pin = pins.get(&(name.to_string(), tool.to_owned()));
        Standing::of(digest, pin.map(|pin| pin.digest))
    };
    let of = |wanted: Standing| -> Vec<&str> {
        let tools = set.tools.iter().map(|tool| &tool.definition);
        let tools = tools.filter(|tool| standing(&tool.name, tool.digest) == wanted);
        tools.map(|tool| tool.name.as_str()).collect()
    };
    let (new, changed) = match server.tools_approved_by() {
        ApprovedBy::Operator => (of(Standing::New), of(Standing::Changed)),
        ApprovedBy::FirstUse => (Vec::new(), of(Standing::Changed)),
        ApprovedBy::Nobody => (Vec::new(), Vec::new()),
    };
    let unclassified: Vec<&str> =
        set.unclassified.iter().map(|one| one.definition.name.as_str()).collect();
    let refused: Vec<&str> = set.refused.iter().map(|(name, _)| name.as_str()).collect();
    for (names, what, remedy) in [
        (
            changed,
            "changed since approved, and refused until approved again",
            format!("`callgate tools diff {name}`, then `callgate tools pin {name} TOOL`"),
        ),
        (
            new,
            "not approved yet, and refused until then",
            format!(
                "`callgate tools list {name}`, then `callgate tools pin {name} TOOL` or `--new`"
            ),
        ),
        (
            unclassified,
            "in no catalog, or defined so that they cannot be used",
            format!("`callgate tools classify {name}` proposes a catalog"),
        ),
        (
            refused,
            "no tools by their names or schemas",
            format!("`callgate tools list {name}` says why"),
        ),
    ] {
        if !names.is_empty() {
            let text = format!("{name}: {} {what}: {}", counted(names.len(), "tool"), few(&names));
            found.push(Finding::warning(CHECK, text, remedy));
        }
    }
    found
}

fn document(url: &str) -> Result<Document, String> {
    let limits = UpstreamLimits { total: ANSWER_WITHIN, ..UpstreamLimits::default() };
    let url = url.parse().map_err(|_unreadable| format!("`{url}` is no address"))?;
    Document::new(url, limits).map_err(|error| error.to_string())
}

/// How far the clock of another machine is from ours.
struct Skew {
    of: String,
    ms: u64,
    is_ahead: bool,
}

/// What time it is there; nothing, if nobody says.
async fn skew(of: &str, document: &Document, ambient: &dyn Ambient) -> Option<Skew> {
    let before = ambient.now();
    let date = document.date().await.ok()??;
    between(of, &date, before, ambient.now())
}

/// How far `date`, which was said at some moment of `before` to `after` and has no fractions, is certainly off.
fn between(of: &str, date: &str, before: Timestamp, after: Timestamp) -> Option<Skew> {
    let said = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    let said = Timestamp::from_unix_ms(said.unix_timestamp().checked_mul(1_000)?);
    let (ahead, behind) = (said.ms_since(after), before.ms_since(said.after_ms(1_000)));
    Some(Skew { of: of.to_owned(), ms: ahead.max(behind), is_ahead: ahead > behind })
}

/// If several say so, it is our clock that is wrong; which one it is cannot be told from here.
fn clock(skews: &[Skew]) -> Vec<Finding> {
    let mut found = Vec::new();
    for skew in skews.iter().filter(|skew| skew.ms > SKEW_MS) {
        let side = if skew.is_ahead { "ahead of" } else { "behind" };
        let text = format!("{} is {} s {side} this machine", skew.of, skew.ms / 1_000);
        let remedy =
            "set both clocks by NTP: tokens, approvals and grants begin and end by this one";
        let level = if skew.ms > SKEW_MS_MAX { Level::Problem } else { Level::Warning };
        found.push(Finding::warning(CLOCK, text, remedy).at(level));
    }
    if found.is_empty() {
        found.push(if skews.is_empty() {
            Finding::ok(CLOCK, "nobody else says what time it is")
        } else {
            Finding::ok(
                CLOCK,
                format!(
                    "{} agree about the time, within {} s",
                    counted(skews.len(), "other machine"),
                    SKEW_MS / 1_000
                ),
            )
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_told_as_far_as_that_is_certain() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let before = at("2026-11-06T08:49:30.500Z");
        let after = at("2026-11-06T08:49:31.500Z");
        for (date, level) in [
            ("Fri, 06 Nov 2026 08:49:30 GMT", Level::Ok),
            ("Fri, 06 Nov 2026 08:49:36 GMT", Level::Ok),
            ("Fri, 06 Nov 2026 08:49:37 GMT", Level::Warning),
            ("Fri, 06 Nov 2026 08:49:24 GMT", Level::Warning),
            ("Fri, 06 Nov 2026 08:50:02 GMT", Level::Problem),
            ("Fri, 06 Nov 2026 08:40:00 GMT", Level::Problem),
        ] {
            let found = clock(&[between("x", date, before, after).unwrap()]);
            assert_eq!(found.len(), 1);
            assert_eq!(found.first().unwrap().level, level, "{date}: {found:?}");
        }
        assert!(between("x", "soon", before, after).is_none());
    }
}
