use ed25519_dalek::{Signer as _, SigningKey};

use super::super::{Checkpoint, Signer, Verifier, from_base64};
use super::*;

/// A checkpoint of a public log as its witnesses have cosigned it, with the keys of the log and of one of them.
const REAL: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
";
const LOG: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const WITNESS: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";

fn real() -> Signed {
    Checkpoint::verify(REAL, &[Verifier::parse(LOG).unwrap()]).unwrap()
}

/// What a witness with this seed says of a text.
fn cosign(name: &str, seed: u8, time: u64, text: &str) -> (Witness, Signature) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let material = [&[COSIGNATURE_V1][..], key.verifying_key().as_bytes()].concat();
    let hashed = [name.as_bytes(), b"\n", &material].concat();
    let [a, b, c, d, ..] = *Digest::of(&hashed).as_bytes();
    let id = u32::from_be_bytes([a, b, c, d]);
    let witness = Witness::parse(&format!("{name}+{id:08x}+{}", to_base64(&material))).unwrap();
    let by = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes()).to_bytes();
    let bytes = [&time.to_be_bytes()[..], &by].concat();
    (witness, Signature { name: name.to_owned(), id, bytes })
}

#[test]
fn a_cosignature_of_a_public_witness_verifies() {
    let (signed, witness) = (real(), Witness::parse(WITNESS).unwrap());
    assert_eq!(signed.checkpoint.size, 1_432_088_532);
    assert_eq!(witness.cosigned(&signed.note), Ok(Some(0x6a12_2120)));
    assert_eq!(witness.to_string(), WITNESS);
    let later = REAL.replace("1432088532", "1432088533");
    let refused = witness.cosigned(&Note::parse(&later).unwrap());
    assert_eq!(refused, Err(NoteError::BadSignature { name: "remora.n621.de".to_owned() }));
    // The time is signed too.
    let earlier = REAL.replace("2net5wAAAABqEiEg", "2net5wAAAABqEiEf");
    assert!(witness.cosigned(&Note::parse(&earlier).unwrap()).is_err());
}

#[test]
fn the_keys_of_logs_and_of_witnesses_are_different_ones() {
    assert_eq!(Witness::parse(LOG), Err(KeyError::Algorithm));
    assert_eq!(Verifier::parse(WITNESS), Err(KeyError::Algorithm));
    let (other, _) = cosign("remora.n621.de", 9, 0, "");
    assert_eq!(other.cosigned(&real().note), Ok(None), "the name alone is nothing");
}

#[test]
fn the_time_of_the_example_is_read() {
    // The document gives no key for its example.
    let line = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    let signature = Signature::parse(line).unwrap();
    assert_eq!(signature.bytes[..8], 1_679_315_147_u64.to_be_bytes());
    assert_eq!(signature.to_line(), format!("{line}\n"));
}

#[test]
fn the_last_of_several_cosignatures_counts() {
    let text = real().checkpoint.to_text();
    let (witness, early) = cosign("w.example", 5, 1000, &text);
    let (_, late) = cosign("w.example", 5, 2000, &text);
    let (_, forged) = cosign("w.example", 5, u64::MAX, &text);
    let signed = Cosigned::add(real(), &witness, vec![late, early]).unwrap().unwrap();
    assert_eq!(signed.time, 2000);
    let again = Note::parse(&signed.signed.note.to_string()).unwrap();
    assert_eq!(witness.cosigned(&again), Ok(Some(2000)));
    let beyond = Cosigned::add(real(), &witness, vec![forged]);
    assert!(beyond.is_err(), "no time is so late");
}

#[test]
fn what_others_send_along_is_left_out() {
    let text = real().checkpoint.to_text();
    let (witness, good) = cosign("w.example", 5, 1000, &text);
    let (_, other) = cosign("x.example", 6, 1000, &text);
    let before = real().note.signatures().len();
    let with = Cosigned::add(real(), &witness, vec![other.clone(), good]).unwrap().unwrap();
    assert_eq!(with.signed.note.signatures().len(), before + 1);
    assert_eq!(Cosigned::add(real(), &witness, vec![other]), Ok(None));
    let (_, of_another) = cosign("w.example", 5, 1000, "something else\n");
    assert!(Cosigned::add(real(), &witness, vec![of_another]).is_err());
}

#[test]
fn a_witness_is_asked_as_the_specification_says() {
    let signer = Signer::new("example.com/behind-the-sofa", &[1; 32]).unwrap();
    let root = Digest::new(
        from_base64("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=").unwrap().try_into().unwrap(),
    );
    let origin = signer.name().to_owned();
    let checkpoint = Checkpoint { origin, size: 20_852_163, root, extensions: Vec::new() };
    let note = checkpoint.sign(&[&signer]).unwrap();
    let body = add_checkpoint(20_852_014, &[root, root], &note);
    let hash = to_base64(root.as_bytes());
    assert_eq!(body, format!("old 20852014\n{hash}\n{hash}\n\n{note}"));
    assert_eq!(add_checkpoint(0, &[], &note), format!("old 0\n\n{note}"));
}

#[test]
fn the_answers_of_witnesses_are_read() {
    let line = REAL.lines().last().unwrap();
    let answer = WitnessAnswer::read(200, &format!("{line}\n{line}\n"));
    assert!(matches!(answer, WitnessAnswer::Cosigned(lines) if lines.len() == 2));
    assert_eq!(WitnessAnswer::read(409, "20852014\n"), WitnessAnswer::LastSaw(20_852_014));
    assert_eq!(WitnessAnswer::read(409, "0\n"), WitnessAnswer::LastSaw(0));
    for (status, body) in [
        (200, String::new()),
        (200, line.to_owned()),
        (200, format!("{line}\n\n")),
        (200, format!("{line}\n").repeat(1000)),
        (409, "007\n".to_owned()),
        (409, "7".to_owned()),
        (409, String::new()),
        (403, "7\n".to_owned()),
        (404, format!("{line}\n")),
        (422, String::new()),
        (500, String::new()),
    ] {
        assert_eq!(WitnessAnswer::read(status, &body), WitnessAnswer::Refused { status }, "{body}");
    }
}
