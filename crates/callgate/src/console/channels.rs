//! The page about the channels by which people are told: which policies count on each, and how it goes with it. Whoever may sends a
//! test, and has sent again what was given up. Where a channel leads to is a secret of some, and not shown of any.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_policy::Bundle;
use callgate_store::ChannelState;
use http::StatusCode;
use serde::Deserialize;

use super::unreadable;
use super::{CONSOLE, Console, Guarded, Visitor, not_understood, page, query, refused, see_other};
use crate::notify::news::{News, Trial};
use crate::notify::{self, Channel};
use crate::print::approval::moment;
use crate::print::safe;

/// Policies of one channel on the page.
const POLICIES_MAX: usize = 50;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// What was done just now.
    done: Option<Verb>,
}

/// What can be done with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Test,
    Retry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActForm {
    csrf: String,
    channel: String,
    verb: Verb,
}

impl Guarded for ActForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Template)]
#[template(path = "console/channels.html")]
struct ChannelsPage<'a> {
    who: &'a str,
    csrf: &'a str,
    note: Option<&'static str>,
    problem: Option<String>,
    channels: Vec<Told>,
}

/// A channel in words.
#[derive(Debug)]
struct Told {
    name: String,
    /// Nothing, if it is not configured any more.
    kind: Option<&'static str>,
    standing: &'static str,
    danger: Option<&'static str>,
    /// Those that name it.
    policies: Vec<String>,
    more: usize,
    /// Whose approvals it tells of beside those, and when.
    tells: String,
    delivered: u64,
    waiting: u64,
    given_up: u64,
    delivered_at: Option<String>,
    failure: Option<String>,
}

pub(super) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let note = wanted.done.map(|verb| match verb {
        Verb::Test => "The channel has taken the test message. Look whether it is there.",
        Verb::Retry => "What was given up is sent again, as far as anybody still needs it.",
    });
    shown(&console, &visitor, (StatusCode::OK, note, None)).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    (status, note, problem): (StatusCode, Option<&'static str>, Option<String>),
) -> Result<Response, Response> {
    let gateway = &console.front.gateway;
    let work = async {
        let store = gateway.authority().ok_or(ErrandError::Unavailable)?;
        store.channels(console.ambient.now()).await.map_err(unreadable)
    };
    let (errand, asked) = (Errand::ChannelList, Object::default());
    let states = gateway.run_errand(&visitor.caller, errand, None, asked, work).await;
    let (configured, bundle) = (&console.premises.channels, gateway.bundle());
    let states = notify::all(states.map_err(refused)?, configured);
    let told = |state: &ChannelState| Told::of(state, configured.get(&state.channel), &bundle);
    let channels = states.iter().map(told).collect();
    let (who, csrf) = (visitor.who(), visitor.session.csrf());
    Ok(page(status, &ChannelsPage { who: &who, csrf, note, problem, channels }))
}

pub(super) async fn act(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<ActForm>(request).await?;
    let gateway = &console.front.gateway;
    let asked = Object::default().with("channel", form.channel.as_str());
    let caller = &visitor.caller;
    let (done, place) = match form.verb {
        Verb::Test => {
            let work = console.test(&visitor, &form.channel);
            (gateway.run_errand(caller, Errand::ChannelTest, None, asked, work).await, "test")
        }
        Verb::Retry => {
            let work = console.retry(&form.channel);
            (gateway.run_errand(caller, Errand::ChannelRetry, None, asked, work).await, "retry")
        }
    };
    match done {
        Ok(()) => Ok(see_other(&format!("{CONSOLE}/channels?done={place}"), None)),
        Err(ErrandError::Wrong(why)) => {
            shown(&console, &visitor, (StatusCode::CONFLICT, None, Some(safe(&why)))).await
        }
        Err(error @ (ErrandError::Gone | ErrandError::Refused(_) | ErrandError::Unavailable)) => {
            Err(refused(error))
        }
    }
}

impl Console {
    async fn test(&self, visitor: &Visitor, name: &str) -> Result<(), ErrandError> {
        let channel = self.premises.channels.get(name).ok_or(ErrandError::Gone)?;
        let trial = Trial {
            id: self.ambient.id(),
            at: self.ambient.now(),
            channel: name.to_owned(),
            by: visitor.caller.caller.summary(),
            page: format!("{}{CONSOLE}/channels", self.origin),
        };
        let sent = channel.send(&News::Trial(trial)).await;
        sent.map_err(|why| ErrandError::Wrong(format!("{name} has not taken the test: {why}")))
    }

    async fn retry(&self, name: &str) -> Result<(), ErrandError> {
        let store = self.front.gateway.authority().ok_or(ErrandError::Unavailable)?;
        match store.retry_notices(name, self.ambient.now()).await.map_err(unreadable)? {
            0 => Err(ErrandError::Gone),
            _ => Ok(()),
        }
    }
}

impl Told {
    fn of(state: &ChannelState, channel: Option<&Channel>, bundle: &Bundle) -> Self {
        let ChannelState { channel: name, delivered, waiting, given_up, delivered_at, failure } =
            state;
        let named = bundle.channels_named().filter(|(.., one)| one == name);
        let mut policies: Vec<String> =
            named.map(|(tier, id, _)| safe(&format!("{id} (in {}/)", tier.folder()))).collect();
        policies.sort_unstable();
        let more = policies.len().saturating_sub(POLICIES_MAX);
        policies.truncate(POLICIES_MAX);
        let failed_at = failure.as_ref().map(|(_, at)| *at);
        let standing = match (channel.is_some(), failed_at > *delivered_at, delivered_at) {
            (false, ..) => "not configured",
            (true, true, _) => "fails",
            (true, false, Some(_)) => "delivers",
            (true, false, None) => "nothing told yet",
        };
        Self {
            name: safe(name),
            kind: channel.map(Channel::kind),
            standing,
            danger: channel.and_then(|channel| channel.danger),
            policies,
            more,
            tells: channel.map(tells).unwrap_or_default(),
            delivered: *delivered,
            waiting: *waiting,
            given_up: *given_up,
            delivered_at: delivered_at.map(moment),
            failure: failure.as_ref().map(|(why, at)| safe(&format!("{}: {why}", moment(*at)))),
        }
    }
}

fn tells(channel: &Channel) -> String {
    let rule = &channel.rule;
    let list = |names: Vec<&str>| names.join(", ");
    let occasions = list(rule.occasions.iter().map(|one| one.as_str()).collect());
    let approvers = match rule.approvers.is_empty() {
        true => "everybody's".to_owned(),
        false => safe(&list(rule.approvers.iter().map(String::as_str).collect())),
    };
    let arguments = if channel.arguments { "with arguments" } else { "without arguments" };
    format!("approvals: {approvers} ({occasions}), {arguments}")
}
