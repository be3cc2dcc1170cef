//! What the auditor says of approvals.

use super::*;
use crate::evidence::Outcome;

#[test]
fn i2_an_approval_is_asked_for_given_and_spent_once() {
    let given = || {
        let mut log = opened();
        log.requested(50, "x").voted(50, true);
        log
    };
    assert_eq!(given().spend(10, 50, "x", None).findings().approvals_spent, 1);
    assert_eq!(opened().spend(10, 50, "x", None).broken(), (1, Rule::Approval), "not asked for");
    let early = opened().requested(50, "x").spend(10, 50, "x", None).broken();
    assert_eq!(early, (2, Rule::Approval), "nobody approved it");
    let denied = opened().requested(50, "x").voted(50, false).spend(10, 50, "x", None).broken();
    assert_eq!(denied, (3, Rule::Approval));
    assert_eq!(given().spend(10, 50, "y", None).broken(), (3, Rule::Approval), "another call");
    let twice = given().spend(10, 50, "x", None).spend(11, 50, "x", None).broken();
    assert_eq!(twice, (4, Rule::Approval), "spent twice");
    let strange = given().spend(10, 50, "x", None).spend(11, 50, "x", Some(12)).broken();
    assert_eq!(strange, (4, Rule::Approval), "it goes on with another call");
    let gone = given().withdrawn(50).spend(10, 50, "x", None).broken();
    assert_eq!(gone, (4, Rule::Approval));
    assert_eq!(given().spend(10, 50, "x", None).withdrawn(50).broken(), (4, Rule::Approval));
    let late = given().expired(50).spend(10, 50, "x", None).broken();
    assert_eq!(late, (4, Rule::Approval));
    assert_eq!(given().spend(10, 50, "x", None).expired(50).broken(), (4, Rule::Approval));
    assert_eq!(given().requested(50, "x").broken(), (3, Rule::Approval), "asked for twice");
    assert_eq!(opened().voted(50, true).broken(), (1, Rule::Approval));
    assert_eq!(opened().withdrawn(50).broken(), (1, Rule::Approval));
    assert_eq!(opened().glass(50).broken(), (1, Rule::Approval));
}

/// An approval that was given, and spent by the call 10.
fn spent() -> Log {
    let mut log = opened();
    log.requested(50, "x").voted(50, true).spend(10, 50, "x", None);
    log
}

#[test]
fn i2_what_goes_on_with_a_call_takes_its_place() {
    let mut log = spent();
    log.outcome(10, "input_required").spend(11, 50, "x", Some(10));
    log.outcome(11, "input_required").spend(12, 50, "x", Some(10)).outcome(12, "in_progress");
    // What is asked of its task takes nothing, however often.
    log.under(13, (50, false), "x", Some(10)).under(14, (50, false), "x", Some(10));
    assert_eq!(log.findings().approvals_spent, 1);
    let other = log.clone().under(15, (50, false), "x", None).broken();
    assert_eq!(other, (11, Rule::Approval), "it goes on with nothing");
    let other = log.clone().under(15, (50, false), "x", Some(12)).broken();
    assert_eq!(other, (11, Rule::Approval), "all go on with the first");
    let mut log = opened();
    let first = log.requested(50, "x").voted(50, true).under(10, (50, false), "x", None).broken();
    assert_eq!(first, (3, Rule::Approval), "nobody has spent it");
    // The first was refused and asked for the approval; the one that spent it goes on with that.
    let mut log = opened();
    log.requested(50, "x").voted(50, true).spend(11, 50, "x", Some(10));
    log.outcome(11, "input_required").spend(12, 50, "x", Some(10));
    assert_eq!(log.findings().approvals_spent, 1);
    // Somebody believed that it was lost.
    let mut log = spent();
    log.outcome(10, "indeterminate").outcome(10, "input_required").spend(11, 50, "x", Some(10));
    log.audit().unwrap();
}

#[test]
fn i2_nobody_takes_the_place_of_a_call_that_was_asked_for_nothing() {
    let open = spent().spend(11, 50, "x", Some(10)).broken();
    assert_eq!(open, (4, Rule::Approval), "both at one time");
    for outcome in Outcome::ALL.into_iter().filter(|one| *one != Outcome::InputRequired) {
        let twice = spent().outcome(10, outcome.as_str()).spend(11, 50, "x", Some(10)).broken();
        assert_eq!(twice, (5, Rule::Approval), "after {}", outcome.as_str());
    }
    let asked = || {
        let mut log = spent();
        log.outcome(10, "input_required");
        log
    };
    for continues in [None, Some(11), Some(12)] {
        let other = asked().spend(11, 50, "x", continues).broken();
        assert_eq!(other, (5, Rule::Approval), "{continues:?} is another call");
    }
    let both = asked().spend(11, 50, "x", Some(10)).spend(12, 50, "x", Some(10)).broken();
    assert_eq!(both, (6, Rule::Approval), "both in one place");
    // What another call was asked for is not asked of this one.
    let mut log = spent();
    log.intent(13).outcome(13, "input_required");
    assert_eq!(log.spend(11, 50, "x", Some(10)).broken(), (6, Rule::Approval));
    let mut log = spent();
    log.outcome(10, "succeeded").intent(10).outcome(10, "input_required");
    assert_eq!(log.spend(11, 50, "x", Some(10)).broken(), (7, Rule::Approval), "it was done");
}

#[test]
fn broken_glass_takes_the_place_of_those_who_approve() {
    let mut log = opened();
    log.requested(50, "x").glass(50).spend(10, 50, "x", None);
    assert_eq!(log.findings().approvals_spent, 1);
}
