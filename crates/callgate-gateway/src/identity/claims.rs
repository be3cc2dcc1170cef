//! From the claims of a token to the chain of who is asking. What a token does not say is not guessed: a chain is refused
//! rather than shortened (I10).

use std::collections::BTreeMap;

use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity,
};
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};

use super::Unacceptable;
use super::jwt::{Claims, Times};

/// Actors in one chain.
const ACTORS_MAX: usize = 8;

/// How an issuer writes its claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// RFC 9068 and RFC 8693.
    #[default]
    Rfc9068,
    /// Auth0, in either of its dialects.
    Auth0,
    /// Microsoft Entra ID, version 1 or 2.
    Entra,
    /// Keycloak.
    Keycloak,
    /// Okta's custom authorization servers.
    Okta,
}

/// A client that the operator knows as an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAgent {
    /// What policies call it; its id at the issuer, if nothing else is said.
    pub name: Option<String>,
    /// Its class.
    pub class: Option<String>,
}

/// How claims become a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// How the issuer writes them.
    pub profile: Profile,
    /// The claim that names the human, if it is not that of the profile.
    pub human: Option<String>,
    /// The claim that lists their groups, if it is not that of the profile.
    pub groups: Option<String>,
    /// The agents that the operator knows, by their ids at the issuer.
    pub agents: BTreeMap<String, KnownAgent>,
}

impl Profile {
    /// The claim that names the client.
    const fn clients(self) -> &'static [&'static str] {
        match self {
            Self::Rfc9068 => &["client_id"],
            Self::Auth0 | Self::Keycloak => &["azp", "client_id"],
            Self::Entra => &["azp", "appid"],
            Self::Okta => &["cid"],
        }
    }

    const fn human(self) -> &'static str {
        match self {
            // `sub` is another one for each application there.
            Self::Entra => "oid",
            Self::Auth0 | Self::Keycloak | Self::Okta | Self::Rfc9068 => "sub",
        }
    }

    /// What the header may say that the token is.
    pub(super) fn is_type(self, typ: Option<&str>) -> bool {
        let is_access_token = typ.is_some_and(|typ| {
            let typ = typ.strip_prefix("application/").unwrap_or(typ);
            typ.eq_ignore_ascii_case("at+jwt")
        });
        match self {
            Self::Rfc9068 => is_access_token,
            Self::Auth0 | Self::Entra | Self::Keycloak => {
                is_access_token || typ.is_some_and(|typ| typ.eq_ignore_ascii_case("jwt"))
            }
            Self::Okta => is_access_token || typ.is_none(),
        }
    }
}

impl Mapping {
    /// The chain that `claims` of `issuer` make, which policies call by that name.
    pub(super) fn caller(
        &self,
        issuer: &str,
        claims: &Claims,
        token: Digest,
        times: Times,
    ) -> Result<Caller, Unacceptable> {
        self.refuse_other_tokens(claims)?;
        let client = self.client(claims)?;
        let kind = self.kind(claims, client)?;
        let human = self.human.as_deref().unwrap_or_else(|| self.profile.human());
        let subject = match kind {
            AccountableKind::Human => claims.text(human)?,
            AccountableKind::ServiceAccount => claims.text("sub")?.or(client),
        };
        let subject = subject.ok_or_else(|| Unacceptable::Claim(human.to_owned()))?;
        let groups = self.groups.as_deref().unwrap_or("groups");
        let (agent, actors) = self.actors(issuer, claims, client, kind)?;
        let of_issuer = |subject: &str| identity(issuer, subject);
        Ok(Caller {
            accountable: Accountable {
                kind,
                identity: of_issuer(subject),
                groups: claims.texts(groups)?,
                assurance: Assurance::Verified,
            },
            agent,
            actors,
            client: Client {
                name: client.unwrap_or("unnamed").to_owned(),
                assurance: Assurance::Verified,
            },
            credential: Credential {
                kind: CredentialKind::Jwt,
                digest: token,
                issued: times.issued,
                expires: Some(times.expires),
            },
            workflow: None,
        })
    }

    /// Tokens of the same issuer that are none for a resource: who somebody is, or what gets another token.
    fn refuse_other_tokens(&self, claims: &Claims) -> Result<(), Unacceptable> {
        let is_other = match self.profile {
            Profile::Keycloak => claims.text("typ")?.is_some_and(|typ| typ != "Bearer"),
            Profile::Auth0 | Profile::Entra | Profile::Okta | Profile::Rfc9068 => {
                claims.0.get("nonce").is_some() && claims.0.get("at_hash").is_some()
            }
        };
        if is_other { Err(Unacceptable::Type) } else { Ok(()) }
    }

    fn client<'a>(&self, claims: &'a Claims) -> Result<Option<&'a str>, Unacceptable> {
        for name in self.profile.clients() {
            if let Some(client) = claims.text(name)? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// Whether there is a human in it. A client that has a token of its own is none, nor is an agent's user.
    fn kind(&self, claims: &Claims, client: Option<&str>) -> Result<AccountableKind, Unacceptable> {
        let sub = claims.text("sub")?;
        let by_itself = match self.profile {
            Profile::Rfc9068 => false,
            Profile::Auth0 => {
                claims.text("gty")? == Some("client-credentials")
                    || sub.is_some_and(|sub| sub.ends_with("@clients"))
            }
            Profile::Entra => {
                claims.text("idtyp")? == Some("app") || has_facet(claims, "xms_sub_fct", "13")?
            }
            Profile::Keycloak => claims
                .text("preferred_username")?
                .is_some_and(|name| name.starts_with("service-account-")),
            Profile::Okta => claims.text("uid")?.is_none(),
        };
        let is_client = sub.is_some() && sub == client;
        let service = by_itself || is_client;
        Ok(if service { AccountableKind::ServiceAccount } else { AccountableKind::Human })
    }

    /// The current actor and those before it, latest first: what the token says, or a client that is known to be an agent.
    fn actors(
        &self,
        issuer: &str,
        claims: &Claims,
        client: Option<&str>,
        kind: AccountableKind,
    ) -> Result<(Option<Agent>, Vec<Agent>), Unacceptable> {
        let mut actors = Vec::new();
        let mut next = claims.0.get("act");
        while let Some(actor) = next {
            let Json::Object(actor) = actor else { return Err(Unacceptable::Chain) };
            if actors.len() >= ACTORS_MAX {
                return Err(Unacceptable::Chain);
            }
            actors.push(self.actor(issuer, actor)?);
            next = actor.get("act");
        }
        if actors.is_empty() {
            let is_agent = |client: &&str| {
                let of_itself = kind == AccountableKind::ServiceAccount;
                self.agents.contains_key(*client)
                    || (self.profile == Profile::Entra
                        && !of_itself
                        && has_facet(claims, "xms_act_fct", "11").unwrap_or(false))
            };
            return Ok((client.filter(is_agent).map(|id| self.agent(issuer, id)), actors));
        }
        let agent = actors.remove(0);
        Ok((Some(agent), actors))
    }

    fn actor(&self, issuer: &str, actor: &Object) -> Result<Agent, Unacceptable> {
        let text = |name: &str| match actor.get(name) {
            None => Ok(None),
            Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.as_str())),
            Some(_) => Err(Unacceptable::Chain),
        };
        let subject = text("sub")?.ok_or(Unacceptable::Chain)?;
        match text("iss")? {
            // Whose names are another's: it is told from one of ours, and known to no registry.
            Some(other) => Ok(Agent {
                identity: identity(&format!("{issuer}|{other}"), subject),
                class: None,
                assurance: Assurance::Verified,
            }),
            None => Ok(self.agent(issuer, subject)),
        }
    }

    fn agent(&self, issuer: &str, id: &str) -> Agent {
        let known = self.agents.get(id).cloned().unwrap_or_default();
        let identity = match known.name {
            Some(name) => Identity { issuer: None, subject: name },
            None => identity(issuer, id),
        };
        Agent { identity, class: known.class, assurance: Assurance::Verified }
    }
}

fn identity(issuer: &str, subject: &str) -> Identity {
    Identity { issuer: Some(issuer.to_owned()), subject: subject.to_owned() }
}

/// Whether a list of numbers in a text has one of them. Their order means nothing.
fn has_facet(claims: &Claims, name: &str, facet: &str) -> Result<bool, Unacceptable> {
    Ok(claims.text(name)?.is_some_and(|facets| facets.split(' ').any(|one| one == facet)))
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::Timestamp;
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    fn caller(mapping: &Mapping, claims: &str) -> Result<Caller, Unacceptable> {
        let claims = read(claims.as_bytes(), &JsonLimits::default()).unwrap();
        let claims = Claims(claims.as_object().unwrap().clone());
        let times = Times { issued: None, expires: Timestamp::from_unix_ms(0) };
        mapping.caller("corp", &claims, Digest::default(), times)
    }

    fn of(profile: Profile) -> Mapping {
        let known = KnownAgent { name: Some("release-bot".into()), class: Some("release".into()) };
        let agents = BTreeMap::from([("bot-1".to_owned(), known)]);
        Mapping { profile, agents, ..Mapping::default() }
    }

    /// The kind, the accountable identity, the agent and those before it, the client.
    fn chain(profile: Profile, claims: &str) -> String {
        let caller =
            caller(&of(profile), claims).unwrap_or_else(|error| panic!("{error}: {claims}"));
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
    fn each_issuer_is_read_as_it_writes() {
        use Profile::{Auth0, Entra, Keycloak, Okta, Rfc9068};
        for (profile, claims, expected) in [
            (Rfc9068, r#"{"sub":"alice","client_id":"ide"}"#, "human corp/alice by [] with ide"),
            (
                Rfc9068,
                r#"{"sub":"alice","client_id":"bot-1"}"#,
                "human corp/alice by [release-bot:release] with bot-1",
            ),
            (Rfc9068, r#"{"sub":"ci","client_id":"ci"}"#, "service_account corp/ci by [] with ci"),
            (
                Rfc9068,
                r#"{"sub":"alice","client_id":"ide","act":{"sub":"bot-1","act":{"sub":"planner"}}}"#,
                "human corp/alice by [release-bot:release, corp/planner] with ide",
            ),
            (
                Rfc9068,
                r#"{"sub":"alice","client_id":"ide","act":{"sub":"bot-1","iss":"https://other"}}"#,
                "human corp/alice by [corp|https://other/bot-1] with ide",
            ),
            (Auth0, r#"{"sub":"auth0|7","azp":"ide"}"#, "human corp/auth0|7 by [] with ide"),
            (
                Auth0,
                r#"{"sub":"bot-1@clients","azp":"bot-1","gty":"client-credentials"}"#,
                "service_account corp/bot-1@clients by [release-bot:release] with bot-1",
            ),
            (
                Okta,
                r#"{"sub":"a@example.com","uid":"00u1","cid":"ide"}"#,
                "human corp/a@example.com by [] with ide",
            ),
            (
                Okta,
                r#"{"sub":"bot-1","cid":"bot-1"}"#,
                "service_account corp/bot-1 by [release-bot:release] with bot-1",
            ),
            (
                Keycloak,
                r#"{"sub":"f81","azp":"ide","typ":"Bearer","preferred_username":"alice"}"#,
                "human corp/f81 by [] with ide",
            ),
            (
                Keycloak,
                r#"{"sub":"f82","azp":"ci","client_id":"ci","typ":"Bearer","preferred_username":"service-account-ci"}"#,
                "service_account corp/f82 by [] with ci",
            ),
            (
                Entra,
                r#"{"sub":"pairwise","oid":"o-1","azp":"ide","idtyp":"user"}"#,
                "human corp/o-1 by [] with ide",
            ),
            (
                Entra,
                r#"{"sub":"p","oid":"o-1","azp":"agent","idtyp":"user","xms_act_fct":"9 11"}"#,
                "human corp/o-1 by [corp/agent] with agent",
            ),
            (
                Entra,
                r#"{"sub":"p","oid":"o-2","azp":"agent","idtyp":"user","xms_act_fct":"11","xms_sub_fct":"13"}"#,
                "service_account corp/p by [] with agent",
            ),
            (
                Entra,
                r#"{"sub":"p","oid":"o-3","appid":"app","idtyp":"app"}"#,
                "service_account corp/p by [] with app",
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
        let with = |act: &str| {
            caller(&mapping, &format!(r#"{{"sub":"alice","client_id":"x","act":{act}}}"#))
        };
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
        ] {
            assert!(caller(&mapping, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_for_something_else_are_refused() {
        let id_token = r#"{"sub":"a","client_id":"x","nonce":"n","at_hash":"h"}"#;
        assert_eq!(caller(&of(Profile::Rfc9068), id_token), Err(Unacceptable::Type));
        let refresh = r#"{"sub":"a","azp":"x","typ":"Refresh"}"#;
        assert_eq!(caller(&of(Profile::Keycloak), refresh), Err(Unacceptable::Type));
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
        assert_eq!(caller.accountable.groups, ["eng"]);
    }
}
