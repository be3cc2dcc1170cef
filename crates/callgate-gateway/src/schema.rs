//! Arguments against the tool's own schema. No reference is ever fetched: a schema that needs one is refused.

use callgate_model::json::{Json, Object};
use jsonschema::Validator;
use serde::Serialize;

/// Longest description of what does not fit, in characters.
const DETAIL_CHARS_MAX: usize = 400;

/// A tool's input schema, compiled.
#[derive(Debug)]
pub struct ArgumentSchema {
    validator: Validator,
    /// The declared names, if arguments beyond them are not provided for.
    closed: Option<Vec<String>>,
}

/// The schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the input schema cannot be used: {0}")]
pub struct UnusableSchema(String);

impl ArgumentSchema {
    /// Compiles `schema`.
    ///
    /// # Errors
    /// [`UnusableSchema`] if it is not a valid schema of a known dialect, or refers to another document.
    pub fn compile(schema: &Json) -> Result<Self, UnusableSchema> {
        let value = to_value(schema).map_err(UnusableSchema)?;
        let validator = jsonschema::options()
            .offline()
            .build(&value)
            .map_err(|error| UnusableSchema(cut(&error.to_string())))?;
        Ok(Self { validator, closed: declared_names(schema) })
    }

    /// Checks `arguments`. With `strict`, names that the schema does not provide for are refused too, whatever it says
    /// of them by being silent: nothing may ride along on a call that changes something (T05).
    ///
    /// # Errors
    /// What does not fit, for the caller.
    pub fn check(&self, arguments: &Object, strict: bool) -> Result<(), String> {
        if let (true, Some(declared)) = (strict, &self.closed) {
            let unknown = arguments.iter().find(|(name, _)| !declared.iter().any(|d| d == name));
            if let Some((name, _)) = unknown {
                return Err(cut(&format!("the tool declares no argument `{name}`")));
            }
        }
        let value = to_value(arguments)?;
        let mut faults = self.validator.iter_errors(&value).map(|error| {
            let place = error.instance_path().to_string();
            if place.is_empty() { error.to_string() } else { format!("{place}: {error}") }
        });
        let Some(first) = faults.next() else { return Ok(()) };
        Err(cut(&faults.take(3).fold(first, |all, fault| format!("{all}; {fault}"))))
    }
}

fn declared_names(schema: &Json) -> Option<Vec<String>> {
    let open = schema.get("additionalProperties").is_some_and(|more| *more != Json::Bool(false))
        || schema.get("patternProperties").is_some();
    if open {
        return None;
    }
    let combined = ["allOf", "anyOf", "oneOf", "if", "$ref", "dependentSchemas"];
    if combined.iter().any(|keyword| schema.get(keyword).is_some()) {
        return None;
    }
    let names = schema.get("properties").and_then(Json::as_object);
    Some(names.map_or_else(Vec::new, |names| names.iter().map(|(n, _)| n.to_owned()).collect()))
}

fn to_value(value: &impl Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn cut(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    fn json(text: &str) -> Json {
        read(text.as_bytes(), &JsonLimits::default()).unwrap()
    }

    fn check(schema: &str, arguments: &str, strict: bool) -> Result<(), String> {
        let schema = ArgumentSchema::compile(&json(schema)).unwrap();
        schema.check(json(arguments).as_object().unwrap(), strict)
    }

    #[test]
    fn arguments_must_fit() {
        let schema = r#"{"type":"object","properties":{"key":{"type":"string"},"n":{"type":"integer"}},"required":["key"]}"#;
        assert_eq!(check(schema, r#"{"key":"ENG-1","n":1.0}"#, true), Ok(()));
        assert!(check(schema, r#"{"n":1}"#, false).unwrap_err().contains("key"));
        assert!(check(schema, r#"{"key":1}"#, false).unwrap_err().starts_with("/key"));
    }

    #[test]
    fn t05_nothing_rides_along_on_a_change() {
        let silent = r#"{"type":"object","properties":{"key":{"type":"string"}}}"#;
        assert_eq!(check(silent, r#"{"key":"a","admin":true}"#, false), Ok(()));
        assert!(check(silent, r#"{"key":"a","admin":true}"#, true).is_err());
        let open = r#"{"type":"object","properties":{},"additionalProperties":true}"#;
        assert_eq!(check(open, r#"{"anything":true}"#, true), Ok(()));
        assert!(check(r#"{"type":"object"}"#, r#"{"x":1}"#, true).is_err());
    }

    #[test]
    fn no_reference_is_fetched() {
        for schema in [
            r#"{"type":"object","properties":{"a":{"$ref":"http://127.0.0.1:1/x.json"}}}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r#"{"type":"objekt"}"#,
        ] {
            assert!(ArgumentSchema::compile(&json(schema)).is_err(), "{schema}");
        }
        let local = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"integer"}}}"##;
        assert!(check(local, r#"{"a":"x"}"#, false).is_err());
    }
}
