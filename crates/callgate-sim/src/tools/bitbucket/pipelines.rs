//! Pipelines, and where they deploy to.

use serde_json::{Value, json};

use super::{REPOSITORY, WORKSPACE, get, known, list};
use crate::site::{Site, ThingKind};
use crate::tools::{Inputs, Kind, Param, Tool, ToolResult, kept, read, required, write};

const PIPELINE: Param = required("pipelineUuid", Kind::Text, "UUID of the run.");

pub(super) const TOOLS: &[Tool] = &[
    read(
        "listBitbucketRepoPipelines",
        "List the runs of a repository's pipelines.",
        &[WORKSPACE, REPOSITORY],
        |site, inputs| list(site, inputs, ThingKind::Pipeline),
    ),
    read(
        "getBitbucketRepoPipeline",
        "Get a run of a repository's pipelines.",
        &[WORKSPACE, REPOSITORY, PIPELINE],
        |site, inputs| get(site, inputs, ThingKind::Pipeline, "pipelineUuid"),
    ),
    read(
        "listBitbucketRepoPipelineSteps",
        "List the steps of such a run.",
        &[WORKSPACE, REPOSITORY, PIPELINE],
        |site, inputs| {
            get(site, inputs, ThingKind::Pipeline, "pipelineUuid")?;
            let steps = kept::list(site, ThingKind::Step, inputs.text("pipelineUuid"));
            let without_log = steps.into_iter().map(|step| {
                let mut step = kept::members(step);
                step.remove("log");
                Value::from(step)
            });
            Ok(json!({ "values": without_log.collect::<Vec<_>>() }))
        },
    ),
    read(
        "getBitbucketRepoPipelineStepLog",
        "Get what a step of such a run wrote.",
        &[WORKSPACE, REPOSITORY, PIPELINE, required("stepUuid", Kind::Text, "UUID of the step.")],
        |site, inputs| {
            get(site, inputs, ThingKind::Pipeline, "pipelineUuid")?;
            let (step, run) = (inputs.text("stepUuid"), inputs.text("pipelineUuid"));
            kept::get_of(site, ThingKind::Step, step, run)
        },
    ),
    read(
        "listBitbucketRepoDeployments",
        "List the deployments of a repository.",
        &[WORKSPACE, REPOSITORY],
        |site, inputs| list(site, inputs, ThingKind::Deployment),
    ),
    read(
        "listBitbucketRepoEnvironments",
        "List where a repository is deployed to.",
        &[WORKSPACE, REPOSITORY],
        |site, inputs| list(site, inputs, ThingKind::Environment),
    ),
    read(
        "getBitbucketRepoEnvironment",
        "Get an environment that a repository is deployed to.",
        &[
            WORKSPACE,
            REPOSITORY,
            required("environmentUuid", Kind::Text, "UUID of the environment."),
        ],
        |site, inputs| get(site, inputs, ThingKind::Environment, "environmentUuid"),
    ),
    write(
        "runBitbucketRepoPipeline",
        "Run a repository's pipeline.",
        &[WORKSPACE, REPOSITORY, required("branch", Kind::Text, "The branch to run it on.")],
        run,
    ),
];

fn run(site: &mut Site, inputs: &Inputs) -> ToolResult {
    let slug = known(site, inputs)?.slug.clone();
    let branch = inputs.text("branch");
    kept::get(site, ThingKind::Branch, &format!("{slug}/{branch}"))?;
    let number = site.things_of(ThingKind::Pipeline, &slug).count() + 1;
    let target = json!({ "ref_name": branch });
    let fields = json!({ "build_number": number, "target": target, "state": "PENDING" });
    Ok(kept::add(site, ThingKind::Pipeline, &slug, kept::members(fields)))
}
