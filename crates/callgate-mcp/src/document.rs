//! A JSON document at an address that the operator configured, or something that is sent there: no redirects, no compression, bounded in size and time.

use bytes::Bytes;
use callgate_model::json::{Json, JsonLimits, read};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderValue, Response, Uri};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::upstream::{CallError, CallErrorKind, Connection, UnusableUpstream, UpstreamLimits};

/// Longest document, in bytes.
const BYTES_MAX: usize = 256 << 10;

/// Where a document is.
#[derive(Clone, Debug)]
pub struct Document {
    connection: Connection,
    limits: UpstreamLimits,
}

impl Document {
    /// The document at `url`.
    ///
    /// # Errors
    /// [`UnusableUpstream`].
    pub fn new(url: Uri, limits: UpstreamLimits) -> Result<Self, UnusableUpstream> {
        let limits = UpstreamLimits { response_bytes_max: BYTES_MAX, ..limits };
        Ok(Self { connection: Connection::new(url, limits)?, limits })
    }

    /// Another one, with the same limits.
    ///
    /// # Errors
    /// [`UnusableUpstream`].
    pub fn at(&self, url: Uri) -> Result<Self, UnusableUpstream> {
        Self::new(url, self.limits)
    }

    /// Fetches it.
    ///
    /// # Errors
    /// [`CallErrorKind`], also for every status but 200.
    pub async fn fetch(&self) -> Result<Json, CallErrorKind> {
        json(&self.get(&self.connection, wanted(None)).await?)
    }

    /// What is answered to `form`, which is URL-encoded.
    ///
    /// # Errors
    /// [`CallErrorKind`], also for every status but 200.
    pub async fn post_form(
        &self,
        authorization: Option<HeaderValue>,
        form: String,
    ) -> Result<Json, CallErrorKind> {
        let mut headers = wanted(authorization.as_ref());
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        let answer = async {
            let response = self.connection.post(headers, form.into()).await;
            self.read(response.map_err(|error| error.kind)?).await
        };
        json(&timeout(self.limits.total, answer).await.unwrap_or(Err(CallErrorKind::Timeout))?)
    }

    /// Sends `body` there. What is answered does not matter.
    ///
    /// # Errors
    /// [`CallErrorKind`], also for every status that does not say that it was taken.
    pub async fn send(
        &self,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<(), CallErrorKind> {
        let answer = async { taken(self.connection.post(headers, body.into()).await) };
        timeout(self.limits.total, answer).await.unwrap_or(Err(CallErrorKind::Timeout))
    }

    /// Sends `body` there, and says what is answered: whatever the status is, and the bytes that come with it.
    ///
    /// # Errors
    /// [`CallErrorKind`], if there is no answer.
    pub async fn ask(
        &self,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<(u16, Vec<u8>), CallErrorKind> {
        let answer = async {
            let response = self.connection.post(headers, body.into()).await;
            let (parts, body) = response.map_err(|error| error.kind)?.into_parts();
            Ok((parts.status.as_u16(), self.connection.read_whole(body).await?))
        };
        timeout(self.limits.total, answer).await.unwrap_or(Err(CallErrorKind::Timeout))
    }

    /// Puts `body` at `path` below it.
    ///
    /// # Errors
    /// [`CallErrorKind`], also for every status that does not say that it was taken, and if there can be no such path.
    pub async fn put_below(
        &self,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<(), CallErrorKind> {
        let connection = self.below(path)?;
        let answer = async { taken(connection.put(headers, body.into()).await) };
        timeout(self.limits.total, answer).await.unwrap_or(Err(CallErrorKind::Timeout))
    }

    /// Whether a connection can be made. Nothing is sent by it.
    ///
    /// # Errors
    /// [`CallErrorKind`].
    pub async fn reach(&self) -> Result<(), CallErrorKind> {
        self.connection.reach().await
    }

    /// What time it is there (RFC 9110 §6.6.1), whatever else is answered; nothing, if that is not said.
    ///
    /// # Errors
    /// [`CallErrorKind`], if there is no answer.
    pub async fn date(&self) -> Result<Option<String>, CallErrorKind> {
        let answer = async {
            let response = self.connection.get(wanted(None)).await.map_err(|error| error.kind)?;
            let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
            Ok(date.map(str::to_owned))
        };
        timeout(self.limits.total, answer).await.unwrap_or(Err(CallErrorKind::Timeout))
    }

    /// Fetches what is at `path` below it, as whoever has `authorization`.
    ///
    /// # Errors
    /// [`CallErrorKind`], also for every status but 200, and if there can be no such path.
    pub async fn fetch_below(
        &self,
        path: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Json, CallErrorKind> {
        json(&self.get(&self.below(path)?, wanted(authorization)).await?)
    }

    /// The bytes that are at `path` below it, for whoever has `authorization`.
    ///
    /// # Errors
    /// [`CallErrorKind`], also for every status but 200, and if there can be no such path.
    pub async fn bytes_below(
        &self,
        path: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Vec<u8>, CallErrorKind> {
        self.get(&self.below(path)?, plain(authorization)).await
    }

    /// The same connections, to `path` below it.
    fn below(&self, path: &str) -> Result<Connection, CallErrorKind> {
        let whole = format!("{}{path}", self.connection.path().trim_end_matches('/'));
        let connection = whole.parse().ok().and_then(|path| self.connection.to(path));
        connection.ok_or_else(|| CallErrorKind::Connect("there is no such path".to_owned()))
    }

    async fn get(
        &self,
        connection: &Connection,
        headers: HeaderMap,
    ) -> Result<Vec<u8>, CallErrorKind> {
        let answer = async {
            let response = connection.get(headers).await;
            self.read(response.map_err(|error| error.kind)?).await
        };
        timeout(self.limits.total, answer).await.unwrap_or(Err(CallErrorKind::Timeout))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Vec<u8>, CallErrorKind> {
        let (parts, body) = response.into_parts();
        if parts.status.as_u16() != 200 {
            return Err(CallErrorKind::Status(parts.status.as_u16()));
        }
        if parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(CallErrorKind::NotMcp("compressed".to_owned()));
        }
        self.connection.read_whole(body).await
    }
}

/// Whether what was sent was taken.
fn taken(response: Result<Response<Incoming>, CallError>) -> Result<(), CallErrorKind> {
    let status = response.map_err(|error| error.kind)?.status();
    if status.is_success() { Ok(()) } else { Err(CallErrorKind::Status(status.as_u16())) }
}

fn json(bytes: &[u8]) -> Result<Json, CallErrorKind> {
    let limits = JsonLimits { bytes_max: BYTES_MAX, ..JsonLimits::default() };
    read(bytes, &limits).map_err(|error| CallErrorKind::NotMcp(error.to_string()))
}

/// JSON, as it is.
fn wanted(authorization: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = plain(authorization);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
}

/// What is there, as it is.
fn plain(authorization: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.extend(authorization.map(|value| (AUTHORIZATION, value.clone())));
    headers
}
