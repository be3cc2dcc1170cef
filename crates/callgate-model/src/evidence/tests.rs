use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::ambient::Timestamp;
use crate::approval::Occasion;
use crate::authority::{Change, Lifts, Use};
use crate::caller::*;
use crate::decision::{Allotment, Escalation, Gate, PolicyRef};
use crate::json::{JsonLimits, Object, read};
use crate::obligation::Obligations;
use crate::reason::Reason;
use crate::target::{Obstacle, Resource, Unresolved};
use crate::treatment::Treatment;

fn sealed(chain: &mut Chain, event: &Event, at: Timestamp) -> Sealed {
    let payload = Payload::new(event, [7; 16]);
    chain.seal(at, event.kind(), About::of(event), payload.digest())
}

#[test]
fn a_refusal_is_not_an_intent() {
    let decided = Decided {
        call: Id::new(Timestamp::default(), [0; 16]),
        caller: None,
        continues: None,
        resolves: None,
        client_says: None,
        why: None,
        method: "tools/call".into(),
        server: "s".into(),
        tool: "t".into(),
        understood: None,
        arguments_digest: None,
        arguments: Json::Null,
        hashes: Vec::new(),
        responses_digest: None,
        under: Under::default(),
        decision: Decision::deny(Reason::ToolUnknown, Digest::default()),
        decided_in_us: 1,
        notices: Vec::new(),
        trace: None,
    };
    assert_eq!(Event::Decided(Arc::new(decided)).kind(), Kind::Refusal);
}

fn full_caller() -> Caller {
    let id = |subject: &str| Identity { issuer: None, subject: subject.into() };
    let agent = || Agent {
        identity: id("bot"),
        class: Some("automation".into()),
        assurance: Assurance::Configured,
    };
    Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: id("alice"),
            groups: vec!["engineering".into()],
            assurance: Assurance::Configured,
        },
        agent: Some(agent()),
        actors: vec![agent()],
        client: Client { name: "cli".into(), assurance: Assurance::Configured },
        credential: Credential {
            kind: CredentialKind::StaticToken,
            digest: Digest::default(),
            issued: Some(Timestamp::default()),
            expires: Some(Timestamp::default()),
            scopes: None,
            id: Some("corp/1".into()),
            within: None,
        },
        workflow: Some(Workflow {
            run: "r".into(),
            purpose: Some("p".into()),
            ticket: Some("t".into()),
            within: None,
            assurance: Assurance::Asserted,
        }),
    }
}

fn full_gate() -> Gate {
    Gate {
        policy: "g".into(),
        approvers: "team:leads".into(),
        quorum: 1,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 1,
        escalation: Some(Escalation { approvers: "team:m".into(), after_s: 300 }),
        grants: Some(Allotment { uses: 10, within_s: 7_200 }),
        step_up: true,
    }
}

fn full_decided(call: Id) -> Decided {
    let gate = full_gate();
    let project = Resource::new("Jira::Project", "acme/ENG");
    let unresolved = Unresolved {
        kind: "Confluence::Page".into(),
        site: "acme".into(),
        obstacle: Obstacle::OpaqueId,
        spelled: "acme/1".into(),
    };
    Decided {
        call,
        caller: Some(Arc::new(CallerRecord::new(&full_caller()))),
        continues: Some(call),
        resolves: Some(call),
        client_says: Some("cli/1".into()),
        why: Some("the ticket says so".into()),
        method: "tools/call".into(),
        server: "s".into(),
        tool: "t".into(),
        understood: Some(Understood {
            operation: "jira.issue.edit".into(),
            effect: Effect::Write,
            risk: Risk::Medium,
            reversibility: Reversibility::Reversible,
            definition: Some(Digest::default()),
            targets: vec![
                Target::located(Resource::new("Jira::Issue", "acme/ENG-1"), vec![project]),
                Target::Unresolved(unresolved),
            ],
            input: Object::default().with("notify", true),
        }),
        arguments_digest: Some(Digest::default()),
        arguments: Object::default().with("issueIdOrKey", "ENG-1").into(),
        hashes: Vec::new(),
        responses_digest: Some(Digest::of(b"responses")),
        under: Under {
            binding: Some(Digest::default()),
            by_glass: true,
            grant: Some(Use { id: call, spends: true }),
            approval: Some(Use { id: call, spends: true }),
            after: None,
        },
        decision: Decision {
            obliges: Some(Box::new(Obligations {
                redact: ["email".to_owned()].into(),
                result_bytes_max: Some(64_000),
                needs_reason: true,
                notify: ["leads".to_owned()].into(),
                record: [("summary".to_owned(), Treatment::Hash)].into(),
            })),
            would: Some(Box::new(Decision::deny(Reason::Guardrail, Digest::default()))),
            verdict: Verdict::ApprovalRequired(vec![gate]),
            reasons: vec![Reason::ApprovalRequired],
            policies: vec![PolicyRef { id: "g".into(), reason: "why".into(), owner: "o".into() }],
            bundle: Digest::default(),
        },
        decided_in_us: 1,
        notices: vec![Notice {
            id: call,
            channel: "leads".into(),
            occasion: Occasion::LetThrough,
            page: Some("https://gate.example/console/calls/x".into()),
        }],
        trace: Some("0af7".into()),
    }
}

/// An event of each kind with everything in it that a record can have.
fn full_events() -> Vec<Event> {
    let call = Id::new(Timestamp::default(), [0; 16]);
    let concluded = Concluded {
        call,
        outcome: Outcome::Succeeded,
        upstream_us: Some(1),
        result: Some((Digest::default(), 1)),
        detail: Some("d".into()),
    };
    let mut intent = full_decided(call);
    intent.decision.verdict = Verdict::Allow;
    vec![
        Event::Opened { version: "0.1.0".into(), after: Some((call, Digest::default())) },
        Event::Decided(Arc::new(full_decided(call))),
        Event::Decided(Arc::new(intent)),
        Event::Concluded(concluded),
        Event::Settled(Settled {
            call,
            by: "operator".into(),
            finding: Finding::TookEffect,
            note: "seen in the tracker".into(),
        }),
    ]
    .into_iter()
    .chain(crate::authority::examples().map(|change| {
        Event::Administered(Arc::new(Administered { by: "operator".into(), change }))
    }))
    .collect()
}

#[test]
fn i11_records_are_written_in_canonical_form() {
    let mut chain = Chain::new(Id::new(Timestamp::default(), [0; 16]));
    let mut head = Digest::default();
    for (sequence, event) in (0..).zip(full_events()) {
        let payload = Payload::new(&event, [7; 16]);
        let digest = payload.digest();
        let text = payload.into_text();
        let limits = JsonLimits::of_bytes(text.len());
        assert_eq!(read(text.as_bytes(), &limits).unwrap().canonical(), text.as_bytes());
        assert_eq!(digest, Digest::of(text.as_bytes()));
        let sealed = sealed(&mut chain, &event, Timestamp::default());
        let parsed = Entry::parse(&sealed.entry).unwrap();
        assert_eq!((parsed.about, parsed.payload), (About::of(&event), digest));
        assert_eq!((parsed.sequence, parsed.previous), (sequence, head));
        head = sealed.hash;
    }
}

#[test]
fn i11_what_is_no_entry_in_every_byte_is_none() {
    let event = full_events().remove(1);
    let chain = &mut Chain::new(Id::new(Timestamp::default(), [0; 16]));
    let text = sealed(chain, &event, Timestamp::default()).entry;
    assert!(Entry::parse(&text).is_some());
    for (index, byte) in text.bytes().enumerate() {
        let mut other = text.clone().into_bytes();
        other[index] = byte ^ 1;
        let parsed = String::from_utf8(other).ok().and_then(|other| Entry::parse(&other));
        assert!(parsed.is_none_or(|entry| entry.to_text() != text), "{index}");
        let mut without = text.clone();
        without.remove(index);
        assert!(Entry::parse(&without).is_none_or(|entry| entry.to_text() == without), "{index}");
    }
    for other in [format!("{text} "), text.replace(r#""format":2"#, r#""format":3"#)] {
        assert_eq!(Entry::parse(&other), None, "{other}");
    }
}

/// I7, and erasure: an entry says nothing of anybody.
#[test]
fn i7_an_entry_has_nothing_of_what_is_erased() {
    for event in full_events() {
        let chain = &mut Chain::new(Id::new(Timestamp::default(), [0; 16]));
        let text = sealed(chain, &event, Timestamp::default()).entry;
        for name in ["alice", "bot", "acme", "operator", "engineering"] {
            assert!(!text.contains(name), "{text}");
        }
    }
    let event = full_events().remove(1);
    let salted = |salt| Payload::new(&event, [salt; 16]).digest();
    assert_ne!(salted(1), salted(2));
}

#[test]
fn a_record_is_found_by_each_link_once() {
    for event in full_events() {
        let links = event.links();
        assert!(links.is_sorted() && links.windows(2).all(|two| two[0] != two[1]), "{links:?}");
        assert!(links.contains(&(Link::Kind, event.kind().as_str().to_owned())));
        assert!(links.iter().all(|(_, value)| !value.is_empty()), "{links:?}");
    }
    let links = full_events().remove(1).links();
    let found = |link: Link| links.iter().filter(|(one, _)| *one == link).count();
    for link in [Link::Human, Link::Agent, Link::Client, Link::Credential, Link::Workflow] {
        assert_eq!(found(link), 1, "{link:?}");
    }
    assert!(found(Link::Target) >= 2);
}

fn found(change: Change, by: &str, link: Link) -> Vec<String> {
    let event = Event::Administered(Arc::new(Administered { by: by.into(), change }));
    let links = event.links().into_iter().filter(|(one, _)| *one == link);
    links.map(|(_, value)| value).collect()
}

/// Who asks what records say of them, or has it erased, gives one name.
#[test]
fn everybody_whom_a_change_is_about_finds_it() {
    let about = |change: Change| found(change, "operator", Link::Human);
    let changes = || crate::authority::examples().into_iter();
    let token = changes().find_map(|change| {
        if let Change::TokenIssued { token } = change { Some(token) } else { None }
    });
    let grant = changes().find_map(|change| {
        if let Change::GrantIssued { grant } = change { Some(grant) } else { None }
    });
    let approval = changes().find_map(|change| {
        if let Change::ApprovalRequested { approval, .. } = change { Some(approval) } else { None }
    });
    let (mut token, mut grant, mut approval) = (token.unwrap(), grant.unwrap(), approval.unwrap());
    (token.owner, token.service_account) = ("corp/alice".into(), Some("ci".into()));
    assert_eq!(about(Change::TokenIssued { token: token.clone() }), ["ci", "corp/alice"]);
    assert_eq!(about(Change::TokenRotated { token, old_ends: grant.ends }), ["ci", "corp/alice"]);

    approval.asker.accountable = "ci".into();
    approval.asker.people = vec!["corp/bob".into(), "corp/alice".into()];
    let asked = Change::ApprovalRequested { approval: approval.clone(), notices: Vec::new() };
    assert_eq!(about(asked), ["ci", "corp/alice", "corp/bob"]);

    grant.lifts = None;
    for (human, service_account, holder) in [
        (None, None, None),
        (Some("corp/dan"), None, Some("corp/dan")),
        (None, Some("ci"), Some("ci")),
    ] {
        grant.holder.human = human.map(str::to_owned);
        grant.holder.service_account = service_account.map(str::to_owned);
        let holder: Vec<&str> = holder.into_iter().collect();
        assert_eq!(about(Change::GrantIssued { grant: grant.clone() }), holder);
    }
    grant.lifts = Some(Box::new(Lifts {
        approval: approval.id,
        approvers: vec!["corp/carol".into()],
        policies: Vec::new(),
        bundle: Digest::default(),
        tool: String::new(),
        definition: None,
        asker: approval.asker,
    }));
    let people = ["ci", "corp/alice", "corp/bob", "corp/carol"];
    assert_eq!(about(Change::GrantIssued { grant }), people);
}

#[test]
fn who_acts_through_an_agent_finds_what_they_did() {
    let id = Id::new(Timestamp::default(), [0; 16]);
    let by = |who| found(Change::TokenRevoked { id }, who, Link::By);
    assert_eq!(by("corp/alice via bot"), ["corp/alice", "corp/alice via bot"]);
    assert_eq!(by("carol"), ["carol"]);
    let settled = Settled {
        call: id,
        by: "corp/alice via bot".into(),
        finding: Finding::TookEffect,
        note: String::new(),
    };
    assert!(Event::Settled(settled).links().contains(&(Link::By, "corp/alice".into())));
}

fn paths(value: &Json, at: &str, found: &mut BTreeSet<String>) {
    let explained: BTreeMap<&str, &str> =
        FIELDS.iter().map(|(path, kind, _)| (*path, *kind)).collect();
    if matches!(explained.get(at), Some(&"any" | &"object")) {
        found.insert(at.to_owned());
        return;
    }
    match value {
        Json::Object(members) => {
            for (name, member) in members.iter() {
                let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                paths(member, &path, found);
            }
        }
        Json::Array(elements) => {
            for element in elements {
                paths(element, &format!("{at}[]"), found);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            found.insert(at.to_owned());
        }
    }
}

#[test]
fn every_field_is_explained_and_every_explanation_has_a_field() {
    let mut chain = Chain::new(Id::new(Timestamp::default(), [0; 16]));
    let mut found = BTreeSet::new();
    for event in full_events() {
        let payload = Payload::new(&event, [7; 16]).into_text();
        for text in [sealed(&mut chain, &event, Timestamp::default()).entry, payload] {
            let record = read(text.as_bytes(), &JsonLimits::default()).unwrap();
            paths(&record, "", &mut found);
        }
    }
    // Where it stands in the log is told beside it.
    found.extend(["hash".to_owned(), "index".to_owned()]);
    let explained: BTreeSet<String> = FIELDS.iter().map(|(path, ..)| (*path).to_owned()).collect();
    assert_eq!(found, explained);
}

/// Whatever is decided can be read back, so that it can be decided again.
#[test]
fn a_decision_is_read_back_from_its_record() {
    let mut chain = Chain::new(Id::new(Timestamp::default(), [0; 16]));
    let mut seen = 0;
    for event in full_events() {
        let payload = Payload::new(&event, [7; 16]).into_text();
        let entry = sealed(&mut chain, &event, Timestamp::default()).entry;
        let parse = |text: &str| read(text.as_bytes(), &JsonLimits::default()).unwrap();
        let entry = parse(&entry).as_object().unwrap().clone();
        let record = |payload| record(entry.clone(), payload, Digest::default(), None).into();
        let payload = parse(&payload);
        let whole = Recorded::read(&record(Some(&payload)));
        let Event::Decided(decided) = &event else {
            assert_eq!(whole.err(), Some(Unreadable::NoDecision));
            continue;
        };
        seen += 1;
        let recorded = whole.unwrap();
        let understood = decided.understood.as_ref();
        let known = recorded.known.as_ref();
        assert_eq!(known.map(|one| &one.targets), understood.map(|one| &one.targets));
        assert_eq!(known.map(|one| &one.input), understood.map(|one| &one.input));
        assert_eq!(known.map(|one| one.risk), understood.map(|one| one.risk));
        let caller = recorded.caller.as_ref().map(CallerRecord::new);
        assert_eq!(caller.is_some(), decided.caller.is_some());
        if caller.is_some() {
            let (mut whole, read) = (full_caller(), recorded.caller.clone().unwrap());
            (whole.credential.scopes, whole.credential.within) = (None, None);
            whole.workflow.as_mut().unwrap().within = None;
            assert_eq!(read, whole);
        }
        assert_eq!((recorded.call, recorded.resolves), (decided.call, decided.resolves));
        assert_eq!(recorded.reasons, decided.decision.reasons);
        assert_eq!(recorded.verdict, decided.decision.verdict.as_str());
        assert_eq!(recorded.bundle, decided.decision.bundle);
        assert_eq!(recorded.grant, decided.under.grant.map(|one| one.id));
        assert_eq!(Recorded::read(&record(None)).err(), Some(Unreadable::Erased));
    }
    assert!(seen > 0);
}
