//! What the programs are made of, as a bill of materials in `CycloneDX` 1.6: every crate that is built into them or builds them, by what
//! `cargo metadata` and the lock file say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::dist::said;

/// The bill, as text that ends with a line feed.
pub(crate) fn bill(target: &str, epoch: &str) -> Result<String, String> {
    let metadata = ["metadata", "--format-version=1", "--locked", "--filter-platform", target];
    let metadata: Value =
        serde_json::from_str(&said("cargo", &metadata)?).map_err(|error| error.to_string())?;
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let lock = fs::read_to_string(lock).map_err(|error| format!("Cargo.lock: {error}"))?;
    let at = said("date", &["-u", "-d", &format!("@{epoch}"), "+%Y-%m-%dT%H:%M:%SZ"])?;
    let bill = made(&metadata, &sums(&lock), &at)?;
    serde_json::to_string_pretty(&bill).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn made(
    metadata: &Value,
    sums: &BTreeMap<(String, String), String>,
    at: &str,
) -> Result<Value, String> {
    let packages: BTreeMap<&str, &Value> = array(metadata, "packages")
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, Vec<&str>> = array(&metadata["resolve"], "nodes")
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, needed(node))))
        .collect();
    let of_ours = |name: &str| {
        let found = packages.iter().find(|(_, package)| package["name"] == name);
        found.map(|(id, _)| *id).ok_or_else(|| format!("there is no package `{name}`"))
    };
    let roots = [of_ours("callgate")?, of_ours("callgate-verify")?];
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = roots.to_vec();
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            next.extend(nodes.get(id).into_iter().flatten());
        }
    }
    let of = |id: &str| packages.get(id).map(|package| purl(package)).unwrap_or_default();
    let mut components: Vec<Value> = reached
        .iter()
        .filter(|id| **id != roots[0])
        .filter_map(|id| Some(component(packages.get(id)?, sums)))
        .collect();
    components.sort_by_key(|one| one["bom-ref"].to_string());
    let mut dependencies: Vec<Value> = reached
        .iter()
        .map(|id| {
            let on: BTreeSet<String> =
                nodes.get(id).into_iter().flatten().map(|id| of(id)).collect();
            json!({ "ref": of(id), "dependsOn": on })
        })
        .collect();
    dependencies.sort_by_key(|one| one["ref"].to_string());
    let root = packages.get(roots[0]).map(|package| component(package, sums));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": at,
            "lifecycles": [{ "phase": "build" }],
            "component": root,
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn array<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// What a package needs, but for its tests.
fn needed(node: &Value) -> Vec<&str> {
    let is_needed = |dependency: &&Value| {
        array(dependency, "dep_kinds").iter().any(|kind| kind["kind"] != "dev")
    };
    array(node, "deps").iter().filter(is_needed).filter_map(|one| one["pkg"].as_str()).collect()
}

fn purl(package: &Value) -> String {
    let text = |name: &str| package[name].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version"))
}

fn component(package: &Value, sums: &BTreeMap<(String, String), String>) -> Value {
    let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    // A package that comes from nowhere is ours.
    let kind = if package["source"].is_null() && package["name"] == "callgate" {
        "application"
    } else {
        "library"
    };
    let component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": text("name"),
        "version": text("version"),
        "purl": purl(package),
    });
    // As it was written before there were expressions.
    let license = package["license"].as_str().map(|license| license.replace('/', " OR "));
    let url = package["repository"].as_str().filter(|url| url.starts_with("https://"));
    let more = [
        ("licenses", license.map(|license| json!([{ "expression": license }]))),
        (
            "hashes",
            sums.get(&(text("name"), text("version")))
                .map(|sum| json!([{ "alg": "SHA-256", "content": sum }])),
        ),
        ("externalReferences", url.map(|url| json!([{ "type": "vcs", "url": url }]))),
    ];
    let more = more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let component = component.as_object().cloned().unwrap_or_default();
    component.into_iter().chain(more).collect::<serde_json::Map<_, _>>().into()
}

/// The digests of crates, by name and version.
fn sums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut sums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let value = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")));
            line.and_then(|rest| rest.strip_suffix('"')).map(str::to_owned)
        };
        if let (Some(name), Some(version), Some(sum)) =
            (value("name"), value("version"), value("checksum"))
        {
            sums.insert((name, version), sum);
        }
    }
    sums
}
