//! The sections of issuers: whose tokens are accepted, and how their claims become a chain.

use std::collections::{BTreeMap, BTreeSet};

use callgate_gateway::identity::{
    DetailRule, Introspection, Issuer, IssuerConfig, KeyLimits, KeySource, KnownAgent, Mapping,
    Profile,
};
use callgate_mcp::document::Document;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::authority::LOCAL;
use callgate_model::envelope::{Portion, Portions};
use callgate_model::products::gateway;
use callgate_model::target::Resource;
use serde::Deserialize;

use super::credential::RawCredential;
use super::section::Reader;
use super::server::{is_plain, is_protected};

/// How old a token may become if nothing else is said: a day, in seconds.
const AGE_S_MAX: i64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIssuer {
    issuer: String,
    #[serde(default)]
    profile: RawProfile,
    jwks_url: Option<String>,
    metadata_url: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    algorithms: Vec<String>,
    max_age_s: Option<i64>,
    human: Option<String>,
    groups: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    agents: BTreeMap<String, RawAgent>,
    #[serde(default)]
    envelope: BTreeMap<String, RawPortion>,
    #[serde(default)]
    details: BTreeMap<String, RawDetail>,
    introspection: Option<RawIntrospection>,
    events: Option<String>,
    transactions: Option<String>,
    #[serde(default)]
    danger_plain_http: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPortion {
    actions: BTreeSet<String>,
    #[serde(default)]
    within: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetail {
    kind: String,
    id: String,
    actions: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIntrospection {
    #[serde(default)]
    ownerless: bool,
    url: String,
    credential: RawCredential,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawProfile {
    #[default]
    Rfc9068,
    Auth0,
    Entra,
    Keycloak,
    Okta,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    name: Option<String>,
    class: Option<String>,
}

impl Reader {
    /// The issuers. `has_address` says whether the gateway knows its own address, which tokens are for unless their issuer
    /// has a name for it.
    pub(super) fn issuers(&mut self, has_address: bool) -> Vec<Issuer> {
        let raw: BTreeMap<String, toml::Value> = self.optional("issuers").unwrap_or_default();
        let (mut issuers, mut known, mut asked) = (Vec::new(), BTreeSet::new(), None);
        for (name, value) in raw {
            let place = format!("issuers.{name}");
            if !is_plain(&name) {
                let text = "an issuer's name is of a-z, 0-9 and `-`, at most 40 long";
                self.problem(&place, text, None);
                continue;
            }
            if [LOCAL, gateway::NAME].contains(&name.as_str()) {
                let text = "an issuer cannot be called so: these are names of the gateway's own";
                self.problem(&place, text, None);
                continue;
            }
            let Some(raw) = self.read::<RawIssuer>(&place, value) else { continue };
            if raw.audiences.is_empty() && !has_address {
                let hint =
                    "set `listen.public_url`, the address that tokens are for, or `audiences`";
                let text = "nobody could tell which tokens are for this gateway";
                self.problem(&place, text, Some(hint.to_owned()));
                continue;
            }
            if !known.insert(raw.issuer.clone()) {
                let text = format!("`{}` is the issuer of another section, too", raw.issuer);
                self.problem(&format!("{place}.issuer"), &text, None);
                continue;
            }
            if raw.max_age_s.is_some_and(|age| age <= 0) {
                self.problem(&format!("{place}.max_age_s"), "is not more than 0", None);
                continue;
            }
            if raw.introspection.is_some()
                && let Some(other) = asked.replace(place.clone())
            {
                let text = format!("{other} has it, too: whose tokens those are could not be told");
                self.problem(&format!("{place}.introspection"), &text, None);
                continue;
            }
            issuers.extend(self.issuer(&place, name, raw));
        }
        issuers
    }

    fn issuer(&mut self, place: &str, name: String, mut raw: RawIssuer) -> Option<Issuer> {
        let keys = self.keys(place, &raw)?;
        let introspection = match raw.introspection.take() {
            Some(asked) => Some(self.introspection(place, asked, &raw)?),
            None => None,
        };
        let portions = self.portions(place, std::mem::take(&mut raw.envelope))?;
        let details = self.details(place, std::mem::take(&mut raw.details))?;
        let agents = raw.agents.into_iter().map(|(id, agent)| {
            let RawAgent { name, class } = agent;
            (id, KnownAgent { name, class })
        });
        let agents: BTreeMap<_, _> = agents.collect();
        let bad = agents.values().filter_map(|agent| agent.name.as_ref());
        if let Some(bad) = bad.into_iter().find(|name| name.is_empty() || name.contains('/')) {
            let text = format!("`{bad}` is empty or has a slash");
            self.problem(&format!("{place}.agents"), &text, None);
            return None;
        }
        let profile = match raw.profile {
            RawProfile::Rfc9068 => Profile::Rfc9068,
            RawProfile::Auth0 => Profile::Auth0,
            RawProfile::Entra => Profile::Entra,
            RawProfile::Keycloak => Profile::Keycloak,
            RawProfile::Okta => Profile::Okta,
        };
        let made = Issuer::new(IssuerConfig {
            name,
            issuer: raw.issuer,
            keys,
            key_limits: KeyLimits::default(),
            algorithms: raw.algorithms,
            audiences: raw.audiences,
            age_s_max: raw.max_age_s.unwrap_or(AGE_S_MAX),
            mapping: Mapping { profile, human: raw.human, groups: raw.groups, agents, details },
            scopes: raw.scopes,
            portions,
            introspection,
            events: raw.events,
            transactions: raw.transactions,
        });
        made.map_err(|text| self.problem(&format!("{place}.algorithms"), &text, None)).ok()
    }

    /// Where its keys are: said, or found by its own description.
    fn keys(&mut self, place: &str, raw: &RawIssuer) -> Option<KeySource> {
        let Some(origin) = origin(&raw.issuer) else {
            let text = format!("`{}` is no address of an issuer", raw.issuer);
            let hint = "the `iss` of its tokens, byte for byte: `https://login.example.com/`";
            self.problem(&format!("{place}.issuer"), &text, Some(hint.to_owned()));
            return None;
        };
        if let Some(url) = &raw.jwks_url {
            let document =
                self.document(&format!("{place}.jwks_url"), url, raw.danger_plain_http)?;
            return Some(KeySource::Jwks(document));
        }
        let document = self.metadata(place, raw)?;
        let (issuer, origins) = (raw.issuer.clone(), vec![origin]);
        Some(KeySource::Metadata { document, issuer, origins })
    }

    fn metadata(&mut self, place: &str, raw: &RawIssuer) -> Option<Document> {
        let discovery =
            || format!("{}/.well-known/openid-configuration", raw.issuer.trim_end_matches('/'));
        let url = raw.metadata_url.clone().unwrap_or_else(discovery);
        self.document(&format!("{place}.metadata_url"), &url, raw.danger_plain_http)
    }

    /// What an issuer says of itself, and whether it may be asked without encryption.
    pub(super) fn description(&mut self, issuer: &str) -> Option<(Document, bool)> {
        let all: BTreeMap<String, toml::Value> = self.optional("issuers")?;
        let raw: RawIssuer = all.get(issuer).cloned()?.try_into().ok()?;
        let document = self.metadata(&format!("issuers.{issuer}"), &raw)?;
        Some((document, raw.danger_plain_http))
    }

    /// What `authorization_details` mean, by their type.
    fn details(
        &mut self,
        place: &str,
        raw: BTreeMap<String, RawDetail>,
    ) -> Option<BTreeMap<String, DetailRule>> {
        let mut rules = BTreeMap::new();
        for (name, RawDetail { kind, id, actions }) in raw {
            let place = format!("{place}.details.{name:?}");
            let rule = DetailRule { kind, id, actions };
            if !rule.has_identifier() {
                let hint = "the identifier is what a detail names: id = \"acme/{identifier}\"";
                let text = "the id has no `{identifier}`";
                self.problem(&format!("{place}.id"), text, Some(hint.to_owned()));
                return None;
            }
            let mut all = rule.actions.values().flatten();
            if let Some(bad) = all.find(|action| action.starts_with("risk.from.")) {
                self.problem(&place, &format!("`{bad}` is for forbids"), None);
                return None;
            }
            rules.insert(name, rule);
        }
        Some(rules)
    }

    fn portions(&mut self, place: &str, raw: BTreeMap<String, RawPortion>) -> Option<Portions> {
        let mut portions = Portions::new();
        for (scope, RawPortion { actions, within }) in raw {
            let place = format!("{place}.envelope.{scope:?}");
            let is_token = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            if scope.is_empty() || !scope.bytes().all(is_token) {
                self.problem(&place, "is no name of a scope", None);
                return None;
            }
            // Of a risk that is raised, it would cover more (I9).
            if let Some(bad) = actions.iter().find(|action| action.starts_with("risk.from.")) {
                let hint = "a scope covers what is up to a risk: `risk.up_to.low`";
                self.problem(&place, &format!("`{bad}` is for forbids"), Some(hint.to_owned()));
                return None;
            }
            let mut places = BTreeSet::new();
            for text in within {
                let Some(resource) = Resource::parse(&text) else {
                    let hint = "as in policies: 'Jira::Project::\"acme/ENG\"'";
                    let text = format!("`{text}` is no resource");
                    self.problem(&place, &text, Some(hint.to_owned()));
                    return None;
                };
                places.insert(resource);
            }
            portions.insert(scope, Portion { actions, within: places, ..Portion::default() });
        }
        Some(portions)
    }

    fn introspection(
        &mut self,
        place: &str,
        asked: RawIntrospection,
        raw: &RawIssuer,
    ) -> Option<Introspection> {
        let place = format!("{place}.introspection");
        if raw.profile != RawProfile::Rfc9068 {
            let text = "what other issuers answer is not in the words of their tokens";
            let hint = "leave out `profile`, and say `human` and `groups` if they are others";
            self.problem(&place, text, Some(hint.to_owned()));
            return None;
        }
        let url = format!("{place}.url");
        let endpoint = self.document(&url, &asked.url, raw.danger_plain_http)?;
        let credential = self.credential(&format!("{place}.credential"), asked.credential)?;
        Some(Introspection::new(endpoint, credential).with_ownerless(asked.ownerless))
    }

    /// Where the gateway asks, at an address that the operator named.
    pub(super) fn document(
        &mut self,
        place: &str,
        url: &str,
        danger_plain_http: bool,
    ) -> Option<Document> {
        if !danger_plain_http && !is_protected(url) {
            let hint = "use https, or say `danger_plain_http = true`";
            let text = "what is asked there would cross the network unprotected";
            self.problem(place, text, Some(hint.to_owned()));
            return None;
        }
        let parsed = url.parse().map_err(|error| format!("`{url}`: {error}"));
        let limits = UpstreamLimits {
            total: std::time::Duration::from_secs(10),
            ..UpstreamLimits::default()
        };
        let document =
            parsed.and_then(|url| Document::new(url, limits).map_err(|error| error.to_string()));
        document.map_err(|text| self.problem(place, &text, None)).ok()
    }
}

/// `Jira::Project::"acme/ENG"`.
/// `https://host[:port]` of an address.
fn origin(url: &str) -> Option<String> {
    let parsed: http::Uri = url.parse().ok()?;
    let (scheme, authority) = (parsed.scheme_str()?, parsed.authority()?);
    let known = matches!(scheme, "http" | "https") && !authority.as_str().contains('@');
    known.then(|| format!("{scheme}://{authority}"))
}
