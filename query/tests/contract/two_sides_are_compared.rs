//! `/v1/compare` over HTTP: which runs are on which side, and that the numbers are those of the runs.

use agenttracer_model::taxonomy::{DecisionType, FailureType, RunStatus, StepType};
use agenttracer_model::{Failure, Run, RunView, StepView, Value as Number, sample};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::World;

/// The run of this seed, of one agent in two versions, of which the second fails more often. Every third is in staging.
fn a_run(seed: u64) -> Run {
    let mut run = sample::run(seed);
    run.agent_id = "support".to_owned();
    run.agent_version = if seed.is_multiple_of(2) { "v1" } else { "v2" }.to_owned();
    run.environment = if seed.is_multiple_of(3) { "staging" } else { "production" }.to_owned();
    if seed % 2 == 1 && seed % 5 < 3 {
        run.status = RunStatus::Failure;
        run.failures = vec![Failure {
            failure_id: Uuid::from_u64_pair(9, seed),
            step_id: None,
            failure_type: FailureType::Model,
            failure_code: "context_overflow".to_owned(),
            message: "Context window exceeded".to_owned(),
        }];
    }
    if seed.is_multiple_of(7) {
        run.ended_at = None;
    }
    run
}

/// Runs in two cold segments and the hot set.
fn filled(runs: u64) -> (World, Vec<RunView>) {
    let world = World::new();
    let mut views = Vec::new();
    for seed in 0..runs {
        views.push(world.add(&a_run(seed)));
        if seed == runs / 3 || seed == runs / 2 {
            world.freeze();
        }
    }
    (world, views)
}

fn find<'a>(answer: &'a Value, list: &str, metric: &str, name: Option<&str>) -> &'a Value {
    let found =
        answer[list].as_array().unwrap().iter().find(|one| one["metric"] == metric && one["name"].as_str() == name);
    found.unwrap_or_else(|| panic!("no {metric} {name:?} in {answer:#}"))
}

fn percentile(mut numbers: Vec<u64>, percent: usize) -> u64 {
    numbers.sort_unstable();
    numbers[(numbers.len() * percent).div_ceil(100).max(1) - 1]
}

/// Everything that is counted, against a plain recomputation.
fn agrees(answer: &Value, sides: [&[&RunView]; 2]) {
    for (side, runs) in ["base", "candidate"].into_iter().zip(sides) {
        let total = runs.len() as u64;
        assert_eq!(answer[side]["runs"], total);
        let share = |holds: &dyn Fn(&RunView) -> bool, found: &Value| {
            let count = runs.iter().filter(|run| holds(run)).count() as u64;
            assert_eq!((&found[side]["runs"], &found[side]["count"]), (&json!(total), &json!(count)), "{found:#}");
            assert!((found[side]["share"].as_f64().unwrap() - count as f64 / total as f64).abs() < 1e-12);
        };
        let rate = |metric, name| find(answer, "rates", metric, name);
        share(&|run| run.status == RunStatus::Failure, rate("failure_rate", None));
        let overflows = |run: &RunView| run.failures.iter().any(|failure| failure.failure_code == "context_overflow");
        share(&overflows, rate("failure", Some("model/context_overflow")));
        share(&|run| run.steps.iter().any(|step| step.attempt > 1), rate("retry_rate", None));
        let invalid = |run: &RunView| run.quality_signals.iter().any(|s| s.signal_code == "full_match" && !s.value);
        share(&invalid, rate("signal", Some("schema_valid/full_match=false")));

        let numbers = |quantity: &Value, numbers: Vec<u64>| {
            assert_eq!(quantity["exact"], true);
            assert_eq!(quantity[side]["runs"], numbers.len());
            assert_eq!(quantity[side]["p50"], percentile(numbers.clone(), 50));
            assert_eq!(quantity[side]["p95"], percentile(numbers.clone(), 95));
            let mean = numbers.iter().sum::<u64>() as f64 / numbers.len() as f64;
            assert!((quantity[side]["mean"].as_f64().unwrap() - mean).abs() < 0.006);
        };
        let durations = runs.iter().filter_map(|run| run.duration_ms).collect();
        numbers(find(answer, "quantities", "duration_ms", None), durations);
        for step_type in [StepType::Plan, StepType::Tool] {
            let of_run = |run: &&&RunView| {
                let steps: Vec<_> = run.steps.iter().filter(|step| step.step_type == step_type).collect();
                (!steps.is_empty()).then(|| steps.iter().map(|step| step.latency_ms).sum::<u64>())
            };
            let sums = runs.iter().filter_map(|run| of_run(&run)).collect();
            numbers(find(answer, "quantities", "step_latency_ms", Some(step_type.as_str())), sums);
        }

        // What the steps say, each run's together, in billionths of a dollar.
        let used = |key: &str, scale: f64| -> Vec<u64> {
            let of_step = |step: &StepView| match step.metadata.get(key) {
                Some(Number::Uint(number)) => *number,
                Some(Number::Float(number)) => (number * scale).round() as u64,
                _ => 0,
            };
            let of_run = |run: &&RunView| run.steps.iter().map(of_step).sum::<u64>();
            runs.iter().map(of_run).filter(|used| *used > 0).collect()
        };
        numbers(find(answer, "quantities", "input_tokens", None), used("input_tokens", 1.0));
        numbers(find(answer, "quantities", "output_tokens", None), used("output_tokens", 1.0));
        let (cost, costs) = (find(answer, "quantities", "cost_usd", None), used("cost_usd", 1e9));
        assert_eq!(cost[side]["runs"], costs.len());
        for (key, percent) in [("p50", 50), ("p95", 95)] {
            assert_eq!(cost[side][key], percentile(costs.clone(), percent) as f64 / 1e9);
        }
        let mean = costs.iter().sum::<u64>() as f64 / costs.len() as f64 / 1e9;
        assert!((cost[side]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);

        let selected = find(answer, "distributions", "selected", Some("tool_selection"));
        for category in selected["categories"].as_array().unwrap() {
            let values: Vec<_> = category["values"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let has = |run: &RunView| {
                let of_type = |d: &&agenttracer_model::DecisionView| d.decision_type == DecisionType::ToolSelection;
                let mut selected: Vec<_> = run.decisions.iter().filter(of_type).map(|d| d.selected.as_str()).collect();
                selected.sort_unstable();
                selected.dedup();
                selected == values
            };
            share(&has, category);
        }
    }
}

#[tokio::test]
async fn versions_of_an_agent() {
    let (world, views) = filled(240);
    world.add(&Run { agent_id: "other".to_owned(), ..a_run(1000) });
    let reply = world.get("/v1/compare?agent_id=support&base=v1&candidate=v2").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let answer = reply.json();
    let names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "by",
            "agent_id",
            "base",
            "candidate",
            "state",
            "tested",
            "significant",
            "false_discovery_rate",
            "min_runs",
            "rates",
            "failures_left_out",
            "quantities",
            "distributions"
        ]
    );
    assert_eq!((&answer["by"], &answer["agent_id"]), (&json!("agent_version"), &json!("support")));
    let of = |version: &str| views.iter().filter(|run| run.agent_version == version).collect::<Vec<_>>();
    agrees(&answer, [&of("v1"), &of("v2")]);

    let failure_rate = find(&answer, "rates", "failure_rate", None);
    assert_eq!((&failure_rate["state"], &failure_rate["test"]), (&json!("significant"), &json!("fisher_exact")));
    assert_eq!(answer["state"], "significant");
    // Asked again: the same answer, also where tables were drawn at random. And the other way round it is turned round.
    assert_eq!(world.get("/v1/compare/?agent_id=support&base=v1&candidate=v2&by=agent_version").await.json(), answer);
    let turned = world.get("/v1/compare?agent_id=support&base=v2&candidate=v1").await.json();
    let back = find(&turned, "rates", "failure_rate", None);
    assert_eq!(back["difference"].as_f64(), failure_rate["difference"].as_f64().map(|difference| -difference));
    assert_eq!(back["base"], failure_rate["candidate"]);
}

#[tokio::test]
async fn filters_hold_for_both_sides() {
    let (world, views) = filled(240);
    let answer =
        world.get("/v1/compare?agent_id=support&base=v1&candidate=v2&environment=staging&q=step:analyze_query").await;
    let of = |version: &str| {
        let staging = views.iter().filter(|run| run.environment == "staging");
        staging.filter(|run| run.agent_version == version).collect::<Vec<_>>()
    };
    agrees(&answer.json(), [&of("v1"), &of("v2")]);
    // A filter that leaves one of the sides out.
    let answer = world.get("/v1/compare?agent_id=support&base=v1&candidate=v2&agent_version=v2").await.json();
    assert_eq!((&answer["base"]["runs"], &answer["candidate"]["runs"]), (&json!(0), &json!(120)));
    assert_eq!((&answer["state"], &answer["tested"]), (&json!("not_enough_data"), &json!(0)));
}

#[tokio::test]
async fn environments_and_times() {
    let (world, mut views) = filled(240);
    let answer = world.get("/v1/compare?by=environment&base=staging&candidate=production").await.json();
    let of = |environment: &str| views.iter().filter(|run| run.environment == environment).collect::<Vec<_>>();
    agrees(&answer, [&of("staging"), &of("production")]);
    assert_eq!(answer["agent_id"], Value::Null);

    views.sort_by_key(|run| run.started_at);
    // A run that begins at the border belongs to what begins there.
    let border = views[100].started_at;
    let path = format!("/v1/compare?by=time&base=/{border}&candidate={border}/&agent_id=support");
    let answer = world.get(&path).await.json();
    let before = views.iter().position(|run| run.started_at == border).unwrap();
    let (base, candidate) = views.split_at(before);
    agrees(&answer, [&base.iter().collect::<Vec<_>>(), &candidate.iter().collect::<Vec<_>>()]);
    assert_eq!(answer["base"]["name"], format!("/{border}"));
}

#[tokio::test]
async fn questions_that_are_not_well_put() {
    let world = World::new();
    for (query, errors) in [
        ("", vec![("agent_id", "missing"), ("base", "missing"), ("candidate", "missing")]),
        ("agent_id=a&base=v1", vec![("candidate", "missing")]),
        ("agent_id=a&agent_id=b&base=v1&candidate=v2", vec![("agent_id", "value_error")]),
        ("agent_id=a&base=v1&candidate=v1", vec![("candidate", "value_error")]),
        ("by=mood&base=v1&candidate=v2", vec![("by", "literal_error")]),
        ("by=time&base=2026-11-01&candidate=/", vec![("base", "value_error"), ("candidate", "value_error")]),
        (
            "by=time&base=2026-11-08/2026-11-01&candidate=2026-11-08/soon",
            vec![("base", "value_error"), ("candidate", "value_error")],
        ),
        ("by=time&base=2026-11-01/2026-11-08&candidate=2026-11-07/", vec![("candidate", "value_error")]),
        ("by=environment&base=a&candidate=b&min_duration_ms=x", vec![("min_duration_ms", "int_parsing")]),
    ] {
        let reply = world.get(&format!("/v1/compare?{query}")).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        let body = reply.json();
        let found: Vec<_> = body["detail"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["loc"][1].as_str().unwrap(), error["type"].as_str().unwrap()))
            .collect();
        assert_eq!(found, errors, "{query}");
    }
    let reply = world.get("/v1/compare?by=time&base=2026-11-01/2026-11-08&candidate=2026-11-08/2026-11-15").await;
    assert_eq!((reply.status, reply.json()["state"].as_str()), (StatusCode::OK, Some("not_enough_data")));
}
