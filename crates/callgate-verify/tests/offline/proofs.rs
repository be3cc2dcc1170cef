//! Proofs of single records, witnesses, and the program as it is called.

use std::fs;

use callgate_model::digest::Digest;
use callgate_model::transparency::{Note, Proof, Witness};
use callgate_verify::{
    Broken, Options, Outcome, Stop, Trust, Wanted, prove, run, verify, verify_proof,
};
use clap::Parser as _;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;

use crate::writer::{Log, id, signer, trust};

#[test]
fn i11_every_record_can_be_proven_alone() {
    let log = Log::sample(600);
    let folder = tempfile::tempdir().unwrap();
    log.export(&[3, log.len()], &[&signer(1)]).write(folder.path());
    for index in [0, 1, 255, 256, 257, 511, 512, log.len() - 1] {
        let wanted = Wanted::Record(index as u64);
        let report = verify(folder.path(), &trust(&[1]), &[], wanted).unwrap();
        let [record] = &report.records[..] else { panic!("{index}") };
        let proof = prove(folder.path(), record, &report.signed).unwrap().to_string();
        let proven = verify_proof(&proof, &trust(&[1])).unwrap();
        assert_eq!(proven.record, *record);
        assert_eq!(proven.record.to_json().get("index").unwrap().to_text(), index.to_string());
        assert!(verify_proof(&proof, &trust(&[2])).is_err(), "another key");
    }
}

#[test]
fn i11_a_proof_that_was_changed_shows_nothing() {
    let log = Log::sample(40);
    let folder = tempfile::tempdir().unwrap();
    log.export(&[log.len()], &[&signer(1)]).write(folder.path());
    let report = verify(folder.path(), &trust(&[1]), &[], Wanted::Record(6)).unwrap();
    let proof = prove(folder.path(), &report.records[0], &report.signed).unwrap().to_string();
    for at in 0..proof.len() {
        let mut bytes = proof.clone().into_bytes();
        bytes[at] ^= 1 << (at % 7);
        let spoiled = String::from_utf8(bytes);
        let verdict = spoiled.map(|text| verify_proof(&text, &trust(&[1])));
        assert!(!matches!(verdict, Ok(Ok(_))), "byte {at}");
    }
    for (from, to) in [("{\"entry\"", "{\"a\":1,\"entry\""), (",\"payload\":", ", \"payload\":")] {
        let mut other = Proof::parse(&proof).unwrap();
        let extra = String::from_utf8(other.extra.unwrap()).unwrap();
        other.extra = Some(extra.replacen(from, to, 1).into_bytes());
        assert_ne!(other.to_string(), proof);
        let verdict = verify_proof(&other.to_string(), &trust(&[1]));
        assert!(matches!(verdict, Err(Stop::Unreadable(_))), "{to}");
    }
    let other = proof.replace("index 6", "index 7");
    let verdict = verify_proof(&other, &trust(&[1]));
    assert!(matches!(verdict, Err(Stop::Broken(Broken::Proof { index: 7, .. }))), "{verdict:?}");
}

/// The verifier key of a witness, and its line under a checkpoint.
fn cosign(note: &str, seed: u8, time: u64) -> (String, String) {
    let (name, key) = ("witness.example/w1", SigningKey::from_bytes(&[seed; 32]));
    let text = Note::parse(note).unwrap().text().to_owned();
    let base64 = |bytes: &[u8]| base64(bytes);
    let material = [&[4][..], key.verifying_key().as_bytes()].concat();
    let id = &Digest::of(&[name.as_bytes(), b"\n", &material].concat()).as_bytes()[..4].to_vec();
    let made = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes()).to_bytes();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = [id, &time.to_be_bytes()[..], &made].concat();
    (format!("{name}+{hex}+{}", base64(&material)), format!("— {name} {}\n", base64(&line)))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - part.len()));
        let digit = |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]);
        text.extend((0..4).map(|at| if at <= part.len() { digit(at) } else { '=' }));
    }
    text
}

#[test]
fn witnesses_have_to_have_cosigned_and_are_not_taken_at_their_name() {
    let log = Log::sample(40);
    let (early, late) =
        (log.checkpoint(20, &[&signer(1)]), log.checkpoint(log.len(), &[&signer(1)]));
    let (vkey, line) = cosign(&early, 9, 1_795_600_000);
    let mut export = log.export(&[20, log.len()], &[&signer(1)]);
    let trusted = Trust { witnesses: vec![Witness::parse(&vkey).unwrap()], ..trust(&[1]) };
    let report = export.check(&trusted, &[]).unwrap();
    assert!(!report.is_complete(), "it has cosigned nothing");
    let lines = [format!("{early}{line}"), late.clone()]
        .map(|note| serde_json::json!(note).to_string() + "\n");
    export.set("checkpoints.jsonl", lines.concat().as_bytes());
    let report = export.check(&trusted, &[]).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.witnesses[0].last.unwrap().0, 20);
    // Its line under another checkpoint is a forgery.
    export.set("checkpoint", format!("{late}{line}").as_bytes());
    assert!(matches!(export.check(&trusted, &[]), Err(Stop::Broken(_))));
    assert!(export.check(&trust(&[1]), &[]).is_ok(), "nobody asked for it");
}

/// How the program ends, what it writes, and what it says beside that.
fn program(words: &[&str]) -> (Outcome, String, String) {
    let key = signer(1).verifier().to_string();
    let words = [&["callgate-verify", "--key", &key][..], words].concat();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = run(&Options::try_parse_from(words).unwrap(), &mut out, &mut err);
    (outcome, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn the_program_says_what_it_found_and_ends_accordingly() {
    let mut log = Log::sample(40);
    let noted = log.checkpoint(30, &[&signer(1)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    log.export(&[30, log.len()], &[&signer(1)]).write(folder.path());
    let against = folder.path().join("noted");
    fs::write(&against, noted).unwrap();
    let against = against.to_str().unwrap();
    let (outcome, out, err) = program(&[path, "--against", against]);
    assert_eq!((outcome, err.as_str()), (Outcome::Verified, ""));
    assert!(out.starts_with("verified: all "), "{out}");
    let (outcome, out, _) = program(&[path, "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((outcome, &json["verdict"]), (Outcome::Verified, &Value::from("verified")));
    assert_eq!(json["size"], log.len());

    let (_, proof, err) = program(&[path, "--record", "6"]);
    assert!(err.contains("record 6: outcome indeterminate of the call"), "{err}");
    let file = folder.path().join("six.tlog-proof");
    fs::write(&file, proof).unwrap();
    let (outcome, out, _) = program(&["--proof", file.to_str().unwrap()]);
    assert!(outcome == Outcome::Verified && out.contains("record 6: outcome"), "{out}");
    let (_, out, _) = program(&[path, "--json", "--call", &id(2_000_001)]);
    let json: Value = serde_json::from_str(&out).unwrap();
    let kinds: Vec<&Value> =
        json["records"].as_array().unwrap().iter().map(|record| &record["kind"]).collect();
    assert_eq!(kinds, ["intent", "outcome", "settled"]);
    assert_eq!(program(&[path, "--record", "4000"]).0, Outcome::Unreadable);
    assert_eq!(program(&["/nowhere"]).0, Outcome::Unreadable);
    assert_eq!(program(&["--proof", against]).0, Outcome::Unreadable);

    log.intent(1_000_000, 77);
    log.export(&[30, log.len()], &[&signer(1)]).write(folder.path());
    let (outcome, out, _) = program(&[path]);
    assert!(outcome == Outcome::Incomplete && out.contains(&id(77)), "{out}");
    fs::write(folder.path().join("payloads.jsonl"), "\n").unwrap();
    let (outcome, out, _) = program(&[path, "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((outcome, &json["broken"]["rule"]), (Outcome::Broken, &Value::from("file")));
}
