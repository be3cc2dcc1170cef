//! The site behind the tools: Jira, Confluence and Bitbucket as far as the tools need them. It knows ids and
//! state, not MCP.

mod demo;
pub(crate) mod query;
mod things;

use serde_json::{Map, Value};
pub(crate) use things::members;
pub use things::{Thing, ThingKind};

/// A site: what `cloudId` names.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The site's UUID.
    pub cloud_id: String,
    /// Its address, `https://….atlassian.net`.
    pub url: String,
    /// The account every call is made as.
    pub user: String,
    /// Jira projects.
    pub projects: Vec<Project>,
    /// Jira issues.
    pub issues: Vec<Issue>,
    /// Links between issues.
    pub links: Vec<Link>,
    /// Confluence spaces.
    pub spaces: Vec<Space>,
    /// Confluence pages.
    pub pages: Vec<Page>,
    /// The Bitbucket workspace's slug.
    pub workspace: String,
    /// Bitbucket repositories.
    pub repositories: Vec<Repository>,
    /// Everything that belongs to the others.
    pub things: Vec<Thing>,
    /// The last id given out.
    pub last_id: u64,
}

/// A Jira project.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The numeric id.
    pub id: String,
    /// `ENG`
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

/// A Jira issue.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// The numeric id, from which the project cannot be read.
    pub id: String,
    /// `ENG-42`
    pub key: String,
    /// `Bug`, `Task`, …
    pub kind: String,
    /// The title.
    pub summary: String,
    /// The text.
    pub description: String,
    /// `To Do`, `In Progress`, `In Review` or `Done`.
    pub status: String,
    /// The assignee's name.
    pub assignee: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// Comments, oldest first.
    pub comments: Vec<Comment>,
    /// The numeric id of the issue it is under.
    pub parent: Option<String>,
    /// Fields that have no part in anything, such as `priority`.
    pub others: Map<String, Value>,
    /// The keys it had in the projects it was moved from; they still name it.
    pub former_keys: Vec<String>,
}

impl Issue {
    /// The key of its project.
    #[must_use]
    pub fn project(&self) -> &str {
        self.key.split('-').next().unwrap_or_default()
    }
}

/// A comment on an issue.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// The numeric id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// The text.
    pub body: String,
    /// The role or group that alone may see it, as the call said.
    pub visibility: Option<Map<String, Value>>,
}

/// A link between two issues.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// `Blocks`, `Relates`, …
    pub kind: String,
    /// One end's key.
    pub inward: String,
    /// The other end's key.
    pub outward: String,
}

/// A Confluence space.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// The numeric id.
    pub id: String,
    /// `DOCS`
    pub key: String,
    /// Its name.
    pub name: String,
}

/// A Confluence page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The numeric id, from which the space cannot be read.
    pub id: String,
    /// The key of a tiny link, `/wiki/x/…`.
    pub tiny: String,
    /// The key of its space.
    pub space: String,
    /// The page it is under.
    pub parent: Option<String>,
    /// The title.
    pub title: String,
    /// The text.
    pub body: String,
    /// Counts up with every change.
    pub version: u64,
    /// Whether anyone with the link can read it.
    pub public_link: bool,
    /// Whether it is archived.
    pub archived: bool,
    /// `page` or `folder`.
    pub kind: String,
    /// Labels.
    pub labels: Vec<String>,
    /// What its readers are told of its state, such as `Rough draft`.
    pub content_status: Option<String>,
}

impl Page {
    /// The token that an update must carry: it changes with every change.
    #[must_use]
    pub fn snapshot_token(&self) -> String {
        format!("snap-{}-{}", self.id, self.version)
    }
}

/// A Bitbucket repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Repository {
    /// `payments-api`
    pub slug: String,
    /// Its project in Bitbucket.
    pub project: String,
    /// Its pull requests.
    pub pull_requests: Vec<PullRequest>,
}

/// A pull request.
#[derive(Clone, Debug, PartialEq)]
pub struct PullRequest {
    /// Its number in the repository.
    pub id: u64,
    /// The title.
    pub title: String,
    /// The branch it comes from.
    pub source: String,
    /// The branch it goes to.
    pub destination: String,
    /// `OPEN`, `MERGED` or `DECLINED`.
    pub state: String,
    /// Who approved it.
    pub approvals: Vec<String>,
    /// Who asked for changes.
    pub changes_requested: Vec<String>,
    /// The text.
    pub description: String,
}

/// The workflow of every project: transition id and the status it leads to.
pub(crate) const STATUSES: &[(&str, &str)] =
    &[("11", "To Do"), ("21", "In Progress"), ("31", "In Review"), ("41", "Done")];

impl Site {
    /// The issue that `name` names: a key in any case, a numeric id, or an address that ends in a key.
    #[must_use]
    pub fn issue(&self, name: &str) -> Option<&Issue> {
        let index = self.issue_index(name)?;
        self.issues.get(index)
    }

    pub(crate) fn issue_mut(&mut self, name: &str) -> Option<&mut Issue> {
        let index = self.issue_index(name)?;
        self.issues.get_mut(index)
    }

    pub(crate) fn issue_index(&self, name: &str) -> Option<usize> {
        let name = last_segment(name);
        let is = |key: &String| key.eq_ignore_ascii_case(name);
        let now = self.issues.iter().position(|issue| issue.id == name || is(&issue.key));
        now.or_else(|| self.issues.iter().position(|issue| issue.former_keys.iter().any(is)))
    }

    /// Moves an issue to another project, as people may at any time: the new key. The old one still names it.
    pub fn move_issue(&mut self, name: &str, project: &str) -> Option<String> {
        let project = self.project(project)?.key.clone();
        let new = self.next_key(&project);
        let issue = self.issue_mut(name)?;
        if issue.project() == project {
            return Some(issue.key.clone());
        }
        let old = std::mem::replace(&mut issue.key, new.clone());
        issue.former_keys.push(old.clone());
        for end in self.links.iter_mut().flat_map(|link| [&mut link.inward, &mut link.outward]) {
            if *end == old {
                end.clone_from(&new);
            }
        }
        Some(new)
    }

    /// The project that `name` names: a key in any case, or a numeric id.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&Project> {
        let mut all = self.projects.iter();
        all.find(|project| project.id == name || project.key.eq_ignore_ascii_case(name))
    }

    /// The space that `name` names: a key or a numeric id.
    #[must_use]
    pub fn space(&self, name: &str) -> Option<&Space> {
        self.spaces.iter().find(|space| space.id == name || space.key == name)
    }

    /// The page that `name` names: a numeric id, a tiny key, or an address that has one of them.
    #[must_use]
    pub fn page(&self, name: &str) -> Option<&Page> {
        let index = self.page_index(name)?;
        self.pages.get(index)
    }

    pub(crate) fn page_mut(&mut self, name: &str) -> Option<&mut Page> {
        let index = self.page_index(name)?;
        self.pages.get_mut(index)
    }

    fn page_index(&self, name: &str) -> Option<usize> {
        let path = name.split(['?', '#']).next().unwrap_or_default();
        let mut segments = path.split('/').rev();
        segments.find_map(|part| {
            self.pages.iter().position(|page| page.id == part || page.tiny == part)
        })
    }

    /// The pull request `id` of the repository `slug`.
    #[must_use]
    pub fn pull_request(&self, slug: &str, id: u64) -> Option<&PullRequest> {
        let repository = self.repositories.iter().find(|repository| repository.slug == slug)?;
        repository.pull_requests.iter().find(|request| request.id == id)
    }

    pub(crate) fn pull_request_mut(&mut self, slug: &str, id: u64) -> Option<&mut PullRequest> {
        let repository = self.repositories.iter_mut().find(|repository| repository.slug == slug)?;
        repository.pull_requests.iter_mut().find(|request| request.id == id)
    }

    /// Whether `cloud_id`, a UUID or an address, names this site.
    #[must_use]
    pub fn is_named_by(&self, cloud_id: &str) -> bool {
        let host = self.url.trim_start_matches("https://");
        let named = cloud_id.trim_start_matches("https://").split('/').next().unwrap_or_default();
        cloud_id.eq_ignore_ascii_case(&self.cloud_id) || named.eq_ignore_ascii_case(host)
    }

    pub(crate) fn next_id(&mut self) -> String {
        self.last_id += 1;
        self.last_id.to_string()
    }

    /// The next free key of `project`.
    pub(crate) fn next_key(&self, project: &str) -> String {
        let keys =
            self.issues.iter().flat_map(|issue| issue.former_keys.iter().chain([&issue.key]));
        let numbers =
            keys.filter_map(|key| key.strip_prefix(project)?.strip_prefix('-')?.parse().ok());
        format!("{project}-{}", numbers.max().unwrap_or(0_u64) + 1)
    }
}

fn last_segment(name: &str) -> &str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
