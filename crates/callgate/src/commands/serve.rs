//! `callgate serve`: the gateway, until it is told to stop.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::sleep_until;
use tracing_subscriber::EnvFilter;

use crate::ambient::Machine;
use crate::cli::{Failure, Serve};
use crate::config::{Config, LogConfig};
use crate::desk::Desk;
use crate::http::ListenLimits;
use crate::keeping::{Keeping, Plan};
use crate::means::Means;
use crate::premises::Premises;
use crate::privilege::Configured;
use crate::stop::Stop;
use crate::{assemble, handover, http, notify, otlp, print, reload};

pub(crate) async fn run(options: Serve) -> Result<(), Failure> {
    let config = options.config.load()?;
    start_logging(&config.log)?;
    if options.take_over {
        let (listener, stop) = (handover::inherited()?, Stop::of_signals_and_successor()?);
        return serve(config, Some(listener), stop, |_| print::line(handover::READY)).await;
    }
    let stop = Stop::of_signals()?;
    // What is wrong with it is found before anybody can connect.
    assemble::parts(&config)?;
    let listener = bind(config.listen)?;
    handover::run(options.config.config, config, listener, stop).await
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let bound = std::net::TcpListener::bind(address);
    bound.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Serves until it is told to stop, on `listener` or on one of its own; `started` is told the address.
pub(crate) async fn serve(
    mut config: Config,
    listener: Option<std::net::TcpListener>,
    stop: Stop,
    started: impl FnOnce(SocketAddr),
) -> Result<(), Failure> {
    let parts = assemble::parts(&config)?;
    let listener = match listener {
        Some(listener) => listener,
        None => bind(config.listen)?,
    };
    let listening = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    let listener = listening.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let limits = ListenLimits {
        connections_max: config.limits.connections_max,
        body_bytes_max: config.limits.json.bytes_max,
        request_time_max: config.limits.request_time_max,
        leave_time: config.limits.leave_time,
        drain_time_max: config.limits.drain_time_max,
        proxies: config.proxies.clone(),
        origin: assemble::origin(&config, address.port()),
        roles: config.console.roles.clone(),
    };
    let (policies, vocabulary) = (config.policies.clone(), parts.vocabulary.clone());
    warn_of_danger(&config);
    let (channels, means) = (Arc::clone(&config.channels), Means::of(&config));
    notify::reach(&channels, &parts.bundle, &config.approvals.break_glass).await?;
    let configured = Arc::new(Configured::of(&config));
    let desk = Desk::new(&config, &vocabulary, Arc::new(Machine));
    let plan = Plan::of(&mut config, &parts.records, &Machine)?;
    let (telemetry, exporter) = otlp::prepare(config.telemetry.take());
    let port = address.port();
    let made = assemble::watched_gateway(config, parts, Arc::new(Machine), port, telemetry);
    // The configuration is long, and is not needed after.
    let (gateway, store) = Box::pin(made).await?;
    let keeping = Keeping::start(plan, &gateway, store, Arc::new(Machine)).await;
    tracing::info!(%address, bundle = %gateway.bundle().digest(), "serving");
    let (following, loaded) = reload::follow(&gateway, policies, vocabulary.clone(), means);
    let telling = notify::start(&gateway, Arc::clone(&channels), Arc::new(Machine));
    let exporting = exporter.map(|exporter| exporter.start(&gateway, Arc::new(Machine)));
    let premises = Premises {
        desk: Arc::new(desk),
        configured,
        vocabulary: Arc::new(vocabulary),
        channels,
        policies: loaded,
    };
    started(address);
    let insisted = stop.clone();
    let serving = async {
        let until = http::serve(listener, Arc::clone(&gateway), premises, limits, stop).await;
        drop((following, telling));
        keeping.quiet();
        gateway.close_before(sleep_until(until)).await;
        keeping.end().await;
        if let Some(exporting) = exporting {
            exporting.finish().await;
        }
        tracing::info!("stopped");
    };
    tokio::select! {
        () = Box::pin(serving) => {}
        () = insisted.insisted() => {
            let calls = gateway.calls_in_flight();
            tracing::warn!(calls, "told twice to stop: ended at once; calls on their way have no outcome");
            gateway.close_before(ready(())).await;
        }
    }
    Ok(())
}

/// Whatever weakens safety is in the log.
fn warn_of_danger(config: &Config) {
    // Channels are warned of when they are tried.
    let is_plain = |at: &&String| at.contains("danger_plain_") && !at.starts_with("notify.");
    for at in config.dangers.iter().filter(is_plain) {
        tracing::warn!("{at}: what goes there may cross a network in the clear");
    }
    warn_of_shadow(config);
    if !config.tokens.is_empty() {
        tracing::warn!(
            tokens = config.tokens.len(),
            "danger_static_tokens: callers are known by static tokens, for development only"
        );
    }
    if let Some(token) = &config.danger_anonymous {
        tracing::warn!(
            token,
            "danger_anonymous: whoever sends no credential is taken for the holder of this token"
        );
    }
}

/// That policies are not enforced, and until when.
pub(super) fn warn_of_shadow(config: &Config) {
    for (server, shadow) in config.servers.iter().filter_map(|(n, s)| Some((n, s.shadow?))) {
        let (until, writes) = (shadow.until, shadow.writes);
        tracing::warn!(
            server, %until, writes,
            "danger_shadow: until then, what policies say to calls of this server is recorded, and not enforced"
        );
    }
}

/// Logs go to standard error.
pub(crate) fn start_logging(log: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| Failure::Other(format!("log.filter: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let started = if log.json { builder.json().try_init() } else { builder.try_init() };
    started.map_err(|error| Failure::Other(error.to_string()))
}
