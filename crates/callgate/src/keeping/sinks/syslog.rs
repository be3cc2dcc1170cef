//! A receiver of syslog over TLS (RFC 5425), or over TCP without it.
//!
//! Syslog has no answer: what was written into a connection is taken to be received. What can be known is that the other side
//! has closed the connection. Then the last batch is sent once more, before the next one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::batch::Batch;
use crate::ambient::host;
use crate::export::Format;
use crate::export::syslog::{Framing, Origin};

/// Until a connection stands, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);
/// For whoever does not want a connection to say so.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(500);

/// A connection with whatever protects it.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// How a connection is protected.
pub(crate) enum Protection {
    /// By TLS, by these rules, with whoever has a certificate of this name.
    Tls(Arc<ClientConfig>, ServerName<'static>),
    /// Anybody on the way can read and change it.
    DangerNone,
}

/// Where messages are sent.
pub(crate) struct Syslog {
    address: String,
    protection: Protection,
    connection: Option<Box<dyn Stream>>,
    /// What was written last.
    last: Vec<u8>,
}

impl Syslog {
    /// The receiver at `address`, which is `host:port`. Nothing is connected yet.
    pub(crate) const fn new(address: String, protection: Protection) -> Self {
        Self { address, protection, connection: None, last: Vec::new() }
    }

    /// The messages of a batch, one after the other.
    pub(super) fn messages(batch: &Batch, format: Format) -> Vec<u8> {
        let origin = Origin { host: host(), process: std::process::id() };
        let message = |one| origin.write(&one, format, Framing::Octets);
        batch.exported().map(message).collect::<String>().into_bytes()
    }

    pub(super) async fn send(&mut self, messages: Vec<u8>) -> Result<(), String> {
        let mut connection = self.connection.take();
        if let Some(open) = &mut connection
            && is_over(&mut **open, Duration::ZERO).await
        {
            connection = None;
        }
        let mut connection = match connection {
            Some(connection) => connection,
            None => {
                let mut new = self.connect().await?;
                // A client whose certificate is not accepted is told after it has connected (TLS 1.3).
                if is_over(&mut *new, ACCEPTED_WITHIN).await {
                    return Err(format!("{}: it closes the connection", self.address));
                }
                // Whether the other side had it before it closed is not known.
                write(&mut *new, &self.last).await?;
                new
            }
        };
        write(&mut *connection, &messages).await?;
        self.connection = Some(connection);
        self.last = messages;
        Ok(())
    }

    /// Says that there is no more.
    pub(super) async fn close(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if let Err(error) = connection.shutdown().await {
            tracing::debug!(%error, "a receiver of syslog was not told of the end");
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let connecting = async {
            let tcp = TcpStream::connect(&self.address).await?;
            tcp.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match &self.protection {
                Protection::DangerNone => Box::new(tcp),
                Protection::Tls(rules, name) => {
                    let tls = TlsConnector::from(Arc::clone(rules));
                    Box::new(tls.connect(name.clone(), tcp).await?)
                }
            };
            Ok::<_, std::io::Error>(stream)
        };
        match timeout(CONNECT_WITHIN, connecting).await {
            Ok(connected) => connected.map_err(|error| format!("{}: {error}", self.address)),
            Err(_) => Err(format!("{}: no connection in time", self.address)),
        }
    }
}

async fn write(stream: &mut dyn Stream, bytes: &[u8]) -> Result<(), String> {
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    writing.await.map_err(|error: std::io::Error| format!("the connection broke: {error}"))
}

/// Whether the other side closes the connection within so long. It has nothing to say in it; what it says all the same is passed over.
async fn is_over(stream: &mut dyn Stream, within: Duration) -> bool {
    let mut said = [0; 512];
    let over = async { while stream.read(&mut said).await.is_ok_and(|count| count > 0) {} };
    timeout(within, over).await.is_ok()
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("address", &self.address).finish_non_exhaustive()
    }
}
