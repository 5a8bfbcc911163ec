//! The log: batches of records in segments with checksums, the only truth of AgentTracer.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//!
//! use agenttracer_model::{Position, Timestamp};
//! use agenttracer_storage::disk::{RealDisk, SystemClock};
//! use agenttracer_storage::{Batch, BatchKind, Log, Options, ResolveOnCommit, SegmentedLog};
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock::new()));
//! let options = Options { segment_bytes: 1 << 20, ..Options::default() };
//! let (log, recovery) = SegmentedLog::open(disk, clock, dir, options, Box::new(ResolveOnCommit))?;
//! println!("{recovery}");
//!
//! let payload = b"encoded records".to_vec();
//! let batch = Batch { kind: BatchKind::Run, payload, records: 3, time: Timestamp::from_micros(0) };
//! let (answer, answered) = mpsc::channel();
//! log.submit(batch, Box::new(move |outcome| drop(answer.send(outcome))))?;
//! let position = answered.recv()??; // durable now
//!
//! assert_eq!(position, Position::ZERO);
//! assert_eq!(&log.read(position)?.payload[..], b"encoded records");
//! assert_eq!(log.tail(), Position::new(3));
//! log.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows bytes and positions; it knows no tokio, no HTTP and no index.
#![deny(unsafe_code)]

pub mod backup;
mod buckets;
mod commit;
pub mod compaction;
pub mod disk;
mod error;
pub mod format;
mod log;
pub mod log_record;
mod manifest;
mod memory;
mod mmap;
mod prepare;
pub mod record;
mod recovery;
pub mod repair;
mod rewrite;
mod segment;
mod segmented;
pub mod verify;
mod view;

pub use buckets::{BucketCounts, Buckets, Groups};
pub use error::{AppendError, Damage, OpenError, ReadError, SubmitError};
pub use format::GapReason;
pub use log::{Batch, BatchKind, Committed, Follower, Health, Log, Payload, StoredBatch, SyncMode, Ticket, trouble};
pub use memory::MemoryLog;
pub use recovery::{Cut, Recovery};
pub use rewrite::{ActivePart, Dropped, Pin, RewriteError, Rewriting, Rewritten, SealedSegment};
pub use segmented::{KnownDurable, Options, ResolveOnCommit, SegmentedLog};
