//! The program. What it does is in the library, so that tests can do it a thousand times.

use std::io;
use std::process::ExitCode;

use callgate_verify::{Options, run};
use clap::Parser as _;

fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    run(&Options::parse(), &mut out, &mut err).code()
}
