//! How many records a second does the log take, and how fast are they read again, beside raw loops over one file?

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_model::{Position, Timestamp, sample};
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::record::{self, Records};
use agenttracer_storage::{Batch, Log, Options, ResolveOnCommit, SegmentedLog};
use anyhow::Context;
use crossbeam_channel::bounded;

use crate::bare::prepared_file;
use crate::report::Table;

const SEGMENT_BYTES: u64 = 64 << 20;
/// Runs of a group in the raw loop, and half of what waits in the log: while one group syncs, the next gathers.
const GROUP: usize = 64;

/// Both questions.
pub(crate) fn run(dir: &Path, seconds: u64) -> anyhow::Result<()> {
    let duration = Duration::from_secs(seconds);
    let batches: Vec<Batch> =
        (0..256).map(|seed| record::encode_run(&sample::run(seed), Timestamp::from_micros(1))).collect();
    let records = batches.iter().map(|batch| u64::from(batch.records)).sum::<u64>() / batches.len() as u64;
    let bytes = batches.iter().map(|batch| batch.payload.len()).sum::<usize>() / batches.len();
    println!("runs of {records} records and {bytes} bytes, groups of {GROUP}, {seconds} s a loop\n");

    let mut table = Table::new(&["append", "runs/s", "records/s", "MB/s", "of raw"]);
    let mut row = |name: &str, runs: f64, raw: f64| {
        table.row(&[
            name.to_owned(),
            format!("{runs:.0}"),
            format!("{:.0}", runs * records as f64),
            format!("{:.0}", runs * bytes as f64 / 1e6),
            format!("{:.2}", runs / raw),
        ]);
    };
    let raw_dir = tempfile::tempdir_in(dir)?;
    let log_dir = tempfile::tempdir_in(dir)?;
    // In turn and twice, so that a slow moment of the machine strikes both.
    let half = duration / 2;
    let (mut raw, mut ours) = (0.0, 0.0);
    for round in 0..2 {
        raw += raw_append(&raw_dir.path().join(round.to_string()), &batches, half)? / 2.0;
        ours += log_append(&log_dir.path().join(round.to_string()), &batches, half)? / 2.0;
    }
    row("raw prepared-segment loop", raw, raw);
    row("the log", ours, raw);
    println!("{table}");
    scan(&log_dir.path().join("1"), &raw_dir.path().join("1"))
}

/// Frames with a CRC, one write and one fdatasync a group, into files that were prepared before.
fn raw_append(dir: &Path, batches: &[Batch], duration: Duration) -> anyhow::Result<f64> {
    std::fs::create_dir_all(dir)?;
    let (ready, spares) = bounded(1);
    let spare_dir = dir.to_owned();
    std::thread::spawn(move || {
        for number in 0.. {
            let made = prepared_file(&spare_dir.join(format!("{number:04}.seg")), SEGMENT_BYTES);
            if made.ok().is_none_or(|file| ready.send(file).is_err()) {
                return;
            }
        }
    });
    let mut file: File = spares.recv()?;
    let (mut offset, mut buffer, mut runs) = (0, Vec::new(), 0);
    let began = Instant::now();
    while began.elapsed() < duration {
        buffer.clear();
        for _ in 0..GROUP {
            let batch = &batches[runs % batches.len()];
            buffer.extend_from_slice(&(batch.payload.len() as u32).to_le_bytes());
            buffer.extend_from_slice(&crc32fast::hash(&batch.payload).to_le_bytes());
            buffer.extend_from_slice(&batch.payload);
            runs += 1;
        }
        buffer.resize(buffer.len().next_multiple_of(4096), 0);
        if offset + buffer.len() as u64 > SEGMENT_BYTES {
            (file, offset) = (spares.recv()?, 0);
        }
        file.write_all_at(&buffer, offset)?;
        file.sync_data()?;
        offset += buffer.len() as u64;
    }
    Ok(runs as f64 / began.elapsed().as_secs_f64())
}

/// The real log, with two groups in flight.
fn log_append(dir: &Path, batches: &[Batch], duration: Duration) -> anyhow::Result<f64> {
    let (log, _) = SegmentedLog::open(
        Arc::new(RealDisk),
        Arc::new(SystemClock::default()),
        dir,
        Options::default(),
        Box::new(ResolveOnCommit),
    )?;
    let (done, acks) = bounded(2 * GROUP);
    let (mut in_flight, mut sent) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < duration {
        while in_flight < 2 * GROUP {
            let done = done.clone();
            let ticket = Box::new(move |outcome: Result<Position, _>| {
                let _ = done.send(outcome.is_ok());
            });
            log.submit(batches[sent % batches.len()].clone(), ticket)?;
            in_flight += 1;
            sent += 1;
        }
        // One blocking wait a group, then what else is there.
        anyhow::ensure!(acks.recv()?, "an append failed");
        in_flight -= 1;
        while let Ok(acked) = acks.try_recv() {
            anyhow::ensure!(acked, "an append failed");
            in_flight -= 1;
        }
    }
    while in_flight > 0 {
        anyhow::ensure!(acks.recv()?, "an append failed");
        in_flight -= 1;
    }
    let runs = sent as f64 / began.elapsed().as_secs_f64();
    log.close()?;
    Ok(runs)
}

/// Reads all of a log back, warm, beside a CRC over the same amount of raw bytes.
fn scan(log_dir: &Path, raw_dir: &Path) -> anyhow::Result<()> {
    let (log, _) = SegmentedLog::open(
        Arc::new(RealDisk),
        Arc::new(SystemClock::default()),
        log_dir,
        Options::default(),
        Box::new(ResolveOnCommit),
    )?;
    let mut table = Table::new(&["scan, warm", "MB/s", "records/s", "of raw"]);
    let raw = |_: ()| -> anyhow::Result<(u64, u64)> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(raw_dir)? {
            let path = entry?.path();
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            let mapping = agenttracer_storage::disk::Disk::map(&RealDisk, &path)?;
            std::hint::black_box(crc32fast::hash(&mapping));
            bytes += file.metadata()?.len();
        }
        Ok((bytes, 0))
    };
    let batches = |decode: bool| -> anyhow::Result<(u64, u64)> {
        let (mut bytes, mut records) = (0, 0);
        for batch in log.scan(Position::ZERO..log.tail()) {
            let batch = batch?;
            bytes += batch.payload.len() as u64;
            match decode {
                true => records += Records::of(&batch)?.filter(Result::is_ok).count() as u64,
                false => records += u64::from(batch.records),
            }
        }
        Ok((bytes, records))
    };
    let timed = |work: &dyn Fn() -> anyhow::Result<(u64, u64)>| -> anyhow::Result<(f64, f64)> {
        work()?;
        let began = Instant::now();
        let (bytes, records) = work()?;
        let seconds = began.elapsed().as_secs_f64();
        Ok((bytes as f64 / 1e6 / seconds, records as f64 / seconds))
    };
    let bare = timed(&|| raw(()))?;
    for (name, (mb, records)) in [
        ("raw CRC over mapped files", bare),
        ("the log's scan", timed(&|| batches(false))?),
        ("scan and borrowed decode", timed(&|| batches(true))?),
    ] {
        table.row(&[name.to_owned(), format!("{mb:.0}"), format!("{records:.0}"), format!("{:.2}", mb / bare.0)]);
    }
    println!("{table}");
    log.close()?;
    Ok(())
}
