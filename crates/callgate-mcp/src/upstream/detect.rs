//! Which era a server speaks: asked with `server/discover`, which has no effect, and believed for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use callgate_model::json::Json;
use http::HeaderValue;
use tokio::time::Instant;

use super::exchange::Reply;
use super::outgoing::{Ask, Route};
use super::question::Patience;
use super::{CallError, CallErrorKind, EraSetting, Upstream};
use crate::code;
use crate::era::{LegacyVersion, MODERN};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Modern,
    Legacy,
}

/// What is known of a server. It expires, since a wrong verdict would never correct itself.
#[derive(Debug)]
pub(super) struct Detected {
    setting: EraSetting,
    expiry: Duration,
    verdict: Mutex<Option<(Speaks, Instant)>>,
}

impl Detected {
    pub(super) const fn new(setting: EraSetting, expiry: Duration) -> Self {
        Self { setting, expiry, verdict: Mutex::new(None) }
    }

    pub(super) fn known(&self) -> Option<Speaks> {
        match self.setting {
            EraSetting::Modern => Some(Speaks::Modern),
            EraSetting::Legacy => Some(Speaks::Legacy),
            EraSetting::Auto => {
                let verdict = *self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
                verdict.filter(|(_, at)| at.elapsed() < self.expiry).map(|(speaks, _)| speaks)
            }
        }
    }

    pub(super) fn forget(&self) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn learn(&self, speaks: Speaks) {
        let verdict = Some((speaks, Instant::now()));
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
    }
}

impl Upstream {
    pub(super) async fn detect(
        &self,
        credential: Option<&HeaderValue>,
    ) -> Result<Speaks, CallErrorKind> {
        let probe = Ask::new("server/discover", credential);
        let speaks = judge(
            self.ask_once(&probe, &Route::Modern, &Patience::default(), &mut |_, _| {}).await,
        )?;
        self.detected.learn(speaks);
        Ok(speaks)
    }
}

/// A failure to authenticate or to answer at all is no verdict.
pub(super) fn judge(reply: Result<Reply, CallError>) -> Result<Speaks, CallErrorKind> {
    match reply {
        Ok(Reply { outcome: Ok(result), .. }) => match result.get("supportedVersions") {
            // Some servers answer like this to every method that they do not know.
            None => Ok(Speaks::Legacy),
            versions => by_versions(versions),
        },
        Ok(Reply { status, outcome: Err(error), .. }) => match error.code {
            code::HEADER_MISMATCH | code::MISSING_CAPABILITY => Ok(Speaks::Modern),
            code::UNSUPPORTED_VERSION => {
                by_versions(error.data.as_ref().and_then(|data| data.get("supported")))
            }
            _ => by_status(status.as_u16()),
        },
        Err(CallError { kind: CallErrorKind::Status(status @ 400..500), .. }) => by_status(status),
        Err(CallError { kind, .. }) => Err(kind),
    }
}

fn by_status(status: u16) -> Result<Speaks, CallErrorKind> {
    match status {
        408 | 429 => Err(CallErrorKind::Status(status)),
        _ => Ok(Speaks::Legacy),
    }
}

fn by_versions(versions: Option<&Json>) -> Result<Speaks, CallErrorKind> {
    let versions = versions.and_then(Json::as_array).unwrap_or_default();
    let mut texts = versions.iter().filter_map(Json::as_str);
    if texts.clone().any(|version| version == MODERN) {
        Ok(Speaks::Modern)
    } else if texts.any(|version| LegacyVersion::parse(version).is_some()) {
        Ok(Speaks::Legacy)
    } else {
        Err(CallErrorKind::NotMcp("no protocol version in common".to_owned()))
    }
}
