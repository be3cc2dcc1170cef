//! One file per command.

pub(crate) mod approvals;
pub(crate) mod bridge;
pub(crate) mod caller;
pub(crate) mod check;
pub(crate) mod console;
pub(crate) mod demo;
mod erase;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod grant;
pub(crate) mod office;
mod pack;
pub(crate) mod policy;
pub(crate) mod privilege;
pub(crate) mod replay;
pub(crate) mod revoke;
pub(crate) mod secret;
pub(crate) mod serve;
mod settle;
pub(crate) mod shadow;
mod sinks;
pub(crate) mod token;
pub(crate) mod tools;
mod verify;
pub(crate) mod wrap;
