//! How a gateway ends.

use std::time::Duration;

use super::Gateway;

/// How long calls on their way are waited for when the gateway ends.
const CALLS_END_WITHIN: Duration = Duration::from_secs(10);

/// How often, and how long each time, is waited for questions to end.
const QUESTIONS_END_TRIES: usize = 50;
const QUESTIONS_END_PAUSE: Duration = Duration::from_millis(20);

impl Gateway {
    /// Waits for the calls that are on their way, ends servers that are children of ours, writes what is still queued, and
    /// closes the record.
    ///
    /// A call may outlive its client's connection; one that outlives the wait is found without an outcome at the next
    /// start.
    pub async fn close(&self) {
        self.end_listening();
        // Those who were asked are told; what came of it is recorded.
        for _ in 0..QUESTIONS_END_TRIES {
            if self.questions.count() == 0 {
                break;
            }
            tokio::time::sleep(QUESTIONS_END_PAUSE).await;
        }
        let all_ended = self.bulkhead.emptied();
        if tokio::time::timeout(CALLS_END_WITHIN, all_ended).await.is_err() {
            tracing::warn!("calls are still on their way: their outcomes are not recorded");
        }
        for server in self.servers.values() {
            server.stop().await;
        }
        if let Some(registry) = self.identities.registry() {
            registry.write_uses().await;
        }
        if let Err(error) = self.evidence.shutdown().await {
            tracing::error!(%error, "the last records could not be written");
        }
    }
}
