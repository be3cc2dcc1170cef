use super::*;
use crate::transparency::empty_root;

/// The example of C2SP tlog-checkpoint.
const EXAMPLE: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn signer(seed: u8) -> Signer {
    Signer::new("log.example/evidence", &[seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    let origin = "log.example/evidence".to_owned();
    Checkpoint { origin, size: 7, root: Digest::of(b"root"), extensions: Vec::new() }
}

#[test]
fn the_example_of_the_specification_is_read_and_written() {
    let read = Checkpoint::parse(EXAMPLE).unwrap();
    assert_eq!((read.origin.as_str(), read.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(read.to_text(), EXAMPLE);
    let more = format!("{EXAMPLE}one\ntwo\n");
    let read = Checkpoint::parse(&more).unwrap();
    assert_eq!((read.extensions.join("|").as_str(), read.to_text()), ("one|two", more));
    let empty = Checkpoint { size: 0, root: empty_root(), ..read };
    assert_eq!(Checkpoint::parse(&empty.to_text()), Ok(empty));
}

#[test]
fn only_checkpoints_are_read() {
    for (from, to) in [
        ("20852163", "020852163"),
        ("20852163", "+20852163"),
        ("20852163", "20852163 "),
        ("20852163", "-1"),
        ("20852163", "18446744073709551616"),
        ("20852163", ""),
        ("example.com/behind-the-sofa", ""),
        ("q2I=\n", "q2I=\n\n"),
        ("q2I=\n", "q2I="),
        ("q2I=", "q2I"),
        ("q2I=", "q2J="),
        ("CsUYap", "sUYap"),
        ("20852163\n", ""),
    ] {
        let text = EXAMPLE.replace(from, to);
        assert_ne!(text, EXAMPLE);
        assert_eq!(Checkpoint::parse(&text), Err(CheckpointError::Malformed), "{from} → {to}");
    }
}

#[test]
fn a_key_is_changed_by_signing_with_both_for_a_while() {
    let (old, new) = (signer(1), signer(2));
    let note = checkpoint().sign(&[&old, &new]).unwrap().to_string();
    for keys in [vec![&old], vec![&new], vec![&new, &old]] {
        let keys: Vec<Verifier> = keys.iter().map(|key| key.verifier()).collect();
        assert_eq!(Checkpoint::verify(&note, &keys).unwrap().checkpoint, checkpoint());
    }
    let refused = Checkpoint::verify(&note, &[signer(3).verifier()]);
    assert_eq!(refused, Err(NoteError::NotSigned.into()));
    let changed = note.replacen("\n7\n", "\n8\n", 1);
    let refused = Checkpoint::verify(&changed, &[old.verifier()]);
    let name = "log.example/evidence".to_owned();
    assert_eq!(refused, Err(NoteError::BadSignature { name }.into()));
}

#[test]
fn a_log_signs_for_itself_only() {
    let stranger = Signer::new("other.example", &[4; 32]).unwrap();
    assert_eq!(checkpoint().sign(&[&stranger]), None);
    assert_eq!(checkpoint().sign(&[&signer(1), &stranger]), None);
    let note = Note::sign(checkpoint().to_text(), &[&stranger]).unwrap().to_string();
    let refused = Checkpoint::verify(&note, &[stranger.verifier()]);
    assert!(matches!(refused, Err(CheckpointError::OfAnotherLog { .. })), "{refused:?}");
    for text in ["", "a\nb"] {
        let checkpoint = Checkpoint { extensions: vec![text.to_owned()], ..checkpoint() };
        assert_eq!(checkpoint.sign(&[&signer(1)]), None, "{text:?}");
    }
}

#[test]
fn a_signed_text_that_is_no_checkpoint_is_refused() {
    let note = Note::sign("log.example/evidence\n7\n".to_owned(), &[&signer(1)]).unwrap();
    let refused = Checkpoint::verify(&note.to_string(), &[signer(1).verifier()]);
    assert_eq!(refused, Err(CheckpointError::Malformed));
}
