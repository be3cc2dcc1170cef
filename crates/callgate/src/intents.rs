//! The intents of calls, for whoever is told what became of these: who called what stands in the intent only.

use std::collections::HashMap;

use callgate_model::ambient::Id;
use callgate_model::json::Json;
use callgate_store::{EvidenceStore, StoreError};

/// Intents whose outcomes may still come, at most; of others the log is asked.
const KNOWN_MAX: usize = 2_000;

/// Those that went by on a way through the log.
#[derive(Debug, Default)]
pub(crate) struct Intents(HashMap<Id, Json>);

impl Intents {
    /// The intent that stands beside `record`, the next one of the log: of an outcome and of what was settled, that of the call.
    ///
    /// # Errors
    /// [`StoreError`], if the log cannot be asked.
    pub(crate) async fn beside(
        &mut self,
        store: &dyn EvidenceStore,
        (kind, call): (&str, Option<Id>),
        record: &Json,
    ) -> Result<Option<Json>, StoreError> {
        match (kind, call) {
            ("intent", Some(call)) => {
                if self.0.len() >= KNOWN_MAX {
                    self.0.clear();
                }
                self.0.insert(call, record.clone());
                Ok(None)
            }
            ("outcome" | "settled", Some(call)) => match self.0.remove(&call) {
                None => {
                    let rows = store.show(call).await?;
                    Ok(rows.iter().find(|row| row.kind == "intent").map(|row| row.record().into()))
                }
                known => Ok(known),
            },
            (_, _) => Ok(None),
        }
    }
}
