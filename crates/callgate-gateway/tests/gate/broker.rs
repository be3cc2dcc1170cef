//! What servers are called with when it is issued to the gateway: by client credentials, or for the callers' own tokens. The
//! token endpoint is here, behind real HTTP; the site takes any token and its ledger has what it was shown.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use callgate_gateway::credential::{
    Broker, ClientCredentials, Credential, Exchange, Own, Scheme, TokenEndpoint, Wanted,
};
use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::json::Object;
use callgate_sim::Fault;
use futures_util::future::join_all;

use crate::assertion::{opened, signer};
use crate::client::{edit, issue};
use crate::store::{STARTED_MS, reasons};
use crate::support::{Setup, World};
use crate::tokens::Corp;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The parameters of a question.
type Form = Vec<(String, String)>;

/// A token endpoint: what it was asked, and how it answers.
#[derive(Clone, Default)]
struct Endpoint {
    url: String,
    /// The credential and the parameters of each question.
    asked: Arc<Mutex<Vec<(String, Form)>>>,
    /// A status and an answer in place of a token.
    instead: Arc<Mutex<Option<(u16, String)>>>,
    expires_in: Arc<Mutex<i64>>,
}

async fn issue_token(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    form: String,
) -> (StatusCode, String) {
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    let form: Form = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    endpoint.asked.lock().unwrap().push((authorization, form));
    let number = endpoint.asked();
    tokio::time::sleep(Duration::from_millis(100)).await;
    if let Some((status, body)) = endpoint.instead.lock().unwrap().clone() {
        return (StatusCode::from_u16(status).unwrap(), body);
    }
    let expires = *endpoint.expires_in.lock().unwrap();
    let answer = Object::default()
        .with("access_token", format!("issued-{number}"))
        .with("token_type", "Bearer")
        .with("issued_token_type", ACCESS)
        .with("expires_in", expires);
    (StatusCode::OK, answer.to_text())
}

impl Endpoint {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let endpoint = Self { url, ..Self::default() };
        *endpoint.expires_in.lock().unwrap() = 300;
        let router = Router::new().route("/token", post(issue_token));
        let router = router.with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    fn client(&self) -> TokenEndpoint {
        let limits = UpstreamLimits { total: Duration::from_secs(2), ..UpstreamLimits::default() };
        let document = Document::new(self.url.parse().unwrap(), limits).unwrap();
        let wanted = Wanted {
            scopes: vec!["read".into(), "write".into()],
            audience: Some("site".into()),
            resource: Some("https://site.example/mcp".into()),
        };
        TokenEndpoint::new(
            document,
            self.url.clone(),
            "gate way",
            &"client canary:é".into(),
            wanted,
        )
        .unwrap()
    }

    fn client_credentials(&self) -> Broker {
        let client = ClientCredentials::new(self.client());
        Broker::Own(Own::ClientCredentials(Box::new(client)))
    }

    /// Exchanges tokens of corp; lists have a secret of their own.
    fn exchange(&self) -> Broker {
        let lists = Credential::new(Scheme::Bearer, &"lists-canary".into()).unwrap();
        let exchange = Exchange::new("corp".to_owned(), self.client(), Own::Static(lists));
        Broker::Exchange(Box::new(exchange))
    }

    fn exchange_naming_agents(&self) -> Broker {
        let exchange = Exchange::new("corp".to_owned(), self.client(), Own::None);
        Broker::Exchange(Box::new(exchange.with_actor(signer())))
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// A parameter of each question.
    fn said(&self, name: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let one = |form: &Form| {
            let mut found = form.iter().filter(|(known, _)| known == name);
            let value = found.next().map(|(_, value)| value.clone());
            assert!(found.next().is_none(), "{name} twice");
            value.unwrap_or_default()
        };
        asked.iter().map(|(_, form)| one(form)).collect()
    }

    fn answer(&self, status: u16, body: &str) {
        *self.instead.lock().unwrap() = Some((status, body.to_owned()));
    }
}

impl World {
    /// What the site was shown with requests of this method.
    fn shown(&self, method: &str) -> Vec<String> {
        let is_it = format!("\"method\":\"{method}\"");
        let requests = self.sim.ledger().requests();
        let asked = requests.iter().filter(|request| request.body.contains(&is_it));
        asked.map(|request| request.header("authorization").unwrap_or("").to_owned()).collect()
    }
}

#[tokio::test]
async fn a_token_of_the_gateway_is_used_for_calls_and_lists_until_the_server_refuses_it() {
    let endpoint = Endpoint::start().await;
    let broker = Some(endpoint.client_credentials());
    let world = World::start(Setup { broker, ..Setup::default() }).await;
    for _ in 0..2 {
        let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
        assert_eq!(said.brief(), "ok");
    }
    assert_eq!(world.shown("tools/list"), ["Bearer issued-1"]);
    assert_eq!(world.shown("tools/call"), ["Bearer issued-1"; 2]);
    assert_eq!(endpoint.said("grant_type"), ["client_credentials"]);
    assert_eq!(endpoint.said("scope"), ["read write"]);
    assert_eq!(endpoint.said("audience"), ["site"]);
    assert_eq!(endpoint.said("resource"), ["https://site.example/mcp"]);
    // `gate+way:client+canary%3A%C3%A9`: RFC 6749 §2.3.1 has both encoded first.
    let basic = "Basic Z2F0ZSt3YXk6Y2xpZW50K2NhbmFyeSUzQSVDMyVBOQ==";
    assert_eq!(endpoint.asked.lock().unwrap()[0].0, basic);

    world.sim.fault(Fault::Unauthorized);
    let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "allow upstream_error");
    assert_eq!(endpoint.asked(), 1, "that call is not made again");
    assert_eq!(world.call("alice", "getJiraIssue", &issue("ENG-42")).await.brief(), "ok");
    assert_eq!(world.shown("tools/call").last().unwrap(), "Bearer issued-2");
}

#[tokio::test]
async fn i6_i7_each_caller_has_a_token_of_their_own_and_lists_are_in_nobodys_name() {
    let endpoint = Endpoint::start().await;
    let corp = Corp::with_broker(endpoint.exchange()).await;
    let ada = corp.key.token(&corp.claims());
    let again = corp.key.token(&corp.claims_but("jti", "2"));
    let act = Object::default().with("sub", "bot-1");
    let by_bot = corp.key.token(&corp.claims_but("act", act));
    for token in [&ada, &by_bot, &ada, &again, &by_bot] {
        assert_eq!(corp.read(token).await.brief(), "ok");
    }
    let issued = |number: usize| format!("Bearer issued-{number}");
    assert_eq!(corp.world.shown("tools/call"), [1, 2, 1, 3, 2].map(issued));
    assert_eq!(corp.world.shown("tools/list"), ["Bearer lists-canary"]);
    assert_eq!(endpoint.said("subject_token"), [&*ada, &*by_bot, &*again]);
    assert_eq!(endpoint.said("grant_type"), [EXCHANGE; 3]);
    assert_eq!(endpoint.said("subject_token_type"), [ACCESS; 3]);
    assert_eq!(endpoint.said("requested_token_type"), [ACCESS; 3]);
    assert_eq!(endpoint.said("actor_token"), [""; 3], "the issuer's `act` is its own business");
    let said = corp.read(&corp.key.token(&corp.claims_but("sub", "eve"))).await;
    assert_eq!(said.brief(), "deny human_not_permitted");
    assert_eq!(endpoint.asked(), 3, "nothing is had for what is denied anyway");
    // I7: to the site goes nothing of whoever calls, nor what the gateway has elsewhere; to the record nothing at all.
    let requests = corp.world.sim.ledger().requests();
    let seen: String = requests.iter().map(|request| format!("{request:?}")).collect();
    for token in [&ada, &again, &by_bot] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!seen.contains(&**token) && !seen.contains(signature));
    }
    assert!(!seen.contains("canary%3A") && !seen.contains("Z2F0ZSt3YXk6"));
    for row in &corp.world.record().await {
        for secret in [&ada, &by_bot, "issued-", "canary"] {
            assert!(!row.text.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn i6_i13_fifty_callers_at_once_have_one_token_each_and_it_is_asked_for_once() {
    let endpoint = Endpoint::start().await;
    // Too short to be kept; those who wait are given it nevertheless.
    *endpoint.expires_in.lock().unwrap() = 20;
    let corp = Corp::with_broker(endpoint.exchange()).await;
    let tokens: Vec<_> =
        (0..5).map(|number| corp.key.token(&corp.claims_but("jti", format!("{number}")))).collect();
    let calls = (0..50).map(|number| corp.read(&tokens[number % 5]));
    let said = join_all(calls).await;
    assert!(said.iter().all(|said| said.brief() == "ok"));
    let subjects = endpoint.said("subject_token");
    assert_eq!(subjects.iter().collect::<BTreeSet<_>>(), tokens.iter().collect());
    assert_eq!(subjects.len(), 5, "each once");
    let shown: BTreeSet<_> = corp.world.shown("tools/call").into_iter().collect();
    assert_eq!(shown.len(), 5);
}

/// The one refusal of a record that has nothing else.
async fn only_refusal(world: &World) -> Vec<String> {
    let rows = world.record().await;
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.clone()).collect();
    assert!(!kinds.iter().any(|kind| kind == "intent" || kind == "outcome"), "{kinds:?}");
    let refusals: Vec<_> = rows.iter().filter(|row| row.kind == "refusal").map(reasons).collect();
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:?}");
    refusals.into_iter().next().unwrap()
}

#[tokio::test]
async fn i1_what_is_not_given_is_a_denial_and_no_intent() {
    let good = format!(
        r#"{{"access_token":"t","token_type":"bearer","issued_token_type":"{ACCESS}","expires_in":60}}"#
    );
    let answers = [
        (400, r#"{"error":"invalid_grant"}"#.to_owned()),
        (401, good.clone()),
        (302, good.clone()),
        (201, good.clone()),
        (500, String::new()),
        (200, "t".to_owned()),
        (200, good.replace("bearer", "N_A")),
        (200, good.replace("bearer", "DPoP")),
        (200, good.replace("access_token\",\"exp", "refresh_token\",\"exp")),
        (200, good.replace("issued_token_type", "token_kind")),
        (200, good.replace(":60", ":0")),
        (200, good.replacen('{', r#"{"access_token":"u","#, 1)),
    ];
    for (status, body) in answers {
        let endpoint = Endpoint::start().await;
        endpoint.answer(status, &body);
        let corp = Corp::with_broker(endpoint.exchange()).await;
        let ada = corp.key.token(&corp.claims());
        let said = corp.world.call(&ada, "editJiraIssue", &edit("ENG-42", "x")).await;
        assert_eq!(said.brief(), "deny credential_unavailable", "{status} {body}");
        assert!(!said.text().contains("token endpoint"), "that is for the operator");
        assert_eq!(corp.world.calls_sent(), 0);
        assert_eq!(only_refusal(&corp.world).await, ["credential_unavailable"]);
    }
}

#[tokio::test]
async fn i7_a_callers_own_token_is_not_taken_for_another() {
    let endpoint = Endpoint::start().await;
    let corp = Corp::with_broker(endpoint.exchange()).await;
    let ada = corp.key.token(&corp.claims());
    let answer = Object::default()
        .with("access_token", ada.as_str())
        .with("token_type", "bearer")
        .with("issued_token_type", ACCESS);
    endpoint.answer(200, &answer.to_text());
    assert_eq!(corp.read(&ada).await.brief(), "deny credential_unavailable");
    assert_eq!(corp.world.calls_sent(), 0);
}

#[tokio::test]
async fn i5_who_has_no_token_of_that_issuer_is_refused() {
    let endpoint = Endpoint::start().await;
    let policies = crate::support::POLICIES.to_vec();
    let broker = Some(endpoint.exchange());
    let world = World::start(Setup { policies, broker, ..Setup::default() }).await;
    let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny credential_unavailable");
    assert_eq!(world.list("alice").await.status, StatusCode::OK, "lists are in nobody's name");
    assert_eq!((endpoint.asked(), world.calls_sent()), (0, 0));
    assert_eq!(only_refusal(&world).await, ["credential_unavailable"]);
}

#[tokio::test]
async fn i5_without_a_token_for_itself_the_gateway_lists_and_calls_nothing() {
    let endpoint = Endpoint::start().await;
    endpoint.answer(503, "");
    let broker = Some(endpoint.client_credentials());
    let world = World::start(Setup { broker, ..Setup::default() }).await;
    let said = world.call("alice", "getJiraIssue", &issue("ENG-42")).await;
    assert_eq!(said.brief(), "deny credential_unavailable");
    assert!(world.list("alice").await.answer().get("error").is_some());
    assert_eq!(world.sim.ledger().requests().len(), 0);
    assert_eq!(only_refusal(&world).await, ["credential_unavailable"]);
}

#[tokio::test]
async fn what_is_given_for_a_token_is_kept_for_no_longer_than_that() {
    let endpoint = Endpoint::start().await;
    let corp = Corp::with_broker(endpoint.exchange()).await;
    // With what clocks may differ by, it is good for a second more.
    let ada = corp.key.token(&corp.claims_but("exp", STARTED_MS / 1000 - 29));
    assert_eq!(corp.read(&ada).await.brief(), "ok");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // The clock of the tests does not go on by itself, so the token is still good.
    assert_eq!(corp.read(&ada).await.brief(), "ok");
    assert_eq!(corp.world.shown("tools/call"), ["Bearer issued-1", "Bearer issued-2"]);
}

#[tokio::test]
async fn the_agent_that_acts_is_named_to_the_endpoint_if_that_is_wanted() {
    let endpoint = Endpoint::start().await;
    let corp = Corp::with_broker(endpoint.exchange_naming_agents()).await;
    let earlier = Object::default().with("sub", "scout");
    let act = Object::default().with("sub", "bot-1").with("act", earlier);
    let by_bot = corp.key.token(&corp.claims_but("act", act));
    for token in [&by_bot, &corp.key.token(&corp.claims())] {
        assert_eq!(corp.read(token).await.brief(), "ok");
    }
    let actors = endpoint.said("actor_token");
    let (header, claims) = opened(&actors[0]);
    assert_eq!(header.get("typ").unwrap().to_text(), r#""JWT""#);
    let text = |name: &str| claims.get(name).unwrap().to_text();
    assert_eq!(text("sub"), r#""release-bot""#);
    assert_eq!(text("act"), r#"{"sub":"corp/scout"}"#);
    assert_eq!(
        (text("iss"), text("aud")),
        (r#""https://gate.example""#.into(), format!("{:?}", endpoint.url))
    );
    assert_eq!(actors[1], "", "where a person uses a client, no agent acts");
    let types = endpoint.said("actor_token_type");
    assert_eq!(types, ["urn:ietf:params:oauth:token-type:jwt", ""]);
    assert_eq!(corp.world.shown("tools/list"), [""], "lists are in nobody's name");
}
