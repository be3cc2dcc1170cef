//! What a gateway decides by comes into the record: its configuration, and the policies whenever others are in force.

use std::collections::{BTreeMap, BTreeSet};

use callgate_gateway::pipeline::Gateway;
use callgate_gateway::recording::Recording;
use callgate_model::ambient::DAY_MS;
use callgate_model::authority::{
    Change, EvidenceSetup, PlaceSetup, PolicyInForce, ServerSetup, Setup, WitnessSetup,
};
use callgate_model::digest::Digest;
use callgate_model::evidence::Link;
use callgate_model::json::Json;
use callgate_model::transparency::Signer;
use callgate_model::treatment::Treatments;
use callgate_policy::Bundle;
use callgate_store::Filter;

use super::witnesses::WitnessConfig;
use crate::config::{Config, EvidenceRules};

/// Who does what nobody asked for.
pub(super) const BY: &str = "callgate";

/// What the gateway of this configuration runs with. `records` are the rules of catalogs for fields of arguments.
pub(super) fn setup(
    config: &Config,
    (rules, records): (&EvidenceRules, &BTreeMap<String, Treatments>),
    signers: &[Signer],
) -> Setup {
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
        evidence: Some(evidence(rules, &config.recording, records)),
    }
}

/// How evidence is kept.
fn evidence(
    rules: &EvidenceRules,
    recording: &Recording,
    records: &BTreeMap<String, Treatments>,
) -> EvidenceSetup {
    let elsewhere = &rules.elsewhere;
    let place =
        |name: &String, kind: &str| PlaceSetup { name: name.clone(), kind: kind.to_owned() };
    let days = |(kind, kept_ms): (&&str, &u64)| ((*kind).to_owned(), kept_ms / DAY_MS);
    let witness = |(name, witness): (&String, &WitnessConfig)| WitnessSetup {
        name: name.clone(),
        key: witness.key.name().to_owned(),
    };
    let fields: BTreeSet<_> = recording.fields.keys().chain(records.keys()).collect();
    EvidenceSetup {
        arguments: if recording.arguments { "redacted" } else { "digest" }.to_owned(),
        fields: fields.into_iter().cloned().collect(),
        retention_days: rules.retention.iter().map(days).collect(),
        sinks: elsewhere.sinks.iter().map(|(name, sink)| place(name, sink.kind())).collect(),
        anchors: elsewhere
            .anchors
            .iter()
            .map(|(name, anchor)| place(name, anchor.kind()))
            .collect(),
        witnesses: elsewhere.witnesses.iter().map(witness).collect(),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use callgate_model::treatment::Treatment;
    use serde_json::json;

    use super::*;
    use crate::config::tests::premises;

    const KEEPING: &str = concat!(
        premises!(),
        r#"[servers.atlassian]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
[tokens]
[evidence]
arguments = "redacted"
[evidence.fields."jira.issue.edit"]
"fields.summary" = "drop"
[evidence.retention]
calls_days = 400
[evidence.sinks.siem]
kind = "syslog"
address = "siem.example:6514"
[evidence.anchors.disk]
kind = "file"
path = "/mnt/worm/checkpoints.jsonl"
[evidence.witnesses.w1]
url = "https://witness.example/"
key = "example.com/w+71527b00+BJvc5Ygz9C4bcLiPlJeQYVHBEiZ4vZcvleqiGuBG7OfU"
"#
    );

    #[test]
    fn it_says_how_evidence_is_kept() {
        let config = Config::parse(KEEPING, Path::new("callgate.toml")).unwrap();
        let rules = [("summary".to_owned(), Treatment::Hash)];
        let of = |operation: &str| (operation.to_owned(), rules.clone().into());
        let records = [of("jira.issue.edit"), of("jira.comment.add")].into();
        let said = setup(&config, (&config.evidence, &records), &[]).evidence.unwrap();
        assert_eq!(
            serde_json::to_value(said).unwrap(),
            json!({
                "arguments": "redacted",
                "fields": ["jira.comment.add", "jira.issue.edit"],
                "retention_days": { "intent": 400, "outcome": 400, "settled": 400 },
                "sinks": [{ "name": "siem", "kind": "syslog" }],
                "anchors": [{ "name": "disk", "kind": "file" }],
                "witnesses": [{ "name": "w1", "key": "example.com/w" }],
            })
        );
        let text =
            KEEPING.replace("arguments = \"redacted\"\n", "").replace("calls_days = 400\n", "");
        let config = Config::parse(&text, Path::new("callgate.toml")).unwrap();
        let said = setup(&config, (&config.evidence, &BTreeMap::new()), &[]).evidence.unwrap();
        assert_eq!((&*said.arguments, said.retention_days.len()), ("digest", 0), "for good");
    }
}
