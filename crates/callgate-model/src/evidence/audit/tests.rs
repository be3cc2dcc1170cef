use super::*;
use crate::json::{Json, Object};
use crate::transparency::empty_root;

mod approvals;

/// A log as a gateway writes it: entries, and their payloads.
#[derive(Clone, Default)]
struct Log {
    heads: BTreeMap<u8, (i64, Digest)>,
    records: Vec<(String, Option<String>)>,
}

fn id(number: u8) -> String {
    format!("019acb5e-8b1c-7d5e-a1c4-0000000000{number:02x}")
}

fn canonical(object: &Object) -> String {
    String::from_utf8(object.canonical()).unwrap()
}

fn named(names: &[(&str, &str)]) -> Object {
    names.iter().fold(Object::default(), |object, (name, value)| object.with(name, *value))
}

impl Log {
    /// Adds what `writer` says: members of the entry, and the event.
    fn say(&mut self, writer: u8, kind: &str, members: Object, event: Object) -> &mut Self {
        let payload = Object::default().with("event", event).with("salt", "0".repeat(32));
        let payload = canonical(&payload);
        let (sequence, previous) = self.heads.get(&writer).copied().unwrap_or_default();
        let entry = members
            .with("at", "2026-11-28T01:00:00.000Z")
            .with("format", 2)
            .with("kind", kind)
            .with("payload", Digest::of(payload.as_bytes()).to_string())
            .with("previous", previous.to_string())
            .with("sequence", sequence)
            .with("writer", id(writer));
        let entry = canonical(&entry);
        self.heads.insert(writer, (sequence + 1, leaf_hash(entry.as_bytes())));
        self.records.push((entry, Some(payload)));
        self
    }

    fn opened(&mut self, writer: u8) -> &mut Self {
        self.say(writer, "opened", Object::default(), named(&[("version", "1")]))
    }

    /// A writer that names the one before it, and the end of its chain.
    fn opened_after(&mut self, writer: u8, before: u8, head: Digest) -> &mut Self {
        let after = named(&[("writer", &id(before)), ("head", &head.to_string())]);
        self.say(writer, "opened", Object::default(), Object::default().with("after", after))
    }

    fn intent(&mut self, call: u8) -> &mut Self {
        let of = named(&[("call", &id(call))]);
        self.say(1, "intent", of.clone(), of)
    }

    fn outcome(&mut self, call: u8, outcome: &str) -> &mut Self {
        let of = named(&[("call", &id(call)), ("outcome", outcome)]);
        self.say(1, "outcome", of.clone(), of)
    }

    fn settled(&mut self, call: u8) -> &mut Self {
        let of = named(&[("call", &id(call))]);
        self.say(1, "settled", of.clone(), of.with("finding", "took_effect"))
    }

    fn change(&mut self, change: &str, approval: Option<Object>, event: Object) -> &mut Self {
        let mut members = named(&[("change", change)]);
        if let Some(approval) = approval {
            members.set("approval", approval);
        }
        self.say(1, "change", members, event.with("change", change))
    }

    fn requested(&mut self, approval: u8, binding: &str) -> &mut Self {
        let of = named(&[("id", &id(approval)), ("binding", &bind(binding))]);
        let event = Object::default().with("approval", of.clone());
        self.change("approval_requested", Some(of.with("spends", false)), event)
    }

    fn voted(&mut self, approval: u8, approves: bool) -> &mut Self {
        let vote = named(&[("approval", &id(approval))]).with("approves", approves);
        self.change("approval_voted", Some(names(approval)), Object::default().with("vote", vote))
    }

    fn withdrawn(&mut self, approval: u8) -> &mut Self {
        let event = named(&[("id", &id(approval))]);
        self.change("approval_withdrawn", Some(names(approval)), event)
    }

    fn expired(&mut self, approval: u8) -> &mut Self {
        self.change("approval_expired", Some(names(approval)), named(&[("id", &id(approval))]))
    }

    fn glass(&mut self, approval: u8) -> &mut Self {
        let glass = named(&[("approval", &id(approval))]);
        self.change("glass_broken", Some(names(approval)), Object::default().with("glass", glass))
    }

    fn spend(&mut self, call: u8, approval: u8, binding: &str, continues: Option<u8>) -> &mut Self {
        self.under(call, (approval, true), binding, continues)
    }

    /// A call by an approval that it takes, or that a call before it took.
    fn under(
        &mut self,
        call: u8,
        (approval, spends): (u8, bool),
        binding: &str,
        continues: Option<u8>,
    ) -> &mut Self {
        let of = named(&[("id", &id(approval)), ("binding", &bind(binding))]);
        let of = of.with("spends", spends);
        let event = named(&[("call", &id(call))])
            .with("approved_by", named(&[("id", &id(approval))]))
            .with("continues", continues.map(id));
        let entry = named(&[("call", &id(call))]).with("approval", of);
        let entry = match continues {
            Some(first) => entry.with("continues", id(first)),
            None => entry,
        };
        self.say(1, "intent", entry, event)
    }

    fn erased(&mut self, indexes: &[i64]) -> &mut Self {
        let indexes: Vec<Json> = indexes.iter().map(|index| Json::from(*index)).collect();
        self.change("payloads_erased", None, Object::default().with("indexes", indexes))
    }

    fn audit(&self) -> Result<Findings, Broken> {
        let (mut auditor, mut frontier) = (Auditor::new(), Frontier::new());
        for (entry, payload) in &self.records {
            auditor.entry(entry.as_bytes(), payload.as_deref().map(str::as_bytes))?;
            frontier.push(leaf_hash(entry.as_bytes()));
        }
        auditor.finish(&checkpoint(frontier.size(), frontier.root()))
    }

    fn findings(&self) -> Findings {
        self.audit().unwrap()
    }

    /// The rule that is broken, and where.
    fn broken(&self) -> (u64, Rule) {
        let broken = self.audit().unwrap_err();
        match broken.place {
            Place::Record { index, .. } => (index, broken.rule),
            Place::Tree { size } => (size, broken.rule),
        }
    }
}

/// An approval as a vote names it.
fn names(approval: u8) -> Object {
    named(&[("id", &id(approval))]).with("spends", false)
}

fn bind(binding: &str) -> String {
    Digest::of(binding.as_bytes()).to_string()
}

fn checkpoint(size: u64, root: Digest) -> Checkpoint {
    Checkpoint { origin: "log".to_owned(), size, root, extensions: Vec::new() }
}

fn opened() -> Log {
    let mut log = Log::default();
    log.opened(1);
    log
}

#[test]
fn i11_a_log_that_keeps_the_rules_is_told_what_is_in_it() {
    let mut log = opened();
    log.intent(10).outcome(10, "succeeded").intent(11).intent(12).outcome(12, "timed_out");
    log.opened(2).intent(13).outcome(13, "indeterminate");
    let found = log.findings();
    assert_eq!((found.records, found.writers, found.intents, found.outcomes), (9, 2, 4, 3));
    assert_eq!((found.open, found.open_calls), (1, vec![(Id::parse(&id(11)).unwrap(), 3)]));
    assert_eq!(found.unsettled, 2);
    assert_eq!(found.payloads, Payloads { whole: 9, ..Payloads::default() });
}

#[test]
fn i11_what_was_signed_is_compared_at_every_size() {
    let mut log = opened();
    log.intent(10).outcome(10, "succeeded");
    let mut auditor = Auditor::new();
    assert_eq!(auditor.compare(&checkpoint(0, empty_root())), Ok(()));
    auditor.entry(log.records[0].0.as_bytes(), None).unwrap();
    let root = leaf_hash(log.records[0].0.as_bytes());
    assert_eq!(auditor.compare(&checkpoint(1, root)), Ok(()));
    let other = auditor.compare(&checkpoint(1, empty_root())).unwrap_err();
    assert_eq!((other.rule, other.place), (Rule::Root, Place::Tree { size: 1 }));
    assert!(other.to_string().contains(&root.to_string()), "{other}");
    assert!(auditor.compare(&checkpoint(2, root)).is_err(), "records are missing");
    assert!(auditor.finish(&checkpoint(2, root)).is_err());
}

#[test]
fn i11_a_chain_that_is_broken_is_found() {
    let mut whole = opened();
    whole.intent(10).outcome(10, "succeeded").intent(11).outcome(11, "succeeded");
    for removed in 0..4 {
        let mut log = whole.clone();
        log.records.remove(removed);
        assert_eq!(log.broken(), (removed as u64, Rule::Chain), "{removed} is gone");
        let mut log = whole.clone();
        log.records.swap(removed, removed + 1);
        assert_eq!(log.broken(), (removed as u64, Rule::Chain), "{removed} is moved");
        let mut log = whole.clone();
        let twice = log.records[removed].clone();
        log.records.insert(removed, twice);
        assert_eq!(log.broken(), (removed as u64 + 1, Rule::Chain), "{removed} is there twice");
    }
    // What another writer says in between is no break.
    let mut two = opened();
    two.opened(2).intent(10).opened(3).outcome(10, "succeeded");
    two.audit().unwrap();
    two.records.swap(2, 3);
    two.audit().unwrap();
}

#[test]
fn i11_each_link_of_a_chain_counts() {
    let mut log = opened();
    let (first, second) = (log.heads[&1].1, log.intent(10).records[1].clone());
    for (from, to) in [
        (r#""sequence":1"#.to_owned(), r#""sequence":2"#.to_owned()),
        (r#""sequence":1"#.to_owned(), r#""sequence":0"#.to_owned()),
        (first.to_string(), Digest::default().to_string()),
    ] {
        let changed = second.0.replace(&from, &to);
        assert_ne!(changed, second.0);
        log.records[1].0 = changed;
        assert_eq!(log.broken(), (1, Rule::Chain), "{from} → {to}");
    }
}

#[test]
fn i11_the_end_of_a_chain_is_named_by_the_next_writer() {
    let mut log = opened();
    log.intent(10).outcome(10, "succeeded");
    let (early, end) = (leaf_hash(log.records[1].0.as_bytes()), log.heads[&1].1);
    log.clone().opened_after(2, 1, end).audit().unwrap();
    // Others may write until it is stored.
    log.clone().opened_after(2, 1, early).audit().unwrap();
    let cut = Log { records: log.records[..2].to_vec(), ..Log::default() };
    assert_eq!(cut.clone().opened_after(2, 1, end).broken(), (2, Rule::Chain));
    assert_eq!(cut.clone().opened_after(2, 3, Digest::default()).broken(), (2, Rule::Chain));
}

#[test]
fn a_writer_opens_its_chain_once() {
    let mut log = Log::default();
    assert_eq!(log.intent(10).broken(), (0, Rule::Chain));
    assert_eq!(opened().opened(1).broken(), (1, Rule::Chain));
}

#[test]
fn only_entries_in_their_one_form_are_read() {
    let entry = opened().intent(10).records[1].0.clone();
    for (from, to) in [
        (r#""format":2"#, r#""format":1"#),
        (r#""format":2"#, r#""format":2.0"#),
        (r#""kind":"intent""#, r#""kind":"Intent""#),
        (r#""kind":"intent""#, r#""kind":"outcome""#),
        (r#""kind":"intent""#, r#""kind":"change""#),
        (r#""kind":"intent""#, r#""kind": "intent""#),
        (r#""kind":"intent","#, ""),
        (r#""kind":"intent""#, r#""kind":"intent","more":1"#),
        (r#""sequence":1"#, r#""sequence":"1""#),
        (r#""sequence":1"#, r#""sequence":-1"#),
        ("2026-11-28T01:00:00.000Z", "2026-11-28T01:00:00Z"),
        ("2026-11-28T01:00:00.000Z", "2026-11-28T02:00:00.000+01:00"),
        (&id(10), &id(10).to_uppercase()),
        (&id(10), &id(10).replace('-', "")),
        (
            r#"{"at":"#,
            r#"{"approval":{"id":"019acb5e-8b1c-7d5e-a1c4-000000000001","spends":true},"at":"#,
        ),
        (r#"{"at":"#, r#"{"approval":{"id":"019acb5e-8b1c-7d5e-a1c4-000000000001"},"at":"#),
        (r#""kind":"#, r#""change":"revoked","kind":"#),
        (r#""payload":"#, r#""outcome":"succeeded","payload":"#),
        (r#"{"at":"#, r#"{"approval":null,"at":"#),
        ("}", "} "),
        ("}", ""),
        ("{", "[{"),
    ] {
        let changed = entry.replacen(from, to, 1);
        assert_ne!(changed, entry, "{from}");
        let mut log = opened();
        log.records.push((changed, None));
        assert_eq!(log.broken(), (1, Rule::Form), "{from} → {to}");
    }
    let mut log = opened();
    let digest = payload_in(&entry);
    log.records.push((entry.replace(&digest, &digest.to_uppercase()), None));
    assert_eq!(log.broken(), (1, Rule::Form), "digests are written in small letters");
}

fn payload_in(entry: &str) -> String {
    entry.split(r#""payload":""#).nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn a_payload_is_the_one_that_was_recorded() {
    let mut log = opened();
    log.intent(10).intent(11);
    let payloads = log.records.iter().map(|(_, payload)| payload.clone()).collect::<Vec<_>>();
    log.records[1].1.clone_from(&payloads[2]);
    assert_eq!(log.broken(), (1, Rule::Payload), "swapped");
    log.records[1].1 = payloads[1].as_ref().map(|text| text.replace("00\"", "01\""));
    assert_eq!(log.broken(), (1, Rule::Payload), "another salt");
}

#[test]
fn a_payload_says_what_its_entry_says() {
    type Said = fn(&mut Log);
    let lies: [(&str, Said); 6] = [
        ("another call", |log| {
            let (is, says) = (named(&[("call", &id(10))]), named(&[("call", &id(11))]));
            log.say(1, "intent", is, says);
        }),
        ("another outcome", |log| {
            let is = named(&[("call", &id(1)), ("outcome", "tool_error")]);
            log.intent(1).say(1, "outcome", is.clone(), is.with("outcome", "succeeded"));
        }),
        ("another change", |log| {
            let is = named(&[("change", "grant_issued")]);
            log.say(1, "change", is, named(&[("change", "grant_revoked")]));
        }),
        ("a hidden approval", |log| {
            let event = named(&[("call", &id(10))]);
            let event = event.with("approved_by", named(&[("id", &id(50))]));
            log.say(1, "intent", named(&[("call", &id(10))]), event);
        }),
        ("another approval", |log| {
            let event = Object::default().with("vote", named(&[("approval", &id(51))]));
            log.requested(50, "x").change("approval_voted", Some(names(50)), event);
        }),
        ("another binding", |log| {
            let of = named(&[("id", &id(50)), ("binding", &bind("x"))]);
            let says = Object::default().with("approval", of.clone().with("binding", bind("y")));
            log.change("approval_requested", Some(of.with("spends", false)), says);
        }),
    ];
    for (what, say) in lies {
        let mut log = opened();
        say(&mut log);
        assert_eq!(log.broken().1, Rule::Payload, "{what}");
    }
}

#[test]
fn only_payloads_in_their_one_form_are_read() {
    let whole = opened().intent(10).records[1].1.clone().unwrap();
    for (from, to) in [
        (whole.as_str(), "{}"),
        (whole.as_str(), "not JSON"),
        (r#","salt":"00000000000000000000000000000000""#, ""),
        (r#""salt":"00000000000000000000000000000000""#, r#""salt":"0""#),
        (
            r#""salt":"00000000000000000000000000000000""#,
            r#""salt":"0000000000000000000000000000000A""#,
        ),
        (r#""salt""#, r#""more":1,"salt""#),
        (r#""salt""#, r#" "salt""#),
        (r#""event":{"#, r#""event":{ "#),
        (r#"{"event""#, r#"{"Event""#),
    ] {
        let payload = &whole.replace(from, to);
        assert_ne!(*payload, whole, "{from}");
        let mut log = opened();
        log.intent(10);
        let was = Digest::of(log.records[1].1.as_deref().unwrap().as_bytes()).to_string();
        let is = Digest::of(payload.as_bytes()).to_string();
        log.records[1] = (log.records[1].0.replace(&was, &is), Some(payload.clone()));
        assert_eq!(log.broken(), (1, Rule::Payload), "{payload}");
    }
}

#[test]
fn i1_there_is_no_outcome_without_an_intent_and_no_second_one() {
    assert_eq!(opened().outcome(10, "succeeded").broken(), (1, Rule::Call));
    let twice = opened().intent(10).outcome(10, "succeeded").outcome(10, "succeeded").broken();
    assert_eq!(twice, (3, Rule::Call));
    assert_eq!(opened().intent(10).intent(10).broken(), (2, Rule::Call));
    let again = opened().intent(10).outcome(10, "timed_out").outcome(10, "succeeded").broken();
    assert_eq!(again, (3, Rule::Call), "only what recovery has concluded may still come");
}

#[test]
fn what_is_not_known_may_come_late_or_be_settled() {
    let lost = || {
        let mut log = opened();
        log.intent(10).outcome(10, "indeterminate");
        log
    };
    assert_eq!(lost().findings().unsettled, 1);
    assert_eq!(lost().outcome(10, "succeeded").findings().unsettled, 0);
    assert_eq!(lost().settled(10).findings().unsettled, 0);
    lost().settled(10).outcome(10, "succeeded").audit().unwrap();
    let twice = lost().outcome(10, "succeeded").outcome(10, "succeeded").broken();
    assert_eq!(twice, (4, Rule::Call), "it comes late once");
    assert_eq!(lost().outcome(10, "timed_out").findings().unsettled, 1, "it is not known still");
    lost().settled(10).outcome(10, "timed_out").settled(10).audit().unwrap();
    assert_eq!(lost().settled(10).settled(10).broken(), (4, Rule::Call), "settled twice");
    let known = lost().outcome(10, "succeeded").settled(10).broken();
    assert_eq!(known, (4, Rule::Call), "there is nothing to settle");
    // Two gateways that start at once.
    let mut both = lost();
    assert_eq!(both.outcome(10, "indeterminate").findings().unsettled, 1);
    both.outcome(10, "succeeded").audit().unwrap();
    assert_eq!(lost().intent(10).broken(), (3, Rule::Call));
    assert_eq!(opened().settled(10).broken(), (1, Rule::Call));
    assert_eq!(opened().intent(10).settled(10).broken(), (2, Rule::Call), "it is still open");
    let known = opened().intent(10).outcome(10, "succeeded").settled(10).broken();
    assert_eq!(known, (3, Rule::Call));
}

#[test]
fn payloads_that_are_not_there_are_counted() {
    let mut log = opened();
    log.intent(10).outcome(10, "succeeded").intent(11).outcome(11, "succeeded").erased(&[1, 2]);
    for index in [1, 2, 3] {
        log.records[index].1 = None;
    }
    let payloads = Payloads { whole: 3, erased: 2, absent: 1, kept: 0 };
    assert_eq!(log.findings().payloads, payloads);
    log.erased(&[4]);
    let payloads = Payloads { whole: 4, erased: 2, absent: 1, kept: 1 };
    assert_eq!(log.findings().payloads, payloads);
    assert_eq!(log.clone().erased(&[8]).broken(), (7, Rule::Payload));
    assert_eq!(log.erased(&[-1]).broken().1, Rule::Payload);
    // Whether somebody spent it twice is told without.
    let mut log = opened();
    log.requested(50, "x").voted(50, true).spend(10, 50, "x", None).spend(11, 50, "x", None);
    log.records[4].1 = None;
    assert_eq!(log.broken(), (4, Rule::Approval));
}
