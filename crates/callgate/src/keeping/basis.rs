//! What a gateway decides by comes into the record: its configuration, and the policies whenever others are in force.

use callgate_gateway::pipeline::Gateway;
use callgate_model::authority::{Change, PolicyInForce, ServerSetup, Setup};
use callgate_model::digest::Digest;
use callgate_model::evidence::Link;
use callgate_model::json::Json;
use callgate_model::transparency::Signer;
use callgate_policy::Bundle;
use callgate_store::Filter;

use crate::config::Config;

/// Who does what nobody asked for.
pub(super) const BY: &str = "callgate";

/// What the gateway of this configuration runs with.
pub(super) fn setup(config: &Config, signers: &[Signer]) -> Setup {
    let servers = config
        .servers
        .iter()
        .map(|(name, server)| ServerSetup { name: name.clone(), catalog: server.catalog.clone() });
    Setup {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        configuration: config.digest,
        public_url: config.resources.public_url.clone(),
        servers: servers.collect(),
        issuers: config.issuers.iter().map(|issuer| issuer.name().to_owned()).collect(),
        channels: config.channels.keys().cloned().collect(),
        keys: signers.iter().map(|signer| signer.verifier().to_string()).collect(),
        dangers: config.dangers.clone(),
    }
}

/// Records the configuration and the policies, each unless the newest record of it says the same.
pub(super) async fn record(gateway: &Gateway, setup: Setup) {
    let is_known = last(gateway, "configured").await.is_some_and(|event| {
        let said = serde_json::to_value(&setup).map(Json::from);
        event
            .get("setup")
            .zip(said.ok())
            .is_some_and(|(last, now)| last.canonical() == now.canonical())
    });
    if !is_known {
        administer(gateway, Change::Configured { setup: Box::new(setup) }).await;
    }
    let bundle = gateway.bundle().digest().to_string();
    let is_known = last(gateway, "policies_activated")
        .await
        .is_some_and(|event| event.get("bundle").and_then(Json::as_str) == Some(&bundle));
    if !is_known {
        record_policies(gateway).await;
    }
}

/// Records the policies that are in force.
pub(crate) async fn record_policies(gateway: &Gateway) {
    let bundle = gateway.bundle();
    let policies = in_force(&bundle);
    administer(gateway, Change::PoliciesActivated { bundle: bundle.digest(), policies }).await;
}

fn in_force(bundle: &Bundle) -> Vec<PolicyInForce> {
    let bytes: usize = bundle.texts().map(|policy| policy.text.len()).sum();
    let is_short = bytes <= PolicyInForce::TEXTS_BYTES_MAX;
    let policy = |policy: callgate_policy::PolicyText<'_>| PolicyInForce {
        id: policy.about.id.clone(),
        tier: policy.tier.folder().to_owned(),
        owner: policy.about.owner.clone(),
        reason: policy.about.reason.clone(),
        text: is_short.then(|| policy.text.to_owned()),
        digest: Digest::of(policy.text.as_bytes()),
    };
    bundle.texts().map(policy).collect()
}

/// What the newest change of that name says.
async fn last(gateway: &Gateway, change: &str) -> Option<Json> {
    let filter = Filter { limit: Some(1), ..Filter::default() };
    let filter = filter.with(Link::Change, Some(change.to_owned()));
    let found = gateway.recorded()?.list(&filter).await;
    let rows = found.inspect_err(|error| tracing::warn!(%error, "the record cannot be read"));
    rows.ok()?.first().map(callgate_store::Row::event)
}

async fn administer(gateway: &Gateway, change: Change) {
    let name = change.name();
    if let Err(error) = gateway.administer(BY.to_owned(), change).await {
        tracing::error!(change = name, %error, "what the gateway decides by could not be recorded");
    }
}
