//! Aggregates against a plain model: the same random runs and filters as for lists, and what they add up to when they are gone
//! over one by one. Filters on names and times are answered from rollups, others by going over the runs: both must be
//! what the model says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use agenttracer_model::taxonomy::{DecisionType, FailureType, RunStatus, SignalType, StepType};
use agenttracer_model::{Position, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::question_tests::{BEGIN_S, Place, a_filter, names_and_times, snapshot, some_runs};
use crate::summary::tests::run;
use crate::{
    DecisionCounts, Decisions, Facet, Filter, GroupBy, Histogram, Latency, ModelUsage, Occurrences, RunGroup,
    RunSummary, SignalCounts, Signals, Snapshot, Spread, StepLatency, TimeBucket,
};

fn histogram(numbers: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::default();
    numbers.into_iter().for_each(|number| histogram.add(number, 1));
    histogram
}

fn by_status(runs: &[&RunSummary]) -> [u64; 4] {
    let mut counts = [0; 4];
    runs.iter().for_each(|run| counts[run.status as usize] += 1);
    counts
}

fn seen(runs: &[&RunSummary]) -> Option<(Timestamp, Timestamp)> {
    let times = runs.iter().map(|run| run.started_at);
    times.clone().min().zip(times.max())
}

fn of_each<'r, K: Ord>(runs: &[&'r RunSummary], key: impl Fn(&RunSummary) -> K) -> BTreeMap<K, Vec<&'r RunSummary>> {
    let mut groups: BTreeMap<K, Vec<&RunSummary>> = BTreeMap::new();
    runs.iter().for_each(|run| groups.entry(key(run)).or_default().push(run));
    groups
}

fn group(runs: &[&RunSummary], by: GroupBy) -> RunGroup {
    let versions: BTreeSet<_> = runs.iter().map(|run| &run.agent_version).collect();
    RunGroup {
        by_status: by_status(runs),
        steps: runs.iter().flat_map(|run| &run.steps).map(|step| u64::from(step.count)).sum(),
        runs_with_retries: runs.iter().filter(|run| run.retry_count > 0).count() as u64,
        retry_waste_ms: runs.iter().map(|run| u128::from(run.timing.retry_waste_ms)).sum(),
        seen: seen(runs),
        durations: histogram(runs.iter().filter_map(|run| run.duration_ms)),
        models: models(runs),
        versions: if by == GroupBy::Agent { versions.len() as u64 } else { 0 },
    }
}

fn models(runs: &[&RunSummary]) -> BTreeMap<String, ModelUsage> {
    let mut models: BTreeMap<String, ModelUsage> = BTreeMap::new();
    for used in runs.iter().flat_map(|run| &run.usage) {
        let ModelUsage { runs, steps, amounts } = models.entry(used.model.to_string()).or_default();
        *runs += 1;
        *steps += u64::from(used.steps);
        amounts.input_tokens += u128::from(used.amounts.input_tokens);
        amounts.output_tokens += u128::from(used.amounts.output_tokens);
        amounts.cost_nano_usd += u128::from(used.amounts.cost_nano_usd);
    }
    models
}

fn groups_agree(snapshot: &Snapshot, filter: &Filter, runs: &[&RunSummary]) {
    for by in [GroupBy::Agent, GroupBy::Version] {
        let name = |run: &RunSummary| match by {
            GroupBy::Agent => run.agent_id.to_string(),
            GroupBy::Version => run.agent_version.to_string(),
        };
        let expected: BTreeMap<_, _> =
            of_each(runs, name).into_iter().map(|(name, runs)| (name, group(&runs, by))).collect();
        assert_eq!(snapshot.groups(filter, by).unwrap(), expected, "{by:?}, {filter:?}");
    }
}

/// The values of a facet, in the words of the contract.
fn values(facet: &Facet, run: &RunSummary) -> BTreeSet<String> {
    let one = |text: &str| BTreeSet::from([text.to_owned()]);
    match facet {
        Facet::AgentId => one(&run.agent_id),
        Facet::AgentVersion => one(&run.agent_version),
        Facet::Environment => one(&run.environment),
        Facet::Status => one(run.status.as_str()),
        Facet::FailureType => run.failures.iter().map(|failure| failure.failure_type.to_string()).collect(),
        Facet::FailureCode => run.failures.iter().map(|failure| failure.failure_code.to_string()).collect(),
        Facet::StepType => run.steps.iter().map(|step| step.step_type.to_string()).collect(),
        Facet::StepName => run.steps.iter().map(|step| step.name.to_string()).collect(),
        Facet::DecisionType => run.decisions.iter().map(|made| made.reason.decision_type().to_string()).collect(),
        Facet::ReasonCode => run.decisions.iter().map(|made| made.reason.as_str().to_owned()).collect(),
        Facet::SignalType => run.signals.iter().map(|signal| signal.code.signal_type().to_string()).collect(),
        Facet::SignalCode => run.signals.iter().map(|signal| signal.code.as_str().to_owned()).collect(),
        Facet::HasRetries => one(if run.retry_count > 0 { "true" } else { "false" }),
        Facet::MetadataKey => run.facts().map(|(key, _)| key.to_owned()).collect(),
        Facet::Metadata(wanted) => {
            run.facts().filter(|(key, _)| key == wanted).map(|(_, value)| value.into_owned()).collect()
        }
    }
}

fn facets_agree(snapshot: &Snapshot, filter: &Filter, runs: &[&RunSummary]) {
    use Facet::{
        AgentId, AgentVersion, DecisionType, Environment, FailureCode, FailureType, HasRetries, Metadata, MetadataKey,
        ReasonCode, SignalCode, SignalType, Status, StepName, StepType,
    };
    let all = [
        StepName,
        AgentId,
        DecisionType,
        AgentVersion,
        Environment,
        ReasonCode,
        Status,
        FailureType,
        SignalType,
        FailureCode,
        StepType,
        SignalCode,
        HasRetries,
        MetadataKey,
        Metadata("tier".to_owned()),
        Metadata("model".to_owned()),
    ];
    // All at a time, those that rollups answer, and one that they do not.
    for facets in [&all[..], &[Status, Environment], &[AgentVersion, FailureCode], &[SignalCode], &[]] {
        let (total, counts) = snapshot.facets(filter, facets).unwrap();
        assert_eq!((total, counts.len()), (runs.len() as u64, facets.len()), "{facets:?}, {filter:?}");
        for (facet, counts) in facets.iter().zip(counts) {
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            for value in runs.iter().flat_map(|run| values(facet, run)) {
                *expected.entry(value).or_default() += 1;
            }
            let mut expected: Vec<_> = expected.into_iter().collect();
            expected.sort_by_key(|(_, runs)| Reverse(*runs));
            assert_eq!(counts.values, expected, "{facet:?}, {filter:?}");
        }
    }
}

fn timelines_agree(snapshot: &Snapshot, filter: &Filter, runs: &[&RunSummary], width_s: i64, first_s: i64) {
    assert_eq!(snapshot.time_range(filter).unwrap(), seen(runs), "{filter:?}");
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let many: Vec<_> = (0..40).map(|bucket| at(BEGIN_S + first_s + bucket * width_s)).collect();
    for edges in [&many[..], &many[..2], &[many[0], many[39]], &many[..1], &[]] {
        for durations in [false, true] {
            let expected = edges.windows(2).map(|edges| {
                let runs: Vec<_> =
                    runs.iter().copied().filter(|run| (edges[0]..edges[1]).contains(&run.started_at)).collect();
                let of_bucket = runs.iter().filter_map(|run| run.duration_ms.filter(|_| durations));
                TimeBucket { by_status: by_status(&runs), durations: histogram(of_bucket) }
            });
            let found = snapshot.timeline(filter, edges, durations).unwrap();
            assert_eq!(found, expected.collect::<Vec<_>>(), "{edges:?}, {filter:?}");
        }
    }
}

fn distributions_agree(snapshot: &Snapshot, filter: &Filter, runs: &[&RunSummary]) {
    let mut decisions = Decisions { runs: runs.len() as u64, ..Decisions::default() };
    let mut signals = Signals { runs: runs.len() as u64, ..Signals::default() };
    for run in runs {
        let (mut types, mut choices): (BTreeSet<DecisionType>, BTreeSet<_>) = Default::default();
        for made in &run.decisions {
            let decision_type = made.reason.decision_type();
            let choice = (made.selected.to_string(), made.reason.as_str());
            let DecisionCounts { all, by_choice, confidence } = decisions.by_type.entry(decision_type).or_default();
            let of_choice = by_choice.entry(choice.clone()).or_default();
            all.count += u64::from(made.count);
            all.runs += u64::from(types.insert(decision_type));
            of_choice.count += u64::from(made.count);
            of_choice.runs += u64::from(choices.insert((decision_type, choice)));
            confidence[made.confidence.index()] += u64::from(made.count);
        }
        let (mut types, mut codes): (BTreeSet<SignalType>, BTreeSet<u16>) = Default::default();
        for signal in &run.signals {
            let (signal_type, tag) = (signal.code.signal_type(), signal.code.tag());
            let SignalCounts { observed, not_observed, runs } = signals.by_code.entry((signal_type, tag)).or_default();
            let Occurrences { count, runs: of_value } = if signal.value { observed } else { not_observed };
            *count += u64::from(signal.count);
            *of_value += 1;
            *runs += u64::from(codes.insert(tag));
            *signals.runs_by_type.entry(signal_type).or_default() += u64::from(types.insert(signal_type));
        }
    }
    assert_eq!(snapshot.decisions(filter).unwrap(), decisions, "{filter:?}");
    assert_eq!(snapshot.signals(filter).unwrap(), signals, "{filter:?}");
}

fn clusters_agree(snapshot: &Snapshot, filter: &Filter, runs: &[&RunSummary]) {
    let mut of_cluster = of_each(runs, |run| run.failure_cluster);
    of_cluster.remove(&None);
    let mut expected: Vec<_> = of_cluster.into_iter().filter_map(|(id, runs)| Some((id?, runs))).collect();
    expected.sort_by_key(|(id, runs)| (Reverse(runs.len()), *id));
    for most in [1, 50] {
        let found = snapshot.clusters(filter, most).unwrap();
        let with_failure: usize = expected.iter().map(|(_, runs)| runs.len()).sum();
        let totals = (found.runs, found.with_failure, found.count);
        assert_eq!(totals, (runs.len() as u64, with_failure as u64, expected.len() as u64), "{filter:?}");
        assert_eq!(found.largest.len(), expected.len().min(most));
        for (found, (id, runs)) in found.largest.iter().zip(&expected) {
            assert_eq!((found.id, found.runs, Some(found.seen)), (*id, runs.len() as u64, seen(runs)), "{filter:?}");
            assert_eq!(found.failed, by_status(runs)[RunStatus::Failure as usize]);
            let versions = of_each(runs, |run| run.agent_version.to_string());
            let versions: BTreeMap<_, _> =
                versions.into_iter().map(|(version, runs)| (version, runs.len() as u64)).collect();
            assert_eq!(found.versions, versions, "{filter:?}");
            let mut newest: Vec<_> = runs.iter().map(|run| (Reverse(run.started_at), run.run_id)).collect();
            newest.sort();
            assert_eq!(found.examples, newest.iter().take(5).map(|(_, id)| *id).collect::<Vec<_>>(), "{filter:?}");
        }
    }
}

fn spread(numbers: impl Iterator<Item = u64> + Clone) -> Spread {
    Spread { sum: numbers.clone().map(u128::from).sum(), runs: histogram(numbers) }
}

fn latencies_agree(snapshot: &Snapshot, filter: &Filter, runs: &[&RunSummary]) {
    let steps_of = |belongs: &dyn Fn(StepType, &str) -> bool| {
        let of_run = |run: &&RunSummary| {
            let steps: Vec<_> = run.steps.iter().filter(|step| belongs(step.step_type, &step.name)).collect();
            let latency_ms = steps.iter().fold(0_u64, |sum, step| sum.saturating_add(step.latency_ms));
            (!steps.is_empty()).then(|| (steps.iter().map(|step| u64::from(step.count)).sum::<u64>(), latency_ms))
        };
        let of_runs: Vec<_> = runs.iter().filter_map(of_run).collect();
        StepLatency {
            steps: of_runs.iter().map(|(steps, _)| steps).sum(),
            latency_ms: spread(of_runs.iter().map(|(_, latency_ms)| *latency_ms)),
        }
    };
    let names: BTreeSet<_> =
        runs.iter().flat_map(|run| &run.steps).map(|step| (step.step_type, step.name.to_string())).collect();
    let expected = Latency {
        runs: runs.len() as u64,
        duration_ms: spread(runs.iter().filter_map(|run| run.duration_ms)),
        idle_ms: spread(runs.iter().map(|run| run.timing.idle_ms)),
        overlap_ms: spread(runs.iter().map(|run| run.timing.overlap_ms)),
        retry_waste_ms: spread(runs.iter().map(|run| run.timing.retry_waste_ms)),
        critical_path_ms: spread(runs.iter().map(|run| run.timing.critical_path_ms)),
        by_type: std::array::from_fn(|at| steps_of(&|step_type, _| step_type == StepType::ALL[at])),
        by_step: names
            .into_iter()
            .map(|(step_type, name)| {
                let latency = steps_of(&|of_step, of_name| of_step == step_type && of_name == name);
                ((step_type, name), latency)
            })
            .collect(),
    };
    assert_eq!(snapshot.latency(filter).unwrap(), expected, "{filter:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn aggregates_are_what_a_plain_model_says(
        runs in some_runs(), merged in any::<bool>(),
        filters in vec(prop_oneof![1 => a_filter().boxed(), 1 => names_and_times().boxed()], 8),
        width_s in prop::sample::select(vec![1_i64, 900, 3600, 7200, 86_400]),
        first_s in prop::sample::select(vec![-7200_i64, 0, 2, 1800]),
    ) {
        let snapshot = snapshot(&runs, merged);
        for filter in &filters {
            let matching: Vec<_> = runs
                .iter()
                .map(|(run, _)| run)
                .filter(|run| filter.matches(run) && run.status != RunStatus::Running)
                .collect();
            groups_agree(&snapshot, filter, &matching);
            facets_agree(&snapshot, filter, &matching);
            timelines_agree(&snapshot, filter, &matching, width_s, first_s);
            distributions_agree(&snapshot, filter, &matching);
            clusters_agree(&snapshot, filter, &matching);
            latencies_agree(&snapshot, filter, &matching);
        }
    }
}

/// What tells which way an answer came: runs of an hour, all of them cold.
#[test]
fn rollups_answer_names_and_times_and_nothing_else() {
    let runs: Vec<_> = (0..40).map(|n| (run(n), Place::Cold(0))).collect();
    let snapshot = snapshot(&runs, false);
    let rolled = |filter: &Filter| snapshot.rolled_count(filter, 0, 100).unwrap().is_some();
    let at = |n: usize| Some(runs[n].0.started_at);
    assert!(rolled(&Filter::default()));
    assert!(rolled(&Filter {
        agent_id: vec!["support".into()],
        agent_version: vec!["v1".into()],
        ..Filter::default()
    }));
    assert!(rolled(&Filter { environment: vec!["dev".into()], start_time: at(3), ..Filter::default() }));
    for other in [
        Filter { status: vec![RunStatus::Failure], ..Filter::default() },
        Filter { live: true, ..Filter::default() },
        Filter { failure_type: vec![FailureType::Tool], ..Filter::default() },
        Filter { has_retries: Some(true), ..Filter::default() },
        Filter { before_position: Some(Position::new(9)), ..Filter::default() },
        // No hour is whole.
        Filter { start_time: at(3), end_time: at(9), ..Filter::default() },
    ] {
        assert!(!rolled(&other), "{other:?}");
    }
}
