//! Servers under load run as processes of their own, so that each pays for itself alone.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A server process; it is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where runs are sent.
    pub(crate) ingest: SocketAddr,
    /// Where questions are asked; the bare server has none.
    pub(crate) query: Option<SocketAddr>,
}

impl Server {
    /// Starts `agenttracer serve` on free ports.
    pub(crate) fn agenttracer(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        Self::agenttracer_with(binary, dir, &[])
    }

    /// The same with further options.
    pub(crate) fn agenttracer_with(binary: &Path, dir: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let addresses = dir.join("run/addresses.json");
        // A file of an earlier process would name dead ports.
        let _ = std::fs::remove_file(&addresses);
        let mut child = Command::new(binary)
            .arg("serve")
            .arg("--data-dir")
            .arg(dir)
            .args(["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--ui-addr", "off"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Ok(bytes) = std::fs::read(&addresses) {
                let found: serde_json::Value = serde_json::from_slice(&bytes)?;
                let address = |name: &str| -> anyhow::Result<SocketAddr> {
                    Ok(found[name].as_str().with_context(|| format!("no address of {name}"))?.parse()?)
                };
                return Ok(Self { ingest: address("ingest")?, query: Some(address("query")?), child });
            }
            if let Some(status) = child.try_wait()? {
                bail!("agenttracer ended: {status}");
            }
            if Instant::now() > deadline {
                bail!("agenttracer did not become ready");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the bare server, which is this program itself.
    pub(crate) fn bare(dir: &Path, index: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(dir).stdout(Stdio::piped());
        if index {
            command.arg("--index");
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the bare server has an output")?).read_line(&mut line)?;
        Ok(Self { ingest: line.trim().parse()?, query: None, child })
    }

    /// Stops `agenttracer serve` as an operator does, and waits for its end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let signal = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        anyhow::ensure!(signal.success(), "the server cannot be told to stop");
        anyhow::ensure!(self.child.wait()?.success(), "the server did not stop as it should");
        Ok(())
    }

    /// CPU time the process has used, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("the stat line has a name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // utime and stime, in ticks of 10 ms: every Linux that Rust runs on has 100 a second.
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
    }

    /// Anonymous memory of the process in MB: what it took itself, without mapped files.
    pub(crate) fn anonymous_mb(&self) -> anyhow::Result<f64> {
        anonymous_mb(self.child.id())
    }
}

/// Anonymous memory of a process in MB.
pub(crate) fn anonymous_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("the status has RssAnon")?;
    Ok(line.split_whitespace().nth(1).context("RssAnon has a number")?.parse::<f64>()? / 1024.0)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
