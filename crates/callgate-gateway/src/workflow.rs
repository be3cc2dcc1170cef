//! Workflow runs: what a caller says beforehand that a run is for. The gateway seals it, and calls that carry the sealed text
//! belong to the run. Nothing of it is kept here; whoever has the text and is not the caller has nothing.

use std::sync::Arc;

use callgate_mcp::http::HeaderMap;
use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::caller::{Assurance, Workflow};
use callgate_model::digest::Digest;
use callgate_model::envelope::Portion;
use callgate_model::json::{Json, Object};
use serde::{Deserialize, Serialize};

use crate::identity::Identified;
use crate::sealing::Keyring;

/// The header by which a call says which run it belongs to.
pub const HEADER: &str = "callgate-workflow";
/// The member of `_meta` that says the same.
pub const META: &str = "dev.callgate/workflow";
/// Longest handle, in bytes.
const HANDLE_BYTES_MAX: usize = 16 << 10;

const PURPOSE: &str = "workflow";

/// A run that is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its id.
    pub run: Id,
    /// What it is for.
    pub purpose: String,
    /// The ticket that asks for it.
    pub ticket: Option<String>,
    /// What its calls may do: never more than without it.
    pub within: Portion,
    /// When it ends.
    pub ends: Timestamp,
}

/// What a request says of the run it belongs to.
pub(crate) enum Said<'a> {
    Nothing,
    Handle(&'a str),
    /// Not one handle.
    Unclear,
}

impl Run {
    /// The text by which calls of this caller belong to the run. Nothing, if it is too large.
    #[must_use]
    pub fn seal(
        &self,
        keys: &Keyring,
        caller: &Identified,
        ambient: &dyn Ambient,
    ) -> Option<String> {
        let plain = serde_json::to_vec(self).ok()?;
        let bound = holder(caller);
        let sealed = keys.seal(PURPOSE, bound.as_bytes(), &plain, ambient.random())?;
        (sealed.len() <= HANDLE_BYTES_MAX).then_some(sealed)
    }

    /// The run of a handle, if it was given to this caller and has not ended at `now`.
    pub(crate) fn open(
        keys: &Keyring,
        caller: &Identified,
        now: Timestamp,
        handle: &str,
    ) -> Option<Self> {
        if handle.len() > HANDLE_BYTES_MAX {
            return None;
        }
        let plain = keys.open(PURPOSE, holder(caller).as_bytes(), handle)?;
        let run: Self = serde_json::from_slice(&plain).ok()?;
        (now < run.ends).then_some(run)
    }

    /// `caller` in this run.
    pub(crate) fn of(self, caller: &Identified) -> Arc<Identified> {
        let ends = self.ends;
        let workflow = Workflow {
            run: self.run.to_string(),
            purpose: Some(self.purpose),
            ticket: self.ticket,
            within: Some(self.within),
            assurance: Assurance::Verified,
        };
        Arc::new(caller.in_workflow(workflow, ends))
    }
}

/// Who may use a handle: the chain, whatever credential it has now and for whatever that is.
fn holder(caller: &Identified) -> Digest {
    let caller = &caller.caller;
    let actors = caller.agent.iter().chain(&caller.actors);
    let actors: Vec<Json> = actors.map(|agent| agent.identity.to_string().into()).collect();
    let chain = Object::default()
        .with("kind", caller.accountable.kind.as_str())
        .with("accountable", caller.accountable.identity.to_string())
        .with("has_agent", caller.agent.is_some())
        .with("actors", actors)
        .with("client", caller.client.name.as_str());
    Digest::of_object(&chain)
}

/// What a request says of its run: in a header, in its parameters, or the same in both.
pub(crate) fn said<'a>(headers: Option<&'a HeaderMap>, params: &'a Object) -> Said<'a> {
    let meta = params.get("_meta").and_then(|meta| meta.get(META));
    let mut named = headers.into_iter().flat_map(|headers| headers.get_all(HEADER));
    let header = match (named.next(), named.next()) {
        (None, _) => None,
        (Some(one), None) => match one.to_str() {
            Ok(text) => Some(text),
            Err(_) => return Said::Unclear,
        },
        (Some(_), Some(_)) => return Said::Unclear,
    };
    match (header, meta) {
        (None, None) => Said::Nothing,
        (Some(header), None) => Said::Handle(header),
        (None, Some(Json::String(meta))) => Said::Handle(meta),
        (Some(header), Some(Json::String(meta))) if header == meta => Said::Handle(header),
        (_, Some(_)) => Said::Unclear,
    }
}
