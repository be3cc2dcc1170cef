use std::collections::BTreeSet;

use super::*;
use crate::approval::{About, Asker, GlassVerdict, Known, Occasion, Offer};
use crate::caller::{AccountableKind, Assurance, Caller, Workflow};
use crate::decision::{Allotment, Escalation, Gate};
use crate::digest::Digest;
use crate::envelope::{Action, Portion};
use crate::target::{Obstacle, Resource, Target, Unresolved};
use crate::vocabulary::{Effect, Risk};

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_600_000_000);

fn id(number: u8) -> Id {
    Id::new(NOW, [number; 16])
}

fn scope() -> Portion {
    Portion {
        servers: BTreeSet::from(["jira".to_owned()]),
        actions: BTreeSet::from(["write".to_owned()]),
        within: BTreeSet::from([Resource::new("Jira::Project", "acme/ENG")]),
        risk_max: Some(Risk::Medium),
    }
}

fn token() -> ApiToken {
    ApiToken {
        id: id(1),
        name: "nightly".into(),
        digest: Secret::new(id(1), [[1; 16], [2; 16]]).digest(),
        owner: "corp/alice".into(),
        service_account: None,
        groups: vec!["engineering".into()],
        agent: "release-bot".into(),
        class: Some("automation".into()),
        scope: scope(),
        networks: vec!["10.0.0.0/8".into()],
        issued: NOW,
        ends: NOW.after_ms(86_400_000),
        idle_s: Some(3_600),
        replaces: None,
        first: id(1),
    }
}

fn grant(holder: Holder) -> Grant {
    Grant {
        id: id(2),
        holder,
        scope: scope(),
        begins: NOW,
        ends: NOW.after_ms(3_600_000),
        uses: 3,
        reason: "a release".into(),
        ticket: Some("OPS-1".into()),
        by: "bob".into(),
        issued: NOW,
        lifts: Some(Box::new(Lifts {
            approval: id(4),
            approvers: vec!["bob".into()],
            policies: vec!["deletes".into()],
            bundle: Digest::default(),
            tool: "jira_delete_issue".into(),
            definition: Some(Digest::default()),
            asker: approval().asker,
        })),
    }
}

fn policy_in_force() -> PolicyInForce {
    PolicyInForce {
        id: "leads-delete".into(),
        tier: "permits".into(),
        owner: "platform".into(),
        reason: "leads delete".into(),
        text: Some("permit(principal, action, resource);".into()),
        digest: Digest::default(),
    }
}

fn setup() -> Setup {
    Setup {
        version: "0.1.0".into(),
        configuration: Digest::default(),
        public_url: Some("https://gate.example".into()),
        servers: vec![ServerSetup { name: "jira".into(), catalog: "atlassian-rovo".into() }],
        issuers: vec!["corp".into()],
        channels: vec!["leads".into()],
        keys: vec!["gate.example+0+A".into()],
        dangers: vec!["danger_static_tokens".into()],
        evidence: Some(EvidenceSetup {
            arguments: "redacted".into(),
            fields: vec!["jira.issue.edit".into()],
            retention_days: [("intent".into(), 400)].into(),
            sinks: vec![PlaceSetup { name: "siem".into(), kind: "syslog".into() }],
            anchors: vec![PlaceSetup { name: "vault".into(), kind: "put".into() }],
            witnesses: vec![WitnessSetup { name: "one".into(), key: "witness.example".into() }],
        }),
    }
}

#[test]
fn a_configuration_of_which_it_was_not_recorded_how_it_kept_evidence_is_read() {
    let setup = Setup { evidence: None, ..setup() };
    let change = Change::Configured { setup: Box::new(setup) };
    let administered = Administered { by: "callgate".into(), change };
    let old = to_text(&administered).replace(r#","evidence":null"#, "");
    assert!(!old.contains("evidence"), "{old}");
    assert_eq!(from_text(&old), Some(administered));
}

fn secret() -> UpstreamSecret {
    let holder = Subject::new(SubjectKind::Human, "corp/alice");
    UpstreamSecret {
        owner: SecretFor { server: "jira".into(), holder },
        scheme: "bearer".into(),
        set: NOW,
        sealed: String::new(),
    }
}

#[test]
fn i7_a_secret_is_no_part_of_the_record() {
    let secret = UpstreamSecret { sealed: "cgs1.canary".into(), ..secret() };
    let change = Change::SecretSet { secret: Box::new(secret.clone()) };
    let text = to_text(&Administered { by: "operator".into(), change });
    assert!(!text.contains("canary"), "{text}");
    let other = SecretFor { server: "wiki".into(), ..secret.owner.clone() };
    assert_ne!(secret.owner.binding(), other.binding());
}

fn approval() -> Approval {
    let gate = Gate {
        policy: "delete-needs-lead".into(),
        approvers: "team:leads".into(),
        quorum: 1,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 2,
        escalation: Some(Escalation { approvers: "team:managers".into(), after_s: 300 }),
        grants: Some(Allotment { uses: 10, within_s: 7_200 }),
        step_up: true,
    };
    Approval {
        id: id(4),
        binding: Digest::default(),
        asker: Asker {
            accountable: "corp/alice".into(),
            is_human: true,
            agent: Some("release-bot".into()),
            actors: vec!["planner".into()],
            client: "code".into(),
            credential: "jwt".into(),
            workflow: Some("run".into()),
            people: vec!["corp/alice".into()],
        },
        about: About {
            why: Some("it is a duplicate".into()),
            server: "jira".into(),
            tool: "jira_delete_issue".into(),
            definition: Some(Digest::default()),
            operation: "jira.issue.delete".into(),
            title: "Delete an issue".into(),
            effect: "delete".into(),
            risk: "high".into(),
            reversibility: "irreversible".into(),
            targets: vec![serde_json::json!({"id": "acme/ENG-1", "kind": "Jira::Issue"})],
            arguments_digest: Digest::default(),
            arguments: serde_json::json!({"issue_key": "ENG-1"}),
        },
        gates: vec![gate],
        bundle: Digest::default(),
        at: NOW,
        decide_until: NOW.after_ms(900_000),
        looks: Vec::new(),
        use_within_s: 300,
        offer: Some(Offer {
            most: Allotment { uses: 10, within_s: 7_200 },
            within: [Resource::new("Jira::Project", "acme/ENG")].into(),
        }),
        arguments: String::new(),
    }
}

fn vote() -> Vote {
    Vote {
        grants: false,
        approval: id(4),
        by: "corp/bob".into(),
        approves: true,
        gates: vec!["delete-needs-lead".into()],
        reason: Some("as agreed".into()),
        seen: Digest::default(),
        proof: Some(proof()),
        known: Some(known()),
        at: NOW,
    }
}

fn known() -> Known {
    Known {
        credential: "session".into(),
        id: Some(id(9).to_string()),
        assurance: "verified".into(),
    }
}

fn proof() -> Proof {
    Proof { passkey: "AAAA".into(), counter: 7 }
}

fn glass() -> Glass {
    Glass {
        approval: id(4),
        by: "corp/bob".into(),
        reason: "customers cannot pay".into(),
        ticket: "INC-7".into(),
        proof: proof(),
        known: Some(known()),
        seen: Digest::default(),
        at: NOW,
    }
}

fn review() -> GlassReview {
    GlassReview {
        approval: id(4),
        by: "corp/carol".into(),
        verdict: GlassVerdict::NotJustified,
        note: "a lead was there".into(),
        at: NOW,
    }
}

fn passkey() -> Passkey {
    Passkey {
        id: "AAAA".into(),
        who: "corp/bob".into(),
        name: "the blue one".into(),
        added: NOW,
        key_digest: Digest::default(),
        key: String::new(),
        counter: 0,
    }
}

fn notice() -> Notice {
    let page = Some("https://gate.example/console/approvals/4".into());
    Notice { id: id(5), channel: "ops".into(), occasion: Occasion::Closed, page }
}

/// A change of every kind.
fn link() -> SignInLink {
    let digest = Digest::default();
    SignInLink { id: id(5), digest, who: "local/operator".into(), made: NOW, ends: NOW }
}

fn session() -> ConsoleSession {
    ConsoleSession {
        id: id(6),
        digest: Digest::default(),
        way: Way::Issuer,
        who: "corp/carol".into(),
        groups: vec!["corp/leads".into()],
        client: "corp/console".into(),
        issued: NOW,
        authenticated: Some(NOW),
        begun: NOW,
        ends: NOW.after_ms(ConsoleSession::LASTS_MS),
        sealed: None,
    }
}

pub(crate) fn examples() -> [Change; 29] {
    let revocation = Box::new(Revocation {
        id: id(3),
        subject: Subject::new(SubjectKind::Human, "corp/mallory"),
        issued_before: Some(NOW),
        reason: "left".into(),
        at: NOW,
    });
    let of = ToolOf { server: "jira".into(), tool: "jira_get_issue".into() };
    let definition = r#"{"inputSchema":{"type":"object"},"name":"jira_get_issue"}"#;
    let pin = ToolPin {
        of: of.clone(),
        digest: Digest::of(definition.as_bytes()),
        definition: definition.into(),
        replaces: Some(Digest::default()),
        at: NOW,
    };
    let rotated = ApiToken { replaces: Some(id(9)), ..token() };
    let holder = Holder { agent: Some("release-bot".into()), ..Holder::default() };
    [
        Change::TokenIssued { token: Box::new(token()) },
        Change::TokenRotated { token: Box::new(rotated), old_ends: NOW },
        Change::TokenRevoked { id: id(1) },
        Change::GrantIssued { grant: Box::new(grant(holder)) },
        Change::GrantRevoked { id: id(2) },
        Change::Revoked { revocation },
        Change::RevocationLifted { id: id(3) },
        Change::SecretSet { secret: Box::new(secret()) },
        Change::SecretRemoved { owner: secret().owner },
        Change::ToolPinned { pin: Box::new(pin) },
        Change::ToolUnpinned { of },
        Change::ApprovalRequested { approval: Box::new(approval()), notices: vec![notice()] },
        Change::ApprovalViewed { id: id(4), shown: Digest::default() },
        Change::ApprovalVoted { vote: Box::new(vote()) },
        Change::ApprovalWithdrawn { id: id(4), reason: "not needed".into() },
        Change::ApprovalExpired { id: id(4) },
        Change::Configured { setup: Box::new(setup()) },
        Change::PoliciesActivated { bundle: Digest::default(), policies: vec![policy_in_force()] },
        Change::PayloadsErased { indexes: vec![1, 2], reason: "retention".into() },
        Change::Restored {
            records: 7,
            until: Some(Timestamp::default()),
            kept: vec!["tokens".into()],
        },
        Change::SignInRefused {
            who: Some("corp/bob".into()),
            reason: "the link was used up".into(),
        },
        Change::SignInLinkMade { link: Box::new(link()) },
        Change::SignedIn { session: Box::new(session()), link: Some(id(5)) },
        Change::SignedOut { id: id(6) },
        Change::PasskeyAdded { passkey: Box::new(passkey()), proof: Some(proof()) },
        Change::GlassBroken { glass: Box::new(glass()), notices: vec![notice()] },
        Change::GlassReviewed { review: Box::new(review()) },
        Change::PasskeyRemoved { id: "AAAA".into(), who: "corp/bob".into(), proof: Some(proof()) },
        Change::NoticeGivenUp {
            id: id(5),
            channel: "ops".into(),
            attempts: 8,
            reason: "no answer".into(),
        },
    ]
}

#[test]
fn what_is_written_is_read_again_and_nothing_else() {
    for change in examples() {
        let administered = Administered { by: "operator".into(), change };
        let text = to_text(&administered);
        assert_eq!(from_text(&text), Some(administered), "{text}");
    }
    for text in ["", "{}", "null", r#"{"by":"x","change":"token_lost","id":"1"}"#] {
        assert_eq!(from_text::<Administered>(text), None, "{text}");
    }
    let more = to_text(&token()).replacen('{', r#"{"more":1,"#, 1);
    assert_eq!(from_text::<ApiToken>(&more), None);
}

#[test]
fn i12_a_token_is_recognised_whole_or_not_at_all() {
    let secret = Secret::new(id(1), [[0xab; 16], [0xcd; 16]]);
    let text = secret.expose();
    assert_eq!(Presented::read(text), Presented::Known(id(1)));
    assert_eq!(text.len(), 108);
    for at in 4..text.len() {
        let mut slip = text.to_owned();
        let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        slip.replace_range(at..=at, other);
        assert_eq!(Presented::read(&slip), Presented::Damaged, "{slip}");
        assert_eq!(Presented::read(text.get(..at).unwrap()), Presented::Damaged);
    }
    assert_eq!(Presented::read(&format!("{text}0")), Presented::Damaged);
    assert_eq!(Presented::read(&text.to_uppercase()), Presented::Other);
    assert_eq!(Presented::read("eyJ.eyJ.sig"), Presented::Other);
    assert!(!format!("{secret:?}").contains("ab"), "it cannot be printed");
}

#[test]
fn a_token_makes_the_chain_of_its_owner_and_agent() {
    let caller = token().caller();
    assert_eq!(caller.summary(), "corp/alice via release-bot");
    assert_eq!(caller.accountable.assurance, Assurance::Configured);
    let job = ApiToken { service_account: Some("ci".into()), ..token() }.caller();
    assert_eq!(job.accountable.kind, AccountableKind::ServiceAccount);
    assert_eq!(job.summary(), "ci via release-bot");
}

fn caller() -> Caller {
    token().caller()
}

#[test]
fn i10_a_grant_is_for_its_holder_and_no_other() {
    let name = |name: &str| Some(name.to_owned());
    let none = Holder::default;
    let alice = Holder { human: name("corp/alice"), ..none() };
    let bot = Holder { agent: name("release-bot"), ..none() };
    let both = Holder { agent: name("release-bot"), ..alice.clone() };
    let run = Holder { workflow: name("r1"), ..bot.clone() };
    let client = Holder { client: name("ide"), ..bot.clone() };
    let service = Holder { service_account: name("corp/alice"), ..none() };
    let mut without_agent = caller();
    without_agent.agent = None;
    let in_run = |assurance| {
        let workflow =
            Workflow { run: "r1".into(), purpose: None, ticket: None, within: None, assurance };
        Caller { workflow: Some(workflow), ..caller() }
    };
    for (holder, who, is) in [
        (&alice, caller(), true),
        (&bot, caller(), true),
        (&both, caller(), true),
        (&both, without_agent.clone(), false),
        (&bot, without_agent.clone(), false),
        (&alice, without_agent, true),
        (&service, caller(), false),
        (&run, caller(), false),
        (&run, in_run(Assurance::Verified), true),
        (&run, in_run(Assurance::Asserted), false),
        (&client, caller(), false),
        (&none(), caller(), false),
    ] {
        assert_eq!(holder.is(&who), is, "{holder:?} {}", who.summary());
        assert!(!is || Holder::keys_of(&who).contains(&holder.key()));
    }
    assert!(!none().is_somebody() && bot.is_somebody());
}

#[test]
fn a_grant_covers_a_call_only_with_all_its_targets() {
    let holder = Holder { agent: Some("release-bot".into()), ..Holder::default() };
    let grant = grant(holder);
    let edit = Action {
        server: "jira",
        operation: "jira.issue.edit",
        effect: Effect::Write,
        risk: Risk::Medium,
    };
    let issue = |project: &str| {
        let inside = vec![Resource::new("Jira::Project", project)];
        Target::located(Resource::new("Jira::Issue", format!("{project}-1")), inside)
    };
    let (eng, ops) = (issue("acme/ENG"), issue("acme/OPS"));
    let unresolved = Target::Unresolved(Unresolved {
        kind: "Jira::Issue".into(),
        site: "acme".into(),
        obstacle: Obstacle::OpaqueId,
        spelled: "1".into(),
    });
    assert!(grant.covers(&caller(), edit, std::slice::from_ref(&eng)));
    assert!(!grant.covers(&caller(), edit, &[eng.clone(), ops]));
    assert!(!grant.covers(&caller(), edit, &[eng.clone(), unresolved]));
    assert!(!grant.covers(
        &caller(),
        Action { risk: Risk::High, ..edit },
        std::slice::from_ref(&eng)
    ));
    let places = Grant::places_of(&eng);
    assert!(grant.places().iter().all(|place| places.contains(place)), "a store finds it");
}

#[test]
fn a_revocation_of_older_credentials_spares_newer_ones_only() {
    let Change::Revoked { revocation } = &examples()[5] else { panic!() };
    let before = NOW.unix_ms() - 1;
    assert!(revocation.reaches(Some(Timestamp::from_unix_ms(before))));
    assert!(!revocation.reaches(Some(NOW)));
    assert!(revocation.reaches(None), "what does not say its age may be old");
    let subjects = Subject::all_of(&caller());
    assert!(subjects.contains(&Subject::new(SubjectKind::Agent, "release-bot")));
    assert!(subjects.contains(&Subject::new(SubjectKind::Human, "corp/alice")));
}

#[test]
fn who_has_signed_in_is_a_person_by_themselves_for_a_while() {
    let signed_in = session();
    let caller = signed_in.caller(vec!["corp/leads".into()]);
    assert_eq!(caller.summary(), "corp/carol");
    assert_eq!(caller.accountable.assurance, Assurance::Verified);
    assert!(caller.agent.is_none() && caller.credential.issued == Some(NOW));
    let by = |way| ConsoleSession { way, ..session() }.caller(Vec::new()).accountable.assurance;
    assert_eq!(by(Way::Link), Assurance::Configured);
    assert!(!by(Way::Token).is_assured(), "the token says who it is, and nothing else does");
    let idle = ConsoleSession::IDLE_MS;
    assert!(signed_in.is_good(NOW, NOW.after_ms(idle - 1)));
    assert!(!signed_in.is_good(NOW, NOW.after_ms(idle)), "nobody was there");
    assert!(!signed_in.is_good(signed_in.ends, signed_in.ends), "it is eight hours old");
}
