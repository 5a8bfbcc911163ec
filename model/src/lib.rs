//! What a run is: types, taxonomies, privacy rules, the content digest and the fold of events into a run view.
//!
//! This crate knows no disk, no network and no clock: everything in it is a pure function of its arguments.
#![forbid(unsafe_code)]

pub mod attempts;
mod digest;
mod event;
pub mod failure_path;
mod fold;
mod hex;
pub mod lenient;
#[cfg(feature = "openapi")]
pub mod openapi;
mod position;
pub mod privacy;
mod problem;
mod run;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
pub mod taxonomy;
mod time;
pub mod timing;
mod value;
mod view;

pub use digest::Digest;
pub use event::{Event, EventKey, EventMark, EventVersion, RunBatch, RunEnded, RunStarted, TimedEvent};
pub use fold::{ABANDONED_CODE, FoldedRun, abandoned_failure_id};
pub use hex::hex;
pub use position::Position;
pub use problem::{FieldError, Loc, Problem};
pub use run::{Decision, Failure, Run, Signal, Step};
pub use time::Timestamp;
pub use value::{Metadata, Value, fact_of_text};
pub use view::{DecisionView, FailureView, RunView, SignalView, StepView};
