//! HTTP/2, frame by frame: requests that only become dangerous if somebody writes them down as HTTP/1.1 (P11), and frames that
//! cost whoever reads them more than whoever sends them (E10).

use std::fs;
use std::time::Duration;

use callgate_sim::SimOptions;
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::get;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::world::{ALICE, edit, reconcile, site_and_gateway};
use super::{change, changed};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How long one connection may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// What a flood may add to the memory of the process, in KiB.
const GROWTH_KIB_MAX: u64 = 96 << 10;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Names and values as they are, without any table (RFC 7541 §6.2.2).
fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

fn fields(gateway: &Gateway) -> Vec<(String, String)> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", &gateway.address.to_string()),
        (":path", "/mcp/atlassian"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("authorization", &format!("Bearer {ALICE}")),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "editJiraIssue"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn body(summary: &str) -> Vec<u8> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params =
        json!({ "name": "editJiraIssue", "arguments": edit("ENG-42", summary), "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
        .to_string()
        .into_bytes()
}

/// Makes one request and waits for what becomes of it: the kind of the frame that says so.
async fn ask(gateway: &Gateway, fields: &[(String, String)], body: &[u8]) -> u8 {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let frames = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &frame(HEADERS, END_HEADERS, 1, &block(fields)),
        &frame(DATA, END_STREAM, 1, body),
    ];
    socket.write_all(&frames.concat()).await.unwrap();
    let end = async {
        let mut head = [0; 9];
        while socket.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            socket.read_exact(&mut payload).await.ok();
            if matches!(head[3], HEADERS | RESET | GO_AWAY) {
                return head[3];
            }
        }
        GO_AWAY
    };
    timeout(EXCHANGE_MAX, end).await.unwrap()
}

#[tokio::test]
async fn p11_nothing_of_http_2_means_more_when_it_is_written_down_as_http_1() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let good = fields(&gateway);
    assert_eq!(ask(&gateway, &good, &body("good")).await, HEADERS);
    assert_eq!(changed(&sim, "good"), 1, "the requests below differ from it only in what they say");

    let also = |name: &str, value: &str| {
        [good.clone(), vec![(name.to_owned(), value.to_owned())]].concat()
    };
    let with = |name: &str, value: &str| {
        let mut fields = good.clone();
        fields
            .iter_mut()
            .filter(|(known, _)| known == name)
            .for_each(|(_, old)| value.clone_into(old));
        fields
    };
    let rest = "editJiraIssue\r\nauthorization: Bearer x";
    for (what, fields) in [
        ("another host", also("host", "attacker.example")),
        ("another authority", with(":authority", "attacker.example")),
        ("somebody before the host", with(":authority", &format!("x@{}", gateway.address))),
        ("chunks", also("transfer-encoding", "chunked")),
        ("a connection", also("connection", "mcp-name")),
        ("an upgrade", also("upgrade", "h2c")),
        ("another length", also("content-length", "5")),
        ("no length", also("content-length", "0")),
        ("a length that is none", also("content-length", "+300")),
        ("a line in a value", with("mcp-name", rest)),
        ("a zero in a value", also("x-a", "a\0b")),
        ("a line in a path", with(":path", "/mcp/atlassian HTTP/1.1\r\nx: y")),
        ("capitals", also("Mcp-Name", "editJiraIssue")),
        ("a name with a colon", also("x: y", "z")),
        ("a name with a line", also("x\r\ny", "z")),
        ("another path", also(":path", "/metrics")),
        ("another method", also(":method", "GET")),
        ("a pseudo header of its own", also(":human", "carol")),
        ("a coding", also("content-encoding", "gzip")),
        ("two credentials", also("authorization", "Bearer x")),
    ] {
        ask(&gateway, &fields, &body("bad")).await;
        assert_eq!(changed(&sim, "bad"), 0, "{what}");
    }
    let evidence = gateway.evidence_when(|e| e.is_settled() && !e.0.is_empty()).await.unwrap();
    reconcile(&sim, &evidence);
}

/// The memory of the process, in KiB.
fn resident(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends `frames` for as long as they are taken, and takes whatever is answered.
async fn flood(gateway: &Gateway, frames: impl Iterator<Item = Vec<u8>>) {
    let socket = TcpStream::connect(gateway.address).await.unwrap();
    let (mut answers, mut socket) = socket.into_split();
    let answered = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut sink()).await });
    let sent = async {
        socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
        for frame in frames {
            socket.write_all(&frame).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    // Not to be read any more is an answer, too.
    timeout(EXCHANGE_MAX, sent).await.ok();
    answered.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_floods_of_frames_cost_nobody_else_anything() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    assert!(change("before").send(gateway.address).await.unwrap().is_success());
    let before = resident(&gateway);
    let open = |stream| frame(HEADERS, END_HEADERS, stream, &block(&fields(&gateway)));
    let streams = (0..20_000_u32).map(|number| 2 * number + 1);
    let call = |stream| {
        let data = frame(DATA, END_STREAM, stream, &body("reset"));
        [open(stream), data, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let endless = |kind, flags, stream, size| {
        std::iter::repeat_n(frame(kind, flags, stream, &vec![0; size]), 20_000)
    };
    let half = frame(HEADERS, 0, 1, &block(&fields(&gateway)));
    flood(
        &gateway,
        streams.clone().map(|stream| [open(stream), frame(RESET, 0, stream, &[0; 4])].concat()),
    )
    .await;
    flood(&gateway, streams.clone().map(open)).await;
    flood(&gateway, std::iter::once(half).chain(endless(CONTINUATION, 0, 1, 16_000))).await;
    flood(&gateway, std::iter::once(open(1)).chain(endless(DATA, 0, 1, 0))).await;
    flood(&gateway, endless(PING, 0, 0, 8)).await;
    flood(&gateway, endless(SETTINGS, 0, 0, 0)).await;
    flood(&gateway, streams.map(call)).await;

    assert_eq!(get(gateway.address, "/healthz").await.unwrap().status, 200);
    assert!(change("after").send(gateway.address).await.unwrap().is_success());
    let after = resident(&gateway);
    assert!(after < before + GROWTH_KIB_MAX, "from {before} to {after} KiB");
    // What was made although its client had gone is recorded like everything else.
    let evidence = gateway.evidence_when(|e| e.is_settled()).await.unwrap();
    assert!(changed(&sim, "reset") <= evidence.intents().len());
}
