//! Where runs go: a server over HTTP, or the write side of an open data directory, in this process. Both answer the same
//! request.

use agenttracer_model::FoldedRun;
use agenttracer_server::{Config, Node};
use anyhow::anyhow;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::client::{Answer, Client};
use crate::data_dir::DataDir;
use crate::exporter::{Line, MADE_BY_SERVER, read_batches};

/// Where runs are taken in.
pub(crate) const RUNS: &str = "/v1/runs/batch";
const NDJSON: &str = "application/x-ndjson";

/// Takes batches of lines.
pub(crate) enum Target {
    Directory { node: Box<Node>, routes: Router },
    Server(Box<Client>),
}

impl Target {
    /// Opens or makes a data directory.
    pub(crate) fn directory(config: &Config) -> anyhow::Result<Self> {
        let node = DataDir::open(config)?;
        let routes = node.ingest_routes(config)?;
        Ok(Self::Directory { node: Box::new(node), routes })
    }

    /// Sends one batch to `path`, [`RUNS`] or that of events.
    pub(crate) async fn send(&self, path: &str, lines: Bytes) -> anyhow::Result<Answer> {
        match self {
            Self::Directory { routes, .. } => {
                let request = Request::post(path).header(header::CONTENT_TYPE, NDJSON).body(Body::from(lines))?;
                let response = match routes.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let (parts, body) = response.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await?;
                Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
            }
            Self::Server(client) => client.post_lines(path, lines).await,
        }
    }

    /// Why an answer is none.
    pub(crate) fn refused(&self, answer: &Answer) -> anyhow::Error {
        match self {
            Self::Server(client) => client.refused(answer.status, &answer.body).into(),
            Self::Directory { .. } => anyhow!("the batch was answered with {}", answer.status),
        }
    }

    /// Whether the run that conflicts with `line` is stored just as the line says. Its content digest can differ all the
    /// same: it is of the run as it was first sent, before the server made the ids that an export shows.
    pub(crate) fn holds(&self, run_id: Option<Uuid>, line: &[u8]) -> anyhow::Result<bool> {
        let (Self::Directory { node, .. }, Some(run_id)) = (self, run_id) else { return Ok(false) };
        let Some(summary) = node.index().snapshot().find(run_id)? else { return Ok(false) };
        let batches = read_batches(&*node.log(), summary.batches.iter().copied());
        let batches: Result<Vec<_>, _> = batches.into_values().collect();
        let Some(stored) = batches.ok().and_then(FoldedRun::fold) else { return Ok(false) };
        Ok(without_made(&serde_json::to_vec(&Line::from(&stored))?)? == without_made(line)?)
    }

    /// Closes a directory: commits the index, and marks the log as closed.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Directory { node, routes } => {
                // The routes hold the log too.
                drop(routes);
                Ok(node.close()?)
            }
            Self::Server(_) => Ok(()),
        }
    }
}

/// A line without what each server makes anew.
fn without_made(line: &[u8]) -> anyhow::Result<Value> {
    let mut value: Value = serde_json::from_slice(line)?;
    if let Value::Object(run) = &mut value {
        run.retain(|key, _| !MADE_BY_SERVER.contains(&key.as_str()));
    }
    Ok(value)
}
