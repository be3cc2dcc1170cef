//! `callgate evidence export` and `callgate evidence follow`: records for the tools that others have. Works while a gateway is running.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::time::Duration;

use callgate_model::json::Json;
use callgate_store::{Filter, Row, Store};

use super::evidence::open_with;
use crate::ambient::host;
use crate::cli::Failure;
use crate::cli::evidence::{Export, Follow, Form};
use crate::export::syslog::{Framing, Origin};
use crate::export::{Exported, Format};
use crate::intents::Intents;
use crate::print::{self, Progress};
use crate::private;
use crate::stop::Stop;

/// How many records are read at a time.
const PAGE: u32 = 500;
/// How often new records are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn export(options: Export) -> Result<(), Failure> {
    let store = open_with(&options.config).await?;
    let filter = options.which.filter();
    let out: Box<dyn Write + Send> = match &options.output {
        None => Box::new(io::stdout()),
        Some(path) => Box::new(
            private::file(path)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?,
        ),
    };
    let mut lines = Lines::begin(&*store, filter, options.form, out)?;
    // What is recorded meanwhile is for the next export.
    let end = store.size().await?;
    let mut progress = Progress::new("records looked at");
    while lines.next < end && lines.page(end).await? {
        progress.tell(lines.next, end);
    }
    drop(progress);
    if options.output.is_some() {
        print::note(&format!("{} records written", lines.written));
    }
    Ok(())
}

pub(crate) async fn follow(options: Follow) -> Result<(), Failure> {
    let store = open_with(&options.config).await?;
    let stop = Stop::of_signals()?;
    let out = Box::new(io::stdout());
    let mut lines = Lines::begin(&*store, options.which.filter(), options.form, out)?;
    lines.next = store.size().await?;
    let following = async {
        loop {
            let end = store.size().await?;
            if lines.next >= end {
                tokio::time::sleep(LOOK_EVERY).await;
            } else if !lines.page(end).await? {
                return Ok(());
            }
        }
    };
    tokio::select! {
        ended = following => ended,
        () = stop.asked() => Ok(()),
    }
}

/// Records on their way out.
struct Lines<'a> {
    store: &'a dyn Store,
    filter: Filter,
    format: Format,
    syslog: Option<(Origin, Framing)>,
    out: BufWriter<Box<dyn Write + Send>>,
    /// The place in the log that is looked at next.
    next: u64,
    written: u64,
}

impl<'a> Lines<'a> {
    fn begin(
        store: &'a dyn Store,
        filter: Filter,
        form: Form,
        out: Box<dyn Write + Send>,
    ) -> Result<Self, Failure> {
        let origin = || Origin { host: host(), process: std::process::id() };
        let usual = if form.syslog.is_some() { Format::Cef } else { Format::Jsonl };
        let mut lines = Self {
            store,
            filter: Filter { limit: Some(PAGE), ..filter },
            format: form.format.unwrap_or(usual),
            syslog: form.syslog.map(|framing| (origin(), framing)),
            out: BufWriter::new(out),
            next: 0,
            written: 0,
        };
        if let Some(header) = lines.format.header().filter(|_| lines.syslog.is_none()) {
            writeln!(lines.out, "{header}").and_then(|()| lines.out.flush()).map_err(unwritable)?;
        }
        Ok(lines)
    }

    /// Writes the next records that are in the log before the place `end`; whether anybody still reads them.
    async fn page(&mut self, end: u64) -> Result<bool, Failure> {
        let rows = self.store.page(&self.filter, self.next).await?;
        // They are in the order of the log.
        let is_over = rows.len() < PAGE as usize
            || rows.iter().any(|row| row.index.is_some_and(|place| place >= end));
        let mut intents = Intents::default();
        for row in rows {
            let Some(place) = row.index.filter(|place| *place < end) else { continue };
            let record = record_json(&row)?;
            let intent = intents.beside(self.store, (&row.kind, row.call), &record).await;
            let intent = intent?;
            let written = self.write(&Exported { record: &record, intent: intent.as_ref() });
            if !is_read(written)? {
                return Ok(false);
            }
            self.next = place + 1;
        }
        if is_over {
            self.next = end;
        }
        is_read(self.out.flush())
    }

    fn write(&mut self, exported: &Exported<'_>) -> io::Result<()> {
        self.written += 1;
        match &self.syslog {
            None => writeln!(self.out, "{}", self.format.write(exported)),
            Some((origin, framing)) => {
                write!(self.out, "{}", origin.write(exported, self.format, *framing))
            }
        }
    }
}

/// A reader that has gone (`| head`) is no error, but the end.
fn is_read(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritable(error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped with")]
fn unwritable(error: io::Error) -> Failure {
    Failure::Other(format!("records cannot be written: {error}"))
}

/// The record of a row as it leaves.
fn record_json(row: &Row) -> Result<Json, Failure> {
    let record = row.record();
    if record.get("format").is_none() {
        let place = row.index.unwrap_or_default();
        let why = "is not what was recorded; `callgate evidence verify` says more";
        return Err(Failure::Other(format!("the record at place {place} of the log {why}")));
    }
    Ok(record.into())
}

#[cfg(test)]
mod tests {
    use callgate_model::ambient::{Ambient as _, Timestamp};
    use callgate_model::evidence::{Chain, Event, Payload};

    use super::*;
    use crate::ambient::Machine;
    use callgate_store::{EvidenceStore as _, SqliteStore};

    /// What is recorded faster than it is read has no end.
    #[tokio::test]
    async fn i13_an_export_ends_where_the_log_ended_when_it_began() {
        let store = SqliteStore::open_in_memory().await.unwrap();
        let mut chain = Chain::new(Machine.id());
        let event = Event::Opened { version: "0".to_owned(), after: None };
        let rows: Vec<Row> = (0..5 + PAGE)
            .map(|place| {
                let at = Timestamp::from_unix_ms(i64::from(place >= 5));
                Row::seal(&mut chain, at, &event, Payload::new(&event, [7; 16]))
            })
            .collect();
        store.append(&rows).await.unwrap();
        let since = Some(Timestamp::from_unix_ms(1));
        let filter = Filter { since, ..Filter::default() };
        let form = Form { format: None, syslog: None };
        let mut lines = Lines::begin(&store, filter, form, Box::new(io::sink())).unwrap();
        assert!(lines.page(5).await.unwrap());
        assert_eq!((lines.next, lines.written), (5, 0));
    }
}
