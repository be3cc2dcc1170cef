//! `callgate doctor`: what is wrong with a gateway, or soon will be, and what would help.

use callgate_model::json::{Json, Object};

use crate::ambient::Machine;
use crate::cli::{Check, Failure};
use crate::doctor::{self, Finding, Level};
use crate::print;

/// Where what is found begins on a line.
const INDENT: usize = 24;
/// How many characters of it are on a line.
const WIDTH: usize = 92;

pub(crate) async fn run(options: Check) -> Result<(), Failure> {
    let found = Box::pin(doctor::examine(&options.config.config, &Machine)).await;
    let count = |level| found.iter().filter(|finding| finding.level == level).count();
    let (ok, warnings, problems) = (count(Level::Ok), count(Level::Warning), count(Level::Problem));
    if options.json {
        let all: Vec<Json> = found.iter().map(object).collect();
        print::json(&Object::default().with("ok", problems == 0).with("findings", all).into());
    } else {
        found.iter().for_each(told);
        let plural = |count| if count == 1 { "" } else { "s" };
        print::line(&format!(
            "\n{ok} ok, {warnings} warning{}, {problems} problem{}",
            plural(warnings),
            plural(problems)
        ));
    }
    if problems == 0 { Ok(()) } else { Err(Failure::No) }
}

fn told(finding: &Finding) {
    let Finding { check, level, text, remedy } = finding;
    let mut lines = wrapped(&print::safe(text), WIDTH).into_iter();
    let first = lines.next().unwrap_or_default();
    print::line(&format!("{:<8} {check:<14} {first}", level.as_str()));
    lines.for_each(|line| print::line(&format!("{:INDENT$}{line}", "")));
    let remedy = remedy.iter().flat_map(|remedy| remedy.lines());
    let remedy = remedy.flat_map(|line| wrapped(&print::safe(line), WIDTH - 3));
    for (line, mark) in remedy.zip(std::iter::once("->").chain(std::iter::repeat("  "))) {
        print::line(&format!("{:INDENT$}{mark} {line}", ""));
    }
}

/// Lines of whole words, of at most so many characters each unless a word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn object(finding: &Finding) -> Json {
    Object::default()
        .with("check", finding.check)
        .with("level", finding.level.as_str())
        .with("text", finding.text.as_str())
        .with("remedy", finding.remedy.clone())
        .into()
}
