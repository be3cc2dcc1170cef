//! What changes while the gateway runs. When a policy file changes, or on SIGHUP, the whole bundle is loaded anew; a bad one
//! is reported and the old one stays in force. What the store has of tokens, grants and revocations is followed, too.
//!
//! Whenever policies are loaded, the decision cases beside them are run: one that fails is reported, and changes nothing.
//!
//! Files are looked at by name, size and time of change rather than watched: that also sees a replaced symbolic link.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use callgate_gateway::pipeline::Gateway;
use callgate_gateway::server::Server;
use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::vocabulary::Vocabulary;
use callgate_policy::Tier;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ambient::Machine;
use crate::assemble::{files_in, load_bundle};
use crate::cases::{self, Ran};
use crate::keeping;
use crate::means::Means;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The tasks that follow changes, for as long as this is kept.
pub(crate) struct Following([JoinHandle<()>; 2]);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// How the policies in force came to be, and what is wrong with those on disk.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Since when this gateway decides by them.
    pub(crate) since: Timestamp,
    /// Why those on disk are not in force.
    pub(crate) problems: Vec<String>,
    /// The decision cases, or why they could not be run.
    pub(crate) cases: Result<Vec<Ran>, String>,
}

/// Follows the policies of `folder`, which may count on these means, and the authority in the store.
pub(crate) fn follow(
    gateway: &Arc<Gateway>,
    folder: PathBuf,
    vocabulary: Vocabulary,
    means: Means,
) -> (Following, watch::Receiver<Loaded>) {
    let (of_policies, of_authority) = (Arc::clone(gateway), Arc::clone(gateway));
    let none = Loaded { since: Machine.now(), problems: Vec::new(), cases: Ok(Vec::new()) };
    let (told, loaded) = watch::channel(none);
    // Loading policies takes a processor's time: a task of its own keeps the other one prompt.
    let following = Following([
        tokio::spawn(follow_policies(of_policies, folder, (vocabulary, means), told)),
        tokio::spawn(async move { of_authority.follow_authority().await }),
    ]);
    (following, loaded)
}

/// Keeps the gateway's bundle that of the files. Never returns.
async fn follow_policies(
    gateway: Arc<Gateway>,
    folder: PathBuf,
    (vocabulary, means): (Vocabulary, Means),
    told: watch::Sender<Loaded>,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be received: policies are not reloaded");
        return;
    };
    let mut seen = look(&folder);
    let cases = rehearse(&gateway, &folder);
    told.send_modify(|loaded| loaded.cases = cases);
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
        match loaded.and_then(|bundle| means.suffice(bundle)) {
            Ok(bundle) => {
                tracing::info!(bundle = %bundle.digest(), policies = bundle.len(), "policies activated");
                let is_other = bundle.digest() != gateway.bundle().digest();
                gateway.activate(bundle);
                if is_other {
                    keeping::record_policies(&gateway).await;
                }
                let cases = rehearse(&gateway, &folder);
                told.send_modify(|loaded| {
                    let since = if is_other { Machine.now() } else { loaded.since };
                    *loaded = Loaded { since, problems: Vec::new(), cases };
                });
            }
            Err(problems) => {
                tracing::error!(%problems, "the policies on disk are not valid: the old ones stay in force");
                let problems = problems.0.iter().map(ToString::to_string).collect();
                told.send_modify(|loaded| loaded.problems = problems);
            }
        }
    }
}

/// Runs the decision cases beside the policies.
fn rehearse(gateway: &Gateway, folder: &Path) -> Result<Vec<Ran>, String> {
    let catalog = |server: &Arc<Server>| (server.name.to_string(), server.catalog.clone());
    let catalogs = gateway.servers().map(catalog).collect();
    let ran = cases::run(&cases::files(folder), &catalogs, &gateway.bundle(), Machine.now());
    let ran = ran.map_err(|problem| problem.to_string());
    match &ran {
        Ok(ran) => ran.iter().filter(|case| case.result.is_err()).for_each(|case| {
            tracing::warn!(case = case.name, "a decision case fails");
        }),
        Err(problem) => tracing::warn!(problem, "the decision cases cannot be run"),
    }
    ran
}

fn look(folder: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    [Tier::Guardrail, Tier::Approval, Tier::Permit]
        .into_iter()
        .flat_map(|tier| files_in(&folder.join(tier.folder()), "cedar"))
        .chain(cases::files(folder))
        .map(|file| {
            let about = std::fs::metadata(&file).ok();
            let size = about.as_ref().map_or(0, std::fs::Metadata::len);
            (file, size, about.and_then(|about| about.modified().ok()))
        })
        .collect()
}
