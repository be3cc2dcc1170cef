//! Sends what is to be told, out of the store, until the channel has it, nobody needs it any more, or it was tried too often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pipeline::Gateway;
use callgate_model::ambient::Ambient;
use callgate_model::approval::Occasion;
use callgate_model::authority::Change;
use callgate_store::{AuthorityStore, EvidenceError, Settled, StoreError, Taken};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::news::{Called, News};
use super::told::Told;
use super::{Channels, SEND_WITHIN};
use crate::pause::Pause;

/// How often the store is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Messages that one channel is sent at one time.
const SENDING_MAX: usize = 4;
/// How often a message is tried.
const ATTEMPTS_MAX: u32 = 8;
/// How long after a first failure it is tried again; then three times as long after each.
const AGAIN: Pause = Pause { first_ms: 1_000, factor: 3, ms_max: 120_000 };
/// For how long whoever sends a message has it for themselves, in milliseconds. A crash costs so much.
const TAKEN_MS: u64 = 15_000;

/// For how long a gateway leaves messages alone that are for a channel which it does not have: another one may have it.
const ABANDONED_MS: u64 = 60_000;

// Nobody else may have it while it is sent.
const _: () = assert!(SEND_WITHIN.as_millis() < TAKEN_MS as u128);

/// The task that tells people, for as long as this is kept.
pub(crate) struct Telling(JoinHandle<()>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells people what the gateway's store has for them.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    channels: Arc<Channels>,
    ambient: Arc<dyn Ambient>,
) -> Telling {
    let teller = Teller { gateway: Arc::clone(gateway), channels, ambient };
    Telling(tokio::spawn(Arc::new(teller).work()))
}

struct Teller {
    gateway: Arc<Gateway>,
    channels: Arc<Channels>,
    ambient: Arc<dyn Ambient>,
}

/// What is on its way.
#[derive(Default)]
struct OnTheWay {
    /// Room in each channel: one that hangs leaves that of others alone.
    rooms: BTreeMap<String, Arc<Semaphore>>,
    sending: JoinSet<()>,
}

impl Teller {
    async fn work(self: Arc<Self>) {
        let mut on_the_way = OnTheWay::default();
        let mut fails = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            while on_the_way.sending.try_join_next().is_some() {}
            let Some(store) = self.gateway.authority() else { return };
            let looked = self.look(store, &mut on_the_way).await;
            match &looked {
                Err(error) if !fails => {
                    tracing::error!(%error, "what people are to be told cannot be read");
                }
                Err(_) | Ok(()) => {}
            }
            fails = looked.is_err();
        }
    }

    async fn look(
        self: &Arc<Self>,
        store: &dyn AuthorityStore,
        on_the_way: &mut OnTheWay,
    ) -> Result<(), StoreError> {
        let waiting = store.notices_waiting(self.ambient.now()).await?;
        let known = self.channels.keys().chain(on_the_way.rooms.keys());
        let none = known.map(|name| (name.clone(), 0));
        let count = waiting.iter().map(|(channel, _, waits)| (channel.clone(), *waits));
        self.gateway.notices_wait(none.chain(count));
        for (channel, due, _) in waiting {
            let room = on_the_way.rooms.entry(channel.clone());
            let room = Arc::clone(room.or_insert_with(|| Arc::new(Semaphore::new(SENDING_MAX))));
            let limit = due.min(u32::try_from(room.available_permits()).unwrap_or(0));
            if limit == 0 {
                continue;
            }
            let now = self.ambient.now();
            let is_ours = self.channels.contains_key(&channel);
            let since = if is_ours { now } else { now.before_ms(ABANDONED_MS) };
            let during = (since, now.after_ms(TAKEN_MS));
            for taken in store.take_notices(&channel, during, limit).await? {
                let Ok(room) = Arc::clone(&room).try_acquire_owned() else { break };
                on_the_way.sending.spawn(Arc::clone(self).tell(taken, room));
            }
        }
        Ok(())
    }

    /// Sends one message, and writes down what became of it. If that cannot be written, it is sent again later.
    async fn tell(self: Arc<Self>, taken: Taken, _room: OwnedSemaphorePermit) {
        let Some(store) = self.gateway.authority() else { return };
        let news = match self.news(store, &taken).await {
            Ok(news) => news,
            Err(error) => {
                tracing::error!(%error, about = %taken.about, "what people are to be told of cannot be read");
                return;
            }
        };
        let Some(news) = news else {
            return self.settle(store, &taken, Settled::Needless).await;
        };
        match (news.is_too_late(), taken.attempt > 1) {
            (true, false) => return self.settle(store, &taken, Settled::Needless).await,
            (true, true) => return self.give_up(&taken, "it ended before that").await,
            (false, _) if taken.attempt > ATTEMPTS_MAX => {
                return self.give_up(&taken, "the last attempt was not finished").await;
            }
            (false, _) => {}
        }
        let sent = match self.channels.get(&taken.channel) {
            Some(channel) => channel.send(&news).await,
            None => Err("no channel of that name is configured any more".to_owned()),
        };
        match sent {
            Ok(()) => {
                self.gateway.noticed(&taken.channel, "delivered");
                self.settle(store, &taken, Settled::Delivered).await;
            }
            Err(error) => self.failed(store, &taken, &news, error).await,
        }
    }

    /// What there is to tell; nothing, if what it is about is not there.
    async fn news(
        &self,
        store: &dyn AuthorityStore,
        taken: &Taken,
    ) -> Result<Option<News>, StoreError> {
        let now = self.ambient.now();
        match taken.occasion {
            Occasion::Requested
            | Occasion::Escalated
            | Occasion::Closed
            | Occasion::GlassBroken => {
                let found = store.approval(taken.about).await?;
                let told = |state| Box::new(Told::new(&self.gateway, taken, state, now));
                Ok(found.map(|state| News::Approval(told(state))))
            }
            Occasion::LetThrough => {
                let Some(evidence) = self.gateway.recorded() else { return Ok(None) };
                let rows = evidence.show(taken.about).await?;
                // Somebody else may have pages who let it through.
                let page = self.gateway.page_of_call(taken.about).or_else(|| taken.page.clone());
                let intent = rows.iter().find(|row| row.kind == "intent");
                let called = |row| Box::new(Called::new(taken, row, page, now));
                Ok(intent.map(|row| News::Call(called(row))))
            }
        }
    }

    async fn failed(&self, store: &dyn AuthorityStore, taken: &Taken, news: &News, error: String) {
        self.gateway.noticed(&taken.channel, "failed");
        let (channel, attempt) = (&taken.channel, taken.attempt);
        tracing::warn!(channel, attempt, error, about = %taken.about, "people were not told");
        if attempt >= ATTEMPTS_MAX {
            return self.give_up(taken, &error).await;
        }
        let now = self.ambient.now();
        let mut again = now.after_ms(AGAIN.ms(attempt, &self.ambient.random()));
        if let Some(until) = news.is_of_use_until() {
            // At its end it is no more of use, which is to be seen at once.
            again = again.min(until);
        }
        self.settle(store, taken, Settled::Failed { error, again }).await;
    }

    async fn give_up(&self, taken: &Taken, reason: &str) {
        let change = Change::NoticeGivenUp {
            id: taken.id,
            channel: taken.channel.clone(),
            attempts: taken.attempt,
            reason: match &taken.failure {
                Some(before) if before != reason => format!("{reason}; before: {before}"),
                Some(_) | None => reason.to_owned(),
            },
        };
        match self.gateway.administer("callgate".to_owned(), change).await {
            Ok(()) => {
                self.gateway.noticed(&taken.channel, "given_up");
                let (channel, about) = (&taken.channel, taken.about);
                tracing::error!(channel, %about, reason, "people are not told: given up");
            }
            // Somebody else has.
            Err(EvidenceError::Refused) => {}
            Err(error) => tracing::error!(%error, "that people are not told cannot be recorded"),
        }
    }

    async fn settle(&self, store: &dyn AuthorityStore, taken: &Taken, settled: Settled) {
        if let Err(error) = store.settle_notice(taken, settled, self.ambient.now()).await {
            tracing::error!(%error, "what became of a message to people cannot be written");
        }
    }
}

#[cfg(test)]
mod tests;
