//! The enforcement point: the way of a call from bytes to evidence, and its ports.
//!
//! Floor 2. `pipeline` reads top to bottom like section 2 of `docs/architecture.md`. It must not know
//! configuration files, sockets or the command line: the binary hands it values.

pub mod answer;
pub mod assertion;
pub mod cancel;
pub mod catalog;
pub mod credential;
pub mod evidence;
pub mod follow;
pub mod forward;
pub mod identity;
pub mod kept;
pub mod listeners;
pub mod locate;
pub mod method;
pub mod name;
pub mod obligation;
pub mod offers;
pub mod pin;
pub mod pipeline;
pub mod propose;
pub mod questions;
pub mod recording;
pub mod rehearse;
pub mod replay;
pub mod resolve;
pub mod resource;
pub mod round;
pub mod schema;
pub mod sealing;
pub mod server;
pub mod session;
pub mod shadow;
pub mod spans;
pub mod tasks;
pub mod telemetry;
pub mod tools;
pub mod workflow;
