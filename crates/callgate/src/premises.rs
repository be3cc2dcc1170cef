//! What the program knows beside the gateway itself, for the API and the console.

use std::sync::Arc;

use callgate_model::vocabulary::Vocabulary;
use tokio::sync::watch;

use crate::desk::Desk;
use crate::notify::Channels;
use crate::privilege::Configured;
use crate::reload::Loaded;

/// It.
#[derive(Clone)]
pub(crate) struct Premises {
    /// Where authority is given and taken back.
    pub(crate) desk: Arc<Desk>,
    /// What the configuration says of callers.
    pub(crate) configured: Arc<Configured>,
    /// What policies can name.
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// By which people are told.
    pub(crate) channels: Arc<Channels>,
    /// How the policies in force came to be.
    pub(crate) policies: watch::Receiver<Loaded>,
}
