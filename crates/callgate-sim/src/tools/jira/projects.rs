//! Projects with their versions and types, people, and what holds for the whole of Jira.

use serde_json::{Value, json};

use super::{PROJECT, PROJECT_TOO, known_project, project_of};
use crate::site::{Project, STATUSES, Site, ThingKind};
use crate::tools::{
    CLOUD_ID, Inputs, Kind, Param, Tool, ToolResult, destroy, kept, optional, read, required, write,
};

const VERSION: Param = required("versionId", Kind::Text, "Id of the version.");
const MANAGE: Param =
    required("action", Kind::Choice(&["create", "update", "delete"]), "What to do.");

/// Id and name of the types of issues that every project has.
const TYPES: &[(&str, &str)] =
    &[("10001", "Task"), ("10002", "Bug"), ("10003", "Story"), ("10004", super::SUBTASK)];

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listJiraProjects",
        "List the Jira projects of a site.",
        &[CLOUD_ID, optional("searchString", Kind::Text, "Part of a name or key.")],
        list,
    ),
    read(
        "listJiraProjectIssueTypesMetadata",
        "List the types of issues of a Jira project.",
        &[CLOUD_ID, PROJECT, PROJECT_TOO],
        |site, inputs| {
            let project = project_of(site, inputs)?;
            let show = |(id, name): &(&str, &str)| json!({ "id": id, "name": name, "subtask": *name == super::SUBTASK });
            let types: Vec<Value> = TYPES.iter().map(show).collect();
            Ok(json!({ "projectId": project.id, "projectKey": project.key, "issueTypes": types }))
        },
    ),
    read(
        "getJiraIssueTypeMetaWithFields",
        "Get the fields of a type of issues of a Jira project.",
        &[CLOUD_ID, PROJECT, PROJECT_TOO, required("issueTypeId", Kind::Text, "Id of the type.")],
        |site, inputs| {
            let project = project_of(site, inputs)?;
            let wanted = inputs.text("issueTypeId");
            let known = TYPES.iter().find(|(id, name)| [*id, *name].contains(&wanted));
            let (id, name) = known.ok_or("No such type of issues.")?;
            let fields = ["summary", "description", "assignee", "labels", "parent"];
            Ok(json!({ "projectKey": project.key, "id": id, "name": name, "fields": fields }))
        },
    ),
    read(
        "listJiraProjectComponents",
        "List the components of a Jira project.",
        &[CLOUD_ID, PROJECT, PROJECT_TOO],
        |site, inputs| listed(site, inputs, ThingKind::Component),
    ),
    read(
        "getJiraProjectVersions",
        "List the versions of a Jira project.",
        &[CLOUD_ID, PROJECT, PROJECT_TOO],
        |site, inputs| listed(site, inputs, ThingKind::Version),
    ),
    read(
        "getJiraProjectVersionRelatedWork",
        "List what a version of a Jira project is about, elsewhere.",
        &[CLOUD_ID, VERSION],
        |site, inputs| {
            let version = kept::get(site, ThingKind::Version, inputs.text("versionId"))?;
            let work = kept::list(site, ThingKind::RelatedWork, inputs.text("versionId"));
            Ok(json!({ "version": version, "relatedWork": work }))
        },
    ),
    read(
        "lookupJiraAccountId",
        "Find the account id of somebody by name.",
        &[CLOUD_ID, required("searchString", Kind::Text, "Part of the name.")],
        |site, inputs| Ok(json!({ "users": site.people(inputs.text("searchString")) })),
    ),
    read(
        "getJiraUser",
        "Get an account.",
        &[CLOUD_ID, required("accountId", Kind::Text, "Id of the account.")],
        |site, inputs| {
            let found = site.people(inputs.text("accountId"));
            found.into_iter().next().ok_or_else(|| "User not found.".to_owned())
        },
    ),
    read("getJiraCurrentUser", "Get your own account.", &[CLOUD_ID], |site, _| {
        let found = site.people(&site.user);
        found.into_iter().next().ok_or_else(|| "User not found.".to_owned())
    }),
    read("listJiraIssueLinkTypes", "List how issues can be linked.", &[CLOUD_ID], |_, _| {
        let types =
            [("Blocks", "is blocked by", "blocks"), ("Relates", "relates to", "relates to")];
        let show =
            |(name, inward, outward)| json!({ "name": name, "inward": inward, "outward": outward });
        Ok(json!({ "issueLinkTypes": types.map(show) }))
    }),
    read(
        "listJiraStatuses",
        "List the statuses that issues can have.",
        &[CLOUD_ID, PROJECT, PROJECT_TOO],
        |_, _| {
            let show = |(id, name): &(&str, &str)| json!({ "id": id, "name": name });
            Ok(json!({ "statuses": STATUSES.iter().map(show).collect::<Vec<_>>() }))
        },
    ),
    read(
        "listJiraFilters",
        "List the saved searches of a site.",
        &[CLOUD_ID, optional("filterName", Kind::Text, "Part of a name.")],
        |site, inputs| {
            Ok(json!({ "values": named(site, ThingKind::Filter, inputs.text("filterName")) }))
        },
    ),
    read("listJiraDashboards", "List the dashboards of a site.", &[CLOUD_ID], |site, _| {
        Ok(json!({ "dashboards": kept::all(site, ThingKind::Dashboard) }))
    }),
    write(
        "manageJiraProjectVersionRelatedWork",
        "Add, change or remove what a version is about, elsewhere.",
        &[
            CLOUD_ID,
            PROJECT,
            PROJECT_TOO,
            VERSION,
            MANAGE,
            optional("relatedWorkId", Kind::Text, "What to change or remove."),
            optional("title", Kind::Text, "What it is called."),
            optional("category", Kind::Text, "Such as Communication."),
            optional("url", Kind::Text, "Where it is."),
        ],
        related,
    ),
    destroy(
        "manageJiraProjectVersion",
        "Create, change, release, archive or delete a version of a Jira project.",
        &[
            CLOUD_ID,
            PROJECT,
            PROJECT_TOO,
            required(
                "action",
                Kind::Choice(&["create", "delete", "update", "release", "archive"]),
                "What to do.",
            ),
            required("name", Kind::Text, "Name of the version; with an id, its new one."),
            optional("versionId", Kind::Text, "Id of the version."),
            optional("description", Kind::Text, "What it is."),
            optional("releaseDate", Kind::Text, "When it is released."),
        ],
        version,
    ),
    destroy(
        "createJiraProject",
        "Create a Jira project.",
        &[
            CLOUD_ID,
            required("key", Kind::Text, "Its key."),
            required("name", Kind::Text, "Its name."),
            optional("description", Kind::Text, "What it is for."),
            optional("projectTypeKey", Kind::Text, "Such as software."),
        ],
        create,
    ),
    destroy(
        "updateJiraProject",
        "Change the settings of a Jira project.",
        &[
            CLOUD_ID,
            PROJECT,
            PROJECT_TOO,
            optional("name", Kind::Text, "Its new name."),
            optional("description", Kind::Text, "What it is for."),
        ],
        update,
    ),
    destroy(
        "updateJiraScreen",
        "Change the fields of a screen, in every project that uses it.",
        &[
            CLOUD_ID,
            required("screenId", Kind::Text, "Id of the screen."),
            required("fields", Kind::Texts, "The fields that it is to have."),
        ],
        |site, inputs| {
            kept::set(site, ThingKind::Screen, inputs.text("screenId"), inputs.pick(&["fields"]))
        },
    ),
];

/// The things of a kind whose name contains `text`.
fn named(site: &Site, kind: ThingKind, text: &str) -> Vec<Value> {
    let wanted = text.to_lowercase();
    let all = site.things.iter().filter(|thing| thing.kind == kind);
    let found = all.filter(|thing| thing.text("name").to_lowercase().contains(&wanted));
    found.map(|thing| site.show_thing(thing)).collect()
}

fn listed(site: &Site, inputs: &Inputs, kind: ThingKind) -> ToolResult {
    let project = project_of(site, inputs)?;
    Ok(json!({
        "projectId": project.id,
        "projectKey": project.key,
        "values": kept::list(site, kind, &project.key),
    }))
}

fn versions<'a>(site: &'a Site, project: &'a str) -> Vec<&'a str> {
    site.things_of(ThingKind::Version, project).map(|version| version.text("name")).collect()
}

fn list(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let wanted = inputs.text("searchString").to_lowercase();
    let found: Vec<Value> = site
        .projects
        .iter()
        .filter(|project| {
            format!("{} {}", project.key, project.name).to_lowercase().contains(&wanted)
        })
        .map(|project| {
            json!({
                "id": project.id,
                "key": project.key,
                "name": project.name,
                "description": project.description,
                "versions": versions(site, &project.key),
            })
        })
        .collect();
    Ok(json!({ "values": found, "isLast": true }))
}

fn version(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let project = project_of(site, inputs)?.key.clone();
    let action = inputs.text("action");
    let fields = inputs.pick(&["name", "description", "releaseDate"]);
    if action == "create" {
        let fields = kept::with(fields, json!({ "released": false, "archived": false }));
        site.add_thing(ThingKind::Version, &project, fields);
    } else {
        let id = version_of(site, inputs, &project)?;
        let more = match action {
            "release" => json!({ "released": true }),
            "archive" => json!({ "archived": true }),
            _ => json!({}),
        };
        match action {
            "delete" => kept::remove(site, ThingKind::Version, &id)?,
            _ => kept::set(site, ThingKind::Version, &id, kept::with(fields, more))?,
        };
    }
    Ok(json!({ "project": project, "versions": versions(site, &project) }))
}

/// The id of the version that a call is about. One that is given is looked for in every project, as the product's
/// own interface does.
fn version_of(site: &Site, inputs: &Inputs, project: &str) -> Result<String, String> {
    if let Some(id) = inputs.optional("versionId") {
        return Ok(id.to_owned());
    }
    let mut versions = site.things_of(ThingKind::Version, project);
    let found = versions.find(|version| version.text("name") == inputs.text("name"));
    found.map(|version| version.id.clone()).ok_or_else(|| "No such version.".to_owned())
}

fn related(site: &mut Site, inputs: &Inputs) -> ToolResult {
    project_of(site, inputs)?;
    let version = inputs.text("versionId");
    kept::get(site, ThingKind::Version, version)?;
    let fields = inputs.pick(&["title", "category", "url"]);
    match inputs.text("action") {
        "create" => Ok(kept::add(site, ThingKind::RelatedWork, version, fields)),
        "delete" => kept::remove(site, ThingKind::RelatedWork, inputs.text("relatedWorkId")),
        _ => kept::set(site, ThingKind::RelatedWork, inputs.text("relatedWorkId"), fields),
    }
}

fn create(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let key = inputs.text("key");
    if known_project(site, key).is_ok() {
        return Err(format!("A project with the key '{key}' exists."));
    }
    let project = Project {
        id: site.next_id(),
        key: key.to_owned(),
        name: inputs.text("name").to_owned(),
        description: inputs.text("description").to_owned(),
    };
    let shown = json!({ "id": project.id, "key": project.key });
    site.projects.push(project);
    Ok(shown)
}

fn update(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let key = project_of(site, inputs)?.key.clone();
    let project = site.projects.iter_mut().find(|project| project.key == key);
    let project = project.ok_or("No such project.")?;
    if let Some(name) = inputs.optional("name") {
        name.clone_into(&mut project.name);
    }
    if let Some(description) = inputs.optional("description") {
        description.clone_into(&mut project.description);
    }
    Ok(
        json!({ "id": project.id, "key": key, "name": project.name, "description": project.description }),
    )
}
