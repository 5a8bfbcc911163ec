//! Removing private values from a valid run or event (contract §2): what is optional is dropped, what is required is replaced.

use std::mem::take;

use agenttracer_model::privacy::{self, MetadataOf, Removed, Rule};
use agenttracer_model::{Decision, Event, Failure, Run, Signal, Step};

/// How many candidates a decision keeps.
const MOST_CANDIDATES: usize = 64;
/// How many code points a kept candidate has at most.
const LONGEST_CANDIDATE: usize = 200;

/// Removes what may not be stored, and counts it by rule.
pub(crate) fn clean(run: &mut Run) -> Removed {
    let mut removed = Removed::default();
    let counts = &mut removed;
    required(&mut run.agent_id, counts);
    required(&mut run.agent_version, counts);
    required(&mut run.environment, counts);
    optional(&mut run.session_id, counts);
    run.metadata = privacy::clean_metadata(MetadataOf::Run, take(&mut run.metadata), counts);
    run.steps.iter_mut().for_each(|part| step(part, counts));
    run.failures.iter_mut().for_each(|part| failure(part, counts));
    run.decisions.iter_mut().for_each(|part| decision(part, counts));
    run.quality_signals.iter_mut().for_each(|part| signal(part, counts));
    run.removed_count = removed.total();
    removed
}

/// As [`clean`], of one event.
pub(crate) fn event(event: &mut Event) -> Removed {
    let mut removed = Removed::default();
    let counts = &mut removed;
    match event {
        Event::RunStarted(start) => {
            required(&mut start.agent_id, counts);
            required(&mut start.agent_version, counts);
            required(&mut start.environment, counts);
            optional(&mut start.session_id, counts);
            start.metadata = privacy::clean_metadata(MetadataOf::Run, take(&mut start.metadata), counts);
        }
        Event::StepStarted(part) | Event::StepEnded(part) => step(part, counts),
        Event::FailureRecorded(part) => failure(part, counts),
        Event::DecisionRecorded(part) => decision(part, counts),
        Event::SignalRecorded(part) => signal(part, counts),
        // They hold no text.
        Event::Heartbeat | Event::RunEnded(_) | Event::RunAbandoned | Event::RunErased => {}
    }
    removed
}

fn step(step: &mut Step, counts: &mut Removed) {
    required(&mut step.name, counts);
    optional(&mut step.error_code, counts);
    if let Some(code) = &mut step.error_code {
        normalise_code(code);
    }
    step.metadata = privacy::clean_metadata(MetadataOf::Step, take(&mut step.metadata), counts);
}

fn failure(failure: &mut Failure, counts: &mut Removed) {
    // Shapes first: once its characters are replaced, an address can no longer be recognised.
    let before = counts.total();
    required(&mut failure.failure_code, counts);
    if counts.total() == before {
        normalise_code(&mut failure.failure_code);
    }
    failure.message = privacy::clean_message(take(&mut failure.message), counts);
}

fn decision(decision: &mut Decision, counts: &mut Removed) {
    required(&mut decision.selected, counts);
    decision.candidates = candidates(take(&mut decision.candidates), counts);
    decision.metadata = privacy::clean_metadata(MetadataOf::Decision, take(&mut decision.metadata), counts);
}

fn signal(signal: &mut Signal, counts: &mut Removed) {
    signal.metadata = privacy::clean_metadata(MetadataOf::Signal, take(&mut signal.metadata), counts);
}

fn required(text: &mut String, removed: &mut Removed) {
    *text = privacy::clean_required(take(text), removed);
}

fn optional(text: &mut Option<String>, removed: &mut Removed) {
    *text = text.take().and_then(|text| privacy::clean_optional(text, removed));
}

/// A character outside `[A-Za-z0-9_.:-]` becomes `_`.
fn normalise_code(code: &mut String) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if !code.bytes().all(plain) {
        *code = code.chars().map(|c| if u8::try_from(c).is_ok_and(plain) { c } else { '_' }).collect();
    }
}

/// The first that may stay. A longer text is dropped whole: its beginning would be content all the same.
fn candidates(candidates: Vec<String>, removed: &mut Removed) -> Vec<String> {
    let mut kept = candidates;
    kept.retain_mut(|candidate| {
        if candidate.len() > LONGEST_CANDIDATE && candidate.chars().count() > LONGEST_CANDIDATE {
            removed.add(Rule::Size);
            return false;
        }
        match privacy::clean_optional(take(candidate), removed) {
            Some(text) => {
                *candidate = text;
                true
            }
            None => false,
        }
    });
    for _ in MOST_CANDIDATES..kept.len() {
        removed.add(Rule::Size);
    }
    kept.truncate(MOST_CANDIDATES);
    kept
}
