//! What the program knows beside the gateway itself, for the API and the console.

use std::sync::Arc;

use tokio::sync::watch;

use crate::desk::Desk;
use crate::reload::Loaded;

/// It.
#[derive(Clone)]
pub(crate) struct Premises {
    /// Where authority is given and taken back.
    pub(crate) desk: Arc<Desk>,
    /// How the policies in force came to be.
    pub(crate) policies: watch::Receiver<Loaded>,
}
