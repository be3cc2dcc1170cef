//! Catalogs of an operator's own: signed with the tools of OpenSSH, and written as the page says.

use std::process::Command;

use callgate_tests::gateway::{Folder, Setup};
use serde_json::json;

use super::world::setup;

const TRACKER: &str = "format = 1\nname = \"tracker\"\nversion = \"1\"\n[tool.look]\ntitle = \"Look\"\n\
                       effect = \"read\"\nrisk = \"low\"\nreversibility = \"reversible\"\ntargets = []\n";

fn ssh_keygen(folder: &Folder, arguments: &[&str]) {
    let ran = Command::new("ssh-keygen").current_dir(folder.path()).args(arguments).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

fn sign(folder: &Folder, key: &str, purpose: &str) {
    let _none_yet = std::fs::remove_file(folder.path().join("tracker.toml.sig"));
    ssh_keygen(folder, &["-q", "-Y", "sign", "-n", purpose, "-f", key, "tracker.toml"]);
}

/// A folder with two keys, and the configuration that trusts the first of them.
fn trusting() -> (Folder, Setup) {
    let keys = setup().write().unwrap();
    for (name, kind) in [("ours", "ed25519"), ("theirs", "ed25519"), ("other", "ecdsa")] {
        ssh_keygen(&keys, &["-q", "-t", kind, "-N", "", "-C", "ours", "-f", name]);
    }
    let ours = std::fs::read_to_string(keys.path().join("ours.pub")).unwrap();
    let section =
        format!("[catalogs]\nfiles = [\"tracker.toml\"]\nsigners = [\"{}\"]\n", ours.trim());
    let setup = setup()
        .server("tracker", "http://127.0.0.1:9/mcp", "tracker", "secret")
        .section(&section)
        .file("tracker.toml", TRACKER)
        .file("policies/permits/all.cedar", "")
        .file("policies/guardrails/all.cedar", "");
    (keys, setup)
}

#[tokio::test]
async fn i5_a_catalog_counts_only_as_a_signer_signed_it() {
    let (keys, setup) = trusting();
    let folder = setup.write().unwrap();
    let refused = async |why: &str| {
        let ran = folder.cli(&["check"]).await.unwrap();
        assert!(ran.code == Some(64) && ran.stderr.contains(why), "{why}: {ran:?}");
        assert!(ran.stderr.contains("ssh-keygen -Y sign -n callgate-catalog"), "{ran:?}");
        let ran = folder.cli(&["serve"]).await.unwrap();
        assert!(ran.code == Some(64) && ran.stderr.contains(why), "{why}: {ran:?}");
    };
    let key = |name: &str| keys.path().join(name).display().to_string();
    refused("tracker.toml.sig, cannot be read").await;
    sign(&folder, &key("ours"), "git");
    refused("it is a signature for something else than catalogs").await;
    sign(&folder, &key("theirs"), "callgate-catalog");
    refused("it was signed by none of the signers").await;
    sign(&folder, &key("other"), "callgate-catalog");
    refused("it is no Ed25519 signature of OpenSSH").await;
    folder.put("tracker.toml.sig", "-----BEGIN SSH SIGNATURE-----\nU1NI\n").unwrap();
    refused("it is no Ed25519 signature of OpenSSH").await;

    sign(&folder, &key("ours"), "callgate-catalog");
    let ran = folder.cli(&["check"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // One byte, and it is another catalog.
    folder.put("tracker.toml", &TRACKER.replace("Look", "Lock")).unwrap();
    refused("the file is not what was signed").await;
}

/// How evidence is kept is in the record, and whenever it is another way: also if only a catalog has other rules for fields, and
/// the configuration is the same.
#[tokio::test]
async fn another_way_of_keeping_evidence_is_recorded() {
    let keeping = "[catalogs]\nfiles = [\"tracker.toml\"]\n[evidence.retention]\ncalls_days = 400\n\
                   [evidence.sinks.copy]\nkind = \"file\"\npath = \"copy.jsonl\"\n";
    let mut gateway = setup()
        .server("tracker", "http://127.0.0.1:9/mcp", "tracker", "secret")
        .section(keeping)
        .file("tracker.toml", TRACKER)
        .file("policies/permits/all.cedar", "")
        .file("policies/guardrails/all.cedar", "")
        .start()
        .await
        .unwrap();
    let ruled = format!("{TRACKER}[record.\"jira.issue.edit\"]\nfields = \"drop\"\n");
    for catalog in [TRACKER, &ruled, &ruled] {
        gateway.terminate().await.unwrap();
        gateway.put("tracker.toml", catalog).unwrap();
        gateway.restart().await.unwrap();
    }
    let ran = gateway.cli(&["evidence", "export"]).await.unwrap().json().unwrap();
    let setups = ran.iter().filter(|record| record["change"] == "configured");
    let said: Vec<_> = setups.map(|record| &record["event"]["setup"]["evidence"]).collect();
    let [first, second] = said[..] else { panic!("{said:#?}") };
    let fields = [first, second].map(|one| &one["fields"]);
    assert_eq!(fields, [&json!([]), &json!(["jira.issue.edit"])]);
    assert_eq!(first["sinks"], json!([{ "name": "copy", "kind": "file" }]));
    assert_eq!(
        (&first["arguments"], &first["retention_days"]["intent"]),
        (&json!("digest"), &json!(400))
    );
}

/// The page about a catalog of one's own, from the catalog to the tested policy, as it stands there.
#[tokio::test]
async fn what_the_page_writes_for_a_server_of_your_own_is_what_happens() {
    const PAGE: &str = include_str!("../../../docs/catalog-of-your-own.md");
    let block = |kind: &str, number: usize| {
        let fence = format!("```{kind}\n");
        PAGE.split(&fence).nth(number).unwrap().split("```").next().unwrap().to_owned()
    };
    let folder = setup()
        .server("tracker", "http://127.0.0.1:9/mcp", "tracker", "secret")
        .section("[catalogs]\nfiles = [\"tracker.toml\"]\n")
        .file("tracker.toml", &block("toml", 1))
        .file("policies/permits/all.cedar", &block("cedar", 1))
        .file("policies/guardrails/all.cedar", "")
        .file("policies/cases/tracker.toml", &block("toml", 2))
        .write()
        .unwrap();
    let ran = folder.cli(&["policy", "test"]).await.unwrap();
    assert!(ran.code == Some(0) && ran.stdout.ends_with("4 passed, 0 failed\n"), "{ran:?}");
    assert!(PAGE.contains("4 passed, 0 failed"));
}
