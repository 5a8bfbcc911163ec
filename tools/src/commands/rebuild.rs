use std::time::Instant;

use agenttracer_index::{Index, commit_channel, known_durable};
use agenttracer_storage::disk::{Clock, SystemClock};
use agenttracer_storage::{Log, Options, SegmentedLog};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::sync::Arc;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::progress::Progress;

/// Replays all segments into fresh projections. The log is opened as by `serve`, the old index goes only then; when this
/// is interrupted, the next start goes on.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct RebuildJson {
    runs: u64,
    records: u64,
    seconds: f64,
    /// Places of the log that had to be passed over.
    damaged: u64,
}

impl Rebuild {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let disk = DataDir::disk();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let index_dir = DataDir::index(dir);
        // What the old index covers is evidence of what the log must hold.
        let options = Options { known_durable: known_durable(&disk, &index_dir)?, ..Options::default() };
        let (follower, commits) = commit_channel(1);
        let (log, _) = SegmentedLog::open(disk.clone(), clock.clone(), dir, options, Box::new(follower))?;
        match std::fs::remove_dir_all(&index_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", index_dir.display()));
            }
            _ => {}
        }
        let begun = Instant::now();
        let progress = Progress::of_records(log.tail().get(), "replayed");
        let options = agenttracer_index::Options::default();
        let index = Index::open(disk, clock, &index_dir, log.clone(), commits, options, &mut |now| {
            progress.set(now.position.get());
        })?;
        index.commit_now()?;
        drop(progress);
        let status = index.status();
        index.close()?;
        log.close()?;

        let seconds = begun.elapsed().as_secs_f64();
        let (runs, records) = (status.cold_docs + status.hot_runs, log.tail().get());
        if self.json {
            output::json(&RebuildJson { runs, records, seconds, damaged: status.damage_count })?;
        } else {
            let rate = runs as f64 / seconds.max(0.001);
            output::line(&format!("{runs} runs ({records} records) in {seconds:.1} s, {rate:.0} runs/s"))?;
            crate::report::print_damage(&status.damage)?;
        }
        Ok(if status.damage_count == 0 { Exit::Done } else { Exit::Failed })
    }
}
