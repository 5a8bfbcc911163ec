//! The log: batches of records in segments with checksums, the only truth of AgentTracer.
//!
//! This crate knows bytes and positions; it knows no tokio, no HTTP and no index.
#![deny(unsafe_code)]

mod commit;
pub mod disk;
mod error;
pub mod format;
mod log;
mod manifest;
mod memory;
mod mmap;
mod prepare;
pub mod record;
mod recovery;
mod segment;
mod segmented;
pub mod verify;
mod view;

pub use error::{AppendError, Damage, OpenError, ReadError, SubmitError};
pub use log::{Batch, Committed, Follower, Health, Log, Payload, StoredBatch, SyncMode, Ticket};
pub use memory::MemoryLog;
pub use recovery::{Cut, Recovery};
pub use segmented::{Options, ResolveOnCommit, SegmentedLog};
