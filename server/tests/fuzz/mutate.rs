//! Changes of bytes, as a strategy: what proptest finds it makes smaller.

use proptest::prelude::*;
use proptest::sample::Index;

/// A change of some bytes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Flip(Index, u8),
    Put(Index, u8),
    /// A number of 4 or 8 bytes, little-endian, as lengths and counts are written.
    PutU32(Index, u32),
    PutU64(Index, u64),
    Insert(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Zero(Index, usize),
    Truncate(Index),
    /// A stretch of itself to another place.
    Move(Index, Index, usize),
}

/// Some changes; bytes of `alphabet` come more often than others.
pub(crate) fn changes(alphabet: &'static [u8], most: usize) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(alphabet), 1..=most)
}

fn change(alphabet: &'static [u8]) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let byte = prop_oneof![any::<u8>(), prop::sample::select(alphabet)];
    let small =
        prop_oneof![Just(0), Just(1), 0..100_u32, Just(u32::MAX), Just(u32::MAX - 7), Just(1 << 31), any::<u32>()];
    let large = prop_oneof![
        Just(0),
        0..100_u64,
        Just(u64::MAX),
        Just(u64::MAX - 7),
        Just(1 << 63),
        Just(u64::from(u32::MAX)),
        any::<u64>()
    ];
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (at(), byte.clone()).prop_map(|(at, byte)| Change::Put(at, byte)),
        3 => (at(), small).prop_map(|(at, number)| Change::PutU32(at, number)),
        2 => (at(), large).prop_map(|(at, number)| Change::PutU64(at, number)),
        2 => (at(), byte).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => (at(), 1..40_usize).prop_map(|(at, len)| Change::Remove(at, len)),
        2 => (at(), 1..400_usize).prop_map(|(at, len)| Change::Repeat(at, len)),
        1 => (at(), 1..600_usize).prop_map(|(at, len)| Change::Zero(at, len)),
        1 => at().prop_map(Change::Truncate),
        1 => (at(), at(), 1..600_usize).prop_map(|(from, to, len)| Change::Move(from, to, len)),
    ]
}

/// `bytes` with the changes.
pub(crate) fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        let put = |bytes: &mut Vec<u8>, at: &Index, value: &[u8]| {
            // Numbers stand at multiples of their length.
            let at = at.index(len) / value.len() * value.len();
            for (to, from) in bytes[at..].iter_mut().zip(value) {
                *to = *from;
            }
        };
        let piece = |at: &Index, wanted: usize| {
            let at = at.index(len);
            at..(at + wanted).min(len)
        };
        match change {
            Change::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Change::Put(at, byte) => bytes[at.index(len)] = *byte,
            Change::PutU32(at, number) => put(&mut bytes, at, &number.to_le_bytes()),
            Change::PutU64(at, number) => put(&mut bytes, at, &number.to_le_bytes()),
            Change::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Change::Remove(at, wanted) => drop(bytes.drain(piece(at, *wanted))),
            Change::Repeat(at, wanted) => {
                let piece = piece(at, *wanted);
                let repeated = bytes[piece.clone()].to_vec();
                bytes.splice(piece.start..piece.start, repeated);
            }
            Change::Zero(at, wanted) => bytes[piece(at, *wanted)].fill(0),
            Change::Truncate(at) => bytes.truncate(at.index(len)),
            Change::Move(from, to, wanted) => {
                let moved = bytes[piece(from, *wanted)].to_vec();
                let to = to.index(len);
                for (to, from) in bytes[to..].iter_mut().zip(moved) {
                    *to = from;
                }
            }
        }
    }
    bytes
}
