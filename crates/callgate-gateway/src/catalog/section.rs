//! Reading TOML tables so that every fault is noted with its place and reading goes on.

use std::cell::RefCell;

use callgate_model::json::Json;
use toml::{Table, Value};

use super::problem::{Problem, nearest};

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Problem>>);

impl Report {
    pub(super) fn note(&self, file: &str, at: String, message: String, hint: Option<String>) {
        self.0.borrow_mut().push(Problem { file: file.to_owned(), at, message, hint });
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// One table of a file.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    pub(super) report: &'a Report,
    pub(super) file: &'a str,
    /// Its place, as a path of keys.
    pub(super) path: String,
    table: &'a Table,
}

impl<'a> Section<'a> {
    pub(super) fn whole(report: &'a Report, file: &'a str, table: &'a Table) -> Self {
        Self { report, file, path: String::new(), table }
    }

    /// Notes a fault at `key`, or of the table itself if `key` is empty.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>, hint: Option<String>) {
        self.report.note(self.file, self.at(key), message.into(), hint);
    }

    /// Notes every key that is not one of `known`.
    pub(super) fn only(&self, known: &[&str]) {
        for key in self.table.keys().filter(|key| !known.contains(&key.as_str())) {
            self.fault(key, "unknown key", nearest(key, known.iter().copied()));
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table.keys().map(String::as_str)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let text = self.table.get(key)?.as_str();
        if text.is_none() {
            self.fault(key, "must be a string", None);
        }
        text
    }

    pub(super) fn required_text(&self, key: &str) -> Option<&'a str> {
        if !self.has(key) {
            self.fault("", format!("`{key}` is missing"), None);
        }
        self.text(key)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        match self.table.get(key) {
            None => false,
            Some(Value::Boolean(flag)) => *flag,
            Some(_) => {
                self.fault(key, "must be true or false", None);
                false
            }
        }
    }

    /// A text, a flag or a whole number.
    pub(super) fn scalar(&self, key: &str) -> Option<Json> {
        let scalar = match self.table.get(key)? {
            Value::String(text) => Some(text.as_str().into()),
            Value::Boolean(flag) => Some((*flag).into()),
            Value::Integer(number) => Some((*number).into()),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
        };
        if scalar.is_none() {
            self.fault(key, "must be a string, a whole number, true or false", None);
        }
        scalar
    }

    /// A string or an array of strings.
    pub(super) fn texts(&self, key: &str) -> Vec<&'a str> {
        let texts = match self.table.get(key) {
            None => return Vec::new(),
            Some(Value::String(text)) => Some(vec![text.as_str()]),
            Some(Value::Array(values)) => values.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        texts.unwrap_or_else(|| {
            self.fault(key, "must be a string or an array of strings", None);
            Vec::new()
        })
    }

    /// A word of a closed vocabulary.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&'static str, T)]) -> Option<T> {
        self.text(key).and_then(|word| self.lookup(key, word, words))
    }

    /// A word of a closed vocabulary that has to be there.
    pub(super) fn required_word<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        if !self.has(key) {
            self.fault("", format!("`{key}` is missing"), None);
        }
        self.word(key, words)
    }

    /// `word`, found at `key`, in a closed vocabulary.
    pub(super) fn lookup<T: Copy>(
        &self,
        key: &str,
        word: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let found = words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            let hint = nearest(word, names.iter().copied())
                .unwrap_or_else(|| format!("one of: {}", names.join(", ")));
            self.fault(key, format!("unknown word `{word}`"), Some(hint));
        }
        found
    }

    /// The table at `key`.
    pub(super) fn table(&self, key: &str) -> Option<Self> {
        let table = self.table.get(key)?.as_table();
        if table.is_none() {
            self.fault(key, "must be a table", None);
        }
        table.map(|table| Self { path: self.at(key), table, ..self.clone() })
    }

    /// The tables in the table at `key`, each with its name.
    pub(super) fn tables(&self, key: &str) -> Vec<(&'a str, Self)> {
        let Some(outer) = self.table(key) else { return Vec::new() };
        outer.table.keys().filter_map(|name| Some((name.as_str(), outer.table(name)?))).collect()
    }

    /// The tables in the array at `key`.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let tables: Option<Vec<&Table>> =
            value.as_array().and_then(|values| values.iter().map(Value::as_table).collect());
        if tables.is_none() {
            self.fault(key, "must be an array of tables", None);
        }
        let numbered = tables.unwrap_or_default().into_iter().enumerate();
        numbered
            .map(|(index, table)| Self {
                path: format!("{}[{index}]", self.at(key)),
                table,
                ..self.clone()
            })
            .collect()
    }

    fn at(&self, key: &str) -> String {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let key = if plain { key.to_owned() } else { format!("{key:?}") };
        match (self.path.as_str(), key.as_str()) {
            (path, "") => path.to_owned(),
            ("", key) => key.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }
}
