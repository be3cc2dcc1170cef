//! How an opaque id becomes a target: what the server is asked, and where its answer says where the thing belongs.

use callgate_model::json::{Json, Object};
use callgate_model::products::atlassian::Site;

use super::path::Path;
use super::select::{Leaf, spelling, walk};

/// What a catalog says about the ids of one kind that do not tell where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The kind.
    pub kind: String,
    /// The kind that contains it.
    pub container: String,
    /// What is asked; each in turn, until one tells.
    pub asks: Vec<Ask>,
    /// What the answer gives.
    pub finds: Finds,
    /// Everything that a tool's answer is about, if it is about several things: each is looked at by itself.
    pub rows: Option<Path>,
    /// Where the answer repeats the id, in one of these places. One that repeats another is about something else.
    pub same: Vec<Path>,
    /// Whether a thing can move and still answer to its former name, so that even a name that tells is not certain.
    pub moves: bool,
    /// Where the answer says what people call the thing, in one of these places.
    pub title: Vec<Path>,
    /// Where the answer has its values by their names; if that is not there, it is the answer itself.
    pub values: Option<Path>,
}

/// What an answer says about a thing, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What people call it.
    pub title: Option<String>,
    /// Its values by their names.
    pub values: Object,
}

/// What a resolver asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A tool of the same server that only reads.
    Tool {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Vec<(String, Given)>,
    },
    /// The product's own interface, at this path below its address.
    Rest(RestPath),
}

/// How a value that a call names by a number is found: the status to which a transition leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The kind of target about which is asked.
    pub kind: String,
    /// What is asked.
    pub ask: Ask,
    /// Everything that there is.
    pub rows: Path,
    /// Of each, what the call names it by.
    pub key: Path,
    /// And the value.
    pub value: Path,
}

/// An argument of what is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Always the same.
    Constant(Json),
    /// The id.
    Id,
    /// The site: its cloud id, or else its address.
    Site,
}

/// A path with a place for the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestPath {
    before: String,
    after: String,
}

/// What an answer gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finds {
    /// The name of the thing that tells where it belongs.
    Name(Path),
    /// What contains it. If that is several things, it is in each of them.
    Containers(Vec<Path>),
}

/// What an answer gave, as it spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The thing's name.
    Name(String),
    /// What contains it.
    Containers(Vec<String>),
}

impl Resolver {
    /// What the answer says about `id`. Nothing, if it does not say exactly one thing.
    #[must_use]
    pub fn read(&self, ask: &Ask, answer: &Object, id: &str) -> Option<Found> {
        let rows = self.rows.as_ref().filter(|_| matches!(ask, Ask::Tool { .. }));
        let Some(rows) = rows else { return self.read_one(answer, id) };
        let (mut found, mut is_certain) = (None, true);
        walk(rows, answer, &mut |leaf| {
            let Leaf::Found(Json::Object(row)) = leaf else { return is_certain = false };
            match (self.read_one(row, id), &found) {
                (None, _) => {}
                (one @ Some(_), None) => found = one,
                (one @ Some(_), known) => is_certain &= one == *known,
            }
        });
        found.filter(|_| is_certain)
    }

    /// What people know `id` by. Nothing, if the answer is about something else, or the catalog does not say where that is.
    #[must_use]
    pub fn look(&self, ask: &Ask, answer: &Object, id: &str) -> Option<Seen> {
        if self.rows.is_some() || self.title.is_empty() {
            return None;
        }
        self.read(ask, answer, id)?;
        let title = self.title.iter().find_map(|path| only(path, answer));
        let values = self.values.as_ref().and_then(|path| at(path, answer));
        let values = values.and_then(|value| value.as_object().cloned());
        Some(Seen { title, values: values.unwrap_or_else(|| answer.clone()) })
    }

    fn read_one(&self, answer: &Object, id: &str) -> Option<Found> {
        let is_same = |path: &Path| only(path, answer).is_some_and(|said| said == id);
        if !self.same.is_empty() && !self.same.iter().any(is_same) {
            return None;
        }
        match &self.finds {
            Finds::Name(path) => only(path, answer).map(Found::Name),
            Finds::Containers(paths) => {
                let found: Option<Vec<String>> =
                    paths.iter().map(|path| only(path, answer)).collect();
                found.map(Found::Containers)
            }
        }
    }
}

impl Lookup {
    /// The value of `key`. Nothing, if the answer does not have exactly one.
    #[must_use]
    pub fn read(&self, answer: &Object, key: &str) -> Option<String> {
        let mut found: Option<String> = None;
        let mut is_certain = true;
        walk(&self.rows, answer, &mut |leaf| match leaf {
            Leaf::Found(Json::Object(row)) => {
                let (name, value) = (only(&self.key, row), only(&self.value, row));
                match (name, value) {
                    (Some(name), _) if name != key => {}
                    (Some(_), Some(value)) if found.as_ref().is_none_or(|one| *one == value) => {
                        found = Some(value);
                    }
                    (_, _) => is_certain = false,
                }
            }
            Leaf::Found(_) | Leaf::Absent | Leaf::Unreadable => is_certain = false,
        });
        found.filter(|_| is_certain)
    }
}

impl Ask {
    /// The arguments for `id` in `site`. Nothing, if the site has no name that its product knows.
    #[must_use]
    pub fn arguments(given: &[(String, Given)], id: &str, site: &Site) -> Option<Object> {
        given.iter().try_fold(Object::default(), |arguments, (name, given)| {
            let value = match given {
                Given::Constant(value) => value.clone(),
                Given::Id => id.into(),
                Given::Site => site.address()?.into(),
            };
            Some(arguments.with(name, value))
        })
    }
}

impl RestPath {
    /// The path that `text` writes, `{id}` where the id goes.
    ///
    /// # Errors
    /// What is wrong with it, for the author of the catalog.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (before, after) = text.split_once("{id}").ok_or("it has no `{id}`")?;
        let is_plain = |part: &str| {
            part.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.?=&,".contains(&b))
        };
        if !before.starts_with('/') || before.starts_with("//") {
            return Err("it begins with one `/`");
        }
        if !is_plain(before) || !is_plain(after) || text.contains("..") {
            return Err("it has letters, digits and `/-_.?=&,` only");
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The path of `id`. Nothing, if that could be taken for more than an id.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<String> {
        let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        is_plain.then(|| format!("{}{id}{}", self.before, self.after))
    }
}

/// The one value at `path`.
fn at(path: &Path, answer: &Object) -> Option<Json> {
    let mut found = Vec::new();
    walk(path, answer, &mut |leaf| found.push(leaf.value().cloned()));
    match found.as_slice() {
        [only] => only.clone(),
        _ => None,
    }
}

/// The one id at `path`.
fn only(path: &Path, answer: &Object) -> Option<String> {
    let mut found: Option<String> = None;
    let mut is_certain = true;
    walk(path, answer, &mut |leaf| match leaf {
        Leaf::Found(value) => match (spelling(value), &found) {
            (Some(text), None) => found = Some(text.to_owned()),
            (Some(text), Some(known)) if known == text => {}
            (Some(_) | None, _) => is_certain = false,
        },
        Leaf::Absent | Leaf::Unreadable => is_certain = false,
    });
    found.filter(|_| is_certain)
}

#[cfg(test)]
mod tests;
