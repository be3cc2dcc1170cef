//! `callgate-verify`: checks an export of the evidence, for whoever would not take the gateway's word for it.
//!
//! It reads the folder and nothing else: no network, no store, no clock, no configuration. It trusts the keys that it is
//! given and nothing that the export says of itself. It must not know how evidence comes to be.

mod broken;
mod export;
mod options;
mod record;
mod report;
mod verify;

pub use broken::{Broken, Stop};
pub use options::Options;
pub use record::{Proven, Record, prove, verify_proof};
pub use report::{Outcome, run};
pub use verify::{Report, Trust, Wanted, Witnessed, verify};
