//! `callgate doctor`: each check is shown a gateway that is well and one that is not, and says which is which, by its exit code, too.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use callgate_sim::{Fault, Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, Setup};
use callgate_tests::wire::Ask;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::notify::nobody;
use super::world::{ALICE, SECRET, edit, setup, site, wait_until};

/// What it found: of each finding the check, the level and the text.
struct Found(Vec<[String; 3]>);

impl Found {
    fn has(&self, check: &str, level: &str, text: &str) -> bool {
        self.0.iter().any(|[c, l, t]| c == check && l == level && t.contains(text))
    }

    /// That there is such a finding.
    fn says(&self, check: &str, level: &str, text: &str) {
        assert!(self.has(check, level, text), "no {level} of {check} with `{text}`: {:#?}", self.0);
    }

    fn problems(&self) -> Vec<&str> {
        let problems = self.0.iter().filter(|[_, level, _]| level == "problem");
        problems.map(|[check, ..]| check.as_str()).collect()
    }
}

/// Examines it, and sees that the exit code is what the findings say and that each that is not well says what helps.
async fn examined(folder: &Folder) -> Found {
    let ran = folder.cli(&["doctor", "--json"]).await.unwrap();
    let [told]: [Value; 1] = ran.json().unwrap().try_into().unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    let findings = told["findings"].as_array().unwrap();
    for one in findings.iter().filter(|one| one["level"] != "ok" && one["check"] != "configuration")
    {
        assert!(!one["remedy"].as_str().unwrap().is_empty(), "{one}");
    }
    let found: Vec<_> =
        findings.iter().map(|one| ["check", "level", "text"].map(|name| text(one, name))).collect();
    let found = Found(found);
    let is_well = found.problems().is_empty();
    assert_eq!((ran.code, &told["ok"]), (Some(i32::from(!is_well)), &json!(is_well)), "{ran:?}");
    found
}

async fn private(folder: &Folder) {
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "secret") {
            mode(&path, 0o600);
        }
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn of(sim: &Running) -> Setup {
    setup().server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
}

#[tokio::test]
async fn a_gateway_that_is_well_has_no_problem_before_it_runs_and_while_it_does() {
    let sim = site(SimOptions::default()).await;
    let folder = of(&sim).public().unwrap().write().unwrap();
    private(&folder).await;
    let found = examined(&folder).await;
    assert_eq!(found.problems(), [""; 0], "{:#?}", found.0);
    found.says("database", "ok", "is made at the first start");
    found.says("danger", "warning", "danger_static_tokens");
    found.says("policies", "warning", "no decision cases");
    found.says("gateway", "warning", "no gateway answers");
    found.says("servers", "ok", "atlassian: ");
    assert!(!folder.path().join("evidence.db").exists(), "nothing is made by looking");

    let gateway = Gateway::start(folder).await.unwrap();
    let call = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
    assert!(call.send(gateway.address).await.unwrap().is_success());
    let found = examined(&gateway).await;
    assert_eq!(found.problems(), [""; 0], "{:#?}", found.0);
    found.says("gateway", "ok", "is ready");
    found.says("database", "ok", "of this version");
    found.says("files", "ok", "nobody else reads a secret");
    found.says("calls", "ok", "whether it took effect");
    let read = gateway.cli(&["doctor"]).await.unwrap();
    assert_eq!(read.code, Some(0));
    assert!(read.stdout.lines().last().unwrap().ends_with(", 0 problems"), "{}", read.stdout);
    assert!(!read.stdout.contains(SECRET) && !read.stdout.contains(ALICE));
}

#[tokio::test]
async fn a_configuration_that_does_not_load_is_every_problem_of_it() {
    let folder = setup().section("[servers.x]\nurl = \"no\"\n[polices]\n").write().unwrap();
    let found = examined(&folder).await;
    found.says("configuration", "problem", "polices");
    found.says("configuration", "problem", "servers.x");
    let ran = folder.cli(&["doctor", "--config", "nowhere.toml"]).await.unwrap();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("nowhere.toml: cannot be read"), "{ran:?}");
}

#[tokio::test]
async fn files_that_others_read_or_change_are_named() {
    let sim = site(SimOptions::default()).await;
    let folder = of(&sim).write().unwrap();
    mode(&folder.path().join("atlassian.secret"), 0o644);
    mode(&folder.path().join("policies/permits"), 0o777);
    mode(&folder.path().join("callgate.toml"), 0o646);
    let found = examined(&folder).await;
    found.says("files", "problem", "atlassian.secret: others may read it (mode 644)");
    found.says("files", "problem", "policies/permits: everybody may change it (mode 777)");
    found.says("files", "problem", "callgate.toml: everybody may change it");
    // What a group of the operator's own reads is no problem.
    mode(&folder.path().join("atlassian.secret"), 0o640);
    mode(&folder.path().join("policies/permits"), 0o775);
    mode(&folder.path().join("callgate.toml"), 0o644);
    assert_eq!(examined(&folder).await.problems(), [""; 0]);
}

fn python(folder: &Folder, script: &str) {
    let script =
        format!("import sqlite3\ndb = sqlite3.connect('evidence.db')\n{script}\ndb.commit()\n");
    let ran = Command::new("python3").args(["-c", &script]).current_dir(folder.path()).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
async fn a_database_that_cannot_be_used_and_a_folder_that_is_not_there_are_problems() {
    let sim = site(SimOptions::default()).await;
    let folder = of(&sim).write().unwrap();
    private(&folder).await;
    folder.put("evidence.db", "this is no database, whatever it is called").unwrap();
    mode(&folder.path().join("evidence.db"), 0o600);
    assert_eq!(examined(&folder).await.problems(), ["database"]);
    fs::remove_file(folder.path().join("evidence.db")).unwrap();
    for (version, level) in [(999, "problem"), (1, "warning")] {
        python(&folder, &format!("db.execute('PRAGMA user_version = {version}')"));
        mode(&folder.path().join("evidence.db"), 0o600);
        examined(&folder).await.says("database", level, "schema version");
    }
    let folder = of(&sim).store("nowhere/evidence.db").write().unwrap();
    private(&folder).await;
    let found = examined(&folder).await;
    assert_eq!(found.problems(), ["disk", "database"], "{:#?}", found.0);
}

#[tokio::test]
async fn servers_that_do_not_answer_and_tools_that_wait_are_told() {
    let sim = site(SimOptions::default()).await;
    let section = format!(
        "[servers.strict]\nurl = \"{}?tools=all\"\ncatalog = \"atlassian-rovo\"\ncredential = {{ file = \"atlassian.secret\" }}\n\
         [servers.strict.sites.acme]\nurl = \"https://acme.atlassian.net\"\n",
        sim.url
    );
    let dead = format!("http://{}/mcp", nobody());
    let folder = of(&sim)
        .server("dead", &dead, "atlassian-rovo", SECRET)
        .server("locked", &sim.url, "atlassian-rovo", "not-the-secret")
        .section(&section)
        .write()
        .unwrap();
    private(&folder).await;
    let found = examined(&folder).await;
    assert_eq!(found.problems(), ["servers"; 2], "{:#?}", found.0);
    found.says("servers", "problem", "dead does not tell its tools: the connection");
    found.says(
        "servers",
        "problem",
        "locked does not tell its tools: the server does not accept our credential",
    );
    found.says("tools", "warning", "strict: ");
    found.says("tools", "warning", "not approved yet");
    let waiting = found.0.iter().filter(|[_, _, text]| text.contains("not approved yet"));
    assert_eq!(waiting.count(), 1, "nobody approves those of the other one: {:#?}", found.0);

    let pinned = folder.cli(&["tools", "pin", "strict", "--new"]).await.unwrap();
    assert_eq!(pinned.code, Some(0), "{pinned:?}");
    let found = examined(&folder).await;
    assert!(!found.has("tools", "warning", "not approved yet"), "{:#?}", found.0);
    sim.fault(Fault::ChangedDefinition("getJiraIssue".to_owned()));
    examined(&folder).await.says("tools", "warning", "1 tool changed since approved");
}

/// An issuer whose clock is `off` seconds from ours, with these keys.
async fn issuer(off: i64, keys: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = BufReader::new(&mut stream).lines();
            while request.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
            let now = Command::new("date")
                .args(["-u", "-d", &format!("{off} seconds"), "+%a, %d %b %Y %T GMT"])
                .env("LC_ALL", "C")
                .output();
            let now = String::from_utf8(now.unwrap().stdout).unwrap();
            let length = keys.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ndate: {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keys}",
                now.trim()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, serving)
}

/// Of RFC 8037, Appendix A.2.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[tokio::test]
async fn issuers_that_cannot_be_used_and_clocks_that_differ_are_told() {
    let sim = site(SimOptions::default()).await;
    let dead = format!("http://{}", nobody());
    for (off, keys, problems) in [
        (0, KEYS, &[][..]),
        (0, r#"{"keys":[]}"#, &["issuers"]),
        (12, KEYS, &[]),
        (-90, KEYS, &["clock"]),
    ] {
        let (url, serving) = issuer(off, keys).await;
        let section = format!("[issuers.corp]\nissuer = \"{url}\"\njwks_url = \"{url}/jwks\"\n");
        let folder = of(&sim).public().unwrap().section(&section).write().unwrap();
        private(&folder).await;
        let found = examined(&folder).await;
        assert_eq!(found.problems(), problems, "{off}: {:#?}", found.0);
        match off {
            12 => found.says("clock", "warning", "issuers.corp is 1"),
            -90 => found.says("clock", "problem", "s behind this machine"),
            _ => found.says("clock", "ok", "agree about the time"),
        }
        serving.abort();
    }
    let section = format!("[issuers.corp]\nissuer = \"{dead}\"\njwks_url = \"{dead}/jwks\"\n");
    let folder = of(&sim).public().unwrap().section(&section).write().unwrap();
    private(&folder).await;
    examined(&folder).await.says("issuers", "problem", "its keys cannot be had");
}

#[tokio::test]
async fn decision_cases_that_fail_are_a_problem() {
    let sim = site(SimOptions::default()).await;
    let case = |want: &str| {
        format!(
            "[caller.alice]\nhuman = \"alice\"\ngroups = [\"engineering\"]\nagent = \"release-bot\"\n\
             [[case]]\nname = \"a bot edits\"\ncaller = \"alice\"\nserver = \"atlassian\"\ntool = \"editJiraIssue\"\n\
             arguments = {{ issueIdOrKey = \"ENG-42\" }}\nwant = \"{want}\"\n"
        )
    };
    let folder = of(&sim).file("policies/cases/a.toml", &case("allow")).write().unwrap();
    private(&folder).await;
    let found = examined(&folder).await;
    found.says("policies", "ok", "1 decision case pass");
    folder.put("policies/cases/a.toml", &case("deny")).unwrap();
    let found = examined(&folder).await;
    assert_eq!(found.problems(), ["policies"], "{:#?}", found.0);
    found.says("policies", "problem", "1 of 1 decision cases fail: a bot edits");
    folder.put("policies/permits/typo.cedar", "permit(").unwrap();
    examined(&folder).await.says("configuration", "problem", "permits/typo.cedar");
}

#[tokio::test]
async fn what_the_store_knows_to_be_amiss_is_told() {
    let sim = site(SimOptions::default()).await;
    let dead = nobody();
    let sections = format!(
        "[tokens]\n[evidence]\ncheckpoint_s = 1\n\
         [evidence.sinks.siem]\nkind = \"syslog\"\naddress = \"{dead}\"\ndanger_plain_tcp = true\n\
         [notify.pager]\nkind = \"webhook\"\nurl = \"http://{dead}/\"\nsecrets = [{{ file = \"hook.secret\" }}]\n"
    );
    let hook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let folder = of(&sim).section(&sections).file("hook.secret", hook).write().unwrap();
    private(&folder).await;
    let mut gateway = Gateway::start(folder).await.unwrap();
    let create = [
        "token",
        "create",
        "--name",
        "short",
        "--owner",
        "local/alice",
        "--agent",
        "bot",
        "--server",
        "atlassian",
        "--action",
        "read",
        "--days",
        "3",
    ];
    let made = gateway.cli(&create).await.unwrap();
    assert_eq!(made.code, Some(0), "{made:?}");
    sim.fault(Fault::HangAfterExecuting);
    let call = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
    let asked = call.begin(gateway.address).await.unwrap();
    wait_until(|| !sim.ledger().entries().is_empty()).await;
    gateway.kill_9().await.unwrap();
    drop(asked);
    sim.clear_faults();
    gateway.restart().await.unwrap();
    gateway.says("marked indeterminate").await.unwrap();
    gateway.says("siem").await.unwrap();
    let found = examined(&gateway).await;
    found.says("tokens", "warning", "a token ends within two weeks: short");
    found.says("calls", "warning", "of 1 call it is not known");
    found.says("notify", "problem", "pager (webhook) cannot be reached");
    found.says("evidence", "problem", "siem (syslog) did not take what it was sent");

    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    examined(&gateway).await.says("checkpoints", "ok", "the last one is about");
    python(
        &gateway,
        "db.execute('DROP TRIGGER evidence_is_not_changed')\n\
         db.execute('UPDATE evidence SET at_ms = at_ms - 3600000')\n\
         db.execute('DELETE FROM checkpoints')",
    );
    examined(&gateway).await.says("checkpoints", "warning", "in no checkpoint");
}
