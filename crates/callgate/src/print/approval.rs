//! An approval in words: the same on the command line and in the console.

use callgate_model::ambient::Timestamp;
use callgate_model::approval::{
    Approval, ApprovalState, Ended, Glass, GlassReview, GlassState, Offer, Standing, Vote,
};
use callgate_model::json::Json;
use callgate_store::ChannelState;

use super::call::target;
use crate::habits::{Habits, percent};

/// Which clock runs, or how it ended.
pub(crate) fn clock(state: &ApprovalState, now: Timestamp) -> String {
    let left = |until: Timestamp| {
        format!("until {}, {} left", moment(until), duration(until.ms_since(now).div_ceil(1_000)))
    };
    match state.standing(now) {
        Standing::Waiting => format!("to be decided {}", left(state.approval.decide_until)),
        Standing::Approved { until } => format!("to be used {}", left(until)),
        Standing::Expired => {
            format!("nobody decided until {}", moment(state.approval.decide_until))
        }
        Standing::Unused => {
            let until = state.use_until.map(moment).unwrap_or_default();
            format!("was not used until {until}")
        }
        Standing::Ended(ended) => {
            let at = state.ended.map(|(_, at)| moment(at)).unwrap_or_default();
            match ended {
                Ended::Denied => format!("denied {at}"),
                Ended::Spent { call } => format!("used {at} by the call {call}"),
                Ended::Withdrawn => format!("withdrawn {at}"),
            }
        }
    }
}

/// A moment for people, to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds: String = text.chars().take(19).collect();
    format!("{} UTC", seconds.replace('T', " "))
}

/// What the call touches, and what the gateway has found that people call it.
pub(crate) fn named_targets(state: &ApprovalState) -> Vec<(String, Option<String>)> {
    let looks = &state.approval.looks;
    let title = |target: &str| {
        looks.iter().find(|look| look.target == target).and_then(|look| look.title.clone())
    };
    let named = targets(state).into_iter().map(|target| {
        let title = title(&target);
        (target, title)
    });
    named.collect()
}

/// What the call touches.
pub(crate) fn targets(state: &ApprovalState) -> Vec<String> {
    let one = |one: &serde_json::Value| target(&Json::from(one.clone()));
    state.approval.about.targets.iter().map(one).collect()
}

/// What whoever approves may grant beside the one call, spelled out.
pub(crate) fn offer(approval: &Approval) -> Option<String> {
    let Offer { most, within } = approval.offer.as_ref()?;
    let places: Vec<String> = within.iter().map(ToString::to_string).collect();
    Some(format!(
        "up to {} more calls of {} ({}) by {}, with any arguments, in {}, within {}",
        most.uses,
        approval.about.tool,
        approval.about.operation,
        approval.asker.summary(),
        places.join(" and "),
        duration(most.within_s),
    ))
}

/// What was said to it.
pub(crate) fn votes(state: &ApprovalState) -> Vec<String> {
    let said = state.votes.iter().map(|vote| {
        let why = vote.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} at {}{why}", voted(vote), moment(vote.at))
    });
    said.chain(state.glass.iter().flat_map(glass)).collect()
}

/// Who said what to it.
pub(crate) fn voted(vote: &Vote) -> String {
    let said = match (vote.approves, vote.grants) {
        (true, true) => "approved, and what is offered granted,",
        (true, false) => "approved",
        (false, _) => "denied",
    };
    let proof = if vote.proof.is_some() { " with a passkey" } else { "" };
    format!("{said} by {}{proof}", vote.by)
}

/// That the glass was broken, and what was said of that.
fn glass(state: &GlassState) -> [String; 2] {
    let GlassState { glass: Glass { by, ticket, reason, at, .. }, review } = state;
    let broken =
        format!("glass broken by {by} with a passkey at {}, for {ticket}: {reason}", moment(*at));
    let review = review.as_ref().map_or_else(
        || "nobody has reviewed that yet".to_owned(),
        |GlassReview { by, verdict, note, at, .. }| {
            format!("{} says {by} at {}: {note}", verdict.told(), moment(*at))
        },
    );
    [broken, review]
}

/// How people decide: what is counted, and how much.
pub(crate) fn habits(habits: &Habits) -> Vec<(&'static str, String)> {
    let share = |some: usize| format!("{} % of {}", percent(some, habits.said), habits.said);
    let median = habits.median_ms.map(|ms| duration(ms.div_ceil(1_000)));
    vec![
        ("approved", share(habits.approved)),
        ("decided within 3 seconds", share(habits.quick)),
        ("median time to decide", median.unwrap_or_else(|| "none".to_owned())),
        ("nobody decided", habits.expired.to_string()),
    ]
}

/// How it goes with a channel.
pub(crate) fn channel(state: &ChannelState, kind: Option<&str>) -> String {
    let kind = kind.unwrap_or("not configured");
    let ChannelState { channel, delivered, waiting, given_up, delivered_at, failure } = state;
    let mut line = format!(
        "{channel:<20} {kind:<8} {delivered} delivered, {waiting} waiting, {given_up} given up"
    );
    if let Some(at) = delivered_at {
        line.push_str(&format!("; delivered last {}", moment(*at)));
    }
    if let Some((why, at)) = failure {
        line.push_str(&format!("; failed last {}: {why}", moment(*at)));
    }
    line
}

/// So many seconds, for people.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3_600),
    }
}

/// Something that waits since then.
#[cfg(test)]
pub(crate) fn sample(at: Timestamp) -> Approval {
    let none = "0".repeat(64);
    serde_json::from_value(serde_json::json!({
            "id": "0190a0b0-0000-7000-8000-000000000000",
            "binding": none, "bundle": none,
            "asker": { "accountable": "alice", "is_human": true, "agent": null, "actors": [], "client": "x", "credential": "x", "workflow": null, "people": ["alice"] },
            "about": { "server": "x", "tool": "x", "definition": null, "operation": "x", "title": "x", "effect": "write", "risk": "high", "reversibility": "reversible", "targets": [], "arguments_digest": none, "arguments": {} },
            "gates": [], "at": at, "decide_until": at.after_ms(900_000), "use_within_s": 300,
        }))
        .unwrap()
}
