//! Lists, counts and statistics against a plain model: random runs, spread at random over hot chunks and segments, some
//! replaced and some merged, asked random questions.

use std::cmp::Reverse;
use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepType};
use agenttracer_model::timing::Timing;
use agenttracer_model::{Metadata, Position, Timestamp, Value};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tantivy::IndexWriter;
use tantivy::indexer::NoMergePolicy;
use uuid::Uuid;

use crate::cold::{self, ColdRun, Fields};
use crate::columns::Columns;
use crate::filter::{Condition, Name, NameTest, NumberField, Test};
use crate::hot::Chunk;
use crate::mask::Mask;
use crate::metadata_keys::MetadataKeys;
use crate::rollup::Rollup;
use crate::run_ids::RunIdFilter;
use crate::snapshot::State;
use crate::summary::tests::{run, step};
use crate::{
    Amounts, Count, DecisionSummary, Fact, FailureSummary, Filter, ListError, Page, PageRequest, RunSummary,
    SignalSummary, Snapshot, Sort, SortBy, SortedRequest, Stats, StepSummary, Tenth, UsageSummary,
};

/// Where a run lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
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
pub(crate) fn snapshot(runs: &[(RunSummary, Place)], merged: bool) -> Snapshot {
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

    // Sometimes cells are days, and sometimes there are none.
    let max_cells = [usize::MAX, 12, 3][runs.len() % 3];
    let rollup = Rollup::of_index(&searcher, &fields, max_cells).unwrap();
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
    Snapshot::of(Arc::new(State {
        position: Position::new(1_000_000),
        visible,
        hot: Arc::from([Arc::new(chunk)]),
        columns: Columns::of(&searcher, &[]).unwrap(),
        searcher,
        fields,
        mask: Some(Arc::new(mask)),
        run_ids: Arc::new(run_ids),
        metadata_keys: Arc::default(),
        erased: Arc::default(),
        rollup: rollup.map(Arc::new),
    }))
}

fn add(writer: &IndexWriter<ColdRun>, fields: Fields, run: RunSummary) {
    writer.add_document(ColdRun::new(fields, Arc::new(run), &MetadataKeys::default())).unwrap();
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
        failure_cluster: Some(2),
        steps: vec![StepSummary { count: 9, ..step("fetch", StepType::Other, 1 << 40) }],
        decisions: vec![decision(1, "older", 3, 2)],
        signals: vec![SignalSummary { code: SignalCode::from_tag(1).unwrap(), value: true, count: 3 }],
        session_id: Some("s-1".into()),
        usage: vec![used("older", 1 << 50)],
        parent_run_id: Some(Uuid::from_u128(1)),
        metadata: Metadata(vec![("tier".to_owned(), Value::String("gold".to_owned()))]),
        timing: Timing { idle_ms: 1 << 30, overlap_ms: 7, retry_waste_ms: 7, critical_path_ms: 7 },
        ..run.clone()
    }
}

fn used(model: &str, number: u64) -> UsageSummary {
    let amounts = Amounts { input_tokens: number, output_tokens: number / 3, cost_nano_usd: number % 7 };
    UsageSummary { model: model.into(), steps: number as u32 % 4, amounts }
}

fn decision(tag: u16, selected: &str, tenth: u64, count: u32) -> DecisionSummary {
    let reason = ReasonCode::from_tag(tag).unwrap();
    DecisionSummary { reason, selected: selected.into(), confidence: Tenth::from_index(tenth).unwrap(), count }
}

const AGENTS: [&str; 3] = ["a", "b", "agent with spaces"];
const VERSIONS: [&str; 3] = ["v1", "v1.0", "v2"];
const CODES: [&str; 3] = ["timeout", "rate_limited", "with/slash"];
const STEPS: [&str; 4] = ["fetch", "Fetch", "plan", "answer"];
const SESSIONS: [&str; 3] = ["s-1", "s-2", "t"];
const STATUSES: [RunStatus; 4] = [RunStatus::Success, RunStatus::Failure, RunStatus::Partial, RunStatus::Running];
const TYPES: [FailureType; 3] = [FailureType::Tool, FailureType::Model, FailureType::Orchestration];
const STEP_TYPES: [StepType; 3] = [StepType::Plan, StepType::Tool, StepType::Respond];
/// Tags of reasons and signals.
const TAGS: [u16; 3] = [1, 2, 7];
const FACTS: [(&str, &str); 6] =
    [("tier", "gold"), ("tier", "golden"), ("tier", "5"), ("rank", "5"), ("rank", "true"), ("model", "m-1")];

fn a_place() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => Just(Place::Hot),
        6 => (0..SEGMENTS).prop_map(Place::Cold),
        1 => (0..SEGMENTS - 1).prop_map(Place::Replaced),
        1 => (0..SEGMENTS).prop_map(Place::Reopened),
    ]
}

/// When the first runs begin, in seconds.
pub(crate) const BEGIN_S: i64 = 86_400;

/// A few times, so that many runs share one; some at the edges of hours.
fn a_time() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![4 => 0..6_i64, 1 => 0..40_i64, 2 => (0..60_i64).prop_map(|half_hours| half_hours * 1800)];
    let micros = prop_oneof![4 => Just(0_i64), 1 => -1..2_i64];
    (seconds, micros).prop_map(|(seconds, micros)| Timestamp::from_micros((BEGIN_S + seconds) * 1_000_000 + micros))
}

fn a_failure() -> impl Strategy<Value = FailureSummary> {
    (select(&TYPES), select(&CODES))
        .prop_map(|(failure_type, code)| FailureSummary { failure_type, failure_code: code.into() })
}

fn some_steps() -> impl Strategy<Value = Vec<StepSummary>> {
    let all: Vec<_> = STEPS.iter().flat_map(|name| STEP_TYPES.map(|step_type| (*name, step_type))).collect();
    let latency = prop_oneof![9 => 0..100_u64, 1 => Just(u64::MAX)];
    (subsequence(all, 0..=4), vec((1..4_u32, latency), 4)).prop_map(|(steps, numbers)| {
        let mut steps: Vec<_> = steps
            .into_iter()
            .zip(numbers)
            .map(|((name, step_type), (count, latency_ms))| StepSummary { count, ..step(name, step_type, latency_ms) })
            .collect();
        steps.sort_by(|a, b| (&a.name, a.step_type).cmp(&(&b.name, b.step_type)));
        steps
    })
}

/// Decisions and signals, in their order.
fn some_marks() -> impl Strategy<Value = (Vec<DecisionSummary>, Vec<SignalSummary>)> {
    let decisions = btree_set((select(&TAGS), select(vec!["billing", "cache"]), 0..11_u64), 0..3);
    let signals = btree_set((select(&TAGS), any::<bool>()), 0..3);
    (decisions, signals, 1..3_u32).prop_map(|(decisions, signals, count)| {
        let decisions = decisions.into_iter().map(|(tag, selected, tenth)| decision(tag, selected, tenth, count));
        let signals = signals.into_iter().map(|(tag, value)| SignalSummary {
            code: SignalCode::from_tag(tag).unwrap(),
            value,
            count,
        });
        (decisions.collect(), signals.collect())
    })
}

fn some_facts() -> impl Strategy<Value = (Metadata, Vec<Arc<str>>)> {
    (subsequence(FACTS[..5].to_vec(), 0..=2), any::<bool>()).prop_map(|(facts, model)| {
        let value = |text: &str| match text {
            "5" => Value::Float(5.0),
            "true" => Value::Bool(true),
            text => Value::String(text.to_owned()),
        };
        let mut metadata = Metadata::default();
        for (key, text) in facts {
            if metadata.get(key).is_none() {
                metadata.0.push((key.to_owned(), value(text)));
            }
        }
        let of_steps = if model { vec![Fact::text("model", "m-1").into()] } else { Vec::new() };
        (metadata, of_steps)
    })
}

/// A run without its id and position.
fn a_run() -> impl Strategy<Value = RunSummary> {
    let names = (select(&AGENTS), select(&VERSIONS), select(&["dev", "production"]), select(&STATUSES));
    let facts = (a_time(), option::of(0..5_u64), vec(a_failure(), 0..3), some_steps());
    let more = (0..3_u32, some_marks(), some_facts(), option::of(select(&SESSIONS)), option::of(1..3_u128));
    let usage = btree_map(select(vec!["", "m-1", "m-2"]), prop_oneof![9 => 0..100_u64, 1 => Just(u64::MAX)], 0..3);
    let last = (option::of(1..4_u64), vec(0..50_u64, 4), usage);
    (names, facts, more, last).prop_map(|(names, facts, more, last)| RunSummary {
        agent_id: names.0.into(),
        agent_version: names.1.into(),
        environment: names.2.into(),
        status: names.3,
        started_at: facts.0,
        ended_at: facts.1.map(|ms| Timestamp::from_micros(facts.0.as_micros() + ms as i64 * 1000)),
        duration_ms: facts.1,
        failures: facts.2,
        steps: facts.3,
        retry_count: more.0,
        decisions: more.1.0,
        signals: more.1.1,
        metadata: more.2.0,
        step_facts: more.2.1,
        usage: last.2.into_iter().map(|(model, number)| used(model, number)).collect(),
        session_id: more.3.map(Arc::from),
        parent_run_id: more.4.map(Uuid::from_u128),
        failure_cluster: last.0,
        timing: Timing {
            idle_ms: last.1[0],
            overlap_ms: last.1[1],
            retry_waste_ms: last.1[2],
            critical_path_ms: last.1[3],
        },
        ..run(0)
    })
}

pub(crate) fn some_runs() -> impl Strategy<Value = Vec<(RunSummary, Place)>> {
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

/// Usually no value; else some, in a filter that has to hold for any of them.
fn some_of<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> BoxedStrategy<Vec<T>> {
    prop_oneof![6 => Just(Vec::new()), 1 => vec(select(values), 1..3)].boxed()
}

fn texts<const N: usize>(values: [&str; N]) -> BoxedStrategy<Vec<String>> {
    some_of(values.into_iter().chain(["unknown"]).map(str::to_owned).collect())
}

fn a_signal() -> Vec<(SignalCode, bool)> {
    TAGS.iter().flat_map(|tag| [true, false].map(|value| (SignalCode::from_tag(*tag).unwrap(), value))).collect()
}

fn reasons() -> Vec<ReasonCode> {
    [1, 2, 3, 7].map(|tag| ReasonCode::from_tag(tag).unwrap()).to_vec()
}

fn a_test() -> impl Strategy<Value = NameTest> {
    let names: Vec<(Name, &[&str])> = vec![
        (Name::AgentId, &AGENTS),
        (Name::AgentVersion, &VERSIONS),
        (Name::Environment, &["dev", "production"]),
        (Name::Status, &["success", "failure", "running"]),
        (Name::FailureType, &["tool", "model"]),
        (Name::FailureCode, &CODES),
        (Name::StepType, &["plan", "tool"]),
        (Name::StepName, &STEPS),
        (Name::SessionId, &SESSIONS),
    ];
    let a_name = select(names).prop_flat_map(|(name, values)| (Just(name), select(values)));
    prop_oneof![
        4 => a_name.clone().prop_map(|(name, text)| NameTest::Is(name, text.to_owned())),
        4 => (a_name, 1..3_usize).prop_map(|(name, len)| NameTest::Begins(name.0, name.1[..len.min(name.1.len())].to_owned())),
        2 => select(vec!["FETCH", "time", "v1", "o", "nothing"]).prop_map(|word| NameTest::Word(word.to_owned())),
        1 => select(reasons()).prop_map(NameTest::Reason),
        1 => select(a_signal()).prop_map(|(code, value)| NameTest::Signal(code, value)),
        1 => (0..4_u128).prop_map(|id| NameTest::Parent(Uuid::from_u128(id))),
        1 => (0..4_u64).prop_map(NameTest::Cluster),
        1 => select(&FACTS).prop_map(|(key, value)| NameTest::Fact(key.to_owned(), value.to_owned())),
        1 => select(&FACTS).prop_map(|(key, value)| NameTest::FactBegins(key.to_owned(), value[..1].to_owned())),
    ]
}

fn a_condition() -> impl Strategy<Value = Condition> {
    let field = select(vec![NumberField::DurationMs, NumberField::StepCount, NumberField::RetryCount]);
    let number = (field, 0..4_u64, prop_oneof![0..4_u64, Just(u64::MAX)]);
    let test = prop_oneof![
        4 => vec(a_test(), 1..3).prop_map(Test::Any),
        1 => number.prop_map(|(field, min, max)| Test::Number(field, min..=max)),
    ];
    (any::<bool>(), test).prop_map(|(negated, test)| Condition { negated, test })
}

/// Any filter.
pub(crate) fn a_filter() -> impl Strategy<Value = Filter> {
    let names = (texts(AGENTS), texts(VERSIONS), texts(["dev"]), texts(CODES), texts(STEPS), texts(SESSIONS));
    let closed = (
        some_of(STATUSES.to_vec()),
        some_of(TYPES.to_vec()),
        some_of(STEP_TYPES.to_vec()),
        some_of(reasons()),
        some_of(a_signal()),
        some_of((0..4).map(Uuid::from_u128).collect()),
        some_of(vec![1, 2, 9]),
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
    let facts = (select(&FACTS), vec(select(&FACTS), 0..2)).prop_map(|(first, others)| {
        let values = others.iter().filter(|(key, _)| *key == first.0).map(|(_, value)| (*value).to_owned());
        (first.0.to_owned(), std::iter::once(first.1.to_owned()).chain(values).collect())
    });
    let line = (vec(facts, 0..2), prop_oneof![2 => Just(Vec::new()), 2 => vec(a_condition(), 1..3)]);
    let not_started = option::weighted(0.1, (a_time(), a_time())).prop_map(|times| times.map(|(a, b)| a..=b));
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.02), not_started);
    (names, closed, ranges, line, flags).prop_map(|(names, closed, ranges, line, flags)| Filter {
        agent_id: names.0,
        agent_version: names.1,
        environment: names.2,
        failure_code: names.3,
        step_name: names.4,
        session_id: names.5,
        status: closed.0,
        failure_type: closed.1,
        step_type: closed.2,
        reason: closed.3,
        signal: closed.4,
        parent_run_id: closed.5,
        failure_cluster: closed.6,
        has_retries: closed.7,
        start_time: ranges.0,
        end_time: ranges.1,
        min_duration_ms: ranges.2,
        max_duration_ms: ranges.3,
        before_position: ranges.4.map(Position::new),
        metadata: line.0,
        conditions: line.1,
        live: flags.0,
        nothing: flags.1,
        not_started: flags.2.into_iter().collect(),
    })
}

/// A filter that rollups answer.
pub(crate) fn names_and_times() -> impl Strategy<Value = Filter> {
    let names = (texts(AGENTS), texts(VERSIONS), texts(["dev"]));
    let times = (option::of(a_time()), option::of(a_time()));
    let is = (
        any::<bool>(),
        select(vec![Name::AgentId, Name::AgentVersion, Name::Environment]),
        select(vec!["a", "v1", "dev"]),
    );
    let condition = (is, any::<bool>()).prop_map(|((negated, name, text), begins)| {
        let test = if begins { NameTest::Begins(name, text.to_owned()) } else { NameTest::Is(name, text.to_owned()) };
        Condition { negated, test: Test::Any(vec![test]) }
    });
    (names, times, option::weighted(0.3, condition)).prop_map(|(names, times, condition)| Filter {
        agent_id: names.0,
        agent_version: names.1,
        environment: names.2,
        start_time: times.0,
        end_time: times.1,
        conditions: condition.into_iter().collect(),
        ..Filter::default()
    })
}

fn page(snapshot: &Snapshot, filter: &Filter, after: Option<(Timestamp, Uuid)>, offset: u64, limit: usize) -> Page {
    snapshot.list(filter, &PageRequest { after, offset, limit, count_up_to: 1000 }).unwrap()
}

/// Sorted pages by number and by cursor, each against the sorted whole.
fn sorted_pages_agree(snapshot: &Snapshot, filter: &Filter, sort: Sort, expected: &[&RunSummary], size: usize) {
    let mut expected = expected.to_vec();
    expected.sort_by_key(|run| {
        let number = match sort.by {
            SortBy::StartedAt => Some(run.started_at.as_micros().cast_unsigned()),
            SortBy::DurationMs => run.duration_ms,
            SortBy::StepCount => Some(run.step_count().into()),
            SortBy::RetryCount => Some(run.retry_count.into()),
        };
        let number = number.map(i128::from).map(|number| if sort.ascending { number } else { -number });
        (number.is_none(), number, run.run_id)
    });
    let (mut after, mut seen, mut offset) = (None, 0, 0);
    loop {
        let by_cursor = SortedRequest { sort, after, offset: 0, limit: size };
        let by_number = SortedRequest { sort, after: None, offset, limit: size };
        let page = snapshot.list_sorted(filter, &by_cursor).unwrap();
        assert_eq!(page, snapshot.list_sorted(filter, &by_number).unwrap());
        assert_eq!(page.total, Count::Exactly(expected.len() as u64));
        let part: Vec<_> = expected.iter().skip(seen).take(size).map(|run| run.run_id).collect();
        assert_eq!(page.runs.iter().map(|run| run.run_id).collect::<Vec<_>>(), part, "{sort:?} {filter:?}");
        seen += page.runs.len();
        offset += size as u64;
        assert_eq!(page.more, seen < expected.len());
        let Some(last) = page.runs.last().filter(|_| page.more) else { break };
        after = Some((sort.rank(last), last.run_id));
    }
    assert_eq!(seen, expected.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn questions_are_answered_as_by_a_plain_model(
        runs in some_runs(), merged in any::<bool>(), size in 1..12_usize,
        filters in vec(prop_oneof![3 => a_filter().boxed(), 1 => names_and_times().boxed()], 12),
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

            for sort in [SortBy::StartedAt, SortBy::DurationMs, SortBy::StepCount, SortBy::RetryCount] {
                sorted_pages_agree(&snapshot, &filter, Sort { by: sort, ascending: size % 2 == 0 }, &expected, size);
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
    let agents = vec!["support".into(), "other".into()];
    let filter = Filter { agent_id: agents, has_retries: Some(false), ..Filter::default() };
    let mut request = PageRequest { after: None, offset: PageRequest::MAX_OFFSET + 1, limit: 5, count_up_to: 3 };
    assert!(matches!(snapshot.list(&filter, &request), Err(ListError::TooDeep { .. })));
    request.offset = PageRequest::MAX_OFFSET;
    let deep = snapshot.list(&filter, &request).unwrap();
    assert_eq!((deep.runs.len(), deep.total), (0, Count::AtLeast(3)));
}
