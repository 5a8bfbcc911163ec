//! What aggregates answer over HTTP, against what the runs that the same filter lists add up to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{DecisionView, RunView, SignalView};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::filters_agree_with_a_plain_model::{FILLED, Pair, a_pair, meets, query};
use crate::support::World;

async fn ask(world: &World, path: &str) -> Value {
    let reply = world.get(path).await;
    assert_eq!(reply.status, http::StatusCode::OK, "{path}: {}", reply.text());
    reply.json()
}

/// How many runs have each value, the most frequent first.
fn counted<'r>(runs: &[&'r RunView], values: impl Fn(&'r RunView) -> BTreeSet<String>) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for value in runs.iter().copied().flat_map(&values) {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, runs)| Reverse(*runs));
    counts.into_iter().map(|(value, runs)| json!({"value": value, "runs": runs})).collect()
}

pub(crate) async fn facets_agree(world: &World, query: &str, runs: &[&RunView]) {
    let one = |text: &str| BTreeSet::from([text.to_owned()]);
    let answer = ask(world, &format!("/v1/facets?{query}limit=1000")).await;
    assert_eq!(answer["total_runs"], runs.len(), "{query}");
    let found: BTreeMap<_, _> = answer["facets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|facet| (facet["field"].as_str().unwrap(), facet["values"].clone()))
        .collect();
    assert_eq!(found.len(), 14);
    for (field, expected) in [
        ("agent_id", counted(runs, |run| one(&run.agent_id))),
        ("agent_version", counted(runs, |run| one(&run.agent_version))),
        ("environment", counted(runs, |run| one(&run.environment))),
        ("status", counted(runs, |run| one(run.status.as_str()))),
        ("failure_type", counted(runs, |run| run.failures.iter().map(|f| f.failure_type.to_string()).collect())),
        ("failure_code", counted(runs, |run| run.failures.iter().map(|f| f.failure_code.clone()).collect())),
        ("step_type", counted(runs, |run| run.steps.iter().map(|step| step.step_type.to_string()).collect())),
        ("step_name", counted(runs, |run| run.steps.iter().map(|step| step.name.clone()).collect())),
        ("reason_code", counted(runs, |run| run.decisions.iter().map(|made| made.reason_code.to_owned()).collect())),
        ("signal_code", counted(runs, |run| run.quality_signals.iter().map(|s| s.signal_code.to_owned()).collect())),
        ("has_retries", counted(runs, |run| one(&run.steps.iter().any(|step| step.attempt > 1).to_string()))),
    ] {
        assert_eq!(found[field], expected, "{field}: {query}");
    }
}

pub(crate) async fn timelines_agree(world: &World, query: &str, runs: &[&RunView]) {
    for interval in ["1m", "1h", "1d"] {
        let counts = ask(world, &format!("/v1/runs/histogram?{query}interval={interval}")).await;
        let series = ask(world, &format!("/v1/timeseries?{query}interval={interval}")).await;
        assert_eq!((&counts["total_runs"], &series["total_runs"]), (&json!(runs.len()), &json!(runs.len())), "{query}");
        let (counts, series) = (counts["buckets"].as_array().unwrap(), series["buckets"].as_array().unwrap());
        assert_eq!(counts.len(), series.len());
        for (count, part) in counts.iter().zip(series) {
            // Times of one form: their texts are in their order, but for fractions of a second, which these edges have not.
            let time = |name: &str| agenttracer_model::lenient::datetime(count[name].as_str().unwrap()).unwrap();
            let within: Vec<_> =
                runs.iter().filter(|run| (time("start")..time("end")).contains(&run.started_at)).collect();
            let of = |status| within.iter().filter(|run| run.status == status).count();
            let (success, failure, partial) = (of(RunStatus::Success), of(RunStatus::Failure), of(RunStatus::Partial));
            assert_eq!(count["runs"], within.len(), "{count}: {query}");
            let by_status = json!({"success": success, "failure": failure, "partial": partial});
            assert_eq!(count["by_status"], by_status, "{query}");
            assert_eq!((&part["runs"], &part["failures"]), (&json!(within.len()), &json!(failure)), "{query}");
            let mut durations: Vec<u64> = within.iter().filter_map(|run| run.duration_ms).collect();
            durations.sort_unstable();
            for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
                let exact = durations.get((durations.len() * percent).div_ceil(100).max(1) - 1);
                match (part["duration_ms"][name].as_u64(), exact) {
                    (None, None) => {}
                    (Some(found), Some(exact)) => {
                        assert!(found.abs_diff(*exact) * 128 <= *exact, "{name} is {found}, not {exact}: {query}");
                    }
                    other => panic!("{name}: {other:?}: {query}"),
                }
            }
        }
    }
}

pub(crate) async fn groups_agree(world: &World, query: &str, runs: &[&RunView]) {
    let answer = ask(world, &format!("/v1/agents?{query}")).await;
    let agents: BTreeSet<_> = runs.iter().map(|run| run.agent_id.as_str()).collect();
    assert_eq!((&answer["total_runs"], &answer["total_agents"]), (&json!(runs.len()), &json!(agents.len())), "{query}");
    for agent in answer["agents"].as_array().unwrap() {
        let name = agent["agent_id"].as_str().unwrap();
        let of_agent: Vec<_> = runs.iter().copied().filter(|run| run.agent_id == name).collect();
        let versions: BTreeSet<_> = of_agent.iter().map(|run| run.agent_version.as_str()).collect();
        assert_eq!(agent["versions"], versions.len(), "{name}: {query}");
        group_agrees(agent, &of_agent, query);
        let answer = ask(world, &format!("/v1/agents/{}/versions?{query}", name.replace(' ', "%20"))).await;
        assert_eq!(answer["total_versions"], versions.len(), "{name}: {query}");
        for version in answer["versions"].as_array().unwrap() {
            let of_version: Vec<_> =
                of_agent.iter().copied().filter(|run| version["agent_version"] == run.agent_version.as_str()).collect();
            group_agrees(version, &of_version, query);
        }
    }
}

fn group_agrees(group: &Value, runs: &[&RunView], query: &str) {
    assert_eq!(group["runs"], runs.len(), "{query}");
    assert_eq!(group["by_status"]["failure"], runs.iter().filter(|run| run.status == RunStatus::Failure).count());
    assert_eq!(group["steps"], runs.iter().map(|run| run.steps.len()).sum::<usize>(), "{query}");
    let with_retries = runs.iter().filter(|run| run.steps.iter().any(|step| step.attempt > 1)).count();
    assert_eq!(group["runs_with_retries"], with_retries, "{query}");
    let times = runs.iter().map(|run| run.started_at);
    let (first, last) = (times.clone().min().unwrap(), times.max().unwrap());
    assert_eq!((&group["first_seen"], &group["last_seen"]), (&json!(first), &json!(last)), "{query}");
}

pub(crate) async fn distributions_agree(world: &World, query: &str, runs: &[&RunView]) {
    let decisions = ask(world, &format!("/v1/decisions?{query}limit=1000")).await;
    let made: Vec<_> = runs.iter().flat_map(|run| &run.decisions).collect();
    assert_eq!(decisions["total_decisions"], made.len(), "{query}");
    for of_type in decisions["types"].as_array().unwrap() {
        let is_of_type = |made: &&&DecisionView| of_type["decision_type"] == made.decision_type.as_str();
        let count = made.iter().filter(is_of_type).count();
        assert_eq!(of_type["count"], count, "{query}");
        let listed: u64 = of_type["selected"].as_array().unwrap().iter().map(|s| s["count"].as_u64().unwrap()).sum();
        assert_eq!(listed, count as u64, "{query}");
    }
    let signals = ask(world, &format!("/v1/signals?{query}")).await;
    let seen: Vec<_> = runs.iter().flat_map(|run| &run.quality_signals).collect();
    assert_eq!(signals["total_signals"], seen.len(), "{query}");
    for kind in signals["types"].as_array().unwrap() {
        for code in kind["codes"].as_array().unwrap() {
            let is_of_code = |signal: &SignalView| {
                kind["signal_type"] == signal.signal_type.as_str() && code["signal_code"] == signal.signal_code
            };
            let of_code: Vec<_> = seen.iter().filter(|signal| is_of_code(signal)).collect();
            let count_true = of_code.iter().filter(|signal| signal.value).count();
            let in_runs = runs.iter().filter(|run| run.quality_signals.iter().any(is_of_code)).count();
            assert_eq!((&code["count"], &code["runs"]), (&json!(of_code.len()), &json!(in_runs)), "{query}");
            let counts = (&code["count_true"], &code["count_false"]);
            assert_eq!(counts, (&json!(count_true), &json!(of_code.len() - count_true)), "{query}");
        }
    }
    let failures = ask(world, &format!("/v1/failures?{query}limit=1000")).await;
    let with_failure = runs.iter().filter(|run| run.failure_path().is_some()).count();
    assert_eq!(failures["runs_with_failure"], with_failure, "{query}");
    let in_clusters: u64 =
        failures["clusters"].as_array().unwrap().iter().map(|cluster| cluster["runs"].as_u64().unwrap()).sum();
    assert_eq!(in_clusters, with_failure as u64, "{query}");
}

pub(crate) fn names_and_times(pairs: &[Pair]) -> Vec<Pair> {
    let rolled = ["agent_id", "agent_version", "environment", "start_time", "end_time"];
    pairs.iter().filter(|(name, _)| rolled.contains(name)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn aggregates_agree(pairs in vec(a_pair(), 0..5)) {
        let (world, views) = &*FILLED;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // Once as it is, and once with what rollups answer alone.
        for pairs in [pairs.clone(), names_and_times(&pairs)] {
            let runs: Vec<_> = views.iter().filter(|run| meets(run, &pairs)).collect();
            let query = query(&pairs);
            runtime.block_on(async {
                facets_agree(world, &query, &runs).await;
                timelines_agree(world, &query, &runs).await;
                groups_agree(world, &query, &runs).await;
                distributions_agree(world, &query, &runs).await;
            });
        }
    }
}
