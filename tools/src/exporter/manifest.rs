//! What an export says about itself.

use std::io::Write;

use agenttracer_model::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::files::{Finished, OutDir};

/// The name of the file. It is named last: an export without it is not complete.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The form of this file.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) program: String,
    /// `ndjson`, `csv` or `parquet`.
    pub(crate) format: String,
    pub(crate) exported_at: String,
    pub(crate) log_id: Uuid,
    /// Every record below is in the export, if its run matches the filters.
    pub(crate) position: u64,
    /// As they were given, in their order.
    pub(crate) filters: Vec<[String; 2]>,
    pub(crate) runs: u64,
    /// Runs that match and could not be read: they are missing from the files.
    pub(crate) unreadable: u64,
    /// The first of them.
    pub(crate) unreadable_runs: Vec<Unreadable>,
    pub(crate) files: Vec<ManifestFile>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Unreadable {
    pub(crate) run_id: Uuid,
    pub(crate) position: u64,
    pub(crate) what: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Manifest {
    /// An export of nothing yet.
    pub(crate) fn new(format: &str, exported_at: Timestamp, log_id: Uuid, position: u64) -> Self {
        Self {
            version: VERSION,
            program: concat!("agenttracer ", env!("CARGO_PKG_VERSION")).to_owned(),
            format: format.to_owned(),
            exported_at: exported_at.to_string(),
            log_id,
            position,
            filters: Vec::new(),
            runs: 0,
            unreadable: 0,
            unreadable_runs: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Writes it beside the files and gives all of them their names.
    pub(crate) fn finish(&mut self, dir: OutDir, files: Vec<Finished>) -> anyhow::Result<()> {
        let entry =
            |file: Finished| ManifestFile { name: file.name, rows: file.rows, bytes: file.bytes, sha256: file.sha256 };
        self.files = files.into_iter().map(entry).collect();
        let mut file = dir.file(MANIFEST)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.finish(1)?;
        dir.finish(self.files.iter().map(|file| file.name.as_str()).chain([MANIFEST]))
    }
}
