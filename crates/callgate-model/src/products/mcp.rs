//! MCP itself: the resources and prompts that any server can have. What may be done with them exists whatever catalogs
//! say, and so do their kinds; catalogs can add nothing to them. What else a URI names, beside the resource, catalogs may
//! say.
//!
//! A resource is named by its URI and a prompt by its name, byte for byte: only their server knows what else means the
//! same. It must not know policies, nor messages.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::call::Method;
use crate::target::{Resource, Target};
use crate::vocabulary::{Effect, Operation, Reversibility, Risk, Vocabulary};

/// The kind of a whole server; its id is the configured name.
pub const SERVER: &str = "MCP::Server";
/// The kind of a resource; its id is `SERVER/URI`.
pub const RESOURCE: &str = "MCP::Resource";
/// The kind of a prompt; its id is `SERVER/NAME`.
pub const PROMPT: &str = "MCP::Prompt";

/// Longest URI of a resource, in bytes.
pub const URI_BYTES_MAX: usize = 2048;
/// Longest name of a prompt, in bytes.
pub const PROMPT_NAME_BYTES_MAX: usize = 256;

/// The operation of reading a resource, or completing the arguments of a template.
pub fn read_resource() -> &'static Arc<Operation> {
    static OPERATION: LazyLock<Arc<Operation>> =
        LazyLock::new(|| read("mcp.resource.read", "Read a resource of an MCP server", RESOURCE));
    &OPERATION
}

/// What a server may ask a client for while it works on a call; each is decided on the whole server, before anything is
/// declared to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// The person, through a form or a page.
    Elicitation,
    /// The client's model.
    Sampling,
    /// The folders that the client works in.
    Roots,
}

impl Asking {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Elicitation, Self::Sampling, Self::Roots];

    /// The capability by which a client offers it.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation",
            Self::Sampling => "sampling",
            Self::Roots => "roots",
        }
    }

    /// The request by which a server asks for it.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Elicitation => Method::ElicitationCreate,
            Self::Sampling => Method::SamplingCreateMessage,
            Self::Roots => Method::RootsList,
        }
    }

    /// What is asked for by a request of that name.
    #[must_use]
    pub fn of_method(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|asking| asking.method().as_str() == name)
    }

    /// The operation. Using somebody's model is nothing that a permit to read or write gives.
    pub fn operation(self) -> &'static Arc<Operation> {
        static ALL: LazyLock<[Arc<Operation>; 3]> = LazyLock::new(|| {
            [
                on_server("mcp.elicitation.create", "Ask the person for input", Effect::Read),
                on_server("mcp.sampling.create", "Use the client's model", Effect::Admin),
                on_server("mcp.roots.list", "See which folders the client works in", Effect::Read),
            ]
        });
        let [elicitation, sampling, roots] = &*ALL;
        match self {
            Self::Elicitation => elicitation,
            Self::Sampling => sampling,
            Self::Roots => roots,
        }
    }
}

fn on_server(name: &str, title: &str, effect: Effect) -> Arc<Operation> {
    let risk = if effect == Effect::Read { Risk::Low } else { Risk::High };
    let reversibility = Reversibility::Reversible;
    Arc::new(Operation {
        effect,
        risk,
        reversibility,
        ..Operation::clone(&read(name, title, SERVER))
    })
}

/// The operation of getting a prompt, or completing its arguments.
pub fn get_prompt() -> &'static Arc<Operation> {
    static OPERATION: LazyLock<Arc<Operation>> =
        LazyLock::new(|| read("mcp.prompt.get", "Get a prompt of an MCP server", PROMPT));
    &OPERATION
}

fn read(name: &str, title: &str, target: &str) -> Arc<Operation> {
    Arc::new(Operation {
        name: name.to_owned(),
        title: title.to_owned(),
        effect: Effect::Read,
        risk: Risk::Low,
        reversibility: Reversibility::Reversible,
        targets: vec![target.to_owned()],
        fields: BTreeMap::new(),
    })
}

/// What policies can name without any catalog.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let asking = Asking::ALL.map(Asking::operation);
    let operations = [read_resource(), get_prompt()].into_iter().chain(asking);
    let inside = Some(SERVER.to_owned());
    Vocabulary {
        operations: operations.map(|one| (one.name.clone(), Arc::clone(one))).collect(),
        target_kinds: [(SERVER, None), (RESOURCE, inside.clone()), (PROMPT, inside)]
            .map(|(kind, container)| (kind.to_owned(), container))
            .into(),
        ..Vocabulary::default()
    }
}

/// Whether `kind` is of this module.
#[must_use]
pub fn has_kind(kind: &str) -> bool {
    kind.starts_with("MCP::")
}

/// Whether the operation `name` is, or would be taken for one, of this module.
#[must_use]
pub fn has_operation(name: &str) -> bool {
    name.starts_with("mcp.")
}

/// The server `name` as a resource.
#[must_use]
pub fn server(name: &str) -> Resource {
    Resource::new(SERVER, name)
}

/// The resource `uri` of `server`; or a template, by its text.
///
/// # Errors
/// Why `uri` names nothing.
pub fn resource(server: &str, uri: &str) -> Result<Target, &'static str> {
    if !(1..=URI_BYTES_MAX).contains(&uri.len()) {
        return Err("a URI has 1 to 2048 bytes");
    }
    if uri.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a URI has no blanks and no control characters");
    }
    if has_dot_segment(uri) {
        return Err("a URI has no `.` or `..` between slashes");
    }
    Ok(located(RESOURCE, server, uri))
}

/// The prompt `name` of `server`.
///
/// # Errors
/// Why `name` names nothing.
pub fn prompt(server: &str, name: &str) -> Result<Target, &'static str> {
    if !(1..=PROMPT_NAME_BYTES_MAX).contains(&name.len()) {
        return Err("the name of a prompt has 1 to 256 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("the name of a prompt has no control characters");
    }
    Ok(located(PROMPT, server, name))
}

fn located(kind: &str, server: &str, name: &str) -> Target {
    let resource = Resource::new(kind, format!("{server}/{name}"));
    Target::located(resource, vec![self::server(server)])
}

/// Whether a server could take `uri` for one that begins otherwise: policies look at how URIs begin (Z02).
fn has_dot_segment(uri: &str) -> bool {
    let plain =
        uri.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    plain.split(['/', '\\', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_of_servers_are_in_them() {
        let uri = "file:///a%20b/é?x=1#y";
        let target = resource("files", uri).unwrap();
        let inside = vec![Resource::new("MCP::Server", "files")];
        let id = format!("files/{uri}");
        assert_eq!(target, Target::located(Resource::new("MCP::Resource", id), inside.clone()));
        let target = prompt("files", "Sum it up").unwrap();
        assert_eq!(
            target,
            Target::located(Resource::new("MCP::Prompt", "files/Sum it up"), inside)
        );
    }

    #[test]
    fn z02_what_is_not_certainly_one_uri_is_none() {
        let long = format!("file:///{}", "x".repeat(URI_BYTES_MAX - 8));
        for uri in ["x", "issue:{key}", "a:b..c", "file:///.hidden/...", "n:%2e%2e%2e", &long] {
            assert!(resource("s", uri).is_ok(), "{uri}");
        }
        for uri in [
            "",
            "a b",
            "a\tb",
            "a\u{a0}b",
            "a\u{2028}b",
            "a\0",
            "a\u{85}",
            "file:///public/../secret",
            "file:///public/%2E%2e/secret",
            "file:///public%2f..%2Fsecret",
            "file:///public\\..\\secret",
            "file:///public/.",
            "file:///public/..?x",
            &format!("{long}x"),
        ] {
            assert!(resource("s", uri).is_err(), "{uri}");
        }
        for name in ["", "a\n", "a\u{7f}", &"x".repeat(PROMPT_NAME_BYTES_MAX + 1)] {
            assert!(prompt("s", name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_operations_are_of_their_own_product_and_reads_but_for_sampling() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.operations.len(), 5);
        for (name, operation) in &vocabulary.operations {
            let groups = operation.groups(operation.risk);
            assert!(groups.iter().any(|group| group == "mcp"), "{name}");
            let is_read = groups.iter().any(|group| group == "read");
            assert_eq!(is_read, name != "mcp.sampling.create", "{name}");
            assert!(has_operation(name) && operation.targets.iter().all(|kind| has_kind(kind)));
            assert!(operation.targets.iter().all(|k| vocabulary.target_kinds.contains_key(k)));
        }
    }
}
