//! Notices, received by software that others wrote: signatures are verified by the library of Standard Webhooks, cards by the one that
//! shows them, mail by a server and a parser. Whatever a receiver does, no call waits for it, and what is not told shows.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::wire::{Ask, get};
use callgate_tests::{announced, install};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::approvals::{CAROL, prepared, waiting};
use super::world::{ALICE, edit, read};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
const OTHER: &str = "whsec_b29vb29vb29vb29vb29vb29vb29vb29v";

/// How long anything may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What receives. Dropping it ends it.
pub(crate) struct Receiver {
    pub(crate) web: SocketAddr,
    plain: u64,
    guarded: u64,
    folder: TempDir,
    _child: Child,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let script = install::notify(&install::default_directory()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut node = Command::new("node");
        node.arg(&script).arg(folder.path()).args([NEW, OLD, OTHER]);
        let (ports, child) = announced(&mut node).await.unwrap();
        let ports: Value = serde_json::from_str(&ports).unwrap();
        let port = |name: &str| ports[name].as_u64().unwrap();
        let web = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port("web")).unwrap()));
        Self { web, plain: port("plain"), guarded: port("guarded"), folder, _child: child }
    }

    pub(crate) async fn received(&self, kind: &str) -> Vec<Value> {
        let heard = get(self.web, "/received").await.unwrap();
        let all: Vec<Value> = serde_json::from_str(&heard.body).unwrap();
        all.into_iter().filter(|one| one["kind"] == kind).collect()
    }

    /// What it has of `kind` once that are so many.
    pub(crate) async fn has(&self, kind: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + ARRIVES_WITHIN;
        loop {
            let all = self.received(kind).await;
            if all.len() >= count {
                assert_eq!(all.len(), count, "{all:#?}");
                return all;
            }
            assert!(Instant::now() < deadline, "only {all:#?} of {kind}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A webhook at `path`, signed with the new secret and the old one.
    pub(crate) fn hook(&self, name: &str, path: &str) -> String {
        format!(
            "[notify.{name}]\nkind = \"webhook\"\nurl = \"http://{}/{path}\"\nsecrets = [{{ file = \"new.secret\" }}, {{ file = \"old.secret\" }}]\n",
            self.web
        )
    }

    fn every_channel(&self, more: &str) -> String {
        let post = |kind: &str| {
            format!("[notify.{kind}]\nkind = \"{kind}\"\nurl = {{ file = \"{kind}.url\" }}\n{more}")
        };
        let mail = format!(
            "[notify.mail]\nkind = \"mail\"\nfrom = \"Callgate <gate@corp.example>\"\nto = [\"leads@corp.example\", \"Carol <carol@corp.example>\"]\nrelay = \"127.0.0.1\"\nport = {}\ndanger_plain_smtp = true\n{more}",
            self.plain
        );
        [self.hook("hook", "webhook"), more.to_owned(), post("slack"), post("teams"), mail].concat()
    }

    /// Mail by a relay with TLS and a login.
    fn guarded(&self, more: &str) -> String {
        format!(
            "[notify.leads]\nkind = \"mail\"\nfrom = \"gate@corp.example\"\nto = [\"leads@corp.example\"]\nrelay = \"localhost\"\nport = {}\nuser = \"gate\"\npassword = {{ file = \"relay.secret\" }}\n{more}",
            self.guarded
        )
    }

    pub(crate) fn files(&self, setup: Setup) -> Setup {
        let at = |path: &str| format!("http://{}/{path}\n", self.web);
        setup
            .file("new.secret", NEW)
            .file("old.secret", OLD)
            .file("slack.url", &at("slack"))
            .file("teams.url", &at("teams"))
            .file("relay.secret", "sesame of the relay\n")
    }

    async fn world(&self, gate: &str, sections: &str) -> (callgate_sim::Running, Gateway) {
        let (sim, setup) = prepared(gate).await;
        let gateway = self.files(setup).section(sections).start().await.unwrap();
        (sim, gateway)
    }
}

/// Where nobody listens.
pub(crate) fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Alice's release bot wants to delete an issue; how long it took to be told that somebody has to look.
pub(crate) async fn ask(gateway: &Gateway) -> Duration {
    let begun = Instant::now();
    let ask = Ask::call("atlassian", ALICE, "deleteJiraIssue", read("ENG-45"));
    let heard = ask.send(gateway.address).await.unwrap();
    assert!(heard.body.contains("approval_required"), "{heard:?}");
    begun.elapsed()
}

async fn approve(gateway: &Gateway) {
    let all = waiting(gateway).await;
    let (id, code) = (all[0]["id"].as_str().unwrap(), all[0]["code"].as_str().unwrap());
    let arguments = ["approvals", "approve", id, "--code", code, "--token", "carol.token"];
    assert!(!CAROL.is_empty() && gateway.cli(&arguments).await.unwrap().code == Some(0));
}

/// What the command line tells of a channel.
async fn channel(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.cli(&["approvals", "channels", "--json"]).await.unwrap().json().unwrap();
    all.into_iter().find(|one| one["channel"] == name).unwrap()
}

/// The same, as soon as it is so.
pub(crate) async fn channel_when(
    gateway: &Gateway,
    name: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    loop {
        let found = channel(gateway, name).await;
        if is_so(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the metrics have this line.
async fn counts(gateway: &Gateway, line: &str) {
    let deadline = Instant::now() + ARRIVES_WITHIN;
    loop {
        let metrics = get(gateway.address, "/metrics").await.unwrap().body;
        if metrics.lines().any(|found| found == line) {
            return;
        }
        assert!(Instant::now() < deadline, "{line} is not in {metrics}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[tokio::test]
async fn people_are_told_what_waits_and_what_became_of_it() {
    let receiver = Receiver::start().await;
    let (_sim, gateway) = receiver.world("", &receiver.every_channel("")).await;
    // Whoever asks again joins: nobody is told twice.
    ask(&gateway).await;
    ask(&gateway).await;
    let approval = waiting(&gateway).await[0].clone();
    let (id, code) = (approval["id"].as_str().unwrap(), approval["code"].as_str().unwrap());
    let page = format!("http://{}/console/approvals/{id}", gateway.address);

    let hook = receiver.has("webhook", 1).await.remove(0);
    let signed = json!([true, true, "No matching signature found"]);
    assert_eq!((&hook["verified"], &hook["method"]), (&signed, &"POST".into()), "{hook}");
    assert_eq!(hook["type"], "application/cloudevents+json; charset=utf-8");
    let event = &hook["body"];
    assert_eq!((&event["id"], &event["subject"]), (&hook["id"], &id.into()));
    assert_eq!(event["type"], "dev.callgate.approval.requested");
    let data = &event["data"];
    assert_eq!((&data["code"], &data["page"]), (&code.into(), &page.as_str().into()));
    assert_eq!(data["asked_by"], "alice via release-bot");
    assert_eq!(data["operation"], "jira.issue.delete");
    assert_eq!(data["targets"], json!(["Jira::Issue acme/ENG-45"]));
    assert_eq!(data["gates"][0]["reason"], "What is deleted is gone");

    let slack = receiver.has("slack", 1).await.remove(0);
    let blocks = slack["body"]["blocks"].as_array().unwrap();
    let text = blocks[1]["text"]["text"].as_str().unwrap();
    assert!(text.contains("alice via release-bot") && text.contains("ENG-45"), "{text}");
    assert!(blocks[0]["text"]["text"].as_str().unwrap().contains(code));
    assert_eq!(blocks[2]["text"]["text"], format!("<{page}|Look at it and decide>"));
    assert_eq!(blocks.len(), 3);

    let teams = receiver.has("teams", 1).await.remove(0);
    assert_eq!(teams["problems"], json!([]), "{teams}");
    assert_eq!(teams["type"], "application/vnd.microsoft.card.adaptive");
    let card = &teams["body"]["attachments"][0]["content"];
    assert_eq!((&teams["actions"], &card["actions"][0]["url"]), (&json!(1), &page.as_str().into()));
    assert!(card["body"].to_string().contains("ENG-45"), "{card}");

    let mail = receiver.has("mail", 1).await.remove(0);
    assert_eq!(mail["to"], json!(["leads@corp.example", "carol@corp.example"]));
    assert!(mail["subject"].as_str().unwrap().starts_with("Approval wanted: "), "{mail}");
    for part in ["text", "html"] {
        let text = mail[part].as_str().unwrap();
        assert!(text.contains(&page) && text.contains("ENG-45") && text.contains(code), "{text}");
    }
    for told in [&hook, &slack, &teams, &mail] {
        assert!(!told.to_string().contains("issueIdOrKey"), "nobody wants arguments: {told}");
    }

    approve(&gateway).await;
    let hooks = receiver.has("webhook", 2).await;
    let event = &hooks[1]["body"];
    assert_eq!(event["type"], "dev.callgate.approval.closed");
    assert_ne!(event["id"], hooks[0]["body"]["id"]);
    assert_eq!((&event["data"]["standing"], &event["subject"]), (&"approved".into(), &id.into()));
    assert_eq!(event["data"]["votes"][0]["by"], "carol");
    let subject = receiver.has("mail", 2).await[1]["subject"].as_str().unwrap().to_owned();
    assert!(subject.starts_with("Approved: ") && subject.contains(code), "{subject}");
    for name in ["hook", "slack", "teams", "mail"] {
        let is_done = |one: &Value| one["delivered"] == 2 && one["waiting"] == 0;
        let told = channel_when(&gateway, name, is_done).await;
        assert_eq!((&told["given_up"], &told["failure"]), (&json!(0), &Value::Null), "{told}");
    }
    counts(&gateway, r#"callgate_notices_total{channel="hook",outcome="delivered"} 2"#).await;
    counts(&gateway, r#"callgate_notices_waiting{channel="mail"} 0"#).await;
    assert!(gateway.output().contains("danger_plain_smtp"), "what weakens safety is in the log");
    for secret in [OLD, NEW, "/slack", "/teams"] {
        assert!(!gateway.output().contains(secret), "i7: {secret} is in the log");
    }
    let record = gateway.cli(&["approvals", "channels"]).await.unwrap().stdout;
    assert!(record.contains("mail") && record.contains("2 delivered, 0 waiting"), "{record}");
}

#[tokio::test]
async fn arguments_and_words_of_their_own_are_told_if_somebody_wants_them() {
    let receiver = Receiver::start().await;
    let own = "template = \"{{ code }} {{ arguments.issueIdOrKey }}\"\n";
    let sections = receiver.every_channel("arguments = true\noccasions = [\"requested\"]\n");
    let sections = sections.replace("kind = \"slack\"\n", &format!("kind = \"slack\"\n{own}"));
    let (_sim, gateway) = receiver.world("", &sections).await;
    ask(&gateway).await;
    let code = waiting(&gateway).await[0]["code"].as_str().unwrap().to_owned();
    let hook = receiver.has("webhook", 1).await.remove(0);
    assert_eq!(hook["body"]["data"]["arguments"]["issueIdOrKey"], "ENG-45");
    let slack = receiver.has("slack", 1).await.remove(0);
    assert_eq!(slack["body"]["blocks"][1]["text"]["text"], format!("{code} ENG-45"));
    for kind in ["teams", "mail"] {
        let told = receiver.has(kind, 1).await.remove(0).to_string();
        assert!(told.contains("argument: issueIdOrKey = "), "{told}");
    }
    approve(&gateway).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.received("webhook").await.len(), 1, "of the end nobody is told");
}

const TELLS: &str = r#"
@id("alice-edits") @reason("Her edits are looked at later") @owner("platform") @notify("hook, slack, mail")
permit(principal == User::"alice", action == Action::"jira.issue.edit", resource);
"#;

/// Whomever a channel is for otherwise, it tells of what a permit obliges to; with a link to look at, and no arguments.
#[tokio::test]
async fn people_are_told_of_what_a_permit_lets_through() {
    let receiver = Receiver::start().await;
    let sections = receiver.every_channel("approvers = [\"team:others\"]\n");
    let (_sim, setup) = prepared("").await;
    let setup = receiver.files(setup).file("policies/permits/tells.cedar", TELLS);
    let gateway = setup.section(&sections).start().await.unwrap();
    for tool in ["getJiraIssue", "editJiraIssue"] {
        let arguments = if tool == "editJiraIssue" { edit("ENG-42", "x") } else { read("ENG-42") };
        let heard = Ask::call("atlassian", ALICE, tool, arguments).send(gateway.address).await;
        assert!(heard.unwrap().is_success(), "{tool}");
    }
    let hook = receiver.has("webhook", 1).await.remove(0);
    let (event, data) = (&hook["body"], &hook["body"]["data"]);
    assert_eq!(event["type"], "dev.callgate.call.let_through");
    assert_eq!((&event["subject"], &data["operation"]), (&data["call"], &"jira.issue.edit".into()));
    assert_eq!(data["targets"], json!(["Jira::Issue acme/ENG-42"]));
    let policies = data["policies"].as_array().unwrap();
    assert!(policies.iter().any(|one| one["policy"] == "alice-edits"), "{data}");
    let page =
        format!("http://{}/console/calls/{}", gateway.address, data["call"].as_str().unwrap());
    assert_eq!(data["page"], page);
    let slack = receiver.has("slack", 1).await.remove(0);
    assert_eq!(slack["body"]["blocks"][2]["text"]["text"], format!("<{page}|Look at it>"));
    let mail = receiver.has("mail", 1).await.remove(0);
    assert_eq!(mail["subject"], "Let through: jira.issue.edit, medium risk");
    for told in [&hook, &slack, &mail] {
        assert!(!told.to_string().contains("issueIdOrKey"), "nobody wants arguments: {told}");
    }
    assert!(receiver.received("teams").await.is_empty(), "it names no such channel");

    // A channel that is not there keeps the policies from being in force.
    gateway.put("policies/permits/tells.cedar", &TELLS.replace("mail", "post")).unwrap();
    gateway.says("no channel is called `post`").await.unwrap();
}

/// Receivers that fail, hang, send elsewhere or are not there: each is its own trouble, and shows.
#[tokio::test]
async fn a11_a_dead_channel_delays_nobody_and_is_seen() {
    let receiver = Receiver::start().await;
    let down = receiver.hook("down", "x").replace(&receiver.web.to_string(), &nobody());
    let dead = ["broken", "hang", "elsewhere"].map(|name| receiver.hook(name, name)).concat();
    let once = "kind = \"webhook\"\noccasions = [\"requested\"]\n";
    let dead = format!("{down}{dead}").replace("kind = \"webhook\"\n", once);
    let sections = dead + &receiver.hook("hook", "webhook");
    let (_sim, gateway) = receiver.world("@decide_within(\"3s\")", &sections).await;
    gateway.says("a channel cannot be reached").await.unwrap();
    let took = ask(&gateway).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let begun = Instant::now();
    let hook = receiver.has("webhook", 1).await.remove(0);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "others do not hold it up: {took:?}");
    for (name, why) in [
        ("broken", "HTTP status 500"),
        ("elsewhere", "HTTP status 302"),
        ("down", "connection to the server failed"),
        ("hang", "in time"),
    ] {
        let told = channel_when(&gateway, name, |one| one["given_up"] == 1).await;
        assert_eq!((&told["delivered"], &told["waiting"]), (&json!(0), &json!(0)), "{told}");
        let failure = told["failure"].as_str().unwrap();
        assert!(failure.contains("it ended before that") && failure.contains(why), "{failure}");
        assert!(!failure.contains(&receiver.web.port().to_string()), "{failure}");
    }
    let broken = receiver.received("broken").await;
    assert!(broken.len() > 1, "it is tried again: {broken:?}");
    assert!(broken.iter().all(|one| one["id"] == broken[0]["id"]), "{broken:?}");
    assert_ne!(broken[0]["id"], hook["id"]);
    // Of these two, nobody has followed a redirect.
    let hooks = receiver.has("webhook", 2).await;
    assert_eq!(hooks[1]["body"]["data"]["standing"], "expired");
    counts(&gateway, r#"callgate_notices_total{channel="broken",outcome="given_up"} 1"#).await;
    let changes = ["evidence", "list", "--changes", "--json"];
    let changes = gateway.cli(&changes).await.unwrap().json().unwrap();
    let given_up = changes.iter().map(|one| &one["event"]);
    let given_up: Vec<&Value> = given_up.filter(|one| one["change"] == "notice_given_up").collect();
    assert_eq!(given_up.len(), 4, "{changes:#?}");
    let of_broken = given_up.iter().find(|one| one["channel"] == "broken").unwrap();
    assert_eq!(of_broken["id"], broken[0]["id"]);
    let recorded = gateway.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(recorded.code, Some(0), "{recorded:?}");
}

/// Killed before it could tell anybody, and killed while the receiver fails: after that, it is told, and known by its id.
#[tokio::test]
async fn what_was_to_be_told_is_told_after_a_crash() {
    let receiver = Receiver::start().await;
    let sections = receiver.hook("hook", "webhook") + &receiver.hook("late", "flaky");
    let (_sim, mut gateway) = receiver.world("", &sections).await;
    ask(&gateway).await;
    gateway.kill_9().await.unwrap();
    gateway.restart().await.unwrap();
    let first = receiver.has("flaky", 1).await.remove(0);
    gateway.kill_9().await.unwrap();
    get(receiver.web, "/mend").await.unwrap();
    gateway.restart().await.unwrap();
    let told = channel_when(&gateway, "late", |one| one["delivered"] == 1).await;
    assert_eq!((&told["waiting"], &told["given_up"]), (&json!(0), &json!(0)), "{told}");
    let all = receiver.received("flaky").await;
    assert!(all.len() > 1 && all.iter().all(|one| one["id"] == first["id"]), "{all:#?}");
    channel_when(&gateway, "hook", |one| one["delivered"] == 1).await;
    let hooks = receiver.received("webhook").await;
    assert!(!hooks.is_empty() && hooks.iter().all(|one| one["id"] == hooks[0]["id"]), "{hooks:#?}");
    let page = &hooks[0]["body"]["data"]["page"];
    assert!(page.as_str().unwrap().ends_with(waiting(&gateway).await[0]["id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_gate_that_counts_on_a_channel_needs_it_to_be_there() {
    let receiver = Receiver::start().await;
    let gate = "@notify(\"leads\")";
    let (_sim, setup) = prepared(gate).await;
    let setup = receiver.files(setup);
    let refused = |sections: String| {
        let folder = setup.clone().section(&sections).write().unwrap();
        async move {
            let serving = tokio::time::timeout(ARRIVES_WITHIN, folder.cli(&["serve"])).await;
            let ran = serving.expect("it serves").unwrap();
            assert_eq!(ran.code, Some(64), "{ran:?}");
            ran.stderr
        }
    };
    let unknown = refused(String::new()).await;
    assert!(
        unknown.contains("approvals/: deletes-need-a-lead: no channel is called `leads`"),
        "{unknown}"
    );
    let checked = setup.write().unwrap().cli(&["check"]).await.unwrap();
    assert!(checked.code == Some(64) && checked.stderr.contains("[notify.leads]"), "{checked:?}");

    let down = receiver.hook("leads", "x").replace(&receiver.web.to_string(), &nobody());
    let down = refused(down).await;
    let why = "people are told by it of deletes-need-a-lead";
    assert!(down.contains("notify.leads: cannot be reached") && down.contains(why), "{down}");
    // The relay's certificate is known to nobody; its login is another one; it speaks no TLS at all.
    let authority = receiver.folder.path().join("relay.pem");
    let known = format!("authority = {authority:?}\n");
    let plain = receiver
        .guarded(&known)
        .replace(&receiver.guarded.to_string(), &receiver.plain.to_string());
    let wrong = receiver.guarded(&known).replace("relay.secret", "new.secret");
    for bad in [receiver.guarded(""), wrong, plain] {
        let refused = refused(bad).await;
        assert!(refused.contains("notify.leads: cannot be reached"), "{refused}");
        assert!(!refused.contains("sesame") && !refused.contains(NEW), "{refused}");
    }
    assert!(
        receiver.received("mail").await.is_empty() && receiver.received("guarded").await.is_empty()
    );

    let other = receiver.hook("other", "webhook") + "approvers = [\"team:others\"]\n";
    // It is told of the gate since that names it.
    let leads = receiver.guarded(&format!("{known}approvers = [\"team:others\"]\n"));
    let gateway = setup.section(&(leads + &other)).start().await.unwrap();
    ask(&gateway).await;
    let mail = receiver.has("guarded", 1).await.remove(0);
    assert_eq!((&mail["secure"], &mail["user"]), (&json!(true), &"gate".into()), "{mail}");
    assert!(receiver.received("webhook").await.is_empty(), "it is told of others' gates");

    // A policy that names what there is not does not take the place of one that does.
    let named = super::world::APPROVALS.replace("forbid(", "@notify(\"pager\")\nforbid(");
    gateway.put("policies/approvals/all.cedar", &named).unwrap();
    gateway.says("no channel is called `pager`").await.unwrap();
    gateway.says("the old ones stay in force").await.unwrap();
}
