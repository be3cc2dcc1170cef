//! What can be made to go wrong, one thing at a time.

use std::sync::Mutex;

/// A fault. One that concerns a call strikes the next `tools/call` and is spent; one that concerns the list holds
/// until the faults are cleared, as a changed server stays changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is never answered and not executed.
    Hang,
    /// The call is executed and never answered.
    HangAfterExecuting,
    /// The connection is cut without an answer; the call is not executed.
    DropBefore,
    /// The call is executed, then the connection is cut without an answer.
    DropAfterExecuting,
    /// HTTP 500; the call is not executed.
    ServerError,
    /// HTTP 401: the credential is not taken any more; the call is not executed.
    Unauthorized,
    /// HTTP 400: the tool needs what the client did not declare; the call is not executed.
    MissingCapability,
    /// HTTP 307 to this address; the call is not executed.
    Redirect(String),
    /// The call is executed and its result padded by this many bytes.
    OversizedBody(usize),
    /// The call is executed and answered under an id that nobody asked for.
    WrongResponseId,
    /// The call is executed and answered by one SSE event that holds two messages.
    TwoMessagesInOneEvent,
    /// The call is executed and answered by a message with both `result` and `error`.
    ResultAndError,
    /// The description of this tool is another one.
    ChangedDefinition(String),
    /// This tool is listed twice, the second time as harmless.
    DuplicateToolName(String),
}

impl Fault {
    fn concerns_list(&self) -> bool {
        match self {
            Self::ChangedDefinition(_) | Self::DuplicateToolName(_) => true,
            Self::Hang
            | Self::HangAfterExecuting
            | Self::DropBefore
            | Self::DropAfterExecuting
            | Self::ServerError
            | Self::Unauthorized
            | Self::MissingCapability
            | Self::Redirect(_)
            | Self::OversizedBody(_)
            | Self::WrongResponseId
            | Self::TwoMessagesInOneEvent
            | Self::ResultAndError => false,
        }
    }
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.with(|faults| faults.push(fault));
    }

    pub(crate) fn clear(&self) {
        self.with(Vec::clear);
    }

    /// Takes the fault of the next call.
    pub(crate) fn take_for_call(&self) -> Option<Fault> {
        self.with(|faults| {
            let index = faults.iter().position(|fault| !fault.concerns_list())?;
            Some(faults.remove(index))
        })
    }

    /// The faults of every list.
    pub(crate) fn of_list(&self) -> Vec<Fault> {
        self.with(|faults| faults.iter().filter(|fault| fault.concerns_list()).cloned().collect())
    }

    fn with<T>(&self, use_faults: impl FnOnce(&mut Vec<Fault>) -> T) -> T {
        use_faults(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
