//! Whom to trust over TLS, and who we are to them.
//!
//! The system's roots, and those of a registry's own CA beside them, as docker and containerd have
//! it. A client certificate is checked against its key here, because the HTTP client would panic.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::RegistryError;

/// How to treat the servers of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trust {
    /// Files with more roots, PEM.
    pub(super) roots: Vec<PathBuf>,
    /// Files with our certificate and its key, PEM; one file may hold both.
    pub(super) client: Option<(PathBuf, PathBuf)>,
    /// Certificates are not checked.
    pub(super) unchecked: bool,
}

/// The system's root certificates, read at the first need of TLS.
#[derive(Debug, Default)]
pub(super) struct SystemRoots(OnceLock<Vec<Certificate<'static>>>);

impl SystemRoots {
    fn get(&self) -> &[Certificate<'static>] {
        self.0.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                log::warn!("system certificates: {error}");
            }
            found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
        })
    }
}

impl Trust {
    /// What a redirect's or token server's host gets of it: the roots, but not who we are, and no
    /// freedom from checks.
    pub(super) fn for_others(&self) -> Self {
        Self { roots: self.roots.clone(), client: None, unchecked: false }
    }

    /// The HTTP client's form of it.
    pub(super) fn config(&self, system: &SystemRoots) -> Result<TlsConfig, RegistryError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut builder = TlsConfig::builder().disable_verification(self.unchecked);
        if !self.unchecked {
            let mut roots = system.get().to_vec();
            for path in &self.roots {
                roots.extend(certificates(path)?.iter().map(to_ureq));
            }
            builder = builder.root_certs(RootCerts::Specific(Arc::new(roots)));
        }
        if let Some((chain, key)) = &self.client {
            builder = builder.client_cert(Some(client(chain, key, &provider)?));
        }
        Ok(builder.unversioned_rustls_crypto_provider(provider).build())
    }
}

fn to_ureq(der: &CertificateDer<'static>) -> Certificate<'static> {
    Certificate::from_der(der).to_owned()
}

fn bad(path: &Path, reason: impl ToString) -> RegistryError {
    RegistryError::Config { path: path.to_owned(), reason: reason.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let bytes = std::fs::read(path).map_err(|error| bad(path, error))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(path, error))?;
    if found.is_empty() { Err(bad(path, "there is no PEM certificate in it")) } else { Ok(found) }
}

fn client(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<ClientCert, RegistryError> {
    let certificates = certificates(chain)?;
    let bytes = std::fs::read(key).map_err(|error| bad(key, error))?;
    let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| bad(key, error))?;
    CertifiedKey::from_der(certificates.clone(), private, provider)
        .map_err(|error| bad(key, format!("does not fit {}: {error}", chain.display())))?;
    let certificates: Vec<_> = certificates.iter().map(to_ureq).collect();
    let private = PrivateKey::from_pem(&bytes).map_err(|error| bad(key, error))?;
    Ok(ClientCert::new_with_certs(&certificates, private))
}
