//! Budgets: how much may happen within a while, counted for each of those by whom, or at what, it happens. The rules alone: who
//! counts, and where that is kept, is for others.
//!
//! A window slides: there is never more in any span of its length. It is counted in slices of a twelfth of it, so that what is kept
//! is small however much happens; each slice counts until the last moment of it is over, so room comes back late by a slice at
//! most, and never early.

mod tally;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use tally::{Mark, Marked, Spent, Tally};

use crate::ambient::Timestamp;
use crate::call::ToolCall;
use crate::caller::{Agent, Caller};
use crate::digest::Digest;
use crate::json::Json;
use crate::target::{Located, Target};
use crate::vocabulary::Effect;

/// Slices of a window.
const SLICES: u64 = 12;

/// The most calls that a budget can have.
pub const CALLS_MAX: u32 = 1_000_000;
/// The most different targets: each of them is remembered.
pub const TARGETS_MAX: u32 = 1_000;
/// The longest window, in seconds.
pub const WITHIN_S_MAX: u64 = 7 * 24 * 3600;

/// By what is counted: for each of these there is as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    /// The agent.
    Agent,
    /// The client software.
    Client,
    /// The person; where there is none, the service account.
    Human,
    /// The server.
    Server,
    /// What is done at a server: the operation, whatever the tool is called.
    Tool,
    /// The workflow run.
    Workflow,
}

impl Per {
    /// Each of them, by its name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("agent", Self::Agent),
        ("client", Self::Client),
        ("human", Self::Human),
        ("server", Self::Server),
        ("tool", Self::Tool),
        ("workflow", Self::Workflow),
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Human => "human",
            Self::Server => "server",
            Self::Tool => "tool",
            Self::Workflow => "workflow",
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Every call.
    Calls,
    /// Calls that delete.
    Deletes,
    /// Different things that calls touch.
    Targets,
    /// Calls that do anything but read.
    Writes,
}

impl What {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Deletes => "deletes",
            Self::Targets => "targets",
            Self::Writes => "writes",
        }
    }

    fn has(self, effect: Effect) -> bool {
        match self {
            Self::Calls | Self::Targets => true,
            Self::Deletes => effect == Effect::Delete,
            Self::Writes => effect != Effect::Read,
        }
    }
}

/// So much, within so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Of what.
    pub what: What,
    /// How much.
    pub most: u32,
    /// Within how long, in seconds.
    pub within_s: u64,
    /// As the operator wrote it: `10 in 2h`.
    pub told: String,
}

/// What may happen within a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: Arc<str>,
    /// By what is counted: nothing counts all together.
    pub per: BTreeSet<Per>,
    /// Only calls of these servers, if any are named.
    pub servers: BTreeSet<String>,
    /// Only these operations, if any are named.
    pub operations: BTreeSet<String>,
    /// Only calls with these effects, if any are named.
    pub effects: BTreeSet<Effect>,
    /// Of which kind the different things are; if it is not said, what calls touch directly.
    pub targets_of: Option<String>,
    /// How much of what.
    pub allowances: Vec<Allowance>,
    /// Whether replicas count together, and a restart forgets nothing.
    pub exact: bool,
}

/// What one call is in one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The budget.
    pub budget: Arc<str>,
    /// Under which it is counted: the digest of the budget, of what is counted, and of by whom.
    pub key: Digest,
    /// How much there may be.
    pub most: u32,
    /// Within how long.
    pub within_ms: u64,
    /// The different things, if they are what is counted; else the call counts as one.
    pub targets: Option<BTreeSet<Digest>>,
    /// Whether it is counted in the store.
    pub exact: bool,
    /// What is to be told if there is no room.
    pub told: String,
}

impl Budget {
    /// What `call` is in this budget: nothing, if the budget is about others.
    #[must_use]
    pub fn counts(&self, caller: &Caller, call: &ToolCall, targets: &[Target]) -> Vec<Count> {
        let (operation, effect) = (&call.operation.name, call.operation.effect);
        let is_named =
            |names: &BTreeSet<String>, name: &str| names.is_empty() || names.contains(name);
        let is_about = is_named(&self.servers, &call.server)
            && is_named(&self.operations, operation)
            && (self.effects.is_empty() || self.effects.contains(&effect));
        if !is_about {
            return Vec::new();
        }
        let by: Vec<Json> = self.per.iter().map(|per| value(*per, caller, call)).collect();
        let allowances = self.allowances.iter().filter(|allowance| allowance.what.has(effect));
        let count = |allowance: &Allowance| Count {
            budget: Arc::clone(&self.name),
            key: key(&self.name, allowance.what, &by),
            most: allowance.most,
            within_ms: allowance.within_s.saturating_mul(1_000),
            targets: (allowance.what == What::Targets).then(|| self.things(targets)),
            exact: self.exact,
            told: self.told(allowance),
        };
        allowances.map(count).collect()
    }

    /// What calls touch, as it is counted. What is not known is what it was called.
    fn things(&self, targets: &[Target]) -> BTreeSet<Digest> {
        let digest = |text: String| Digest::of(text.as_bytes());
        let things = targets.iter().flat_map(|target| match (target, &self.targets_of) {
            (Target::Located(Located { resource, containers }), Some(kind)) => {
                let all = std::iter::once(resource).chain(containers);
                all.filter(|one| one.kind == *kind).map(|one| digest(one.to_string())).collect()
            }
            (Target::Located(Located { resource, .. }), None) => {
                vec![digest(resource.to_string())]
            }
            (Target::Unresolved(unknown), _) => {
                let parts = [&unknown.kind, &unknown.site, &unknown.spelled];
                let parts = parts.map(|part| Json::from(part.as_str())).to_vec();
                vec![digest(Json::Array(parts).to_text())]
            }
        });
        things.collect()
    }

    fn told(&self, allowance: &Allowance) -> String {
        let per: Vec<&str> = self.per.iter().map(|per| per.as_str()).collect();
        let each =
            if per.is_empty() { String::new() } else { format!(" for each {}", per.join(" and ")) };
        let Allowance { what, told, .. } = allowance;
        let kind = self.targets_of.as_ref().filter(|_| *what == What::Targets);
        let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
        format!("the budget `{}` is {} = {told}{kind}{each}", self.name, what.as_str())
    }
}

impl Count {
    /// What it adds, if it happens at `at`.
    #[must_use]
    pub fn marks(&self, at: Timestamp) -> Vec<Marked> {
        match &self.targets {
            Some(targets) => {
                let ends = at.after_ms(self.within_ms);
                let mark = |target: &Digest| Marked { mark: Mark::Target(*target), count: 1, ends };
                targets.iter().map(mark).collect()
            }
            None => {
                let slice_ms = i64::try_from((self.within_ms / SLICES).max(1)).unwrap_or(i64::MAX);
                let begins = at.unix_ms().saturating_sub(at.unix_ms().rem_euclid(slice_ms));
                let ends = Timestamp::from_unix_ms(begins.saturating_add(slice_ms));
                let ends = ends.after_ms(self.within_ms);
                vec![Marked { mark: Mark::Slice(begins), count: 1, ends }]
            }
        }
    }
}

/// Who or what that is for `caller`. A link that is not there, or that only the client asserts, is nobody to count by: a client
/// could be another one each time. Then it is whoever is accountable, with their agent, so that nothing is counted nowhere.
fn value(per: Per, caller: &Caller, call: &ToolCall) -> Json {
    let agent = caller.agent.as_ref().filter(|agent| agent.assurance.is_assured());
    let named = |text: &str| Json::from(text);
    match per {
        Per::Human => accountable(caller),
        Per::Agent => agent.map_or_else(|| nobody(caller, None), of_agent),
        Per::Client => Some(&caller.client)
            .filter(|client| client.assurance.is_assured())
            .map_or_else(|| nobody(caller, agent), |client| named(&client.name)),
        Per::Workflow => caller
            .workflow
            .as_ref()
            .filter(|run| run.assurance.is_assured())
            .map_or_else(|| nobody(caller, agent), |run| named(&run.run)),
        Per::Server => named(&call.server),
        Per::Tool => Json::Array(vec![named(&call.server), named(&call.operation.name)]),
    }
}

fn accountable(caller: &Caller) -> Json {
    let who = &caller.accountable;
    Json::Array(vec![who.kind.as_str().into(), who.identity.to_string().into()])
}

fn of_agent(agent: &Agent) -> Json {
    agent.identity.to_string().into()
}

/// In place of a link that is not there. No link's value is such an array.
fn nobody(caller: &Caller, agent: Option<&Agent>) -> Json {
    Json::Array(vec![Json::Null, accountable(caller), agent.map_or(Json::Null, of_agent)])
}

fn key(name: &str, what: What, by: &[Json]) -> Digest {
    let parts = vec![name.into(), what.as_str().into(), Json::Array(by.to_vec())];
    Digest::of(Json::Array(parts).to_text().as_bytes())
}

#[cfg(test)]
mod tests;
