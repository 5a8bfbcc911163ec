use std::ops::Range;

/// As many texts of a column are remembered, the last ones: so that a place is one byte.
pub(super) const MAX_RECENT: usize = 254;
/// When there are as many, those that are not remembered any more are let go.
const MAX_KEPT: usize = 4 * MAX_RECENT;

/// The last different texts of a column, as ranges of wherever they lie, the latest last.
#[derive(Default)]
pub(super) struct Recent {
    texts: Vec<Range<u32>>,
}

impl Recent {
    /// The text at a place, counted from 1 for the latest; it becomes the latest.
    pub(super) fn get(&mut self, place: u64) -> Option<Range<usize>> {
        let place = usize::try_from(place).ok().filter(|place| (1..=MAX_RECENT).contains(place))?;
        let at = self.texts.len().checked_sub(place)?;
        if place > 1 {
            self.texts[at..].rotate_left(1);
        }
        self.texts.last().map(|text| text.start as usize..text.end as usize)
    }

    /// Adds a text as the latest.
    pub(super) fn add(&mut self, text: Range<usize>) {
        if self.texts.len() == MAX_KEPT {
            self.texts.drain(..MAX_KEPT - MAX_RECENT);
        }
        self.texts.push(text.start as u32..text.end as u32);
    }
}

/// [`Recent`] texts that can be looked up.
#[derive(Default)]
pub(super) struct Known {
    recent: Recent,
    hashes: Vec<u32>,
    /// A bit for each hash that there ever was, by its lowest bits: most texts that are not known end here.
    seen: Vec<u64>,
}

/// Words of [`Known::seen`].
const SEEN: usize = 64;

impl Known {
    /// The place of a text, for [`Recent::get`]; it becomes the latest. When it is not remembered, 0 and the hash for
    /// [`add`](Self::add).
    pub(super) fn find(&mut self, text: &[u8], place: &[u8]) -> (u64, u32) {
        let hash = hash(text);
        if self.seen.is_empty() || self.seen[word(hash)] & bit(hash) == 0 {
            return (0, hash);
        }
        let count = self.hashes.len();
        let from = count.saturating_sub(MAX_RECENT);
        for at in (from..count).rev() {
            let known = &self.recent.texts[at];
            if self.hashes[at] == hash && place[known.start as usize..known.end as usize] == *text {
                if at + 1 < count {
                    self.hashes[at..].rotate_left(1);
                    self.recent.texts[at..].rotate_left(1);
                }
                return ((count - at) as u64, hash);
            }
        }
        (0, hash)
    }

    /// Adds a text with its hash.
    pub(super) fn add(&mut self, text: Range<usize>, hash: u32) {
        if self.hashes.len() == MAX_KEPT {
            self.hashes.drain(..MAX_KEPT - MAX_RECENT);
        }
        self.hashes.push(hash);
        self.recent.add(text);
        self.seen.resize(SEEN, 0);
        self.seen[word(hash)] |= bit(hash);
    }
}

fn word(hash: u32) -> usize {
    (hash >> 6) as usize % SEEN
}

fn bit(hash: u32) -> u64 {
    1 << (hash % 64)
}

fn hash(text: &[u8]) -> u32 {
    let mut hash = text.len() as u64;
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for word in words.iter().chain([&last]) {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    (hash >> 32) as u32
}
