//! The read side: filters, pages, cursors, statistics, and its routes.
//!
//! A question takes one snapshot of the index and answers all of itself from it. Lists and statistics need the index
//! alone; a whole run is folded from its batches in the log, with a bounded cache in front. Questions run on threads of
//! their own, a few at a time.
//!
//! ```no_run
//! # fn serve(index: std::sync::Arc<agenttracer_index::Index>, log: std::sync::Arc<dyn agenttracer_storage::Log>)
//! # -> Result<(), prometheus::Error> {
//! use agenttracer_query::{QueryOptions, QueryState, routes};
//!
//! let registry = prometheus::Registry::new();
//! let state = QueryState::new(index, log, &registry, &QueryOptions::default())?;
//! let router: axum::Router = routes(state);
//! # let _ = router;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod aggregate_routes;
mod cache;
mod compare;
mod conditions;
mod cursor;
mod endpoints;
mod error;
mod gate;
mod held;
mod interval;
mod metrics;
mod params;
mod query_string;
mod routes;
mod runs;
mod search_line;
mod state;
mod statistics;
mod tail;
mod wire;

pub use conditions::filter_of;
pub use endpoints::describe;
pub use routes::routes;
pub use state::{QueryOptions, QueryState};
pub use wire::{Record, records};
