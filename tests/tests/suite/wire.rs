//! What no client sends by mistake, byte for byte: none of it reaches the site, and what came with a valid credential is
//! in the evidence.

use std::time::Duration;

use callgate_sim::SimOptions;
use callgate_tests::gateway::Gateway;
use callgate_tests::wire::{Ask, Heard, get, open_session};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::world::{ALICE, BOB, edit, read, reconcile, site_and_gateway};

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;
const UNAUTHENTICATED: i64 = 40_100;

/// What is sent, and the HTTP status and JSON-RPC code it must be answered with.
type Case = (&'static str, Ask, u16, i64);

/// A call that is allowed if nothing is wrong with its form.
fn good() -> Ask {
    Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "through"))
}

/// [`good`] with its arguments, the last member of the body, written otherwise.
fn arguments(text: &str) -> Ask {
    let params = json!({ "name": "editJiraIssue", "arguments": "HERE" });
    Ask::modern("atlassian", ALICE, "tools/call", params).edit("\"HERE\"", text)
}

/// Sends every case and gives the answers. Whoever is `caller` for the evidence, nothing may have been executed.
async fn refused(caller: &str, cases: &[Case]) -> Vec<Heard> {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let mut answers = Vec::new();
    for (name, ask, status, code) in cases {
        let heard = ask.send(gateway.address).await.unwrap();
        assert_eq!((heard.status, heard.code()), (*status, *code), "{name}: {heard:?}");
        answers.push(heard);
    }
    let evidence = gateway.evidence_when(|e| e.0.len() >= cases.len()).await.unwrap();
    assert_eq!(
        evidence.refusals().len(),
        cases.len(),
        "one refusal each: {:?}",
        evidence.refused()
    );
    for refusal in evidence.refusals() {
        assert_eq!(refusal.human(), caller, "{refusal:?}");
        assert_eq!(refusal.text("/server"), "atlassian");
    }
    assert!(sim.ledger().entries().is_empty(), "{:?}", sim.ledger().entries());
    let calls = sim.ledger().requests().into_iter().filter(|seen| seen.body.contains("tools/call"));
    assert_eq!(calls.count(), 0);

    // The same gateway does let through what is well-formed: the cases differ from it only in what they say.
    let heard = good().send(gateway.address).await.unwrap();
    assert!(heard.is_success(), "{heard:?}");
    assert_eq!(sim.ledger().count("editJiraIssue"), 1);
    answers
}

#[tokio::test]
async fn p01_p02_names_used_twice_or_in_another_case() {
    // GHSA-4gph-2hhr-5mwg, as published but for the tools.
    let published = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"getJiraIssue","Name":"deleteJiraIssue","arguments":{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"ENG-42"},"Arguments":{"cloudId":"https://acme.atlassian.net","issueIdOrKey":"ENG-41"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let read = Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42")).body(published);
    let name = r#""name":"editJiraIssue""#;
    let twice = |second: &str| good().edit(name, &format!("{second},{name}"));
    refused(
        "alice",
        &[
            ("published", read, 400, INVALID_PARAMS),
            ("name", twice(r#""name":"getJiraIssue""#), 400, INVALID_REQUEST),
            ("escaped", twice(r#""\u006eame":"getJiraIssue""#), 400, INVALID_REQUEST),
            (
                "in arguments",
                arguments(r#"{"issueIdOrKey":"ENG-42","issueIdOrKey":"HR-3"}"#),
                400,
                INVALID_REQUEST,
            ),
            (
                "deep in arguments",
                arguments(r#"{"fields":{"a":[{"b":1,"\u0062":2}]}}"#),
                400,
                INVALID_REQUEST,
            ),
            ("method", good().edit(r#""id":1"#, r#""id":1,"method":"ping""#), 400, INVALID_REQUEST),
            ("METHOD", good().edit(r#""id":1"#, r#""id":1,"METHOD":"ping""#), 400, INVALID_REQUEST),
            (
                "a long s",
                good().edit(r#""id":1"#, r#""id":1,"param\u017f":{}"#),
                400,
                INVALID_REQUEST,
            ),
            (
                "NUL",
                good().edit(r#""id":1"#, r#""id":1,"method\u0000":"ping""#),
                400,
                INVALID_REQUEST,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn p03_p08_what_is_not_one_message_in_utf8() {
    let one = String::from_utf8(good_body()).unwrap();
    let bytes = |bytes: &[u8]| good().body(bytes);
    let utf16: Vec<u8> = one.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut = one.trim_end_matches('}').to_owned();
    refused(
        "alice",
        &[
            ("batch", good().body(format!("[{one}]")), 400, INVALID_REQUEST),
            ("batch of batch", good().body(format!("[[{one}]]")), 400, INVALID_REQUEST),
            ("empty batch", bytes(b"[]"), 400, INVALID_REQUEST),
            ("two messages", good().body(format!("{one}\n{one}")), 400, PARSE_ERROR),
            ("not whole", good().body(cut), 400, PARSE_ERROR),
            ("nothing", bytes(b""), 400, PARSE_ERROR),
            ("null", bytes(b"null"), 400, INVALID_REQUEST),
            ("mark", good().body(format!("\u{feff}{one}")), 400, PARSE_ERROR),
            ("UTF-16", good().body(utf16), 400, PARSE_ERROR),
            (
                "overlong",
                bytes(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc0\xaf\"}"),
                400,
                PARSE_ERROR,
            ),
            ("lone surrogate", arguments(r#"{"issueIdOrKey":"ENG-42\ud800"}"#), 400, PARSE_ERROR),
        ],
    )
    .await;
}

fn good_body() -> Vec<u8> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params =
        json!({ "name": "editJiraIssue", "arguments": edit("ENG-42", "x"), "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn p04_only_plain_json_is_read() {
    let typed = |kind: &str| good().with("content-type", kind);
    refused(
        "alice",
        &[
            ("text", typed("text/plain"), 415, INVALID_REQUEST),
            ("none", good().without("content-type"), 415, INVALID_REQUEST),
            ("another charset", typed("application/json; charset=utf-16"), 415, INVALID_REQUEST),
            ("a parameter", typed("application/json ; x"), 415, INVALID_REQUEST),
            ("a list", typed("application/json, text/plain"), 415, INVALID_REQUEST),
            ("a suffix", typed("application/vnd.api+json"), 415, INVALID_REQUEST),
            ("multipart", typed("multipart/form-data; boundary=x"), 415, INVALID_REQUEST),
            ("twice", good().also("content-type", "text/plain"), 415, INVALID_REQUEST),
            ("compressed", good().also("content-encoding", "gzip"), 415, INVALID_REQUEST),
            ("accept", good().with("accept", "application/json"), 406, INVALID_REQUEST),
        ],
    )
    .await;
}

#[tokio::test]
async fn p05_headers_say_what_the_body_says() {
    refused(
        "alice",
        &[
            ("another name", good().with("mcp-name", "getJiraIssue"), 400, HEADER_MISMATCH),
            ("no name", good().without("mcp-name"), 400, HEADER_MISMATCH),
            ("name twice", good().also("mcp-name", "editJiraIssue"), 400, HEADER_MISMATCH),
            ("name in capitals", good().with("mcp-name", "EDITJIRAISSUE"), 400, HEADER_MISMATCH),
            ("bad base64", good().with("mcp-name", "=?base64?ZWRpdA?="), 400, HEADER_MISMATCH),
            ("other base64", good().with("mcp-name", "=?base64?ZWRpdA==?="), 400, HEADER_MISMATCH),
            ("another method", good().with("mcp-method", "tools/list"), 400, HEADER_MISMATCH),
            ("no method", good().without("mcp-method"), 400, HEADER_MISMATCH),
            ("no version", good().without("mcp-protocol-version"), 400, HEADER_MISMATCH),
            (
                "legacy version",
                good().with("mcp-protocol-version", "2025-11-25"),
                400,
                HEADER_MISMATCH,
            ),
            (
                "version unknown to both",
                good().with("mcp-protocol-version", "2099-01-01").edit("2026-07-28", "2099-01-01"),
                400,
                UNSUPPORTED_VERSION,
            ),
            (
                "no capabilities",
                good().edit("io.modelcontextprotocol/clientCapabilities", "x"),
                400,
                INVALID_PARAMS,
            ),
        ],
    )
    .await;
    // Written as base64, or with blanks around it, the name is the same.
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    for name in ["=?base64?ZWRpdEppcmFJc3N1ZQ==?=", "  editJiraIssue  "] {
        let heard = good().with("mcp-name", name).send(gateway.address).await.unwrap();
        assert!(heard.is_success(), "{heard:?}");
    }
    assert_eq!(sim.ledger().count("editJiraIssue"), 2);
}

#[tokio::test]
async fn p06_p07_numbers_and_bombs() {
    let number = |literal: &str| arguments(&format!(r#"{{"fields":{{"votes":{literal}}}}}"#));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let long_name = Ask::call("atlassian", ALICE, &"x".repeat(5_000), json!({}));
    refused(
        "alice",
        &[
            ("1e400", number("1e400"), 400, INVALID_REQUEST),
            ("2^64+1", number("18446744073709551617"), 400, INVALID_REQUEST),
            ("2^53+1", number("9007199254740993"), 400, INVALID_REQUEST),
            ("-0", number("-0"), 400, INVALID_REQUEST),
            ("too exact", number("0.1000000000000000055"), 400, INVALID_REQUEST),
            ("NaN", number("NaN"), 400, PARSE_ERROR),
            ("01", number("01"), 400, PARSE_ERROR),
            ("deep", arguments(&deep), 400, INVALID_REQUEST),
            ("many", arguments(&format!("[1{}]", ",1".repeat(10_001))), 400, INVALID_REQUEST),
            ("long", arguments(&format!("\"{}\"", "x".repeat(300_000))), 400, INVALID_REQUEST),
            ("long name", long_name, 400, INVALID_PARAMS),
        ],
    )
    .await;
}

#[tokio::test]
async fn p07_a_body_beyond_the_limit_is_not_read() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let heard = good().body(vec![b' '; 2 << 20]).send(gateway.address).await;
    // The connection may be closed before everything was written.
    if let Ok(heard) = heard {
        assert_eq!(heard.status, 413);
    }
    let heads = good().also("x-filler", &"x".repeat(100_000)).send(gateway.address).await;
    if let Ok(heard) = heads {
        assert_eq!(heard.status, 431);
    }
    assert!(sim.ledger().entries().is_empty());
    assert_eq!(get(gateway.address, "/healthz").await.unwrap().status, 200);
    let evidence = gateway.evidence_when(|e| !e.0.is_empty()).await.unwrap();
    assert_eq!(evidence.refused(), [": request_malformed"]);
}

#[tokio::test]
async fn p10_ids_and_kinds_of_message() {
    let id = |text: &str| good().edit(r#""id":1"#, text);
    let cases = [
        ("null", id(r#""id":null"#), 400, INVALID_REQUEST),
        ("fraction", id(r#""id":1.5"#), 400, INVALID_REQUEST),
        ("2^70", id(r#""id":1180591620717411303424"#), 400, INVALID_REQUEST),
        ("object", id(r#""id":{}"#), 400, INVALID_REQUEST),
        ("twice", id(r#""id":1,"id":2"#), 400, INVALID_REQUEST),
        ("long", id(&format!(r#""id":"{}""#, "x".repeat(2_000))), 400, INVALID_REQUEST),
        (
            "a call that wants no answer",
            id(r#""x":1"#).edit(r#""x":1,"#, ""),
            400,
            METHOD_NOT_FOUND,
        ),
        ("empty method", good().edit("\"tools/call\"", "\"\""), 400, INVALID_REQUEST),
        ("a result too", id(r#""id":1,"result":{}"#), 400, INVALID_REQUEST),
        ("not 2.0", good().edit("\"2.0\"", "\"1.0\""), 400, INVALID_REQUEST),
        (
            "params as a list",
            good().body(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#),
            400,
            INVALID_REQUEST,
        ),
    ];
    let answers = refused("alice", &cases).await;
    for ((name, ..), heard) in cases.iter().zip(&answers) {
        let readable =
            matches!(*name, "a result too" | "empty method" | "not 2.0" | "params as a list");
        let id = if readable { json!(1) } else { Value::Null };
        assert_eq!(heard.message()["id"], id, "{name}: {heard:?}");
    }
}

#[tokio::test]
async fn i5_t7_without_a_credential_or_from_a_web_page_nothing_is_asked() {
    let bearer = format!("Bearer {ALICE}");
    let answers = refused(
        "",
        &[
            ("none", good().without("authorization"), 401, UNAUTHENTICATED),
            (
                "wrong",
                good().with("authorization", "Bearer token-of-mallory"),
                401,
                UNAUTHENTICATED,
            ),
            ("cut", good().with("authorization", "Bearer token-of-alic"), 401, UNAUTHENTICATED),
            ("two", good().also("authorization", &bearer), 401, UNAUTHENTICATED),
            ("two, one wrong", good().also("authorization", "Bearer x"), 401, UNAUTHENTICATED),
            (
                "basic",
                good().with("authorization", &format!("Basic {ALICE}")),
                401,
                UNAUTHENTICATED,
            ),
            ("host", good().also("host", "attacker.example"), 403, INVALID_REQUEST),
            ("host without port", good().also("host", "127.0.0.1"), 403, INVALID_REQUEST),
            ("origin", good().also("origin", "https://attacker.example"), 403, INVALID_REQUEST),
            ("origin null", good().also("origin", "null"), 403, INVALID_REQUEST),
        ],
    )
    .await;
    for heard in &answers {
        let asked = heard.header("www-authenticate");
        assert_eq!(asked.is_some(), heard.status == 401, "{heard:?}");
    }
}

#[tokio::test]
async fn s01_i6_a_session_is_its_callers_alone() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let session = open_session(gateway.address, "atlassian", ALICE).await.unwrap();
    let params = json!({ "name": "getJiraIssue", "arguments": read("SUP-101") });
    let ask = |token, session: &str, method, params| {
        Ask::legacy("atlassian", token, session, method, params)
    };
    let send = async |ask: Ask| ask.send(gateway.address).await.unwrap();
    let unknown = send(ask(BOB, "made-up", "tools/call", params.clone())).await;
    let stolen = send(ask(BOB, &session, "tools/call", params)).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!((stolen.status, &stolen.body), (404, &unknown.body), "they look the same");
    assert_eq!(send(ask(BOB, &session, "", json!({})).by("DELETE")).await.status, 404);
    let without = ask(ALICE, "", "tools/list", json!({})).without("mcp-session-id");
    assert!(send(without).await.is_success(), "without a session a request stands for itself");

    let own = json!({ "name": "getJiraIssue", "arguments": read("ENG-42") });
    let own = ask(ALICE, &session, "tools/call", own);
    let heard = send(own.clone()).await;
    assert!(heard.is_success(), "{heard:?}");
    assert_eq!(send(ask(ALICE, &session, "", json!({})).by("DELETE")).await.status, 204);
    assert_eq!(send(own).await.status, 404);

    let evidence = gateway.evidence_when(|e| e.0.len() >= 5 && e.is_settled()).await.unwrap();
    let refused: Vec<_> = evidence.refusals().iter().map(|r| (r.human(), r.reasons())).collect();
    let unknown = || "session_unknown".to_owned();
    assert_eq!(
        refused,
        [("bob", unknown()), ("bob", unknown()), ("bob", unknown()), ("alice", unknown()),]
    );
    reconcile(&sim, &evidence);
}

#[tokio::test]
async fn methods_that_are_not_served_are_refused_in_the_way_of_each_era() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let session = open_session(gateway.address, "atlassian", ALICE).await.unwrap();
    let methods = ["tasks/list", "prompts/List", "sampling/createMessage", "Tools/Call", "x"];
    for method in methods {
        let modern = Ask::modern("atlassian", ALICE, method, json!({}));
        let heard = modern.send(gateway.address).await.unwrap();
        assert_eq!((heard.status, heard.code()), (404, METHOD_NOT_FOUND), "{method}: {heard:?}");
        let legacy = Ask::legacy("atlassian", ALICE, &session, method, json!({}));
        let heard = legacy.send(gateway.address).await.unwrap();
        assert_eq!((heard.status, heard.code()), (200, METHOD_NOT_FOUND), "{method}: {heard:?}");
    }
    let wanted = vec![": method_unsupported"; 2 * methods.len()];
    let evidence = gateway.evidence_when(|e| e.0.len() >= wanted.len()).await.unwrap();
    assert_eq!(evidence.refused(), wanted);
    assert!(sim.ledger().requests().is_empty(), "not even the list was asked for");
}

#[tokio::test]
async fn other_http_methods_and_paths_are_not_served() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let status = async |ask: Ask| status(&gateway, ask).await;
    for (method, wanted) in [("GET", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405)] {
        assert_eq!(status(good().by(method)).await, wanted, "{method}");
    }
    assert_eq!(status(good().by("GET").without("authorization")).await, 401);
    let guessed = good().by("DELETE").also("mcp-session-id", "guessed");
    assert_eq!(status(guessed).await, 404);
    // GET asks whether there is a stream: not an attempt.
    let mut wanted = vec![": method_unsupported"; 3];
    wanted.extend([": unauthenticated", ": session_unknown"]);
    let evidence = gateway.evidence_when(|e| e.0.len() >= wanted.len()).await.unwrap();
    assert_eq!(evidence.refused(), wanted);
    for server in ["other", "atlassian/x", "..%2fmetrics", ""] {
        let ask = Ask::call(server, ALICE, "editJiraIssue", edit("ENG-42", "x"));
        assert_eq!(status(ask).await, 404, "{server}");
    }
    assert!(sim.ledger().requests().is_empty());
}

async fn status(gateway: &Gateway, ask: Ask) -> u16 {
    ask.send(gateway.address).await.unwrap().status
}

#[tokio::test]
async fn i13_a_connection_that_asks_nothing_is_not_kept() {
    let (_sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut ended = JoinSet::new();
    for said in [&b""[..], b"P", b"POST /mcp", preface] {
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        socket.write_all(said).await.unwrap();
        ended.spawn(async move {
            let mut rest = Vec::new();
            let end = timeout(Duration::from_secs(15), socket.read_to_end(&mut rest)).await;
            assert!(end.is_ok(), "still open after {:?}", String::from_utf8_lossy(said));
        });
    }
    ended.join_all().await;
}
