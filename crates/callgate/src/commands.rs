//! One file per command.

pub(crate) mod bridge;
pub(crate) mod caller;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod policy;
pub(crate) mod serve;
pub(crate) mod wrap;
