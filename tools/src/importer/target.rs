//! Where runs go: a server over HTTP, or the write side of an open data directory, in this process. Both answer the same
//! request.

use std::time::Duration;

use agenttracer_model::FoldedRun;
use agenttracer_server::{Config, Node};
use anyhow::{Context, anyhow, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use bytes::Bytes;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::data_dir::DataDir;
use crate::exporter::{Line, MADE_BY_SERVER, read_batches};

const PATH: &str = "/v1/runs/batch";
/// Where the key of a server that asks for one stands: never on a command line, which others can see.
const API_KEY: &str = "AGENTTRACER_API_KEY";
const NDJSON: &str = "application/x-ndjson";
/// How long a server may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Takes batches of lines.
pub(crate) enum Target {
    Directory { node: Box<Node>, routes: Router },
    Server { client: reqwest::Client, url: String },
}

/// The answer to one request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Target {
    /// Opens or makes a data directory.
    pub(crate) fn directory(config: &Config) -> anyhow::Result<Self> {
        let node = DataDir::open(config)?;
        let routes = node.ingest_routes(config)?;
        Ok(Self::Directory { node: Box::new(node), routes })
    }

    /// A server whose write side has this base, as `http://127.0.0.1:8000`.
    pub(crate) fn server(base: &str) -> anyhow::Result<Self> {
        if !base.starts_with("http://") {
            bail!("{base} is no address of a server: write it as http://127.0.0.1:8000");
        }
        let mut client = reqwest::Client::builder().timeout(TIMEOUT);
        if let Ok(key) = std::env::var(API_KEY) {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.trim()))
                .map_err(|_| anyhow!("{API_KEY} holds what no key holds"))?;
            value.set_sensitive(true);
            client = client.default_headers(HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
        }
        let client = client.build().context("starting the HTTP client")?;
        Ok(Self::Server { client, url: format!("{}{PATH}", base.trim_end_matches('/')) })
    }

    /// Sends one batch.
    pub(crate) async fn send(&self, lines: Bytes) -> anyhow::Result<Answer> {
        match self {
            Self::Directory { routes, .. } => {
                let request = Request::post(PATH).header(header::CONTENT_TYPE, NDJSON).body(Body::from(lines))?;
                let response = match routes.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
                let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
                Ok(Answer { status, retry_after, body })
            }
            Self::Server { client, url } => {
                let request = client.post(url).header(header::CONTENT_TYPE, NDJSON).body(lines);
                let response = request.send().await.with_context(|| format!("sending to {url}"))?;
                let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
                let body = response.bytes().await.with_context(|| format!("reading the answer of {url}"))?;
                Ok(Answer { status, retry_after, body })
            }
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
            Self::Server { .. } => Ok(()),
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

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
