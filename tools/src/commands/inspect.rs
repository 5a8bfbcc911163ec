use agenttracer_index::known_durable;
use agenttracer_storage::verify::inspect;
use clap::Args;
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::report::{self, DamageJson, LogJson};

/// Reads headers, footers and the active segment, and changes nothing. Damage that this comes across is listed and gives
/// exit code 1; `verify` looks for it.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct InspectJson {
    #[serde(flatten)]
    log: LogJson,
    /// The next position that the index would read; 0 when there is none of this log.
    index_checkpoint: u64,
    damage: Vec<DamageJson>,
}

impl Inspect {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let disk = DataDir::disk();
        let found = inspect(&*disk, dir)?;
        let known = known_durable(&disk, &DataDir::index(dir))?.filter(|known| Some(known.log) == found.log_id);
        let index_checkpoint = known.map_or(0, |known| known.below.get());
        if self.json {
            let damage = found.damage.iter().map(DamageJson::from).collect();
            output::json(&InspectJson { log: LogJson::from(&found), index_checkpoint, damage })?;
        } else {
            report::print_segments(&found)?;
            output::line(&format!("The index covers positions up to {index_checkpoint}"))?;
            report::print_damage(&found.damage)?;
        }
        Ok(if found.is_sound() { Exit::Done } else { Exit::Failed })
    }
}
