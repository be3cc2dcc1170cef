//! The site behind the tools: Jira, Confluence and Bitbucket as far as the tools need them. It knows ids and
//! state, not MCP.

mod demo;
pub(crate) mod query;

/// A site: what `cloudId` names.
#[derive(Clone, Debug)]
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
    /// The last id given out.
    pub last_id: u64,
}

/// A Jira project.
#[derive(Clone, Debug)]
pub struct Project {
    /// `ENG`
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its versions.
    pub versions: Vec<String>,
}

/// A Jira issue.
#[derive(Clone, Debug)]
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
}

impl Issue {
    /// The key of its project.
    #[must_use]
    pub fn project(&self) -> &str {
        self.key.split('-').next().unwrap_or_default()
    }
}

/// A comment on an issue.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The numeric id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// The text.
    pub body: String,
}

/// A link between two issues.
#[derive(Clone, Debug)]
pub struct Link {
    /// `Blocks`, `Relates`, …
    pub kind: String,
    /// One end's key.
    pub inward: String,
    /// The other end's key.
    pub outward: String,
}

/// A Confluence space.
#[derive(Clone, Debug)]
pub struct Space {
    /// The numeric id.
    pub id: String,
    /// `DOCS`
    pub key: String,
    /// Its name.
    pub name: String,
}

/// A Confluence page.
#[derive(Clone, Debug)]
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
}

impl Page {
    /// The token that an update must carry: it changes with every change.
    #[must_use]
    pub fn snapshot_token(&self) -> String {
        format!("snap-{}-{}", self.id, self.version)
    }
}

/// A Bitbucket repository.
#[derive(Clone, Debug)]
pub struct Repository {
    /// `payments-api`
    pub slug: String,
    /// Its project in Bitbucket.
    pub project: String,
    /// Its pull requests.
    pub pull_requests: Vec<PullRequest>,
}

/// A pull request.
#[derive(Clone, Debug)]
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
        self.issues
            .iter()
            .position(|issue| issue.id == name || issue.key.eq_ignore_ascii_case(name))
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
        let numbers = self.issues.iter().filter(|issue| issue.project() == project);
        let highest = numbers.filter_map(|issue| issue.key.split('-').nth(1)?.parse().ok()).max();
        format!("{project}-{}", highest.unwrap_or(0_u64) + 1)
    }
}

fn last_segment(name: &str) -> &str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
