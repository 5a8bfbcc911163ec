use std::path::PathBuf;

use agenttracer_model::Position;
use agenttracer_storage::{AppendError, ReadError};

/// Why the projections could not be opened, read or committed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// tantivy or the disk below it failed; nothing of the log is lost.
    #[error("the index in {dir}: {what}")]
    Index {
        /// The index directory.
        dir: PathBuf,
        /// What failed.
        what: String,
    },
    /// A stored document is not what this version writes: the index is damaged, delete it to have it rebuilt.
    #[error("a document of the index is damaged: {0}")]
    Document(String),
    /// The index covers more than the log holds: acknowledged data is missing from the log.
    #[error("the index covers positions up to {checkpoint}, but the log ends at {tail}: acknowledged data is missing")]
    AheadOfLog {
        /// The next position the index would read.
        checkpoint: Position,
        /// The log's tail.
        tail: Position,
    },
    /// The log could not be read.
    #[error("reading the log: {0}")]
    Log(#[from] ReadError),
    /// The log could not be made durable up to the checkpoint; nothing was committed.
    #[error("syncing the log: {0}")]
    Sync(#[from] AppendError),
    /// A commit failed; it is tried again.
    #[error("committing the index: {0}")]
    Commit(String),
    /// A filter asks for a metadata key that has too many different values to be indexed.
    #[error("metadata key {key} is not indexed: it has too many different values")]
    NotIndexed {
        /// The key.
        key: String,
    },
    /// An answer would hold too many different values; says of what.
    #[error("too many different {what}")]
    TooMany {
        /// The values.
        what: &'static str,
    },
    /// Nobody waits for the answer any more.
    #[error("the question was given up")]
    GivenUp,
    /// A thread of the index has died of a fault of this program.
    #[error("the index has stopped: {0}")]
    Stopped(String),
}
