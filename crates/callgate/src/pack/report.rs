//! What people read of a pack: the report, how to check everything, and the keys.

use askama::Template;
use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, Object};
use callgate_model::transparency::Verifier;

use super::Gathered;
use super::controls::{Frameworks, Status};
use super::counts::{ERASED, HOUR_MS, Split, Splits, Tally};
use super::figures::Figures;
use super::files::Files;
use super::left_out::LeftOut;
use super::population::Proved;
use super::standing::Standing;
use crate::cli::Failure;
use crate::console::chart::{Chart, Series};
use crate::habits::TIMES_S;
use crate::print::approval::duration;
use crate::print::safe;

const VERDICTS: &[Series] =
    &[("allow", "allowed"), ("approval_required", "approval required"), ("deny", "denied")];
const SAID: &[Series] = &[("allow", "approved"), ("deny", "denied")];
/// Bars of a chart over time.
const BARS_MAX: i64 = 62;
/// Hours that a bar may be of; more, if these are not enough.
const STEPS: [i64; 9] = [1, 3, 6, 12, 24, 48, 7 * 24, 14 * 24, 28 * 24];
/// Hours without anything before the first decision that are drawn.
const HOURS_BEFORE_MAX: i64 = 400 * 24;
/// Rows of a table of the most frequent.
const TOP: usize = 10;
/// Findings that are told; the files have all.
const TOLD_MAX: usize = 50;

/// A number with what it counts.
struct Tile {
    value: u64,
    words: &'static str,
}

/// The most frequent of a sort.
struct Top {
    title: &'static str,
    rows: Vec<(String, [u64; 3])>,
    left: usize,
}

/// A change of a policy.
struct PolicyChange {
    at: String,
    what: &'static str,
    policy: String,
    owner: String,
}

#[derive(Template)]
#[template(path = "pack/report.html")]
struct Report<'a> {
    from: String,
    to: String,
    made: String,
    origin: String,
    versions: String,
    size: u64,
    root: String,
    signed_at: String,
    /// What is wrong with the log, if anything is.
    problem: Option<String>,
    /// Whether records of the period are still to come, or to be signed.
    is_early: bool,
    tiles: Vec<Tile>,
    charts: Vec<Chart>,
    tops: Vec<Top>,
    reasons: Vec<(String, u64)>,
    median_s: String,
    approvals: Vec<Tile>,
    latency: Option<Chart>,
    changes: Vec<PolicyChange>,
    changes_left: u64,
    findings: Vec<(String, String, String)>,
    findings_left: usize,
    open: Vec<Vec<String>>,
    dangers: Vec<String>,
    left_out: Vec<LeftOut>,
    frameworks: &'a Frameworks,
    style: &'static str,
}

impl Report<'_> {
    /// Whether something of the period is missing.
    fn is_partial(&self) -> bool {
        self.left_out.iter().any(|one| one.is_missing)
    }
}

#[derive(Template)]
#[template(path = "pack/readme.md", escape = "none")]
struct Readme {
    origin: String,
    from: String,
    to: String,
    made: String,
    size: u64,
    root: String,
    sample: String,
}

/// Writes them.
pub(super) fn write(
    files: &Files,
    gathered: &Gathered,
    standing: &Standing,
    figures: &Figures,
    frameworks: &Frameworks,
    (keys, proved, left_out): (&[Verifier], &Proved, Vec<LeftOut>),
) -> Result<(), Failure> {
    let rendered = |error: askama::Error| Failure::Other(format!("the report: {error}"));
    let mut report = report(gathered, standing, figures, frameworks);
    report.left_out = left_out.into_iter().filter(|one| one.count > 0).collect();
    report.open = proved.open.iter().chain(&proved.unsettled).map(not_over).collect();
    let report = report.render().map_err(rendered)?;
    files.text("report.html", &report)?;
    let drawn = if gathered.decisions.is_of_root(gathered) {
        "the root of the log"
    } else {
        "the seed that was given"
    };
    let readme = Readme {
        origin: safe(&gathered.signed.origin),
        from: gathered.period.from.to_string(),
        to: gathered.period.to.to_string(),
        made: gathered.made.to_string(),
        size: gathered.signed.kept.size,
        root: gathered.signed.root.to_string(),
        sample: drawn.to_owned(),
    };
    files.text("README.md", &readme.render().map_err(rendered)?)?;
    files.text("keys.txt", &keys_text(gathered, keys))
}

/// The keys, one a line; those that only the log itself names are no keys to trust, so they are comments.
fn keys_text(gathered: &Gathered, keys: &[Verifier]) -> String {
    let mut text = "# The public keys of the log. Compare them with what you were given by another way: whoever can give you\n\
                    # a false pack can give you a false key with it.\n".to_owned();
    let own: Vec<String> = keys.iter().map(Verifier::to_string).collect();
    own.iter().for_each(|key| text.extend([key, "\n"]));
    for key in gathered.configurations.keys() {
        if !own.iter().any(|known| known == key) {
            text.extend(["# Named by the log itself, and configured no more: ", &safe(key), "\n"]);
        }
    }
    text
}

fn report<'a>(
    gathered: &Gathered,
    standing: &Standing,
    figures: &Figures,
    frameworks: &'a Frameworks,
) -> Report<'a> {
    let Gathered { period, made, signed, counts, policies, .. } = gathered;
    let of = |name: &str| figures.get(name).unwrap_or_default();
    let changes = policies.told.iter().map(|one| PolicyChange {
        at: moment(one.at),
        what: one.what,
        policy: safe(&one.policy),
        owner: safe(&one.owner),
    });
    let (findings, findings_left) = findings(standing);
    Report {
        from: moment(period.from),
        to: moment(period.to),
        made: moment(*made),
        origin: safe(&signed.origin),
        versions: safe(&gathered.configurations.versions().join(", ")),
        size: signed.kept.size,
        root: signed.root.to_string(),
        signed_at: moment(signed.kept.at),
        problem: gathered.verified.as_ref().err().map(|problem| safe(problem)),
        is_early: gathered.is_early(),
        tiles: tiles(&of),
        charts: [over_time(gathered), effects(&counts.effects)].into_iter().flatten().collect(),
        tops: vec![
            top("Agents", &counts.agents),
            top("People and service accounts", &counts.people),
            top("Tools", &counts.tools),
            top("Servers", &counts.servers),
        ],
        reasons: reasons(&counts.reasons),
        median_s: duration(of("approvals_median_s")),
        approvals: approval_tiles(&of),
        latency: latency(gathered),
        changes_left: policies
            .changed
            .saturating_sub(u64::try_from(policies.told.len()).unwrap_or(u64::MAX)),
        changes: changes.collect(),
        findings,
        findings_left,
        open: Vec::new(),
        dangers: gathered.configurations.dangers().iter().map(|danger| safe(danger)).collect(),
        left_out: Vec::new(),
        frameworks,
        style: include_str!("../../templates/pack/style.css"),
    }
}

fn tiles(of: &impl Fn(&str) -> u64) -> Vec<Tile> {
    [
        ("records", "records"),
        ("calls", "calls to servers decided"),
        ("allowed", "decisions to allow"),
        ("waiting", "answers: approval required"),
        ("denied", "denials"),
        ("indeterminate", "outcomes that nobody knows"),
        ("unsettled", "calls to be settled, of all time"),
        ("records_erased", "records erased"),
    ]
    .map(|(name, words)| Tile { value: of(name), words })
    .into()
}

fn approval_tiles(of: &impl Fn(&str) -> u64) -> Vec<Tile> {
    [
        ("approvals_asked", "asked for"),
        ("approvals_used", "used by a call"),
        ("approvals_denied", "denied"),
        ("approvals_expired", "expired"),
        ("approvals_withdrawn", "withdrawn"),
        ("approvals_quick", "votes within three seconds"),
        ("approvals_of_own", "votes for a call of one's own"),
        ("approvals_unapproved", "used and not approved"),
        ("approvals_by_passkey", "votes with a passkey"),
        ("glass_broken", "glass broken"),
        ("glass_unreviewed", "broken and not reviewed"),
    ]
    .map(|(name, words)| Tile { value: of(name), words })
    .into()
}

/// Decisions over the period, as far as it has passed; of so many hours together that it can be seen.
fn over_time(gathered: &Gathered) -> Option<Chart> {
    let hours = &gathered.counts.hours;
    let hour = |at: Timestamp| at.unix_ms().div_euclid(HOUR_MS);
    let end = gathered.period.to.min(gathered.made);
    // Whoever asks for all there ever was is shown the time in which there was something.
    let first = hour(gathered.period.from).max(*hours.first_key_value()?.0 - HOURS_BEFORE_MAX);
    let last = hour(end).max(*hours.last_key_value()?.0);
    let least = (last - first) / BARS_MAX + 1;
    let step = STEPS.into_iter().find(|step| *step >= least).unwrap_or(least);
    // Whole days begin at midnight.
    let mut from = first.div_euclid(step) * step;
    let mut bars = Vec::new();
    while from <= last {
        let some = hours.range(from..from + step);
        let sum = some.fold(Split::default(), |sum, (_, one)| sum.with(*one));
        let name = moment(Timestamp::from_unix_ms(from * HOUR_MS));
        bars.push((name.chars().take(16).collect(), sum.counts().to_vec()));
        from += step;
    }
    let what = match step {
        1 => "Decisions by hour".to_owned(),
        24 => "Decisions by day".to_owned(),
        step if step % 24 == 0 => format!("Decisions by {} days", step / 24),
        step => format!("Decisions by {step} hours"),
    };
    Chart::of(&what, VERDICTS, bars)
}

fn effects(all: &Splits) -> Option<Chart> {
    let names = ["read", "write", "share", "delete", "admin", "not_understood", ERASED];
    let bars = names.map(|name| (name.replace('_', " "), all.of(name)));
    let bars = bars.into_iter().filter(|(_, split)| split.sum() > 0);
    let bars = bars.map(|(name, split)| (name, split.counts().to_vec())).collect();
    Chart::of("Decisions by effect", VERDICTS, bars)
}

/// A moment as people read it.
fn moment(at: Timestamp) -> String {
    let text: String = at.to_string().chars().take(19).collect();
    format!("{} UTC", text.replace('T', " "))
}

fn latency(gathered: &Gathered) -> Option<Chart> {
    let all = gathered.approvals.figures();
    let within = |list: &[u64], from: u64, to: u64| {
        let count = list.iter().filter(|ms| (from..to).contains(*ms)).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    let mut from = 0;
    let mut bars = Vec::new();
    for most_s in TIMES_S {
        let to = most_s * 1_000;
        let counts = vec![within(&all.approved_ms, from, to), within(&all.denied_ms, from, to)];
        bars.push((format!("within {}", duration(most_s)), counts));
        from = to;
    }
    let later =
        vec![within(&all.approved_ms, from, u64::MAX), within(&all.denied_ms, from, u64::MAX)];
    bars.push(("later".to_owned(), later));
    Chart::of("How long it took until an approval was decided", SAID, bars)
}

fn top(title: &'static str, all: &Splits) -> Top {
    let most = all.most();
    let rows = most.iter().take(TOP).map(|(name, split)| (safe(name), split.counts()));
    Top { title, rows: rows.collect(), left: most.len().saturating_sub(TOP) }
}

fn reasons(all: &Tally) -> Vec<(String, u64)> {
    all.most().into_iter().map(|(code, count)| (safe(code), count)).collect()
}

/// A call that is not over, as a row.
fn not_over(call: &Object) -> Vec<String> {
    let text = |name: &str| safe(call.get(name).and_then(Json::as_str).unwrap_or_default());
    let who = [text("human"), text("agent")].into_iter().filter(|who| !who.is_empty());
    let who = who.collect::<Vec<_>>().join(" via ");
    vec![text("at"), text("call"), who, text("operation"), text("outcome")]
}

/// What somebody should look at, and how much more there is.
fn findings(standing: &Standing) -> (Vec<(String, String, String)>, usize) {
    let report = &standing.report;
    let of_holdings = report.holdings.iter().flat_map(|one| {
        let who = format!("{} {}", one.kind, one.name);
        one.findings.iter().map(move |finding| (finding.code, who.clone(), &finding.text))
    });
    let others = report.findings.iter().map(|finding| (finding.code, String::new(), &finding.text));
    let all: Vec<_> = of_holdings.chain(others).collect();
    let told = all.iter().take(TOLD_MAX);
    let told = told.map(|(code, who, text)| ((*code).to_owned(), safe(who), safe(text)));
    (told.collect(), all.len().saturating_sub(TOLD_MAX))
}
