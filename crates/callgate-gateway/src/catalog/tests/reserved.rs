//! Resources and prompts are no catalog's business.

use callgate_model::products;

use callgate_model::vocabulary::Operation;

use super::*;

#[test]
fn i5_what_policies_say_of_resources_and_prompts_no_catalog_can_change() {
    for (rest, expected) in [
        (
            "[target.\"MCP::Server\"]",
            "target.\"MCP::Server\": `Callgate`, `Local`, `MCP` and `Net` are products that need no catalog",
        ),
        (
            "[target.\"MCP::Thing\"]",
            "target.\"MCP::Thing\": `Callgate`, `Local`, `MCP` and `Net` are",
        ),
        (
            "[target.\"Own::Thing\"]\nin = \"MCP::Server\"",
            "target.\"Own::Thing\".in: `MCP::Server` contains no kinds of catalogs",
        ),
        (
            "[operation.\"mcp.resource.write\"]\ntitle = \"x\"\neffect = \"write\"\nrisk = \"low\"\nreversibility = \"reversible\"\ntargets = [\"MCP::Resource\"]",
            "operation.\"mcp.resource.write\": `mcp` and `callgate` are products that need no catalog",
        ),
        (
            "[tool.read]\noperation = \"mcp.resource.read\"\ntargets = [{ kind = \"Jira::Issue\", at = \"/a\" }]",
            "tool.read.operation: a tool means no operation of `mcp` or `callgate`",
        ),
        (
            "[tool.read]\ntitle = \"x\"\neffect = \"read\"\nrisk = \"low\"\nreversibility = \"reversible\"\ntargets = [{ kind = \"MCP::Resource\", at = [\"/server\", \"/uri\"] }]",
            "tool.read.targets[0].kind: no argument names a `MCP::Resource`",
        ),
    ] {
        let found = problems(&own(rest));
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{expected}\nin {found:#?}"
        );
    }
}

#[test]
fn without_any_catalog_policies_can_name_resources_and_prompts() {
    let none = Catalogs::load(&[]).unwrap();
    assert_eq!(*none.vocabulary(), products::vocabulary());
    let shipped = Catalogs::shipped(&[]).unwrap();
    for (name, operation) in &none.vocabulary().operations {
        let mut known = Operation::clone(shipped.vocabulary().operations.get(name).unwrap());
        // What URIs name is for catalogs to say.
        known.targets.retain(|kind| !kind.starts_with("GitHub::"));
        assert_eq!(known, **operation);
    }
}
