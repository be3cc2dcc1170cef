//! From a plan to a session: over HTTP or to a child, in the era that the plan says.

use std::process::Stdio;

use rmcp::RoleClient;
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;

use crate::failure::Failure;
use crate::hearer::{Hearer, News};
use crate::member;

/// The session, and the server if it is a child.
pub(crate) type Connected = (RunningService<RoleClient, Hearer>, Option<Child>);

pub(crate) async fn connect(
    plan: &Value,
    news: UnboundedSender<News>,
) -> Result<Connected, Failure> {
    let (version, lifecycle) = era(member(plan, "protocol").as_str().unwrap_or("auto"))?;
    let hearer = Hearer::new(plan, version, news);
    let Some(url) = member(plan, "url").as_str() else {
        let mut child = start(plan)?;
        let (Some(stdout), Some(stdin)) = (child.stdout.take(), child.stdin.take()) else {
            return Err(Failure::plan("the server has no pipes"));
        };
        let running = hearer.serve_with_lifecycle((stdout, stdin), lifecycle).await?;
        return Ok((running, Some(child)));
    };
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    if let Some(token) = member(plan, "token").as_str() {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    Ok((hearer.serve_with_lifecycle(transport, lifecycle).await?, None))
}

/// What is said in `initialize`, if that comes to it, and how the session begins.
fn era(protocol: &str) -> Result<(ProtocolVersion, ClientLifecycleMode), Failure> {
    let (legacy, preferred_versions) =
        (ProtocolVersion::V_2025_11_25, vec![ProtocolVersion::V_2026_07_28]);
    if protocol == "auto" {
        let legacy_version = Some(legacy.clone());
        return Ok((legacy, ClientLifecycleMode::Auto { preferred_versions, legacy_version }));
    }
    let version = match protocol {
        "legacy" => legacy,
        version => {
            serde_json::from_value(version.into()).map_err(|error| Failure::other(&error))?
        }
    };
    if version < ProtocolVersion::V_2026_07_28 {
        return Ok((version, ClientLifecycleMode::Initialize));
    }
    Ok((version, ClientLifecycleMode::Discover { preferred_versions }))
}

fn start(plan: &Value) -> Result<Child, Failure> {
    let mut words =
        member(plan, "command").as_array().into_iter().flatten().filter_map(Value::as_str);
    let program = words.next().ok_or_else(|| Failure::plan("neither `url` nor `command`"))?;
    Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::other(&error))
}
