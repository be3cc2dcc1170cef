//! What a person should look at, by the name that OWASP's list of risks of non-human identities (2025) has for it.

use callgate_model::json::{Json, Object};

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `NHI1` improper offboarding, `NHI3` third parties, `NHI5` too much privilege, `NHI7` secrets that live long.
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(crate) fn to_json(&self) -> Json {
        Object::default().with("code", self.code).with("text", self.text.as_str()).into()
    }
}
