//! The whole gateway in one process: its pipeline, a simulated site behind real HTTP, a store that fails on demand. The
//! ledger of the site is the oracle: what it does not have had no effect.
#![cfg(test)]

mod approvals;
mod assertion;
mod attacks;
mod authority;
mod bounds;
mod broker;
mod cancel;
mod chain;
mod client;
mod crash;
mod deny;
mod effects;
mod every_tool;
mod legacy;
mod listen;
mod listing;
mod logs;
mod matrix;
mod notices;
mod odd;
mod offers;
mod opaque;
mod people;
mod pins;
mod queries;
mod questions;
mod resolving;
mod roof;
mod rounds;
mod scopes;
mod sent;
mod signed;
mod sites;
mod store;
mod subscribe;
mod support;
mod supposed;
mod tasks;
mod tokens;
mod tools;
mod upstream;
