//! Removing private values from a valid run (contract §2): what is optional is dropped, what is required is replaced.

use std::mem::take;

use agenttracer_model::Run;
use agenttracer_model::privacy::{self, MetadataOf, Removed, Rule};

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
    for step in &mut run.steps {
        required(&mut step.name, counts);
        optional(&mut step.error_code, counts);
        if let Some(code) = &mut step.error_code {
            normalise_code(code);
        }
        step.metadata = privacy::clean_metadata(MetadataOf::Step, take(&mut step.metadata), counts);
    }
    for failure in &mut run.failures {
        // Shapes first: once its characters are replaced, an address can no longer be recognised.
        let before = counts.total();
        required(&mut failure.failure_code, counts);
        if counts.total() == before {
            normalise_code(&mut failure.failure_code);
        }
        failure.message = privacy::clean_message(take(&mut failure.message), counts);
    }
    for decision in &mut run.decisions {
        required(&mut decision.selected, counts);
        decision.candidates = candidates(take(&mut decision.candidates), counts);
        decision.metadata = privacy::clean_metadata(MetadataOf::Decision, take(&mut decision.metadata), counts);
    }
    for signal in &mut run.quality_signals {
        signal.metadata = privacy::clean_metadata(MetadataOf::Signal, take(&mut signal.metadata), counts);
    }
    run.removed_count = removed.total();
    removed
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
