//! Puts the halves together: configuration, listeners, shutdown.
//!
//! This crate joins ingest, log, index and query to one server. It does not know what a command line looks like.
#![forbid(unsafe_code)]

pub mod access;
mod addresses;
pub mod config;
mod documentation;
mod edge;
pub mod erasures;
mod error;
mod listeners;
pub mod maintenance;
mod metrics;
mod node;
mod probes;
mod server;
mod shutdown;
mod stored_runs;
mod tls;
mod ui;
mod unread;

pub use addresses::Addresses;
pub use config::{Config, Options};
pub use documentation::{ingest_document, query_document};
pub use error::{StartError, StopError};
pub use node::{Node, NodeCloseError};
pub use server::Server;
pub use shutdown::signals;
pub use tls::{TlsError, TlsFiles};
