//! Realistic runs from a seed, for tests and benches: the same seed gives the same run for ever.
//!
//! A run is about 3.7 kB of JSON: eight steps, two decisions, three quality signals; every eighth fails, every sixth
//! holds a retry. Runs of greater seeds began later, on average one second a seed.

use uuid::Uuid;

use crate::taxonomy::{DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepStatus, StepType};
use crate::{Decision, Digest, Failure, Metadata, Run, Signal, Step, Timestamp, Value};

/// The agents whose runs these are.
pub const AGENTS: [&str; 6] =
    ["support-agent", "billing-agent", "research-agent", "triage-agent", "onboarding-agent", "report-agent"];
/// Their versions.
pub const VERSIONS: [&str; 4] = ["v1.3.2", "v1.4.0", "v1.4.1", "v2.0.0-rc1"];
/// Where they run.
pub const ENVIRONMENTS: [&str; 3] = ["production", "staging", "dev"];
/// When the run of seed 0 began: 2026-01-01T00:00:00Z.
pub const FIRST_START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

const MODELS: [&str; 3] = ["gpt-4o-mini", "claude-sonnet-4", "llama-3.3-70b"];
const TOOLS: [&str; 6] = ["billing_api", "crm_lookup", "order_status", "refund_policy", "send_ticket", "geo_lookup"];
const CODES: [(FailureType, &str, &str); 6] = [
    (FailureType::Tool, "timeout", "External API timeout after 30s"),
    (FailureType::Tool, "rate_limited", "Upstream answered 429 twice"),
    (FailureType::Model, "context_overflow", "Context window exceeded by 812 units"),
    (FailureType::Model, "provider_unavailable", "Provider answered 503"),
    (FailureType::Retrieval, "empty_retrieval", "No document above the score threshold"),
    (FailureType::Orchestration, "max_iterations", "Gave up after 12 iterations"),
];

/// The run of this seed.
///
/// Its digest is made of the seed, not of the content: two seeds never have the same one.
pub fn run(seed: u64) -> Run {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D);
    let run_id = dice.uuid();
    let jitter = dice.below(2_000_000) as i64;
    let started_at = after(FIRST_START, i64::try_from(seed % (1 << 40)).unwrap_or(0) * 1_000_000 + jitter);
    let fails = dice.one_in(8);
    let retries = fails && dice.one_in(2) || dice.one_in(8);

    let mut plan = vec![
        (StepType::Plan, "analyze_query"),
        (StepType::Retrieve, "search_kb"),
        (StepType::Retrieve, "rerank"),
        (StepType::Tool, dice.pick(&TOOLS)),
        (StepType::Tool, dice.pick(&TOOLS)),
        (StepType::Other, "check_policy"),
        (StepType::Respond, "draft_answer"),
        (StepType::Respond, "finalize"),
    ];
    if retries {
        plan[5] = plan[4];
    }
    let mut clock = started_at;
    let mut steps: Vec<Step> = Vec::with_capacity(plan.len());
    for (seq, (step_type, name)) in plan.into_iter().enumerate() {
        let latency_ms = 5 + dice.below(40) * dice.below(60);
        let begun = after(clock, 200 + dice.below(3000) as i64);
        clock = after(begun, latency_ms as i64 * 1000 + dice.below(1000) as i64);
        let first_try = retries && seq == 4;
        steps.push(Step {
            step_id: dice.uuid(),
            seq: seq as u32,
            step_type,
            name: name.to_owned(),
            latency_ms,
            started_at: begun,
            ended_at: clock,
            status: if first_try { StepStatus::Failed } else { StepStatus::Ok },
            error_code: first_try.then(|| "timeout".to_owned()),
            parent_step_id: None,
            attempt: None,
            retry_of: None,
            metadata: step_metadata(step_type, first_try, &mut dice),
        });
    }
    let failed_step = 1 + dice.below(steps.len() as u64 - 1) as usize;
    let mut failures = Vec::new();
    if fails {
        let (failure_type, code, message) = CODES[dice.below(CODES.len() as u64) as usize];
        steps[failed_step].status = StepStatus::Failed;
        steps[failed_step].error_code = Some(code.to_owned());
        failures.push(Failure {
            failure_id: dice.uuid(),
            step_id: Some(steps[failed_step].step_id),
            failure_type,
            failure_code: code.to_owned(),
            message: message.to_owned(),
        });
    }
    let (decisions, quality_signals) = observations(&steps, fails, retries, &mut dice);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&seed.to_be_bytes());
    digest[8..24].copy_from_slice(run_id.as_bytes());
    Run {
        run_id,
        agent_id: dice.pick(&AGENTS).to_owned(),
        agent_version: dice.pick(&VERSIONS).to_owned(),
        environment: if dice.one_in(4) { dice.pick(&ENVIRONMENTS) } else { ENVIRONMENTS[0] }.to_owned(),
        status: match (fails, dice.one_in(12)) {
            (true, _) => RunStatus::Failure,
            (false, true) => RunStatus::Partial,
            (false, false) => RunStatus::Success,
        },
        started_at,
        ended_at: Some(after(clock, 500)),
        parent_run_id: None,
        parent_step_id: None,
        session_id: dice.one_in(3).then(|| format!("session-{}", seed / 4)),
        trace_id: dice.one_in(4).then(|| dice.uuid().simple().to_string()),
        metadata: Metadata::default(),
        steps,
        failures,
        decisions,
        quality_signals,
        removed_count: 0,
        digest: Digest(digest),
    }
}

fn step_metadata(step_type: StepType, failed: bool, dice: &mut Dice) -> Metadata {
    let entry = |key: &str, value| (key.to_owned(), value);
    Metadata(match step_type {
        StepType::Retrieve => vec![
            entry("result_count", Value::Uint(dice.below(20))),
            entry("index", Value::String("kb-2026-01".to_owned())),
            entry("score", Value::Float(dice.below(1000) as f64 / 1000.0)),
        ],
        StepType::Tool => vec![
            entry("http_status", Value::Uint(if failed { 504 } else { 200 })),
            entry("endpoint", Value::String("/v2/lookup".to_owned())),
            entry("cached", Value::Bool(dice.one_in(5))),
        ],
        StepType::Plan | StepType::Respond | StepType::Other => vec![
            entry("model", Value::String(dice.pick(&MODELS).to_owned())),
            entry("input_tokens", Value::Uint(200 + dice.below(4000))),
            entry("output_tokens", Value::Uint(20 + dice.below(800))),
            entry("cost_usd", Value::Float(dice.below(100_000) as f64 / 1e6)),
        ],
    })
}

fn observations(steps: &[Step], fails: bool, retries: bool, dice: &mut Dice) -> (Vec<Decision>, Vec<Signal>) {
    let mut decision = |step: &Step, decision_type, code: &str, selected: &str, other: &str| Decision {
        decision_id: dice.uuid(),
        step_id: Some(step.step_id),
        reason: ReasonCode::parse(decision_type, code).expect("a row of the taxonomy"),
        selected: selected.to_owned(),
        candidates: vec![selected.to_owned(), other.to_owned()],
        confidence: Some(dice.below(100) as f64 / 100.0),
        metadata: Metadata::default(),
    };
    let decisions = vec![
        decision(&steps[1], DecisionType::RetrievalStrategy, "hybrid_approach_needed", "hybrid", "keyword"),
        decision(&steps[3], DecisionType::ToolSelection, "fresh_data_required", &steps[3].name, "cache"),
    ];
    let mut signal = |step: &Step, signal_type, code: &str, value| Signal {
        signal_id: dice.uuid(),
        step_id: Some(step.step_id),
        code: SignalCode::parse(signal_type, code).expect("a row of the taxonomy"),
        value,
        weight: Some(dice.below(100) as f64 / 100.0),
        metadata: Metadata::default(),
    };
    let signals = vec![
        signal(&steps[7], SignalType::SchemaValid, "full_match", !fails),
        if retries {
            signal(&steps[5], SignalType::RetryOccurred, "single_retry", true)
        } else {
            signal(&steps[4], SignalType::ToolSuccess, "first_attempt", true)
        },
        signal(&steps[6], SignalType::TokenUsage, "moderate_usage", true),
    ];
    (decisions, signals)
}

fn after(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(time.as_micros() + micros)
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators"): small, and the same for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// An id with the version and variant bits of a random one.
    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(((u128::from(self.next()) << 64) | u128::from(self.next())).to_be_bytes())
            .into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn runs_are_valid_various_and_repeatable() {
        let runs: Vec<_> = (0..2000).map(run).collect();
        assert_eq!(runs[77], run(77));
        assert_eq!(runs.iter().map(|run| run.run_id).collect::<HashSet<_>>().len(), runs.len());
        assert_eq!(runs.iter().map(|run| run.digest).collect::<HashSet<_>>().len(), runs.len());
        for run in &runs {
            assert!(run.ended_at.unwrap() >= run.started_at);
            assert!(run.steps.iter().enumerate().all(|(n, step)| step.seq as usize == n));
            assert!(run.steps.iter().all(|step| step.ended_at >= step.started_at));
            assert_eq!((run.steps.len(), run.decisions.len(), run.quality_signals.len()), (8, 2, 3));
            assert_eq!(run.failures.len(), usize::from(run.status == RunStatus::Failure));
        }
        let failed = runs.iter().filter(|run| run.status == RunStatus::Failure).count();
        let retried = runs.iter().filter(|run| run.steps[4].status == StepStatus::Failed).count();
        assert!((180..350).contains(&failed), "{failed} of 2000 failed");
        assert!((200..600).contains(&retried), "{retried} of 2000 retried");
    }
}
