use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use agenttracer_erasure::{Proof, prove};
use agenttracer_index::{Check, Checker, damaged_files};
use agenttracer_storage::StoredBatch;
use agenttracer_storage::backup::{self, Listed};
use agenttracer_storage::disk::Disk;
use agenttracer_storage::verify::{Report, SegmentReport, Visitor, inspect, visit};
use clap::Args;
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::progress::Progress;
use crate::report::{self, DamageJson, LogJson};

/// Reads everything and changes nothing: each checksum, the padding, the footers and the manifest of the log, the
/// checksums of the index, and whether each run of the log is in the index once, as it should be.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Look through every file for runs that were erased, and hold each receipt to its tombstones
    #[arg(long)]
    erasures: bool,
}

#[derive(Serialize)]
struct ErasuresJson {
    holds: bool,
    /// Erasures whose receipt says that they are purged.
    purged: u64,
    /// Erasures that are not purged yet.
    pending: u64,
    runs: u64,
    findings: u64,
    /// The first of them.
    named: Vec<String>,
    /// Living runs that name an erased one as their parent.
    mentions: u64,
    looked_at: BTreeMap<&'static str, u64>,
    /// Backups that were taken before the last receipt: they are outside, and hold what they held.
    older_backups: Vec<String>,
}

#[derive(Serialize)]
struct VerifyJson {
    sound: bool,
    #[serde(flatten)]
    log: LogJson,
    /// Runs of the log that are in the index as they should be.
    runs: u64,
    index: IndexJson,
    damage: Vec<DamageJson>,
}

#[derive(Serialize)]
struct IndexJson {
    checkpoint: u64,
    /// Batches that the next start will read.
    behind: u64,
    /// Why there is no index to be checked.
    absent: Option<String>,
    damaged_files: Vec<String>,
    differences: u64,
    /// The first of them.
    named: Vec<String>,
}

impl Verify {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let disk = DataDir::disk();
        if self.erasures {
            return self.erasures(&*disk, dir, &prove(&disk, dir)?);
        }
        let mut both = Both::open(disk.clone(), dir)?;
        let report = visit(&*disk, dir, &mut both)?;
        let index = both.finish(disk, dir)?;
        let sound = report.is_sound() && index.damaged_files.is_empty() && index.differences == 0;
        if self.json {
            let damage = report.damage.iter().map(DamageJson::from).collect();
            let (log, runs) = (LogJson::from(&report), index.runs);
            output::json(&VerifyJson { sound, log, runs, index: index.json, damage })?;
        } else {
            print(&report, &index, sound)?;
        }
        Ok(if sound { Exit::Done } else { Exit::Failed })
    }

    fn erasures(&self, disk: &dyn Disk, dir: &Path, proof: &Proof) -> anyhow::Result<Exit> {
        let named = proof.named.iter().map(|finding| format!("{}: {}", finding.place, finding.what));
        let Proof { purged, pending, runs, findings, mentions, .. } = *proof;
        // The position of a backup is behind all that is in it.
        let is_older = |backup: &Listed| proof.purged_at.is_some_and(|purged| backup.position <= purged.get());
        let backups = backup::list(disk, dir)?.into_iter().filter(is_older);
        let older_backups: Vec<_> = backups.map(|backup| backup.target.display().to_string()).collect();
        if self.json {
            let (holds, named, looked_at) = (proof.holds(), named.collect(), proof.looked_at.clone());
            let json =
                ErasuresJson { holds, purged, pending, runs, findings, named, mentions, looked_at, older_backups };
            output::json(&json)?;
        } else {
            output::line(&format!("{purged} erasures are purged, {pending} are not yet; they erase {runs} runs"))?;
            for (what, count) in &proof.looked_at {
                output::line(&format!("looked at {count} {what}"))?;
            }
            for found in named {
                output::line(&format!("FOUND {found}"))?;
            }
            if findings > proof.named.len() as u64 {
                output::line(&format!("FOUND and {} more", findings - proof.named.len() as u64))?;
            }
            for target in older_backups {
                output::line(&format!("The backup {target} is older than the last receipt: it holds what it held"))?;
            }
            let nothing = "Nothing of a purged run was found, and every receipt holds";
            output::line(if proof.holds() { nothing } else { "Something is left" })?;
        }
        Ok(if proof.holds() { Exit::Done } else { Exit::Failed })
    }
}

fn print(report: &Report, index: &IndexOutcome, sound: bool) -> std::io::Result<()> {
    report::print_segments(report)?;
    match &index.absent {
        Some(reason) => output::line(&format!("The index was not checked: {reason}; the next start makes it anew"))?,
        None => output::line(&format!(
            "{} runs are in the index as they should be; the next start reads {} more batches",
            index.runs, index.behind
        ))?,
    }
    report::print_damage(&report.damage)?;
    for file in &index.damaged_files {
        output::line(&format!("DAMAGED {file}: `agenttracer rebuild` makes the index anew"))?;
    }
    for difference in &index.named {
        output::line(&format!("DIFFERS {difference}"))?;
    }
    if index.differences > index.named.len() as u64 {
        output::line(&format!("DIFFERS and {} more", index.differences - index.named.len() as u64))?;
    }
    output::line(if sound { "Nothing is wrong" } else { "Something is wrong" })
}

/// One pass over the log that also holds the index to it.
struct Both {
    checker: Result<Checker, String>,
    failed: Option<agenttracer_index::IndexError>,
    progress: Progress,
}

/// What came of the index.
struct IndexOutcome {
    runs: u64,
    json: IndexJson,
}

impl std::ops::Deref for IndexOutcome {
    type Target = IndexJson;

    fn deref(&self) -> &IndexJson {
        &self.json
    }
}

impl Both {
    fn open(disk: Arc<dyn Disk>, dir: &Path) -> anyhow::Result<Self> {
        let log = inspect(&*disk, dir)?;
        let checker = match log.log_id {
            Some(id) => Checker::open(disk, &DataDir::index(dir), id)?,
            None => Err("no file says which log this is".to_owned()),
        };
        Ok(Self { checker, failed: None, progress: Progress::of_records(log.records(), "verified") })
    }

    fn finish(self, disk: Arc<dyn Disk>, dir: &Path) -> anyhow::Result<IndexOutcome> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let (check, absent) = match self.checker {
            Ok(checker) => (checker.finish(), None),
            Err(reason) => (Check::default(), Some(reason)),
        };
        let damaged = damaged_files(&disk, &DataDir::index(dir))?;
        let json = IndexJson {
            checkpoint: check.checkpoint.get(),
            behind: check.behind,
            absent,
            damaged_files: damaged.iter().map(|file| file.display().to_string()).collect(),
            differences: check.differences,
            named: check.named,
        };
        Ok(IndexOutcome { runs: check.runs, json })
    }
}

impl Visitor for Both {
    fn batch(&mut self, batch: &StoredBatch) {
        self.progress.set(batch.end().get());
        if let (Ok(checker), None) = (&mut self.checker, &self.failed) {
            self.failed = checker.batch(batch).err();
        }
    }

    fn segment(&mut self, segment: &SegmentReport) {
        self.progress.set(segment.end.get());
    }
}
