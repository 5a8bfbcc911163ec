//! The write side: decoding, validation, privacy, idempotency, and its routes.
//!
//! This crate does not know the index: what it must know of stored runs it asks through [`StoredRuns`].
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use agenttracer_ingest::{IngestState, Options, StoredRuns, routes};
//! # use agenttracer_storage::{Log, disk::Clock};
//! # fn example(log: Arc<dyn Log>, runs: Arc<dyn StoredRuns>, clock: Arc<dyn Clock>) -> Result<axum::Router, prometheus::Error> {
//! let registry = prometheus::Registry::new();
//! let state = IngestState::new(log, runs, clock, &registry, Options::default())?;
//! Ok(routes(state))
//! # }
//! ```
//!
//! The path of a body: `body` reads it, `native` makes it a run (`json` parses, `validate` checks, `references` and
//! `clean` follow), `intake` stores it, with `dedupe` in front of the log. `batch` does the same for many. `events` does it
//! for the events of live runs, of which `event` reads one.
#![forbid(unsafe_code)]

mod batch;
mod bodies;
mod body;
mod clean;
mod dedupe;
mod endpoints;
mod error;
mod event;
mod events;
mod fields;
mod intake;
mod issues;
mod json;
mod metrics;
mod native;
mod references;
mod routes;
mod stored_runs;
mod tally;
mod validate;
mod wire;

pub use endpoints::describe;
pub use routes::{IngestState, Options, routes};
pub use stored_runs::{HeldEvents, StoredRun, StoredRuns, StoredRunsError};
