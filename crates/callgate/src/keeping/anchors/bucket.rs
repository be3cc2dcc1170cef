//! A bucket of an object store that speaks S3. Who puts something there is said in the address, signed (AWS Signature Version 4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callgate_mcp::http::{HeaderMap, HeaderName, HeaderValue};
use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use rusty_s3::actions::{GetObject, PutObject, S3Action};
use rusty_s3::{Credentials, UrlStyle};

/// Buckets with object lock take nothing without a checksum.
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// How long an address is good for: the clocks of both sides may differ.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// A bucket, and who puts things there.
pub(crate) struct Bucket {
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    /// What the names of objects begin with.
    prefix: String,
}

impl Bucket {
    /// The bucket `name` of the store at `url`, which is named in paths, as every store can.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn new(
        url: &str,
        (name, region): (&str, &str),
        credentials: Credentials,
        prefix: &str,
    ) -> Result<Self, String> {
        let url = url.parse().map_err(|_wrong| format!("`{url}` is no address"))?;
        let (name, region) = (name.to_owned(), region.to_owned());
        let bucket = rusty_s3::Bucket::new(url, UrlStyle::Path, name, region);
        let bucket = bucket.map_err(|error| error.to_string())?;
        Ok(Self { bucket, credentials, prefix: prefix.to_owned() })
    }

    /// The path at which to put `body` as `name`, and the headers to do it with.
    pub(super) fn put(
        &self,
        name: &str,
        body: &str,
        now: Timestamp,
    ) -> Option<(String, HeaderMap)> {
        let checksum = STANDARD.encode(Digest::of(body.as_bytes()).as_bytes());
        let object = format!("{}{name}", self.prefix);
        let mut put = PutObject::new(&self.bucket, Some(&self.credentials), &object);
        put.headers_mut().insert(CHECKSUM, checksum.clone());
        let checksum = HeaderValue::from_str(&checksum).ok()?;
        let headers = [(HeaderName::from_static(CHECKSUM), checksum)];
        Some((signed(&put, now)?, headers.into_iter().collect()))
    }

    /// The path at which `name` is to be had.
    pub(super) fn get(&self, name: &str, now: Timestamp) -> Option<String> {
        let object = format!("{}{name}", self.prefix);
        signed(&GetObject::new(&self.bucket, Some(&self.credentials), &object), now)
    }
}

fn signed<'a>(action: &impl S3Action<'a>, now: Timestamp) -> Option<String> {
    let url = action.sign_with_time(GOOD_FOR, &now.to_string().parse().ok()?);
    Some(format!("{}?{}", url.path(), url.query()?))
}
