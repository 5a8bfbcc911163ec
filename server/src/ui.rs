//! The page at `/` of the UI and the query listener: what is running, and where to go on. The dashboard takes its place.

use std::fmt::Write;

use axum::Router;
use axum::response::Html;
use axum::routing::get;

use crate::addresses::Addresses;

/// A router with the page alone.
pub(crate) fn routes(addresses: &Addresses, sync_mode: &str) -> Router {
    let page: &'static str = page(addresses, sync_mode).leak();
    Router::new().route("/", get(async move || Html(page)))
}

/// The page holds what the process itself knows, numbers and our own words, so that nothing in it needs escaping.
fn page(addresses: &Addresses, sync_mode: &str) -> String {
    let mut listeners = String::new();
    for (name, address) in addresses.iter() {
        let _ = writeln!(listeners, "<tr><th>{name}</th><td><code>http://{address}</code></td></tr>");
    }
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>AgentTracer</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}
  th {{ text-align: left; padding-right: 2rem; font-weight: 600 }}
  code {{ font-size: .95em }}
</style>
<h1>AgentTracer is running</h1>
<p>Version {version}. An answer of 2xx means that a run is durable (sync mode <code>{sync_mode}</code>) and visible.</p>
<table>
{listeners}</table>
<ul>
  <li><a href="/v1/runs">The newest runs</a></li>
  <li><a href="/v1/stats">Statistics over all runs</a></li>
  <li><a href="/health">Health</a></li>
  <li><a href="{repository}/tree/main/docs">Documentation</a></li>
</ul>
"#,
        version = env!("CARGO_PKG_VERSION"),
        repository = env!("CARGO_PKG_REPOSITORY"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_what_runs() {
        let addresses = Addresses { query: Some(([127, 0, 0, 1], 8001).into()), ..Addresses::default() };
        let page = page(&addresses, "always");
        assert!(page.contains("<tr><th>query</th><td><code>http://127.0.0.1:8001</code></td></tr>"), "{page}");
        assert!(!page.contains("<th>ingest</th>"));
        assert!(page.contains("sync mode <code>always</code>"));
    }
}
