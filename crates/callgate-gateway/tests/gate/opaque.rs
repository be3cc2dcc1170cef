//! Tokens that say nothing by themselves: their issuer, which is here behind real HTTP, is asked what they are (I05).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use callgate_gateway::credential::{Credential, Scheme};
use callgate_gateway::identity::{
    Introspection, Issuer, IssuerConfig, KeyLimits, KeySource, Mapping,
};
use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::envelope::Portions;
use callgate_model::json::{Json, Object};

use crate::client::{Said, issue};
use crate::store::{STARTED_MS, event};
use crate::support::{Setup, World};
use crate::tokens::{GATE, POLICIES, RESOURCE};

/// What the issuer answers, by token, and what it was asked.
#[derive(Clone, Default)]
struct Answers {
    by_token: Arc<Mutex<HashMap<String, (u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn introspect(
    State(answers): State<Answers>,
    headers: HeaderMap,
    form: String,
) -> (StatusCode, String) {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    answers.asked.lock().unwrap().push(format!("{authorization} {form}"));
    let token = form.strip_prefix("token=").unwrap().split('&').next().unwrap();
    let answer = answers.by_token.lock().unwrap().get(token).cloned();
    let (status, body) = answer.unwrap_or((200, r#"{"active":false}"#.to_owned()));
    (StatusCode::from_u16(status).unwrap(), body)
}

struct Corp {
    world: World,
    answers: Answers,
    issuer: String,
}

impl Corp {
    async fn start() -> Self {
        let answers = Answers::default();
        let router = Router::new().route("/introspect", post(introspect));
        let router = router.with_state(answers.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let limits = UpstreamLimits { total: Duration::from_secs(2), ..UpstreamLimits::default() };
        let document =
            |path: &str| Document::new(format!("{issuer}{path}").parse().unwrap(), limits).unwrap();
        let credential = Credential::new(Scheme::Basic, &"Z2F0ZTpzZWNyZXQ=".into()).unwrap();
        let config = IssuerConfig {
            name: "corp".to_owned(),
            issuer: issuer.clone(),
            keys: KeySource::Jwks(document("/keys")),
            key_limits: KeyLimits::default(),
            algorithms: Vec::new(),
            audiences: Vec::new(),
            age_s_max: 86_400,
            mapping: Mapping::default(),
            scopes: Vec::new(),
            portions: Portions::default(),
            introspection: Some(Introspection::new(document("/introspect"), credential)),
            events: Some("https://gate.example/ssf/corp".to_owned()),
            transactions: Some("corp.example".to_owned()),
        };
        let world = World::start(Setup {
            policies: POLICIES.to_vec(),
            issuers: vec![Issuer::new(config).unwrap()],
            public_url: Some(GATE),
            ..Setup::default()
        });
        Self { world: world.await, answers, issuer }
    }

    /// What is said of a good token of Ada's.
    fn good(&self) -> Object {
        let now = STARTED_MS / 1000;
        Object::default()
            .with("active", true)
            .with("iss", self.issuer.as_str())
            .with("sub", "ada")
            .with("client_id", "ide")
            .with("aud", RESOURCE)
            .with("token_type", "Bearer")
            .with("iat", now - 60)
            .with("exp", now + 3600)
    }

    fn good_but(&self, member: &str, value: impl Into<Json>) -> String {
        let mut good = self.good();
        good.set(member, value);
        good.to_text()
    }

    fn answer(&self, token: &str, status: u16, body: impl Into<String>) {
        let mut answers = self.answers.by_token.lock().unwrap();
        answers.insert(token.to_owned(), (status, body.into()));
    }

    fn asked(&self) -> Vec<String> {
        self.answers.asked.lock().unwrap().clone()
    }

    async fn read(&self, token: &str) -> Said {
        self.world.call(token, "getJiraIssue", &issue("ENG-42")).await
    }
}

#[tokio::test]
async fn i05_an_issuer_tells_what_its_token_is() {
    let corp = Corp::start().await;
    corp.answer("ref-1", 200, corp.good().to_text());
    corp.answer("ref-2", 200, corp.good_but("sub", "eve"));
    for _ in 0..3 {
        assert_eq!(corp.read("ref-1").await.brief(), "ok");
    }
    assert_eq!(corp.read("ref-2").await.brief(), "deny human_not_permitted");
    let asked =
        |token: &str| format!("Basic Z2F0ZTpzZWNyZXQ= token={token}&token_type_hint=access_token");
    assert_eq!(corp.asked(), [asked("ref-1"), asked("ref-2")], "an answer holds for a while");
    let rows = corp.world.record().await;
    let intent = rows.iter().find(|row| &*row.kind == "intent").unwrap();
    let caller = event(intent).get("caller").unwrap().to_text();
    assert!(caller.contains(r#""id":"corp/ada""#) && caller.contains(r#""kind":"opaque""#));
    assert!(rows.iter().all(|row| !row.text.contains("ref-1")), "I7");
}

#[tokio::test]
async fn i05_what_is_not_plainly_active_lets_nobody_in() {
    let corp = Corp::start().await;
    let without = |member: &str| {
        let members = corp.good();
        let kept = members.iter().filter(|(name, _)| *name != member);
        let kept = kept.fold(Object::default(), |all, (name, value)| all.with(name, value.clone()));
        kept.to_text()
    };
    let good = corp.good().to_text();
    let twice = good.replacen('{', r#"{"active":false,"#, 1);
    let bad = [
        (200, r#"{"active":false}"#.to_owned()),
        (200, corp.good_but("active", "true")),
        (200, corp.good_but("active", 1)),
        (200, without("active")),
        (200, corp.good_but("iss", "https://other.example")),
        (200, corp.good_but("aud", "https://gate.example/mcp/other")),
        (200, without("aud")),
        (200, corp.good_but("token_type", "DPoP")),
        (200, corp.good_but("token_use", "refresh_token")),
        (200, corp.good_but("cnf", Object::default().with("jkt", "k"))),
        (200, corp.good_but("exp", STARTED_MS / 1000 - 31)),
        (200, corp.good_but("exp", "never")),
        (200, without("exp")),
        (200, without("sub")),
        (200, without("iat")),
        (200, without("client_id")),
        (200, corp.good_but("act", "bot")),
    ];
    for (number, (status, body)) in bad.into_iter().enumerate() {
        let token = format!("bad-{number}");
        corp.answer(&token, status, body.clone());
        assert_eq!(corp.read(&token).await.status.as_u16(), 401, "{status} {body}");
    }
    let unclear = [(200, "[]"), (200, ""), (200, &twice)];
    let failed = [201, 302, 401, 500].map(|status| (status, good.as_str()));
    for (number, (status, body)) in unclear.into_iter().chain(failed).enumerate() {
        let token = format!("unclear-{number}");
        corp.answer(&token, status, body);
        assert_eq!(corp.read(&token).await.status.as_u16(), 503, "{status} {body}");
    }
    // Nothing that an issuer of JWTs made is shown to this one, nor what is too long.
    let asked = corp.asked().len();
    for token in [
        "bad-0",
        "a.b.c",
        "a.b.c.d.e",
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.c2ln",
        &"x".repeat(4097),
    ] {
        assert_eq!(corp.read(token).await.status.as_u16(), 401);
    }
    assert_eq!(corp.asked().len(), asked);
    corp.answer("good", 200, good.clone());
    assert_eq!(corp.read("good").await.brief(), "ok");
}
