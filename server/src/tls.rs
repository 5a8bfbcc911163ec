//! TLS for every listener: the certificate of two PEM files, read again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How often to look whether the files are others.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's certificate first, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of its kind.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why; nothing of what stands there.
        what: String,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate {cert} and the key {key} cannot be used together: {what}")]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        what: String,
    },
}

/// What new connections are served with.
#[derive(Clone)]
pub(crate) struct Tls(watch::Sender<Arc<ServerConfig>>);

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(watch::Sender::new(Arc::new(load(files)?))))
    }

    /// As it is now.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.borrow().clone()
    }

    /// Reads the files again whenever one of them is another one, until `stopped`. What cannot be used changes nothing: it is
    /// logged, and looked at again when it changes.
    pub(crate) async fn watch(self, files: TlsFiles, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        let mut known = marks(&files);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = &mut stopped => return,
            }
            let found = marks(&files);
            if found == known {
                continue;
            }
            known = found;
            match load(&files) {
                Ok(config) => {
                    self.0.send_replace(Arc::new(config));
                    tracing::info!("the TLS certificate was read again");
                }
                Err(error) => tracing::error!(%error, "the new TLS certificate cannot be used; the one before stays"),
            }
        }
    }
}

fn marks(files: &TlsFiles) -> [Option<(SystemTime, u64)>; 2] {
    let mark = |file: &Path| {
        let data = std::fs::metadata(file).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    [mark(&files.cert), mark(&files.key)]
}

fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let failed = |file: &Path, what: String| TlsError::File { file: file.to_owned(), what };
    let read = |file: &Path| std::fs::read(file).map_err(|error: io::Error| failed(file, error.to_string()));
    let text = read(&files.cert)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| failed(&files.cert, "it is no PEM".to_owned()))?;
    if chain.is_empty() {
        return Err(failed(&files.cert, "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| failed(&files.key, "it holds no private key in PEM".to_owned()))?;
    let pair = |what: String| TlsError::Pair { cert: files.cert.clone(), key: files.key.clone(), what };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| pair(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| pair(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
