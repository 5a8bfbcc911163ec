use std::io::{self, BufWriter, StdoutLock, Write};

use agenttracer_model::{Position, Timestamp, lenient};
use agenttracer_query::{Record, records};
use agenttracer_storage::verify::{SegmentReport, Visitor, visit};
use agenttracer_storage::{BatchKind, StoredBatch, record};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output;

/// Reads the log and changes nothing. Damage is passed over, listed on stderr, and gives exit code 1.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    data_dir: DataDir,
    /// From this position on
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    from_position: u64,
    /// Only what the server took in at this time or later (as 2026-11-22T10:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only the records of this run
    #[arg(long, value_name = "RUN_ID")]
    run: Option<Uuid>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    lenient::datetime(text).map_err(|_| format!("`{text}` is no time: write it as 2026-11-22T10:00:00Z"))
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    run_id: Uuid,
    #[serde(flatten)]
    record: Record<'a>,
}

impl Replay {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let dir = self.data_dir.existing()?;
        let mut printer = Printer { out: BufWriter::new(io::stdout().lock()), only: &self, failed: None };
        let report = visit(&*DataDir::disk(), dir, &mut printer)?;
        if let Some(error) = printer.failed {
            return Err(error);
        }
        printer.out.flush()?;
        for damage in &report.damage {
            output::warning(&format!("passed over damage: {damage}"));
        }
        Ok(if report.is_sound() { Exit::Done } else { Exit::Failed })
    }
}

struct Printer<'a> {
    out: BufWriter<StdoutLock<'static>>,
    only: &'a Replay,
    failed: Option<anyhow::Error>,
}

impl Printer<'_> {
    fn print(&mut self, batch: &StoredBatch) -> anyhow::Result<()> {
        let first = Position::new(self.only.from_position);
        if batch.kind != BatchKind::Run
            || batch.end() <= first
            || self.only.since.is_some_and(|since| batch.time < since)
        {
            return Ok(());
        }
        if let Some(run) = self.only.run
            && record::Records::of(batch)?.run_id != run
        {
            return Ok(());
        }
        let batch = record::decode(batch)?;
        let run_id = batch.run_id;
        for record in records(std::slice::from_ref(&batch)) {
            if record.position() >= first {
                serde_json::to_writer(&mut self.out, &Line { run_id, record }).map_err(io::Error::from)?;
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

impl Visitor for Printer<'_> {
    fn wants(&mut self, segment: &SegmentReport) -> bool {
        let late = |since| segment.times.is_none_or(|(_, last)| last >= since);
        segment.end.get() > self.only.from_position && self.only.since.is_none_or(late)
    }

    fn batch(&mut self, batch: &StoredBatch) {
        self.failed = self.print(batch).err();
    }

    fn goes_on(&self) -> bool {
        self.failed.is_none()
    }
}
