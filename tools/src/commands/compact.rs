use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agenttracer_index::{Index, commit_channel, known_durable};
use agenttracer_server::config::{Age, Limit};
use agenttracer_server::erasures::Erasures;
use agenttracer_server::maintenance::{self, Maintenance, MaintenanceError};
use agenttracer_storage::compaction::{Policy, SegmentFacts};
use agenttracer_storage::disk::{Clock, SystemClock};
use agenttracer_storage::verify::inspect;
use agenttracer_storage::{Options, SegmentedLog};
use clap::Args;
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::progress::Progress;

/// Rewrites sealed segments: compresses them, merges small ones, leaves out what is not to be kept, and purges what was
/// erased. `serve` does the same in the background, at a lower rate. The log is opened as by `serve`; when this is
/// interrupted, nothing is lost.
#[derive(Debug, Args)]
pub(crate) struct Compact {
    #[command(flatten)]
    data_dir: DataDir,
    /// First drop what is older, by when the server took it in: 30d, 12h
    #[arg(long, value_name = "TIME|off", default_value = "off")]
    retain: Limit<Age>,
    /// Only say what would be rewritten; change nothing
    #[arg(long, conflicts_with = "retain")]
    dry_run: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct DryRunJson {
    /// Half open ranges of positions, each of which would become one segment.
    ranges: Vec<[u64; 2]>,
    bytes: u64,
}

#[derive(Serialize)]
struct CompactJson {
    rewritings: u64,
    bytes_before: u64,
    bytes_after: u64,
    dropped_batches: u64,
    dropped_segments: u64,
    dropped_bytes: u64,
    /// Segments that are damaged and stay as they are.
    damaged_segments: u64,
    /// Bytes of log and index now.
    disk_bytes: u64,
    /// Erasures that could not be purged; the process log says why.
    pending_erasures: u64,
    seconds: f64,
    /// Without opening and closing log and index.
    rewriting_seconds: f64,
}

impl Compact {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        if self.dry_run { self.tell(dir) } else { self.compact(dir) }
    }

    fn tell(&self, dir: &Path) -> anyhow::Result<Exit> {
        let report = inspect(&*DataDir::disk(), dir)?;
        let facts: Vec<_> = report
            .segments
            .iter()
            .filter(|segment| segment.end > segment.first)
            .map(|segment| SegmentFacts {
                first: segment.first,
                end: segment.end,
                file_bytes: segment.file_bytes,
                generation: segment.generation,
                latest: segment.times.map(|(_, latest)| latest),
                unwanted: 0,
            })
            .collect();
        let plan = Policy::default().plan(&facts);
        let inside =
            |segment: &&SegmentFacts| plan.iter().any(|range| segment.first >= range.start && segment.end <= range.end);
        let bytes = facts.iter().filter(inside).map(|segment| segment.file_bytes).sum();
        if self.json {
            let ranges = plan.iter().map(|range| [range.start.get(), range.end.get()]).collect();
            output::json(&DryRunJson { ranges, bytes })?;
            return Ok(Exit::Done);
        }
        for range in &plan {
            output::line(&format!("positions {}..{} would become one segment", range.start, range.end))?;
        }
        output::line(&format!("{} would be rewritten", output::bytes(bytes)))?;
        Ok(Exit::Done)
    }

    fn compact(&self, dir: &Path) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let disk = DataDir::disk();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let index_dir = DataDir::index(dir);
        let options = Options { known_durable: known_durable(&disk, &index_dir)?, ..Options::default() };
        let (follower, commits) = commit_channel(1);
        let (log, _) = SegmentedLog::open(disk.clone(), clock.clone(), dir, options, Box::new(follower))?;
        let index_options = agenttracer_index::Options::default();
        let index =
            Index::open(disk.clone(), clock.clone(), &index_dir, log.clone(), commits, index_options, &mut |_| {})?;
        let index = Arc::new(index);
        let options = maintenance::Options {
            compact: true,
            bytes_per_second: None,
            retain: self.retain.bound().map(|age| age.0),
            max_disk_bytes: None,
            policy: Policy::default(),
        };
        let forget = Box::new(|| {});
        let unwanted = Erasures::new(log.clone(), index.clone(), clock.clone(), disk.clone(), dir, forget);
        unwanted.eraser().complete()?;
        let unwanted = Arc::new(unwanted);
        let (log_of, index_of) = (log.clone(), index.clone());
        let maintenance = Maintenance::new(log_of, index_of, disk, clock, dir.to_owned(), options, unwanted.clone());
        let opened = Instant::now();
        let outcome = carry_out(&maintenance, &log);
        let rewriting = opened.elapsed();
        // Whatever came of it, the directory is left as by a server that stopped.
        index.close()?;
        log.close()?;
        outcome?;
        self.report(&maintenance.done(), unwanted.pending(), begun.elapsed(), rewriting)
    }

    fn report(
        &self,
        done: &maintenance::Done,
        pending_erasures: u64,
        whole: Duration,
        rewriting: Duration,
    ) -> anyhow::Result<Exit> {
        let count = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
        let done = CompactJson {
            rewritings: count(&done.rewritings),
            bytes_before: count(&done.bytes_before),
            bytes_after: count(&done.bytes_after),
            dropped_batches: count(&done.dropped_batches),
            dropped_segments: count(&done.dropped_segments),
            dropped_bytes: count(&done.dropped_bytes),
            damaged_segments: count(&done.damaged_segments),
            disk_bytes: count(&done.disk_bytes),
            pending_erasures,
            seconds: whole.as_secs_f64(),
            rewriting_seconds: rewriting.as_secs_f64(),
        };
        let exit = if done.damaged_segments + pending_erasures == 0 { Exit::Done } else { Exit::Failed };
        if self.json {
            output::json(&done)?;
            return Ok(exit);
        }
        let mib_per_second = done.bytes_before as f64 / (1 << 20) as f64 / done.rewriting_seconds.max(0.001);
        output::line(&format!(
            "{} became {} in {:.1} s, {mib_per_second:.0} MiB/s; {} dropped; log and index take {}",
            output::bytes(done.bytes_before),
            output::bytes(done.bytes_after),
            done.rewriting_seconds,
            output::count(done.dropped_segments, "segment was", "segments were"),
            output::bytes(done.disk_bytes),
        ))?;
        if done.damaged_segments > 0 {
            output::line("Damaged segments stay as they are: `agenttracer verify` names the damage")?;
        }
        if pending_erasures > 0 {
            output::line(&format!("{pending_erasures} erasures are not purged yet: the messages above say why"))?;
        }
        Ok(exit)
    }
}

/// Does all there is to do, on all cores: each rewrites another range.
fn carry_out(maintenance: &Maintenance, log: &SegmentedLog) -> anyhow::Result<()> {
    maintenance.expire()?;
    log.seal_active()?;
    // First, so that nothing is rewritten twice that erased runs were in.
    maintenance.after_pass(&mut |_| true)?;
    // What was rewritten may be worth merging; that ends, because a merged segment is longer.
    loop {
        let plan = maintenance.plan()?;
        if plan.is_empty() {
            break;
        }
        let progress = Progress::of_bytes("rewritten");
        progress.set_bytes(0, plan.iter().map(|(_, bytes)| bytes).sum());
        let ranges: Mutex<VecDeque<_>> = Mutex::new(plan.into());
        let next = || ranges.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || -> Result<(), MaintenanceError> {
            while let Some((range, _)) = next() {
                let pace = &mut |bytes| {
                    progress.add(bytes);
                    true
                };
                if !maintenance.rewrite(range, pace)? {
                    break;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            // Each is waited for, whatever the others came to.
            let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            outcomes.into_iter().try_for_each(|outcome| match outcome {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
    }
    maintenance.fit()?;
    Ok(())
}
