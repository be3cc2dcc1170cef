//! Where copies of the evidence are: which sinks, anchors and witnesses have all of the period. What a place was sent is told as
//! the store has it; what a witness says is checked by its key. From when on a place had it, and whether it still does, is for
//! those to say who have the place.

use callgate_model::ambient::Timestamp;
use callgate_model::transparency::{Note, Witness};
use callgate_store::{Cursor, KeptCheckpoint, Store};

use super::Period;
use super::files::Files;
use crate::cli::Failure;
use crate::config::Config;
use crate::keeping::witness_name;

pub(super) const CSV: &str = "elsewhere.csv";
/// Checkpoints that are read in one go.
const PAGE: u32 = 1_000;
const COLUMNS: &[&str] =
    &["place", "kind", "has_records", "has_the_period", "taken_at", "failed_at", "cosigned"];

/// What the places are, as they are configured.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Each with its kind, by its name in the store.
    pub(super) places: Vec<(String, &'static str)>,
    pub(super) witnesses: Vec<(String, Witness)>,
}

/// What they have.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    rows: Vec<Place>,
    /// Checkpoints that were signed in the period, and how many of them a witness has cosigned.
    signed: u64,
    cosigned: u64,
}

/// One of them.
#[derive(Debug)]
struct Place {
    name: String,
    kind: &'static str,
    cursor: Option<Cursor>,
    /// Whether it has what proves all records of the period, or has got past them.
    is_current: bool,
    /// Of a witness, how many checkpoints of the period it has cosigned.
    cosigned: Option<u64>,
}

impl Places {
    pub(super) fn of(config: &Config) -> Self {
        let elsewhere = &config.evidence.elsewhere;
        let witnesses = elsewhere.witnesses.iter();
        let witnesses = witnesses.map(|(name, one)| (witness_name(name), one.key.clone()));
        Self { places: elsewhere.places(), witnesses: witnesses.collect() }
    }

    /// What was sent to them.
    fn begin(&self, cursors: &[Cursor], last: Option<u64>) -> Elsewhere {
        let place = |(name, kind): &(String, &'static str)| {
            let cursor = cursors.iter().find(|cursor| cursor.name == *name).cloned();
            let has = |last: u64| cursor.as_ref().is_some_and(|cursor| cursor.next > last);
            // Of a witness that is shown by what it signs, not by what it was sent.
            let is_witness = self.witnesses.iter().any(|(witness, _)| witness == name);
            let is_current = !is_witness && last.is_some_and(has);
            Place {
                name: name.clone(),
                kind,
                cursor,
                is_current,
                cosigned: is_witness.then_some(0),
            }
        };
        Elsewhere { rows: self.places.iter().map(place).collect(), ..Elsewhere::default() }
    }

    /// Looks what they have of a period whose last record is at `last`, if there is one.
    pub(super) async fn look(
        &self,
        store: &dyn Store,
        period: Period,
        last: Option<u64>,
        size: u64,
    ) -> Result<Elsewhere, Failure> {
        let mut all = self.begin(&store.cursors().await?, last);
        let mut from = 0;
        loop {
            let page = store.checkpoints(from, PAGE).await?;
            for kept in page.iter().filter(|kept| kept.size <= size) {
                all.checkpoint(&self.witnesses, kept, period.has(kept.at), last);
            }
            match page.last() {
                Some(kept) if kept.size < size => from = kept.size + 1,
                Some(_) | None => return Ok(all),
            }
        }
    }
}

impl Elsewhere {
    /// Looks at who has cosigned a checkpoint, if that says anything of the period.
    fn checkpoint(
        &mut self,
        witnesses: &[(String, Witness)],
        kept: &KeptCheckpoint,
        is_inside: bool,
        last: Option<u64>,
    ) {
        self.signed += u64::from(is_inside);
        let covers = last.is_some_and(|last| kept.size > last);
        let Some(note) = Note::parse(&kept.note).ok().filter(|_| is_inside || covers) else {
            return;
        };
        let mut is_cosigned = false;
        for (name, witness) in witnesses {
            let Some(place) = self.rows.iter_mut().find(|place| place.name == *name) else {
                continue;
            };
            // Beyond the period one that covers it is enough.
            if (!is_inside && place.is_current) || !matches!(witness.cosigned(&note), Ok(Some(_))) {
                continue;
            }
            place.is_current |= covers;
            place.cosigned = place.cosigned.map(|count| count + u64::from(is_inside));
            is_cosigned = true;
        }
        self.cosigned += u64::from(is_inside && is_cosigned);
    }

    fn count(&self, is_of: impl Fn(&Place) -> bool) -> u64 {
        u64::try_from(self.rows.iter().filter(|place| is_of(place)).count()).unwrap_or(u64::MAX)
    }

    /// What is counted of it.
    pub(super) fn figures(&self) -> [(&'static str, u64); 7] {
        let is_sink = |place: &Place| !place.name.contains('.');
        [
            ("checkpoints_period", self.signed),
            ("checkpoints_cosigned", self.cosigned),
            ("sinks", self.count(is_sink)),
            ("sinks_current", self.count(|place| is_sink(place) && place.is_current)),
            ("sinks_behind", self.count(|place| is_sink(place) && !place.is_current)),
            ("elsewhere", self.count(|place| !is_sink(place))),
            ("elsewhere_current", self.count(|place| !is_sink(place) && place.is_current)),
        ]
    }

    pub(super) fn write(&self, files: &Files) -> Result<(), Failure> {
        let mut table = files.table(CSV, COLUMNS)?;
        for place in &self.rows {
            table.row(&place.row())?;
        }
        table.flush()
    }
}

impl Place {
    /// Why something was not taken may name more than an auditor should know: that is for the log of the gateway.
    fn row(&self) -> [String; 7] {
        let cursor = self.cursor.as_ref();
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        [
            self.name.clone(),
            self.kind.to_owned(),
            cursor.map(|cursor| cursor.next.to_string()).unwrap_or_default(),
            if self.is_current { "yes" } else { "no" }.to_owned(),
            time(cursor.and_then(|cursor| cursor.moved_at)),
            time(cursor.and_then(|cursor| cursor.failure.as_ref()).map(|(_, at)| *at)),
            self.cosigned.map(|count| count.to_string()).unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint of a public log as its witnesses have cosigned it, with the key of one of them.
    const REAL: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
";
    const SIZE: u64 = 1_432_088_532;
    const WITNESS: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";

    fn places() -> Places {
        let kinds = [("anchors.vault", "put"), ("siem", "syslog"), ("witnesses.remora", "witness")];
        Places {
            places: kinds.map(|(name, kind)| (name.to_owned(), kind)).into(),
            witnesses: vec![("witnesses.remora".to_owned(), Witness::parse(WITNESS).unwrap())],
        }
    }

    /// Each was sent what is before `next`.
    fn sent(next: u64) -> Vec<Cursor> {
        let names = ["anchors.vault", "siem", "witnesses.remora"];
        let cursor = |name: &str| Cursor {
            name: name.to_owned(),
            next,
            moved_at: Some(Timestamp::from_unix_ms(1)),
            failure: None,
        };
        names.map(cursor).into()
    }

    fn kept(note: &str) -> KeptCheckpoint {
        KeptCheckpoint { size: SIZE, at: Timestamp::from_unix_ms(1), note: note.to_owned() }
    }

    fn figure(all: &Elsewhere, name: &str) -> u64 {
        all.figures().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn a_place_has_the_period_when_it_has_its_last_record() {
        for (next, sinks, elsewhere) in [(7, 0, 0), (8, 1, 1)] {
            let all = places().begin(&sent(next), Some(7));
            assert_eq!(figure(&all, "sinks_current"), sinks);
            assert_eq!(figure(&all, "sinks_behind"), 1 - sinks);
            // That a witness was sent something shows nothing.
            assert_eq!(
                (figure(&all, "elsewhere"), figure(&all, "elsewhere_current")),
                (2, elsewhere)
            );
        }
        for (cursors, last) in [(Vec::new(), Some(7)), (sent(8), None)] {
            let all = places().begin(&cursors, last);
            assert_eq!(figure(&all, "sinks_current") + figure(&all, "elsewhere_current"), 0);
        }
    }

    #[test]
    fn a_witness_is_counted_by_what_it_has_signed() {
        let places = places();
        let look = |note: &str, is_inside: bool, last: u64| {
            let mut all = places.begin(&[], Some(last));
            all.checkpoint(&places.witnesses, &kept(note), is_inside, Some(last));
            ["checkpoints_period", "checkpoints_cosigned", "elsewhere_current"]
                .map(|name| figure(&all, name))
        };
        assert_eq!(look(REAL, true, SIZE - 1), [1, 1, 1]);
        assert_eq!(look(REAL, true, SIZE), [1, 1, 0], "the last record is not in it");
        assert_eq!(look(REAL, false, SIZE - 1), [0, 0, 1], "a later one covers the period, too");
        assert_eq!(look(REAL, false, SIZE), [0, 0, 0]);
        let other = REAL.replace("2net5wAAAABqEiEg", "2net5wAAAABqEiEf");
        assert_eq!(look(&other, true, SIZE - 1), [1, 0, 0], "that is not the witness's signature");
        let alone: String = REAL.lines().take(5).map(|line| format!("{line}\n")).collect();
        assert_eq!(look(&alone, true, SIZE - 1), [1, 0, 0], "nobody has cosigned it");
    }
}
