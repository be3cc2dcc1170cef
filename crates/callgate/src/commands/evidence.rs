//! `callgate evidence`: what was decided, and what came of it. Works while a gateway is running.

use callgate_model::ambient::Id;
use callgate_model::evidence::verify_chain;
use callgate_model::json::{Json, Object};
use callgate_store::{EvidenceStore, Filter, Row, SqliteStore, StoreError};

use crate::cli::{Check, EvidenceList, EvidenceShow, Failure, WithConfig};
use crate::print;
use crate::print::call::{CallTold, newest, outline, parse};

/// Records that are verified in one go.
const CHAIN_PAGE: u32 = 1_000;

pub(crate) async fn list(options: EvidenceList) -> Result<(), Failure> {
    let store = open(&options.config).await?;
    if options.filters.changes {
        return changes(&store, options).await;
    }
    let filter = Filter::from(options.filters);
    let lines = newest(&store, filter, options.limit).await.map_err(unreadable)?;
    if lines.is_empty() {
        print::note("no calls match");
    }
    for (row, outcome) in lines {
        if options.json {
            print::line(&row.text);
        } else {
            let outcome = outcome.map(|outcome| format!(" -> {outcome}")).unwrap_or_default();
            let call = row.call.map(|call| call.to_string()).unwrap_or_default();
            print::line(&format!(
                "{}  {}{outcome}  {call}",
                row.at,
                print::safe(&CallTold::of(&row).line())
            ));
        }
    }
    Ok(())
}

/// The newest changes of authority.
async fn changes(store: &SqliteStore, options: EvidenceList) -> Result<(), Failure> {
    let filter = Filter { limit: Some(options.limit), ..options.filters.into() };
    let rows = store.list(&filter).await.map_err(unreadable)?;
    if rows.is_empty() {
        print::note("nothing was given or taken back");
    }
    for row in rows {
        if options.json {
            print::line(&row.text);
        } else {
            print::line(&print::safe(&format!("{}  {}", row.at, change(&row))));
        }
    }
    Ok(())
}

/// What was changed, about whom, and by whom.
fn change(row: &Row) -> String {
    let record = parse(row);
    let event = record.get("event").cloned().unwrap_or(Json::Null);
    let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
    let at = |path: [&str; 2]| event.get(path[0]).and_then(|inner| inner.get(path[1]));
    let things = ["token", "grant", "revocation", "session", "link"];
    let id = things.iter().find_map(|thing| at([thing, "id"])).or_else(|| event.get("id"));
    let about = [
        at(["token", "name"]),
        at(["token", "owner"]),
        at(["grant", "reason"]),
        at(["revocation", "reason"]),
        at(["session", "who"]),
        at(["link", "who"]),
        event.get("channel"),
        at(["secret", "for"]).or_else(|| event.get("for")).and_then(|owner| owner.get("server")),
    ];
    let about: Vec<_> = about.into_iter().flatten().filter_map(Json::as_str).collect();
    let subject = at(["revocation", "subject"])
        .map(|subject| format!("{} {} ", text(subject.get("kind")), text(subject.get("name"))));
    format!(
        "{:<18} {}  {}{}  by {}",
        text(event.get("change")),
        text(id),
        subject.unwrap_or_default(),
        about.join(", "),
        text(event.get("by"))
    )
}

pub(crate) async fn show(options: EvidenceShow) -> Result<(), Failure> {
    let store = open(&options.config).await?;
    let call = Id::parse(&options.call)
        .ok_or_else(|| Failure::Other(format!("`{}` is not a call's id", options.call)))?;
    let rows = store.show(call).await.map_err(|error| Failure::Other(error.to_string()))?;
    if rows.is_empty() {
        return Err(Failure::Other(format!("there is no call `{call}` in the evidence")));
    }
    for row in rows {
        if options.json {
            print::line(&row.text);
        } else {
            print::line(&format!(
                "{} {} (record {} of writer {})",
                row.at, row.kind, row.sequence, row.writer
            ));
            let record = parse(&row);
            for line in outline(record.get("event").unwrap_or(&Json::Null), 1) {
                print::line(&print::safe(&line));
            }
        }
    }
    Ok(())
}

pub(crate) async fn verify(options: Check) -> Result<(), Failure> {
    let store = open(&options.config).await?;
    let mut broken = false;
    for writer in store.writers().await.map_err(unreadable)? {
        let mut texts = Vec::new();
        loop {
            let from = u64::try_from(texts.len()).unwrap_or(u64::MAX);
            let page = store.chain(writer, from, CHAIN_PAGE).await.map_err(unreadable)?;
            if page.is_empty() {
                break;
            }
            texts.extend(page);
        }
        let verified = verify_chain(texts.iter().map(String::as_str));
        broken |= verified.is_err();
        let problem = verified.as_ref().err().map(ToString::to_string);
        if options.json {
            print::json(
                &Object::default()
                    .with("writer", writer.to_string())
                    .with("records", i64::try_from(texts.len()).unwrap_or(0))
                    .with("ok", verified.is_ok())
                    .with("problem", problem)
                    .into(),
            );
        } else {
            let verdict =
                problem.map_or_else(|| "ok".to_owned(), |problem| format!("BROKEN: {problem}"));
            print::line(&format!("writer {writer}: {} records, {verdict}", texts.len()));
        }
    }
    if broken { Err(Failure::No) } else { Ok(()) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
pub(super) fn unreadable(error: StoreError) -> Failure {
    Failure::Other(format!("the evidence cannot be read: {error}"))
}

pub(super) async fn open(config: &WithConfig) -> Result<SqliteStore, Failure> {
    let config = config.load()?;
    SqliteStore::open_read_only(&config.store)
        .await
        .map_err(|error| Failure::Other(error.to_string()))
}
