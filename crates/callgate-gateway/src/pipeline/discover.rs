//! Tools that list other tools: their answers are lists like `tools/list`, and show what this caller could use (I3).

use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_policy::Bundle;

use super::{Gateway, Request};
use crate::catalog::select::{Leaf, walk};
use crate::catalog::{Listing, Step};

/// What is shown in place of a list that cannot be read.
const UNREADABLE: &str = "The server's list of operations is in a form that this gateway does not know, so it is not shown.";

impl Gateway {
    /// What this caller may see of the `result` of a tool that lists tools. Whatever is not certainly a list is not shown.
    pub(super) fn only_usable(
        &self,
        request: &Request,
        listing: &Listing,
        result: &Object,
    ) -> Object {
        let bundle = self.bundle.load_full();
        let usable = |row: &Json| self.is_usable(request, listing, &bundle, row);
        let filtered = |list: &Json| kept(list, listing.rows.steps(), &usable);
        let mut shown = result.clone();
        let text = result.get("content").and_then(Json::as_array).and_then(|content| {
            let [only] = content else { return None };
            let text = only.get("text").and_then(Json::as_str)?;
            let limits = JsonLimits::default();
            let list = read(text.as_bytes(), &limits).ok().and_then(|list| filtered(&list))?;
            let block = Object::default().with("type", "text").with("text", list.to_text());
            Some(Json::Array(vec![block.into()]))
        });
        let structured = result.get("structuredContent").map(filtered);
        match (text, structured) {
            (Some(text), None) => shown.set("content", text),
            (Some(text), Some(Some(list))) => {
                shown.set("content", text);
                shown.set("structuredContent", list);
            }
            (None, _) | (Some(_), Some(None)) => {
                let block = Object::default().with("type", "text").with("text", UNREADABLE);
                shown = Object::default()
                    .with("content", vec![Json::from(block)])
                    .with("isError", true);
            }
        }
        shown
    }

    fn is_usable(&self, request: &Request, listing: &Listing, bundle: &Bundle, row: &Json) -> bool {
        let Json::Object(row) = row else { return false };
        let mut usable = false;
        walk(&listing.name, row, &mut |leaf| {
            let Leaf::Found(Json::String(name)) = leaf else { return };
            let means = request.server.catalog.operations_of(name);
            let could = |operation, risk| self.could_allow(request, (operation, risk), bundle);
            usable = means.iter().any(|(operation, risk)| could(operation, *risk));
        });
        usable
    }
}

/// `list` with those rows only. Nothing, if there are no rows at the path.
fn kept(list: &Json, path: &[Step], usable: &impl Fn(&Json) -> bool) -> Option<Json> {
    match (path.split_first(), list) {
        (None, Json::Array(rows)) => {
            Some(Json::Array(rows.iter().filter(|row| usable(row)).cloned().collect()))
        }
        (Some((Step::Member(name), rest)), Json::Object(object)) => {
            let mut object = object.clone();
            let inner = kept(object.get(name)?, rest, usable)?;
            object.set(name, inner);
            Some(object.into())
        }
        (_, _) => None,
    }
}
