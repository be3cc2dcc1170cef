//! Calls of which it is not known whether they took effect: a person looks at the server, and says what they found. The
//! outcome stays what it was; what was found stands beside it.

use std::sync::Arc;

use callgate_model::ambient::Id;
use callgate_model::evidence::{Event, Finding, Settled};
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_store::{Durability, Row, unsettled_calls};

use super::vote::by_themselves;
use super::{ErrandError, Gateway};
use crate::identity::Identified;

impl Gateway {
    /// The newest calls that are no reads and that nobody has settled: the intent of each, and its outcome.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn unsettled(
        &self,
        who: &Arc<Identified>,
        limit: u32,
    ) -> Result<Vec<(Row, Row)>, ErrandError> {
        let work = async {
            let store = self.recorded().ok_or(ErrandError::Unavailable)?;
            let unread = |error| {
                tracing::error!(%error, "the evidence cannot be read");
                ErrandError::Unavailable
            };
            unsettled_calls(&*store, false, limit).await.map_err(unread)
        };
        self.run_errand(who, Errand::CallList, None, Object::default(), work).await
    }

    /// Takes what `who` has found out about a call, if policy lets them say so about calls, and nobody has said so yet.
    ///
    /// # Errors
    /// [`ErrandError`]; [`ErrandError::Gone`] if it is known already what became of it.
    pub async fn settle(
        &self,
        who: &Arc<Identified>,
        call: Id,
        (finding, note): (Finding, &str),
    ) -> Result<(), ErrandError> {
        let note = note.trim();
        let asked = Object::default()
            .with("call", call.to_string())
            .with("finding", finding.as_str())
            .with("note", note);
        let work = async {
            by_themselves(&who.caller).map_err(|why| ErrandError::Wrong(why.to_owned()))?;
            if note.is_empty() || note.len() > Settled::NOTE_BYTES_MAX {
                let most = Settled::NOTE_BYTES_MAX;
                let text = format!("say how you know, in up to {most} bytes: it is recorded");
                return Err(ErrandError::Wrong(text));
            }
            let by = who.caller.accountable.identity.to_string();
            let settled = Settled { call, by, finding, note: note.to_owned() };
            Ok(self.evidence.record(Event::Settled(settled), Durability::Durable).await?)
        };
        self.run_errand(who, Errand::CallSettle, None, asked, work).await
    }
}
