//! How a run came to fail: its first cause, and the way to it. Runs of one agent that failed in the same way have one
//! signature, on every machine and for ever.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::taxonomy::{FailureType, RunStatus, StepStatus, StepType};
use crate::{RunView, Timestamp};

/// How many operations before the failing step count: a longer way differs in every run.
pub const MAX_BEFORE: usize = 6;

/// What counts of a step.
#[derive(Clone, Copy, Debug)]
pub struct PathStep<'a> {
    /// The step.
    pub step_id: Uuid,
    /// Its place.
    pub seq: u32,
    /// When it began: of two steps of one place, as a live run can have them, this decides.
    pub started_at: Timestamp,
    /// Its type.
    pub step_type: StepType,
    /// Its name.
    pub name: &'a str,
    /// What the client said of its end.
    pub status: StepStatus,
}

/// What counts of a failure.
#[derive(Clone, Copy, Debug)]
pub struct PathFailure<'a> {
    /// The step that failed.
    pub step_id: Option<Uuid>,
    /// Its type.
    pub failure_type: FailureType,
    /// Its code.
    pub failure_code: &'a str,
}

/// The first cause of a failed run, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailurePath<'a> {
    /// Type and code of the first cause; `None` when the run says only that it failed.
    pub failure: Option<(FailureType, &'a str)>,
    /// Which of the failures that is.
    pub first: Option<usize>,
    /// Type and name of the failing step, when one is known.
    pub step: Option<(StepType, &'a str)>,
    /// The operations before it, the last [`MAX_BEFORE`] of them; repetitions count once.
    pub before: Vec<(StepType, &'a str)>,
}

impl<'a> FailurePath<'a> {
    /// The way to the failure of a run; `None` when it has none. Steps may be given in any order.
    ///
    /// The first cause is the failure of the step with the lowest `seq`, since a failure spreads to what comes behind it;
    /// failures without a step come last. Without any failure it is the last step that failed.
    pub fn of(status: RunStatus, steps: &[PathStep<'a>], failures: &[PathFailure<'a>]) -> Option<Self> {
        if failures.is_empty() && status != RunStatus::Failure {
            return None;
        }
        // A live run can have two steps of one place: then the time decides, as it does when the run is settled.
        let mut order: Vec<&PathStep<'a>> = steps.iter().collect();
        order.sort_unstable_by_key(|step| (step.seq, step.started_at, step.step_id));
        let place_of = |failure: &PathFailure<'_>| {
            let of = failure.step_id?;
            order.iter().position(|step| step.step_id == of)
        };
        let first = (0..failures.len()).min_by_key(|&index| {
            let place = place_of(&failures[index]);
            (place.is_none(), place, index)
        });
        let failing = match first {
            Some(first) => order.iter().position(|step| Some(step.step_id) == failures[first].step_id),
            None => order.iter().rposition(|step| step.status == StepStatus::Failed),
        };
        let step = failing.map(|at| (order[at].step_type, order[at].name));
        let mut before: Vec<(StepType, &'a str)> = Vec::with_capacity(MAX_BEFORE);
        for step in order[..failing.unwrap_or(order.len())].iter().rev() {
            let operation = (step.step_type, step.name);
            // Attempts of one operation, the failing one included, are one place on the way.
            if before.last().copied().or(failing.map(|at| (order[at].step_type, order[at].name))) == Some(operation) {
                continue;
            }
            before.push(operation);
            if before.len() == MAX_BEFORE {
                break;
            }
        }
        before.reverse();
        let failure = first.map(|first| (failures[first].failure_type, failures[first].failure_code));
        Some(Self { failure, first, step, before })
    }

    /// The signature of this way for runs of one agent: the first 8 bytes of a SHA-256.
    pub fn signature(&self, agent_id: &str) -> u64 {
        let mut hash = Sha256::new();
        // The length stands before each text, so that no two ways are written alike.
        let mut text = |kind: u8, text: &str| {
            hash.update([kind]);
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        text(1, agent_id);
        if let Some((failure_type, code)) = self.failure {
            text(failure_type.tag() + 10, code);
        }
        if let Some((step_type, name)) = self.step {
            text(step_type.tag() + 20, name);
        }
        for (step_type, name) in &self.before {
            text(step_type.tag() + 30, name);
        }
        let hash = hash.finalize();
        u64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }
}

impl RunView {
    /// The way to the run's failure; `None` when it has none.
    pub fn failure_path(&self) -> Option<FailurePath<'_>> {
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| PathStep {
                step_id: step.step_id,
                seq: step.seq,
                started_at: step.started_at,
                step_type: step.step_type,
                name: &step.name,
                status: step.status,
            })
            .collect();
        let failures: Vec<_> = self
            .failures
            .iter()
            .map(|failure| PathFailure {
                step_id: failure.step_id,
                failure_type: failure.failure_type,
                failure_code: &failure.failure_code,
            })
            .collect();
        FailurePath::of(self.status, &steps, &failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seq: u32, name: &str) -> PathStep<'_> {
        let step_id = Uuid::from_u128(u128::from(seq) + 1);
        PathStep {
            step_id,
            seq,
            started_at: Timestamp::default(),
            step_type: StepType::Tool,
            name,
            status: StepStatus::Unknown,
        }
    }

    fn failure(seq: Option<u32>, code: &str) -> PathFailure<'_> {
        let step_id = seq.map(|seq| Uuid::from_u128(u128::from(seq) + 1));
        PathFailure { step_id, failure_type: FailureType::Tool, failure_code: code }
    }

    fn names<'a>(path: &FailurePath<'a>) -> Vec<&'a str> {
        path.before.iter().map(|(_, name)| *name).collect()
    }

    #[test]
    fn the_first_cause_is_the_failure_of_the_earliest_step() {
        let steps = [step(2, "answer"), step(0, "plan"), step(1, "fetch")];
        let failures = [failure(None, "unknown"), failure(Some(2), "invalid_request"), failure(Some(1), "timeout")];
        let path = FailurePath::of(RunStatus::Failure, &steps, &failures).unwrap();
        assert_eq!((path.failure.unwrap().1, path.first, path.step.unwrap().1), ("timeout", Some(2), "fetch"));
        assert_eq!(names(&path), ["plan"]);
    }

    #[test]
    fn retries_and_loops_are_one_place_and_the_way_is_bounded() {
        let long = ["a", "b", "c", "d", "e", "f", "f", "g", "h", "h", "h"];
        let steps: Vec<_> = long.iter().zip(0..).map(|(name, seq)| step(seq, name)).collect();
        let path = FailurePath::of(RunStatus::Failure, &steps, &[failure(Some(10), "timeout")]).unwrap();
        assert_eq!(path.step.unwrap().1, "h");
        assert_eq!(names(&path), ["b", "c", "d", "e", "f", "g"]);
    }

    #[test]
    fn a_run_that_only_says_that_it_failed_has_a_path_too() {
        assert_eq!(FailurePath::of(RunStatus::Success, &[step(0, "a")], &[]), None);
        let mut steps = [step(0, "a"), step(1, "b"), step(2, "c")];
        steps[1].status = StepStatus::Failed;
        let path = FailurePath::of(RunStatus::Failure, &steps, &[]).unwrap();
        assert_eq!((path.failure, path.first, path.step.unwrap().1), (None, None, "b"));
        assert_eq!(names(&path), ["a"]);
        // A failure that the run recovered from.
        assert!(FailurePath::of(RunStatus::Success, &steps, &[failure(None, "timeout")]).is_some());
    }

    #[test]
    fn the_signature_tells_ways_apart_and_stays_the_same() {
        let steps = [step(0, "plan"), step(1, "fetch")];
        let timeout = [failure(Some(1), "timeout")];
        let path = FailurePath::of(RunStatus::Failure, &steps, &timeout).unwrap();
        assert_eq!(path.signature("support"), 0x34ce_1e6d_fd3a_02f9);
        let mut all = vec![path.signature("support"), path.signature("billing")];
        let others = [failure(Some(1), "timeou"), failure(Some(0), "timeout"), failure(None, "timeout")];
        for other in others {
            all.push(FailurePath::of(RunStatus::Failure, &steps, &[other]).unwrap().signature("support"));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }
}
