//! The directory that an offline command looks at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_storage::disk::{Disk, RealDisk};
use anyhow::bail;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DataDir {
    /// The directory that holds everything
    #[arg(long, env = "AGENTTRACER_DATA_DIR", value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
}

impl DataDir {
    /// The directory, if there is a log in it: an offline command makes none.
    pub(crate) fn existing(&self) -> anyhow::Result<&Path> {
        let dir = self.data_dir.as_path();
        if !dir.join("log").is_dir() {
            bail!("{} holds no log; --data-dir names the directory that `agenttracer serve` writes", dir.display());
        }
        Ok(dir)
    }

    /// Where the projections are.
    pub(crate) fn index(dir: &Path) -> PathBuf {
        dir.join("index")
    }

    pub(crate) fn disk() -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }
}
