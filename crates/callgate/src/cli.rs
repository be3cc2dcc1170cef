//! The command line. Exit codes: 0 well, 1 the answer is no (a case failed, a chain is broken), 2 it could not be done,
//! 64 the configuration is wrong.

pub(crate) mod approvals;
pub(crate) mod authority;
pub(crate) mod backup;
pub(crate) mod evidence;
pub(crate) mod replay;
pub(crate) mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use callgate_store::StoreError;
use clap::{Args, Parser, Subcommand};

use crate::cli::authority::{ById, InForce};
use crate::commands;
use crate::config::{Config, FIRST, Problems};
use crate::print;

/// Decides what every MCP tool call may do, before it reaches the server.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job: a simulated Atlassian site, a gateway before it, an agent that calls.
    Demo(Demo),
    /// Run the gateway.
    Serve(Serve),
    /// Stand between a client that starts its server itself and that server, on standard input and output.
    Wrap(Wrap),
    /// Stand between a client that only knows standard input and output, and a running gateway.
    Bridge(Bridge),
    /// Check configuration, catalogs and policies; tell every problem.
    Check(Check),
    /// Look for what is wrong with a gateway or its surroundings, or soon will be, and say what would help.
    Doctor(Check),
    /// Say whether a gateway answers and can record calls: for a container's health check.
    Health(Health),
    /// Say why a call would be decided so.
    Explain(Explain),
    /// Tools: what servers offer, what that means, and what is approved of it.
    #[command(subcommand)]
    Tools(tools::Tools),
    /// Callers: what chain a token makes.
    #[command(subcommand)]
    Caller(Caller),
    /// Tokens of the gateway's own.
    #[command(subcommand)]
    Token(authority::Token),
    /// Grants: authority for a while and so many calls.
    #[command(subcommand)]
    Grant(authority::Grant),
    /// Approvals: calls that wait for somebody to let them through.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// The console: where people decide in a browser.
    #[command(subcommand)]
    Console(Console),
    /// Secrets that servers are called with in a person's name.
    #[command(subcommand)]
    Secret(authority::Secret),
    /// Let somebody or something in no more, from the next call on.
    Revoke(authority::Revoke),
    /// What was revoked.
    #[command(subcommand)]
    Revocation(authority::Revocation),
    /// Who may do what, what they did, and how they could have less.
    #[command(subcommand)]
    Privilege(authority::Privilege),
    /// Policies: test them against decision cases, or see what they can name.
    #[command(subcommand)]
    Policy(Policy),
    /// Decide recorded calls again, by other policies: what would change, by caller and tool.
    Replay(replay::Replay),
    /// Policies and servers in shadow: what would have been.
    #[command(subcommand)]
    Shadow(replay::Shadow),
    /// The record of what was decided and what came of it.
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// Copy the evidence database to a file, while gateways run, and verify it.
    Backup(backup::Backup),
    /// Put a backup in the place of the evidence database. No gateway may run.
    Restore(backup::Restore),
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after the scripted conversation.
    #[arg(long)]
    pub(crate) once: bool,
    /// Keep configuration, policies and evidence here; else in a temporary folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The port to listen on.
    #[arg(long, default_value_t = 8077)]
    pub(crate) port: u16,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct WithConfig {
    /// The configuration file.
    #[arg(long, default_value = "callgate.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Take the place of the gateway that starts this one, whose socket is standard input.
    #[arg(long, hide = true)]
    pub(crate) take_over: bool,
}

/// Options of `wrap`.
#[derive(Debug, Args)]
pub(crate) struct Wrap {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server, as it is called in the configuration: its catalog and sites are used.
    #[arg(long, value_name = "NAME")]
    pub(crate) server: String,
    /// For whom calls are made: the name of a `danger_static_tokens` entry.
    #[arg(long, value_name = "NAME")]
    pub(crate) caller: String,
    /// The command that starts the server, with the environment of this one; else the configured one.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Options of `bridge`.
#[derive(Debug, Args)]
pub(crate) struct Bridge {
    /// The address of a server at the gateway: `https://gate.example.com/mcp/jira`.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The file with the token; else the variable `CALLGATE_TOKEN` has it.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Allow plain HTTP to another machine.
    #[arg(long)]
    pub(crate) danger_plain_http: bool,
}

/// Options of `check`, and of others that look.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// What to ask.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8077/readyz")]
    pub(crate) url: String,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// A file with the call as JSON, or `-` for standard input: {"caller": "TOKEN NAME" or {"human": …, "groups": […], "agent": …,
    /// "class": …}, "server": …, "tool": …, "arguments": {…}}; in place of tool and arguments, "resource": URI or "prompt": NAME; "grant": {"ticket": …}, if one
    /// would cover it; and what the server would say if it were asked, "found": {THING: CONTAINER} and `looked_up`: {FIELD:
    /// VALUE}.
    #[arg(value_name = "CALL")]
    pub(crate) call: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Caller {
    /// Say who a token's holder is to the gateway and what it opens, or why it is not accepted.
    Show(CallerShow),
}

/// Options of `caller show`.
#[derive(Debug, Args)]
pub(crate) struct CallerShow {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// A file with the token; else it is read from standard input.
    #[arg(value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Console {
    /// Print a link that signs somebody in to the console, once, within ten minutes.
    Link(ConsoleLink),
    /// Who is signed in.
    #[command(subcommand)]
    Sessions(Sessions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List who is signed in: by which way, since when, in which roles, and when they were last seen.
    List(InForce),
    /// Sign somebody out where they have this session.
    End(ById),
}

/// Options of `console link`.
#[derive(Debug, Args)]
pub(crate) struct ConsoleLink {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Whom it signs in: one of `[console.people]`; else `operator`, who sets the gateway up.
    #[arg(long = "for", value_name = "NAME", default_value = FIRST)]
    pub(crate) name: String,
    /// The port that the gateway listens on, if the configuration leaves that to the system.
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Policy {
    /// Run the decision cases of the policy folder's `cases`, or of the files named.
    Test(PolicyTest),
    /// Print the schema that policies are checked against.
    Schema(WithConfig),
}

/// Options of `policy test`.
#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Case files; else those of the policy folder.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration, the catalogs or the policies are wrong.
    Config(Problems),
    /// The answer is no; it has been printed.
    No,
    /// It could not be done.
    Other(String),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(format!("the evidence cannot be read: {error}"))
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl WithConfig {
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.config)?)
    }
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::No) => ExitCode::from(1),
        Err(Failure::Other(text)) => {
            print::note(&format!("error: {text}"));
            ExitCode::from(2)
        }
        Err(Failure::Config(problems)) => {
            print::note(&problems.to_string());
            ExitCode::from(64)
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => block_on(commands::demo::run(options)),
        Command::Serve(options) => block_on(commands::serve::run(options)),
        Command::Bridge(options) => block_on(commands::bridge::run(options)),
        Command::Wrap(options) => block_on(commands::wrap::run(options)),
        Command::Check(options) => commands::check::run(&options),
        Command::Doctor(options) => block_on(commands::doctor::run(options)),
        Command::Health(options) => block_on(commands::health::run(options)),
        Command::Explain(options) => commands::explain::run(&options),
        Command::Tools(command) => block_on(commands::tools::run(command)),
        Command::Caller(Caller::Show(options)) => block_on(commands::caller::show(options)),
        Command::Token(command) => block_on(commands::token::run(command)),
        Command::Approvals(command) => block_on(commands::approvals::run(command)),
        Command::Console(Console::Link(options)) => block_on(commands::console::link(options)),
        Command::Console(Console::Sessions(command)) => {
            block_on(commands::console::sessions(command))
        }
        Command::Grant(command) => block_on(commands::grant::run(command)),
        Command::Secret(command) => block_on(commands::secret::run(command)),
        Command::Privilege(authority::Privilege::Report(options)) => {
            block_on(commands::privilege::report(options))
        }
        Command::Revoke(options) => block_on(commands::revoke::run(options)),
        Command::Revocation(command) => block_on(commands::revoke::standing(command)),
        Command::Policy(Policy::Test(options)) => commands::policy::test(&options),
        Command::Policy(Policy::Schema(options)) => commands::policy::schema(&options),
        Command::Replay(options) => block_on(commands::replay::run(options)),
        Command::Shadow(command) => block_on(commands::shadow::run(command)),
        Command::Backup(options) => block_on(commands::backup::run(options)),
        Command::Restore(options) => block_on(commands::restore::run(options)),
        Command::Evidence(command) => block_on(commands::evidence::run(command)),
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("the runtime cannot start: {error}")))?;
    let done = runtime.block_on(command);
    // A thread that reads standard input cannot be stopped, and is not waited for.
    runtime.shutdown_background();
    done
}
