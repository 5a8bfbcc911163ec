use std::borrow::Cow;
use std::cell::RefCell;

use crate::format::varint::{put_varint, take_varint};

/// The level of compression: what is left here to be compressed gains nothing from a better one.
const LEVEL: i32 = 1;
/// Below this, a frame of zstd is not shorter.
const MIN_BYTES: usize = 24;
/// What a frame of zstd begins with. It is left out: each stream would have the same four bytes.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Appends bytes whose number the reader knows: compressed when that is shorter.
pub(super) fn put_stream(out: &mut Vec<u8>, bytes: &[u8]) {
    match compressed(bytes) {
        Some(frame) => put_compressed(out, &frame),
        None => put_plain(out, bytes),
    }
}

/// Appends bytes as they are.
fn put_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, 0);
    out.extend_from_slice(bytes);
}

/// Appends what [`compressed`] gave.
pub(super) fn put_compressed(out: &mut Vec<u8>, frame: &[u8]) {
    put_varint(out, frame.len() as u64);
    out.extend_from_slice(frame);
}

/// The frame of zstd of `bytes` without its magic number; `None` when it is not shorter.
pub(super) fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    if bytes.len() < MIN_BYTES {
        return None;
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            none => {
                let mut new = zstd::bulk::Compressor::new(LEVEL).ok()?;
                new.include_checksum(false).ok()?;
                new.include_contentsize(false).ok()?;
                none.insert(new)
            }
        };
        let mut frame = compressor.compress(bytes).ok()?;
        frame.drain(..MAGIC.len());
        (frame.len() < bytes.len()).then_some(frame)
    })
}

/// Takes `len` bytes that [`put_stream`] appended, where there may be as many as `budget` says.
pub(super) fn take_stream<'a>(bytes: &mut &'a [u8], len: usize, budget: &mut usize) -> Option<Cow<'a, [u8]>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
        static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let stored = usize::try_from(take_varint(bytes)?).ok()?;
    let (head, rest) = bytes.split_at_checked(if stored == 0 { len } else { stored })?;
    *bytes = rest;
    if stored == 0 {
        return Some(Cow::Borrowed(head));
    }
    *budget = budget.checked_sub(len)?;
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        FRAME.with_borrow_mut(|frame| {
            frame.clear();
            frame.extend_from_slice(&MAGIC);
            frame.extend_from_slice(head);
            let mut raw = vec![0; len];
            (decompressor.decompress_to_buffer(frame, &mut raw[..]).ok()? == len).then_some(Cow::Owned(raw))
        })
    })
}
