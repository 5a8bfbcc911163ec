//! Attempts: which steps of a run are tries of one operation (HTTP contract §7).
//!
//! What the client says decides, wherever the steps stand and however they ended:
//! 1. `retry_of` names the operation's first attempt. A chain of them leads to its beginning; one that names no other
//!    step of the run, or that runs in a circle, says nothing.
//! 2. `attempt` n follows the latest operation of the same type, name and parent that stands at n-1; failing that, it
//!    stands before one that begins with n+1; failing that, it follows the latest operation if that stands below n;
//!    failing that, its own operation begins with it. `attempt: 1` begins an operation.
//!
//! Without either, a step is a further attempt of the step before it of the same type, name and parent when the two do
//! not overlap and
//! 3. the earlier one did not succeed (and metadata `attempt` does not say that the later one is a first), or
//! 4. metadata `attempt` counts on by one, and the earlier one is not known to have succeeded.
//!
//! So two successes are never grouped unless the client says so. The table of cases stands in the tests below.

use std::collections::HashMap;

use uuid::Uuid;

use crate::taxonomy::{SignalType, StepStatus, StepType};
use crate::{Failure, Metadata, Signal, Step, Timestamp, Value};

/// What decides about the attempts of a step.
#[derive(Clone, Copy, Debug)]
pub struct AttemptInput<'a> {
    /// The step.
    pub step_id: Uuid,
    /// Its type.
    pub step_type: StepType,
    /// Its name.
    pub name: &'a str,
    /// The step around it.
    pub parent: Option<Uuid>,
    /// Its place.
    pub seq: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What the client said of its end.
    pub status: StepStatus,
    /// Whether it failed, or a failure or a signal says so: see [`tells_of_failure`].
    pub did_not_succeed: bool,
    /// The attempt's number that the client gave.
    pub attempt: Option<u32>,
    /// The first attempt that the client named.
    pub retry_of: Option<Uuid>,
    /// The number in the step's metadata: see [`metadata_attempt`].
    pub metadata_attempt: Option<u64>,
}

/// The place of a step among the attempts of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which attempt it is, 1-based.
    pub attempt: u32,
    /// How many attempts the operation has: at least as many as the highest number.
    pub attempts_total: u32,
    /// The operation's first attempt that the run holds; `None` for an operation of one attempt.
    pub retry_group: Option<Uuid>,
}

impl Attempt {
    const ONLY: Self = Self { attempt: 1, attempts_total: 1, retry_group: None };
}

/// Whether a signal with this value says that its step did not succeed.
pub fn tells_of_failure(signal_type: SignalType, value: bool) -> bool {
    value && matches!(signal_type, SignalType::ToolFailure | SignalType::RetryOccurred)
}

/// The attempt's number in a step's metadata: a whole number of at least 1 under `attempt`.
pub fn metadata_attempt(metadata: &Metadata) -> Option<u64> {
    match metadata.get("attempt")? {
        Value::Uint(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 && (1.0..1e9).contains(number) => Some(*number as u64),
        _ => None,
    }
    .filter(|number| *number >= 1)
}

/// The attempts of a run's steps, in the order of `steps`.
pub fn attempts_of_run(steps: &[Step], failures: &[Failure], signals: &[Signal]) -> Vec<Attempt> {
    let mut unsuccessful: Vec<Uuid> = failures.iter().filter_map(|failure| failure.step_id).collect();
    let telling = signals.iter().filter(|signal| tells_of_failure(signal.code.signal_type(), signal.value));
    unsuccessful.extend(telling.filter_map(|signal| signal.step_id));
    unsuccessful.sort_unstable();
    let inputs: Vec<_> = steps
        .iter()
        .map(|step| AttemptInput {
            step_id: step.step_id,
            step_type: step.step_type,
            name: &step.name,
            parent: step.parent_step_id,
            seq: step.seq,
            started_at: step.started_at,
            ended_at: step.ended_at,
            status: step.status,
            did_not_succeed: step.status == StepStatus::Failed || unsuccessful.binary_search(&step.step_id).is_ok(),
            attempt: step.attempt,
            retry_of: step.retry_of,
            metadata_attempt: metadata_attempt(&step.metadata),
        })
        .collect();
    attempts(&inputs)
}

/// The attempts of `steps`, in the order in which they are given; they may be given in any order.
///
/// O(n log n); without retries one look over the steps.
pub fn attempts(steps: &[AttemptInput<'_>]) -> Vec<Attempt> {
    let may_group = |step: &AttemptInput<'_>| {
        step.did_not_succeed || step.retry_of.is_some() || step.attempt.is_some() || step.metadata_attempt.is_some()
    };
    if !steps.iter().any(may_group) {
        return vec![Attempt::ONLY; steps.len()];
    }
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|&index| (steps[index].seq, steps[index].started_at, steps[index].step_id));

    let firsts = firsts(steps);
    let mut operations = Operations::default();
    for index in order {
        let step = &steps[index];
        let operation = match firsts[index] {
            First::OfItself => operations.begun_by(index),
            First::Other(first) => operations.begun_by(first),
            First::Unknown => match step.attempt {
                Some(number) => operations.with_attempt(steps, index, number.max(1)),
                None => operations.without_word(steps, index),
            },
        };
        operations.add(steps, operation, index);
    }
    operations.number(steps)
}

/// Which step is the first attempt, by `retry_of`.
#[derive(Clone, Copy, PartialEq)]
enum First {
    /// `retry_of` says nothing about this step.
    Unknown,
    /// Others name this one.
    OfItself,
    /// The step at this index.
    Other(usize),
}

fn firsts(steps: &[AttemptInput<'_>]) -> Vec<First> {
    let mut firsts = vec![First::Unknown; steps.len()];
    if steps.iter().all(|step| step.retry_of.is_none()) {
        return firsts;
    }
    let index_of: HashMap<Uuid, usize> = steps.iter().enumerate().map(|(index, step)| (step.step_id, index)).collect();
    let named = |index: usize| steps[index].retry_of.and_then(|id| index_of.get(&id)).copied().filter(|n| *n != index);
    let mut settled = vec![false; steps.len()];
    let mut path = Vec::new();
    let mut on_path = vec![false; steps.len()];
    for start in 0..steps.len() {
        let mut at = start;
        path.clear();
        // Follow the chain to its beginning, to a step that is settled already, or around a circle.
        let first = loop {
            if settled[at] {
                break match firsts[at] {
                    First::Other(first) => Some(first),
                    First::OfItself => Some(at),
                    // A step of a circle, or one whose chain begins here.
                    First::Unknown => (named(at).is_none()).then_some(at),
                };
            }
            if on_path[at] {
                break None;
            }
            on_path[at] = true;
            path.push(at);
            match named(at) {
                Some(next) => at = next,
                None => break Some(at),
            }
        };
        for &index in &path {
            settled[index] = true;
            on_path[index] = false;
            match first {
                Some(first) if first != index => {
                    firsts[index] = First::Other(first);
                    firsts[first] = First::OfItself;
                }
                _ => {}
            }
        }
    }
    firsts
}

/// Type, name and parent: what attempts of one operation share.
type Key<'a> = (StepType, &'a str, Option<Uuid>);

fn key<'a>(step: &AttemptInput<'a>) -> Key<'a> {
    (step.step_type, step.name, step.parent)
}

#[derive(Default)]
struct Operations<'a> {
    list: Vec<Operation>,
    /// The operation whose first attempt is the step at this index, by `retry_of`.
    by_first: HashMap<usize, usize>,
    /// The latest step of a key, with its operation.
    latest: HashMap<Key<'a>, (usize, usize)>,
    /// Operations that stand at this attempt; entries that are no longer true are dropped when they are met.
    standing_at: HashMap<(Key<'a>, u32), Vec<usize>>,
    /// Operations that begin with this attempt, above 1; as above.
    beginning_with: HashMap<(Key<'a>, u32), Vec<usize>>,
}

struct Operation {
    /// The first attempt by `retry_of`; it may stand behind others.
    first: Option<usize>,
    /// In order.
    steps: Vec<usize>,
    lowest: u32,
    highest: u32,
}

impl<'a> Operations<'a> {
    fn begin(&mut self, first: Option<usize>) -> usize {
        // A named first attempt counts before it is met.
        let known = u32::from(first.is_some());
        self.list.push(Operation { first, steps: Vec::new(), lowest: known, highest: known });
        self.list.len() - 1
    }

    fn begun_by(&mut self, first: usize) -> usize {
        match self.by_first.get(&first) {
            Some(operation) => *operation,
            None => {
                let operation = self.begin(Some(first));
                self.by_first.insert(first, operation);
                operation
            }
        }
    }

    fn with_attempt(&mut self, steps: &[AttemptInput<'a>], index: usize, number: u32) -> usize {
        let key = key(&steps[index]);
        if number > 1 {
            let standing = self.standing_at.entry((key, number - 1)).or_default();
            while let Some(operation) = standing.pop() {
                if self.list[operation].highest == number - 1 {
                    return operation;
                }
            }
        }
        if let Some(beginning) = number.checked_add(1).and_then(|next| self.beginning_with.get_mut(&(key, next))) {
            while let Some(operation) = beginning.pop() {
                if self.list[operation].lowest == number + 1 {
                    return operation;
                }
            }
        }
        match self.latest.get(&key) {
            Some(&(_, operation)) if number > 1 && self.list[operation].highest < number => operation,
            _ => self.begin(None),
        }
    }

    fn without_word(&mut self, steps: &[AttemptInput<'a>], index: usize) -> usize {
        let step = &steps[index];
        if let Some(&(before, operation)) = self.latest.get(&key(step)) {
            let before = &steps[before];
            let apart = before.ended_at <= step.started_at;
            let tried_again = before.did_not_succeed && step.metadata_attempt != Some(1);
            let counts_on = before.status != StepStatus::Ok
                && before.metadata_attempt.is_some_and(|number| step.metadata_attempt == number.checked_add(1));
            if apart && (tried_again || counts_on) {
                return operation;
            }
        }
        self.begin(None)
    }

    fn add(&mut self, steps: &[AttemptInput<'a>], operation: usize, index: usize) {
        let key = key(&steps[index]);
        let Operation { first, steps: members, lowest, highest } = &mut self.list[operation];
        members.push(index);
        let number = match steps[index].attempt {
            Some(number) => number.max(1),
            None if *first == Some(index) => 1,
            None => highest.saturating_add(1),
        };
        *highest = number.max(*highest);
        *lowest = if *lowest == 0 { number } else { number.min(*lowest) };
        let (lowest, highest) = (*lowest, *highest);
        self.latest.insert(key, (index, operation));
        self.standing_at.entry((key, highest)).or_default().push(operation);
        if lowest > 1 {
            self.beginning_with.entry((key, lowest)).or_default().push(operation);
        }
    }

    fn number(self, steps: &[AttemptInput<'_>]) -> Vec<Attempt> {
        let mut attempts = vec![Attempt::ONLY; steps.len()];
        for mut operation in self.list {
            if let Some(first) = operation.first
                && let Some(place) = operation.steps.iter().position(|index| *index == first)
            {
                operation.steps[..=place].rotate_right(1);
            }
            let mut highest = 0u32;
            for &index in &operation.steps {
                let number = steps[index].attempt.map_or(highest.saturating_add(1), |number| number.max(1));
                attempts[index].attempt = number;
                highest = highest.max(number);
            }
            let total = highest.max(u32::try_from(operation.steps.len()).unwrap_or(u32::MAX));
            if total == 1 {
                continue;
            }
            let first = operation.steps.iter().copied().min_by_key(|index| attempts[*index].attempt);
            for &index in &operation.steps {
                attempts[index].attempts_total = total;
                attempts[index].retry_group = first.map(|first| steps[first].step_id);
            }
        }
        attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step that begins at second `seq` and takes half of one.
    fn step(seq: u32) -> AttemptInput<'static> {
        let start = i64::from(seq) * 1_000_000;
        AttemptInput {
            step_id: id(seq),
            step_type: StepType::Tool,
            name: "api",
            parent: None,
            seq,
            started_at: Timestamp::from_micros(start),
            ended_at: Timestamp::from_micros(start + 500_000),
            status: StepStatus::Unknown,
            did_not_succeed: false,
            attempt: None,
            retry_of: None,
            metadata_attempt: None,
        }
    }

    fn id(seq: u32) -> Uuid {
        Uuid::from_u128(u128::from(seq) + 1)
    }

    /// One step by words: `ok`, `fail`, `a2` (attempt 2), `m2` (metadata attempt 2), `r0` (retry of step 0), `r9` (of no
    /// step), `name=x`, `plan`, `parent`, `long` (overlaps the next).
    fn parse(seq: u32, words: &str) -> AttemptInput<'static> {
        let mut step = step(seq);
        for word in words.split_whitespace() {
            match word {
                "-" => {}
                "ok" => step.status = StepStatus::Ok,
                "fail" => {
                    step.status = StepStatus::Failed;
                    step.did_not_succeed = true;
                }
                "plan" => step.step_type = StepType::Plan,
                "parent" => step.parent = Some(Uuid::from_u128(99)),
                "long" => step.ended_at = Timestamp::from_micros(step.ended_at.as_micros() + 1_000_000),
                "other" => step.name = "other",
                _ => {
                    let number: u32 = word[1..].parse().unwrap();
                    match &word[..1] {
                        "a" => step.attempt = Some(number),
                        "m" => step.metadata_attempt = Some(u64::from(number)),
                        "r" => step.retry_of = Some(id(number)),
                        _ => panic!("{word}"),
                    }
                }
            }
        }
        step
    }

    /// What is expected of a step: `attempt/attempts_total` and, behind `@`, the `seq` of its group's first attempt.
    fn print(attempt: Attempt) -> String {
        let group = attempt.retry_group.map(|id| format!("@{}", id.as_u128() - 1)).unwrap_or_default();
        format!("{}/{}{group}", attempt.attempt, attempt.attempts_total)
    }

    #[test]
    fn the_table_of_cases() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("nothing is said", &["-", "-"], "1/1 1/1"),
            ("two successes are never grouped", &["ok", "ok"], "1/1 1/1"),
            ("again after a failure", &["fail", "ok"], "1/2@0 2/2@0"),
            ("again and again", &["fail", "fail", "fail"], "1/3@0 2/3@0 3/3@0"),
            ("a success ends the operation", &["fail", "ok", "ok"], "1/2@0 2/2@0 1/1"),
            ("and another one begins", &["fail", "ok", "fail", "ok"], "1/2@0 2/2@0 1/2@2 2/2@2"),
            ("other steps may lie between", &["fail", "plan", "other", "ok"], "1/2@0 1/1 1/1 2/2@0"),
            ("another name is another operation", &["fail", "other"], "1/1 1/1"),
            ("another type is another operation", &["fail", "plan"], "1/1 1/1"),
            ("another parent is another operation", &["fail", "parent"], "1/1 1/1"),
            ("steps that overlap run side by side", &["fail long", "ok"], "1/1 1/1"),
            ("the last step before it decides", &["fail", "ok long", "fail"], "1/2@0 2/2@0 1/1"),
            ("a failed last step is no retry of anything", &["ok", "fail"], "1/1 1/1"),
            ("metadata counts on", &["m1", "m2", "m3"], "1/3@0 2/3@0 3/3@0"),
            ("metadata that skips does not count on", &["m1", "m3"], "1/1 1/1"),
            ("metadata that stays does not count on", &["m1", "m1"], "1/1 1/1"),
            ("metadata counts a new operation", &["m1", "m2", "m1", "m2"], "1/2@0 2/2@0 1/2@2 2/2@2"),
            ("metadata 1 is a first attempt even after a failure", &["fail m1", "ok m1"], "1/1 1/1"),
            ("metadata does not group two successes", &["ok m1", "ok m2"], "1/1 1/1"),
            ("metadata 1 alone is no retry", &["m1"], "1/1"),
            ("metadata does not group what overlaps", &["m1 long", "m2"], "1/1 1/1"),
            ("attempt 1 alone is no retry", &["a1"], "1/1"),
            ("attempt 1 twice is two operations", &["fail a1", "ok a1"], "1/1 1/1"),
            ("attempt 2 whatever the outcome", &["ok a1", "ok a2"], "1/2@0 2/2@0"),
            ("attempt 2 after a step that says nothing", &["ok", "ok a2"], "1/2@0 2/2@0"),
            ("attempt 2 although they overlap", &["a1 long", "a2"], "1/2@0 2/2@0"),
            ("attempt 2 before attempt 1", &["a2", "a1"], "2/2@1 1/2@1"),
            ("attempt 3, 2, 1", &["a3", "a2", "a1"], "3/3@2 2/3@2 1/3@2"),
            ("attempt 2 without a first", &["a2"], "2/2@0"),
            ("attempt 3 with a gap", &["a1", "a3"], "1/3@0 3/3@0"),
            ("two operations interleaved", &["a1", "a1", "a2", "a2"], "1/2@0 1/2@1 2/2@1 2/2@0"),
            ("a retry without a number counts on", &["a1 fail", "a2 fail", "ok"], "1/3@0 2/3@0 3/3@0"),
            ("retry_of groups across names", &["other", "r0"], "1/2@0 2/2@0"),
            ("retry_of groups two successes far apart", &["ok", "plan", "ok r0", "ok r0"], "1/3@0 1/1 2/3@0 3/3@0"),
            ("retry_of a later step", &["r1", "-"], "2/2@1 1/2@1"),
            ("retry_of in a chain", &["-", "r0", "r1"], "1/3@0 2/3@0 3/3@0"),
            ("retry_of with a number", &["-", "r0 a5"], "1/5@0 5/5@0"),
            ("retry_of itself says nothing", &["fail", "r1"], "1/2@0 2/2@0"),
            ("retry_of no step says nothing", &["ok", "r9"], "1/1 1/1"),
            ("retry_of in a circle says nothing", &["r1", "r0"], "1/1 1/1"),
            ("a chain into a circle says nothing", &["r1", "r0", "r1"], "1/1 1/1 1/1"),
            ("a named first begins its own operation", &["fail", "fail", "r1"], "1/1 1/2@1 2/2@1"),
            ("after a failed retry_of it goes on", &["-", "r0 fail", "ok"], "1/3@0 2/3@0 3/3@0"),
        ];
        for (what, words, expected) in cases {
            let steps: Vec<_> = words.iter().enumerate().map(|(seq, words)| parse(seq as u32, words)).collect();
            let found: Vec<_> = attempts(&steps).into_iter().map(print).collect();
            assert_eq!(found.join(" "), *expected, "{what}: {words:?}");

            // The order in which steps are given must not matter, only their `seq`.
            let reversed: Vec<_> = steps.iter().rev().copied().collect();
            let found: Vec<_> = attempts(&reversed).into_iter().rev().map(print).collect();
            assert_eq!(found.join(" "), *expected, "{what}, reversed");
        }
    }

    #[test]
    fn metadata_counts_in_whole_numbers() {
        let of = |value| metadata_attempt(&Metadata(vec![("attempt".to_owned(), value)]));
        assert_eq!(of(Value::Uint(2)), Some(2));
        assert_eq!(of(Value::Float(2.0)), Some(2));
        assert_eq!(of(Value::Float(1.5)), None);
        assert_eq!(of(Value::Uint(0)), None);
        assert_eq!(of(Value::Int(-1)), None);
        assert_eq!(of(Value::String("2".to_owned())), None);
        assert_eq!(metadata_attempt(&Metadata::default()), None);
    }

    #[test]
    fn only_true_signals_of_failure_tell() {
        assert!(tells_of_failure(SignalType::ToolFailure, true) && tells_of_failure(SignalType::RetryOccurred, true));
        assert!(!tells_of_failure(SignalType::ToolFailure, false) && !tells_of_failure(SignalType::ToolSuccess, true));
    }

    #[test]
    fn ten_thousand_steps_of_any_kind_are_grouped() {
        let long_chain: Vec<_> =
            (0..10_000).map(|seq| AttemptInput { retry_of: (seq > 0).then(|| id(seq - 1)), ..step(seq) }).collect();
        let found = attempts(&long_chain);
        assert_eq!(found[9_999], Attempt { attempt: 10_000, attempts_total: 10_000, retry_group: Some(id(0)) });

        let descending: Vec<_> =
            (0..10_000).map(|seq| AttemptInput { attempt: Some(10_000 - seq), ..step(seq) }).collect();
        let found = attempts(&descending);
        assert_eq!(found[0], Attempt { attempt: 10_000, attempts_total: 10_000, retry_group: Some(id(9_999)) });
    }
}
