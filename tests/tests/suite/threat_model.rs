//! The page of the threat model and the sources agree: each attack has a row, each test that a row names exists, and no test bears the
//! id of an attack whose row does not name it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The catalogue: a letter, and how many attacks there are of it.
const CATALOGUE: [(char, usize); 8] =
    [('P', 13), ('R', 7), ('T', 7), ('Z', 8), ('I', 13), ('S', 7), ('A', 13), ('E', 15)];

/// Where the names of the rules I10 to I13 are those of attacks, tests bear the rule's.
const RULES: [&str; 4] = ["i10", "i11", "i12", "i13"];

/// Where tests are, beside the page.
const FOLDERS: [&str; 4] = ["crates", "tests", "fuzz", "xtask"];

/// A crate and a function of it.
type Test = (String, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn ids() -> Vec<String> {
    let of = |(letter, count)| (1..=count).map(move |number| format!("{letter}{number:02}"));
    CATALOGUE.into_iter().flat_map(of).collect()
}

/// The rows of the page: an id, and the tests that are named in the last cell.
fn rows() -> Vec<(String, Vec<Test>)> {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _attack, _control, tests] = cells.as_slice() else { return None };
        let is_id = id.len() == 3 && id.get(1..)?.bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| ((*id).to_owned(), named(tests)))
    });
    rows.collect()
}

/// What stands between backticks: a crate, and then functions of it, which have `_` in their names.
fn named(cell: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let mut crate_name = String::new();
    for word in cell.split('`').skip(1).step_by(2) {
        if word.contains('_') {
            tests.push((crate_name.clone(), word.to_owned()));
        } else {
            word.clone_into(&mut crate_name);
        }
    }
    tests
}

/// Every function of the sources, by the crate that it is in.
fn functions() -> BTreeSet<Test> {
    let mut functions = BTreeSet::new();
    for folder in FOLDERS {
        read_folder(&root().join(folder), &mut functions);
    }
    functions
}

fn read_folder(folder: &Path, functions: &mut BTreeSet<Test>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "target" | "node_modules") {
            read_folder(&path, functions);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(function);
            functions.extend(names.map(|name| (crate_of(&path), name.to_owned())));
        }
    }
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    line.split_once('(').map(|(name, _)| name)
}

fn crate_of(path: &Path) -> String {
    let parts: Vec<&str> =
        path.strip_prefix(root()).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
    match parts.as_slice() {
        ["crates", name, ..] => (*name).to_owned(),
        ["tests", ..] => "callgate-tests".to_owned(),
        [name, ..] => (*name).to_owned(),
        [] => String::new(),
    }
}

/// The ids of attacks with which a name begins.
fn borne(name: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        let number = word.strip_prefix(['p', 'r', 't', 'z', 'i', 's', 'a', 'e']);
        number.is_some_and(|number| number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()))
            && !RULES.contains(word)
    };
    name.split('_').take_while(is_id).map(str::to_uppercase).collect()
}

#[test]
fn every_attack_has_one_row_in_the_order_of_the_catalogue() {
    let on_page: Vec<String> = rows().into_iter().map(|(id, _)| id).collect();
    assert_eq!(on_page, ids());
}

#[test]
fn every_attack_has_a_test_and_every_test_that_is_named_exists() {
    let functions = functions();
    for (id, tests) in rows() {
        assert!(!tests.is_empty(), "{id} has no test");
        let unknown: Vec<_> = tests.iter().filter(|test| !functions.contains(*test)).collect();
        assert!(unknown.is_empty(), "{id} names what is not there: {unknown:?}");
    }
}

#[test]
fn every_test_that_bears_an_id_is_in_its_row() {
    let rows: BTreeMap<String, Vec<Test>> = rows().into_iter().collect();
    let mut left_out = Vec::new();
    for test in functions() {
        for id in borne(&test.1) {
            if !rows.get(&id).is_some_and(|named| named.contains(&test)) {
                left_out.push((id, test.clone()));
            }
        }
    }
    assert!(left_out.is_empty(), "docs/threat-model.md does not name {left_out:#?}");
}

#[test]
fn a_name_says_whose_test_it_is() {
    assert_eq!(borne("p01_p02_names_used_twice"), ["P01", "P02"]);
    assert_eq!(borne("a05_replicas"), ["A05"]);
    for other in ["i10_neither_link", "i5_t7_without", "is_a_test", "e1_x", "percent"] {
        assert!(borne(other).is_empty(), "{other}");
    }
}
