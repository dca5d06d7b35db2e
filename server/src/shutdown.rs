//! The end: asked for politely, and bounded.

use std::{future::IntoFuture, io, time::Duration};

use leptos_directus::server::DirectusServer;
use tokio::signal;

/// How long requests may take to finish once the end was asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends when Ctrl-C or SIGTERM comes.
pub(crate) async fn asked_for() {
    let interrupted = async {
        if let Err(error) = signal::ctrl_c().await {
            tracing::error!("Ctrl-C can't be listened for: {error}");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    match signal::unix::signal(signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(error) => {
            tracing::error!("SIGTERM can't be listened for: {error}");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// Serves until the end was asked for and all is done, or the patience is at its end.
pub(crate) async fn bounded(
    serving: impl IntoFuture<Output = io::Result<()>>,
    directus: DirectusServer,
) -> Result<(), String> {
    let goodbye = async {
        asked_for().await;
        tracing::info!("ending: sockets are told, requests finish");
        // Sockets and requests together: a socket's end must not wait for a slow request, nor the other way round.
        tokio::join!(directus.shutdown(), tokio::time::sleep(PATIENCE));
    };
    tokio::select! {
        result = serving.into_future() => {
            directus.shutdown().await;
            result.map_err(|error| format!("serving failed: {error}"))
        }
        () = goodbye => {
            tracing::warn!("some requests did not finish within {PATIENCE:?}");
            Ok(())
        }
    }
}
