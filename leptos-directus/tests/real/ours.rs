//! Our own server, which a test may end or kill, and begin anew at the same port.

use std::{io, net::SocketAddr};

use axum::Router;
use leptos_directus::server::{DirectusConfig, DirectusServer, directus_routes};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

use crate::real::eventually;

/// Our server in a runtime of its own. Dropped, all of it is gone as by `kill -9`: nobody is told.
pub(crate) struct Ours {
    // Gone first: nothing may see the others go.
    _runtime: OwnRuntime,
    pub(crate) address: SocketAddr,
    server: DirectusServer,
    ask: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for its tasks is not allowed where others are run.
            runtime.shutdown_background();
        }
    }
}

impl Ours {
    /// Listens at this address as soon as that is free; at any port for port 0.
    pub(crate) async fn begin(directus: &str, address: SocketAddr) -> Self {
        let mut config = DirectusConfig::default();
        directus.clone_into(&mut config.directus_url);
        let server = DirectusServer::new(config).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let runtime = OwnRuntime(Some(runtime));
        let listener =
            eventually("the port to be free", async || handle.spawn(TcpListener::bind(address)).await.unwrap()).await;
        let address = listener.local_addr().unwrap();
        let routes: Router = directus_routes(&server);
        let app = routes.into_make_service_with_connect_info::<SocketAddr>();
        let (ask, asked) = oneshot::channel::<()>();
        let asked = async move {
            let _ = asked.await;
        };
        let serving = handle.spawn(async move { axum::serve(listener, app).with_graceful_shutdown(asked).await });
        Self { _runtime: runtime, address, server, ask, serving }
    }

    /// Ends as it does when it is asked to: nobody new comes in, sockets get 1001, requests finish.
    pub(crate) async fn end(self) {
        self.ask.send(()).unwrap();
        self.server.shutdown().await;
        self.serving.await.unwrap().unwrap();
    }
}
