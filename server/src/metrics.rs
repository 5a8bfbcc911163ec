//! What the engine says of itself: gauges that are read when somebody asks for the metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use agenttracer_index::{ErasureState, Index};
use agenttracer_storage::{Health, Log};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

use crate::maintenance::Done;

/// One gauge, and how it is read.
struct Reading {
    gauge: IntGauge,
    read: fn(&Engine) -> u64,
}

/// What the gauges read.
struct Engine {
    log: Arc<dyn Log>,
    index: Arc<Index>,
    done: Arc<Done>,
}

struct EngineMetrics {
    engine: Engine,
    readings: Vec<Reading>,
}

/// Name, help and source of each gauge.
type Row = (&'static str, &'static str, fn(&Engine) -> u64);

const ROWS: &[Row] = &[
    ("agenttracer_log_tail_position", "The next position of the log.", |engine| engine.log.tail().get()),
    ("agenttracer_log_durable_position", "The first position that a power loss could lose.", |engine| {
        engine.log.durable().get()
    }),
    ("agenttracer_log_writable", "1 while the log takes batches, 0 while it does not.", |engine| {
        u64::from(engine.log.health() == Health::Writable)
    }),
    ("agenttracer_log_damaged_places", "Places of the log that are known to be damaged.", |engine| {
        engine.log.damage().len() as u64
    }),
    ("agenttracer_log_lost_positions", "Positions of the log that repairs declared as lost.", |engine| {
        engine.log.lost()
    }),
    (
        "agenttracer_index_lag_positions",
        "Positions of the log that are visible but not yet in the index on disk.",
        |engine| engine.log.tail().get().saturating_sub(engine.index.status().checkpoint.get()),
    ),
    ("agenttracer_index_hot_runs", "Runs in memory that are not in the index on disk yet.", |engine| {
        engine.index.status().hot_runs
    }),
    ("agenttracer_index_hot_bytes", "About how much memory they take, in bytes.", |engine| {
        engine.index.status().hot_bytes
    }),
    ("agenttracer_index_cold_runs", "Runs in the index on disk.", |engine| engine.index.status().cold_docs),
    ("agenttracer_live_runs", "Live runs that go on.", |engine| engine.index.live_runs()),
    ("agenttracer_live_bytes", "About how much memory live runs take that are kept at hand.", |engine| {
        engine.index.status().live_bytes
    }),
    ("agenttracer_index_commits", "Commits of the index since the start.", |engine| engine.index.status().commits),
    ("agenttracer_index_failed_commits", "Commits of the index that failed and were tried again.", |engine| {
        engine.index.status().failed_commits
    }),
    ("agenttracer_maintenance_rewritings", "Times that segments were rewritten since the start.", |engine| {
        engine.done.rewritings.load(Ordering::Relaxed)
    }),
    ("agenttracer_maintenance_rewritten_bytes_before", "Bytes of the segments that were rewritten.", |engine| {
        engine.done.bytes_before.load(Ordering::Relaxed)
    }),
    ("agenttracer_maintenance_rewritten_bytes_after", "Bytes of the segments that took their place.", |engine| {
        engine.done.bytes_after.load(Ordering::Relaxed)
    }),
    ("agenttracer_maintenance_dropped_batches", "Batches that rewriting left out.", |engine| {
        engine.done.dropped_batches.load(Ordering::Relaxed)
    }),
    (
        "agenttracer_maintenance_dropped_segments",
        "Segments that were dropped by retain or max_disk since the start.",
        |engine| engine.done.dropped_segments.load(Ordering::Relaxed),
    ),
    ("agenttracer_maintenance_dropped_bytes", "Their bytes.", |engine| {
        engine.done.dropped_bytes.load(Ordering::Relaxed)
    }),
    ("agenttracer_maintenance_failed_passes", "Passes that ended early and were tried again.", |engine| {
        engine.done.failed_passes.load(Ordering::Relaxed)
    }),
    ("agenttracer_maintenance_damaged_segments", "Segments that are not compacted as they are damaged.", |engine| {
        engine.done.damaged_segments.load(Ordering::Relaxed)
    }),
    ("agenttracer_erased_runs", "Runs that were erased, and are refused when they come again.", |engine| {
        engine.index.erased().runs()
    }),
    ("agenttracer_erasures_pending", "Erasures whose runs are hidden, and not purged yet.", |engine| {
        engine.index.erased().in_state(ErasureState::Hidden).len() as u64
    }),
    ("agenttracer_disk_bytes", "Bytes of log and index at the last look.", |engine| {
        engine.done.disk_bytes.load(Ordering::Relaxed)
    }),
    ("agenttracer_index_last_commit_milliseconds", "How long the last commit of the index took.", |engine| {
        engine.index.status().last_commit_ms
    }),
];

/// Adds the engine's gauges to `registry`.
///
/// # Errors
/// When it has them already.
pub(crate) fn register(
    registry: &Registry,
    log: Arc<dyn Log>,
    index: Arc<Index>,
    done: Arc<Done>,
) -> Result<(), prometheus::Error> {
    let readings = ROWS.iter().map(|&(name, help, read)| Ok(Reading { gauge: IntGauge::new(name, help)?, read }));
    let readings = readings.collect::<Result<_, prometheus::Error>>()?;
    registry.register(Box::new(EngineMetrics { engine: Engine { log, index, done }, readings }))
}

impl Collector for EngineMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.readings.iter().flat_map(|reading| reading.gauge.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for reading in &self.readings {
            reading.gauge.set(i64::try_from((reading.read)(&self.engine)).unwrap_or(i64::MAX));
        }
        self.readings.iter().flat_map(|reading| reading.gauge.collect()).collect()
    }
}
