//! What runs used of models: tokens and cost, by the known keys of metadata `model`, `input_tokens`, `output_tokens` and
//! `cost_usd`.
//!
//! Steps say it; a run none of whose steps does may say it itself. Cost is counted in whole billionths of a dollar, so that sums
//! are exact in any order, and what was added can be taken away.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use agenttracer_model::{Metadata, Value};
use agenttracer_storage::record::ScalarRef;
use bincode::{Decode, Encode};

use crate::names::Names;

/// What a run used of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSummary {
    /// The model; empty where none was named.
    pub model: Arc<str>,
    /// In how many steps; 0 where the run itself says it.
    pub steps: u32,
    /// How much; each number saturates.
    pub amounts: Amounts<u64>,
}

/// How much of a model was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Amounts<N> {
    /// Tokens that went in.
    pub input_tokens: N,
    /// Tokens that came out.
    pub output_tokens: N,
    /// Billionths of a dollar.
    pub cost_nano_usd: N,
}

/// What many runs used of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ModelUsage {
    /// How many runs used it.
    pub runs: u64,
    /// In how many steps.
    pub steps: u64,
    /// How much.
    pub amounts: Amounts<u128>,
}

impl ModelUsage {
    /// Adds what one run used.
    pub(crate) fn add(&mut self, steps: u64, amounts: Amounts<u64>) {
        self.runs += 1;
        self.steps += steps;
        self.amounts.put(&amounts.wide(), u128::wrapping_add);
    }

    /// Adds or takes away what other runs used.
    pub(crate) fn put(&mut self, other: &Self, small: fn(u64, u64) -> u64, large: fn(u128, u128) -> u128) {
        self.runs = small(self.runs, other.runs);
        self.steps = small(self.steps, other.steps);
        self.amounts.put(&other.amounts, large);
    }
}

impl Amounts<u64> {
    /// Both together; each number saturates.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_nano_usd: self.cost_nano_usd.saturating_add(other.cost_nano_usd),
        }
    }

    pub(crate) fn wide(self) -> Amounts<u128> {
        Amounts {
            input_tokens: self.input_tokens.into(),
            output_tokens: self.output_tokens.into(),
            cost_nano_usd: self.cost_nano_usd.into(),
        }
    }
}

impl Amounts<u128> {
    pub(crate) fn put(&mut self, other: &Self, put: fn(u128, u128) -> u128) {
        self.input_tokens = put(self.input_tokens, other.input_tokens);
        self.output_tokens = put(self.output_tokens, other.output_tokens);
        self.cost_nano_usd = put(self.cost_nano_usd, other.cost_nano_usd);
    }

    fn narrow(self) -> Amounts<u64> {
        let narrow = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        Amounts {
            input_tokens: narrow(self.input_tokens),
            output_tokens: narrow(self.output_tokens),
            cost_nano_usd: narrow(self.cost_nano_usd),
        }
    }
}

/// What metadata says of one step, or of a run, key by key.
#[derive(Default)]
pub(crate) struct Told<'a> {
    model: Option<Cow<'a, str>>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_nano_usd: Option<u64>,
}

/// What one step used.
pub(crate) type StepUsage = (Arc<str>, Amounts<u64>);

impl<'a> Told<'a> {
    /// Notes one key.
    pub(crate) fn note(&mut self, key: &str, value: ScalarRef<'a>) {
        match key {
            "model" => self.model = self.model.take().or_else(|| text(value)),
            "input_tokens" => self.input_tokens = self.input_tokens.or(scaled(value, 1)),
            "output_tokens" => self.output_tokens = self.output_tokens.or(scaled(value, 1)),
            "cost_usd" => self.cost_nano_usd = self.cost_nano_usd.or(scaled(value, 1_000_000_000)),
            _ => {}
        }
    }

    /// What `metadata` says; `None` when that is nothing.
    pub(crate) fn of(metadata: &'a Metadata, names: &mut Names) -> Option<StepUsage> {
        let mut told = Self::default();
        for (key, value) in &metadata.0 {
            let scalar = match value {
                Value::Null => ScalarRef::Null,
                Value::Bool(value) => ScalarRef::Bool(*value),
                Value::Int(value) => ScalarRef::Int(*value),
                Value::Uint(value) => ScalarRef::Uint(*value),
                Value::Float(value) => ScalarRef::Float(*value),
                Value::String(value) => ScalarRef::String(value),
                Value::Array(_) | Value::Object(_) => continue,
            };
            told.note(key, scalar);
        }
        told.usage(names)
    }

    /// What was noted; `None` when that is nothing.
    pub(crate) fn usage(self, names: &mut Names) -> Option<StepUsage> {
        let Self { model, input_tokens, output_tokens, cost_nano_usd } = self;
        if model.is_none() && input_tokens.is_none() && output_tokens.is_none() && cost_nano_usd.is_none() {
            return None;
        }
        let amounts = Amounts {
            input_tokens: input_tokens.unwrap_or_default(),
            output_tokens: output_tokens.unwrap_or_default(),
            cost_nano_usd: cost_nano_usd.unwrap_or_default(),
        };
        Some((names.share(&model.unwrap_or_default()), amounts))
    }
}

/// A scalar as filters compare it.
fn text(value: ScalarRef<'_>) -> Option<Cow<'_, str>> {
    let value = match value {
        ScalarRef::String(text) => return Some(Cow::Borrowed(text)),
        ScalarRef::Null => return None,
        ScalarRef::Bool(value) => Value::Bool(value),
        ScalarRef::Int(value) => Value::Int(value),
        ScalarRef::Uint(value) => Value::Uint(value),
        ScalarRef::Float(value) => Value::Float(value),
    };
    value.as_fact().map(|fact| Cow::Owned(fact.into_owned()))
}

/// A number that is not negative, so many times, as a whole one; saturates.
fn scaled(value: ScalarRef<'_>, times: u64) -> Option<u64> {
    match value {
        ScalarRef::Uint(number) => Some(number.saturating_mul(times)),
        ScalarRef::Int(number) => u64::try_from(number).ok().map(|number| number.saturating_mul(times)),
        // A conversion from a float saturates.
        ScalarRef::Float(number) if number >= 0.0 => Some((number * times as f64).round() as u64),
        _ => None,
    }
}

/// What the steps of a run used, gathered in any order.
#[derive(Default)]
pub(crate) struct RunUsage(BTreeMap<Arc<str>, (u32, Amounts<u128>)>);

impl RunUsage {
    /// Adds what a step used.
    pub(crate) fn add(&mut self, (model, amounts): &StepUsage) {
        let (steps, sums) = self.0.entry(Arc::clone(model)).or_default();
        *steps += 1;
        sums.put(&amounts.wide(), u128::wrapping_add);
    }

    /// Takes away what was added.
    pub(crate) fn remove(&mut self, (model, amounts): &StepUsage) {
        if let Some((steps, sums)) = self.0.get_mut(model) {
            *steps -= 1;
            sums.put(&amounts.wide(), u128::wrapping_sub);
            if *steps == 0 {
                self.0.remove(model);
            }
        }
    }

    /// What the run used, ascending by model; when no step says anything, what the metadata of the run does.
    pub(crate) fn summaries(&self, metadata: &Metadata, names: &mut Names) -> Vec<UsageSummary> {
        if self.0.is_empty() {
            let own = Told::of(metadata, names);
            return own.map(|(model, amounts)| UsageSummary { model, steps: 0, amounts }).into_iter().collect();
        }
        let summary = |(model, (steps, amounts)): (&Arc<str>, &(u32, Amounts<u128>))| UsageSummary {
            model: Arc::clone(model),
            steps: *steps,
            amounts: amounts.narrow(),
        };
        self.0.iter().map(summary).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(values: &[(&str, Value)]) -> Metadata {
        Metadata(values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[test]
    fn numbers_in_any_form_are_whole_ones() {
        let mut names = Names::new();
        let mut told = |values: &[(&str, Value)]| Told::of(&metadata(values), &mut names);
        assert_eq!(told(&[("provider", Value::String("p".into()))]), None);
        let (model, amounts) = told(&[
            ("model", Value::String("m-1".into())),
            ("input_tokens", Value::Float(12.0)),
            ("output_tokens", Value::Int(-3)),
            ("cost_usd", Value::Float(0.000_012_5)),
        ])
        .unwrap();
        assert_eq!((&*model, amounts), ("m-1", Amounts { input_tokens: 12, output_tokens: 0, cost_nano_usd: 12_500 }));
        let (model, amounts) = told(&[("cost_usd", Value::Uint(u64::MAX))]).unwrap();
        assert_eq!((&*model, amounts.cost_nano_usd), ("", u64::MAX));
        let (model, _) = told(&[("model", Value::Float(4.5)), ("input_tokens", Value::Float(f64::NAN))]).unwrap();
        assert_eq!(&*model, "4.5");
    }

    #[test]
    fn steps_speak_for_the_run_and_what_is_taken_away_was_never_there() {
        let mut names = Names::new();
        let own = metadata(&[("input_tokens", Value::Uint(7))]);
        let step = |model: &str, tokens: u64| -> StepUsage {
            (model.into(), Amounts { input_tokens: tokens, ..Amounts::default() })
        };
        let mut usage = RunUsage::default();
        let of_run = usage.summaries(&own, &mut names);
        assert_eq!((of_run.len(), of_run[0].steps, of_run[0].amounts.input_tokens), (1, 0, 7));
        for used in [step("b", 5), step("a", u64::MAX), step("b", 6), step("a", 1)] {
            usage.add(&used);
        }
        let of_steps: Vec<_> = usage
            .summaries(&own, &mut names)
            .into_iter()
            .map(|u| (u.model.to_string(), u.steps, u.amounts.input_tokens))
            .collect();
        assert_eq!(of_steps, [("a".to_owned(), 2, u64::MAX), ("b".to_owned(), 2, 11)]);
        for used in [step("a", u64::MAX), step("b", 5), step("b", 6)] {
            usage.remove(&used);
        }
        assert_eq!(usage.summaries(&own, &mut names)[0].amounts.input_tokens, 1);
        usage.remove(&step("a", 1));
        assert_eq!(usage.summaries(&own, &mut names), of_run);
    }
}
