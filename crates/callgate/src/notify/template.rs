//! What operators write themselves instead of the usual message.

use std::collections::HashSet;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, UndefinedBehavior};

use super::news::News;
use super::told::{ARGUMENTS, Message, NAMES, PEOPLE};
use crate::print::safe;

/// Longest template, in bytes.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 16 << 10;

const TEXT: &str = "template";
const SUBJECT: &str = "subject";

/// A message as the operator wants it.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    has_text: bool,
    has_subject: bool,
}

impl Template {
    /// Reads templates.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(crate) fn new(
        text: Option<String>,
        subject: Option<String>,
        arguments: bool,
    ) -> Result<Self, String> {
        let mut environment = Environment::new();
        // What is not there is a mistake, but may be asked for: `{% if agent %}`.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let (has_text, has_subject) = (text.is_some(), subject.is_some());
        for (name, source) in [(TEXT, text), (SUBJECT, subject)] {
            let Some(source) = source else { continue };
            if source.len() > TEMPLATE_BYTES_MAX {
                return Err(format!("`{name}` is longer than {TEMPLATE_BYTES_MAX} bytes"));
            }
            environment.add_template_owned(name, source).map_err(|error| said(&error))?;
            let template = environment.get_template(name).map_err(|error| said(&error))?;
            let mut wanted = template.undeclared_variables(false);
            wanted.retain(|name| !environment.globals().any(|(global, _)| global == name));
            if let Some(unknown) = unknown(wanted, arguments) {
                return Err(format!("`{name}`: {unknown}"));
            }
        }
        Ok(Self { environment, has_text, has_subject })
    }

    /// The message that it makes of an approval, and the usual one of anything else; the page is part of every message, whatever a template says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn message(&self, news: &News, arguments: bool) -> Result<Message, String> {
        let usual = news.message(arguments);
        let News::Approval(told) = news else { return Ok(usual) };
        let data = Value::from(Serde(told.data(arguments, &PEOPLE)));
        let render = |name: &str| {
            let template = self.environment.get_template(name);
            template.and_then(|template| template.render(&data)).map_err(|error| said(&error))
        };
        let title = if self.has_subject { render(SUBJECT)? } else { usual.title };
        let lines =
            if self.has_text { render(TEXT)?.lines().map(safe).collect() } else { usual.lines };
        Ok(Message::new(title.trim(), lines, usual.page))
    }
}

/// What is wrong with a name that there is not.
fn unknown(names: HashSet<String>, arguments: bool) -> Option<String> {
    let mut names: Vec<String> =
        names.into_iter().filter(|name| !NAMES.contains(&name.as_str())).collect();
    names.sort_unstable();
    if names.contains(&ARGUMENTS.to_owned()) && !arguments {
        return Some("there are no `arguments` without `arguments = true`".to_owned());
    }
    let name = names.into_iter().find(|name| name != ARGUMENTS)?;
    Some(format!("there is no `{name}`; there are: {}", NAMES.join(", ")))
}

fn said(error: &Error) -> String {
    format!("{error:#}")
}
