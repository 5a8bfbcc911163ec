use std::borrow::Cow;

use super::stream::{compressed, put_compressed, take_stream};
use crate::format::varint::{put_varint, take_varint};

/// As many bits as are taken from the top of longer numbers to be compressed: those below are nearly always random.
const HIGH_BITS: u32 = 6;
/// A byte is compressed as a whole.
const BYTE_BITS: u32 = 8;
/// What an exception costs, about, beside its place.
const EXCEPTION_BITS: usize = 48;
/// Columns with fewer numbers are not worth a frame of zstd.
const MIN_COMPRESSED: usize = 24;

/// A column of numbers, as it is stored.
///
/// | numbers | |
/// |---|---|
/// | 1 byte | width w, 0..=64: bits of a number |
/// | varint | base: what is added to each number |
/// | | the rest only when w is not 0; else every number is the base |
/// | varint | how many numbers, n |
/// | 1 byte | high bits h, 0..=8, not above w |
/// | varint | how many exceptions, e; 0 when w is 64 |
/// | e varints | the exceptions: when e is not 0, a number with all of its w bits set stands for the next one of them |
/// | (n (w - h) + 7) / 8 bytes | the w - h low bits of each number, one behind the other from the lowest bit of each byte on; 0 bits behind |
/// | stream of n bytes | only when h is not 0: the h high bits of each number |
pub(super) fn put_numbers(out: &mut Vec<u8>, values: &[u64]) {
    let base = values.iter().copied().min().unwrap_or(0);
    let widest = bits(values.iter().copied().max().unwrap_or(0) - base);
    if widest == 0 {
        out.push(0);
        put_varint(out, base);
        return;
    }
    let width = width(values, base, widest);
    out.push(width as u8);
    put_varint(out, base);
    put_varint(out, values.len() as u64);
    let marker = mask(width);
    let mut exceptions = Vec::new();
    let mut cut = Vec::with_capacity(values.len());
    for value in values {
        let value = value - base;
        let is_exception = width < widest && value >= marker;
        if is_exception {
            exceptions.push(value);
        }
        cut.push(if is_exception { marker } else { value });
    }
    let high_bits = if width <= BYTE_BITS { width } else { HIGH_BITS };
    let low_bits = width - high_bits;
    let high = (values.len() >= MIN_COMPRESSED)
        .then(|| compressed(&cut.iter().map(|value| (value >> low_bits) as u8).collect::<Vec<_>>()))
        .flatten()
        .filter(|high| high.len() + 2 < (values.len() * high_bits as usize).div_ceil(8));
    out.push(if high.is_some() { high_bits as u8 } else { 0 });
    put_varint(out, exceptions.len() as u64);
    exceptions.iter().for_each(|value| put_varint(out, *value));
    pack(out, &cut, if high.is_some() { low_bits } else { width });
    if let Some(high) = high {
        put_compressed(out, &high);
    }
}

/// The width at which numbers and exceptions take the least space.
fn width(values: &[u64], base: u64, widest: u32) -> u32 {
    let mut of_width = [0_usize; 65];
    for value in values {
        of_width[bits(value - base) as usize] += 1;
    }
    let (mut best, mut least) = (widest, values.len() * widest as usize);
    let mut above = 0;
    for width in (1..widest).rev() {
        above += of_width[width as usize + 1];
        let cost = values.len() * width as usize + above * EXCEPTION_BITS;
        if cost < least {
            (best, least) = (width, cost);
        }
    }
    best
}

fn bits(value: u64) -> u32 {
    64 - value.leading_zeros()
}

fn mask(bits: u32) -> u64 {
    if bits == 0 { 0 } else { u64::MAX >> (64 - bits) }
}

/// Appends the `width` lowest bits of each value.
fn pack(out: &mut Vec<u8>, values: &[u64], width: u32) {
    let (mut gathered, mut held) = (0_u128, 0);
    for value in values {
        gathered |= u128::from(value & mask(width)) << held;
        held += width;
        while held >= 8 {
            out.push(gathered as u8);
            gathered >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(gathered as u8);
    }
}

/// Reads the numbers of a column one by one.
pub(super) struct Numbers<'a> {
    base: u64,
    width: u32,
    /// How many are left; of a column whose numbers are all the same it does not matter.
    left: usize,
    low: &'a [u8],
    low_bits: u32,
    /// The bit at which the next number stands.
    at: usize,
    high: Cow<'a, [u8]>,
    next_high: usize,
    has_exceptions: bool,
    exceptions: &'a [u8],
}

impl<'a> Numbers<'a> {
    /// Takes a column from the front of `bytes`; see [`take_stream`] for the budget.
    pub(super) fn take(bytes: &mut &'a [u8], budget: &mut usize) -> Option<Self> {
        let (&width, rest) = bytes.split_first()?;
        *bytes = rest;
        let base = take_varint(bytes)?;
        let mut numbers = Self {
            base,
            width: u32::from(width),
            left: 0,
            low: &[],
            low_bits: 0,
            at: 0,
            high: Cow::Borrowed(&[]),
            next_high: 0,
            has_exceptions: false,
            exceptions: &[],
        };
        if width == 0 {
            return Some(numbers);
        }
        let count = usize::try_from(take_varint(bytes)?).ok()?;
        let (&high_bits, rest) = bytes.split_first()?;
        *bytes = rest;
        if width > 64 || u32::from(high_bits) > BYTE_BITS || high_bits > width {
            return None;
        }
        let exceptions = take_varint(bytes)?;
        let listed = *bytes;
        for _ in 0..exceptions {
            take_varint(bytes)?;
        }
        numbers.exceptions = &listed[..listed.len() - bytes.len()];
        numbers.has_exceptions = exceptions > 0;
        numbers.left = count;
        numbers.low_bits = u32::from(width - high_bits);
        let packed = count.checked_mul(numbers.low_bits as usize)?.div_ceil(8);
        (numbers.low, *bytes) = bytes.split_at_checked(packed)?;
        if high_bits > 0 {
            numbers.high = take_stream(bytes, count, budget)?;
        }
        (exceptions == 0 || width < 64).then_some(numbers)
    }

    /// The next number; `None` when there is none.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u64> {
        if self.width == 0 {
            return Some(self.base);
        }
        self.left = self.left.checked_sub(1)?;
        let mut value = self.low();
        if let Some(high) = self.high.get(self.next_high) {
            self.next_high += 1;
            value |= u64::from(*high).checked_shl(self.low_bits)?;
        }
        if self.has_exceptions && value == mask(self.width) {
            value = take_varint(&mut self.exceptions)?;
        }
        Some(value.wrapping_add(self.base))
    }

    #[inline]
    fn low(&mut self) -> u64 {
        let (byte, shift) = (self.at / 8, self.at % 8);
        self.at += self.low_bits as usize;
        // Nearly always: the bits lie within 8 bytes, and these within the column.
        if self.low_bits <= 56
            && let Some(word) = self.low.get(byte..).and_then(|rest| rest.first_chunk())
        {
            return u64::from_le_bytes(*word) >> shift & mask(self.low_bits);
        }
        let rest = self.low.get(byte..).unwrap_or_default();
        let rest = &rest[..rest.len().min(16)];
        let mut word = [0; 16];
        word[..rest.len()].copy_from_slice(rest);
        (u128::from_le_bytes(word) >> shift) as u64 & mask(self.low_bits)
    }

    /// Whether all were read.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0 && self.exceptions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(values: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_numbers(&mut bytes, values);
        bytes
    }

    fn read(bytes: &[u8], count: usize) -> Option<Vec<u64>> {
        let mut rest = bytes;
        let mut numbers = Numbers::take(&mut rest, &mut (1 << 20))?;
        let values = (0..count).map(|_| numbers.next()).collect::<Option<Vec<_>>>()?;
        (rest.is_empty() && numbers.is_empty()).then_some(values)
    }

    #[test]
    fn numbers_come_back() {
        let mut outlier: Vec<u64> = (0..500).map(|n| 4000 + n * 7 % 900).collect();
        outlier[17] = u64::MAX;
        let lists = [
            vec![],
            vec![0],
            vec![u64::MAX],
            vec![9; 1000],
            vec![0, 1],
            vec![0, u64::MAX, 1],
            (0..1000).map(|n| n % 5).collect(),
            (0..1000).map(|n| n * n).collect(),
            (0..300_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3).collect(),
            (0..300_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect(),
            outlier,
        ];
        for list in lists {
            let bytes = stored(&list);
            assert_eq!(read(&bytes, list.len()).unwrap(), list);
            if list.iter().any(|value| *value != list[0]) {
                assert_eq!(read(&bytes, list.len() + 1), None, "more than there are");
            }
            for len in 0..bytes.len() {
                assert_eq!(read(&bytes[..len], list.len()).filter(|_| len > 0 && bytes[0] > 0), None, "{len} bytes");
            }
        }
    }

    #[test]
    fn numbers_take_the_bits_they_need() {
        assert_eq!(stored(&[5; 1000]).len(), 2);
        let mut outlier = vec![0; 800];
        (0..800).for_each(|n| outlier[n] = n as u64 % 8);
        outlier[3] = 1 << 60;
        assert!(stored(&outlier).len() < 330, "{}", stored(&outlier).len());
    }

    #[test]
    fn what_is_impossible_is_refused() {
        let mut budget = 1 << 20;
        for bytes in [&[65, 0, 1, 0, 0][..], &[4, 0, 1, 5, 0], &[64, 0, 1, 0, 1, 7], &[9, 0, 1, 9, 0]] {
            assert!(Numbers::take(&mut &bytes[..], &mut budget).is_none(), "{bytes:?}");
        }
        // A frame that says it is long takes nothing.
        let huge = [8, 0, 253, 255, 255, 255, 255, 255, 255, 255, 15, 8, 0, 4, 1, 2, 3, 4];
        assert!(Numbers::take(&mut &huge[..], &mut budget).is_none());
    }
}
