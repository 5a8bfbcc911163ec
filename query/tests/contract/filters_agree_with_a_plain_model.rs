//! Random filters over sample runs, hot and cold, against a model that knows nothing of the index.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Run, RunView, sample};
use http::StatusCode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::World;

/// One of 240 sample runs; some are without an end, some partial.
pub(crate) fn a_run(number: u64) -> Run {
    let mut run = sample::run(number * 101 % 240);
    if number.is_multiple_of(9) {
        run.ended_at = None;
    }
    if number % 40 == 1 {
        run.status = RunStatus::Partial;
    }
    run
}

/// All of them in three cold segments and the hot set, newest first.
pub(crate) static FILLED: LazyLock<(World, Vec<RunView>)> = LazyLock::new(|| {
    let world = World::new();
    let mut views = Vec::new();
    for number in 0..240_u64 {
        views.push(world.add(&a_run(number)));
        if number % 60 == 59 && number < 200 {
            world.freeze();
        }
    }
    views.sort_by_key(|run| (Reverse(run.started_at), run.run_id));
    (world, views)
});

pub(crate) type Pair = (&'static str, String);

/// Whether a run meets what the pairs ask: any value of a name, all names.
pub(crate) fn meets(run: &RunView, pairs: &[Pair]) -> bool {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        by_name.entry(name).or_default().push(value);
    }
    by_name.iter().all(|(name, values)| {
        let any = |is: &dyn Fn(&str) -> bool| values.iter().any(|value| is(value));
        let last = values[values.len() - 1];
        match *name {
            "agent_id" => any(&|value| run.agent_id == value),
            "agent_version" => any(&|value| run.agent_version == value),
            "environment" => any(&|value| run.environment == value),
            "status" => any(&|value| run.status.as_str() == value),
            "failure_type" => any(&|value| run.failures.iter().any(|failure| failure.failure_type.as_str() == value)),
            "failure_code" => any(&|value| run.failures.iter().any(|failure| failure.failure_code == value)),
            "step_name" => any(&|value| run.steps.iter().any(|step| step.name == value)),
            "step_type" => any(&|value| run.steps.iter().any(|step| step.step_type.as_str() == value)),
            "reason_code" => any(&|value| run.decisions.iter().any(|made| made.reason_code == value)),
            // One signal has to be of one of these codes and one of these values.
            "signal_code" | "signal_value" => run.quality_signals.iter().any(|signal| {
                let is_one_of = |name: &str, have: &str| by_name.get(name).is_none_or(|values| values.contains(&have));
                is_one_of("signal_code", signal.signal_code) && is_one_of("signal_value", &signal.value.to_string())
            }),
            "meta.model" => any(&|value| {
                let told =
                    run.steps.iter().filter_map(|step| step.metadata.get("model")).chain(run.metadata.get("model"));
                told.filter_map(|told| told.as_fact()).any(|told| told == value)
            }),
            "has_retries" => any(&|value| run.steps.iter().any(|step| step.attempt > 1) == (value == "true")),
            // Of these the last counts. All times here are written alike, so their texts are in their order.
            "start_time" => run.started_at.to_string().as_str() >= last,
            "end_time" => run.started_at.to_string().as_str() <= last,
            "min_duration_ms" => run.duration_ms.is_some_and(|ms| ms >= last.parse().unwrap()),
            "max_duration_ms" => run.duration_ms.is_some_and(|ms| ms <= last.parse().unwrap()),
            other => panic!("{other}"),
        }
    })
}

pub(crate) fn a_pair() -> impl Strategy<Value = Pair> {
    let of = |name: &'static str, values: &[&'static str]| {
        let values = [values, &["", "unknown"]].concat();
        select(values).prop_map(move |value| (name, value.to_owned())).boxed()
    };
    let a_run = || (0..240_usize).prop_map(|at| &FILLED.1[at]);
    // Fractions of a second are written only where they are not zero, and would not sort as texts.
    let a_time = |name| a_run().prop_map(move |run| (name, whole_seconds(&run.started_at.to_string()))).boxed();
    let a_duration = |name| a_run().prop_map(move |run| (name, run.duration_ms.unwrap_or(1000).to_string())).boxed();
    prop_oneof![
        of("agent_id", &sample::AGENTS),
        of("agent_version", &sample::VERSIONS),
        of("environment", &sample::ENVIRONMENTS),
        of("status", &["success", "failure", "partial", "running"]),
        of("failure_type", &["tool", "model", "retrieval", "orchestration"]),
        of("failure_code", &["timeout", "rate_limited", "context_overflow", "max_iterations"]),
        of("step_name", &["billing_api", "crm_lookup", "analyze_query", "geo_lookup"]),
        of("step_type", &["plan", "tool", "other"]),
        of(
            "reason_code",
            &["fresh_data_required", "cost_optimization", "semantic_search_preferred", "rerank_required"]
        ),
        of("signal_code", &["full_match", "no_results", "timeout", "first_attempt", "single_retry"]),
        of("meta.model", &["gpt-4o-mini", "claude-sonnet-4"]),
        select(vec!["true", "false"]).prop_map(|value| ("signal_value", value.to_owned())),
        select(vec!["true", "false"]).prop_map(|value| ("has_retries", value.to_owned())),
        a_time("start_time"),
        a_time("end_time"),
        a_duration("min_duration_ms"),
        a_duration("max_duration_ms"),
    ]
}

fn whole_seconds(time: &str) -> String {
    format!("{}.500000Z", &time[..19])
}

pub(crate) fn query(pairs: &[Pair]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}&", value.replace(' ', "+"))).collect()
}

/// The statistics of runs, as the contract words them.
pub(crate) fn stats_of(runs: &[&RunView]) -> Value {
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    let mut steps: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut failed, mut latency, mut count) = (0_u64, 0_u64, 0_u64);
    for run in runs {
        failed += u64::from(run.status == RunStatus::Failure);
        for failure in &run.failures {
            *failures.entry(format!("{}/{}", failure.failure_type, failure.failure_code)).or_default() += 1;
        }
        for step in &run.steps {
            *steps.entry(step.step_type.as_str()).or_default() += 1;
            latency += step.latency_ms;
            count += 1;
        }
    }
    let total = runs.len() as u64;
    let rate = |part: f64, of: u64| if of == 0 { 0.0 } else { (part / of as f64 * 100.0).round() / 100.0 };
    json!({
        "total_runs": total,
        "total_failures": failed,
        "success_rate": rate(100.0 * (total - failed) as f64, total),
        "avg_latency_ms": rate(latency as f64, count),
        "failure_breakdown": failures,
        "step_type_breakdown": steps,
    })
}

/// Equal but for the last digit of what is rounded, where the model's rounding is not the server's.
pub(crate) fn assert_stats(found: &Value, expected: &Value, of: &str) {
    let (mut found, mut expected) = (found.clone(), expected.clone());
    for rounded in ["success_rate", "avg_latency_ms"] {
        let (a, b) = (found[rounded].as_f64().unwrap(), expected[rounded].as_f64().unwrap());
        assert!((a - b).abs() < 0.011, "{rounded} is {a}, not {b}: {of}");
        found[rounded] = Value::Null;
        expected[rounded] = Value::Null;
    }
    // Compared as maps: the model's order of step types is another.
    assert_eq!(found, expected, "{of}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_counts_pages_and_statistics_agree(pairs in vec(a_pair(), 0..5), size in 1..25_usize) {
        let (world, views) = &*FILLED;
        let expected: Vec<_> = views.iter().filter(|run| meets(run, &pairs)).collect();
        let ids: Vec<_> = expected.iter().map(|run| run.run_id.to_string()).collect();
        let query = query(&pairs);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let all = world.get(&format!("/v1/runs?{query}view=summary&page_size=100")).await;
            assert_eq!(all.ids(), ids[..ids.len().min(100)], "{query}");
            assert_eq!(all.header("x-total-count"), Some(ids.len().to_string().as_str()), "{query}");

            let page = ids.len() / size / 2 + 1;
            let part: Vec<_> = ids.iter().skip((page - 1) * size).take(size).cloned().collect();
            let reply = world.get(&format!("/v1/runs?{query}page_size={size}&page={page}")).await;
            assert_eq!(reply.ids(), part, "page {page} of {size}: {query}");
            if let Some(next) = reply.next() {
                let part: Vec<_> = ids.iter().skip(page * size).take(size).cloned().collect();
                assert_eq!(world.ids(&next).await, part, "{next}");
            } else {
                assert!(page * size >= ids.len(), "no next page: {query}");
            }

            let stats = world.get(&format!("/v1/stats?{query}")).await;
            assert_eq!(stats.status, StatusCode::OK);
            assert_stats(&stats.json(), &stats_of(&expected), &query);
        });
    }
}

#[tokio::test]
async fn statistics_are_what_the_contract_says() {
    let world = World::new();
    let reply = world.get("/v1/stats/").await;
    assert_eq!(
        reply.text(),
        r#"{"total_runs":0,"total_failures":0,"success_rate":0.0,"avg_latency_ms":0.0,"failure_breakdown":{},"step_type_breakdown":{}}"#
    );
    let mut views = Vec::new();
    for seed in 0..30 {
        views.push(world.add(&sample::run(seed)));
        if seed == 14 {
            world.freeze();
        }
    }
    let found = world.get("/v1/stats").await.json();
    let names: Vec<_> = found.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["total_runs", "total_failures", "success_rate", "avg_latency_ms", "failure_breakdown", "step_type_breakdown"]
    );
    assert_stats(&found, &stats_of(&views.iter().collect::<Vec<_>>()), "all");
}

#[tokio::test]
async fn times_are_inclusive_and_may_stand_anywhere() {
    let (world, views) = &*FILLED;
    let middle = &views[100];
    let at = middle.started_at.to_string();
    let one = format!("start_time={at}&end_time={at}");
    assert_eq!(world.ids(&format!("/v1/runs?{one}")).await, [middle.run_id.to_string()]);
    assert_eq!(world.get(&format!("/v1/stats?{one}")).await.json()["total_runs"], 1);
    // The same instant in other words, with a plus sign that is a space by now.
    let there = at.replace('Z', "+00:00");
    assert_eq!(world.ids(&format!("/v1/runs?start_time={there}&end_time={there}")).await.len(), 1);
    let turned = format!("start_time={}&end_time={}", views[0].started_at, views[200].started_at);
    assert_eq!(world.ids(&format!("/v1/runs?{turned}")).await, [""; 0]);
    assert_eq!(world.get(&format!("/v1/stats?{turned}")).await.json()["total_runs"], 0);
    for all in ["start_time=1970-01-01&end_time=9999-12-31", "start_time=0", "end_time=2099-12-31"] {
        assert_eq!(world.get(&format!("/v1/runs?{all}")).await.header("x-total-count"), Some("240"), "{all}");
    }
}
