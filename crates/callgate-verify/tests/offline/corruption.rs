//! Somebody changes files who does not have the key: whatever it is, it is found.

use std::fs;
use std::sync::LazyLock;

use callgate_verify::{Broken, Stop, Wanted, verify};
use proptest::prelude::*;

use crate::writer::{Export, Log, signer, trust};

fn small() -> Export {
    Log::sample(8).export(&[0, 1, 8], &[&signer(1)])
}

static LARGE: LazyLock<(usize, Export)> = LazyLock::new(|| {
    let log = Log::sample(600);
    (log.len(), log.export(&[3, 256, 300, log.len()], &[&signer(1)]))
});

fn large() -> (usize, Export) {
    LARGE.clone()
}

fn is_broken(export: &Export) -> bool {
    matches!(export.check(&trust(&[1]), &[]), Err(Stop::Broken(_)))
}

#[test]
fn i11_an_export_that_is_whole_verifies() {
    let report = small().check(&trust(&[1]), &[]).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.findings.records, report.checkpoints), (8, 3));
    let (size, export) = large();
    let report = export.check(&trust(&[1]), &[]).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(export.0.contains_key("tile/1/000.p/2") && export.0.contains_key("tile/0/001"));
    assert_eq!(report.findings.records, size as u64);
    assert!(report.findings.payloads.erased > 10, "{report:?}");
    let empty = Log::default().export(&[0], &[&signer(1)]);
    assert!(empty.check(&trust(&[1]), &[]).unwrap().is_complete());
}

/// Every byte of every file counts.
#[test]
fn i11_every_flipped_byte_is_found() {
    let export = small();
    let folder = tempfile::tempdir().unwrap();
    export.write(folder.path());
    let trust = trust(&[1]);
    for (path, bytes) in &export.0 {
        let file = folder.path().join(path);
        for at in 0..bytes.len() {
            let mut spoiled = bytes.clone();
            // Another bit each time: letters of the other case, digits, quotes, line ends.
            spoiled[at] ^= 1 << (at % 7);
            fs::write(&file, &spoiled).unwrap();
            let verdict = verify(folder.path(), &trust, &[], Wanted::Nothing);
            assert!(matches!(verdict, Err(Stop::Broken(_))), "byte {at} of {path}: {verdict:?}");
        }
        fs::write(&file, bytes).unwrap();
    }
    assert!(verify(folder.path(), &trust, &[], Wanted::Nothing).is_ok());
}

#[test]
fn i11_every_file_that_is_cut_or_longer_is_found() {
    let (_, export) = large();
    for (path, bytes) in &export.0 {
        for spoiled in [
            vec![],
            bytes[..bytes.len() / 2].to_vec(),
            bytes[..bytes.len() - 1].to_vec(),
            [&bytes[..], b"\n"].concat(),
            [&bytes[..], &bytes[..]].concat(),
        ] {
            let mut export = export.clone();
            export.set(path, &spoiled);
            let verdict = export.check(&trust(&[1]), &[]);
            // Payloads need not be exported; then it is said that they are missing.
            let is_told =
                path == "payloads.jsonl" && verdict.as_ref().is_ok_and(|r| !r.is_complete());
            assert!(is_told || verdict.is_err(), "{path}, {} of {}", spoiled.len(), bytes.len());
        }
    }
}

#[test]
fn i11_every_file_that_is_gone_is_found() {
    let (_, export) = large();
    for path in export.0.keys() {
        let mut export = export.clone();
        export.0.remove(path);
        let verdict = export.check(&trust(&[1]), &[]);
        let found = match verdict {
            Err(Stop::Unreadable(_)) => path == "checkpoint",
            Err(Stop::Broken(Broken::File { path: named, .. })) => named == *path,
            Err(Stop::Broken(_)) | Ok(_) => false,
        };
        assert!(found, "{path}");
    }
}

#[test]
fn i11_payloads_that_are_moved_swapped_or_doubled_are_found() {
    let export = small();
    let path = "payloads.jsonl";
    let count = export.text(path).lines().count();
    for at in 0..count {
        let mut gone = export.clone();
        gone.lines(path, |lines| drop(lines.remove(at)));
        let report = gone.check(&trust(&[1]), &[]).unwrap();
        assert!(!report.is_complete() && report.findings.payloads.absent == 1, "{at}");
        let mut doubled = export.clone();
        doubled.lines(path, |lines| lines.insert(at, lines[at].clone()));
        assert!(is_broken(&doubled), "{at} doubled");
        let mut swapped = export.clone();
        let other = (at + 1) % count;
        swapped.lines(path, |lines| lines.swap(at, other));
        let verdict = swapped.check(&trust(&[1]), &[]).map(|report| report.findings);
        let why = verdict.unwrap_err().to_string();
        assert!(why.contains("the payload of a record after"), "{at} moved: {why}");
        let mut exchanged = export.clone();
        exchanged.lines(path, |lines| exchange(lines, at, other));
        assert!(is_broken(&exchanged), "{at} has the payload of {other}");
    }
    for spelled in ["01", "+1", "1.0", "\"1\""] {
        let mut other = export.clone();
        other.lines(path, |lines| lines[1] = lines[1].replacen(":1,", &format!(":{spelled},"), 1));
        assert!(is_broken(&other), "{spelled}");
    }
    let mut beyond = export;
    beyond.lines(path, |lines| lines.push("{\"index\":8,\"payload\":{}}\n".to_owned()));
    assert!(is_broken(&beyond));
}

/// Each keeps its index, and has what the other says.
fn exchange(lines: &mut [String], one: usize, other: usize) {
    let split = |line: &str| {
        let (index, payload) = line.split_once(",\"payload\"").unwrap();
        (index.to_owned(), payload.to_owned())
    };
    let ((a, x), (b, y)) = (split(&lines[one]), split(&lines[other]));
    lines[one] = format!("{a},\"payload\"{y}");
    lines[other] = format!("{b},\"payload\"{x}");
}

#[test]
fn i11_the_place_that_is_broken_is_named() {
    let mut export = small();
    let path = "tile/entries/000.p/8";
    let bytes = export.0.get_mut(path).unwrap();
    let text = String::from_utf8_lossy(bytes).into_owned();
    let at = bytes.windows(12).position(|bytes| bytes == b"indeterminat").unwrap();
    bytes[at] = b'I';
    let Err(Stop::Broken(broken)) = export.check(&trust(&[1]), &[]) else { panic!("{text}") };
    let Broken::File { path: named, index, .. } = &broken else { panic!("{broken:?}") };
    assert_eq!((named.as_str(), *index), (path, Some(6)), "{broken}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn i11_what_is_spoiled_in_a_larger_log_is_found(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (_, mut export) = large();
        let path = file.get(&export.0.keys().cloned().collect::<Vec<_>>()).clone();
        let bytes = export.0.get_mut(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(is_broken(&export), "bit {bit} of byte {at} of {path}");
    }
}
