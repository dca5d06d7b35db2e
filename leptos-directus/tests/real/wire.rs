//! A wire to Directus that can be cut.

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Passes bytes to Directus and back, while it is whole.
pub(crate) struct Wire {
    /// Where Directus is for those at the other end.
    pub(crate) url: String,
    is_whole: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn to(directus: &str) -> Self {
        let target = directus.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (is_whole, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (target, mut state) = (target.clone(), state.clone());
                if !*state.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let pass = async move {
                        let mut near = near;
                        let Ok(mut far) = TcpStream::connect(&target).await else { return };
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    };
                    tokio::select! {
                        () = pass => {}
                        _ = state.changed() => {}
                    }
                });
            }
        });
        Self { url, is_whole }
    }

    /// All connections end, and new ones do not last.
    pub(crate) fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}
