use super::*;
use crate::reason::Reason;

fn chain_of(count: u64) -> Vec<String> {
    let mut chain = Chain::new(Id::new(Timestamp::from_unix_ms(1), [7; 16]));
    (0..count)
        .map(|index| {
            let event = if index == 0 {
                Event::Opened { version: "0.1.0".into(), after: None }
            } else {
                Event::Concluded(Concluded {
                    call: Id::new(Timestamp::from_unix_ms(1), [1; 16]),
                    outcome: Outcome::Succeeded,
                    upstream_us: Some(u64::MAX),
                    result: Some((Digest::of(b"x"), 1)),
                    detail: None,
                })
            };
            chain.seal(Timestamp::from_unix_ms(1000), &event).text
        })
        .collect()
}

fn verify(texts: &[String]) -> Result<Digest, Broken> {
    verify_chain(texts.iter().map(String::as_str))
}

#[test]
fn i11_an_untouched_chain_verifies() {
    let texts = chain_of(5);
    assert_eq!(verify(&texts), Ok(Digest::of(texts[4].as_bytes())));
}

#[test]
fn i11_every_change_but_truncation_is_found() {
    let texts = chain_of(5);
    for index in 0..5 {
        let mut changed = texts.clone();
        changed[index] = changed[index].replace("1970-01-01", "1970-01-02");
        // The last record's change shows in the head, which the next record, or a checkpoint, holds.
        assert!(verify(&changed).is_err() || verify(&changed) != verify(&texts), "change {index}");
        let mut removed = texts.clone();
        removed.remove(index);
        assert!(verify(&removed).is_err() || index == 4, "remove {index}");
        let mut doubled = texts.clone();
        doubled.insert(index, texts[index].clone());
        assert!(verify(&doubled).is_err(), "double {index}");
    }
    let mut swapped = texts.clone();
    swapped.swap(2, 3);
    assert!(verify(&swapped).is_err());
    let mut spaced = texts;
    spaced[1].push(' ');
    assert_eq!(verify(&spaced), Err(Broken::NotCanonical { index: 1 }));
}

#[test]
fn a_refusal_is_not_an_intent() {
    let decided = Decided {
        call: Id::new(Timestamp::default(), [0; 16]),
        caller: None,
        client_says: None,
        method: "tools/call".into(),
        server: "s".into(),
        tool: "t".into(),
        understood: None,
        arguments_digest: None,
        arguments: Json::Null,
        decision: Decision::deny(Reason::ToolUnknown, Digest::default()),
        decided_in_us: 1,
        trace: None,
    };
    assert_eq!(Event::Decided(Box::new(decided)).kind(), "refusal");
}
