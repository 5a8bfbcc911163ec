//! What is read of a server's answers to show them to people. `--json` shows the answers as they are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::client::{Client, ClientError};
use crate::paint::Ink;
use crate::table::Cell;

/// Reads an answer.
pub(crate) fn read<T: DeserializeOwned>(client: &Client, body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body)
        .map_err(|_| ClientError::Unavailable(format!("{} gave an answer that is none", client.base())).into())
}

/// A run in a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) run_id: String,
    pub(crate) agent_id: String,
    pub(crate) agent_version: String,
    pub(crate) environment: String,
    pub(crate) status: String,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) step_count: u64,
    pub(crate) retry_count: u64,
    #[serde(default)]
    pub(crate) attention_count: u64,
    #[serde(default)]
    pub(crate) failures: Vec<FailureName>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FailureName {
    pub(crate) failure_type: String,
    pub(crate) failure_code: String,
}

/// The status as a mark that can be told without colours.
pub(crate) fn mark(status: &str) -> (&'static str, Ink) {
    match status {
        "success" => ("✓", Ink::Green),
        "failure" => ("✗", Ink::Red),
        "partial" => ("◐", Ink::Yellow),
        _ => ("▸", Ink::Cyan),
    }
}

impl Summary {
    /// How it stands, and why: `✗ tool/timeout`.
    pub(crate) fn outcome(&self) -> Cell {
        let (mark, ink) = mark(&self.status);
        let cell = match self.failures.first() {
            // A failure that a run recovered from is no outcome of it.
            Some(failure) if self.status != "success" => {
                let further =
                    if self.failures.len() > 1 { format!(" +{}", self.failures.len() - 1) } else { String::new() };
                format!("{mark} {}/{}{further}", failure.failure_type, failure.failure_code)
            }
            _ => format!("{mark} {}", self.status),
        };
        Cell::new(cell).ink(ink)
    }
}

/// A run with everything in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) run_id: String,
    pub(crate) agent_id: String,
    pub(crate) agent_version: String,
    pub(crate) environment: String,
    pub(crate) status: String,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) parent_run_id: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) trace_id: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    #[serde(default)]
    pub(crate) removed_count: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) quality_signals: Vec<Signal>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) step_id: String,
    pub(crate) seq: u64,
    pub(crate) step_type: String,
    pub(crate) name: String,
    pub(crate) latency_ms: u64,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) ended_at: DateTime<Utc>,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    #[serde(default)]
    pub(crate) status: String,
    pub(crate) error_code: Option<String>,
    pub(crate) parent_step_id: Option<String>,
    #[serde(default)]
    pub(crate) attempt: u64,
    #[serde(default)]
    pub(crate) attempts_total: u64,
}

impl Step {
    pub(crate) fn has_failed(&self) -> bool {
        self.status == "failed"
    }

    pub(crate) fn is_retried(&self) -> bool {
        self.attempts_total > 1
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) step_id: Option<String>,
    pub(crate) failure_type: String,
    pub(crate) failure_code: String,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Decision {
    pub(crate) step_id: Option<String>,
    pub(crate) decision_type: String,
    pub(crate) selected: String,
    pub(crate) reason_code: String,
    pub(crate) confidence: Option<f64>,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Signal {
    pub(crate) step_id: Option<String>,
    pub(crate) signal_type: String,
    pub(crate) signal_code: String,
    pub(crate) value: bool,
    pub(crate) weight: Option<f64>,
    #[serde(default)]
    pub(crate) tone: String,
}

/// Where the time of a run went.
#[derive(Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) idle: Idle,
    pub(crate) overlap_ms: u64,
    pub(crate) retries: Retries,
    pub(crate) critical_path: CriticalPath,
    pub(crate) by_step_type: Vec<StepTypeTime>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Idle {
    pub(crate) before_first_step_ms: u64,
    pub(crate) between_steps_ms: u64,
    pub(crate) after_last_step_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Retries {
    pub(crate) operations: u64,
    pub(crate) attempts: u64,
    pub(crate) waste_ms: u64,
    pub(crate) backoff_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CriticalPath {
    pub(crate) steps_ms: u64,
    pub(crate) steps: Vec<PathStep>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PathStep {
    pub(crate) name: String,
    pub(crate) length_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StepTypeTime {
    pub(crate) step_type: String,
    pub(crate) steps: u64,
    pub(crate) retries: u64,
    pub(crate) latency_ms: u64,
    pub(crate) share: f64,
}

/// The statistics of runs.
#[derive(Debug, Deserialize)]
pub(crate) struct Stats {
    pub(crate) total_runs: u64,
    pub(crate) total_failures: u64,
    pub(crate) success_rate: f64,
    pub(crate) avg_latency_ms: f64,
    pub(crate) failure_breakdown: BTreeMap<String, u64>,
    pub(crate) step_type_breakdown: Map<String, Value>,
}

/// Runs over time.
#[derive(Debug, Deserialize)]
pub(crate) struct Timeseries {
    pub(crate) interval: Option<String>,
    pub(crate) total: Option<Numbers>,
    pub(crate) buckets: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) duration_ms: Percentiles,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    pub(crate) runs: u64,
    pub(crate) failures: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: Option<u64>,
    pub(crate) p95: Option<u64>,
    pub(crate) p99: Option<u64>,
}

/// Failures that came about in the same way.
#[derive(Debug, Deserialize)]
pub(crate) struct Failures {
    pub(crate) total_runs: u64,
    pub(crate) runs_with_failure: u64,
    pub(crate) total_clusters: u64,
    pub(crate) clusters: Vec<Cluster>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) cluster: String,
    pub(crate) runs: u64,
    pub(crate) share: f64,
    pub(crate) first_seen: DateTime<Utc>,
    pub(crate) last_seen: DateTime<Utc>,
    pub(crate) versions: Vec<VersionCount>,
    pub(crate) examples: Vec<String>,
    pub(crate) cause: Option<Cause>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VersionCount {
    pub(crate) agent_version: String,
    pub(crate) runs: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cause {
    pub(crate) agent_id: String,
    pub(crate) failure_type: Option<String>,
    pub(crate) failure_code: Option<String>,
    pub(crate) step: Option<StepName>,
    pub(crate) path: Vec<StepName>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StepName {
    pub(crate) name: String,
}

/// Records that a follower was not shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Missed {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) reason: String,
}
