//! Targets that are in several containers of one kind, one in another: files in folders.

use std::collections::BTreeMap;
use std::sync::Arc;

use callgate_model::products::{local, net};
use callgate_model::target::{Resource, Target};
use callgate_model::vocabulary::{Effect, Operation, Reversibility, Risk, Vocabulary};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::world::*;
use crate::{Bundle, PreparedCaller, Question, Tier, could_allow, could_allow_in};

fn vocabulary() -> Vocabulary {
    let operation = Operation {
        name: "files.upload".into(),
        title: "Upload files".into(),
        effect: Effect::Write,
        risk: Risk::High,
        reversibility: Reversibility::Recoverable,
        targets: vec!["Jira::Issue".into(), local::PATH.into(), net::HOST.into()],
        fields: BTreeMap::new(),
    };
    let mut all = super::world::vocabulary();
    all.operations.insert(operation.name.clone(), Arc::new(operation));
    for more in [local::vocabulary(), net::vocabulary()] {
        all.target_kinds.extend(more.target_kinds);
        all.nested.extend(more.nested);
    }
    all
}

fn load(policies: &[(Tier, String)]) -> Bundle {
    let sources: Vec<_> = policies
        .iter()
        .enumerate()
        .map(|(n, (tier, text))| {
            let gate = if *tier == Tier::Approval { "@approval(\"team:leads\") " } else { "" };
            source(*tier, &format!("@id(\"p{n}\") @reason(\"r\") @owner(\"o\") {gate}{text}"))
        })
        .collect();
    Bundle::load(&vocabulary(), &sources).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn said(bundle: &Bundle, targets: &[Target]) -> String {
    let call = call_of(&vocabulary().operations["files.upload"]);
    brief(&decide_all(bundle, alice(), &call, targets, &[]))
}

#[test]
fn z06_a_policy_about_a_folder_is_about_all_below_it() {
    let bundle = load(&[
        (
            Tier::Permit,
            r#"permit(principal, action, resource in Local::Folder::"/srv/exports");"#.into(),
        ),
        (
            Tier::Permit,
            r#"permit(principal, action, resource == Net::Host::"files.example");"#.into(),
        ),
        (
            Tier::Guardrail,
            r#"forbid(principal, action, resource in Local::Folder::"/srv/exports/hr");"#.into(),
        ),
    ]);
    for (path, expected) in [
        ("/srv/exports/a/b/report.pdf", "allow permitted [p0]"),
        ("/srv/exports/report.pdf", "allow permitted [p0]"),
        // The folder itself is what may be listed, or moved away.
        ("/srv/exports", "allow permitted [p0]"),
        ("/srv/exports/hr", "deny guardrail [p2]"),
        ("/srv/exports2/report.pdf", "deny human_not_permitted []"),
        ("/srv/exports/hr/salaries.csv", "deny guardrail [p2]"),
        ("/etc/passwd", "deny human_not_permitted []"),
        ("/srv/exports/../../etc/passwd", "deny target_unresolved []"),
    ] {
        assert_eq!(said(&bundle, &[local::path(path)]), expected, "{path}");
    }
    let file = local::path("/srv/exports/report.pdf");
    let there = net::host("https://files.example/x");
    assert_eq!(said(&bundle, &[file.clone(), there]), "allow permitted [p0,p1]");
    let elsewhere = net::host("https://evil.example/x");
    assert_eq!(said(&bundle, &[file, elsewhere]), "deny human_not_permitted []");
}

#[test]
fn only_folders_may_be_several() {
    let bundle =
        load(&[(Tier::Permit, "permit(principal, action, resource is Jira::Issue);".into())]);
    let project = |key: &str| Resource::new("Jira::Project", key);
    let issue = Resource::new("Jira::Issue", "acme/ENG-1");
    let one = Target::located(issue.clone(), vec![project("acme/ENG")]);
    assert_eq!(said(&bundle, &[one]), "allow permitted [p0]");
    let two = Target::located(issue, vec![project("acme/ENG"), project("acme/OPS")]);
    assert_eq!(said(&bundle, &[two]), "deny policy_error []");
}

const FOLDERS: [&str; 4] = ["/", "/srv", "/srv/exports", "/etc"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The index finds what Cedar finds, and what is allowed is listed, also if people and agents are permitted folders
    /// of which one is in the other.
    #[test]
    fn slice_and_full_set_agree_and_i3_also_in_folders(
        people in subsequence(&FOLDERS[..], 0..4),
        agents in subsequence(&FOLDERS[..], 0..4),
        walls in subsequence(&FOLDERS[..], 0..2),
        path in select(vec!["/srv/exports/x", "/srv/x", "/etc/x", "/x", "/srv/exports/a/b"]),
    ) {
        let permit = |who: &str, folder: &&str| {
            (Tier::Permit, format!("permit({who}, action, resource in Local::Folder::\"{folder}\");"))
        };
        let mut policies: Vec<_> = people.iter().map(|one| permit("principal is User", one)).collect();
        policies.extend(agents.iter().map(|one| permit("principal is Agent", one)));
        policies.extend(walls.iter().map(|folder| {
            (Tier::Guardrail, format!("forbid(principal, action, resource in Local::Folder::\"{folder}\");"))
        }));
        let bundle = load(&policies);
        let operation = &vocabulary().operations["files.upload"];
        let call = call_of(operation);
        let caller = PreparedCaller::new(alice_via("release-bot", "automation"));
        let Target::Located(located) = local::path(path) else { panic!("{path}") };
        let above = |folder: &&str| located.containers.iter().any(|one| one.id == **folder);
        let is_allowed = people.iter().any(above)
            && agents.iter().any(above)
            && !walls.iter().any(above);
        let targets = [Target::Located(located.clone())];
        let question =
            Question { caller: &caller, call: &call, targets: &targets, now: NOW, grant: None, lifted: &[] };
        prop_assert!(bundle.verify_slice(&question));
        prop_assert_eq!(crate::decide(&bundle, &question).verdict.as_str() == "allow", is_allowed);
        if is_allowed {
            prop_assert!(could_allow(&bundle, &caller, "atlassian", operation, operation.risk));
            for place in &located.containers {
                prop_assert!(could_allow_in(&bundle, &caller, "atlassian", operation, operation.risk, place));
            }
        }
    }
}
