//! From a parsed body to a run: every rule of contract §1 and the refusals of §2, with all independent errors.

use agenttracer_model::privacy::{self, MessageWords, MetadataOf};
use agenttracer_model::taxonomy::{
    DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepStatus, StepType,
};
use agenttracer_model::{Decision, Digest, Failure, Metadata, Run, Signal, Step, Timestamp};
use sonic_rs::{Value, ValueRef};
use uuid::Uuid;

use crate::error::Refused;
use crate::fields::{ClosedList, Field, absent, either, fields};
use crate::issues::Issues;
use crate::json;

/// Steps, decisions and signals, each.
const MOST_PARTS: usize = 10_000;
/// The largest latency: 2^53 ms, the last integer that every JSON reader holds exactly.
pub(crate) const MOST_LATENCY_MS: u64 = 1 << 53;
/// Far above every real message; what is longer than the contract's 500 is cut later.
const MOST_MESSAGE: usize = usize::MAX;

pub(crate) const STATUSES: ClosedList<RunStatus> = ClosedList {
    parse: |text| RunStatus::parse(text).filter(|status| *status != RunStatus::Running),
    names: || names(RunStatus::ALL, RunStatus::as_str).filter(|name| *name != "running").collect(),
};
const STEP_TYPES: ClosedList<StepType> =
    ClosedList { parse: StepType::parse, names: || names(StepType::ALL, StepType::as_str).collect() };
const STEP_STATUSES: ClosedList<StepStatus> =
    ClosedList { parse: StepStatus::parse, names: || names(StepStatus::ALL, StepStatus::as_str).collect() };
const FAILURE_TYPES: ClosedList<FailureType> =
    ClosedList { parse: FailureType::parse, names: || names(FailureType::ALL, FailureType::as_str).collect() };
const DECISION_TYPES: ClosedList<DecisionType> =
    ClosedList { parse: DecisionType::parse, names: || names(DecisionType::ALL, DecisionType::as_str).collect() };
const SIGNAL_TYPES: ClosedList<SignalType> =
    ClosedList { parse: SignalType::parse, names: || names(SignalType::ALL, SignalType::as_str).collect() };

fn names<T: Copy>(all: &'static [T], name: fn(T) -> &'static str) -> impl Iterator<Item = &'static str> {
    all.iter().map(move |value| name(*value))
}

/// A run as it was sent: valid, its private values not removed yet, absent ids nil, without a digest.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The run.
    pub(crate) run: Run,
    /// Whether it has status `failure` and its failure was left out: accepted, and counted.
    pub(crate) failure_left_out: bool,
}

/// What was found out about a body.
#[derive(Debug)]
pub(crate) struct Verdict<T> {
    /// What was read, or all errors.
    pub(crate) draft: Result<T, Refused>,
    /// The run's id when it is readable, whatever else is wrong.
    pub(crate) run_id: Option<Uuid>,
    /// Whether metadata holds a float that could be an integer beyond 64 bits: parse with exact numbers and ask again.
    pub(crate) doubtful: bool,
}

/// Looks at a whole body; `item` is its index in a batch.
pub(crate) fn validate(body: &Value, item: Option<usize>, words: MessageWords) -> Verdict<Draft> {
    let mut reader = Reader::new(item, words);
    let draft = reader.run(body);
    reader.verdict(draft)
}

/// Reads a body part by part, and notes what is wrong with it.
pub(crate) struct Reader {
    pub(crate) issues: Issues,
    words: MessageWords,
    doubtful: bool,
    pub(crate) run_id: Option<Uuid>,
}

impl Reader {
    /// Begins at the body, or at an item of it.
    pub(crate) fn new(item: Option<usize>, words: MessageWords) -> Self {
        Self { issues: Issues::new(item), words, doubtful: false, run_id: None }
    }

    /// What was found out: `draft` is what was read, `None` when an error was noted.
    pub(crate) fn verdict<T>(self, draft: Option<T>) -> Verdict<T> {
        let Self { issues, doubtful, run_id, .. } = self;
        let (errors, rules) = issues.into_errors();
        let draft = match draft {
            Some(draft) if errors.is_empty() => Ok(draft),
            _ => Err(Refused::Invalid(errors, rules)),
        };
        Verdict { draft, run_id, doubtful }
    }

    fn run(&mut self, body: &Value) -> Option<Draft> {
        let object = self.issues.object(body)?;
        fields!(object; run_id, agent_id, agent_version, environment, status, started_at, ended_at, steps, failure,
            failures, decisions, quality_signals, parent_run_id, parent_step_id, session_id, trace_id, metadata);

        let issues = &mut self.issues;
        let run_id = issues.id("run_id", run_id);
        self.run_id = run_id.filter(|id| !id.is_nil());
        let agent_id = issues.text("agent_id", agent_id, 255);
        let agent_version = issues.text("agent_version", agent_version, 100);
        let environment = self.environment(environment);
        let issues = &mut self.issues;
        let status = issues.one_of("status", status, STATUSES);
        let started_at = issues.datetime("started_at", started_at);
        let ended_at = issues.optional_datetime("ended_at", ended_at);
        if let (Some(started_at), Some(Some(ended_at))) = (started_at, ended_at) {
            self.in_order(started_at, ended_at);
        }
        let steps = match steps {
            None => Some(Vec::new()),
            Some(steps) => self.steps(steps),
        };
        let several = failures.filter(|failures| failure.is_none() && matches!(failures.as_ref(), ValueRef::Array(_)));
        let failure_left_out = status == Some(RunStatus::Failure) && failure.is_none() && several.is_none();
        let failures = match several {
            Some(several) => self.list("failures", several, Self::failure),
            None => self.failures(failure, status),
        };
        let decisions = self.optional_list("decisions", decisions, Self::decision);
        let quality_signals = self.optional_list("quality_signals", quality_signals, Self::signal);
        let issues = &mut self.issues;
        let parent_run_id = issues.optional_id("parent_run_id", parent_run_id);
        let parent_step_id = issues.optional_id("parent_step_id", parent_step_id);
        let session_id = issues.optional_text("session_id", session_id, 128);
        let trace_id = self.trace_id(trace_id);
        let metadata =
            if absent(metadata) { Some(Metadata::default()) } else { self.metadata(MetadataOf::Run, metadata) };

        let run = Run {
            run_id: run_id?,
            agent_id: agent_id?,
            agent_version: agent_version?,
            environment: environment?,
            status: status?,
            started_at: started_at?,
            ended_at: ended_at?,
            parent_run_id: parent_run_id?,
            parent_step_id: parent_step_id?,
            session_id: session_id?,
            trace_id: trace_id?,
            metadata: metadata?,
            steps: steps?,
            failures: failures?,
            decisions: decisions?,
            quality_signals: quality_signals?,
            removed_count: 0,
            digest: Digest::default(),
        };
        Some(Draft { run, failure_left_out })
    }

    /// The default is `production`, for an empty string too.
    pub(crate) fn environment(&mut self, field: Field<'_>) -> Option<String> {
        let sent = match field {
            None => String::new(),
            Some(value) => self.issues.string("environment", value, 0, 50)?,
        };
        Some(if sent.is_empty() { "production".to_owned() } else { sent })
    }

    fn in_order(&mut self, started_at: Timestamp, ended_at: Timestamp) -> Option<()> {
        if ended_at < started_at {
            self.issues.at("ended_at", "value_error", "Value error, ended_at must not be before started_at");
            return None;
        }
        Some(())
    }

    /// 32 hex digits, in lower case.
    pub(crate) fn trace_id(&mut self, field: Field<'_>) -> Option<Option<String>> {
        let Some(mut trace_id) = self.issues.optional_text("trace_id", field, usize::MAX)? else {
            return Some(None);
        };
        if trace_id.len() != 32 || !trace_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.issues.at("trace_id", "string_pattern_mismatch", "String should be 32 hex digits");
            return None;
        }
        trace_id.make_ascii_lowercase();
        Some(Some(trace_id))
    }

    /// Reads one element of a list at its place; what it records there makes it wrong.
    fn part<T>(&mut self, index: usize, value: &Value, read: fn(&mut Self, &Value) -> Option<T>) -> Option<T> {
        let before = self.issues.count();
        self.issues.enter(index);
        let part = read(self, value);
        self.issues.leave();
        part.filter(|_| self.issues.count() == before)
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        value: &Value,
        read: fn(&mut Self, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let ValueRef::Array(array) = value.as_ref() else {
            self.issues.at(name, "list_type", "Input should be a valid list");
            return None;
        };
        if array.len() > MOST_PARTS {
            self.issues.at(name, "too_long", format!("List should have at most {MOST_PARTS} items after validation"));
            return None;
        }
        let mut parts = Vec::with_capacity(array.len());
        self.issues.enter(name);
        for (index, value) in array.iter().enumerate() {
            parts.extend(self.part(index, value, read));
        }
        self.issues.leave();
        (parts.len() == array.len()).then_some(parts)
    }

    fn optional_list<T>(
        &mut self,
        name: &'static str,
        field: Field<'_>,
        read: fn(&mut Self, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        match field {
            Some(value) if !absent(field) => self.list(name, value, read),
            _ => Some(Vec::new()),
        }
    }

    /// In `seq` order; together the numbers must be exactly 0..n-1.
    fn steps(&mut self, value: &Value) -> Option<Vec<Step>> {
        let mut steps = self.list("steps", value, Self::step)?;
        if !steps.is_sorted_by_key(|step| step.seq) {
            steps.sort_by_key(|step| step.seq);
        }
        if steps.iter().enumerate().any(|(index, step)| step.seq as usize != index) {
            self.issues.at("steps", "value_error", "Value error, the seq of the steps must be exactly 0 to n-1");
            return None;
        }
        Some(steps)
    }

    pub(crate) fn step(&mut self, value: &Value) -> Option<Step> {
        self.step_of(value, None)
    }

    /// A step that began: it has no end and no latency yet, and began at the time of its event unless it says otherwise.
    /// `time` is `None` when that could not be read, which was noted.
    pub(crate) fn step_begun(&mut self, value: &Value, time: Option<Timestamp>) -> Option<Step> {
        self.step_of(value, Some(time))
    }

    fn step_of(&mut self, value: &Value, begun: Option<Option<Timestamp>>) -> Option<Step> {
        let object = self.issues.object(value)?;
        fields!(object; step_id, seq, step_type, name, latency_ms, started_at, ended_at, metadata, status, error_code,
            parent_step_id, attempt, retry_of);

        let issues = &mut self.issues;
        let step_id = issues.id("step_id", step_id);
        let seq = issues.integer("seq", seq, 0, u64::from(u32::MAX));
        let step_type = issues.one_of("step_type", step_type, STEP_TYPES);
        let name = issues.text("name", name, 255);
        let (latency_ms, started_at, ended_at) = match begun {
            None => {
                let latency_ms = issues.integer("latency_ms", latency_ms, 0, MOST_LATENCY_MS);
                (latency_ms, issues.datetime("started_at", started_at), issues.datetime("ended_at", ended_at))
            }
            Some(time) => {
                let started_at = if absent(started_at) { time } else { issues.datetime("started_at", started_at) };
                (Some(0), started_at, started_at)
            }
        };
        if let (Some(started_at), Some(ended_at)) = (started_at, ended_at) {
            self.in_order(started_at, ended_at);
        }
        let metadata = self.metadata(MetadataOf::Step, metadata);
        let issues = &mut self.issues;
        let status =
            if absent(status) { Some(StepStatus::Unknown) } else { issues.one_of("status", status, STEP_STATUSES) };
        let error_code = issues.optional_text("error_code", error_code, 100);
        let parent_step_id = issues.optional_id("parent_step_id", parent_step_id);
        let attempt = if absent(attempt) {
            Some(None)
        } else {
            issues.integer("attempt", attempt, 1, u64::from(u32::MAX)).map(Some)
        };
        let retry_of = issues.optional_id("retry_of", retry_of);
        Some(Step {
            step_id: step_id?,
            // Both are bounded above by u32::MAX.
            seq: seq? as u32,
            step_type: step_type?,
            name: name?,
            latency_ms: latency_ms?,
            started_at: started_at?,
            ended_at: ended_at?,
            status: status?,
            error_code: error_code?,
            parent_step_id: parent_step_id?,
            attempt: attempt?.map(|attempt| attempt as u32),
            retry_of: retry_of?,
            metadata: metadata?,
        })
    }

    /// A failure can stand on a run of any status. Left out it is accepted, an explicit null on a failed run is not.
    fn failures(&mut self, field: Field<'_>, status: Option<RunStatus>) -> Option<Vec<Failure>> {
        match field {
            Some(value) if !absent(field) => {
                self.issues.enter("failure");
                let failure = self.failure(value);
                self.issues.leave();
                failure.map(|failure| vec![failure])
            }
            Some(_) if status == Some(RunStatus::Failure) => {
                self.issues.at("failure", "value_error", "Value error, failure is required when status is 'failure'");
                None
            }
            _ => Some(Vec::new()),
        }
    }

    pub(crate) fn failure(&mut self, value: &Value) -> Option<Failure> {
        let object = self.issues.object(value)?;
        fields!(object; step_id, failure_type, failure_code, message);
        let issues = &mut self.issues;
        let step_id = issues.optional_id("step_id", step_id);
        let failure_type = issues.one_of("failure_type", failure_type, FAILURE_TYPES);
        let failure_code = issues.text("failure_code", failure_code, 100);
        let message = issues.text("message", message, MOST_MESSAGE);
        if let Some(refusal) = message.as_deref().and_then(|message| privacy::refuse_message(message, self.words)) {
            issues.rules.add(refusal.rule);
            issues.at("message", "value_error", format!("Value error, {}", refusal.msg));
        }
        Some(Failure {
            failure_id: Uuid::nil(),
            step_id: step_id?,
            failure_type: failure_type?,
            failure_code: failure_code?,
            message: message?,
        })
    }

    pub(crate) fn decision(&mut self, value: &Value) -> Option<Decision> {
        let object = self.issues.object(value)?;
        fields!(object; decision_id, step_id, decision_type, reason_code, selected, candidates, confidence, metadata);
        let issues = &mut self.issues;
        let decision_id = issues.id("decision_id", decision_id);
        let step_id = issues.optional_id("step_id", step_id);
        let decision_type = issues.one_of("decision_type", decision_type, DECISION_TYPES);
        let selected = issues.text("selected", selected, 200);
        let reason = issues.code(
            "reason_code",
            reason_code,
            decision_type,
            ReasonCode::parse,
            |of| ReasonCode::of(of).collect(),
            |of| format!("decision_type '{of}'"),
        );
        let candidates = self.candidates(candidates);
        let confidence = self.issues.optional_share("confidence", confidence);
        let metadata = self.metadata(MetadataOf::Decision, metadata);
        Some(Decision {
            decision_id: decision_id?,
            step_id: step_id?,
            reason: reason?,
            selected: selected?,
            candidates: candidates?,
            confidence: confidence?,
            metadata: metadata?,
        })
    }

    /// Each must be a string; how many there are and how long is settled by removing, not by refusing.
    fn candidates(&mut self, field: Field<'_>) -> Option<Vec<String>> {
        let Some(value) = field.filter(|_| !absent(field)) else {
            return Some(Vec::new());
        };
        let ValueRef::Array(array) = value.as_ref() else {
            self.issues.at("candidates", "list_type", "Input should be a valid list");
            return None;
        };
        let mut candidates = Vec::with_capacity(array.len());
        self.issues.enter("candidates");
        for (index, value) in array.iter().enumerate() {
            match value.as_ref() {
                ValueRef::String(text) => candidates.push(privacy::normalise_text(text.to_owned())),
                _ => self.issues.at(index, "string_type", "Input should be a valid string"),
            }
        }
        self.issues.leave();
        (candidates.len() == array.len()).then_some(candidates)
    }

    pub(crate) fn signal(&mut self, value: &Value) -> Option<Signal> {
        let object = self.issues.object(value)?;
        fields!(object; signal_id, step_id, signal_type, signal_code, value, weight, metadata);
        let issues = &mut self.issues;
        let signal_id = issues.id("signal_id", signal_id);
        let step_id = issues.optional_id("step_id", step_id);
        let signal_type = issues.one_of("signal_type", signal_type, SIGNAL_TYPES);
        let code = issues.code(
            "signal_code",
            signal_code,
            signal_type,
            SignalCode::parse,
            |of| SignalCode::of(of).collect(),
            |of| format!("signal_type '{of}'"),
        );
        let value = issues.boolean("value", value);
        let weight = issues.optional_share("weight", weight);
        let metadata = self.metadata(MetadataOf::Signal, metadata);
        Some(Signal {
            signal_id: signal_id?,
            step_id: step_id?,
            code: code?,
            value: value?,
            weight: weight?,
            metadata: metadata?,
        })
    }

    /// An object, checked against the refusals of its kind.
    pub(crate) fn metadata(&mut self, of: MetadataOf, field: Field<'_>) -> Option<Metadata> {
        let Some(value) = field else {
            return Some(Metadata::default());
        };
        let ValueRef::Object(object) = value.as_ref() else {
            self.issues.at("metadata", "dict_type", "Input should be a valid dictionary");
            return None;
        };
        let reading = json::metadata(object);
        self.doubtful |= reading.doubtful;
        self.issues.enter("metadata");
        for path in reading.too_large {
            self.issues.below(path, "int_parsing_size", "Input should be a valid integer that fits into 64 bits");
        }
        for refusal in privacy::refuse_metadata(of, &reading.metadata) {
            self.issues.rules.add(refusal.rule);
            self.issues.below(refusal.path, "value_error", format!("Value error, {}", refusal.msg));
        }
        self.issues.leave();
        Some(reading.metadata)
    }
}

impl Issues {
    /// A code that belongs to a type. Without a valid type any string is taken, for the type's error says enough.
    fn code<K: Copy, T>(
        &mut self,
        name: &'static str,
        field: Field<'_>,
        of: Option<K>,
        parse: fn(K, &str) -> Option<T>,
        codes: fn(K) -> Vec<&'static str>,
        describe: fn(K) -> String,
    ) -> Option<T> {
        let value = self.required(name, field)?;
        let ValueRef::String(text) = value.as_ref() else {
            self.at(name, "string_type", "Input should be a valid string");
            return None;
        };
        let of = of?;
        let code = parse(of, text);
        if code.is_none() {
            let msg = format!("Value error, with {} it should be {}", describe(of), either(codes(of)));
            self.at(name, "value_error", msg);
        }
        code
    }
}
