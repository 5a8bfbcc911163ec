use std::sync::Arc;

use agenttracer_index::known_durable;
use agenttracer_storage::disk::SystemClock;
use agenttracer_storage::repair::Repair as Plan;
use clap::Args;
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::report::{self, DamageJson};

/// Shows what is damaged and what a repair would do, and changes nothing; with --apply it does it. Every batch that can be read
/// is kept at its position, what cannot is declared as lost, and the damaged bytes are copied into quarantine/.
/// Without --apply the exit code is 1 when there is something to repair.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    data_dir: DataDir,
    /// Repair
    #[arg(long)]
    apply: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct RepairJson {
    log_id: uuid::Uuid,
    needed: bool,
    applied: bool,
    /// Whether the manifest is made anew from the segments.
    manifest: bool,
    damage: Vec<DamageJson>,
    /// Positions that are declared as lost, half open.
    lost: Vec<[u64; 2]>,
    /// Segments that are written.
    segments: Vec<String>,
    /// What was put into quarantine.
    quarantined: Vec<String>,
}

impl Repair {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let disk = DataDir::disk();
        let index = DataDir::index(dir);
        let plan = Plan::examine(Arc::clone(&disk), dir, known_durable(&disk, &index)?)?;
        let mut told = RepairJson {
            log_id: plan.log_id(),
            needed: plan.is_needed(),
            applied: self.apply && plan.is_needed(),
            manifest: plan.makes_manifest(),
            damage: plan.damage.iter().map(DamageJson::from).collect(),
            lost: plan.lost.iter().map(|range| [range.start.get(), range.end.get()]).collect(),
            segments: plan.segments().iter().map(|path| report::name(path)).collect(),
            quarantined: Vec::new(),
        };
        let damage = plan.damage.clone();
        if told.applied {
            let forget = &mut || agenttracer_index::forget(&disk, &index).map_err(std::io::Error::other);
            let repaired = plan.apply(&SystemClock::new(), forget)?;
            told.quarantined = repaired.quarantined.iter().map(|path| report::name(path)).collect();
        }
        if self.json {
            output::json(&told)?;
        } else {
            report::print_damage(&damage)?;
            print(&told)?;
        }
        Ok(if told.needed && !told.applied { Exit::Failed } else { Exit::Done })
    }
}

fn print(told: &RepairJson) -> std::io::Result<()> {
    if !told.needed {
        return output::line("Nothing needs repair");
    }
    let lost: u64 = told.lost.iter().map(|[from, to]| to - from).sum();
    for [from, to] in &told.lost {
        output::line(&format!("LOST positions {from}..{to}"))?;
    }
    let (writes, makes, puts) = match told.applied {
        true => ("Wrote", "made", "are"),
        false => ("Would write", "would make", "would be"),
    };
    output::line(&format!(
        "{writes} {} anew{}; {} {puts} declared as lost, every other batch stays at its position",
        output::count(told.segments.len() as u64, "segment", "segments"),
        if told.manifest { format!(", and {makes} the manifest from the segments") } else { String::new() },
        output::count(lost, "position", "positions"),
    ))?;
    match told.applied {
        true => output::line(&format!(
            "{} in quarantine/: the damaged bytes and what is known of them. Move them away when you have seen to it; they may hold \
             what was erased",
            output::count(told.quarantined.len() as u64, "file", "files")
        )),
        false => output::line("Nothing was changed. Keep a copy of the directory, then: agenttracer repair --apply"),
    }
}
