//! Signing in, by any of the ways that there are, and signing out.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::identity::{Answer, Arrival, LOGIN_LASTS_MS, LoginError};
use callgate_model::ambient::Id;
use callgate_model::authority::{ConsoleSession, SignInLink, Way};
use callgate_model::digest::Digest;
use callgate_store::EvidenceError;
use http::request::Parts;
use http::{StatusCode, header};
use serde::Deserialize;
use tokio::time::timeout;

use super::cookie::{self, Cookie};
use super::session::{ANSWER_WITHIN, Newcomer};
use super::{CONSOLE, Console, Guarded, is_ours, message, not_ours, page, see_other};
use crate::print::safe;

/// Where the issuer sends people back to.
const CALLBACK: &str = "/console/sign-in/callback";
/// What the console is called as a client, if no issuer knows it.
const CLIENT: &str = "console";
/// What a page says to whom the store does not know now.
const NOT_NOW: &str = "The store fails. Try again later.";

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignIn<'a> {
    problem: Option<&'a str>,
    note: Option<&'a str>,
    next: &'a str,
    /// Where people sign in, and what that is called.
    issuer: Option<Issuer<'a>>,
}

struct Issuer<'a> {
    name: &'a str,
    origin: &'a str,
}

#[derive(Template)]
#[template(path = "console/link.html")]
struct LinkPage<'a> {
    who: &'a str,
    code: &'a str,
    next: &'a str,
    csrf: &'a str,
}

/// What is asked of the page where people sign in.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    next: String,
    ended: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    token: String,
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkForm {
    code: String,
    next: String,
    csrf: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignOutForm {
    csrf: String,
}

impl Guarded for SignOutForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// What is in the address of a link.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LinkAsked {
    code: String,
    next: String,
}

/// Sends somebody to sign in, who then goes to `path`. `ended` if they had.
pub(super) fn to_sign_in(path: &str, ended: bool) -> Response {
    let next = if is_ours(path) { path } else { CONSOLE };
    let ended = if ended { "&ended" } else { "" };
    see_other(&format!("{CONSOLE}/sign-in?next={next}{ended}"), None)
}

pub(super) async fn show(State(console): State<Console>, request: Request) -> Response {
    let asked: Asked = query(request.uri().query());
    let note = asked.ended.map(|_| "Your session has ended. Sign in again to go on.");
    console.sign_in_page(StatusCode::OK, None, note, &asked.next)
}

/// With a token, which says at every request who it is.
pub(super) async fn by_token(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (mut head, body) = console.front.open(request);
    let form: TokenForm = console.read(&head, body).await?;
    let token = form.token.trim();
    let Ok(caller) = console.caller(&mut head, token).await else {
        let problem = Some("This token is not known here, or is good no more.");
        return Err(console.sign_in_page(StatusCode::FORBIDDEN, problem, None, &form.next));
    };
    let credential = &caller.caller.credential;
    let newcomer = Newcomer {
        way: Way::Token,
        who: caller.caller.accountable.identity.to_string(),
        groups: Vec::new(),
        client: CLIENT.to_owned(),
        issued: credential.issued.unwrap_or_else(|| console.ambient.now()),
        authenticated: None,
        token: Some(token),
    };
    let made = console.sessions.make(newcomer);
    console.enter(&head, made, None, &form.next).await
}

/// At the issuer: there first.
pub(super) async fn depart(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, _) = console.front.open(request);
    console.front.gateway.check_visit(&head).map_err(not_ours)?;
    let asked: Asked = query(head.uri.query());
    let next = if is_ours(&asked.next) { &asked.next } else { CONSOLE };
    let gateway = &console.front.gateway;
    let departure = gateway.depart(&console.callback(), next).await;
    let departure = departure.map_err(|error| console.not_signed_in(&error))?;
    let kept = console.sessions.cookies.set(Cookie::Login, &departure.kept, LOGIN_LASTS_MS / 1000);
    Ok(see_other(&departure.to, kept))
}

/// And back: the browser has to be the one that was sent there.
pub(super) async fn arrive(State(console): State<Console>, request: Request) -> Response {
    let (head, _) = console.front.open(request);
    let cookies = console.sessions.cookies;
    let arrived = console.arrived(&head).await;
    let mut response = arrived.unwrap_or_else(|refused| refused);
    // Whatever came of it, it is done.
    if let Some(gone) = cookies.clear(Cookie::Login) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

/// By a link. Whoever only looks at it, be it a program that looks at mail, uses nothing up.
pub(super) async fn show_link(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, _) = console.front.open(request);
    console.front.gateway.check_visit(&head).map_err(not_ours)?;
    let asked: LinkAsked = query(head.uri.query());
    let link = console.link(&asked.code).await?;
    let guard = console.sessions.secret();
    let csrf = cookie::csrf(&guard);
    let next = if is_ours(&asked.next) { &asked.next } else { CONSOLE };
    let who = safe(&link.who);
    let shown = LinkPage { who: &who, code: &asked.code, next, csrf: &csrf };
    let mut response = page(StatusCode::OK, &shown);
    let cookies = console.sessions.cookies;
    if let Some(guard) = cookies.set(Cookie::Link, &guard, SignInLink::LASTS_MS / 1000) {
        response.headers_mut().append(header::SET_COOKIE, guard);
    }
    Ok(response)
}

/// Whoever says so on its page signs in, once.
pub(super) async fn by_link(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, body) = console.front.open(request);
    console.front.gateway.check_visit(&head).map_err(not_ours)?;
    let form: LinkForm = console.read(&head, body).await?;
    let guard = console.sessions.cookies.get(Cookie::Link, &head.headers);
    if !guard.is_some_and(|guard| cookie::is_same(&cookie::csrf(guard), &form.csrf)) {
        let text =
            "This form was not given to this browser. Open the link again; it is not used up.";
        return Err(message(StatusCode::FORBIDDEN, "Try again", text));
    }
    let link = console.link(&form.code).await?;
    let newcomer = Newcomer {
        way: Way::Link,
        who: link.who,
        groups: Vec::new(),
        client: CLIENT.to_owned(),
        issued: console.ambient.now(),
        authenticated: None,
        token: None,
    };
    let made = console.sessions.make(newcomer);
    console.is_let_in(&made.0).await?;
    console.enter(&head, made, Some(link.id), &form.next).await
}

pub(super) async fn sign_out(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, _form) = console.form::<SignOutForm>(request).await?;
    let cookie = console.sessions.end(&visitor.session).await;
    Ok(see_other(&format!("{CONSOLE}/sign-in"), cookie))
}

impl Console {
    fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.origin)
    }

    async fn arrived(&self, head: &Parts) -> Result<Response, Response> {
        self.front.gateway.check_visit(head).map_err(not_ours)?;
        let kept = self.sessions.cookies.get(Cookie::Login, &head.headers);
        let answer: Answer = query(head.uri.query());
        let arrived = self.front.gateway.arrive(&self.callback(), kept, answer).await;
        let arrival = arrived.map_err(|error| self.not_signed_in(&error))?;
        let Arrival { who, groups, client, issued, authenticated, next } = arrival;
        let newcomer =
            Newcomer { way: Way::Issuer, who, groups, client, issued, authenticated, token: None };
        let made = self.sessions.make(newcomer);
        self.is_let_in(&made.0).await?;
        self.enter(head, made, None, &next).await
    }

    /// Whoever was revoked does not even begin.
    async fn is_let_in(&self, session: &ConsoleSession) -> Result<(), Response> {
        let admitted = self.front.gateway.visitor(session.caller(Vec::new())).await;
        admitted.map(drop).map_err(|wrong| {
            tracing::warn!(who = session.who, %wrong, "somebody is not let in");
            self.front.gateway.not_signed_in(Some(session.who.clone()), wrong.to_string());
            if wrong.is_ours() {
                return self.problem(StatusCode::SERVICE_UNAVAILABLE, NOT_NOW);
            }
            self.problem(
                StatusCode::FORBIDDEN,
                "You are known, and let in no more. Ask an operator why.",
            )
        })
    }

    /// Begins the session, and shows them what they came for.
    async fn enter(
        &self,
        head: &Parts,
        made: (ConsoleSession, String),
        link: Option<Id>,
        next: &str,
    ) -> Result<Response, Response> {
        let next = if is_ours(next) { next } else { CONSOLE };
        match self.sessions.begin(&head.headers, made, link).await {
            Ok(cookie) => Ok(see_other(next, cookie)),
            Err(EvidenceError::Refused) if link.is_some() => Err(used_up()),
            Err(EvidenceError::Refused) => {
                let text = "Too many people have signed in. Try again later.";
                Err(self.problem(StatusCode::SERVICE_UNAVAILABLE, text))
            }
            Err(error) => {
                tracing::error!(%error, "it cannot be recorded that somebody signs in");
                Err(self.problem(StatusCode::SERVICE_UNAVAILABLE, NOT_NOW))
            }
        }
    }

    /// The link with that in it, if it is good.
    async fn link(&self, code: &str) -> Result<SignInLink, Response> {
        let not_now = || self.problem(StatusCode::SERVICE_UNAVAILABLE, NOT_NOW);
        let store = self.front.gateway.authority().ok_or_else(not_now)?;
        let found = timeout(ANSWER_WITHIN, store.sign_in_link(Digest::of(code.as_bytes()))).await;
        let found = found.map_err(|_elapsed| not_now())?.map_err(|error| {
            tracing::error!(%error, "a link cannot be looked up");
            not_now()
        })?;
        found.filter(|link| self.ambient.now() < link.ends).ok_or_else(|| {
            let reason = "a link that is used up, has ended, or never was".to_owned();
            self.front.gateway.not_signed_in(None, reason);
            used_up()
        })
    }

    /// What came of it that somebody wanted to sign in at the issuer.
    fn not_signed_in(&self, error: &LoginError) -> Response {
        let issuer = self.front.gateway.login_issuer().unwrap_or("the issuer");
        tracing::warn!(issuer, %error, "a sign-in came to nothing");
        self.front.gateway.not_signed_in(None, format!("{issuer}: {error}"));
        let (status, text) = match error {
            LoginError::NotBegun => (
                StatusCode::BAD_REQUEST,
                "This sign-in was not begun in this browser, took too long, or is done already. Begin again.".to_owned(),
            ),
            LoginError::Elsewhere => (
                StatusCode::BAD_REQUEST,
                format!("The answer is not of {issuer}, which was asked. Nobody is signed in by it."),
            ),
            LoginError::Refused(word) => {
                (StatusCode::FORBIDDEN, format!("{issuer} does not sign you in: {word}."))
            }
            LoginError::NotTaken(_) => (
                StatusCode::BAD_GATEWAY,
                format!("{issuer} does not take what you came back with; it may have been used before. Begin again."),
            ),
            LoginError::Unreachable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{issuer} cannot be asked now. Try again in a moment, or sign in in another way."),
            ),
            LoginError::IdToken(wrong) if wrong.is_ours() => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("The keys of {issuer} cannot be had now. Try again in a moment."),
            ),
            LoginError::Unusable(_) | LoginError::IdToken(_) => (
                StatusCode::BAD_GATEWAY,
                format!("What {issuer} says is not accepted here. The log of the gateway tells an operator why."),
            ),
        };
        self.problem(status, &text)
    }

    fn problem(&self, status: StatusCode, text: &str) -> Response {
        self.sign_in_page(status, Some(text), None, "")
    }

    fn sign_in_page(
        &self,
        status: StatusCode,
        problem: Option<&str>,
        note: Option<&str>,
        next: &str,
    ) -> Response {
        let next = if is_ours(next) { next } else { CONSOLE };
        let named = |name| Issuer { name, origin: &self.origin };
        let issuer = self.front.gateway.login_issuer().map(named);
        page(status, &SignIn { problem, note, next, issuer })
    }
}

fn used_up() -> Response {
    let text = "This link was used, or is older than ten minutes. Whoever has the configuration can make another: callgate console link";
    message(StatusCode::GONE, "Not good any more", text)
}

/// What an address asks; nothing, if it cannot be read.
fn query<T: Default + for<'de> Deserialize<'de>>(query: Option<&str>) -> T {
    serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default()
}
