//! An issuer behind real HTTP that answers as each test wants, and people who come back from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::json::Object;
use callgate_store::testing::Ticking;

use super::super::{IssuerConfig, KeyLimits, KeySource, Mapping, Profile};
use super::*;

const REDIRECT: &str = "https://gate.example/console/sign-in/callback";

/// What the issuer does.
#[derive(Default)]
struct Does {
    says: Object,
    keys: String,
    /// What it answers at its token endpoint.
    answers: Option<(u16, String)>,
    takes: Duration,
    /// What it was sent there.
    form: BTreeMap<String, String>,
    authorization: Option<String>,
    asked: usize,
}

type Shared = Arc<Mutex<Does>>;

struct World {
    issuer: String,
    does: Shared,
    pair: EcdsaKeyPair,
    identities: Identities,
    keys: Keyring,
    ambient: Ticking,
}

async fn description(State(does): State<Shared>) -> Response {
    let takes = does.lock().unwrap().takes;
    tokio::time::sleep(takes).await;
    let mut does = does.lock().unwrap();
    does.asked += 1;
    does.says.to_text().into_response()
}

async fn token(State(does): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut does = does.lock().unwrap();
    does.form = form_urlencoded::parse(&body).into_owned().collect();
    let authorization = headers.get("authorization");
    does.authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    match does.answers.take() {
        // Codes are good once.
        None => (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response(),
        Some((302, elsewhere)) => Redirect::to(&elsewhere).into_response(),
        Some((status, text)) => (StatusCode::from_u16(status).unwrap(), text).into_response(),
    }
}

impl World {
    async fn new(secret: Option<&str>, profile: Profile) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let keys = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}]}}"#);
        let does: Shared = Arc::new(Mutex::new(Does { keys, ..Does::default() }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route(
                "/keys",
                get(async |State(does): State<Shared>| does.lock().unwrap().keys.clone()),
            )
            .route("/token", post(token))
            .with_state(Arc::clone(&does));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        does.lock().unwrap().says = Object::default()
            .with("issuer", issuer.as_str())
            .with("authorization_endpoint", format!("{issuer}/auth?tenant=1"))
            .with("token_endpoint", format!("{issuer}/token"));
        let document = |path: &str| {
            let limits =
                UpstreamLimits { total: Duration::from_secs(1), ..UpstreamLimits::default() };
            Document::new(format!("{issuer}{path}").parse().unwrap(), limits).unwrap()
        };
        let login = Login::new(LoginConfig {
            issuer: "corp".to_owned(),
            description: document("/.well-known/openid-configuration"),
            client: "console".to_owned(),
            secret: secret.map(SecretString::from),
            scopes: vec!["groups".to_owned()],
            danger_plain_http: false,
        });
        let known = Issuer::new(IssuerConfig {
            name: "corp".to_owned(),
            issuer: issuer.clone(),
            keys: KeySource::Jwks(document("/keys")),
            key_limits: KeyLimits::default(),
            algorithms: Vec::new(),
            audiences: Vec::new(),
            age_s_max: 86_400,
            mapping: Mapping { profile, ..Mapping::default() },
            scopes: Vec::new(),
            portions: BTreeMap::new(),
            introspection: None,
            events: None,
            transactions: None,
        });
        let identities = Identities::default().with_issuers(vec![known.unwrap()]);
        let ambient = Ticking::new(1);
        let (identities, keys) =
            (identities.with_login(Some(login)), Keyring::of_process(&ambient));
        Self { issuer, does, pair, identities, keys, ambient }
    }

    /// Somebody on their way, and what the issuer was told.
    async fn depart(&self) -> Result<(Departure, BTreeMap<String, String>), LoginError> {
        let departure =
            self.identities.depart(&self.keys, &self.ambient, REDIRECT, "/console/calls");
        let departure = departure.await?;
        let (_, query) = departure.to.split_once('?').unwrap();
        let told = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok((departure, told))
    }

    async fn arrive(&self, kept: Option<&str>, answer: Answer) -> Result<Arrival, LoginError> {
        let now = self.ambient.now();
        self.identities.arrive(&self.keys, REDIRECT, kept, answer, now).await
    }

    /// What is in a good token.
    fn claims(&self, nonce: &str) -> Object {
        let now = self.ambient.now().unix_ms() / 1000;
        Object::default()
            .with("iss", self.issuer.as_str())
            .with("sub", "carol")
            .with("aud", "console")
            .with("iat", now)
            .with("exp", now + 300)
            .with("auth_time", now - 60)
            .with("nonce", nonce)
            .with("groups", vec!["staff".to_owned(), "leads".to_owned()])
    }

    fn sign(&self, header: &str, claims: &Object) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header), part(&claims.to_text()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn answers_token(&self, token: &str) {
        let text = Object::default().with("access_token", "x").with("id_token", token).to_text();
        self.does.lock().unwrap().answers = Some((200, text));
    }

    /// What becomes of somebody of whom the issuer says that.
    async fn comes(
        &self,
        header: &str,
        change: impl FnOnce(&mut Object),
    ) -> Result<Arrival, LoginError> {
        let (departure, told) = self.depart().await?;
        let mut claims = self.claims(&told["nonce"]);
        change(&mut claims);
        self.answers_token(&self.sign(header, &claims));
        self.arrive(Some(&departure.kept), answer(&told["state"], Some("c"))).await
    }
}

const HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;

fn answer(state: &str, code: Option<&str>) -> Answer {
    Answer { state: state.to_owned(), code: code.map(str::to_owned), ..Answer::default() }
}

#[tokio::test]
async fn somebody_goes_and_comes_back_with_who_they_are() {
    let world = World::new(Some("se cret"), Profile::Rfc9068).await;
    let (departure, told) = world.depart().await.unwrap();
    assert!(
        departure.to.starts_with(&format!("{}/auth?tenant=1&response_type=code&", world.issuer))
    );
    for (name, value) in [
        ("client_id", "console"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid groups"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    world.answers_token(&world.sign(HEADER, &world.claims(&told["nonce"])));
    let arrival =
        world.arrive(Some(&departure.kept), answer(&told["state"], Some("c"))).await.unwrap();
    assert_eq!((arrival.who.as_str(), arrival.client.as_str()), ("corp/carol", "corp/console"));
    assert_eq!(arrival.groups, ["corp/staff", "corp/leads"]);
    assert_eq!(arrival.next, "/console/calls");
    assert_eq!(arrival.issued.ms_since(arrival.authenticated.unwrap()), 60_000);
    let does = world.does.lock().unwrap();
    assert_eq!(does.authorization.as_deref(), Some("Basic Y29uc29sZTpzZStjcmV0"));
    assert_eq!((does.form["code"].as_str(), does.form["redirect_uri"].as_str()), ("c", REDIRECT));
    let challenge = Digest::of(does.form["code_verifier"].as_bytes());
    assert_eq!(told["code_challenge"], URL_SAFE_NO_PAD.encode(challenge.as_bytes()), "RFC 7636");
    assert!(!does.form.contains_key("client_secret"));
    for secret in [&told["state"], &told["nonce"], &does.form["code_verifier"]] {
        assert!(secret.len() >= 43 && !departure.kept.contains(secret), "256 bits, and sealed");
    }
    assert_eq!(does.asked, 1, "its description is kept");
}

#[tokio::test]
async fn a_public_client_names_itself_and_some_issuers_take_secrets_in_the_form_only() {
    for (secret, methods) in [(None, "none"), (Some("canary"), "client_secret_post")] {
        let world = World::new(secret, Profile::Rfc9068).await;
        let says = world.does.lock().unwrap().says.clone();
        let methods = vec![methods.to_owned()];
        let says = says.with("token_endpoint_auth_methods_supported", methods);
        world.does.lock().unwrap().says = says;
        world.comes(HEADER, |_| {}).await.unwrap();
        let does = world.does.lock().unwrap();
        assert_eq!((does.form["client_id"].as_str(), &does.authorization), ("console", &None));
        assert_eq!(does.form.get("client_secret").map(String::as_str), secret);
        let login = world.identities.login().unwrap();
        assert!(!format!("{login:?}").contains("canary"), "I7");
    }
}

#[tokio::test]
async fn a11_only_the_browser_that_was_sent_comes_back_and_once() {
    let world = World::new(None, Profile::Rfc9068).await;
    let (hers, told) = world.depart().await.unwrap();
    let (other, of_other) = world.depart().await.unwrap();
    let state = told["state"].as_str();
    let changed = format!("{}x", hers.kept);
    for (kept, state) in [
        (None, state),
        (Some(other.kept.as_str()), state),
        (Some(hers.kept.as_str()), of_other["state"].as_str()),
        (Some(hers.kept.as_str()), ""),
        (Some(changed.as_str()), state),
        (Some(""), ""),
    ] {
        let came = world.arrive(kept, answer(state, Some("c"))).await;
        assert_eq!(came, Err(LoginError::NotBegun), "{kept:?} {state}");
    }
    assert!(world.does.lock().unwrap().form.is_empty(), "no code was exchanged");
    // A cookie of another gateway's, or of one at another address, is none.
    let now = world.ambient.now();
    let answered = || answer(state, Some("c"));
    let kept = Some(hers.kept.as_str());
    let elsewhere =
        world.identities.arrive(&world.keys, "https://other.example", kept, answered(), now);
    assert_eq!(elsewhere.await, Err(LoginError::NotBegun));
    let later = now.after_ms(LOGIN_LASTS_MS);
    let late = world.identities.arrive(&world.keys, REDIRECT, kept, answered(), later);
    assert_eq!(late.await, Err(LoginError::NotBegun), "ten minutes");
    let nothing = world.arrive(kept, answer(state, None)).await;
    assert_eq!(nothing, Err(LoginError::NotBegun), "neither a code nor an error");

    world.answers_token(&world.sign(HEADER, &world.claims(&told["nonce"])));
    world.arrive(kept, answered()).await.unwrap();
    assert_eq!(
        world.arrive(kept, answered()).await,
        Err(LoginError::NotTaken(400)),
        "a code again"
    );
}

#[tokio::test]
async fn a11_the_answer_of_another_issuer_is_none() {
    let world = World::new(None, Profile::Rfc9068).await;
    let (departure, told) = world.depart().await.unwrap();
    let kept = Some(departure.kept.as_str());
    let of = |iss: Option<&str>| Answer {
        iss: iss.map(str::to_owned),
        ..answer(&told["state"], Some("c"))
    };
    let evil = world.arrive(kept, of(Some("https://evil.example"))).await;
    assert_eq!(evil, Err(LoginError::Elsewhere));
    let error =
        Answer { error: Some("access_denied".to_owned()), ..of(Some("https://evil.example")) };
    assert_eq!(world.arrive(kept, error).await, Err(LoginError::Elsewhere));
    assert!(world.does.lock().unwrap().form.is_empty(), "it did not get the code");

    let strict = World::new(None, Profile::Rfc9068).await;
    let says = strict.does.lock().unwrap().says.clone();
    let says = says.with("authorization_response_iss_parameter_supported", true);
    strict.does.lock().unwrap().says = says;
    let (departure, told) = strict.depart().await.unwrap();
    let kept = Some(departure.kept.as_str());
    let untold = strict.arrive(kept, answer(&told["state"], Some("c"))).await;
    assert_eq!(untold, Err(LoginError::Elsewhere), "RFC 9207: it would have said so");
    strict.answers_token(&strict.sign(HEADER, &strict.claims(&told["nonce"])));
    let iss = Some(strict.issuer.clone());
    strict.arrive(kept, Answer { iss, ..answer(&told["state"], Some("c")) }).await.unwrap();
}

#[tokio::test]
async fn the_issuer_says_no_in_a_word_and_nothing_else_of_it_is_shown() {
    let world = World::new(None, Profile::Rfc9068).await;
    let (departure, told) = world.depart().await.unwrap();
    for (said, shown) in [
        ("access_denied", "access_denied"),
        ("<script>", "no"),
        ("\u{202e}x", "no"),
        (&"x".repeat(65), "no"),
    ] {
        let error = Some(said.to_owned());
        let answer = Answer { error, ..answer(&told["state"], None) };
        let came = world.arrive(Some(&departure.kept), answer).await;
        assert_eq!(came, Err(LoginError::Refused(shown.to_owned())), "{said}");
    }
}

#[tokio::test]
async fn i02_a_token_that_is_not_the_answer_to_this_sign_in_says_nothing() {
    let world = World::new(None, Profile::Rfc9068).await;
    let now = world.ambient.now().unix_ms() / 1000;
    let claim = |name: &str| Unacceptable::Claim(name.to_owned());
    type Change = (&'static str, Option<Json>);
    let text = |text: &str| Some(Json::from(text));
    let both = || Some(Json::from(vec!["console".to_owned(), "other".to_owned()]));
    let cases: Vec<(Change, Unacceptable)> = vec![
        (("nonce", text("other")), claim("nonce")),
        (("nonce", None), claim("nonce")),
        (("iss", text("https://evil.example")), Unacceptable::Unknown),
        (("aud", text("other")), Unacceptable::Audience),
        (("aud", both()), Unacceptable::Audience),
        (("aud", None), Unacceptable::Audience),
        (("azp", text("other")), Unacceptable::Audience),
        (("exp", Some(Json::from(now - 31))), Unacceptable::Expired),
        (("exp", None), claim("exp")),
        (("iat", Some(Json::from(now + 40))), Unacceptable::NotYet),
        (("iat", Some(Json::from(now - 90_000))), Unacceptable::TooOld),
        (("sub", None), claim("sub")),
        // A client that has a token of its own is no person, and nobody for whom somebody acts is there themselves.
        (("sub", text("console")), claim("sub")),
        (("act", Some(Object::default().with("sub", "bot").into())), Unacceptable::Chain),
        (("groups", text("leads")), claim("groups")),
        (("hasgroups", Some(Json::Bool(true))), claim("groups")),
        (("auth_time", text("now")), claim("auth_time")),
    ];
    for ((name, value), wrong) in cases {
        let came = world.comes(HEADER, |claims| {
            claims.remove(name);
            if let Some(value) = value.clone() {
                claims.set(name, value);
            }
        });
        assert_eq!(came.await, Err(LoginError::IdToken(wrong)), "{name} {value:?}");
    }
    for (header, wrong) in [
        (r#"{"alg":"ES256","typ":"at+jwt"}"#, Unacceptable::Type),
        (r#"{"alg":"none"}"#, Unacceptable::Algorithm),
        (r#"{"alg":"HS256"}"#, Unacceptable::Algorithm),
        (r#"{"alg":"ES384"}"#, Unacceptable::Signature),
        (r#"{"alg":"ES256","kid":"other"}"#, Unacceptable::UnknownKey),
    ] {
        let came = world.comes(header, |_| {}).await;
        assert_eq!(came, Err(LoginError::IdToken(wrong)), "{header}");
    }
    let (departure, told) = world.depart().await.unwrap();
    let mut forged = world.sign(HEADER, &world.claims(&told["nonce"]));
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    world.answers_token(&forged);
    let came = world.arrive(Some(&departure.kept), answer(&told["state"], Some("c"))).await;
    assert_eq!(came, Err(LoginError::IdToken(Unacceptable::Signature)));
}

/// Who somebody is, is the same by this token as by one for access.
#[tokio::test]
async fn people_have_one_name_whichever_token_says_it() {
    for (profile, claim) in
        [(Profile::Entra, "oid"), (Profile::Okta, "sub"), (Profile::Keycloak, "sub")]
    {
        let world = World::new(None, profile).await;
        let came = world.comes(HEADER, |claims| {
            claims.set("sub", "pairwise");
            claims.set(claim, "id");
        });
        assert_eq!(came.await.unwrap().who, "corp/id", "{profile:?}");
    }
    let world = World::new(None, Profile::Entra).await;
    let agents_user = world.comes(HEADER, |claims| {
        claims.set("oid", "id");
        claims.set("xms_sub_fct", "9 13");
    });
    assert_eq!(agents_user.await, Err(LoginError::IdToken(Unacceptable::Chain)));
}

#[tokio::test]
async fn i13_an_issuer_that_answers_nothing_good_is_an_error_in_time() {
    let world = World::new(None, Profile::Rfc9068).await;
    let come = async |status: u16, text: String| {
        let (departure, told) = world.depart().await.unwrap();
        world.does.lock().unwrap().answers = Some((status, text));
        world.arrive(Some(&departure.kept), answer(&told["state"], Some("c"))).await
    };
    let elsewhere = format!("{}/.well-known/openid-configuration", world.issuer);
    let asked = world.does.lock().unwrap().asked;
    for (status, text) in [
        (302, elsewhere),
        (500, String::new()),
        (200, "x".repeat(300 << 10)),
        (200, "no JSON".to_owned()),
        (200, r#"{"id_token":"a","id_token":"b"}"#.to_owned()),
    ] {
        let came = come(status, text).await;
        assert!(matches!(came, Err(LoginError::Unreachable(_))), "{status}: {came:?}");
    }
    assert_eq!(world.does.lock().unwrap().asked, asked + 1, "nothing was followed");
    assert_eq!(come(401, String::new()).await, Err(LoginError::NotTaken(401)));
    let empty = come(200, "{}".to_owned()).await;
    assert!(matches!(empty, Err(LoginError::Unusable(_))), "{empty:?}");

    let slow = World::new(None, Profile::Rfc9068).await;
    slow.does.lock().unwrap().takes = Duration::from_secs(60);
    let begun = Instant::now();
    assert!(matches!(slow.depart().await, Err(LoginError::Unreachable(_))));
    // Whoever comes next does not wait for the same again.
    assert!(matches!(slow.depart().await, Err(LoginError::Unreachable(_))));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_issuer_that_describes_another_or_sends_people_where_it_is_not_safe_is_not_used() {
    for (name, value) in [
        ("issuer", Some("https://evil.example")),
        ("issuer", None),
        ("authorization_endpoint", Some("http://login.example/auth")),
        ("authorization_endpoint", Some("javascript:alert(1)")),
        ("authorization_endpoint", Some("https://login.example/#x")),
        ("authorization_endpoint", None),
        ("token_endpoint", Some("http://login.example/token")),
        ("token_endpoint", None),
    ] {
        let world = World::new(None, Profile::Rfc9068).await;
        let says = &mut world.does.lock().unwrap().says.clone();
        says.remove(name);
        if let Some(value) = value {
            says.set(name, value);
        }
        world.does.lock().unwrap().says = says.clone();
        let error = world.depart().await.map(drop);
        assert!(matches!(error, Err(LoginError::Unusable(_))), "{name} {value:?}: {error:?}");
    }
}
