use std::collections::HashMap;
use std::ops::Range;

use super::form;
use super::numbers::put_numbers;
use super::recent::Known;
use super::shape::{Expected, Field, Layout, MAX_SHAPE_BYTES, MAX_SHAPES, Op, Value, fields, number, stream};
use super::state::{Id, State};
use super::stream::put_stream;
use super::{DECIMALS, HEAD_BYTES, NOT_DECIMAL, TIME_ID, V7};
use crate::BatchKind;
use crate::format::varint::{put_varint, take, take_varint, unzigzag, varint_bytes, zigzag};

/// How deep values of metadata may nest.
const MAX_DEPTH: u32 = 32;
/// Integers up to here are floats, too.
const MAX_MANTISSA: f64 = 9_007_199_254_740_992.0;

/// Takes a block apart into columns.
pub(super) struct Encoder<'a> {
    raw: &'a [u8],
    numbers: Vec<Vec<u64>>,
    streams: Vec<Vec<u8>>,
    layout: Layout,
    shapes: HashMap<Vec<u8>, usize>,
    plans: Vec<Vec<Op>>,
    shape_bytes: usize,
    texts: Vec<Known>,
    forms: Vec<Known>,
    /// The forms that were there, one behind the other.
    formed: Vec<u8>,
    state: State,
    batches: u64,
    // The record at hand.
    shape: Vec<u8>,
    pieces: Vec<Piece>,
}

/// A value of a record.
#[derive(Clone)]
enum Piece {
    Number(u64),
    /// Bytes of the block.
    Bytes(Range<usize>),
}

impl<'a> Encoder<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self {
            raw,
            numbers: vec![Vec::new(); number::FIXED],
            streams: vec![Vec::new(); stream::FIXED],
            layout: Layout::new(),
            shapes: HashMap::new(),
            plans: Vec::new(),
            shape_bytes: 0,
            texts: Vec::new(),
            forms: Vec::new(),
            formed: Vec::new(),
            state: State::default(),
            batches: 0,
            shape: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// The columns of the block, whose frame has this time; `None` when something in it is not as the writer writes it.
    pub(super) fn encode(mut self, time: i64) -> Option<Vec<u8>> {
        self.state.base = time;
        let mut rest = self.raw;
        while !rest.is_empty() {
            self.batch(&mut rest, time)?;
            self.batches += 1;
        }
        let mut out = Vec::with_capacity(self.raw.len() / 4);
        put_varint(&mut out, self.batches);
        put_varint(&mut out, self.numbers.len() as u64);
        self.numbers.iter().for_each(|values| put_numbers(&mut out, values));
        put_varint(&mut out, self.streams.len() as u64);
        for bytes in &self.streams {
            put_varint(&mut out, bytes.len() as u64);
            put_stream(&mut out, bytes);
        }
        Some(out)
    }

    fn batch(&mut self, rest: &mut &'a [u8], time: i64) -> Option<()> {
        let gone = canonical(rest)?;
        let records = canonical(rest)?;
        let distance = unzigzag(canonical(rest)?);
        let [kind] = take(rest)?;
        let len = usize::try_from(canonical(rest)?).ok()?;
        let (payload, behind) = rest.split_at_checked(len)?;
        *rest = behind;
        self.number(number::GONE, gone);
        self.number(number::KIND, kind.into());
        self.number(number::RECORDS, records);
        let received = time.wrapping_add(distance);
        let expected = if BatchKind::of_byte(kind)? == BatchKind::Run {
            self.run(payload, records)?;
            self.state.base.wrapping_add(self.state.end as i64)
        } else {
            self.number(number::COUNT, payload.len() as u64);
            self.streams[stream::PLAIN].extend_from_slice(payload);
            time
        };
        self.number(number::TIME, zigzag(received.wrapping_sub(expected)));
        Some(())
    }

    /// The records of a run.
    fn run(&mut self, payload: &'a [u8], records: u64) -> Option<()> {
        let (head, mut rest) = payload.split_first_chunk::<HEAD_BYTES>()?;
        let [1, flags, id_and_base @ ..] = head else { return None };
        let (id, base) = id_and_base.split_first_chunk::<16>()?;
        let base = i64::from_le_bytes(base.try_into().ok()?);
        self.number(number::FLAGS, (*flags).into());
        self.number(number::BASE, zigzag(base.wrapping_sub(self.state.base)));
        self.state.begin(base);
        self.id(*id);
        let mut count = 0_u64;
        while !rest.is_empty() {
            let len = usize::try_from(canonical(&mut rest)?).ok()?;
            let (record, behind) = rest.split_at_checked(len)?;
            rest = behind;
            self.record(record)?;
            count += 1;
        }
        self.number(number::COUNT, zigzag(count.wrapping_sub(records) as i64));
        Some(())
    }

    fn record(&mut self, record: &'a [u8]) -> Option<()> {
        self.take_apart(record)?;
        let index = match self.shapes.get(&self.shape) {
            Some(index) => {
                let index = *index;
                self.number(number::SHAPE, index as u64 + 1);
                index
            }
            None => self.new_shape()?,
        };
        let (plan, pieces) = (std::mem::take(&mut self.plans[index]), std::mem::take(&mut self.pieces));
        let mut values = pieces.iter();
        for op in &plan {
            let piece = if matches!(op, Op::Copy(_) | Op::Metadata) { None } else { values.next() };
            match (op, piece) {
                (Op::Copy(_) | Op::Metadata, _) => {}
                (Op::Number(column), Some(Piece::Number(value))) => self.number(*column, *value),
                (Op::Relative(what, column), Some(Piece::Number(value))) => {
                    let value = if what.is_signed() { unzigzag(*value) as u64 } else { *value };
                    let told = match what {
                        Expected::Latency => value,
                        _ => zigzag(value.wrapping_sub(self.state.expected(*what)) as i64),
                    };
                    self.number(*column, told);
                    self.state.note(*what, value);
                }
                (Op::Id, Some(Piece::Bytes(at))) => self.id(self.raw[at.clone()].try_into().ok()?),
                (Op::Reference(column), Some(Piece::Bytes(at))) => {
                    self.reference(*column, self.raw[at.clone()].try_into().ok()?);
                }
                (Op::Text(text) | Op::Rest(text), Some(Piece::Bytes(at))) => self.text(*text, at.clone()),
                (Op::Float(column), Some(Piece::Bytes(at))) => {
                    self.float(*column, self.raw[at.clone()].try_into().ok()?);
                }
                (Op::Digest, Some(Piece::Bytes(at))) => {
                    self.streams[stream::PLAIN].extend_from_slice(&self.raw[at.clone()]);
                }
                _ => return None,
            }
        }
        let is_whole = values.next().is_none();
        (self.plans[index], self.pieces) = (plan, pieces);
        is_whole.then_some(())
    }

    /// Finds shape and values of a record.
    fn take_apart(&mut self, record: &'a [u8]) -> Option<()> {
        let Self { raw, shape, pieces, .. } = self;
        let place = |bytes: &[u8]| {
            let from = bytes.as_ptr() as usize - raw.as_ptr() as usize;
            Piece::Bytes(from..from + bytes.len())
        };
        shape.clear();
        pieces.clear();
        let mut rest = record;
        let [head, version] = take(&mut rest)?;
        shape.extend([head, version]);
        for bit in [0x80, 0x40] {
            if head & bit != 0 {
                pieces.push(Piece::Number(canonical(&mut rest)?));
            }
        }
        for field in fields(head & 0x3f)? {
            match field {
                Field::Byte => {
                    let [byte] = take(&mut rest)?;
                    shape.push(byte);
                }
                Field::Tag => put_varint(shape, canonical(&mut rest)?),
                Field::Id => pieces.push(place(split(&mut rest, 16)?)),
                Field::Text | Field::TextOfTag => pieces.push(place(text(&mut rest)?)),
                Field::Number | Field::Seq | Field::Latency | Field::Start | Field::End => {
                    pieces.push(Piece::Number(canonical(&mut rest)?));
                }
                Field::Option(inner) => {
                    let [is_there] = take(&mut rest)?;
                    shape.push(is_there);
                    if is_there == 0 {
                        continue;
                    }
                    pieces.push(match inner {
                        Value::Id => place(split(&mut rest, 16)?),
                        Value::Text => place(text(&mut rest)?),
                        Value::Number | Value::Finish => Piece::Number(canonical(&mut rest)?),
                        Value::Float => place(split(&mut rest, 8)?),
                        Value::Digest => place(split(&mut rest, 32)?),
                    });
                }
                Field::Metadata => {
                    let mut metadata = text(&mut rest)?;
                    while !metadata.is_empty() {
                        let before = metadata;
                        text(&mut metadata)?;
                        let [tag] = take(&mut metadata)?;
                        shape.extend_from_slice(&before[..before.len() - metadata.len()]);
                        match tag {
                            0..=2 => {}
                            3 | 4 => pieces.push(Piece::Number(canonical(&mut metadata)?)),
                            5 => pieces.push(place(split(&mut metadata, 8)?)),
                            6 => pieces.push(place(text(&mut metadata)?)),
                            7 | 8 => {
                                let before = metadata;
                                skip(&mut metadata, tag, 1)?;
                                pieces.push(place(&before[..before.len() - metadata.len()]));
                            }
                            _ => return None,
                        }
                    }
                }
            }
        }
        rest.is_empty().then_some(())
    }

    /// Adds the shape at hand.
    fn new_shape(&mut self) -> Option<usize> {
        let index = self.plans.len();
        self.shape_bytes += self.shape.len();
        if index == MAX_SHAPES || self.shape_bytes > MAX_SHAPE_BYTES {
            return None;
        }
        self.plans.push(self.layout.plan(&self.shape)?);
        self.shapes.insert(self.shape.clone(), index);
        self.numbers.resize(self.layout.numbers, Vec::new());
        self.streams.resize(self.layout.streams, Vec::new());
        self.texts.resize_with(self.layout.texts.len(), Known::default);
        self.forms.resize_with(self.layout.texts.len(), Known::default);
        self.number(number::SHAPE, 0);
        put_varint(&mut self.streams[stream::NEW], self.shape.len() as u64);
        self.streams[stream::NEW].extend_from_slice(&self.shape);
        Some(index)
    }

    fn number(&mut self, column: usize, value: u64) {
        self.numbers[column].push(value);
    }

    fn id(&mut self, id: Id) {
        let kind = id[6] >> 4 | (id[8] >> 6) << 4;
        self.number(number::ID_KIND, kind.into());
        self.number(number::ID_BITS, u64::from(id[6] & 0xf) | u64::from(id[8] & 0x3f) << 4);
        if kind == V7 {
            let ms = id[..TIME_ID].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte));
            self.number(number::ID_TIME, zigzag(ms.wrapping_sub(self.state.id_ms) as i64));
            self.state.id_ms = ms;
        } else {
            self.streams[stream::IDS].extend_from_slice(&id[..TIME_ID]);
        }
        self.streams[stream::IDS].push(id[7]);
        self.streams[stream::IDS].extend_from_slice(&id[9..]);
        self.state.note_id(id);
    }

    fn reference(&mut self, column: usize, id: Id) {
        let Some(place) = self.state.ids.iter().position(|known| *known == id) else {
            self.number(column, 0);
            return self.id(id);
        };
        let place = place as u64;
        let distance = place.wrapping_sub(self.state.expected_reference(column)) as i64;
        self.number(column, zigzag(distance) + 1);
        self.state.note_reference(column, place);
    }

    fn text(&mut self, text: usize, at: Range<usize>) {
        let columns = self.layout.texts[text];
        let bytes = &self.raw[at.clone()];
        let (place, hash) = self.texts[text].find(bytes, self.raw);
        self.number(columns.text, place);
        if place > 0 {
            return;
        }
        self.texts[text].add(at, hash);
        let from = self.formed.len();
        form::split(bytes, &mut self.formed, &mut self.streams[columns.digits]);
        let (place, hash) = self.forms[text].find(&self.formed[from..], &self.formed);
        self.number(columns.form, place);
        if place > 0 {
            self.formed.truncate(from);
            return;
        }
        let form = from..self.formed.len();
        put_varint(&mut self.streams[stream::NEW], form.len() as u64);
        self.streams[stream::NEW].extend_from_slice(&self.formed[form.clone()]);
        self.forms[text].add(form, hash);
    }

    fn float(&mut self, column: usize, bytes: [u8; 8]) {
        let value = f64::from_le_bytes(bytes);
        let decimal = DECIMALS.iter().zip(0..).find_map(|(power, scale)| {
            let mantissa = (value * power).round();
            let is_same = mantissa.abs() < MAX_MANTISSA && (mantissa / power).to_bits() == value.to_bits();
            is_same.then_some((scale, mantissa as i64))
        });
        // Minus zero is no integer.
        let decimal = decimal.filter(|(_, mantissa)| *mantissa != 0 || value.to_bits() == 0);
        match decimal {
            Some((scale, mantissa)) => {
                self.number(column, scale);
                self.number(column + 1, zigzag(mantissa));
            }
            None => {
                self.number(column, NOT_DECIMAL);
                self.streams[stream::PLAIN].extend_from_slice(&bytes);
            }
        }
    }
}

/// Takes a varint that is as short as it can be.
fn canonical(bytes: &mut &[u8]) -> Option<u64> {
    let before = bytes.len();
    let value = take_varint(bytes)?;
    (varint_bytes(value) == before - bytes.len()).then_some(value)
}

fn split<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(head)
}

/// Takes a text or bytes with their length in front.
fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(canonical(bytes)?).ok()?;
    split(bytes, len)
}

/// Steps over the value of metadata that this tag announces.
fn skip(bytes: &mut &[u8], tag: u8, depth: u32) -> Option<()> {
    match tag {
        0..=2 => {}
        3 | 4 => drop(take_varint(bytes)?),
        5 => drop(take::<8>(bytes)?),
        6 => drop(text(bytes)?),
        7 | 8 if depth <= MAX_DEPTH => {
            for _ in 0..canonical(bytes)? {
                if tag == 8 {
                    text(bytes)?;
                }
                let [tag] = take(bytes)?;
                skip(bytes, tag, depth + 1)?;
            }
        }
        _ => return None,
    }
    Some(())
}
