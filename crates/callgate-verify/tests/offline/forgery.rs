//! Somebody makes the log anew, or has the key itself: what that leaves to be found.

use callgate_model::evidence::audit::Rule;
use callgate_model::transparency::{Checkpoint, Note, Signer, Verifier};
use callgate_verify::{Broken, Stop, Trust};
use proptest::prelude::*;

use crate::writer::{Log, ORIGIN, signer, trust};

fn stopped(verdict: Result<callgate_verify::Report, Stop>) -> Broken {
    match verdict {
        Err(Stop::Broken(broken)) => broken,
        other => panic!("{other:?}"),
    }
}

/// The rule that a log breaks which is signed all the same.
fn broken_rule(log: &Log) -> Rule {
    let export = log.export(&[log.len()], &[&signer(1)]);
    let broken = stopped(export.check(&trust(&[1]), &[]));
    let Broken::Log(broken) = broken else { panic!("{broken}") };
    broken.rule
}

#[test]
fn i11_a_log_that_is_signed_by_another_key_is_refused() {
    let log = Log::sample(9);
    let export = log.export(&[9], &[&signer(2)]);
    assert!(matches!(export.check(&trust(&[1]), &[]), Err(Stop::Broken(Broken::File { .. }))));
    let stranger = Signer::new("other.example", &[1; 32]).unwrap();
    let keys = vec![stranger.verifier()];
    let export = log.export(&[9], &[&signer(1)]);
    assert!(export.check(&Trust { keys, witnesses: Vec::new() }, &[]).is_err());
}

#[test]
fn i11_a_log_that_was_cut_off_is_found_by_an_older_checkpoint() {
    let log = Log::sample(40);
    let noted = log.checkpoint(30, &[&signer(1)]);
    let whole = log.export(&[10, 30, log.len()], &[&signer(1)]);
    assert_eq!(whole.check(&trust(&[1]), &[&noted]).unwrap().against, 1);
    let cut = log.clone().cut(26).export(&[10, 26], &[&signer(1)]);
    // By itself it cannot be told from an older export.
    assert!(cut.check(&trust(&[1]), &[]).is_ok());
    let broken = stopped(cut.check(&trust(&[1]), &[&noted]));
    assert!(matches!(broken, Broken::CutOff { before: 30, size: 26, .. }), "{broken}");
    // Only the latest checkpoint is put back.
    let mut back = whole;
    back.set("checkpoint", log.checkpoint(30, &[&signer(1)]).as_bytes());
    stopped(back.check(&trust(&[1]), &[]));
}

/// A file to which checkpoints were added, each as a JSON string on a line; one was cut off.
#[test]
fn i11_every_checkpoint_of_a_file_of_them_is_compared() {
    let log = Log::sample(40);
    let line = |of: &Log, size| {
        serde_json::Value::from(of.checkpoint(size, &[&signer(1)])).to_string() + "\n"
    };
    let mut anew = log.clone().cut(20);
    (0..20).for_each(|call| anew.intent(0, 9_000 + call));
    let whole = log.export(&[10, log.len()], &[&signer(1)]);
    let cut_off = line(&log, 12).split_at(40).0.to_owned();
    let lines = [&*line(&log, 10), &cut_off, "\n", &line(&log, 30), &line(&log, 30)].concat();
    assert_eq!(whole.check(&trust(&[1]), &[&lines]).unwrap().against, 3);
    // Wherever it stands, one that does not fit is found.
    for forged in [line(&anew, 30) + &lines, lines.clone() + &line(&anew, 30)] {
        let broken = stopped(whole.check(&trust(&[1]), &[&forged]));
        assert!(matches!(broken, Broken::Rewritten { size: 30, .. }), "{broken}");
    }
    let cut = log.clone().cut(26).export(&[26], &[&signer(1)]);
    let broken = stopped(cut.check(&trust(&[1]), &[&lines]));
    assert!(matches!(broken, Broken::CutOff { before: 30, size: 26, .. }), "{broken}");
    // One that nobody signed whom we trust is no verdict.
    let unsigned =
        lines + &serde_json::Value::from(log.checkpoint(11, &[&signer(2)])).to_string() + "\n";
    let stop = whole.check(&trust(&[1]), &[&unsigned]).unwrap_err();
    assert!(matches!(stop, Stop::Unreadable(_)));
}

/// A file of somebody else is their fault, and no verdict about the log; and nothing in it is passed over unseen.
#[test]
fn i11_what_was_noted_is_compared_or_it_is_said_that_it_cannot_be() {
    let log = Log::sample(40);
    let line = |size| serde_json::Value::from(log.checkpoint(size, &[&signer(1)])).to_string();
    let whole = log.export(&[10, log.len()], &[&signer(1)]);
    let against = |text: &str| whole.check(&trust(&[1]), &[text]);
    let unended = [line(10), line(30)].join("\n");
    assert_eq!(against(&unended).unwrap().against, 2, "the last line needs no end");
    let cut = log.clone().cut(26).export(&[26], &[&signer(1)]);
    let broken = stopped(cut.check(&trust(&[1]), &[&unended]));
    assert!(matches!(broken, Broken::CutOff { before: 30, .. }), "{broken}");
    let (first, last) = (line(10) + "\n", line(30));
    for spoiled in [
        first.clone() + last.split_at(40).0,
        first.clone() + "7\n" + &last,
        first.clone() + "\"not a checkpoint\"\n",
        first.clone() + "not JSON\n" + &last,
        first.clone() + "{\"size\":3}\n",
        format!("{first}\"{}\"\n", "a".repeat(600_000)),
        "not a checkpoint".to_owned(),
        String::new(),
    ] {
        let stop = against(&spoiled).unwrap_err();
        assert!(matches!(stop, Stop::Unreadable(_)), "{stop}: {spoiled:.400}");
    }
}

#[test]
fn i11_a_log_that_was_made_anew_is_found_by_an_older_checkpoint() {
    let log = Log::sample(40);
    let noted = log.checkpoint(30, &[&signer(1)]);
    let mut anew = log.clone().cut(20);
    anew.open(7);
    (0..20).for_each(|call| {
        anew.intent(7, 9_000 + call);
        anew.outcome(7, 9_000 + call, "succeeded");
    });
    let export = anew.export(&[30, anew.len()], &[&signer(1)]);
    assert!(export.check(&trust(&[1]), &[]).is_ok());
    let broken = stopped(export.check(&trust(&[1]), &[&noted]));
    assert!(matches!(broken, Broken::Rewritten { size: 30, .. }), "{broken}");
    // One of the fork among the others.
    let mut mixed = log.export(&[30, log.len()], &[&signer(1)]);
    let forked = serde_json::json!(anew.checkpoint(35, &[&signer(1)])).to_string() + "\n";
    mixed.lines("checkpoints.jsonl", |lines| lines.insert(1, forked));
    stopped(mixed.check(&trust(&[1]), &[]));
}

#[test]
fn a_checkpoint_that_cannot_be_compared_with_is_no_verdict() {
    let log = Log::sample(9);
    let export = log.export(&[9], &[&signer(1)]);
    let by_another = log.checkpoint(5, &[&signer(2)]);
    let other = Signer::new("other.example", &[3; 32]).unwrap();
    let root = callgate_model::transparency::Frontier::new().root();
    let of_another =
        Checkpoint { origin: "other.example".into(), size: 0, root, extensions: vec![] };
    let of_another = of_another.sign(&[&other]).unwrap().to_string();
    let keys = vec![signer(1).verifier(), other.verifier()];
    let trust = Trust { keys, witnesses: Vec::new() };
    for noted in [by_another.as_str(), &of_another, "nothing"] {
        let verdict = export.check(&trust, &[noted]);
        assert!(matches!(verdict, Err(Stop::Unreadable(_))), "{noted}: {verdict:?}");
    }
}

#[test]
fn a_log_changes_its_key() {
    let (old, new) = (signer(1), signer(2));
    let log = Log::sample(40);
    let mut export = log.export(&[log.len()], &[&new]);
    let [first, second, third] = [
        log.checkpoint(10, &[&old]),
        log.checkpoint(20, &[&old, &new]),
        log.checkpoint(log.len(), &[&new]),
    ]
    .map(|note| serde_json::json!(note).to_string() + "\n");
    export.lines("checkpoints.jsonl", |lines| *lines = vec![first, second, third]);
    assert_eq!(export.check(&trust(&[2, 1]), &[]).unwrap().checkpoints, 3);
    stopped(export.check(&trust(&[2]), &[]));
}

#[test]
fn checkpoints_that_are_missing_out_of_order_or_of_others_are_found() {
    let log = Log::sample(40);
    let export = log.export(&[10, 20, log.len()], &[&signer(1)]);
    let mut spoiled = [export.clone(), export.clone(), export.clone()];
    spoiled[0].lines("checkpoints.jsonl", |lines| lines.swap(0, 1));
    spoiled[1].lines("checkpoints.jsonl", |lines| drop(lines.pop()));
    spoiled[2].lines("checkpoints.jsonl", |lines| lines.clear());
    // One that is of more records than there are: the rest was taken away, and this forgotten.
    let [line] = [log.checkpoint(40, &[&signer(1)])].map(|note| serde_json::json!(note));
    let mut more = log.clone().cut(30).export(&[10, 30], &[&signer(1)]);
    more.lines("checkpoints.jsonl", |lines| lines.push(format!("{line}\n")));
    for (export, why) in spoiled.iter().chain([&more]).zip([
        "over 20 records or more",
        "the latest checkpoint",
        "the latest checkpoint",
        "the end was cut off",
    ]) {
        let found = stopped(export.check(&trust(&[1]), &[])).to_string();
        assert!(found.contains(why), "{why}: {found}");
    }
    // Of another log, by a key that is known for that.
    let other = Signer::new("other.example", &[1; 32]).unwrap();
    let text = log.checkpoint(15, &[&signer(1)]).replace(ORIGIN, "other.example");
    let text = Note::parse(&text).unwrap().text().to_owned();
    let note = Note::sign(text, &[&other]).unwrap().to_string();
    let line = serde_json::json!(note).to_string() + "\n";
    let mut mixed = export;
    mixed.lines("checkpoints.jsonl", |lines| lines.insert(1, line));
    let keys: Vec<Verifier> = vec![signer(1).verifier(), other.verifier()];
    stopped(mixed.check(&Trust { keys, witnesses: Vec::new() }, &[]));
}

#[test]
fn i1_an_effect_without_an_intent_is_found_even_if_it_is_signed() {
    let mut log = Log::sample(17);
    log.outcome(1_000_000, 77, "succeeded");
    assert_eq!(broken_rule(&log), Rule::Call);
    let mut log = Log::sample(17);
    log.intent(1_000_000, 77);
    let export = log.export(&[log.len()], &[&signer(1)]);
    let report = export.check(&trust(&[1]), &[]).unwrap();
    assert!(!report.is_complete() && report.findings.open == 1, "it may still come");
}

#[test]
fn i2_an_approval_that_is_spent_twice_is_found_even_if_it_is_signed() {
    let mut log = Log::sample(17);
    log.approve(1_000_000, 88);
    log.spend(1_000_000, 77, 88);
    log.outcome(1_000_000, 77, "succeeded");
    let mut twice = log.clone();
    twice.spend(1_000_000, 78, 88);
    assert_eq!(broken_rule(&twice), Rule::Approval);
    // Nor is it hidden by leaving out what it says.
    *twice.payloads.last_mut().unwrap() = None;
    assert_eq!(broken_rule(&twice), Rule::Approval);
    let mut never = Log::sample(17);
    never.spend(1_000_000, 77, 88);
    assert_eq!(broken_rule(&never), Rule::Approval);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whoever signs what was reordered, left out or doubled has broken a chain by that.
    #[test]
    fn i11_entries_that_are_moved_are_found_even_if_they_are_signed(
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        kind in 0..3,
    ) {
        let mut log = Log::sample(60);
        // The last record is named by no other: that is what checkpoints are for.
        let (one, other) = (one.index(log.len() - 1), other.index(log.len() - 1));
        let was = log.entries.clone();
        match kind {
            0 => {
                log.entries.swap(one, other);
                log.payloads.swap(one, other);
            }
            1 => {
                log.entries.remove(one);
                log.payloads.remove(one);
            }
            _ => {
                log.entries.insert(other, was[one].clone());
                log.payloads.insert(other, log.payloads[one].clone());
            }
        }
        prop_assume!(log.entries != was);
        let export = log.export(&[log.len()], &[&signer(1)]);
        let verdict = export.check(&trust(&[1]), &[]);
        // Records of two writers may be in another order, if neither tells of the other: but not once it was signed.
        let independent = kind == 0 && verdict.is_ok();
        prop_assert!(independent || matches!(verdict, Err(Stop::Broken(_))), "{verdict:?}");
        if independent {
            let noted = Log::sample(60).checkpoint(log.len(), &[&signer(1)]);
            prop_assert!(export.check(&trust(&[1]), &[&noted]).is_err());
        }
    }
}
