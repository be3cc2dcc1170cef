//! What changes while the gateway runs. When a policy file changes, or on SIGHUP, the whole bundle is loaded anew; a bad one
//! is reported and the old one stays in force. What the store has of tokens, grants and revocations is followed, too.
//!
//! Files are looked at by name, size and time of change rather than watched: that also sees a replaced symbolic link.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use callgate_gateway::pipeline::Gateway;
use callgate_model::vocabulary::Vocabulary;
use callgate_policy::Tier;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::assemble::{files_in, load_bundle};
use crate::notify::with_known_channels;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The tasks that follow changes, for as long as this is kept.
pub(crate) struct Following([JoinHandle<()>; 2]);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Follows the policies of `folder`, which may name these channels, and the authority in the store.
pub(crate) fn follow(
    gateway: &Arc<Gateway>,
    folder: PathBuf,
    vocabulary: Vocabulary,
    channels: BTreeSet<String>,
) -> Following {
    let (of_policies, of_authority) = (Arc::clone(gateway), Arc::clone(gateway));
    // Loading policies takes a processor's time: a task of its own keeps the other one prompt.
    Following([
        tokio::spawn(follow_policies(of_policies, folder, vocabulary, channels)),
        tokio::spawn(async move { of_authority.follow_authority().await }),
    ])
}

/// Keeps the gateway's bundle that of the files. Never returns.
async fn follow_policies(
    gateway: Arc<Gateway>,
    folder: PathBuf,
    vocabulary: Vocabulary,
    channels: BTreeSet<String>,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be received: policies are not reloaded");
        return;
    };
    let mut seen = look(&folder);
    loop {
        let asked = tokio::select! {
            received = hangup.recv() => received.is_some(),
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let now = look(&folder);
        if !asked && now == seen {
            continue;
        }
        seen = now;
        let loaded = load_bundle(&folder, &vocabulary);
        match loaded.and_then(|bundle| with_known_channels(bundle, &channels)) {
            Ok(bundle) => {
                tracing::info!(bundle = %bundle.digest(), policies = bundle.len(), "policies activated");
                gateway.activate(bundle);
            }
            Err(problems) => {
                tracing::error!(%problems, "the policies on disk are not valid: the old ones stay in force");
            }
        }
    }
}

fn look(folder: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    [Tier::Guardrail, Tier::Approval, Tier::Permit]
        .into_iter()
        .flat_map(|tier| files_in(&folder.join(tier.folder()), "cedar"))
        .map(|file| {
            let about = std::fs::metadata(&file).ok();
            let size = about.as_ref().map_or(0, std::fs::Metadata::len);
            (file, size, about.and_then(|about| about.modified().ok()))
        })
        .collect()
}
