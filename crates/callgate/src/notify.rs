//! Channels by which people are told that a call waits for them, or was let through. They tell, and link to where one can decide; nobody decides in a channel.
//!
//! What is to be told is in the store, since the moment in which somebody is asked, or the call is let through ([`callgate_store::NoticeStore`]). No call waits
//! for a channel, and no channel for another.

pub(crate) mod mail;
pub(crate) mod news;
mod slack;
mod teams;
pub(crate) mod template;
mod told;
pub(crate) mod webhook;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use callgate_gateway::pipeline::ChannelRule;
use callgate_mcp::document::Document;
use callgate_mcp::http::header::CONTENT_TYPE;
use callgate_mcp::http::{HeaderMap, HeaderValue};
use callgate_policy::Bundle;
use callgate_store::ChannelState;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

pub(crate) use worker::start;

use crate::config::{Problem, Problems};
use mail::Mail;
use news::News;
use template::Template;
use webhook::Webhook;

/// The most channels.
pub(crate) const CHANNELS_MAX: usize = 32;
/// For a channel to take a message.
pub(crate) const SEND_WITHIN: Duration = Duration::from_secs(10);
/// For a channel to be reached when the gateway starts.
const REACH_WITHIN: Duration = Duration::from_secs(5);

/// The longest reason for a failure, in characters.
const WHY_CHARS_MAX: usize = 300;

/// The channels by their names.
pub(crate) type Channels = BTreeMap<String, Channel>;

/// A way in which people are told.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Of what it tells.
    pub(crate) rule: ChannelRule,
    /// Whether it shows the arguments, redacted as in every record.
    pub(crate) arguments: bool,
    /// What the operator wants to be read.
    pub(crate) template: Template,
    /// How it gets there.
    pub(crate) way: Way,
    /// The option that makes it unsafe, if there is one.
    pub(crate) danger: Option<&'static str>,
}

/// How a message gets to people.
pub(crate) enum Way {
    /// To a program of theirs.
    Webhook(Webhook),
    /// To a Slack channel.
    Slack(Document),
    /// To a Teams channel.
    Teams(Document),
    /// To mailboxes.
    Mail(Box<Mail>),
}

impl Channel {
    /// Its name in the configuration.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.way {
            Way::Webhook(_) => "webhook",
            Way::Slack(_) => "slack",
            Way::Teams(_) => "teams",
            Way::Mail(_) => "mail",
        }
    }

    pub(crate) async fn send(&self, news: &News) -> Result<(), String> {
        let message = || self.template.message(news, self.arguments);
        let sending = async {
            match &self.way {
                Way::Webhook(webhook) => webhook.send(news, self.arguments).await,
                Way::Slack(document) => post(document, &slack::payload(&message()?)).await,
                Way::Teams(document) => post(document, &teams::payload(&message()?)).await,
                Way::Mail(mail) => mail.send(news, &message()?).await,
            }
        };
        within(SEND_WITHIN, sending).await
    }

    /// Whether it can be reached. Nobody is told anything by it.
    pub(crate) async fn reach(&self) -> Result<(), String> {
        let reaching = async {
            match &self.way {
                Way::Webhook(webhook) => webhook.reach().await,
                Way::Slack(document) | Way::Teams(document) => {
                    document.reach().await.map_err(|error| error.to_string())
                }
                Way::Mail(mail) => mail.reach().await,
            }
        };
        within(REACH_WITHIN, reaching).await
    }
}

/// What comes of it in time. Why it failed may be in the words of the other side, so they are cut.
async fn within(
    limit: Duration,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|why| why.chars().take(WHY_CHARS_MAX).collect()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn post(document: &Document, payload: &Value) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    document.send(headers, payload.to_string()).await.map_err(|error| error.to_string())
}

/// Those that are configured, and those that have anything to tell still or did once, by their names.
pub(crate) fn all(mut states: Vec<ChannelState>, configured: &Channels) -> Vec<ChannelState> {
    let silent = configured.keys().filter(|name| !states.iter().any(|one| one.channel == **name));
    let silent: Vec<ChannelState> = silent.map(|name| ChannelState::new(name.clone())).collect();
    states.extend(silent);
    states.sort_by(|a, b| a.channel.cmp(&b.channel));
    states
}

/// Tries to reach every channel. What only the configuration names may be down; what a policy counts on may not.
///
/// # Errors
/// Each channel that a policy names and that cannot be reached.
pub(crate) async fn reach(
    channels: &Channels,
    bundle: &Bundle,
    break_glass: &[String],
) -> Result<(), Problems> {
    let tries = channels.iter().map(|(name, channel)| async move {
        if let Some(option) = channel.danger {
            tracing::warn!(channel = name, "{option}: what people are told can be read on the way");
        }
        (name, channel.reach().await)
    });
    let mut problems = Vec::new();
    for (name, reached) in join_all(tries).await {
        let Err(why) = reached else { continue };
        let policies = bundle.channels_named().filter(|(.., channel)| channel == name);
        let mut policies: Vec<&str> = policies.map(|(_, policy, _)| policy).collect();
        policies.extend(break_glass.contains(name).then_some("broken glass"));
        if policies.is_empty() {
            tracing::warn!(
                channel = name,
                why,
                "a channel cannot be reached: it is tried again for each message"
            );
            continue;
        }
        problems.push(Problem {
            place: format!("notify.{name}"),
            text: format!(
                "cannot be reached ({why}), and people are told by it of {}",
                policies.join(", ")
            ),
            hint: Some(
                "see that it can be reached from here, or take it out of what names it".to_owned(),
            ),
        });
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where it goes to is a secret of some.
        f.write_str(match self {
            Self::Webhook(_) => "Webhook",
            Self::Slack(_) => "Slack",
            Self::Teams(_) => "Teams",
            Self::Mail(_) => "Mail",
        })
    }
}
