//! Paths into arguments: `/fields!/labels/*`.

use std::fmt;

/// Where in the arguments something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the member of that name.
    Member(String),
    /// To each element of an array.
    Each,
    /// From a string to the JSON that it holds.
    Parse,
}

impl Path {
    /// The path that `text` writes.
    ///
    /// # Errors
    /// What is wrong with it, for the author of the catalog.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix('/').ok_or("a path begins with `/`")?;
        let mut steps = Vec::new();
        for part in rest.split('/') {
            let (name, parse) = part.strip_suffix('!').map_or((part, false), |name| (name, true));
            if name.is_empty() {
                return Err("a path has a name between any two `/`");
            }
            if name.contains('!') {
                return Err("`!` stands at the end of a name");
            }
            match name {
                "*" if steps.is_empty() => return Err("a path begins with a name"),
                "*" => steps.push(Step::Each),
                name if name.contains('*') => return Err("`*` stands alone"),
                name => steps.push(Step::Member(name.to_owned())),
            }
            if parse {
                steps.push(Step::Parse);
            }
        }
        Ok(Self(steps))
    }

    /// Its steps: never empty, a member first.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it can lead to several values.
    #[must_use]
    pub fn is_plural(&self) -> bool {
        self.0.contains(&Step::Each)
    }

    /// The name, if the path is nothing but a name.
    #[must_use]
    pub fn single(&self) -> Option<&str> {
        if let [Step::Member(name)] = self.0.as_slice() { Some(name) } else { None }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Member(name) => write!(f, "/{name}"),
            Step::Each => f.write_str("/*"),
            Step::Parse => f.write_str("!"),
        })
    }
}
