//! The servers behind the gate: what each is, what its catalog says, what Alice may do with it, and what comes of calls.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use callgate_tests::gateway::Setup;
use callgate_tests::install;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::world::{ALICE, ALICE_CHAIN, SECRET};

const APPROVAL: &str = r#"
@id("deletes-need-a-lead") @reason("What is deleted is gone") @owner("tests") @approval("team:leads")
forbid(principal, action in Action::"delete", resource);
"#;

/// A server, what its tools mean and what Alice may do with them.
pub(super) struct Server {
    pub(super) name: &'static str,
    /// Its catalog, if none comes with the program.
    pub(super) catalog: Option<&'static str>,
    pub(super) permits: String,
    pub(super) guardrails: String,
    pub(super) place: Place,
    /// Where it keeps what it keeps; its process writes its id there.
    pub(super) work: TempDir,
}

pub(super) enum Place {
    Command(Vec<String>, Vec<(&'static str, String)>),
    Url(String),
}

/// What comes of a call.
pub(super) enum Comes {
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

pub(super) type Calls = Vec<(&'static str, Value, Comes)>;

impl Server {
    pub(super) fn setup(&self) -> Setup {
        let setup = Setup::default()
            .token(ALICE, &ALICE_CHAIN)
            .file("policies/approvals/all.cedar", APPROVAL)
            .file("policies/permits/all.cedar", &self.permits);
        let setup = match self.catalog {
            Some(catalog) => setup
                .section(&format!("[catalogs]\nfiles = [\"{}.toml\"]\n", self.name))
                .file(&format!("{}.toml", self.name), catalog),
            None => setup,
        };
        let setup = if self.guardrails.is_empty() {
            setup
        } else {
            setup.file("policies/guardrails/all.cedar", &self.guardrails)
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

    pub(super) fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.work.path().join(name)).ok()
    }

    /// Sends its process a signal.
    pub(super) fn signal(&self, signal: &str) {
        let pid = self.file("pid").unwrap();
        let sent = std::process::Command::new("kill").args([signal, pid.trim()]).status();
        assert!(sent.unwrap().success());
    }
}

pub(super) fn node() -> install::Node {
    install::node(&install::default_directory()).unwrap()
}

pub(super) fn python2() -> install::Python2 {
    install::python2(&install::default_directory()).unwrap()
}

pub(super) fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A folder, kept by a real path: servers look through links.
pub(super) fn work() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn everything() -> Server {
    let script = path(&node().server("everything"));
    Server {
        name: "everything",
        catalog: Some(include_str!("../../../data/servers/everything.toml")),
        permits: r#"
@id("what-shows-something") @reason("Nothing of ours is in it") @owner("tests")
permit(principal, action in [Action::"risk.up_to.low"], resource);
"#
        .to_owned(),
        guardrails: String::new(),
        place: Place::Command(vec!["node".to_owned(), script], Vec::new()),
        work: work(),
    }
}

pub(super) fn everything_calls() -> Calls {
    let slow = json!({ "duration": 0.6, "steps": 3 });
    vec![
        ("echo", json!({ "message": "Grüße 🚪" }), Comes::Back("Grüße 🚪")),
        ("get-sum", json!({ "a": 19, "b": 23 }), Comes::Back("42")),
        ("get-structured-content", json!({ "location": "Chicago" }), Comes::Back("temperature")),
        ("toggle-simulated-logging", Value::Null, Comes::Back("Started")),
        ("trigger-long-running-operation", slow, Comes::Slowly("completed", 3)),
        ("get-sum", json!({ "a": "many" }), Comes::Refused("arguments_invalid")),
        ("get-env", json!({}), Comes::Hidden("agent_not_permitted")),
        ("simulate-research-query", json!({ "topic": "x" }), Comes::Hidden("tool_unclassified")),
        ("toggle-simulated-logging", json!({}), Comes::Back("Stopped")),
    ]
}

pub(super) const EVERYTHING_LISTED: &[&str] = &[
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

pub(super) fn filesystem() -> Server {
    let (script, work) = (path(&node().server("filesystem")), work());
    for (name, text) in [("public/known.txt", "known"), ("secret/plan.txt", "plan")] {
        let file = work.path().join(name);
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let folder = path(work.path());
    Server {
        name: "filesystem",
        catalog: None,
        permits: format!(
            r#"
@id("files-are-read") @reason("All but what is secret") @owner("tests")
permit(principal, action in [Action::"file.read", Action::"file.list"], resource in Local::Folder::"{folder}");
@id("public-is-written") @reason("It is public") @owner("tests")
permit(principal, action == Action::"file.write", resource in Local::Folder::"{folder}/public");
"#
        ),
        guardrails: format!(
            r#"
@id("secret-is-closed") @reason("It is secret") @owner("tests")
forbid(principal, action, resource in Local::Folder::"{folder}/secret");
"#
        ),
        place: Place::Command(vec!["node".to_owned(), script, folder], Vec::new()),
        work,
    }
}

pub(super) fn filesystem_calls(server: &Server) -> Calls {
    let at = |name: &str| path(&server.work.path().join(name));
    let read = |name: &str| json!({ "path": at(name) });
    let write = |name: &str| json!({ "path": at(name), "content": "written" });
    let several = json!({ "paths": [at("public/known.txt"), at("secret/plan.txt")] });
    let moved = json!({ "source": at("public/known.txt"), "destination": at("public/x") });
    let relative = json!({ "path": "public/known.txt" });
    let no = "agent_not_permitted";
    vec![
        ("read_text_file", read("public/known.txt"), Comes::Back("known")),
        ("write_file", write("public/new.txt"), Comes::Back("Successfully wrote")),
        ("read_text_file", read("public/new.txt"), Comes::Back("written")),
        ("write_file", write("elsewhere.txt"), Comes::Refused(no)),
        ("write_file", write("public/../elsewhere.txt"), Comes::Refused("target_unresolved")),
        ("read_text_file", relative, Comes::Refused("target_unresolved")),
        ("write_file", write("secret/new.txt"), Comes::Refused("guardrail")),
        ("read_text_file", read("secret/plan.txt"), Comes::Refused("guardrail")),
        ("read_multiple_files", several, Comes::Refused("guardrail")),
        ("read_text_file", read("public/none"), Comes::ToolError("ENOENT")),
        ("move_file", moved, Comes::Hidden(no)),
        ("list_directory", read("public"), Comes::Back("[FILE] new.txt")),
    ]
}

pub(super) fn check_files(server: &Server) {
    assert_eq!(server.file("public/new.txt").as_deref(), Some("written"));
    assert_eq!(server.file("public/known.txt").as_deref(), Some("known"));
    assert_eq!(server.file("secret/plan.txt").as_deref(), Some("plan"));
    assert_eq!((server.file("elsewhere.txt"), server.file("secret/new.txt")), (None, None));
}

pub(super) fn memory() -> Server {
    memory_of(&node().server("memory"))
}

pub(super) fn memory_2024() -> Server {
    memory_of(&node().memory_2024())
}

fn memory_of(script: &Path) -> Server {
    let (script, work) = (path(script), work());
    let file = path(&work.path().join("memory.jsonl"));
    Server {
        name: "memory",
        catalog: None,
        permits: r#"
@id("memory-is-read") @reason("Everybody remembers") @owner("tests")
permit(principal, action in [Action::"memory.graph.read", Action::"memory.entity.read"], resource);
@id("gate-is-remembered") @reason("What it is about") @owner("tests")
permit(principal, action in [Action::"memory.entity.write", Action::"memory.entity.delete"], resource == Memory::Entity::"gate");
"#
        .to_owned(),
        guardrails: String::new(),
        place: Place::Command(vec!["node".to_owned(), script], vec![("MEMORY_FILE_PATH", file)]),
        work,
    }
}

pub(super) fn memory_calls() -> Calls {
    let create = |names: &[&str]| {
        let entity = |name| json!({ "name": name, "entityType": "thing", "observations": [] });
        json!({ "entities": names.iter().map(entity).collect::<Vec<_>>() })
    };
    let delete = json!({ "entityNames": ["gate"] });
    let no = "agent_not_permitted";
    vec![
        ("read_graph", Value::Null, Comes::Back("entities")),
        ("create_entities", create(&["gate"]), Comes::Back("gate")),
        ("create_entities", create(&["wall"]), Comes::Refused(no)),
        ("create_entities", create(&["gate", "wall"]), Comes::Refused(no)),
        ("create_entities", create(&["the gate"]), Comes::Refused("target_unresolved")),
        ("delete_entities", delete, Comes::Refused("approval_required")),
        ("open_nodes", json!({ "names": ["gate"] }), Comes::Back("thing")),
    ]
}

pub(super) fn check_memory(server: &Server) {
    let kept = server.file("memory.jsonl").unwrap();
    assert!(kept.contains("gate") && !kept.contains("wall"), "{kept}");
}

const NOTES_PERMITS: &str = r#"
@id("notes") @reason("Her own") @owner("tests")
permit(principal, action, resource == Notes::Note::"mine");
"#;

pub(super) fn notes(place: Place, work: TempDir) -> Server {
    Server {
        name: "notes",
        catalog: Some(include_str!("../../../data/servers/notes.toml")),
        permits: NOTES_PERMITS.to_owned(),
        guardrails: String::new(),
        place,
        work,
    }
}

pub(super) fn notes_as_child(library: &str) -> Server {
    let (python, work) = (python2(), work());
    let script = path(&python.notes);
    let command = vec![path(&python.interpreter), script, library.to_owned(), path(work.path())];
    notes(Place::Command(command, Vec::new()), work)
}

pub(super) fn notes_calls() -> Calls {
    let write = |name: &str| json!({ "name": name, "text": "written" });
    let slowly = json!({ "name": "mine", "text": "ganz gemächlich 🐢", "seconds": 0.3 });
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
        ("read_note", mine(), Comes::Back("ganz gemächlich 🐢")),
    ]
}

pub(super) const NOTES_LISTED: &[&str] =
    &["delete_note", "read_note", "stat_note", "write_note", "write_slowly"];

pub(super) fn check_notes(server: &Server) {
    assert_eq!(server.file("mine.txt").as_deref(), Some("ganz gemächlich 🐢"));
    assert_eq!(server.file("yours.txt"), None);
}

pub(super) const FILES_LISTED: &[&str] = &[
    "edit_file",
    "get_file_info",
    "list_directory",
    "list_directory_with_sizes",
    "read_file",
    "read_media_file",
    "read_multiple_files",
    "read_text_file",
    "write_file",
];

pub(super) const MEMORY_LISTED: &[&str] = &[
    "add_observations",
    "create_entities",
    "create_relations",
    "delete_entities",
    "delete_observations",
    "delete_relations",
    "open_nodes",
    "read_graph",
    "search_nodes",
];

/// Fetches pages of this machine, and of no other.
pub(super) fn fetch(site: SocketAddr) -> Server {
    Server {
        name: "fetch",
        catalog: None,
        permits: format!(
            r#"
@id("our-own-pages") @reason("They are ours") @owner("tests")
permit(principal, action == Action::"web.page.fetch", resource == Net::Host::"{site}");
"#
        ),
        guardrails: String::new(),
        place: Place::Command(
            vec![path(&python2().fetch), "--allow-private-ips".to_owned()],
            Vec::new(),
        ),
        work: work(),
    }
}

pub(super) fn fetch_calls(site: SocketAddr) -> Calls {
    let page = |host: &str| json!({ "url": format!("http://{host}/page"), "raw": true });
    let (here, port) = (site.to_string(), site.port());
    vec![
        ("fetch", page(&here), Comes::Back("what the page says")),
        ("fetch", page("elsewhere.example"), Comes::Refused("agent_not_permitted")),
        ("fetch", page(&format!("localhost:{port}")), Comes::Refused("agent_not_permitted")),
        ("fetch", page(&format!("127.1:{port}")), Comes::Refused("target_unresolved")),
        ("fetch", page(&format!("{here}@elsewhere.example")), Comes::Refused("target_unresolved")),
    ]
}

/// Those whose lists can be read without what they are for.
pub(super) fn only_listed() -> Vec<Server> {
    let listed = |name: &'static str, catalog, more: &[&str], environment| Server {
        name,
        catalog,
        permits: String::new(),
        guardrails: String::new(),
        place: Place::Command(
            [&["node", &*path(&node().server(name))], more]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            environment,
        ),
        work: work(),
    };
    let of_slack = [("SLACK_BOT_TOKEN", "xoxb-none"), ("SLACK_TEAM_ID", "T0")];
    let of_slack = of_slack.map(|(name, value)| (name, value.to_owned())).to_vec();
    let database = "postgresql://127.0.0.1:9/none";
    vec![listed("slack", None, &[], of_slack), listed("postgres", None, &[database], Vec::new())]
}
