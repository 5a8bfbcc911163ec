//! What stands between a connection and the routes: who may ask (contract §6), CORS, panics, the access log.
//!
//! It is one function and no stack of layers, since every run passes through it. A request without an `Origin` header,
//! which is every request that no browser sent, does not meet the CORS layer at all; to one with it, every answer passes
//! that layer, so that a page may read why it was refused, too.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_model::Problem;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::{FutureExt, StreamExt};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use hyper::body::{Body as _, Incoming};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::access::{Caller, Endpoints, Guard, Refused};
use crate::config::Origin;
use crate::listeners::MAX_HEAD_BYTES;
use crate::unread;

/// The longest query string: every filter with every value of its list is shorter.
const MAX_QUERY_BYTES: usize = 16 << 10;

/// The response headers that a page of another origin may read.
const EXPOSED: [header::HeaderName; 5] = [
    header::HeaderName::from_static("x-total-count"),
    header::LINK,
    header::HeaderName::from_static("x-log-position"),
    header::HeaderName::from_static("x-removed"),
    header::HeaderName::from_static("x-durability"),
];

/// The routes of one listener, and who may call them.
#[derive(Clone)]
pub(crate) struct Edge {
    inner: Arc<Inner>,
    over_tls: bool,
}

/// Stands in the extensions of a request that came over TLS.
#[derive(Clone, Copy)]
pub(crate) struct OverTls;

struct Inner {
    listener: &'static str,
    routes: Router,
    cors: CorsLayer,
    origins: Vec<HeaderValue>,
    /// Nobody shows a key and only programs of this machine reach the listener: then a page that a browser of this
    /// machine happens to show must not be able to use it.
    loopback: bool,
    access: Option<Access>,
}

/// Who may ask what of a listener.
pub(crate) struct Access {
    pub(crate) guard: Arc<Guard>,
    pub(crate) endpoints: Endpoints,
}

impl Edge {
    /// Puts the edge around `routes`, which are served on an address that is `loopback` or not.
    pub(crate) fn new(
        listener: &'static str,
        routes: Router,
        origins: &[Origin],
        loopback: bool,
        access: Option<Access>,
    ) -> Self {
        let keyless = access.as_ref().is_none_or(|access| !access.guard.required);
        let origins: Vec<_> = origins.iter().map(|origin| origin.header_value().clone()).collect();
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.clone()))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(Duration::from_secs(600));
        Self {
            over_tls: false,
            inner: Arc::new(Inner { listener, routes, cors, origins, loopback: loopback && keyless, access }),
        }
    }

    /// The same, for connections over TLS.
    pub(crate) fn over_tls(self) -> Self {
        Self { over_tls: true, ..self }
    }

    async fn answer(self, mut request: Request<Body>) -> Response {
        if self.over_tls {
            request.extensions_mut().insert(OverTls);
        }
        let started = tracing::enabled!(tracing::Level::DEBUG).then(Instant::now);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let response = if request.headers().contains_key(header::ORIGIN) {
            let inner = service_fn(|request| self.inner.answer(request).map(Ok::<_, Infallible>));
            self.inner.cors.layer(inner).oneshot(request).await.unwrap_or_else(|never| match never {})
        } else {
            let mut response = self.inner.answer(request).await;
            // A cache must not give this answer, which names no origin, to a page that needs it to name one.
            response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
            response
        };
        if let Some(started) = started {
            let status = response.status().as_u16();
            let micros = started.elapsed().as_micros() as u64;
            let listener = self.inner.listener;
            tracing::debug!(listener, %method, route = route_of(uri.path()), status, micros, "answered");
        }
        response
    }
}

/// A response of what a request did not show.
fn refusal_of(refused: Refused, uri: &Uri) -> Response {
    match refused {
        Refused::Unknown => {
            let why = "a valid API key is needed: Authorization: Bearer, or X-Api-Key";
            let mut response = problem(StatusCode::UNAUTHORIZED, why, uri);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Refused::Scope(scope) => problem(StatusCode::FORBIDDEN, &format!("this key has not the scope {scope}"), uri),
        Refused::Csrf => problem(
            StatusCode::FORBIDDEN,
            "a write with the cookie needs the header X-CSRF-Token and our own origin",
            uri,
        ),
        Refused::TooMany => {
            let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "this key makes more requests than it may", uri);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Edge {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let edge = self.clone();
        Box::pin(async move {
            if request.body().is_end_stream() || request.version() == Version::HTTP_2 {
                return Ok(edge.answer(request.map(Body::new)).await);
            }
            let waits_to_be_asked = request.headers().contains_key(header::EXPECT);
            let (head, body) = request.into_parts();
            let (body, owner) = unread::lend(body, waits_to_be_asked);
            let response = edge.answer(Request::from_parts(head, Body::new(body))).await;
            owner.discard().await;
            Ok(response)
        })
    }
}

impl Inner {
    async fn answer(&self, request: Request<Body>) -> Response {
        let uri = request.uri().clone();
        if let Some((status, why)) = self.refusal(&request) {
            return problem(status, why, &uri);
        }
        let caller = match self.admit(&request) {
            Ok(caller) => caller,
            Err(refused) => return refusal_of(refused, &uri),
        };
        // The routes are always ready, and cannot fail.
        match AssertUnwindSafe(self.routes.clone().oneshot(request)).catch_unwind().await {
            Ok(Ok(response)) => self.until_the_key_ends(response, caller),
            Ok(Err(never)) => match never {},
            // The panic hook has said where; what a panic says can hold what a client sent.
            Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the server made a mistake", &uri),
        }
    }

    /// Why nobody may ask this: a name that was bound to this machine by somebody else's DNS, or a write by a page of an
    /// origin that is not ours.
    fn refusal(&self, request: &Request<Body>) -> Option<(StatusCode, &'static str)> {
        if request.uri().query().is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Some((StatusCode::URI_TOO_LONG, "the query string is over 16 KiB"));
        }
        // hyper refuses what its buffer does not hold, but reads that far in steps; here the bound is exact.
        let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
        if headers.sum::<usize>() > MAX_HEAD_BYTES {
            return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is over 64 KiB"));
        }
        self.foreign(request).map(|why| (StatusCode::FORBIDDEN, why))
    }

    fn admit(&self, request: &Request<Body>) -> Result<Option<Caller>, Refused> {
        match &self.access {
            Some(access) => access.guard.admit(&access.endpoints, request),
            None => Ok(None),
        }
    }

    /// A stream lasts as long as the key that it was asked with; every other answer ends by itself.
    fn until_the_key_ends(&self, response: Response, caller: Option<Caller>) -> Response {
        let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        match (&self.access, caller) {
            (Some(access), Some(caller)) if is_stream => {
                let ended = Arc::clone(&access.guard).ended(caller);
                response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
            }
            _ => response,
        }
    }

    fn foreign(&self, request: &Request<Body>) -> Option<&'static str> {
        if !self.loopback {
            return None;
        }
        let headers = request.headers();
        let host = headers.get(header::HOST);
        let foreign = host.is_some_and(|host| !host.to_str().is_ok_and(is_local_name))
            || request.uri().authority().is_some_and(|authority| !is_local(authority.host()));
        if foreign {
            return Some("this listener answers only to localhost and loopback addresses as Host");
        }
        let origin = headers.get(header::ORIGIN)?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads || self.origins.contains(origin) || is_own_page(origin, headers) {
            return None;
        }
        Some("pages of this origin may not write; cors_origins lists those that may")
    }
}

/// Whether a `Host` header names this machine: `localhost` or a loopback address, with any port, since a port may be
/// forwarded.
fn is_local_name(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| !host.contains('@') && is_local(authority.host()))
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the page came from the very listener it asks. `Host` was found to be local before.
fn is_own_page(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let own = headers.get(header::HOST).map(HeaderValue::as_bytes);
    own.is_some() && origin.as_bytes().strip_prefix(b"http://") == own
}

/// The path as the access log may hold it: words that the API has stay, everything else is somebody's data.
fn route_of(path: &str) -> String {
    const WORDS: &[&str] = &[
        "v1",
        "runs",
        "batch",
        "steps",
        "failures",
        "decisions",
        "signals",
        "events",
        "erasures",
        "latency",
        "stats",
        "health",
        "live",
        "ready",
        "metrics",
        "docs",
        "openapi.json",
        "compare",
        "facets",
        "histogram",
        "timeseries",
        "agents",
        "versions",
        "tail",
        "keys",
        "rotate",
        "session",
    ];
    let words = path.split('/').map(|word| if word.is_empty() || WORDS.contains(&word) { word } else { "*" });
    words.collect::<Vec<_>>().join("/")
}

/// The answer to a method that a path does not have.
pub(crate) async fn method_not_allowed() -> Response {
    let mut response = Response::new(Body::from(r#"{"detail":"Method Not Allowed"}"#));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem(status: StatusCode, error: &str, uri: &Uri) -> Response {
    let body = Problem { error: error.into(), status_code: status.as_u16(), path: uri.path().into() };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;

    fn edge(loopback: bool) -> Edge {
        let routes = Router::new()
            .route("/v1/runs", post(async || "stored").get(async || "listed"))
            .route("/panic", get(async || -> &'static str { panic!("private") }))
            .route("/health", get(async || "healthy"));
        Edge::new("test", routes, &["http://localhost:3000".parse().unwrap()], loopback, None)
    }

    async fn ask(edge: &Edge, method: Method, uri: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = edge.clone().answer(request.body(Body::empty()).unwrap()).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_foreign_host_is_refused_on_loopback_only() {
        for (host, status) in [
            ("localhost:8000", 200),
            ("LOCALHOST", 200),
            ("127.0.0.1:8000", 200),
            ("127.8.9.1", 200),
            ("[::1]:8000", 200),
            ("evil.example", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.nip.io:8000", 403),
            ("10.0.0.7:8000", 403),
            ("evil@localhost", 403),
            ("", 403),
        ] {
            let (found, _, body) = ask(&edge(true), Method::GET, "/health", &[("host", host)]).await;
            assert_eq!(found, status, "{host}");
            assert_eq!(ask(&edge(false), Method::GET, "/health", &[("host", host)]).await.0, 200, "{host}");
            if status == 403 {
                assert!(body.ends_with(r#""status_code":403,"path":"/health"}"#), "{body}");
            }
        }
        assert_eq!(ask(&edge(true), Method::GET, "http://evil.example/health", &[]).await.0, 403);
    }

    #[tokio::test]
    async fn a_write_by_a_foreign_page_is_refused() {
        let host = ("host", "127.0.0.1:8000");
        for (origin, status) in [
            ("http://localhost:3000", 200),
            ("http://127.0.0.1:8000", 200),
            ("http://127.0.0.1:8001", 403),
            ("https://127.0.0.1:8000", 403),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            let headers = [host, ("origin", origin)];
            assert_eq!(ask(&edge(true), Method::POST, "/v1/runs", &headers).await.0, status, "{origin}");
            assert_eq!(ask(&edge(true), Method::GET, "/v1/runs", &headers).await.0, 200, "{origin}");
        }
    }

    #[tokio::test]
    async fn only_listed_origins_may_read_the_answer() {
        let (_, headers, _) = ask(&edge(true), Method::GET, "/health", &[("origin", "http://localhost:3000")]).await;
        assert_eq!(headers["access-control-allow-origin"], "http://localhost:3000");
        assert_eq!(headers["access-control-allow-credentials"], "true");
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        assert_eq!(exposed, "x-total-count,link,x-log-position,x-removed,x-durability");
        let (_, headers, _) = ask(&edge(true), Method::GET, "/health", &[("origin", "http://evil.example")]).await;
        assert!(!headers.contains_key("access-control-allow-origin"));
        let (_, headers, _) = ask(&edge(true), Method::GET, "/health", &[]).await;
        assert_eq!(headers["vary"], "origin");
    }

    #[tokio::test]
    async fn a_page_of_a_listed_origin_may_read_why_it_was_refused() {
        let page = ("origin", "http://localhost:3000");
        let long = format!("/v1/runs?agent_id={}", "a".repeat(MAX_QUERY_BYTES));
        for (path, host, status) in
            [(&*long, "localhost", 414), ("/health", "evil.example", 403), ("/panic", "localhost", 500)]
        {
            let (found, headers, body) = ask(&edge(true), Method::GET, path, &[page, ("host", host)]).await;
            assert_eq!(found, status, "{path}");
            assert_eq!(headers["access-control-allow-origin"], page.1, "{path}");
            assert!(body.contains(&format!(r#""status_code":{status}"#)), "{body}");
        }
    }

    #[tokio::test]
    async fn a_preflight_is_answered() {
        let asked = [
            ("origin", "http://localhost:3000"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,prefer"),
        ];
        let (status, headers, _) = ask(&edge(true), Method::OPTIONS, "/v1/runs", &asked).await;
        assert_eq!(status, 200);
        assert_eq!(headers["access-control-allow-methods"], "GET,HEAD,POST,DELETE");
        assert_eq!(headers["access-control-allow-headers"], "content-type,prefer");
        assert_eq!(headers["access-control-max-age"], "600");
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_tells_nothing() {
        let (status, _, body) = ask(&edge(true), Method::GET, "/panic", &[]).await;
        assert_eq!(status, 500);
        assert_eq!(body, r#"{"error":"the server made a mistake","status_code":500,"path":"/panic"}"#);
    }

    #[test]
    fn the_access_log_holds_no_data() {
        assert_eq!(route_of("/v1/runs/0b8f9c54-6a2e-4c8e-8f43-0a3f6a7f2a11/steps"), "/v1/runs/*/steps");
        assert_eq!(route_of("/my secret/v1"), "/*/v1");
        assert_eq!(route_of("/"), "/");
    }
}
