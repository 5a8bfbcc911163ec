//! What the engine and its agents' runs say of themselves, read when somebody asks for the metrics.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agenttracer_index::{Erased, ErasureState, Index, IndexStatus, Outcomes};
use agenttracer_storage::{BucketCounts, Health, Log};
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::maintenance::Done;

use MetricType::{COUNTER, GAUGE, HISTOGRAM};

/// What is read of the engine when somebody asks: one moment of each of its parts.
struct Moment<'a> {
    log: &'a dyn Log,
    index: IndexStatus,
    erased: Arc<Erased>,
    done: &'a Done,
    /// Bytes that the file system of the data directory has left.
    free_bytes: Option<u64>,
}

struct EngineMetrics {
    log: Arc<dyn Log>,
    index: Arc<Index>,
    done: Arc<Done>,
    data_dir: PathBuf,
    descs: Vec<Desc>,
}

/// A metric without labels: name, type, help and source.
type Row = (&'static str, MetricType, &'static str, fn(&Moment) -> f64);

const ROWS: &[Row] = &[
    ("agenttracer_log_tail_position", GAUGE, "The next position of the log.", |moment| moment.log.tail().get() as f64),
    ("agenttracer_log_durable_position", GAUGE, "The first position that a power loss could lose.", |moment| {
        moment.log.durable().get() as f64
    }),
    ("agenttracer_log_writable", GAUGE, "1 while the log takes batches, 0 while it does not.", |moment| {
        f64::from(u8::from(moment.log.health() == Health::Writable))
    }),
    ("agenttracer_log_damaged_places", GAUGE, "Places of the log that are known to be damaged.", |moment| {
        moment.log.damage().len() as f64
    }),
    ("agenttracer_log_lost_positions", GAUGE, "Positions of the log that repairs declared as lost.", |moment| {
        moment.log.lost() as f64
    }),
    (
        "agenttracer_applier_lag_positions",
        GAUGE,
        "Positions that are in the log and not applied yet: queries do not see them, and requests wait for them.",
        |moment| moment.log.tail().get().saturating_sub(moment.index.applied.get()) as f64,
    ),
    (
        "agenttracer_index_lag_positions",
        GAUGE,
        "Positions of the log that are visible but not yet in the index on disk.",
        |moment| moment.log.tail().get().saturating_sub(moment.index.checkpoint.get()) as f64,
    ),
    (
        "agenttracer_index_lag_seconds",
        GAUGE,
        "Since how long something is visible that is not yet in the index on disk.",
        |moment| moment.index.behind_ms as f64 / 1e3,
    ),
    ("agenttracer_index_hot_runs", GAUGE, "Runs in memory that are not in the index on disk yet.", |moment| {
        moment.index.hot_runs as f64
    }),
    ("agenttracer_index_hot_bytes", GAUGE, "About how much memory they take.", |moment| moment.index.hot_bytes as f64),
    ("agenttracer_index_cold_runs", GAUGE, "Runs in the index on disk.", |moment| moment.index.cold_docs as f64),
    ("agenttracer_index_segments", GAUGE, "Segments of the index on disk.", |moment| moment.index.segments as f64),
    ("agenttracer_index_merges_total", COUNTER, "Merges of segments of the index that were begun.", |moment| {
        moment.index.merges as f64
    }),
    ("agenttracer_index_commits_total", COUNTER, "Commits of the index.", |moment| moment.index.commits as f64),
    (
        "agenttracer_index_failed_commits_total",
        COUNTER,
        "Commits of the index that failed and were tried again.",
        |moment| moment.index.failed_commits as f64,
    ),
    ("agenttracer_live_runs", GAUGE, "Live runs that go on.", |moment| moment.index.live_runs as f64),
    ("agenttracer_live_bytes", GAUGE, "About how much memory live runs take that are kept at hand.", |moment| {
        moment.index.live_bytes as f64
    }),
    ("agenttracer_maintenance_rewritings_total", COUNTER, "Times that segments were rewritten.", |moment| {
        count(&moment.done.rewritings)
    }),
    (
        "agenttracer_maintenance_rewritten_bytes_before_total",
        COUNTER,
        "Bytes of the segments that were rewritten.",
        |moment| count(&moment.done.bytes_before),
    ),
    (
        "agenttracer_maintenance_rewritten_bytes_after_total",
        COUNTER,
        "Bytes of the segments that took their place.",
        |moment| count(&moment.done.bytes_after),
    ),
    ("agenttracer_maintenance_dropped_batches_total", COUNTER, "Batches that rewriting left out.", |moment| {
        count(&moment.done.dropped_batches)
    }),
    (
        "agenttracer_maintenance_dropped_segments_total",
        COUNTER,
        "Segments that were dropped by retain or max_disk.",
        |moment| count(&moment.done.dropped_segments),
    ),
    ("agenttracer_maintenance_dropped_bytes_total", COUNTER, "Their bytes.", |moment| {
        count(&moment.done.dropped_bytes)
    }),
    (
        "agenttracer_maintenance_failed_passes_total",
        COUNTER,
        "Passes that ended early and were tried again.",
        |moment| count(&moment.done.failed_passes),
    ),
    (
        "agenttracer_maintenance_damaged_segments",
        GAUGE,
        "Segments that are not compacted as they are damaged.",
        |moment| count(&moment.done.damaged_segments),
    ),
    ("agenttracer_erased_runs", GAUGE, "Runs that were erased, and are refused when they come again.", |moment| {
        moment.erased.runs() as f64
    }),
    ("agenttracer_erasures_pending", GAUGE, "Erasures whose runs are hidden, and not purged yet.", |moment| {
        moment.erased.in_state(ErasureState::Hidden).len() as f64
    }),
    ("agenttracer_disk_free_bytes", GAUGE, "What the file system of the data directory has left.", |moment| {
        moment.free_bytes.map_or(f64::NAN, |bytes| bytes as f64)
    }),
    ("agenttracer_memory_anon_bytes", GAUGE, "Memory of the process that no file stands behind (RssAnon).", |_| {
        anon_bytes().map_or(f64::NAN, |bytes| bytes as f64)
    }),
];

/// What has labels or buckets: name and help.
const DISK: (&str, &str) = ("agenttracer_disk_bytes", "Bytes of the files of log and index at the last look, by kind.");
const BUILD: (&str, &str) = ("agenttracer_build_info", "1; the label is the version of the program.");
const RUNS: (&str, &str) = (
    "agenttracer_runs_total",
    "Runs that ended since the start, by agent, version, environment and status; beyond 2,000 series `other`.",
);
const FAILURES: (&str, &str) = (
    "agenttracer_failures_total",
    "Failures of runs that ended since the start, by agent, version, environment, type and code; beyond 2,000 series `other`.",
);
const GROUP_BATCHES: (&str, &str) =
    ("agenttracer_log_group_batches", "How many batches were written, and in mode always synced, together.");
const GROUP_BYTES: (&str, &str) =
    ("agenttracer_log_group_bytes", "How many bytes of records were written, and in mode always synced, together.");
const SYNC: (&str, &str) = ("agenttracer_log_sync_seconds", "How long an fdatasync of the log took.");
const COMMIT: (&str, &str) = ("agenttracer_index_commit_seconds", "How long a commit of the index took.");

const SOURCE: [&str; 3] = ["agent", "version", "environment"];

/// Adds what the engine says of itself to `registry`.
///
/// # Errors
/// When it has it already.
pub(crate) fn register(
    registry: &Registry,
    log: Arc<dyn Log>,
    index: Arc<Index>,
    done: Arc<Done>,
    data_dir: &Path,
) -> Result<(), prometheus::Error> {
    let desc = |name: &str, help: &str, labels: &[&str]| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
    };
    let [agent, version, environment] = SOURCE;
    let labelled = [
        (DISK, vec!["kind"]),
        (BUILD, vec!["version"]),
        (RUNS, vec![agent, version, environment, "status"]),
        (FAILURES, vec![agent, version, environment, "type", "code"]),
        (GROUP_BATCHES, vec![]),
        (GROUP_BYTES, vec![]),
        (SYNC, vec![]),
        (COMMIT, vec![]),
    ];
    let plain = ROWS.iter().map(|(name, _, help, _)| desc(name, help, &[]));
    let labelled = labelled.iter().map(|((name, help), labels)| desc(name, help, labels));
    let descs = plain.chain(labelled).collect::<Result<_, _>>()?;
    registry.register(Box::new(EngineMetrics { log, index, done, data_dir: data_dir.to_owned(), descs }))
}

impl Collector for EngineMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let moment = Moment {
            log: &*self.log,
            index: self.index.status(),
            erased: self.index.erased(),
            done: &self.done,
            free_bytes: rustix::fs::statvfs(&self.data_dir)
                .ok()
                .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        };
        let plain =
            |&(name, kind, help, read): &Row| family((name, help), kind, vec![sample(kind, read(&moment), &[])]);
        let mut families: Vec<_> = ROWS.iter().map(plain).collect();
        let (total, prepared, index) = (&self.done.disk_bytes, &self.done.prepared_bytes, &self.done.index_bytes);
        let (total, prepared, index) = (count(total), count(prepared), count(index));
        let kinds = [("log", (total - prepared - index).max(0.0)), ("prepared", prepared), ("index", index)];
        let disk = kinds.map(|(kind, bytes)| sample(GAUGE, bytes, &[("kind", kind)]));
        families.push(family(DISK, GAUGE, disk.into()));
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        families.push(family(BUILD, GAUGE, vec![sample(GAUGE, 1.0, &version)]));
        families.extend(outcomes(self.index.outcomes()));
        if let Some(groups) = self.log.groups() {
            families.push(histogram(GROUP_BATCHES, &groups.batches.read(), 1.0));
            families.push(histogram(GROUP_BYTES, &groups.bytes.read(), 1.0));
            families.push(histogram(SYNC, &groups.sync_micros.read(), 1e6));
        }
        families.push(histogram(COMMIT, &self.index.commit_ms(), 1e3));
        families
    }
}

/// How the runs of the agents ended.
fn outcomes(outcomes: &Outcomes) -> [MetricFamily; 2] {
    let [agent, version, environment] = SOURCE;
    let runs = outcomes.runs().into_iter().map(|((source, status), count)| {
        let labels = [
            (agent, &*source.agent_id),
            (version, &*source.agent_version),
            (environment, &*source.environment),
            ("status", status.as_str()),
        ];
        sample(COUNTER, count as f64, &labels)
    });
    let failures = outcomes.failures().into_iter().map(|((source, failure_type, code), count)| {
        let labels = [
            (agent, &*source.agent_id),
            (version, &*source.agent_version),
            (environment, &*source.environment),
            ("type", failure_type.as_str()),
            ("code", &*code),
        ];
        sample(COUNTER, count as f64, &labels)
    });
    [family(RUNS, COUNTER, runs.collect()), family(FAILURES, COUNTER, failures.collect())]
}

fn family((name, help): (&str, &str), kind: MetricType, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

fn sample(kind: MetricType, value: f64, labels: &[(&str, &str)]) -> Metric {
    let label = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    let mut metric = Metric::from_label(labels.iter().map(label).collect());
    if kind == COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// `counts` as a histogram whose unit is `per_unit` times theirs.
fn histogram(about: (&str, &str), counts: &BucketCounts, per_unit: f64) -> MetricFamily {
    let bucket = |&(bound, count): &(u64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / per_unit);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(counts.at_most.iter().map(bucket).collect());
    histogram.set_sample_count(counts.count);
    histogram.set_sample_sum(counts.sum as f64 / per_unit);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(about, HISTOGRAM, vec![metric])
}

fn count(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// What Linux counts as `RssAnon`, in bytes.
fn anon_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
