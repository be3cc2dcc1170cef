//! The Confluence part: `/rest/api/…`.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, has};

#[derive(Debug)]
pub(super) struct Confluence {
    pages: Vec<Value>,
    created: u64,
}

impl Default for Confluence {
    fn default() -> Self {
        let pages = vec![
            page("101", "DOCS", "How we release", "<p>Releases leave on Tuesdays.</p>"),
            page("201", "HR", "Salary bands", "<p>Confidential.</p>"),
        ];
        Self { pages, created: 0 }
    }
}

fn page(id: &str, space: &str, title: &str, body: &str) -> Value {
    json!({
        "id": id,
        "type": "page",
        "status": "current",
        "title": title,
        "space": { "id": 1, "key": space, "name": space },
        "version": { "number": 1 },
        "body": { "storage": { "value": body, "representation": "storage" } },
        "history": { "createdDate": "2026-11-01T08:00:00.000Z" },
        "ancestors": [],
        "_links": { "webui": format!("/pages/viewpage.action?pageId={id}") },
    })
}

impl Confluence {
    pub(super) fn page(&self, id: &str) -> Option<&Value> {
        self.pages.iter().find(|page| has(page, "id", id))
    }

    pub(super) fn serve(&mut self, method: &Method, path: &[&str], body: &Value) -> Answer {
        let get = method == Method::GET;
        match path {
            ["user", "current"] => ok(json!({ "username": "service", "displayName": "Service" })),
            ["space"] if get => {
                let spaces = json!([{ "id": 1, "key": "DOCS", "name": "Documentation" }]);
                ok(json!({ "results": spaces, "start": 0, "limit": 25, "size": 1 }))
            }
            ["search"] | ["content", "search"] => {
                let show = |page: &Value| json!({ "content": page, "title": page.get("title") });
                let found: Vec<Value> = self.pages.iter().map(show).collect();
                ok(json!({ "results": found, "start": 0, "limit": 25, "size": found.len() }))
            }
            ["content"] if method == Method::POST => self.create(body),
            ["content", id] if get => ok(self.page(id)?.clone()),
            ["content", id, "history"] if get => {
                let page = self.page(id)?;
                ok(json!({ "latest": true, "lastUpdated": page.get("version") }))
            }
            ["content", _, "property"] if get => ok(json!({ "results": [], "size": 0 })),
            ["content", id] if method == Method::PUT => self.update(id, body),
            _ => None,
        }
    }

    fn create(&mut self, body: &Value) -> Answer {
        self.created += 1;
        let id = (300 + self.created).to_string();
        let text = body.pointer("/body/storage/value")?.as_str()?;
        let space = body.pointer("/space/key")?.as_str()?;
        let new = page(&id, space, body.get("title")?.as_str()?, text);
        self.pages.push(new.clone());
        ok(new)
    }

    fn update(&mut self, id: &str, body: &Value) -> Answer {
        let page = self.pages.iter_mut().find(|page| has(page, "id", id))?;
        for name in ["title", "version", "body"] {
            if let Some(value) = body.get(name) {
                page.as_object_mut()?.insert(name.to_owned(), value.clone());
            }
        }
        ok(page.clone())
    }
}

fn ok(value: Value) -> Answer {
    Some((StatusCode::OK, Some(value)))
}
