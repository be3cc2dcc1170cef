//! What the store says: tokens that end, people who were not told, copies that do not arrive, calls of which nothing is known.

use callgate_model::ambient::{DAY_MS, Timestamp};
use callgate_store::{Cursor, LIST_MAX, Store, StoreError, TokenState};

use super::{Finding, Level, counted, few};
use crate::config::Config;

/// A token that ends within this is told of.
const SOON_MS: u64 = 14 * DAY_MS;
/// A token that is good for so long is as good as for ever.
const LONG_MS: u64 = 365 * DAY_MS;
/// A place that has taken nothing for so long is a problem.
const BEHIND_MS: u64 = 60 * 60 * 1_000;
/// For a checkpoint that is due to be made.
const CHECKPOINT_WITHIN_MS: u64 = 60 * 1_000;

pub(super) async fn examine(
    config: &Config,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    let mut found = tokens(&store.tokens(Some(now)).await?, now);
    found.extend(store.cursors().await?.iter().filter_map(|cursor| elsewhere(config, cursor, now)));
    for channel in store.channels(now).await? {
        let name = &channel.channel;
        let Some((why, at)) = channel.failure.filter(|_| channel.waiting + channel.given_up > 0)
        else {
            continue;
        };
        let text = format!(
            "{name}: {} waiting, {} given up; not taken at {at}: {why}",
            channel.waiting, channel.given_up
        );
        let remedy =
            "`callgate approvals channels` shows them; `--retry` sends once more what was given up";
        found.push(Finding::warning("notify", text, remedy));
    }
    found.push(checkpoints(config, store, now).await?);
    found.push(unsettled(store).await?);
    let to_review = store.to_review().await?.len();
    if to_review > 0 {
        let text = format!(
            "the glass was broken, and nobody has looked at it yet: {}",
            counted(to_review, "time")
        );
        found.push(Finding::warning(
            "approvals",
            text,
            "`callgate approvals review`, by somebody else than whoever broke it",
        ));
    }
    Ok(found)
}

fn tokens(all: &[TokenState], now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "tokens";
    let named = |is: &dyn Fn(&&TokenState) -> bool| -> Vec<&str> {
        all.iter().filter(is).map(|state| state.token.name.as_str()).collect()
    };
    let soon = named(&|state| state.ends <= now.after_ms(SOON_MS));
    let long = named(&|state| state.ends.ms_since(state.token.issued) >= LONG_MS);
    let mut found = Vec::new();
    if !soon.is_empty() {
        let text = format!(
            "{} within two weeks: {}",
            if soon.len() == 1 { "a token ends" } else { "tokens end" },
            few(&soon)
        );
        found.push(Finding::warning(
            CHECK,
            text,
            "`callgate token rotate ID` makes the next one, and lets the old one overlap",
        ));
    }
    if !long.is_empty() {
        let text = format!(
            "{} for a year or more: {}",
            if long.len() == 1 { "a token is good" } else { "tokens are good" },
            few(&long)
        );
        found.push(Finding::warning(
            CHECK,
            text,
            "rotate them into tokens that end soon; `tokens.days_max` keeps others from being made",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            CHECK,
            format!("{} in force, none about to end", counted(all.len(), "token")),
        ));
    }
    found
}

/// A place to which evidence goes. One that is not configured any more is not missed.
fn elsewhere(config: &Config, cursor: &Cursor, now: Timestamp) -> Option<Finding> {
    const CHECK: &str = "evidence";
    let places = config.evidence.elsewhere.places();
    let (name, kind) = places.into_iter().find(|(name, _)| *name == cursor.name)?;
    let Some((why, at)) = &cursor.failure else {
        return Some(Finding::ok(CHECK, format!("{name} ({kind}) takes what it is sent")));
    };
    let since = cursor.moved_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let text = format!(
        "{name} ({kind}) did not take what it was sent at {at}: {why}; it last did: {since}"
    );
    let is_long = cursor.moved_at.is_none_or(|moved| now.ms_since(moved) > BEHIND_MS);
    let finding = Finding::warning(
        CHECK,
        text,
        "nothing is lost: it is sent when it is taken. `callgate evidence sinks` shows how far it is behind",
    );
    Some(finding.at(if is_long { Level::Problem } else { Level::Warning }))
}

/// What is not signed can be cut off without a trace.
async fn checkpoints(
    config: &Config,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Finding, StoreError> {
    const CHECK: &str = "checkpoints";
    let (last, size) = (store.last_checkpoint().await?, store.size().await?);
    let signed = last.as_ref().map_or(0, |last| last.size);
    let oldest = store.read(signed, 1).await?.first().map(|row| row.at);
    let every = u64::try_from(config.evidence.checkpoint_every.as_millis()).unwrap_or(u64::MAX);
    let late = CHECKPOINT_WITHIN_MS.saturating_add(every.saturating_mul(2));
    Ok(match oldest {
        Some(at) if now.ms_since(at) > late => {
            let text = format!("{} since {at} in no checkpoint", are(size.saturating_sub(signed)));
            let remedy =
                "a gateway that runs makes one, and says in its log if it cannot: start it";
            Finding::warning(CHECK, text, remedy)
        }
        Some(_) | None => {
            Finding::ok(CHECK, format!("the last one is about {signed} records of {size}"))
        }
    })
}

fn are(records: u64) -> String {
    if records == 1 { "1 record is".to_owned() } else { format!("{records} records are") }
}

async fn unsettled(store: &dyn Store) -> Result<Finding, StoreError> {
    const CHECK: &str = "calls";
    let count = store.unsettled(false, LIST_MAX).await?.len();
    Ok(match count {
        0 => Finding::ok(CHECK, "of each it is known whether it took effect"),
        _ => {
            let text =
                format!("of {} it is not known whether it took effect", counted(count, "call"));
            Finding::warning(
                CHECK,
                text,
                "look at the servers: `callgate evidence open` lists them, `callgate evidence settle` says what became of one",
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::Id;
    use callgate_model::authority::ApiToken;
    use callgate_model::digest::Digest;
    use callgate_model::envelope::Portion;

    use super::*;

    fn token(name: &str, issued: i64, ends: i64) -> TokenState {
        let at = |days: i64| Timestamp::from_unix_ms(days * i64::try_from(DAY_MS).unwrap());
        let id = Id::new(at(issued), [7; 16]);
        let token = ApiToken {
            id,
            name: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            owner: "local/alice".to_owned(),
            service_account: None,
            groups: Vec::new(),
            agent: "bot".to_owned(),
            class: None,
            scope: Portion::default(),
            networks: Vec::new(),
            issued: at(issued),
            ends: at(ends),
            idle_s: None,
            replaces: None,
            first: id,
        };
        TokenState { ends: token.ends, token, revoked: None, used: None }
    }

    #[test]
    fn tokens_that_end_soon_and_tokens_that_last_too_long_are_told_by_name() {
        let now = Timestamp::from_unix_ms(0).after_ms(1_000 * DAY_MS);
        let all =
            [token("ends", 990, 1_013), token("lasts", 700, 1_065), token("well", 990, 1_020)];
        let found = tokens(&all, now);
        let told: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(
            told,
            ["a token ends within two weeks: ends", "a token is good for a year or more: lasts"]
        );
        assert!(found.iter().all(|finding| finding.level == Level::Warning));
        let [well] = tokens(&all[2..], now).try_into().unwrap();
        let well: Finding = well;
        assert_eq!(
            (well.level, well.text.as_str()),
            (Level::Ok, "1 token in force, none about to end")
        );
    }
}
