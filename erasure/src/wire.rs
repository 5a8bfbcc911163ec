use agenttracer_index::{Erasure, ErasureState};
use agenttracer_model::{FieldError, Loc, Position, Timestamp, hex, lenient};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Wanted;

/// How many values one condition may have.
const MOST_VALUES: usize = 10_000;

/// An erasure as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(crate) struct ErasureView {
    erasure_id: Uuid,
    /// `accepted`: it will happen; `hidden`: no query shows its runs; `purged`: no file holds them.
    state: &'static str,
    /// By what its runs were chosen; never the values.
    selected_by: Vec<&'static str>,
    runs: u64,
    batches: u64,
    accepted_at: Timestamp,
    hidden_at: Option<Timestamp>,
    purged_at: Option<Timestamp>,
    positions: Positions,
    digest: Option<String>,
}

/// Where the log says so.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErasurePositions)]
struct Positions {
    accepted: Position,
    hidden: Option<Position>,
    purged: Option<Position>,
}

/// What `POST /v1/erasures` reads, as it is described: [`wanted`] takes it apart.
#[derive(ToSchema)]
#[schema(as = NewErasure)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct WantedBody {
    /// One run or several.
    #[schema(required = false)]
    run_id: Ids,
    /// One session or several.
    #[schema(required = false)]
    session_id: Names,
    /// One agent or several.
    #[schema(required = false)]
    agent_id: Names,
    /// Not before, on `started_at`; inclusive.
    #[schema(required = false)]
    start_time: Timestamp,
    /// Not after, on `started_at`; inclusive.
    #[schema(required = false)]
    end_time: Timestamp,
}

/// One id, or a list of them.
#[derive(ToSchema)]
#[schema(as = ErasureIds)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Ids {
    One(Uuid),
    More(Vec<Uuid>),
}

/// One name, or a list of them.
#[derive(ToSchema)]
#[schema(as = ErasureNames)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Names {
    One(String),
    More(Vec<String>),
}

impl From<&Erasure> for ErasureView {
    fn from(erasure: &Erasure) -> Self {
        Self {
            erasure_id: erasure.id,
            state: state_name(erasure.state()),
            selected_by: erasure.selection.names(),
            runs: if erasure.hidden.is_some() { erasure.erased } else { erasure.runs },
            batches: erasure.batches,
            accepted_at: erasure.accepted.at,
            hidden_at: erasure.hidden.map(|moment| moment.at),
            purged_at: erasure.purged.map(|moment| moment.at),
            positions: Positions {
                accepted: erasure.accepted.position,
                hidden: erasure.hidden.map(|moment| moment.position),
                purged: erasure.purged.map(|moment| moment.position),
            },
            digest: erasure.digest.map(|digest| hex(&digest.0)),
        }
    }
}

pub(crate) fn state_name(state: ErasureState) -> &'static str {
    match state {
        ErasureState::Accepted => "accepted",
        ErasureState::Hidden => "hidden",
        ErasureState::Purged => "purged",
    }
}

/// Reads the body of `POST /v1/erasures`, or says everything that is wrong with it. A key that is not known is wrong: a
/// misspelt condition must not erase more than was meant.
pub(crate) fn wanted(body: &[u8]) -> Result<Wanted, Vec<FieldError>> {
    let whole = || vec![Loc::Name("body".to_owned())];
    let wrong = |kind, loc, msg: &str| FieldError { kind, loc, msg: msg.to_owned() };
    if body.trim_ascii().is_empty() {
        return Err(vec![wrong("missing", whole(), "Field required")]);
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|_| vec![wrong("json_invalid", whole(), "The body is not valid JSON")])?;
    let Value::Object(fields) = body else {
        return Err(vec![wrong("dict_type", whole(), "Input should be a valid dictionary")]);
    };
    let (mut wanted, mut errors) = (Wanted::default(), Vec::new());
    for (name, value) in &fields {
        let loc = || vec![Loc::Name("body".to_owned()), Loc::Name(name.clone())];
        match name.as_str() {
            "run_id" => {
                for text in texts(value, &loc, &mut errors) {
                    match Uuid::try_parse(&text) {
                        Ok(run_id) => wanted.run_ids.push(run_id),
                        Err(_) => errors.push(wrong("uuid_parsing", loc(), "Input should be a valid UUID")),
                    }
                }
            }
            "session_id" => wanted.session_ids = texts(value, &loc, &mut errors),
            "agent_id" => wanted.agent_ids = texts(value, &loc, &mut errors),
            "start_time" | "end_time" => match value.as_str().map(lenient::datetime) {
                Some(Ok(time)) if name == "start_time" => wanted.start_time = Some(time),
                Some(Ok(time)) => wanted.end_time = Some(time),
                _ => errors.push(wrong("datetime_parsing", loc(), "Input should be a valid datetime")),
            },
            _ => {
                // The name is the client's, and could be anything.
                let msg = "Only run_id, session_id, agent_id, start_time and end_time are known here";
                errors.push(wrong("extra_forbidden", whole(), msg));
            }
        }
    }
    let is_empty = wanted == Wanted::default();
    if errors.is_empty() && is_empty {
        let msg = "At least one of run_id, session_id, agent_id, start_time and end_time is required";
        errors.push(wrong("missing", whole(), msg));
    }
    if errors.is_empty() { Ok(wanted) } else { Err(errors) }
}

/// A string, or a list of at least one.
fn texts(value: &Value, loc: &dyn Fn() -> Vec<Loc>, errors: &mut Vec<FieldError>) -> Vec<String> {
    let texts: Option<Vec<String>> = match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(values) if (1..=MOST_VALUES).contains(&values.len()) => {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    };
    texts.unwrap_or_else(|| {
        let msg = format!("Input should be a string or a list of 1 to {MOST_VALUES} strings");
        errors.push(FieldError { kind: "string_type", loc: loc(), msg });
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_and_a_misspelt_one_refused() {
        let id = Uuid::from_u128(7);
        let body = format!(r#"{{"run_id":"{id}","agent_id":["a","b"],"start_time":"2026-11-22T10:00:00Z"}}"#);
        let read = wanted(body.as_bytes()).unwrap();
        assert_eq!((read.run_ids, read.agent_ids), (vec![id], vec!["a".to_owned(), "b".to_owned()]));
        assert!(read.start_time.is_some() && read.end_time.is_none());
        for (body, kind) in [
            ("", "missing"),
            ("{", "json_invalid"),
            ("[]", "dict_type"),
            ("{}", "missing"),
            (r#"{"agent_id":[]}"#, "string_type"),
            (r#"{"agent_id":[1]}"#, "string_type"),
            (r#"{"run_id":"x"}"#, "uuid_parsing"),
            (r#"{"end_time":"soon"}"#, "datetime_parsing"),
            (r#"{"agent_id":"a","sesion_id":"s"}"#, "extra_forbidden"),
        ] {
            let errors = wanted(body.as_bytes()).unwrap_err();
            assert_eq!(errors[0].kind, kind, "{body}");
            assert!(!errors[0].msg.contains("sesion"), "{body}");
        }
    }
}
