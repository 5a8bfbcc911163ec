//! The write side: decoding, validation, privacy, idempotency, and its routes.
//!
//! This crate does not know the index: what it must know of stored runs it asks through [`StoredRuns`].
#![forbid(unsafe_code)]

mod stored_runs;

pub use stored_runs::{StoredRun, StoredRuns, StoredRunsError};
