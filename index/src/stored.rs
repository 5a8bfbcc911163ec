//! The bytes of a run's summary in the cold index: one version byte and a bincode body.
//!
//! *Format*: names as they are; a number that others let expect as the difference from what they do, nearly always 0; a
//! trace id in hex as its 16 bytes; the positions of the batches as runs of equal differences, so that a live run of
//! thousands of single-event batches stays small. The same summary always gives the same bytes.

use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepType};
use agenttracer_model::timing::Timing;
use agenttracer_model::{Metadata, Position, Timestamp, Value};
use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use crate::{
    Amounts, DecisionSummary, FailureSummary, IndexError, RunSummary, SignalSummary, StepSummary, Tenth, UsageSummary,
};

const VERSION: u8 = 4;

/// Far more than any run can need; a damaged length is not believed.
const LIMIT_BYTES: usize = 16 << 20;

/// More batches than a run can have, so that a damaged count takes no memory.
const MAX_BATCHES: usize = 1 << 22;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT_BYTES>()
}

#[derive(Encode, BorrowDecode)]
struct StoredRun<'a> {
    run_id: [u8; 16],
    agent_id: &'a str,
    agent_version: &'a str,
    environment: &'a str,
    status: u8,
    started: bool,
    started_at: i64,
    ended_after_micros: Option<i64>,
    /// After its end, or its start when there is none.
    created_after_micros: i64,
    parent_run_id: Option<[u8; 16]>,
    parent_step_id: Option<[u8; 16]>,
    session_id: Option<&'a str>,
    trace_id: Option<StoredTrace<'a>>,
    metadata: Vec<(&'a str, StoredValue<'a>)>,
    removed_count: u32,
    retry_count: u32,
    steps: Vec<StoredStep<'a>>,
    /// More than what the steps leave of the run.
    idle_ms: i64,
    overlap_ms: u64,
    retry_waste_ms: u64,
    /// More than the sum of the steps.
    critical_path_ms: i64,
    failures: Vec<(u8, &'a str)>,
    failure_cluster: Option<[u8; 8]>,
    decisions: Vec<StoredDecision<'a>>,
    signals: Vec<StoredSignal>,
    step_facts: Vec<&'a str>,
    usage: Vec<StoredUsage<'a>>,
    whole: bool,
    batches: Vec<Stride>,
}

#[derive(Encode, BorrowDecode)]
enum StoredTrace<'a> {
    Hex([u8; 16]),
    Text(&'a str),
}

#[derive(Encode, BorrowDecode)]
struct StoredStep<'a> {
    name: &'a str,
    step_type: u8,
    count: u32,
    latency_ms: u64,
}

#[derive(Encode, BorrowDecode)]
struct StoredDecision<'a> {
    reason: u16,
    selected: &'a str,
    confidence: u8,
    count: u32,
}

#[derive(Encode, BorrowDecode)]
struct StoredSignal {
    code: u16,
    value: bool,
    count: u32,
}

#[derive(Encode, BorrowDecode)]
struct StoredUsage<'a> {
    model: &'a str,
    steps: u32,
    input_tokens: u64,
    output_tokens: u64,
    cost_nano_usd: u64,
}

/// `count` positions, each `step` after the one before it (the first stride begins at position 0).
#[derive(Clone, Encode, BorrowDecode)]
struct Stride {
    step: u64,
    count: u32,
}

#[derive(Encode, BorrowDecode)]
enum StoredValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(&'a str),
    Array(Vec<StoredValue<'a>>),
    Object(Vec<(&'a str, StoredValue<'a>)>),
}

/// The stored bytes of `run`.
pub(crate) fn encode(run: &RunSummary) -> Vec<u8> {
    let started_at = run.started_at.as_micros();
    let latency_ms = run.step_latency_ms();
    let stored = StoredRun {
        run_id: run.run_id.into_bytes(),
        agent_id: &run.agent_id,
        agent_version: &run.agent_version,
        environment: &run.environment,
        status: run.status.tag(),
        started: run.started,
        started_at,
        ended_after_micros: run.ended_at.map(|time| time.as_micros().wrapping_sub(started_at)),
        created_after_micros: {
            let before = run.ended_at.unwrap_or(run.started_at);
            run.created_at.as_micros().wrapping_sub(before.as_micros())
        },
        parent_run_id: run.parent_run_id.map(Uuid::into_bytes),
        parent_step_id: run.parent_step_id.map(Uuid::into_bytes),
        session_id: run.session_id.as_deref(),
        trace_id: run.trace_id.as_deref().map(store_trace),
        metadata: store_object(&run.metadata),
        removed_count: run.removed_count,
        retry_count: run.retry_count,
        steps: run.steps.iter().map(store_step).collect(),
        idle_ms: run.timing.idle_ms.wrapping_sub(expected_idle(run.duration_ms, latency_ms)) as i64,
        overlap_ms: run.timing.overlap_ms,
        retry_waste_ms: run.timing.retry_waste_ms,
        critical_path_ms: run.timing.critical_path_ms.wrapping_sub(latency_ms) as i64,
        failures: run.failures.iter().map(|f| (f.failure_type.tag(), &*f.failure_code)).collect(),
        failure_cluster: run.failure_cluster.map(u64::to_be_bytes),
        decisions: run.decisions.iter().map(store_decision).collect(),
        signals: run.signals.iter().map(store_signal).collect(),
        step_facts: run.step_facts.iter().map(|fact| &**fact).collect(),
        usage: run.usage.iter().map(store_usage).collect(),
        whole: run.whole,
        batches: store_positions(&run.batches),
    };
    let mut bytes = Vec::with_capacity(256);
    bytes.push(VERSION);
    bincode::encode_into_std_write(stored, &mut bytes, config()).expect("a Vec takes every byte");
    bytes
}

/// The summary that [`encode`] was given.
pub(crate) fn decode(bytes: &[u8]) -> Result<RunSummary, IndexError> {
    let damaged = |what: &str| IndexError::Document(what.to_owned());
    let body = match bytes.split_first() {
        Some((&VERSION, body)) => body,
        Some((version, _)) => return Err(IndexError::Document(format!("version {version}, expected {VERSION}"))),
        None => return Err(damaged("no stored bytes")),
    };
    let (stored, read): (StoredRun<'_>, usize) =
        bincode::borrow_decode_from_slice(body, config()).map_err(|error| IndexError::Document(error.to_string()))?;
    if read != body.len() {
        return Err(damaged("bytes are left over"));
    }
    let started_at = Timestamp::from_micros(stored.started_at);
    let after = |micros: i64| Timestamp::from_micros(stored.started_at.wrapping_add(micros));
    let ended_at = stored.ended_after_micros.map(after);
    let duration_ms = ended_at.map(|ended_at| ended_at.millis_since(started_at));
    let failures = stored
        .failures
        .iter()
        .map(|&(tag, code)| {
            Some(FailureSummary { failure_type: FailureType::from_tag(tag)?, failure_code: code.into() })
        })
        .collect::<Option<Vec<_>>>();
    let steps = stored.steps.iter().map(load_step).collect::<Option<Vec<_>>>();
    let steps = steps.ok_or_else(|| damaged("unknown step type"))?;
    let latency_ms = steps.iter().fold(0, |sum: u64, step| sum.saturating_add(step.latency_ms));
    let decisions = stored.decisions.iter().map(load_decision).collect::<Option<Vec<_>>>();
    let signals = stored.signals.iter().map(load_signal).collect::<Option<Vec<_>>>();
    let batches = load_positions(&stored.batches).ok_or_else(|| damaged("impossible positions"))?;
    if batches.is_empty() {
        return Err(damaged("a run without a batch"));
    }
    Ok(RunSummary {
        run_id: Uuid::from_bytes(stored.run_id),
        agent_id: stored.agent_id.into(),
        agent_version: stored.agent_version.into(),
        environment: stored.environment.into(),
        status: RunStatus::from_tag(stored.status).ok_or_else(|| damaged("unknown status"))?,
        started: stored.started,
        started_at,
        ended_at,
        created_at: {
            let before = ended_at.unwrap_or(started_at);
            Timestamp::from_micros(before.as_micros().wrapping_add(stored.created_after_micros))
        },
        duration_ms,
        parent_run_id: stored.parent_run_id.map(Uuid::from_bytes),
        parent_step_id: stored.parent_step_id.map(Uuid::from_bytes),
        session_id: stored.session_id.map(Arc::from),
        trace_id: stored.trace_id.map(load_trace),
        metadata: load_object(stored.metadata),
        removed_count: stored.removed_count,
        retry_count: stored.retry_count,
        steps,
        timing: Timing {
            idle_ms: expected_idle(duration_ms, latency_ms).wrapping_add(stored.idle_ms as u64),
            overlap_ms: stored.overlap_ms,
            retry_waste_ms: stored.retry_waste_ms,
            critical_path_ms: latency_ms.wrapping_add(stored.critical_path_ms as u64),
        },
        failures: failures.ok_or_else(|| damaged("unknown failure type"))?,
        failure_cluster: stored.failure_cluster.map(u64::from_be_bytes),
        decisions: decisions.ok_or_else(|| damaged("unknown reason"))?,
        signals: signals.ok_or_else(|| damaged("unknown signal"))?,
        step_facts: stored.step_facts.iter().map(|&fact| fact.into()).collect(),
        usage: stored.usage.iter().map(load_usage).collect(),
        whole: stored.whole,
        batches,
    })
}

/// How long a run was idle whose steps came one after the other.
fn expected_idle(duration_ms: Option<u64>, latency_ms: u64) -> u64 {
    duration_ms.unwrap_or(0).saturating_sub(latency_ms)
}

fn store_trace(trace_id: &str) -> StoredTrace<'_> {
    // Only what comes back as it is: 32 digits, no capital letters, no hyphens.
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let id = Uuid::try_parse(trace_id).ok().filter(|_| trace_id.len() == 32 && trace_id.as_bytes().iter().all(is_hex));
    id.map_or(StoredTrace::Text(trace_id), |id| StoredTrace::Hex(id.into_bytes()))
}

fn load_trace(trace_id: StoredTrace<'_>) -> Arc<str> {
    match trace_id {
        StoredTrace::Hex(id) => Arc::from(&*Uuid::from_bytes(id).as_simple().encode_lower(&mut Uuid::encode_buffer())),
        StoredTrace::Text(text) => text.into(),
    }
}

fn store_step(step: &StepSummary) -> StoredStep<'_> {
    let StepSummary { name, step_type, count, latency_ms } = step;
    StoredStep { name, step_type: step_type.tag(), count: *count, latency_ms: *latency_ms }
}

fn load_step(step: &StoredStep<'_>) -> Option<StepSummary> {
    let StoredStep { name, step_type, count, latency_ms } = *step;
    Some(StepSummary { name: name.into(), step_type: StepType::from_tag(step_type)?, count, latency_ms })
}

fn store_decision(decision: &DecisionSummary) -> StoredDecision<'_> {
    let DecisionSummary { reason, selected, confidence, count } = decision;
    StoredDecision { reason: reason.tag(), selected, confidence: confidence.index() as u8, count: *count }
}

fn load_decision(decision: &StoredDecision<'_>) -> Option<DecisionSummary> {
    Some(DecisionSummary {
        reason: ReasonCode::from_tag(decision.reason)?,
        selected: decision.selected.into(),
        confidence: Tenth::from_index(decision.confidence.into())?,
        count: decision.count,
    })
}

fn store_signal(signal: &SignalSummary) -> StoredSignal {
    StoredSignal { code: signal.code.tag(), value: signal.value, count: signal.count }
}

fn load_signal(signal: &StoredSignal) -> Option<SignalSummary> {
    Some(SignalSummary { code: SignalCode::from_tag(signal.code)?, value: signal.value, count: signal.count })
}

fn store_usage(usage: &UsageSummary) -> StoredUsage<'_> {
    let UsageSummary { model, steps, amounts: Amounts { input_tokens, output_tokens, cost_nano_usd } } = usage;
    let (input_tokens, output_tokens, cost_nano_usd) = (*input_tokens, *output_tokens, *cost_nano_usd);
    StoredUsage { model, steps: *steps, input_tokens, output_tokens, cost_nano_usd }
}

fn load_usage(usage: &StoredUsage<'_>) -> UsageSummary {
    let StoredUsage { model, steps, input_tokens, output_tokens, cost_nano_usd } = *usage;
    UsageSummary { model: model.into(), steps, amounts: Amounts { input_tokens, output_tokens, cost_nano_usd } }
}

fn store_positions(positions: &[Position]) -> Vec<Stride> {
    let mut strides: Vec<Stride> = Vec::with_capacity(1);
    let mut last = 0;
    for position in positions {
        let step = position.get() - last;
        last = position.get();
        match strides.last_mut() {
            Some(stride) if stride.step == step => stride.count += 1,
            _ => strides.push(Stride { step, count: 1 }),
        }
    }
    strides
}

fn load_positions(strides: &[Stride]) -> Option<Vec<Position>> {
    // Before memory is taken for what may be a damaged count.
    let count: u64 = strides.iter().map(|stride| u64::from(stride.count)).sum();
    let mut positions = Vec::with_capacity(usize::try_from(count).ok().filter(|count| *count <= MAX_BATCHES)?);
    let mut last: u64 = 0;
    for stride in strides {
        for _ in 0..stride.count {
            last = last.checked_add(stride.step)?;
            positions.push(Position::new(last));
        }
    }
    Some(positions)
}

fn store_object(object: &Metadata) -> Vec<(&str, StoredValue<'_>)> {
    object.0.iter().map(|(key, value)| (key.as_str(), store_value(value))).collect()
}

fn store_value(value: &Value) -> StoredValue<'_> {
    match value {
        Value::Null => StoredValue::Null,
        Value::Bool(value) => StoredValue::Bool(*value),
        Value::Int(value) => StoredValue::Int(*value),
        Value::Uint(value) => StoredValue::Uint(*value),
        Value::Float(value) => StoredValue::Float(*value),
        Value::String(value) => StoredValue::String(value),
        Value::Array(values) => StoredValue::Array(values.iter().map(store_value).collect()),
        Value::Object(object) => StoredValue::Object(store_object(object)),
    }
}

fn load_object(object: Vec<(&str, StoredValue<'_>)>) -> Metadata {
    Metadata(object.into_iter().map(|(key, value)| (key.to_owned(), load_value(value))).collect())
}

fn load_value(value: StoredValue<'_>) -> Value {
    match value {
        StoredValue::Null => Value::Null,
        StoredValue::Bool(value) => Value::Bool(value),
        StoredValue::Int(value) => Value::Int(value),
        StoredValue::Uint(value) => Value::Uint(value),
        StoredValue::Float(value) => Value::Float(value),
        StoredValue::String(value) => Value::String(value.to_owned()),
        StoredValue::Array(values) => Value::Array(values.into_iter().map(load_value).collect()),
        StoredValue::Object(object) => Value::Object(load_object(object)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::run;

    #[test]
    fn what_was_stored_comes_back() {
        let mut full = run(7);
        full.ended_at = Some(Timestamp::from_micros(full.started_at.as_micros() + 1_234_567));
        full.duration_ms = Some(1234);
        full.parent_run_id = Some(Uuid::from_u128(3));
        full.session_id = Some("s-1".into());
        full.whole = true;
        full.metadata = Metadata(vec![
            ("model".into(), Value::String("m-1".into())),
            ("cost_usd".into(), Value::Float(0.25)),
            ("nested".into(), Value::Array(vec![Value::Null, Value::Int(-3), Value::Object(Metadata::default())])),
        ]);
        full.failures =
            vec![FailureSummary { failure_type: FailureType::Retrieval, failure_code: "index_empty".into() }];
        full.failure_cluster = Some(u64::MAX - 1);
        full.decisions = vec![DecisionSummary {
            reason: ReasonCode::from_tag(3).unwrap(),
            selected: "billing_api".into(),
            confidence: Tenth::of(Some(0.85)),
            count: 2,
        }];
        full.signals = vec![SignalSummary { code: SignalCode::from_tag(25).unwrap(), value: true, count: 1 }];
        full.step_facts = vec!["model\0m-1".into()];
        let amounts = Amounts { input_tokens: 5, output_tokens: u64::MAX, cost_nano_usd: 7 };
        full.usage = vec![UsageSummary { model: "m-1".into(), steps: 3, amounts }];
        full.batches = [0, 5, 6, 7, 8, 900].map(Position::new).to_vec();
        let bytes = encode(&full);
        assert_eq!(decode(&bytes).unwrap(), full);
        assert_eq!(encode(&decode(&bytes).unwrap()), bytes);
    }

    #[test]
    fn a_trace_id_comes_back_as_it_was_sent() {
        let hex = "4bf92f3577b34da6a3ce929d0e0e4736";
        let hyphened = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
        let mut bytes = Vec::new();
        for text in
            [hex, hyphened, "4BF92F3577B34DA6A3CE929D0E0E4736", "4bf9", "", "{4bf92f3577b34da6a3ce929d0e0e4736}"]
        {
            let mut run = run(1);
            run.trace_id = Some(text.into());
            bytes.push(encode(&run));
            assert_eq!(decode(bytes.last().unwrap()).unwrap(), run);
        }
        assert_eq!(bytes[1].len() - bytes[0].len(), hyphened.len() + 1 - 16);
    }

    #[test]
    fn times_that_nothing_lets_expect_come_back() {
        for (idle, critical, latency, ended) in
            [(0, 0, u64::MAX, Some(5)), (u64::MAX, u64::MAX, 7, None), (9, 1, 3, Some(-4))]
        {
            let mut run = run(1);
            run.ended_at = ended.map(|after| Timestamp::from_micros(run.started_at.as_micros() + after));
            run.duration_ms = run.ended_at.map(|at| at.millis_since(run.started_at));
            run.steps[0].latency_ms = latency;
            (run.timing.idle_ms, run.timing.critical_path_ms) = (idle, critical);
            assert_eq!(decode(&encode(&run)).unwrap(), run);
        }
    }

    #[test]
    fn many_single_event_batches_stay_small() {
        let mut live = run(1);
        let before = encode(&live).len();
        live.batches = (100..40_100).map(Position::new).collect();
        assert!(encode(&live).len() < before + 16);
        assert_eq!(decode(&encode(&live)).unwrap().batches.len(), 40_000);
    }

    #[test]
    fn an_impossible_count_of_batches_is_an_error_before_it_takes_memory() {
        let stride = |step, count| Stride { step, count };
        assert_eq!(load_positions(&[stride(0, 1), stride(3, 2)]).unwrap(), [0, 3, 6].map(Position::new));
        assert_eq!(load_positions(&[stride(0, u32::MAX)]), None);
        assert_eq!(load_positions(&vec![stride(1, 1 << 21); 3]), None);
        assert_eq!(load_positions(&[stride(u64::MAX, 2)]), None);
    }

    #[test]
    fn bytes_cut_short_or_of_another_version_are_an_error() {
        let bytes = encode(&run(1));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut other = bytes.clone();
        other[0] = VERSION + 1;
        assert!(decode(&other).is_err());
        let mut longer = bytes;
        longer.push(0);
        assert!(decode(&longer).is_err());
    }
}
