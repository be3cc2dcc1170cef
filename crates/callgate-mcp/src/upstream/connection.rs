//! HTTP to one server: pooled connections, no redirects, no decompression.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt as _};

use super::{CallError, CallErrorKind, UnusableUpstream, UpstreamLimits};

const POOL_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(30);
const POOL_CONNECTIONS_MAX: usize = 32;
/// Sessions with one server that are listened to at one time.
const STREAMS_MAX: usize = 256;

/// The connections to one server. Clones share them.
#[derive(Clone)]
pub(crate) struct Connection {
    client: Client<BoundedConnector, Full<Bytes>>,
    connector: BoundedConnector,
    url: Uri,
    pub(super) limits: UpstreamLimits,
    /// Room for streams of sessions that are listened to.
    pub(super) streams: Arc<Semaphore>,
}

impl Connection {
    pub(crate) fn new(url: Uri, limits: UpstreamLimits) -> Result<Self, UnusableUpstream> {
        let http_scheme = matches!(url.scheme_str(), Some("http" | "https"));
        let host = url.authority().filter(|authority| !authority.as_str().contains('@'));
        if !http_scheme || host.is_none_or(|host| host.host().is_empty()) {
            return Err(UnusableUpstream::Url);
        }
        let connector = BoundedConnector { inner: connector()?, limit: limits.connect };
        let headers_max = u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_CONNECTIONS_MAX)
            .http1_max_buf_size(limits.header_bytes_max.max(8 << 10))
            .http2_max_header_list_size(headers_max)
            .build(connector.clone());
        Ok(Self { client, connector, url, limits, streams: Arc::new(Semaphore::new(STREAMS_MAX)) })
    }

    /// Sends one POST. The pool tries another connection only if none of the request was written.
    pub(crate) async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        self.send(Method::POST, headers, body).await
    }

    /// Sends one GET.
    pub(crate) async fn get(&self, headers: HeaderMap) -> Result<Response<Incoming>, CallError> {
        self.send(Method::GET, headers, Bytes::new()).await
    }

    /// Sends one PUT.
    pub(crate) async fn put(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        self.send(Method::PUT, headers, body).await
    }

    /// Makes a connection and closes it.
    pub(crate) async fn reach(&self) -> Result<(), CallErrorKind> {
        let connecting = self.connector.clone().oneshot(self.url.clone());
        let failed = |error: BoxError| CallErrorKind::Connect(with_causes(&*error));
        connecting.await.map(drop).map_err(failed)
    }

    /// The same connections, to another path of the server.
    pub(crate) fn to(&self, path: PathAndQuery) -> Option<Self> {
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(path);
        Some(Self { url: Uri::from_parts(parts).ok()?, ..self.clone() })
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Its host and port.
    pub(super) fn address(&self) -> Option<(String, u16)> {
        let port = if self.url.scheme_str() == Some("https") { 443 } else { 80 };
        Some((self.url.host()?.to_owned(), self.url.port_u16().unwrap_or(port)))
    }

    /// The path of its address.
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        self.client.request(request).await.map_err(|error| CallError {
            sent: !error.is_connect(),
            kind: CallErrorKind::Connect(with_causes(&error)),
        })
    }
}

fn connector() -> Result<HttpsConnector<HttpConnector>, UnusableUpstream> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // A host that vanished ends also what waits for it without a time limit.
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(3));
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(|error| UnusableUpstream::Tls(error.to_string()))?;
    Ok(tls.https_or_http().enable_all_versions().wrap_connector(tcp))
}

/// An error with everything that led to it: the outermost says only that something failed.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The next bytes of a body.
pub(super) async fn next(body: &mut Incoming) -> Result<Option<Bytes>, CallErrorKind> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| CallErrorKind::Connect(with_causes(&error)))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

/// One time limit over name resolution, TCP and TLS together, so that running out of it provably sends nothing.
#[derive(Clone)]
struct BoundedConnector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

type BoxError = Box<dyn Error + Send + Sync>;
type Stream = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

impl Service<Uri> for BoundedConnector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.inner.call(url));
        Box::pin(async move { connecting.await? })
    }
}
