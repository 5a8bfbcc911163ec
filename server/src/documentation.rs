//! The description of the API: one OpenAPI document for each listener, made of the tables of its routes, served as
//! `/openapi.json` and as a page at `/docs`.

mod page;

use agenttracer_model::openapi::{Answer, Document, Endpoint};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use serde_json::json;

use crate::access;
use crate::probes::{self, Does};

/// What the ingest listener serves.
pub fn ingest_document() -> Document {
    let about = "Where agents send their runs. Everything here is synced to the log before it is acknowledged; what the privacy \
                 rules refuse or remove is stored nowhere.";
    let mut document = Document::new("AgentTracer: ingest", about);
    agenttracer_ingest::describe(&mut document);
    agenttracer_erasure::describe(&mut document);
    probes::describe(&mut document, Does::Ingest);
    with_ours(document)
}

/// What the query listener serves, and the listener of the dashboard.
pub fn query_document() -> Document {
    let about = "Questions about runs. An answer holds everything that was acknowledged before it was asked. Parameters that are \
                 not known are ignored; an empty value is no value; a parameter that can be repeated matches any of its values.";
    let mut document = Document::new("AgentTracer: query", about);
    agenttracer_query::describe(&mut document);
    agenttracer_erasure::describe(&mut document);
    access::routes::describe(&mut document);
    probes::describe(&mut document, Does::Query);
    with_ours(document)
}

/// The routes that serve this document.
pub(crate) fn routes(document: &Document) -> Router {
    let json: &'static str = document.to_json().leak();
    let (page, policy) = page::of(document);
    let (page, policy): (&'static str, &'static str) = (page.leak(), policy.leak());
    let as_json = get(async move || ([(CONTENT_TYPE, "application/json")], json).into_response());
    let as_page = get(async move || {
        let headers: [(HeaderName, &str); 4] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, policy),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, page).into_response()
    });
    let mut router = Router::new();
    for (path, methods) in [("/openapi.json", as_json), ("/docs", as_page)] {
        router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
    }
    router
}

/// What stands in front of all routes, and the routes of this module.
fn with_ours(mut document: Document) -> Document {
    let about_document = Endpoint::get("get_openapi", "This document").tag("Operation").answer(
        200,
        Answer::any_json("The description of this listener, in OpenAPI 3.1.", json!({"openapi": "3.1.0"})),
    );
    document.add("/openapi.json", about_document);
    let about_page = Endpoint::get("get_docs", "This document as a page")
        .tag("Operation")
        .answer(200, Answer::text("A page that loads nothing from elsewhere.", "text/html", "<!doctype html>"));
    document.add("/docs", about_page);
    document.everywhere(401, || {
        Answer::problem(
            401,
            "This server asks for a key, and there was none, or none that is valid.",
            "a valid API key is needed: Authorization: Bearer, or X-Api-Key",
        )
    });
    document
        .everywhere(414, || Answer::problem(414, "The query string is too long.", "the query string is over 16 KiB"));
    document.everywhere(431, || {
        Answer::problem(431, "The head of the request is too long.", "the head of the request is over 64 KiB")
    });
    document.everywhere(429, || {
        Answer::problem(429, "The key makes more requests than it may.", "this key makes more requests than it may")
    });
    document.everywhere(403, || {
        let about = "The key has not the scope that is needed, or a write with a cookie could come from another page. Without keys, on \
                     a loopback address: the `Host` is not this machine, or a page of a foreign origin wants to write.";
        Answer::problem(403, about, "this listener answers only to localhost and loopback addresses as Host")
    });
    document.everywhere(500, || Answer::problem(500, "The server made a mistake.", "the server made a mistake"));
    document
        .everywhere(503, || Answer::problem(503, "Too many connections are open.", "too many connections are open"));
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The dashboard's types are made of these files, and a change of the API is seen in a review by their change.
    #[test]
    fn the_documents_are_those_that_are_checked_in() {
        for (name, document) in [("ingest", ingest_document()), ("query", query_document())] {
            let file = root().join(format!("docs/openapi-{name}.json"));
            let made = document.to_json();
            if std::env::var_os("AGENTTRACER_WRITE_OPENAPI").is_some() {
                std::fs::write(&file, &made).unwrap();
            }
            let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                checked_in == made,
                "docs/openapi-{name}.json is not what the code says. Make it anew with\n\
                 AGENTTRACER_WRITE_OPENAPI=1 cargo test --package agenttracer-server --lib the_documents_are"
            );
        }
    }

    /// Whoever serves a path without a row in a table of endpoints finds it here.
    #[test]
    fn every_path_that_the_code_names_is_described() {
        let documents = [ingest_document().to_value(), query_document().to_value()];
        let described: BTreeSet<String> = documents
            .iter()
            .flat_map(|document| document["paths"].as_object().unwrap().keys().map(|path| shape(path)))
            .collect();
        let mut found = BTreeSet::new();
        for folder in std::fs::read_dir(root()).unwrap() {
            gather(&folder.unwrap().path().join("src"), &mut found);
        }
        assert!(found.len() > 20, "{found:?}");
        let missing: Vec<_> = found.difference(&described).collect();
        assert!(missing.is_empty(), "these paths have no description beside their route: {missing:?}");
    }

    /// The path with its parameters unnamed.
    fn shape(path: &str) -> String {
        let parts = path.trim_end_matches('/').split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    /// The paths of the API among the strings of the sources, tests and comments left out.
    fn gather(folder: &Path, found: &mut BTreeSet<String>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                    let strings = line.split('"').skip(1).step_by(2);
                    let paths =
                        strings.filter(|text| text.starts_with("/v1/") || *text == "/health" || *text == "/metrics");
                    // What is asked, not served, can have a query.
                    found.extend(paths.filter(|path| !path.contains(['?', ' '])).map(shape));
                }
            }
        }
    }
}
