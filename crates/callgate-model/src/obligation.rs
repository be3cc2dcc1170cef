//! Obligations: what has to be done if a call is let through. They come with an allowance, of every permit that holds, and who
//! cannot do all of them must not let the call through.

use std::collections::BTreeSet;

use crate::json::{Json, Object};
use crate::treatment::{Treatments, stricter};

/// What has to be done with a call that is let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations {
    /// Members of this name, wherever they stand in what the server answers, are not shown.
    pub redact: BTreeSet<String>,
    /// An answer that is larger is not shown, in bytes of JSON.
    pub result_bytes_max: Option<u64>,
    /// Whoever calls has to say why.
    pub needs_reason: bool,
    /// People are told of the call by these channels.
    pub notify: BTreeSet<String>,
    /// What of its arguments is recorded.
    pub record: Treatments,
}

/// None at all.
pub static NONE: Obligations = Obligations {
    redact: BTreeSet::new(),
    result_bytes_max: None,
    needs_reason: false,
    notify: BTreeSet::new(),
    record: Treatments::new(),
};

impl Obligations {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == NONE
    }

    /// Whether the answer of the server may not be shown as it is.
    #[must_use]
    pub fn change_answers(&self) -> bool {
        !self.redact.is_empty() || self.result_bytes_max.is_some()
    }

    /// These and `others`: the stricter of the two in everything.
    pub fn add(&mut self, others: &Self) {
        self.redact.extend(others.redact.iter().cloned());
        let smaller = self.result_bytes_max.into_iter().chain(others.result_bytes_max).min();
        self.result_bytes_max = smaller;
        self.needs_reason |= others.needs_reason;
        self.notify.extend(others.notify.iter().cloned());
        stricter(&mut self.record, &others.record);
    }

    /// As they are recorded.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let names = |all: &BTreeSet<String>| {
            all.iter().map(|name| name.as_str().into()).collect::<Vec<Json>>()
        };
        let record = self.record.iter();
        let record = record.map(|(path, is)| format!("{path}: {}", is.as_str()).into());
        let most = self.result_bytes_max.map(|most| i64::try_from(most).unwrap_or(i64::MAX >> 11));
        Object::default()
            .with("redact", names(&self.redact))
            .with("result_bytes_max", most)
            .with("needs_reason", self.needs_reason)
            .with("notify", names(&self.notify))
            .with("record", record.collect::<Vec<Json>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::treatment::Treatment;

    #[test]
    fn i9_of_two_obligations_the_stricter_holds_in_any_order() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let a = Obligations {
            redact: set(&["email"]),
            result_bytes_max: Some(10),
            ..Obligations::default()
        };
        let b = Obligations {
            redact: set(&["phone"]),
            result_bytes_max: Some(9),
            needs_reason: true,
            notify: set(&["leads"]),
            record: [("summary".to_owned(), Treatment::Drop)].into(),
        };
        let sum = |first: &Obligations, second: &Obligations| {
            let mut sum = first.clone();
            sum.add(second);
            sum
        };
        assert_eq!(sum(&a, &b), sum(&b, &a));
        assert_eq!(
            sum(&a, &b).to_json().to_text(),
            r#"{"redact":["email","phone"],"result_bytes_max":9,"needs_reason":true,"notify":["leads"],"record":["summary: drop"]}"#
        );
        for one in [&a, &b] {
            assert_eq!(&sum(one, &Obligations::default()), one);
            assert!(!one.is_empty() && one.change_answers());
        }
    }
}
