//! Tokens that were issued to the gateway: kept while they are good, and asked for once for all who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callgate_mcp::http::HeaderValue;
use callgate_model::digest::Digest;
use tokio::time::Instant;

use super::broker::{Presented, Unavailable};
use super::endpoint::Token;

/// Tokens in the names of callers, of one server.
const TOKENS_MAX: usize = 10_000;
/// A token is not used any more when it has less than this to go: the call takes time, and clocks differ.
const MARGIN: Duration = Duration::from_secs(30);
/// Before an endpoint is asked again for what it did not give.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// Between two looks for what is of no use any more.
const SWEEP: Duration = Duration::from_secs(1);

/// The place of one token.
#[derive(Debug, Default)]
pub(super) struct Slot {
    current: Mutex<Option<Held>>,
    /// Held while asking: whoever waits for it finds what the first one got, or why there is none.
    asking: tokio::sync::Mutex<Option<Failed>>,
}

#[derive(Clone, Debug)]
struct Held {
    header: HeaderValue,
    /// When it was there.
    since: Instant,
    /// Until when whoever comes is given it.
    until: Instant,
    /// When it is good no more.
    ends: Instant,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    why: Unavailable,
}

impl Slot {
    /// The token here; if there is none, the one that `ask` gives. It is kept for no longer than `longest`.
    pub(super) async fn get(
        self: &Arc<Self>,
        longest: Duration,
        ask: impl Future<Output = Result<Token, Unavailable>>,
    ) -> Result<Presented, Unavailable> {
        let came = Instant::now();
        if let Some(held) = self.held(|held| held.until > came) {
            return Ok(self.presented(held.header));
        }
        let mut failed = self.asking.lock().await;
        let now = Instant::now();
        // However short a token lasts: one for which somebody asked meanwhile is good for all who waited.
        let is_for_all = |held: &Held| held.until > now || (held.since >= came && held.ends > now);
        if let Some(held) = self.held(is_for_all) {
            return Ok(self.presented(held.header));
        }
        let recent = failed.as_ref().filter(|one| one.at >= came || one.at.elapsed() < FAILED_FOR);
        if let Some(failed) = recent {
            return Err(failed.why.clone());
        }
        let asked = Instant::now();
        match ask.await {
            Ok(Token { header, lasts }) => {
                let until = asked + lasts.saturating_sub(MARGIN).min(longest);
                let (since, ends) = (Instant::now(), asked + lasts.min(longest));
                *self.current() = Some(Held { header: header.clone(), since, until, ends });
                *failed = None;
                Ok(self.presented(header))
            }
            Err(why) => {
                *failed = Some(Failed { at: Instant::now(), why: why.clone() });
                Err(why)
            }
        }
    }

    /// Forgets the token, if it is still that one.
    pub(super) fn forget(&self, header: &HeaderValue) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|held| held.header == *header) {
            *current = None;
        }
    }

    fn presented(self: &Arc<Self>, header: HeaderValue) -> Presented {
        Presented { header: Some(header), slot: Some(Arc::clone(self)) }
    }

    fn held(&self, is_good: impl Fn(&Held) -> bool) -> Option<Held> {
        self.current().as_ref().filter(|held| is_good(held)).cloned()
    }

    fn current(&self) -> MutexGuard<'_, Option<Held>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_of_use(&self) -> bool {
        let now = Instant::now();
        self.held(|held| held.until > now).is_some()
    }
}

/// Tokens in the names of callers, each by the digest of the caller's own.
#[derive(Debug, Default)]
pub(super) struct Issued(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    by_token: HashMap<Digest, Arc<Slot>>,
    swept: Option<Instant>,
}

impl Issued {
    /// The place of the token for whoever holds the token of this digest. If there is no room, another is given up: first
    /// those of no use that nobody waits at.
    pub(super) fn slot(&self, of: Digest) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.by_token.get(&of) {
            return Arc::clone(slot);
        }
        let is_full = slots.by_token.len() >= TOKENS_MAX;
        if is_full && slots.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            slots.by_token.retain(|_, slot| slot.is_of_use() || Arc::strong_count(slot) > 1);
            slots.swept = Some(Instant::now());
        }
        if slots.by_token.len() >= TOKENS_MAX {
            let any = slots.by_token.keys().next().copied();
            any.and_then(|any| slots.by_token.remove(&any));
        }
        Arc::clone(slots.by_token.entry(of).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const LONG: Duration = Duration::from_secs(100_000);

    async fn token(asked: &AtomicUsize, seconds: u64) -> Result<Token, Unavailable> {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let header = HeaderValue::from_str(&format!("Bearer {number}")).unwrap();
        Ok(Token { header, lasts: Duration::from_secs(seconds) })
    }

    /// As if time had passed.
    fn later(slot: &Slot, seconds: u64) {
        if let Some(held) = slot.current().as_mut() {
            for at in [&mut held.since, &mut held.until, &mut held.ends] {
                *at -= Duration::from_secs(seconds);
            }
        }
    }

    fn text(presented: &Presented) -> &str {
        presented.header().unwrap().to_str().unwrap()
    }

    #[tokio::test]
    async fn a_token_is_used_until_it_has_half_a_minute_to_go() {
        let (slot, asked) = (Arc::new(Slot::default()), AtomicUsize::new(0));
        let get = async || slot.get(LONG, token(&asked, 90)).await.unwrap();
        assert_eq!(text(&get().await), "Bearer 0");
        later(&slot, 58);
        assert_eq!(text(&get().await), "Bearer 0");
        later(&slot, 2);
        assert_eq!(text(&get().await), "Bearer 1");
    }

    #[tokio::test]
    async fn a_token_is_not_used_for_longer_than_its_caller_may_come() {
        let (slot, asked) = (Arc::new(Slot::default()), AtomicUsize::new(0));
        let get = async || slot.get(Duration::from_secs(5), token(&asked, 300)).await.unwrap();
        assert_eq!(text(&get().await), "Bearer 0");
        later(&slot, 5);
        assert_eq!(text(&get().await), "Bearer 1");
    }

    #[tokio::test]
    async fn i13_all_who_wait_ask_once_however_short_the_token_lasts_or_if_there_is_none() {
        let (slot, asked) = (Arc::new(Slot::default()), AtomicUsize::new(0));
        let waiting = (0..50).map(|_| slot.get(LONG, token(&asked, 10)));
        let given = join_all(waiting).await;
        assert!(given.iter().all(|one| text(one.as_ref().unwrap()) == "Bearer 0"));
        assert_eq!(text(&slot.get(LONG, token(&asked, 10)).await.unwrap()), "Bearer 1");
        let (slot, asked) = (Arc::new(Slot::default()), AtomicUsize::new(0));
        let failing = async || {
            token(&asked, 10).await?;
            Err(Unavailable::Busy)
        };
        let given = join_all((0..50).map(|_| slot.get(LONG, failing()))).await;
        assert!(given.iter().all(Result::is_err));
        assert!(slot.get(LONG, failing()).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        slot.asking.lock().await.as_mut().unwrap().at -= FAILED_FOR;
        assert!(slot.get(LONG, token(&asked, 10)).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_that_a_server_does_not_take_is_forgotten_and_no_later_one() {
        let (slot, asked) = (Arc::new(Slot::default()), AtomicUsize::new(0));
        let first = slot.get(LONG, token(&asked, 300)).await.unwrap();
        first.rejected();
        let second = slot.get(LONG, token(&asked, 300)).await.unwrap();
        assert_eq!(text(&second), "Bearer 1");
        first.rejected();
        let third = slot.get(LONG, token(&asked, 300)).await.unwrap();
        assert_eq!(text(&third), "Bearer 1");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_turn_to_the_next() {
        let (slot, asked) = (Arc::new(Slot::default()), AtomicUsize::new(0));
        let gave_up = slot.get(LONG, token(&asked, 300));
        assert!(tokio::time::timeout(Duration::from_millis(50), gave_up).await.is_err());
        assert_eq!(text(&slot.get(LONG, token(&asked, 300)).await.unwrap()), "Bearer 1");
    }

    #[tokio::test]
    async fn i13_tokens_in_the_names_of_callers_have_a_bound() {
        let (issued, asked) = (Issued::default(), AtomicUsize::new(0));
        let of = |number: usize| Digest::of(&number.to_be_bytes());
        let kept = issued.slot(of(0));
        kept.get(LONG, token(&asked, 300)).await.unwrap();
        for number in 1..TOKENS_MAX + 10 {
            drop(issued.slot(of(number)));
        }
        let slots = issued.0.lock().unwrap();
        assert!(slots.by_token.len() <= TOKENS_MAX);
        assert!(slots.by_token.contains_key(&of(0)), "what is of use stays");
    }
}
