//! The Jira part: `/rest/api/2/…`.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, has};

#[derive(Debug)]
pub(super) struct Jira {
    issues: Vec<Value>,
    created: u64,
}

impl Default for Jira {
    fn default() -> Self {
        let issues = vec![
            issue("10001", "ENG-1", "Checkout fails on issuer timeout"),
            issue("10002", "ENG-2", "Retry of a refund books it twice"),
            issue("10003", "HR-1", "Salary review"),
        ];
        Self { issues, created: 0 }
    }
}

fn issue(id: &str, key: &str, summary: &str) -> Value {
    let project = key.split('-').next().unwrap_or_default();
    json!({
        "id": id,
        "key": key,
        "fields": {
            "summary": summary,
            "description": "As reported.",
            "status": { "id": "1", "name": "To Do", "statusCategory": { "key": "new", "name": "To Do" } },
            "issuetype": { "id": "1", "name": "Task" },
            "project": { "id": "1", "key": project, "name": project },
            "priority": { "id": "3", "name": "Medium" },
            "labels": [],
            "comment": { "comments": [], "total": 0 },
            "created": "2026-11-01T08:00:00.000+0000",
            "updated": "2026-11-01T08:00:00.000+0000",
        },
    })
}

fn field(id: &str) -> Value {
    json!({ "id": id, "name": id, "schema": { "type": "string", "system": id } })
}

impl Jira {
    pub(super) fn issue(&self, key: &str) -> Option<&Value> {
        self.issues.iter().find(|issue| has(issue, "key", key) || has(issue, "id", key))
    }

    pub(super) fn serve(&mut self, method: &Method, path: &[&str], body: &Value) -> Answer {
        let get = method == Method::GET;
        match path {
            ["myself"] => {
                ok(json!({ "name": "service", "key": "service", "displayName": "Service" }))
            }
            // A field that is not named here is left out of an update without a word.
            ["field"] => ok(json!(["summary", "description", "labels"].map(field))),
            ["project"] if get => ok(json!([
                { "id": "1", "key": "ENG", "name": "Engineering" },
                { "id": "2", "key": "HR", "name": "People" },
            ])),
            ["projects", "picker"] if get => ok(json!({ "projects": [
                { "id": "1", "key": "ENG", "name": "Engineering" },
                { "id": "2", "key": "HR", "name": "People" },
            ] })),
            ["search"] => {
                let count = self.issues.len();
                ok(json!({ "startAt": 0, "maxResults": 50, "total": count, "issues": self.issues }))
            }
            ["issue"] if method == Method::POST => self.create(body),
            ["issue", key] if get => ok(self.issue(key)?.clone()),
            ["issue", key] if method == Method::PUT => self.update(key, body),
            ["issue", key] if method == Method::DELETE => self.delete(key),
            ["issue", key, "transitions"] if get => {
                self.issue(key)?;
                ok(
                    json!({ "transitions": [{ "id": "31", "name": "Done", "to": { "id": "3", "name": "Done" } }] }),
                )
            }
            ["issue", key, "transitions"] => self.transition(key),
            ["issue", key, "comment"] if get => {
                ok(self.issue(key)?.pointer("/fields/comment")?.clone())
            }
            ["issue", key, "comment"] if method == Method::POST => self.comment(key, body),
            _ => None,
        }
    }

    /// Boards and sprints: board 1 and its sprint 11 are ENG's, board 2 and sprint 22 HR's.
    pub(super) fn serve_agile(method: &Method, path: &[&str]) -> Answer {
        match path {
            _ if method != Method::GET => None,
            ["board", id @ ("1" | "2")] => {
                let project = if *id == "1" { "ENG" } else { "HR" };
                let id: u64 = id.parse().ok()?;
                ok(json!({ "id": id, "location": { "projectKey": project } }))
            }
            ["sprint", "11"] => ok(json!({ "id": 11, "name": "Now", "originBoardId": 1 })),
            ["sprint", "22"] => ok(json!({ "id": 22, "name": "Now", "originBoardId": 2 })),
            ["sprint", "11" | "22", "issue"] => {
                ok(json!({ "startAt": 0, "maxResults": 50, "total": 0, "issues": [] }))
            }
            _ => None,
        }
    }

    fn issue_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.issues.iter_mut().find(|issue| has(issue, "key", key) || has(issue, "id", key))
    }

    fn create(&mut self, body: &Value) -> Answer {
        self.created += 1;
        let project = body.pointer("/fields/project/key")?.as_str()?;
        let (id, key) =
            ((20_000 + self.created).to_string(), format!("{project}-{}", 100 + self.created));
        self.issues.push(issue(&id, &key, body.pointer("/fields/summary")?.as_str()?));
        Some((StatusCode::CREATED, Some(json!({ "id": id, "key": key }))))
    }

    fn update(&mut self, key: &str, body: &Value) -> Answer {
        let fields = self.issue_mut(key)?.pointer_mut("/fields")?.as_object_mut()?;
        fields.extend(body.get("fields")?.as_object()?.clone());
        done()
    }

    fn delete(&mut self, key: &str) -> Answer {
        let index = self.issues.iter().position(|issue| has(issue, "key", key))?;
        self.issues.remove(index);
        done()
    }

    fn transition(&mut self, key: &str) -> Answer {
        *self.issue_mut(key)?.pointer_mut("/fields/status/name")? = json!("Done");
        done()
    }

    fn comment(&mut self, key: &str, body: &Value) -> Answer {
        let comments = self.issue_mut(key)?.pointer_mut("/fields/comment/comments")?;
        let comment = json!({
            "id": "1",
            "body": body.get("body")?,
            "author": { "displayName": "Service" },
            "created": "2026-11-02T08:00:00.000+0000",
            "updated": "2026-11-02T08:00:00.000+0000",
        });
        comments.as_array_mut()?.push(comment.clone());
        Some((StatusCode::CREATED, Some(comment)))
    }
}

fn ok(value: Value) -> Answer {
    Some((StatusCode::OK, Some(value)))
}

fn done() -> Answer {
    Some((StatusCode::NO_CONTENT, None))
}
