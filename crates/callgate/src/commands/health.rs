//! `callgate health`: whether a gateway answers and can record calls, for whatever can run a program and nothing else, as the health check of a container.

use std::time::Duration;

use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;

use crate::cli::{Failure, Health};
use crate::print;

/// For an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

pub(crate) async fn run(options: Health) -> Result<(), Failure> {
    let url = options.url.parse();
    let url = url.map_err(|_unreadable| format!("`{}` is no address", options.url))?;
    let limits = UpstreamLimits { total: ANSWER_WITHIN, ..UpstreamLimits::default() };
    let document = Document::new(url, limits).map_err(|error| error.to_string())?;
    match document.bytes_below("", None).await {
        Ok(said) => {
            print::line(&print::safe(String::from_utf8_lossy(&said).trim_end()));
            Ok(())
        }
        Err(error) => {
            print::note(&format!("{}: {error}", options.url));
            Err(Failure::No)
        }
    }
}
