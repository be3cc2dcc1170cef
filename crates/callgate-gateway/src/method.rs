//! The one table of MCP methods: what the gateway does with each. A method that is not here is refused.

use callgate_mcp::upstream::List;
use callgate_model::call::Method;

/// What the gateway does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Takes note of a notification that needs no action here; it is not forwarded.
    Accept,
    /// Decides and, if allowed, forwards: the way of a call.
    Decide(Method),
    /// Answers with the gateway's own versions and capabilities.
    Discover,
    /// Answers with the resources, templates or prompts that this caller may have.
    FilterEntries(List),
    /// Answers with the tools this caller could use.
    FilterTools,
    /// Opens a session for a client of the legacy era.
    Initialize,
    /// Tells of changes until the client leaves.
    Listen,
    /// Answers at once.
    Pong,
    /// Says that it is not served.
    Refuse,
    /// Remembers from which level on the client wants to hear what the server logs.
    SetLogLevel,
    /// Decides, and tells from then on when one resource changes.
    Subscribe,
    /// Tells it no more.
    Unsubscribe,
}

/// The eras in which a method exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// 2026-07-28 and the versions with `initialize`.
    Both,
    /// Only the versions with `initialize`.
    Legacy,
    /// Only 2026-07-28.
    Modern,
}

/// The table, sorted by method.
pub const TABLE: &[(&str, In, Treatment)] = &[
    ("completion/complete", In::Both, Treatment::Decide(Method::CompletionComplete)),
    ("initialize", In::Legacy, Treatment::Initialize),
    ("logging/setLevel", In::Legacy, Treatment::SetLogLevel),
    ("notifications/cancelled", In::Both, Treatment::Accept),
    ("notifications/initialized", In::Legacy, Treatment::Accept),
    ("notifications/progress", In::Both, Treatment::Accept),
    ("notifications/roots/list_changed", In::Legacy, Treatment::Accept),
    ("ping", In::Legacy, Treatment::Pong),
    ("prompts/get", In::Both, Treatment::Decide(Method::PromptsGet)),
    ("prompts/list", In::Both, Treatment::FilterEntries(List::Prompts)),
    ("resources/list", In::Both, Treatment::FilterEntries(List::Resources)),
    ("resources/read", In::Both, Treatment::Decide(Method::ResourcesRead)),
    ("resources/subscribe", In::Legacy, Treatment::Subscribe),
    ("resources/templates/list", In::Both, Treatment::FilterEntries(List::Templates)),
    ("resources/unsubscribe", In::Legacy, Treatment::Unsubscribe),
    ("server/discover", In::Modern, Treatment::Discover),
    ("subscriptions/listen", In::Modern, Treatment::Listen),
    ("tasks/cancel", In::Modern, Treatment::Decide(Method::TasksCancel)),
    ("tasks/get", In::Modern, Treatment::Decide(Method::TasksGet)),
    ("tasks/list", In::Legacy, Treatment::Refuse),
    ("tasks/result", In::Legacy, Treatment::Refuse),
    ("tasks/update", In::Modern, Treatment::Decide(Method::TasksUpdate)),
    ("tools/call", In::Both, Treatment::Decide(Method::ToolsCall)),
    ("tools/list", In::Both, Treatment::FilterTools),
];

/// What to do with `method` from a client of the modern era, or of the legacy one.
#[must_use]
pub fn treatment(method: &str, modern: bool) -> Treatment {
    let Ok(index) = TABLE.binary_search_by_key(&method, |(name, ..)| name) else {
        return Treatment::Refuse;
    };
    match TABLE.get(index) {
        Some((_, In::Legacy, _)) if modern => Treatment::Refuse,
        Some((_, In::Modern, _)) if !modern => Treatment::Refuse,
        Some((_, _, treatment)) => *treatment,
        None => Treatment::Refuse,
    }
}

/// Its name in the table, in whichever era it is there.
pub(crate) fn known(method: &str) -> Option<&'static str> {
    let index = TABLE.binary_search_by_key(&method, |(name, ..)| name).ok()?;
    TABLE.get(index).map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn rows_are_about_the_method_they_name() {
        for (name, _, treatment) in TABLE {
            if let Treatment::Decide(method) = treatment {
                assert_eq!(method.as_str(), *name);
            }
            if let Treatment::FilterEntries(list) = treatment {
                assert_eq!(list.method(), *name);
            }
        }
    }

    #[test]
    fn i5_what_is_not_in_the_table_is_refused() {
        for method in ["", "Tools/call", "tools/call ", "tools/execute", "sampling/createMessage"] {
            assert_eq!(treatment(method, true), Treatment::Refuse);
            assert_eq!(treatment(method, false), Treatment::Refuse);
        }
        assert_eq!(treatment("initialize", true), Treatment::Refuse);
        assert_eq!(treatment("server/discover", false), Treatment::Refuse);
    }
}
