//! Too much at one time: refused at once and before anything is done for it, so that what is in progress ends in time.

use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;

use super::{Gateway, Request};
use crate::bulkhead::Slot;
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
            let reason = match limit {
                Limit::ServerFailures => Reason::UpstreamUnavailable,
                Limit::BudgetMarks
                | Limit::CallsInFlight
                | Limit::CallsPerCaller
                | Limit::ServerCallsInFlight
                | Limit::Streams
                | Limit::StreamsPerCaller => Reason::Overloaded,
            };
            record.decision = Decision::deny(reason, record.decision.bundle);
            self.metrics.limited(*limit);
        })
    }
}
