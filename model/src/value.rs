use std::borrow::Cow;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// A JSON value as it was sent; numbers keep their kind, objects their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A negative integer.
    Int(i64),
    /// An integer that is not negative.
    Uint(u64),
    /// A number with a fraction or an exponent; always finite.
    Float(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Metadata),
}

impl Value {
    /// What a filter compares a scalar with; `None` for null, an array or an object. A number without a fraction is
    /// written as an integer, so that `5` and `5.0` are one value.
    pub fn as_fact(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Int(value) => Cow::Owned(value.to_string()),
            Value::Uint(value) => Cow::Owned(value.to_string()),
            Value::Float(value) => Cow::Owned(float_fact(*value)),
            Value::String(value) => Cow::Borrowed(value),
        })
    }
}

/// The shortest text that reads as this number; without a fraction it is that of an integer.
fn float_fact(value: f64) -> String {
    // Negative zero is zero.
    if value == 0.0 { "0".to_owned() } else { value.to_string() }
}

/// How a filter's text is compared with the facts of runs: a number in any form is the number, all else is itself.
pub fn fact_of_text(text: &str) -> Cow<'_, str> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    let is_plain = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    match text.parse::<f64>() {
        Ok(value) if is_number && !is_plain && value.is_finite() && text.parse::<u64>().is_err() => {
            Cow::Owned(float_fact(value))
        }
        _ => Cow::Borrowed(text),
    }
}

/// A JSON object in the order it was sent, each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(pub Vec<(String, Value)>);

impl Metadata {
    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Uint(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Array(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Value::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_fact_however_it_is_written() {
        for value in [Value::Uint(5), Value::Float(5.0), Value::Int(5)] {
            assert_eq!(value.as_fact().unwrap(), "5");
        }
        for (text, fact) in [
            ("5", "5"),
            ("5.0", "5"),
            ("5e0", "5"),
            ("-0.0", "0"),
            ("0.250", "0.25"),
            ("18446744073709551615", "18446744073709551615"),
            ("gpt-4", "gpt-4"),
            ("1.4.0", "1.4.0"),
            ("inf", "inf"),
            ("nan", "nan"),
            ("true", "true"),
        ] {
            assert_eq!(fact_of_text(text), fact, "{text}");
        }
        assert_eq!(Value::Float(0.25).as_fact().unwrap(), "0.25");
        assert_eq!(Value::Float(-0.0).as_fact().unwrap(), "0");
        assert_eq!(Value::Null.as_fact(), None);
        assert_eq!(Value::Array(Vec::new()).as_fact(), None);
    }
}
