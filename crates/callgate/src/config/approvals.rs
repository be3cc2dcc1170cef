//! The section of approvals: how long requests wait for them, and who is one person with several accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callgate_gateway::pipeline::{Owners, SamePerson};
use callgate_model::target::Resource;
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
    owners: BTreeMap<String, String>,
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
        Self {
            hold_s: 0,
            page_hold_s: PAGE_HOLD_S,
            same_person: Vec::new(),
            break_glass: None,
            owners: BTreeMap::new(),
        }
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
    /// Who owns what.
    pub(crate) owners: Owners,
}

impl Reader {
    pub(super) fn approvals(&mut self, channels: &Channels) -> Option<ApprovalRules> {
        let RawApprovals { hold_s, page_hold_s, same_person, break_glass, owners } =
            self.optional("approvals")?;
        let hold = self.hold("approvals.hold_s", hold_s);
        let page_hold = self.hold("approvals.page_hold_s", page_hold_s);
        let break_glass = self.glass(break_glass, channels);
        let owners = self.owners(&owners);
        Some(ApprovalRules { hold, page_hold, same_person, break_glass, owners })
    }

    fn owners(&mut self, named: &BTreeMap<String, String>) -> Owners {
        let mut owners = Owners::new();
        for (what, team) in named {
            let is_team = team.strip_prefix("team:").is_some_and(|name| !name.trim().is_empty());
            match Resource::parse(what).filter(|_| is_team) {
                Some(resource) => drop(owners.insert(resource, team.clone())),
                None => {
                    let hint = "as policies write it, and a team: 'Jira::Project::\"acme/ENG\"' = \"team:eng-leads\"";
                    let text = format!("`{what}` = `{team}` does not say who owns what");
                    self.problem("approvals.owners", &text, Some(hint.to_owned()));
                }
            }
        }
        owners
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
