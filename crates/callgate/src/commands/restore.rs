//! `callgate restore`: a backup takes the place of the evidence database.
//!
//! What was used or taken back after the backup is used and taken back no more in it. So whatever could be spent a second time,
//! or by somebody who was let in no more, is ended, unless whoever restores it knows better; and that it was restored is a record (I2, I8, I11).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::authority::{Administered, Change};
use callgate_model::evidence::Event;
use callgate_model::json::Object;
use callgate_store::{
    AuthorityStore as _, Durability, EvidenceLimits, EvidenceLog, SessionStore as _, SqliteStore,
    StoreError, Vacated, copy,
};

use super::backup::{Copied, checked, file_of, told};
use crate::ambient::Machine;
use crate::cli::Failure;
use crate::cli::backup::{Keep, Restore};
use crate::config::environment;
use crate::print::{self, causes};
use crate::{keeping, private};

/// Why what was in force is so no more.
const WHY: &str = "the log was put back from a backup, after which this may have been used";

/// How many there were of each kind that was ended.
type EndedCounts = BTreeMap<&'static str, usize>;

pub(crate) async fn run(options: Restore) -> Result<(), Failure> {
    let config = options.config.load()?;
    let (from, to) = (&options.from, file_of(&config)?);
    if !from.is_file() {
        return Err(format!("there is no backup `{}`", from.display()).into());
    }
    let is_there = to.try_exists().map_err(|error| format!("{}: {error}", to.display()))?;
    if is_there && !options.force {
        let text = format!(
            "`{}` is there: `--force` puts the backup in its place and keeps it beside. \
             What was recorded after the backup will not be in the log any more",
            to.display()
        );
        return Err(text.into());
    }
    let keys = keeping::verifiers(&config)?;
    // Nobody opens it until we are done; a gateway that runs would write into what is put aside.
    let vacated = Vacated::of(to).await.map_err(|error| causes(&error))?;
    let folder =
        private::beside(to, "restore").map_err(|error| format!("{}: {error}", to.display()))?;
    let made = folder.path().join("evidence.db");
    copy(from, &made).await.map_err(|error| causes(&error))?;
    let store = SqliteStore::open(&made).await.map_err(|error| causes(&error))?;
    let copied = checked(&store, &keys).await?;
    let ended = resume(Arc::new(store), &copied, &options.keep).await?;
    let kept = kept_at(to, Machine.now());
    vacated.replace(&made, &kept).await.map_err(|error| causes(&error))?;
    let kept = Some(kept).filter(|_| is_there);
    if options.json {
        print::json(&object(&copied, to, kept.as_deref(), &ended).into());
    } else {
        report(&copied, to, kept.as_deref(), &ended, &options.keep);
    }
    Ok(())
}

/// Records in the copy that it was put back, and ends what could be used once more.
async fn resume(
    store: Arc<SqliteStore>,
    copied: &Copied,
    keep: &[Keep],
) -> Result<EndedCounts, Failure> {
    let unrecorded =
        |error| Failure::Other(format!("the restored database cannot be written: {error}"));
    let limits = EvidenceLimits::default();
    let opening = EvidenceLog::open(Arc::<SqliteStore>::clone(&store), Arc::new(Machine), limits);
    let (log, _) = opening.await.map_err(unrecorded)?;
    let user = environment("USER").unwrap_or_else(|_none| "unknown".to_owned());
    let by = format!("{user} on the command line");
    let mut kept: Vec<String> = keep.iter().map(|keep| keep.name().to_owned()).collect();
    kept.sort();
    kept.dedup();
    let mut next = vec![Change::Restored { records: copied.records, until: copied.until, kept }];
    let mut ended = EndedCounts::new();
    while !next.is_empty() {
        for change in next {
            let event = Event::Administered(Arc::new(Administered { by: by.clone(), change }));
            log.record(event, Durability::Durable).await.map_err(unrecorded)?;
        }
        // A list has an end, also if there is more.
        next = spendable(&store, keep, Machine.now(), &mut ended).await?;
    }
    store.use_up_links(Machine.now()).await?;
    log.shutdown().await.map_err(unrecorded)?;
    drop(log);
    let store = Arc::into_inner(store).ok_or("the restored database is still in use")?;
    store.close().await?;
    Ok(ended)
}

/// What could be used once more, or by somebody who was let in no more; each by the change that ends it.
async fn spendable(
    store: &SqliteStore,
    keep: &[Keep],
    now: Timestamp,
    ended: &mut EndedCounts,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for kind in [Keep::Approvals, Keep::Grants, Keep::Sessions, Keep::Tokens] {
        if keep.contains(&kind) {
            continue;
        }
        let of_kind: Vec<Change> = match kind {
            Keep::Approvals => {
                let all = store.approvals(Some(now)).await?.into_iter();
                let withdrawn = |id| Change::ApprovalWithdrawn { id, reason: WHY.to_owned() };
                all.map(|state| withdrawn(state.approval.id)).collect()
            }
            Keep::Grants => {
                let all = store.grants(Some(now)).await?.into_iter();
                all.map(|state| Change::GrantRevoked { id: state.grant.id }).collect()
            }
            Keep::Sessions => {
                let all = store.sessions(now).await?.into_iter();
                all.map(|state| Change::SignedOut { id: state.session.id }).collect()
            }
            Keep::Tokens => {
                let all = store.tokens(Some(now)).await?.into_iter();
                all.map(|state| Change::TokenRevoked { id: state.token.id }).collect()
            }
        };
        *ended.entry(kind.name()).or_default() += of_kind.len();
        changes.extend(of_kind);
    }
    Ok(changes)
}

/// Where the database is kept that was there: beside it, by the time.
fn kept_at(to: &Path, now: Timestamp) -> PathBuf {
    let at = now.to_string().replace([':', '.'], "-");
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".before-{at}"));
    name.into()
}

fn report(copied: &Copied, to: &Path, kept: Option<&Path>, ended: &EndedCounts, keep: &[Keep]) {
    let line = |text: String| print::line(&print::safe(&text));
    line(format!("{}: {}", to.display(), told(copied)));
    if let Some(kept) = kept {
        line(format!("kept: {}, which was there", kept.display()));
    }
    let counts = ended.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts.map(|(kind, count)| format!("{kind} {count}")).collect();
    let told = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    line(format!("ended, since it may have been used or taken back after the backup: {told}"));
    if !keep.is_empty() {
        let names: Vec<_> = keep.iter().map(|keep| keep.name()).collect();
        line(format!("left as it was then, on your word: {}", names.join(", ")));
    }
    print::note(
        "what was done after the backup is not known here. Do it again, before you start a gateway: revocations of people, agents and clients \
         (`callgate revoke`), tools that were unpinned, secrets and passkeys that were removed",
    );
}

fn object(copied: &Copied, to: &Path, kept: Option<&Path>, ended: &EndedCounts) -> Object {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut counts = Object::default();
    for (kind, count) in ended {
        counts = counts.with(kind, i64::try_from(*count).unwrap_or(i64::MAX));
    }
    Object::default()
        .with("restored", to.display().to_string())
        .with("records", number(copied.records))
        .with("until", copied.until.map(|at| at.to_string()))
        .with("kept", kept.map(|kept| kept.display().to_string()))
        .with("ended", counts)
}
