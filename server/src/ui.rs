//! The dashboard: files that were built from `ui/` and stand in the binary, each compressed already.
//!
//! Names under `/assets/` hold a hash of the content, so browsers keep them for ever; the one page asks each time whether it is
//! still the newest. Paths of the dashboard that are no files are the page, too, for whoever asks for HTML. A binary that was
//! built without the dashboard says so on a page of its own.

use std::collections::HashMap;
use std::sync::Arc;

use agenttracer_model::hex;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rust_embed::RustEmbed;

/// What a page of the dashboard may do: load its own files and ask its own origin. Nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Paths that are never the dashboard's, with everything under them.
const OTHERS: [&str; 6] = ["/v1", "/docs", "/health", "/metrics", "/openapi.json", "/assets"];

/// What stands where the dashboard would, in a binary that was built without it.
const PLAIN_PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AgentTracer</title>
<h1>AgentTracer</h1>
<p>The server is running. This binary was built without the dashboard, which needs Node.js 20 or later:</p>
<pre>cd ui
npm ci
npm run build
cd ..
cargo build --release --locked --package agenttracer-tools</pre>
<p><code>make serve</code> does all of this. Until then the answers are JSON:</p>
<ul>
<li><a href="/v1/runs?view=summary">the newest runs</a>
<li><a href="/v1/runs?view=summary&amp;status=failure">runs that failed</a>
<li><a href="/v1/stats">statistics</a>
<li><a href="/health">health</a>
<li><a href="/metrics">metrics</a>
</ul>
</html>
"#;

#[derive(RustEmbed)]
#[folder = "../ui/dist/"]
struct Built;

/// One file, in the forms in which it is sent.
struct File {
    content_type: &'static str,
    /// The same for all forms: it names the content, weakly, since compression changes the bytes.
    tag: HeaderValue,
    plain: Bytes,
    gzip: Option<Bytes>,
    brotli: Option<Bytes>,
}

/// The dashboard's files by their paths.
pub(crate) struct Files {
    files: HashMap<String, File>,
    page: File,
}

impl Files {
    /// Those that stand in the binary.
    pub(crate) fn built_in() -> Self {
        Self::of(Built::iter().filter_map(|name| {
            let file = Built::get(&name)?;
            let bytes = match file.data {
                std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                std::borrow::Cow::Owned(bytes) => bytes.into(),
            };
            Some((name.into_owned(), bytes, file.metadata.sha256_hash()))
        }))
    }

    /// Files by their names with `/`, with the SHA-256 of each. `x.br` and `x.gz` are `x`, compressed.
    fn of(files: impl Iterator<Item = (String, Bytes, [u8; 32])>) -> Self {
        let mut all: HashMap<String, (Bytes, [u8; 32])> =
            files.map(|(name, bytes, hash)| (format!("/{name}"), (bytes, hash))).collect();
        let mut names: Vec<_> =
            all.keys().filter(|name| !name.ends_with(".br") && !name.ends_with(".gz")).cloned().collect();
        names.sort_unstable();
        let mut found = HashMap::new();
        for name in names {
            let mut bytes = |end: &str| all.remove(&format!("{name}{end}"));
            let (brotli, gzip) = (bytes(".br"), bytes(".gz"));
            if let Some((plain, hash)) = bytes("") {
                let [brotli, gzip] = [brotli, gzip].map(|form| form.map(|(bytes, _)| bytes));
                found.insert(name.clone(), File::new(&name, plain, hash, gzip, brotli));
            }
        }
        let page = found.remove("/index.html").unwrap_or_else(|| {
            File::new("/index.html", Bytes::from_static(PLAIN_PAGE.as_bytes()), [0; 32], None, None)
        });
        Self { files: found, page }
    }

    /// The answer to a request that no other route has: a file, the page, or `None`.
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        match self.files.get(path) {
            Some(file) => Some(file.response(headers, path.starts_with("/assets/"))),
            None if path == "/" || (is_ours(path) && wants_html(headers)) => Some(self.page.response(headers, false)),
            None => None,
        }
    }
}

impl File {
    fn new(name: &str, plain: Bytes, hash: [u8; 32], gzip: Option<Bytes>, brotli: Option<Bytes>) -> Self {
        let hash = hex(&hash[..8]);
        // A tag of hexadecimal digits is always a header.
        let tag = HeaderValue::try_from(format!("W/\"{hash}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        Self { content_type: content_type(name), tag, plain, gzip, brotli }
    }

    fn response(&self, asked: &HeaderMap, forever: bool) -> Response {
        let (encoding, bytes) = match (&self.brotli, &self.gzip) {
            (Some(brotli), _) if accepts(asked, "br") => (Some("br"), brotli),
            (_, Some(gzip)) if accepts(asked, "gzip") => (Some("gzip"), gzip),
            _ => (None, &self.plain),
        };
        let has = asked.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let unchanged = has.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().as_bytes() == self.tag.as_bytes()));
        let mut response = Response::new(if unchanged { Body::empty() } else { Body::from(bytes.clone()) });
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, self.content_type);
        set(CACHE_CONTROL, if forever { "public, max-age=31536000, immutable" } else { "no-cache" });
        set(CONTENT_SECURITY_POLICY, POLICY);
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(REFERRER_POLICY, "no-referrer");
        set(VARY, "accept-encoding");
        if let Some(encoding) = encoding {
            set(CONTENT_ENCODING, encoding);
        }
        headers.insert(ETAG, self.tag.clone());
        response
    }
}

/// `routes` with the dashboard beside them: its files, and its page where `routes` has nothing.
pub(crate) fn beside(routes: Router, files: Files) -> Router {
    let files = Arc::new(files);
    let page = {
        let files = Arc::clone(&files);
        get(async move |request: Request| files.page.response(request.headers(), false))
    };
    routes.route("/", page).fallback(async move |request: Request| {
        files.answer(request.method(), request.uri().path(), request.headers()).unwrap_or_else(not_found)
    })
}

/// What an unknown path is answered (contract §6).
fn not_found() -> Response {
    let mut response = Response::new(Body::from(r#"{"detail":"Not Found"}"#));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn is_ours(path: &str) -> bool {
    !OTHERS.iter().any(|other| path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Whether somebody looks for a page, as a browser does that goes to an address.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

/// Whether a form is accepted by name; `q=0` turns it down.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding))
                && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0)))
        })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    fn dashboard() -> Router {
        let files = [
            ("index.html", "<title>page</title>"),
            ("index.html.br", "page br"),
            ("index.html.gz", "page gz"),
            ("assets/index-AbCd.js", "script"),
            ("assets/index-AbCd.js.gz", "script gz"),
            ("assets/font-Ef.woff2", "font"),
        ];
        let files =
            files.map(|(name, text)| (name.to_owned(), Bytes::from_static(text.as_bytes()), [name.len() as u8; 32]));
        let routes = Router::new().route("/v1/runs", get(async || "runs")).route("/health", get(async || "healthy"));
        beside(routes, Files::of(files.into_iter()))
    }

    async fn ask(routes: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[tokio::test]
    async fn files_with_a_hash_are_kept_for_ever_and_the_page_is_not() {
        let routes = dashboard();
        let (status, headers, body) = ask(&routes, Method::GET, "/assets/index-AbCd.js", &[]).await;
        assert_eq!((status, body.as_str()), (200, "script"));
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let (status, headers, body) = ask(&routes, Method::GET, "/", &[]).await;
        assert_eq!((status, body.as_str()), (200, "<title>page</title>"));
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["content-security-policy"], POLICY);
        assert!(!POLICY.contains("unsafe") && POLICY.starts_with("default-src 'none'"));
    }

    #[tokio::test]
    async fn a_file_is_sent_in_the_smallest_form_that_is_accepted() {
        let routes = dashboard();
        for (path, accepted, encoding, body) in [
            ("/", "gzip, deflate, br, zstd", Some("br"), "page br"),
            ("/", "gzip;q=1.0, br;q=0", Some("gzip"), "page gz"),
            ("/", "identity", None, "<title>page</title>"),
            ("/assets/index-AbCd.js", "br, GZIP", Some("gzip"), "script gz"),
            ("/assets/index-AbCd.js", "br", None, "script"),
            ("/assets/font-Ef.woff2", "gzip, br", None, "font"),
        ] {
            let (status, headers, found) = ask(&routes, Method::GET, path, &[("accept-encoding", accepted)]).await;
            assert_eq!((status, found.as_str()), (200, body), "{path} {accepted}");
            assert_eq!(
                headers.get("content-encoding").map(|value| value.to_str().unwrap()),
                encoding,
                "{path} {accepted}"
            );
            assert_eq!(headers["vary"], "accept-encoding");
        }
    }

    #[tokio::test]
    async fn who_has_a_file_is_not_sent_it_again() {
        let routes = dashboard();
        let (_, headers, _) = ask(&routes, Method::GET, "/", &[]).await;
        let tag = headers["etag"].to_str().unwrap();
        let (status, headers, body) =
            ask(&routes, Method::GET, "/", &[("if-none-match", tag), ("accept-encoding", "br")]).await;
        assert_eq!((status, body.as_str()), (304, ""));
        assert_eq!(headers["etag"], tag);
        assert_eq!(ask(&routes, Method::GET, "/", &[("if-none-match", "W/\"other\"")]).await.0, 200);
    }

    #[tokio::test]
    async fn a_path_of_the_dashboard_is_its_page_for_a_browser_alone() {
        let routes = dashboard();
        for path in ["/runs", "/runs/01997f3c-5b0e-7c41-a3d2-6e1f0b9ad412", "/a/b/c", "/v1x", "/healthy"] {
            let (status, headers, body) = ask(&routes, Method::GET, path, &[HTML]).await;
            assert_eq!((status, body.as_str()), (200, "<title>page</title>"), "{path}");
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
            for (method, headers) in
                [(Method::GET, &[("accept", "application/json")][..]), (Method::GET, &[]), (Method::POST, &[HTML])]
            {
                let (status, headers, body) = ask(&routes, method, path, headers).await;
                assert_eq!((status, body.as_str()), (404, r#"{"detail":"Not Found"}"#), "{path}");
                assert_eq!(headers["content-type"], "application/json");
            }
        }
    }

    #[tokio::test]
    async fn paths_of_the_api_and_lost_files_are_never_the_page() {
        let routes = dashboard();
        for path in ["/v1", "/v1/nothing", "/docs/x", "/metrics", "/openapi.json", "/assets/index-Old.js", "/health/x"]
        {
            assert_eq!(ask(&routes, Method::GET, path, &[HTML]).await.0, 404, "{path}");
        }
        assert_eq!(ask(&routes, Method::GET, "/v1/runs", &[HTML]).await.2, "runs");
    }

    #[tokio::test]
    async fn a_binary_without_the_dashboard_says_how_to_build_it() {
        let routes = beside(Router::new(), Files::of(std::iter::empty()));
        let (status, headers, body) = ask(&routes, Method::GET, "/", &[HTML]).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-security-policy"], POLICY);
        assert!(body.contains("npm ci") && body.contains("make serve"), "{body}");
        assert!(!body.contains("style") && !body.contains("<script"), "the policy would block it: {body}");
    }
}
