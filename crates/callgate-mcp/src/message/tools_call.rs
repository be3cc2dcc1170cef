//! The parameters of `tools/call`, by their exact names only.

use callgate_model::json::{Json, Object};
use thiserror::Error;

use super::{Round, shown};
use crate::limits::TOOL_NAME_BYTES_MAX;

/// The parameters of `tools/call`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolsCallParams {
    /// The tool, as the client names it.
    pub name: String,
    /// Empty if there were none.
    pub arguments: Object,
    /// `_meta`; empty if there was none.
    pub meta: Object,
    /// What is added when it is not the first time.
    pub round: Round,
}

/// Why parameters are refused; the text for [`INVALID_PARAMS`](crate::code::INVALID_PARAMS).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidParams(pub String);

impl ToolsCallParams {
    /// Reads them. A member of any other name is refused: a server that reads names without regard to case would
    /// see `Name` where we see `name` (GHSA-4gph-2hhr-5mwg). What asks for a task of 2025-11-25 is left out, as who does
    /// not declare tasks has to.
    ///
    /// # Errors
    /// [`InvalidParams`] with the member at fault.
    pub fn read(mut params: Object) -> Result<Self, InvalidParams> {
        let name = match params.remove("name") {
            Some(Json::String(name)) if (1..=TOOL_NAME_BYTES_MAX).contains(&name.len()) => name,
            _ => return Err(refused(format!("`name` must be 1 to {TOOL_NAME_BYTES_MAX} bytes"))),
        };
        params.remove("task");
        let read = Self {
            name,
            arguments: object(&mut params, "arguments")?,
            meta: object(&mut params, "_meta")?,
            round: Round::take(&mut params)?,
        };
        match params.iter().next() {
            Some((name, _)) => {
                Err(refused(format!("{} is not a parameter of `tools/call`", shown(name))))
            }
            None => Ok(read),
        }
    }
}

pub(super) fn object(params: &mut Object, name: &str) -> Result<Object, InvalidParams> {
    match params.remove(name) {
        None => Ok(Object::default()),
        Some(Json::Object(object)) => Ok(object),
        Some(_) => Err(refused(format!("`{name}` must be an object"))),
    }
}

pub(super) const fn refused(detail: String) -> InvalidParams {
    InvalidParams(detail)
}
