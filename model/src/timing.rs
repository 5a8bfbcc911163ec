//! Where the time of a run went: idle between steps, overlap, what retries cost, the critical path.
//!
//! Times are those of the steps' clocks (`started_at`, `ended_at`); what retries cost is the sum of `latency_ms`. A step
//! that is the parent of others holds their time already, so overlap and the critical path look at steps without
//! children. All of it is the same in whatever order the steps are given.

use std::cmp::Reverse;

use uuid::Uuid;

use crate::{StepView, Timestamp};

/// What counts of a step.
#[derive(Clone, Copy, Debug)]
pub struct TimedStep {
    /// The step.
    pub step_id: Uuid,
    /// The step around it.
    pub parent: Option<Uuid>,
    /// Its place.
    pub seq: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; before its start counts as at its start.
    pub ended_at: Timestamp,
    /// What the client measured.
    pub latency_ms: u64,
    /// Which attempt of its operation it is, 1-based.
    pub attempt: u32,
    /// The operation's first attempt; `None` for an operation of one attempt.
    pub retry_group: Option<Uuid>,
}

impl From<&StepView> for TimedStep {
    fn from(step: &StepView) -> Self {
        Self {
            step_id: step.step_id,
            parent: step.parent_step_id,
            seq: step.seq,
            started_at: step.started_at,
            ended_at: step.ended_at,
            latency_ms: step.latency_ms,
            attempt: step.attempt,
            retry_group: step.retry_group,
        }
    }
}

/// Where the time of a run went, in whole ms, each rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Between the first step's start and the last one's end, while no step was running.
    pub idle_ms: u64,
    /// How much longer the steps are, one behind the other, than the time in which any of them was running.
    pub overlap_ms: u64,
    /// The latencies of all attempts but the last of each operation; saturates.
    pub retry_waste_ms: u64,
    /// The length of the steps of the [critical path](critical_path), without the gaps between them.
    pub critical_path_ms: u64,
}

impl Timing {
    /// The timing of a run with these steps. O(n log n).
    pub fn of(steps: &[TimedStep]) -> Self {
        let leaves = leaves(steps);
        let all = union(steps.iter());
        let of_leaves = union(leaves.iter().map(|index| &steps[*index]));
        let lengths: u64 = leaves.iter().map(|index| length(&steps[*index])).fold(0, u64::saturating_add);
        let on_path = critical_path(steps).into_iter().map(|index| length(&steps[index]));
        Self {
            idle_ms: (all.span - all.busy) / 1000,
            overlap_ms: (lengths - of_leaves.busy) / 1000,
            retry_waste_ms: retry_waste(steps),
            critical_path_ms: on_path.fold(0, u64::saturating_add) / 1000,
        }
    }
}

/// The chain of steps that the run's end waited for, by their indices, in time order: the step that ended last, before it
/// the one that ended last before that one began, and so on. Steps with children are left out. Of steps that ended in
/// one instant the one that began first counts, then the lower `seq`.
pub fn critical_path(steps: &[TimedStep]) -> Vec<usize> {
    let mut leaves = leaves(steps);
    leaves.sort_by_key(|index| {
        let step = &steps[*index];
        (Reverse(end(step)), step.started_at, step.seq, step.step_id)
    });
    let mut path: Vec<usize> = Vec::new();
    for index in leaves {
        if path.last().is_none_or(|next| end(&steps[index]) <= steps[*next].started_at) {
            path.push(index);
        }
    }
    path.reverse();
    path
}

/// The time in which any of the steps was running, in µs.
pub fn busy_micros(steps: &[TimedStep]) -> u64 {
    union(steps.iter()).busy
}

/// The latencies of all attempts but the last of each operation, in ms.
fn retry_waste(steps: &[TimedStep]) -> u64 {
    let mut tries: Vec<_> =
        steps.iter().filter_map(|step| Some((step.retry_group?, Reverse(step.attempt), step.latency_ms))).collect();
    tries.sort_unstable();
    let operations = tries.chunk_by(|a, b| a.0 == b.0);
    operations.flat_map(|tries| &tries[1..]).fold(0, |sum, (_, _, latency_ms)| sum.saturating_add(*latency_ms))
}

/// The steps that are nobody's parent.
fn leaves(steps: &[TimedStep]) -> Vec<usize> {
    let mut parents: Vec<Uuid> = steps.iter().filter_map(|step| step.parent).collect();
    parents.sort_unstable();
    (0..steps.len()).filter(|index| parents.binary_search(&steps[*index].step_id).is_err()).collect()
}

fn end(step: &TimedStep) -> Timestamp {
    step.ended_at.max(step.started_at)
}

fn length(step: &TimedStep) -> u64 {
    step.ended_at.as_micros().saturating_sub(step.started_at.as_micros()).max(0).cast_unsigned()
}

/// In µs: from the first start to the last end, and how much of that is covered.
#[derive(Default)]
struct Union {
    span: u64,
    busy: u64,
}

fn union<'a>(steps: impl Iterator<Item = &'a TimedStep>) -> Union {
    let mut intervals: Vec<(i64, i64)> =
        steps.map(|step| (step.started_at.as_micros(), end(step).as_micros())).collect();
    intervals.sort_unstable();
    let Some(&(first, mut covered_to)) = intervals.first() else { return Union::default() };
    let mut busy = 0_u64;
    let mut begun = first;
    for &(start, end) in &intervals {
        if start > covered_to {
            busy += begun.abs_diff(covered_to);
            begun = start;
        }
        covered_to = covered_to.max(end);
    }
    busy += begun.abs_diff(covered_to);
    Union { span: first.abs_diff(covered_to), busy }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step from and to these ms.
    fn step(id: u128, from: i64, to: i64) -> TimedStep {
        TimedStep {
            step_id: Uuid::from_u128(id),
            parent: None,
            seq: id as u32,
            started_at: Timestamp::from_micros(from * 1000),
            ended_at: Timestamp::from_micros(to * 1000),
            latency_ms: to.abs_diff(from),
            attempt: 1,
            retry_group: None,
        }
    }

    #[test]
    fn steps_one_behind_the_other_are_all_on_the_path() {
        let steps = [step(1, 0, 10), step(2, 12, 20), step(3, 20, 50)];
        let timing = Timing::of(&steps);
        assert_eq!(timing, Timing { idle_ms: 2, overlap_ms: 0, retry_waste_ms: 0, critical_path_ms: 48 });
        assert_eq!(critical_path(&steps), [0, 1, 2]);
        assert_eq!(Timing::of(&[]), Timing::default());
    }

    #[test]
    fn what_runs_beside_the_path_is_overlap() {
        // 2 and 3 run beside each other, 4 waits for the longer of them.
        let steps = [step(4, 60, 70), step(1, 0, 10), step(2, 10, 30), step(3, 10, 55)];
        assert_eq!(critical_path(&steps), [1, 3, 0]);
        let timing = Timing::of(&steps);
        assert_eq!(timing, Timing { idle_ms: 5, overlap_ms: 20, retry_waste_ms: 0, critical_path_ms: 65 });
    }

    #[test]
    fn a_parent_does_not_overlap_its_children() {
        let mut steps = [step(1, 0, 100), step(2, 10, 30), step(3, 40, 90)];
        steps[1].parent = Some(Uuid::from_u128(1));
        steps[2].parent = Some(Uuid::from_u128(1));
        let timing = Timing::of(&steps);
        assert_eq!(timing, Timing { idle_ms: 0, overlap_ms: 0, retry_waste_ms: 0, critical_path_ms: 70 });
    }

    #[test]
    fn all_attempts_but_the_last_are_waste() {
        let mut steps = [step(1, 0, 5), step(2, 10, 17), step(3, 20, 40), step(4, 50, 51), step(5, 52, 60)];
        for (index, attempt) in [(0, 1), (1, 2), (2, 3)] {
            steps[index].attempt = attempt;
            steps[index].retry_group = Some(Uuid::from_u128(1));
        }
        for (index, attempt) in [(3, 2), (4, 7)] {
            steps[index].attempt = attempt;
            steps[index].retry_group = Some(Uuid::from_u128(4));
        }
        assert_eq!(Timing::of(&steps).retry_waste_ms, 5 + 7 + 1);
    }

    #[test]
    fn a_step_that_ends_before_it_begins_has_no_length() {
        let steps = [step(1, 10, 0), step(2, 20, 30)];
        let timing = Timing::of(&steps);
        assert_eq!(timing, Timing { idle_ms: 10, overlap_ms: 0, retry_waste_ms: 0, critical_path_ms: 10 });
    }
}
