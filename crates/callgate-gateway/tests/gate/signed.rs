//! What issuers sign beside tokens for access: events, and tokens of transactions.

use callgate_gateway::pipeline::EventError;
use callgate_model::json::{Json, Object};

use crate::client::{Ask, issue};
use crate::store::{STARTED_MS, event};
use crate::tokens::{Corp, Made};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
const ENABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-enabled";
const EVENT: &str = r#"{"alg":"ES256","typ":"secevent+jwt","kid":"one"}"#;
const TRANSACTION: &str = r#"{"alg":"ES256","typ":"txntoken+jwt","kid":"one"}"#;
const NOW: i64 = STARTED_MS / 1000;

impl Corp {
    fn set(&self, kind: &str) -> Object {
        let subject = Object::default()
            .with("format", "iss_sub")
            .with("iss", self.issuer.as_str())
            .with("sub", "ada");
        Object::default()
            .with("iss", self.issuer.as_str())
            .with("aud", "https://gate.example/ssf/corp")
            .with("iat", NOW)
            .with("jti", "1")
            .with("sub_id", subject)
            .with("events", Object::default().with(kind, Object::default()))
    }

    async fn told(&self, claims: &Object) -> Result<(), EventError> {
        let token = self.key.sign(EVENT, &claims.to_text());
        self.world.gateway.take_event("corp", &token).await
    }

    async fn status(&self, token: &str) -> u16 {
        self.read(token).await.status.as_u16()
    }
}

#[tokio::test]
async fn i8_an_event_of_the_issuer_takes_back_what_was_given_before_it() {
    let corp = Corp::made(Made::default()).await;
    let at = |iat: i64| corp.key.token(&corp.claims_but("iat", iat));
    let (before, after) = (at(NOW - 60), at(NOW + 5));
    let eve = corp.key.token(&corp.claims_but("sub", "eve"));
    assert_eq!((corp.status(&before).await, corp.status(&after).await), (200, 200));
    corp.told(&corp.set(CAEP)).await.unwrap();
    assert_eq!((corp.status(&before).await, corp.status(&after).await), (401, 200));
    assert_eq!(corp.read(&eve).await.brief(), "deny human_not_permitted", "she is another");

    corp.told(&corp.set(DISABLED)).await.unwrap();
    assert_eq!(corp.status(&after).await, 401, "whatever it is");
    corp.told(&corp.set(DISABLED)).await.unwrap();
    corp.told(&corp.set(ENABLED)).await.unwrap();
    assert_eq!((corp.status(&before).await, corp.status(&after).await), (401, 200));
    let rows = corp.world.record().await;
    let changes: Vec<_> = rows
        .iter()
        .filter(|row| row.kind == "change")
        .map(|row| event(row).get("change").and_then(Json::as_str).unwrap().to_owned())
        .collect();
    // A person and a service account of that name, each time; what is told twice is done once.
    let expected = ["revoked", "revoked", "revocation_lifted"].map(|name| [name, name]).concat();
    assert_eq!(changes, expected);
}

#[tokio::test]
async fn i5_what_is_no_event_of_the_issuer_changes_nothing() {
    let corp = Corp::made(Made::default()).await;
    let good = corp.set(DISABLED);
    let but = |member: &str, value: Json| {
        let mut claims = good.clone();
        claims.set(member, value);
        claims
    };
    let without = |member: &str| {
        let mut claims = good.clone();
        claims.remove(member);
        claims
    };
    let other = Object::default().with("format", "email").with("email", "ada@example.com");
    let foreign = Object::default()
        .with("format", "iss_sub")
        .with("iss", "https://evil.example")
        .with("sub", "ada");
    let nested = Object::default()
        .with("format", "complex")
        .with("user", Object::default().with("format", "complex"));
    for claims in [
        but("aud", "https://gate.example/mcp/atlassian".into()),
        but("iss", "https://evil.example".into()),
        but("iat", (NOW + 3600).into()),
        but("events", Json::Null),
        but("events", Object::default().into()),
        but("sub_id", other.into()),
        but("sub_id", foreign.into()),
        but("sub_id", nested.into()),
        without("iat"),
        without("jti"),
        without("sub_id"),
        without("aud"),
    ] {
        assert!(corp.told(&claims).await.is_err(), "{claims:?}");
    }
    let claims = good.to_text();
    let access = corp.key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"one"}"#, &claims);
    let forged = corp.key.sign(EVENT, &claims).replace('.', "x.");
    for token in [access, forged, String::new(), "x".repeat(20_000)] {
        assert!(corp.world.gateway.take_event("corp", &token).await.is_err());
    }
    let token = corp.key.sign(EVENT, &claims);
    assert!(corp.world.gateway.take_event("other", &token).await.is_err());
    let unknown = corp.set("https://example.com/something-else");
    corp.told(&unknown).await.unwrap();
    assert_eq!(corp.status(&corp.key.token(&corp.claims())).await, 200);
    assert_eq!(corp.status(&token).await, 401, "nor is an event a token for access");
    corp.told(&good).await.unwrap();
    assert_eq!(corp.status(&corp.key.token(&corp.claims())).await, 401, "the good one is");
}

#[tokio::test]
async fn a_transaction_token_of_the_caller_is_their_workflow() {
    let corp = Corp::made(Made::default()).await;
    let access = corp.key.token(&corp.claims());
    let about = Object::default().with("purpose", "refund").with("ticket", "OPS-9");
    let claims = Object::default()
        .with("iss", corp.issuer.as_str())
        .with("aud", "corp.example")
        .with("iat", NOW - 5)
        .with("exp", NOW + 60)
        .with("txn", "t-1")
        .with("sub", "ada")
        .with("tctx", about);
    let ask = async |header: &str, claims: &Object| {
        let ask = Ask::call(&access, "getJiraIssue", &issue("ENG-42"));
        let mut head = ask.head();
        let token = corp.key.sign(header, &claims.to_text());
        head.headers.insert("txn-token", token.parse().unwrap());
        let reply = corp.world.gateway.handle(&head, "atlassian", ask.body()).await;
        reply.status.as_u16()
    };
    assert_eq!(ask(TRANSACTION, &claims).await, 200);
    let but = |member: &str, value: Json| {
        let mut claims = claims.clone();
        claims.set(member, value);
        claims
    };
    assert_eq!(ask(TRANSACTION, &but("sub", "eve".into())).await, 401, "another's");
    assert_eq!(ask(TRANSACTION, &but("aud", "other.example".into())).await, 401);
    assert_eq!(ask(TRANSACTION, &but("exp", (NOW - 60).into())).await, 401);
    assert_eq!(ask(TRANSACTION, &but("txn", Json::Null)).await, 401);
    assert_eq!(ask(EVENT, &claims).await, 401);
    let rows = corp.world.record().await;
    let first = rows.iter().find(|row| row.kind == "intent").unwrap();
    let run = event(first).get("caller").and_then(|caller| caller.get("workflow")).cloned();
    let run = run.unwrap().to_text();
    for expected in [r#""run":"corp/t-1""#, r#""ticket":"OPS-9""#, r#""assurance":"verified""#] {
        assert!(run.contains(expected), "{run}");
    }
}
