//! Realistic runs as clients send them: 8 steps, 2 decisions, 3 signals, about 3.7 kB of JSON.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-01-01T00:00:00Z in microseconds.
const FIRST_START_MICROS: i64 = 1_767_225_600_000_000;
const RUN_ID: &str = "00000000-0000-4000-8000-000000000000";
const RUN_START: &str = "1000-01-01T00:00:00.000000Z";
const RUN_END: &str = "1000-01-02T00:00:00.000000Z";

/// The agents, versions, environments and failure codes that runs are drawn from.
pub(crate) const AGENTS: &[&str] = &[
    "support-agent",
    "billing-agent",
    "research-agent",
    "sales-agent",
    "ops-agent",
    "triage-agent",
    "code-review-agent",
    "onboarding-agent",
];
const VERSIONS: &[&str] = &["v1.0.0", "v1.1.0", "v1.2.0", "v2.0.0-rc1"];
const ENVIRONMENTS: &[&str] = &["production", "production", "production", "staging", "development"];
const FAILURES: &[(&str, &str, &str)] = &[
    ("tool", "timeout", "billing_api did not answer within 30s"),
    ("tool", "rate_limited", "429 from the ticket service"),
    ("model", "context_overflow", "the context window was exceeded by 812 tokens"),
    ("retrieval", "empty_retrieval", "no document above the threshold"),
    ("orchestration", "max_iterations", "stopped after 12 iterations"),
];
const TOOLS: &[&str] = &["billing_api", "crm_lookup", "web_search", "ticket_search", "calculator", "calendar"];

/// Bodies with a hole for the run id and the start, so that a client can send each many times as a new run.
pub(crate) struct Workload {
    templates: Vec<Template>,
}

struct Template {
    body: Vec<u8>,
    run_id_at: usize,
    start_at: usize,
    end_at: usize,
    duration_micros: i64,
}

impl Workload {
    /// `count` different bodies, the same for the same seed.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let templates = (0..count)
            .map(|_| {
                let (run, duration_micros) = run(&mut rng);
                let body = serde_json::to_vec(&run).expect("a JSON value can be written");
                let find = |what: &str| {
                    body.windows(what.len()).position(|window| window == what.as_bytes()).expect("the hole is there")
                };
                Template {
                    run_id_at: find(RUN_ID),
                    start_at: find(RUN_START),
                    end_at: find(RUN_END),
                    duration_micros,
                    body,
                }
            })
            .collect();
        Self { templates }
    }

    /// The mean length of a body in bytes.
    pub(crate) fn mean_len(&self) -> usize {
        self.templates.iter().map(|template| template.body.len()).sum::<usize>() / self.templates.len()
    }

    /// Appends the body of the `number`th run, with this id, to `out`. Runs start 10 ms apart.
    pub(crate) fn write(&self, number: u64, run_id: Uuid, out: &mut Vec<u8>) {
        let template = &self.templates[(number % self.templates.len() as u64) as usize];
        let from = out.len();
        out.extend_from_slice(&template.body);
        let body = &mut out[from..];
        run_id.hyphenated().encode_lower(&mut body[template.run_id_at..template.run_id_at + RUN_ID.len()]);
        let start = FIRST_START_MICROS + number as i64 * 10_000;
        let end = start + template.duration_micros;
        body[template.start_at..template.start_at + RUN_START.len()].copy_from_slice(iso(start).as_bytes());
        body[template.end_at..template.end_at + RUN_END.len()].copy_from_slice(iso(end).as_bytes());
    }
}

/// Always with 6 fraction digits, so that every start has the same length.
fn iso(micros: i64) -> String {
    let seconds = agenttracer_model::Timestamp::from_micros(micros - micros.rem_euclid(1_000_000)).to_string();
    format!("{}.{:06}Z", seconds.trim_end_matches('Z'), micros.rem_euclid(1_000_000))
}

/// A run, and how long it took in microseconds.
fn run(rng: &mut SmallRng) -> (Value, i64) {
    let failed = rng.random_bool(0.15);
    let mut at = FIRST_START_MICROS;
    let mut steps = Vec::new();
    let retried = rng.random_bool(0.2);
    for seq in 0..8 {
        let (step_type, name) = match seq {
            0 => ("plan", "analyze_query"),
            1 | 2 => ("retrieve", "search_knowledge_base"),
            3..=5 if retried => ("tool", TOOLS[0]),
            3..=5 => ("tool", TOOLS[(seq - 3) % TOOLS.len()]),
            6 => ("plan", "check_answer"),
            _ => ("respond", "generate_response"),
        };
        let latency = rng.random_range(5..900);
        steps.push(json!({
            "step_id": uuid(rng),
            "seq": seq,
            "step_type": step_type,
            "name": name,
            "latency_ms": latency,
            "started_at": iso(at),
            "ended_at": iso(at + latency * 1000),
            "metadata": {
                "model": "claude-sonnet-4",
                "input_tokens": rng.random_range(100..4000),
                "output_tokens": rng.random_range(10..900),
                "http_status": 200,
                "cache_key": format!("k-{:08x}", rng.random::<u32>()),
            },
        }));
        at += latency * 1000 + rng.random_range(0..5000);
    }
    let step_id = |index: usize| steps[index]["step_id"].clone();
    let decisions = json!([
        {
            "decision_id": uuid(rng), "step_id": step_id(0), "decision_type": "tool_selection", "selected": "billing_api",
            "reason_code": *["fresh_data_required", "cached_data_sufficient", "cost_optimization"].choose(rng).expect("not empty"),
            "candidates": ["billing_api", "cache", "web_search"], "confidence": 0.85,
            "metadata": {"latency_budget_ms": 1200},
        },
        {
            "decision_id": uuid(rng), "step_id": step_id(1), "decision_type": "retrieval_strategy", "selected": "hybrid",
            "reason_code": "hybrid_approach_needed", "candidates": ["semantic", "keyword", "hybrid"], "confidence": 0.7,
        },
    ]);
    let signals = json!([
        {"signal_id": uuid(rng), "step_id": step_id(7), "signal_type": "schema_valid", "signal_code": "full_match", "value": true, "weight": 1.0},
        {"signal_id": uuid(rng), "step_id": step_id(1), "signal_type": "empty_retrieval", "signal_code": "no_results", "value": false},
        {"signal_id": uuid(rng), "step_id": step_id(3), "signal_type": "tool_success", "signal_code": "first_attempt", "value": !retried},
    ]);
    let mut run = json!({
        "run_id": RUN_ID,
        "agent_id": *AGENTS.choose(rng).expect("not empty"),
        "agent_version": *VERSIONS.choose(rng).expect("not empty"),
        "environment": *ENVIRONMENTS.choose(rng).expect("not empty"),
        "status": if failed { "failure" } else { "success" },
        "started_at": RUN_START,
        "ended_at": RUN_END,
        "steps": steps,
        "decisions": decisions,
        "quality_signals": signals,
    });
    if failed {
        let (failure_type, code, message) = *FAILURES.choose(rng).expect("not empty");
        run["failure"] = json!({
            "step_id": step_id(3), "failure_type": failure_type, "failure_code": code, "message": message,
        });
    }
    (run, at - FIRST_START_MICROS)
}

fn uuid(rng: &mut SmallRng) -> String {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string()
}
