//! The sections of channels: how people are told that a call waits for them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use callgate_gateway::pipeline::ChannelRule;
use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::approval::Occasion;
use lettre::message::Mailbox;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use toml::{Table, Value};

use super::section::Reader;
use super::server::{RawSecret, is_plain, is_protected};
use crate::notify::mail::{Mail, Protection, Relay};
use crate::notify::template::Template;
use crate::notify::webhook::{SECRETS_MAX, Webhook, key};
use crate::notify::{CHANNELS_MAX, Channel, Channels, SEND_WITHIN, Way};

/// The most mailboxes of one channel.
const MAILBOXES_MAX: usize = 20;

const PLAIN_HTTP: &str = "danger_plain_http";
const PLAIN_SMTP: &str = "danger_plain_smtp";

/// What every channel has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawChannel {
    approvers: BTreeSet<String>,
    occasions: Option<BTreeSet<String>>,
    arguments: bool,
    template: Option<String>,
    subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhook {
    pub(super) url: String,
    pub(super) secrets: Vec<RawSecret>,
    #[serde(default)]
    pub(super) danger_plain_http: bool,
}

/// Who knows the address can post there: it is a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPost {
    url: RawSecret,
    #[serde(default)]
    danger_plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMail {
    from: String,
    to: Vec<String>,
    relay: String,
    port: Option<u16>,
    tls: Option<String>,
    authority: Option<PathBuf>,
    user: Option<String>,
    password: Option<RawSecret>,
    #[serde(default)]
    danger_plain_smtp: bool,
}

impl Reader {
    pub(super) fn channels(&mut self) -> Channels {
        let raw: Table = self.optional("notify").unwrap_or_default();
        let mut channels = Channels::new();
        for (name, value) in raw {
            let place = format!("notify.{name}");
            if !is_plain(&name) {
                let text = "a channel's name is of a-z, 0-9 and `-`, at most 40 long";
                self.problem(&place, text, None);
            } else if let Some(channel) = self.channel(&name, &place, value) {
                channels.insert(name, channel);
            }
        }
        if channels.len() > CHANNELS_MAX {
            self.problem("notify", &format!("more than {CHANNELS_MAX} channels"), None);
        }
        channels
    }

    fn channel(&mut self, name: &str, place: &str, value: Value) -> Option<Channel> {
        let (kind, mut table) = self.kind(place, value)?;
        let kind = kind.unwrap_or_default();
        let mut common = Table::new();
        for key in ["approvers", "occasions", "arguments", "template", "subject"] {
            common.extend(table.remove_entry(key));
        }
        if kind == "webhook" && (common.contains_key("template") || common.contains_key("subject"))
        {
            let text = "what a program reads has no template";
            self.problem(place, text, Some("`callgate` sends it everything by name".to_owned()));
        }
        if kind != "mail" && common.contains_key("subject") {
            self.problem(&format!("{place}.subject"), "only mail has one", None);
        }
        let common: RawChannel = self.read(place, common.into())?;
        let rule = self.channel_rule(name, place, &common)?;
        let (way, danger) = match kind.as_str() {
            "webhook" => self.webhook(place, table)?,
            "slack" => self.post(place, table, Way::Slack)?,
            "teams" => self.post(place, table, Way::Teams)?,
            "mail" => self.mail(place, table)?,
            other => {
                let text = format!("`{other}` is none of `webhook`, `slack`, `teams`, `mail`");
                self.problem(&format!("{place}.kind"), &text, None);
                return None;
            }
        };
        let RawChannel { arguments, template, subject, .. } = common;
        let template = Template::new(template, subject, arguments);
        let template = template.map_err(|text| self.problem(place, &text, None)).ok()?;
        Some(Channel { rule, arguments, template, way, danger })
    }

    fn channel_rule(&mut self, name: &str, place: &str, raw: &RawChannel) -> Option<ChannelRule> {
        let occasions: Option<BTreeSet<Occasion>> = match &raw.occasions {
            None => Some(BTreeSet::from(Occasion::OF_APPROVALS)),
            Some(names) => {
                let parse = |name: &String| {
                    Occasion::parse(name).filter(|one| Occasion::OF_APPROVALS.contains(one))
                };
                names.iter().map(parse).collect()
            }
        };
        let Some(occasions) = occasions.filter(|occasions| !occasions.is_empty()) else {
            let text = "can be `requested`, `closed` or both";
            self.problem(&format!("{place}.occasions"), text, None);
            return None;
        };
        let is_known = |who: &&String| who.starts_with("team:") || **who == "human";
        if let Some(other) = raw.approvers.iter().find(|who| !is_known(who)) {
            let text = format!("`{other}` approves nothing");
            let hint = "as gates name them: \"team:leads\", or \"human\"";
            self.problem(&format!("{place}.approvers"), &text, Some(hint.to_owned()));
        }
        Some(ChannelRule { channel: name.to_owned(), approvers: raw.approvers.clone(), occasions })
    }

    fn webhook(&mut self, place: &str, table: Table) -> Option<(Way, Option<&'static str>)> {
        let raw: RawWebhook = self.read(place, table.into())?;
        let danger = raw.danger_plain_http.then_some(PLAIN_HTTP);
        let webhook = self.signed(place, raw, "what people are told")?;
        Some((Way::Webhook(webhook), danger))
    }

    /// A webhook that is signed, and sent `what`.
    pub(super) fn signed(&mut self, place: &str, raw: RawWebhook, what: &str) -> Option<Webhook> {
        let plain = raw.danger_plain_http;
        let document = self.receiver(&format!("{place}.url"), &raw.url, plain, what)?;
        if raw.secrets.is_empty() || raw.secrets.len() > SECRETS_MAX {
            let hint = "secrets = [{ file = \"webhook.secret\" }]  # (printf whsec_; openssl rand -base64 32) > webhook.secret";
            let text = "one, or two while one takes the place of the other";
            self.problem(&format!("{place}.secrets"), text, Some(hint.to_owned()));
            return None;
        }
        let mut keys = Vec::new();
        for (index, secret) in raw.secrets.into_iter().enumerate() {
            match self.secret(secret).and_then(|secret| key(&secret)) {
                Ok(key) => keys.push(key),
                Err(text) => {
                    let hint = "(printf whsec_; openssl rand -base64 32) > webhook.secret";
                    let at = format!("{place}.secrets[{index}]");
                    self.problem(&at, &text, Some(hint.to_owned()));
                    return None;
                }
            }
        }
        Some(Webhook::new(document, keys))
    }

    fn post(
        &mut self,
        place: &str,
        table: Table,
        way: impl Fn(Document) -> Way,
    ) -> Option<(Way, Option<&'static str>)> {
        let raw: RawPost = self.read(place, table.into())?;
        let at = format!("{place}.url");
        let plain = raw.danger_plain_http;
        match self.secret(raw.url) {
            Ok(url) => {
                let url = url.expose_secret().trim();
                let document = self.receiver(&at, url, plain, "what people are told")?;
                Some((way(document), plain.then_some(PLAIN_HTTP)))
            }
            Err(text) => {
                let hint = "url = { file = \"slack.url\" }: who knows it can post there";
                self.problem(&at, &text, Some(hint.to_owned()));
                None
            }
        }
    }

    /// Where messages are sent. The address may be a secret: no problem tells it.
    fn receiver(
        &mut self,
        place: &str,
        url: &str,
        danger_plain_http: bool,
        what: &str,
    ) -> Option<Document> {
        if !danger_plain_http && !is_protected(url) {
            let hint = "use https, or say `danger_plain_http = true`";
            let text = format!("{what} would cross the network unprotected");
            self.problem(place, &text, Some(hint.to_owned()));
            return None;
        }
        let limits = UpstreamLimits { total: SEND_WITHIN, ..UpstreamLimits::default() };
        let url = url.parse().map_err(|_not_shown| "it is no address".to_owned());
        let document =
            url.and_then(|url| Document::new(url, limits).map_err(|error| error.to_string()));
        document.map_err(|text| self.problem(place, &text, None)).ok()
    }

    fn mail(&mut self, place: &str, table: Table) -> Option<(Way, Option<&'static str>)> {
        let raw: RawMail = self.read(place, table.into())?;
        let from = self.mailbox(&format!("{place}.from"), &raw.from)?;
        if raw.to.is_empty() || raw.to.len() > MAILBOXES_MAX {
            let text = format!("1 to {MAILBOXES_MAX} mailboxes; a list has one for many");
            self.problem(&format!("{place}.to"), &text, None);
            return None;
        }
        let to = raw.to.iter().map(|to| self.mailbox(&format!("{place}.to"), to));
        let to = to.collect::<Option<Vec<_>>>()?;
        let protection = self.protection(place, &raw)?;
        let login = match (raw.user, raw.password) {
            (None, None) => None,
            (Some(user), Some(password)) => match self.secret(password) {
                Ok(password) => Some((user, password)),
                Err(text) => {
                    self.problem(&format!("{place}.password"), &text, None);
                    return None;
                }
            },
            (Some(_), None) | (None, Some(_)) => {
                self.problem(place, "`user` and `password` go together", None);
                return None;
            }
        };
        let authority = raw.authority.map(|file| self.authority(place, &file));
        let authority = match authority {
            Some(authority) => Some(authority?),
            None => None,
        };
        let relay = Relay { host: raw.relay, port: raw.port, protection, authority, login };
        match Mail::new(from, to, relay) {
            Ok(mail) => {
                let is_plain = protection == Protection::DangerNone;
                Some((Way::Mail(Box::new(mail)), is_plain.then_some(PLAIN_SMTP)))
            }
            Err(text) => {
                self.problem(place, &text, None);
                None
            }
        }
    }

    /// A certificate in PEM.
    pub(super) fn authority(&mut self, place: &str, file: &Path) -> Option<String> {
        let file = self.relative(file);
        let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        let read = read.and_then(|pem| match pem.contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(pem),
            false => Err("there is no certificate in it".to_owned()),
        });
        let told = |why| format!("`{}` cannot be read: {why}", file.display());
        let place = format!("{place}.authority");
        read.map_err(|why| self.problem(&place, &told(why), None)).ok()
    }

    fn protection(&mut self, place: &str, raw: &RawMail) -> Option<Protection> {
        match (raw.tls.as_deref(), raw.danger_plain_smtp) {
            (None, true) => Some(Protection::DangerNone),
            (None | Some("starttls"), false) => Some(Protection::StartTls),
            (Some("implicit"), false) => Some(Protection::Implicit),
            (Some(_), true) => {
                self.problem(place, "say `tls` or `danger_plain_smtp`, one of them", None);
                None
            }
            (Some(other), false) => {
                let text = format!("`{other}` is neither `starttls` nor `implicit`");
                self.problem(&format!("{place}.tls"), &text, None);
                None
            }
        }
    }

    fn mailbox(&mut self, place: &str, text: &str) -> Option<Mailbox> {
        let mailbox = text.parse().map_err(|error| format!("`{text}` is no mailbox: {error}"));
        mailbox.map_err(|text| self.problem(place, &text, None)).ok()
    }
}

#[cfg(test)]
mod tests;
