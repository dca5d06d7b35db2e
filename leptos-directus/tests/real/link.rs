//! A link to Directus that can be cut.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Condition {
    /// It arrives.
    Whole,
    /// There is no connection to be had, and those that were are lost.
    Cut,
    /// What is sent to Directus arrives, and as soon as it answers the connection is lost.
    AnswersLost,
}

/// A relay between its own port and Directus.
pub(crate) struct Link {
    pub(crate) url: String,
    condition: Arc<watch::Sender<Condition>>,
}

impl Link {
    pub(crate) async fn to(directus: &str) -> Self {
        let upstream = directus.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let condition = Arc::new(watch::Sender::new(Condition::Whole));
        let accepted = Arc::clone(&condition);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(stream, upstream.clone(), accepted.subscribe()));
            }
        });
        Self { url, condition }
    }

    pub(crate) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

async fn relay(mut client: TcpStream, upstream: String, mut condition: watch::Receiver<Condition>) {
    if *condition.borrow_and_update() == Condition::Cut {
        return;
    }
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let (mut out, mut back) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            changed = condition.changed() => {
                if changed.is_err() || *condition.borrow_and_update() == Condition::Cut {
                    return;
                }
            }
            read = client.read(&mut out) => match read {
                Ok(count) if count > 0 && server.write_all(&out[..count]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut back) => match read {
                Ok(count) if count > 0 && *condition.borrow() == Condition::Whole => {
                    if client.write_all(&back[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
