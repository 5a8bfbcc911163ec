//! Takes chance away from the process, so that a seed tells the whole story.
//!
//! tantivy names its files by random ids and walks over hash maps with random keys; both ask the operating system through
//! `getrandom`. Here that function is ours: what it gives follows from the story's seed and from how many bytes a thread
//! of that name has asked for. Names and not threads, because tantivy starts a new thread for each commit; of those that
//! share a name one works at a time. On other systems a seed tells the same story, but tantivy's files are called
//! differently.
#![expect(unsafe_code, reason = "a function of libc is replaced, in this test only; it fills the buffer it is given")]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static SOURCE: Mutex<Source> = Mutex::new(Source { seed: 0, asked: BTreeMap::new() });

struct Source {
    seed: u64,
    /// How often threads of a name have asked.
    asked: BTreeMap<String, u64>,
}

/// Begins anew, with what follows from `seed`.
pub(crate) fn follows_from(seed: u64) {
    let mut source = SOURCE.lock().unwrap_or_else(PoisonError::into_inner);
    *source = Source { seed, asked: BTreeMap::new() };
}

fn fill(bytes: &mut [u8]) {
    let thread = std::thread::current();
    // Numbers tell apart the threads that follow one another.
    let name = thread.name().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    let mut source = SOURCE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut state = source.seed;
    match source.asked.get_mut(name) {
        Some(asked) => *asked += 1,
        None => drop(source.asked.insert(name.to_owned(), 1)),
    }
    let asked = source.asked[name];
    for byte in name.bytes().chain(asked.to_le_bytes()) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
    }
}

/// `getrandom` of libc, which the standard library and the crate `getrandom` call.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    // The crate asks for nothing at a dangling address to see whether the function is there.
    if len > 0 {
        // SAFETY: the caller owns `len` bytes at `buffer`, as for the function of libc; zeroing them first makes them
        // initialised.
        let bytes = unsafe {
            buffer.write_bytes(0, len);
            std::slice::from_raw_parts_mut(buffer, len)
        };
        fill(bytes);
    }
    len.cast_signed()
}
