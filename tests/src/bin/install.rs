//! Installs the foreign software that the tests use, so that no test has to wait for it.

use std::process::ExitCode;

use callgate_tests::install::{all, default_directory};

fn main() -> ExitCode {
    match all(&default_directory()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "this is a program for people")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
