//! Being asked to stop.

use std::{future::Future, io};
use tokio::signal::unix::{SignalKind, signal};

/// Completes when the process is asked to stop, with the reason. Listens from the call on, so that nothing is missed.
/// Must be called inside a runtime.
pub(crate) fn stop_requested() -> io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "the terminal is gone",
        }
    })
}
