//! One file of batches: the active segment, which grows at its tail, or a sealed one, which never changes.

mod reader;
mod source;
mod table;
mod walk;
mod writer;

pub(crate) use reader::{OpenSealed, find_in_active, find_in_sealed, load_footer, read_footer, rebuild_footer};
pub(crate) use source::Source;
pub(crate) use table::{Active, Sealed, Table};
pub(crate) use walk::{Span, Step, Walker};
pub(crate) use writer::{NewFrame, Writer, seal};

use std::path::{Path, PathBuf};

use agenttracer_model::Position;
use uuid::Uuid;

use crate::format;

/// What is needed to read a segment's frames.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) first: Position,
    pub(crate) seed: u32,
}

impl SegmentFile {
    pub(crate) fn new(log_dir: &Path, log_id: Uuid, first: Position, generation: u32) -> Self {
        Self { path: log_dir.join(file_name(first)), first, seed: format::seed(log_id, first, generation) }
    }
}

/// The name of the segment that begins at `first`.
pub(crate) fn file_name(first: Position) -> String {
    format!("{:020}.seg", first.get())
}

/// The first position of the segment with this name; `None` when it is not the name of a segment.
pub(crate) fn first_of_name(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Position::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_first_position_in_20_digits() {
        assert_eq!(file_name(Position::new(1)), "00000000000000000001.seg");
        for first in [0, 1, u64::MAX] {
            assert_eq!(first_of_name(&file_name(Position::new(first))), Some(Position::new(first)));
        }
        for other in ["1.seg", "spare", "0000000000000000000x.seg", "99999999999999999999.seg", ".seg"] {
            assert_eq!(first_of_name(other), None, "{other}");
        }
    }
}
