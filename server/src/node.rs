//! The engine of one data directory: the log, and the projections that follow it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_index::{Index, IndexError, Progress, commit_channel, known_durable};
use agenttracer_ingest::IngestState;
use agenttracer_storage::disk::{Clock, Disk, RealDisk, SystemClock};
use agenttracer_storage::{Log, OpenError, SegmentedLog};
use axum::Router;
use prometheus::Registry;

use crate::stored_runs::IndexedRuns;
use crate::{Config, StartError, StopError};

/// How many committed groups may wait for the applier. It takes a group in well below the time of a sync, so that a few
/// are enough; when they are full, the log's own queue fills and requests are refused there.
const GROUPS: usize = 64;
/// How often a long replay says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// An open data directory, without listeners: what a server is made of, and what offline tools use that need runs
/// instead of records.
pub struct Node {
    pub(crate) log: Arc<SegmentedLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Node {
    /// Opens or makes the directory; returns when everything that was acknowledged is visible. Blocks, for minutes when
    /// the index is rebuilt; `progress` is told now and then how far that is.
    ///
    /// # Errors
    /// See [`StartError`]: the directory is in use or damaged, or the disk fails.
    pub fn open(config: &Config, progress: &mut dyn FnMut(Progress)) -> Result<Self, StartError> {
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
        let begun = Instant::now();
        let index = Index::open(
            disk.clone(),
            clock.clone(),
            &index_dir,
            log.clone(),
            commits,
            agenttracer_index::Options { lease: config.lease, ..agenttracer_index::Options::default() },
            progress,
        )?;
        let status = index.status();
        tracing::info!(
            runs = status.hot_runs + status.cold_docs,
            position = status.applied.get(),
            ms = begun.elapsed().as_millis() as u64,
            "the index is up to date"
        );
        Ok(Self { log, index: Arc::new(index), clock, disk })
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// The projections.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The routes of the write side, to be called in this process.
    ///
    /// # Errors
    /// Only of a mistake of ours: when two metrics have one name.
    pub fn ingest_routes(&self, config: &Config) -> Result<Router, StartError> {
        Ok(agenttracer_ingest::routes(self.ingest_state(config, None, &Registry::new())?))
    }

    /// What the write side stands on; its metrics go into `registry`.
    pub(crate) fn ingest_state(
        &self,
        config: &Config,
        warning: Option<&'static str>,
        registry: &Registry,
    ) -> Result<IngestState, StartError> {
        let runs = Arc::new(IndexedRuns { log: self.log(), index: self.index.clone() });
        let options = agenttracer_ingest::Options {
            message_words: config.message_words,
            warning,
            ..agenttracer_ingest::Options::default()
        };
        Ok(IngestState::new(self.log(), runs, self.clock.clone(), registry, options)?)
    }

    /// Writes the last checkpoint and closes the log, as a server does that has time.
    ///
    /// # Errors
    /// When one of them cannot be closed cleanly. Everything that was acknowledged is there all the same.
    pub fn close(self) -> Result<(), NodeCloseError> {
        // The index first: the log holds the lock, and nobody else may have the directory before both are done.
        self.index.close()?;
        Ok(self.log.close().map_err(StopError::from)?)
    }
}

/// Why a data directory was not closed cleanly. The next start brings it in order.
#[derive(Debug, thiserror::Error)]
pub enum NodeCloseError {
    /// The last commit of the index.
    #[error("closing the index: {0}")]
    Index(#[from] IndexError),
    /// The log.
    #[error(transparent)]
    Log(#[from] StopError),
}

/// Says now and then how far a replay is.
pub(crate) struct Reporter {
    last: Instant,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        Self { last: Instant::now() }
    }

    pub(crate) fn report(&mut self, progress: Progress) {
        if self.last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Instant::now();
        let (position, tail) = (progress.position.get(), progress.tail.get());
        tracing::info!(position, tail, runs = progress.runs, "replaying the log into the index");
    }
}
