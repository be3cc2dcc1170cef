//! E-mail, by a relay of the operator's.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use askama::Template;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

use super::SEND_WITHIN;
use super::news::News;
use super::told::Message;
use crate::print;

/// How mail gets to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// TLS from the beginning.
    Implicit,
    /// A connection that becomes TLS, or is not used.
    StartTls,
    /// Anybody on the way can read and change it.
    DangerNone,
}

/// Where mail is given to.
pub(crate) struct Relay {
    pub(crate) host: String,
    /// The usual one, if none is given.
    pub(crate) port: Option<u16>,
    pub(crate) protection: Protection,
    /// The certificate of an authority that counts beside the well-known ones, in PEM.
    pub(crate) authority: Option<String>,
    pub(crate) login: Option<(String, SecretString)>,
}

/// Who gets mail, from whom, by which relay.
pub(crate) struct Mail {
    from: Mailbox,
    to: Vec<Mailbox>,
    relay: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mail {
    /// Mail of that kind. Nothing is connected yet.
    ///
    /// # Errors
    /// Why the relay cannot be used.
    pub(crate) fn new(from: Mailbox, to: Vec<Mailbox>, relay: Relay) -> Result<Self, String> {
        let Relay { host, port, protection, authority, login } = relay;
        let parameters = || {
            let mut builder = TlsParameters::builder(host.clone());
            if let Some(pem) = &authority {
                let authority = Certificate::from_pem(pem.as_bytes());
                builder =
                    builder.add_root_certificate(authority.map_err(|error| print::causes(&error))?);
            }
            builder.build().map_err(|error| print::causes(&error))
        };
        let (tls, usual) = match protection {
            Protection::Implicit => (Tls::Wrapper(parameters()?), 465),
            Protection::StartTls => (Tls::Required(parameters()?), 587),
            Protection::DangerNone => (Tls::None, 25),
        };
        // The name is said of this builder since it has no TLS yet.
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(SEND_WITHIN));
        if let Some((user, password)) = login {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self { from, to, relay: builder.build() })
    }

    pub(super) async fn send(&self, news: &News, message: &Message) -> Result<(), String> {
        let mail = self.mail(news, message)?;
        self.relay.send(mail).await.map(drop).map_err(|error| print::causes(&error))
    }

    /// Whether the relay greets us, by TLS and with the login that it wants.
    pub(super) async fn reach(&self) -> Result<(), String> {
        match self.relay.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the relay closes the connection".to_owned()),
            Err(error) => Err(print::causes(&error)),
        }
    }

    fn mail(&self, news: &News, message: &Message) -> Result<lettre::Message, String> {
        let link = message.link();
        let page = message.page.iter().map(|page| format!("\n\n{link}: {page}"));
        let plain =
            format!("{}\n\n{}{}\n", message.title, message.text(), page.collect::<String>());
        let Message { title, lines, page, .. } = message;
        let html = Html { title, lines, page: page.as_ref(), link };
        let html = html.render().map_err(|error| error.to_string())?;
        let since = Duration::from_millis(u64::try_from(news.at().unix_ms()).unwrap_or(0));
        let to: Mailboxes = self.to.iter().cloned().collect();
        lettre::Message::builder()
            .from(self.from.clone())
            .mailbox(lettre::message::header::To::from(to))
            .subject(title.as_str())
            .date(UNIX_EPOCH + since)
            .message_id(Some(format!("<{}@{}>", news.id(), self.from.email.domain())))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(plain, html))
            .map_err(|error| error.to_string())
    }
}

#[derive(Template)]
#[template(path = "notify/mail.html")]
struct Html<'a> {
    title: &'a str,
    lines: &'a [String],
    page: Option<&'a String>,
    link: &'a str,
}

/// No program is to answer it (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("to", &self.to.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
