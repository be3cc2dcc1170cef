//! What of the log is not in the pack, or is not told one by one: each with how much that is. Nobody is to take a part for the
//! whole.

use callgate_model::json::Object;

use super::figures::Figures;
use super::population::Proved;
use super::{Gathered, number};

/// Something that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Its name in `population.json`.
    pub(super) name: &'static str,
    pub(super) count: u64,
    /// What is counted.
    pub(super) words: &'static str,
    /// Whether it is missing of the period: that there are other times is how it should be.
    pub(super) is_missing: bool,
}

/// All of it, also of what there is nothing.
pub(super) fn of(gathered: &Gathered, figures: &Figures, proved: &Proved) -> Vec<LeftOut> {
    let Gathered { counts, approvals, access, policies, configurations, erasures, .. } = gathered;
    let figure = |name: &str| figures.get(name).unwrap_or_default();
    let beyond = |name: &str, listed: usize| {
        figure(name).saturating_sub(u64::try_from(listed).unwrap_or(u64::MAX))
    };
    let one = |name, count, words| LeftOut { name, count, words, is_missing: true };
    let other = |name, count, words| LeftOut { is_missing: false, ..one(name, count, words) };
    vec![
        other(
            "records_before",
            gathered.before,
            "records before the period: as entries in log/ only",
        ),
        other("records_after", gathered.after, "records after the period: as entries in log/ only"),
        one("records_unsigned", gathered.unsigned, "records of the period that are not signed yet"),
        one(
            "records_erased",
            counts.erased,
            "records of the period of which the content was erased",
        ),
        one(
            "approvals",
            approvals.left_out,
            "records about approvals that approvals.csv does not tell",
        ),
        one(
            "approvals_erased",
            figure("approvals_erased"),
            "approvals of which something that decides about them was erased",
        ),
        one(
            "access",
            access.left_out,
            "tokens, grants and others that had no room in access.csv, or were given before the log begins",
        ),
        one(
            "access_erased",
            access.erased,
            "records of something that was given or taken back, and whose content was erased",
        ),
        one(
            "policies",
            policies.left_out,
            "times that other policies were put in force, and it was erased which",
        ),
        one(
            "configurations",
            configurations.left_out,
            "configurations that were too many for configurations.jsonl",
        ),
        one("erasures", erasures.left_out, "erasures that were too many for population.json"),
        one(
            "names",
            counts.others(),
            "decisions of agents, people, tools, servers and others that were too many to be counted by name",
        ),
        one(
            "open",
            beyond("open", proved.open.len()),
            "open calls that were too many for population.json",
        ),
        one(
            "unsettled",
            beyond("unsettled", proved.unsettled.len()),
            "calls to be settled that were too many for population.json",
        ),
    ]
}

/// It by its names.
pub(super) fn to_json(all: &[LeftOut]) -> Object {
    all.iter().fold(Object::default(), |object, one| object.with(one.name, number(one.count)))
}
