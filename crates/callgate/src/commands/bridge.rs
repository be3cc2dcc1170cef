//! `callgate bridge`: a client that only knows standard input and output, and a gateway that runs elsewhere.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use callgate_gateway::credential::{Credential, Scheme};
use callgate_mcp::code;
use callgate_mcp::lines::Line;
use callgate_mcp::message::Message;
use callgate_mcp::reply;
use callgate_mcp::upstream::{Relay, UpstreamLimits};
use callgate_model::json::JsonLimits;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::serve::start_logging;
use crate::cli::{Bridge, Failure};
use crate::config::{LogConfig, environment, is_protected};
use crate::pipe::{self, Next};
use crate::stop::Stop;

/// The request that has no answer for as long as its client listens.
const LISTEN: &str = "subscriptions/listen";
/// What a client says when its session begins; then it is told of changes.
const INITIALIZED: &str = "notifications/initialized";
/// The variable that holds the token, unless a file does.
const TOKEN: &str = "CALLGATE_TOKEN";

pub(crate) async fn run(options: Bridge) -> Result<(), Failure> {
    start_logging(&LogConfig { json: false, filter: "warn".to_owned() })?;
    let url = options.url.parse().map_err(|error| format!("`{}`: {error}", options.url))?;
    if !is_protected(&options.url) && !options.danger_plain_http {
        let hint = "use https, or say --danger-plain-http";
        return Err(format!("the token would cross the network unprotected: {hint}").into());
    }
    let token = token(options.token_file.as_deref())?;
    let credential = Credential::new(Scheme::Bearer, &token).map_err(|error| error.to_string())?;
    // The gateway's own times count; a stream may stay open for long.
    let relay = Relay::new(url, credential.header(), UpstreamLimits::default());
    let relay = Arc::new(relay.map_err(|error| error.to_string())?);
    let ends = (tokio::io::stdin(), tokio::io::stdout());
    let take = |line, out: &mpsc::Sender<Bytes>| next(&relay, line, out);
    let stop = Stop::of_signals()?;
    pipe::serve(ends, JsonLimits::default().bytes_max, take, || {}, stop.asked()).await;
    Ok(())
}

fn token(file: Option<&Path>) -> Result<SecretString, Failure> {
    let token = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| format!("`{}` cannot be read: {error}", file.display())),
        None => environment(TOKEN),
    };
    Ok(token?.into())
}

fn next(relay: &Arc<Relay>, line: Line, out: &mpsc::Sender<Bytes>) -> Next {
    let refuse = |text: &str| Next::Answer(reply::error(None, code::INVALID_REQUEST, text, None));
    let Line::Whole(line) = line else { return refuse("a message longer than the limit") };
    let (relay, out) = (Arc::clone(relay), out.clone());
    match Message::read(&line, &JsonLimits::default()) {
        Ok(Message::Request(request)) => {
            let (id, listens) = (Some(request.id.clone()), request.method == LISTEN);
            let work = Box::pin(async move { Some(relay.request(request, &out).await) });
            if listens { Next::Listen(id, work) } else { Next::Work(id, work) }
        }
        Ok(Message::Notification(told)) => match told.cancels() {
            // The gateway learns of it from the connection, which closes, or from the notification.
            Some(id) if !relay.has_session() => Next::Cancel(id),
            Some(_) | None => {
                let begins = told.method == INITIALIZED;
                let work = Box::pin(async move {
                    relay.notification(told).await;
                    if begins {
                        relay.listen(&out).await;
                    }
                    None
                });
                if begins { Next::Listen(None, work) } else { Next::Work(None, work) }
            }
        },
        Ok(Message::Response(response)) => Next::Work(
            None,
            Box::pin(async move {
                relay.response(response).await;
                None
            }),
        ),
        Err(malformed) => Next::Answer(reply::error(
            malformed.id.as_ref(),
            malformed.code,
            &malformed.detail,
            None,
        )),
    }
}
