//! Installs the foreign software that the tests use, so that no test has to wait for it.

use std::process::ExitCode;

use callgate_tests::install::{conformance, default_directory, node, python};

fn main() -> ExitCode {
    let directory = default_directory();
    let installed =
        python(&directory).and_then(|_| node(&directory)).and_then(|_| conformance(&directory));
    match installed {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "this is a program for people")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
