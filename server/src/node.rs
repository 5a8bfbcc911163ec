//! The engine of one data directory: the log, and the projections that follow it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_index::{Index, Progress, commit_channel, known_durable};
use agenttracer_storage::disk::{Clock, Disk, RealDisk, SystemClock};
use agenttracer_storage::{OpenError, SegmentedLog};

use crate::{Config, StartError};

/// How many committed groups may wait for the applier. It takes a group in well below the time of a sync, so that a few
/// are enough; when they are full, the log's own queue fills and requests are refused there.
const GROUPS: usize = 64;
/// How often a long replay says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// An open data directory.
pub(crate) struct Node {
    pub(crate) log: Arc<SegmentedLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Node {
    /// Opens or makes the directory; returns when everything that was acknowledged is visible. Blocks, for minutes when
    /// the index is rebuilt.
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let dir = config.data_dir.as_path();
        disk.create_dir_all(dir).map_err(|source| OpenError::Io { file: dir.to_owned(), source })?;
        let index_dir = dir.join("index");
        let options = agenttracer_storage::Options {
            sync: config.sync,
            segment_bytes: config.segment_bytes,
            known_durable: known_durable(&disk, &index_dir)?,
            ..agenttracer_storage::Options::default()
        };
        let (follower, commits) = commit_channel(GROUPS);
        let (log, _) = SegmentedLog::open(disk.clone(), clock.clone(), dir, options, Box::new(follower))?;
        let mut reporter = Reporter::new();
        let index = Index::open(
            disk.clone(),
            clock.clone(),
            &index_dir,
            log.clone(),
            commits,
            agenttracer_index::Options { lease: config.lease, ..agenttracer_index::Options::default() },
            &mut |progress| reporter.report(progress),
        )?;
        let status = index.status();
        tracing::info!(
            runs = status.hot_runs + status.cold_docs,
            position = status.applied.get(),
            ms = reporter.begun.elapsed().as_millis() as u64,
            "the index is up to date"
        );
        Ok(Self { log, index: Arc::new(index), clock, disk })
    }
}

/// Says now and then how far a replay is.
struct Reporter {
    begun: Instant,
    last: Instant,
}

impl Reporter {
    fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now }
    }

    fn report(&mut self, progress: Progress) {
        if self.last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Instant::now();
        let (position, tail) = (progress.position.get(), progress.tail.get());
        tracing::info!(position, tail, runs = progress.runs, "replaying the log into the index");
    }
}
