//! Tool definitions as a server gives them: kept whole, and refused one by one.

use std::collections::BTreeMap;

use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_model::lookalike::skeleton;

use crate::limits::{TOKEN_BYTES_MAX, TOOL_NAME_BYTES_MAX};
use crate::message::shown;

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolDefinition {
    /// Unique on its server; one to 128 of `A-Z a-z 0-9 _ . - /`.
    pub name: String,
    /// The whole definition, as it was given.
    pub definition: Json,
    /// An object schema.
    pub input_schema: Json,
    /// The schema of the structured result, if there is one.
    pub output_schema: Option<Json>,
    /// What the server says of it: untrusted.
    pub annotations: Annotations,
    /// Of the whole definition.
    pub digest: Digest,
}

/// A server's hints about a tool. What is absent must be taken for the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Changes nothing.
    pub read_only: Option<bool>,
    /// Destroys something.
    pub destructive: Option<bool>,
    /// The second time changes nothing.
    pub idempotent: Option<bool>,
    /// Reaches beyond the server.
    pub open_world: Option<bool>,
}

/// One page of tools, or all pages together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolsPage {
    /// The tools that can be used, in the server's order.
    pub tools: Vec<ToolDefinition>,
    /// Names, as a text may show them, and why they are refused.
    pub refused: Vec<(String, String)>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// Reads the result of one `tools/list`. One bad tool does not spoil the others.
///
/// # Errors
/// What is wrong, if it is no list of tools at all.
pub fn read_tools_page(result: &Object) -> Result<ToolsPage, String> {
    let Some(definitions) = result.get("tools").and_then(Json::as_array) else {
        return Err("`tools` must be an array".to_owned());
    };
    let next_cursor = match result.get("nextCursor") {
        None => None,
        Some(Json::String(cursor)) if cursor.len() <= TOKEN_BYTES_MAX => Some(cursor.clone()),
        Some(_) => return Err("`nextCursor` must be a short string".to_owned()),
    };
    let mut page = ToolsPage { next_cursor, ..ToolsPage::default() };
    for definition in definitions {
        match read_tool(definition) {
            Ok(tool) => page.tools.push(tool),
            Err(reason) => page.refused.push((name_of(definition), reason)),
        }
    }
    page.refuse_duplicates();
    Ok(page)
}

impl ToolsPage {
    /// Adds the page that follows.
    pub(crate) fn append(&mut self, next: Self) {
        self.tools.extend(next.tools);
        self.refused.extend(next.refused);
        self.next_cursor = next.next_cursor;
        self.refuse_duplicates();
    }

    /// Refuses every tool for which `reason` gives one.
    pub(crate) fn refuse(&mut self, reason: impl Fn(&ToolDefinition) -> Option<String>) {
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        for tool in std::mem::take(&mut self.tools) {
            match reason(&tool) {
                None => kept.push(tool),
                Some(reason) => refused.push((tool.name, reason)),
            }
        }
        self.tools = kept;
        self.refused.extend(refused);
    }

    /// Of two tools with one name, or with names that look alike, none can be said to be meant, so none is offered.
    fn refuse_duplicates(&mut self) {
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        let names = self.tools.iter().map(|tool| &tool.name);
        for name in names.chain(self.refused.iter().map(|(name, _)| name)) {
            *uses.entry(skeleton(name)).or_default() += 1;
        }
        self.refuse(|tool| {
            let twice = uses.get(&skeleton(&tool.name)).is_some_and(|uses| *uses > 1);
            twice.then(|| "another tool has the name, or one that looks like it".to_owned())
        });
    }
}

fn read_tool(definition: &Json) -> Result<ToolDefinition, String> {
    let name = definition.get("name").and_then(Json::as_str).ok_or("`name` must be a string")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if !(1..=TOOL_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err("a name has 1 to 128 of A-Z a-z 0-9 _ . - /".to_owned());
    }
    let input_schema = definition.get("inputSchema").ok_or("`inputSchema` is missing")?;
    if input_schema.get("type").and_then(Json::as_str) != Some("object") {
        return Err("`inputSchema` must be a schema of type object".to_owned());
    }
    Ok(ToolDefinition {
        name: name.to_owned(),
        definition: definition.clone(),
        input_schema: input_schema.clone(),
        output_schema: definition.get("outputSchema").cloned(),
        annotations: annotations(definition.get("annotations"))?,
        digest: Digest::of_json(definition),
    })
}

fn annotations(annotations: Option<&Json>) -> Result<Annotations, String> {
    let empty = Object::default();
    let annotations = match annotations {
        None => &empty,
        Some(Json::Object(annotations)) => annotations,
        Some(_) => return Err("`annotations` must be an object".to_owned()),
    };
    let hint = |name: &str| match annotations.get(name) {
        None => Ok(None),
        Some(Json::Bool(hint)) => Ok(Some(*hint)),
        Some(_) => Err(format!("`{name}` must be a boolean")),
    };
    Ok(Annotations {
        read_only: hint("readOnlyHint")?,
        destructive: hint("destructiveHint")?,
        idempotent: hint("idempotentHint")?,
        open_world: hint("openWorldHint")?,
    })
}

/// The name of a refused tool: as it is if it could be a tool's, so that duplicates are seen, else made harmless.
fn name_of(definition: &Json) -> String {
    let name = definition.get("name").and_then(Json::as_str).unwrap_or_default();
    let harmless = name.len() <= TOOL_NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic());
    if harmless { name.to_owned() } else { shown(name) }
}

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    fn page(text: &str) -> Result<ToolsPage, String> {
        let result = read(text.as_bytes(), &JsonLimits::default()).unwrap();
        read_tools_page(result.as_object().unwrap())
    }

    fn tool(name: &str, more: &str) -> String {
        format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}{more}}}"#)
    }

    fn names(page: &ToolsPage) -> Vec<&str> {
        page.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    #[test]
    fn a_definition_is_kept_whole() {
        let text = tool("a/b", r#","x":1e2,"annotations":{"readOnlyHint":true},"outputSchema":{}"#);
        let page = page(&format!(r#"{{"tools":[{text}],"nextCursor":""}}"#)).unwrap();
        let tool = &page.tools[0];
        assert_eq!(tool.definition.to_text(), text);
        assert_eq!(tool.digest, Digest::of_json(&tool.definition));
        assert_eq!(tool.annotations.read_only, Some(true));
        assert_eq!(tool.annotations.destructive, None);
        assert_eq!(tool.output_schema, Some(Object::default().into()));
        assert_eq!(page.next_cursor.as_deref(), Some(""), "an empty cursor is a cursor");
    }

    #[test]
    fn p09_only_plain_names_are_tools() {
        let long = "x".repeat(129);
        let bad = ["", "gеt", "a b", "a\\u0000", "a:b", "get\\u200b", &long];
        let tools: Vec<String> = bad.iter().map(|name| tool(name, "")).collect();
        let page =
            page(&format!(r#"{{"tools":[{},{}]}}"#, tools.join(","), tool("get", ""))).unwrap();
        assert_eq!(names(&page), ["get"]);
        assert_eq!(page.refused.len(), bad.len());
        assert!(page.refused.iter().all(|(name, _)| !name.chars().any(char::is_control)));
    }

    #[test]
    fn a_bad_tool_is_refused_alone() {
        for bad in [
            r#"{"name":"b"}"#,
            r#"{"name":"b","inputSchema":{"type":"array"}}"#,
            r#"{"name":7,"inputSchema":{"type":"object"}}"#,
            r#""b""#,
            &tool("b", r#","annotations":[]"#),
            &tool("b", r#","annotations":{"readOnlyHint":"yes"}"#),
        ] {
            let page = page(&format!(r#"{{"tools":[{bad},{}]}}"#, tool("a", ""))).unwrap();
            assert_eq!((names(&page), page.refused.len()), (vec!["a"], 1), "{bad}");
        }
        for no_list in ["{}", r#"{"tools":{}}"#, r#"{"tools":[],"nextCursor":7}"#] {
            assert!(page(no_list).is_err(), "{no_list}");
        }
    }

    #[test]
    fn t03_of_two_tools_with_one_name_none_is_offered_on_any_page() {
        let page =
            |tools: &[String]| page(&format!(r#"{{"tools":[{}]}}"#, tools.join(","))).unwrap();
        let mut all = page(&[tool("a", ""), tool("b", ""), tool("a", r#","title":"t""#)]);
        assert_eq!(names(&all), ["b"]);
        all.append(page(&[tool("a", ""), tool("c", ""), tool("b", "")]));
        assert_eq!(names(&all), ["c"]);
        assert_eq!(all.refused.len(), 5);
        let alike = page(&[tool("getIssue", ""), tool("getlssue", ""), tool("d", "")]);
        assert_eq!(names(&alike), ["d"]);
    }
}
