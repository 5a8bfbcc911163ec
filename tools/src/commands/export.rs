use std::path::PathBuf;

use agenttracer_model::Timestamp;
use agenttracer_query::filter_of;
use agenttracer_server::{Config, Node};
use agenttracer_storage::disk::{Clock, SystemClock};
use clap::Args;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::exporter::{Format, Manifest, OutDir, Runs, Sink, Unreadable};
use crate::filters::parse_filter;
use crate::output;
use crate::progress::Progress;

/// How many unreadable runs the manifest names.
const NAMED_UNREADABLE: usize = 1000;

/// Writes runs into files for other programs, newest first, with a manifest that holds counts and checksums. Nothing is
/// cut off: what cannot be read is named and gives exit code 1. The directory is opened as by `serve`, so no server may
/// have it; export from a backup instead.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    data_dir: DataDir,
    /// What is written: parquet or csv (runs, steps, failures, decisions and signals), or ndjson (for `import`)
    #[arg(long, value_enum)]
    format: Format,
    /// A directory for the files; it must be empty, and is made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only runs that match: a filter of `/v1/runs`, as agent_id=support or start_time=2026-11-01. Repeated, one name
    /// means any of the values, different names mean all of them
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Print the manifest as one JSON object
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let filter = filter_of(&self.filter).map_err(anyhow::Error::msg)?;
        let out = OutDir::create(&self.out)?;
        let node = DataDir::open(&Config::new(dir.to_owned()))?;
        // Everything in the index: a page then never looks through what is still in memory.
        node.index().commit_now()?;
        let manifest = self.export(&node, &filter, out);
        node.close()?;
        let manifest = manifest?;
        if self.json {
            output::json(&manifest)?;
        } else {
            for file in &manifest.files {
                let rows = output::count(file.rows, "row", "rows");
                output::line(&format!("{}: {rows}, {}", file.name, output::bytes(file.bytes)))?;
            }
            let runs = output::count(manifest.runs, "run", "runs");
            output::line(&format!("{runs} up to position {}, in {}", manifest.position, self.out.display()))?;
        }
        for run in &manifest.unreadable_runs {
            output::warning(&format!("run {} at position {} cannot be read: {}", run.run_id, run.position, run.what));
        }
        let more = manifest.unreadable.saturating_sub(manifest.unreadable_runs.len() as u64);
        if more > 0 {
            output::warning(&format!("{more} more runs cannot be read"));
        }
        Ok(if manifest.unreadable == 0 { Exit::Done } else { Exit::Failed })
    }

    fn export(&self, node: &Node, filter: &agenttracer_index::Filter, out: OutDir) -> anyhow::Result<Manifest> {
        let log = node.log();
        let snapshot = node.index().snapshot();
        let now: Timestamp = SystemClock::new().now();
        let mut manifest = Manifest::new(self.format.as_str(), now, log.id(), snapshot.position().get());
        manifest.filters = self.filter.iter().map(|(name, value)| [name.clone(), value.clone()]).collect();
        let runs = Runs { snapshot: &snapshot, log: &*log, filter };
        let progress = Progress::of_runs(runs.count()?, "exported");
        let mut sink = Sink::new(self.format, &out)?;
        let mut done = 0;
        runs.each(|run, batches| {
            done += 1;
            progress.set(done);
            let added = match batches {
                Ok(batches) => match sink.add(batches)? {
                    true => Ok(()),
                    false => Err("the log holds no start of it".to_owned()),
                },
                Err(what) => Err(what),
            };
            let Err(what) = added else {
                manifest.runs += 1;
                return Ok(());
            };
            manifest.unreadable += 1;
            if manifest.unreadable_runs.len() < NAMED_UNREADABLE {
                let position = run.position().get();
                manifest.unreadable_runs.push(Unreadable { run_id: run.run_id, position, what });
            }
            Ok(())
        })?;
        manifest.finish(out, sink.finish()?)?;
        Ok(manifest)
    }
}
