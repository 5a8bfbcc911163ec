//! How fast are the offline tools at a million runs, how much memory do they take, and how soon is a killed server back?
//! The rebuild of the index stands beside a bare tantivy loop over the same documents.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use agenttracer_index::cold::{self, ColdRun, Documents};
use agenttracer_model::Position;
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{Log, Options, ResolveOnCommit, SegmentedLog};
use anyhow::{Context, ensure};
use tantivy::IndexWriter;

use crate::dataset::Dataset;
use crate::load::Load;
use crate::process::{Server, anonymous_mb};
use crate::report::Table;
use crate::workload::Workload;

/// Documents of a commit, as the index does it during a replay.
const COMMIT_RUNS: usize = 50_000;
/// How often the memory of a tool is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Makes a log of `runs` runs, or takes the one in `keep`, and lets each tool work on it.
pub(crate) async fn run(
    binary: &Path,
    dir: &Path,
    runs: u64,
    keep: Option<&Path>,
    only: Option<&str>,
) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(dir)?;
    let data = keep.map_or_else(|| place.path().join("data"), Path::to_owned);
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    if !data.join("log").exists() {
        std::fs::create_dir_all(&data)?;
        let began = Instant::now();
        let written = Dataset::of(runs).write(&data)?;
        println!(
            "{runs} runs, {} records, {:.0} bytes of payload a run, written in {:.1} s",
            written.records,
            written.payload_bytes as f64 / runs as f64,
            began.elapsed().as_secs_f64()
        );
    }
    let mut table = Table::new(&["tool", "s", "runs/s", "of bare", "RssAnon MB"]);
    let mut bare = None;
    if wanted("rebuild") {
        let seconds = bare_tantivy(&data, &place.path().join("tantivy"))?;
        bare = Some(seconds);
        table.row(&row("bare tantivy loop", seconds, runs, Some(1.0), None));
    }
    let data_dir = data.to_str().context("the directory has a name in UTF-8")?;
    let out = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let (ndjson, parquet, csv, imported) = (out("ndjson"), out("parquet"), out("csv"), out("imported"));
    let tools: [(&str, Vec<&str>); 8] = [
        ("rebuild", vec!["rebuild"]),
        ("inspect", vec!["inspect"]),
        ("verify", vec!["verify"]),
        ("replay", vec!["replay"]),
        ("export parquet", vec!["export", "--format", "parquet", "--out", &parquet]),
        ("export csv", vec!["export", "--format", "csv", "--out", &csv]),
        ("export ndjson", vec!["export", "--format", "ndjson", "--out", &ndjson]),
        ("import", vec!["import", &ndjson]),
    ];
    for (name, mut arguments) in tools {
        let needs_lines = name == "import" && !Path::new(&ndjson).exists();
        if !wanted(name) || needs_lines {
            continue;
        }
        arguments.extend(["--data-dir", if name == "import" { imported.as_str() } else { data_dir }]);
        let (seconds, mb) = timed(binary, &arguments)?;
        let of_bare = bare.filter(|_| name == "rebuild").map(|bare| bare / seconds);
        table.row(&row(name, seconds, runs, of_bare, Some(mb)));
    }
    if wanted("start") {
        let (clean, killed) = starts(binary, &data).await?;
        table.row(&row("start after a clean stop", clean.0, runs, None, Some(clean.1)));
        table.row(&row("start after kill -9 under load", killed.0, runs, None, Some(killed.1)));
    }
    println!("\n{table}");
    Ok(())
}

fn row(name: &str, seconds: f64, runs: u64, of_bare: Option<f64>, mb: Option<f64>) -> [String; 5] {
    [
        name.to_owned(),
        format!("{seconds:.2}"),
        format!("{:.0}", runs as f64 / seconds),
        of_bare.map_or_else(String::new, |share| format!("{share:.2}")),
        mb.map_or_else(String::new, |mb| format!("{mb:.0}")),
    ]
}

/// Runs a tool to its end; gives seconds and the most anonymous memory it was seen with.
fn timed(binary: &Path, arguments: &[&str]) -> anyhow::Result<(f64, f64)> {
    let errors = tempfile::NamedTempFile::new()?;
    let began = Instant::now();
    let mut child = Command::new(binary)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::from(File::create(errors.path())?))
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))?;
    let mut most = 0.0_f64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // It may end between the two.
        most = most.max(anonymous_mb(child.id()).unwrap_or(0.0));
        std::thread::sleep(LOOK_EVERY);
    };
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status.success(), "{arguments:?}: {status}: {}", std::fs::read_to_string(errors.path())?);
    Ok((seconds, most))
}

/// Seconds that tantivy alone takes for the documents of the log: adding them and committing, as often as the index does.
/// Reading the log and making the documents is not counted.
fn bare_tantivy(data: &Path, dir: &Path) -> anyhow::Result<f64> {
    let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock::new()));
    let (log, _) = SegmentedLog::open(disk, clock, data, Options::default(), Box::new(ResolveOnCommit))?;
    let (schema, fields) = cold::schema();
    std::fs::create_dir_all(dir)?;
    let index = tantivy::Index::builder().schema(schema).settings(cold::settings()).create_in_dir(dir)?;
    let mut writer: IndexWriter<ColdRun> =
        index.writer_with_num_threads(1, agenttracer_index::Options::default().writer_heap_bytes)?;
    let mut make = Documents::new(fields);
    let mut scan = log.scan(Position::ZERO..log.tail());
    let mut seconds = 0.0;
    loop {
        let mut documents = Vec::with_capacity(COMMIT_RUNS);
        for batch in scan.by_ref().take(COMMIT_RUNS) {
            documents.extend(make.of_whole(&batch?)?);
        }
        if documents.is_empty() {
            break;
        }
        let began = Instant::now();
        for document in documents {
            writer.add_document(document)?;
        }
        writer.commit()?;
        seconds += began.elapsed().as_secs_f64();
    }
    let began = Instant::now();
    writer.wait_merging_threads()?;
    log.close()?;
    Ok(seconds + began.elapsed().as_secs_f64())
}

/// Seconds until a server is ready and its memory then: after a clean stop, and after it was killed under load.
async fn starts(binary: &Path, data: &Path) -> anyhow::Result<((f64, f64), (f64, f64))> {
    let start = || -> anyhow::Result<(Server, f64, f64)> {
        let began = Instant::now();
        let server = Server::agenttracer(binary, data)?;
        let seconds = began.elapsed().as_secs_f64();
        let mb = server.anonymous_mb()?;
        Ok((server, seconds, mb))
    };
    let (server, seconds, mb) = start()?;
    let clean = (seconds, mb);
    let load =
        Load { address: server.ingest, connections: 16, batch: 1, minimal: true, duration: Duration::from_secs(5) };
    load.run(&Arc::new(Workload::new(7, 256)), &Arc::new(AtomicU64::new(0))).await?;
    // Dropped, a server is killed.
    drop(server);
    let (server, seconds, mb) = start()?;
    drop(server);
    Ok((clean, (seconds, mb)))
}
