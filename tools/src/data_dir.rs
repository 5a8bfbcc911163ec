//! The directory that an offline command looks at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_server::{Config, Node, StartError};
use agenttracer_storage::OpenError;
use agenttracer_storage::disk::{Disk, RealDisk};
use anyhow::bail;
use clap::Args;

use crate::progress::Progress;

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

    /// Opens a directory as `serve` does, with a bar while the index is brought up to date.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Node> {
        let mut bar = None;
        let opened = Node::open(config, &mut |now| {
            let bar = bar.get_or_insert_with(|| Progress::of_records(now.tail.get(), "indexed"));
            bar.set(now.position.get());
        });
        match opened {
            Err(StartError::Log(OpenError::Locked(dir))) => bail!(
                "{} is in use by a server: stop it first, or do this with a restored backup of it",
                dir.display()
            ),
            opened => Ok(opened?),
        }
    }

    /// Where the projections are.
    pub(crate) fn index(dir: &Path) -> PathBuf {
        dir.join("index")
    }

    pub(crate) fn disk() -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }
}
