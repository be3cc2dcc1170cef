//! What it is asked.

use std::path::PathBuf;

use callgate_model::ambient::Id;
use callgate_model::transparency::{Verifier, Witness};
use clap::Parser;

const AFTER: &str = "Exit status:
  0  verified: every record is as it was signed, and the rules are kept
  1  broken: the first broken place is named
  2  it cannot be read, or was asked wrongly
  3  verified, but incomplete: calls are open or not settled, payloads are not there,
     or a witness has not cosigned";

/// Checks an export of Callgate's evidence: offline, and trusting nothing but the keys that it is given.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER)]
pub struct Options {
    /// The folder of the export.
    #[arg(required_unless_present = "proof")]
    pub folder: Option<PathBuf>,
    /// A key of the log, NAME+HASH+KEY. Several, if the log has changed its key: each that signed any checkpoint.
    #[arg(long = "key", value_name = "VKEY", required = true, value_parser = key)]
    pub keys: Vec<Verifier>,
    /// A checkpoint that was noted before, or a file of them, each on a line as a JSON string. The export has to go on from it: a log that was cut off or made anew does not.
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    pub against: Vec<PathBuf>,
    /// The key of a witness that has to have cosigned.
    #[arg(long = "witness", value_name = "VKEY", value_parser = witness)]
    pub witnesses: Vec<Witness>,
    /// Prove that this record is in the log: the proof on standard output, what the record says on standard error.
    #[arg(long, value_name = "N", conflicts_with_all = ["call", "proof"])]
    pub record: Option<u64>,
    /// Show every record of this call.
    #[arg(long, value_name = "UUID", conflicts_with = "proof", value_parser = call)]
    pub call: Option<Id>,
    /// Check a proof alone, without the export.
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    pub proof: Option<PathBuf>,
    /// Say everything as one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

fn key(text: &str) -> Result<Verifier, String> {
    Verifier::parse(text).map_err(|error| error.to_string())
}

fn witness(text: &str) -> Result<Witness, String> {
    Witness::parse(text).map_err(|error| error.to_string())
}

fn call(text: &str) -> Result<Id, String> {
    Id::parse(text).ok_or_else(|| "expected the UUID of a call".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn options_that_make_no_sense_are_refused() {
        Options::command().debug_assert();
        let read = |words: &[&str]| Options::try_parse_from([&["callgate-verify"], words].concat());
        assert!(read(&["folder", "--key", KEY]).is_ok());
        assert!(read(&["--proof", "file", "--key", KEY]).is_ok());
        for words in [
            &["folder"][..],
            &["--key", KEY],
            &["folder", "--key", "no key"],
            &["folder", "--key", KEY, "--witness", KEY],
            &[
                "folder",
                "--key",
                KEY,
                "--record",
                "1",
                "--call",
                "019acb5e-8b1c-7d5e-a1c4-000000000001",
            ],
            &["folder", "--key", KEY, "--record", "-1"],
            &["folder", "--key", KEY, "--call", "1"],
            &["folder", "--key", KEY, "--proof", "file"],
        ] {
            assert_eq!(read(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
