//! Where what a report is made of comes from: the store, the configuration, and the policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use callgate_model::ambient::{DAY_MS, Timestamp};
use callgate_model::caller::Caller;
use callgate_model::vocabulary::Vocabulary;
use callgate_policy::Bundle;
use callgate_store::{AuthorityStore, EvidenceStore, StoreError};

use super::{Asking, Known, Usage};
use crate::config::Config;

/// Records that are read in one go.
const PAGE: u32 = 1_000;

/// What the configuration says.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// The chains of tokens that stand in it.
    chains: Vec<Caller>,
    /// Agents and clients that it names.
    registered: BTreeSet<String>,
    pub(crate) servers: BTreeSet<String>,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) now: Timestamp,
    /// Days before now.
    pub(crate) days: u32,
    /// Of the newest records so many; all, if nothing is said.
    pub(crate) records_max: Option<u64>,
    /// So many places; all, if nothing is said.
    pub(crate) places_max: Option<usize>,
}

impl Configured {
    pub(crate) fn of(config: &Config) -> Self {
        let of_token = |caller: &Caller| {
            let agent = caller.agent.as_ref().map(|agent| agent.identity.to_string());
            [agent, Some(caller.client.name.clone())].into_iter().flatten()
        };
        let mut registered: BTreeSet<String> = config.tokens.values().flat_map(of_token).collect();
        for issuer in &config.issuers {
            for (id, agent) in issuer.agents() {
                registered.insert(format!("{}/{id}", issuer.name()));
                registered.extend(agent.name.clone());
            }
        }
        let chains = config.tokens.values().cloned().collect();
        Self { chains, registered, servers: config.servers.keys().cloned().collect() }
    }
}

impl Known {
    /// What is known now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn gather(
        (evidence, authority): (&dyn EvidenceStore, &dyn AuthorityStore),
        configured: &Configured,
        (bundle, vocabulary): (Arc<Bundle>, Arc<Vocabulary>),
        span: Span,
    ) -> Result<Self, StoreError> {
        let since = span.now.before_ms(u64::from(span.days) * DAY_MS);
        let mut usage = Usage::default();
        read(evidence, &mut usage, since, span.records_max).await?;
        Self::of(usage, authority, configured, (bundle, vocabulary), span).await
    }

    /// The same, of what is known of the evidence already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn of(
        mut usage: Usage,
        authority: &dyn AuthorityStore,
        configured: &Configured,
        (bundle, vocabulary): (Arc<Bundle>, Arc<Vocabulary>),
        span: Span,
    ) -> Result<Self, StoreError> {
        let Span { now, days, .. } = span;
        configured.chains.iter().for_each(|chain| usage.know(chain));
        let tokens = authority.tokens(Some(now)).await?;
        tokens.iter().for_each(|state| usage.expect(&state.token.caller()));
        let places: BTreeSet<_> = bundle.places().chain(usage.places()).collect();
        let places_max = span.places_max.unwrap_or(usize::MAX);
        let places = places.into_iter().take(places_max).collect();
        let asking = Asking::new((bundle, vocabulary), configured.servers.clone(), places);
        Ok(Self {
            now,
            days,
            asking,
            usage,
            tokens,
            grants: authority.grants(Some(now)).await?,
            revocations: authority.revocations().await?,
            secrets: authority.secrets().await?,
            registered: configured.registered.clone(),
            files: Vec::new(),
        })
    }
}

/// What the newest `records_max` records say since then.
async fn read(
    store: &dyn EvidenceStore,
    usage: &mut Usage,
    since: Timestamp,
    records_max: Option<u64>,
) -> Result<(), StoreError> {
    let size = store.size().await?;
    let mut from = size.saturating_sub(records_max.unwrap_or(u64::MAX));
    loop {
        let rows = store.read(from, PAGE).await?;
        rows.iter().for_each(|row| usage.note(row, since));
        let Some(last) = rows.last().and_then(|row| row.index) else { return Ok(()) };
        from = last + 1;
    }
}
