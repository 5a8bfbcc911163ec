//! Runs from NDJSON, sent as batches to `POST /v1/runs/batch`: of a server, or of the write side itself over an open data
//! directory. So an imported run meets the same validation, privacy rules and idempotency as any other.

mod source;
mod target;

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

pub(crate) use source::Source;
pub(crate) use target::{RUNS, Target};

pub(crate) use self::source::Item;

use self::source::Chunk;

/// How long to go on trying while nothing at all is taken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries, unless the server says how long.
const PAUSE: Duration = Duration::from_millis(200);

/// What became of all lines.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) accepted: u64,
    /// Stored already, with the same content.
    pub(crate) duplicates: u64,
    pub(crate) rejected: u64,
    /// Values that the privacy rules removed, by rule.
    pub(crate) removed: std::collections::BTreeMap<String, u64>,
}

/// A line that was not stored.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Rejection {
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: u64,
    pub(crate) run_id: Option<Uuid>,
    /// What the run on its own would have been answered.
    pub(crate) status: u16,
    pub(crate) errors: Value,
}

impl Rejection {
    /// For a person: the place and the rule, never the input.
    pub(crate) fn to_line(&self) -> String {
        let mut text = format!("{}:{}: {}", self.file, self.line, self.status);
        for error in self.errors.as_array().into_iter().flatten() {
            // Of the place what is behind the body and the index in a batch.
            let place: Vec<_> = error["loc"].as_array().into_iter().flatten().skip(2).map(part).collect();
            let message = error["msg"].as_str().unwrap_or("not valid");
            match place.is_empty() {
                true => text.push_str(&format!(" {message};")),
                false => text.push_str(&format!(" {}: {message};", place.join("."))),
            }
        }
        text.trim_end_matches(';').to_owned()
    }
}

fn part(loc: &Value) -> String {
    loc.as_str().map_or_else(|| loc.to_string(), str::to_owned)
}

/// The answer to a batch, as far as it is needed.
#[derive(Deserialize)]
struct BatchAnswer {
    accepted: u64,
    duplicates: u64,
    rejected: Vec<RejectedItem>,
    #[serde(default)]
    removed: std::collections::BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct RejectedItem {
    index: usize,
    run_id: Option<Uuid>,
    status: u16,
    errors: Value,
}

/// Sends everything of `source` to `target`; `reject` is told of each line that was not stored, in order within a batch.
pub(crate) async fn import(
    source: Source,
    target: &Target,
    progress: &mut dyn FnMut(&Outcome),
    reject: &mut dyn FnMut(Rejection) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for file in source.files {
        let mut chunks = file.open()?;
        while let Some(Chunk { items, too_long }) = chunks.next_chunk()? {
            for line in too_long {
                outcome.rejected += 1;
                let errors =
                    serde_json::json!([{"type": "too_large", "loc": [], "msg": "A run must be at most 8 MiB"}]);
                reject(Rejection { file: file.name.clone(), line, run_id: None, status: 413, errors })?;
            }
            store(RUNS, &file.name, items, target, &mut outcome, reject).await?;
            progress(&outcome);
        }
    }
    Ok(outcome)
}

/// Stores one chunk, with as many tries as it takes while some of it is taken.
///
/// `path` is where they go; `file` is what rejections name.
pub(crate) async fn store(
    path: &str,
    file: &str,
    mut items: Vec<Item>,
    target: &Target,
    outcome: &mut Outcome,
    reject: &mut dyn FnMut(Rejection) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut last_progress = Instant::now();
    while !items.is_empty() {
        let body: Bytes =
            items.iter().flat_map(|item| [item.bytes.as_slice(), b"\n"]).collect::<Vec<_>>().concat().into();
        let answer = target.send(path, body).await?;
        let retry_after = answer.retry_after();
        match answer.status {
            200 => {}
            429 | 503 if last_progress.elapsed() < PATIENCE => {
                tokio::time::sleep(retry_after.unwrap_or(PAUSE)).await;
                continue;
            }
            _ => return Err(target.refused(&answer)),
        }
        let answer: BatchAnswer = serde_json::from_slice(&answer.body).context("reading the answer to a batch")?;
        outcome.accepted += answer.accepted;
        outcome.duplicates += answer.duplicates;
        for (rule, count) in answer.removed {
            *outcome.removed.entry(rule).or_default() += count;
        }
        if answer.accepted + answer.duplicates > 0 {
            last_progress = Instant::now();
        }
        let mut again = Vec::new();
        for item in answer.rejected {
            let line = items.get(item.index).context("the answer names an item that was not sent")?;
            match item.status {
                429 | 503 if last_progress.elapsed() < PATIENCE => again.push(item.index),
                409 if target.holds(item.run_id, &line.bytes)? => outcome.duplicates += 1,
                status => {
                    outcome.rejected += 1;
                    let (line, run_id, errors) = (line.line, item.run_id, item.errors);
                    reject(Rejection { file: file.to_owned(), line, run_id, status, errors })?;
                }
            }
        }
        if !again.is_empty() {
            tokio::time::sleep(retry_after.unwrap_or(PAUSE)).await;
        }
        let mut index = 0;
        items.retain(|_| {
            index += 1;
            again.binary_search(&(index - 1)).is_ok()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_names_the_line_and_the_rule() {
        let rejection = Rejection {
            file: "runs.ndjson".to_owned(),
            line: 17,
            run_id: None,
            status: 422,
            errors: serde_json::json!([
                {"type": "missing", "loc": ["body", 3, "steps", 0, "name"], "msg": "Field required"},
                {"type": "json_invalid", "loc": ["body", 3], "msg": "JSON decode error"},
            ]),
        };
        assert_eq!(rejection.to_line(), "runs.ndjson:17: 422 steps.0.name: Field required; JSON decode error");
    }
}
