//! How many runs a second does the whole server take in, durable, checked, visible and indexed, and which share of a
//! bare loop is that?

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::load::{Client, Load, Measured};
use crate::process::Server;
use crate::report::Table;
use crate::workload::Workload;

/// One way of loading a server.
struct Case {
    name: &'static str,
    connections: usize,
    batch: usize,
    minimal: bool,
}

const CASES: &[Case] = &[
    Case { name: "1 connection, single", connections: 1, batch: 1, minimal: true },
    Case { name: "16 connections, single", connections: 16, batch: 1, minimal: true },
    Case { name: "64 connections, single", connections: 64, batch: 1, minimal: true },
    Case { name: "64 connections, full answer", connections: 64, batch: 1, minimal: false },
    Case { name: "8 connections, batches of 50", connections: 8, batch: 50, minimal: true },
];

/// Loads the bare server without an index, with one, and the real one, for each case in turn.
pub(crate) async fn run(binary: &Path, dir: &Path, seconds: u64, only: Option<&str>) -> anyhow::Result<()> {
    let workload = Arc::new(Workload::new(7, 256));
    println!("runs of {} bytes of JSON, {seconds} s a case, all on this machine\n", workload.mean_len());
    let mut table = Table::new(&[
        "case",
        "bare runs/s",
        "bare+index",
        "agenttracer",
        "/bare",
        "/bare+index",
        "p50 ms",
        "p99 ms",
        "CPU us/run",
        "lag s",
    ]);
    for case in CASES.iter().filter(|case| only.is_none_or(|only| case.name.contains(only))) {
        let load = |address| Load {
            address,
            connections: case.connections,
            batch: case.batch,
            minimal: case.minimal,
            duration: Duration::from_secs(seconds),
        };
        let bare = {
            let dir = tempfile::tempdir_in(dir)?;
            let server = Server::bare(dir.path(), false)?;
            load(server.ingest).run(&workload, &Arc::new(AtomicU64::new(0))).await?
        };
        let indexed = {
            let dir = tempfile::tempdir_in(dir)?;
            let server = Server::bare(dir.path(), true)?;
            load(server.ingest).run(&workload, &Arc::new(AtomicU64::new(0))).await?
        };
        let dir = tempfile::tempdir_in(dir)?;
        let server = Server::agenttracer(binary, dir.path())?;
        let cpu = server.cpu_seconds()?;
        let ours = load(server.ingest).run(&workload, &Arc::new(AtomicU64::new(0))).await?;
        let cpu = server.cpu_seconds()? - cpu;
        let lag = wait_until_indexed(&server).await?;
        table.row(&[
            case.name.to_owned(),
            format!("{:.0}", bare.runs_per_s),
            format!("{:.0}", indexed.runs_per_s),
            format!("{:.0}", ours.runs_per_s),
            format!("{:.2}", ours.runs_per_s / bare.runs_per_s),
            format!("{:.2}", ours.runs_per_s / indexed.runs_per_s),
            format!("{:.2}", ours.latency_us.value_at_quantile(0.5) as f64 / 1000.0),
            format!("{:.2}", ours.latency_us.value_at_quantile(0.99) as f64 / 1000.0),
            format!("{:.0}", cpu * 1e6 / ours.runs as f64),
            format!("{lag:.1}"),
        ]);
        println!("{}: refused {}, p99 by second (ms): {}", case.name, ours.refused, p99_by_second(&ours));
    }
    println!("\n{table}");
    Ok(())
}

fn p99_by_second(measured: &Measured) -> String {
    let each = measured.by_second.iter().map(|second| second.value_at_quantile(0.99) as f64 / 1000.0);
    each.map(|p99| format!("{p99:.1}")).collect::<Vec<_>>().join(" ")
}

/// Seconds until everything that was taken in stands in the index.
pub(crate) async fn wait_until_indexed(server: &Server) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut client = Client::connect(server.query.context("a server with a query listener")?).await?;
    loop {
        let (status, body) = client.get("/metrics").await?;
        ensure!(status == 200, "metrics answered {status}");
        let body = String::from_utf8(body)?;
        let lag = body
            .lines()
            .find_map(|line| line.strip_prefix("agenttracer_index_lag_positions "))
            .context("no agenttracer_index_lag_positions in /metrics")?;
        if lag.trim().parse::<f64>()? == 0.0 {
            return Ok(began.elapsed().as_secs_f64());
        }
        ensure!(began.elapsed() < Duration::from_secs(120), "the index never caught up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
