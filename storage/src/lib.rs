//! The log: batches of records in segments with checksums, the only truth of AgentTracer.
//!
//! This crate knows bytes and positions; it knows no tokio, no HTTP and no index.
#![deny(unsafe_code)]

pub mod disk;
mod error;
mod log;
mod memory;
mod mmap;
pub mod record;

pub use error::{AppendError, Damage, OpenError, ReadError, SubmitError};
pub use log::{Batch, Committed, Follower, Health, Log, Payload, StoredBatch, SyncMode, Ticket};
pub use memory::MemoryLog;
