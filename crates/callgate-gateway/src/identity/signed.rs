//! What issuers sign beside tokens for access: events that take something back (RFC 8417, CAEP, RISC), and tokens of a
//! transaction that a call is part of (draft-ietf-oauth-transaction-tokens).

use callgate_mcp::http::HeaderMap;
use callgate_model::ambient::Timestamp;
use callgate_model::caller::{Assurance, Caller, Workflow};
use callgate_model::json::{Json, Object};

use super::jwt::{Claims, Jwt, LEEWAY_S};
use super::{Identified, Identities, Issuer, Unacceptable};

/// The header of a transaction token.
const TRANSACTION: &str = "txn-token";
/// Events in one token.
const EVENTS_MAX: usize = 16;

/// Credentials made before the event are good no more.
const CUTS: [&str; 9] = [
    "https://schemas.openid.net/secevent/caep/event-type/assurance-level-change",
    "https://schemas.openid.net/secevent/caep/event-type/credential-change",
    "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change",
    "https://schemas.openid.net/secevent/caep/event-type/risk-level-change",
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
    "https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required",
    "https://schemas.openid.net/secevent/risc/event-type/credential-compromise",
    "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
];
/// Nobody of that name is let in any more.
const CLOSES: [&str; 2] = [
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "https://schemas.openid.net/secevent/risc/event-type/account-purged",
];
const OPENS: &str = "https://schemas.openid.net/secevent/risc/event-type/account-enabled";

/// What an issuer says of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Who, as policies call them.
    pub(crate) who: String,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// What they got before this moment is good no more.
    Cut(Timestamp),
    /// They are let in no more.
    Closed,
    /// They are let in again.
    Opened,
}

impl Issuer {
    /// What a token of the type `typ` says, if this issuer has signed it for `audience`.
    async fn signed(&self, token: &str, typ: &str, audience: &str) -> Result<Claims, Unacceptable> {
        let jwt = Jwt::read(token)?;
        if jwt.issuer() != Some(self.issuer.as_str()) {
            return Err(Unacceptable::Unknown);
        }
        let is_typ = jwt.typ.as_deref().is_some_and(|said| {
            said.strip_prefix("application/").unwrap_or(said).eq_ignore_ascii_case(typ)
        });
        if !is_typ {
            return Err(Unacceptable::Type);
        }
        let key = self.keys.key(jwt.kid.as_deref()).await?;
        if !key.verifies(jwt.alg, jwt.signed, jwt.signature) {
            return Err(Unacceptable::Signature);
        }
        let claims = jwt.into_claims();
        let is_ours = claims.audiences()?.iter().any(|said| said == audience);
        if is_ours { Ok(claims) } else { Err(Unacceptable::Audience) }
    }

    /// What an event token says (RFC 8417 §2). Events of other types are none of ours.
    async fn signals(&self, token: &str, now: Timestamp) -> Result<Vec<Signal>, Unacceptable> {
        let audience = self.events.as_deref().ok_or(Unacceptable::Unknown)?;
        let claims = self.signed(token, "secevent+jwt", audience).await?;
        let claim = |name: &str| Unacceptable::Claim(name.to_owned());
        claims.text("jti")?.ok_or_else(|| claim("jti"))?;
        let made = claims.seconds("iat")?.ok_or_else(|| claim("iat"))?;
        if made > now.unix_ms() / 1000 + LEEWAY_S {
            return Err(Unacceptable::NotYet);
        }
        let events = claims.0.get("events").and_then(Json::as_object);
        let events = events.filter(|events| (1..=EVENTS_MAX).contains(&events.len()));
        let mut signals = Vec::new();
        for (kind, event) in events.ok_or_else(|| claim("events"))?.iter() {
            let event = event.as_object().ok_or_else(|| claim("events"))?;
            let at = match event.get("event_timestamp") {
                None => made,
                Some(at) => seconds(at).ok_or_else(|| claim("event_timestamp"))?,
            };
            let what = if CUTS.contains(&kind) {
                // What was made in the very second of the event may be older than it.
                What::Cut(Timestamp::from_unix_ms((at + 1).saturating_mul(1000)))
            } else if CLOSES.contains(&kind) {
                What::Closed
            } else if kind == OPENS {
                What::Opened
            } else {
                continue;
            };
            let subject = claims.0.get("sub_id").or_else(|| event.get("subject"));
            let who = subject.and_then(|subject| self.subject(subject));
            // Somebody is to be let in no more, and nobody could tell whom: the issuer has to hear of that.
            signals.push(Signal { who: who.ok_or_else(|| claim("sub_id"))?, what });
        }
        Ok(signals)
    }

    /// Whom a subject names (RFC 9493): by issuer and subject, or as the user of several things that are named together.
    fn subject(&self, subject: &Json) -> Option<String> {
        let text = |name: &str| subject.get(name).and_then(Json::as_str);
        match text("format") {
            Some("iss_sub") if text("iss") == Some(&self.issuer) => {
                Some(format!("{}/{}", self.name(), text("sub").filter(|sub| !sub.is_empty())?))
            }
            Some("complex") => {
                let user = subject.get("user").filter(|user| is_simple(user))?;
                self.subject(user)
            }
            Some(_) | None => None,
        }
    }

    /// The transaction that a token is of, if it is one of `caller`'s.
    async fn transaction(
        &self,
        token: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<(Workflow, Timestamp), Unacceptable> {
        let audience = self.transactions.as_deref().ok_or(Unacceptable::Unknown)?;
        let claims = self.signed(token, "txntoken+jwt", audience).await?;
        let times = claims.times(now, self.age_s_max)?;
        let claim = |name: &str| Unacceptable::Claim(name.to_owned());
        let sub = claims.text("sub")?.ok_or_else(|| claim("sub"))?;
        let accountable = &caller.accountable.identity;
        if accountable.issuer.as_deref() != Some(self.name()) || accountable.subject != sub {
            return Err(Unacceptable::Chain);
        }
        let run = claims.text("txn")?.ok_or_else(|| claim("txn"))?.to_owned();
        let about = claims.0.get("tctx").and_then(Json::as_object);
        let text = |name: &str| {
            about.and_then(|about: &Object| about.get(name)?.as_str().map(str::to_owned))
        };
        let workflow = Workflow {
            run: format!("{}/{run}", self.name()),
            purpose: text("purpose"),
            ticket: text("ticket"),
            within: None,
            assurance: Assurance::Verified,
        };
        Ok((workflow, times.expires))
    }
}

impl Identities {
    /// What an event token of the issuer of that name says.
    pub(crate) async fn signals(
        &self,
        issuer: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Vec<Signal>, Unacceptable> {
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|known| known.name() == issuer).ok_or(Unacceptable::Unknown)?;
        issuer.signals(token.trim(), now).await
    }

    /// `caller` in the transaction that the headers name, if they name one.
    pub(crate) async fn in_transaction(
        &self,
        headers: &HeaderMap,
        caller: &Identified,
        now: Timestamp,
    ) -> Result<Option<Identified>, Unacceptable> {
        let mut named = headers.get_all(TRANSACTION).iter();
        let token = match (named.next(), named.next()) {
            (None, _) => return Ok(None),
            (Some(one), None) => one.to_str().map_err(|_odd| Unacceptable::Malformed)?,
            (Some(_), Some(_)) => return Err(Unacceptable::Malformed),
        };
        let jwt = Jwt::read(token)?;
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|known| jwt.issuer() == Some(known.issuer.as_str()));
        let issuer = issuer.ok_or(Unacceptable::Unknown)?;
        let (workflow, ends) = issuer.transaction(token, &caller.caller, now).await?;
        Ok(Some(caller.in_workflow(workflow, ends)))
    }
}

/// Whether a subject is one thing, so that it does not go on for ever.
fn is_simple(subject: &Json) -> bool {
    subject.get("format").and_then(Json::as_str) != Some("complex")
}

fn seconds(at: &Json) -> Option<i64> {
    at.as_number()?.as_i64().filter(|at| (0..=1 << 40).contains(at))
}
