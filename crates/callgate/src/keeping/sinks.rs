//! Sinks: records go live to the tools that others have. The store is the evidence, and what a sink has is a copy.

mod batch;
pub(crate) mod file;
pub(crate) mod otlp;
pub(crate) mod syslog;
#[cfg(test)]
mod tests;
pub(crate) mod webhook;

use callgate_model::ambient::Ambient;
use callgate_store::Store;

use crate::export::Format;
use batch::Batch;
use file::Appender;
use otlp::Collector;
use syslog::Syslog;
use webhook::Hook;

pub(crate) use batch::Wanted;

/// Where records go, and which.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Which records.
    pub(crate) wanted: Wanted,
    /// Whether it is told what is there already when it is new.
    pub(crate) from_start: bool,
    /// Who takes them.
    pub(crate) receiver: Receiver,
    /// The batch that was sent last: from where to where. What was not taken is sent again as it was.
    last: (u64, u64),
}

/// Who takes records.
#[derive(Debug)]
pub(crate) enum Receiver {
    /// A file.
    File(Appender, Format),
    /// A receiver of syslog.
    Syslog(Box<Syslog>, Format),
    /// A collector of OpenTelemetry.
    Otlp(Box<Collector>),
    /// A program of the operator's.
    Webhook(Box<Hook>),
}

impl Sink {
    pub(crate) const fn new(wanted: Wanted, from_start: bool, receiver: Receiver) -> Self {
        Self { wanted, from_start, receiver, last: (0, 0) }
    }

    /// What kind it is of, as it is configured.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.receiver {
            Receiver::File(..) => "file",
            Receiver::Syslog(..) => "syslog",
            Receiver::Otlp(_) => "otlp",
            Receiver::Webhook(_) => "webhook",
        }
    }

    /// Ends what is kept open.
    pub(super) async fn close(&mut self) {
        match &mut self.receiver {
            Receiver::Syslog(syslog, _) => syslog.close().await,
            Receiver::File(..) | Receiver::Otlp(_) | Receiver::Webhook(_) => {}
        }
    }

    /// Sends some of the records from the place `next` on; from where on there are more.
    pub(super) async fn send(
        &mut self,
        store: &dyn Store,
        next: u64,
        ambient: &dyn Ambient,
    ) -> Result<u64, String> {
        let again = Some(self.last).filter(|(from, _)| *from == next).map(|(_, to)| to);
        let read = Batch::read(store, &self.wanted, next, again).await;
        let batch = read.map_err(|error| format!("the evidence cannot be read: {error}"))?;
        self.last = (next, batch.next);
        if batch.is_empty() {
            return Ok(batch.next);
        }
        match &mut self.receiver {
            Receiver::File(file, format) => file.append(batch.lines(*format)).await?,
            Receiver::Syslog(syslog, format) => {
                syslog.send(Syslog::messages(&batch, *format)).await?;
            }
            Receiver::Otlp(collector) => collector.send(&batch, ambient).await?,
            Receiver::Webhook(hook) => hook.send(&batch, ambient.now()).await?,
        }
        Ok(batch.next)
    }
}
