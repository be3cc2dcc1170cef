//! `callgate evidence sinks`: how far the places have come to which evidence goes. Works while a gateway is running, and while none is.

use callgate_model::json::Object;
use callgate_store::Cursor;

use super::evidence::open;
use crate::cli::{Check, Failure};
use crate::print;

/// What a place is that is not configured any more.
const FORMER: &str = "-";

pub(crate) async fn run(options: &Check) -> Result<(), Failure> {
    let config = options.config.load()?;
    let store = open(&config).await?;
    let mut cursors = store.cursors().await?;
    let mut places = config.evidence.elsewhere.places();
    let size = store.size().await?;
    let signed = store.last_checkpoint().await?.map_or(0, |last| last.size);
    let former =
        cursors.iter().filter(|cursor| !places.iter().any(|(name, _)| *name == cursor.name));
    let former: Vec<_> = former.map(|cursor| (cursor.name.clone(), FORMER)).collect();
    places.extend(former);
    if places.is_empty() {
        print::note(
            "evidence goes nowhere else: see `evidence.sinks`, `evidence.anchors` and `evidence.witnesses` in the configuration",
        );
    }
    for (name, kind) in places {
        let at = cursors.iter().position(|cursor| cursor.name == name);
        let cursor = at.map(|at| cursors.swap_remove(at));
        let end = if name.contains('.') { signed } else { size };
        if options.json {
            print::json(&object(&name, kind, cursor.as_ref(), end).into());
        } else {
            print::line(&print::safe(&line(&name, kind, cursor.as_ref(), end)));
        }
    }
    Ok(())
}

fn line(name: &str, kind: &str, cursor: Option<&Cursor>, end: u64) -> String {
    let Some(cursor) = cursor else {
        return format!("{name:<24} {kind:<8} no gateway has begun with it");
    };
    let behind = end.saturating_sub(cursor.next);
    let how = match (&cursor.failure, cursor.moved_at) {
        (Some((why, at)), _) => format!("not taken at {at}: {why}"),
        (None, Some(at)) => format!("taken at {at}"),
        (None, None) => "nothing was sent yet".to_owned(),
    };
    format!("{name:<24} {kind:<8} has {}, {behind} behind; {how}", cursor.next)
}

fn object(name: &str, kind: &str, cursor: Option<&Cursor>, end: u64) -> Object {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let failure = cursor.and_then(|cursor| cursor.failure.as_ref());
    Object::default()
        .with("name", name)
        .with("kind", Some(kind).filter(|kind| *kind != FORMER))
        .with("next", cursor.map(|cursor| number(cursor.next)))
        .with("behind", cursor.map(|cursor| number(end.saturating_sub(cursor.next))))
        .with("taken_at", cursor.and_then(|cursor| cursor.moved_at).map(|at| at.to_string()))
        .with("error", failure.map(|(why, _)| why.as_str()))
        .with("failed_at", failure.map(|(_, at)| at.to_string()))
}
