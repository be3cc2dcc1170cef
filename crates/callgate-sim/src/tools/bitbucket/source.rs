//! Branches, commits and files.

use serde_json::{Map, Value, json};

use super::{REPOSITORY, WORKSPACE, get, known};
use crate::site::{Site, ThingKind};
use crate::tools::{Inputs, Kind, Param, Tool, ToolResult, kept, optional, read, required, write};

const NAME: Param = required("name", Kind::Text, "Name of the branch.");
const COMMIT: Param = required("commit", Kind::Text, "Hash of the commit.");

pub(super) const TOOLS: &[Tool] = &[
    read(
        "getBitbucketRepoBranch",
        "Get a branch of a Bitbucket repository.",
        &[WORKSPACE, REPOSITORY, NAME],
        |site, inputs| {
            let slug = &known(site, inputs)?.slug;
            kept::get_of(site, ThingKind::Branch, &format!("{slug}/{}", inputs.text("name")), slug)
        },
    ),
    read(
        "getBitbucketRepoCommit",
        "Get a commit of a Bitbucket repository.",
        &[WORKSPACE, REPOSITORY, COMMIT],
        |site, inputs| get(site, inputs, ThingKind::Commit, "commit"),
    ),
    read(
        "listBitbucketRepoCommitReports",
        "List what checks say about a commit.",
        &[WORKSPACE, REPOSITORY, COMMIT],
        |site, inputs| {
            let slug = &known(site, inputs)?.slug;
            let reports = site.things_of(ThingKind::Report, slug);
            let reports = reports.filter(|report| report.text("commit") == inputs.text("commit"));
            let reports: Vec<Value> = reports.map(|report| site.show_thing(report)).collect();
            Ok(json!({ "values": reports }))
        },
    ),
    read(
        "getBitbucketRepoFileContent",
        "Get a file of a Bitbucket repository.",
        &[
            WORKSPACE,
            REPOSITORY,
            required("path", Kind::Text, "Path of the file."),
            optional("branch", Kind::Text, "The branch, main unless told."),
        ],
        |site, inputs| {
            let slug = &known(site, inputs)?.slug;
            let branch = inputs.optional("branch").unwrap_or("main");
            let id = format!("{slug}/{branch}/{}", inputs.text("path"));
            kept::get_of(site, ThingKind::File, &id, slug)
        },
    ),
    write(
        "createBitbucketRepoBranch",
        "Create a branch in a Bitbucket repository.",
        &[
            WORKSPACE,
            REPOSITORY,
            NAME,
            optional("target", Kind::Text, "The commit it begins at, that of main unless told."),
        ],
        branch,
    ),
    write(
        "createBitbucketRepoCommit",
        "Commit files to a branch of a Bitbucket repository.",
        &[
            WORKSPACE,
            REPOSITORY,
            required("branch", Kind::Text, "The branch; it is made if there is none."),
            required("message", Kind::Text, "The message of the commit."),
            required("files", Kind::Object, "The new text of each file, by its path."),
        ],
        commit,
    ),
];

fn put_branch(site: &mut Site, slug: &str, name: &str, target: &str) -> ToolResult {
    let id = format!("{slug}/{name}");
    let fields = kept::members(json!({ "name": name, "target": { "hash": target } }));
    site.put_thing(ThingKind::Branch, &id, slug, fields);
    kept::get(site, ThingKind::Branch, &id)
}

fn branch(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let slug = known(site, inputs)?.slug.clone();
    let name = inputs.text("name");
    if site.thing(ThingKind::Branch, &format!("{slug}/{name}")).is_some() {
        return Err(format!("Branch '{name}' exists."));
    }
    let target = match inputs.optional("target") {
        Some(target) => target.to_owned(),
        None => {
            let main = kept::get(site, ThingKind::Branch, &format!("{slug}/main"))?;
            main.pointer("/target/hash").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    kept::get_of(site, ThingKind::Commit, &target, &slug)?;
    put_branch(site, &slug, name, &target)
}

fn commit(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let slug = known(site, inputs)?.slug.clone();
    let branch = inputs.text("branch");
    let fields = kept::with(inputs.pick(&["message"]), json!({ "author": site.user }));
    let made = kept::add(site, ThingKind::Commit, &slug, fields);
    let hash = made.get("id").and_then(Value::as_str).unwrap_or_default();
    put_branch(site, &slug, branch, hash)?;
    for (path, content) in inputs.object("files").unwrap_or(&Map::new()) {
        let id = format!("{slug}/{branch}/{path}");
        let fields = kept::members(json!({ "path": path, "content": content }));
        site.put_thing(ThingKind::File, &id, &slug, fields);
    }
    Ok(made)
}
