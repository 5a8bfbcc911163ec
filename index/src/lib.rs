//! Projections of the log: hot run views in memory, the tantivy index on disk, and snapshots that queries read.
//!
//! Everything here can be deleted and rebuilt from the log. This crate knows no HTTP and nothing of ingest.
#![forbid(unsafe_code)]

pub mod filter;
mod summary;

pub use filter::Filter;
pub use summary::{FailureSummary, RunSummary};
