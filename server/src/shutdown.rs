//! Stopping: one switch that every accept loop and connection watches, and the signals that turn it.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long requests in flight may take after the switch was turned. What remains of the 10 s that a stop may take is
/// for the last commit, the checkpoint and the manifest.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// The switch. Turning it twice is turning it once.
#[derive(Clone, Debug)]
pub(crate) struct Switch(watch::Sender<bool>);

impl Switch {
    pub(crate) fn new() -> Self {
        Self(watch::channel(false).0)
    }

    pub(crate) fn turn(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the switch is turned; returns at once when it was.
    pub(crate) fn turned(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            // The sender cannot be gone while this clone of the switch lives, and if it were, stopping is right.
            let _ = receiver.wait_for(|turned| *turned).await;
        }
    }
}

/// Listens for SIGTERM and SIGINT from now on; the future ends with the name of the first that comes.
///
/// # Errors
/// When the system lets no handler be installed.
pub fn signals() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
