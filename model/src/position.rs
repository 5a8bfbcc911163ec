use std::fmt;

/// A record's number in the log. The first record ever written has position 0; positions are never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position(u64);

impl Position {
    /// The position of the first record of a log.
    pub const ZERO: Self = Self(0);

    /// The position with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `records` further on.
    ///
    /// # Panics
    /// Past `u64::MAX`, which a log cannot reach.
    pub const fn advance(self, records: u64) -> Self {
        match self.0.checked_add(records) {
            Some(number) => Self(number),
            None => panic!("a log does not hold 2^64 records"),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
