//! The closed set of annotations. Cedar gives annotations no meaning and ignores misspelt ones; here an unknown one
//! keeps the bundle from loading, because `@aproval` must not turn a gate into something else.

use std::collections::BTreeSet;

use callgate_model::decision::{Allotment, Escalation, Gate, PolicyRef};
use callgate_model::obligation::Obligations;
use callgate_model::treatment::{Treatment, Treatments};

use crate::source::{Complaint, Tier};

const EVERYWHERE: [&str; 4] = ["id", "reason", "owner", "shadow"];
const GATES: [&str; 10] = [
    "approval",
    "quorum",
    "decide_within",
    "use_within",
    "denials",
    "escalates_to",
    "escalates_after",
    "grants",
    "notify",
    "step_up",
];
const OBLIGATIONS: [&str; 5] = ["needs_reason", "notify", "record", "redact", "result_within"];

const MAX_ID_BYTES: usize = 128;
const MAX_QUORUM: u32 = 10;
const MAX_REDACTED: usize = 32;
const MAX_NOTIFIED: usize = 8;
const MAX_RECORDED: usize = 32;
const MAX_SECONDS: u64 = 7 * 24 * 3600;
const DECIDE_WITHIN_S: u64 = 15 * 60;
const USE_WITHIN_S: u64 = 5 * 60;
const ESCALATES_AFTER_S: u64 = 5 * 60;
const MAX_GRANTED_USES: u32 = 1_000;
const MAX_GRANTED_S: u64 = 8 * 3600;

/// What a policy's annotations say.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) about: PolicyRef,
    pub(crate) gate: Option<Gate>,
    pub(crate) obliges: Option<Box<Obligations>>,
    /// The channel by which people are told that the gate holds a call.
    pub(crate) notify: Option<String>,
    /// Whether it is looked at only, and enforces nothing.
    pub(crate) in_shadow: bool,
}

/// Reads the annotations of a policy of `tier`, with everything that is wrong with them.
pub(crate) fn read(tier: Tier, policy: &cedar_policy::Policy) -> Result<Label, Vec<Complaint>> {
    let mut complaints: Vec<Complaint> =
        policy.annotations().filter_map(|(key, _)| unknown(tier, key)).collect();
    let mut note = |complaint| complaints.push(complaint);
    let about = PolicyRef {
        id: required(policy, "id", &mut note),
        reason: required(policy, "reason", &mut note),
        owner: required(policy, "owner", &mut note),
    };
    if !about.id.is_empty() && !is_id(&about.id) {
        note(
            Complaint::new(format!("`{}` cannot be an id", about.id.escape_debug()))
                .hint("ids are made of a-z, 0-9, `.`, `_` and `-`, at most 128 of them"),
        );
    }
    let gate = (tier == Tier::Approval).then(|| gate(policy, &about.id, &mut note));
    let notify = policy.annotation("notify").filter(|_| tier == Tier::Approval);
    if let Some(channel) = notify.filter(|channel| !is_id(channel)) {
        note(
            Complaint::new(format!("`{}` cannot be a channel", channel.escape_debug()))
                .hint("name a section [notify.NAME] of the configuration: @notify(\"leads\")"),
        );
    }
    let notify = notify.map(str::to_owned);
    let mut obliges = obligations(policy, &mut note);
    if tier == Tier::Permit {
        obliges.notify = notified(policy, &mut note);
        obliges.record = recorded(policy, &mut note);
    }
    let obliges = (!obliges.is_empty()).then(|| Box::new(obliges));
    let in_shadow = policy.annotation("shadow");
    if in_shadow.is_some_and(|said| !said.is_empty()) {
        note(
            Complaint::new("@shadow stands alone".to_owned())
                .hint("a policy that is to be in force does not have it at all"),
        );
    }
    let in_shadow = in_shadow.is_some();
    if complaints.is_empty() {
        Ok(Label { about, gate, obliges, notify, in_shadow })
    } else {
        Err(complaints)
    }
}

/// The channels by which people are told of what a permit lets through.
fn notified(policy: &cedar_policy::Policy, note: &mut impl FnMut(Complaint)) -> BTreeSet<String> {
    let Some(text) = policy.annotation("notify") else { return BTreeSet::new() };
    let names: BTreeSet<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.len() > MAX_NOTIFIED || !names.iter().all(|name| is_id(name)) {
        note(Complaint::new(format!("@notify cannot be `{}`", text.escape_debug())).hint(
            "name sections [notify.NAME] of the configuration, at most 8: @notify(\"leads, audit\")",
        ));
    }
    names
}

/// What of the arguments of what a permit lets through is recorded.
fn recorded(policy: &cedar_policy::Policy, note: &mut impl FnMut(Complaint)) -> Treatments {
    let Some(text) = policy.annotation("record") else { return Treatments::new() };
    let rule = |rule: &str| {
        let (path, treatment) = rule.split_once(':')?;
        let path = path.trim();
        let is_path = path.len() <= MAX_ID_BYTES && path.split('.').all(|name| !name.is_empty());
        Some((path.to_owned(), Treatment::parse(treatment.trim()).filter(|_| is_path)?))
    };
    let rules: Option<Vec<_>> = text.split(',').map(rule).collect();
    let count = rules.as_ref().map(Vec::len);
    let rules: Treatments = rules.unwrap_or_default().into_iter().collect();
    if rules.len() > MAX_RECORDED || count != Some(rules.len()) {
        note(Complaint::new(format!("@record cannot be `{}`", text.escape_debug())).hint(
            "fields of the arguments, each once, at most 32, with `keep`, `truncate`, `hash` or `drop`: @record(\"fields.description: drop, fields.assignee: hash\")",
        ));
    }
    rules
}

fn obligations(policy: &cedar_policy::Policy, note: &mut impl FnMut(Complaint)) -> Obligations {
    let mut obliges = Obligations::default();
    if let Some(text) = policy.annotation("redact") {
        let names: BTreeSet<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let is_name = |name: &String| (1..=MAX_ID_BYTES).contains(&name.len());
        if names.len() > MAX_REDACTED || !names.iter().all(is_name) {
            note(Complaint::new(format!("@redact cannot be `{}`", text.escape_debug())).hint(
                "names of members of the answer, at most 32: @redact(\"emailAddress, accountId\")",
            ));
        }
        obliges.redact = names;
    }
    if let Some(text) = policy.annotation("result_within") {
        obliges.result_bytes_max = bytes(text);
        if obliges.result_bytes_max.is_none() {
            note(
                Complaint::new(format!("@result_within cannot be `{}`", text.escape_debug()))
                    .hint("a whole number of B, kB or MB: @result_within(\"64kB\")"),
            );
        }
    }
    if let Some(text) = policy.annotation("needs_reason") {
        obliges.needs_reason = true;
        if !text.is_empty() {
            note(
                Complaint::new("@needs_reason stands alone".to_owned())
                    .hint("the reason is given with the call; it is not compared with anything"),
            );
        }
    }
    obliges
}

/// `64kB` is 64000. Zero is refused.
fn bytes(text: &str) -> Option<u64> {
    let units = [("kB", 1_000), ("MB", 1_000_000), ("B", 1)];
    let (count, scale) =
        units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let count: u64 = count.parse().ok()?;
    count.checked_mul(*scale).filter(|bytes| *bytes > 0)
}

fn gate(policy: &cedar_policy::Policy, id: &str, note: &mut impl FnMut(Complaint)) -> Gate {
    let approvers = required(policy, "approval", note);
    let named = [Gate::PERSON, Gate::OWNER].contains(&&*approvers)
        || approvers.strip_prefix("team:").is_some_and(is_team);
    if !approvers.is_empty() && !named {
        note(
            Complaint::new(format!("`{}` cannot approve", approvers.escape_debug())).hint(
                "name a team, @approval(\"team:leads\"), or let the person of the call confirm it, @approval(\"human\"), or ask whoever owns what it touches, @approval(\"owner\")",
            ),
        );
    }
    let quorum = optional(policy, "quorum", 1, note, |text| {
        text.parse().ok().filter(|quorum| (1..=MAX_QUORUM).contains(quorum))
    });
    let denials = optional(policy, "denials", 1, note, |text| {
        text.parse().ok().filter(|denials| (1..=MAX_QUORUM).contains(denials))
    });
    if approvers == Gate::PERSON && (quorum > 1 || denials > 1) {
        note(Complaint::new("there is one person of the call to confirm it".to_owned()));
    }
    let decide_within_s = optional(policy, "decide_within", DECIDE_WITHIN_S, note, seconds);
    Gate {
        policy: id.to_owned(),
        approvers,
        quorum,
        decide_within_s,
        use_within_s: optional(policy, "use_within", USE_WITHIN_S, note, seconds),
        denials,
        escalation: escalation(policy, decide_within_s, note),
        grants: optional(policy, "grants", None, note, |text| Some(Some(allotment(text)?))),
        step_up: optional(policy, "step_up", false, note, |text| {
            (text == "passkey").then_some(true)
        }),
    }
}

/// Who else may approve after a while.
fn escalation(
    policy: &cedar_policy::Policy,
    decide_within_s: u64,
    note: &mut impl FnMut(Complaint),
) -> Option<Escalation> {
    let after_s = optional(policy, "escalates_after", ESCALATES_AFTER_S, note, seconds);
    let Some(approvers) = policy.annotation("escalates_to") else {
        if policy.annotation("escalates_after").is_some() {
            note(
                Complaint::new("@escalates_after goes with @escalates_to".to_owned())
                    .hint("say who else may approve then: @escalates_to(\"team:managers\")"),
            );
        }
        return None;
    };
    if !approvers.strip_prefix("team:").is_some_and(is_team) {
        note(
            Complaint::new(format!("@escalates_to cannot be `{}`", approvers.escape_debug()))
                .hint("name a team: @escalates_to(\"team:managers\")"),
        );
    }
    if after_s >= decide_within_s {
        note(
            Complaint::new("it escalates after the time to decide has passed".to_owned())
                .hint("make @escalates_after shorter than @decide_within"),
        );
    }
    Some(Escalation { approvers: approvers.to_owned(), after_s })
}

/// `10 in 2h` is ten calls within two hours: at most 1000, within at most 8 hours.
fn allotment(text: &str) -> Option<Allotment> {
    let (uses, within) = text.split_once(" in ")?;
    let uses = uses.parse().ok().filter(|uses| (1..=MAX_GRANTED_USES).contains(uses))?;
    let within_s = seconds(within).filter(|within| *within <= MAX_GRANTED_S)?;
    Some(Allotment { uses, within_s })
}

fn required(policy: &cedar_policy::Policy, key: &str, note: &mut impl FnMut(Complaint)) -> String {
    let value = policy.annotation(key).unwrap_or_default().trim();
    if value.is_empty() {
        note(Complaint::new(format!("the policy has no @{key}")).hint(match key {
            "id" => "name it for ever: @id(\"eng-may-read\")",
            "reason" => "say why it exists, for people: @reason(\"…\")",
            "owner" => "say whom to ask: @owner(\"team-platform\")",
            _ => "say who may approve: @approval(\"team:leads\")",
        }));
    }
    value.to_owned()
}

fn optional<T>(
    policy: &cedar_policy::Policy,
    key: &str,
    default: T,
    note: &mut impl FnMut(Complaint),
    parse: impl Fn(&str) -> Option<T>,
) -> T {
    let Some(text) = policy.annotation(key) else { return default };
    parse(text).unwrap_or_else(|| {
        let hint = match key {
            "quorum" | "denials" => format!("a whole number from 1 to 10: @{key}(\"2\")"),
            "step_up" => "the one way to do it: @step_up(\"passkey\")".to_owned(),
            "grants" => {
                "so many calls, at most 1000, in at most 8h: @grants(\"10 in 2h\")".to_owned()
            }
            _ => format!("a whole number of s, m, h or d, at most 7d: @{key}(\"15m\")"),
        };
        note(Complaint::new(format!("@{key} cannot be `{}`", text.escape_debug())).hint(hint));
        default
    })
}

/// `15m` is 900. Zero and more than seven days are refused.
fn seconds(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(scale).filter(|seconds| (1..=MAX_SECONDS).contains(seconds))
}

fn is_id(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// A group as policies call it: with the issuer's name before it, if an issuer says who is in it (`corp/Team Leads`).
fn is_team(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.trim() == text
        && !text.contains(|c: char| c.is_control())
}

fn unknown(tier: Tier, key: &str) -> Option<Complaint> {
    let own: &[&str] = match tier {
        Tier::Approval => &GATES,
        Tier::Permit => &OBLIGATIONS,
        Tier::Guardrail => &[],
    };
    if EVERYWHERE.contains(&key) || own.contains(&key) {
        return None;
    }
    let complaint = Complaint::new(format!("@{key} is no annotation of {}/", tier.folder()));
    if GATES.contains(&key) {
        return Some(complaint.hint("only policies in approvals/ have it"));
    }
    if OBLIGATIONS.contains(&key) {
        return Some(complaint.hint("only policies in permits/ have it"));
    }
    let nearest = EVERYWHERE.iter().chain(own).min_by_key(|known| distance(key, known));
    Some(match nearest {
        Some(known) if distance(key, known) <= 2 => complaint.hint(format!("@{known}?")),
        Some(_) | None => complaint.hint("comments are for people, annotations are for Callgate"),
    })
}

/// How many letters have to be added, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_and_bounded() {
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("7d"), Some(MAX_SECONDS));
        for bad in ["", "m", "0s", "8d", "-1m", "1.5h", "15", "15 m", "9999999999999999999d", "3é"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_allotment_is_so_many_in_so_long() {
        let allotment = |text| allotment(text).map(|most| (most.uses, most.within_s));
        assert_eq!(allotment("10 in 2h"), Some((10, 7200)));
        assert_eq!(allotment("1 in 8h"), Some((1, MAX_GRANTED_S)));
        for bad in ["", "10", "0 in 2h", "1001 in 2h", "10 in 9h", "10 in", "-1 in 2h", "10 in 0s"]
        {
            assert_eq!(allotment(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_whole_and_not_nothing() {
        assert_eq!(
            (bytes("64kB"), bytes("2MB"), bytes("7B")),
            (Some(64_000), Some(2_000_000), Some(7))
        );
        for bad in ["", "64", "kB", "0B", "-1B", "1.5kB", "64 kB", "64KB", "99999999999999999999B"]
        {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_team_is_a_group_by_any_name() {
        for good in ["leads", "corp/leads", "corp/Team Leads", "okta/00g1-é"] {
            assert!(is_team(good), "{good}");
        }
        for bad in ["", " leads", "leads ", "a\nb", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(!is_team(bad), "{bad}");
        }
    }

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("aproval", "approval"), 1);
        assert_eq!(distance("resaon", "reason"), 2);
        assert_eq!(distance("", "id"), 2);
        assert_eq!(distance("quorum", "quorum"), 0);
    }
}
