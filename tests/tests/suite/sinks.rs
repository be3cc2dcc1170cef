//! Sinks, taken by software that others wrote: syslog over TLS by Python's own and a parser, webhooks by the library of Standard Webhooks,
//! logs by OpenTelemetry's own classes. Whatever becomes of the gateway or of a receiver, nothing is missing there, and no call waits.

mod siem;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, Setup, program};
use callgate_tests::wire::{Ask, get};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use siem::{Siem, lines};

use super::notify::{Receiver, nobody};
use super::telemetry::Collector;
use super::world::{ALICE, BOB, SECRET, edit, read, setup, site};

/// How long anything may take to arrive: a gateway that was killed has what it was sending for some time.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

async fn world(sections: &str, files: impl FnOnce(Setup) -> Setup) -> (Running, Gateway) {
    let sim = site(SimOptions::default()).await;
    let setup = setup().server("atlassian", &sim.url, "atlassian-rovo", SECRET);
    let gateway = files(setup).section(sections).start().await.unwrap();
    (sim, gateway)
}

/// Some calls: let through, refused, unknown.
async fn calls(gateway: &Gateway, count: usize) {
    for n in 0..count {
        let (token, key) = if n.is_multiple_of(3) { (BOB, "SUP-101") } else { (ALICE, "ENG-42") };
        for (tool, arguments) in [
            ("getJiraIssue", read(key)),
            ("editJiraIssue", edit(key, &format!("{n} \" ] = | \\"))),
            ("dropEverything", json!({ "n": n })),
        ] {
            // A gateway that is killed answers nothing.
            Ask::call("atlassian", token, tool, arguments).send(gateway.address).await.ok();
        }
    }
}

async fn exported(folder: &Folder) -> Vec<Value> {
    let ran = folder.cli(&["evidence", "export"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json().unwrap()
}

/// What the command line tells of each place.
pub(crate) async fn places(folder: &Folder) -> Vec<Value> {
    let ran = folder.cli(&["evidence", "sinks", "--json"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json().unwrap()
}

/// The same, as soon as it is so.
pub(crate) async fn places_when(folder: &Folder, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    loop {
        let all = places(folder).await;
        if is_so(&all) {
            return all;
        }
        assert!(Instant::now() < deadline, "{all:#?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether everything was taken everywhere.
pub(crate) fn is_taken(places: &[Value]) -> bool {
    places.iter().all(|place| place["behind"] == 0 && place["error"] == Value::Null)
}

/// What came has every record, each for the first time in the order of the log.
fn is_whole(what: &str, came: &[u64], records: usize) {
    let mut next = 0;
    for index in came {
        assert!(*index <= next, "{what}: {index} came before {next}: {came:?}");
        next = next.max(index + 1);
    }
    assert_eq!(next, u64::try_from(records).unwrap(), "{what}");
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

#[tokio::test]
async fn e04_every_sink_has_every_record_over_crashes() {
    let (hooks, collector) = (Receiver::start().await, Collector::start().await);
    let mut siem = Siem::start().await;
    let from = "from = \"start\"\n";
    let sections = [
        format!("[evidence.sinks.file]\nkind = \"file\"\npath = \"copy.jsonl\"\n{from}"),
        siem.sink("siem", from),
        format!(
            "[evidence.sinks.otlp]\nkind = \"otlp\"\nurl = \"{}\"\nheaders.authorization = {{ file = \"otlp.secret\" }}\nattributes = {{ \"deployment.environment.name\" = \"test\" }}\n{from}",
            collector.at("taken")
        ),
        format!("{}format = \"ocsf\"\n{from}", hook(&hooks, "hook", "webhook")),
    ];
    let files = |setup| siem.files(hooks.files(setup)).file("otlp.secret", "Bearer canary-of-otlp");
    let (_sim, mut gateway) = world(&sections.concat(), files).await;
    for round in 0..2 {
        let killed = async {
            tokio::time::sleep(Duration::from_millis(900 + 700 * round)).await;
        };
        tokio::select! {
            () = calls(&gateway, 1_000) => {}
            () = killed => {}
        }
        gateway.kill_9().await.unwrap();
        if round == 0 {
            siem.stop().await;
        }
        gateway.restart().await.unwrap();
        if round == 0 {
            // It was away while others went on.
            places_when(&gateway, |all| all[3]["name"] == "siem" && all[3]["error"].is_string())
                .await;
            siem.again().await;
        }
    }
    calls(&gateway, 1).await;
    gateway.evidence_when(|all| !all.0.is_empty()).await.unwrap();
    let told = places_when(&gateway, is_taken).await;
    assert_eq!(told.len(), 4, "{told:#?}");
    gateway.terminate().await.unwrap();
    assert!(is_taken(&places(&gateway).await), "the last of it was sent before the end");

    let records = exported(&gateway).await;
    assert!(records.len() > 20, "{}", records.len());
    in_the_file(&gateway, &records);
    in_the_siem(&siem, &records).await;
    in_the_webhook(&hooks, &records).await;
    in_the_collector(&collector, &records).await;
    assert!(!gateway.output().contains("canary-of-otlp"));
}

fn hook(hooks: &Receiver, name: &str, path: &str) -> String {
    let section = hooks.hook(name, path);
    section.replace(&format!("[notify.{name}]"), &format!("[evidence.sinks.{name}]"))
}

fn in_the_file(folder: &Folder, records: &[Value]) {
    let path = folder.path().join("copy.jsonl");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = lines(&std::fs::read_to_string(&path).unwrap());
    let came: Vec<u64> = copy.iter().map(|one| number(&one["index"])).collect();
    is_whole("file", &came, records.len());
    for one in &copy {
        let index = usize::try_from(number(&one["index"])).unwrap();
        assert_eq!(one, &records[index], "it is the record, which can be verified");
    }
}

async fn in_the_siem(siem: &Siem, records: &[Value]) {
    let data = |one: &Value| one["data"]["callgate@32473"].clone();
    let deadline = Instant::now() + ARRIVES_WITHIN;
    let messages = loop {
        // It takes messages faster than it reads them.
        let messages = siem.messages();
        let last = messages.last().map(|one| number(&data(one)["index"]) + 1);
        if last == Some(records.len() as u64) {
            break messages;
        }
        assert!(Instant::now() < deadline, "{last:?} of {}", records.len());
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let came: Vec<u64> = messages.iter().map(|one| number(&data(one)["index"])).collect();
    is_whole("siem", &came, records.len());
    for (one, index) in messages.iter().zip(&came) {
        let record = &records[usize::try_from(*index).unwrap()];
        assert_eq!((&data(one)["hash"], &one["kind"]), (&record["hash"], &record["kind"]));
        assert_eq!((&one["facility"], &one["app"]), (&"audit".into(), &"callgate".into()));
        let message = one["message"].as_str().unwrap();
        assert!(message.starts_with("\u{feff}CEF:0|Callgate|callgate|"), "{message}");
    }
}

async fn in_the_webhook(hooks: &Receiver, records: &[Value]) {
    let batches = hooks.received("webhook").await;
    let mut came = Vec::new();
    for batch in &batches {
        assert_eq!(batch["verified"], json!([true, true, "No matching signature found"]));
        assert_eq!(batch["type"], "application/json; charset=utf-8");
        for event in batch["body"].as_array().unwrap() {
            let index = number(&event["metadata"]["sequence"]);
            let record = &records[usize::try_from(index).unwrap()];
            assert_eq!(event["metadata"]["uid"], record["hash"]);
            came.push(index);
        }
    }
    is_whole("webhook", &came, records.len());
}

async fn in_the_collector(collector: &Collector, records: &[Value]) {
    let logs = collector.all("logs").await;
    let came: Vec<u64> =
        logs.iter().map(|log| number(&log["attributes"]["event.sequence"])).collect();
    is_whole("otlp", &came, records.len());
    for (log, index) in logs.iter().zip(&came) {
        let body: Value = serde_json::from_str(log["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, records[usize::try_from(*index).unwrap()]);
        let resource = &log["resource"];
        assert_eq!(resource["service.name"], "callgate");
        assert_eq!(resource["deployment.environment.name"], "test");
    }
    for sent in collector.has("logs").await {
        assert_eq!(sent["headers"]["authorization"], "Bearer canary-of-otlp");
    }
}

/// Sinks that hang in every way: they never answer, never shake hands, are not there, or are no file.
#[tokio::test]
async fn e03_a_sink_that_hangs_delays_no_call_and_no_end() {
    let (hooks, collector) = (Receiver::start().await, Collector::start().await);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let from = "from = \"start\"\n";
    let sections = [
        format!("{}{from}", hook(&hooks, "hook", "hang")),
        format!(
            "[evidence.sinks.otlp]\nkind = \"otlp\"\nurl = \"{}\"\n{from}",
            collector.at("hang")
        ),
        format!(
            "[evidence.sinks.siem]\nkind = \"syslog\"\naddress = \"{}\"\n{from}",
            silent.local_addr().unwrap()
        ),
        format!(
            "[evidence.sinks.gone]\nkind = \"syslog\"\naddress = \"{}\"\ndanger_plain_tcp = true\n{from}",
            nobody()
        ),
        format!("[evidence.sinks.file]\nkind = \"file\"\npath = \"policies\"\n{from}"),
        format!(
            "[evidence.anchors.nowhere]\nkind = \"put\"\nurl = \"http://{}\"\n[evidence.witnesses.nobody]\nurl = \"http://{}\"\nkey = \"example.com/w+71527b00+BJvc5Ygz9C4bcLiPlJeQYVHBEiZ4vZcvleqiGuBG7OfU\"\n",
            nobody(),
            nobody()
        ),
    ];
    let (_sim, mut gateway) = world(&sections.concat(), |setup| hooks.files(setup)).await;
    let begun = Instant::now();
    for _ in 0..30 {
        let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
        assert!(ask.send(gateway.address).await.unwrap().is_success());
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let fails = |place: &Value| place["error"].is_string() && place["behind"] != 0;
    let told = places_when(&gateway, |all| all.iter().all(fails)).await;
    let names: Vec<_> = told.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["file", "gone", "hook", "otlp", "siem", "anchors.nowhere", "witnesses.nobody"]
    );
    let ran = gateway.cli(&["evidence", "sinks"]).await.unwrap();
    assert!(ran.stdout.contains("not taken at"), "{ran:?}");
    let metrics = get(gateway.address, "/metrics").await.unwrap().body;
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    for name in names {
        let lag = format!("callgate_sink_lag{{sink=\"{name}\"}}");
        let failures = format!("callgate_sink_failures_total{{sink=\"{name}\"}}");
        assert!(value(&lag) > Some(0) && value(&failures) > Some(0), "{name}: {metrics}");
    }
    let begun = Instant::now();
    assert_eq!(gateway.terminate().await.unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    let said = gateway.output().matches("evidence is not taken").count();
    assert_eq!(said, 7, "once of each: {}", gateway.output());
}

/// Whoever has no certificate that counts gets nothing, and whoever does not accept ours has taken nothing.
#[tokio::test]
async fn a_receiver_is_who_it_says_and_knows_who_we_are() {
    let siem = Siem::start().await;
    let from = "from = \"start\"\n";
    let good = siem.sink("good", from);
    let sections = [
        good.replace("authority = \"ca.pem\"\n", "").replace(".good]", ".stranger]"),
        good.replace("localhost", "127.0.0.1").replace(".good]", ".misnamed]"),
        good.lines()
            .filter(|line| !line.starts_with("certificate") && !line.starts_with("key"))
            .fold(String::new(), |all, line| all + line + "\n")
            .replace(".good]", ".unknown]"),
    ];
    let (_sim, gateway) = world(&sections.concat(), |setup| siem.files(setup)).await;
    calls(&gateway, 1).await;
    let fails = |place: &Value| place["error"].is_string() && place["next"] == 0;
    let told = places_when(&gateway, |all| all.iter().all(fails)).await;
    for (place, why) in told.iter().zip([
        "certificate not valid for name",
        "UnknownIssuer",
        "closes the connection",
    ]) {
        assert!(place["error"].as_str().unwrap().contains(why), "{told:#?}");
    }
    // Each was tried again, and still nothing came.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(places(&gateway).await.iter().all(fails));
    assert_eq!(siem.messages(), Vec::<Value>::new());
}

/// What a receiver did not take is sent again as it was, and what came after it later.
#[tokio::test]
async fn what_is_not_taken_is_sent_again_as_it_was() {
    let hooks = Receiver::start().await;
    let section = format!("{}from = \"start\"\n", hook(&hooks, "hook", "flaky"));
    let (_sim, gateway) = world(&section, |setup| hooks.files(setup)).await;
    hooks_have(&hooks, "flaky", 1).await;
    calls(&gateway, 2).await;
    hooks_have(&hooks, "flaky", 3).await;
    get(hooks.web, "/mend").await.unwrap();
    calls(&gateway, 1).await;
    places_when(&gateway, is_taken).await;
    let all = hooks.received("flaky").await;
    let sent = |place: usize| (all[place]["id"].clone(), all[place]["body"].clone());
    assert!(sent(0) == sent(1) && sent(1) == sent(2), "{all:#?}");
    let mut ids: Vec<_> = all.iter().map(|one| one["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert!(ids.len() > 1, "{ids:?}");
    let mut came = Vec::new();
    all.iter().for_each(|one| {
        came.extend(one["body"].as_array().unwrap().iter().map(|one| number(&one["index"])))
    });
    is_whole("flaky", &came, exported(&gateway).await.len());
}

async fn hooks_have(hooks: &Receiver, kind: &str, count: usize) {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    while hooks.received(kind).await.len() < count {
        assert!(Instant::now() < deadline, "{kind}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Several gateways on one store have the same sink, which takes its time: each record comes once.
#[tokio::test]
async fn of_many_gateways_one_sends() {
    let hooks = Receiver::start().await;
    let section = format!("{}lines = true\nfrom = \"start\"\n", hook(&hooks, "hook", "slow"));
    let (_sim, gateway) = world(&section, |setup| hooks.files(setup)).await;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = Command::new(program().unwrap())
            .arg("serve")
            .current_dir(gateway.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = other.stderr.take().unwrap();
        tokio::spawn(async move { said.read_to_end(&mut Vec::new()).await });
        others.push(other);
    }
    for _ in 0..6 {
        calls(&gateway, 4).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    gateway.evidence_when(|all| all.0.len() >= 72 && all.is_settled()).await.unwrap();
    places_when(&gateway, is_taken).await;
    let mut came = Vec::new();
    for batch in hooks.received("slow").await {
        // The library wants one JSON value, and says so when it has verified the signature.
        let stranger = "No matching signature found";
        let verified: Vec<_> = (0..3).map(|n| batch["verified"][n] != stranger).collect();
        assert_eq!(verified, [true, true, false], "{:#}", batch["verified"]);
        assert_eq!(batch["type"], "application/x-ndjson; charset=utf-8");
        came.extend(batch["body"].as_array().unwrap().iter().map(|one| number(&one["index"])));
    }
    let records = exported(&gateway).await;
    let writers = records.iter().filter(|one| one["kind"] == "opened").count();
    assert_eq!(writers, 3);
    assert_eq!(came, (0..came.len() as u64).collect::<Vec<_>>(), "each once, in order");
    assert!(came.len() >= 72 * 2 - 24);
}

/// Only what is wanted is sent, and only what is recorded from now on; a file that was put aside is begun anew.
#[tokio::test]
async fn a_sink_has_what_is_wanted_of_it() {
    let (_sim, gateway) = world(
        "[evidence.sinks.denied]\nkind = \"file\"\npath = \"denied.csv\"\nformat = \"csv\"\ndecisions = [\"deny\"]\nkinds = [\"refusal\"]\n\
         [evidence.sinks.writes]\nkind = \"file\"\npath = \"writes.jsonl\"\neffects = [\"write\"]\nkinds = [\"intent\", \"outcome\", \"refusal\"]\n",
        |setup| setup,
    )
    .await;
    calls(&gateway, 1).await;
    gateway.evidence_when(|all| all.0.len() == 3 && all.is_settled()).await.unwrap();
    places_when(&gateway, is_taken).await;
    let read = |name: &str| std::fs::read_to_string(gateway.path().join(name)).unwrap();
    let denied = read("denied.csv");
    assert!(denied.starts_with("index,at,kind,") && denied.lines().count() == 2, "{denied}");
    assert!(denied.contains("dropEverything"), "{denied}");
    let kinds = |text: &str| -> Vec<String> {
        lines(text).iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect()
    };
    // What nobody knows may have any effect.
    assert_eq!(kinds(&read("writes.jsonl")), ["intent", "outcome", "refusal"]);

    let path = |name: &str| gateway.path().join(name);
    std::fs::rename(path("writes.jsonl"), path("writes.old")).unwrap();
    calls(&gateway, 1).await;
    gateway.evidence_when(|all| all.0.len() == 6 && all.is_settled()).await.unwrap();
    places_when(&gateway, is_taken).await;
    assert_eq!(kinds(&read("writes.old")).len(), 3);
    assert_eq!(kinds(&read("writes.jsonl")), ["intent", "outcome", "refusal"]);
    assert_eq!(read("denied.csv").lines().count(), 3, "its header stands there once");
    let checked = gateway.cli(&["check", "--json"]).await.unwrap();
    assert_eq!(checked.json().unwrap()[0]["elsewhere"], json!(["denied", "writes"]), "{checked:?}");
    // What is not configured any more is shown as such.
    let config = std::fs::read_to_string(path("callgate.toml")).unwrap();
    gateway.put("callgate.toml", &config.replace("sinks.writes", "sinks.others")).unwrap();
    let told = places(&gateway).await;
    let told: Vec<_> =
        told.iter().map(|one| (&one["name"], &one["kind"], one["next"].is_u64())).collect();
    let [denied, others, writes] = ["denied", "others", "writes"].map(Value::from);
    let [file, none] = [json!("file"), Value::Null];
    assert_eq!(told, [(&denied, &file, true), (&others, &file, false), (&writes, &none, true)]);
}
