//! A simulated Atlassian site that speaks MCP as Rovo v2 does: for the demo, and the oracle of the tests.
//!
//! It owns a [`Site`] whose state really changes, an HTTP server that speaks both protocol eras, a [`Ledger`] of
//! everything that arrived and was executed, and [`Fault`]s on request. It is a second implementation of the wire
//! on purpose: it must not know any other crate of Callgate, or a mistake would be made on both sides and not be
//! seen. It has every tool that Rovo is known to have. It is lax where the real service is (a wrong `cloudId` beside
//! a dispatcher's inputs, issue keys in any case, the last of two equal names, an id that is not where the call says),
//! so that a gateway which lets something through has an effect here.

mod answer;
mod endpoint;
mod fault;
mod ledger;
mod legacy;
mod modern;
mod offers;
mod rpc;
mod server;
mod site;
mod tools;

pub use fault::Fault;
pub use ledger::{Ledger, LedgerEntry, RequestSeen};
pub use server::{Eras, Listening, Running, Sim, SimOptions};
pub use site::{
    Comment, Issue, Link, Page, Project, PullRequest, Repository, Site, Space, Thing, ThingKind,
};

#[cfg(test)]
mod tests;
