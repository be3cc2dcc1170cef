//! What URIs name: how files say it.

use super::*;

const READER: &str = r#"
[resource."jira://{site}/issues/{key}"]
targets = [{ kind = "Jira::Issue", at = "/key", site = "/site" }]
"#;

#[test]
fn faults_of_shapes_are_told_with_their_place() {
    for (rest, expected) in [
        (
            "[resource.\"a://{key}\"]",
            "resource.\"a://{key}\": `targets` is missing (write `targets = []` if",
        ),
        (
            "[resource.\"a://{a}{b}\"]\ntargets = []",
            "resource.\"a://{a}{b}\": this is no shape of a URI: between two `/` there is one variable",
        ),
        (
            "[resource.\"a://{key}\"]\ntargets = []",
            "no target uses `{key}` (if it does not say what is read, write `{_key}`)",
        ),
        (
            "[resource.\"a://{site}/{key}\"]\ntargets = [{ kind = \"Jira::Issue\", at = \"/key\" }]",
            "resource.\"a://{site}/{key}\": no target uses `{site}`",
        ),
        (
            "[resource.\"a://h/{key}\"]\ntargets = [{ kind = \"Jira::Issue\", at = \"/keys\" }]",
            "resource.\"a://h/{key}\".targets[0]: `/keys` is no variable of this URI (did you mean `key`?)",
        ),
        (
            "[resource.\"a://h/{key}\"]\ntargets = [{ kind = \"Jira::Issue\", at = \"/key/x\" }]",
            "`/key/x` is no variable of this URI",
        ),
        (
            "[resource.\"a://h/{key}\"]\ntargets = [{ kind = \"Jira::Issue\", at = \"/key\", optional = true }]",
            "targets[0].optional: a variable is never absent",
        ),
        (
            "[resource.\"a://h/{key}\"]\ntargets = [{ kind = \"Jira::Issue\", at = \"/key\", default = \"site\" }]",
            "targets[0].default: a variable is never absent",
        ),
        (
            "[resource.\"a://h/{key}\"]\ntargets = [{ kind = \"Jira::Isue\", at = \"/key\" }]",
            "targets[0].kind: unknown kind `Jira::Isue` (did you mean `Jira::Issue`?)",
        ),
        (
            "[resource.\"a://h/{key}\"]\ntargets = [{ kind = \"MCP::Resource\", at = \"/key\" }]",
            "targets[0].kind: no argument names a `MCP::Resource`",
        ),
        (
            "[resource.\"a://h/{p}/{n}\"]\ntargets = [{ kind = \"Jira::Issue\", at = [\"/p\", \"/n\"] }]",
            "parts of an id of `Jira::Issue`: 1, not 2",
        ),
        (
            "[resource.\"a://h/{_x}\"]\ntargets = []\nfields = {}",
            "resource.\"a://h/{_x}\".fields: unknown key",
        ),
        (
            "[resource.\"a://h/{_x}\"]\ntargets = []\n[resource.\"a://h/y\"]\ntargets = []",
            "resource.\"a://h/{_x}\": a URI could be of this shape and of `a://h/y`",
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
fn a_shape_is_taken_over_and_overridden_openly() {
    let first = own(READER);
    let second = format!(
        "format = 1\nname = \"own\"\nversion = \"2\"\nextends = \"own\"\n{}\n[resource.\"jira://about\"]\ntargets = []\n",
        READER.replace("targets", "risk = \"high\"\ntargets")
    );
    let catalogs = Catalogs::shipped(&[("own.toml", &first), ("more.toml", &second)]).unwrap();
    let shape = "jira://{site}/issues/{key}".to_owned();
    let expected =
        Override { file: "more.toml".into(), catalog: "own".into(), tool: shape.clone() };
    assert_eq!(catalogs.overrides(), [expected]);
    let server = catalogs.for_server("s", "own", sites()).unwrap();
    assert_eq!(
        server.resources().map(|rule| rule.risk).collect::<Vec<_>>(),
        [Risk::Low, Risk::High]
    );
    let other = second.replace("{key}", "{issue}").replace("/key", "/issue");
    let found = Catalogs::shipped(&[("own.toml", &first), ("more.toml", &other)]).unwrap_err();
    assert!(found.iter().any(|one| one.message.contains(&shape)), "{found:?}");
}

#[test]
fn policies_can_name_what_the_uris_of_any_catalog_name() {
    let catalogs = Catalogs::shipped(&[("own.toml", &own(READER))]).unwrap();
    let operation = &catalogs.vocabulary().operations["mcp.resource.read"];
    assert_eq!(operation.targets, ["GitHub::Repository", "Jira::Issue", "MCP::Resource"]);
    for catalog in ["own", "atlassian-rovo"] {
        let server = catalogs.for_server("s", catalog, sites()).unwrap();
        assert!(Arc::ptr_eq(server.read_resource(), operation), "{catalog}");
    }
}

#[test]
fn i5_a_server_whose_uris_are_in_sites_needs_one() {
    let catalogs = Catalogs::shipped(&[("own.toml", &own(READER))]).unwrap();
    let error = catalogs.for_server("s", "own", SiteMap::default()).unwrap_err();
    assert!(matches!(error, ServerCatalogError::NoSites { .. }));
}
