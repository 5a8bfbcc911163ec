//! The engine without threads: what `server` puts together, driven step by step.

use std::path::Path;
use std::sync::Arc;

use agenttracer_index::{Index, IndexError, commit_channel, known_durable};
use agenttracer_storage::disk::{Disk, SimClock, SimDisk};
use agenttracer_storage::{Damage, OpenError, Options, Recovery, SegmentedLog};

pub(crate) const DIR: &str = "/data";
pub(crate) const INDEX: &str = "/data/index";

/// More groups than a log commits before somebody applies them: a full channel would wait for ever.
const GROUPS: usize = 1 << 16;

/// An open data directory.
pub(crate) struct Engine {
    pub(crate) log: Arc<SegmentedLog>,
    pub(crate) index: Index,
    pub(crate) recovery: Recovery,
}

/// Why a data directory does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The log is damaged, and says where.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// The disk failed.
    #[error("{0}")]
    Io(String),
    /// What must not happen, whatever the disk does.
    #[error("what must not happen: {0}")]
    Fault(String),
}

impl Engine {
    /// Opens it as `server::node` does.
    pub(crate) fn open(
        disk: &SimDisk,
        clock: &SimClock,
        log: &Options,
        index: &agenttracer_index::Options,
    ) -> Result<Self, Refusal> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let known = known_durable(&disk, Path::new(INDEX)).map_err(index_refusal)?;
        let (follower, commits) = commit_channel(GROUPS);
        let log_options = Options { known_durable: known, ..log.clone() };
        let clock = Arc::new(clock.clone());
        let (log, recovery) =
            SegmentedLog::open_stepped(disk.clone(), clock.clone(), Path::new(DIR), log_options, Box::new(follower))
                .map_err(|error| match error {
                    OpenError::Damaged(damage) => Refusal::Damaged(damage),
                    OpenError::Io { .. } => Refusal::Io(error.to_string()),
                    _ => Refusal::Fault(error.to_string()),
                })?;
        let index = Index::open_stepped(disk, clock, Path::new(INDEX), log.clone(), commits, index.clone())
            .map_err(index_refusal)?;
        Ok(Self { log, index, recovery })
    }

    /// Lets everything that was committed become visible.
    pub(crate) fn apply_all(&self) {
        while self.index.apply_step() {}
    }
}

fn index_refusal(error: IndexError) -> Refusal {
    match error {
        IndexError::AheadOfLog { .. } | IndexError::Document(_) | IndexError::Stopped(_) => {
            Refusal::Fault(error.to_string())
        }
        _ => Refusal::Io(error.to_string()),
    }
}
