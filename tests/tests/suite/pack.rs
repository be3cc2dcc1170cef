//! A pack for an auditor of a day on which everything happened: `callgate-verify` proves it, and what it says is counted again here,
//! out of the records alone.

mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use callgate_sim::{Fault, Running, SimOptions};
use callgate_tests::gateway::{Gateway, digest};
use callgate_tests::wire::Ask;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::approvals::{CAROL, LEADS, waiting};
use super::console::browse_at;
use super::pages;
use super::world::{ALICE, APPROVALS, BOB, GUARDRAILS, PERMITS, SECRET, edit, read, site};

use made::Pack;

/// Nobody waits for a lead longer than a second.
const HURRY: &str = r#"
@id("deletes-need-a-lead") @reason("What is deleted is gone") @owner("platform") @approval("team:leads") @decide_within("1s")
forbid(principal, action in Action::"delete", resource);
"#;

/// A site and a shop behind the gate. The shop's tools are approved as they were once.
async fn world() -> (Running, Gateway) {
    let sim = site(SimOptions::default()).await;
    let lead = format!(
        "[[danger_static_tokens]]\nname = \"carol\"\nsha256 = \"{}\"\nhuman = \"carol\"\ngroups = [\"leads\"]\n",
        digest(CAROL.as_bytes())
    );
    let folder = pages::prepared()
        .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
        .section(&lead)
        .section("[evidence]\ncheckpoint_s = 1\n")
        .file("carol.token", CAROL)
        .file("policies/guardrails/people.cedar", GUARDRAILS)
        .file("policies/approvals/deletes.cedar", APPROVALS)
        .file("policies/permits/work.cedar", &format!("{PERMITS}{LEADS}"))
        .write()
        .unwrap();
    let pinned = folder.cli(&["tools", "pin", "shop", "look", "sell"]).await.unwrap();
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    // It is another tool by the time that somebody calls it.
    folder.put("tools.json", &pages::tools("Sells two things.")).unwrap();
    (sim, Gateway::start(folder).await.unwrap())
}

async fn call(gateway: &Gateway, token: &'static str, tool: &str, arguments: Value) -> String {
    let ask = Ask::call("atlassian", token, tool, arguments);
    let heard = ask.send(gateway.address).await.unwrap();
    if heard.is_success() { "done".to_owned() } else { heard.reasons() }
}

async fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    let ran = gateway.cli(arguments).await.unwrap();
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran.stdout
}

/// Somebody asks to delete something, and Carol decides.
async fn decided(gateway: &Gateway, key: &str, how: &str) {
    assert_eq!(call(gateway, ALICE, "deleteJiraIssue", read(key)).await, "approval_required");
    let all = waiting(gateway).await;
    let one = all.iter().find(|one| one.to_string().contains(key)).unwrap();
    let (id, code) = (one["id"].as_str().unwrap(), one["code"].as_str().unwrap());
    run(gateway, &["approvals", how, id, "--code", code, "--token", "carol.token"]).await;
}

/// The first half of the day: calls that are allowed, denied, approved, denied by a lead; a token that is made.
async fn morning(gateway: &Gateway) -> String {
    for key in ["ENG-42", "ENG-43"] {
        assert_eq!(call(gateway, ALICE, "getJiraIssue", read(key)).await, "done");
    }
    assert_eq!(call(gateway, ALICE, "editJiraIssue", edit("ENG-42", "once")).await, "done");
    assert_eq!(call(gateway, ALICE, "getJiraIssue", read("HR-3")).await, "guardrail");
    call(gateway, BOB, "getJiraIssue", read("ENG-42")).await;
    call(gateway, "no-such-token", "getJiraIssue", read("ENG-42")).await;
    let sold =
        Ask::call("shop", pages::SELLER, "sell", json!({ "shelf": "window", "thing": "lamp" }));
    assert_eq!(sold.send(gateway.address).await.unwrap().reasons(), "tool_changed");
    decided(gateway, "ENG-45", "approve").await;
    assert_eq!(call(gateway, ALICE, "deleteJiraIssue", read("ENG-45")).await, "done");
    decided(gateway, "ENG-43", "deny").await;
    let create =
        ["token", "create", "--name", "=nightly", "--owner", "alice", "--agent", "night-bot"];
    let made = run(gateway, &[&create[..], &["--days", "5", "--json"]].concat()).await;
    serde_json::from_str::<Value>(&made).unwrap()["id"].as_str().unwrap().to_owned()
}

/// The second: the token is taken back, a grant made, a policy changed, an approval expires, a crash leaves a call open.
async fn afternoon(sim: &Running, gateway: &mut Gateway, token: &str) {
    run(gateway, &["token", "revoke", token]).await;
    let grant = [
        "grant",
        "create",
        "--human",
        "bob",
        "--action",
        "write",
        "--within",
        "Jira::Project::\"acme/SUP\"",
    ];
    run(gateway, &[&grant[..], &["--reason", "on call", "--ticket", "OPS-1"]].concat()).await;
    run(gateway, &["revoke", "--agent", "lost-bot", "--reason", "its key was lost"]).await;
    gateway.put("policies/approvals/deletes.cedar", HURRY).unwrap();
    gateway.hang_up().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !run(gateway, &["evidence", "list", "--changes", "--limit", "5"])
        .await
        .contains("policies_activated")
    {
        assert!(Instant::now() < deadline, "the policies were not put in force");
    }
    assert_eq!(call(gateway, ALICE, "deleteJiraIssue", read("ENG-42")).await, "approval_required");
    // Nobody decides in time.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    sim.fault(Fault::HangAfterExecuting);
    let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "twice"));
    let open = ask.begin(gateway.address).await.unwrap();
    while sim.ledger().count("editJiraIssue") < 2 {
        assert!(Instant::now() < deadline + Duration::from_secs(20), "it was not made");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gateway.kill_9().await.unwrap();
    drop(open);
    sim.clear_faults();
    gateway.restart().await.unwrap();
    let evidence = gateway.evidence_when(|all| all.is_settled()).await.unwrap();
    assert!(evidence.0.iter().any(|one| one.outcome.as_deref() == Some("indeterminate")));
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
}

#[tokio::test]
async fn an_auditor_counts_the_same_and_proves_it() {
    let (sim, mut gateway) = world().await;
    let token = morning(&gateway).await;
    let early = Pack::signed(&gateway).await;
    assert_eq!(early.population["period"]["is_over"], false);
    afternoon(&sim, &mut gateway, &token).await;
    let pack = Pack::make(&gateway, "packs/late", &["--to", "2100-01-01"]).await;

    proves_itself(&pack);
    is_counted_again(&pack);
    figures_are_of_this_day(&pack);
    tables_say_what_happened(&pack, &token);
    controls_follow_the_figures(&early, &pack);
    is_read_by_people(&pack).await;

    // What is there already is never a part of a pack, and a period has to be one.
    for arguments in [
        ["evidence", "pack", "packs/late", "--from", "2000-01-01", "--to", "2100-01-01"],
        ["evidence", "pack", "packs/none", "--from", "2100-01-01", "--to", "2000-01-01"],
    ] {
        let again = gateway.cli(&arguments).await.unwrap();
        assert_eq!(again.code, Some(2), "{again:?}");
    }
    has_only_its_period(&gateway, &pack).await;
}

/// Somebody who owns the machine writes another verdict into the log. The pack is made, says so, and covers nothing.
#[tokio::test]
async fn i11_of_evidence_that_was_changed_nothing_is_covered() {
    let (_sim, mut gateway) = world().await;
    assert_eq!(call(&gateway, ALICE, "getJiraIssue", read("HR-3")).await, "guardrail");
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    let change = "import sqlite3; db = sqlite3.connect('evidence.db'); \
        db.execute('DROP TRIGGER evidence_is_not_changed'); \
        db.execute(\"\"\"UPDATE evidence SET entry = replace(entry, 'refusal', 'outcome') WHERE kind = 'refusal'\"\"\"); \
        db.commit()";
    let changed =
        Command::new("python3").args(["-c", change]).current_dir(gateway.path()).output().unwrap();
    assert!(changed.status.success(), "{changed:?}");
    let arguments = ["evidence", "pack", "pack", "--from", "2000-01-01", "--to", "2100-01-01"];
    let made = gateway.cli(&arguments).await.unwrap();
    assert!(made.code == Some(1) && made.stdout.contains("BROKEN: record "), "{made:?}");
    let pack = Pack::read(&gateway, "pack", "{}");
    assert!(pack.text("report.html").contains("The log is broken."));
    assert_eq!(pack.population["log"]["verdict"], "broken");
    let controls = pack.table("controls.csv");
    assert!(controls.iter().all(|one| one["status"] == "not covered"), "{controls:?}");
    let (code, told) = pack.verify(&["log"]);
    assert_eq!(code, Some(1), "{told}");
}

/// The log, and each record that was drawn.
fn proves_itself(pack: &Pack) {
    // Incomplete, since nobody has found out what one call did.
    let (code, told) = pack.verify(&["log"]);
    assert_eq!(code, Some(3), "{told}");
    let size = pack.population["log"]["size"].as_u64().unwrap();
    assert!(
        told.contains(&format!(
            "checkpoint   {size} records, root {}",
            pack.population["log"]["root"].as_str().unwrap()
        )),
        "{told}"
    );
    let proofs = pack.population["proofs"].as_array().unwrap();
    assert!(proofs.len() >= 20, "{proofs:?}");
    for proof in proofs {
        let (code, told) = pack.verify(&["--proof", proof["proof"].as_str().unwrap()]);
        assert!(code == Some(0) && told.contains(&format!("record {}", proof["index"])), "{told}");
    }
    // Anybody can draw them again.
    let seed: Vec<u8> = {
        let hex = pack.population["sample"]["seed"].as_str().unwrap();
        assert_eq!(hex, pack.population["log"]["root"].as_str().unwrap());
        let digit = |c: &u8| u8::try_from(char::from(*c).to_digit(16).unwrap()).unwrap();
        hex.as_bytes().chunks(2).map(|two| digit(&two[0]) << 4 | digit(&two[1])).collect()
    };
    for (sort, kinds) in [("decisions", &["intent", "refusal"][..]), ("changes", &["change"])] {
        let all = pack.records.iter().filter(|one| kinds.contains(&one["kind"].as_str().unwrap()));
        let mut all: Vec<(Vec<u8>, u64)> = all
            .map(|one| {
                let index = one["index"].as_u64().unwrap();
                let bytes = [&seed[..], &index.to_be_bytes()].concat();
                (Sha256::digest(bytes).to_vec(), index)
            })
            .collect();
        all.sort();
        let drawn: Vec<u64> = all.into_iter().take(25).map(|(_, index)| index).collect();
        assert_eq!(pack.population["sample"][sort], json!(drawn), "{sort}");
    }
}

/// Every number of the population, and those figures that records tell, in another way.
fn is_counted_again(pack: &Pack) {
    let population = &pack.population["population"];
    let of = |path: &str| -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for one in &pack.records {
            if let Some(text) = one.pointer(path).and_then(Value::as_str) {
                *all.entry(text.to_owned()).or_default() += 1;
            }
        }
        all
    };
    assert_eq!(population["records"], pack.records.len());
    assert_eq!(population["kinds"], json!(of("/kind")));
    assert_eq!(population["changes"], json!(of("/change")));
    assert_eq!(population["outcomes"], json!(of("/outcome")));
    assert_eq!(population["decisions"], json!(of("/event/decision/verdict")));
    let size = pack.population["log"]["size"].as_u64().unwrap();
    assert_eq!(pack.records.len() as u64, size, "all there ever was is of this period");
    assert_eq!(pack.table("records/records.csv").len(), pack.records.len());

    let verdict = |verdict: &'static str| pack.count(&[("/event/decision/verdict", verdict)]);
    for (name, counted) in [
        ("allowed", pack.count(&[("/kind", "intent")])),
        ("denied", verdict("deny")),
        ("waiting", verdict("approval_required")),
        ("denied.tool_changed", pack.denied("tool_changed")),
        ("denied.guardrail", pack.denied("guardrail")),
        ("denied.unauthenticated", pack.denied("unauthenticated")),
        ("denied.approval_denied", pack.denied("approval_denied")),
        (
            "allowed.delete",
            pack.count(&[("/kind", "intent"), ("/event/understood/effect", "delete")]),
        ),
        ("indeterminate", pack.count(&[("/outcome", "indeterminate")])),
        ("administration", pack.count(&[("/event/server", "callgate")])),
        (
            "static_token_allowed",
            pack.count(&[("/kind", "intent"), ("/event/caller/credential/kind", "static_token")]),
        ),
        ("approvals_asked", pack.count(&[("/change", "approval_requested")])),
        ("approvals_said", pack.count(&[("/change", "approval_voted")])),
        ("tokens_given", pack.count(&[("/change", "token_issued")])),
        ("tokens_taken", pack.count(&[("/change", "token_revoked")])),
        ("grants_given", pack.count(&[("/change", "grant_issued")])),
        ("revocations_made", pack.count(&[("/change", "revoked")])),
        ("activations", pack.count(&[("/change", "policies_activated")])),
        ("pins_approved", pack.count(&[("/change", "tool_pinned")])),
    ] {
        assert_eq!(pack.figure(name), counted, "{name}");
    }
}

/// What is known of this day.
fn figures_are_of_this_day(pack: &Pack) {
    for (name, expected) in [
        ("unsettled", 1),
        ("open", 0),
        ("log_broken", 0),
        ("payloads_absent", 0),
        ("approvals_used", 1),
        ("approvals_denied", 1),
        ("approvals_expired", 1),
        ("approvals_of_own", 0),
        ("glass_broken", 0),
        ("denied.tool_changed", 1),
        ("tokens_held", 0),
        ("grants_held", 1),
        ("revocations_held", 1),
        ("policies_changed", 1),
        ("servers", 2),
        ("servers_unpinned", 1),
        ("tools_pinned", 2),
        ("static_tokens", 6),
        ("by_approval", 1),
    ] {
        assert_eq!(pack.figure(name), expected, "{name}");
    }
    let unsettled = pack.population["unsettled"].as_array().unwrap();
    assert_eq!(unsettled.len(), 1, "{unsettled:?}");
    assert_eq!(
        (&unsettled[0]["operation"], &unsettled[0]["outcome"]),
        (&json!("jira.issue.edit"), &json!("indeterminate"))
    );
}

fn tables_say_what_happened(pack: &Pack, token: &str) {
    let approvals = pack.table("approvals.csv");
    let ended: Vec<&str> = approvals.iter().map(|one| one["ended_as"].as_str()).collect();
    assert_eq!(ended, ["used", "denied", "expired"]);
    assert_eq!((&*approvals[0]["asked_by"], &*approvals[0]["agent"]), ("alice", "release-bot"));
    assert!(
        approvals[0]["votes"].starts_with("carol approves at")
            && approvals[0]["votes"].contains("static_token")
    );
    assert_eq!(approvals[0]["targets"], "Jira::Issue acme/ENG-45");
    let call = &approvals[0]["used_by_calls"];
    assert_eq!(
        pack.count(&[("/kind", "intent"), ("/call", call), ("/event/understood/effect", "delete")]),
        1
    );

    let access = pack.table("access.csv");
    let of = |kind: &str| access.iter().find(|one| one["kind"] == kind).unwrap();
    let made = of("token");
    assert_eq!((&*made["id"], &*made["who"], &*made["agent"]), (token, "alice", "night-bot"));
    assert_eq!(made["name"], "'=nightly", "no cell is a formula");
    assert!(
        !made["taken_back_at"].is_empty() && made["taken_back_by"].ends_with("on the command line")
    );
    assert_eq!(made["ended_as"], "taken_back");
    let digests = pack.records.iter().filter_map(|one| one.pointer("/event/token/digest"));
    let digests: Vec<&str> = digests.filter_map(Value::as_str).collect();
    assert_eq!(digests.len(), 1);
    for name in ["access.csv", "population.json", "report.html", "privilege.json", "elsewhere.csv"]
    {
        assert!(!pack.text(name).contains(digests[0]), "{name} has a digest of a secret");
    }
    let grant = of("grant");
    assert_eq!((&*grant["who"], &*grant["uses"], &*grant["why"]), ("bob", "1", "on call"));
    assert!(grant["what"].contains("acme/SUP") && grant["taken_back_at"].is_empty());
    assert_eq!((&*grant["ended_as"], &*grant["used"]), ("in_force", "0"));
    assert_eq!(of("revocation")["who"], "lost-bot");

    let policies = pack.table("policies.csv");
    let changed: Vec<_> = policies.iter().filter(|one| one["change"] != "in_force").collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (&*changed[0]["policy"], &*changed[0]["change"], &*changed[0]["owner"]),
        ("deletes-need-a-lead", "changed", "platform")
    );
    let text = pack.text(&changed[0]["file"]);
    let own = HURRY.trim();
    assert!(text.contains(own), "{text}");
    assert_eq!(changed[0]["digest"], digest(own.as_bytes()));
    assert_eq!(
        pack.text("configurations.jsonl").lines().count() as u64,
        pack.count(&[("/change", "configured")])
    );

    let tools = pack.table("tools.csv");
    let sell = tools.iter().find(|one| one["server"] == "shop" && one["tool"] == "sell").unwrap();
    assert_eq!(
        (&*sell["effect"], &*sell["risk"], &*sell["reversibility"]),
        ("write", "high", "irreversible")
    );
    let pin = pack.records.iter().find(|one| one["event"]["pin"]["of"]["tool"] == "sell").unwrap();
    assert_eq!(sell["approved_digest"], pin["event"]["pin"]["digest"].as_str().unwrap());
    assert!(
        tools
            .iter()
            .any(|one| one["tool"] == "executeDestructive" && one["runs_others"] == "delete admin")
    );
    let privilege: Value = serde_json::from_str(&pack.text("privilege.json")).unwrap();
    assert!(
        privilege["holdings"].as_array().unwrap().iter().any(|one| one["name"] == "release-bot")
    );
}

/// The figures are those of the data: as more happens, they are others, and statuses with them.
fn controls_follow_the_figures(early: &Pack, late: &Pack) {
    for name in [
        "records",
        "allowed",
        "indeterminate",
        "unsettled",
        "tokens_taken",
        "grants_given",
        "revocations_made",
        "activations",
        "policies_changed",
        "approvals_expired",
        "tokens_held",
        "waiting",
    ] {
        assert_ne!(early.figure(name), late.figure(name), "{name}");
    }
    let status = |pack: &Pack, item: &str| -> (String, String) {
        let all = pack.table("controls.csv");
        let one = all.into_iter().find(|one| one["item"] == item).unwrap();
        (one["status"].clone(), one["unmet"].clone())
    };
    let (_, before) = status(early, "RS.MI-01");
    let (now, after) = status(late, "RS.MI-01");
    assert_eq!(before, "", "nothing is open in the morning");
    assert_eq!(
        (&*now, &*after),
        ("partly", "calls of which nobody has found out what they did: 1 (asked for: 0)")
    );
    assert_eq!(status(early, "RS.MI-01").0, "covered");
    let controls = late.table("controls.csv");
    assert_eq!(controls.len(), 81);
    for (status, count) in late.told["controls"].as_object().unwrap() {
        let counted =
            controls.iter().filter(|one| one["status"].replace(' ', "_") == *status).count();
        assert_eq!(*count, counted, "{status}");
    }
    // Records go nowhere else, and nobody is told of anything: that is said.
    assert!(late.table("elsewhere.csv").is_empty());
    for item in ["DE.CM-03", "DE.AE-06", "CC7.2"] {
        assert_eq!(status(late, item).0, "not covered", "{item}");
    }
    assert!(status(late, "RS.AN-07").1.contains("anchors that were sent"));
}

/// In a browser: nothing is loaded but the page, nothing runs, every link leads to a file of the pack, and axe finds nothing.
async fn is_read_by_people(pack: &Pack) {
    let url = format!("file://{}/report.html", pack.folder.display());
    let told = browse_at(
        "http://localhost",
        json!([
            { "do": "check", "person": "auditor", "path": url, "picture": "pack" },
            { "do": "print", "path": url, "picture": "pack" },
        ]),
    )
    .await;
    assert_eq!(told[0]["found"], json!([]));
    let printed = &told[1];
    assert_eq!((&printed["asked"], &printed["scripts"]), (&json!([]), &json!(0)));
    assert!(
        printed["begins"] == "%PDF-" && printed["bytes"].as_u64().unwrap() > 20_000,
        "{printed}"
    );
    let links: BTreeSet<&str> =
        printed["links"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        let there = match link.strip_prefix('#') {
            Some(id) => pack.text("report.html").contains(&format!("id=\"{id}\"")),
            None => pack.folder.join(link).exists(),
        };
        assert!(there, "{link} leads nowhere");
    }
    assert!(printed["headings"].as_array().unwrap().contains(&json!("What is not covered")));
}

/// Of the same log, the pack of a part of the day: its records are those of that time, and the log is whole.
async fn has_only_its_period(gateway: &Gateway, whole: &Pack) {
    let at = |one: &Value| one["at"].as_str().unwrap().to_owned();
    let middle = at(&whole.records[whole.records.len() / 2]);
    let part = Pack::make(
        gateway,
        "packs/part",
        &["--to", &middle, "--seed", "an auditor's own words", "--sample", "3"],
    )
    .await;
    let inside = |one: &&Value| at(one) < middle;
    let expected: Vec<&Value> = whole.records.iter().filter(inside).collect();
    assert_eq!(part.records.iter().collect::<Vec<_>>(), expected);
    assert_eq!(part.population["log"], whole.population["log"]);
    assert_eq!(part.population["sample"]["decisions"].as_array().unwrap().len(), 3);
    assert_eq!(part.population["sample"]["is_of_the_root"], false);
    assert_eq!(part.population["period"]["is_over"], true);
    let left_out = &part.population["left_out"];
    assert_eq!(left_out["records_after"], whole.records.len() - part.records.len());
    assert_eq!(left_out["records_before"], 0);
    assert!(part.text("report.html").contains("records after the period"));
    assert_eq!(whole.population["left_out"]["records_after"], 0);
    let (code, told) = part.verify(&["log"]);
    assert!(
        code == Some(3) && told.contains("payloads"),
        "the other payloads were left out: {told}"
    );
    assert!(Path::new(&part.folder).join("policies").exists());
}
