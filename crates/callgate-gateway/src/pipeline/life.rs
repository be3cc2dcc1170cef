//! How a gateway ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Gateway;

/// How long calls on their way are waited for when the gateway ends.
const CALLS_END_WITHIN: Duration = Duration::from_secs(10);

/// How often, and how long each time, is waited for questions to end.
const QUESTIONS_END_TRIES: usize = 50;
const QUESTIONS_END_PAUSE: Duration = Duration::from_millis(20);

impl Gateway {
    /// Says from now on that others should be asked. Whoever asks nevertheless is answered as ever.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether others should be asked.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// How many calls are on their way.
    #[must_use]
    pub fn calls_in_flight(&self) -> usize {
        self.bulkhead.count()
    }

    /// Waits for the calls that are on their way, ends servers that are children of ours, writes what is still queued, and
    /// closes the record.
    ///
    /// A call may outlive its client's connection; one that outlives the wait is found without an outcome at the next
    /// start.
    pub async fn close(&self) {
        self.close_before(tokio::time::sleep(CALLS_END_WITHIN)).await;
    }

    /// The same, and waits for calls until `cut` is ready.
    pub async fn close_before(&self, cut: impl Future<Output = ()>) {
        self.end_listening();
        tokio::select! {
            () = self.calls_ended() => {}
            () = cut => {
                let calls = self.calls_in_flight();
                tracing::warn!(calls, "calls are still on their way: their outcomes are not recorded");
            }
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

    async fn calls_ended(&self) {
        // Those who were asked are told; what came of it is recorded.
        for _ in 0..QUESTIONS_END_TRIES {
            if self.questions.count() == 0 {
                break;
            }
            tokio::time::sleep(QUESTIONS_END_PAUSE).await;
        }
        self.bulkhead.emptied().await;
    }
}
