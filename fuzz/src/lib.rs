//! What must hold for any bytes that come in: a target is a function that panics if it does not.
//!
//! It must not know libFuzzer, so that every test run tries the seeds of the corpus, and what was found once stays found.

mod headers;
mod json;
mod lines;
mod log;
mod message;
mod query;
mod second;
mod spelling;
mod sse;

/// Checks what must hold for these bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("headers", headers::check),
    ("json", json::check),
    ("lines", lines::check),
    ("log", log::check),
    ("message", message::check),
    ("query", query::check),
    ("spelling", spelling::check),
    ("sse", sse::check),
];

/// Takes one byte off the front; 0 if there is none.
fn take(bytes: &mut &[u8]) -> usize {
    bytes.split_off_first().copied().map_or(0, usize::from)
}

/// `bytes` in pieces of these lengths, over and over; in one piece if there are no lengths.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut lengths = lengths.iter().cycle();
    while !bytes.is_empty() {
        let length = lengths.next().map_or(bytes.len(), |length| usize::from(*length) + 1);
        let (piece, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn i13_the_seeds_hold() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let folders = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().file_name());
        let folders: BTreeSet<String> = folders.map(|name| name.into_string().unwrap()).collect();
        let names = TARGETS.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(folders, names.collect(), "a folder for each target");
        for (name, target) in TARGETS {
            let seeds: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().collect();
            assert!(seeds.len() >= 3, "{name} has few seeds");
            for seed in seeds {
                target(&fs::read(seed.unwrap().path()).unwrap());
            }
        }
    }

    #[test]
    fn pieces_are_the_whole() {
        assert_eq!(pieces(b"abcdef", &[0, 1]), [&b"a"[..], b"bc", b"d", b"ef"]);
        assert_eq!(pieces(b"abc", &[]), [b"abc"]);
        assert!(pieces(b"", &[1]).is_empty());
    }
}
