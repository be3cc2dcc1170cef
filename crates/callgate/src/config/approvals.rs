//! The section of approvals: how long requests wait for them, and who is one person with several accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use callgate_gateway::pipeline::SamePerson;
use serde::Deserialize;

use super::section::Reader;

/// The longest that a request is held for an approval.
const HOLD_S_MAX: u64 = 45;
/// How long one is held whose client shows the page of the approval, if the operator does not say.
const PAGE_HOLD_S: u64 = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawApprovals {
    hold_s: u64,
    page_hold_s: u64,
    same_person: Vec<BTreeSet<String>>,
}

impl Default for RawApprovals {
    fn default() -> Self {
        Self { hold_s: 0, page_hold_s: PAGE_HOLD_S, same_person: Vec::new() }
    }
}

/// How calls wait for approvals.
#[derive(Debug)]
pub(crate) struct ApprovalRules {
    /// How long a request is held for somebody to approve it.
    pub(crate) hold: Duration,
    /// How long it is if its client shows the page of the approval, each time it comes back.
    pub(crate) page_hold: Duration,
    /// People with several accounts.
    pub(crate) same_person: SamePerson,
}

impl Reader {
    pub(super) fn approvals(&mut self) -> Option<ApprovalRules> {
        let RawApprovals { hold_s, page_hold_s, same_person } = self.optional("approvals")?;
        let hold = self.hold("approvals.hold_s", hold_s);
        let page_hold = self.hold("approvals.page_hold_s", page_hold_s);
        Some(ApprovalRules { hold, page_hold, same_person })
    }

    fn hold(&mut self, place: &str, seconds: u64) -> Duration {
        if seconds > HOLD_S_MAX {
            let what = format!("{seconds} is more than {HOLD_S_MAX}");
            let hint = "clients give up after a minute; what was approved later goes through when it is called again";
            self.problem(place, &what, Some(hint.to_owned()));
        }
        Duration::from_secs(seconds)
    }
}
