use std::path::{Path, PathBuf};
use std::time::Instant;

use agenttracer_index::known_durable;
use agenttracer_storage::backup::{self, Listed, Options, Taken};
use agenttracer_storage::disk::{Disk, SystemClock};
use anyhow::bail;
use clap::Args;
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::progress::Progress;
use crate::report::{self, DamageJson};
use crate::table::Table;

/// Takes a backup of the log as of now, whether a server is running or not: everything that was acknowledged before is in
/// it. What the target has already is not copied again. Damage that is taken along is listed and gives exit code 1.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    data_dir: DataDir,
    /// The directory of the backup, outside of the data directory: made when it is not there, brought up to date when it is
    #[arg(value_name = "TARGET", required_unless_present = "list")]
    target: Option<PathBuf>,
    /// Copy segments also where a hard link would do, so that the backup shares no bytes with the data
    #[arg(long)]
    copy: bool,
    /// List the backups that were taken of this data directory, and take none
    #[arg(long, conflicts_with_all = ["target", "copy"])]
    list: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct TakenJson {
    target: String,
    log_id: uuid::Uuid,
    /// Everything below it is in the backup.
    position: u64,
    taken_at: String,
    bytes: u64,
    segments: usize,
    linked: u64,
    copied: u64,
    copied_bytes: u64,
    reused: u64,
    seconds: f64,
    damage: Vec<DamageJson>,
}

#[derive(Serialize)]
struct ListJson {
    backups: Vec<ListedJson>,
}

#[derive(Serialize)]
struct ListedJson {
    #[serde(flatten)]
    listed: Listed,
    /// Whether it is still there as it was taken: `present`, `changed` or `absent`, as seen from here.
    state: &'static str,
}

impl Backup {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let Some(target) = &self.target else { return self.print_list(dir) };
        let (real_dir, target) = (real(dir)?, real(target)?);
        if target.starts_with(&real_dir) || real_dir.starts_with(&target) {
            bail!(
                "{} and {} contain each other: a backup stands beside the data",
                target.display(),
                real_dir.display()
            );
        }
        let disk = DataDir::disk();
        let begun = Instant::now();
        // Read before the log: what the index covers now, the log has.
        let known_durable = known_durable(&disk, &DataDir::index(dir))?;
        let options = Options { copy: self.copy, known_durable };
        let progress = Progress::of_bytes("backed up");
        let show = &mut |now: backup::Progress| progress.set_bytes(now.done, now.total);
        let taken = backup::take(&*disk, &SystemClock::new(), &real_dir, &target, &options, show);
        drop(progress);
        let taken = taken?;
        let seconds = begun.elapsed().as_secs_f64();
        if self.json {
            output::json(&json(&target, &taken, seconds))?;
        } else {
            print(&target, &taken, seconds)?;
        }
        Ok(if taken.damage.is_empty() { Exit::Done } else { Exit::Failed })
    }

    fn print_list(&self, dir: &Path) -> anyhow::Result<Exit> {
        let disk = DataDir::disk();
        let backups = backup::list(&*disk, dir)?.into_iter().map(|listed| {
            let state = state(&*disk, &listed);
            ListedJson { listed, state }
        });
        let backups: Vec<_> = backups.collect();
        if self.json {
            output::json(&ListJson { backups })?;
            return Ok(Exit::Done);
        }
        if backups.is_empty() {
            output::line("No backup was taken of this directory by this program")?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["backup", "taken at", "positions", "bytes", "state"]);
        for ListedJson { listed, state } in backups {
            table.row([
                listed.target.display().to_string(),
                listed.taken_at,
                format!("0..{}", listed.position),
                output::bytes(listed.bytes),
                state.to_owned(),
            ]);
        }
        table.print()?;
        Ok(Exit::Done)
    }
}

/// Whether a backup is where it was, as far as can be seen without reading all of it.
fn state(disk: &dyn Disk, listed: &Listed) -> &'static str {
    match backup::Backup::read(disk, &listed.target) {
        Ok(Some(found)) if (found.position, &found.taken_at) == (listed.position, &listed.taken_at) => "present",
        Ok(None) => "absent",
        _ => "changed",
    }
}

/// The path without links, also when its end is not there yet.
fn real(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(path)
}

fn json(target: &Path, taken: &Taken, seconds: f64) -> TakenJson {
    let Taken { backup, linked, copied, copied_bytes, reused, damage } = taken;
    TakenJson {
        target: target.display().to_string(),
        log_id: backup.log_id,
        position: backup.position,
        taken_at: backup.taken_at.clone(),
        bytes: backup.bytes(),
        segments: backup.segments.len(),
        linked: *linked,
        copied: *copied,
        copied_bytes: *copied_bytes,
        reused: *reused,
        seconds,
        damage: damage.iter().map(DamageJson::from).collect(),
    }
}

fn print(target: &Path, taken: &Taken, seconds: f64) -> std::io::Result<()> {
    let backup = &taken.backup;
    output::line(&format!(
        "{}: positions 0..{} in {}, {}; {} copied ({}), {} linked, {} there before; {seconds:.1} s",
        target.display(),
        backup.position,
        output::count(backup.segments.len() as u64, "segment", "segments"),
        output::bytes(backup.bytes()),
        taken.copied,
        output::bytes(taken.copied_bytes),
        taken.linked,
        taken.reused,
    ))?;
    if taken.linked > 0 {
        output::line(
            "Linked segments share their bytes with the data directory: --copy, or a copy of this directory on another disk, outlives that disk",
        )?;
    }
    report::print_damage(&taken.damage)
}
