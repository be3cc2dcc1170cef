//! What the gateway says of a call over its signature, to servers that ask for that. The site's ledger has it, and it is
//! checked here with the published key, as a server would.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use callgate_gateway::assertion::Signer;
use callgate_model::digest::Digest;
use callgate_model::json::Json;

use crate::client::{Ask, edit, issue};
use crate::store::{STARTED_MS, event};
use crate::support::{Setup, World, json};

const HEADER: &str = "callgate-assertion";

/// A gateway's signer, at the address of the tests.
pub(crate) fn signer() -> Arc<Signer> {
    let key = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=".into();
    Arc::new(Signer::new("https://gate.example".to_owned(), &key).unwrap())
}

/// The header and the claims of a token that the key of the tests has signed.
pub(crate) fn opened(token: &str) -> (Json, Json) {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let keys = Json::from(signer().published());
    let [key] = keys.get("keys").and_then(Json::as_array).unwrap() else { panic!("{keys:?}") };
    let x = decode(key.get("x").and_then(Json::as_str).unwrap());
    let key_of = UnparsedPublicKey::new(&ED25519, x);
    key_of.verify(signed.as_bytes(), &decode(signature)).unwrap();
    let parts: Vec<_> =
        signed.split('.').map(|part| String::from_utf8(decode(part)).unwrap()).collect();
    let [header, claims] = parts.as_slice() else { panic!("{token}") };
    let header = json(header);
    assert_eq!(header.get("kid"), key.get("kid"));
    (header, json(claims))
}

async fn world() -> World {
    World::start(Setup { signer: Some(signer()), ..Setup::default() }).await
}

#[tokio::test]
async fn a_server_can_tell_that_a_call_went_through_the_gate_and_which_it_is() {
    let world = world().await;
    let arguments = edit("ENG-42", "x");
    let said = world.call("alice-release", "editJiraIssue", &arguments).await;
    assert_eq!(said.brief(), "ok");
    let session = world.session("alice").await;
    let read = Ask::call("alice", "getJiraIssue", &issue("ENG-42")).in_session(&session);
    assert_eq!(world.ask(&read).await.brief(), "ok");
    let requests = world.sim.ledger().requests();
    let is_call = |body: &str| body.contains("\"method\":\"tools/call\"");
    let mut asserted = Vec::new();
    for request in &requests {
        match request.header(HEADER) {
            Some(token) if is_call(&request.body) => asserted.push(opened(token)),
            found => assert!(found.is_none() && !is_call(&request.body), "{request:?}"),
        }
    }
    let [(header, claims), (_, by_alice)] = asserted.as_slice() else { panic!("{asserted:?}") };
    assert_eq!(header.get("typ").unwrap().to_text(), r#""callgate+jwt""#);
    assert_eq!(header.get("alg").unwrap().to_text(), r#""EdDSA""#);
    let text = |name: &str| claims.get(name).and_then(Json::as_str).unwrap().to_owned();
    assert_eq!((text("iss"), text("aud")), ("https://gate.example".into(), world.sim.url.clone()));
    assert_eq!((text("sub"), text("sub_kind")), ("alice".into(), "human".into()));
    assert_eq!(claims.get("act").unwrap().to_text(), r#"{"sub":"release-bot"}"#);
    assert_eq!((text("method"), text("tool")), ("tools/call".into(), "editJiraIssue".into()));
    let digest = Digest::of_json(&json(&world.sim.ledger().entries()[0].arguments));
    assert_eq!(text("args"), URL_SAFE_NO_PAD.encode(digest.as_bytes()), "of what arrived");
    let number = |name: &str| claims.get(name).and_then(Json::as_number).unwrap().as_i64().unwrap();
    assert!((0..5).contains(&(number("iat") - STARTED_MS / 1000)));
    assert_eq!(number("exp"), number("iat") + 60);
    assert_eq!(by_alice.get("act"), None);
    assert_ne!(by_alice.get("jti"), claims.get("jti"));

    let rows = world.record().await;
    let intent = event(rows.iter().find(|row| row.kind == "intent").unwrap());
    assert_eq!(intent.get("call").and_then(Json::as_str), Some(&*text("jti")));
    let bundle = intent.get("decision").unwrap().get("bundle").and_then(Json::as_str);
    assert_eq!(bundle, Some(&*text("bundle")));
    for row in &rows {
        assert!(!row.text.contains("eyJ"), "it is in no record");
    }
}

#[tokio::test]
async fn i7_what_a_client_says_in_the_gateways_name_goes_nowhere() {
    for signs in [true, false] {
        let signer = signs.then(signer);
        let world = World::start(Setup { signer, ..Setup::default() }).await;
        let ask = Ask::call("alice", "getJiraIssue", &issue("ENG-42"));
        let mut head = ask.head();
        head.headers.insert(HEADER, "made-up.by.a-client".parse().unwrap());
        world.gateway.handle(&head, "atlassian", ask.body()).await;
        let requests = world.sim.ledger().requests();
        assert_eq!(
            requests.iter().filter(|one| one.header(HEADER).is_some()).count(),
            usize::from(signs)
        );
        assert!(!format!("{requests:?}").contains("made-up"));
        assert_eq!(world.gateway.assertion_keys().is_some(), signs);
    }
}
