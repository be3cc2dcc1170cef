//! `callgate privilege report`: who may do what, what they did, and how they could have less. Works while a gateway runs.

use std::path::Path;
use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Timestamp};

use super::office::unread;
use crate::ambient::Machine;
use crate::assemble::{self, Parts};
use crate::cli::Failure;
use crate::cli::authority::PrivilegeReport;
use crate::config::Config;
use crate::database;
use crate::print;
use crate::privilege::{Configured, Finding, Holding, Known, Report, Span};

/// Places of one holding that are printed.
const SHOWN: usize = 6;

pub(crate) async fn report(options: PrivilegeReport) -> Result<(), Failure> {
    let config = options.config.load()?;
    let Parts { bundle, vocabulary, .. } = assemble::parts(&config)?;
    let store = database::open_read_only(&config.store).await?;
    let span = Span { now: Machine.now(), days: options.days, records_max: None, places_max: None };
    let rules = (Arc::new(bundle), Arc::new(vocabulary));
    let known = Known::gather((&*store, &*store), &Configured::of(&config), rules, span).await;
    let known = Known { files: secret_files(&config), ..known.map_err(unread)? };
    let report = known.report();
    if options.csv {
        report.csv().iter().for_each(|line| print::line(line));
    } else if options.json {
        print::json(&report.to_json().into());
    } else {
        text(&report);
    }
    Ok(())
}

/// The files of secrets that the configuration names.
pub(super) fn secret_files(config: &Config) -> Vec<(String, Option<Timestamp>)> {
    let written = |path: &Path| {
        let since = std::fs::metadata(path).ok()?.modified().ok()?;
        let since = since.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_unix_ms(i64::try_from(since.as_millis()).ok()?))
    };
    let files = config.secret_files.iter();
    files.map(|path| (path.display().to_string(), written(path))).collect()
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
    let gated = match one.reach.gated() {
        0 => String::new(),
        gated => format!(", {gated} of them with an approval only"),
    };
    let unused = one.reach.unused(&one.usage);
    safe(format!(
        "  may     {} operations at {} places{gated}; {unused} of them unused",
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
