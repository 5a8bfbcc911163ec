//! A run that is being told: what happens in it, one after the other, and then as a whole or as events.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::dice::Dice;

/// A run as it goes on. Its clock is in microseconds from its start.
pub(super) struct Draft {
    pub(super) dice: Dice,
    head: Map<String, Value>,
    now: i64,
    steps: Vec<Step>,
    decisions: Vec<(i64, Value)>,
    signals: Vec<(i64, Value)>,
    failures: Vec<(i64, Value)>,
}

struct Step {
    start: i64,
    end: i64,
    fields: Map<String, Value>,
}

/// A run that is told to its end.
pub(super) struct Told {
    head: Map<String, Value>,
    status: &'static str,
    end: i64,
    steps: Vec<Step>,
    decisions: Vec<(i64, Value)>,
    signals: Vec<(i64, Value)>,
    failures: Vec<(i64, Value)>,
    /// For what has no id of its own.
    event_ids: Vec<Uuid>,
}

/// A thing that happens: when, in microseconds from the start of the run, and what.
pub(super) type Event = (i64, Value);

fn time(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

impl Draft {
    /// A run with these fields of its own.
    pub(super) fn new(mut dice: Dice, head: Value) -> Self {
        let mut head = object(head);
        head.insert("run_id".to_owned(), json!(dice.id()));
        let (steps, decisions, signals, failures) = Default::default();
        Self { dice, head, now: 0, steps, decisions, signals, failures }
    }

    pub(super) fn run_id(&self) -> Value {
        self.head["run_id"].clone()
    }

    /// What the runs of one conversation and trace have in common.
    pub(super) fn shared(&self) -> Vec<(String, Value)> {
        let names = ["session_id", "trace_id", "environment", "metadata"];
        names.iter().filter_map(|name| Some(((*name).to_owned(), self.head.get(*name)?.clone()))).collect()
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.head.insert(name.to_owned(), value);
    }

    /// Where its clock stands, in microseconds.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    pub(super) fn go_to(&mut self, micros: i64) {
        self.now = micros;
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now += ms.cast_signed() * 1000;
    }

    /// A step from now on, which takes `ms`; gives its id.
    pub(super) fn step(&mut self, kind: &str, name: &str, ms: u64, more: Value) -> Uuid {
        let id = self.dice.id();
        // What happens between two steps takes a little, too.
        let start = self.now + self.dice.int(200, 9_000).cast_signed();
        let end = start + ms.cast_signed() * 1000;
        let mut fields =
            object(json!({"step_id": id, "step_type": kind, "name": name, "latency_ms": ms, "status": "ok"}));
        fields.extend(object(more));
        self.steps.push(Step { start, end, fields });
        self.now = end;
        id
    }

    /// A choice that a step makes.
    pub(super) fn decide(&mut self, step: Uuid, kind: &str, reason: &str, selected: &str, candidates: &[&str]) {
        let confidence = (55.0 + self.dice.share() * 44.0).round() / 100.0;
        let decision = json!({
            "decision_id": self.dice.id(), "step_id": step, "decision_type": kind, "reason_code": reason, "selected": selected,
            "candidates": candidates, "confidence": confidence,
        });
        self.decisions.push((self.now, decision));
    }

    pub(super) fn signal(&mut self, step: Uuid, kind: &str, code: &str, value: bool, weight: f64) {
        let signal = json!({
            "signal_id": self.dice.id(), "step_id": step, "signal_type": kind, "signal_code": code, "value": value,
            "weight": weight,
        });
        self.signals.push((self.now, signal));
    }

    pub(super) fn fail(&mut self, step: Option<Uuid>, kind: &str, code: &str, message: &str) {
        let failure = json!({"step_id": step, "failure_type": kind, "failure_code": code, "message": message});
        self.failures.push((self.now, failure));
    }

    /// The end, now.
    pub(super) fn end(mut self, status: &'static str) -> Told {
        self.now += self.dice.int(1_000, 20_000).cast_signed();
        let last = self.steps.iter().map(|step| step.end).max().unwrap_or(0);
        self.steps.sort_by_key(|step| step.start);
        for (step, seq) in self.steps.iter_mut().zip(0_u64..) {
            step.fields.insert("seq".to_owned(), seq.into());
        }
        let count = 2 + 2 * self.steps.len() + self.decisions.len() + self.signals.len() + self.failures.len();
        Told {
            head: self.head,
            status,
            end: self.now.max(last),
            steps: self.steps,
            decisions: self.decisions,
            signals: self.signals,
            failures: self.failures,
            event_ids: (0..count).map(|_| self.dice.id()).collect(),
        }
    }
}

impl Told {
    /// How long it took, in microseconds.
    pub(super) fn duration(&self) -> i64 {
        self.end
    }

    pub(super) fn run_id(&self) -> String {
        self.head["run_id"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn failed(&self) -> bool {
        self.status == "failure"
    }

    /// The run as one that is sent when it is over.
    pub(super) fn whole(&self, started: i64) -> Value {
        let items = |list: &[(i64, Value)]| list.iter().map(|(_, item)| item.clone()).collect::<Vec<_>>();
        let steps: Vec<_> = self.steps.iter().map(|step| step.as_ended(started)).collect();
        let mut run = self.head.clone();
        run.extend(object(json!({
            "status": self.status, "started_at": time(started), "ended_at": time(started + self.end), "steps": steps,
            "decisions": items(&self.decisions), "quality_signals": items(&self.signals),
        })));
        if !self.failures.is_empty() {
            run.insert("failures".to_owned(), Value::Array(items(&self.failures)));
        }
        Value::Object(run)
    }

    /// The run as events, in their order.
    pub(super) fn events(&self, started: i64) -> Vec<Event> {
        let mut events: Vec<(i64, &str, Map<String, Value>)> = Vec::new();
        let mut head = self.head.clone();
        head.insert("started_at".to_owned(), time(started).into());
        events.push((0, "run_started", head));
        for step in &self.steps {
            let mut begun = step.fields.clone();
            begun.retain(|name, _| !matches!(name.as_str(), "latency_ms" | "status" | "error_code"));
            begun.insert("started_at".to_owned(), time(started + step.start).into());
            events.push((step.start, "step_started", begun));
            events.push((step.end, "step_ended", object(step.as_ended(started))));
        }
        let further = [
            ("decision_recorded", &self.decisions),
            ("signal_recorded", &self.signals),
            ("failure_recorded", &self.failures),
        ];
        for (kind, items) in further {
            events.extend(items.iter().map(|(at, item)| (*at, kind, object(item.clone()))));
        }
        let end = object(json!({"status": self.status, "ended_at": time(started + self.end)}));
        events.push((self.end, "run_ended", end));
        // Stable: what happens at the same time stays in this order.
        events.sort_by_key(|(at, _, _)| *at);
        let named = events.into_iter().zip(&self.event_ids).map(|((at, kind, mut fields), event_id)| {
            fields.insert("run_id".to_owned(), self.head["run_id"].clone());
            fields.insert("event_id".to_owned(), json!(event_id));
            fields.insert("type".to_owned(), kind.into());
            fields.insert("time".to_owned(), time(started + at).into());
            (at, Value::Object(fields))
        });
        named.collect()
    }
}

impl Step {
    fn as_ended(&self, started: i64) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("started_at".to_owned(), time(started + self.start).into());
        fields.insert("ended_at".to_owned(), time(started + self.end).into());
        Value::Object(fields)
    }
}
