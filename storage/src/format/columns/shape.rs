use std::collections::HashMap;
use std::ops::Range;

use crate::format::varint::take_varint;

/// More shapes than a block has whose columns would be worth it.
pub(super) const MAX_SHAPES: usize = 4096;
/// And no more bytes of them.
pub(super) const MAX_SHAPE_BYTES: usize = 256 << 10;

/// More columns, and more streams, than shapes of so many bytes can have: a key takes two bytes at least.
pub(super) const MAX_COLUMNS: u64 = MAX_SHAPE_BYTES as u64 + 1024;

/// Bit of a record's kind: a time follows the version.
const TIMED: u8 = 0x80;
/// Bit of a record's kind: a count of removed values follows.
const REMOVED: u8 = 0x40;

/// What a field of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// One byte below 251, part of the shape.
    Byte,
    /// A varint, part of the shape.
    Tag,
    Id,
    Text,
    /// A text with columns of its own for each value of the shape's first byte or tag.
    TextOfTag,
    Number,
    Seq,
    Latency,
    Start,
    End,
    /// What follows is there when its byte in the shape is 1.
    Option(Value),
    Metadata,
}

/// What may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Id,
    Text,
    Number,
    Float,
    Finish,
    Digest,
}

/// The fields of the bodies of each kind of record; `None` for a kind that is not known.
pub(super) fn fields(kind: u8) -> Option<&'static [Field]> {
    use Field::{Byte, End, Id, Latency, Metadata, Number, Option, Seq, Start, Tag, Text, TextOfTag};
    Some(match kind {
        1 => &[
            Text,
            Text,
            Text,
            Number,
            Option(Value::Id),
            Option(Value::Id),
            Option(Value::Text),
            Option(Value::Text),
            Metadata,
        ],
        2 | 3 => &[
            Id,
            Seq,
            Byte,
            Byte,
            TextOfTag,
            Latency,
            Start,
            End,
            Option(Value::Text),
            Option(Value::Id),
            Option(Value::Number),
            Option(Value::Id),
            Metadata,
        ],
        4 => &[Id, Option(Value::Id), Byte, TextOfTag, Text],
        5 => &[Id, Option(Value::Id), Tag, Text, Option(Value::Float), Text, Metadata],
        6 => &[Id, Option(Value::Id), Tag, Byte, Option(Value::Float), Metadata],
        8 => &[Byte, Option(Value::Finish), Number, Option(Value::Digest)],
        7 | 9 | 10 => &[],
        _ => return None,
    })
}

/// One step of writing a record: something of its shape, or a value out of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// These bytes of the shape.
    Copy(Range<usize>),
    /// The length of the metadata, which are the values from here on.
    Metadata,
    Id,
    /// An id that may be one of those before it.
    Reference(usize),
    /// A text with its length.
    Text(usize),
    /// Bytes without their length.
    Rest(usize),
    Number(usize),
    /// Relative to what is expected.
    Relative(Expected, usize),
    /// A float, in two columns.
    Float(usize),
    Digest,
}

/// What a number is told relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The event's time: that of the event before it.
    Time,
    /// The seq after that of the step before.
    Seq,
    /// A latency is told as it is, and expected of the end.
    Latency,
    /// The end of the step before.
    Start,
    /// The start and the latency.
    End,
    /// The end of the step before.
    Finish,
}

/// The first columns of numbers: those of batches and of all records.
pub(super) mod number {
    pub(in super::super) const GONE: usize = 0;
    pub(in super::super) const KIND: usize = 1;
    pub(in super::super) const RECORDS: usize = 2;
    pub(in super::super) const COUNT: usize = 3;
    pub(in super::super) const TIME: usize = 4;
    pub(in super::super) const FLAGS: usize = 5;
    pub(in super::super) const BASE: usize = 6;
    pub(in super::super) const SHAPE: usize = 7;
    pub(in super::super) const ID_KIND: usize = 8;
    pub(in super::super) const ID_TIME: usize = 9;
    pub(in super::super) const ID_BITS: usize = 10;
    pub(in super::super) const FIXED: usize = 11;
}

/// The first streams.
pub(super) mod stream {
    /// Shapes and forms that were not there before, with their lengths.
    pub(in super::super) const NEW: usize = 0;
    pub(in super::super) const IDS: usize = 1;
    /// Floats that are no short decimals, digests, and payloads that are no records of runs.
    pub(in super::super) const PLAIN: usize = 2;
    pub(in super::super) const FIXED: usize = 3;
}

/// The columns of a text, as numbers of columns and streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextColumns {
    /// Which of the texts before it is; 0 for another one.
    pub(super) text: usize,
    /// Which of the forms before it has; 0 for another one.
    pub(super) form: usize,
    /// Its digits.
    pub(super) digits: usize,
}

/// What columns there are. Each shape that comes adds those which no shape before had.
pub(super) struct Layout {
    pub(super) numbers: usize,
    pub(super) streams: usize,
    pub(super) texts: Vec<TextColumns>,
    /// The first column or the text of a field or of a metadata key of a kind of record.
    known: HashMap<Vec<u8>, usize>,
}

impl Layout {
    pub(super) fn new() -> Self {
        Self { numbers: number::FIXED, streams: stream::FIXED, texts: Vec::new(), known: HashMap::new() }
    }

    /// How the records of this shape are written; `None` when it is none.
    pub(super) fn plan(&mut self, shape: &[u8]) -> Option<Vec<Op>> {
        let mut ops = Vec::new();
        let (&[head, _], mut rest) = shape.split_first_chunk::<2>()?;
        let kind = head & !(TIMED | REMOVED);
        let mut copied = 0;
        let at = |rest: &[u8]| shape.len() - rest.len();
        let mut copy = |ops: &mut Vec<Op>, to: usize| {
            if to > copied {
                ops.push(Op::Copy(copied..to));
            }
            copied = to;
        };
        if head & (TIMED | REMOVED) != 0 {
            copy(&mut ops, at(rest));
        }
        if head & TIMED != 0 {
            ops.push(Op::Relative(Expected::Time, self.numbers(&[kind, TIMED], 1)));
        }
        if head & REMOVED != 0 {
            ops.push(Op::Number(self.numbers(&[kind, REMOVED], 1)));
        }
        let mut tag = None;
        for (field, place) in fields(kind)?.iter().zip(0_u8..) {
            let here = [kind, place];
            let in_shape = matches!(field, Field::Byte | Field::Tag | Field::Option(_));
            let value = if in_shape { take_varint(&mut rest)? } else { 0 };
            if !in_shape {
                copy(&mut ops, at(rest));
            }
            match field {
                Field::Byte | Field::Tag => tag = tag.or(Some(value)),
                Field::Id => ops.push(Op::Id),
                Field::Text => ops.push(Op::Text(self.text(&here))),
                Field::TextOfTag => {
                    let key = [&here[..], &tag.unwrap_or(0).to_le_bytes()].concat();
                    ops.push(Op::Text(self.text(&key)));
                }
                Field::Number => ops.push(Op::Number(self.numbers(&here, 1))),
                Field::Seq => ops.push(Op::Relative(Expected::Seq, self.numbers(&here, 1))),
                Field::Latency => ops.push(Op::Relative(Expected::Latency, self.numbers(&here, 1))),
                Field::Start => ops.push(Op::Relative(Expected::Start, self.numbers(&here, 1))),
                Field::End => ops.push(Op::Relative(Expected::End, self.numbers(&here, 1))),
                Field::Option(_) if value == 0 => {}
                Field::Option(_) if value > 1 => return None,
                Field::Option(inner) => {
                    copy(&mut ops, at(rest));
                    ops.push(match inner {
                        Value::Id => Op::Reference(self.numbers(&here, 1)),
                        Value::Text => Op::Text(self.text(&here)),
                        Value::Number => Op::Number(self.numbers(&here, 1)),
                        Value::Float => Op::Float(self.numbers(&here, 2)),
                        Value::Finish => Op::Relative(Expected::Finish, self.numbers(&here, 1)),
                        Value::Digest => Op::Digest,
                    });
                }
                Field::Metadata => {
                    ops.push(Op::Metadata);
                    while !rest.is_empty() {
                        let before = at(rest);
                        let len = usize::try_from(take_varint(&mut rest)?).ok()?;
                        let (&tag, behind) = rest.get(len..)?.split_first()?;
                        rest = behind;
                        copy(&mut ops, at(rest));
                        let key = [&here[..], &shape[before..at(rest)]].concat();
                        match tag {
                            0..=2 => {}
                            3 | 4 => ops.push(Op::Number(self.numbers(&key, 1))),
                            5 => ops.push(Op::Float(self.numbers(&key, 2))),
                            6 => ops.push(Op::Text(self.text(&key))),
                            7 | 8 => ops.push(Op::Rest(self.text(&key))),
                            _ => return None,
                        }
                    }
                }
            }
        }
        copy(&mut ops, at(rest));
        rest.is_empty().then_some(ops)
    }

    fn numbers(&mut self, key: &[u8], count: usize) -> usize {
        *self.known.entry(key.to_vec()).or_insert_with(|| {
            self.numbers += count;
            self.numbers - count
        })
    }

    fn text(&mut self, key: &[u8]) -> usize {
        *self.known.entry(key.to_vec()).or_insert_with(|| {
            self.texts.push(TextColumns { text: self.numbers, form: self.numbers + 1, digits: self.streams });
            self.numbers += 2;
            self.streams += 1;
            self.texts.len() - 1
        })
    }
}
