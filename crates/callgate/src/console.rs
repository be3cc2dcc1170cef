//! The console: what people look at in a browser, and decide there. Pages are made here, work without scripts and need
//! nothing from elsewhere. Who comes is identified at every request, by the session that they signed in to or the token they signed
//! in with; and every page is decided by policy as the API is.

mod approval;
mod callers;
mod calls;
mod channels;
pub(crate) mod chart;
mod cookie;
mod diff;
mod glass;
mod known;
mod live;
mod page;
mod passkeys;
mod policy;
mod reach;
mod session;
mod sessions;
mod sign_in;
mod tools;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use callgate_gateway::identity::Identified;
use callgate_gateway::pipeline::{ErrandError, by_themselves};
use callgate_model::ambient::Ambient;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_store::StoreError;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::ceremony::Ceremonies;
use crate::config::Roles;
use crate::habits::Habits;
use crate::http::Front;
use crate::premises::Premises;
use crate::print::approval as told;
use cookie::Cookie;
use known::Kept;
use live::{Live, Source};
use page::{Inbox, Message, Shown};
use session::{Session, Sessions, Unknown};

/// Where the console is.
pub(crate) const CONSOLE: &str = "/console";

/// The link with `code` in it, and where it leads: to the inbox, if nothing else is said.
pub(crate) fn link_to(origin: &str, code: &str, next: Option<&str>) -> String {
    let next = next.map(|next| format!("&next={next}")).unwrap_or_default();
    format!("{origin}{CONSOLE}/sign-in/link?code={code}{next}")
}

/// The ended approvals that the inbox shows.
const LATELY_MAX: usize = 20;

/// Nothing but our own style and forms; nobody frames a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The same for a page that is kept fresh by our own script.
const LIVE_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the pages need.
#[derive(Clone)]
pub(crate) struct Console {
    front: Front,
    sessions: Sessions,
    ambient: Arc<dyn Ambient>,
    /// The address under which browsers come, without a path.
    origin: Arc<str>,
    premises: Premises,
    kept: Kept,
    /// Held by whoever reckons what callers may do.
    reckoning: Arc<Semaphore>,
    live: Arc<Live>,
    /// With passkeys, if browsers come under a name.
    ceremonies: Option<Arc<Ceremonies>>,
}

/// A person who has signed in.
struct Visitor {
    session: Session,
    caller: Arc<Identified>,
}

impl Console {
    /// Browsers come to `origin`.
    pub(crate) fn new(
        front: Front,
        ambient: Arc<dyn Ambient>,
        (roles, origin): (Roles, &str),
        premises: Premises,
    ) -> Self {
        let (gateway, is_secure) = (Arc::clone(&front.gateway), origin.starts_with("https:"));
        let sessions = Sessions::new(gateway, Arc::clone(&ambient), roles, is_secure);
        Self {
            front,
            sessions,
            ambient,
            origin: origin.into(),
            premises,
            kept: Kept::default(),
            reckoning: Arc::new(Semaphore::new(1)),
            live: Live::new(),
            ceremonies: Ceremonies::at(origin).map(Arc::new),
        }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/", get(inbox))
            .route("/style.css", get(style))
            .route("/sign-in", get(sign_in::show).post(sign_in::by_token))
            .route("/sign-in/oidc", get(sign_in::depart))
            .route("/sign-in/callback", get(sign_in::arrive))
            .route("/sign-in/link", get(sign_in::show_link).post(sign_in::by_link))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/approvals/{id}", get(approval::show).post(approval::decide))
            .route("/approvals/{id}/glass", post(glass::break_it))
            .route("/approvals/{id}/proof", post(passkeys::prove))
            .route("/approvals/{id}/review", post(glass::review))
            .route("/calls", get(calls::list))
            .route("/calls/{id}", get(calls::show))
            .route("/calls/{id}/settle", post(calls::settle))
            .route("/callers", get(callers::list))
            .route("/callers/caller", get(callers::show))
            .route("/callers/revoke", get(callers::ask).post(callers::revoke))
            .route("/callers/revocations", get(callers::revocations).post(callers::lift))
            .route("/channels", get(channels::list).post(channels::act))
            .route("/live", get(live::listen))
            .route("/live.js", get(live::script))
            .route("/passkey.js", get(passkeys::script))
            .route("/passkeys", get(passkeys::list).post(passkeys::add))
            .route("/passkeys/begin", post(passkeys::begin))
            .route("/passkeys/removal", post(passkeys::begin_removal))
            .route("/passkeys/remove", post(passkeys::remove))
            .route("/policy", get(policy::show))
            .route("/reach", get(reach::show))
            .route("/sessions", get(sessions::list).post(sessions::end))
            .route("/tools", get(tools::list))
            .route("/tools/tool", get(tools::show).post(tools::decide))
            .with_state(self)
    }

    /// A page that somebody asks for, and who. Its body does not matter.
    async fn open(&self, request: Request) -> Result<(Parts, Visitor), Response> {
        let (mut head, _) = self.front.open(request);
        let visitor = self.visitor(&mut head).await?;
        Ok((head, visitor))
    }

    /// Who comes. Whoever has not signed in, or is let in no more, is sent to do so.
    async fn visitor(&self, head: &mut Parts) -> Result<Visitor, Response> {
        self.front.gateway.check_visit(head).map_err(not_ours)?;
        // The router takes off what is before its own paths.
        let path = format!("{CONSOLE}{}", head.uri.path());
        let has_been = self.sessions.cookies.get(Cookie::Session, &head.headers).is_some();
        let found = self.sessions.of(&head.headers).await.map_err(|Unknown| not_now())?;
        let session = found.ok_or_else(|| sign_in::to_sign_in(&path, has_been))?;
        let caller = match session.token() {
            Some(token) => self.caller(head, token).await,
            None => self.person(&session).await,
        };
        match caller {
            Ok(caller) => Ok(Visitor { session, caller }),
            Err(StatusCode::SERVICE_UNAVAILABLE) => Err(not_now()),
            Err(_) => {
                self.sessions.end(&session).await;
                Err(sign_in::to_sign_in(&path, true))
            }
        }
    }

    /// Who has a session that no token stands for.
    async fn person(&self, session: &Session) -> Result<Arc<Identified>, StatusCode> {
        let visitor = self.front.gateway.visitor(self.sessions.caller(session)).await;
        visitor.map_err(|wrong| match wrong.is_ours() {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::UNAUTHORIZED,
        })
    }

    /// Who holds `token`, as the API knows them: the request's host and origin are looked at there, too.
    async fn caller(&self, head: &mut Parts, token: &str) -> Result<Arc<Identified>, StatusCode> {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let value = value.map_err(|_not_a_token| StatusCode::UNAUTHORIZED)?;
        head.headers.insert(header::AUTHORIZATION, value);
        self.front.gateway.api_caller(head).await.map_err(|reply| reply.status)
    }

    /// The form that somebody sends who has signed in and was given it by this page.
    async fn form<T: for<'de> Deserialize<'de> + Guarded>(
        &self,
        request: Request,
    ) -> Result<(Visitor, T), Response> {
        let (mut head, body) = self.front.open(request);
        let visitor = self.visitor(&mut head).await?;
        let form: T = self.read(&head, body).await?;
        if !visitor.session.is_guarded_by(form.csrf()) {
            let text = "This form was not given to you by this console, or you have signed in anew. Nothing was done.";
            return Err(message(StatusCode::FORBIDDEN, "Try again", text));
        }
        Ok((visitor, form))
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        head: &Parts,
        body: axum::body::Body,
    ) -> Result<T, Response> {
        let wrong = || {
            message(
                StatusCode::BAD_REQUEST,
                "Not understood",
                "The form is not one of this console.",
            )
        };
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind != Some("application/x-www-form-urlencoded") {
            return Err(wrong());
        }
        let body = self.front.read(body).await.map_err(|_status| wrong())?;
        serde_urlencoded::from_bytes(&body).map_err(|_unreadable| wrong())
    }
}

/// A form that carries what its page was given.
trait Guarded {
    fn csrf(&self) -> &str;
}

async fn inbox(State(console): State<Console>, request: Request) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let note = (head.uri.query() == Some("done")).then_some("It is recorded what you said.");
    let gateway = &console.front.gateway;
    let seen = live::seen(&console, Source::Calls).await;
    let work = async {
        let store = gateway.authority().ok_or(ErrandError::Unavailable)?;
        let unlisted = |error| {
            tracing::error!(%error, "approvals cannot be listed");
            ErrandError::Unavailable
        };
        let all = store.approvals(None).await.map_err(unlisted)?;
        Ok((all, store.to_review().await.map_err(unlisted)?))
    };
    let errand = Errand::ApprovalList;
    let all = gateway.run_errand(&visitor.caller, errand, None, Object::default(), work).await;
    let ((all, broken), now) = (all.map_err(refused)?, console.ambient.now());
    let habits = Habits::of(&all, now);
    let (open, ended): (Vec<_>, Vec<_>) =
        all.iter().partition(|state| state.standing(now).is_open());
    let (own, others): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|state| gateway.waits_for(&visitor.caller, state));
    let shown = |states: Vec<_>| states.into_iter().map(|state| Shown::of(state, now, false));
    let inbox = Inbox {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        note,
        waiting: [("Waits for you", own), ("Waits for others, or to be used", others)]
            .into_iter()
            .filter(|(_, states)| !states.is_empty())
            .map(|(name, states)| (name, shown(states).collect()))
            .collect(),
        broken: shown(broken.iter().collect()).collect(),
        ended: shown(ended).take(LATELY_MAX).collect(),
        figures: if habits.said == 0 { Vec::new() } else { told::habits(&habits) },
        chart: page::times(&habits),
        now: told::moment(now),
        seen,
        suggestions: habits.suggestions().iter().map(|text| crate::print::safe(text)).collect(),
    };
    Ok(live_page(StatusCode::OK, &inbox))
}

/// A script of ours. A browser asks whether it is still the same.
fn script(text: &'static str) -> Response {
    let mut response = answer(StatusCode::OK, "text/javascript; charset=utf-8", text.to_owned());
    let kept = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

async fn style() -> Response {
    let text = include_str!("../templates/console/style.css");
    answer(StatusCode::OK, "text/css; charset=utf-8", text.to_owned())
}

/// Whether it is a page of this console, and nothing that a browser would take for another place.
fn is_ours(path: &str) -> bool {
    let is_id = |id: &str| id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let of = |folder: &str| path.strip_prefix(folder).is_some_and(is_id);
    [
        CONSOLE,
        "/console/callers",
        "/console/calls",
        "/console/channels",
        "/console/passkeys",
        "/console/policy",
        "/console/reach",
        "/console/sessions",
        "/console/tools",
    ]
    .contains(&path)
        || of("/console/approvals/")
        || of("/console/calls/")
}

/// Whose things a page is to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Whose {
    /// Those of everybody, not only one's own.
    all: Option<String>,
    /// A part of the name.
    name: String,
    /// Whether something was done just now.
    done: Option<String>,
}

impl Visitor {
    /// As policies call them.
    fn name(&self) -> String {
        self.caller.caller.accountable.identity.to_string()
    }

    /// Whether it is a person who comes, known, and with nobody in between.
    fn is_by_themselves(&self) -> bool {
        by_themselves(&self.caller.caller).is_ok()
    }

    fn who(&self) -> String {
        crate::print::safe(&self.caller.caller.summary())
    }
}

/// What a page is asked to show, if that can be told.
fn query<T: for<'de> Deserialize<'de>>(head: &Parts) -> Option<T> {
    serde_urlencoded::from_str(head.uri.query().unwrap_or_default()).ok()
}

/// In an address.
fn encoded(text: &str) -> String {
    let query = serde_urlencoded::to_string([("", text)]).unwrap_or_default();
    query.trim_start_matches('=').to_owned()
}

fn not_understood() -> Response {
    message(StatusCode::BAD_REQUEST, "Not understood", "There is no such filter.")
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
fn unreadable(error: StoreError) -> ErrandError {
    tracing::error!(%error, "the store cannot be read");
    ErrandError::Unavailable
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
fn refused(error: ErrandError) -> Response {
    let (status, title, text) = match &error {
        ErrandError::Refused(decision) => {
            let codes = decision.codes().collect::<Vec<_>>().join(", ");
            (
                StatusCode::FORBIDDEN,
                "Not allowed",
                format!("Policy does not let you do this ({codes})."),
            )
        }
        ErrandError::Wrong(text) => (StatusCode::BAD_REQUEST, "Not possible", text.clone()),
        ErrandError::Gone => {
            (StatusCode::NOT_FOUND, "Not here", "There is no such thing here.".to_owned())
        }
        ErrandError::Unavailable => return not_now(),
    };
    message(status, title, &text)
}

/// A request from a page of somebody else's does nothing, and ends no session either.
fn not_ours(status: StatusCode) -> Response {
    let text = "The request was not one of this console. Nothing was done.";
    message(status, "Not taken", text)
}

fn not_now() -> Response {
    message(StatusCode::SERVICE_UNAVAILABLE, "Not now", "The store fails. Try again later.")
}

fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, &Message { title, text })
}

fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => answer(status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain",
                "it cannot be shown\n".to_owned(),
            )
        }
    }
}

/// A page that is kept fresh.
fn live_page(status: StatusCode, page_of: &impl Template) -> Response {
    let mut response = page(status, page_of);
    let policy = HeaderValue::from_static(LIVE_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn see_other(place: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = answer(StatusCode::SEE_OTHER, "text/plain", String::new());
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(place).ok().map(|place| (header::LOCATION, place)));
    headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("content-security-policy", POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        // Not `no-referrer`: then forms would come with the origin `null`, which is nobody's.
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn a11_nobody_is_led_elsewhere_after_signing_in() {
        assert!(
            is_ours("/console")
                && is_ours("/console/approvals/01a218ee-630f-7dd2-9440-9df59e95ca12")
                && is_ours("/console/calls")
        );
        for other in [
            "",
            "/",
            "//evil.example",
            "/console/../x",
            "https://evil.example",
            "/console/approvals/..%2f",
            "/consolex",
            "/console/approvals/x\r\ny",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
