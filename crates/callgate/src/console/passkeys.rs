//! The page about passkeys, and the proofs that are asked for elsewhere. Everybody sees and changes their own; those of others
//! are seen and removed as policy says.

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use callgate_gateway::pipeline::ErrandError;
use callgate_model::ambient::Id;
use callgate_model::authority::{Change, Passkey, Proof, Way};
use callgate_model::json::{Json, Object};
use callgate_model::products::gateway::Errand;
use callgate_store::PasskeyState;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Console, Guarded, Visitor, Whose, answer, live_page, message, not_understood, query, refused,
    see_other, unreadable,
};
use crate::ceremony::{Sealing, Unproved};
use crate::print::approval::moment;
use crate::print::safe;

/// How long after somebody signed in they may make their first passkey, in milliseconds: it is them who has just come.
const FRESH_MS: u64 = 5 * 60 * 1000;
/// Passkeys of others on the page.
const PASSKEYS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 60;
/// What a new passkey is sealed for.
const MAKING: &str = "another passkey";

/// A question for what a browser has to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    csrf: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddForm {
    csrf: String,
    name: String,
    /// What the browser has made, and by which passkey that is proved to be theirs: empty, if there was none.
    made: String,
    proof: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveForm {
    csrf: String,
    id: String,
    all: Option<String>,
    /// Of one's own: by which of them that is proved.
    #[serde(default)]
    proof: String,
}

/// The passkey that somebody is to prove that they remove.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    csrf: String,
    id: String,
}

/// What is to be proved of an approval.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProveForm {
    csrf: String,
    shown: String,
    verdict: String,
    /// Why, and for which ticket, if that is a part of what is said.
    #[serde(default)]
    reason: String,
    #[serde(default)]
    ticket: String,
}

impl Guarded for Begin {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Guarded for AddForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Guarded for RemoveForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Guarded for Removal {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Guarded for ProveForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Template)]
#[template(path = "console/passkeys.html")]
struct PasskeysPage<'a> {
    who: &'a str,
    csrf: &'a str,
    note: Option<&'a str>,
    /// Why no passkey can be added here and now.
    cannot: Option<&'static str>,
    all: bool,
    name: &'a str,
    passkeys: Vec<Told>,
    more: usize,
}

struct Told {
    id: String,
    who: String,
    name: String,
    added: String,
    used: String,
}

pub(super) async fn list(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Whose = query(&head).ok_or_else(not_understood)?;
    let is_all = wanted.all.is_some();
    let found = if is_all {
        let asked = Object::default().with("name", wanted.name.as_str());
        let (errand, work) = (Errand::PasskeyList, console.passkeys_of(None));
        console.front.gateway.run_errand(&visitor.caller, errand, None, asked, work).await
    } else {
        console.passkeys_of(Some(&visitor.name())).await
    };
    let mut passkeys = found.map_err(refused)?;
    let cannot = console.cannot_add(&visitor, !passkeys.is_empty());
    let part = wanted.name.trim().to_lowercase();
    passkeys.retain(|one| !is_all || one.passkey.who.to_lowercase().contains(&part));
    let more = passkeys.len().saturating_sub(PASSKEYS_MAX);
    let page_of = PasskeysPage {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        note: wanted.done.as_ref().map(|_| "It is done, and recorded."),
        cannot: cannot.filter(|_| !is_all),
        all: is_all,
        name: &wanted.name,
        passkeys: passkeys.iter().take(PASSKEYS_MAX).map(told).collect(),
        more,
    };
    Ok(live_page(StatusCode::OK, &page_of))
}

/// What a browser needs to make a passkey.
pub(super) async fn begin(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, _) = console.form::<Begin>(request).await?;
    let has = console.own(&visitor).await?;
    if let Some(why) = console.cannot_add(&visitor, !has.is_empty()) {
        return Err(message(StatusCode::CONFLICT, "Not now", why));
    }
    let ceremonies = console.ceremonies.as_deref().ok_or_else(nameless)?;
    let sealing = console.sealing(&visitor, MAKING);
    let random = || console.ambient.random();
    let make = ceremonies.make(&sealing, &visitor.name(), &has, random());
    let prove = match has.is_empty() {
        true => Some(Value::Null),
        false => ceremonies.prove(&sealing, &has, random()),
    };
    let (make, prove) = make.zip(prove).ok_or_else(not_understood)?;
    Ok(as_json(&json!({ "make": make, "prove": prove })))
}

pub(super) async fn add(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<AddForm>(request).await?;
    let has = console.own(&visitor).await?;
    if let Some(why) = console.cannot_add(&visitor, !has.is_empty()) {
        return Err(message(StatusCode::CONFLICT, "Not now", why));
    }
    let (ceremonies, sealing) =
        (console.ceremonies.as_deref().ok_or_else(nameless)?, console.sealing(&visitor, MAKING));
    let name: String = form.name.trim().chars().take(NAME_CHARS_MAX).collect();
    let name = if name.is_empty() { "a passkey".to_owned() } else { name };
    let passkey = ceremonies.made(&sealing, (&visitor.name(), &name), &form.made);
    let passkey = Box::new(passkey.map_err(|why| refused(unproved(why)))?);
    let proof = match has.is_empty() {
        true => None,
        false => {
            Some(ceremonies.proved(&sealing, &form.proof).map_err(|why| refused(unproved(why)))?)
        }
    };
    let change = Change::PasskeyAdded { passkey, proof };
    let done = console.front.gateway.administer(visitor.caller.caller.summary(), change).await;
    done.map_err(|error| refused(error.into()))?;
    Ok(see_other("/console/passkeys?done=", None))
}

pub(super) async fn remove(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<RemoveForm>(request).await?;
    let found = console.passkeys_of(None).await.map_err(refused)?;
    let found = found.into_iter().find(|one| one.passkey.id == form.id).map(|one| one.passkey);
    let is_own = found.as_ref().is_some_and(|one| one.who == visitor.name());
    let about = found.as_ref().map(|one| one.who.clone());
    let what = removal(&form.id);
    let proof = is_own.then(|| {
        let ceremonies = console.ceremonies.as_deref().ok_or(Unproved)?;
        ceremonies.proved(&console.sealing(&visitor, &what), &form.proof)
    });
    let work = async {
        let Passkey { id, who, .. } = found.ok_or(ErrandError::Gone)?;
        let by = visitor.caller.caller.summary();
        let change =
            Change::PasskeyRemoved { id, who, proof: proof.transpose().map_err(unproved)? };
        Ok(console.front.gateway.administer(by, change).await?)
    };
    let done = if is_own {
        // By one of theirs: else whoever has their session could take theirs away, and begin anew with another.
        work.await
    } else {
        let asked = Object::default().with("id", form.id.as_str());
        let (gateway, errand) = (&console.front.gateway, Errand::PasskeyRemove);
        gateway.run_errand(&visitor.caller, errand, about.as_deref(), asked, work).await
    };
    done.map_err(refused)?;
    let all = if form.all.is_some() { "all=&" } else { "" };
    Ok(see_other(&format!("/console/passkeys?{all}done="), None))
}

/// What a browser needs to prove that it is them who remove one of theirs.
pub(super) async fn begin_removal(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<Removal>(request).await?;
    let (has, what) = (console.own(&visitor).await?, removal(&form.id));
    let ceremonies = console.ceremonies.as_deref().ok_or_else(nameless)?;
    let told = ceremonies.prove(&console.sealing(&visitor, &what), &has, console.ambient.random());
    Ok(as_json(&told.ok_or_else(not_understood)?))
}

/// What a proof is bound to by which one's own passkey is removed.
fn removal(id: &str) -> String {
    format!("without the passkey {id}")
}

/// What a browser needs to prove that somebody is there who decides about an approval.
pub(super) async fn prove(
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, form) = console.form::<ProveForm>(request).await?;
    let id = Id::parse(&id).ok_or_else(|| refused(ErrandError::Gone))?;
    let has = console.own(&visitor).await?;
    if has.is_empty() {
        let why = "You have no passkey yet. Add one on the page Passkeys.";
        return Err(message(StatusCode::CONFLICT, "Not now", why));
    }
    let what = about(id, &[&form.shown, &form.verdict, &form.reason, &form.ticket]);
    let sealing = console.sealing(&visitor, &what);
    let told = console.ceremonies.as_deref().ok_or_else(nameless)?.prove(
        &sealing,
        &has,
        console.ambient.random(),
    );
    Ok(as_json(&told.ok_or_else(not_understood)?))
}

/// What a proof about an approval is bound to: that, as it was shown, and what is said to it.
fn about(id: Id, said: &[&str; 4]) -> String {
    format!("{id} {}", Json::from(said.map(str::to_owned).to_vec()).to_text())
}

impl Console {
    /// By which passkey somebody has proved that they say this to an approval: what they were shown, the verdict, why, and for
    /// which ticket, as far as that belongs to it. `None` if they did not try.
    pub(super) fn proof(
        &self,
        visitor: &Visitor,
        (id, said): (Id, &[&str; 4]),
        brought: &str,
    ) -> Result<Option<Proof>, ErrandError> {
        if brought.is_empty() {
            return Ok(None);
        }
        let Some(ceremonies) = &self.ceremonies else { return Err(ErrandError::Gone) };
        let what = about(id, said);
        let proved = ceremonies.proved(&self.sealing(visitor, &what), brought);
        proved.map(Some).map_err(unproved)
    }

    /// Whether anybody can have a passkey here.
    pub(super) const fn has_ceremonies(&self) -> bool {
        self.ceremonies.is_some()
    }

    fn sealing<'a>(&'a self, visitor: &Visitor, what: &'a str) -> Sealing<'a> {
        Sealing {
            keys: self.front.gateway.keys(),
            session: visitor.session.id(),
            what,
            now: self.ambient.now(),
        }
    }

    /// Why somebody cannot add a passkey now.
    fn cannot_add(&self, visitor: &Visitor, has_any: bool) -> Option<&'static str> {
        let (is_fresh, way) = visitor.session.since(self.ambient.now(), FRESH_MS);
        if self.ceremonies.is_none() {
            Some(NO_NAME)
        } else if !visitor.is_by_themselves() {
            Some("Only a person who has signed in as themselves has passkeys.")
        } else if has_any {
            None
        } else if way == Way::Token {
            Some(
                "A token is not enough for a first passkey: sign in at your provider, or by a link.",
            )
        } else if !is_fresh {
            Some("To add a first passkey, sign out and in again: it is added within five minutes.")
        } else {
            None
        }
    }

    async fn own(&self, visitor: &Visitor) -> Result<Vec<Passkey>, Response> {
        let found = self.passkeys_of(Some(&visitor.name())).await.map_err(refused)?;
        Ok(found.into_iter().map(|one| one.passkey).collect())
    }

    async fn passkeys_of(&self, who: Option<&str>) -> Result<Vec<PasskeyState>, ErrandError> {
        let store = self.front.gateway.authority().ok_or(ErrandError::Unavailable)?;
        store.passkeys(who).await.map_err(unreadable)
    }
}

fn unproved(Unproved: Unproved) -> ErrandError {
    let text = "the passkey did not prove that it is you, or it took too long: try again";
    ErrandError::Wrong(text.to_owned())
}

fn nameless() -> Response {
    message(StatusCode::CONFLICT, "Not here", NO_NAME)
}

const NO_NAME: &str = "This console is reached under an address, and passkeys are of names: it needs a `public_url` with a name.";

fn told(state: &PasskeyState) -> Told {
    let PasskeyState { passkey, used } = state;
    Told {
        id: safe(&passkey.id),
        who: safe(&passkey.who),
        name: safe(&passkey.name),
        added: moment(passkey.added),
        used: used.map_or_else(|| "never".to_owned(), moment),
    }
}

fn as_json(value: &Value) -> Response {
    answer(StatusCode::OK, "application/json", value.to_string())
}

/// The script that asks browsers.
pub(super) async fn script() -> Response {
    super::script(include_str!("../../templates/console/passkey.js"))
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::Timestamp;

    use super::*;

    #[test]
    fn a10_a_proof_is_of_all_that_is_said() {
        let id = Id::new(Timestamp::default(), [7; 16]);
        let whole = about(id, &["shown", "break_glass", "why", "INC-7"]);
        for other in [
            ["shown", "break_glass", "why", "INC-8"],
            ["shown", "break_glass", "why not", "INC-7"],
            ["shown", "approve", "why", "INC-7"],
            ["other", "break_glass", "why", "INC-7"],
            ["shown", "break_glass", "why\",\"INC-7", ""],
        ] {
            assert_ne!(about(id, &other), whole, "{other:?}");
        }
        let other = Id::new(Timestamp::default(), [8; 16]);
        assert_ne!(about(other, &["shown", "break_glass", "why", "INC-7"]), whole);
    }
}
