//! Counts the memory of the process, and how often it is asked for.
#![expect(
    unsafe_code,
    reason = "an allocator is unsafe to write; this one, in tests only, hands every call on and counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Calls that are left; [`usize::MAX`] when nobody counts.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);

#[global_allocator]
static COUNTING: Counting = Counting;

/// A stretch of work whose memory is counted, of all threads.
pub(crate) struct Counted {
    before: usize,
}

impl Counted {
    /// Begins; when the allocator was called `calls` times before this is dropped, the process ends.
    pub(crate) fn begin(calls: usize) -> Self {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        LEFT.store(calls, Ordering::Relaxed);
        Self { before }
    }

    /// The most bytes that were held at any moment, beyond those that were held before.
    pub(crate) fn peak(&self) -> usize {
        PEAK.load(Ordering::Relaxed).saturating_sub(self.before)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LEFT.store(usize::MAX, Ordering::Relaxed);
    }
}

struct Counting;

fn grown(by: usize) {
    let live = LIVE.fetch_add(by, Ordering::Relaxed) + by;
    PEAK.fetch_max(live, Ordering::Relaxed);
    let left = LEFT.load(Ordering::Relaxed);
    if left != usize::MAX {
        if left == 0 {
            // Nothing here may allocate, and a panic would.
            let _ = std::io::stderr().write_all(b"a case has no end: it was stopped by the count of its allocations\n");
            std::process::abort();
        }
        LEFT.store(left - 1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came, and what that says is handed back.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps the rules of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps the rules of this very function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of this very function.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of this very function.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
