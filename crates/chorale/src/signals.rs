//! Being asked to stop.

use std::{
    future::Future,
    io::{self, Read as _},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

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

/// Completes when standard input ends; never if it is not to be watched.
pub(crate) async fn parent_is_gone(watch: bool) {
    let (gone, is_gone) = oneshot::channel::<()>();
    if watch {
        // A thread of its own: a read from standard input cannot be cancelled, and must not keep the runtime.
        std::thread::spawn(move || {
            let mut byte = [0];
            while matches!(io::stdin().read(&mut byte), Ok(1..)) {}
            drop(gone);
        });
        let _ = is_gone.await;
    } else {
        std::future::pending::<()>().await;
    }
}
