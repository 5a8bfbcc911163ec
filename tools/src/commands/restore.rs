use std::path::{Path, PathBuf};
use std::time::Instant;

use agenttracer_storage::backup::{self, Backup, BackupError};
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;
use crate::progress::Progress;

/// Makes a data directory from a backup, after every byte of the backup was checked. A backup that is not whole is refused
/// with exit code 2, and the file is named. The first start makes the index.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The directory that `agenttracer backup` wrote
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// The data directory to make: empty, or not there
    #[arg(value_name = "DATA_DIR", required_unless_present = "check")]
    data_dir: Option<PathBuf>,
    /// Only check the backup, and write nothing
    #[arg(long, conflicts_with = "data_dir")]
    check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct RestoreJson {
    log_id: uuid::Uuid,
    /// Everything below it is in the backup.
    position: u64,
    taken_at: String,
    bytes: u64,
    segments: usize,
    restored: bool,
    seconds: f64,
}

impl Restore {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let disk = DataDir::disk();
        if let Some(dir) = &self.data_dir {
            refuse_content(dir)?;
        }
        let checking = Progress::of_bytes("checked");
        let copying = Progress::of_bytes("restored");
        let mut last = 0;
        let mut copies = false;
        let show = &mut |now: backup::Progress| {
            // Every byte is read twice: the count begins anew when the copying does.
            copies |= now.done < last;
            last = now.done;
            if copies { copying.set_bytes(now.done, now.total) } else { checking.set_bytes(now.done, now.total) }
        };
        let backup = match &self.data_dir {
            Some(dir) => backup::restore(&*disk, &self.source, dir, show),
            None => Backup::check(&*disk, &self.source, show).map(|(backup, _)| backup),
        };
        drop((checking, copying));
        let backup = backup?;
        let seconds = begun.elapsed().as_secs_f64();
        let Backup { log_id, position, ref taken_at, ref segments, .. } = backup;
        let restored = self.data_dir.is_some();
        if self.json {
            let (bytes, segments, taken_at) = (backup.bytes(), segments.len(), taken_at.clone());
            output::json(&RestoreJson { log_id, position, taken_at, bytes, segments, restored, seconds })?;
        } else {
            output::line(&format!(
                "{} of {taken_at}: positions 0..{position} in {}, {}; {seconds:.1} s",
                if restored { "Restored the backup" } else { "Every byte is as it was written: the backup" },
                output::count(segments.len() as u64, "segment", "segments"),
                output::bytes(backup.bytes()),
            ))?;
        }
        Ok(Exit::Done)
    }
}

/// An error when something is in the directory, unless an interrupted restore left it there.
fn refuse_content(dir: &Path) -> anyhow::Result<()> {
    let failed = || format!("looking into {}", dir.display());
    if backup::is_unfinished(&*DataDir::disk(), dir).with_context(failed)? {
        return Ok(());
    }
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(failed)?,
    };
    for entry in entries {
        let name = entry.with_context(failed)?.file_name();
        // The one is put there by a file system, the other by somebody who looked.
        if name != "lost+found" && name != "LOCK" {
            let name = name.to_string_lossy().into_owned();
            bail!(BackupError::NotEmpty { dir: dir.to_owned(), name });
        }
    }
    Ok(())
}
