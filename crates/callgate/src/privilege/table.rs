//! A report for other programs: as JSON, and as a table.

use std::collections::BTreeSet;

use callgate_model::json::{Json, Object};

use super::{Finding, Report};
use crate::export::cell;

impl Report {
    /// All of it.
    pub(crate) fn to_json(&self) -> Object {
        let holdings: Vec<Json> = self.holdings.iter().map(|one| one.to_json().into()).collect();
        let findings: Vec<Json> = self.findings.iter().map(Finding::to_json).collect();
        Object::default().with("holdings", holdings).with("findings", findings)
    }

    /// Its lines as RFC 4180 has them: an operation at a place for each.
    pub(crate) fn csv(&self) -> Vec<String> {
        let mut lines = vec!["kind,id,name,owner,operation,place,may,calls,findings".to_owned()];
        for one in &self.holdings {
            let codes: BTreeSet<_> = one.findings.iter().map(|finding| finding.code).collect();
            let codes = codes.into_iter().collect::<Vec<_>>().join(" ");
            let owner = one.owner.as_deref().unwrap_or_default();
            for [operation, place, may, calls] in one.rows() {
                let cells =
                    [one.kind, &one.id, &one.name, owner, &operation, &place, &may, &calls, &codes];
                lines.push(cells.map(cell).join(","));
            }
        }
        lines
    }
}
