//! From the claims of a token to the chain of who is asking. What a token does not say is not guessed: a chain is refused
//! rather than shortened (I10).

use std::collections::BTreeMap;

use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, Identity,
};
use callgate_model::json::{Json, Object};

use super::Unacceptable;
use super::details::DetailRule;
use super::jwt::Claims;

/// Actors in one chain.
const ACTORS_MAX: usize = 8;

/// What only other tokens have: those that say who logged in, and that somebody logged out.
const OTHER_TOKENS: [&str; 4] = ["at_hash", "c_hash", "events", "nonce"];

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
    /// What `authorization_details` mean, by their type. Others cover nothing.
    pub details: BTreeMap<String, DetailRule>,
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

    /// The claims that list scopes. Those that an application has by itself are called roles at Entra.
    const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Entra => &["scp", "roles", "scope"],
            Self::Okta => &["scp", "scope"],
            Self::Auth0 => &["scope", "permissions"],
            Self::Keycloak | Self::Rfc9068 => &["scope"],
        }
    }

    const fn human(self) -> &'static str {
        match self {
            // `sub` is another one for each application there.
            Self::Entra => "oid",
            // `sub` is a login name there, which may become another person's.
            Self::Okta => "uid",
            Self::Auth0 | Self::Keycloak | Self::Rfc9068 => "sub",
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
        credential: Credential,
    ) -> Result<Caller, Unacceptable> {
        self.refuse_other_tokens(claims)?;
        let client = self.client(claims)?.ok_or_else(|| self.no_client())?;
        let kind = self.kind(claims, client)?;
        let human = self.human.as_deref().unwrap_or_else(|| self.profile.human());
        let subject = match kind {
            AccountableKind::Human => claims.text(human)?,
            AccountableKind::ServiceAccount => claims.text("sub")?.or(Some(client)),
        };
        let subject = subject.ok_or_else(|| Unacceptable::Claim(human.to_owned()))?;
        let groups = self.groups(claims)?;
        let (agent, actors) = self.actors(issuer, claims, client)?;
        let of_issuer = |subject: &str| identity(issuer, subject);
        // Another issuer may have a group or a client of the same name.
        let named = |name: &str| of_issuer(name).to_string();
        Ok(Caller {
            accountable: Accountable {
                kind,
                identity: of_issuer(subject),
                groups: groups.iter().map(|group| named(group)).collect(),
                assurance: Assurance::Verified,
            },
            agent,
            actors,
            client: Client { name: named(client), assurance: Assurance::Verified },
            credential,
            workflow: None,
        })
    }

    /// Who has logged in, and their groups, by a token of `client` that says so. Nobody who is an agent, or whom one acts for,
    /// does.
    pub(super) fn person<'a>(
        &self,
        claims: &'a Claims,
        client: &str,
    ) -> Result<(&'a str, Vec<String>), Unacceptable> {
        let is_agents = self.profile == Profile::Entra && has_facet(claims, "xms_sub_fct", "13")?;
        if is_agents || claims.0.get("act").is_some() {
            return Err(Unacceptable::Chain);
        }
        // Okta has the same id in `sub` there that is `uid` in tokens for access.
        let usual = if self.profile == Profile::Okta { "sub" } else { self.profile.human() };
        let name = self.human.as_deref().unwrap_or(usual);
        let person = claims.text(name)?.filter(|person| *person != client);
        let person = person.ok_or_else(|| Unacceptable::Claim(name.to_owned()))?;
        Ok((person, self.groups(claims)?))
    }

    /// Tokens of the same issuer that are none for a resource: who somebody is, or what gets another token.
    fn refuse_other_tokens(&self, claims: &Claims) -> Result<(), Unacceptable> {
        // A proof that its holder has the key is needed, and none is taken (RFC 9449 §7.2, RFC 8705 §3).
        if claims.0.get("cnf").is_some() {
            return Err(Unacceptable::Bound);
        }
        let is_other = match self.profile {
            Profile::Keycloak => claims.text("typ")? != Some("Bearer"),
            Profile::Auth0 | Profile::Entra | Profile::Okta | Profile::Rfc9068 => {
                OTHER_TOKENS.iter().any(|name| claims.0.get(name).is_some())
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

    fn no_client(&self) -> Unacceptable {
        Unacceptable::Claim(self.profile.clients().join("` or `"))
    }

    /// The groups, if they are all there.
    fn groups(&self, claims: &Claims) -> Result<Vec<String>, Unacceptable> {
        let name = self.groups.as_deref().unwrap_or("groups");
        // Somebody in many groups has them told elsewhere (OpenID Connect Core §5.6.2): to miss one might allow something.
        let elsewhere = claims.0.get("_claim_names").and_then(Json::as_object);
        let is_elsewhere = elsewhere.is_some_and(|names| names.get(name).is_some());
        if is_elsewhere || claims.0.get("hasgroups").is_some() {
            return Err(Unacceptable::Claim(name.to_owned()));
        }
        claims.texts(name)
    }

    /// The scopes: a text with spaces between them (RFC 8693 §4.2), or, as some issuers do, a list.
    pub(super) fn scopes(&self, claims: &Claims) -> Result<Vec<String>, Unacceptable> {
        let mut scopes = Vec::new();
        for name in self.profile.scopes() {
            match claims.0.get(name) {
                Some(Json::String(text)) => {
                    scopes.extend(text.split(' ').filter(|one| !one.is_empty()).map(str::to_owned));
                }
                Some(_) => scopes.extend(claims.texts(name)?),
                None => {}
            }
        }
        Ok(scopes)
    }

    /// Whether there is a human in it. A client that has a token of its own is none, nor is an agent's user.
    fn kind(&self, claims: &Claims, client: &str) -> Result<AccountableKind, Unacceptable> {
        let sub = claims.text("sub")?;
        let by_itself = match self.profile {
            Profile::Rfc9068 => false,
            Profile::Auth0 => {
                claims.text("gty")? == Some("client-credentials")
                    || sub.is_some_and(|sub| sub.ends_with("@clients"))
            }
            Profile::Entra => {
                // `idtyp` is there only if it was asked for. A delegated token has scopes; an application's own has none.
                let is_user = match claims.text("idtyp")? {
                    Some(kind) => kind == "user",
                    None => claims.text("scp")?.is_some() && sub != claims.text("oid")?,
                };
                !is_user || has_facet(claims, "xms_sub_fct", "13")?
            }
            // Only the token of a service account says whose client it is by that name.
            Profile::Keycloak => {
                let name = claims.text("preferred_username")?;
                claims.text("client_id")?.is_some()
                    || name.is_some_and(|name| name.starts_with("service-account-"))
            }
            Profile::Okta => claims.text("uid")?.is_none(),
        };
        let service = by_itself || sub == Some(client);
        Ok(if service { AccountableKind::ServiceAccount } else { AccountableKind::Human })
    }

    /// The current actor and those before it, latest first: what the token says, or a client that is known to be an agent.
    fn actors(
        &self,
        issuer: &str,
        claims: &Claims,
        client: &str,
    ) -> Result<(Option<Agent>, Vec<Agent>), Unacceptable> {
        let url = claims.text("iss")?;
        let mut actors = Vec::new();
        let mut next = claims.0.get("act");
        while let Some(actor) = next {
            let Json::Object(actor) = actor else { return Err(Unacceptable::Chain) };
            if actors.len() >= ACTORS_MAX {
                return Err(Unacceptable::Chain);
            }
            actors.push(self.actor(issuer, url, actor)?);
            next = actor.get("act");
        }
        // A client that is an agent is one whoever else acts.
        let is_agent = self.agents.contains_key(client)
            || (self.profile == Profile::Entra && has_facet(claims, "xms_act_fct", "11")?);
        let client = self.agent(issuer, client);
        if is_agent && !actors.contains(&client) {
            actors.push(client);
        }
        if actors.is_empty() {
            return Ok((None, actors));
        }
        let agent = actors.remove(0);
        Ok((Some(agent), actors))
    }

    /// An actor in a token of `issuer`, which calls itself `url` there.
    fn actor(
        &self,
        issuer: &str,
        url: Option<&str>,
        actor: &Object,
    ) -> Result<Agent, Unacceptable> {
        let text = |name: &str| match actor.get(name) {
            None => Ok(None),
            Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.as_str())),
            Some(_) => Err(Unacceptable::Chain),
        };
        let subject = text("sub")?.ok_or(Unacceptable::Chain)?;
        match text("iss")?.filter(|other| Some(*other) != url) {
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
mod tests;
