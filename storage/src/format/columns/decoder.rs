use std::borrow::Cow;
use std::ops::Range;

use super::form;
use super::numbers::Numbers;
use super::recent::Recent;
use super::shape::{Expected, Layout, MAX_COLUMNS, MAX_SHAPE_BYTES, MAX_SHAPES, Op, number, stream};
use super::state::{Id, State};
use super::stream::take_stream;
use super::{DECIMALS, HEAD_BYTES, NOT_DECIMAL, TIME_ID, V7};
use crate::BatchKind;
use crate::format::varint::{put_varint, take_varint, unzigzag, zigzag};

/// Puts a block together again.
pub(super) struct Decoder<'a> {
    numbers: Vec<Numbers<'a>>,
    streams: Vec<Stream<'a>>,
    layout: Layout,
    shapes: Vec<Shape>,
    shape_bytes: usize,
    texts: Vec<Recent>,
    forms: Vec<Recent>,
    /// The texts that were there, one behind the other.
    known: Vec<u8>,
    /// And the forms.
    formed: Vec<u8>,
    state: State,
    batches: u64,
    out: Vec<u8>,
    limit: usize,
}

struct Shape {
    bytes: Vec<u8>,
    plan: Vec<Op>,
}

struct Stream<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
}

impl Stream<'_> {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let bytes = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(bytes)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut rest = &self.bytes[self.at..];
        let value = take_varint(&mut rest)?;
        self.at = self.bytes.len() - rest.len();
        usize::try_from(value).ok()
    }
}

impl<'a> Decoder<'a> {
    /// Opens the columns of a block of `raw_bytes`; `None` when they are none.
    pub(super) fn new(mut stored: &'a [u8], raw_bytes: usize) -> Option<Self> {
        // Every number stands for a byte at least and every byte of a stream for one, but what a text has beside itself.
        let mut budget = raw_bytes.checked_mul(4)?.checked_add(1024)?;
        let batches = take_varint(&mut stored)?;
        let mut numbers = Vec::new();
        for _ in 0..take_varint(&mut stored).filter(|count| *count <= MAX_COLUMNS)? {
            numbers.push(Numbers::take(&mut stored, &mut budget)?);
        }
        let mut streams = Vec::new();
        for _ in 0..take_varint(&mut stored).filter(|count| *count <= MAX_COLUMNS)? {
            let len = usize::try_from(take_varint(&mut stored)?).ok()?;
            streams.push(Stream { bytes: take_stream(&mut stored, len, &mut budget)?, at: 0 });
        }
        let is_whole = stored.is_empty() && numbers.len() >= number::FIXED && streams.len() >= stream::FIXED;
        is_whole.then(|| Self {
            numbers,
            streams,
            layout: Layout::new(),
            shapes: Vec::new(),
            shape_bytes: 0,
            texts: Vec::new(),
            forms: Vec::new(),
            known: Vec::with_capacity(raw_bytes / 8),
            formed: Vec::new(),
            state: State::default(),
            batches,
            out: Vec::with_capacity(raw_bytes),
            limit: raw_bytes,
        })
    }

    /// The block, whose frame has this time.
    pub(super) fn decode(mut self, time: i64) -> Option<Vec<u8>> {
        self.state.base = time;
        let mut payload = Vec::new();
        for _ in 0..self.batches {
            self.batch(&mut payload, time)?;
        }
        let is_whole = self.out.len() == self.limit
            && self.numbers.iter().all(Numbers::is_empty)
            && self.streams.iter().all(|stream| stream.at == stream.bytes.len());
        is_whole.then_some(self.out)
    }

    fn batch(&mut self, payload: &mut Vec<u8>, time: i64) -> Option<()> {
        let gone = self.number(number::GONE)?;
        let kind = u8::try_from(self.number(number::KIND)?).ok()?;
        let records = self.number(number::RECORDS)?;
        // The payload is made in front of what stands before it.
        std::mem::swap(&mut self.out, payload);
        self.out.clear();
        let expected = if BatchKind::of_byte(kind)? == BatchKind::Run {
            self.run(records)?;
            self.state.base.wrapping_add(self.state.end as i64)
        } else {
            let len = usize::try_from(self.number(number::COUNT)?).ok()?;
            self.copy(stream::PLAIN, len)?;
            time
        };
        std::mem::swap(&mut self.out, payload);
        let received = expected.wrapping_add(unzigzag(self.number(number::TIME)?));
        put_varint(&mut self.out, gone);
        put_varint(&mut self.out, records);
        put_varint(&mut self.out, zigzag(received.wrapping_sub(time)));
        self.out.push(kind);
        put_varint(&mut self.out, payload.len() as u64);
        self.put(payload)
    }

    fn run(&mut self, records: u64) -> Option<()> {
        let flags = u8::try_from(self.number(number::FLAGS)?).ok()?;
        let base = self.state.base.wrapping_add(unzigzag(self.number(number::BASE)?));
        self.out.extend_from_slice(&[1, flags]);
        self.state.begin(base);
        self.id()?;
        self.out.extend_from_slice(&base.to_le_bytes());
        debug_assert_eq!(self.out.len(), HEAD_BYTES);
        // How many there are stands behind them where they were taken apart, but is needed first.
        let count = records.wrapping_add(unzigzag(self.number(number::COUNT)?) as u64);
        for _ in 0..count {
            self.record()?;
        }
        Some(())
    }

    fn record(&mut self) -> Option<()> {
        let index = match self.number(number::SHAPE)? {
            0 => self.new_shape()?,
            index => usize::try_from(index - 1).ok()?,
        };
        let shape = self.shapes.get_mut(index)?;
        let Shape { bytes, plan } =
            Shape { bytes: std::mem::take(&mut shape.bytes), plan: std::mem::take(&mut shape.plan) };
        let start = self.out.len();
        self.out.push(0);
        let mut metadata = None;
        for op in &plan {
            match op {
                Op::Copy(range) => self.put(&bytes[range.clone()])?,
                Op::Metadata => {
                    metadata = Some(self.out.len());
                    self.out.push(0);
                }
                Op::Id => drop(self.id()?),
                Op::Reference(column) => self.reference(*column)?,
                Op::Text(text) => self.text(*text, true)?,
                Op::Rest(text) => self.text(*text, false)?,
                Op::Number(column) => {
                    let value = self.number(*column)?;
                    put_varint(&mut self.out, value);
                }
                Op::Relative(what, column) => {
                    let told = self.number(*column)?;
                    let value = match what {
                        Expected::Latency => told,
                        _ => self.state.expected(*what).wrapping_add(unzigzag(told) as u64),
                    };
                    put_varint(&mut self.out, if what.is_signed() { zigzag(value as i64) } else { value });
                    self.state.note(*what, value);
                }
                Op::Float(column) => self.float(*column)?,
                Op::Digest => self.copy(stream::PLAIN, 32)?,
            }
        }
        if let Some(metadata) = metadata {
            self.set_len(metadata);
        }
        self.set_len(start);
        self.shapes[index] = Shape { bytes, plan };
        (self.out.len() <= self.limit).then_some(())
    }

    fn new_shape(&mut self) -> Option<usize> {
        let len = self.streams[stream::NEW].varint()?;
        let bytes = self.streams[stream::NEW].take(len)?.to_vec();
        self.shape_bytes += len;
        if self.shapes.len() == MAX_SHAPES || self.shape_bytes > MAX_SHAPE_BYTES {
            return None;
        }
        let plan = self.layout.plan(&bytes)?;
        if self.layout.numbers > self.numbers.len() || self.layout.streams > self.streams.len() {
            return None;
        }
        self.texts.resize_with(self.layout.texts.len(), Recent::default);
        self.forms.resize_with(self.layout.texts.len(), Recent::default);
        self.shapes.push(Shape { bytes, plan });
        Some(self.shapes.len() - 1)
    }

    /// Puts the length of what stands behind `at` there, where one byte was kept for it.
    fn set_len(&mut self, at: usize) {
        let len = self.out.len() - at - 1;
        if len < 251 {
            self.out[at] = len as u8;
            return;
        }
        let mut prefix = Vec::with_capacity(9);
        put_varint(&mut prefix, len as u64);
        self.out.splice(at..=at, prefix);
    }

    #[inline]
    fn number(&mut self, column: usize) -> Option<u64> {
        self.numbers[column].next()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.extend_from_slice(bytes);
        (self.out.len() <= self.limit).then_some(())
    }

    /// Takes bytes out of a stream as they are.
    fn copy(&mut self, stream: usize, len: usize) -> Option<()> {
        self.out.extend_from_slice(self.streams[stream].take(len)?);
        (self.out.len() <= self.limit).then_some(())
    }

    fn id(&mut self) -> Option<Id> {
        let kind = u8::try_from(self.number(number::ID_KIND)?).ok()?;
        let bits = self.number(number::ID_BITS)?;
        let mut id = [0; 16];
        if kind == V7 {
            let ms = self.state.id_ms.wrapping_add(unzigzag(self.number(number::ID_TIME)?) as u64);
            self.state.id_ms = ms;
            id[..TIME_ID].copy_from_slice(&ms.to_be_bytes()[8 - TIME_ID..]);
        } else {
            id[..TIME_ID].copy_from_slice(self.streams[stream::IDS].take(TIME_ID)?);
        }
        let rest = self.streams[stream::IDS].take(8)?;
        id[6] = kind << 4 | (bits & 0xf) as u8;
        id[7] = rest[0];
        id[8] = (kind >> 4) << 6 | (bits >> 4 & 0x3f) as u8;
        id[9..].copy_from_slice(&rest[1..]);
        self.state.note_id(id);
        self.out.extend_from_slice(&id);
        Some(id)
    }

    fn reference(&mut self, column: usize) -> Option<()> {
        let told = self.number(column)?;
        if told == 0 {
            return self.id().map(drop);
        }
        let place = self.state.expected_reference(column).wrapping_add(unzigzag(told - 1) as u64);
        let id = *self.state.ids.get(usize::try_from(place).ok()?)?;
        self.out.extend_from_slice(&id);
        self.state.note_reference(column, place);
        Some(())
    }

    fn text(&mut self, text: usize, has_len: bool) -> Option<()> {
        let columns = self.layout.texts[text];
        let range = match self.number(columns.text)? {
            0 => self.new_text(text)?,
            place => self.texts[text].get(place)?,
        };
        if has_len {
            put_varint(&mut self.out, range.len() as u64);
        }
        self.out.extend_from_slice(&self.known[range]);
        (self.out.len() <= self.limit).then_some(())
    }

    fn new_text(&mut self, text: usize) -> Option<Range<usize>> {
        let columns = self.layout.texts[text];
        let form = match self.number(columns.form)? {
            0 => {
                let len = self.streams[stream::NEW].varint()?;
                let from = self.formed.len();
                self.formed.extend_from_slice(self.streams[stream::NEW].take(len)?);
                let form = from..self.formed.len();
                self.forms[text].add(form.clone());
                form
            }
            place => self.forms[text].get(place)?,
        };
        let from = self.known.len();
        let digits = &mut self.streams[columns.digits];
        let mut rest = digits.bytes.get(digits.at..)?;
        form::join(&self.formed[form], &mut rest, &mut self.known, from + self.limit)?;
        digits.at = digits.bytes.len() - rest.len();
        let range = from..self.known.len();
        self.texts[text].add(range.clone());
        Some(range)
    }

    fn float(&mut self, column: usize) -> Option<()> {
        match self.number(column)? {
            NOT_DECIMAL => self.copy(stream::PLAIN, 8),
            scale => {
                let power = DECIMALS.get(usize::try_from(scale).ok()?)?;
                let mantissa = unzigzag(self.number(column + 1)?) as f64;
                self.put(&(mantissa / power).to_le_bytes())
            }
        }
    }
}
