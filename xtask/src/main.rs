//! The project's own commands: `cargo xtask test`, `cargo xtask check`, `cargo xtask fuzz`, `cargo xtask bench`.

mod dist;
mod fuzz;
mod postgres;
mod sbom;

use std::process::{Command, ExitCode};
use std::{env, fs};

use postgres::Postgres;

const USAGE: &str = "\
cargo xtask test [ARGS]   install what the tests need, then run all of them; ARGS go to the test runner
cargo xtask check         format, lints, documentation, licences and bans, unused dependencies
cargo xtask fuzz [TARGET…] [--seconds N]
                          what must hold for any bytes, with bytes that libFuzzer makes; 10 seconds for each target
cargo xtask bench [ARGS]  the benchmarks; they compare in one run; `idle` or `identity` for only that
cargo xtask dist [--built FOLDER]
                          an archive of a release with a bill of materials, in target/dist; the same bytes whoever makes it
cargo xtask docs          write the generated reference pages anew
";

/// The package of the foreign client and the foreign server that are made with the Rust SDK.
const RUST_SDK: &str = "callgate-tests-rmcp";

/// The feature of the program that tests let crash.
const FAIL_POINTS: &str = "callgate-store/fail-points";
/// Where programs are built.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug");

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match command.as_str() {
        "test" => test(&rest),
        "check" => check(),
        "fuzz" => fuzz::fuzz(&rest),
        "bench" => bench(&rest),
        "dist" => dist::dist(&rest),
        "docs" => docs(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&message);
            ExitCode::FAILURE
        }
    }
}

fn test(arguments: &[String]) -> Result<(), String> {
    // Foreign clients and servers, into `target/foreign`; quick if they are there.
    run("cargo", &["run", "--quiet", "--package", "callgate-tests", "--bin", "install"])?;
    failing_program()?;
    // The black-box tests run the program as it is.
    run("cargo", &["build", "--package", "callgate", "--package", "callgate-verify"])?;
    // They also run what is made with the Rust SDK. It is always built alone: the features that the SDK wants of crates
    // that are ours too would have most of the workspace built once more, and tested with what is not in the program.
    run("cargo", &["build", "--package", RUST_SDK])?;
    let ours = ["--workspace", "--exclude", RUST_SDK];
    let rest: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Postgres::start()?;
    let url = server.url();
    let environment = [("TEST_POSTGRES_URL", url.as_str())];
    // What is ignored is what needs a server.
    if has("nextest") {
        let all = ["nextest", "run", "--run-ignored", "all"];
        run_with("cargo", &[&all[..], &ours, &rest].concat(), &environment)?;
    } else {
        let separator = if rest.contains(&"--") { &[][..] } else { &["--"][..] };
        let all = [separator, &["--include-ignored"][..]].concat();
        let tests = [&["test", "--all-targets"][..], &ours, &rest, &all].concat();
        run_with("cargo", &tests, &environment)?;
    }
    drop(server);
    if arguments.is_empty() {
        run("cargo", &[&["test", "--doc"][..], &ours].concat())?;
    }
    Ok(())
}

/// The program that can be made to end at any point of the way of a call, beside the one that cannot. Both are built from what
/// is built already, but for two crates.
fn failing_program() -> Result<(), String> {
    let packages = ["--package", "callgate", "--package", "callgate-verify"];
    let features = ["--features", FAIL_POINTS];
    run("cargo", &[&["build"][..], &packages, &features].concat())?;
    let [built, failing] = ["callgate", "callgate-fail-points"]
        .map(|name| format!("{BUILT}/{name}{}", env::consts::EXE_SUFFIX));
    fs::copy(&built, &failing).map_err(|error| format!("`{failing}` cannot be made: {error}"))?;
    Ok(())
}

fn check() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // What is in the program that tests let crash, and in no other.
    let failing = ["clippy", "--package", "callgate-store", "--features", FAIL_POINTS];
    run("cargo", &[&failing[..], &["--", "-D", "warnings"]].concat())?;
    run_with("cargo", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    for (tool, arguments) in [
        ("deny", &["deny", "check", "bans", "licenses", "sources"][..]),
        ("machete", &["machete"][..]),
    ] {
        if has(tool) {
            run("cargo", arguments)?;
        } else {
            say(&format!("skipped: cargo-{tool} is not installed (cargo install cargo-{tool})"));
        }
    }
    Ok(())
}

fn bench(arguments: &[String]) -> Result<(), String> {
    run("cargo", &["build", "--release", "--package", "callgate"])?;
    let rest: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(
        "cargo",
        &[&["run", "--release", "--package", "callgate-benches", "--"][..], &rest].concat(),
    )?;
    if rest == ["idle"] || rest == ["identity"] {
        return Ok(());
    }
    say("a decision alone, in one process:");
    run("cargo", &["run", "--release", "--package", "callgate-policy", "--example", "growth"])?;
    // What it costs to find what a call touches.
    run("cargo", &["run", "--release", "--package", "callgate-gateway", "--example", "touched"])?;
    say("finding a grant, and spending a use of it, in one process:");
    let example = ["run", "--release", "--package", "callgate-store", "--features", "testing"];
    run("cargo", &[&example[..], &["--example", "grants"]].concat())?;
    // Evidence, and how what it costs grows with it.
    run("cargo", &[&example[..], &["--example", "throughput"]].concat())?;
    run("cargo", &[&example[..], &["--example", "scale"]].concat())
}

fn docs() -> Result<(), String> {
    run_with("cargo", &["test", "--package", "callgate", "generated"], &[("UPDATE", "1")])
}

fn has(subcommand: &str) -> bool {
    Command::new("cargo")
        .args([subcommand, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    run_with(program, arguments, &[])
}

fn run_with(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    say(&format!("$ {program} {}", arguments.join(" ")));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("failed: {program} {}", arguments.join(" ")))
    }
}

#[expect(clippy::print_stderr, reason = "this is a program for people")]
fn say(message: &str) {
    eprintln!("{message}");
}
