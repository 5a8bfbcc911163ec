//! Erasing runs: at once for every query, soon from every file, and with a receipt that can be checked.
//!
//! An [`Eraser`] writes tombstones to the log; the index hides the runs they name. A [`Purger`] then removes the bytes:
//! it rewrites the segments and the parts of the index that hold them, and appends the receipt. [`prove`] looks through a
//! data directory for anything that is left.
//!
//! This crate knows the log and the index. It knows nothing of ingest and of queries.
#![forbid(unsafe_code)]

mod endpoints;
mod eraser;
mod error;
mod ids;
mod proof;
mod purge;
mod routes;
mod wire;

pub use endpoints::describe;
pub use eraser::{Append, Eraser, Options, Wanted, appending_to};
pub use error::EraseError;
pub use proof::{Finding, Proof, ProofError, prove};
pub use purge::{Keep, Purged, Purger};
pub use routes::{ErasureState, routes};
