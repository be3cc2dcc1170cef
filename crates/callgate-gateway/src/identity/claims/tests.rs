use callgate_model::caller::CredentialKind;
use callgate_model::digest::Digest;
use callgate_model::json::{JsonLimits, read};

use super::*;

fn caller(mapping: &Mapping, claims: &str) -> Result<Caller, Unacceptable> {
    let claims = read(claims.as_bytes(), &JsonLimits::default()).unwrap();
    let claims = Claims(claims.as_object().unwrap().clone());
    let (kind, digest) = (CredentialKind::Jwt, Digest::default());
    let credential = Credential {
        kind,
        id: None,
        digest,
        issued: None,
        expires: None,
        scopes: None,
        within: None,
    };
    mapping.caller("corp", &claims, credential)
}

fn of(profile: Profile) -> Mapping {
    let known = KnownAgent { name: Some("release-bot".into()), class: Some("release".into()) };
    let agents = BTreeMap::from([("bot-1".to_owned(), known)]);
    Mapping { profile, agents, ..Mapping::default() }
}

/// The kind, the accountable identity, the agent and those before it, the client.
fn chain(profile: Profile, claims: &str) -> String {
    let caller = caller(&of(profile), claims).unwrap_or_else(|error| panic!("{error}: {claims}"));
    let agent = |agent: &Agent| {
        let class = agent.class.as_ref().map(|class| format!(":{class}"));
        format!("{}{}", agent.identity, class.unwrap_or_default())
    };
    let actors = caller.agent.iter().chain(&caller.actors).map(agent).collect::<Vec<_>>();
    let kind = caller.accountable.kind.as_str();
    let who = &caller.accountable.identity;
    format!("{kind} {who} by [{}] with {}", actors.join(", "), caller.client.name)
}

#[test]
fn a_token_of_the_standard_names_its_chain() {
    for (claims, expected) in [
        (r#"{"sub":"alice","client_id":"ide"}"#, "human corp/alice by [] with corp/ide"),
        (
            r#"{"sub":"alice","client_id":"bot-1"}"#,
            "human corp/alice by [release-bot:release] with corp/bot-1",
        ),
        (r#"{"sub":"ci","client_id":"ci"}"#, "service_account corp/ci by [] with corp/ci"),
        (
            r#"{"sub":"alice","client_id":"ide","act":{"sub":"bot-1","act":{"sub":"planner"}}}"#,
            "human corp/alice by [release-bot:release, corp/planner] with corp/ide",
        ),
        (
            r#"{"sub":"alice","client_id":"ide","iss":"https://corp","act":{"sub":"bot-1","iss":"https://corp"}}"#,
            "human corp/alice by [release-bot:release] with corp/ide",
        ),
        (
            r#"{"sub":"alice","client_id":"bot-1","act":{"sub":"planner"}}"#,
            "human corp/alice by [corp/planner, release-bot:release] with corp/bot-1",
        ),
        (
            r#"{"sub":"alice","client_id":"ide","act":{"sub":"bot-1","iss":"https://other"}}"#,
            "human corp/alice by [corp|https://other/bot-1] with corp/ide",
        ),
    ] {
        assert_eq!(chain(Profile::Rfc9068, claims), expected, "{claims}");
    }
}

#[test]
fn each_issuer_is_read_as_it_writes() {
    use Profile::{Auth0, Entra, Keycloak, Okta};
    for (profile, claims, expected) in [
        (Auth0, r#"{"sub":"auth0|7","azp":"ide"}"#, "human corp/auth0|7 by [] with corp/ide"),
        (
            Auth0,
            r#"{"sub":"bot-1@clients","azp":"bot-1","gty":"client-credentials"}"#,
            "service_account corp/bot-1@clients by [release-bot:release] with corp/bot-1",
        ),
        (
            Okta,
            r#"{"sub":"a@example.com","uid":"00u1","cid":"ide"}"#,
            "human corp/00u1 by [] with corp/ide",
        ),
        (
            Okta,
            r#"{"sub":"bot-1","cid":"bot-1"}"#,
            "service_account corp/bot-1 by [release-bot:release] with corp/bot-1",
        ),
        (
            Keycloak,
            r#"{"sub":"f81","azp":"ide","typ":"Bearer","preferred_username":"alice"}"#,
            "human corp/f81 by [] with corp/ide",
        ),
        (
            Keycloak,
            r#"{"sub":"f82","azp":"ci","typ":"Bearer","preferred_username":"service-account-ci"}"#,
            "service_account corp/f82 by [] with corp/ci",
        ),
        (
            Keycloak,
            r#"{"sub":"f82","azp":"ci","client_id":"ci","typ":"Bearer"}"#,
            "service_account corp/f82 by [] with corp/ci",
        ),
        (
            Entra,
            r#"{"sub":"pairwise","oid":"o-1","azp":"ide","scp":"mcp"}"#,
            "human corp/o-1 by [] with corp/ide",
        ),
        (
            Entra,
            r#"{"sub":"o-4","oid":"o-4","azp":"job","roles":["mcp"]}"#,
            "service_account corp/o-4 by [] with corp/job",
        ),
        (
            Entra,
            r#"{"sub":"pairwise","oid":"o-1","azp":"ide","idtyp":"user"}"#,
            "human corp/o-1 by [] with corp/ide",
        ),
        (
            Entra,
            r#"{"sub":"p","oid":"o-1","azp":"agent","idtyp":"user","xms_act_fct":"9 11"}"#,
            "human corp/o-1 by [corp/agent] with corp/agent",
        ),
        (
            Entra,
            r#"{"sub":"p","oid":"o-2","azp":"agent","idtyp":"user","xms_act_fct":"11","xms_sub_fct":"13"}"#,
            "service_account corp/p by [corp/agent] with corp/agent",
        ),
        (
            Entra,
            r#"{"sub":"p","oid":"o-3","appid":"app","idtyp":"app"}"#,
            "service_account corp/p by [] with corp/app",
        ),
    ] {
        assert_eq!(chain(profile, claims), expected, "{claims}");
    }
}

#[test]
fn i10_a_chain_that_cannot_be_read_is_refused_and_not_shortened() {
    let deep = |depth: usize| {
        let inner = "null".to_owned();
        (0..depth).fold(inner, |inner, _| match inner.as_str() {
            "null" => r#"{"sub":"a"}"#.to_owned(),
            inner => format!(r#"{{"sub":"a","act":{inner}}}"#),
        })
    };
    let mapping = of(Profile::Rfc9068);
    let with =
        |act: &str| caller(&mapping, &format!(r#"{{"sub":"alice","client_id":"x","act":{act}}}"#));
    assert_eq!(with(&deep(8)).unwrap().actors.len(), 7);
    for bad in [
        &deep(9),
        "\"bot\"",
        "null",
        "[]",
        "{}",
        r#"{"sub":7}"#,
        r#"{"sub":""}"#,
        r#"{"sub":"a","iss":7}"#,
        r#"{"sub":"a","act":"b"}"#,
        r#"{"sub":"a","act":{"sub":"b","act":[]}}"#,
    ] {
        assert_eq!(with(bad), Err(Unacceptable::Chain), "{bad}");
    }
    for bad in [
        r#"{"client_id":"x"}"#,
        r#"{"sub":7,"client_id":"x"}"#,
        r#"{"sub":"","client_id":"x"}"#,
        r#"{"sub":"a","client_id":["x"]}"#,
        r#"{"sub":"a","client_id":"x","groups":"admins"}"#,
        r#"{"sub":"a","client_id":"x","groups":["a",7]}"#,
        r#"{"sub":"a","client_id":"x","hasgroups":true}"#,
        r#"{"sub":"a","client_id":"x","_claim_names":{"groups":"src1"}}"#,
        r#"{"sub":"a"}"#,
    ] {
        assert!(caller(&mapping, bad).is_err(), "{bad}");
    }
}

#[test]
fn tokens_for_something_else_are_refused() {
    for other in ["at_hash", "c_hash", "events", "nonce"] {
        let token = format!(r#"{{"sub":"a","oid":"b","azp":"x","{other}":"h"}}"#);
        for profile in [Profile::Auth0, Profile::Entra] {
            assert_eq!(caller(&of(profile), &token), Err(Unacceptable::Type), "{token}");
        }
    }
    let bound = r#"{"sub":"a","client_id":"x","cnf":{"jkt":"k"}}"#;
    assert_eq!(caller(&of(Profile::Rfc9068), bound), Err(Unacceptable::Bound));
    for typ in ["", r#","typ":"Refresh""#, r#","typ":"ID""#, r#","typ":"Logout""#] {
        let token = format!(r#"{{"sub":"a","azp":"x"{typ}}}"#);
        assert_eq!(caller(&of(Profile::Keycloak), &token), Err(Unacceptable::Type), "{typ}");
    }
    for (profile, typ, is_one) in [
        (Profile::Rfc9068, Some("at+jwt"), true),
        (Profile::Rfc9068, Some("application/AT+JWT"), true),
        (Profile::Rfc9068, Some("JWT"), false),
        (Profile::Rfc9068, None, false),
        (Profile::Keycloak, Some("JWT"), true),
        (Profile::Keycloak, Some("logout+jwt"), false),
        (Profile::Okta, None, true),
        (Profile::Entra, Some("dpop+jwt"), false),
    ] {
        assert_eq!(profile.is_type(typ), is_one, "{profile:?} {typ:?}");
    }
}

#[test]
fn the_operator_may_name_other_claims() {
    let mapping = Mapping {
        human: Some("email".into()),
        groups: Some("https://example.com/groups".into()),
        ..of(Profile::Auth0)
    };
    let claims = r#"{"sub":"auth0|7","azp":"x","email":"a@example.com","https://example.com/groups":["eng"]}"#;
    let caller = caller(&mapping, claims).unwrap();
    assert_eq!(caller.accountable.identity.to_string(), "corp/a@example.com");
    assert_eq!(caller.accountable.groups, ["corp/eng"]);
}
