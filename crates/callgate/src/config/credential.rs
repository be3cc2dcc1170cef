//! What servers are called with: a secret, or tokens that are issued to the gateway.

use std::path::PathBuf;
use std::sync::Arc;

use callgate_gateway::assertion::Signer;
use callgate_gateway::credential::{
    Broker, ClientCredentials, Credential, Exchange, Own, Personal, Scheme, TokenEndpoint, Wanted,
};
use serde::Deserialize;
use toml::{Table, Value};

use super::section::Reader;
use super::server::{RawSecret, is_plain};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCredential {
    #[serde(default)]
    scheme: Option<String>,
    file: Option<PathBuf>,
    env: Option<String>,
    sealed: Option<String>,
}

/// A client of the operator's authorization server, which the gateway is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClient {
    token_url: String,
    client_id: String,
    client_secret: RawSecret,
    #[serde(default)]
    scopes: Vec<String>,
    audience: Option<String>,
    resource: Option<String>,
    #[serde(default)]
    danger_plain_http: bool,
}

impl Reader {
    /// What a server is called with.
    pub(super) fn broker(
        &mut self,
        place: &str,
        value: Value,
        signer: Option<&Arc<Signer>>,
    ) -> Option<Broker> {
        let (kind, mut table) = self.kind(place, value)?;
        let is_personal = kind.as_deref() == Some("personal");
        if !is_personal && kind.as_deref() != Some("exchange") {
            return self.own(place, kind.as_deref(), table).map(Broker::Own);
        }
        let lists = match table.remove("lists") {
            Some(value) => {
                let place = format!("{place}.lists");
                let (kind, table) = self.kind(&place, value)?;
                self.own(&place, kind.as_deref(), table)?
            }
            None => Own::None,
        };
        if is_personal {
            return self.personal(place, &table, lists);
        }
        let issuer = self.exchanged(place, table.remove("issuer"))?;
        let actor = match table.remove("actor") {
            Some(value) => Some(self.actor(&format!("{place}.actor"), &value, signer)?),
            None => None,
        };
        let exchange = Exchange::new(issuer, self.token_endpoint(place, table)?, lists);
        let exchange = match actor {
            Some(signer) => exchange.with_actor(signer),
            None => exchange,
        };
        Some(Broker::Exchange(Box::new(exchange)))
    }

    /// The secrets that persons have for the server.
    fn personal(&mut self, place: &str, rest: &Table, lists: Own) -> Option<Broker> {
        if let Some(name) = rest.keys().next() {
            let hint =
                "`callgate secret set` keeps each person's secret; `lists` is the gateway's own";
            let text = format!("`{name}` is not known here");
            self.problem(place, &text, Some(hint.to_owned()));
            return None;
        }
        if !self.is_said("sealing") {
            let hint = "[sealing]\n  keys = [{ file = \"sealing.key\" }]  # openssl rand -base64 32 > sealing.key";
            let text = "without a key that outlives the process, secrets cannot be kept";
            self.problem(&format!("{place}.kind"), text, Some(hint.to_owned()));
            return None;
        }
        let server = place.trim_start_matches("servers.").trim_end_matches(".credential");
        Some(Broker::Personal(Personal::new(server.to_owned(), lists)))
    }

    /// Who names the agent that acts.
    fn actor(
        &mut self,
        place: &str,
        value: &Value,
        signer: Option<&Arc<Signer>>,
    ) -> Option<Arc<Signer>> {
        if value.as_str() != Some("gateway") {
            self.problem(place, "can only be `gateway`", None);
            return None;
        }
        if signer.is_none() {
            self.nobody_signs(place);
        }
        signer.cloned()
    }

    /// The section without its `kind`, which says what else there is.
    pub(super) fn kind(&mut self, place: &str, value: Value) -> Option<(Option<String>, Table)> {
        let mut table: Table = self.read(place, value)?;
        let kind = match table.remove("kind") {
            Some(kind) => Some(self.read(&format!("{place}.kind"), kind)?),
            None => None,
        };
        Some((kind, table))
    }

    /// What the gateway has for itself.
    fn own(&mut self, place: &str, kind: Option<&str>, table: Table) -> Option<Own> {
        match kind {
            None | Some("static") => {
                let raw = self.read(place, table.into())?;
                self.credential(place, raw).map(Own::Static)
            }
            Some("client_credentials") => {
                let client = ClientCredentials::new(self.token_endpoint(place, table)?);
                Some(Own::ClientCredentials(Box::new(client)))
            }
            Some("exchange" | "personal") => {
                let text = "lists are for everybody: they are not asked for in one person's name";
                let hint =
                    "say `client_credentials` or a secret; or nothing, if the server lists without";
                self.problem(&format!("{place}.kind"), text, Some(hint.to_owned()));
                None
            }
            Some(other) => {
                let text = format!(
                    "`{other}` is none of `static`, `client_credentials`, `exchange`, `personal`"
                );
                self.problem(&format!("{place}.kind"), &text, None);
                None
            }
        }
    }

    /// The issuer whose tokens are exchanged.
    fn exchanged(&mut self, place: &str, issuer: Option<Value>) -> Option<String> {
        let place = format!("{place}.issuer");
        let Some(issuer) = issuer else {
            let hint = "the name of a section `[issuers.NAME]`";
            self.problem(&place, "whose tokens are exchanged is not said", Some(hint.to_owned()));
            return None;
        };
        let issuer: String = self.read(&place, issuer)?;
        if !is_plain(&issuer) || !self.has("issuers", &issuer) {
            self.problem(&place, &format!("there is no `[issuers.{issuer}]`"), None);
            return None;
        }
        Some(issuer)
    }

    fn token_endpoint(&mut self, place: &str, table: Table) -> Option<TokenEndpoint> {
        let raw: RawClient = self.read(place, table.into())?;
        let url = format!("{place}.token_url");
        let document = self.document(&url, &raw.token_url, raw.danger_plain_http)?;
        let RawClient { token_url, client_id, client_secret, scopes, audience, resource, .. } = raw;
        let wanted = Wanted { scopes, audience, resource };
        let made = self.secret(client_secret).and_then(|secret| {
            TokenEndpoint::new(document, token_url, &client_id, &secret, wanted)
                .map_err(|error| error.to_string())
        });
        made.map_err(|text| self.problem(&format!("{place}.client_secret"), &text, None)).ok()
    }

    /// A secret that is presented as it is.
    pub(super) fn credential(&mut self, place: &str, raw: RawCredential) -> Option<Credential> {
        let name = raw.scheme.as_deref().unwrap_or("bearer");
        let Some(scheme) = Scheme::parse(name) else {
            self.problem(place, &format!("`{name}` is neither `bearer` nor `basic`"), None);
            return None;
        };
        let made = self
            .secret(RawSecret { file: raw.file, env: raw.env, sealed: raw.sealed })
            .and_then(|secret| Credential::new(scheme, &secret).map_err(|error| error.to_string()));
        made.map_err(|text| self.problem(place, &text, None)).ok()
    }
}
