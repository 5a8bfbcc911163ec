//! The bytes of metadata: for each key its string and its value, up to the end. A value is a tag and what the tag
//! announces; an array or object has its count in front, because something can follow it.
//!
//! | tag | value |
//! |---|---|
//! | 0, 1, 2 | null, false, true |
//! | 3 | an integer, varint with zigzag |
//! | 4 | an integer that is not negative, varint |
//! | 5 | a float, 8 bytes |
//! | 6 | a string |
//! | 7 | an array: count, values |
//! | 8 | an object: count, keys and values |

use agenttracer_model::{Metadata, Position, Value};
use bincode::BorrowDecode;

use super::encode::put;
use super::{CONFIG, DecodeError};

/// How deep values may nest. Ingest takes 4; beyond this, reading would risk the stack.
const MAX_DEPTH: u32 = 32;

/// Metadata that was not decoded yet.
#[derive(Clone, Copy)]
pub struct MetadataRef<'a>(pub(super) &'a [u8]);

impl<'a> MetadataRef<'a> {
    /// Whether there is no key at all, told without decoding.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `text` stands anywhere in it, as a key or in a value: told without decoding, so that who looks for a rare
    /// key need not decode what cannot have it.
    pub fn mentions(&self, text: &str) -> bool {
        self.0.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }

    /// Hands each key at the top whose value is a scalar to `each`, borrowed; the others are stepped over.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    pub fn scalars(&self, mut each: impl FnMut(&'a str, ScalarRef<'a>)) -> Result<(), DecodeError> {
        let mut reader = Reader(self.0);
        let mut read = || {
            while !reader.0.is_empty() {
                let key: &str = reader.take()?;
                if let Some(value) = reader.scalar()? {
                    each(key, value);
                }
            }
            Ok(())
        };
        read().map_err(|what| DecodeError { position: Position::ZERO, record: 0, what })
    }

    /// Decodes it.
    ///
    /// # Errors
    /// As for [`decode`](super::decode); position and record are 0, because metadata does not know its place.
    pub fn decode(&self) -> Result<Metadata, DecodeError> {
        read(self.0).map_err(|what| DecodeError { position: Position::ZERO, record: 0, what })
    }
}

/// A scalar of metadata, borrowed.
#[expect(missing_docs, reason = "the values are those of agenttracer_model::Value")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalarRef<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(&'a str),
}

/// Shows no content: metadata is the client's.
impl std::fmt::Debug for MetadataRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MetadataRef({} bytes)", self.0.len())
    }
}

/// Appends the bytes of `metadata`.
///
/// # Panics
/// When it nests deeper than a reader would follow: ingest drops such metadata.
pub(super) fn write(out: &mut Vec<u8>, metadata: &Metadata) {
    for (key, value) in &metadata.0 {
        put(out, key.as_str());
        write_value(out, value, 1);
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value, depth: u32) {
    assert!(depth <= MAX_DEPTH, "metadata nests deeper than {MAX_DEPTH}");
    match value {
        Value::Null => out.push(0),
        Value::Bool(value) => out.push(1 + u8::from(*value)),
        Value::Int(value) => {
            out.push(3);
            put(out, value);
        }
        Value::Uint(value) => {
            out.push(4);
            put(out, value);
        }
        Value::Float(value) => {
            out.push(5);
            put(out, value);
        }
        Value::String(value) => {
            out.push(6);
            put(out, value.as_str());
        }
        Value::Array(values) => {
            out.push(7);
            put(out, &(values.len() as u64));
            for value in values {
                write_value(out, value, depth + 1);
            }
        }
        Value::Object(object) => {
            out.push(8);
            put(out, &(object.0.len() as u64));
            for (key, value) in &object.0 {
                put(out, key.as_str());
                write_value(out, value, depth + 1);
            }
        }
    }
}

/// Reads the bytes that [`write`] wrote.
pub(super) fn read(bytes: &[u8]) -> Result<Metadata, String> {
    let mut reader = Reader(bytes);
    let mut entries = Vec::new();
    while !reader.0.is_empty() {
        let key: &str = reader.take()?;
        entries.push((key.to_owned(), reader.value(1)?));
    }
    Ok(Metadata(entries))
}

/// Reads strings up to the end.
pub(super) fn read_strings(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut reader = Reader(bytes);
    let mut strings = Vec::new();
    while !reader.0.is_empty() {
        strings.push(reader.take::<&str>()?.to_owned());
    }
    Ok(strings)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<T: BorrowDecode<'a, ()>>(&mut self) -> Result<T, String> {
        let (value, used) = bincode::borrow_decode_from_slice(self.0, CONFIG).map_err(|error| format!("{error:?}"))?;
        self.0 = &self.0[used..];
        Ok(value)
    }

    /// A value that is a scalar; another one is stepped over.
    fn scalar(&mut self) -> Result<Option<ScalarRef<'a>>, String> {
        let before = self.0;
        Ok(Some(match self.take::<u8>()? {
            0 => ScalarRef::Null,
            1 => ScalarRef::Bool(false),
            2 => ScalarRef::Bool(true),
            3 => ScalarRef::Int(self.take()?),
            4 => ScalarRef::Uint(self.take()?),
            5 => match self.take::<f64>()? {
                value if value.is_finite() => ScalarRef::Float(value),
                _ => return Err("a float that is not finite".to_owned()),
            },
            6 => ScalarRef::String(self.take()?),
            _ => {
                self.0 = before;
                self.value(1)?;
                return Ok(None);
            }
        }))
    }

    fn value(&mut self, depth: u32) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("metadata nests deeper than {MAX_DEPTH}"));
        }
        Ok(match self.take::<u8>()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(self.take()?),
            4 => Value::Uint(self.take()?),
            5 => match self.take::<f64>()? {
                value if value.is_finite() => Value::Float(value),
                _ => return Err("a float that is not finite".to_owned()),
            },
            6 => Value::String(self.take::<&str>()?.to_owned()),
            // The lists grow as their elements are found: a count alone allocates nothing.
            7 => {
                let count: u64 = self.take()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::Array(values)
            }
            8 => {
                let count: u64 = self.take()?;
                let mut entries = Vec::new();
                for _ in 0..count {
                    let key: &str = self.take()?;
                    entries.push((key.to_owned(), self.value(depth + 1)?));
                }
                Value::Object(Metadata(entries))
            }
            tag => return Err(format!("a metadata value of the unknown kind {tag}")),
        })
    }
}
