use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::access::KeyError;
use crate::tls::TlsError;
use agenttracer_index::IndexError;
use agenttracer_storage::{AppendError, OpenError};

/// Why a server did not start. What is on disk stays as it was found.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log did not open: in use, damaged, of a newer format, or the disk failed.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The projections could be neither opened nor rebuilt.
    #[error("opening the index: {0}")]
    Index(#[from] IndexError),
    /// A listener's address cannot be listened on.
    #[error("{listener}_addr {address}: {source}; choose another address, or port 0 for any free one")]
    Bind {
        /// `ingest`, `query` or `ui`.
        listener: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can reach a listener, and there is no key.
    #[error(
        "{listener}_addr {address} can be reached by others, and there is no API key that is valid.\n{}\
         Or listen on 127.0.0.1, or, where something in front lets nobody else in, start with --insecure.",
        make_one(data_dir)
    )]
    NoKeys {
        /// `ingest`, `query` or `ui`.
        listener: &'static str,
        /// The address that others can reach.
        address: SocketAddr,
        /// Where the keys would stand.
        data_dir: PathBuf,
    },
    /// Every request must show a key, and there is none.
    #[error(
        "require_keys is set, and there is no API key that is valid.\n{}Or start without --require-keys.",
        make_one(data_dir)
    )]
    NoRequiredKeys {
        /// Where the keys would stand.
        data_dir: PathBuf,
    },
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Two parts of the program count under one name: a mistake of ours.
    #[error("registering the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A file beside the data could not be written or removed.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
}

/// How the first key is made.
fn make_one(data_dir: &Path) -> String {
    format!(
        "Make one, and give it to your clients as `Authorization: Bearer KEY`:\n\
         \n    agenttracer keys create --data-dir {} --name first --scope ingest --scope query\n\n",
        data_dir.display()
    )
}

impl StartError {
    /// Whether acknowledged data is damaged or missing, so that a person must decide before anything is written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Log(OpenError::Damaged(_)) | Self::Index(IndexError::AheadOfLog { .. }))
    }
}

/// Why a server did not stop as it should. Everything that was acknowledged is on disk all the same.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The log did not close cleanly: the next start recovers, as after a crash.
    #[error("closing the log: {0}")]
    Log(#[from] AppendError),
    /// Closing took longer than a stop may take: the next start recovers, as after a crash.
    #[error("closing the log took too long")]
    TimedOut,
}
