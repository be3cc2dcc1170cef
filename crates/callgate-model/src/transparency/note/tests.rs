use proptest::prelude::*;

use super::*;

/// The example of C2SP signed-note.
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
/// The keys and the note with which Go's `sumdb/note` is tested.
const SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const BY_PETER: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const BY_ENOCH: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn keys(texts: &[&str]) -> Vec<Verifier> {
    texts.iter().map(|text| Verifier::parse(text).unwrap()).collect()
}

fn names(note: &str, of: &[&str]) -> Result<Vec<String>, NoteError> {
    let keys = keys(of);
    let signed = Note::parse(note)?.verify(&keys)?;
    Ok(signed.iter().map(|key| key.name().to_owned()).collect())
}

#[test]
fn the_example_of_the_specification_verifies() {
    assert_eq!(names(NOTE, &[VKEY]), Ok(vec!["example.com/foo".to_owned()]));
    assert_eq!(Verifier::parse(VKEY).unwrap().to_string(), VKEY);
    let note = Note::parse(NOTE).unwrap();
    assert_eq!((note.text(), note.to_string().as_str()), ("This is an example message.\n", NOTE));
}

#[test]
fn what_go_signs_is_signed_the_same() {
    let signer = Signer::parse(SECRET).unwrap();
    assert_eq!(signer.verifier().to_string(), PETER);
    assert_eq!(signer.to_secret_text(), SECRET);
    let note = Note::sign(TEXT.to_owned(), &[&signer]).unwrap();
    assert_eq!(note.to_string(), format!("{TEXT}\n{BY_PETER}"));
    let both = format!("{TEXT}\n{BY_PETER}{BY_ENOCH}");
    assert_eq!(names(&both, &[PETER]).unwrap(), ["PeterNeumann"]);
    assert_eq!(names(&both, &[ENOCH, PETER]).unwrap(), ["EnochRoot", "PeterNeumann"]);
    assert_eq!(names(&both, &[VKEY]), Err(NoteError::NotSigned));
    assert_eq!(names(&both, &[]), Err(NoteError::NotSigned));
}

#[test]
fn a_known_key_that_signed_something_else_spoils_the_note() {
    let bad = BY_ENOCH.replace("RvMc", "RvMd");
    let note = format!("{TEXT}\n{BY_PETER}{bad}");
    assert_eq!(names(&note, &[PETER]).unwrap(), ["PeterNeumann"], "Enoch is not known");
    let refused = Err(NoteError::BadSignature { name: "EnochRoot".to_owned() });
    assert_eq!(names(&note, &[PETER, ENOCH]), refused);
    // A good one beside it does not help.
    let twice = format!("{TEXT}\n{BY_ENOCH}{bad}");
    assert_eq!(names(&twice, &[ENOCH]), refused);
    let changed = format!("{}\n{BY_ENOCH}", TEXT.replace("answer", "answers"));
    assert_eq!(names(&changed, &[ENOCH]), refused);
}

#[test]
fn a_key_is_known_by_its_name_and_id() {
    let renamed = NOTE.replace("— example.com/foo", "— example.com/bar");
    assert_eq!(names(&renamed, &[VKEY]), Err(NoteError::NotSigned));
    let other = Signer::new("example.com/foo", &[7; 32]).unwrap();
    let note = Note::sign("text\n".to_owned(), &[&other]).unwrap().to_string();
    assert_eq!(names(&note, &[VKEY]), Err(NoteError::NotSigned));
}

#[test]
fn only_notes_are_read() {
    for (note, what) in [
        (TEXT.to_owned(), "no signatures"),
        (format!("{TEXT}{BY_PETER}"), "no empty line"),
        (format!("{TEXT}\n"), "nothing after it"),
        (format!("{TEXT}\n{}", BY_PETER.trim_end()), "no end of line"),
        (format!("{TEXT}\n{BY_PETER}more\n"), "a line that is none"),
        (format!("{TEXT}\n{}", BY_PETER.replace('—', "-")), "a hyphen"),
        (format!("{TEXT}\n{}", BY_PETER.replace("x08go", "x08g!")), "no Base 64"),
        (format!("{TEXT}\n{}", BY_PETER.replace("nAM=", "nAM")), "no padding"),
        (format!("{TEXT}\n{}", BY_PETER.replace("nAM=", "nAN=")), "loose bits"),
        (format!("{TEXT}\n— PeterNeumann x08gow==\n"), "an id without a signature"),
        (format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "Peter Neumann")), "a space"),
        (format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "Peter+Neumann")), "a plus"),
        (format!("a\tb\n\n{BY_PETER}"), "a control character"),
        (format!("a\r\n\n{BY_PETER}"), "a carriage return"),
        (format!("{TEXT}\n{}", BY_PETER.repeat(SIGNATURES_MAX + 1)), "too many"),
        (format!("{}\n\n{BY_PETER}", "a".repeat(NOTE_BYTES_MAX)), "too long"),
    ] {
        assert!(matches!(Note::parse(&note), Err(NoteError::Malformed(_))), "{what}");
    }
    let many = format!("{TEXT}\n{}", BY_PETER.repeat(SIGNATURES_MAX));
    assert_eq!(names(&many, &[PETER]).unwrap(), ["PeterNeumann"], "told once");
    let empty_lines = Note::parse(&format!("a\n\nb\n\n\n{BY_PETER}")).unwrap();
    assert_eq!(empty_lines.text(), "a\n\nb\n\n", "signatures come after the last empty line");
}

#[test]
fn only_what_can_be_read_again_is_signed() {
    let signer = Signer::new("log", &[1; 32]).unwrap();
    for text in ["", "no end", "a\tb\n"] {
        assert_eq!(Note::sign(text.to_owned(), &[&signer]), None, "{text:?}");
    }
    assert_eq!(Note::sign("text\n".to_owned(), &[]), None);
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
        assert_eq!(Signer::new(name, &[1; 32]).err(), Some(KeyError::Name), "{name:?}");
    }
}

/// Every byte of a key counts, and nothing may be missing.
#[test]
fn mangled_keys_are_refused() {
    for (key, refused) in [
        (PETER, (|text| Verifier::parse(text).is_err()) as fn(&str) -> bool),
        (SECRET, |text| Signer::parse(text).is_err()),
    ] {
        assert!(!refused(key));
        for start in 0..key.len() {
            for end in start..=key.len() {
                let part = key.get(start..end).unwrap();
                assert!(refused(part) || part == key, "{part}");
            }
        }
        for at in 0..key.len() {
            let mut bytes = key.as_bytes().to_vec();
            bytes[at] += 1;
            assert!(refused(&String::from_utf8(bytes).unwrap()), "{at}");
        }
    }
    // A key that is too long, and one of an unknown kind, each with the right hash.
    for key in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        &PETER.to_uppercase(),
        SECRET,
    ] {
        assert!(Verifier::parse(key).is_err(), "{key}");
    }
}

#[test]
fn i7_private_keys_are_not_printed() {
    let signer = Signer::parse(SECRET).unwrap();
    assert_eq!(format!("{signer:?}"), format!("Signer({PETER})"));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not(
        text in "[ -~é\n]{0,80}\n",
        seed in any::<[u8; 32]>(),
        at in any::<prop::sample::Index>(),
    ) {
        let signer = Signer::new("log.example/1", &seed).unwrap();
        let note = Note::sign(text.clone(), &[&signer]).unwrap();
        let keys = [signer.verifier()];
        prop_assert_eq!(Note::parse(&note.to_string()).unwrap().verify(&keys).unwrap().len(), 1);
        let mut bytes = note.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).ok().and_then(|note| Note::parse(&note).ok());
        if let Some(changed) = changed {
            prop_assert!(changed.verify(&keys).is_err(), "byte {at}");
        }
    }
}
