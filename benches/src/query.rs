//! How long does a question take over HTTP when a million runs are stored?

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::ingest::wait_until_indexed;
use crate::load::{Client, Load, micros};
use crate::process::Server;
use crate::report::Table;
use crate::workload::Workload;

const LISTS: &[(&str, &str)] = &[
    ("no filter", ""),
    ("agent", "agent_id=support-agent"),
    ("agent and version", "agent_id=support-agent&agent_version=v1.1.0"),
    ("environment", "environment=staging"),
    ("status failure", "status=failure"),
    ("failure code", "failure_code=timeout"),
    ("failure type", "failure_type=model"),
    ("step name", "step_name=billing_api"),
    ("has retries", "has_retries=true"),
    ("slower than 4 s", "min_duration_ms=4000"),
    ("a time range", "start_time=2026-01-01T00:10:00Z&end_time=2026-01-01T00:40:00Z"),
    ("agent, code and time", "agent_id=ops-agent&failure_code=rate_limited&start_time=2026-01-01T00:10:00Z"),
    ("nothing matches", "agent_id=no-such-agent"),
];

const COMPARISONS: &[(&str, &str)] = &[
    ("compare two versions", "agent_id=support-agent&base=v1.0.0&candidate=v1.1.0"),
    ("compare two halves of all", "by=time&base=/2026-01-01T00:30:00Z&candidate=2026-01-01T00:30:00Z/"),
];

/// Fills a server with `runs` runs and asks each question `times` times on one connection.
pub(crate) async fn run(binary: &Path, dir: &Path, runs: u64, times: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(dir)?;
    let server = Server::agenttracer(binary, dir.path())?;
    let workload = Arc::new(Workload::new(7, 4096));
    let sequence = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut stored = 0;
    while stored < runs {
        let load = Load {
            address: server.ingest,
            connections: 4,
            batch: 100,
            minimal: true,
            duration: Duration::from_secs(1),
        };
        stored += load.run(&workload, &sequence).await?.runs;
    }
    wait_until_indexed(&server).await?;
    println!(
        "{stored} runs stored in {:.1} s, RssAnon {:.0} MB\n",
        began.elapsed().as_secs_f64(),
        server.anonymous_mb()?
    );

    let mut client = Client::connect(server.query.context("a server with a query listener")?).await?;
    let mut table = Table::new(&["question", "p50 ms", "p99 ms", "max ms"]);
    for (name, filter) in LISTS {
        ask(&mut client, &mut table, name, &format!("/v1/runs?view=summary&page_size=50&{filter}"), times).await?;
    }
    for (name, filter) in &LISTS[..2] {
        let name = format!("{name}, full runs");
        ask(&mut client, &mut table, &name, &format!("/v1/runs?page_size=50&{filter}"), times).await?;
    }
    let ids = some_ids(&mut client).await?;
    let mut histogram = micros();
    for id in ids.iter().cycle().take(times) {
        let asked = Instant::now();
        let (status, _) = client.get(&format!("/v1/runs/{id}")).await?;
        ensure!(status == 200, "a stored run answered {status}");
        histogram.saturating_record(asked.elapsed().as_micros() as u64);
    }
    table.row(&row("get one run", &histogram));
    for (name, filter) in &LISTS[..3] {
        let name = format!("stats, {name}");
        ask(&mut client, &mut table, &name, &format!("/v1/stats?{filter}"), times.min(100)).await?;
    }
    for (name, sides) in COMPARISONS {
        ask(&mut client, &mut table, name, &format!("/v1/compare?{sides}"), times.min(20)).await?;
    }
    println!("{table}\nRssAnon afterwards {:.0} MB", server.anonymous_mb()?);
    Ok(())
}

async fn ask(client: &mut Client, table: &mut Table, name: &str, path: &str, times: usize) -> anyhow::Result<()> {
    let mut histogram = micros();
    for _ in 0..times {
        let asked = Instant::now();
        let (status, body) = client.get(path).await?;
        histogram.saturating_record(asked.elapsed().as_micros() as u64);
        ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
    }
    table.row(&row(name, &histogram));
    Ok(())
}

fn row(name: &str, histogram: &hdrhistogram::Histogram<u64>) -> [String; 4] {
    let ms = |micros: u64| format!("{:.2}", micros as f64 / 1000.0);
    [name.to_owned(), ms(histogram.value_at_quantile(0.5)), ms(histogram.value_at_quantile(0.99)), ms(histogram.max())]
}

/// Ids spread over the whole store: one page each of many time windows.
async fn some_ids(client: &mut Client) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for minute in 0..60 {
        let path = format!("/v1/runs?view=summary&page_size=20&end_time=2026-01-01T00:{minute:02}:30Z");
        let (_, body) = client.get(&path).await?;
        let runs: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
        ids.extend(runs.iter().filter_map(|run| run["run_id"].as_str().map(str::to_owned)));
    }
    ensure!(!ids.is_empty(), "no run was found");
    Ok(ids)
}
