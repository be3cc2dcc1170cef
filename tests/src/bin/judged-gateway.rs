//! A gateway and a client of it, which the conformance suite takes for one client: what it judges is the gateway's
//! client half.
//!
//! The last argument is the address of the suite's server, those before it are the command of the client, which gets the
//! gateway's address instead. It must not know what a scenario is about.

use std::io::{self, Write as _};
use std::process::{ExitCode, Stdio};

use callgate_tests::gateway::{Gateway, Setup};
use tokio::process::Command;

/// The tools of the suite's servers, those that no client may call among them: that they are not called must not be for
/// the want of a class.
const TOOLS: [&str; 26] = [
    "add_numbers",
    "invalid_array_header",
    "invalid_colon_in_name",
    "invalid_control_char_name",
    "invalid_duplicate_diff_case",
    "invalid_duplicate_same_case",
    "invalid_empty_header",
    "invalid_non_ascii_name",
    "invalid_null_header",
    "invalid_number_header",
    "invalid_object_header",
    "invalid_space_in_name",
    "json_schema_2020_12_tool",
    "json_schema_echo",
    "lookup_user",
    "my-hyphenated-tool",
    "test_client_elicitation_defaults",
    "test_custom_headers",
    "test_custom_headers_null",
    "test_headers",
    "test_mrtr_echo_state",
    "test_mrtr_no_result_type",
    "test_mrtr_no_state",
    "test_mrtr_unrelated",
    "test_reconnection",
    "valid_tool",
];

const CATALOG: &str = r#"
format = 1
name = "judging"
version = "1"
about = "The servers that the MCP conformance suite judges clients with"

[target."Fixture::Server"]
"#;

const EVERYTHING: &str = r#"
@id("everything") @reason("The suite tests the protocol, not the policy") @owner("tests")
permit(principal, action, resource);
"#;

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    if is_about_logging_in() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    let (Some(url), [program, rest @ ..]) = (arguments.pop(), arguments.as_slice()) else {
        return Err(io::Error::other("usage: judged-gateway CLIENT... URL"));
    };
    let gateway = before(&url).await?;
    let client = Command::new(program)
        .args(rest)
        .arg(gateway.url("judging"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await?;
    // What the suite keeps of a client says what went wrong.
    io::stderr().write_all(gateway.output().as_bytes())?;
    Ok(if client.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The gateway logs in to no server by itself: it has a credential, or none.
fn is_about_logging_in() -> bool {
    let scenario = std::env::var_os("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    scenario.to_string_lossy().starts_with("auth/")
}

/// A gateway in front of the server at `url`. It finds out by itself how that speaks.
async fn before(url: &str) -> io::Result<Gateway> {
    let tools = TOOLS.map(|tool| {
        format!(
            "[tool.{tool}]\ntitle = \"{tool}\"\neffect = \"read\"\nrisk = \"low\"\n\
             reversibility = \"reversible\"\n\
             targets = [{{ kind = \"Fixture::Server\", id = \"fixture\" }}]\n"
        )
    });
    Setup::default()
        .danger_anonymous("the-suite")
        .section("[catalogs]\nfiles = [\"judging.toml\"]\n")
        .section(&format!(
            "[servers.judging]\nurl = \"{url}\"\ncatalog = \"judging\"\ntools = \"any\"\n"
        ))
        .file("judging.toml", &format!("{CATALOG}{}", tools.concat()))
        .file("policies/permits/everything.cedar", EVERYTHING)
        .start()
        .await
}
