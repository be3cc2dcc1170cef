//! Tokens, grants, revocations and approvals as JSON: the same on the command line and in the API.

use callgate_model::ambient::Timestamp;
use callgate_model::approval::{ApprovalState, Ended};
use callgate_model::authority::{ApiToken, Revocation, to_text};
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_store::{ChannelState, GrantState, SessionState, TokenState};

use crate::habits::Habits;

/// A token and what became of it.
pub(crate) fn token(state: &TokenState) -> Object {
    made_token(&state.token)
        .with("ends", state.ends.to_string())
        .with("revoked", text(state.revoked))
        .with("used", text(state.used))
}

/// A token as it was made.
pub(crate) fn made_token(token: &ApiToken) -> Object {
    let mut object = object(&to_text(token));
    // It is of no use to people, and programs find the record by the id.
    object.remove("digest");
    object
}

/// A grant and what became of it.
pub(crate) fn grant(state: &GrantState) -> Object {
    object(&to_text(&state.grant))
        .with("left", i64::from(state.left))
        .with("revoked", text(state.revoked))
}

/// An approval and what became of it at `now`; with the arguments, if somebody is to decide about it.
pub(crate) fn approval(state: &ApprovalState, now: Timestamp, whole: bool) -> Object {
    let approval = &state.approval;
    let votes: Vec<Json> = state.votes.iter().map(|vote| object(&to_text(vote)).into()).collect();
    let mut all = object(&to_text(approval))
        .with("code", approval.short_code())
        .with("standing", state.standing(now).as_str())
        .with("use_until", text(state.use_until))
        .with("ended", text(state.ended.map(|(_, at)| at)))
        .with("votes", votes);
    if let Some(broken) = &state.glass {
        all.set("glass", object(&to_text(&broken.glass)));
        all.set("review", broken.review.as_ref().map(|review| object(&to_text(review))));
    }
    if let Some((Ended::Spent { call }, _)) = state.ended {
        all.set("spent_by", call.to_string());
    }
    if whole {
        all.set("arguments", object(&approval.arguments));
        let looks = serde_json::to_value(&approval.looks).unwrap_or_default();
        all.set("looks", Json::from(looks));
        all.set("shown", approval.shown().to_string());
    }
    all
}

/// What became of what a channel was to tell.
pub(crate) fn channel(state: &ChannelState, kind: Option<&str>) -> Object {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let failure = state.failure.as_ref();
    Object::default()
        .with("channel", state.channel.as_str())
        .with("kind", kind.map(str::to_owned))
        .with("delivered", count(state.delivered))
        .with("waiting", count(state.waiting))
        .with("given_up", count(state.given_up))
        .with("delivered_at", text(state.delivered_at))
        .with("failure", failure.map(|(why, _)| why.clone()))
        .with("failed_at", text(failure.map(|(_, at)| *at)))
}

/// A revocation.
pub(crate) fn revocation(revocation: &Revocation) -> Object {
    object(&to_text(revocation))
}

/// Who is signed in, and what they are there.
pub(crate) fn session(state: &SessionState, roles: &[String]) -> Object {
    let mut object = object(&to_text(&state.session))
        .with("seen", state.seen.to_string())
        .with("roles", roles.to_vec());
    // What the browser has is nobody's business.
    object.remove("digest");
    object
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// What was written as text before.
fn object(text: &str) -> Object {
    match read(text.as_bytes(), &JsonLimits::default()) {
        Ok(Json::Object(object)) => object,
        Ok(_) | Err(_) => Object::default(),
    }
}

/// How people decide.
pub(crate) fn habits(habits: &Habits) -> Object {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let gates = habits.gates.iter().map(|(gate, said)| {
        Json::from(
            Object::default()
                .with("policy", gate.as_str())
                .with("approved", count(said.approved))
                .with("denied", count(said.denied))
                .with("always_approved", said.is_always_approved()),
        )
    });
    Object::default()
        .with("said", count(habits.said))
        .with("approved", count(habits.approved))
        .with("within_3_s", count(habits.quick))
        .with("median_ms", habits.median_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)))
        .with("expired", count(habits.expired))
        .with("gates", gates.collect::<Vec<_>>())
}
