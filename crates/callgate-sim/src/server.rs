//! Starting and stopping the site, and the state that all its connections share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinHandle, JoinSet};

use crate::endpoint;
use crate::fault::{Fault, Faults};
use crate::ledger::Ledger;
use crate::legacy::Sessions;
use crate::site::Site;

/// How many connections are served at once.
const CONNECTIONS_MAX: usize = 512;
/// Notifications that wait for those who listen.
const TOLD_MAX: usize = 16;

/// Which protocol eras the site speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eras {
    /// Only 2026-07-28.
    Modern,
    /// Only 2025-11-25 and 2025-06-18.
    Legacy,
    /// All of them.
    #[default]
    Both,
}

/// Whether a site tells that its lists have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listening {
    /// It does not know the method.
    #[default]
    Refused,
    /// It tells everybody who listens what [`Running::tell`] is given.
    Served,
}

/// How the site behaves.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The protocol eras.
    pub eras: Eras,
    /// Whether every tool is listed even without `?tools=all`.
    pub flat_tools: bool,
    /// Whether the site has nothing but tools.
    pub only_tools: bool,
    /// The bearer token that every request must carry.
    pub token: Option<String>,
    /// How long each call takes before it is executed.
    pub latency: Option<Duration>,
    /// Whether calls are answered as an event stream, with progress if the caller asks for it.
    pub sse: bool,
    /// What it says to those who want to listen, in the modern era.
    pub listening: Listening,
    /// Faults that wait from the start.
    pub faults: Vec<Fault>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            eras: Eras::Both,
            flat_tools: false,
            only_tools: false,
            token: None,
            latency: None,
            sse: false,
            listening: Listening::Refused,
            faults: Vec::new(),
        }
    }
}

/// The simulator.
#[derive(Debug)]
pub struct Sim;

impl Sim {
    /// Starts to serve `site`.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(site: Site, options: SimOptions) -> io::Result<Running> {
        let listener = TcpListener::bind(options.bind).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(site, options));
        let app = endpoint::router(Arc::clone(&shared));
        let accepting = tokio::spawn(accept(listener, app));
        Ok(Running { url: format!("http://{address}/mcp"), shared, accepting })
    }
}

/// A running site. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    /// `http://127.0.0.1:PORT/mcp`
    pub url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Running {
    /// What arrived and what was executed.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Lets `look` see the site, or change it behind everyone's back.
    pub fn site<T>(&self, look: impl FnOnce(&mut Site) -> T) -> T {
        look(&mut self.shared.site())
    }

    /// The site as it is now: equal to a later one only if nothing has changed.
    #[must_use]
    pub fn snapshot(&self) -> Site {
        self.site(|site| site.clone())
    }

    /// Tells those who listen, with a notification of this method; to how many.
    pub fn tell(&self, method: &str) -> usize {
        self.tell_with(method, json!({}))
    }

    /// The same, with these parameters.
    pub fn tell_with(&self, method: &str, params: Value) -> usize {
        self.shared.told.send((method.to_owned(), params)).unwrap_or_default()
    }

    /// Makes something go wrong; see [`Fault`] for when.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Takes back every fault that waits.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Stops listening and cuts every connection.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // The task ends by being aborted, which is the error it ends with.
        (&mut self.accepting).await.unwrap_or_default();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: SimOptions,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    pub(crate) sessions: Sessions,
    /// Notifications for those who listen: methods and parameters.
    pub(crate) told: broadcast::Sender<(String, Value)>,
    site: Mutex<Site>,
}

impl Shared {
    fn new(site: Site, options: SimOptions) -> Self {
        let faults = Faults::default();
        for fault in &options.faults {
            faults.add(fault.clone());
        }
        Self {
            options,
            ledger: Ledger::new(),
            faults,
            sessions: Sessions::default(),
            told: broadcast::Sender::new(TOLD_MAX),
            site: Mutex::new(site),
        }
    }

    pub(crate) fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts the connection it belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<Notify>);

impl Cut {
    /// Cuts the connection; what awaits this never goes on.
    pub(crate) async fn now<T>(&self) -> T {
        self.0.notify_one();
        std::future::pending().await
    }
}

async fn accept(listener: TcpListener, app: Router) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream, app.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, app: Router) {
    let cut = Cut::default();
    let service = TowerToHyperService::new(app.layer(Extension(cut.clone())));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // However the connection ends, the next one is not concerned.
        ended = connection => ended.unwrap_or_default(),
        () = cut.0.notified() => {}
    }
}
