//! JSON as bodies carry it: parsing within a bounded depth, cutting an array into its elements, and metadata.
//!
//! sonic-rs recurses once for each level of nesting, so [`parse`] counts the depth first; [`elements`] never recurses.

use std::collections::HashMap;
use std::ops::Range;

use agenttracer_model::{FieldError, Loc, Metadata, Value, privacy};
use serde::Deserialize;
use sonic_rs::{Array, JsonNumberTrait, JsonValueTrait, Object, ValueRef};

/// Arrays and objects nest at most this deep.
pub(crate) const MAX_DEPTH: usize = 128;

/// Integers of this size and more do not fit into 64 bits; in the document they have become floats.
const BEYOND_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// Bytes that are no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Where, in bytes from the beginning.
    pub(crate) offset: usize,
    /// What is wrong.
    pub(crate) msg: &'static str,
}

impl Malformed {
    /// The error of a body, or of an item of a batch.
    pub(crate) fn at(self, item: Option<usize>) -> FieldError {
        let mut loc = vec![Loc::Name("body".to_owned())];
        loc.extend(item.map(Loc::Index));
        loc.push(Loc::Index(self.offset));
        FieldError { kind: "json_invalid", loc, msg: self.msg.to_owned() }
    }
}

/// How numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// As the nearest of `u64`, `i64` and `f64`: fast, but an integer beyond 64 bits looks like a float.
    Nearest,
    /// As their text.
    Exact,
}

/// Parses one JSON value that takes up all of `body`.
pub(crate) fn parse(body: &[u8], numbers: Numbers) -> Result<sonic_rs::Value, Malformed> {
    // Python's JSON reader, which existing clients met, skips a byte order mark.
    let (skipped, body) = match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (3, rest),
        None => (0, body),
    };
    let at = |offset: usize, msg| Malformed { offset: skipped + offset, msg };
    if let Some(offset) = too_deep(body) {
        return Err(at(offset, "JSON is nested too deep"));
    }
    let parsed = match numbers {
        Numbers::Nearest => sonic_rs::from_slice(body),
        Numbers::Exact => {
            let mut reader = sonic_rs::Deserializer::from_slice(body).use_rawnumber();
            sonic_rs::Value::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value))
        }
    };
    parsed.map_err(|error| at(error.offset(), "JSON decode error"))
}

/// Where `body` nests too deep, if it does.
fn too_deep(body: &[u8]) -> Option<usize> {
    // Counting is vectorised and settles nearly all bodies: no more brackets than levels, no need to look further.
    let openers = body.iter().filter(|&&byte| (byte | 0x20) == b'{').count();
    if openers <= MAX_DEPTH {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            b'"' => at = end_of_string(body, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The index of the quote that closes the string which `start` opens, or the length of `body`.
fn end_of_string(body: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = body.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if body[at] == b'"' {
            return at;
        }
        at += 2;
    }
    body.len()
}

/// Why an array was not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutError {
    /// It is no array, or its brackets do not match.
    Malformed(Malformed),
    /// It has more elements than allowed.
    TooMany,
}

/// The byte ranges of the elements of the array that takes up all of `body`.
///
/// Only brackets, strings and commas are looked at: whether an element is JSON shows when it is parsed.
pub(crate) fn elements(body: &[u8], most: usize) -> Result<Vec<Range<usize>>, CutError> {
    let malformed = |offset| Err(CutError::Malformed(Malformed { offset, msg: "JSON decode error" }));
    let start = body.iter().position(|byte| !is_space(*byte)).unwrap_or(body.len());
    if body.get(start) != Some(&b'[') {
        return malformed(start);
    }
    let mut ranges = Vec::new();
    let (mut depth, mut begin, mut at) = (0_usize, start + 1, start + 1);
    while at < body.len() {
        match body[at] {
            b'"' => at = end_of_string(body, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => depth -= 1,
            b'}' => return malformed(at),
            end @ (b',' | b']') if depth == 0 => {
                let blank = body[begin..at].iter().all(|byte| is_space(*byte));
                if blank && !(end == b']' && ranges.is_empty()) {
                    return malformed(at);
                }
                if !blank {
                    if ranges.len() == most {
                        return Err(CutError::TooMany);
                    }
                    ranges.push(begin..at);
                }
                begin = at + 1;
                if end == b']' {
                    return match body[begin..].iter().position(|byte| !is_space(*byte)) {
                        Some(trailing) => malformed(begin + trailing),
                        None => Ok(ranges),
                    };
                }
            }
            _ => {}
        }
        at += 1;
    }
    malformed(body.len())
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What became of an object of the document.
#[derive(Debug, Default)]
pub(crate) struct MetadataReading {
    /// Its entries: each key once with its last value, strings and keys without control characters.
    pub(crate) metadata: Metadata,
    /// Whether a float could be an integer beyond 64 bits: read the document again with [`Numbers::Exact`].
    pub(crate) doubtful: bool,
    /// The paths of integers beyond 64 bits; only known with [`Numbers::Exact`].
    pub(crate) too_large: Vec<Vec<String>>,
}

/// Reads a metadata object.
pub(crate) fn metadata(object: &Object) -> MetadataReading {
    let mut reader = MetadataReader { reading: MetadataReading::default(), path: Vec::new() };
    let metadata = reader.object(object);
    MetadataReading { metadata, ..reader.reading }
}

struct MetadataReader<'a> {
    reading: MetadataReading,
    path: Vec<&'a str>,
}

impl<'a> MetadataReader<'a> {
    fn object(&mut self, object: &'a Object) -> Metadata {
        let mut entries: Vec<(String, Value)> = Vec::with_capacity(object.len());
        // A repeated key keeps its first place and its last value, as in Python. Small objects need no map for that.
        let mut places = (object.len() > 32).then(|| HashMap::with_capacity(object.len()));
        for (key, value) in object {
            self.path.push(key);
            let value = self.value(value);
            self.path.pop();
            let key = privacy::normalise_text(key.to_owned());
            let place = match &mut places {
                Some(places) => places.insert(key.clone(), entries.len()).inspect(|place| {
                    places.insert(key.clone(), *place);
                }),
                None => entries.iter().position(|(known, _)| *known == key),
            };
            match place {
                Some(place) => entries[place].1 = value,
                None => entries.push((key, value)),
            }
        }
        Metadata(entries)
    }

    fn value(&mut self, value: &'a sonic_rs::Value) -> Value {
        match value.as_ref() {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::String(text) => Value::String(privacy::normalise_text(text.to_owned())),
            ValueRef::Array(array) => self.array(array),
            ValueRef::Object(object) => Value::Object(self.object(object)),
            ValueRef::Number(number) => {
                if let Some(number) = number.as_u64() {
                    Value::Uint(number)
                } else if let Some(number) = number.as_i64() {
                    Value::Int(number)
                } else {
                    self.float(value, number.as_f64().unwrap_or_default())
                }
            }
        }
    }

    fn array(&mut self, array: &'a Array) -> Value {
        Value::Array(array.iter().map(|value| self.value(value)).collect())
    }

    fn float(&mut self, value: &sonic_rs::Value, number: f64) -> Value {
        if number.abs() >= BEYOND_INTEGERS {
            match value.as_raw_number() {
                None => self.reading.doubtful = true,
                Some(text) if !text.as_str().contains(['.', 'e', 'E']) => {
                    self.reading.too_large.push(self.path.iter().map(|key| shown_key(key)).collect());
                }
                Some(_) => {}
            }
        }
        Value::Float(number)
    }
}

/// A metadata key as an error may name it.
fn shown_key(key: &str) -> String {
    let mut bytes = key.bytes();
    let plain = key.len() <= 100
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte));
    if plain { key.to_owned() } else { "<key>".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn as_value(value: &sonic_rs::Value) -> Value {
        MetadataReader { reading: MetadataReading::default(), path: Vec::new() }.value(value)
    }

    /// What serde_json, an independent reader, makes of the same text.
    struct Reference(Value);

    impl<'de> Deserialize<'de> for Reference {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(ReferenceVisitor).map(Self)
        }
    }

    struct ReferenceVisitor;

    impl<'de> serde::de::Visitor<'de> for ReferenceVisitor {
        type Value = Value;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("any JSON")
        }

        fn visit_unit<E>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }

        fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
            Ok(Value::Bool(value))
        }

        fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
            Ok(Value::Uint(value))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
            Ok(Value::Int(value))
        }

        fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
            Ok(Value::Float(value))
        }

        fn visit_str<E>(self, text: &str) -> Result<Value, E> {
            Ok(Value::String(privacy::normalise_text(text.to_owned())))
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
            let mut values = Vec::new();
            while let Some(Reference(value)) = seq.next_element()? {
                values.push(value);
            }
            Ok(Value::Array(values))
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
            let mut entries: Vec<(String, Value)> = Vec::new();
            while let Some((key, Reference(value))) = map.next_entry::<String, _>()? {
                let key = privacy::normalise_text(key);
                match entries.iter_mut().find(|(known, _)| *known == key) {
                    Some(entry) => entry.1 = value,
                    None => entries.push((key, value)),
                }
            }
            Ok(Value::Object(Metadata(entries)))
        }
    }

    /// serde_json reads a float up to a few units in the last place wrong, a subnormal one up to a few more; all else
    /// must be equal.
    fn alike(ours: &Value, theirs: &Value) -> bool {
        match (ours, theirs) {
            (Value::Float(ours), Value::Float(theirs)) => {
                (ours - theirs).abs() <= 4.0 * f64::EPSILON * ours.abs().max(4.0 * f64::MIN_POSITIVE)
            }
            (Value::Array(ours), Value::Array(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| alike(ours, theirs))
            }
            (Value::Object(Metadata(ours)), Value::Object(Metadata(theirs))) => {
                ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|(ours, theirs)| ours.0 == theirs.0 && alike(&ours.1, &theirs.1))
            }
            _ => ours == theirs,
        }
    }

    fn agree(text: &[u8]) -> Result<(), TestCaseError> {
        let ours = parse(text, Numbers::Nearest);
        let exact = parse(text, Numbers::Exact);
        // A byte order mark is skipped here only.
        match serde_json::from_slice::<Reference>(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)) {
            Ok(Reference(theirs)) => {
                let ours = as_value(&ours.unwrap());
                prop_assert!(alike(&ours, &theirs), "{:?} {:?}", ours, theirs);
                prop_assert_eq!(as_value(&exact.unwrap()), ours);
            }
            Err(_) => {
                prop_assert!(ours.is_err(), "{:?}", String::from_utf8_lossy(text));
                prop_assert!(ours.unwrap_err().offset <= text.len());
            }
        }
        Ok(())
    }

    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<f64>()
                .prop_filter("JSON has no others", |number| number.is_finite())
                .prop_map(|number| format!("{number:e}")),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| number.to_string()),
            "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?",
        ]
    }

    fn document() -> impl Strategy<Value = String> {
        let string = prop_oneof![".{0,40}", "[a-z_]{1,8}", "[\\x00-\\x1f\"\\\\/\u{e9}\u{1f600}]{0,6}"]
            .prop_map(|text| serde_json::to_string(&text).unwrap());
        let escaped = "(\\\\u[0-9a-fA-F]{4}|\\\\[nrtbf/\"\\\\]|[a-z ]){0,5}".prop_map(|text| format!("\"{text}\""));
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            number(),
            string.clone(),
            escaped
        ];
        leaf.prop_recursive(5, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|values| format!("[{}]", values.join(" , "))),
                prop::collection::vec((string.clone(), inner), 0..40).prop_map(|pairs| {
                    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                    format!("{{{}}}", pairs.join(",\n"))
                }),
            ]
        })
    }

    #[test]
    fn a_subnormal_float_is_read_as_it_was_written() {
        agree(b"-2.17896765313587e-309").unwrap();
        let read = parse(b"-2.17896765313587e-309", Numbers::Nearest).unwrap();
        assert_eq!(as_value(&read), Value::Float(-2.178_967_653_135_87e-309));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn documents_are_read_as_serde_json_reads_them(text in document()) {
            agree(text.as_bytes())?;
        }

        #[test]
        fn floats_are_the_nearest_ones(text in number()) {
            let nearest: f64 = text.parse().unwrap();
            match as_value(&parse(text.as_bytes(), Numbers::Nearest).unwrap()) {
                Value::Float(number) => prop_assert_eq!(number, nearest),
                Value::Uint(number) => prop_assert_eq!(number.to_string(), text),
                Value::Int(number) => prop_assert_eq!(number.to_string(), text),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn bytes_are_refused_as_serde_json_refuses_them(
            text in document(), at in any::<prop::sample::Index>(), byte in any::<u8>(), insert in any::<bool>(),
        ) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
            agree(&bytes)?;
        }

        #[test]
        fn elements_are_those_of_the_array(documents in prop::collection::vec(document(), 0..6), space in "[ \n\t\r]{0,3}") {
            let text = format!("{space}[{}{space}]{space}", documents.join(&format!("{space},{space}")));
            let cut: Vec<_> = elements(text.as_bytes(), 10).unwrap().into_iter().map(|range| text[range].trim_ascii().to_owned()).collect();
            prop_assert_eq!(cut, documents);
        }

        #[test]
        fn any_bytes_are_cut_or_refused(bytes in prop::collection::vec(prop::sample::select(&b"[]{},\"\\ x1"[..]), 0..40)) {
            if let Ok(ranges) = elements(&bytes, 3) {
                prop_assert!(ranges.len() <= 3);
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        assert_eq!(too_deep(&nested(MAX_DEPTH)), None);
        assert_eq!(too_deep(&nested(MAX_DEPTH + 1)), Some(MAX_DEPTH));
        assert_eq!(too_deep(&[b"\"\\\"".to_vec(), vec![b'['; 1000], b"\"".to_vec()].concat()), None);
        assert_eq!(too_deep(&b"[]".repeat(1000)), None);
    }
}
