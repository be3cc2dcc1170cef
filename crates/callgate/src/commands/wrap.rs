//! `callgate wrap`: the gate between a client that starts its server itself and that server.

use std::sync::Arc;

use bytes::Bytes;
use callgate_gateway::pipeline::{Gateway, Incoming, Piped, ReplyBody};
use callgate_mcp::lines::Line;
use callgate_mcp::reply;
use callgate_model::caller::{Credential, CredentialKind};
use callgate_model::digest::Digest;
use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::serve::{start_logging, warn_of_shadow};
use crate::ambient::Machine;
use crate::cli::{Failure, Wrap};
use crate::config::Config;
use crate::keeping::{Keeping, Plan};
use crate::means::Means;
use crate::pipe::Next;
use crate::stop::Stop;
use crate::{assemble, notify, otlp, pipe, reload};

pub(crate) async fn run(options: Wrap) -> Result<(), Failure> {
    let mut config =
        Config::load_around(&options.config.config, &options.server, &options.command)?;
    start_logging(&config.log)?;
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    if !config.servers.contains_key(&options.server) {
        let known = names(config.servers.keys().collect());
        return Err(
            format!("no server `{}` is configured; there are: {known}", options.server).into()
        );
    }
    let Some(mut caller) = config.tokens.get(&options.caller).cloned() else {
        let known = names(config.tokens.keys().collect());
        return Err(
            format!("no caller `{}` is configured; there are: {known}", options.caller).into()
        );
    };
    caller.credential = Credential {
        kind: CredentialKind::Process,
        digest: Digest::of(format!("process\0{}", options.caller).as_bytes()),
        issued: None,
        expires: None,
        scopes: None,
        id: None,
        within: None,
    };
    let stop = Stop::of_signals()?;
    let parts = assemble::parts(&config)?;
    warn_of_shadow(&config);
    let (policies, vocabulary) = (config.policies.clone(), parts.vocabulary.clone());
    let line_bytes_max = config.limits.json.bytes_max;
    let (channels, means) = (Arc::clone(&config.channels), Means::of(&config));
    notify::reach(&channels, &parts.bundle, &config.approvals.break_glass).await?;
    let plan = Plan::of(&mut config, &parts.records, &Machine)?;
    let (telemetry, exporter) = otlp::prepare(config.telemetry.take());
    let port = 0;
    let made = assemble::watched_gateway(config, parts, Arc::new(Machine), port, telemetry).await?;
    let (gateway, store) = made;
    let keeping = Keeping::start(plan, &gateway, store, Arc::new(Machine)).await;
    let Some(pipe) = gateway.pipe(&options.server, caller) else {
        return Err(format!("no server `{}`", options.server).into());
    };
    tracing::info!(server = options.server, caller = options.caller, "serving standard input");
    let (following, _loaded) = reload::follow(&gateway, policies, vocabulary, means);
    let telling = notify::start(&gateway, channels, Arc::new(Machine));
    let exporting = exporter.map(|exporter| exporter.start(&gateway, Arc::new(Machine)));
    let ends = (tokio::io::stdin(), tokio::io::stdout());
    let take = |line, out: &mpsc::Sender<Bytes>| match line {
        Line::Whole(line) => next(&gateway, gateway.read_line(&pipe, &line), out),
        Line::TooLong(_) => next(&gateway, gateway.refuse_long_line(&pipe), out),
    };
    pipe::serve(ends, line_bytes_max, take, || gateway.hung_up(&pipe), stop.asked()).await;
    drop((following, telling));
    keeping.quiet();
    gateway.close().await;
    keeping.end().await;
    if let Some(exporting) = exporting {
        exporting.finish().await;
    }
    Ok(())
}

fn next(gateway: &Arc<Gateway>, incoming: Incoming, out: &mpsc::Sender<Bytes>) -> Next {
    match incoming {
        Incoming::Answer(answer) => Next::Answer(answer),
        Incoming::Cancel(id) => Next::Cancel(id),
        Incoming::Listen(id, request) => {
            let work = answer(Arc::clone(gateway), request, out.clone());
            Next::Listen(Some(id), Box::pin(work))
        }
        Incoming::Listens(all) => {
            let passing = all.into_iter().map(|messages| pass_on(messages, out.clone()));
            let passing = join_all(passing.collect::<Vec<_>>());
            Next::Listen(None, Box::pin(async move { passing.await.pop().flatten() }))
        }
        Incoming::Nothing => Next::Nothing,
        Incoming::Request(id, request) => {
            let work = answer(Arc::clone(gateway), request, out.clone());
            Next::Work(Some(id), Box::pin(work))
        }
    }
}

/// The last message of the answer; those before it go out as they come.
async fn answer(gateway: Arc<Gateway>, request: Piped, out: mpsc::Sender<Bytes>) -> Option<Bytes> {
    match gateway.answer(request).await.body {
        ReplyBody::Empty => None,
        ReplyBody::Whole(answer) => Some(answer),
        ReplyBody::Listening(messages) => pass_on(messages, out).await,
        ReplyBody::Stream(mut messages) => {
            while let Some(message) = messages.recv().await {
                if reply::is_answer(&message) {
                    return Some(message);
                }
                // A client that reads no more needs no answer.
                out.send(message).await.ok()?;
            }
            None
        }
    }
}

/// Every message as it comes: nothing may wait for the next one.
async fn pass_on(mut messages: mpsc::Receiver<Bytes>, out: mpsc::Sender<Bytes>) -> Option<Bytes> {
    while let Some(message) = messages.recv().await {
        out.send(message).await.ok()?;
    }
    None
}
