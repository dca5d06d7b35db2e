//! What every native target shares: TLS and the HTTP client.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// How long the HTTP client tries to reach a host.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The file of additional certificates can't be read.
    #[error("the certificate file `{}` can't be read: {reason}", path.display())]
    File {
        /// The configured file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// rustls refused the configuration.
    #[error("TLS can't be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS that verifies certificates against the system's roots and those of `extra_ca` (PEM).
///
/// The provider is named here and not taken from the process, so that an app may install another one.
///
/// # Errors
///
/// When `extra_ca` can't be read or holds no certificate.
pub(crate) fn tls_config(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // A machine without roots can still reach Directus over plain HTTP, or with a certificate file of its own.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra_ca {
        let unreadable = |reason: String| TlsError::File { path: path.to_owned(), reason };
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(unreadable("it holds no PEM certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The HTTP client for Directus: the given TLS, no proxy of the system, no redirects followed, no compression undone.
///
/// # Errors
///
/// When reqwest can't be set up.
pub(crate) fn http_client(tls: &Arc<ClientConfig>) -> Result<reqwest::Client, reqwest::Error> {
    let mut tls = ClientConfig::clone(tls);
    // WebSockets share this configuration and must not offer HTTP/2, so it is offered here only.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_certificate_file_is_named() {
        let error = tls_config(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn the_client_needs_no_provider_of_the_process() {
        let tls = tls_config(None).unwrap();
        assert!(http_client(&tls).is_ok());
    }
}
