use agenttracer_model::taxonomy::{REASON_CODES, SIGNAL_CODES};
use agenttracer_model::{
    Decision, Event, Failure, Metadata, Run, RunBatch, RunEnded, RunStarted, Signal, Step, TimedEvent, Value,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::{Batch, BatchKind, Payload, StoredBatch};

fn stored(batch: Batch, position: u64) -> StoredBatch {
    StoredBatch {
        kind: batch.kind,
        position: Position::new(position),
        records: batch.records,
        time: batch.time,
        payload: Payload::Memory(batch.payload.into()),
    }
}

/// Everything that reads a payload; returns whether it was taken for a good one.
fn read_in_every_way(payload: Vec<u8>, records: u32) -> bool {
    let batch = StoredBatch {
        kind: BatchKind::Run,
        position: Position::new(7),
        records,
        time: Timestamp::default(),
        payload: Payload::Memory(payload.into()),
    };
    if let Ok(records) = Records::of(&batch) {
        for record in records.flatten() {
            if let RecordRef::RunStarted { metadata, .. }
            | RecordRef::StepEnded(StepRef { metadata, .. })
            | RecordRef::StepStarted(StepRef { metadata, .. }) = record
            {
                let _ = metadata.decode();
                let _ = metadata.scalars(|_, _| {});
            }
        }
    }
    decode(&batch).is_ok()
}

fn any_id() -> impl Strategy<Value = Uuid> {
    any::<[u8; 16]>().prop_map(Uuid::from_bytes)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => 1_760_000_000_000_000i64..1_770_000_000_000_000,
        1 => any::<i64>(),
    ]
    .prop_map(Timestamp::from_micros)
}

fn any_string() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-z_.:-]{1,20}", 1 => ".{0,40}", 1 => "x{240,300}"]
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (i64::MIN..0).prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        (-1e300..1e300).prop_map(Value::Float),
        any_string().prop_map(Value::String),
    ];
    scalar.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((any_string(), inner), 0..4).prop_map(|entries| Value::Object(Metadata(entries))),
        ]
    })
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    vec((any_string(), any_value()), 0..5).prop_map(Metadata)
}

fn any_step() -> impl Strategy<Value = Step> {
    (
        (any_id(), any::<u32>(), select(StepType::ALL), any_string(), any::<u64>(), any_time(), any_time()),
        (select(StepStatus::ALL), of(any_string()), of(any_id()), of(any::<u32>()), of(any_id()), any_metadata()),
    )
        .prop_map(|((step_id, seq, step_type, name, latency_ms, started_at, ended_at), more)| {
            let (status, error_code, parent_step_id, attempt, retry_of, metadata) = more;
            Step {
                step_id,
                seq,
                step_type,
                name,
                latency_ms,
                started_at,
                ended_at,
                status,
                error_code,
                parent_step_id,
                attempt,
                retry_of,
                metadata,
            }
        })
}

fn any_failure() -> impl Strategy<Value = Failure> {
    (any_id(), of(any_id()), select(FailureType::ALL), any_string(), any_string()).prop_map(
        |(failure_id, step_id, failure_type, failure_code, message)| Failure {
            failure_id,
            step_id,
            failure_type,
            failure_code,
            message,
        },
    )
}

fn any_decision() -> impl Strategy<Value = Decision> {
    (
        any_id(),
        of(any_id()),
        0..REASON_CODES.len(),
        any_string(),
        vec(any_string(), 0..4),
        of(0.0..=1.0),
        any_metadata(),
    )
        .prop_map(|(decision_id, step_id, row, selected, candidates, confidence, metadata)| Decision {
            decision_id,
            step_id,
            reason: ReasonCode::from_tag(REASON_CODES[row].tag).unwrap(),
            selected,
            candidates,
            confidence,
            metadata,
        })
}

fn any_signal() -> impl Strategy<Value = Signal> {
    (any_id(), of(any_id()), 0..SIGNAL_CODES.len(), any::<bool>(), of(0.0..=1.0), any_metadata()).prop_map(
        |(signal_id, step_id, row, value, weight, metadata)| Signal {
            signal_id,
            step_id,
            code: SignalCode::from_tag(SIGNAL_CODES[row].tag).unwrap(),
            value,
            weight,
            metadata,
        },
    )
}

fn any_start() -> impl Strategy<Value = RunStarted> {
    (
        (any_string(), any_string(), any_string(), any_time()),
        (of(any_id()), of(any_id()), of(any_string()), of(any_string()), any_metadata()),
    )
        .prop_map(|((agent_id, agent_version, environment, started_at), more)| {
            let (parent_run_id, parent_step_id, session_id, trace_id, metadata) = more;
            RunStarted {
                agent_id,
                agent_version,
                environment,
                started_at,
                parent_run_id,
                parent_step_id,
                session_id,
                trace_id,
                metadata,
            }
        })
}

fn any_end() -> impl Strategy<Value = RunEnded> {
    (select(RunStatus::ALL), of(any_time()), any::<u32>(), of(any::<[u8; 32]>())).prop_map(
        |(status, ended_at, removed_count, digest)| RunEnded {
            status,
            ended_at,
            removed_count,
            digest: digest.map(Digest),
        },
    )
}

fn any_event() -> impl Strategy<Value = TimedEvent> {
    let event = prop_oneof![
        any_start().prop_map(Event::RunStarted),
        any_step().prop_map(Event::StepStarted),
        any_step().prop_map(Event::StepEnded),
        any_failure().prop_map(Event::FailureRecorded),
        any_decision().prop_map(Event::DecisionRecorded),
        any_signal().prop_map(Event::SignalRecorded),
        Just(Event::Heartbeat),
        any_end().prop_map(Event::RunEnded),
        Just(Event::RunAbandoned),
        Just(Event::RunErased),
    ];
    let removed = prop_oneof![Just(0), any::<u32>()];
    (of(any_time()), removed, event).prop_map(|(time, removed, event)| TimedEvent { time, removed, event })
}

fn any_run() -> impl Strategy<Value = Run> {
    (
        (any_id(), any_start(), any_end(), any::<[u8; 32]>()),
        vec(any_step(), 0..6),
        vec(any_failure(), 0..2),
        vec(any_decision(), 0..3),
        vec(any_signal(), 0..3),
    )
        .prop_map(|((run_id, start, end, digest), steps, failures, decisions, quality_signals)| Run {
            run_id,
            agent_id: start.agent_id,
            agent_version: start.agent_version,
            environment: start.environment,
            status: end.status,
            started_at: start.started_at,
            ended_at: end.ended_at,
            parent_run_id: start.parent_run_id,
            parent_step_id: start.parent_step_id,
            session_id: start.session_id,
            trace_id: start.trace_id,
            metadata: start.metadata,
            steps,
            failures,
            decisions,
            quality_signals,
            removed_count: end.removed_count,
            digest: Digest(digest),
        })
}

/// Any batch of a run that the writer writes.
pub(crate) fn any_batch() -> impl Strategy<Value = Batch> {
    let events = (any_id(), vec(any_event(), 1..8), any_time());
    prop_oneof![
        (any_run(), any_time()).prop_map(|(run, time)| encode_run(&run, time)),
        events.prop_map(|(run_id, events, time)| encode_events(run_id, &events, time)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn events_come_back_as_they_were_written(
        run_id in any_id(),
        events in vec(any_event(), 1..8),
        received_at in any_time(),
        position in 0..u64::MAX / 2,
    ) {
        let batch = stored(encode_events(run_id, &events, received_at), position);
        let expected = RunBatch { position: Position::new(position), received_at, run_id, whole: false, events };
        prop_assert_eq!(decode(&batch).unwrap(), expected);
    }

    #[test]
    fn a_run_has_the_bytes_of_its_events(run in any_run(), received_at in any_time()) {
        let batch = encode_run(&run, received_at);
        let events = run.clone().into_events();
        prop_assert_eq!(&batch, &encode::encode(run.run_id, WHOLE, &events, received_at));
        let read = decode(&stored(batch, 3)).unwrap();
        prop_assert_eq!((read.run_id, read.whole, read.events), (run.run_id, true, events));
    }

    #[test]
    fn borrowed_records_say_the_same_as_owned_events(run in any_run()) {
        let batch = stored(encode_run(&run, Timestamp::default()), 0);
        let records: Vec<_> = Records::new(&batch.payload).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(records.len() as u32, batch.records);
        let RecordRef::RunStarted { agent_id, metadata, started_at, .. } = records[0] else { panic!() };
        prop_assert_eq!((agent_id, started_at), (run.agent_id.as_str(), run.started_at));
        prop_assert_eq!((metadata.is_empty(), metadata.decode().unwrap()), (run.metadata.is_empty(), run.metadata));
        for (record, step) in records[1..].iter().zip(&run.steps) {
            let RecordRef::StepEnded(read) = record else { panic!() };
            prop_assert_eq!((read.name, read.ended_at), (step.name.as_str(), step.ended_at));
            prop_assert_eq!(&read.metadata.decode().unwrap(), &step.metadata);
            let mut scalars = Vec::new();
            read.metadata.scalars(|key, value| scalars.push((key.to_owned(), format!("{value:?}")))).unwrap();
            let expected = step.metadata.0.iter().filter(|(_, value)| !matches!(value, Value::Array(_) | Value::Object(_)));
            let expected: Vec<_> = expected.map(|(key, value)| (key.clone(), format!("{value:?}"))).collect();
            prop_assert_eq!(scalars, expected);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(payload in vec(any::<u8>(), 0..400), whole in any::<bool>()) {
        let mut with_head = vec![0; HEAD_LEN];
        with_head[0] = CODEC;
        with_head[1] = u8::from(whole);
        with_head.extend_from_slice(&payload);
        read_in_every_way(payload, 1);
        read_in_every_way(with_head, 1);
    }
}

/// One of each kind, with everything that is optional in it.
fn one_of_each() -> Vec<TimedEvent> {
    let id = |n: u8| Uuid::from_bytes([n; 16]);
    let time = |n: i64| Timestamp::from_micros(1_763_800_000_000_000 + n);
    let metadata = Metadata(vec![
        ("model".to_owned(), Value::String("m-1".to_owned())),
        ("tags".to_owned(), Value::Array(vec![Value::Null, Value::Bool(true), Value::Float(0.5)])),
        ("nested".to_owned(), Value::Object(Metadata(vec![("n".to_owned(), Value::Int(-70_000))]))),
        ("tokens".to_owned(), Value::Uint(1 << 40)),
    ]);
    let step = Step {
        step_id: id(2),
        seq: 0,
        step_type: StepType::Tool,
        name: "billing_api".to_owned(),
        latency_ms: 1200,
        started_at: time(5),
        ended_at: time(1_200_005),
        status: StepStatus::Failed,
        error_code: Some("timeout".to_owned()),
        parent_step_id: Some(id(3)),
        attempt: Some(2),
        retry_of: Some(id(4)),
        metadata: metadata.clone(),
    };
    [
        Event::RunStarted(RunStarted {
            agent_id: "support-agent".to_owned(),
            agent_version: "v1.0.0".to_owned(),
            environment: "production".to_owned(),
            started_at: time(0),
            parent_run_id: Some(id(5)),
            parent_step_id: Some(id(6)),
            session_id: Some("s".repeat(128)),
            trace_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
            metadata: metadata.clone(),
        }),
        Event::StepStarted(step.clone()),
        Event::StepEnded(step),
        Event::FailureRecorded(Failure {
            failure_id: id(7),
            step_id: Some(id(2)),
            failure_type: FailureType::Tool,
            failure_code: "timeout".to_owned(),
            message: "External API timeout after 30s".to_owned(),
        }),
        Event::DecisionRecorded(Decision {
            decision_id: id(8),
            step_id: Some(id(2)),
            reason: ReasonCode::from_tag(1).unwrap(),
            selected: "api".to_owned(),
            candidates: vec!["api".to_owned(), "cache".to_owned()],
            confidence: Some(0.85),
            metadata: metadata.clone(),
        }),
        Event::SignalRecorded(Signal {
            signal_id: id(9),
            step_id: Some(id(2)),
            code: SignalCode::from_tag(11).unwrap(),
            value: true,
            weight: Some(0.25),
            metadata,
        }),
        Event::Heartbeat,
        Event::RunEnded(RunEnded {
            status: RunStatus::Failure,
            ended_at: Some(time(2_000_000)),
            removed_count: 3,
            digest: Some(Digest([10; 32])),
        }),
        Event::RunAbandoned,
        Event::RunErased,
    ]
    .into_iter()
    .enumerate()
    .map(|(n, event)| TimedEvent::new((n % 2 == 1).then(|| time(n as i64)), event))
    .collect()
}

/// A difference here is a new schema version, beside which the old one stays readable: never a new golden file.
/// `AGENTTRACER_WRITE_GOLDEN=1` writes the files of a version that is new.
#[test]
fn the_bytes_of_version_1_stay_what_they_are() {
    let run_id = Uuid::from_bytes([1; 16]);
    let received_at = Timestamp::from_micros(1_763_800_003_000_000);
    let plain = one_of_each();
    let mut counted = plain.clone();
    counted.iter_mut().zip(1..).for_each(|(event, removed)| event.removed = removed);
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    for (name, flags, events) in [
        ("records-live.bin", 0, &plain),
        ("records-live-counted.bin", 0, &counted),
        ("records-whole.bin", WHOLE, &plain),
    ] {
        let batch = encode::encode(run_id, flags, events, received_at);
        let path = dir.join(name);
        if std::env::var_os("AGENTTRACER_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &batch.payload).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert_eq!(batch.payload, golden, "today's writer, {name}");
        let read = decode(&stored(Batch { payload: golden, ..batch }, 0)).unwrap();
        assert_eq!((read.run_id, read.whole, &read.events), (run_id, flags == WHOLE, events), "today's reader, {name}");
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_read_without_a_panic() {
    let batch = encode_events(Uuid::from_bytes([1; 16]), &one_of_each(), Timestamp::default());
    let mut refused = 0;
    for at in 0..batch.payload.len() {
        for changed in [0, 1, 0x7f, 0x80, 250, 251, 252, 253, 254, 255, batch.payload[at] ^ 1] {
            let mut payload = batch.payload.clone();
            payload[at] = changed;
            refused += usize::from(!read_in_every_way(payload, batch.records));
        }
        assert!(!read_in_every_way(batch.payload[..at].to_vec(), batch.records), "cut at {at}");
    }
    assert!(refused > batch.payload.len(), "only {refused} changes were noticed");
}

#[test]
fn a_count_alone_allocates_nothing() {
    // A length of 2^40 in front of nothing, as a string and as an array's count.
    let huge = [253, 0, 0, 0, 0, 0, 1, 0, 0];
    assert!(metadata::read(&huge).is_err());
    assert!(metadata::read(&[&[1, b'k', 7][..], &huge].concat()).is_err());
    assert!(metadata::read_strings(&huge).is_err());
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| [&[1, b'k'][..], &[7, 1].repeat(levels), &[0]].concat();
    assert!(metadata::read(&deep(31)).is_ok());
    assert!(metadata::read(&deep(32)).unwrap_err().contains("nests deeper"));
    assert!(metadata::read(&deep(1_000_000)).unwrap_err().contains("nests deeper"));
}

#[test]
fn an_error_names_its_batch_and_record_and_ends_the_iteration() {
    let events: Vec<_> = (0..3).map(|_| TimedEvent::new(None, Event::Heartbeat)).collect();
    let mut batch = stored(encode_events(Uuid::nil(), &events, Timestamp::default()), 40);
    let Payload::Memory(bytes) = &mut batch.payload else { panic!() };
    // The second record's kind: each has a length, a kind and a version.
    let mut changed = bytes.to_vec();
    changed[HEAD_LEN + 4] = 99;
    batch.payload = Payload::Memory(changed.into());

    let error = DecodeError { position: Position::new(40), record: 1, what: "unknown kind of record 99".to_owned() };
    assert_eq!(decode(&batch).unwrap_err(), error);
    let read: Vec<_> = Records::of(&batch).unwrap().map(|record| record.map(|_| ())).collect();
    assert_eq!(read, [Ok(()), Err(error)]);
}

#[test]
fn a_batch_with_another_count_than_its_frame_says_is_refused() {
    let mut batch =
        stored(encode_events(Uuid::nil(), &[TimedEvent::new(None, Event::Heartbeat)], Timestamp::default()), 0);
    batch.records = 2;
    assert!(decode(&batch).unwrap_err().what.contains("announced 2 records"));
}
