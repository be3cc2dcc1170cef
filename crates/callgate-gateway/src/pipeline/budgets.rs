//! Budgets: whether there is room in them for a call that is allowed. Asked last, before anything is spent.
//!
//! What a client asks of a task is no other call, nor is what the gateway itself reads to decide.

use callgate_model::ambient::Timestamp;
use callgate_model::budget::{Count, Spent, Tally};
use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::reason::Reason;
use callgate_store::StoreError;

use super::{Gateway, Request};
use crate::budgets::NoRoom;
use crate::limits::Limit;
use crate::name::NamedCall;

impl Gateway {
    /// Counts a call that is allowed in each budget that it is about; in those that replicas share it counts with its intent.
    ///
    /// # Errors
    /// What its caller is told. The record says that it is refused.
    pub(super) async fn count(
        &self,
        request: &Request,
        named: &NamedCall,
        record: &mut Decided,
    ) -> Result<(), String> {
        if named.call.method.is_about_task() {
            return Ok(());
        }
        let counts = self.budgets.counts(&request.caller.caller, named);
        let now = self.ambient.now();
        for count in counts.iter().filter(|count| count.exact) {
            // Asked before, so that a flood of calls without room is no flood of intents that cannot be stored.
            match self.spent(count, now).await {
                Ok(None) => {}
                Ok(Some(spent)) => return Err(self.is_spent(record, count.clone(), spent, now)),
                Err(error) => {
                    tracing::error!(%error, "budgets cannot be looked up");
                    let bundle = record.decision.bundle;
                    record.decision = Decision::deny(Reason::EvidenceUnavailable, bundle);
                    return Err("what was counted is not known".to_owned());
                }
            }
        }
        let here = counts.iter().filter(|count| !count.exact);
        match self.budgets.count(here, now) {
            Ok(()) => {
                record.budgets = counts;
                Ok(())
            }
            Err(NoRoom::Spent(count, spent)) => Err(self.is_spent(record, *count, spent, now)),
            Err(NoRoom::Full) => {
                let limit = Limit::BudgetMarks;
                self.metrics.limited(limit);
                record.decision = Decision::deny(Reason::Overloaded, record.decision.bundle);
                Err(limit.told().to_owned())
            }
        }
    }

    /// Makes `record` the refusal of a call whose intent would have taken what is not there any more. Gives what its caller is told
    /// beside that.
    pub(super) async fn is_lost(&self, record: &mut Decided) -> Option<String> {
        let (bundle, now) = (record.decision.bundle, self.ambient.now());
        let counts = std::mem::take(&mut record.budgets);
        for count in counts.iter().filter(|count| count.exact) {
            if let Ok(Some(spent)) = self.spent(count, now).await {
                return Some(self.is_spent(record, count.clone(), spent, now));
            }
        }
        let shared = counts.into_iter().find(|count| count.exact);
        match shared.filter(|_| !record.under.spends()) {
            // There was none a moment ago.
            Some(count) => {
                let spent = Spent { room_at: Some(now) };
                Some(self.is_spent(record, count, spent, now))
            }
            None => {
                record.decision = Decision::deny(record.under.lost(), bundle);
                None
            }
        }
    }

    /// Whether there is no room in a budget that replicas share.
    async fn spent(&self, count: &Count, now: Timestamp) -> Result<Option<Spent>, StoreError> {
        let Some(store) = self.authority() else {
            return Ok(Some(Spent { room_at: None }));
        };
        let marks = store.budget_marks(count.key, now).await?;
        Ok(Tally::of(marks).room(count, now).err())
    }

    fn is_spent(&self, record: &mut Decided, count: Count, spent: Spent, now: Timestamp) -> String {
        self.metrics.budget_spent(&count.budget);
        record.decision = Decision::deny(Reason::BudgetSpent, record.decision.bundle);
        let told = match spent.room_at {
            Some(at) => {
                let seconds = at.ms_since(now).div_ceil(1_000);
                format!("{}; there is room again at {at}, in {seconds} s", count.told)
            }
            None => format!("{}, and this alone is more than that", count.told),
        };
        record.budgets = vec![count];
        told
    }
}
