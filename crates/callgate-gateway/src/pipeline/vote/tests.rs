use callgate_model::ambient::Timestamp;
use callgate_model::approval::{About, Asker};
use callgate_model::caller::{Assurance, Identity};
use callgate_model::decision::Gate;

use super::*;
use crate::identity::ChainSpec;

fn person(name: &str, groups: &[&str]) -> Caller {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let spec = ChainSpec { human: Some(name.to_owned()), groups, ..ChainSpec::default() };
    spec.to_caller(Digest::default()).unwrap()
}

fn gate(policy: &str, approvers: &str) -> Gate {
    let (policy, approvers) = (policy.to_owned(), approvers.to_owned());
    Gate {
        policy,
        approvers,
        quorum: 1,
        decide_within_s: 900,
        use_within_s: 300,
        denials: 1,
        escalation: None,
        grants: None,
        step_up: false,
    }
}

/// Of a call of alice through an agent with a token that bob answers for.
fn approval(gates: &[(&str, &str)]) -> Approval {
    let text = String::new;
    let caller = person("alice", &["engineering"]);
    Approval {
        id: Id::new(Timestamp::default(), [0; 16]),
        binding: Digest::default(),
        asker: Asker::of(&caller, Some("bob".to_owned())),
        about: About {
            why: None,
            server: text(),
            tool: text(),
            definition: None,
            operation: text(),
            title: text(),
            effect: text(),
            risk: text(),
            reversibility: text(),
            targets: Vec::new(),
            arguments_digest: Digest::default(),
            arguments: Default::default(),
        },
        gates: gates.iter().map(|(policy, approvers)| gate(policy, approvers)).collect(),
        bundle: Digest::default(),
        at: Timestamp::default(),
        decide_until: Timestamp::default(),
        looks: Vec::new(),
        use_within_s: 300,
        offer: None,
        arguments: text(),
    }
}

const NOW: Timestamp = Timestamp::from_unix_ms(0);

const BOTH: &[(&str, &str)] = &[("confirm", "human"), ("leads", "team:leads")];

#[test]
fn a06_each_gate_is_for_those_it_names() {
    let may = |voter: &Caller| gates_of(voter, (&approval(BOTH), NOW), &SamePerson::new());
    assert_eq!(may(&person("carol", &["leads"])), Ok(vec!["leads".to_owned()]));
    assert_eq!(
        may(&person("carol", &["lead", "team:leads"])),
        Err("you are none of those who may approve it")
    );
    // The person of the call confirms it, and does not approve it; who answers for the token does neither.
    assert_eq!(may(&person("alice", &["leads"])), Ok(vec!["confirm".to_owned()]));
    let own = "it is your own call: somebody else has to decide about it";
    assert_eq!(may(&person("bob", &["leads"])), Err(own));
    let only_leads = approval(&[("leads", "team:leads")]);
    let own_call = gates_of(&person("alice", &["leads"]), (&only_leads, NOW), &SamePerson::new());
    assert_eq!(own_call, Err(own));
}

#[test]
fn a06_no_agent_and_nobody_who_is_not_known_decides() {
    let may = |voter: &Caller| gates_of(voter, (&approval(BOTH), NOW), &SamePerson::new());
    let mut through = person("carol", &["leads"]);
    through.actors.push(callgate_model::caller::Agent {
        identity: Identity::parse("scout"),
        class: None,
        assurance: Assurance::Verified,
    });
    assert!(may(&through).is_err());
    through.agent = through.actors.pop();
    assert!(may(&through).is_err());
    let mut asserted = person("carol", &["leads"]);
    asserted.accountable.assurance = Assurance::Asserted;
    assert!(may(&asserted).is_err());
    let mut service = person("carol", &["leads"]);
    service.accountable.kind = AccountableKind::ServiceAccount;
    assert!(may(&service).is_err());
    // A service account of the same name as the person of the call confirms nothing.
    let mut alice = person("alice", &[]);
    alice.accountable.kind = AccountableKind::ServiceAccount;
    assert!(may(&alice).is_err());
}

#[test]
fn a06_several_accounts_of_one_person_are_that_person() {
    let same: SamePerson = vec![["alice", "okta/alice"].map(str::to_owned).into()];
    let mut other = person("alice", &["leads"]);
    other.accountable.identity = Identity::parse("okta/alice");
    let own = Err("it is your own call: somebody else has to decide about it");
    let leads = approval(&[("leads", "team:leads")]);
    assert_eq!(gates_of(&other, (&leads, NOW), &same), own);
    assert_eq!(gates_of(&other, (&leads, NOW), &SamePerson::new()), Ok(vec!["leads".to_owned()]));
}

/// A group of an issuer is named with it, and no other issuer's group of that name will do.
#[test]
fn a_team_is_the_group_of_its_issuer() {
    let leads = approval(&[("leads", "team:corp/leads")]);
    let may = |group: &str| {
        let mut carol = person("carol", &[]);
        carol.accountable.groups = vec![group.to_owned()];
        gates_of(&carol, (&leads, NOW), &SamePerson::new()).is_ok()
    };
    assert!(may("corp/leads"));
    assert!(!may("leads") && !may("other/leads") && !may("corp/Leads"));
}
