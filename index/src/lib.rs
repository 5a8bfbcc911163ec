//! Projections of the log: hot run views in memory, the tantivy index on disk, and snapshots that queries read.
//!
//! Everything here can be deleted and rebuilt from the log. This crate knows no HTTP and nothing of ingest.
#![forbid(unsafe_code)]

mod agents;
mod applier;
mod checkpoint;
mod clusters;
pub mod cold;
mod columns;
mod count;
mod directory;
mod distributions;
mod erased;
mod error;
mod facets;
pub mod filter;
mod gather;
mod histogram;
mod hot;
mod index;
mod indexer;
mod latency;
mod leases;
mod live;
mod live_runs;
mod mask;
mod matching;
mod metadata_keys;
mod names;
mod notes;
mod options;
mod outcomes;
mod projection;
mod rollup;
mod run_ids;
mod side;
mod snapshot;
mod sorted;
mod stats;
mod store;
mod stored;
mod summarise;
mod summary;
mod timeline;
mod traces;
mod usage;
mod verify;
mod walk;

#[cfg(test)]
mod aggregate_tests;
#[cfg(test)]
mod question_tests;

pub use agents::{GroupBy, RunGroup};
pub use applier::{CommitFollower, Commits, commit_channel};
pub use clusters::{Cluster, Clusters};
pub use count::Count;
pub use directory::DiskDirectory;
pub use distributions::{DecisionCounts, Decisions, Occurrences, SignalCounts, Signals};
pub use erased::{Erased, Erasure, ErasureState, Moment};
pub use error::IndexError;
pub use facets::{Facet, FacetCounts};
pub use filter::Filter;
pub use histogram::Histogram;
pub use index::{Index, IndexStatus, Progress, damaged_files, forget, known_durable};
pub use latency::{Latency, Spread, StepLatency};
pub use live::LiveSize;
pub use metadata_keys::MAX_VALUES as MAX_METADATA_VALUES;
pub use options::Options;
pub use outcomes::{FailuresOfRuns, MOST_SERIES, Outcomes, REST, RunsEnded, Source};
pub use side::{Numbers, Sets, Side};
pub use snapshot::{Snapshot, Stop};
pub use sorted::{Rank, Sort, SortBy, SortedRequest};
pub use stats::Stats;
pub use summary::{DecisionSummary, Fact, FailureSummary, RunSummary, SignalSummary, StepSummary, Tenth};
pub use timeline::TimeBucket;
pub use traces::{Trace, traces};
pub use usage::{Amounts, ModelUsage, UsageSummary};
pub use verify::{Check, Checker};
pub use walk::{ListError, Page, PageRequest};
