//! The bytes of a batch of kind 4: records of the log itself, which tell what was done to it. Today these are erasures.
//!
//! # Format
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | codec: 1 |
//! | 1 | 1 | flags: 0 |
//! | 2 | | records: varint length of what follows, 1 byte kind, 1 byte schema version of the body: 1, body |
//!
//! | kind | record | body |
//! |---|---|---|
//! | 1 | erasure begun | erasure id, 16 bytes; selection, u8; runs, varint |
//! | 2 | erasure planned | erasure id; 1 when more of the plan follows, else 0; list of the runs' first positions |
//! | 3 | runs erased | erasure id; list of tombstones: SHA-256 of the run id, 32 bytes; list of the positions of its batches |
//! | 4 | erasure hidden | erasure id; runs, varint; batches, varint; digest, 32 bytes |
//! | 5 | erasure purged | erasure id; digest, 32 bytes |
//!
//! A list has its count in front; positions in it ascend, and each is stored as the distance to the one before, the first to 0.
//! Numbers are those of `bincode` 2 as in the records of a run.
//!
//! # What stands in them
//!
//! Nothing that was erased: no run id, no agent, no session. The hash of a run id is what a run that comes again is
//! known by; positions say which bytes must go; the digest is SHA-256 over all tombstones in order (for each the hash, the
//! count of its positions and the positions, 8 bytes little-endian each), so that a receipt holds for these and no others.
//!
//! Decoding is total, as that of runs is.

use agenttracer_model::{Digest, Position, Timestamp};
use bincode::de::BorrowDecoder;
use bincode::enc::Encoder;
use bincode::error::EncodeError;
use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use crate::record::{CODEC, CONFIG, DecodeError, VERSION, all, take};
use crate::{Batch, BatchKind, StoredBatch};

/// One record of the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRecord {
    /// An erasure was accepted.
    ErasureBegun {
        /// Which one.
        erasure: Uuid,
        /// What it was asked to erase by; never the values.
        selection: Selection,
        /// How many runs it erases.
        runs: u64,
    },
    /// Which runs an erasure of many runs will erase. When the last part is durable, the erasure happens, whatever
    /// crashes in between.
    ErasurePlanned {
        /// Which one.
        erasure: Uuid,
        /// Whether another part follows.
        more: bool,
        /// The position of each run's first batch, ascending.
        runs: Vec<Position>,
    },
    /// These runs are gone from here on.
    RunsErased {
        /// By which erasure.
        erasure: Uuid,
        /// The runs.
        runs: Vec<Tombstone>,
    },
    /// The last run of an erasure is gone for every reader.
    ErasureHidden {
        /// Which one.
        erasure: Uuid,
        /// How many runs it erased.
        runs: u64,
        /// How many batches they had.
        batches: u64,
        /// SHA-256 over all its tombstones.
        digest: Digest,
    },
    /// The bytes of an erasure's runs are in no file any more.
    ErasurePurged {
        /// Which one.
        erasure: Uuid,
        /// As when it was hidden.
        digest: Digest,
    },
}

/// What is left of an erased run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// SHA-256 of the 16 bytes of its id.
    pub run: [u8; 32],
    /// Where its batches begin, ascending.
    pub positions: Vec<Position>,
}

/// By what the runs of an erasure were chosen: the kinds of conditions, never their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection(u8);

impl Selection {
    /// By run id.
    pub const RUN: Self = Self(1);
    /// By session.
    pub const SESSION: Self = Self(2);
    /// By agent.
    pub const AGENT: Self = Self(4);
    /// By time.
    pub const TIME: Self = Self(8);

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `other` is part of it.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of its parts, as the API has them.
    pub fn names(self) -> Vec<&'static str> {
        [(Self::RUN, "run"), (Self::SESSION, "session"), (Self::AGENT, "agent"), (Self::TIME, "time")]
            .into_iter()
            .filter(|(part, _)| self.has(*part))
            .map(|(_, name)| name)
            .collect()
    }
}

#[derive(Encode, BorrowDecode)]
struct StoredBegun {
    erasure: [u8; 16],
    selection: u8,
    runs: u64,
}

#[derive(Encode, BorrowDecode)]
struct StoredPlanned {
    erasure: [u8; 16],
    more: bool,
    runs: List<u64>,
}

#[derive(Encode, BorrowDecode)]
struct StoredErased {
    erasure: [u8; 16],
    runs: List<StoredTombstone>,
}

#[derive(Encode, BorrowDecode)]
struct StoredTombstone {
    run: [u8; 32],
    positions: List<u64>,
}

/// A list as bincode writes a `Vec`. When it is read, its count is not believed before its elements are there: a few bytes must
/// not take megabytes.
struct List<T>(Vec<T>);

impl<T: Encode + 'static> Encode for List<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.encode(encoder)
    }
}

impl<'de, Context, T: BorrowDecode<'de, Context>> BorrowDecode<'de, Context> for List<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let count = u64::borrow_decode(decoder)?;
        (0..count).map(|_| T::borrow_decode(decoder)).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Encode, BorrowDecode)]
struct StoredHidden {
    erasure: [u8; 16],
    runs: u64,
    batches: u64,
    digest: [u8; 32],
}

#[derive(Encode, BorrowDecode)]
struct StoredPurged {
    erasure: [u8; 16],
    digest: [u8; 32],
}

/// Encodes records as one batch; there must be at least one.
///
/// # Panics
/// When the positions of a list do not ascend.
pub fn encode(records: &[LogRecord], time: Timestamp) -> Batch {
    let mut payload = vec![CODEC, 0];
    for record in records {
        let (kind, body) = match record {
            LogRecord::ErasureBegun { erasure, selection, runs } => {
                (1, put(&StoredBegun { erasure: erasure.into_bytes(), selection: selection.0, runs: *runs }))
            }
            LogRecord::ErasurePlanned { erasure, more, runs } => {
                (2, put(&StoredPlanned { erasure: erasure.into_bytes(), more: *more, runs: List(distances(runs)) }))
            }
            LogRecord::RunsErased { erasure, runs } => {
                let runs = runs
                    .iter()
                    .map(|tombstone| StoredTombstone {
                        run: tombstone.run,
                        positions: List(distances(&tombstone.positions)),
                    })
                    .collect();
                (3, put(&StoredErased { erasure: erasure.into_bytes(), runs: List(runs) }))
            }
            LogRecord::ErasureHidden { erasure, runs, batches, digest } => {
                let (runs, batches) = (*runs, *batches);
                (4, put(&StoredHidden { erasure: erasure.into_bytes(), runs, batches, digest: digest.0 }))
            }
            LogRecord::ErasurePurged { erasure, digest } => {
                (5, put(&StoredPurged { erasure: erasure.into_bytes(), digest: digest.0 }))
            }
        };
        let len = u32::try_from(body.len() + 2).expect("a record is smaller than 4 GiB");
        payload.extend_from_slice(&put(&len));
        payload.extend_from_slice(&[kind, VERSION]);
        payload.extend_from_slice(&body);
    }
    let count = u32::try_from(records.len()).expect("a batch has fewer than 2^32 records");
    Batch { kind: BatchKind::Log, payload, records: count, time }
}

/// Decodes a batch of the log itself.
///
/// # Errors
/// When the bytes are not what the writer writes: the frame's CRC held, so this is a fault of a program, not a disk.
pub fn decode(batch: &StoredBatch) -> Result<Vec<LogRecord>, DecodeError> {
    let mut records = Vec::new();
    let outcome = read(batch, &mut records);
    let record = u32::try_from(records.len()).unwrap_or(u32::MAX);
    outcome.map_err(|what| DecodeError { position: batch.position, record, what })?;
    Ok(records)
}

fn read(batch: &StoredBatch, records: &mut Vec<LogRecord>) -> Result<(), String> {
    if batch.kind != BatchKind::Log {
        return Err("records of a run, not of the log itself".to_owned());
    }
    let [CODEC, 0, rest @ ..] = &*batch.payload else {
        return Err(format!("an unknown codec or flags; this program reads codec {CODEC}"));
    };
    let mut rest = rest;
    while !rest.is_empty() {
        let len: u32 = take(&mut rest)?;
        let record;
        (record, rest) = usize::try_from(len)
            .ok()
            .and_then(|len| rest.split_at_checked(len))
            .ok_or_else(|| format!("a record of {len} bytes where {} are left", rest.len()))?;
        let [kind, VERSION, body @ ..] = record else {
            return Err(format!("a record of no schema version that this program reads, up to {VERSION}"));
        };
        records.push(match kind {
            1 => {
                let StoredBegun { erasure, selection, runs } = all(body)?;
                LogRecord::ErasureBegun { erasure: Uuid::from_bytes(erasure), selection: Selection(selection), runs }
            }
            2 => {
                let StoredPlanned { erasure, more, runs } = all(body)?;
                LogRecord::ErasurePlanned { erasure: Uuid::from_bytes(erasure), more, runs: positions(&runs.0)? }
            }
            3 => {
                let StoredErased { erasure, runs } = all(body)?;
                let tombstone = |stored: StoredTombstone| {
                    Ok(Tombstone { run: stored.run, positions: positions(&stored.positions.0)? })
                };
                let runs = runs.0.into_iter().map(tombstone).collect::<Result<_, String>>()?;
                LogRecord::RunsErased { erasure: Uuid::from_bytes(erasure), runs }
            }
            4 => {
                let StoredHidden { erasure, runs, batches, digest } = all(body)?;
                LogRecord::ErasureHidden { erasure: Uuid::from_bytes(erasure), runs, batches, digest: Digest(digest) }
            }
            5 => {
                let StoredPurged { erasure, digest } = all(body)?;
                LogRecord::ErasurePurged { erasure: Uuid::from_bytes(erasure), digest: Digest(digest) }
            }
            _ => return Err(format!("unknown kind of record {kind}")),
        });
    }
    if records.len() as u64 != u64::from(batch.records) {
        return Err(format!("the frame announced {} records, its payload holds {}", batch.records, records.len()));
    }
    Ok(())
}

fn put(value: &impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, CONFIG).expect("writing to memory does not fail")
}

fn distances(positions: &[Position]) -> Vec<u64> {
    let mut before = 0;
    positions
        .iter()
        .map(|position| {
            let distance = position.get().checked_sub(before).expect("positions ascend");
            before = position.get();
            distance
        })
        .collect()
}

fn positions(distances: &[u64]) -> Result<Vec<Position>, String> {
    let mut before = 0u64;
    distances
        .iter()
        .map(|distance| {
            before = before.checked_add(*distance).ok_or("a position beyond all numbers")?;
            Ok(Position::new(before))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Payload;

    fn stored(batch: Batch) -> StoredBatch {
        let Batch { kind, payload, records, time } = batch;
        StoredBatch { kind, position: Position::new(9), records, time, payload: Payload::Memory(payload.into()) }
    }

    fn one_of_each() -> Vec<LogRecord> {
        let erasure = Uuid::from_bytes([1; 16]);
        let at = |positions: &[u64]| positions.iter().copied().map(Position::new).collect::<Vec<_>>();
        let digest = Digest([7; 32]);
        vec![
            LogRecord::ErasureBegun { erasure, selection: Selection::AGENT.and(Selection::TIME), runs: 70_000 },
            LogRecord::ErasurePlanned { erasure, more: true, runs: at(&[0, 15, 1 << 40]) },
            LogRecord::ErasurePlanned { erasure, more: false, runs: at(&[]) },
            LogRecord::RunsErased {
                erasure,
                runs: vec![
                    Tombstone { run: [2; 32], positions: at(&[0]) },
                    Tombstone { run: [3; 32], positions: at(&[15, 20, 300]) },
                ],
            },
            LogRecord::ErasureHidden { erasure, runs: 2, batches: 4, digest },
            LogRecord::ErasurePurged { erasure, digest },
        ]
    }

    /// A difference here is a new schema version, beside which the old one stays readable: never a new golden file.
    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let records = one_of_each();
        let batch = encode(&records, Timestamp::from_micros(1_763_800_003_000_000));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/records-log.bin");
        if std::env::var_os("AGENTTRACER_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &batch.payload).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert_eq!(batch.payload, golden, "today's writer");
        assert_eq!(decode(&stored(Batch { payload: golden, ..batch })).unwrap(), records, "today's reader");
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_read_without_a_panic() {
        let batch = encode(&one_of_each(), Timestamp::default());
        let mut refused = 0;
        for at in 0..batch.payload.len() {
            for changed in [0, 1, 0x7f, 0x80, 250, 251, 252, 253, 254, 255, batch.payload[at] ^ 1] {
                let mut payload = batch.payload.clone();
                payload[at] = changed;
                refused += usize::from(decode(&stored(Batch { payload, ..batch.clone() })).is_err());
            }
            let payload = batch.payload[..at].to_vec();
            assert!(decode(&stored(Batch { payload, ..batch.clone() })).is_err(), "cut at {at}");
        }
        assert!(refused > batch.payload.len(), "only {refused} changes were noticed");
    }

    #[test]
    fn the_records_of_a_run_are_not_those_of_the_log() {
        let batch = stored(encode(&one_of_each(), Timestamp::default()));
        assert!(crate::record::decode(&batch).unwrap_err().what.contains("of the log itself"));
        let batch = StoredBatch { kind: BatchKind::Run, ..batch };
        assert!(decode(&batch).unwrap_err().what.contains("of a run"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(mut payload in prop::collection::vec(any::<u8>(), 2..300)) {
            payload[..2].copy_from_slice(&[CODEC, 0]);
            let batch = Batch { kind: BatchKind::Log, payload, records: 1, time: Timestamp::default() };
            let _ = decode(&stored(batch));
        }

        #[test]
        fn positions_come_back(mut runs in prop::collection::vec(any::<u64>().prop_map(Position::new), 0..50)) {
            runs.sort_unstable();
            let records = [LogRecord::ErasurePlanned { erasure: Uuid::nil(), more: false, runs }];
            prop_assert_eq!(decode(&stored(encode(&records, Timestamp::default()))).unwrap(), records);
        }
    }
}
