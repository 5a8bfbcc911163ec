//! Ids and references within one run: unique, and naming a step that is there.

use agenttracer_model::Run;
use uuid::Uuid;

/// What contradicts itself, if something does. Ids that the server will make are still nil and contradict nothing.
pub(crate) fn contradiction(run: &Run) -> Option<String> {
    let steps = sorted(run.steps.iter().map(|step| step.step_id));
    let lists = [
        ("steps", "step_id", repeats(&steps)),
        ("decisions", "decision_id", repeats(&sorted(run.decisions.iter().map(|decision| decision.decision_id)))),
        ("quality_signals", "signal_id", repeats(&sorted(run.quality_signals.iter().map(|signal| signal.signal_id)))),
    ];
    for (list, field, repeats) in lists {
        if repeats {
            return Some(format!("{list}: each {field} must be unique within the run"));
        }
    }

    let unknown = |id: Option<Uuid>| id.is_some_and(|id| steps.binary_search(&id).is_err());
    let place = |list: &str, index: usize, field: &str| {
        Some(format!("{list}[{index}].{field} must name a step of the same run"))
    };
    for (index, step) in run.steps.iter().enumerate() {
        if unknown(step.parent_step_id) {
            return place("steps", index, "parent_step_id");
        }
        if unknown(step.retry_of) {
            return place("steps", index, "retry_of");
        }
    }
    if run.failures.iter().any(|failure| unknown(failure.step_id)) {
        return Some("failure.step_id must name a step of the same run".to_owned());
    }
    if let Some(index) = run.decisions.iter().position(|decision| unknown(decision.step_id)) {
        return place("decisions", index, "step_id");
    }
    if let Some(index) = run.quality_signals.iter().position(|signal| unknown(signal.step_id)) {
        return place("quality_signals", index, "step_id");
    }
    None
}

/// The ids that were sent, sorted.
fn sorted(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.filter(|id| !id.is_nil()).collect();
    ids.sort_unstable();
    ids
}

fn repeats(sorted: &[Uuid]) -> bool {
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}
