//! How small does compaction make a million runs, how fast is it, and what do requests notice of it?

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::ingest::wait_until_indexed;
use crate::load::{Load, Measured};
use crate::process::Server;
use crate::report::Table;
use crate::workload::Workload;

/// Bodies that are unlike each other: far more than a block holds, so that no two runs of a block have an id or a value of
/// metadata in common.
const BODIES: usize = 20_000;

/// Stores `runs`, compacts them offline, and then measures requests for `seconds` without and with compaction beside them.
pub(crate) async fn run(binary: &Path, dir: &Path, runs: u64, seconds: u64) -> anyhow::Result<()> {
    let workload = Arc::new(Workload::new(7, BODIES));
    println!("runs of {} bytes of JSON, all on this machine\n", workload.mean_len());
    let dir = tempfile::tempdir_in(dir)?;
    let sent = Arc::new(AtomicU64::new(0));
    let runs = store(binary, dir.path(), runs, &workload, &sent).await?;
    let before = sizes(dir.path())?;
    let copy = dir.path().join("copy");
    copy_dir(dir.path(), &copy)?;

    let report = compact(binary, dir.path())?;
    let after = sizes(dir.path())?;
    let number = |key: &str| report[key].as_f64().with_context(|| format!("compact told no {key}"));
    let mut table = Table::new(&["", "log B/run", "index B/run", "both"]);
    for (name, (log, index)) in [("as it was written", before), ("compacted", after)] {
        let each = |bytes: u64| format!("{:.0}", bytes as f64 / runs as f64);
        table.row(&[name.to_owned(), each(log), each(index), each(log + index)]);
    }
    println!("{runs} runs; spare and reserve are not counted\n\n{table}");
    let rate = number("bytes_before")? / number("rewriting_seconds")? / 1e6;
    println!("compaction: {rate:.0} MB/s of input, {:.1} s\n", number("rewriting_seconds")?);

    let load =
        |address| Load { address, connections: 64, batch: 1, minimal: true, duration: Duration::from_secs(seconds) };
    let mut table = Table::new(&["64 connections, single", "runs/s", "p50 ms", "p99 ms", "refused"]);
    let mut p99 = Vec::new();
    for (name, compacting) in [("without compaction", "false"), ("with compaction", "true")] {
        let own = dir.path().join(name.replace(' ', "-"));
        copy_dir(&copy, &own)?;
        let server = Server::agenttracer_with(binary, &own, &["--compact", compacting])?;
        let measured = load(server.ingest).run(&workload, &sent).await?;
        row(&mut table, name, &measured);
        p99.push(measured.latency_us.value_at_quantile(0.99) as f64);
        drop(server);
        std::fs::remove_dir_all(&own)?;
    }
    println!("{table}\np99 with compaction is {:.2} times that without", p99[1] / p99[0]);
    Ok(())
}

fn row(table: &mut Table, name: &str, measured: &Measured) {
    let quantile = |q| format!("{:.2}", measured.latency_us.value_at_quantile(q) as f64 / 1000.0);
    table.row(&[
        name.to_owned(),
        format!("{:.0}", measured.runs_per_s),
        quantile(0.5),
        quantile(0.99),
        measured.refused.to_string(),
    ]);
}

/// Fills the directory with at least `runs` runs, uncompacted; how many there are.
async fn store(
    binary: &Path,
    dir: &Path,
    runs: u64,
    workload: &Arc<Workload>,
    sent: &Arc<AtomicU64>,
) -> anyhow::Result<u64> {
    let server = Server::agenttracer_with(binary, dir, &["--compact", "false"])?;
    let mut stored = 0;
    while stored < runs {
        let load =
            Load { address: server.ingest, connections: 8, batch: 50, minimal: true, duration: Duration::from_secs(1) };
        stored += load.run(workload, sent).await?.runs;
    }
    wait_until_indexed(&server).await?;
    server.stop()?;
    Ok(stored)
}

/// Runs the command `compact`; what it told.
fn compact(binary: &Path, dir: &Path) -> anyhow::Result<serde_json::Value> {
    let output = Command::new(binary).args(["compact", "--json", "--data-dir"]).arg(dir).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Bytes of the log's segments and of the index.
fn sizes(dir: &Path) -> anyhow::Result<(u64, u64)> {
    let bytes = |dir: &Path, wanted: &dyn Fn(&str) -> bool| -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if wanted(&entry.file_name().to_string_lossy()) {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    };
    let is_segment = |name: &str| name.ends_with(".seg") || name.ends_with(".cseg");
    Ok((bytes(&dir.join("log"), &is_segment)?, bytes(&dir.join("index"), &|_| true)?))
}

fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    for part in ["log", "index"] {
        std::fs::create_dir_all(to.join(part))?;
        for entry in std::fs::read_dir(from.join(part))? {
            let entry = entry?;
            std::fs::copy(entry.path(), to.join(part).join(entry.file_name()))?;
        }
    }
    for name in ["manifest.a", "manifest.b"] {
        std::fs::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}
