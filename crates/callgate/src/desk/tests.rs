use std::path::Path;

use callgate_gateway::catalog::Catalogs;
use callgate_model::authority::SubjectKind;

use super::*;
use crate::ambient::Machine;

const CONFIG: &str = r#"
[listen]
address = "127.0.0.1:0"
public_url = "https://gate.example"
[store]
path = "x.db"
[policies]
folder = "policies"
[tokens]
days_max = 40
[servers.atlassian]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
[issuers.corp]
issuer = "https://login.example/"
"#;

fn with_desk<T>(ask: impl FnOnce(&Desk) -> T) -> T {
    let config = Config::parse(CONFIG, Path::new("callgate.toml")).unwrap();
    let catalogs = Catalogs::shipped(&[]).unwrap();
    ask(&Desk::new(&config, catalogs.vocabulary(), Arc::new(Machine)))
}

fn new_token() -> NewToken {
    NewToken {
        name: "nightly".into(),
        owner: "corp/alice".into(),
        agent: "release-bot".into(),
        ..NewToken::default()
    }
}

fn new_grant() -> NewGrant {
    NewGrant {
        agent: Some("release-bot".into()),
        scope: NewScope {
            actions: vec!["jira.issue.edit".into()],
            within: vec![r#"Jira::Project::"acme/ENG""#.into()],
            ..NewScope::default()
        },
        reason: "a release".into(),
        ..NewGrant::default()
    }
}

#[test]
fn a_token_that_says_nothing_more_is_for_all_that_policy_permits_and_ends_by_itself() {
    let (token, secret) = with_desk(|desk| desk.token(new_token())).unwrap();
    assert_eq!(token.digest, secret.digest());
    assert_eq!(token.ends.ms_since(token.issued), 30 * 24 * 3_600_000);
    assert_eq!(token.idle_s, Some(30 * 24 * 3_600));
    let actions: Vec<_> = token.scope.actions.iter().map(String::as_str).collect();
    assert_eq!(actions, ["admin", "delete", "read", "share", "write"]);
    assert_eq!((token.first, token.replaces), (token.id, None));
}

#[test]
fn what_a_token_cannot_be_is_told_with_what_would_do() {
    let scope = |change: fn(&mut NewScope)| {
        let mut token = new_token();
        change(&mut token.scope);
        token
    };
    for (asked, told) in [
        (NewToken { owner: String::new(), ..new_token() }, "owner: 1 to 200"),
        (NewToken { agent: " ".into(), ..new_token() }, "agent: 1 to 200"),
        (NewToken { owner: "other/alice".into(), ..new_token() }, "no issuer is called `other`"),
        (NewToken { owner: "corp/".into(), ..new_token() }, "no issuer is called"),
        (NewToken { name: "a\u{1b}b".into(), ..new_token() }, "control characters"),
        (NewToken { days: Some(41), ..new_token() }, "1 to 40 days"),
        (NewToken { days: Some(0), ..new_token() }, "1 to 40 days"),
        (NewToken { idle_days: Some(0), ..new_token() }, "never be used"),
        (NewToken { networks: vec!["10.0.0.0".into()], ..new_token() }, "no network"),
        (NewToken { groups: vec!["g".into(); 101], ..new_token() }, "at most 100"),
        (scope(|scope| scope.servers.push("jira".into())), "there are: atlassian, callgate"),
        (scope(|scope| scope.actions.push("jira.issue.edi".into())), "no catalog knows"),
        (scope(|scope| scope.actions.push("risk.from.low".into())), "is for forbids"),
        (scope(|scope| scope.within.push("acme/ENG".into())), "write it as policies do"),
        (
            scope(|scope| scope.within.push("Jira::Projekt::\"x\"".into())),
            "the kind `Jira::Projekt`",
        ),
        (scope(|scope| scope.risk_max = Some("lowest".into())), "is no risk"),
    ] {
        let refused = with_desk(|desk| desk.token(asked.clone())).unwrap_err();
        assert!(refused.contains(told), "{asked:?}: {refused}");
    }
}

#[test]
fn a_grant_says_for_whom_what_where_and_why() {
    let grant = with_desk(|desk| desk.grant(new_grant(), "bob")).unwrap();
    assert_eq!((grant.uses, grant.ends.ms_since(grant.begins)), (1, 3_600_000));
    assert_eq!(grant.by, "bob");
    let nowhere = NewScope { within: Vec::new(), ..new_grant().scope };
    let nothing = NewScope { actions: Vec::new(), ..new_grant().scope };
    for (asked, told) in [
        (NewGrant { agent: None, ..new_grant() }, "what is for everybody is a policy"),
        (NewGrant { scope: nowhere.clone(), ..new_grant() }, "say where"),
        (NewGrant { anywhere: true, ..new_grant() }, "say where"),
        (NewGrant { scope: nothing, ..new_grant() }, "say what may be done"),
        (NewGrant { reason: String::new(), ..new_grant() }, "reason"),
        (NewGrant { uses: Some(0), ..new_grant() }, "1 to 10000 calls"),
        (NewGrant { minutes: Some(43_201), ..new_grant() }, "1 to 43200 minutes"),
    ] {
        let refused = with_desk(|desk| desk.grant(asked.clone(), "bob")).unwrap_err();
        assert!(refused.contains(told), "{asked:?}: {refused}");
    }
    let anywhere = NewGrant { scope: nowhere, anywhere: true, ..new_grant() };
    assert!(with_desk(|desk| desk.grant(anywhere, "bob")).is_ok());
    let past = NewGrant { begins: Some(Timestamp::default()), ..new_grant() };
    let grant = with_desk(|desk| desk.grant(past, "bob")).unwrap();
    assert!(grant.begins >= grant.issued, "it does not begin before it is given");
}

#[test]
fn a_revocation_names_what_can_be_known() {
    let asked = |kind, name: &str| NewRevocation {
        kind,
        name: name.into(),
        issued_before: None,
        reason: "left".into(),
    };
    assert!(with_desk(|desk| desk.revocation(asked(SubjectKind::Human, "corp/alice"))).is_ok());
    assert!(with_desk(|desk| desk.revocation(asked(SubjectKind::Jti, "corp/1"))).is_ok());
    assert!(with_desk(|desk| desk.revocation(asked(SubjectKind::Jti, "1"))).is_err());
    assert!(with_desk(|desk| desk.revocation(asked(SubjectKind::Human, "okta/alice"))).is_err());
}
