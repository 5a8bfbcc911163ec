//! Questions about speed, each answered beside a bare loop that runs in the same call: only ratios hold on a noisy
//! machine. `benches --help` lists them.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod append;
mod bare;
mod dataset;
mod ingest;
mod load;
mod offline;
mod process;
mod query;
mod report;
mod stored;
mod wide;
mod workload;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Questions about speed.
#[derive(Parser)]
struct Arguments {
    /// The server under test.
    #[arg(long, default_value = "target/release/agenttracer", global = true)]
    binary: PathBuf,
    /// Where data directories are made: choose the disk that is to be measured.
    #[arg(long, default_value = "/tmp", global = true)]
    dir: PathBuf,
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Runs a second over HTTP, beside a bare server without and with tantivy.
    Ingest {
        /// Seconds a case and server.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only the cases whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Records a second into the log, beside a raw loop over a prepared file; then a scan beside a raw one.
    Append {
        /// Seconds a loop.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Milliseconds a question over HTTP: cold, warm by one client, and by several while runs arrive.
    Query {
        /// Runs stored.
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
        /// The directory of the runs: made when it is not there, and kept with what arrived.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Times each question is asked by one client, but for no longer than a few seconds.
        #[arg(long, default_value_t = 1000)]
        times: usize,
        /// Clients, while runs arrive.
        #[arg(long, default_value_t = 8)]
        clients: usize,
        /// Seconds of them.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Milliseconds of acknowledgements and short questions, without and beside clients who ask wide ones.
    Wide {
        /// Runs stored.
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
        /// The directory of the runs: made when it is not there, and kept with what arrived.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Clients who ask wide questions.
        #[arg(long, default_value_t = 8)]
        clients: usize,
        /// Seconds, without and with them.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Bytes a run, seconds and memory of the offline tools over a large log, a rebuild beside a bare tantivy loop, and what
    /// requests notice of a compaction.
    Offline {
        /// Runs of the log.
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
        /// The log's directory: made when it is not there, and kept as it is.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// Seconds of requests, without and with compaction. Under load compaction takes its time: half a minute for the first
        /// segments.
        #[arg(long, default_value_t = 90)]
        seconds: u64,
        /// Only the parts whose name contains this: rebuild, tools, backup, start, compact, load.
        #[arg(long)]
        only: Option<String>,
    },
    /// No question: writes a log of made-up runs into the empty directory `--dir`, always the same for a number of runs.
    Generate {
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
    },
    /// The bare server itself; the other questions start it.
    Bare {
        /// Its directory.
        path: PathBuf,
        /// With tantivy behind it.
        #[arg(long)]
        index: bool,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.question {
            Question::Ingest { seconds, only } => {
                ingest::run(&arguments.binary, &arguments.dir, seconds, only.as_deref()).await
            }
            Question::Append { seconds } => append::run(&arguments.dir, seconds),
            Question::Query { runs, keep, times, clients, seconds } => {
                let (binary, dir) = (&arguments.binary, &arguments.dir);
                query::run(query::Question { binary, dir, runs, keep: keep.as_deref(), times, clients, seconds }).await
            }
            Question::Wide { runs, keep, clients, seconds } => {
                let (binary, dir) = (&arguments.binary, &arguments.dir);
                wide::run(wide::Question { binary, dir, runs, keep: keep.as_deref(), clients, seconds }).await
            }
            Question::Offline { runs, keep, seconds, only } => {
                let (keep, only) = (keep.as_deref(), only.as_deref());
                let (binary, dir) = (&arguments.binary, &arguments.dir);
                offline::run(offline::Question { binary, dir, runs, keep, seconds, only }).await
            }
            Question::Generate { runs } => {
                let dir = &arguments.dir;
                std::fs::create_dir_all(dir)?;
                anyhow::ensure!(std::fs::read_dir(dir)?.next().is_none(), "{} is not empty", dir.display());
                stored::generate(dir, runs)
            }
            Question::Bare { path, index } => bare::serve(&path, index).await,
        }
    })
}
