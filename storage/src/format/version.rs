use std::fmt;

use super::{FEATURES, FORMAT, u32_at, u64_at};

/// What a file asks of the program that reads it. Segment headers and manifest slots say so at the same offsets, under their CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version of the format.
    pub format: u32,
    /// The feature bits that are set.
    pub features: u64,
}

impl Version {
    /// The newest that this program reads.
    pub const SUPPORTED: Self = Self { format: FORMAT, features: FEATURES };

    /// What a header or slot says.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { format: u32_at(bytes, 12), features: u64_at(bytes, 16) }
    }

    /// Whether this program reads it.
    pub(crate) fn is_supported(self) -> bool {
        self.format <= FORMAT && self.features & !FEATURES == 0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "format {} with feature bits {:#x}", self.format, self.features)
    }
}
