//! E01: a disk that is full, for real. What was sent is recorded, nothing else is let through, nobody has to help when there is
//! room again. A disk of its own wants a user who may mount one; where nobody may, only what a limit of the size of files can show
//! is shown.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, Setup, program};
use callgate_tests::wire::{Ask, get};
use tokio::task::JoinSet;

use super::world::{ALICE, SECRET, edit, read, reconcile, setup, site};

/// Calls that may be on their way: what is kept free is for so many.
const IN_FLIGHT: usize = 12;

/// A small disk. Dropping it takes it away.
struct Disk(PathBuf);

impl Disk {
    /// One at `disk` in a folder; nothing, if this user may not mount one.
    fn mount(folder: &Folder) -> Option<Self> {
        let path = folder.path().join("disk");
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }

    /// Nothing has room any more.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        for size in [64 << 10, 4 << 10, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap();
    }
}

fn skipped() {
    eprintln!("skipped: this user may not mount a disk of its own to fill; root may");
}

fn before(sim: &Running, store: &str) -> Setup {
    setup()
        .store(store)
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(&format!("[limits]\ncalls_in_flight_max = {IN_FLIGHT}\n"))
}

async fn is_ready(gateway: &Gateway) -> bool {
    get(gateway.address, "/readyz").await.unwrap().status == 200
}

async fn ready_again(gateway: &Gateway) {
    let begun = Instant::now();
    while !is_ready(gateway).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn edited(gateway: &Gateway, text: &str) -> String {
    let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", text));
    ask.send(gateway.address).await.unwrap().reasons()
}

async fn read_one(gateway: &Gateway) -> String {
    let ask = Ask::call("atlassian", ALICE, "getJiraIssue", read("ENG-42"));
    ask.send(gateway.address).await.unwrap().reasons()
}

async fn agree(sim: &Running, gateway: &Gateway) {
    let evidence = gateway.evidence_when(|all| all.is_settled()).await.unwrap();
    reconcile(sim, &evidence);
    let done = evidence.intents().iter().all(|one| one.outcome.as_deref() == Some("succeeded"));
    assert!(done, "{evidence:?}");
    let verified = gateway.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test]
async fn e01_on_a_full_disk_what_was_sent_is_recorded_and_nothing_else_is_let_through() {
    let latency = Some(Duration::from_millis(2_500));
    let sim = site(SimOptions { latency, ..SimOptions::default() }).await;
    let folder = before(&sim, "disk/evidence.db").write().unwrap();
    let Some(disk) = Disk::mount(&folder) else { return skipped() };
    let gateway = Gateway::start(folder).await.unwrap();
    let mut calls = JoinSet::new();
    for index in 0..IN_FLIGHT {
        let ask = Ask::call(
            "atlassian",
            ALICE,
            "editJiraIssue",
            edit("ENG-42", &format!("{index} on its way")),
        );
        let address = gateway.address;
        calls.spawn(async move {
            tokio::time::sleep(Duration::from_millis(60 * u64::try_from(index).unwrap())).await;
            ask.send(address).await.unwrap()
        });
    }
    gateway.evidence_when(|all| all.intents().len() == IN_FLIGHT).await.unwrap();
    assert!(sim.ledger().entries().len() < IN_FLIGHT, "they are on their way");
    disk.fill();
    while let Some(heard) = calls.join_next().await {
        let heard = heard.unwrap();
        assert!(heard.is_success(), "{heard:?}\n{}", gateway.output());
    }
    let sent = sim.ledger().entries().len();
    assert!(!is_ready(&gateway).await);
    for _ in 0..20 {
        assert_eq!(edited(&gateway, "never").await, "evidence_unavailable");
        assert_eq!(read_one(&gateway).await, "evidence_unavailable");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sim.ledger().entries().len(), sent, "something was sent");
    agree(&sim, &gateway).await;

    disk.make_room();
    ready_again(&gateway).await;
    assert_eq!(edited(&gateway, "after").await, "");
    agree(&sim, &gateway).await;
    let evidence = gateway.evidence().await.unwrap();
    assert!(evidence.refusals().len() >= 40, "what was refused is recorded later");
}

#[tokio::test]
async fn e01_a_start_on_a_full_disk_says_what_to_do() {
    let sim = site(SimOptions::default()).await;
    let setup = before(&sim, "disk/evidence.db");
    let folder = setup.write().unwrap();
    let Some(disk) = Disk::mount(&folder) else { return skipped() };
    disk.fill();
    // Nothing is there yet: neither the key nor the database can be made.
    let key = folder.cli(&["serve"]).await.unwrap();
    assert!(key.code != Some(0) && key.stderr.contains("make room on its disk"), "{key:?}");
    assert!(key.stderr.contains("evidence.db.key"), "{key:?}");
    let store = folder.cli(&["approvals", "list"]).await.unwrap();
    assert!(store.code != Some(0) && store.stderr.contains("make room on its disk"), "{store:?}");

    disk.make_room();
    let mut gateway = Gateway::start(folder).await.unwrap();
    assert_eq!(edited(&gateway, "before").await, "");
    gateway.kill_9().await.unwrap();
    disk.fill();
    let refused = gateway.restart().await.unwrap_err().to_string();
    assert!(refused.contains("make room on its disk"), "{refused}");
    disk.make_room();
    gateway.restart().await.unwrap();
    assert_eq!(edited(&gateway, "after").await, "");
    agree(&sim, &gateway).await;
}

/// Without a disk of its own: no file may grow beyond four megabytes. `/proc` tells the limit, `prlimit` takes it back.
#[tokio::test]
async fn e01_files_that_may_not_grow_are_a_store_that_fails() {
    let sim = site(SimOptions::default()).await;
    let folder = before(&sim, "evidence.db").write().unwrap();
    let program = program().unwrap().display().to_string();
    // The signal that comes with the limit would end it.
    let limited = format!("trap '' XFSZ; ulimit -S -f 8192; exec {program} serve");
    let command = ["sh", "-c", &limited].map(str::to_owned).to_vec();
    let gateway = Gateway::start_by(folder, command).await.unwrap();
    let mut done = 0;
    while edited(&gateway, &format!("{done}")).await.is_empty() {
        done += 1;
        assert!(done < 1_000, "{}", gateway.output());
    }
    assert!(done > 10, "{}", gateway.output());
    // The last bytes of a file may be enough to show that something can be stored, until they are not.
    let begun = Instant::now();
    let mut last_ready = begun;
    while last_ready.elapsed() < Duration::from_millis(2_500) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        if is_ready(&gateway).await {
            last_ready = Instant::now();
            edited(&gateway, &format!("{}", begun.elapsed().as_millis())).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sent = sim.ledger().entries().len();
    assert_eq!(edited(&gateway, "never").await, "evidence_unavailable");
    assert_eq!(read_one(&gateway).await, "evidence_unavailable");
    assert_eq!(sim.ledger().entries().len(), sent, "something was sent");

    let id = gateway.id().unwrap().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status();
    assert!(lifted.unwrap().success());
    ready_again(&gateway).await;
    assert_eq!(edited(&gateway, "after").await, "");
    agree(&sim, &gateway).await;
}
