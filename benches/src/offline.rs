//! What does a large log cost when nobody asks it anything: bytes a run before and after compaction, seconds and memory of each
//! offline tool, seconds until a server is ready, and what requests notice of a compaction beside them? The rebuild of
//! the index stands beside a bare tantivy loop over the same documents.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use agenttracer_index::cold::{self, ColdRun, Documents};
use agenttracer_model::Position;
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{Log, Options, ReadError, ResolveOnCommit, SegmentedLog, StoredBatch};
use anyhow::{Context, ensure};
use tantivy::IndexWriter;
use tantivy::indexer::LogMergePolicy;

use crate::load::{Load, Measured};
use crate::process::{Server, anonymous_mb};
use crate::report::Table;
use crate::stored;
use crate::workload::Workload;

/// Documents of a commit, as the index does it during a replay.
const COMMIT_RUNS: usize = 50_000;
/// How often the memory of a tool is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Groups of a segment begin at multiples of this.
const GROUP_BYTES: usize = 4096;
/// Bodies of requests beside a compaction.
const BODIES: usize = 4096;

/// The parts, in the order in which they are measured.
const PARTS: [&str; 6] = ["rebuild", "tools", "backup", "start", "compact", "load"];

/// What is to be measured.
pub(crate) struct Question<'a> {
    /// The program under test.
    pub(crate) binary: &'a Path,
    /// Where directories are made.
    pub(crate) dir: &'a Path,
    /// Runs of the log.
    pub(crate) runs: u64,
    /// The log's directory: made when it is not there, and kept as it is.
    pub(crate) keep: Option<&'a Path>,
    /// Seconds of requests, without and with compaction.
    pub(crate) seconds: u64,
    /// Only the [`PARTS`] whose name contains this.
    pub(crate) only: Option<&'a str>,
}

/// A directory that tools work on.
struct Bench<'a> {
    binary: &'a Path,
    /// Room for what tools write.
    place: PathBuf,
    /// The log, not compacted, and its index.
    data: PathBuf,
    runs: u64,
    table: Table,
}

/// Makes a log, or takes the one that is kept, and lets each tool work on it.
pub(crate) async fn run(question: Question<'_>) -> anyhow::Result<()> {
    let wanted = |part: &str| question.only.is_none_or(|only| part.contains(only));
    ensure!(PARTS.iter().any(|part| wanted(part)), "there is no such part; there are {}", PARTS.join(", "));
    let place = tempfile::tempdir_in(question.dir)?;
    let data = question.keep.map_or_else(|| place.path().join("data"), Path::to_owned);
    stored::log(&data, question.runs)?;
    let mut bench = Bench {
        binary: question.binary,
        place: place.path().to_owned(),
        data,
        runs: question.runs,
        table: Table::new(&["tool", "s", "runs/s", "MB/s", "RssAnon MB"]),
    };
    if wanted("rebuild") {
        bench.rebuild()?;
    } else if !bench.data.join("index").is_dir() {
        bench.tool("rebuild", &["rebuild"])?;
    }
    if wanted("tools") {
        bench.tools()?;
    }
    if wanted("backup") {
        bench.backup()?;
    }
    if wanted("start") {
        bench.starts().await?;
    }
    if wanted("compact") {
        bench.compact()?;
    }
    println!("\n{}", bench.table);
    if wanted("load") {
        bench.load(question.seconds).await?;
    }
    Ok(())
}

impl Bench<'_> {
    /// The rebuild of the index, and a bare tantivy loop before and after it: a machine is not the same from one minute
    /// to the next.
    fn rebuild(&mut self) -> anyhow::Result<()> {
        let before = bare_tantivy(&self.data, &self.place.join("tantivy"))?;
        let seconds = self.tool("rebuild", &["rebuild"])?;
        let after = bare_tantivy(&self.data, &self.place.join("tantivy"))?;
        self.row("bare tantivy loop, before", before, None, None);
        self.row("bare tantivy loop, after", after, None, None);
        println!("rebuild is {:.2} of a bare tantivy loop over the same documents", (before + after) / 2.0 / seconds);
        Ok(())
    }

    /// The tools that only read, and an import of what was exported.
    fn tools(&mut self) -> anyhow::Result<()> {
        for name in ["inspect", "verify", "replay"] {
            self.tool(name, &[name])?;
        }
        for format in ["parquet", "csv", "ndjson"] {
            let out = self.place.join(format);
            let name = format!("export --format {format}");
            self.tool(&name, &["export", "--format", format, "--out", text(&out)?])?;
            println!("{name}: {:.0} bytes a run", bytes_of(&out, &|_| true)? as f64 / self.runs as f64);
            if format != "ndjson" {
                std::fs::remove_dir_all(out)?;
            }
        }
        let imported = self.place.join("imported");
        let lines = self.place.join("ndjson");
        self.timed("import", &["import", text(&lines)?, "--data-dir", text(&imported)?])?;
        std::fs::remove_dir_all(lines)?;
        std::fs::remove_dir_all(imported)?;
        Ok(())
    }

    /// A backup by copies, as to another disk, and its restoring.
    fn backup(&mut self) -> anyhow::Result<()> {
        let (to, restored) = (self.place.join("backup"), self.place.join("restored"));
        self.tool("backup", &["backup", text(&to)?, "--copy"])?;
        self.timed("restore", &["restore", text(&to)?, text(&restored)?])?;
        std::fs::remove_dir_all(to)?;
        std::fs::remove_dir_all(restored)?;
        Ok(())
    }

    /// Seconds until a server is ready and its memory then: after a clean stop, and after it was killed under load.
    async fn starts(&mut self) -> anyhow::Result<()> {
        let own = self.copy("started")?;
        let start = || -> anyhow::Result<(Server, f64, f64)> {
            let began = Instant::now();
            let server = Server::agenttracer_with(self.binary, &own, &["--compact", "false"])?;
            let seconds = began.elapsed().as_secs_f64();
            let mb = server.anonymous_mb()?;
            Ok((server, seconds, mb))
        };
        let (workload, sent) = (Arc::new(Workload::new(7, BODIES)), Arc::new(AtomicU64::new(0)));
        let duration = Duration::from_secs(5);
        let load = |address| Load { address, connections: 16, batch: 1, minimal: true, duration };
        let (server, ..) = start()?;
        load(server.ingest).run(&workload, &sent).await?;
        server.stop()?;
        let (server, seconds, mb) = start()?;
        let clean = (seconds, mb);
        load(server.ingest).run(&workload, &sent).await?;
        // Dropped, a server is killed.
        drop(server);
        let (server, seconds, mb) = start()?;
        drop(server);
        self.row("start after a clean stop", clean.0, None, Some(clean.1));
        self.row("start after kill -9 under load", seconds, None, Some(mb));
        std::fs::remove_dir_all(own)?;
        Ok(())
    }

    /// Compacts a copy, and says what it takes before and after.
    fn compact(&mut self) -> anyhow::Result<()> {
        let own = self.copy("compacted")?;
        let before = sizes(&own)?;
        let (seconds, mb, told) = timed(self.binary, &["compact", "--json", "--data-dir", text(&own)?])?;
        let after = sizes(&own)?;
        self.row("compact", seconds, None, Some(mb));
        let mut table = Table::new(&["", "log B/run", "index B/run", "both"]);
        for (name, (log, index)) in [("as it was written", before), ("compacted", after)] {
            let each = |bytes: u64| format!("{:.0}", bytes as f64 / self.runs as f64);
            table.row(&[name.to_owned(), each(log), each(index), each(log + index)]);
        }
        println!("\nspare, reserve and the room that the active segment keeps for more are not counted\n{table}");
        let report: serde_json::Value = serde_json::from_slice(&told)?;
        let number = |key: &str| report[key].as_f64().with_context(|| format!("compact told no {key}"));
        let seconds = number("rewriting_seconds")?;
        println!("compaction: {:.0} MB/s of input, {seconds:.1} s", number("bytes_before")? / seconds / 1e6);
        std::fs::remove_dir_all(own)?;
        Ok(())
    }

    /// Requests without and with compaction beside them.
    async fn load(&self, seconds: u64) -> anyhow::Result<()> {
        let workload = Arc::new(Workload::new(7, BODIES));
        let mut table =
            Table::new(&["64 connections, single", "runs/s", "p50 ms", "p99 ms", "refused", "rewritten MB"]);
        let mut p99 = Vec::new();
        for (name, compacting) in [("without compaction", "false"), ("with compaction", "true")] {
            let own = self.copy("loaded")?;
            let server = Server::agenttracer_with(self.binary, &own, &["--compact", compacting])?;
            let duration = Duration::from_secs(seconds);
            let load = Load { address: server.ingest, connections: 64, batch: 1, minimal: true, duration };
            let measured = load.run(&workload, &Arc::new(AtomicU64::new(0))).await?;
            let rewritten = bytes_of(&own.join("log"), &|name| name.ends_with(".cseg"))?;
            ensure!((rewritten > 0) == (compacting == "true"), "{name}: {rewritten} bytes of rewritten segments");
            row(&mut table, name, &measured, rewritten);
            p99.push(measured.latency_us.value_at_quantile(0.99) as f64);
            drop(server);
            std::fs::remove_dir_all(&own)?;
        }
        println!("{table}\np99 with compaction is {:.2} times that without", p99[1] / p99[0]);
        Ok(())
    }

    /// A copy of the directory, as a server that stopped has left it.
    fn copy(&self, name: &str) -> anyhow::Result<PathBuf> {
        let to = self.place.join(name);
        for part in ["log", "index"] {
            std::fs::create_dir_all(to.join(part))?;
            for entry in std::fs::read_dir(self.data.join(part))? {
                let entry = entry?;
                std::fs::copy(entry.path(), to.join(part).join(entry.file_name()))?;
            }
        }
        for name in ["manifest.a", "manifest.b"] {
            std::fs::copy(self.data.join(name), to.join(name))?;
        }
        Ok(to)
    }

    /// Lets a tool work on the log; its seconds.
    fn tool(&mut self, name: &str, arguments: &[&str]) -> anyhow::Result<f64> {
        let data = self.data.clone();
        self.timed(name, &[arguments, &["--data-dir", text(&data)?]].concat())
    }

    fn timed(&mut self, name: &str, arguments: &[&str]) -> anyhow::Result<f64> {
        let (seconds, mb, _) = timed(self.binary, arguments)?;
        let log = bytes_of(&self.data.join("log"), &is_segment)?;
        self.row(name, seconds, Some(log as f64 / seconds / 1e6), Some(mb));
        Ok(seconds)
    }

    fn row(&mut self, name: &str, seconds: f64, mb_per_s: Option<f64>, rss_mb: Option<f64>) {
        let whole = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.0}"));
        self.table.row(&[
            name.to_owned(),
            format!("{seconds:.2}"),
            format!("{:.0}", self.runs as f64 / seconds),
            whole(mb_per_s),
            whole(rss_mb),
        ]);
    }
}

fn row(table: &mut Table, name: &str, measured: &Measured, rewritten: u64) {
    let quantile = |q| format!("{:.2}", measured.latency_us.value_at_quantile(q) as f64 / 1000.0);
    table.row(&[
        name.to_owned(),
        format!("{:.0}", measured.runs_per_s),
        quantile(0.5),
        quantile(0.99),
        measured.refused.to_string(),
        format!("{:.0}", rewritten as f64 / 1e6),
    ]);
}

/// Runs a tool to its end; gives seconds, the most anonymous memory it was seen with in MB, and what it printed.
fn timed(binary: &Path, arguments: &[&str]) -> anyhow::Result<(f64, f64, Vec<u8>)> {
    let (told, errors) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    // What `replay` prints is as large as the log, and of no use here.
    let output = match arguments[0] {
        "replay" => Stdio::null(),
        _ => Stdio::from(File::create(told.path())?),
    };
    let began = Instant::now();
    let mut child = Command::new(binary)
        .args(arguments)
        .stdout(output)
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
    Ok((seconds, most, std::fs::read(told.path())?))
}

/// Seconds that tantivy alone takes for the documents of the log: adding them and committing, as often and with the same
/// settings as the index does, merges included. Reading the log and making the documents is not counted.
fn bare_tantivy(data: &Path, dir: &Path) -> anyhow::Result<f64> {
    let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock::new()));
    let (log, _) = SegmentedLog::open(disk, clock, data, Options::default(), Box::new(ResolveOnCommit))?;
    let (schema, fields) = cold::schema();
    std::fs::create_dir_all(dir)?;
    let index = tantivy::Index::builder().schema(schema).settings(cold::settings()).create_in_dir(dir)?;
    let mut writer: IndexWriter<ColdRun> =
        index.writer_with_num_threads(1, agenttracer_index::Options::default().writer_heap_bytes)?;
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(8);
    policy.set_min_layer_size(5_000);
    policy.set_max_docs_before_merge(1_500_000);
    writer.set_merge_policy(Box::new(policy));
    let mut make = Documents::new(fields, &index.reader()?.searcher())?;
    let mut scan = log.scan(Position::ZERO..log.tail());
    let mut seconds = 0.0;
    loop {
        let batches: Vec<StoredBatch> = scan.by_ref().take(COMMIT_RUNS).collect::<Result<_, ReadError>>()?;
        if batches.is_empty() {
            break;
        }
        let documents = make.of_whole(&batches)?;
        drop(batches);
        let began = Instant::now();
        for document in documents {
            writer.add_document(document)?;
        }
        writer.commit()?;
        seconds += began.elapsed().as_secs_f64();
    }
    drop(scan);
    log.close()?;
    drop(writer);
    std::fs::remove_dir_all(dir)?;
    Ok(seconds)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".seg") || name.ends_with(".cseg")
}

/// Bytes of the files of a directory whose names are wanted.
fn bytes_of(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if wanted(&entry.file_name().to_string_lossy()) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Bytes of the log's segments and of the index. A segment is prepared as a whole; what is not written yet is as little a cost
/// of the runs as the spare is.
fn sizes(dir: &Path) -> anyhow::Result<(u64, u64)> {
    let mut log = 0;
    for entry in std::fs::read_dir(dir.join("log"))? {
        let path = entry?.path();
        if is_segment(&path.to_string_lossy()) {
            let bytes = std::fs::read(&path)?;
            let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            log += written.next_multiple_of(GROUP_BYTES) as u64;
        }
    }
    Ok((log, bytes_of(&dir.join("index"), &|_| true)?))
}
