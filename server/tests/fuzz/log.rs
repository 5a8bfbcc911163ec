//! The files of a data directory: segments, their frames and footers, the manifest, and the records in a batch.

use std::path::Path;
use std::sync::Arc;

use agenttracer_model::{Position, Timestamp, sample};
use agenttracer_storage::disk::{CountingDisk, Disk, SimClock, SimDisk};
use agenttracer_storage::format::{
    BLOCK_BYTES, Block, BlockBuilder, Entry, FRAME_HEADER_BYTES, Footer, FrameHeader, SegmentHeader, Slot, StoredBlock,
    TRAILER_BYTES, Trailer, align_block, seed,
};
use agenttracer_storage::record::{self, Records};
use agenttracer_storage::{
    Batch, BatchKind, Log, OpenError, Options, Payload, ReadError, ResolveOnCommit, SegmentedLog, StoredBatch,
    log_record, verify,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::corpus::{Files, golden};
use crate::mutate::{Change, changed, changes};
use crate::{bounded, check};

const DIR: &str = "/data";
const FILES: [&str; 4] = ["manifest.a", "manifest.b", "log/00000000000000000000.seg", "log/00000000000000000006.seg"];
/// Of the golden files.
const LOG: Uuid = Uuid::from_u128(7);
/// What it may take to open and read a directory of a few files of some kilobytes: buffers, of which the longest are of
/// 1 MiB, and the simulated disk's copies of what is written.
const MEMORY: usize = 24 << 20;
/// What all of that may ask of the disk: the files are of a few dozen blocks.
const DISK_CALLS: u64 = 2000;
const BYTES: &[u8] = b"\x00\x01\x02\x7f\x80\xfbATRFSEGM1FOOTTAIL\xff";

/// The golden files as a data directory.
pub(crate) fn files() -> Files {
    Files::new(FILES.map(|name| (Path::new(DIR).join(name), golden(name.trim_start_matches("log/")))))
}

fn path(name: &str) -> String {
    format!("{DIR}/{name}")
}

/// Verifies, opens and reads it; whatever it holds, positions go forward, every batch is within the log, and the disk is not
/// asked more often than the bytes can justify.
fn read(disk: &SimDisk) -> Result<(), TestCaseError> {
    let counting = Arc::new(CountingDisk::new(Arc::new(disk.clone())));
    let read = || -> Result<(), TestCaseError> {
        let _ = verify::inspect(&*counting, Path::new(DIR));
        let _ = verify::verify(&*counting, Path::new(DIR), &mut |_| {});
        let options = Options { segment_bytes: 24 << 10, ..Options::default() };
        let clock = Arc::new(SimClock::new(Timestamp::from_micros(0)));
        let follower = Box::new(ResolveOnCommit);
        let opened = SegmentedLog::open_stepped(counting.clone(), clock, Path::new(DIR), options, follower);
        let log = match opened {
            Ok((log, _)) => log,
            Err(OpenError::Damaged(_) | OpenError::NewerFormat { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("no disk failed: {error}"))),
        };
        let mut next = Position::ZERO;
        let mut batches = 0;
        for batch in log.scan(Position::ZERO..log.tail()) {
            match batch {
                Ok(batch) => {
                    prop_assert!(batch.position >= next && batch.end() <= log.tail());
                    next = batch.end();
                    let _ = record::decode(&batch);
                    // A footer that lies, and whose checksum holds, can lead a single read nowhere, but not to another batch.
                    match log.read(batch.position) {
                        Ok(again) => prop_assert!(again.payload[..] == batch.payload[..]),
                        Err(ReadError::Damaged(_)) => {}
                        Err(error) => return Err(TestCaseError::fail(format!("no disk failed: {error}"))),
                    }
                }
                Err(ReadError::Damaged(damage)) => next = next.max(damage.positions.end),
                Err(error) => return Err(TestCaseError::fail(format!("no disk failed: {error}"))),
            }
            batches += 1;
            prop_assert!(batches < 10_000, "a scan without an end");
        }
        log.close().map_err(|error| TestCaseError::fail(error.to_string()))
    };
    bounded(MEMORY, read)??;
    let counts = counting.counts();
    let calls = counts.reads + counts.writes + counts.syncs + counts.dir_syncs;
    prop_assert!(calls < DISK_CALLS, "{counts:?}");
    Ok(())
}

/// The frame header of a block of 500 positions from the beginning of a log.
fn block_header(raw_bytes: usize, stored: &[u8]) -> FrameHeader {
    FrameHeader {
        frame_bytes: (FRAME_HEADER_BYTES + stored.len()) as u32,
        payload_crc: crc32fast::hash(stored),
        first: Position::ZERO,
        time: Timestamp::from_micros(1_000),
        group_first: Position::ZERO,
        durable: Position::ZERO,
        epoch: 1,
        records: 500,
        raw_bytes: raw_bytes as u32,
        chain: seed(LOG, Position::ZERO, 2),
        encoding: FrameHeader::BLOCK_ENCODING,
    }
}

/// A directory with one rewritten segment, of one block of these batches; its checksums hold, whatever is stored.
fn rewritten(batches: &[Batch], header: &FrameHeader, stored: &[u8]) -> SimDisk {
    let (generation, first) = (2, header.first);
    let seed = seed(LOG, first, generation);
    let head = SegmentHeader {
        log_id: LOG,
        id: 1,
        first,
        epoch: 1,
        created_at: header.time,
        generation,
        columns: header.encoding == FrameHeader::COLUMNS_ENCODING,
    };
    let mut file = head.encode();
    let offset = file.len();
    file.resize(offset + FRAME_HEADER_BYTES, 0);
    let crc = header.encode(seed, &mut file[offset..]);
    file.extend_from_slice(stored);
    file.resize(align_block(file.len() as u64) as usize, 0);
    let mut footer = Footer::empty(first, seed);
    footer.add(header, crc, offset as u64);
    batches.iter().for_each(|batch| footer.count(batch.time, batch.records, batch.payload.len()));
    let frames_end = file.len() as u64;
    file.extend_from_slice(&footer.encode(seed, frames_end));
    let file_bytes = file.len() as u64;
    let entry = Entry { id: 1, first, end: header.end(), file_bytes, generation, chain: crc };
    let floor = header.end();
    let slot = Slot { log_id: LOG, txn: 3, epoch: 1, floor, clean: true, start: first, segments: vec![entry] };
    let disk = SimDisk::new(1);
    let log = Path::new(DIR).join("log");
    disk.create_dir_all(&log).unwrap();
    let files = [(Path::new(DIR).join("manifest.a"), slot.encode()), (log.join(format!("{:020}.g2.cseg", 0)), file)];
    for (path, bytes) in files {
        disk.create(&path).unwrap().write_all_at(&bytes, 0).unwrap();
    }
    disk
}

/// Makes the CRC of a slot hold for what it says.
fn mend_slot(bytes: &mut [u8]) {
    let Some(count) = bytes.get(68..72) else { return };
    let count = u32::from_le_bytes(count.try_into().unwrap()) as usize;
    let used = count.saturating_mul(48).saturating_add(80);
    if let Some(covered) = bytes.get(12..used) {
        let crc = crc32fast::hash(covered);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    }
}

fn crc_from(seed: u32, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(seed);
    crc.update(bytes);
    crc.finalize()
}

/// Makes the CRCs of the segment header, the frames that are found, the footer and the trailer hold for what they say.
fn mend_segment(bytes: &mut [u8], first: u64) {
    let seed = seed(LOG, Position::new(first), 1);
    if bytes.len() < 2 * BLOCK_BYTES as usize {
        return;
    }
    let crc = crc32fast::hash(&bytes[12..BLOCK_BYTES as usize]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    let mut at = BLOCK_BYTES as usize;
    while at + FRAME_HEADER_BYTES <= bytes.len() {
        if bytes[at..].starts_with(b"ATF1") {
            let len = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            if let Some(payload) = bytes.get(at + FRAME_HEADER_BYTES..at.saturating_add(len)) {
                let crc = crc32fast::hash(payload);
                bytes[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
            }
            let crc = crc_from(seed, &bytes[at + 8..at + FRAME_HEADER_BYTES]);
            bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        }
        at += 8;
    }
    let trailer = bytes.len() - TRAILER_BYTES;
    if bytes[trailer..].starts_with(b"ATRTAIL1") {
        let number = |at: usize, len: usize| {
            let mut number = [0; 8];
            number[..len].copy_from_slice(&bytes[trailer + at..trailer + at + len]);
            u64::from_le_bytes(number) as usize
        };
        let (len, offset) = (number(12, 4), number(16, 8));
        if let Some(covered) = bytes.get(offset.saturating_add(12)..offset.saturating_add(len)) {
            let crc = crc_from(seed, covered);
            bytes[offset + 8..offset + 12].copy_from_slice(&crc.to_le_bytes());
        }
        let crc = crc_from(seed, &bytes[trailer + 12..]);
        bytes[trailer + 8..trailer + 12].copy_from_slice(&crc.to_le_bytes());
    }
}

fn some_changes() -> impl Strategy<Value = Vec<Change>> {
    changes(BYTES, 5)
}

#[test]
fn manifest_slots() {
    let files = files();
    check((any::<bool>(), some_changes(), prop::bool::weighted(0.8)), |(newest, changes, mend)| {
        let name = path(if newest { "manifest.b" } else { "manifest.a" });
        let mut bytes = changed(files.get(&name).to_vec(), &changes);
        if mend {
            mend_slot(&mut bytes);
        }
        read(&files.disk_with(&name, bytes))
    });
}

#[test]
fn segments() {
    let files = files();
    check((any::<bool>(), some_changes(), prop::bool::weighted(0.8)), |(sealed, changes, mend)| {
        let (name, first) = if sealed { (path(FILES[2]), 0) } else { (path(FILES[3]), 6) };
        let mut bytes = changed(files.get(&name).to_vec(), &changes);
        if mend {
            mend_segment(&mut bytes, first);
        }
        read(&files.disk_with(&name, bytes))
    });
}

#[test]
fn frame_headers() {
    let whole = golden("00000000000000000000.seg")[BLOCK_BYTES as usize..][..FRAME_HEADER_BYTES].to_vec();
    let seed = seed(LOG, Position::ZERO, 1);
    assert!(FrameHeader::decode(seed, &whole).is_some(), "the corpus is not one");
    check((some_changes(), any::<bool>()), |(changes, mend)| {
        let mut bytes = changed(whole.clone(), &changes);
        if mend && bytes.len() >= FRAME_HEADER_BYTES {
            let crc = crc_from(seed, &bytes[8..FRAME_HEADER_BYTES]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        }
        if let Some((header, _)) = bounded(4096, || FrameHeader::decode(seed, &bytes))? {
            let _ = (header.end(), header.payload_bytes(), header.stride(), header.kind());
        }
        Ok(())
    });
}

#[test]
fn footers() {
    let file = golden("00000000000000000000.seg");
    let seed = seed(LOG, Position::ZERO, 1);
    let trailer = Trailer::decode(seed, &file[file.len() - TRAILER_BYTES..], file.len() as u64).expect("it is sealed");
    let whole = file[trailer.footer_offset as usize..][..trailer.footer_bytes as usize].to_vec();
    assert!(Footer::decode(seed, &whole).is_some(), "the corpus is not one");
    check((some_changes(), prop::bool::weighted(0.8)), |(changes, mend)| {
        let mut bytes = changed(whole.clone(), &changes);
        if mend && bytes.len() > 12 {
            let crc = crc_from(seed, &bytes[12..]);
            bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        }
        bounded((64 << 10) + 64 * bytes.len(), || drop(Footer::decode(seed, &bytes)))
    });
}

fn stored(kind: BatchKind, records: u32, payload: Vec<u8>) -> StoredBatch {
    let payload = Payload::Memory(payload.into());
    StoredBatch { kind, position: Position::new(5), records, time: Timestamp::from_micros(1), payload }
}

#[test]
fn records_of_the_log() {
    check((some_changes(), 1..12_u32), |(changes, records)| {
        let payload = changed(golden("records-log.bin"), &changes);
        let memory = (64 << 10) + 200 * payload.len();
        let batch = stored(BatchKind::Log, records, payload);
        bounded(memory, || drop(log_record::decode(&batch)))
    });
}

#[test]
fn records_of_runs() {
    let seeds = ["records-whole.bin", "records-live.bin", "records-live-counted.bin"].map(golden).into_iter();
    let samples = (0..6).map(|seed| record::encode_run(&sample::run(seed), sample::FIRST_START).payload);
    let seeds: Vec<_> = seeds.chain(samples).collect();
    check((prop::sample::select(seeds), some_changes(), 1..40_u32), |(seed, changes, records)| {
        let payload = changed(seed, &changes);
        let memory = (64 << 10) + 200 * payload.len();
        let batch = stored(BatchKind::Run, records, payload);
        bounded(memory, || {
            let _ = record::decode(&batch);
            if let Ok(records) = Records::of(&batch) {
                records.map_while(Result::ok).for_each(|record| drop(format!("{record:?}")));
            }
        })
    });
}

/// Four batches, their block, and how it is stored: compressed and in columns.
fn block() -> (Vec<Batch>, Vec<u8>, [StoredBlock; 2]) {
    let batches: Vec<_> = (0..4).map(|n| record::encode_run(&sample::run(n), sample::FIRST_START)).collect();
    let mut builder = BlockBuilder::default();
    builder.begin(Position::ZERO, Timestamp::from_micros(1_000));
    for (batch, n) in batches.iter().zip(0..) {
        // Positions are gone in front of each, and behind the last one.
        builder.add(Position::new(3 + n * 100), batch.records, batch.time, batch.kind, &batch.payload);
    }
    let compressed = StoredBlock { bytes: builder.compress().unwrap(), encoding: FrameHeader::BLOCK_ENCODING };
    let columns = builder.store().unwrap();
    assert_eq!(columns.encoding, FrameHeader::COLUMNS_ENCODING);
    (batches, builder.raw().to_vec(), [compressed, columns])
}

#[test]
fn blocks() {
    let (batches, raw, stored) = block();
    assert!(Block::new(&block_header(raw.len(), &raw), &raw).is_some(), "the corpus is none");
    check((some_changes(), 0..3_usize), |(changes, how)| {
        if let Some(stored) = stored.get(how) {
            // The frame of a rewritten segment: its checksum holds, what it stores does not.
            let bytes = changed(stored.bytes.clone(), &changes);
            let header = FrameHeader { encoding: stored.encoding, ..block_header(raw.len(), &bytes) };
            return read(&rewritten(&batches, &header, &bytes));
        }
        let bytes = changed(raw.clone(), &changes);
        let header = block_header(bytes.len(), &bytes);
        bounded(4096, || -> Result<(), TestCaseError> {
            let Some(block) = Block::new(&header, &bytes) else { return Ok(()) };
            let mut next = header.first;
            for entry in block.entries() {
                prop_assert!(entry.position >= next && entry.records > 0 && entry.payload.end <= bytes.len());
                next = entry.position.advance(u64::from(entry.records));
                prop_assert!(next <= header.end());
            }
            Ok(())
        })?
    });
}

/// Otherwise the cases about blocks would all end at some checksum.
#[test]
fn a_rewritten_segment_made_here_is_one() {
    let (batches, raw, stored) = block();
    for StoredBlock { bytes, encoding } in stored {
        let disk = rewritten(&batches, &FrameHeader { encoding, ..block_header(raw.len(), &bytes) }, &bytes);
        let report = verify::verify(&disk, Path::new(DIR), &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{report:?}");
        assert_eq!((report.batches(), report.tail()), (4, Position::new(500)), "{report:?}");
    }
}
