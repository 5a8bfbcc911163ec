//! `/health/live` and `/health/ready`: what whoever starts servers and sends them requests decides by.
//!
//! *Live* fails only where a restart helps, *ready* where requests should go elsewhere for now. Both take no lock that a
//! disk call is made under, and need no key: they tell nothing about anybody.

use std::sync::Arc;

use agenttracer_index::Index;
use agenttracer_model::openapi::{Answer, Document, Endpoint, schema};
use agenttracer_storage::{Health, Log};
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;

/// What a listener needs to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Take runs in.
    Ingest,
    /// Answer questions.
    Query,
}

/// What is looked at.
#[derive(Clone)]
pub(crate) struct Probes {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) index: Arc<Index>,
}

/// The answer of both.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Probe)]
pub(crate) struct ProbeView {
    #[schema(schema_with = probe_status)]
    status: &'static str,
    /// Why the status is `unavailable`, each a sentence; empty otherwise.
    reasons: Vec<String>,
}

fn probe_status() -> ObjectBuilder {
    schema::one_of(["ok", "unavailable"])
}

impl Probes {
    /// Why only a restart helps.
    fn dead(&self) -> Vec<String> {
        let log = (self.log.health() == Health::Dead)
            .then_some("the thread that writes the log has died: restart the server");
        let index = self.index.is_dead().then_some("a thread of the index has died: restart the server");
        log.into_iter().chain(index).map(str::to_owned).collect()
    }

    /// Why requests should go elsewhere.
    fn unready(&self, does: Does) -> Vec<String> {
        let mut reasons = self.dead();
        let reason = match self.log.health() {
            Health::Closed => Some("the server is shutting down"),
            _ if does == Does::Query => None,
            Health::Writable if !self.index.has_room() => Some("the index is behind and its memory is full"),
            // That is among the dead.
            Health::Writable | Health::Dead => None,
            Health::DiskFull => Some("the disk is full"),
            Health::OverLimit => Some("the data directory has reached max_disk"),
            Health::Poisoned(_) => Some("a write failed and the log is being reopened"),
        };
        reasons.extend(reason.map(str::to_owned));
        reasons
    }
}

/// The routes of a listener.
pub(crate) fn routes(probes: &Probes, does: Does) -> Router {
    let (live, ready) = (probes.clone(), probes.clone());
    let live = get(async move || answer(live.dead()));
    let ready = get(async move || answer(ready.unready(does)));
    let mut router = Router::new();
    for (path, methods) in [("/health/live", live), ("/health/ready", ready)] {
        router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
    }
    router
}

fn answer(reasons: Vec<String>) -> Response {
    let (code, status) = match reasons.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let body = serde_json::to_vec(&ProbeView { status, reasons }).unwrap_or_default();
    (code, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// Describes the routes of a listener.
pub(crate) fn describe(document: &mut Document, does: Does) {
    let ok = || Answer::json::<ProbeView>("Yes.", json!({"status": "ok", "reasons": []}));
    let not = |reason: &str| Answer::json::<ProbeView>("No.", json!({"status": "unavailable", "reasons": [reason]}));
    let live = Endpoint::get("get_live", "Whether the server works, or needs a restart")
        .tag("Operation")
        .about("503 only where a restart helps. A full disk is no such thing.")
        .answer(200, ok())
        .answer(503, not("a thread of the index has died: restart the server"));
    document.add("/health/live", live);
    let (what, reason) = match does {
        Does::Ingest => ("Whether runs should be sent here now", "the disk is full"),
        Does::Query => ("Whether questions should be asked here now", "the server is shutting down"),
    };
    let ready = Endpoint::get("get_ready", what).tag("Operation").answer(200, ok()).answer(503, not(reason));
    document.add("/health/ready", ready);
}
