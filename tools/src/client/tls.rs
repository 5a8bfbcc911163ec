//! What the client trusts.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{ClientError, Trust};

/// How TLS is spoken: 1.2 and 1.3, with the certificates of `trust`, or of this machine where it names none. Nothing is read
/// when TLS is not `used`.
pub(super) fn config(trust: &Trust, used: bool) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &trust.ca {
        Some(file) => roots = of_file(file)?,
        None if used => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let text = "this machine knows no authorities for https: name the file of one with --ca FILE";
                return Err(ClientError::Usage(text.to_owned()).into());
            }
        }
        None => {}
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn of_file(file: &Path) -> Result<RootCertStore, ClientError> {
    let wrong = |what: &str| ClientError::Usage(format!("--ca {}: {what}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong(&error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| wrong("it is no PEM"))?;
        roots.add(certificate).map_err(|_| wrong("it holds a certificate that cannot be used"))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate in PEM"));
    }
    Ok(roots)
}
