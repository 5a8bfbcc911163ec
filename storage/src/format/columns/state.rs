use super::shape::Expected;

/// As many ids of a batch are remembered, the first ones.
pub(super) const MAX_IDS: usize = 256;

/// An id as it lies in a record.
pub(super) type Id = [u8; 16];

/// What the records of a batch so far let expect of the next.
#[derive(Default)]
pub(super) struct State {
    /// µs since 1970; the other times are distances to it.
    pub(super) base: i64,
    /// The first ids of the batch; that of the run is the first.
    pub(super) ids: Vec<Id>,
    /// The last id that was made from a time, in ms since 1970.
    pub(super) id_ms: u64,
    time: u64,
    seq: u64,
    latency_ms: u64,
    start: u64,
    /// When the step before ended.
    pub(super) end: u64,
    /// By column of references, the place in `ids` of the one before.
    references: Vec<(usize, u64)>,
}

impl State {
    /// Of a batch whose times are distances to `base`, before its first record.
    pub(super) fn begin(&mut self, base: i64) {
        self.ids.clear();
        self.references.clear();
        let id_ms = base.div_euclid(1000) as u64;
        let (ids, references) = (std::mem::take(&mut self.ids), std::mem::take(&mut self.references));
        *self = Self { base, ids, references, id_ms, seq: u64::MAX, ..Self::default() };
    }

    /// The number that is expected.
    pub(super) fn expected(&self, what: Expected) -> u64 {
        match what {
            Expected::Time => self.time,
            Expected::Seq => self.seq.wrapping_add(1),
            Expected::Latency => 0,
            Expected::Start | Expected::Finish => self.end,
            Expected::End => self.latency_ms.wrapping_mul(1000),
        }
    }

    /// Takes note of the number that came.
    pub(super) fn note(&mut self, what: Expected, value: u64) {
        match what {
            Expected::Time => self.time = value,
            Expected::Seq => self.seq = value,
            Expected::Latency => self.latency_ms = value,
            Expected::Start => self.start = value,
            Expected::End => self.end = self.start.wrapping_add(value),
            Expected::Finish => self.end = value,
        }
    }

    /// Takes note of an id.
    pub(super) fn note_id(&mut self, id: Id) {
        if self.ids.len() < MAX_IDS {
            self.ids.push(id);
        }
    }

    /// The place in `ids` that is expected of a reference in this column: behind that of the one before.
    pub(super) fn expected_reference(&self, column: usize) -> u64 {
        let before = self.references.iter().find(|(of, _)| *of == column);
        before.map_or(1, |(_, place)| place + 1)
    }

    /// Takes note of a reference to the id at this place.
    pub(super) fn note_reference(&mut self, column: usize, place: u64) {
        match self.references.iter_mut().find(|(of, _)| *of == column) {
            Some((_, before)) => *before = place,
            None => self.references.push((column, place)),
        }
    }
}

impl Expected {
    /// Whether the number is a distance of times: such are stored zigzag.
    pub(super) fn is_signed(self) -> bool {
        matches!(self, Self::Time | Self::Start | Self::End | Self::Finish)
    }
}
