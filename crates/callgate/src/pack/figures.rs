//! The numbers that a pack is about, each by a name: what is said of controls is decided by them, and by nothing else.

use std::collections::BTreeMap;

use callgate_gateway::pin::ApprovedBy;
use callgate_model::json::Object;
use callgate_model::reason::{Fault, Reason};

use super::standing::Standing;
use super::{
    Gathered, access, approvals, number, policies, population, records, setting, standing,
};

/// What a figure is: its name, what it counts, and the file in which it can be counted again.
pub(super) type Figure = (&'static str, &'static str, &'static str);

/// All of them, but for those of each reason code (`denied.CODE`) and of each effect (`allowed.EFFECT`).
pub(super) const FIGURES: &[Figure] = &[
    ("records", "records of the period", records::JSONL),
    ("records_erased", "records of the period of which the content was erased", records::CSV),
    (
        "erased_in_period",
        "records of which the content was erased in the period, each by a record that says why",
        population::JSON,
    ),
    ("decisions", "decisions", records::CSV),
    ("calls", "calls to servers that were decided", records::CSV),
    ("administration", "acts of administration that were decided", records::CSV),
    ("allowed", "decisions to allow", records::CSV),
    ("denied", "denials", records::CSV),
    ("waiting", "answers that somebody has to approve it first", records::CSV),
    ("denied_by_policy", "denials by policy", records::CSV),
    (
        "denied_tools",
        "denials since a tool was unknown, unclassified, not approved or changed",
        records::CSV,
    ),
    (
        "denied_arguments",
        "denials since a request or its arguments did not fit, or what it would touch is not known",
        records::CSV,
    ),
    (
        "denied_credentials",
        "denials since a credential was not valid or not for this",
        records::CSV,
    ),
    ("identified", "decisions about somebody who was identified", records::CSV),
    (
        "unidentified_allowed",
        "calls that were allowed although nobody was identified",
        records::CSV,
    ),
    (
        "asserted_allowed",
        "calls that were allowed to somebody whom only the client names",
        records::CSV,
    ),
    ("verified", "decisions about somebody whom an issuer has signed for", records::CSV),
    ("delegated", "decisions with an agent in the chain", records::CSV),
    ("chained", "decisions with more than one agent in the chain", records::CSV),
    ("autonomous", "decisions of service accounts, without a person", records::CSV),
    ("of_a_workflow", "decisions within a workflow", records::CSV),
    (
        "no_expiry_allowed",
        "calls that were allowed with a credential that has no end",
        records::CSV,
    ),
    (
        "static_token_allowed",
        "calls that were allowed with a token that stands in the configuration",
        records::CSV,
    ),
    ("risky", "calls of high or critical risk that were decided", records::CSV),
    ("risky_allowed", "calls of high or critical risk that were allowed", records::CSV),
    (
        "risky_standing",
        "of these, by standing policy alone: without an approval or a grant",
        records::CSV,
    ),
    (
        "unresolved_allowed",
        "calls that were allowed although what they would touch was not known for certain",
        records::CSV,
    ),
    ("without_policy", "calls that were allowed and name no policy", records::CSV),
    (
        "undigested_allowed",
        "calls that were allowed without the digest of their arguments",
        records::JSONL,
    ),
    ("obliged", "calls of which a policy limited the answer, or had people told", records::JSONL),
    ("traced", "decisions with a trace", records::JSONL),
    ("agents", "agents that were seen, those without one counted as one", records::CSV),
    ("servers_called", "servers that were called, the gateway itself counted as one", records::CSV),
    ("by_approval", "calls that went by an approval", records::CSV),
    ("by_grant", "calls that went by a grant", records::CSV),
    ("by_glass", "calls that went by broken glass", records::CSV),
    ("outcomes", "outcomes", records::CSV),
    ("indeterminate", "outcomes of which it is not known what they did", records::CSV),
    ("not_dispatched", "calls that were allowed and not sent", records::CSV),
    ("settled", "calls that a person settled", records::CSV),
    ("open", "calls without an outcome when the pack was made", population::JSON),
    ("unsettled", "calls of which nobody has found out what they did", population::JSON),
    ("approvals_asked", "approvals that were asked for", approvals::CSV),
    ("approvals_said", "words that people said to approvals", approvals::CSV),
    ("approvals_used", "approvals that a call used", approvals::CSV),
    ("approvals_denied", "approvals that were denied", approvals::CSV),
    ("approvals_expired", "approvals that expired", approvals::CSV),
    ("approvals_withdrawn", "approvals that were withdrawn", approvals::CSV),
    ("approvals_by_passkey", "words that were proved by a passkey", approvals::CSV),
    ("approvals_quick", "words within three seconds of being asked", approvals::CSV),
    ("approvals_of_own", "approvals by somebody whose call it was", approvals::CSV),
    ("approvals_median_s", "seconds until half of the approvals were decided", approvals::CSV),
    ("approvals_left_out", "approvals that were too many to be told", approvals::CSV),
    ("glass_broken", "approvals for which the glass was broken", approvals::CSV),
    ("glass_unreviewed", "of these, those that nobody has reviewed", approvals::CSV),
    ("tokens_given", "tokens that were made", access::CSV),
    ("tokens_taken", "tokens that were taken back", access::CSV),
    ("tokens_held", "tokens in force at the end of the period", access::CSV),
    ("tokens_endless", "of these, without an end", access::CSV),
    ("tokens_long", "of these, for longer than 90 days", access::CSV),
    ("tokens_days_max", "days that the longest of these is good for", access::CSV),
    ("grants_given", "grants that were made", access::CSV),
    ("grants_taken", "grants that were taken back", access::CSV),
    ("grants_held", "grants in force at the end of the period", access::CSV),
    ("grants_endless", "of these, without an end", access::CSV),
    ("grants_anywhere", "of these, good for any place", access::CSV),
    ("revocations_made", "people, agents, clients or credentials that were shut out", access::CSV),
    ("revocations_held", "of all that were shut out, those that still are", access::CSV),
    ("passkeys_held", "passkeys that were added and are there", access::CSV),
    (
        "access_left_out",
        "tokens, grants and others that were too many to be told, or given before the log begins",
        access::CSV,
    ),
    ("signed_in", "sign-ins to the console", records::CSV),
    ("sign_ins_refused", "sign-ins that were refused", records::CSV),
    ("notices_given_up", "times that nobody could be told", records::CSV),
    ("activations", "times that other policies were put in force", policies::CSV),
    ("policies_changed", "policies that were added, changed or removed", policies::CSV),
    ("policies_held", "policies in force at the end of the period", policies::CSV),
    ("guardrails", "of these, guardrails, which nothing lifts", policies::CSV),
    ("gates", "of these, gates: with an approval only", policies::CSV),
    ("policies_ownerless", "of these, without an owner or a reason", policies::CSV),
    ("configurations", "times that a gateway began with another configuration", setting::JSONL),
    ("dangers", "settings of the last configuration that weaken safety", setting::JSONL),
    ("pins_approved", "times that somebody approved a tool, or its first use did", records::CSV),
    ("tools_classified", "tools that a catalog classifies", standing::TOOLS),
    ("tools_changing", "of these, those that do more than read", standing::TOOLS),
    (
        "tools_pinned",
        "tools whose definition was approved and is compared at each call",
        standing::TOOLS,
    ),
    ("servers", "servers", standing::TOOLS),
    (
        "servers_unpinned",
        "servers that may change their tools without anybody's approval",
        standing::TOOLS,
    ),
    (
        "servers_first_use",
        "servers of which tools are approved by being used first",
        standing::TOOLS,
    ),
    ("servers_local", "servers that are commands at the gateway's own machine", setting::JSONL),
    (
        "servers_standing_secret",
        "servers that are called with a secret that stands",
        setting::JSONL,
    ),
    (
        "findings_offboarding",
        "tokens whose owner is gone, or was never seen",
        standing::PRIVILEGE_CSV,
    ),
    ("findings_unregistered", "agents and clients that nobody registered", standing::PRIVILEGE_CSV),
    (
        "findings_overprivileged",
        "findings of more privilege than was used",
        standing::PRIVILEGE_CSV,
    ),
    (
        "findings_long_lived",
        "tokens about to end and secrets that are old, or of unknown age",
        standing::PRIVILEGE_JSON,
    ),
    (
        "secrets_old",
        "secrets that servers are called with and that are older than 90 days, or of unknown age",
        standing::PRIVILEGE_JSON,
    ),
    ("issuers", "issuers whose tokens are accepted", setting::JSONL),
    ("static_tokens", "tokens that stand in the configuration", setting::JSONL),
    ("channels", "channels by which people are told", setting::JSONL),
    ("anonymous", "whether callers without a credential are let in", setting::JSONL),
    ("telemetry", "whether traces and metrics go to a collector", setting::JSONL),
    ("sealing", "whether a key seals the secrets that are stored", setting::JSONL),
    ("assertions", "whether the gateway vouches for its calls to servers", setting::JSONL),
    (
        "catalogs_unsigned",
        "catalogs of the operator's own that nobody has to have signed",
        setting::JSONL,
    ),
    ("owners", "things whose owner decides about them", setting::JSONL),
    ("token_days_max", "days that a token can be good for at most", setting::JSONL),
    ("token_idle_days", "days without a use after which a token is good no more", setting::JSONL),
    (
        "retention_short",
        "kinds of records whose content is erased in less than six months",
        setting::JSONL,
    ),
    ("retention_limited", "kinds of records whose content is erased at some time", setting::JSONL),
    ("keys_configured", "keys of the log that the operator keeps, not the gateway", setting::JSONL),
    (
        "evidence_wait_ms",
        "milliseconds after which a call is refused that cannot be recorded",
        setting::JSONL,
    ),
    ("calls_in_flight_max", "calls that may be in progress at one time", setting::JSONL),
    ("denied_tools_revealed", "whether callers see tools that they can never use", setting::JSONL),
    ("log_broken", "whether anything is wrong with the log", "log/"),
    ("log_entries", "entries of the whole log, each in its place", "log/"),
    ("checkpoints", "signed checkpoints that agree with the log", "log/"),
    (
        "payloads_absent",
        "records whose content is missing and that no record says were erased",
        "log/",
    ),
    (
        "period_unsigned",
        "whether records of the period are still to come, or to be signed",
        population::JSON,
    ),
];

/// How much there is of each.
#[derive(Debug)]
pub(super) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(super) fn of(gathered: &Gathered, standing: &Standing) -> Self {
        let mut figures = Self(BTreeMap::new());
        figures.counted(gathered);
        figures.approved(gathered);
        figures.given(gathered);
        figures.ruled(gathered);
        figures.stands(standing);
        figures
    }

    /// Those of these names and values.
    #[cfg(test)]
    pub(super) fn sample(values: &[(&str, u64)]) -> Self {
        Self(values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
    }

    /// How much; nothing, if there is no such figure.
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    pub(super) fn to_json(&self) -> Object {
        let all = self.0.iter();
        all.fold(Object::default(), |all, (name, value)| all.with(name, number(*value)))
    }

    fn set(&mut self, name: &str, value: u64) {
        self.0.insert(name.to_owned(), value);
    }

    fn counted(&mut self, gathered: &Gathered) {
        let counts = &gathered.counts;
        let own = &counts.facts;
        for name in [
            "calls",
            "administration",
            "identified",
            "asserted_allowed",
            "verified",
            "delegated",
            "chained",
            "autonomous",
            "of_a_workflow",
            "no_expiry_allowed",
            "static_token_allowed",
            "risky",
            "risky_allowed",
            "risky_standing",
            "unresolved_allowed",
            "without_policy",
            "undigested_allowed",
            "unidentified_allowed",
            "obliged",
            "traced",
            "by_approval",
            "by_grant",
            "by_glass",
        ] {
            self.set(name, own.of(name));
        }
        let names = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let unknown = ["indeterminate", "timed_out", "cancelled"];
        let group = |is_of: &dyn Fn(Reason) -> bool| -> u64 {
            let codes = Reason::ALL.iter().filter(|reason| is_of(**reason));
            codes.map(|reason| counts.reasons.of(reason.code())).sum()
        };
        for reason in Reason::ALL {
            self.set(&format!("denied.{}", reason.code()), counts.reasons.of(reason.code()));
        }
        for effect in ["read", "write", "share", "delete", "admin"] {
            self.set(&format!("allowed.{effect}"), counts.effects.of(effect).allowed);
        }
        for (name, value) in [
            ("records", counts.records),
            ("records_erased", counts.erased),
            ("erased_in_period", gathered.erasures.records),
            ("decisions", counts.all.sum()),
            ("allowed", counts.all.allowed),
            ("denied", counts.decisions.of("deny")),
            ("waiting", counts.all.waiting),
            ("denied_by_policy", group(&|reason| reason.fault() == Fault::Policy)),
            ("denied_tools", group(&is_about_tools)),
            ("denied_arguments", group(&is_about_arguments)),
            ("denied_credentials", group(&is_about_credentials)),
            ("agents", names(counts.agents.len())),
            ("servers_called", names(counts.servers.len())),
            ("outcomes", counts.kinds.of("outcome")),
            ("indeterminate", unknown.iter().map(|name| counts.outcomes.of(name)).sum()),
            ("not_dispatched", counts.outcomes.of("not_dispatched")),
            ("settled", counts.kinds.of("settled")),
            ("signed_in", counts.changes.of("signed_in")),
            ("sign_ins_refused", counts.changes.of("sign_in_refused")),
            ("notices_given_up", counts.changes.of("notice_given_up")),
            ("pins_approved", counts.changes.of("tool_pinned")),
        ] {
            self.set(name, value);
        }
    }

    fn approved(&mut self, gathered: &Gathered) {
        let all = gathered.approvals.figures();
        let ended = |name: &str| all.ended.get(name).copied().unwrap_or_default();
        for (name, value) in [
            ("approvals_asked", all.asked),
            ("approvals_said", all.said),
            ("approvals_used", ended("used") + ended("used_by_broken_glass")),
            ("approvals_denied", ended("denied")),
            ("approvals_expired", ended("expired")),
            ("approvals_withdrawn", ended("withdrawn")),
            ("approvals_by_passkey", all.by_passkey),
            ("approvals_quick", all.quick),
            ("approvals_of_own", all.of_own),
            ("approvals_median_s", all.median_s()),
            ("approvals_left_out", gathered.approvals.left_out),
            ("glass_broken", all.broken),
            ("glass_unreviewed", all.unreviewed),
        ] {
            self.set(name, value);
        }
    }

    fn given(&mut self, gathered: &Gathered) {
        // A period that is not over ends now.
        let end = gathered.period.to.min(gathered.made);
        let of = |kind: &str| gathered.access.figures(kind, gathered.period, end);
        let (tokens, grants) = (of("token"), of("grant"));
        let revocations = of("revocation");
        for (name, value) in [
            ("tokens_given", tokens.given),
            ("tokens_taken", tokens.taken),
            ("tokens_held", tokens.held),
            ("tokens_endless", tokens.endless),
            ("tokens_long", tokens.long),
            ("tokens_days_max", tokens.days_max),
            ("grants_given", grants.given),
            ("grants_taken", grants.taken),
            ("grants_held", grants.held),
            ("grants_endless", grants.endless),
            ("grants_anywhere", grants.anywhere),
            ("revocations_made", revocations.given),
            ("revocations_held", revocations.held),
            ("passkeys_held", of("passkey").held),
            ("access_left_out", gathered.access.left_out),
        ] {
            self.set(name, value);
        }
    }

    fn ruled(&mut self, gathered: &Gathered) {
        let Gathered { policies, configurations, .. } = gathered;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let last = policies.last();
        let tier = |tier: &str| last.map_or(0, |last| last.of_tier(tier));
        let verified = gathered.verified.as_ref().ok();
        let found = verified.map(|verified| &verified.findings);
        for (name, value) in [
            ("activations", count(policies.activations())),
            ("policies_changed", count(policies.changes().len())),
            ("policies_held", tier("guardrails") + tier("approvals") + tier("permits")),
            ("guardrails", tier("guardrails")),
            ("gates", tier("approvals")),
            ("policies_ownerless", last.map_or(0, policies::Activation::ownerless)),
            ("configurations", count(configurations.changes())),
            ("dangers", count(configurations.dangers().len())),
            ("log_broken", u64::from(verified.is_none())),
            ("log_entries", gathered.signed.kept.size),
            ("checkpoints", verified.map_or(0, |verified| verified.checkpoints)),
            ("payloads_absent", found.map_or(0, |found| found.payloads.absent)),
            ("open", found.map_or(0, |found| found.open)),
            ("unsettled", found.map_or(0, |found| found.unsettled)),
            ("period_unsigned", u64::from(gathered.is_early())),
        ] {
            self.set(name, value);
        }
    }

    fn stands(&mut self, standing: &Standing) {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let servers = || standing.servers.values();
        let by =
            |by: ApprovedBy| count(servers().filter(|server| server.approved_by == by).count());
        let (classified, changing) = standing.classified();
        standing.facts.iter().for_each(|(name, value)| self.set(name, *value));
        for (name, value) in [
            ("tools_classified", classified),
            ("tools_changing", changing),
            ("tools_pinned", count(standing.pinned())),
            ("servers", count(standing.servers.len())),
            ("servers_unpinned", by(ApprovedBy::Nobody)),
            ("servers_first_use", by(ApprovedBy::FirstUse)),
            ("servers_local", count(servers().filter(|server| server.is_local).count())),
            (
                "servers_standing_secret",
                count(servers().filter(|server| server.has_standing_secret).count()),
            ),
            ("findings_offboarding", standing.findings("NHI1")),
            ("findings_unregistered", standing.findings("NHI3")),
            ("findings_overprivileged", standing.findings("NHI5")),
            ("findings_long_lived", standing.findings("NHI7")),
            ("secrets_old", standing.old_secrets()),
        ] {
            self.set(name, value);
        }
    }
}

/// What a figure is in words, and where it can be counted again; nothing, if there is none of that name.
pub(super) fn about(name: &str) -> Option<(String, &'static str)> {
    if let Some(code) = name.strip_prefix("denied.") {
        let is_known = Reason::ALL.iter().any(|reason| reason.code() == code);
        return is_known.then(|| (format!("denials for {code}"), records::CSV));
    }
    if let Some(effect) = name.strip_prefix("allowed.") {
        let is_known = callgate_model::vocabulary::Effect::parse(effect).is_some();
        return is_known
            .then(|| (format!("decisions to allow what has the effect {effect}"), records::CSV));
    }
    let found = FIGURES.iter().find(|(known, _, _)| *known == name)?;
    Some((found.1.to_owned(), found.2))
}

const fn is_about_tools(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ToolChanged
            | Reason::ToolUnapproved
            | Reason::ToolUnclassified
            | Reason::ToolUnknown
            | Reason::DispatchUnknown
    )
}

const fn is_about_arguments(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ArgumentsInvalid
            | Reason::DispatchConflict
            | Reason::DispatchTierMismatch
            | Reason::QueryUnbounded
            | Reason::RequestMalformed
            | Reason::TargetConflict
            | Reason::TargetUnresolved
            | Reason::TooManyTargets
    )
}

const fn is_about_credentials(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Unauthenticated
            | Reason::ScopeInsufficient
            | Reason::TokenExceeded
            | Reason::WorkflowExceeded
            | Reason::WorkflowInvalid
    )
}
