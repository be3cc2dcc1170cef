//! Boards and sprints.

use serde_json::{Value, json};

use super::{known_project, show};
use crate::site::{Site, Thing, ThingKind};
use crate::tools::{
    CLOUD_ID, Inputs, Kind, Param, Tool, ToolResult, kept, optional, read, required, write,
};

const BOARD: Param = required("boardId", Kind::Text, "Id of the board.");
const SPRINT_STATE: Param =
    optional("state", Kind::Choice(&["future", "active", "closed"]), "State of the sprint.");

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listJiraBoards",
        "List the boards of a site.",
        &[
            CLOUD_ID,
            optional("projectKeyOrId", Kind::Text, "Only those over this project."),
            optional("name", Kind::Text, "Part of a name."),
        ],
        list,
    ),
    read(
        "getJiraBoardConfig",
        "Get what a board is over and how it is set up.",
        &[CLOUD_ID, BOARD],
        |site, inputs| kept::get(site, ThingKind::Board, inputs.text("boardId")),
    ),
    read(
        "getJiraBoardIssueData",
        "List the issues of a board.",
        &[CLOUD_ID, BOARD],
        |site, inputs| {
            let board = known(site, inputs)?;
            let issues = site.issues.iter().filter(|issue| issue.project() == board.of);
            let issues: Vec<Value> = issues.map(|issue| show(site, issue)).collect();
            Ok(json!({ "board": site.show_thing(board), "issues": issues }))
        },
    ),
    read(
        "getJiraBoardSprintData",
        "Get the sprints of a board with their issues.",
        &[CLOUD_ID, BOARD, optional("sprintId", Kind::Text, "Only this sprint.")],
        |site, inputs| {
            let board = known(site, inputs)?;
            let wanted = inputs.optional("sprintId");
            let sprints = site.things_of(ThingKind::Sprint, &board.id);
            let sprints = sprints.filter(|sprint| wanted.is_none_or(|id| id == sprint.id));
            let sprints: Vec<Value> = sprints.map(|sprint| site.show_thing(sprint)).collect();
            Ok(json!({ "board": site.show_thing(board), "sprints": sprints }))
        },
    ),
    read(
        "listJiraBoardSprints",
        "List the sprints of a board.",
        &[CLOUD_ID, BOARD, SPRINT_STATE],
        |site, inputs| {
            let board = known(site, inputs)?;
            let wanted = inputs.text("state");
            let sprints = site.things_of(ThingKind::Sprint, &board.id);
            let sprints = sprints.filter(|sprint| sprint.text("state").contains(wanted));
            let sprints: Vec<Value> = sprints.map(|sprint| site.show_thing(sprint)).collect();
            Ok(json!({ "board": site.show_thing(board), "values": sprints, "isLast": true }))
        },
    ),
    write(
        "manageJiraSprint",
        "Change, start or close a sprint.",
        &[
            CLOUD_ID,
            required("sprintId", Kind::Text, "Id of the sprint."),
            SPRINT_STATE,
            optional("name", Kind::Text, "Its new name."),
            optional("goal", Kind::Text, "Its goal."),
            optional("startDate", Kind::Text, "When it begins."),
            optional("endDate", Kind::Text, "When it ends."),
        ],
        |site, inputs| {
            let fields = inputs.pick(&["state", "name", "goal", "startDate", "endDate"]);
            kept::set(site, ThingKind::Sprint, inputs.text("sprintId"), fields)
        },
    ),
    write(
        "createJiraBoard",
        "Create a board over a Jira project.",
        &[
            CLOUD_ID,
            required("name", Kind::Text, "Its name."),
            required("type", Kind::Choice(&["scrum", "kanban"]), "Its type."),
            required("projectKeyOrId", Kind::Text, "The project."),
            optional("filterId", Kind::Text, "The saved search that it shows."),
        ],
        |site, inputs| {
            let project = known_project(site, inputs.text("projectKeyOrId"))?.key.clone();
            let fields = inputs.pick(&["name", "type", "filterId"]);
            Ok(kept::add(site, ThingKind::Board, &project, fields))
        },
    ),
];

fn known<'a>(site: &'a Site, inputs: &Inputs) -> Result<&'a Thing, String> {
    let board = site.thing(ThingKind::Board, inputs.text("boardId"));
    board.ok_or_else(|| "The board does not exist or cannot be seen.".to_owned())
}

fn list(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let project = match inputs.optional("projectKeyOrId") {
        Some(name) => Some(&known_project(site, name)?.key),
        None => None,
    };
    let boards = site.things.iter().filter(|thing| thing.kind == ThingKind::Board);
    let boards = boards.filter(|board| project.is_none_or(|key| *key == board.of));
    let boards = boards.filter(|board| board.text("name").contains(inputs.text("name")));
    let boards: Vec<Value> = boards.map(|board| site.show_thing(board)).collect();
    Ok(json!({ "values": boards, "isLast": true }))
}

/// Ids and names of the sprints that an issue is in.
pub(super) fn sprints_of(site: &Site, issue: &str) -> Vec<String> {
    let sprints = site.things.iter().filter(|thing| thing.kind == ThingKind::Sprint);
    let has = |sprint: &&Thing| {
        let issues = sprint.fields.get("issues").and_then(Value::as_array);
        issues.into_iter().flatten().any(|id| id.as_str() == Some(issue))
    };
    sprints.filter(has).flat_map(|one| [one.id.clone(), one.text("name").to_owned()]).collect()
}
