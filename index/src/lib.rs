//! Projections of the log: hot run views in memory, the tantivy index on disk, and snapshots that queries read.
//!
//! Everything here can be deleted and rebuilt from the log. This crate knows no HTTP and nothing of ingest.
#![forbid(unsafe_code)]

mod applier;
mod checkpoint;
pub mod cold;
mod columns;
mod count;
mod directory;
mod error;
pub mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod hot;
mod index;
mod indexer;
mod leases;
mod live;
mod live_runs;
mod mask;
mod matching;
mod names;
mod options;
mod projection;
mod run_ids;
mod snapshot;
mod stats;
mod store;
mod stored;
mod summarise;
mod summary;
mod verify;
mod walk;

#[cfg(test)]
mod question_tests;

pub use applier::{CommitFollower, Commits, commit_channel};
pub use count::Count;
pub use directory::DiskDirectory;
pub use error::IndexError;
pub use filter::Filter;
pub use index::{Index, IndexStatus, Progress, damaged_files, known_durable};
pub use live::LiveSize;
pub use options::Options;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use summary::{FailureSummary, RunSummary};
pub use verify::{Check, Checker};
pub use walk::{ListError, Page, PageRequest};
