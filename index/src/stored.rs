//! The bytes of a run's summary in the cold index: one version byte and a bincode body.
//!
//! *Format*: names as they are; a number that others let expect as the difference from what they do, nearly always 0; ids in
//! hex as their bytes; the positions of the batches as runs of equal differences, so that a live run of thousands of
//! single-event batches stays small. The same summary always gives the same bytes.

use std::sync::Arc;

use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepType};
use agenttracer_model::timing::Timing;
use agenttracer_model::{Metadata, Position, Timestamp, Value};
use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use crate::{
    Amounts, DecisionSummary, Fact, FailureSummary, IndexError, RunSummary, SignalSummary, StepSummary, Tenth,
    UsageSummary,
};

const VERSION: u8 = 4;

/// Far more than any run can need; a damaged length is not believed.
const LIMIT_BYTES: usize = 16 << 20;

/// More batches than a run can have, so that a damaged count takes no memory.
const MAX_BATCHES: usize = 1 << 22;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT_BYTES>()
}

/// In the order in which it compresses best, beside others: first what many runs have alike, then numbers, then what never
/// repeats.
#[derive(Encode, BorrowDecode)]
struct StoredRun<'a> {
    agent_id: &'a str,
    agent_version: &'a str,
    environment: &'a str,
    status: u8,
    started: bool,
    whole: bool,
    removed_count: u32,
    retry_count: u32,
    steps: Vec<StoredStep<'a>>,
    usage: Vec<StoredUsage<'a>>,
    /// Whether each model of `usage` is a fact of the steps: then it is not in `step_facts`.
    models_are_facts: bool,
    step_facts: Vec<&'a str>,
    decisions: Vec<StoredDecision<'a>>,
    signals: Vec<StoredSignal>,
    failures: Vec<(u8, &'a str)>,
    /// More than what the steps leave of the run.
    idle_ms: i64,
    overlap_ms: u64,
    retry_waste_ms: u64,
    /// More than the sum of the steps.
    critical_path_ms: i64,
    /// Of each of `steps`.
    latencies_ms: Vec<u64>,
    /// Of each of `usage`: input, output, cost.
    amounts: Vec<[u64; 3]>,
    started_at: i64,
    ended_after_micros: Option<i64>,
    /// After its end, or its start when there is none.
    created_after_micros: i64,
    batches: Vec<Stride>,
    metadata: Vec<(&'a str, StoredValue<'a>)>,
    session_id: Option<StoredText<'a>>,
    trace_id: Option<StoredText<'a>>,
    failure_cluster: Option<[u8; 8]>,
    parent_run_id: Option<[u8; 16]>,
    parent_step_id: Option<[u8; 16]>,
    run_id: [u8; 16],
}

/// A text that may end with as many digits as random ids have in hex.
#[derive(Encode, BorrowDecode)]
enum StoredText<'a> {
    Plain(&'a str),
    /// What stands in front of 16 digits, and these.
    Digits16(&'a str, [u8; 8]),
    /// What stands in front of 32 digits, and these.
    Digits32(&'a str, [u8; 16]),
}

#[derive(Encode, BorrowDecode)]
struct StoredStep<'a> {
    name: &'a str,
    step_type: u8,
    count: u32,
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
    String(StoredText<'a>),
    Array(Vec<StoredValue<'a>>),
    Object(Vec<(&'a str, StoredValue<'a>)>),
}

/// The stored bytes of `run`.
pub(crate) fn encode(run: &RunSummary) -> Vec<u8> {
    let started_at = run.started_at.as_micros();
    let latency_ms = run.step_latency_ms();
    let models_are_facts = run.step_facts.is_sorted_by(|a, b| a < b)
        && run.usage.is_sorted_by(|a, b| a.model < b.model)
        && run.usage.iter().all(|used| run.step_facts.iter().any(|fact| is_model(fact, &used.model)));
    let of_usage = |fact: &&str| models_are_facts && run.usage.iter().any(|used| is_model(fact, &used.model));
    let facts = run.step_facts.iter().map(|fact| &**fact).filter(|fact| !of_usage(fact));
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
        session_id: run.session_id.as_deref().map(store_text),
        trace_id: run.trace_id.as_deref().map(store_text),
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
        models_are_facts,
        step_facts: facts.collect(),
        latencies_ms: run.steps.iter().map(|step| step.latency_ms).collect(),
        amounts: run.usage.iter().map(store_amounts).collect(),
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
    if (stored.steps.len(), stored.usage.len()) != (stored.latencies_ms.len(), stored.amounts.len()) {
        return Err(damaged("another count of numbers than of names"));
    }
    let steps = stored.steps.iter().zip(&stored.latencies_ms).map(load_step).collect::<Option<Vec<_>>>();
    let steps = steps.ok_or_else(|| damaged("unknown step type"))?;
    let models =
        stored.usage.iter().filter(|_| stored.models_are_facts).map(|used| Fact::text(Fact::MODEL, used.model).into());
    let mut step_facts: Vec<Arc<str>> = stored.step_facts.iter().map(|&fact| fact.into()).chain(models).collect();
    if stored.models_are_facts {
        step_facts.sort_unstable();
    }
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
        session_id: stored.session_id.map(|text| load_text(&text).into()),
        trace_id: stored.trace_id.map(|text| load_text(&text).into()),
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
        step_facts,
        usage: stored.usage.iter().zip(&stored.amounts).map(load_usage).collect(),
        whole: stored.whole,
        batches,
    })
}

/// How long a run was idle whose steps came one after the other.
fn expected_idle(duration_ms: Option<u64>, latency_ms: u64) -> u64 {
    duration_ms.unwrap_or(0).saturating_sub(latency_ms)
}

/// Whether a fact is that a step asked this model.
fn is_model(fact: &str, model: &str) -> bool {
    Fact::parts(fact) == Some((Fact::MODEL, model))
}

fn store_text(text: &str) -> StoredText<'_> {
    if let Some((front, digits)) = with_digits(text) {
        return StoredText::Digits32(front, digits);
    }
    with_digits(text).map_or(StoredText::Plain(text), |(front, digits)| StoredText::Digits16(front, digits))
}

/// A text as what stands in front of its last digits, and these, two to a byte; `None` when it does not end with so many.
fn with_digits<const BYTES: usize>(text: &str) -> Option<(&str, [u8; BYTES])> {
    // Only what comes back as it is: no capital letters.
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (front, digits) = text.split_at_checked(text.len().checked_sub(2 * BYTES)?)?;
    let mut bytes = [0; BYTES];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some((front, bytes))
}

fn load_text(text: &StoredText<'_>) -> String {
    let (front, digits) = match text {
        StoredText::Plain(text) => return (*text).to_owned(),
        StoredText::Digits16(front, digits) => (front, &digits[..]),
        StoredText::Digits32(front, digits) => (front, &digits[..]),
    };
    let mut text = String::with_capacity(front.len() + 2 * digits.len());
    text.push_str(front);
    for byte in digits {
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

fn store_step(step: &StepSummary) -> StoredStep<'_> {
    StoredStep { name: &step.name, step_type: step.step_type.tag(), count: step.count }
}

fn load_step((step, latency_ms): (&StoredStep<'_>, &u64)) -> Option<StepSummary> {
    let StoredStep { name, step_type, count } = *step;
    Some(StepSummary { name: name.into(), step_type: StepType::from_tag(step_type)?, count, latency_ms: *latency_ms })
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
    StoredUsage { model: &usage.model, steps: usage.steps }
}

fn store_amounts(usage: &UsageSummary) -> [u64; 3] {
    let Amounts { input_tokens, output_tokens, cost_nano_usd } = usage.amounts;
    [input_tokens, output_tokens, cost_nano_usd]
}

fn load_usage((usage, amounts): (&StoredUsage<'_>, &[u64; 3])) -> UsageSummary {
    let [input_tokens, output_tokens, cost_nano_usd] = *amounts;
    let amounts = Amounts { input_tokens, output_tokens, cost_nano_usd };
    UsageSummary { model: usage.model.into(), steps: usage.steps, amounts }
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
        Value::String(value) => StoredValue::String(store_text(value)),
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
        StoredValue::String(value) => Value::String(load_text(&value)),
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
    fn texts_with_digits_come_back_as_they_were_sent() {
        let hex = "4bf92f3577b34da6a3ce929d0e0e4736";
        let hyphened = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
        let front = "täglich-4bf92f3577b34da6";
        let mut bytes = Vec::new();
        for text in [hex, hyphened, front, "4BF92F3577B34DA6A3CE929D0E0E4736", "4bf9", "", "ä4bf92f3577b34da", "{4bf9}"]
        {
            let mut run = run(1);
            run.trace_id = Some(text.into());
            run.session_id = Some(text.into());
            run.metadata = Metadata(vec![("key".into(), Value::String(text.into()))]);
            bytes.push(encode(&run));
            assert_eq!(decode(bytes.last().unwrap()).unwrap(), run);
        }
        assert_eq!(bytes[1].len() - bytes[0].len(), 3 * (hyphened.len() + 1 - 17));
    }

    #[test]
    fn the_models_of_steps_come_back_in_the_order_they_had() {
        let usage = |model: &str| UsageSummary { model: model.into(), steps: 1, amounts: Amounts::default() };
        let lists: [(&[&str], &[&str]); 6] = [
            (&["m-1", "m-2"], &["http_status\x00200", "model\0m-1", "model\0m-2", "provider\0p"]),
            (&["m-1"], &["model\0m-1", "model\0m-2"]),
            (&["m-1", "m-2"], &["model\0m-1"]),
            (&["m-1"], &["provider\0p", "model\0m-1"]),
            (&["", "m-1"], &["model\0m-1"]),
            (&[], &["model\0m-1"]),
        ];
        for (models, facts) in lists {
            let mut run = run(1);
            run.usage = models.iter().map(|model| usage(model)).collect();
            run.step_facts = facts.iter().map(|fact| (*fact).into()).collect();
            assert_eq!(decode(&encode(&run)).unwrap(), run);
        }
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
