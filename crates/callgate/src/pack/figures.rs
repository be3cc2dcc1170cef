//! The numbers that a pack is about, each by a name: what is said of controls is decided by them, and by nothing else.

mod table;

use std::collections::BTreeMap;

use callgate_gateway::pin::ApprovedBy;
use callgate_model::json::Object;
use callgate_model::reason::{Fault, Reason};

pub(super) use table::FIGURES;

use super::counts::ERASED;
use super::population::Proved;
use super::standing::Standing;
use super::{Gathered, number, policies, records};

/// How much there is of each.
#[derive(Debug)]
pub(super) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(super) fn of(gathered: &Gathered, standing: &Standing, proved: &Proved) -> Self {
        let mut figures = Self(BTreeMap::new());
        figures.counted(gathered);
        figures.approved(gathered);
        figures.given(gathered);
        figures.ruled(gathered, proved);
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
            ("decisions_erased", counts.effects.of(ERASED).sum()),
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
            (
                "approvals_used",
                ended("used") + ended("used_by_broken_glass") + ended("used_unapproved"),
            ),
            ("approvals_denied", ended("denied")),
            ("approvals_expired", ended("expired")),
            ("approvals_withdrawn", ended("withdrawn")),
            ("approvals_by_passkey", all.by_passkey),
            ("approvals_quick", all.quick),
            ("approvals_of_own", all.of_own),
            ("approvals_median_s", all.median_s()),
            ("approvals_left_out", gathered.approvals.left_out),
            ("approvals_unapproved", all.unapproved),
            ("approvals_erased", all.erased),
            ("glass_broken", all.broken),
            ("glass_unreviewed", all.unreviewed),
        ] {
            self.set(name, value);
        }
    }

    fn given(&mut self, gathered: &Gathered) {
        let of = |kind: &str| gathered.access.figures(kind, gathered.end());
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
            ("access_erased", gathered.access.erased),
        ] {
            self.set(name, value);
        }
    }

    fn ruled(&mut self, gathered: &Gathered, proved: &Proved) {
        let Gathered { policies, configurations, .. } = gathered;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let last = policies.last();
        let tier = |tier: &str| last.map_or(0, |last| last.of_tier(tier));
        let verified = gathered.verified.as_ref().ok();
        let found = verified.map(|verified| &verified.findings);
        for (name, value) in [
            ("activations", policies.activations),
            ("policies_unknown", policies.left_out),
            ("policies_changed", policies.changed),
            ("policies_held", tier("guardrails") + tier("approvals") + tier("permits")),
            ("guardrails", tier("guardrails")),
            ("gates", tier("approvals")),
            ("policies_ownerless", last.map_or(0, policies::Activation::ownerless)),
            ("configurations", count(configurations.changes())),
            ("configuration_unknown", u64::from(configurations.is_unknown())),
            ("dangers", count(configurations.dangers().len())),
            ("log_broken", u64::from(verified.is_none())),
            ("log_entries", gathered.signed.kept.size),
            ("checkpoints", verified.map_or(0, |verified| verified.checkpoints)),
            ("payloads_absent", found.map_or(0, |found| found.payloads.absent)),
            ("open", found.map_or(count(proved.open.len()), |found| found.open)),
            ("unsettled", found.map_or(count(proved.unsettled.len()), |found| found.unsettled)),
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
        standing.elsewhere.figures().iter().for_each(|(name, value)| self.set(name, *value));
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
