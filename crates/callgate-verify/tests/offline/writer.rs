//! Writes exports as `docs/verify.md` says that they are. What it shares with the verifier is SHA-256 and signatures: entries
//! are made canonical by another library, and tiles by the definition of RFC 6962.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use callgate_model::digest::Digest;
use callgate_model::transparency::{Checkpoint, Signer, leaf_hash};
use callgate_verify::{Report, Stop, Trust, Wanted, verify};
use serde_json::{Value, json};

pub(crate) const ORIGIN: &str = "gate.example/evidence";

pub(crate) fn signer(seed: u8) -> Signer {
    Signer::new(ORIGIN, &[seed; 32]).unwrap()
}

pub(crate) fn trust(seeds: &[u8]) -> Trust {
    let keys = seeds.iter().map(|seed| signer(*seed).verifier()).collect();
    Trust { keys, witnesses: Vec::new() }
}

pub(crate) fn id(number: usize) -> String {
    format!("019acb5e-8b1c-7d5e-a1c4-{number:012x}")
}

fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

/// The root of a tree, as RFC 6962 defines it.
pub(crate) fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Digest::of(&[&[1][..], root(left).as_bytes(), root(right).as_bytes()].concat())
        }
    }
}

/// A log as a gateway would write it, or as it would not.
#[derive(Clone, Default)]
pub(crate) struct Log {
    heads: BTreeMap<usize, (u64, Digest)>,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) payloads: Vec<Option<Vec<u8>>>,
}

impl Log {
    /// One record: `members` of the entry and the event.
    pub(crate) fn say(&mut self, writer: usize, kind: &str, members: &Value, event: &Value) {
        let salt = format!("{:032x}", self.entries.len());
        let payload = canonical(&json!({"event": event, "salt": salt}));
        let (sequence, previous) = self.heads.get(&writer).copied().unwrap_or_default();
        let mut entry = json!({
            "at": format!("2026-11-28T01:{:02}:{:02}.000Z", self.entries.len() / 60 % 60, self.entries.len() % 60),
            "format": 2,
            "kind": kind,
            "payload": Digest::of(&payload).to_string(),
            "previous": previous.to_string(),
            "sequence": sequence,
            "writer": id(writer),
        });
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let entry = canonical(&entry);
        self.heads.insert(writer, (sequence + 1, leaf_hash(&entry)));
        self.entries.push(entry);
        self.payloads.push(Some(payload));
    }

    pub(crate) fn open(&mut self, writer: usize) {
        let last = self.heads.iter().next_back();
        let after = last
            .map(|(writer, (_, head))| json!({"head": head.to_string(), "writer": id(*writer)}));
        self.say(writer, "opened", &json!({}), &json!({"after": after, "version": "1.0.0"}));
    }

    pub(crate) fn intent(&mut self, writer: usize, call: usize) {
        let event = json!({
            "call": id(call),
            "caller": {"accountable": {"id": "alice"}, "agent": {"id": "release-bot"}},
            "decision": {"verdict": "allow"},
            "server": "atlassian",
            "tool": "getJiraIssue",
        });
        self.say(writer, "intent", &json!({"call": id(call)}), &event);
    }

    pub(crate) fn outcome(&mut self, writer: usize, call: usize, outcome: &str) {
        let of = json!({"call": id(call), "outcome": outcome});
        self.say(writer, "outcome", &of, &of);
    }

    pub(crate) fn settle(&mut self, writer: usize, call: usize) {
        let event = json!({"by": "bob", "call": id(call), "finding": "took_effect", "note": ""});
        self.say(writer, "settled", &json!({"call": id(call)}), &event);
    }

    pub(crate) fn approve(&mut self, writer: usize, approval: usize) {
        let (id, binding) = (id(approval), Digest::of(&approval.to_be_bytes()).to_string());
        let of = json!({"binding": binding, "id": id, "spends": false});
        let event = json!({"approval": {"binding": binding, "id": id}, "by": "gate", "change": "approval_requested"});
        self.say(
            writer,
            "change",
            &json!({"approval": of, "change": "approval_requested"}),
            &event,
        );
        let of = json!({"id": id, "spends": false});
        let event = json!({"by": "bob", "change": "approval_voted", "vote": {"approval": id, "approves": true}});
        self.say(writer, "change", &json!({"approval": of, "change": "approval_voted"}), &event);
    }

    pub(crate) fn spend(&mut self, writer: usize, call: usize, approval: usize) {
        let (of, binding) = (id(approval), Digest::of(&approval.to_be_bytes()).to_string());
        let event =
            json!({"approved_by": {"id": of, "spends": true}, "call": id(call), "continues": null});
        let approval = json!({"binding": binding, "id": of, "spends": true});
        self.say(writer, "intent", &json!({"approval": approval, "call": id(call)}), &event);
    }

    /// Erases payloads, and says so.
    pub(crate) fn erase(&mut self, writer: usize, indexes: &[usize]) {
        indexes.iter().for_each(|index| self.payloads[*index] = None);
        let event = json!({"by": "operator", "change": "payloads_erased", "indexes": indexes});
        self.say(writer, "change", &json!({"change": "payloads_erased"}), &event);
    }

    /// A log of about that many records in which everything happens that may, and nothing is missing.
    pub(crate) fn sample(records: usize) -> Self {
        let mut log = Self::default();
        for round in 0..records {
            let writer = 1_000_000 + round / 4;
            let (call, approval) = (2_000_000 + round * 10, 3_000_000 + round);
            if round % 4 == 0 {
                log.open(writer);
            }
            log.intent(writer, call);
            log.approve(writer, approval);
            log.outcome(writer, call, "succeeded");
            log.spend(writer, call + 1, approval);
            log.outcome(writer, call + 1, "indeterminate");
            match round % 3 {
                0 => log.settle(writer, call + 1),
                1 => log.outcome(writer, call + 1, "tool_error"),
                _ => {
                    log.settle(writer, call + 1);
                    log.erase(writer, &[log.entries.len() - 3]);
                }
            }
            let refused = json!({"call": id(call + 2)});
            log.say(writer, "refusal", &refused, &refused);
            if log.entries.len() >= records {
                break;
            }
        }
        log
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The log as it was when it had so many records.
    pub(crate) fn cut(mut self, size: usize) -> Self {
        self.entries.truncate(size);
        self.payloads.truncate(size);
        self.heads.clear();
        for entry in &self.entries {
            let json: Value = serde_json::from_slice(entry).unwrap();
            let writer = json["writer"].as_str().unwrap().rsplit('-').next().unwrap();
            let next = json["sequence"].as_u64().unwrap() + 1;
            let writer = usize::from_str_radix(writer, 16).unwrap();
            self.heads.insert(writer, (next, leaf_hash(entry)));
        }
        self
    }

    pub(crate) fn leaves(&self) -> Vec<Digest> {
        self.entries.iter().map(|entry| leaf_hash(entry)).collect()
    }

    /// The signed checkpoint over the first records.
    pub(crate) fn checkpoint(&self, size: usize, signers: &[&Signer]) -> String {
        let root = root(&self.leaves()[..size]);
        let origin = ORIGIN.to_owned();
        let checkpoint = Checkpoint { origin, size: size as u64, root, extensions: Vec::new() };
        checkpoint.sign(signers).unwrap().to_string()
    }

    /// The export, by the paths of its files, with checkpoints of these sizes; the last is the latest.
    pub(crate) fn export(&self, sizes: &[usize], signers: &[&Signer]) -> Export {
        let notes: Vec<String> = sizes.iter().map(|size| self.checkpoint(*size, signers)).collect();
        let size = *sizes.last().unwrap();
        let leaves = &self.leaves()[..size];
        let mut export = Export(BTreeMap::new());
        export.set("checkpoint", notes.last().unwrap().as_bytes());
        let lines: String = notes.iter().map(|note| format!("{}\n", json!(note))).collect();
        export.set("checkpoints.jsonl", lines.as_bytes());
        let payloads = self.payloads.iter().take(size).enumerate();
        let line = |(index, payload): (usize, &Option<Vec<u8>>)| {
            let payload = String::from_utf8(payload.clone()?).unwrap();
            Some(format!("{{\"index\":{index},\"payload\":{payload}}}\n"))
        };
        export.set("payloads.jsonl", payloads.filter_map(line).collect::<String>().as_bytes());
        for (number, entries) in self.entries[..size].chunks(256).enumerate() {
            let mut bytes = Vec::new();
            for entry in entries {
                bytes.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
                bytes.extend(entry);
            }
            export.set(&format!("tile/entries/{}", part(number, entries.len())), &bytes);
        }
        for level in 0..8 {
            let whole = leaves.chunks_exact(256_usize.pow(level));
            let hashes: Vec<Digest> = whole.map(root).collect();
            for (number, hashes) in hashes.chunks(256).enumerate() {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                export.set(&format!("tile/{level}/{}", part(number, hashes.len())), &bytes);
            }
        }
        export
    }
}

fn part(number: usize, width: usize) -> String {
    assert!(number < 1_000, "a larger log has longer paths");
    if width == 256 { format!("{number:03}") } else { format!("{number:03}.p/{width}") }
}

/// The files of an export.
#[derive(Clone)]
pub(crate) struct Export(pub(crate) BTreeMap<String, Vec<u8>>);

impl Export {
    pub(crate) fn set(&mut self, path: &str, bytes: &[u8]) {
        self.0.insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn text(&self, path: &str) -> &str {
        std::str::from_utf8(&self.0[path]).unwrap()
    }

    /// Changes the lines of a file.
    pub(crate) fn lines(&mut self, path: &str, change: impl FnOnce(&mut Vec<String>)) {
        let lines = self.text(path).split_inclusive('\n');
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        change(&mut lines);
        self.set(path, lines.concat().as_bytes());
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (path, bytes) in &self.0 {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// What the verifier says of it, with checkpoints that were noted before.
    pub(crate) fn check(&self, trust: &Trust, against: &[&str]) -> Result<Report, Stop> {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        let noted = tempfile::tempdir().unwrap();
        let files = against.iter().enumerate().map(|(number, note)| {
            let file = noted.path().join(number.to_string());
            fs::write(&file, note).unwrap();
            file
        });
        verify(folder.path(), trust, &files.collect::<Vec<_>>(), Wanted::Nothing)
    }
}
