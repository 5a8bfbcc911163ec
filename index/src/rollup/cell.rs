//! What a cell holds of its runs: whole numbers only, so that what was added can be taken away again exactly.

use agenttracer_model::taxonomy::RunStatus;
use bincode::{Decode, Encode};

use crate::histogram::{self, Histogram};
use crate::{Amounts, ModelUsage, RunSummary};

/// Sums over some runs that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Cell {
    /// Runs by status, in the order of `RunStatus::ALL`; none is running.
    pub(crate) by_status: [u64; 4],
    /// In the order of `StepType::ALL`.
    pub(crate) steps_by_type: [u64; 5],
    /// Runs with a step of the type, in the order of `StepType::ALL`.
    pub(crate) runs_by_step_type: [u64; 5],
    /// Runs with a failure of the type, in the order of `FailureType::ALL`.
    pub(crate) runs_by_failure_type: [u64; 4],
    /// Runs with a second or later attempt.
    pub(crate) runs_with_retries: u64,
    /// Of all steps.
    pub(crate) step_latency_ms: u128,
    pub(crate) retry_waste_ms: u128,
    /// Failures by `type/code`.
    pub(crate) failures: Tally,
    /// Runs with a failure of the code.
    pub(crate) runs_by_code: Tally,
    /// By model.
    pub(crate) usage: Usage,
    /// Durations in ms by the buckets of [`Histogram`].
    pub(crate) durations: Tally,
    /// When the first of them began.
    pub(crate) first: Bound,
    /// When the last of them began.
    pub(crate) last: Bound,
}

/// What was used of models, ascending by the number of the model. None was used by no run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Usage(Vec<(u32, ModelUsage)>);

/// A time that no run of a cell lies beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Bound {
    pub(crate) micros: i64,
    /// Whether a run began just then. Not so when that run may have gone: the index tells then.
    pub(crate) is_exact: bool,
}

/// How often numbers occur, ascending by number. None occurs zero times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Tally(Vec<(u32, u64)>);

impl Cell {
    /// Whether rollups count this run.
    pub(crate) fn counts(run: &RunSummary) -> bool {
        run.started && run.status != RunStatus::Running
    }

    /// How many runs.
    pub(crate) fn runs(&self) -> u64 {
        self.by_status.iter().sum()
    }

    /// Notes when a run began that is to be added next.
    pub(crate) fn see(&mut self, micros: i64) {
        let at = Bound { micros, is_exact: true };
        if self.runs() == 0 {
            (self.first, self.last) = (at, at);
        } else {
            self.first = self.first.earlier(at);
            self.last = self.last.later(at);
        }
    }

    /// Takes `gone` away, which it must hold, and adds `come`. Runs that only changed are in both.
    pub(crate) fn change(&mut self, gone: Option<&Self>, come: Option<&Self>) {
        if let Some(gone) = gone {
            self.put(gone, u64::wrapping_sub, u128::wrapping_sub);
            self.first.is_exact &= gone.first.micros > self.first.micros;
            self.last.is_exact &= gone.last.micros < self.last.micros;
        }
        let Some(come) = come else { return };
        if self.runs() == 0 {
            (self.first, self.last) = (come.first, come.last);
        } else {
            self.first = self.first.earlier(come.first);
            self.last = self.last.later(come.last);
        }
        self.put(come, u64::wrapping_add, u128::wrapping_add);
    }

    fn put(&mut self, other: &Self, small: fn(u64, u64) -> u64, large: fn(u128, u128) -> u128) {
        let sums = self.by_status.iter_mut().zip(&other.by_status);
        let sums = sums.chain(self.steps_by_type.iter_mut().zip(&other.steps_by_type));
        let sums = sums.chain(self.runs_by_step_type.iter_mut().zip(&other.runs_by_step_type));
        let sums = sums.chain(self.runs_by_failure_type.iter_mut().zip(&other.runs_by_failure_type));
        let sums = sums.chain(std::iter::once((&mut self.runs_with_retries, &other.runs_with_retries)));
        sums.for_each(|(sum, number)| *sum = small(*sum, *number));
        self.step_latency_ms = large(self.step_latency_ms, other.step_latency_ms);
        self.retry_waste_ms = large(self.retry_waste_ms, other.retry_waste_ms);
        self.failures.put(&other.failures, small);
        self.runs_by_code.put(&other.runs_by_code, small);
        self.durations.put(&other.durations, small);
        self.usage.put(&other.usage, small, large);
    }

    /// The same with other numbers for the texts of its failures.
    pub(crate) fn with_failures(self, number: impl FnMut(u32) -> u32) -> Self {
        Self { failures: self.failures.renumbered(number), ..self }
    }

    /// The same with other numbers for the texts of its codes.
    pub(crate) fn with_codes(self, number: impl FnMut(u32) -> u32) -> Self {
        Self { runs_by_code: self.runs_by_code.renumbered(number), ..self }
    }

    /// The same with other numbers for the texts of its models.
    pub(crate) fn with_models(self, mut number: impl FnMut(u32) -> u32) -> Self {
        let mut usage: Vec<_> = self.usage.iter().map(|(model, used)| (number(model), *used)).collect();
        usage.sort_unstable_by_key(|(model, _)| *model);
        Self { usage: Usage(usage), ..self }
    }

    /// The same with other numbers for all texts.
    pub(crate) fn renumbered(self, mut number: impl FnMut(u32) -> u32) -> Self {
        self.with_failures(&mut number).with_codes(&mut number).with_models(number)
    }

    /// The greatest number of a text that it counts.
    pub(crate) fn largest_text(&self) -> Option<u32> {
        let tallies = self.failures.iter().chain(self.runs_by_code.iter()).map(|(text, _)| text);
        tallies.chain(self.usage.iter().map(|(model, _)| model)).max()
    }

    /// How many texts it counts: what bounds the size of a cell.
    pub(crate) fn texts(&self) -> usize {
        self.failures.0.len() + self.runs_by_code.0.len() + self.usage.0.len()
    }
}

impl Bound {
    /// The earlier of two; what is exact wins over what is as early and is not.
    pub(crate) fn earlier(self, other: Self) -> Self {
        match (self.micros, !self.is_exact) <= (other.micros, !other.is_exact) {
            true => self,
            false => other,
        }
    }

    /// The later of two.
    pub(crate) fn later(self, other: Self) -> Self {
        match (self.micros, self.is_exact) >= (other.micros, other.is_exact) {
            true => self,
            false => other,
        }
    }
}

impl Tally {
    /// Adds `count` to a number.
    pub(crate) fn add(&mut self, number: u32, count: u64) {
        match self.0.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (number, count)),
        }
    }

    pub(crate) fn add_duration(&mut self, ms: u64) {
        self.add(histogram::bucket(ms) as u32, 1);
    }

    fn renumbered(&self, mut number: impl FnMut(u32) -> u32) -> Self {
        let mut numbers: Vec<_> = self.iter().map(|(text, count)| (number(text), count)).collect();
        numbers.sort_unstable_by_key(|(text, _)| *text);
        Self(numbers)
    }

    /// The numbers and how often each occurs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        self.0.iter().copied()
    }

    /// Adds durations to a histogram, or takes them away.
    pub(crate) fn add_durations_to(&self, histogram: &mut Histogram, hidden: bool) {
        for (bucket, count) in self.iter() {
            let count = count.cast_signed();
            histogram.add_to_bucket(bucket as usize, if hidden { -count } else { count });
        }
    }

    fn put(&mut self, other: &Self, change: fn(u64, u64) -> u64) {
        if other.0.is_empty() {
            return;
        }
        let before = std::mem::take(&mut self.0);
        self.0.reserve_exact(before.len().max(other.0.len()));
        let (mut ours, mut others) = (before.into_iter().peekable(), other.0.iter().peekable());
        loop {
            let (number, count) = match (ours.peek(), others.peek()) {
                (None, None) => break,
                (Some(our), Some(other)) if our.0 == other.0 => {
                    let changed = (our.0, change(our.1, other.1));
                    ours.next();
                    others.next();
                    changed
                }
                (Some(our), other) if other.is_none_or(|other| our.0 < other.0) => {
                    let our = *our;
                    ours.next();
                    our
                }
                (_, Some(&&(number, count))) => {
                    others.next();
                    (number, change(0, count))
                }
                (Some(_), None) => unreachable!("what is left of ours was taken above"),
            };
            if count != 0 {
                self.0.push((number, count));
            }
        }
        self.0.shrink_to_fit();
    }
}

impl Usage {
    /// Adds what one run used of a model.
    pub(crate) fn add(&mut self, model: u32, steps: u64, amounts: Amounts<u64>) {
        self.of(model).add(steps, amounts);
    }

    /// The models and what was used of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &ModelUsage)> {
        self.0.iter().map(|(model, used)| (*model, used))
    }

    fn put(&mut self, other: &Self, small: fn(u64, u64) -> u64, large: fn(u128, u128) -> u128) {
        for (model, used) in &other.0 {
            self.of(*model).put(used, small, large);
        }
        self.0.retain(|(_, used)| used.runs > 0);
    }

    /// What is known of a model. Most cells tell of one or two, and there are many cells: no room is kept for more.
    fn of(&mut self, model: u32) -> &mut ModelUsage {
        let at = self.0.binary_search_by_key(&model, |(model, _)| *model).unwrap_or_else(|at| {
            self.0.reserve_exact(1);
            self.0.insert(at, (model, ModelUsage::default()));
            at
        });
        &mut self.0[at].1
    }
}

/// An hour, in µs.
pub(crate) const HOUR: i64 = 3_600_000_000;

/// The hour in which a time lies.
pub(crate) fn hour_of(micros: i64) -> i32 {
    // Every i64 of µs lies within three billion hours of the epoch; runs begin within a century of it.
    micros.div_euclid(HOUR).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
