//! `callgate replay`: what other policies would have decided about calls that were recorded. Works while a gateway runs, and asks
//! no server.

use std::collections::HashSet;

use callgate_gateway::replay::{Candidate, Change, Replayed};
use callgate_model::evidence::Recorded;
use callgate_store::Store;

use super::evidence;
use crate::assemble::{self, Parts};
use crate::cli::Failure;
use crate::cli::replay::{FailOn, Replay};
use crate::config::Config;
use crate::difference::{Difference, Group};
use crate::means::Means;
use crate::print;
use crate::recorded::{self, Unread};

pub(crate) async fn run(options: Replay) -> Result<(), Failure> {
    let config = options.config.load()?;
    let Parts { catalogs, vocabulary, .. } = assemble::parts(&config)?;
    let bundle = assemble::load_bundle(&options.candidate, &vocabulary)?;
    let bundle = Means::of(&config).suffice(bundle)?;
    // Exported records may be those of another gateway.
    let store = match options.which.records {
        None => Some(evidence::open(&config).await?),
        Some(_) => None,
    };
    let grants = match &store {
        None => Vec::new(),
        Some(store) => store.grants(None).await?,
    };
    let grants = grants.into_iter().map(|state| state.grant);
    let mut candidate =
        Candidate::new(&bundle, (&vocabulary, &catalogs), confirming(&config), grants);
    let found = difference(store.as_deref(), &options, &mut candidate).await?;
    if options.json {
        let found = found.to_json().with("candidate", bundle.digest().to_string());
        print::json(&found.into());
    } else {
        let Difference { decisions, same, no_say, .. } = &found;
        let (changed, unknown) = (found.changed(), found.unknowns());
        print::line(&format!(
            "{decisions} decisions: {same} the same, {changed} otherwise, {unknown} not known; policies had no say in {no_say}"
        ));
        found.lines().iter().for_each(|line| print::line(line));
    }
    if options.fail_on.iter().any(|what| is_any(&found, *what)) { Err(Failure::No) } else { Ok(()) }
}

/// The servers that are asked where things are before they are changed.
fn confirming(config: &Config) -> HashSet<&str> {
    let servers = config.servers.iter().filter(|(_, server)| server.confirms_moves);
    servers.map(|(name, _)| name.as_str()).collect()
}

async fn difference(
    store: Option<&dyn Store>,
    options: &Replay,
    candidate: &mut Candidate<'_>,
) -> Result<Difference, Failure> {
    let mut found = Difference::default();
    let take = |record: Result<Recorded, Unread>| match record {
        Ok(recorded) => {
            found.decisions += 1;
            count(&mut found, &recorded, candidate.replay(&recorded));
        }
        Err(unread) => found.unread(unread),
    };
    recorded::each(store, &options.which, take).await?;
    Ok(found)
}

fn count(found: &mut Difference, recorded: &Recorded, replayed: Replayed) {
    match replayed {
        Replayed::NoSay => found.no_say += 1,
        Replayed::Unknown(why) => found.unknown(why, Some(recorded.call)),
        Replayed::Decided(Change::Same, ..) => found.same += 1,
        Replayed::Decided(change, was, decision) => {
            let group = Group {
                change: change.as_str().to_owned(),
                was: was.as_str().to_owned(),
                is: decision.verdict.as_str().to_owned(),
                reasons: decision.codes().map(str::to_owned).collect(),
                policies: decision.policies.iter().map(|policy| policy.id.clone()).collect(),
                ..Group::of(recorded)
            };
            found.changes(group, recorded.call);
        }
    }
}

fn is_any(found: &Difference, what: FailOn) -> bool {
    let change = match what {
        FailOn::Denied => Change::NewlyDenied,
        FailOn::Allowed => Change::NewlyAllowed,
        FailOn::Approval => Change::NewlyNeedsApproval,
        FailOn::Others => Change::NewlyAsksOthers,
        FailOn::Unknown => return found.unknowns() > 0,
    };
    found.count(change.as_str()) > 0
}
