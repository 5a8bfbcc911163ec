use agenttracer_index::{Erasure, IndexError};
use agenttracer_storage::record::DecodeError;
use agenttracer_storage::{AppendError, ReadError, RewriteError, SubmitError};

/// Why nothing was erased, or why an erasure is not finished yet.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// No run is meant.
    #[error("no run matches")]
    NotFound,
    /// The run was erased before.
    #[error("the run was erased before")]
    Before(Option<Box<Erasure>>),
    /// More runs than one erasure takes: narrow it by time.
    #[error("more than {0} runs match")]
    TooMany(usize),
    /// The log took no batch: nothing happened, or an accepted erasure goes on later.
    #[error("{0}")]
    Submit(#[from] SubmitError),
    /// Whether the batch is in the log is not known, or it is not.
    #[error("{0}")]
    Append(#[from] AppendError),
    /// The index failed.
    #[error("{0}")]
    Index(#[from] IndexError),
    /// The log could not be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// A batch of the log is of no known form.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A segment could not be rewritten.
    #[error("{0}")]
    Rewrite(#[from] RewriteError),
    /// A file beside the log could not be read or removed.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: std::path::PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
}
