//! Backups that are made while a gateway records calls, and what is in force after one was restored: nothing that was used or taken back
//! meanwhile can be used again.

use std::fs::{self, metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, Ran};
use callgate_tests::wire::Ask;
use serde_json::{Value, json};

use super::approvals::{decide, prepared, waiting};
use super::world::{ALICE, BOB, edit, read, reconcile, site_and_gateway, wait_until};

async fn told(folder: &Folder, arguments: &[&str]) -> Value {
    let ran = folder.cli(&[arguments, &["--json"]].concat()).await.unwrap();
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    let [told]: [Value; 1] = ran.json().unwrap().try_into().unwrap();
    told
}

/// That it is not done, and why.
async fn refused(folder: &Folder, arguments: &[&str], why: &str) -> Ran {
    let ran = folder.cli(arguments).await.unwrap();
    assert!(ran.code == Some(2) && ran.stderr.contains(why), "{arguments:?}: {ran:?}");
    ran
}

async fn is_whole(folder: &Folder) {
    let verified = folder.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test]
async fn i11_backups_that_are_made_under_load_are_whole_and_hold_up_no_call() {
    let (sim, gateway) = site_and_gateway(SimOptions::default()).await;
    let (address, stop) = (gateway.address, Arc::new(AtomicBool::new(false)));
    let made = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..4)
        .map(|worker| {
            let (stop, made) = (Arc::clone(&stop), Arc::clone(&made));
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let summary = format!("{worker} {count}");
                    let call = match count % 3 {
                        0 => Ask::call("atlassian", BOB, "getJiraIssue", read("SUP-101")),
                        1 => Ask::call("atlassian", ALICE, "editJiraIssue", edit("HR-3", &summary)),
                        _ => {
                            Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", &summary))
                        }
                    };
                    let heard = call.send(address).await.unwrap();
                    assert_eq!(heard.is_success(), count % 3 != 1, "{heard:?}");
                    count += 1;
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut before = 0;
    for n in 0..4 {
        let so_far = made.load(Ordering::Relaxed);
        wait_until(|| made.load(Ordering::Relaxed) >= so_far + 12).await;
        let file = format!("backup-{n}.db");
        let backup = told(&gateway, &["backup", &file]).await;
        let records = backup["records"].as_u64().unwrap();
        assert!(records > before, "{backup}");
        before = records;
        let path = gateway.path().join(&file);
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // It is the evidence as it was then, for whoever has the key.
        let other = fs::read_to_string(gateway.path().join("callgate.toml")).unwrap();
        let other = other.replace("evidence.db", &file).replace(
            "[policies]",
            "[evidence]\nkeys = [{ file = \"evidence.db.key\" }]\n[policies]",
        );
        gateway.put("other.toml", &other).unwrap();
        let verified = told(&gateway, &["evidence", "verify", "--config", "other.toml"]).await;
        assert_eq!(verified["records"], backup["records"], "{verified} {backup}");
    }
    refused(&gateway, &["backup", "backup-0.db"], "a backup overwrites nothing").await;
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.unwrap();
    }
    let evidence =
        gateway.evidence_when(callgate_tests::evidence::Evidence::is_settled).await.unwrap();
    reconcile(&sim, &evidence);
    let left: Vec<_> =
        fs::read_dir(gateway.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".callgate")), "{left:?}");
}

/// A gateway with an approval that was given, a grant and a token; all of that is in the backup, and used or taken back after it.
async fn used_up() -> (Running, Gateway, String) {
    let (sim, setup) = prepared("").await;
    let permits = setup.section("[tokens]\n").file(
        "policies/permits/tokens.cedar",
        "@id(\"night-bot-reads\") @reason(\"r\") @owner(\"o\")\npermit(principal, action in Action::\"read\", resource in Jira::Project::\"acme/ENG\");\n",
    );
    let mut gateway = permits.start().await.unwrap();
    let create = [
        "token",
        "create",
        "--name",
        "night",
        "--owner",
        "dave",
        "--agent",
        "night-bot",
        "--server",
        "atlassian",
    ];
    let token = told(&gateway, &create).await;
    let secret = token["secret"].as_str().unwrap().to_owned();
    assert!(reads(&gateway, &secret).await, "{token}");
    assert_eq!(deletes(&gateway).await, "approval_required");
    decide(&gateway, "approve").await;
    told(&gateway, &["backup", "backup.db"]).await;

    assert_eq!((deletes(&gateway).await.as_str(), deleted(&sim)), ("", 1));
    let revoked = gateway.cli(&["token", "revoke", token["id"].as_str().unwrap()]).await.unwrap();
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert!(!reads(&gateway, &secret).await);
    refused(&gateway, &["restore", "backup.db", "--force"], "is in use").await;
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    refused(&gateway, &["restore", "backup.db"], "`--force` puts the backup in its place").await;
    (sim, gateway, secret)
}

async fn reads(gateway: &Gateway, token: &str) -> bool {
    let call = Ask::call("atlassian", token, "getJiraIssue", read("ENG-42"));
    call.send(gateway.address).await.unwrap().is_success()
}

/// The reason codes, if it is refused.
async fn deletes(gateway: &Gateway) -> String {
    let call = Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45"));
    call.send(gateway.address).await.unwrap().reasons()
}

fn deleted(sim: &Running) -> usize {
    sim.ledger().count("deleteJiraIssue")
}

#[tokio::test]
async fn i2_i8_nothing_that_was_used_or_revoked_after_a_backup_can_be_used_when_it_is_restored() {
    let (sim, mut gateway, secret) = used_up().await;
    let restored = told(&gateway, &["restore", "backup.db", "--force"]).await;
    assert_eq!(
        restored["ended"],
        json!({ "approvals": 1, "grants": 0, "sessions": 0, "tokens": 1 }),
        "{restored}"
    );
    let kept = restored["kept"].as_str().unwrap();
    is_whole(&gateway).await;

    gateway.restart().await.unwrap();
    assert_eq!(deletes(&gateway).await, "approval_required");
    assert_eq!(
        (waiting(&gateway).await.len(), deleted(&sim)),
        (1, 1),
        "somebody has to look once more"
    );
    assert!(!reads(&gateway, &secret).await, "it was revoked, whatever the backup says");
    let list = ["evidence", "list", "--changes", "--limit", "100", "--json"];
    let changes = gateway.cli(&list).await.unwrap().json().unwrap();
    let change = changes.iter().find(|one| one["event"]["change"] == "restored").unwrap();
    assert_eq!(
        (&change["event"]["records"], &change["event"]["kept"]),
        (&restored["records"], &json!([]))
    );
    is_whole(&gateway).await;

    // What was there is a database still, with all that was recorded.
    let other = fs::read_to_string(gateway.path().join("callgate.toml")).unwrap();
    let section = "[evidence]\nkeys = [{ file = \"evidence.db.key\" }]\n[policies]";
    let name = std::path::Path::new(kept).file_name().unwrap().to_str().unwrap();
    gateway
        .put("other.toml", &other.replace("evidence.db", name).replace("[policies]", section))
        .unwrap();
    let verified = told(&gateway, &["evidence", "verify", "--config", "other.toml"]).await;
    assert!(verified["records"].as_u64() > restored["records"].as_u64(), "{verified}");
}

#[tokio::test]
async fn what_whoever_restores_vouches_for_is_left_as_it_was_and_the_record_says_so() {
    let (_sim, mut gateway, secret) = used_up().await;
    let restore = ["restore", "backup.db", "--force", "--keep", "tokens"];
    let restored = told(&gateway, &restore).await;
    assert_eq!(
        restored["ended"],
        json!({ "approvals": 1, "grants": 0, "sessions": 0 }),
        "{restored}"
    );
    gateway.restart().await.unwrap();
    assert!(reads(&gateway, &secret).await);
    let list = ["evidence", "list", "--changes", "--limit", "100", "--json"];
    let changes = gateway.cli(&list).await.unwrap().json().unwrap();
    let change = changes.iter().find(|one| one["event"]["change"] == "restored").unwrap();
    assert_eq!(change["event"]["kept"], json!(["tokens"]));
}

#[tokio::test]
async fn i11_a_backup_that_is_damaged_or_of_another_log_takes_nobodys_place() {
    let (_sim, mut gateway) = site_and_gateway(SimOptions::default()).await;
    let call = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
    assert!(call.send(gateway.address).await.unwrap().is_success());
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    told(&gateway, &["backup", "backup.db"]).await;
    let there = fs::read(gateway.path().join("evidence.db")).unwrap();

    let mut bytes = fs::read(gateway.path().join("backup.db")).unwrap();
    let place = bytes.windows(6).rposition(|six| six == b"ENG-42").unwrap();
    bytes[place + 4] = b'7';
    fs::write(gateway.path().join("changed.db"), &bytes).unwrap();
    refused(&gateway, &["restore", "changed.db", "--force"], "BROKEN").await;
    fs::write(gateway.path().join("cut.db"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(gateway.cli(&["restore", "cut.db", "--force"]).await.unwrap().code, Some(2));
    fs::write(gateway.path().join("text.db"), "no database").unwrap();
    assert_eq!(gateway.cli(&["restore", "text.db", "--force"]).await.unwrap().code, Some(2));
    refused(&gateway, &["restore", "nowhere.db", "--force"], "there is no backup").await;
    fs::rename(gateway.path().join("evidence.db.key"), gateway.path().join("key")).unwrap();
    refused(&gateway, &["restore", "backup.db", "--force"], "there is no key").await;
    assert!(fs::read(gateway.path().join("evidence.db")).unwrap() == there, "it is as it was");

    // A machine that has nothing but the backup and the key.
    fs::rename(gateway.path().join("key"), gateway.path().join("evidence.db.key")).unwrap();
    fs::remove_file(gateway.path().join("evidence.db")).unwrap();
    let restored = told(&gateway, &["restore", "backup.db"]).await;
    assert_eq!(restored["kept"], Value::Null);
    is_whole(&gateway).await;
    gateway.restart().await.unwrap();
    assert!(call.send(gateway.address).await.unwrap().is_success());
}
