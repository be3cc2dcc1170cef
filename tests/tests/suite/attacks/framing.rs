//! P11: bytes of which two readers could disagree where one request ends and the next begins. Behind what can be read in two ways
//! there is always one more call, which would be allowed: it is never made.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use callgate_sim::SimOptions;
use callgate_tests::gateway::Gateway;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::world::{ALICE, edit, reconcile, site_and_gateway};
use super::changed;

/// How long one connection may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);

/// What is said of the length, the body as it is sent, and how often the first call may be made.
type Case = (&'static str, String, Vec<u8>, usize);

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

/// An allowed call, but for `lines`, which say how long `body` is.
fn request(address: SocketAddr, lines: &str, body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST /mcp/atlassian HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("authorization", &format!("Bearer {ALICE}")),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "editJiraIssue"),
    ] {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    [head.as_bytes(), lines.as_bytes(), b"\r\n\r\n", body].concat()
}

/// One call as it should be.
fn whole(address: SocketAddr, summary: &str) -> Vec<u8> {
    let body = body(summary);
    request(address, &format!("content-length: {}", body.len()), &body)
}

fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

/// Sends `bytes` as they are, then asks for the end on the same connection, and gives all that was answered.
async fn say(gateway: &Gateway, bytes: &[u8]) -> String {
    let last =
        format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", gateway.address);
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let mut heard = Vec::new();
    // A connection that is closed while we write has been refused.
    if socket.write_all(&[bytes, last.as_bytes()].concat()).await.is_ok() {
        let read = timeout(EXCHANGE_MAX, socket.read_to_end(&mut heard)).await;
        assert!(read.is_ok(), "it waits for more: {}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Lengths that are not plainly one.
fn lengths() -> Vec<Case> {
    let first = body("first");
    let is = first.len();
    let of = |name, length: String| (name, format!("content-length: {length}"), body("first"), 0);
    vec![
        of("a sign", format!("+{is}")),
        of("a list", format!("{is}, {is}")),
        of("another one in a list", format!("{is}, 0")),
        of("another one", format!("{is}\r\ncontent-length: 0")),
        of("hexadecimal", format!("0x{is:x}")),
        of("a power", "3e2".to_owned()),
        of("less than nothing", "-1".to_owned()),
        of("beyond 64 bits", format!("18446744073709551616{is}")),
        of("digits of another script", "\u{663}\u{660}\u{660}".to_owned()),
        ("a blank before the colon", format!("content-length : {is}"), first.clone(), 0),
        ("a folded line", format!("content-length:\r\n {is}"), first.clone(), 0),
        ("a name with a zero", format!("content-length\0: {is}"), first, 0),
    ]
}

/// Chunks beside a length, codings that are none of ours, and chunks that are none.
fn codings() -> Vec<Case> {
    let first = body("first");
    let is = first.len();
    let coded = |name, coding: &str| {
        (name, format!("transfer-encoding: {coding}"), chunked(&body("first")), 0)
    };
    let chunks = |name, bytes: Vec<u8>| (name, "transfer-encoding: chunked".to_owned(), bytes, 0);
    let cut = |size: String, end: &str| [size.as_bytes(), &body("first"), end.as_bytes()].concat();
    let both = "transfer-encoding: chunked";
    vec![
        // The chunks count, and nothing is read after them.
        ("length, chunks", format!("content-length: {is}\r\n{both}"), chunked(&first), 1),
        ("chunks, length", format!("{both}\r\ncontent-length: {is}"), chunked(&first), 1),
        (
            "no chunk and a length",
            format!("content-length: 700\r\n{both}"),
            b"0\r\n\r\n".to_vec(),
            0,
        ),
        coded("an unknown one", "xchunked"),
        coded("a parameter", "chunked;x=1"),
        coded("not the last", "chunked, identity"),
        coded("two lines", "chunked\r\ntransfer-encoding: identity"),
        coded("a strange blank", "\u{b}chunked"),
        coded("folded", "\r\n chunked"),
        chunks("no size", cut("\r\n".to_owned(), "\r\n0\r\n\r\n")),
        chunks("a size that is none", cut("0x10\r\n".to_owned(), "\r\n0\r\n\r\n")),
        chunks(
            "a size beyond 64 bits",
            cut(format!("10000000000000000{is:x}\r\n"), "\r\n0\r\n\r\n"),
        ),
        chunks("another end of line", cut(format!("{is:x}\n"), "\n0\n\n")),
        chunks(
            "an end of line in an extension",
            cut(format!("{is:x};a=b\nc\r\n"), "\r\n0\r\n\r\n"),
        ),
        chunks("longer than said", cut(format!("{:x}\r\n", is - 1), "\r\n0\r\n\r\n")),
    ]
}

#[tokio::test]
async fn p11_nothing_is_made_that_hides_behind_a_length_with_two_meanings() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let mut firsts = 0;
    for (name, lines, bytes, made) in lengths().into_iter().chain(codings()) {
        let first = request(gateway.address, &lines, &bytes);
        let heard = say(&gateway, &[first, whole(gateway.address, "second")].concat()).await;
        assert_eq!(changed(&sim, "second"), 0, "{name}: {heard}");
        assert!(!heard.contains("\r\n\r\nok\n"), "{name}: the connection went on: {heard}");
        firsts += made;
        assert_eq!(changed(&sim, "first"), firsts, "{name}: {heard}");
    }
    // Two requests of which nobody disagrees where they end are two calls.
    let first = request(gateway.address, "transfer-encoding: Chunked", &chunked(&body("first")));
    let heard = say(&gateway, &[first, whole(gateway.address, "second")].concat()).await;
    assert_eq!((changed(&sim, "first"), changed(&sim, "second")), (firsts + 1, 1), "{heard}");
    assert!(heard.ends_with("\r\n\r\nok\n"), "{heard}");
    let evidence = gateway.evidence_when(|e| e.is_settled()).await.unwrap();
    reconcile(&sim, &evidence);
}

#[tokio::test]
async fn p11_a_body_that_is_coded_otherwise_is_refused_and_recorded() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let codings = [
        "gzip, chunked",
        "identity, chunked",
        "chunked, chunked",
        "identity\r\ntransfer-encoding: chunked",
    ];
    for coding in codings {
        let lines = format!("transfer-encoding: {coding}");
        let heard =
            say(&gateway, &request(gateway.address, &lines, &chunked(&body("coded")))).await;
        assert!(heard.starts_with("HTTP/1.1 415"), "{coding}: {heard}");
    }
    assert_eq!(changed(&sim, "coded"), 0);
    let evidence = gateway.evidence_when(|e| e.0.len() >= codings.len()).await.unwrap();
    assert_eq!(evidence.refused(), vec![": request_malformed"; codings.len()]);
}

/// Whatever becomes of a request, its body is its body and no request.
#[tokio::test]
async fn p11_what_is_said_in_a_body_is_no_request() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let inside = whole(gateway.address, "inside");
    let other = |line: &str| {
        let length = inside.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n\r\n",
            gateway.address
        );
        [head.as_bytes(), &inside].concat()
    };
    let beyond = [vec![b' '; (1 << 20) + 10], inside.clone()].concat();
    let beyond = request(gateway.address, &format!("content-length: {}", beyond.len()), &beyond);
    for bytes in [
        other("GET /healthz"),
        other("GET /metrics"),
        other("GET /console"),
        other("GET /console/"),
        other("POST /nothing"),
        other("HEAD /mcp/atlassian"),
        other("DELETE /mcp/atlassian"),
        other("POST /mcp/atlassian"),
        other("POST /mcp/other"),
        other("POST /ssf/other"),
        other("POST /api/v1/approvals"),
        beyond,
    ] {
        let heard = say(&gateway, &bytes).await;
        let named = String::from_utf8_lossy(&bytes[..30]).into_owned();
        assert_eq!(changed(&sim, "inside"), 0, "{named}: {heard}");
    }
    assert!(sim.ledger().entries().is_empty());
}
