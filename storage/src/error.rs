use std::ops::Range;
use std::path::PathBuf;

use agenttracer_model::Position;

use crate::format::{GapReason, Version};

/// A place of the log that cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Byte offsets in the file.
    pub offsets: Range<u64>,
    /// The positions that are lost with it, as far as known.
    pub positions: Range<Position>,
    /// What was found, and what was expected.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: bytes {}..{}, positions {}..{}: {}",
            self.file.display(),
            self.offsets.start,
            self.offsets.end,
            self.positions.start,
            self.positions.end,
            self.what
        )
    }
}

/// Why a batch was not even queued. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full: try again in a moment.
    #[error("the log's queue is full")]
    Busy,
    /// The disk is full: reads go on, writes come back by themselves when there is space.
    #[error("the disk is full")]
    DiskFull,
    /// The log was told to take no more runs, as the data directory is as large as it may be.
    #[error("the data directory has reached its limit")]
    OverLimit,
    /// A write or sync failed: the log is being reopened.
    #[error("the log is being reopened after a failed write")]
    Poisoned,
    /// The thread that commits has panicked: only a restart helps.
    #[error("the thread that commits has panicked")]
    Dead,
    /// The frame would exceed the largest size.
    #[error("the batch is larger than a frame may be")]
    TooLarge,
    /// The log is shutting down.
    #[error("the log is closed")]
    Closed,
}

/// Why a queued batch got no 2xx: after a crash or reopening it is there whole, or it is absent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No space for another segment; the batch is absent.
    #[error("the disk is full")]
    DiskFull,
    /// The write or the sync failed; whole or absent.
    #[error("writing the log failed: {0}")]
    Failed(String),
    /// The log closed before the batch was written; absent.
    #[error("the log is closed")]
    Closed,
    /// The run was erased while the batch was on its way: nobody sees it, and the next compaction removes it.
    #[error("the run was erased")]
    Erased,
}

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No batch begins at this position.
    #[error("no batch begins at position {0}")]
    NotFound(Position),
    /// The position is gone for good.
    #[error("what stood at position {position} {}", match .reason {
        GapReason::Dropped => "was erased or has expired",
        GapReason::Lost => "was lost to damage that was repaired",
    })]
    Gone {
        /// The position.
        position: Position,
        /// Why.
        reason: GapReason,
    },
    /// The bytes are damaged.
    #[error("damaged: {0}")]
    Damaged(Box<Damage>),
    /// The disk failed.
    #[error("reading {file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
}

/// Why a log did not open. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("{0} is in use by another process, as a running `agenttracer serve`; stop that first")]
    Locked(PathBuf),
    /// Acknowledged data is damaged or missing: `crate::repair`.
    #[error("{0}; `agenttracer verify` lists all damage, `agenttracer repair` shows what can be saved and how")]
    Damaged(Box<Damage>),
    /// A restore or repair of the directory did not come to its end: what is there is a part of a log.
    #[error("a {what} of {dir} did not finish: run `agenttracer {what}` once more, it begins anew")]
    Unfinished {
        /// The directory.
        dir: PathBuf,
        /// `restore` or `repair`.
        what: &'static str,
    },
    /// The directory was written by a newer format.
    #[error("{file} has {found}, this program reads up to {}: use a newer agenttracer", Version::SUPPORTED)]
    NewerFormat {
        /// The file that says so.
        file: PathBuf,
        /// What it asks for.
        found: Version,
    },
    /// The disk failed.
    #[error("opening {file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
}
