//! The decision point: policies in, decisions out.
//!
//! Owns the Cedar schema, the validated and indexed [`Bundle`], [`decide`], [`explain`] and [`could_allow`]. Everything
//! here is pure, total and synchronous: time is an argument, there is no I/O, and whatever cannot be evaluated is a
//! denial. It must not know MCP, HTTP, SQL, configuration, or how callers, calls and targets were found.

mod annotations;
mod bundle;
mod caller;
mod check;
mod decide;
mod explain;
mod frame;
mod index;
mod known;
mod looks;
mod names;
mod reach;
mod schema;
mod scope;
mod source;

pub use bundle::{Bundle, MAX_POLICIES, MAX_UNSCOPED_PERMITS, PolicyText};
pub use caller::PreparedCaller;
pub use check::{MAX_POLICY_BYTES, MAX_POLICY_NESTING, MAX_POLICY_STEPS};
pub use decide::{Question, decide};
pub use explain::{Asked, Explanation, MAX_NEAR_MISSES, explain};
pub use looks::looks_at;
pub use reach::{could_allow, could_allow_in, could_cover};
pub use source::{Problem, Source, Tier};

#[cfg(test)]
mod tests;
