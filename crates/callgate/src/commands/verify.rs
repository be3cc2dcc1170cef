//! `callgate evidence verify`: the evidence in the store, checked as `callgate-verify` checks an export.

use callgate_model::json::{Json, Object};
use callgate_model::transparency::Verifier;
use callgate_store::Store;

use crate::cli::{Check, Failure};
use crate::verification::{Stop, Verification, Verified};
use crate::{keeping, print};

/// Records that are read in one go.
const PAGE: u32 = 1_000;

pub(super) async fn run(options: &Check) -> Result<(), Failure> {
    let config = options.config.load()?;
    let keys = keeping::verifiers(&config)?;
    let store = super::evidence::open(&config).await?;
    let (told, json) = match verify(&*store, &keys).await {
        Ok(verified) => (in_words(&verified), as_json(&verified)),
        Err(Stop::Broken(problem)) => (
            vec![format!("BROKEN: {problem}")],
            Object::default().with("verdict", "broken").with("problem", problem),
        ),
        Err(Stop::Unreadable(error)) => return Err(error.into()),
    };
    let is_broken = json.get("verdict").and_then(Json::as_str) == Some("broken");
    if options.json {
        print::json(&json.into());
    } else {
        told.iter().for_each(|line| print::line(&print::safe(line)));
    }
    if is_broken { Err(Failure::No) } else { Ok(()) }
}

pub(super) async fn verify(store: &dyn Store, keys: &[Verifier]) -> Result<Verified, Stop> {
    let mut progress = print::Progress::new("records");
    let mut verification = Verification::begin(store, keys, u64::MAX);
    let size = store.size().await?;
    loop {
        let rows = store.read(verification.size(), PAGE).await?;
        if rows.is_empty() {
            return verification.end().await;
        }
        for row in rows {
            verification.take(&row).await?;
        }
        progress.tell(verification.size(), size);
    }
}

fn in_words(verified: &Verified) -> Vec<String> {
    let Verified { findings, checkpoints, signed } = verified;
    let payloads = findings.payloads;
    let mut words = vec![
        format!(
            "ok: {} records of {} writers, each after the one before it, and as it was recorded",
            findings.records, findings.writers
        ),
        format!(
            "{checkpoints} checkpoints, the last one of {signed} records, are of these records"
        ),
        format!(
            "{} intents, {} outcomes, {} calls on their way, {} to be settled; {} approvals spent once each",
            findings.intents,
            findings.outcomes,
            findings.open,
            findings.unsettled,
            findings.approvals_spent
        ),
    ];
    if payloads.erased + payloads.absent > 0 {
        words.push(format!(
            "{} payloads were erased as a record says, {} are missing without one",
            payloads.erased, payloads.absent
        ));
    }
    words
}

fn as_json(verified: &Verified) -> Object {
    let Verified { findings, checkpoints, signed } = verified;
    let numbers = [
        ("records", findings.records),
        ("writers", findings.writers),
        ("checkpoints", *checkpoints),
        ("signed", *signed),
        ("intents", findings.intents),
        ("outcomes", findings.outcomes),
        ("open", findings.open),
        ("unsettled", findings.unsettled),
        ("approvals_spent", findings.approvals_spent),
        ("payloads_erased", findings.payloads.erased),
        ("payloads_absent", findings.payloads.absent),
    ];
    let verdict = Object::default().with("verdict", "ok");
    numbers.into_iter().fold(verdict, |all, (name, number)| {
        all.with(name, i64::try_from(number).unwrap_or(i64::MAX))
    })
}
