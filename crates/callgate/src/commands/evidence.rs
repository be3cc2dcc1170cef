//! `callgate evidence`: what was decided, and what came of it. Works while a gateway is running.

use callgate_model::ambient::Id;
use callgate_model::evidence::verify_chain;
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_store::{EvidenceStore, Filter, Row, SqliteStore};

use crate::cli::{Check, EvidenceList, EvidenceShow, Failure, WithConfig};
use crate::print;

/// Records that are verified in one go.
const CHAIN_PAGE: u32 = 1_000;

pub(crate) async fn list(options: EvidenceList) -> Result<(), Failure> {
    let store = open(&options.config).await?;
    if options.changes {
        return changes(&store, &options).await;
    }
    let filter = Filter {
        verdict: options.decision,
        tool: options.tool,
        accountable: options.human,
        agent: options.agent,
        ..Filter::default()
    };
    let lines = newest(&store, filter, options.limit).await?;
    if lines.is_empty() {
        print::note("no calls match");
    }
    for (row, outcome) in lines {
        if options.json {
            print::line(&row.text);
        } else {
            let outcome = outcome.map(|outcome| format!(" -> {outcome}")).unwrap_or_default();
            let call = row.call.map(|call| call.to_string()).unwrap_or_default();
            print::line(&format!("{}  {}{outcome}  {call}", row.at, summary(&row)));
        }
    }
    Ok(())
}

/// The newest changes of authority.
async fn changes(store: &SqliteStore, options: &EvidenceList) -> Result<(), Failure> {
    let failed = |error| Failure::Other(format!("the evidence cannot be read: {error}"));
    let kind = Some("change".to_owned());
    let filter = Filter { kind, limit: Some(options.limit), ..Filter::default() };
    let rows = store.list(&filter).await.map_err(failed)?;
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
    let things = ["token", "grant", "revocation"];
    let id = things.iter().find_map(|thing| at([thing, "id"])).or_else(|| event.get("id"));
    let about = [
        at(["token", "name"]),
        at(["token", "owner"]),
        at(["grant", "reason"]),
        at(["revocation", "reason"]),
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

/// The newest decisions that match, each with its outcome.
pub(crate) async fn newest(
    store: &SqliteStore,
    filter: Filter,
    limit: u32,
) -> Result<Vec<(Row, Option<String>)>, Failure> {
    let failed = |error| Failure::Other(format!("the evidence cannot be read: {error}"));
    let filter = Filter { decided: true, limit: Some(limit), ..filter };
    let mut lines = Vec::new();
    for row in store.list(&filter).await.map_err(failed)? {
        let outcome = match row.call.filter(|_| row.kind == "intent") {
            Some(call) => {
                let all = store.show(call).await.map_err(failed)?;
                all.into_iter().find_map(|row| row.outcome)
            }
            None => None,
        };
        lines.push((row, outcome));
    }
    Ok(lines)
}

/// Whether the gateway read this itself, to find what a call touches.
pub(crate) fn is_own_read(row: &Row) -> bool {
    let event = parse(row).get("event").cloned();
    event.and_then(|event| event.get("resolves").cloned()).is_some_and(|call| call != Json::Null)
}

/// Decision, tool, targets, caller, reasons, policies and time, on one line.
pub(crate) fn summary(row: &Row) -> String {
    let record = parse(row);
    let event = |name: &str| record.get("event").and_then(|event| event.get(name)).cloned();
    let caller = event("caller").unwrap_or(Json::Null);
    let decision = event("decision").unwrap_or(Json::Null);
    let targets = event("understood")
        .and_then(|understood| understood.get("targets").cloned())
        .and_then(|targets| targets.as_array().map(<[Json]>::to_vec))
        .unwrap_or_default();
    let micros = event("decided_in_us").and_then(|us| us.as_number().and_then(|n| n.as_i64()));
    let policies: Vec<&str> = decision
        .get("policies")
        .and_then(Json::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(|policy| policy.get("id").and_then(Json::as_str))
        .collect();
    let line = format!(
        "{:<17} {:<24} {:<34} {:<24} {} [{}] {:.1} ms",
        row.verdict.as_deref().unwrap_or_default(),
        row.tool.as_deref().unwrap_or_default(),
        targets.iter().map(target).collect::<Vec<_>>().join(", "),
        who(&caller),
        texts(decision.get("reasons")).join(","),
        policies.join(","),
        f64::from(u32::try_from(micros.unwrap_or(0)).unwrap_or(u32::MAX)) / 1000.0
    );
    print::safe(&line)
}

fn target(target: &Json) -> String {
    let text = |name: &str| target.get(name).and_then(Json::as_str);
    let kind = text("kind").unwrap_or_default();
    match (text("id"), text("unresolved")) {
        (Some(id), _) => format!("{kind} {id}"),
        (None, Some(why)) => format!("{kind} unresolved ({why})"),
        (None, None) => kind.to_owned(),
    }
}

fn who(caller: &Json) -> String {
    let id = |link: &str| caller.get(link).and_then(|link| link.get("id")).and_then(Json::as_str);
    match (id("accountable"), id("agent")) {
        (Some(accountable), Some(agent)) => format!("{accountable} via {agent}"),
        (Some(accountable), None) => accountable.to_owned(),
        (None, _) => "nobody".to_owned(),
    }
}

fn texts(array: Option<&Json>) -> Vec<&str> {
    array.and_then(Json::as_array).unwrap_or_default().iter().filter_map(Json::as_str).collect()
}

fn parse(row: &Row) -> Json {
    let limits = JsonLimits { bytes_max: 16 << 20, nodes_max: 1 << 20, ..JsonLimits::default() };
    // A record that cannot be read shows as an empty one here; `verify` names it.
    read(row.text.as_bytes(), &limits).unwrap_or(Json::Null)
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

/// A value as indented lines, without what is empty.
fn outline(value: &Json, depth: usize) -> Vec<String> {
    let indent = "  ".repeat(depth);
    let members: Vec<(String, &Json)> = match value {
        Json::Object(object) => {
            object.iter().map(|(name, value)| (name.to_owned(), value)).collect()
        }
        Json::Array(elements) => elements.iter().map(|element| ("-".to_owned(), element)).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            return vec![format!("{indent}{}", plain(value))];
        }
    };
    let mut lines = Vec::new();
    for (name, member) in members {
        match member {
            Json::Null => {}
            Json::Object(object) if object.is_empty() => {}
            Json::Array(elements) if elements.is_empty() => {}
            Json::Object(_) | Json::Array(_) => {
                lines.push(format!("{indent}{name}"));
                lines.extend(outline(member, depth + 1));
            }
            Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                lines.push(format!("{indent}{name}: {}", plain(member)));
            }
        }
    }
    lines
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_text(), str::to_owned)
}

pub(crate) async fn verify(options: Check) -> Result<(), Failure> {
    let store = open(&options.config).await?;
    let failed = |error| Failure::Other(format!("the evidence cannot be read: {error}"));
    let mut broken = false;
    for writer in store.writers().await.map_err(failed)? {
        let mut texts = Vec::new();
        loop {
            let from = u64::try_from(texts.len()).unwrap_or(u64::MAX);
            let page = store.chain(writer, from, CHAIN_PAGE).await.map_err(failed)?;
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

async fn open(config: &WithConfig) -> Result<SqliteStore, Failure> {
    let config = config.load()?;
    SqliteStore::open_read_only(&config.store)
        .await
        .map_err(|error| Failure::Other(error.to_string()))
}
