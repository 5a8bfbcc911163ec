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
        let what = match name {
            "ingest" => "takes runs in",
            "query" => "answers questions",
            _ => "this page, and the same questions",
        };
        // An address that stands for all of the machine's is none that a browser could ask.
        let place = match address.ip().is_unspecified() {
            true => format!("port {}", address.port()),
            false => format!("http://{address}"),
        };
        let _ = writeln!(listeners, "<tr><th>{name}</th><td>{what}</td><td><code>{place}</code></td></tr>");
    }
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AgentTracer</title>
<link rel="icon" href="data:,">
<style>
  :root {{
    color-scheme: light dark;
    --page: light-dark(#f6f7f9, #111418); --card: light-dark(#fff, #191d23); --line: light-dark(#dfe3e8, #2c333c);
    --text: light-dark(#1b2027, #e6e9ed); --quiet: light-dark(#59636f, #9aa5b1); --link: light-dark(#0b5cad, #7cb8ff);
    --good: light-dark(#137a45, #5fd197);
  }}
  * {{ box-sizing: border-box }}
  body {{ margin: 0 auto; padding: 3rem 1.25rem; max-width: 46rem; background: var(--page); color: var(--text);
    font: 16px/1.55 system-ui, sans-serif }}
  h1 {{ margin: 0; font-size: 1.75rem; letter-spacing: -.01em }}
  h2 {{ margin: 0 0 .5rem; font-size: .85rem; font-weight: 600; color: var(--quiet) }}
  p {{ margin: .5rem 0 0; color: var(--quiet) }}
  .state {{ color: var(--good); font-weight: 600 }}
  section {{ margin-top: 1.25rem; padding: 1.1rem 1.25rem; background: var(--card); border: 1px solid var(--line);
    border-radius: 10px; overflow-x: auto }}
  table {{ border-collapse: collapse; width: 100% }}
  th, td {{ padding: .45rem 1rem .45rem 0; text-align: left; border-top: 1px solid var(--line) }}
  tr:first-child > * {{ border-top: 0 }}
  th {{ font-weight: 600 }}
  td:last-child {{ padding-right: 0; text-align: right; white-space: nowrap }}
  code {{ font: .92em ui-monospace, monospace }}
  a {{ color: var(--link); text-underline-offset: .15em }}
  a:focus-visible {{ outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px }}
</style>
<h1>AgentTracer</h1>
<p><span class="state">Running</span> · version {version} · sync mode <code>{sync_mode}</code></p>
<p>This version has no dashboard yet: it will stand here. Until then the answers are JSON: follow the links, or ask with
<code>curl</code>.</p>
<section>
<h2>Ask</h2>
<table>
<tr><th><a href="/v1/runs?page_size=20">Runs</a></th><td>the newest 20, whole</td><td><code>/v1/runs</code></td></tr>
<tr><th><a href="/v1/runs?view=summary&amp;status=failure">Failures</a></th><td>runs that failed, in short</td><td><code>/v1/runs?view=summary&amp;status=failure</code></td></tr>
<tr><th><a href="/v1/stats">Statistics</a></th><td>over all runs</td><td><code>/v1/stats</code></td></tr>
<tr><th><a href="/health">Health</a></th><td>of the query side</td><td><code>/health</code></td></tr>
<tr><th><a href="/metrics">Metrics</a></th><td>for Prometheus</td><td><code>/metrics</code></td></tr>
</table>
</section>
<section>
<h2>Listeners</h2>
<table>
{listeners}</table>
</section>
<p>How to send runs and how to ask is in <code>README.md</code> and <code>docs/</code> of the source.</p>
"#,
        version = env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_what_runs() {
        let addresses = Addresses { query: Some(([127, 0, 0, 1], 8001).into()), ..Addresses::default() };
        let page = page(&addresses, "always");
        let row = "<tr><th>query</th><td>answers questions</td><td><code>http://127.0.0.1:8001</code></td></tr>";
        assert!(page.contains(row), "{page}");
        assert!(!page.contains("<th>ingest</th>"));
        assert!(page.contains("sync mode <code>always</code>"));
        assert!(page.contains("no dashboard yet"));
    }

    #[test]
    fn an_address_nobody_can_ask_is_shown_as_its_port() {
        let addresses = Addresses { ingest: Some(([0, 0, 0, 0], 8000).into()), ..Addresses::default() };
        let page = page(&addresses, "always");
        assert!(page.contains("<code>port 8000</code>") && !page.contains("0.0.0.0"), "{page}");
    }
}
