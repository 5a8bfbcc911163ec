//! Lists, counts and statistics against a plain model: random runs, spread at random over hot chunks and segments, some
//! replaced and some merged, asked random questions.

use std::cmp::Reverse;
use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{Position, Timestamp};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tantivy::IndexWriter;
use tantivy::indexer::NoMergePolicy;
use uuid::Uuid;

use crate::cold::{self, ColdRun, Fields};
use crate::columns::Columns;
use crate::hot::Chunk;
use crate::mask::Mask;
use crate::run_ids::RunIdFilter;
use crate::snapshot::State;
use crate::summary::tests::run;
use crate::{Count, FailureSummary, Filter, ListError, Page, PageRequest, RunSummary, Snapshot, Stats};

/// Where a run lies.
#[derive(Clone, Copy, Debug)]
enum Place {
    Hot,
    /// In this segment.
    Cold(usize),
    /// In this segment there is an older version, deleted; the run is in the last one.
    Replaced(usize),
    /// In this segment there is an older version, masked; the run is hot.
    Reopened(usize),
}

const SEGMENTS: usize = 3;

/// A snapshot of `runs`.
fn snapshot(runs: &[(RunSummary, Place)], merged: bool) -> Snapshot {
    let (schema, fields) = cold::schema();
    let index = tantivy::Index::builder().schema(schema).settings(cold::settings()).create_in_ram().unwrap();
    let mut writer: IndexWriter<ColdRun> = index.writer_with_num_threads(1, 15_000_000).unwrap();
    writer.set_merge_policy(Box::new(NoMergePolicy));
    for segment in 0..SEGMENTS {
        for (run, place) in runs {
            match place {
                Place::Cold(at) if *at == segment => add(&writer, fields, run.clone()),
                Place::Replaced(at) | Place::Reopened(at) if *at == segment => add(&writer, fields, older(run)),
                Place::Replaced(_) if segment == SEGMENTS - 1 => {
                    writer.delete_term(cold::run_term(&fields, run.run_id));
                    add(&writer, fields, run.clone());
                }
                _ => {}
            }
        }
        writer.commit().unwrap();
    }
    if merged {
        let segments = index.searchable_segment_ids().unwrap();
        if segments.len() > 1 {
            writer.merge(&segments).wait().unwrap();
        }
    }
    let searcher = index.reader().unwrap().searcher();

    let run_ids = RunIdFilter::new(0);
    let mut mask = Mask::default();
    let chunk = Chunk::new(0);
    let mut visible = 0;
    for (run, place) in runs {
        let hash = run_ids.hash(run.run_id);
        run_ids.insert(hash);
        if let Place::Hot | Place::Reopened(_) = place {
            if let Some(address) = cold::address(&searcher, &fields, run.run_id).unwrap() {
                mask.insert(address);
            }
            chunk.push(visible, Arc::new(run.clone()), hash, false);
            visible += 1;
        }
    }
    Snapshot(Arc::new(State {
        position: Position::new(1_000_000),
        visible,
        hot: Arc::from([Arc::new(chunk)]),
        columns: Columns::of(&searcher, &[]).unwrap(),
        searcher,
        fields,
        mask: Some(Arc::new(mask)),
        run_ids: Arc::new(run_ids),
        erased: Arc::default(),
    }))
}

fn add(writer: &IndexWriter<ColdRun>, fields: Fields, run: RunSummary) {
    writer.add_document(ColdRun::new(fields, Arc::new(run))).unwrap();
}

/// What the run may have been before: everything that a filter or a sum sees was different.
fn older(run: &RunSummary) -> RunSummary {
    let started_at = Timestamp::from_micros(run.started_at.as_micros() + 1);
    RunSummary {
        agent_id: "a".into(),
        status: RunStatus::Failure,
        started_at,
        ended_at: Some(Timestamp::from_micros(started_at.as_micros() + 2000)),
        duration_ms: Some(2),
        failures: vec![FailureSummary { failure_type: FailureType::Model, failure_code: "older".into() }],
        step_latency_ms: 1 << 40,
        steps_by_type: [9; 5],
        ..run.clone()
    }
}

const AGENTS: [&str; 3] = ["a", "b", "agent with spaces"];
const VERSIONS: [&str; 2] = ["v1", "v1.0"];
const CODES: [&str; 3] = ["timeout", "rate_limited", "with/slash"];
const STEPS: [&str; 4] = ["fetch", "Fetch", "plan", "answer"];
const STATUSES: [RunStatus; 4] = [RunStatus::Success, RunStatus::Failure, RunStatus::Partial, RunStatus::Running];
const TYPES: [FailureType; 3] = [FailureType::Tool, FailureType::Model, FailureType::Orchestration];

fn a_place() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => Just(Place::Hot),
        6 => (0..SEGMENTS).prop_map(Place::Cold),
        1 => (0..SEGMENTS - 1).prop_map(Place::Replaced),
        1 => (0..SEGMENTS).prop_map(Place::Reopened),
    ]
}

/// A few times, so that many runs share one.
fn a_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![4 => 0..6_i64, 1 => 0..40_i64].prop_map(|seconds| Timestamp::from_micros(seconds * 1_000_000))
}

fn a_failure() -> impl Strategy<Value = FailureSummary> {
    (select(&TYPES), select(&CODES))
        .prop_map(|(failure_type, code)| FailureSummary { failure_type, failure_code: code.into() })
}

/// A run without its id and position.
fn a_run() -> impl Strategy<Value = RunSummary> {
    let names = (select(&AGENTS), select(&VERSIONS), select(&["dev", "production"]), select(&STATUSES));
    let facts = (a_time(), option::of(0..5_u64), vec(a_failure(), 0..3), subsequence(STEPS.to_vec(), 0..=4));
    let sums = (0..3_u32, prop_oneof![0..100_u64, Just(u64::MAX)], [0..4_u32, 0..4, 0..4, 0..4, 0..4]);
    (names, facts, sums).prop_map(|(names, facts, sums)| {
        let mut step_names: Vec<Arc<str>> = facts.3.into_iter().map(Arc::from).collect();
        step_names.sort_unstable();
        RunSummary {
            agent_id: names.0.into(),
            agent_version: names.1.into(),
            environment: names.2.into(),
            status: names.3,
            started_at: facts.0,
            ended_at: facts.1.map(|ms| Timestamp::from_micros(facts.0.as_micros() + ms as i64 * 1000)),
            duration_ms: facts.1,
            failures: facts.2,
            step_names,
            retry_count: sums.0,
            step_latency_ms: sums.1,
            steps_by_type: sums.2,
            ..run(0)
        }
    })
}

fn some_runs() -> impl Strategy<Value = Vec<(RunSummary, Place)>> {
    // Few first halves, so that ids of one instant often differ in the second half only.
    let ids = btree_set((0..3_u64, 0..1000_u64), 0..60);
    let shuffled = ids.prop_flat_map(|ids| Just(ids.into_iter().collect::<Vec<_>>()).prop_shuffle());
    shuffled.prop_flat_map(|ids| vec((a_run(), a_place()), ids.len()).prop_map(move |runs| with_ids(&ids, runs)))
}

fn with_ids(ids: &[(u64, u64)], mut runs: Vec<(RunSummary, Place)>) -> Vec<(RunSummary, Place)> {
    for (((run, _), (high, low)), index) in runs.iter_mut().zip(ids).zip(0..) {
        run.run_id = Uuid::from_u64_pair(*high, *low);
        run.batches = vec![Position::new(index * 10)];
        // The start of some live runs has not come.
        run.started = run.status != RunStatus::Running || index % 3 > 0;
    }
    runs
}

fn some_of<const N: usize>(values: [&'static str; N]) -> impl Strategy<Value = Vec<String>> {
    let asked = [&values[..], &["unknown"]].concat();
    prop_oneof![
        3 => Just(Vec::new()),
        1 => vec(select(asked), 1..3).prop_map(|values| values.into_iter().map(str::to_owned).collect()),
    ]
}

fn a_filter() -> impl Strategy<Value = Filter> {
    let names = (some_of(AGENTS), some_of(VERSIONS), some_of(["dev"]), some_of(CODES), some_of(STEPS));
    let closed = (
        prop_oneof![3 => Just(Vec::new()), 1 => vec(select(&STATUSES), 1..3)],
        prop_oneof![3 => Just(Vec::new()), 1 => vec(select(&TYPES), 1..3)],
        prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)],
    );
    let seldom = |strategy: BoxedStrategy<u64>| prop_oneof![3 => Just(None), 1 => strategy.prop_map(Some)];
    let ranges = (
        option::weighted(0.3, a_time()),
        option::weighted(0.3, a_time()),
        seldom((0..6_u64).boxed()),
        seldom((0..6_u64).boxed()),
        seldom((0..600_u64).boxed()),
    );
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.02));
    (names, closed, ranges, flags).prop_map(|(names, closed, ranges, (live, nothing))| Filter {
        agent_id: names.0,
        agent_version: names.1,
        environment: names.2,
        failure_code: names.3,
        step_name: names.4,
        status: closed.0,
        live,
        failure_type: closed.1,
        has_retries: closed.2,
        start_time: ranges.0,
        end_time: ranges.1,
        min_duration_ms: ranges.2,
        max_duration_ms: ranges.3,
        before_position: ranges.4.map(Position::new),
        nothing,
    })
}

fn page(snapshot: &Snapshot, filter: &Filter, after: Option<(Timestamp, Uuid)>, offset: u64, limit: usize) -> Page {
    snapshot.list(filter, &PageRequest { after, offset, limit, count_up_to: 1000 }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn questions_are_answered_as_by_a_plain_model(
        runs in some_runs(), merged in any::<bool>(), filters in vec(a_filter(), 12), size in 1..12_usize,
    ) {
        let snapshot = snapshot(&runs, merged);
        for filter in filters {
            let mut expected: Vec<_> = runs.iter().map(|(run, _)| run).filter(|run| filter.matches(run)).collect();
            expected.sort_by_key(|run| (Reverse(run.started_at), run.run_id));

            let total = Count::Exactly(expected.len() as u64);
            prop_assert_eq!(snapshot.count(&filter, 1000).unwrap(), total);
            match snapshot.count(&filter, 3).unwrap() {
                Count::AtLeast(count) => prop_assert!(count == 3 && expected.len() > 3),
                exact => prop_assert_eq!(exact, total),
            }

            let mut stats = Stats::default();
            // Live runs are in no statistics, whatever was asked for.
            expected.iter().filter(|run| run.status != RunStatus::Running).for_each(|run| stats.add(run));
            prop_assert_eq!(snapshot.stats(&filter).unwrap(), stats);

            for offset in (0..expected.len() + 2 * size).step_by(size) {
                let page = page(&snapshot, &filter, None, offset as u64, size);
                let part: Vec<_> = expected.iter().skip(offset).take(size).collect();
                prop_assert!(page.runs.iter().map(|run| &**run).eq(part.iter().map(|run| **run)), "{page:?}, not {part:?}");
                prop_assert_eq!(page.more, expected.len() > offset + size);
                prop_assert_eq!(page.total, total);
            }

            let (mut after, mut by_cursor) = (None, Vec::new());
            loop {
                let page = page(&snapshot, &filter, after, 0, size);
                prop_assert_eq!(page.total, total);
                by_cursor.extend(page.runs.iter().map(|run| run.run_id));
                let Some(last) = page.runs.last().filter(|_| page.more) else { break };
                after = Some((last.started_at, last.run_id));
            }
            prop_assert_eq!(by_cursor, expected.iter().map(|run| run.run_id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn far_pages_are_merged_over_many_blocks() {
    // More runs than a block holds, in segments whose times interleave, some of one instant.
    let runs: Vec<_> = (0..12_000_u64)
        .map(|n| {
            let mut run = run(n);
            run.started_at = Timestamp::from_micros((n as i64 * 7_919) % 9_000 / 3 * 1_000_000);
            run.run_id = Uuid::from_u64_pair(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n);
            let place = match n % 100 {
                0 => Place::Hot,
                1 => Place::Replaced(0),
                _ => Place::Cold((n % 3) as usize),
            };
            (run, place)
        })
        .collect();
    let snapshot = snapshot(&runs, false);
    let mut expected: Vec<_> = runs.iter().map(|(run, _)| run).collect();
    expected.sort_by_key(|run| (Reverse(run.started_at), run.run_id));
    for filter in [
        Filter::default(),
        Filter { agent_id: vec!["support".into()], ..Filter::default() },
        Filter { agent_id: vec!["support".into(), "other".into()], has_retries: Some(false), ..Filter::default() },
        Filter { start_time: Some(Timestamp::from_micros(5)), ..Filter::default() },
    ] {
        let expected: Vec<_> = expected.iter().filter(|run| filter.matches(run)).collect();
        for offset in [0, 1, 31, 95, 4_095, 4_096, 5_000, 9_999, expected.len() - 1] {
            let page = page(&snapshot, &filter, None, offset as u64, 50);
            let ids: Vec<_> = page.runs.iter().map(|run| run.run_id).collect();
            let part: Vec<_> = expected.iter().skip(offset).take(50).map(|run| run.run_id).collect();
            assert_eq!(ids, part, "{filter:?} from {offset}");
        }
        let request = PageRequest { after: None, offset: 5, limit: 1, count_up_to: 100 };
        let counted = snapshot.list(&filter, &request).unwrap().total;
        assert!(matches!(counted, Count::AtLeast(100)) || counted == Count::Exactly(expected.len() as u64));
    }
}

#[test]
fn a_page_past_the_end_is_empty_and_one_too_deep_is_refused() {
    let runs: Vec<_> = (0..20).map(|n| (run(n), Place::Cold(0))).collect();
    let snapshot = snapshot(&runs, false);
    let past = page(&snapshot, &Filter::default(), None, u64::MAX, 5);
    assert_eq!((past.runs.len(), past.more, past.total), (0, false, Count::Exactly(20)));
    // Where more match than one cared to count, depth is what is left to go by.
    let filter = Filter { agent_id: vec!["support".into(), "other".into()], ..Filter::default() };
    let mut request = PageRequest { after: None, offset: PageRequest::MAX_OFFSET + 1, limit: 5, count_up_to: 3 };
    assert!(matches!(snapshot.list(&filter, &request), Err(ListError::TooDeep)));
    request.offset = PageRequest::MAX_OFFSET;
    let deep = snapshot.list(&filter, &request).unwrap();
    assert_eq!((deep.runs.len(), deep.total), (0, Count::AtLeast(3)));
}
