//! The shape of the workspace, as `docs/architecture.md` tells it: which crate may use which, and what a file looks like.
//! A new edge is a visible change of the table here.

#[cfg(test)]
mod floors {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use serde_json::Value;

    /// Each crate with the crates of this workspace that it uses, other than in its tests; by floor.
    const USES: &[(&str, &[&str])] = &[
        // floor 0
        ("callgate-model", &[]),
        // floor 1: these three do not know each other
        ("callgate-mcp", &["callgate-model"]),
        ("callgate-policy", &["callgate-model"]),
        ("callgate-store", &["callgate-model"]),
        // floor 2
        (
            "callgate-gateway",
            &["callgate-mcp", "callgate-model", "callgate-policy", "callgate-store"],
        ),
        // floor 3
        (
            "callgate",
            &[
                "callgate-gateway",
                "callgate-mcp",
                "callgate-model",
                "callgate-policy",
                "callgate-sim",
                "callgate-store",
            ],
        ),
        // beside the floors; what tests compare with must not share our mistakes
        ("callgate-sim", &[]),
        ("callgate-verify", &["callgate-model"]),
        ("callgate-tests", &["callgate-sim"]),
        ("callgate-tests-rmcp", &[]),
        ("callgate-benches", &["callgate-model"]),
        ("callgate-fuzz", &["callgate-mcp", "callgate-model"]),
        ("xtask", &[]),
    ];

    const LINES_MAX: usize = 500;

    /// Longer all the same. This list may only become shorter.
    const LONG: &[&str] = &[];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn packages() -> Vec<Value> {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        metadata["packages"].as_array().unwrap().clone()
    }

    #[test]
    fn crates_use_lower_floors_only() {
        let packages = packages();
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        let own: Vec<String> = packages.iter().map(name).collect();
        let found: BTreeMap<String, Vec<String>> = packages
            .iter()
            .map(|package| {
                let uses = package["dependencies"].as_array().unwrap().iter();
                let uses = uses.filter(|used| used["kind"] != "dev").map(name);
                let mut uses: Vec<String> = uses.filter(|used| own.contains(used)).collect();
                uses.sort();
                (name(package), uses)
            })
            .collect();
        let wanted = USES.iter().map(|(name, uses)| {
            ((*name).to_owned(), uses.iter().map(|used| (*used).to_owned()).collect())
        });
        assert_eq!(found, wanted.collect::<BTreeMap<String, Vec<String>>>());
    }

    #[test]
    fn the_table_itself_goes_downwards() {
        let place = |name: &str| USES.iter().position(|(known, _)| *known == name).unwrap();
        let core = &USES[..place("callgate")];
        for (user, uses) in core {
            assert!(uses.iter().all(|used| place(used) < place(user)), "{user}");
        }
        for (user, uses) in &USES[place("callgate-mcp")..=place("callgate-store")] {
            assert_eq!(*uses, ["callgate-model"], "{user}");
        }
    }

    /// Every Rust file of the workspace, by its path from the root.
    fn sources() -> Vec<(String, String)> {
        let mut sources = Vec::new();
        for folder in ["benches", "crates", "fuzz", "tests", "xtask"] {
            gather(&root().join(folder), &mut sources);
        }
        assert!(sources.len() > 100, "the files are looked for in the wrong place");
        sources
    }

    fn gather(folder: &Path, sources: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                gather(&path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                sources.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn files_are_short() {
        let sources = sources();
        let long = sources.iter().filter(|(_, text)| text.lines().count() > LINES_MAX);
        let mut long: Vec<&str> = long.map(|(path, _)| path.as_str()).collect();
        long.sort_unstable();
        assert_eq!(long, LONG, "files of more than {LINES_MAX} lines");
    }

    #[test]
    fn every_module_says_what_it_owns() {
        let silent: Vec<String> = sources()
            .into_iter()
            // The tests beside a module belong to it.
            .filter(|(path, _)| !path.ends_with("/tests.rs"))
            .filter(|(_, text)| !text.starts_with("//! "))
            .map(|(path, _)| path)
            .collect();
        assert_eq!(silent, Vec::<String>::new(), "files that do not begin with `//!`");
    }

    #[test]
    fn no_file_is_called_mod() {
        let nameless = sources().into_iter().filter(|(path, _)| path.ends_with("/mod.rs"));
        assert_eq!(nameless.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<String>::new());
    }
}
