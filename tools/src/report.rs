//! What `inspect` and `verify` say about a log, as JSON and for people.

use std::path::Path;

use agenttracer_model::Timestamp;
use agenttracer_storage::verify::{Report, SegmentReport};
use agenttracer_storage::{Cut, Damage};
use serde::Serialize;

use crate::output;
use crate::table::Table;

/// A log's summary.
#[derive(Serialize)]
pub(crate) struct LogJson {
    log_id: Option<uuid::Uuid>,
    /// How often the log was started.
    starts: u64,
    clean: bool,
    /// The first position after all records.
    tail: u64,
    records: u64,
    batches: u64,
    bytes: u64,
    segments: Vec<SegmentJson>,
    torn_tail: Option<CutJson>,
    /// A slot of the manifest that the next start writes anew.
    torn_slot: Option<DamageJson>,
    /// Files that the next start removes.
    leftovers: Vec<String>,
    /// Positions that repairs declared as lost, half open.
    lost: Vec<[u64; 2]>,
}

#[derive(Serialize)]
struct SegmentJson {
    file: String,
    sealed: bool,
    generation: u32,
    /// Half open.
    positions: [u64; 2],
    records: u64,
    batches: u64,
    bytes: u64,
    payload_bytes: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

#[derive(Serialize)]
struct CutJson {
    file: String,
    offset: u64,
    bytes: u64,
}

/// A place that cannot be trusted; both ranges are half open.
#[derive(Serialize)]
pub(crate) struct DamageJson {
    file: String,
    offsets: [u64; 2],
    positions: [u64; 2],
    what: String,
}

impl From<&Report> for LogJson {
    fn from(report: &Report) -> Self {
        Self {
            log_id: report.log_id,
            starts: report.epoch,
            clean: report.clean,
            tail: report.tail().get(),
            records: report.records(),
            batches: report.batches(),
            bytes: report.file_bytes(),
            segments: report.segments.iter().map(SegmentJson::from).collect(),
            torn_tail: report.torn_tail.as_ref().map(CutJson::from),
            torn_slot: report.torn_slot.as_ref().map(DamageJson::from),
            leftovers: report.strays.iter().map(|path| name(path)).collect(),
            lost: report.lost.iter().map(|range| [range.start.get(), range.end.get()]).collect(),
        }
    }
}

impl From<&SegmentReport> for SegmentJson {
    fn from(segment: &SegmentReport) -> Self {
        Self {
            file: name(&segment.file),
            sealed: segment.sealed,
            generation: segment.generation,
            positions: [segment.first.get(), segment.end.get()],
            records: segment.records,
            batches: segment.batches,
            bytes: segment.file_bytes,
            payload_bytes: segment.payload_bytes,
            from: segment.times.map(|(from, _)| from),
            to: segment.times.map(|(_, to)| to),
        }
    }
}

impl From<&Cut> for CutJson {
    fn from(cut: &Cut) -> Self {
        Self { file: name(&cut.file), offset: cut.offset, bytes: cut.bytes }
    }
}

impl From<&Damage> for DamageJson {
    fn from(damage: &Damage) -> Self {
        Self {
            file: name(&damage.file),
            offsets: [damage.offsets.start, damage.offsets.end],
            positions: [damage.positions.start.get(), damage.positions.end.get()],
            what: damage.what.clone(),
        }
    }
}

/// A file as reports name it: segments are unique by their own name.
pub(crate) fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// Writes the segments as a table, and a line about all of them.
pub(crate) fn print_segments(report: &Report) -> std::io::Result<()> {
    let mut table = Table::new(["segment", "state", "positions", "batches", "payload", "file", "from", "to"]);
    for segment in &report.segments {
        let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| time.to_string());
        table.row([
            name(&segment.file),
            if segment.sealed { "sealed" } else { "active" }.to_owned(),
            format!("{}..{}", segment.first, segment.end),
            segment.batches.to_string(),
            output::bytes(segment.payload_bytes),
            output::bytes(segment.file_bytes),
            time(segment.times.map(|(from, _)| from)),
            time(segment.times.map(|(_, to)| to)),
        ]);
    }
    table.print()?;
    output::line(&format!(
        "\n{} in {}, {}, {}; {}",
        output::count(report.records(), "record", "records"),
        output::count(report.batches(), "batch", "batches"),
        output::count(report.segments.len() as u64, "segment", "segments"),
        output::bytes(report.file_bytes()),
        if report.clean { "closed cleanly" } else { "not closed cleanly" },
    ))?;
    if let Some(cut) = &report.torn_tail {
        output::line(&format!(
            "A torn tail of {} at offset {} of {}: never acknowledged, the next start cuts it off",
            output::bytes(cut.bytes),
            cut.offset,
            name(&cut.file)
        ))?;
    }
    if let Some(slot) = &report.torn_slot {
        output::line(&format!("{} is {}: the next start writes it anew", name(&slot.file), slot.what))?;
    }
    if !report.strays.is_empty() {
        let count = output::count(report.strays.len() as u64, "file", "files");
        output::line(&format!("{count} of segments that others took the place of: the next start removes them"))?;
    }
    for range in &report.lost {
        output::line(&format!("LOST positions {}..{}: damage that was repaired", range.start, range.end))?;
    }
    Ok(())
}

/// Writes each damaged place on a line.
pub(crate) fn print_damage(damage: &[Damage]) -> std::io::Result<()> {
    damage.iter().try_for_each(|damage| output::line(&format!("DAMAGED {damage}")))
}
