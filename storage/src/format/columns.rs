//! A block in columns: what stands at the same place of many records stands together, because there it is alike.
//!
//! *Format*: `docs/format.md`, section "A block in columns". Putting it together gives exactly the bytes of the block; a
//! block for which that cannot be had is not stored so. The bytes are read with a limit to everything: whatever they
//! are, they give a block of the announced length or nothing.

mod decoder;
mod encoder;
mod form;
mod numbers;
mod recent;
mod shape;
mod state;
mod stream;

/// The bytes of a payload before its first record: codec, flags, run id, base time.
const HEAD_BYTES: usize = 26;
/// The version and the variant of an id that begins with a time, as both are stored.
const V7: u8 = 0x27;
/// Bytes of that time.
const TIME_ID: usize = 6;
/// A float is told as an integer and by which of these it is divided.
const DECIMALS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Instead of the divisor: it stands as it is elsewhere.
const NOT_DECIMAL: u64 = 15;

/// The columns of a block, whose frame has this time; `None` when it holds anything that this program would not write.
pub(super) fn encode(raw: &[u8], time: i64) -> Option<Vec<u8>> {
    let stored = encoder::Encoder::new(raw).encode(time)?;
    // Nothing is believed: this takes the place of the only copy.
    (decode(&stored, raw.len(), time)? == raw).then_some(stored)
}

/// The block of these columns, `None` when they are not those of a block of exactly `raw_bytes`.
pub(super) fn decode(stored: &[u8], raw_bytes: usize, time: i64) -> Option<Vec<u8>> {
    decoder::Decoder::new(stored, raw_bytes)?.decode(time)
}

#[cfg(test)]
mod tests;
