use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves with the name of the signal when the process is told to stop. A second one ends the process at once.
pub(crate) fn stop() -> impl Future<Output = &'static str> + Send {
    let kinds = [("SIGTERM", SignalKind::terminate()), ("SIGINT", SignalKind::interrupt())];
    let mut signals: Vec<(&'static str, Signal)> = Vec::new();
    for (name, kind) in kinds {
        match signal(kind) {
            Ok(signal) => signals.push((name, signal)),
            Err(error) => tracing::error!("{name} cannot be waited for: {error}"),
        }
    }
    async move {
        let name = any(&mut signals).await;
        tokio::spawn(async move {
            any(&mut signals).await;
            tracing::warn!("told to stop again: ending at once");
            std::process::exit(130);
        });
        name
    }
}

async fn any(signals: &mut [(&'static str, Signal)]) -> &'static str {
    std::future::poll_fn(|context| {
        for (name, signal) in signals.iter_mut() {
            if signal.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*name);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Makes the process the leader of a session of its own, so that it outlives the terminal it was started from.
pub(super) fn leave_terminal() {
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!("the process has a session of its own already: {error}");
    }
}
