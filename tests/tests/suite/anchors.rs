//! Checkpoints go where the operator of the gateway cannot change them, and a witness cosigns them: one that is as strict as its rules
//! are, and shares no code with us. What it says is in exports, and `callgate-verify` checks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::put;
use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::{Folder, Gateway, Setup};
use callgate_tests::wire::{Ask, get};
use callgate_tests::{announced, install};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::notify::Receiver;
use super::sinks::{is_taken, places, places_when};
use super::world::{ALICE, SECRET, edit, setup, site};

const NAME: &str = "gate.example/evidence";
const LOOK_EVERY: Duration = Duration::from_millis(100);
const IS_SO_WITHIN: Duration = Duration::from_secs(60);

/// A gateway to be started, whose checkpoints are signed often, with a key of ours; and the key's public half.
async fn prepared() -> (Running, Setup, String) {
    let sim = site(SimOptions::default()).await;
    let setup = setup().server("atlassian", &sim.url, "atlassian-rovo", SECRET);
    let key = new_key(&setup).await;
    let setup = setup
        .section("[evidence]\ncheckpoint_s = 1\nkeys = [{ file = \"evidence.key\" }]\n")
        .file("evidence.key", &key)
        .file("anchor.secret", "canary-of-the-anchor\n")
        .file("new.secret", "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
        .file("old.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let folder = setup.write().unwrap();
    let public = folder.cli(&["evidence", "key"]).await.unwrap().stdout.trim().to_owned();
    (sim, setup, public)
}

async fn new_key(setup: &Setup) -> String {
    let folder = setup.write().unwrap();
    let ran = folder.cli(&["evidence", "key", "--new", NAME]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout
}

async fn calls(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        let ask = Ask::call("atlassian", ALICE, "editJiraIssue", edit("ENG-42", "x"));
        assert!(ask.send(gateway.address).await.unwrap().is_success());
    }
}

/// What `callgate-verify` says of an export made now, as JSON.
async fn verified(folder: &Folder, arguments: &[&str]) -> (Option<i32>, Value) {
    let export = folder.path().join("export");
    std::fs::remove_dir_all(&export).ok();
    let ran = folder.cli(&["evidence", "tiles", "export"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let program = install::beside("callgate-verify", "callgate-verify").unwrap();
    let ran = Command::new(program)
        .arg(&export)
        .args(arguments)
        .arg("--json")
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let said = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{ran:?}"));
    (ran.status.code(), said)
}

/// What was put, by its path, if it came with the secret.
type Kept = Arc<Mutex<BTreeMap<String, String>>>;

async fn keep(
    State(kept): State<Kept>,
    Path(size): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if headers.get("authorization").is_none_or(|said| said != "Bearer canary-of-the-anchor") {
        return StatusCode::UNAUTHORIZED;
    }
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    // What is kept is not replaced.
    if kept.contains_key(&size) {
        return StatusCode::CONFLICT;
    }
    kept.insert(size, String::from_utf8(body.to_vec()).unwrap());
    StatusCode::CREATED
}

async fn keeper() -> (String, Kept) {
    let kept = Kept::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/anchors", listener.local_addr().unwrap());
    let routes = Router::new().route("/anchors/{size}", put(keep)).with_state(Arc::clone(&kept));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, kept)
}

#[tokio::test]
async fn i11_checkpoints_are_anchored_in_every_way() {
    let hooks = Receiver::start().await;
    let (url, kept) = keeper().await;
    let anchors = tempfile::tempdir().unwrap();
    let file = anchors.path().join("checkpoints.jsonl");
    let hook = hooks.hook("hook", "elsewhere").replace("[notify.", "[evidence.anchors.");
    let sections = format!(
        "[evidence.anchors.vault]\nkind = \"put\"\nurl = \"{url}\"\ncredential = {{ file = \"anchor.secret\" }}\n\
         [evidence.anchors.disk]\nkind = \"file\"\npath = \"{}\"\n{hook}",
        file.display()
    );
    let (_sim, setup, key) = prepared().await;
    let mut gateway = setup.section(&sections).start().await.unwrap();
    calls(&gateway, 3).await;
    let two = |_: &[Value]| kept.lock().unwrap().len() >= 2;
    places_when(&gateway, two).await;
    calls(&gateway, 1).await;
    gateway.terminate().await.unwrap();
    let told = places(&gateway).await;
    assert!(
        is_taken(&told[..1]) && is_taken(&told[2..]),
        "the last one went before the end: {told:#?}"
    );
    assert_eq!(
        told[1]["error"], "the server answers with HTTP status 302",
        "only a clear yes counts"
    );

    let kept = kept.lock().unwrap().clone();
    let lines = std::fs::read_to_string(&file).unwrap();
    let notes: Vec<String> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(notes.len() >= 2);
    let mut against = vec!["--key".to_owned(), key];
    for (size, note) in &kept {
        assert!(notes.contains(note) && note.starts_with(&format!("{NAME}\n{size}\n")), "{note}");
        gateway.put(&format!("anchored/{size}"), note).unwrap();
        against.extend(["--against".to_owned(), format!("anchored/{size}")]);
    }
    // The file as it is, too.
    against.extend(["--against".to_owned(), file.display().to_string()]);
    let against: Vec<&str> = against.iter().map(String::as_str).collect();
    let (code, said) = verified(&gateway, &against).await;
    assert_eq!((code, &said["against"]), (Some(0), &json!(kept.len() + notes.len())), "{said:#}");
    assert!(!gateway.output().contains("canary"));
}

/// A store of somebody else's, which knows Amazon's signatures.
#[tokio::test]
async fn i11_checkpoints_are_anchored_in_an_object_store() {
    let kept = tempfile::tempdir().unwrap();
    let script = install::store(&install::default_directory()).unwrap();
    let mut node = Command::new("node");
    let (said, _store) = announced(node.arg(script).arg(kept.path())).await.unwrap();
    let port = serde_json::from_str::<Value>(&said).unwrap()["port"].as_u64().unwrap();
    let anchor = |name: &str, secret: &str| {
        format!(
            "[evidence.anchors.{name}]\nkind = \"s3\"\nurl = \"http://127.0.0.1:{port}\"\nbucket = \"evidence\"\n\
             region = \"eu-central-1\"\nprefix = \"call gate/\"\nkey_id = \"AKIDEXAMPLE\"\nsecret = {{ file = \"{secret}\" }}\n"
        )
    };
    let sections = anchor("bucket", "store.secret") + &anchor("stranger", "anchor.secret");
    let (_sim, setup, key) = prepared().await;
    let setup = setup.file("store.secret", "secret-of-the-store\n").section(&sections);
    let mut gateway = setup.start().await.unwrap();
    calls(&gateway, 2).await;
    places_when(&gateway, |all| all[1]["error"] != Value::Null && all[0]["next"] != 0).await;
    calls(&gateway, 1).await;
    gateway.terminate().await.unwrap();
    let told = places(&gateway).await;
    assert!(is_taken(&told[..1]) && told[0]["kind"] == "s3", "{told:#?}");
    assert_eq!(told[1]["error"], "the server answers with HTTP status 403", "{told:#?}");

    let mut against = vec!["--key".to_owned(), key];
    for entry in std::fs::read_dir(kept.path()).unwrap() {
        let path = entry.unwrap().path().display().to_string();
        assert!(path.contains("call gate of "), "{path}");
        against.extend(["--against".to_owned(), path]);
    }
    assert!(against.len() >= 6, "{against:?}");
    let against: Vec<&str> = against.iter().map(String::as_str).collect();
    let (code, said) = verified(&gateway, &against).await;
    assert_eq!((code, &said["against"]), (Some(0), &json!((against.len() - 2) / 2)), "{said:#}");
    assert!(!gateway.output().contains("secret-of") && !gateway.output().contains("canary"));
}

/// A witness of the log that `key` signs for.
struct Witness {
    address: std::net::SocketAddr,
    vkey: String,
    _child: Child,
}

impl Witness {
    async fn start(key: &str) -> Self {
        let script = install::witness(&install::default_directory()).unwrap();
        let mut node = Command::new("node");
        let (said, child) = announced(node.arg(script).arg(key)).await.unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        let port = u16::try_from(said["port"].as_u64().unwrap()).unwrap();
        let vkey = said["vkey"].as_str().unwrap().to_owned();
        Self { address: ([127, 0, 0, 1], port).into(), vkey, _child: child }
    }

    fn section(&self, name: &str) -> String {
        format!(
            "[evidence.witnesses.{name}]\nurl = \"http://{}/w\"\nkey = \"{}\"\n",
            self.address, self.vkey
        )
    }

    async fn seen(&self) -> Value {
        serde_json::from_str(&get(self.address, "/seen").await.unwrap().body).unwrap()
    }

    async fn do_(&self, what: &str) {
        get(self.address, what).await.unwrap();
    }
}

/// Waits until the place of that number is so.
async fn when(gateway: &Gateway, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + IS_SO_WITHIN;
    loop {
        let all = places(gateway).await;
        let found = all.into_iter().find(|one| one["name"] == name).unwrap();
        if is_so(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:#}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[tokio::test]
async fn i11_two_witnesses_cosign_every_checkpoint() {
    let (_sim, setup, key) = prepared().await;
    let [one, other] = [Witness::start(&key).await, Witness::start(&key).await];
    let sections = one.section("one") + &other.section("other");
    let mut gateway = setup.section(&sections).start().await.unwrap();
    calls(&gateway, 3).await;
    let taken = |place: &Value| place["behind"] == 0 && place["next"].as_u64() > Some(6);
    let before = when(&gateway, "witnesses.one", taken).await["next"].as_u64();
    when(&gateway, "witnesses.other", taken).await;
    assert!(one.seen().await["seen"].as_array().unwrap().iter().all(|one| one["status"] == 200));

    // A witness that forgot it, or saw it from somebody else, says what it knows, and is asked again from there.
    one.do_("/forget").await;
    calls(&gateway, 1).await;
    when(&gateway, "witnesses.one", |place| taken(place) && place["next"].as_u64() > before).await;
    let seen = one.seen().await;
    let statuses: Vec<_> =
        seen["seen"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert!(statuses.ends_with(&[&json!(409), &json!(200)]), "{seen:#}");

    // What it signs has to be what it was sent.
    one.do_("/forge").await;
    calls(&gateway, 1).await;
    let told = when(&gateway, "witnesses.one", |place| place["error"].is_string()).await;
    assert!(told["error"].as_str().unwrap().contains("is not of this text"), "{told:#}");
    one.do_("/mend").await;
    gateway.terminate().await.unwrap();
    when(&gateway, "witnesses.one", |place| place["error"].is_null()).await;

    let both = ["--key", &key, "--witness", &one.vkey, "--witness", &other.vkey];
    let (code, said) = verified(&gateway, &both).await;
    assert_eq!(code, Some(0), "{said:#}");
    let checkpoint = std::fs::read_to_string(gateway.path().join("export/checkpoint")).unwrap();
    assert_eq!(checkpoint.matches("\n\u{2014} ").count(), 3, "{checkpoint}");
    // One that has not cosigned is missed.
    let stranger = Witness::start(&key).await;
    let (code, said) = verified(&gateway, &["--key", &key, "--witness", &stranger.vkey]).await;
    assert_eq!(code, Some(3), "{said:#}");
}

/// Whoever puts the store back to what it was before cannot have the witness believe it, however much is recorded then.
#[tokio::test]
async fn i11_a_log_that_was_put_back_is_not_cosigned() {
    let (_sim, setup, key) = prepared().await;
    let witness = Witness::start(&key).await;
    let mut gateway = setup.section(&witness.section("one")).start().await.unwrap();
    let store = ["evidence.db", "evidence.db-wal", "evidence.db-shm"];
    let before = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        for name in store {
            // What is not there is in the first already.
            std::fs::remove_file(to.join(name)).ok();
            std::fs::copy(from.join(name), to.join(name)).ok();
        }
    };
    gateway.terminate().await.unwrap();
    copy(gateway.path(), before.path());
    gateway.restart().await.unwrap();
    calls(&gateway, 10).await;
    gateway.terminate().await.unwrap();
    let seen = witness.seen().await["size"].as_u64().unwrap();
    assert!(seen > 20, "{seen}");

    copy(before.path(), gateway.path());
    gateway.restart().await.unwrap();
    let says = |why: &'static str| {
        move |place: &Value| place["error"].as_str().is_some_and(|error| error.contains(why))
    };
    when(&gateway, "witnesses.one", says("the witness has seen ")).await;
    calls(&gateway, 15).await;
    when(&gateway, "witnesses.one", says("HTTP status 422")).await;
    assert_eq!(witness.seen().await["size"], seen);
    gateway.terminate().await.unwrap();
    let ran = gateway.cli(&["evidence", "verify"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "by itself nothing shows: {ran:?}");
}
