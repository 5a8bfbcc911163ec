//! Runs for large logs, written straight into the log: a pure function of seed and number, with the skew that real data
//! has. A few agents make most runs, versions follow each other in time, failures crowd on some versions and codes, days
//! are busier than nights, and ids and some metadata values never repeat.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_model::taxonomy::{
    DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepStatus, StepType,
};
use agenttracer_model::{Decision, Digest, Failure, Metadata, Run, Signal, Step, Timestamp, Value};
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{Log, Options, ResolveOnCommit, SegmentedLog, SubmitError, SyncMode, record};
use anyhow::{Context, bail};
use crossbeam_channel::bounded;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// How many agents there are; the first is the busiest.
pub(crate) const AGENTS: u64 = 200;
/// How many versions an agent has had by the end.
pub(crate) const VERSIONS: u64 = 12;
/// When the first run began: 2026-01-01T00:00:00Z.
const FIRST_START_MICROS: i64 = 1_767_225_600_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
const MODELS: [&str; 5] = ["claude-sonnet-4", "gpt-4o-mini", "gpt-4o", "llama-3.3-70b", "mistral-large"];
const ENVIRONMENTS: [&str; 10] = [
    "production",
    "production",
    "production",
    "production",
    "production",
    "production",
    "staging",
    "staging",
    "development",
    "canary",
];
/// The commonest first.
const CODES: [(FailureType, &str); 14] = [
    (FailureType::Tool, "timeout"),
    (FailureType::Tool, "rate_limited"),
    (FailureType::Model, "rate_limited"),
    (FailureType::Tool, "tool_error"),
    (FailureType::Retrieval, "empty_retrieval"),
    (FailureType::Model, "context_overflow"),
    (FailureType::Model, "provider_unavailable"),
    (FailureType::Orchestration, "max_iterations"),
    (FailureType::Tool, "auth_failed"),
    (FailureType::Retrieval, "low_relevance"),
    (FailureType::Model, "content_filtered"),
    (FailureType::Orchestration, "loop_detected"),
    (FailureType::Orchestration, "handoff_failed"),
    (FailureType::Tool, "permission_denied"),
];

/// The runs of one seed, spread over `days`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dataset {
    pub(crate) seed: u64,
    pub(crate) runs: u64,
    pub(crate) days: u32,
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) records: u64,
    pub(crate) payload_bytes: u64,
}

impl Dataset {
    /// `runs` runs over 30 days.
    pub(crate) fn of(runs: u64) -> Self {
        Self { seed: 7, runs, days: 30 }
    }

    /// Writes all runs into a new log in `dir`, closed as by a clean stop.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<Written> {
        let options = Options { sync: SyncMode::Interval(Duration::from_secs(1)), ..Options::default() };
        let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock::new()));
        let (log, _) = SegmentedLog::open(disk, clock, dir, options, Box::new(ResolveOnCommit))?;
        let (failed, failures) = bounded(1);
        let mut payload_bytes = 0;
        for number in 0..self.runs {
            let run = self.run(number);
            let received = run.ended_at.unwrap_or(run.started_at);
            let batch = record::encode_run(&run, received);
            payload_bytes += batch.payload.len() as u64;
            loop {
                let failed = failed.clone();
                let ticket = Box::new(move |outcome: Result<_, agenttracer_storage::AppendError>| {
                    if let Err(error) = outcome {
                        let _ = failed.try_send(error);
                    }
                });
                match log.submit(batch.clone(), ticket) {
                    Ok(()) => break,
                    Err(SubmitError::Busy) => std::thread::sleep(Duration::from_micros(200)),
                    Err(error) => bail!("run {number}: {error}"),
                }
            }
            if let Ok(error) = failures.try_recv() {
                bail!("before run {number}: {error}");
            }
        }
        log.sync().context("the last sync")?;
        let records = log.tail().get();
        log.close()?;
        Ok(Written { records, payload_bytes })
    }

    /// The run of this number; later numbers were taken in later.
    pub(crate) fn run(&self, number: u64) -> Run {
        let mut dice = SmallRng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let agent = skewed(&mut dice, AGENTS);
        let share = number as f64 / self.runs.max(1) as f64;
        let version = version(&mut dice, agent, share);
        let started_at = self.start(&mut dice, share);
        // Each agent has its ways, and some versions are worse than others.
        let bad = agent.wrapping_mul(31).wrapping_add(version * 7) % 11;
        let fails = dice.random_bool(0.02 + 0.03 * bad as f64);
        let retries = dice.random_bool(if fails { 0.5 } else { 0.08 });

        let mut steps = steps(&mut dice, agent, started_at, retries);
        let ended_at = steps.last().map_or(started_at, |step| step.ended_at);
        let mut failures = Vec::new();
        if fails {
            let (failure_type, code) = CODES[skewed(&mut dice, CODES.len() as u64) as usize];
            let at = dice.random_range(0..steps.len());
            steps[at].status = StepStatus::Failed;
            steps[at].error_code = Some(code.to_owned());
            failures.push(Failure {
                failure_id: id(&mut dice),
                step_id: Some(steps[at].step_id),
                failure_type,
                failure_code: code.to_owned(),
                message: format!("{code} after {} attempts in step {at}", dice.random_range(1..4)),
            });
        }
        let mut run = Run {
            run_id: id(&mut dice),
            agent_id: agent_name(agent),
            agent_version: version_name(version),
            environment: ENVIRONMENTS[dice.random_range(0..ENVIRONMENTS.len())].to_owned(),
            status: match fails {
                true if dice.random_bool(0.1) => RunStatus::Partial,
                true => RunStatus::Failure,
                false => RunStatus::Success,
            },
            started_at,
            ended_at: Some(ended_at),
            parent_run_id: None,
            parent_step_id: None,
            session_id: Some(format!("s-{:012x}", number / 4)),
            trace_id: Some(format!("{:032x}", dice.random::<u128>())),
            metadata: Metadata(vec![
                ("region".to_owned(), Value::String(format!("eu-{}", agent % 3))),
                ("request_key".to_owned(), Value::String(format!("rq-{:016x}", dice.random::<u64>()))),
            ]),
            decisions: decisions(&mut dice, &steps),
            quality_signals: signals(&mut dice, &steps, fails),
            steps,
            failures,
            removed_count: 0,
            digest: Digest::default(),
        };
        run.digest = Digest::of(&run);
        run
    }

    /// Runs arrive in order but for a few seconds, and by day six times as often as by night.
    fn start(&self, dice: &mut SmallRng, share: f64) -> Timestamp {
        let day = share * f64::from(self.days);
        let hour = (day.fract() * 24.0).clamp(0.0, 24.0);
        // The hours of the day, stretched so that a run in six falls into the twelve hours of the night.
        let stretched = if hour < 4.0 { hour * 3.0 } else { 12.0 + (hour - 4.0) * 0.6 };
        let micros = (day.floor() + stretched.min(24.0) / 24.0) * DAY_MICROS as f64;
        Timestamp::from_micros(FIRST_START_MICROS + micros as i64 + dice.random_range(0..8_000_000))
    }
}

/// The name of an agent.
pub(crate) fn agent_name(agent: u64) -> String {
    format!("agent-{agent:03}")
}

/// The name of a version.
pub(crate) fn version_name(version: u64) -> String {
    format!("v{}.{}.0", 1 + version / 4, version % 4)
}

/// A number below `count`, the first far more often than the last: about as 1/n.
fn skewed(dice: &mut SmallRng, count: u64) -> u64 {
    let at = (count as f64).powf(dice.random::<f64>()) - 1.0;
    (at as u64).min(count - 1)
}

/// New versions come one after the other; a fifth of the runs are still on the one before.
fn version(dice: &mut SmallRng, agent: u64, share: f64) -> u64 {
    let phase = (agent % 7) as f64 / 70.0;
    let newest = ((share + phase) * VERSIONS as f64) as u64;
    newest.saturating_sub(u64::from(dice.random_bool(0.2))).min(VERSIONS - 1)
}

fn steps(dice: &mut SmallRng, agent: u64, started_at: Timestamp, retries: bool) -> Vec<Step> {
    let mut plan = vec![(StepType::Plan, "analyze_query".to_owned())];
    for _ in 0..dice.random_range(1..3) {
        plan.push((StepType::Retrieve, "search_knowledge_base".to_owned()));
    }
    for _ in 0..dice.random_range(2..5) {
        plan.push((StepType::Tool, format!("tool_{:02}", (agent * 3 + skewed(dice, 8)) % 64)));
    }
    if retries {
        // The same tool once more, after it failed.
        let last = plan[plan.len() - 1].clone();
        plan.push(last);
    }
    plan.push((StepType::Other, "check_policy".to_owned()));
    plan.push((StepType::Respond, "draft_answer".to_owned()));
    let first_try = plan.len() - 4;
    let mut clock = started_at.as_micros();
    let steps = plan.into_iter().zip(0_u32..).map(|((step_type, name), seq)| {
        // Most are quick, a few take very long.
        let latency_ms = (20.0 * (200_f64).powf(dice.random::<f64>().powi(2))) as u64;
        let begun = clock + dice.random_range(0..5_000);
        clock = begun + latency_ms as i64 * 1000;
        Step {
            step_id: id(dice),
            seq,
            step_type,
            name,
            latency_ms,
            started_at: Timestamp::from_micros(begun),
            ended_at: Timestamp::from_micros(clock),
            status: if retries && seq as usize == first_try { StepStatus::Failed } else { StepStatus::Ok },
            error_code: None,
            parent_step_id: None,
            attempt: None,
            retry_of: None,
            metadata: Metadata(vec![
                ("model".to_owned(), Value::String(MODELS[skewed(dice, 5) as usize].to_owned())),
                ("input_tokens".to_owned(), Value::Uint(dice.random_range(100..4000))),
                ("output_tokens".to_owned(), Value::Uint(dice.random_range(10..900))),
                ("cache_key".to_owned(), Value::String(format!("k-{:08x}", dice.random::<u32>()))),
            ]),
        }
    });
    steps.collect()
}

fn decisions(dice: &mut SmallRng, steps: &[Step]) -> Vec<Decision> {
    let kinds = [DecisionType::ToolSelection, DecisionType::RetrievalStrategy];
    let decision = |(kind, step): (DecisionType, &Step)| {
        let codes: Vec<_> = ReasonCode::of(kind).collect();
        let code = codes[skewed(dice, codes.len() as u64) as usize];
        Decision {
            decision_id: id(dice),
            step_id: Some(step.step_id),
            reason: ReasonCode::parse(kind, code).expect("a code of its kind"),
            selected: format!("option_{}", skewed(dice, 6)),
            candidates: (0..3).map(|option| format!("option_{option}")).collect(),
            confidence: Some(f64::from(dice.random_range(0..100_u32)) / 100.0),
            metadata: Metadata::default(),
        }
    };
    kinds.into_iter().zip(steps).map(decision).collect()
}

fn signals(dice: &mut SmallRng, steps: &[Step], fails: bool) -> Vec<Signal> {
    let kinds = [
        (SignalType::SchemaValid, if fails { "validation_failed" } else { "full_match" }),
        (SignalType::EmptyRetrieval, "no_results"),
        (SignalType::TokenUsage, "moderate_usage"),
    ];
    let signal = |((kind, code), step): ((SignalType, &str), &Step)| Signal {
        signal_id: id(dice),
        step_id: Some(step.step_id),
        code: SignalCode::parse(kind, code).expect("a code of its kind"),
        value: kind != SignalType::EmptyRetrieval || dice.random_bool(0.05),
        weight: dice.random_bool(0.3).then_some(0.5),
        metadata: Metadata::default(),
    };
    kinds.into_iter().zip(steps).map(signal).collect()
}

fn id(dice: &mut SmallRng) -> Uuid {
    uuid::Builder::from_random_bytes(dice.random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn runs_are_pure_valid_and_skewed() {
        let data = Dataset { seed: 7, runs: 5000, days: 30 };
        assert_eq!(data.run(17), data.run(17));
        let mut by_agent: HashMap<String, u64> = HashMap::new();
        let mut ids = std::collections::HashSet::new();
        let mut failed = 0;
        let mut newest = Timestamp::from_micros(0);
        for number in 0..data.runs {
            let run = data.run(number);
            assert!(run.steps.iter().zip(0..).all(|(step, seq)| step.seq == seq));
            assert!(run.ended_at >= Some(run.started_at));
            // In order but for a few seconds.
            assert!(run.started_at.as_micros() > newest.as_micros() - 10_000_000);
            newest = newest.max(run.started_at);
            assert!(ids.insert(run.run_id));
            failed += u64::from(!run.failures.is_empty());
            *by_agent.entry(run.agent_id).or_default() += 1;
        }
        let busiest = by_agent[&agent_name(0)];
        assert!(busiest > data.runs / 12, "the busiest agent has {busiest} of {}", data.runs);
        assert!(by_agent.len() > 150, "{} agents", by_agent.len());
        assert!((data.runs / 20..data.runs / 3).contains(&failed), "{failed} failures");
    }
}
