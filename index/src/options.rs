use std::time::Duration;

/// How much the index holds back, and when it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long after the first uncommitted run a commit begins. Default 1 s.
    pub commit_every: Duration,
    /// Or as soon as this many runs wait. Default 50,000.
    pub commit_runs: u64,
    /// Memory of the hot runs, in bytes, above which [`Index::has_room`](crate::Index::has_room) is false; at half of it
    /// a commit begins. Default 48 MiB.
    pub hot_bytes: u64,
    /// Memory of tantivy's writer, in bytes; at least 15 MB. Default 64 MB.
    pub writer_heap_bytes: usize,
    /// How long after a failed commit the next one is tried. Default 1 s.
    pub retry_after: Duration,
    /// How long a live run may be silent before it is [`expired`](crate::Index::expired). Default 15 min.
    pub lease: Duration,
    /// Memory of live runs at hand, in bytes; one that is not at hand is read from the log when its next event comes.
    /// Default 32 MiB.
    pub live_bytes: u64,
    /// How many decompressed blocks of stored summaries (16 KiB each) a segment's reader keeps. Default 16.
    pub cached_blocks: usize,
    /// The most cells of rollups. When those of hours are more, cells are days; when these are more, too, questions go over the
    /// runs. A cell takes 0.5 to 1 KiB, several times over. Default 60,000.
    pub max_rollup_cells: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            commit_every: Duration::from_secs(1),
            commit_runs: 50_000,
            hot_bytes: 48 << 20,
            writer_heap_bytes: 64_000_000,
            retry_after: Duration::from_secs(1),
            lease: Duration::from_secs(15 * 60),
            live_bytes: 32 << 20,
            cached_blocks: 16,
            max_rollup_cells: 60_000,
        }
    }
}
