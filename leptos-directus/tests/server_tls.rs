//! Directus behind TLS: certificates are checked, for sockets and for requests.
#![cfg(feature = "ssr")]

mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::Duration,
};

use futures::SinkExt;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use server::{App, Play, SESSION, StandIn, client, next, text};

/// An authority that nobody knows.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What a server needs that is called `name`.
    fn server(&self, name: &str) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    /// Its certificate as an operator would have it.
    fn file(&self, name: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", process::id()));
        fs::write(&path, self.0.pem()).unwrap();
        path
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let mut directus = StandIn::with_tls(Play::Public, Authority::new().server("localhost")).await;
    let app = App::new(&directus).await;
    for upgrade in [app.upgrade(), app.upgrade().header("cookie", SESSION)] {
        let refused = upgrade.refused().await;
        assert_eq!((refused.status, refused.code()), (502, "UPSTREAM_TLS"));
        assert!(refused.json["message"].as_str().unwrap().contains("DIRECTUS_CA_FILE"), "{refused:?}");
    }
    assert_eq!(app.verdict(&[]).await.code(), "UPSTREAM_TLS");
    let answer = client().get(format!("{}/directus/items/posts", app.origin())).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    directus.assert_untouched();
    app.empty().await;
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_accepted() {
    let authority = Authority::new();
    let mut directus = StandIn::with_tls(Play::Public, authority.server("localhost")).await;
    let file = authority.file("known");
    let app = App::with(&directus, |config| config.directus_ca_file = Some(file.clone())).await;
    app.upgrade().open().await;
    directus.socket().await;
    let (mut visitor, mut upstream) = app.pair(&mut directus).await;
    visitor.send(text("up")).await.unwrap();
    assert_eq!(next(&mut upstream).await, text("up"));
    upstream.send(text("down")).await.unwrap();
    assert_eq!(next(&mut visitor).await, text("down"));
    let request = client().get(format!("{}/directus/server/ping", app.origin())).send();
    let (answer, ()) = tokio::join!(request, async { directus.asked().await.answer("200 OK", "", "pong").await });
    assert_eq!(answer.unwrap().text().await.unwrap(), "pong");
    fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let directus = StandIn::with_tls(Play::Public, authority.server("cms.example")).await;
    let file = authority.file("other-host");
    let app = App::with(&directus, |config| config.directus_ca_file = Some(file.clone())).await;
    let refused = app.upgrade().refused().await;
    assert_eq!((refused.status, refused.code()), (502, "UPSTREAM_TLS"));
    fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn what_speaks_no_tls_is_not_spoken_to_in_clear() {
    let mut directus = StandIn::new(Play::Public).await;
    let url = directus.url().replace("http://", "https://");
    let app = App::at(&url, |config| config.directus_connect_timeout = Duration::from_millis(100)).await;
    // It waits for an upgrade, and is greeted by TLS.
    assert_eq!(app.upgrade().header("cookie", SESSION).refused().await.code(), "UPSTREAM_TIMEOUT");
    directus.assert_untouched();
}
