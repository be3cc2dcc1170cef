//! Everything on the site that is only kept, shown and changed: one list for all of it, each thing with what it
//! belongs to. What has rules of its own, such as issues and pages, has types of its own beside this.

use serde_json::{Map, Value, json};

use super::Site;

/// What a [`Thing`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThingKind {
    /// Time spent on an issue.
    Worklog,
    /// A link from an issue to somewhere else.
    RemoteLink,
    /// A file at an issue.
    IssueAttachment,
    /// Who is told of the changes of an issue.
    Watcher,
    /// A change of an issue.
    Change,
    /// A property of an issue, project or board; its id is `type/entity/key`.
    Property,
    /// A part of a project.
    Component,
    /// A version of a project.
    Version,
    /// What a version is about, elsewhere.
    RelatedWork,
    /// A board over a project.
    Board,
    /// A sprint of a board.
    Sprint,
    /// A saved search.
    Filter,
    /// A dashboard.
    Dashboard,
    /// Which fields a form has.
    Screen,
    /// A comment on a page.
    PageComment,
    /// A file at a page.
    PageAttachment,
    /// A task on a page.
    Task,
    /// A reaction to a page.
    Reaction,
    /// Who alone may read or change a page.
    Restriction,
    /// What new pages begin with.
    Template,
    /// A branch of a repository; its id is `slug/name`.
    Branch,
    /// A commit in a repository.
    Commit,
    /// A file in a repository; its id is `slug/branch/path`.
    File,
    /// What a check says about a commit.
    Report,
    /// Who is asked to review by default.
    DefaultReviewer,
    /// A comment on a pull request.
    RequestComment,
    /// A task on a pull request.
    RequestTask,
    /// A run of a pipeline.
    Pipeline,
    /// A step of such a run.
    Step,
    /// A deployment.
    Deployment,
    /// Where a repository is deployed.
    Environment,
    /// What was added about an object in the teamwork graph.
    Context,
}

/// What a kind of thing belongs to, and so how its container is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// An issue, by its numeric id.
    Issue,
    /// A project, by its key.
    Project,
    /// A version, by its id.
    Version,
    /// A board, by its id.
    Board,
    /// A page, by its numeric id.
    Page,
    /// A space, by its key; none if it is empty.
    Space,
    /// A repository, by its slug.
    Repository,
    /// A pull request, by `slug/number`.
    Request,
    /// A run of a pipeline, by its UUID.
    Pipeline,
    /// Whatever the thing itself says, or nothing.
    Any,
}

impl ThingKind {
    const fn owner(self) -> Owner {
        match self {
            Self::Worklog
            | Self::RemoteLink
            | Self::IssueAttachment
            | Self::Watcher
            | Self::Change => Owner::Issue,
            Self::Component | Self::Version | Self::Board => Owner::Project,
            Self::RelatedWork => Owner::Version,
            Self::Sprint => Owner::Board,
            Self::PageComment
            | Self::PageAttachment
            | Self::Task
            | Self::Reaction
            | Self::Restriction => Owner::Page,
            Self::Template => Owner::Space,
            Self::Branch
            | Self::Commit
            | Self::File
            | Self::Report
            | Self::DefaultReviewer
            | Self::Pipeline
            | Self::Deployment
            | Self::Environment => Owner::Repository,
            Self::RequestComment | Self::RequestTask => Owner::Request,
            Self::Step => Owner::Pipeline,
            Self::Property | Self::Filter | Self::Dashboard | Self::Screen | Self::Context => {
                Owner::Any
            }
        }
    }
}

/// Something on the site.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// What it is.
    pub kind: ThingKind,
    /// Its id, from which what it belongs to cannot be read.
    pub id: String,
    /// What it belongs to: see [`ThingKind`].
    pub of: String,
    /// Everything else about it, by the names of the answers.
    pub fields: Map<String, Value>,
}

impl Thing {
    /// The text of the field `name`; empty if it has none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn set(&mut self, fields: Map<String, Value>) {
        self.fields.extend(fields);
    }
}

impl Site {
    /// The thing of this kind and id.
    #[must_use]
    pub fn thing(&self, kind: ThingKind, id: &str) -> Option<&Thing> {
        self.things.iter().find(|thing| thing.kind == kind && thing.id == id)
    }

    /// The things of this kind that belong to `of`, oldest first.
    pub fn things_of<'a>(
        &'a self,
        kind: ThingKind,
        of: &'a str,
    ) -> impl Iterator<Item = &'a Thing> {
        self.things.iter().filter(move |thing| thing.kind == kind && thing.of == of)
    }

    pub(crate) fn thing_mut(&mut self, kind: ThingKind, id: &str) -> Option<&mut Thing> {
        self.things.iter_mut().find(|thing| thing.kind == kind && thing.id == id)
    }

    /// Adds a thing with the next free id; the id.
    pub(crate) fn add_thing(
        &mut self,
        kind: ThingKind,
        of: &str,
        fields: Map<String, Value>,
    ) -> String {
        let id = self.next_id();
        self.things.push(Thing { kind, id: id.clone(), of: of.to_owned(), fields });
        id
    }

    /// Adds a thing with an id of its own, in place of what had it before.
    pub(crate) fn put_thing(
        &mut self,
        kind: ThingKind,
        id: &str,
        of: &str,
        fields: Map<String, Value>,
    ) {
        self.things.retain(|thing| thing.kind != kind || thing.id != id);
        self.things.push(Thing { kind, id: id.to_owned(), of: of.to_owned(), fields });
    }

    pub(crate) fn remove_thing(&mut self, kind: ThingKind, id: &str) -> Option<Thing> {
        let index = self.things.iter().position(|thing| thing.kind == kind && thing.id == id)?;
        Some(self.things.remove(index))
    }

    /// The thing as answers have it: its fields, its id, and where it belongs.
    pub(crate) fn show_thing(&self, thing: &Thing) -> Value {
        let mut shown = self.container_of(thing);
        shown.insert("id".to_owned(), json!(thing.id));
        shown.extend(thing.fields.clone());
        Value::Object(shown)
    }

    fn container_of(&self, thing: &Thing) -> Map<String, Value> {
        let of = thing.of.as_str();
        let shown = match thing.kind.owner() {
            Owner::Issue => {
                let key = self.issue(of).map(|issue| &issue.key);
                json!({ "issueId": of, "issue": { "id": of, "key": key } })
            }
            Owner::Project => self.project_members(of, thing.kind),
            Owner::Version => json!({ "versionId": of }),
            Owner::Board => json!({ "originBoardId": of }),
            Owner::Page => json!({ "pageId": of }),
            Owner::Space => {
                let space = self.spaces.iter().find(|space| space.key == of);
                space.map_or(json!({}), |space| json!({ "spaceId": space.id, "spaceKey": of }))
            }
            Owner::Repository => json!({ "repository": self.repository_members(of) }),
            Owner::Request => {
                let (slug, number) = of.rsplit_once('/').unwrap_or((of, ""));
                json!({
                    "repository": self.repository_members(slug),
                    "pullrequest": { "id": number.parse::<u64>().unwrap_or_default() },
                })
            }
            Owner::Pipeline => json!({ "pipeline": { "uuid": of } }),
            Owner::Any => json!({}),
        };
        members(shown)
    }

    fn project_members(&self, key: &str, kind: ThingKind) -> Value {
        let id = self.projects.iter().find(|project| project.key == key).map(|project| &project.id);
        if kind == ThingKind::Board {
            json!({ "location": { "projectId": id, "projectKey": key } })
        } else {
            json!({ "projectId": id, "project": key })
        }
    }

    fn repository_members(&self, slug: &str) -> Value {
        json!({ "slug": slug, "full_name": format!("{}/{slug}", self.workspace) })
    }
}

/// The members of an object.
pub(crate) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
