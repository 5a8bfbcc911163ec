//! Directories with many runs in them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::dataset::Dataset;

/// Makes a log of `runs` runs in `dir`, which is empty, and says how long it took.
pub(crate) fn generate(dir: &Path, runs: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    let written = Dataset::of(runs).write(dir)?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{runs} runs, {} records, {:.0} bytes of payload a run, written in {seconds:.1} s: {:.0} runs/s",
        written.records,
        written.payload_bytes as f64 / runs as f64,
        runs as f64 / seconds
    );
    Ok(())
}

/// Sees to it that there is a log in `dir`: one of `runs` runs when there was none.
pub(crate) fn log(dir: &Path, runs: u64) -> anyhow::Result<()> {
    if dir.join("log").is_dir() {
        println!("the log of {} is taken as it is, for {runs} runs", dir.display());
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    generate(dir, runs)
}

/// The same, and that the log has an index.
pub(crate) fn log_and_index(binary: &Path, dir: &Path, runs: u64) -> anyhow::Result<()> {
    log(dir, runs)?;
    if !dir.join("index").is_dir() {
        let status = Command::new(binary)
            .args(["rebuild", "--data-dir"])
            .arg(dir)
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("starting {}", binary.display()))?;
        ensure!(status.success(), "the index was not made: {status}");
    }
    Ok(())
}
