//! Prints the taxonomy and the lists of the privacy rules as JSON, for the SDK's copy of them:
//! `sdk/generate_taxonomy.py` reads this.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use agenttracer_model::privacy::{
    CONTENT_KEYS, NO_SECRETS, PRIVATE_KEY_ENDS, PRIVATE_KEYS, SECRET_PREFIXES, THOUGHT_KEYS,
};
use agenttracer_model::taxonomy::{
    DecisionType, FailureType, KNOWN_FAILURE_CODES, KNOWN_METADATA_KEYS, ReasonCode, RunStatus, SignalCode, SignalType,
    StepStatus, StepType,
};
use serde_json::{Map, Value, json};

fn main() {
    let reason_codes: Map<String, Value> = DecisionType::ALL
        .iter()
        .map(|kind| (kind.to_string(), ReasonCode::of(*kind).collect::<Vec<_>>().into()))
        .collect();
    let signal_codes: Map<String, Value> = SignalType::ALL
        .iter()
        .map(|kind| (kind.to_string(), SignalCode::of(*kind).collect::<Vec<_>>().into()))
        .collect();
    let taxonomy = json!({
        // `running` is the server's word: no client sends it.
        "run_statuses": RunStatus::ALL.iter().filter(|status| **status != RunStatus::Running).collect::<Vec<_>>(),
        "step_types": StepType::ALL,
        "step_statuses": StepStatus::ALL,
        "failure_types": FailureType::ALL,
        "reason_codes": reason_codes,
        "signal_codes": signal_codes,
        "failure_codes": KNOWN_FAILURE_CODES,
        "metadata_keys": KNOWN_METADATA_KEYS,
        "content_keys": CONTENT_KEYS,
        "thought_keys": THOUGHT_KEYS,
        "private_keys": PRIVATE_KEYS.as_slice(),
        "private_key_ends": PRIVATE_KEY_ENDS,
        "secret_prefixes": SECRET_PREFIXES,
        "no_secrets": NO_SECRETS,
    });
    println!("{taxonomy:#}");
}
