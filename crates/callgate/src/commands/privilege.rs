//! `callgate privilege report`: who may do what, what they did, and how they could have less. Works while a gateway runs.

use std::collections::BTreeSet;
use std::path::Path;

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::caller::Caller;
use callgate_model::json::{Json, Object};
use callgate_model::target::Resource;
use callgate_store::{AuthorityStore as _, EvidenceStore as _, SqliteStore};

use super::office::unread;
use crate::ambient::Machine;
use crate::assemble::{self, Parts};
use crate::cli::Failure;
use crate::cli::authority::PrivilegeReport;
use crate::config::Config;
use crate::print;
use crate::privilege::{Asking, Finding, Holding, Known, Report, Usage};

/// Records that are read in one go.
const PAGE: u32 = 1_000;
/// Places of one holding that are printed.
const SHOWN: usize = 6;

pub(crate) async fn report(options: PrivilegeReport) -> Result<(), Failure> {
    let config = options.config.load()?;
    let Parts { bundle, vocabulary, .. } = assemble::parts(&config)?;
    let store =
        SqliteStore::open_read_only(&config.store).await.map_err(|error| error.to_string())?;
    let now = Machine.now();
    let since = now.unix_ms().saturating_sub(i64::from(options.days) * 86_400_000);
    let usage = usage(&store, &config, Timestamp::from_unix_ms(since)).await?;
    let mut places: BTreeSet<Resource> = bundle.places().collect();
    places.extend(usage.places());
    let asking = Asking {
        bundle: &bundle,
        vocabulary: &vocabulary,
        servers: config.servers.keys().cloned().collect(),
        places,
    };
    let known = Known {
        now,
        days: options.days,
        asking,
        usage,
        tokens: store.tokens(Some(now)).await.map_err(unread)?,
        grants: store.grants(Some(now)).await.map_err(unread)?,
        revocations: store.revocations().await.map_err(unread)?,
        secrets: store.secrets().await.map_err(unread)?,
        registered: registered(&config),
        files: files(&config),
    };
    let report = known.report();
    if options.csv {
        csv(&report);
    } else if options.json {
        json(&report);
    } else {
        text(&report);
    }
    Ok(())
}

/// What the evidence says since then. Every writer's chain is read from its beginning.
async fn usage(store: &SqliteStore, config: &Config, since: Timestamp) -> Result<Usage, Failure> {
    let mut usage = Usage::default();
    config.tokens.values().for_each(|caller| usage.know(caller));
    for writer in store.writers().await.map_err(unread)? {
        let mut from = 0;
        loop {
            let texts = store.chain(writer, from, PAGE).await.map_err(unread)?;
            texts.iter().for_each(|text| usage.note(text, since));
            let read = u64::try_from(texts.len()).unwrap_or(u64::MAX);
            from += read;
            if read < u64::from(PAGE) {
                break;
            }
        }
    }
    Ok(usage)
}

/// Agents and clients that an operator has named.
fn registered(config: &Config) -> BTreeSet<String> {
    let of_token = |caller: &Caller| {
        let agent = caller.agent.as_ref().map(|agent| agent.identity.to_string());
        [agent, Some(caller.client.name.clone())].into_iter().flatten()
    };
    let mut names: BTreeSet<String> = config.tokens.values().flat_map(of_token).collect();
    for issuer in &config.issuers {
        for (id, agent) in issuer.agents() {
            names.insert(format!("{}/{id}", issuer.name()));
            names.extend(agent.name.clone());
        }
    }
    names
}

/// The files of secrets that the configuration names.
fn files(config: &Config) -> Vec<(String, Option<Timestamp>)> {
    let written = |path: &Path| {
        let since = std::fs::metadata(path).ok()?.modified().ok()?;
        let since = since.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_unix_ms(i64::try_from(since.as_millis()).ok()?))
    };
    let files = config.secret_files.iter();
    files.map(|path| (path.display().to_string(), written(path))).collect()
}

fn json(report: &Report) {
    let holdings: Vec<Json> = report.holdings.iter().map(|one| one.to_json().into()).collect();
    let findings: Vec<Json> = report.findings.iter().map(Finding::to_json).collect();
    let all = Object::default().with("holdings", holdings).with("findings", findings);
    print::json(&all.into());
}

fn csv(report: &Report) {
    print::line("kind,id,name,owner,operation,place,may,calls,findings");
    for one in &report.holdings {
        let codes: BTreeSet<_> = one.findings.iter().map(|finding| finding.code).collect();
        let codes = codes.into_iter().collect::<Vec<_>>().join(" ");
        let owner = one.owner.clone().unwrap_or_default();
        for [operation, place, may, calls] in one.rows() {
            let cells =
                [one.kind, &one.id, &one.name, &owner, &operation, &place, &may, &calls, &codes];
            print::line(&cells.map(cell).join(","));
        }
    }
}

/// A cell as RFC 4180 has it. What a spreadsheet would take for a formula is text.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn text(report: &Report) {
    if report.holdings.is_empty() {
        print::note("nobody has authority that is known here");
    }
    for one in &report.holdings {
        block(one);
    }
    if !report.findings.is_empty() {
        print::line("secrets that servers are called with");
        report.findings.iter().for_each(finding);
    }
}

fn block(one: &Holding) {
    let safe = |text: String| print::line(&print::safe(&text));
    let owner = one.owner.as_ref().map(|owner| format!("  (of {owner})")).unwrap_or_default();
    safe(format!("{} {}{owner}", one.kind, one.name));
    if one.id != one.name {
        safe(format!("  id      {}", one.id));
    }
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let times = [("made", at(one.made)), ("ends", at(one.ends)), ("used", at(one.used))];
    let times: Vec<_> =
        times.into_iter().filter_map(|(name, at)| Some(format!("{name} {}", at?))).collect();
    if !times.is_empty() {
        safe(format!("  times   {}", times.join(", ")));
    }
    let unused = one.reach.unused(&one.usage);
    safe(format!(
        "  may     {} operations at {} places; {unused} of them unused",
        one.reach.count(),
        one.reach.places()
    ));
    safe(format!("  did     {} calls", one.usage.count()));
    let did = one.usage.most();
    for ((operation, place), count) in did.iter().take(SHOWN) {
        safe(format!("          {count:>6}  {operation}  {place}"));
    }
    if did.len() > SHOWN {
        safe(format!("          and {} more (--json has all)", did.len() - SHOWN));
    }
    one.findings.iter().for_each(finding);
    if let Some(narrowing) = &one.narrowing {
        print::line("  could be");
        for line in narrowing.lines() {
            safe(format!("    {line}"));
        }
    }
    print::line("");
}

fn finding(finding: &Finding) {
    print::line(&print::safe(&format!("  {}    {}", finding.code, finding.text)));
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_spreadsheet_runs_nothing_of_it() {
        for (text, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("-1", "'-1"),
            ("@x", "'@x"),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
