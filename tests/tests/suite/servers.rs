//! Servers that others wrote, or wrote the libraries of, behind the gate: as its children, over HTTP, and inside
//! `callgate wrap`. What the policies permit happens, nothing else does, and what is on disk afterwards is the oracle.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use callgate_tests::drive::{Client, Plan, Told};
use callgate_tests::evidence::Evidence;
use callgate_tests::gateway::{Folder, Gateway, Setup, program};
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::clients::{MODERN, decision, names};
use super::stdio::setup_name;
use super::world::{ALICE, ALICE_CHAIN, SECRET};

const APPROVAL: &str = r#"
@id("deletes-need-a-lead") @reason("What is deleted is gone") @owner("tests") @approval("team:leads")
forbid(principal, action in Action::"delete", resource);
"#;

/// A server, what its tools mean and what Alice may do with them.
struct Server {
    name: &'static str,
    catalog: &'static str,
    permits: &'static str,
    guardrails: &'static str,
    place: Place,
    /// Where it keeps what it keeps; its process writes its id there.
    work: TempDir,
}

enum Place {
    Command(Vec<String>, Vec<(&'static str, String)>),
    Url(String),
}

/// What comes of a call.
enum Comes {
    /// A result with this in it.
    Back(&'static str),
    /// A result with this in it, after so much progress.
    Slowly(&'static str, usize),
    /// The server's own error with this in it.
    ToolError(&'static str),
    /// A refusal for this reason.
    Refused(&'static str),
    /// The same as for a tool that does not exist.
    Hidden(&'static str),
}

type Calls = Vec<(&'static str, Value, Comes)>;

impl Server {
    fn setup(&self) -> Setup {
        let setup = Setup::default()
            .token(ALICE, &ALICE_CHAIN)
            .section(&format!("[catalogs]\nfiles = [\"{}.toml\"]\n", self.name))
            .file(&format!("{}.toml", self.name), self.catalog)
            .file("policies/approvals/all.cedar", APPROVAL)
            .file("policies/permits/all.cedar", self.permits);
        let setup = if self.guardrails.is_empty() {
            setup
        } else {
            setup.file("policies/guardrails/all.cedar", self.guardrails)
        };
        match &self.place {
            Place::Url(url) => setup.server(self.name, url, self.name, SECRET),
            Place::Command(command, environment) => {
                let pid = self.pid_file().display().to_string();
                let noted = ["sh", "-c", r#"echo $$ > "$0"; exec "$@""#, &pid];
                let command: Vec<&str> =
                    noted.into_iter().chain(command.iter().map(String::as_str)).collect();
                let environment: Vec<_> =
                    environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
                setup.command(self.name, &command, self.name, &environment)
            }
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.work.path().join("pid")
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.work.path().join(name)).ok()
    }

    /// Sends its process a signal.
    fn signal(&self, signal: &str) {
        let pid = self.file("pid").unwrap();
        let sent = std::process::Command::new("kill").args([signal, pid.trim()]).status();
        assert!(sent.unwrap().success());
    }
}

fn node() -> install::Node {
    install::node(&install::default_directory()).unwrap()
}

fn python2() -> install::Python2 {
    install::python2(&install::default_directory()).unwrap()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A folder, kept by a real path: servers look through links.
fn work() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn everything() -> Server {
    let script = path(&node().server("everything"));
    Server {
        name: "everything",
        catalog: include_str!("../../data/servers/everything.toml"),
        permits: r#"
@id("what-shows-something") @reason("Nothing of ours is in it") @owner("tests")
permit(principal, action in [Action::"risk.up_to.low"], resource);
"#,
        guardrails: "",
        place: Place::Command(vec!["node".to_owned(), script], Vec::new()),
        work: work(),
    }
}

fn everything_calls() -> Calls {
    let slow = json!({ "duration": 0.6, "steps": 3 });
    vec![
        ("echo", json!({ "message": "through the gate" }), Comes::Back("through the gate")),
        ("get-sum", json!({ "a": 19, "b": 23 }), Comes::Back("42")),
        ("get-structured-content", json!({ "location": "Chicago" }), Comes::Back("temperature")),
        ("toggle-simulated-logging", json!({}), Comes::Back("Started")),
        ("trigger-long-running-operation", slow, Comes::Slowly("completed", 3)),
        ("get-sum", json!({ "a": "many" }), Comes::Refused("arguments_invalid")),
        ("get-env", json!({}), Comes::Hidden("agent_not_permitted")),
        ("simulate-research-query", json!({ "topic": "x" }), Comes::Hidden("tool_unclassified")),
        ("toggle-simulated-logging", json!({}), Comes::Back("Stopped")),
    ]
}

const EVERYTHING_LISTED: &[&str] = &[
    "echo",
    "get-annotated-message",
    "get-resource-links",
    "get-resource-reference",
    "get-structured-content",
    "get-sum",
    "get-tiny-image",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "trigger-long-running-operation",
];

fn filesystem() -> Server {
    let (script, work) = (path(&node().server("filesystem")), work());
    for (name, text) in [("public/known.txt", "known"), ("secret/plan.txt", "plan")] {
        let file = work.path().join(name);
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let folder = path(work.path());
    Server {
        name: "filesystem",
        catalog: include_str!("../../data/servers/filesystem.toml"),
        permits: r#"
@id("files-are-read") @reason("All but what is secret") @owner("tests")
permit(principal, action in [Action::"filesystem/read_text_file", Action::"filesystem/list_directory"], resource);
@id("public-is-written") @reason("It is public") @owner("tests")
permit(principal, action == Action::"filesystem/write_file", resource)
when { context.input.path like "public/*" && !(context.input.path like "*..*") };
"#,
        guardrails: r#"
@id("secret-is-closed") @reason("It is secret") @owner("tests")
forbid(principal, action, resource) when { context.input has path && context.input.path like "*secret*" };
"#,
        place: Place::Command(vec!["node".to_owned(), script, folder], Vec::new()),
        work,
    }
}

fn filesystem_calls() -> Calls {
    let write = |path: &str| json!({ "path": path, "content": "written" });
    let no = "agent_not_permitted";
    vec![
        ("read_text_file", json!({ "path": "public/known.txt" }), Comes::Back("known")),
        ("write_file", write("public/new.txt"), Comes::Back("Successfully wrote")),
        ("read_text_file", json!({ "path": "public/new.txt" }), Comes::Back("written")),
        ("write_file", write("elsewhere.txt"), Comes::Refused(no)),
        ("write_file", write("public/../elsewhere.txt"), Comes::Refused(no)),
        ("write_file", write("secret/new.txt"), Comes::Refused("guardrail")),
        ("read_text_file", json!({ "path": "secret/plan.txt" }), Comes::Refused("guardrail")),
        ("read_text_file", json!({ "path": "public/none" }), Comes::ToolError("ENOENT")),
        (
            "move_file",
            json!({ "source": "public/known.txt", "destination": "x" }),
            Comes::Hidden(no),
        ),
        ("list_directory", json!({ "path": "public" }), Comes::Back("[FILE] new.txt")),
    ]
}

fn check_files(server: &Server) {
    assert_eq!(server.file("public/new.txt").as_deref(), Some("written"));
    assert_eq!(server.file("public/known.txt").as_deref(), Some("known"));
    assert_eq!(server.file("secret/plan.txt").as_deref(), Some("plan"));
    assert_eq!((server.file("elsewhere.txt"), server.file("secret/new.txt")), (None, None));
}

fn memory() -> Server {
    let (script, work) = (path(&node().server("memory")), work());
    let file = path(&work.path().join("memory.jsonl"));
    Server {
        name: "memory",
        catalog: include_str!("../../data/servers/memory.toml"),
        permits: r#"
@id("memory-is-read") @reason("Everybody remembers") @owner("tests")
permit(principal, action in [Action::"memory/read_graph", Action::"memory/open_nodes"], resource);
@id("gate-is-remembered") @reason("What it is about") @owner("tests")
permit(principal, action in [Action::"memory/create_entities", Action::"memory/delete_entities"], resource == Memory::Entity::"gate");
"#,
        guardrails: "",
        place: Place::Command(vec!["node".to_owned(), script], vec![("MEMORY_FILE_PATH", file)]),
        work,
    }
}

fn memory_calls() -> Calls {
    let create = |names: &[&str]| {
        let entity = |name| json!({ "name": name, "entityType": "thing", "observations": [] });
        json!({ "entities": names.iter().map(entity).collect::<Vec<_>>() })
    };
    let delete = json!({ "entityNames": ["gate"] });
    let no = "agent_not_permitted";
    vec![
        ("read_graph", json!({}), Comes::Back("entities")),
        ("create_entities", create(&["gate"]), Comes::Back("gate")),
        ("create_entities", create(&["wall"]), Comes::Refused(no)),
        ("create_entities", create(&["gate", "wall"]), Comes::Refused(no)),
        ("create_entities", create(&["the gate"]), Comes::Refused("target_unresolved")),
        ("delete_entities", delete, Comes::Refused("approval_required")),
        ("open_nodes", json!({ "names": ["gate"] }), Comes::Back("thing")),
    ]
}

fn check_memory(server: &Server) {
    let kept = server.file("memory.jsonl").unwrap();
    assert!(kept.contains("gate") && !kept.contains("wall"), "{kept}");
}

const NOTES_PERMITS: &str = r#"
@id("notes") @reason("Her own") @owner("tests")
permit(principal, action, resource == Notes::Note::"mine");
"#;

fn notes(place: Place, work: TempDir) -> Server {
    Server {
        name: "notes",
        catalog: include_str!("../../data/servers/notes.toml"),
        permits: NOTES_PERMITS,
        guardrails: "",
        place,
        work,
    }
}

fn notes_as_child(library: &str) -> Server {
    let (python, work) = (python2(), work());
    let script = path(&python.notes);
    let command = vec![path(&python.interpreter), script, library.to_owned(), path(work.path())];
    notes(Place::Command(command, Vec::new()), work)
}

fn notes_calls() -> Calls {
    let write = |name: &str| json!({ "name": name, "text": "written" });
    let slowly = json!({ "name": "mine", "text": "written slowly", "seconds": 0.3 });
    let mine = || json!({ "name": "mine" });
    vec![
        ("read_note", mine(), Comes::ToolError("there is no note mine")),
        ("write_note", write("mine"), Comes::Back("wrote mine")),
        ("read_note", mine(), Comes::Back("written")),
        ("stat_note", mine(), Comes::Back("modified_ns")),
        ("write_note", write("yours"), Comes::Refused("agent_not_permitted")),
        ("write_note", write("../mine"), Comes::Refused("target_unresolved")),
        ("write_note", json!({ "name": "mine" }), Comes::Refused("arguments_invalid")),
        ("delete_note", mine(), Comes::Refused("approval_required")),
        ("burn_everything", json!({}), Comes::Hidden("tool_unclassified")),
        ("write_slowly", slowly, Comes::Slowly("wrote mine", 3)),
        ("read_note", mine(), Comes::Back("written slowly")),
    ]
}

const NOTES_LISTED: &[&str] =
    &["delete_note", "read_note", "stat_note", "write_note", "write_slowly"];

fn check_notes(server: &Server) {
    assert_eq!(server.file("mine.txt").as_deref(), Some("written slowly"));
    assert_eq!(server.file("yours.txt"), None);
}

fn plan(start: Plan, protocol: &str, calls: &Calls) -> Plan {
    calls.iter().fold(start.protocol(protocol).list(), |plan, (tool, arguments, comes)| {
        if matches!(comes, Comes::Slowly(..)) {
            plan.call_with_progress(tool, arguments.clone())
        } else {
            plan.call(tool, arguments.clone())
        }
    })
}

fn check_told(told: &Told, listed: &[&str], calls: &Calls) {
    assert!(told.connect["error"].is_null(), "{}", told.connect);
    let (list, steps) = told.steps.split_first().unwrap();
    assert_eq!(names(list), listed, "exactly what could be allowed");
    assert_eq!(steps.len(), calls.len());
    for ((tool, _, comes), step) in calls.iter().zip(steps) {
        let says = |what: &str| step["text"].as_str().is_some_and(|text| text.contains(what));
        match comes {
            Comes::Back(what) | Comes::Slowly(what, _) => {
                assert!(step["isError"] == false && says(what), "{tool}: {step}");
            }
            Comes::ToolError(what) => {
                assert!(step["isError"] == true && says(what), "{tool}: {step}");
                assert!(step["meta"]["dev.callgate/decision"].is_null(), "{tool}: {step}");
            }
            Comes::Refused(reason) => assert_eq!(decision(step).1, *reason, "{tool}: {step}"),
            Comes::Hidden(_) => assert_eq!(step["error"]["code"], -32602, "{tool}: {step}"),
        }
        if let Comes::Slowly(_, heard) = comes {
            assert_eq!(step["progress"].as_array().unwrap().len(), *heard, "{tool}: {step}");
        }
    }
}

fn check_evidence(evidence: &Evidence, calls: &Calls) {
    assert_eq!(evidence.0.len(), calls.len());
    for ((tool, _, comes), one) in calls.iter().zip(&evidence.0) {
        assert_eq!(one.tool(), *tool);
        match comes {
            Comes::Back(_) | Comes::Slowly(..) => {
                assert_eq!(one.outcome.as_deref(), Some("succeeded"), "{one:?}");
            }
            Comes::ToolError(_) => assert_eq!(one.outcome.as_deref(), Some("tool_error")),
            Comes::Refused(reason) | Comes::Hidden(reason) => {
                let reasons = one.reasons();
                assert!(one.kind == "refusal" && reasons.starts_with(reason), "{tool}: {reasons}");
            }
        }
    }
}

async fn settled(folder: &Folder, count: usize) -> Evidence {
    folder.evidence_when(|e| e.0.len() >= count && e.is_settled()).await.unwrap()
}

/// Through `callgate serve`.
async fn served(client: &Client, protocol: &str, server: &Server, listed: &[&str], calls: &Calls) {
    let gateway = server.setup().start().await.unwrap();
    let start = Plan::new(&gateway.url(server.name)).token(ALICE);
    let told = client.run(&plan(start, protocol, calls)).await.unwrap();
    check_told(&told, listed, calls);
    check_evidence(&settled(&gateway, calls.len()).await, calls);
}

/// The command of a client that starts its server itself.
fn wrapping(folder: &Folder, server: &Server) -> Plan {
    let config = folder.path().join("callgate.toml");
    let (program, caller) = (path(&program().unwrap()), setup_name(&config));
    let config = path(&config);
    let command =
        [&program, "wrap", "--config", &config, "--server", server.name, "--caller", &caller];
    Plan::of_command(&command)
}

/// Through `callgate wrap`.
async fn wrapped(client: &Client, protocol: &str, server: &Server, listed: &[&str], calls: &Calls) {
    let folder = server.setup().write().unwrap();
    let told = client.run(&plan(wrapping(&folder, server), protocol, calls)).await.unwrap();
    check_told(&told, listed, calls);
    check_evidence(&settled(&folder, calls.len()).await, calls);
}

const FILES_LISTED: &[&str] = &["list_directory", "read_text_file", "write_file"];
const MEMORY_LISTED: &[&str] = &["create_entities", "delete_entities", "open_nodes", "read_graph"];

#[tokio::test]
async fn the_reference_server() {
    let client = Client::python2(&python2());
    served(&client, MODERN, &everything(), EVERYTHING_LISTED, &everything_calls()).await;
    let client = Client::node1(&node());
    wrapped(&client, "legacy", &everything(), EVERYTHING_LISTED, &everything_calls()).await;
}

#[tokio::test]
async fn the_server_of_files() {
    let server = filesystem();
    let client = Client::node1(&node());
    served(&client, "legacy", &server, FILES_LISTED, &filesystem_calls()).await;
    check_files(&server);
    let server = filesystem();
    wrapped(&Client::node(&node()), MODERN, &server, FILES_LISTED, &filesystem_calls()).await;
    check_files(&server);
}

#[tokio::test]
async fn the_server_of_memories() {
    let server = memory();
    served(&Client::node(&node()), MODERN, &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
    let server = memory();
    wrapped(&Client::fastmcp(&python2()), "legacy", &server, MEMORY_LISTED, &memory_calls()).await;
    check_memory(&server);
}

async fn notes_of(library: &str) {
    let server = notes_as_child(library);
    let client = Client::node1(&node());
    served(&client, "legacy", &server, NOTES_LISTED, &notes_calls()).await;
    check_notes(&server);
    let server = notes_as_child(library);
    wrapped(&Client::python2(&python2()), MODERN, &server, NOTES_LISTED, &notes_calls()).await;
    check_notes(&server);

    let work = work();
    let upstream = Upstream::notes(&python2(), library, work.path()).await.unwrap();
    let server = notes(Place::Url(upstream.url.clone()), work);
    served(&Client::node(&node()), MODERN, &server, NOTES_LISTED, &notes_calls()).await;
    check_notes(&server);
}

#[tokio::test]
async fn a_server_made_with_fastmcp() {
    notes_of("fastmcp").await;
}

#[tokio::test]
async fn a_server_made_with_the_second_python_sdk() {
    notes_of("mcp").await;
}

/// A call that changes something, and one that shows whether the server is there.
struct Deadly {
    write: (&'static str, Value),
    read: (&'static str, Value),
    /// Whether the server is stopped before the write reaches it.
    stopped: bool,
}

/// Kills the server while it has a write, and calls again.
async fn killed(client: &Client, protocol: &str, server: &Server, deadly: Deadly) {
    let Deadly { write, read, stopped } = deadly;
    let gateway = server.setup().start().await.unwrap();
    let start = || Plan::new(&gateway.url(server.name)).token(ALICE).protocol(protocol);
    let first = client.run(&start().call(read.0, read.1.clone())).await.unwrap();
    assert_eq!(first.steps[0]["isError"], false, "{first:?}");
    if stopped {
        server.signal("-STOP");
    }
    // The server is left alone for half a second after it ended.
    let through_it = start().call(write.0, write.1).wait_ms(900).call(read.0, read.1);
    let (told, ()) = tokio::join!(client.run(&through_it), kill_when_it_has(&gateway, server));
    let told = told.unwrap();
    let [write_told, _, again] = told.steps.as_slice() else { panic!("{told:?}") };
    assert_eq!(write_told["isError"], true, "no success: {write_told}");
    let outcome = &write_told["meta"]["dev.callgate/decision"]["outcome"];
    assert_eq!(outcome, "indeterminate", "{write_told}");
    assert_eq!(again["isError"], false, "{again}");
    let evidence = settled(&gateway, 3).await;
    let outcomes: Vec<_> =
        evidence.intents().iter().map(|intent| intent.outcome.clone().unwrap()).collect();
    assert_eq!(outcomes, ["succeeded", "indeterminate", "succeeded"]);
}

async fn kill_when_it_has(gateway: &Gateway, server: &Server) {
    let under_way = |e: &Evidence| e.intents().iter().any(|intent| intent.outcome.is_none());
    gateway.evidence_when(under_way).await.unwrap();
    // From the record to the server's hands.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("-KILL");
}

#[tokio::test]
async fn the_reference_server_dies_with_a_call() {
    let write = ("toggle-subscriber-updates", json!({}));
    let read = ("get-sum", json!({ "a": 1, "b": 2 }));
    let deadly = Deadly { write, read, stopped: true };
    killed(&Client::node(&node()), MODERN, &everything(), deadly).await;
}

#[tokio::test]
async fn the_server_of_files_dies_with_a_call() {
    let server = filesystem();
    let write = ("write_file", json!({ "path": "public/new.txt", "content": "x" }));
    let read = ("read_text_file", json!({ "path": "public/known.txt" }));
    let deadly = Deadly { write, read, stopped: true };
    killed(&Client::python2(&python2()), MODERN, &server, deadly).await;
    assert_eq!(server.file("public/new.txt"), None);
}

#[tokio::test]
async fn the_server_of_memories_dies_with_a_call() {
    let entity = json!({ "name": "gate", "entityType": "thing", "observations": [] });
    let write = ("create_entities", json!({ "entities": [entity] }));
    let deadly = Deadly { write, read: ("read_graph", json!({})), stopped: true };
    killed(&Client::node1(&node()), "legacy", &memory(), deadly).await;
}

/// Here the write has happened: what is not known is not said to have failed.
async fn notes_die(client: &Client, protocol: &str, library: &str) {
    let server = notes_as_child(library);
    fs::write(server.work.path().join("mine.txt"), "before").unwrap();
    let write = ("write_slowly", json!({ "name": "mine", "text": "after", "seconds": 20 }));
    let read = ("read_note", json!({ "name": "mine" }));
    killed(client, protocol, &server, Deadly { write, read, stopped: false }).await;
    assert_eq!(server.file("mine.txt").as_deref(), Some("after"));
}

#[tokio::test]
async fn a_server_made_with_fastmcp_dies_with_a_call() {
    notes_die(&Client::node(&node()), MODERN, "fastmcp").await;
}

#[tokio::test]
async fn a_server_made_with_the_second_python_sdk_dies_with_a_call() {
    notes_die(&Client::fastmcp(&python2()), "legacy", "mcp").await;
}
