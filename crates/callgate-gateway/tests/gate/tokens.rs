//! Tokens of an issuer: who is let in by one, and that nothing else is a token. The issuer is here, behind real HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use callgate_gateway::credential::Broker;
use callgate_gateway::identity::{
    DetailRule, Issuer, IssuerConfig, KeyLimits, KeySource, KnownAgent, Mapping, Profile,
};
use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::authority::SubjectKind;
use callgate_model::envelope::Portions;
use callgate_model::json::{Json, Object};
use callgate_policy::Tier;

use crate::client::{Ask, Said, edit, issue};
use crate::store::{STARTED_MS, event, reasons};
use crate::support::{Rule, Setup, World, json};

pub(crate) const GATE: &str = "https://gate.example";
pub(crate) const RESOURCE: &str = "https://gate.example/mcp/atlassian";

/// Ada may do everything in ENG, but not by the bot of releases, which may only read.
pub(crate) const POLICIES: &[Rule] = &[
    (
        Tier::Permit,
        "ada",
        r#"permit(principal == User::"corp/ada", action, resource in Jira::Project::"acme/ENG");"#,
    ),
    (
        Tier::Permit,
        "bot",
        r#"permit(principal in AgentClass::"release", action in Action::"read", resource in Jira::Project::"acme/ENG");"#,
    ),
];

/// What the issuer publishes, and how often it was asked.
#[derive(Clone, Default)]
struct Published {
    keys: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<usize>>,
    is_down: Arc<Mutex<bool>>,
    /// How long it takes to answer.
    takes: Arc<Mutex<Duration>>,
    address: Arc<Mutex<String>>,
}

pub(crate) struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &'static str) -> Self {
        Self { id, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn jwk(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        format!(
            r#"{{"kty":"EC","crv":"P-256","use":"sig","kid":"{}","x":"{x}","y":"{y}"}}"#,
            self.id
        )
    }

    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn token(&self, claims: &Object) -> String {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"}}"#, self.id);
        self.sign(&header, &claims.to_text())
    }
}

pub(crate) struct Corp {
    pub(crate) world: World,
    published: Published,
    pub(crate) key: Key,
    pub(crate) issuer: String,
}

async fn keys(State(published): State<Published>) -> impl IntoResponse {
    *published.asked.lock().unwrap() += 1;
    let takes = *published.takes.lock().unwrap();
    tokio::time::sleep(takes).await;
    if *published.is_down.lock().unwrap() {
        return (http::StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let keys = published.keys.lock().unwrap().join(",");
    (http::StatusCode::OK, format!(r#"{{"keys":[{keys}]}}"#))
}

async fn metadata(State(published): State<Published>) -> impl IntoResponse {
    let address = published.address.lock().unwrap().clone();
    format!(r#"{{"issuer":"{address}","jwks_uri":"{address}/keys"}}"#)
}

const QUICK: KeyLimits = KeyLimits {
    fresh: Duration::from_secs(3600),
    stale_max: Duration::from_secs(7200),
    refetch_min: Duration::from_millis(200),
};

/// How a corp is made.
pub(crate) struct Made {
    pub(crate) key_limits: KeyLimits,
    pub(crate) audiences: Vec<String>,
    pub(crate) portions: Portions,
    pub(crate) details: BTreeMap<String, DetailRule>,
    pub(crate) broker: Option<Broker>,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            key_limits: QUICK,
            audiences: Vec::new(),
            portions: Portions::default(),
            details: BTreeMap::default(),
            broker: None,
        }
    }
}

impl Corp {
    async fn start() -> Self {
        Self::with(QUICK, &[]).await
    }

    pub(crate) async fn with_portions(portions: Portions) -> Self {
        Self::made(Made { portions, ..Made::default() }).await
    }

    pub(crate) async fn with_broker(broker: Broker) -> Self {
        Self::made(Made { broker: Some(broker), ..Made::default() }).await
    }

    async fn with(key_limits: KeyLimits, audiences: &[&str]) -> Self {
        let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        Self::made(Made { key_limits, audiences, ..Made::default() }).await
    }

    pub(crate) async fn made(made: Made) -> Self {
        let Made { key_limits, audiences, portions, details, broker } = made;
        let (published, key) = (Published::default(), Key::new("one"));
        published.keys.lock().unwrap().push(key.jwk());
        let router = Router::new()
            .route("/keys", get(keys))
            .route("/.well-known/openid-configuration", get(metadata))
            .with_state(published.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        published.address.lock().unwrap().clone_from(&issuer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let url = format!("{issuer}/.well-known/openid-configuration").parse().unwrap();
        let document = Document::new(url, UpstreamLimits::default()).unwrap();
        let bot = KnownAgent { name: Some("release-bot".into()), class: Some("release".into()) };
        let config = IssuerConfig {
            name: "corp".to_owned(),
            issuer: issuer.clone(),
            keys: KeySource::Metadata {
                document,
                issuer: issuer.clone(),
                origins: vec![issuer.clone()],
            },
            key_limits,
            algorithms: Vec::new(),
            audiences,
            age_s_max: 86_400,
            mapping: Mapping {
                profile: Profile::Rfc9068,
                agents: [("bot-1".to_owned(), bot)].into(),
                details,
                ..Mapping::default()
            },
            scopes: vec!["mcp".to_owned()],
            portions,
            introspection: None,
            events: Some("https://gate.example/ssf/corp".to_owned()),
            transactions: Some("corp.example".to_owned()),
        };
        let world = World::start(Setup {
            policies: POLICIES.to_vec(),
            issuers: vec![Issuer::new(config).unwrap()],
            public_url: Some(GATE),
            broker,
            ..Setup::default()
        })
        .await;
        Self { world, published, key, issuer }
    }

    /// What is in a good token of Ada's.
    pub(crate) fn claims(&self) -> Object {
        let now = STARTED_MS / 1000;
        Object::default()
            .with("iss", self.issuer.as_str())
            .with("sub", "ada")
            .with("client_id", "ide")
            .with("aud", RESOURCE)
            .with("iat", now - 60)
            .with("exp", now + 3600)
    }

    pub(crate) fn claims_but(&self, member: &str, value: impl Into<Json>) -> Object {
        let mut claims = self.claims();
        claims.set(member, value);
        claims
    }

    pub(crate) async fn read(&self, token: &str) -> Said {
        self.world.call(token, "getJiraIssue", &issue("ENG-42")).await
    }

    fn asked(&self) -> usize {
        *self.published.asked.lock().unwrap()
    }
}

#[tokio::test]
async fn i10_a_token_makes_the_chain_by_which_calls_are_decided_and_recorded() {
    let corp = Corp::start().await;
    let ada = corp.key.token(&corp.claims());
    assert_eq!(corp.world.call(&ada, "editJiraIssue", &edit("ENG-42", "x")).await.brief(), "ok");
    let act = Object::default().with("sub", "bot-1");
    let by_bot = corp.key.token(&corp.claims_but("act", act));
    assert_eq!(corp.read(&by_bot).await.brief(), "ok");
    let said = corp.world.call(&by_bot, "editJiraIssue", &edit("ENG-42", "y")).await;
    assert_eq!(said.brief(), "deny agent_not_permitted");
    let eve = corp.key.token(&corp.claims_but("sub", "eve"));
    assert_eq!(corp.read(&eve).await.brief(), "deny human_not_permitted");
    assert_eq!(corp.asked(), 1, "the keys were fetched once");
    let rows = corp.world.record().await;
    let callers = rows
        .iter()
        .filter(|row| matches!(&*row.kind, "intent" | "refusal"))
        .map(|row| event(row).get("caller").unwrap().to_text());
    let callers: Vec<_> = callers.collect();
    assert!(
        callers[0].contains(r#""id":"corp/ada""#)
            && callers[0].contains(r#""assurance":"verified""#),
        "{}",
        callers[0]
    );
    assert!(callers[1].contains(r#""id":"release-bot""#), "{}", callers[1]);
    for row in &rows {
        assert!(
            !row.text.contains(&ada) && !row.text.contains(ada.rsplit('.').next().unwrap()),
            "I7"
        );
    }
}

#[tokio::test]
async fn i01_i02_i03_i04_what_is_no_good_token_lets_nobody_in_and_is_recorded() {
    let corp = Corp::start().await;
    let now = STARTED_MS / 1000;
    let (other, good) = (Key::new("one"), corp.key.token(&corp.claims()));
    let signature = good.rsplit('.').next().unwrap().to_owned();
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let payload = URL_SAFE_NO_PAD.encode(corp.claims().to_text());
    let mut without = Vec::new();
    for member in ["aud", "exp", "iss", "sub"] {
        let mut claims = corp.claims();
        claims.remove(member);
        without.push(corp.key.token(&claims));
    }
    let bad = [
        corp.key.token(&corp.claims_but("aud", "https://gate.example/mcp/other")),
        corp.key.token(&corp.claims_but("aud", "https://gate.example/mcp/atlassian/")),
        corp.key.token(&corp.claims_but("aud", Json::Array(Vec::new()))),
        corp.key.token(&corp.claims_but("iss", "https://evil.example")),
        corp.key.token(&corp.claims_but("iss", format!("{}/", corp.issuer))),
        corp.key.token(&corp.claims_but("exp", now - 60)),
        corp.key.token(&corp.claims_but("exp", (now + 3600).to_string())),
        corp.key.token(&corp.claims_but("exp", now + 100_000_000)),
        corp.key.token(&corp.claims_but("nbf", now + 600)),
        corp.key.token(&corp.claims_but("iat", now + 600)),
        corp.key.token(&corp.claims_but("act", "bot-1")),
        corp.key.token(&corp.claims_but("jti", 7)),
        other.token(&corp.claims()),
        Key::new("unknown").token(&corp.claims()),
        corp.key.sign(r#"{"alg":"ES256","typ":"JWT","kid":"one"}"#, &corp.claims().to_text()),
        corp.key.sign(r#"{"alg":"ES384","typ":"at+jwt","kid":"one"}"#, &corp.claims().to_text()),
        corp.key.sign(r#"{"alg":"HS256","typ":"at+jwt","kid":"one"}"#, &corp.claims().to_text()),
        corp.key.sign(
            r#"{"alg":"ES256","typ":"at+jwt","kid":"../../etc/passwd"}"#,
            &corp.claims().to_text(),
        ),
        format!("{unsigned}.{payload}."),
        format!("{unsigned}.{payload}.{signature}"),
        good.get(..good.len() - 4).unwrap().to_owned(),
        "opaque".to_owned(),
    ];
    let bad: Vec<String> = bad.into_iter().chain(without).collect();
    for (index, token) in bad.iter().enumerate() {
        let said = corp.read(token).await;
        assert_eq!(said.status.as_u16(), 401, "{index}: {token}");
        let challenge = said.headers.get("www-authenticate").unwrap().to_str().unwrap();
        assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    }
    assert_eq!(corp.world.calls_sent(), 0);
    assert_eq!(corp.read(&good).await.brief(), "ok", "the good one is");
    let rows = corp.world.record().await;
    let refused: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").collect();
    assert_eq!(refused.len(), bad.len());
    for row in refused {
        assert_eq!(reasons(row), ["unauthenticated"]);
        assert!(!row.text.contains(&payload) && !row.text.contains(&signature), "I7: {}", row.text);
    }
}

#[tokio::test]
async fn a_client_without_a_token_is_told_where_to_get_one() {
    let corp = Corp::start().await;
    let ask = Ask::call("alice", "getJiraIssue", &issue("ENG-42"));
    let mut head = ask.head();
    head.headers.remove("authorization");
    let said = Said::of(corp.world.gateway.handle(&head, "atlassian", ask.body()).await).await;
    assert_eq!(said.status.as_u16(), 401);
    let challenge = said.headers.get("www-authenticate").unwrap().to_str().unwrap();
    assert_eq!(
        challenge,
        r#"Bearer resource_metadata="https://gate.example/.well-known/oauth-protected-resource/mcp/atlassian", scope="mcp""#
    );
    let metadata = corp.world.gateway.resource_metadata("atlassian").unwrap();
    let metadata = json(std::str::from_utf8(&metadata).unwrap());
    assert_eq!(metadata.get("resource"), Some(&RESOURCE.into()));
    let servers = metadata.get("authorization_servers").unwrap().to_text();
    assert_eq!(servers, format!(r#"["{}"]"#, corp.issuer));
    // What is no server's name is not repeated, and not counted by itself.
    for name in ["x\", resource_metadata=\"https://evil.example/", "a b", &"x".repeat(41)] {
        let said = corp.world.gateway.handle(&head, name, ask.body()).await;
        let headers = Said::of(said).await.headers;
        assert_eq!(headers.get("www-authenticate").unwrap(), r#"Bearer"#, "{name}");
        assert!(corp.world.gateway.resource_metadata(name).is_none(), "{name}");
        assert!(!corp.world.gateway.metrics().contains(name), "{name}");
    }
    assert!(corp.world.gateway.metrics().contains(r#"server="atlassian""#));
    // Of all servers it is another resource, for another token.
    let roof = corp.world.gateway.resource_metadata("").unwrap();
    let roof = json(std::str::from_utf8(&roof).unwrap());
    assert_eq!(roof.get("resource"), Some(&"https://gate.example/mcp".into()));
    let own = World::start(Setup::default()).await;
    assert!(own.gateway.resource_metadata("atlassian").is_none(), "nobody issues tokens");
}

#[tokio::test]
async fn an_audience_may_be_what_the_issuer_calls_the_gateway() {
    let corp = Corp::with(QUICK, &["api://callgate"]).await;
    let token = |audience: Json| corp.key.token(&corp.claims_but("aud", audience));
    let both = Json::Array(vec!["api://other".into(), "api://callgate".into()]);
    for (audience, status) in [
        ("api://callgate".into(), 200),
        (both, 200),
        (RESOURCE.into(), 401),
        ("api://other".into(), 401),
    ] {
        let text = audience.to_text();
        assert_eq!(corp.read(&token(audience)).await.status.as_u16(), status, "{text}");
    }
}

#[tokio::test]
async fn i06_keys_rotate_without_a_restart_and_nobody_makes_us_ask_for_them_all_the_time() {
    let corp = Corp::start().await;
    assert_eq!(corp.read(&corp.key.token(&corp.claims())).await.brief(), "ok");
    let next = Key::new("two");
    *corp.published.keys.lock().unwrap() = vec![next.jwk()];
    // Too soon, and so is whatever else is made up.
    for id in ["two", "three", "four", "five"] {
        let token = Key::new(id).token(&corp.claims());
        assert_eq!(corp.read(&token).await.status.as_u16(), 401);
    }
    assert_eq!(corp.asked(), 1);
    tokio::time::sleep(QUICK.refetch_min).await;
    assert_eq!(corp.read(&next.token(&corp.claims())).await.brief(), "ok");
    assert_eq!(corp.asked(), 2);
    // They may all be withdrawn.
    *corp.published.keys.lock().unwrap() = Vec::new();
    tokio::time::sleep(QUICK.refetch_min).await;
    let unknown = Key::new("six").token(&corp.claims());
    assert_eq!(corp.read(&unknown).await.status.as_u16(), 401);
    assert_eq!(corp.asked(), 3);
    assert_eq!(corp.read(&next.token(&corp.claims())).await.status.as_u16(), 401);
    // The old key is gone, and with it what it signed, also what was accepted before.
    for claims in [corp.claims(), corp.claims_but("jti", "another")] {
        assert_eq!(corp.read(&corp.key.token(&claims)).await.status.as_u16(), 401);
    }
}

#[tokio::test]
async fn i06_who_goes_away_keeps_nobody_from_the_keys() {
    let corp = Corp::start().await;
    *corp.published.takes.lock().unwrap() = Duration::from_millis(100);
    let good = corp.key.token(&corp.claims());
    let gone = tokio::time::timeout(Duration::from_millis(20), corp.read(&good)).await;
    assert!(gone.is_err(), "the keys cannot be there yet");
    assert_eq!(corp.read(&good).await.brief(), "ok");
    assert_eq!(corp.asked(), 1);
}

#[tokio::test]
async fn i06_an_issuer_that_is_down_is_done_without_for_a_while() {
    let limits = KeyLimits {
        fresh: Duration::from_millis(50),
        stale_max: Duration::from_millis(600),
        refetch_min: Duration::from_millis(20),
    };
    let corp = Corp::with(limits, &[]).await;
    let token = |id: i64| corp.key.token(&corp.claims_but("jti", id.to_string()));
    assert_eq!(corp.read(&token(1)).await.brief(), "ok");
    *corp.published.is_down.lock().unwrap() = true;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(corp.read(&token(2)).await.brief(), "ok", "by the key that was last good");
    tokio::time::sleep(Duration::from_millis(700)).await;
    for id in [1, 3] {
        let said = corp.read(&token(id)).await;
        // The client may have a good token, and keeps it.
        assert_eq!(said.status.as_u16(), 503, "{id}");
        assert!(said.headers.contains_key("retry-after"));
        assert!(!said.headers.contains_key("www-authenticate"));
    }
    *corp.published.is_down.lock().unwrap() = false;
    tokio::time::sleep(limits.refetch_min).await;
    assert_eq!(corp.read(&token(4)).await.brief(), "ok");
}

#[tokio::test]
async fn i8_one_token_of_an_issuer_or_everybody_in_it_is_revoked() {
    let corp = Corp::start().await;
    let token = |id: &str| corp.key.token(&corp.claims_but("jti", id));
    let (one, two) = (token("1"), token("2"));
    let status = async |token: &str| corp.read(token).await.status.as_u16();
    assert_eq!((status(&one).await, status(&two).await), (200, 200));
    corp.world.revoke(SubjectKind::Jti, "corp/1", None).await;
    assert_eq!((status(&one).await, status(&two).await), (401, 200));
    corp.world.revoke(SubjectKind::Human, "ada", None).await;
    assert_eq!(status(&two).await, 200, "another issuer's, or nobody's");
    corp.world.revoke(SubjectKind::Human, "corp/ada", None).await;
    assert_eq!(status(&two).await, 401, "it was accepted before, and is remembered");
}

#[tokio::test]
async fn i6_a_session_outlives_a_token_that_is_renewed_and_is_nobody_elses() {
    let corp = Corp::start().await;
    let (first, second) = (corp.claims_but("jti", "1"), corp.claims_but("jti", "2"));
    let [first, second] = [first, second].map(|claims| corp.key.token(&claims));
    let session = corp.world.session(&first).await;
    let ask = |token: &str| Ask::call(token, "getJiraIssue", &issue("ENG-42")).in_session(&session);
    assert_eq!(corp.world.ask(&ask(&second)).await.brief(), "ok");
    let eve = corp.key.token(&corp.claims_but("sub", "eve"));
    let by_bot = corp.claims_but("act", Object::default().with("sub", "bot-1"));
    let aud = Json::Array(vec![RESOURCE.into(), "https://gate.example/mcp".into()]);
    let of_all = corp.key.token(&corp.claims_but("aud", aud));
    for other in [eve, corp.key.token(&by_bot), of_all] {
        assert_eq!(corp.world.ask(&ask(&other)).await.status.as_u16(), 404);
    }
}
