//! The page about limits is compared with the code: every limit has a line, and says what the code does.

#[cfg(test)]
mod limits {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    use callgate_gateway::limits::Limit;

    /// Whose sources are looked through, and how the page calls them.
    const CRATES: [(&str, &str); 6] = [
        ("callgate-model", "model"),
        ("callgate-policy", "policy"),
        ("callgate-mcp", "mcp"),
        ("callgate-store", "store"),
        ("callgate-gateway", "gateway"),
        ("callgate", "callgate"),
    ];

    /// What is called like a limit and is none.
    const NONE: [&str; 2] = ["callgate/commands/demo::SHOWS_WITHIN_MS", "mcp/mirror::INTEGER_MAX"];

    /// A limit as it stands on the page or in the code: a number of bytes, of milliseconds, or of whatever it is.
    type Limits = BTreeMap<String, u64>;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn read(path: &str) -> String {
        fs::read_to_string(root().join(path)).unwrap()
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }

    fn in_code() -> Limits {
        let mut limits = Limits::new();
        for (folder, called) in CRATES {
            let folder = root().join("crates").join(folder).join("src");
            let mut files = Vec::new();
            sources(&folder, &mut files);
            for file in files {
                let module = file.strip_prefix(&folder).unwrap().with_extension("");
                let module = format!("{called}/{}", module.display()).replace('\\', "/");
                if module.contains("tests") || module.contains("testing") {
                    continue;
                }
                let text = fs::read_to_string(&file).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                limits_of(&module, text, &mut limits);
            }
        }
        limits
    }

    /// Constants by the name of a limit, and what stands in a `Default`, or in a constant, for fields by such a name.
    fn limits_of(module: &str, text: &str, limits: &mut Limits) {
        let constants: BTreeMap<&str, &str> =
            text.split("const ").skip(1).filter_map(constant).collect();
        for (name, value) in &constants {
            if name.ends_with("_MAX") || name.starts_with("MAX_") || name.contains("WITHIN") {
                let name = format!("{module}::{name}");
                if !NONE.contains(&name.as_str()) {
                    let value = eval(value, &constants);
                    let value = value.unwrap_or_else(|| panic!("{name} cannot be read"));
                    limits.insert(name, value);
                }
            }
        }
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        for (at, _) in text.match_indices(": ") {
            let (before, after) = (text.get(..at).unwrap(), text.get(at + 2..).unwrap());
            let name = before.rsplit(|c| !is_name(c)).next().unwrap();
            let value = after.split_inclusive([',', '}', '\n']).next().unwrap();
            let value = value.trim_end_matches([',', '}', '\n']).trim();
            let is_number = value.starts_with(|c: char| c.is_ascii_digit());
            let is_limit = name.ends_with("_max") && is_number;
            if is_limit || (!name.is_empty() && value.starts_with("Duration::from_")) {
                let value = eval(value, &constants);
                limits.extend(value.map(|value| (format!("{module}::{name}"), value)));
            }
        }
    }

    /// The name and the value of what begins so; none, if it is no constant of a type with a value that counts.
    fn constant(text: &str) -> Option<(&str, &str)> {
        let (name, rest) = text.split_once(": ")?;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let (_, value) = rest.split_once(';')?.0.split_once('=')?;
        name.chars().all(is_name).then_some((name, value.trim()))
    }

    fn eval(text: &str, constants: &BTreeMap<&str, &str>) -> Option<u64> {
        let Some(duration) = text.trim().strip_prefix("Duration::from_") else {
            return arithmetic(text, constants);
        };
        let (unit, inner) = duration.split_once('(')?;
        let number = arithmetic(inner.strip_suffix(')')?, constants)?;
        match unit {
            "secs" => Some(number * 1_000),
            "millis" => Some(number),
            _ => None,
        }
    }

    /// Products, quotients and shifts of numbers, and of constants beside them.
    fn arithmetic(text: &str, constants: &BTreeMap<&str, &str>) -> Option<u64> {
        if let Some((left, right)) = text.split_once(" << ") {
            return Some(arithmetic(left, constants)? << arithmetic(right, constants)?);
        }
        if let Some((left, right)) = text.rsplit_once(" / ") {
            return Some(arithmetic(left, constants)? / arithmetic(right, constants)?);
        }
        if let Some((left, right)) = text.rsplit_once(" * ") {
            return Some(arithmetic(left, constants)? * arithmetic(right, constants)?);
        }
        let text = text.trim();
        match constants.get(text) {
            Some(value) => arithmetic(value, constants),
            None => text.replace('_', "").parse().ok(),
        }
    }

    /// The rows of the page, each with its cells.
    fn rows(page: &str) -> Vec<Vec<String>> {
        let lines = page.lines().filter(|line| line.starts_with("| "));
        let cells = |line: &str| {
            let inner = line.trim_start_matches("| ").trim_end_matches('|');
            inner.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        lines.map(cells).collect()
    }

    /// `64 KiB`, `5 s`, `250 ms` or a number.
    fn told(text: &str) -> u64 {
        let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
        let scale = match unit {
            "" | "ms" => 1,
            "s" => 1_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            other => panic!("{other} is no unit"),
        };
        number.parse::<u64>().unwrap_or_else(|_| panic!("{text}")) * scale
    }

    fn on_page() -> Limits {
        let mut limits = Limits::new();
        for row in rows(&read("docs/limits.md")) {
            let place = row.last().unwrap().trim_matches('`').to_owned();
            if place.contains("::") {
                assert!(row.iter().all(|cell| !cell.is_empty() || row.len() == 6), "{row:?}");
                let twice = limits.insert(place, told(&row[1]));
                assert_eq!(twice, None, "{row:?}");
            }
        }
        limits
    }

    #[test]
    fn i13_every_limit_of_the_code_is_on_the_page_and_the_page_says_what_it_is() {
        let (code, page) = (in_code(), on_page());
        assert!(code.len() > 250, "only {} limits were found", code.len());
        let missing: Vec<_> = code.iter().filter(|(name, _)| !page.contains_key(*name)).collect();
        assert!(missing.is_empty(), "docs/limits.md has no line for {missing:#?}");
        let gone: Vec<_> = page.keys().filter(|name| !code.contains_key(*name)).collect();
        assert!(gone.is_empty(), "docs/limits.md has lines for {gone:#?}, which are no more");
        for (name, value) in &code {
            assert_eq!(page.get(name), Some(value), "{name} on docs/limits.md");
        }
    }

    /// The keys of `[limits]`, as the program reads them.
    fn keys() -> BTreeSet<String> {
        let text = read("crates/callgate/src/config/limits.rs");
        let fields = text.split_once("struct RawLimits {").unwrap().1.split_once('}').unwrap().0;
        let name = |line: &str| line.trim().split_once(": ").map(|(name, _)| name.to_owned());
        fields.lines().filter_map(name).collect()
    }

    #[test]
    fn what_can_be_configured_is_told_alike_on_both_pages() {
        let rows_of = |page: &str| rows(&read(page));
        let key = |row: &[String]| row[0].trim_matches('`').to_owned();
        let configuration = rows_of("docs/configuration.md");
        let mut told_of = BTreeSet::new();
        for row in rows_of("docs/limits.md").iter().filter(|row| row.len() == 6) {
            let full = key(row);
            let Some((section, name)) = full.rsplit_once('.') else { continue };
            let scale = if name.ends_with("_s") { 1_000 } else { 1 };
            let is_told = |other: &Vec<String>| {
                let said = other.get(1).and_then(|said| said.parse::<u64>().ok());
                key(other) == name && said.map(|said| said * scale) == Some(told(&row[1]))
            };
            assert!(configuration.iter().any(is_told), "{full} on docs/configuration.md");
            if section == "limits" {
                told_of.insert(name.to_owned());
            }
        }
        assert_eq!(told_of, keys());
    }

    #[test]
    fn every_limit_that_is_counted_is_on_the_page() {
        let page = read("docs/limits.md");
        for limit in Limit::ALL {
            let name = format!("`{}`", limit.name());
            assert!(page.contains(&name), "docs/limits.md does not say what is counted as {name}");
            assert!(!limit.told().is_empty());
        }
    }
}
