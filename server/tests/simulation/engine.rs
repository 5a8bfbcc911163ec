//! The engine without threads: what `server` puts together, driven step by step.

use std::path::Path;
use std::sync::{Arc, mpsc};

use agenttracer_erasure::{Eraser, Purger};
use agenttracer_index::{Index, IndexError, commit_channel, known_durable};
use agenttracer_storage::disk::{Disk, SimClock, SimDisk};
use agenttracer_storage::{AppendError, Damage, Log, OpenError, Options, Recovery, SegmentedLog};

pub(crate) const DIR: &str = "/data";
pub(crate) const INDEX: &str = "/data/index";

/// More groups than a log commits before somebody applies them: a full channel would wait for ever.
const GROUPS: usize = 1 << 16;

/// So many steps a batch of an erasure gets until it must be answered; more than a queue of batches needs.
const STEPS: usize = 200;

/// An open data directory.
pub(crate) struct Engine {
    pub(crate) log: Arc<SegmentedLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) eraser: Arc<Eraser>,
    pub(crate) purger: Purger,
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
        let index =
            Index::open_stepped(disk.clone(), clock.clone(), Path::new(INDEX), log.clone(), commits, index.clone())
                .map_err(index_refusal)?;
        let index = Arc::new(index);
        let (append_log, append_index) = (log.clone(), index.clone());
        let append = Box::new(move |batch| {
            let (answer, answered) = mpsc::channel();
            append_log.submit(batch, Box::new(move |outcome| drop(answer.send(outcome))))?;
            for _ in 0..STEPS {
                append_log.step();
                while append_index.apply_step() {}
                if let Ok(outcome) = answered.try_recv() {
                    return Ok(outcome?);
                }
            }
            Err(AppendError::Failed("it was not answered".to_owned()).into())
        });
        // So few at a time that an erasure of some runs is planned, and takes several batches.
        let options =
            agenttracer_erasure::Options { batch_runs: 2, batch_positions: 3, plan_runs: 2, ..Default::default() };
        let eraser = Eraser::new(log.clone(), index.clone(), clock, append, options, Box::new(|| {}));
        let eraser = Arc::new(eraser);
        let purger = Purger::new(eraser.clone(), log.clone(), disk, Path::new(DIR));
        Ok(Self { log, index, eraser, purger, recovery })
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
