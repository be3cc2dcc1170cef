//! What the gate costs, compared in one run: nothing between client and server, a bare forwarder that does not look at what it
//! forwards, and the gateway.
//!
//! The middle is a process of its own; its CPU time comes from the operating system's accounting, which is steadier than
//! wall time on a busy machine. `upstream` and `forward` are this program again, as child processes.

mod child;
mod gateway;
mod identity;
mod idle;
mod load;
mod servers;
mod stdio;

use std::process::ExitCode;
use std::time::Duration;

use child::Child;
use gateway::Extra;
use load::{Load, Measured};

/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(3);
const CONCURRENCY: [usize; 3] = [1, 16, 64];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let done = runtime.block_on(async {
        match words.as_slice() {
            ["upstream"] => servers::upstream().await,
            ["upstream-stdio"] => servers::upstream_stdio(),
            ["forward", to] => servers::forward(to).await,
            ["identity"] => identity::measure().await,
            ["idle"] => idle::measure().await,
            _ => measure(&words).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// `cargo xtask bench [POLICIES…]`: the numbers of permits to load, 10 and 10000 if none is given. `cargo xtask bench idle` is
/// only about streams that stay open.
async fn measure(arguments: &[&str]) -> Result<(), Failure> {
    let mut policies: Vec<usize> = arguments.iter().filter_map(|word| word.parse().ok()).collect();
    if policies.is_empty() {
        policies = vec![10, 10_000];
    }
    let upstream = Child::of_this(&["upstream"]).await?;
    let forward = Child::of_this(&["forward", &upstream.address]).await?;
    say(
        "                                    c    calls/s   p50 us   p99 us   cpu us/call   x floor",
    );
    let mut floor = Vec::new();
    for concurrency in CONCURRENCY {
        let read =
            Load { token: None, tool: "getJiraIssue", path: "/mcp", concurrency, progress: false };
        report("nothing (direct)", concurrency, &read.run(&upstream, None, RUN).await?, None);
        let bare = read.run(&forward, Some(&forward), RUN).await?;
        report("bare forwarder", concurrency, &bare, None);
        floor.push(bare.cpu_us_per_call);
    }
    for count in policies {
        let gateway = gateway::start(&upstream.address, count, 0, &Extra::default()).await?;
        say(&format!("gateway, resident memory at rest: {} MB", gateway.child.resident_mb()));
        for (kind, tool) in [("reads", "getJiraIssue"), ("writes", "editJiraIssue")] {
            for (concurrency, floor) in CONCURRENCY.into_iter().zip(&floor) {
                let token = Some(gateway::TOKEN);
                let load = Load { token, tool, path: "/mcp/bench", concurrency, progress: false };
                let measured = load.run(&gateway.child, Some(&gateway.child), RUN).await?;
                let name = format!("gateway, {kind}, {count} policies");
                report(&name, concurrency, &measured, Some(*floor));
            }
        }
        let list = Load { tool: "", path: "/mcp/listing", ..Load::of_gateway(1) };
        let measured = list.run(&gateway.child, Some(&gateway.child), RUN).await?;
        report(&format!("gateway, list of 98, {count} policies"), 1, &measured, None);
        streams(&forward, &gateway.child).await?;
        say(&format!("gateway, resident memory under load: {} MB", gateway.child.resident_mb()));
    }
    identity::measure().await?;
    idle::measure().await?;
    stdio::measure().await?;
    say(&format!("one fsync of 4 kB here: {:.0} us (median)", gateway::fsync_us()?));
    Ok(())
}

/// Answers that come as streams, with progress before them: messages a second are eleven times the calls.
async fn streams(forward: &Child, gateway: &Child) -> Result<(), Failure> {
    let load = Load { path: "/mcp/streaming", progress: true, ..Load::of_gateway(16) };
    let bare = Load { path: "/sse", ..load }.run(forward, Some(forward), RUN).await?;
    report("bare forwarder, streams", 16, &bare, None);
    let measured = load.run(gateway, Some(gateway), RUN).await?;
    report("gateway, streams", 16, &measured, Some(bare.cpu_us_per_call));
    Ok(())
}

fn report(name: &str, concurrency: usize, measured: &Measured, floor: Option<f64>) {
    let ratio =
        floor.map_or_else(String::new, |floor| format!("{:8.2}", measured.cpu_us_per_call / floor));
    say(&format!(
        "{name:<34} {concurrency:>3} {:>10.0} {:>8.0} {:>8.0} {:>12.1} {ratio}",
        measured.calls_per_s, measured.p50_us, measured.p99_us, measured.cpu_us_per_call
    ));
}

fn fail(failure: &Failure) -> ExitCode {
    say(&format!("error: {failure}"));
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "this is a program for people")]
fn say(text: &str) {
    println!("{text}");
}
