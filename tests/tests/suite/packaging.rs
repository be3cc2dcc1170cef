//! What is shipped beside the program: the configuration of the chart is one, and a service manager hears when the gateway answers.

use std::fs;

use callgate_tests::gateway::{Gateway, Setup, program};
use callgate_tests::wire::get;
use tokio::net::UnixDatagram;

use super::world::setup;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/helm/callgate/values.yaml");
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/systemd/callgate.service");

/// The block of a YAML file under a key at its beginning, as text.
fn block(yaml: &str, key: &str) -> String {
    let (_, rest) = yaml.split_once(&format!("\n{key}: |\n")).unwrap();
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("  "));
    lines.map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or_default())).collect()
}

#[tokio::test]
async fn the_configuration_of_the_chart_is_one() {
    let chart = fs::read_to_string(CHART).unwrap();
    let folder = Setup::default().write().unwrap();
    let key = folder.cli(&["evidence", "key", "--new", "gate.example.com/evidence"]).await.unwrap();
    for (file, text) in [
        ("secrets/callgate-database/password", "secret"),
        ("secrets/callgate-keys/sealing.key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
        ("secrets/callgate-keys/evidence.key", key.stdout.trim()),
        ("secrets/callgate-servers/atlassian", "secret"),
        ("policies/permits/none.cedar", ""),
    ] {
        folder.put(file, text).unwrap();
    }
    let here = format!("{}/", folder.path().display());
    folder.put("callgate.toml", &block(&chart, "config").replace("/etc/callgate/", &here)).unwrap();
    let ran = folder.cli(&["check"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = folder.cli(&["doctor", "--json"]).await.unwrap();
    assert!(found.stdout.contains("no setting that weakens safety is in use"), "{found:?}");
    // What it has is given the time that it takes.
    let number = |text: &str, key: &str| -> u64 {
        let (_, rest) = text.split_once(key).unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let takes_ms = number(&chart, "leave_ms = ") + number(&chart, "drain_ms_max = ");
    assert!(number(&chart, "terminationGracePeriodSeconds: ") * 1_000 > takes_ms);
    let unit = fs::read_to_string(UNIT).unwrap();
    assert!(number(&unit, "TimeoutStopSec=") > 60 && unit.contains("KillMode=mixed"), "{unit}");
}

#[tokio::test]
async fn a_service_manager_hears_when_it_answers_and_when_it_stops() {
    let folder = setup()
        .server("atlassian", "http://127.0.0.1:9/mcp", "atlassian-rovo", "secret")
        .write()
        .unwrap();
    let place = folder.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    let variable = format!("NOTIFY_SOCKET={}", place.display());
    let program = program().unwrap().display().to_string();
    let command = vec!["env".to_owned(), variable, program, "serve".to_owned()];
    let mut gateway = Gateway::start_by(folder, command).await.unwrap();
    let heard = async || {
        let mut buffer = [0; 64];
        let count = manager.recv(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    assert_eq!(heard().await, "READY=1");
    assert_eq!(get(gateway.address, "/readyz").await.unwrap().status, 200);
    let url = format!("http://{}/readyz", gateway.address);
    let health = gateway.cli(&["health", &url]).await.unwrap();
    assert_eq!((health.code, health.stdout.as_str()), (Some(0), "ready\n"));
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    assert_eq!(heard().await, "STOPPING=1");
    assert_eq!(gateway.cli(&["health", &url]).await.unwrap().code, Some(1));
}
