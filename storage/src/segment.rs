//! One file of batches: the active segment, which grows at its tail, or a sealed one, which never changes.

mod reader;
mod rewriter;
mod source;
mod table;
mod walk;
mod writer;

pub(crate) use reader::{Lookup, OpenSealed, find_in_active, find_in_sealed, load_footer, read_footer, rebuild_footer};
pub(crate) use rewriter::Rewriter;
pub(crate) use source::Source;
pub(crate) use table::{Active, Sealed, Table};
pub(crate) use walk::{Batches, Content, Frame, OpenBlock, Span, Step, Walker};
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
        Self { path: log_dir.join(file_name(first, generation)), first, seed: format::seed(log_id, first, generation) }
    }
}

/// What the name of a rewritten segment ends with while it is written.
pub(crate) const UNFINISHED: &str = ".cseg.new";

/// The name of the segment that begins at `first`: as it was written in generation 1, rewritten in later ones.
pub(crate) fn file_name(first: Position, generation: u32) -> String {
    match generation {
        0 | 1 => format!("{:020}.seg", first.get()),
        later => format!("{:020}.g{later}.cseg", first.get()),
    }
}

/// The first position and the generation of the segment with this name; `None` when it is not the name of a segment.
pub(crate) fn parse_name(name: &str) -> Option<(Position, u32)> {
    let (first, kind) = name.split_at_checked(20)?;
    if !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let first = Position::new(first.parse().ok()?);
    let generation = match kind {
        ".seg" => 1,
        _ => kind.strip_prefix(".g")?.strip_suffix(".cseg")?.parse().ok().filter(|generation| *generation > 1)?,
    };
    // One file, one name: neither `.g02.cseg` nor `.g+2.cseg`.
    (file_name(first, generation) == name).then_some((first, generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_first_position_in_20_digits_and_the_generation() {
        assert_eq!(file_name(Position::new(1), 1), "00000000000000000001.seg");
        assert_eq!(file_name(Position::new(1), 2), "00000000000000000001.g2.cseg");
        for first in [0, 1, u64::MAX] {
            for generation in [1, 2, 10, u32::MAX] {
                let first = Position::new(first);
                assert_eq!(parse_name(&file_name(first, generation)), Some((first, generation)));
            }
        }
        let first = "00000000000000000001";
        let others = [".g1.cseg", ".g02.cseg", ".g+2.cseg", ".g2.seg", ".g2.cseg.new", ".g4294967296.cseg", ".cseg"];
        for other in others.map(|kind| format!("{first}{kind}")) {
            assert_eq!(parse_name(&other), None, "{other}");
        }
        for other in ["1.seg", "spare", "0000000000000000000x.seg", "99999999999999999999.seg", ".seg"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
