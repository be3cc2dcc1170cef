//! The section of approvals: how long requests wait for them, and who is one person with several accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use callgate_gateway::pipeline::SamePerson;
use serde::Deserialize;

use super::section::Reader;
use crate::notify::Channels;

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
    break_glass: Option<RawGlass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGlass {
    /// The channels that are told.
    notify: BTreeSet<String>,
}

/// As many channels at least are told of broken glass: one alone can fail, or be somebody's who broke it.
const TOLD_MIN: usize = 2;

impl Default for RawApprovals {
    fn default() -> Self {
        Self { hold_s: 0, page_hold_s: PAGE_HOLD_S, same_person: Vec::new(), break_glass: None }
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
    /// The channels that are told of broken glass; none, if nobody may break it.
    pub(crate) break_glass: Vec<String>,
}

impl Reader {
    pub(super) fn approvals(&mut self, channels: &Channels) -> Option<ApprovalRules> {
        let RawApprovals { hold_s, page_hold_s, same_person, break_glass } =
            self.optional("approvals")?;
        let hold = self.hold("approvals.hold_s", hold_s);
        let page_hold = self.hold("approvals.page_hold_s", page_hold_s);
        let break_glass = self.glass(break_glass, channels);
        Some(ApprovalRules { hold, page_hold, same_person, break_glass })
    }

    fn glass(&mut self, glass: Option<RawGlass>, channels: &Channels) -> Vec<String> {
        const PLACE: &str = "approvals.break_glass.notify";
        let Some(RawGlass { notify }) = glass else { return Vec::new() };
        for unknown in notify.iter().filter(|name| !channels.contains_key(*name)) {
            let hint = format!("configure [notify.{unknown}], or take it out");
            self.problem(PLACE, &format!("no channel is called `{unknown}`"), Some(hint));
        }
        if notify.len() < TOLD_MIN {
            let hint =
                "name two channels: whoever breaks the glass is alone, and others are to know";
            self.problem(PLACE, "is less than two channels", Some(hint.to_owned()));
        }
        notify.into_iter().collect()
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
