//! Too much at one time: refused at once and before anything is done for it, so that what is in progress ends in time.

use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use callgate_store::EvidenceError;

use super::{Gateway, Request};
use crate::bulkhead::Slot;
use crate::evidence::OpenError;
use crate::limits::Limit;

impl Gateway {
    /// Room for a call, or for what is like one. If there is none, the record says that it is refused.
    ///
    /// # Errors
    /// The limit that leaves none.
    pub(super) fn enter_call(
        &self,
        request: &Request,
        record: &mut Decided,
    ) -> Result<Slot, Limit> {
        self.bulkhead.enter(request.caller.key, &request.server).inspect_err(|limit| {
            let is_silent = *limit == Limit::ServerFailures;
            let reason = if is_silent { Reason::UpstreamUnavailable } else { Reason::Overloaded };
            record.decision = Decision::deny(reason, record.decision.bundle);
            self.metrics.limited(*limit);
        })
    }

    /// Counts a limit of the record, if that is why an intent was not recorded.
    pub(super) fn is_beyond(&self, error: &OpenError) {
        match error {
            OpenError::Evidence(EvidenceError::Full) => self.metrics.limited(Limit::EvidenceQueue),
            OpenError::Evidence(EvidenceError::Timeout) => {
                self.metrics.limited(Limit::EvidenceTime);
            }
            OpenError::Evidence(
                EvidenceError::Closed
                | EvidenceError::Failing
                | EvidenceError::Refused
                | EvidenceError::Store(_),
            )
            | OpenError::NotAllowed => {}
        }
    }
}
