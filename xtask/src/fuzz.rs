//! Runs the fuzz targets under libFuzzer, some at a time. It must not know what they check.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::{run_with, say};

/// Seeds that are kept in the repository, a folder for each target.
const CORPUS: &str = "fuzz/corpus";
const SECONDS: u32 = 10;
/// The longest run that is the same each time, for all that is in our hands.
const SHORT_SECONDS: u32 = 10;
/// For one input, in seconds; what takes longer is as bad as a crash.
const INPUT_SECONDS_MAX: u32 = 5;
const INPUT_BYTES_MAX: u32 = 8192;
const MEMORY_MB_MAX: u32 = 512;

/// `cargo xtask fuzz [TARGET…] [--seconds N]`.
pub(crate) fn fuzz(arguments: &[String]) -> Result<(), String> {
    let (mut names, seconds) = read(arguments)?;
    let known = targets()?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!("`{unknown}` is no target; there are {}", known.join(", ")));
    }
    if names.is_empty() {
        names = known;
    }
    let program = build()?;
    let at_a_time = thread::available_parallelism().map_or(1, usize::from);
    let (waiting, failed) = (Mutex::new(names), AtomicBool::new(false));
    let work = || {
        while let Some(name) = waiting.lock().ok().and_then(|mut names| names.pop()) {
            let done = run_one(&program, &name, seconds);
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
            say(&done.unwrap_or_else(|failure| failure));
        }
    };
    thread::scope(|scope| (0..at_a_time).for_each(|_| drop(scope.spawn(work))));
    if failed.into_inner() { Err("failed: fuzz".to_owned()) } else { Ok(()) }
}

fn read(arguments: &[String]) -> Result<(Vec<String>, u32), String> {
    let (mut names, mut seconds) = (Vec::new(), SECONDS);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|number| number.parse().ok());
            // To libFuzzer, 0 is without end.
            seconds = number.filter(|n| *n > 0).ok_or("`--seconds` wants a number")?;
        } else {
            names.push(word.clone());
        }
    }
    Ok((names, seconds))
}

fn targets() -> Result<Vec<String>, String> {
    let folders =
        fs::read_dir(root().join(CORPUS)).map_err(|error| format!("{CORPUS}: {error}"))?;
    let names = folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    Ok(names)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Builds the program that has all targets. It is built together with the product, of which nothing but what the
/// targets need is made: so it wants the same features of what both use, and none of that is built twice.
fn build() -> Result<PathBuf, String> {
    let instrument = root().join("fuzz/instrument");
    let instrument = instrument.to_str().ok_or("this folder has no name in UTF-8")?;
    let packages = ["--package", "callgate", "--package", "callgate-fuzz"];
    let program = ["--features", "callgate-fuzz/libfuzzer", "--bin", "fuzz"];
    run_with(
        "cargo",
        &[&["build"][..], &packages, &program].concat(),
        &[("RUSTC_WORKSPACE_WRAPPER", instrument)],
    )?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(this.with_file_name("fuzz"))
}

/// One line about it; the failure has more, and the path of the input.
fn run_one(program: &Path, name: &str, seconds: u32) -> Result<String, String> {
    let kept = program.with_file_name("fuzz-corpus").join(name);
    let failures = program.with_file_name("fuzz-failures").join(name);
    for folder in [&kept, &failures] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let begun = Instant::now();
    let output = Command::new(program)
        .arg(format!("--target={name}"))
        .arg(format!("-max_total_time={seconds}"))
        // A short run looks at the same inputs each time: it is for what has changed here.
        .args((seconds <= SHORT_SECONDS).then_some("-seed=1"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .arg(format!("-artifact_prefix={}/", failures.display()))
        // What is new goes to the first of the folders.
        .arg(&kept)
        .arg(root().join(CORPUS).join(name))
        .output()
        .map_err(|error| format!("`{}` cannot be run: {error}", program.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name}: failed\n{}", failure(&log)));
    }
    let (first, last) = coverage(&log).ok_or_else(|| format!("{name}: no coverage\n{log}"))?;
    let runs = log.lines().find_map(|line| line.strip_prefix("Done ")?.split(' ').next());
    let (runs, time) = (runs.unwrap_or("?"), begun.elapsed().as_secs());
    Ok(format!("{name:<8} {runs:>9} runs, coverage {first} -> {last}, {time} s"))
}

/// Of the corpus as it was, and at the end.
fn coverage(log: &str) -> Option<(u32, u32)> {
    let mut all = log.lines().filter_map(|line| {
        let (_, after) = line.split_once(" cov: ")?;
        after.split(' ').next()?.parse().ok()
    });
    let first = all.next()?;
    Some((first, all.next_back().unwrap_or(first)))
}

/// What a person needs of libFuzzer's log: the words of the panic, and where the input is.
fn failure(log: &str) -> String {
    let is_said = |line: &&str| !line.starts_with('#') && !line.starts_with("INFO:");
    let panicked = log.lines().skip_while(|line| !line.contains("panicked at"));
    let said = panicked.take_while(|line| !line.starts_with("stack backtrace")).take(20);
    let input = log.lines().filter(|line| line.contains("ERROR:") || line.contains("written to"));
    said.filter(is_said).chain(input).collect::<Vec<_>>().join("\n")
}
