//! Reading one field of an object: the lenient forms, and for each fault the kind of error that clients of the
//! contract know. Every reader records its error and gives `None`.

use agenttracer_model::lenient::{self, DatetimeError, IntError};
use agenttracer_model::{Timestamp, privacy};
use sonic_rs::{JsonNumberTrait, Object, Value, ValueRef};
use uuid::Uuid;

use crate::issues::Issues;

/// Declares a variable for each named field of `$object` and fills it with the field's last value. Others are ignored.
macro_rules! fields {
    ($object:expr; $($name:ident),+ $(,)?) => {
        $(let mut $name: Option<&sonic_rs::Value> = None;)+
        for (key, value) in $object {
            match key {
                $(stringify!($name) => $name = Some(value),)+
                _ => {}
            }
        }
    };
}
pub(crate) use fields;

/// A field that was sent.
pub(crate) type Field<'a> = Option<&'a Value>;

/// Whether the field was left out or is null.
pub(crate) fn absent(field: Field<'_>) -> bool {
    field.is_none_or(|value| matches!(value.as_ref(), ValueRef::Null))
}

impl Issues {
    /// The field, or the error that it is missing.
    pub(crate) fn required<'a>(&mut self, name: &'static str, field: Field<'a>) -> Option<&'a Value> {
        if field.is_none() {
            self.at(name, "missing", "Field required");
        }
        field
    }

    /// A string without control characters, of `least..=most` code points.
    pub(crate) fn string(&mut self, name: &'static str, value: &Value, least: usize, most: usize) -> Option<String> {
        let ValueRef::String(text) = value.as_ref() else {
            self.at(name, "string_type", "Input should be a valid string");
            return None;
        };
        let text = privacy::normalise_text(text.to_owned());
        if text.len() < least {
            let plural = if least == 1 { "" } else { "s" };
            self.at(name, "string_too_short", format!("String should have at least {least} character{plural}"));
            return None;
        }
        // No text has more code points than bytes.
        if text.len() > most && text.chars().count() > most {
            self.at(name, "string_too_long", format!("String should have at most {most} characters"));
            return None;
        }
        Some(text)
    }

    /// A required string.
    pub(crate) fn text(&mut self, name: &'static str, field: Field<'_>, most: usize) -> Option<String> {
        let value = self.required(name, field)?;
        self.string(name, value, 1, most)
    }

    /// An optional string; null and the empty string are none. The outer `None` is an error.
    pub(crate) fn optional_text(
        &mut self,
        name: &'static str,
        field: Field<'_>,
        most: usize,
    ) -> Option<Option<String>> {
        match field {
            Some(value) if !absent(field) => {
                self.string(name, value, 0, most).map(|text| (!text.is_empty()).then_some(text))
            }
            _ => Some(None),
        }
    }

    /// An id; left out, null and the nil UUID are the nil UUID.
    pub(crate) fn id(&mut self, name: &'static str, field: Field<'_>) -> Option<Uuid> {
        match field.map(Value::as_ref) {
            None | Some(ValueRef::Null) => Some(Uuid::nil()),
            Some(ValueRef::String(text)) => {
                let id = Uuid::try_parse(text.trim_ascii()).ok();
                if id.is_none() {
                    self.at(name, "uuid_parsing", "Input should be a valid UUID");
                }
                id
            }
            Some(_) => {
                self.at(name, "uuid_type", "UUID input should be a string");
                None
            }
        }
    }

    /// An id or none. The outer `None` is an error.
    pub(crate) fn optional_id(&mut self, name: &'static str, field: Field<'_>) -> Option<Option<Uuid>> {
        self.id(name, field).map(|id| (!id.is_nil()).then_some(id))
    }

    /// A value of a closed list.
    pub(crate) fn one_of<T>(&mut self, name: &'static str, field: Field<'_>, list: ClosedList<T>) -> Option<T> {
        let value = self.required(name, field)?;
        let parsed = match value.as_ref() {
            ValueRef::String(text) => (list.parse)(text),
            _ => None,
        };
        if parsed.is_none() {
            self.at(name, "enum", format!("Input should be {}", either((list.names)())));
        }
        parsed
    }

    /// A datetime.
    pub(crate) fn datetime(&mut self, name: &'static str, field: Field<'_>) -> Option<Timestamp> {
        let value = self.required(name, field)?;
        let time = match value.as_ref() {
            ValueRef::String(text) => lenient::datetime(text),
            ValueRef::Number(number) => lenient::datetime_of_number(number.as_f64().unwrap_or(f64::INFINITY)),
            _ => {
                self.at(name, "datetime_type", "Input should be a valid datetime");
                return None;
            }
        };
        match time {
            Ok(time) => return Some(time),
            Err(DatetimeError::Malformed) => {
                self.at(name, "datetime_parsing", "Input should be a valid datetime in ISO-8601 or an epoch number");
            }
            Err(DatetimeError::OutOfRange) => {
                self.at(name, "datetime_parsing", "Input should be a valid datetime, year from 2000 to 2099");
            }
        }
        None
    }

    /// A datetime or none. The outer `None` is an error.
    pub(crate) fn optional_datetime(&mut self, name: &'static str, field: Field<'_>) -> Option<Option<Timestamp>> {
        if absent(field) { Some(None) } else { self.datetime(name, field).map(Some) }
    }

    /// An integer of `least..=most`.
    pub(crate) fn integer(&mut self, name: &'static str, field: Field<'_>, least: u64, most: u64) -> Option<u64> {
        let value = self.required(name, field)?;
        let number = match value.as_ref() {
            ValueRef::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Ok(i64::try_from(number).unwrap_or(i64::MAX)),
                (None, Some(number)) => Ok(number),
                (None, None) => lenient::int_of_number(number.as_f64().unwrap_or(f64::INFINITY)),
            },
            ValueRef::String(text) => lenient::int(text),
            _ => {
                self.at(name, "int_type", "Input should be a valid integer");
                return None;
            }
        };
        match number {
            Ok(number) => match u64::try_from(number) {
                Ok(number) if number > most => {
                    self.at(name, "less_than_equal", format!("Input should be less than or equal to {most}"));
                }
                Ok(number) if number >= least => return Some(number),
                _ => self.at(name, "greater_than_equal", format!("Input should be greater than or equal to {least}")),
            },
            Err(IntError::Malformed) => {
                self.at(name, "int_parsing", "Input should be a valid integer, unable to parse string as an integer");
            }
            Err(IntError::Fraction) => {
                self.at(name, "int_from_float", "Input should be a valid integer, got a number with a fractional part");
            }
            Err(IntError::TooLarge) => {
                self.at(name, "int_parsing_size", "Input should be a valid integer that fits into 64 bits");
            }
        }
        None
    }

    /// A truth value.
    pub(crate) fn boolean(&mut self, name: &'static str, field: Field<'_>) -> Option<bool> {
        let value = self.required(name, field)?;
        let parsed = match value.as_ref() {
            ValueRef::Bool(value) => return Some(value),
            ValueRef::String(text) => lenient::boolean(text),
            ValueRef::Number(number) => number.as_f64().and_then(lenient::boolean_of_number),
            _ => {
                self.at(name, "bool_type", "Input should be a valid boolean");
                return None;
            }
        };
        if parsed.is_none() {
            self.at(name, "bool_parsing", "Input should be a valid boolean, unable to interpret input");
        }
        parsed
    }

    /// A number of 0..=1, or none. The outer `None` is an error.
    pub(crate) fn optional_share(&mut self, name: &'static str, field: Field<'_>) -> Option<Option<f64>> {
        let number = match field.map(Value::as_ref) {
            None | Some(ValueRef::Null) => return Some(None),
            Some(ValueRef::Number(number)) => number.as_f64().unwrap_or(f64::INFINITY),
            Some(ValueRef::String(text)) => match lenient::float(text) {
                Some(number) => number,
                None => {
                    self.at(
                        name,
                        "float_parsing",
                        "Input should be a valid number, unable to parse string as a number",
                    );
                    return None;
                }
            },
            Some(_) => {
                self.at(name, "float_type", "Input should be a valid number");
                return None;
            }
        };
        if !number.is_finite() {
            self.at(name, "finite_number", "Input should be a finite number");
        } else if number < 0.0 {
            self.at(name, "greater_than_equal", "Input should be greater than or equal to 0");
        } else if number > 1.0 {
            self.at(name, "less_than_equal", "Input should be less than or equal to 1");
        } else {
            // Minus zero is zero, so that it has one digest and one form on the wire.
            return Some(Some(number + 0.0));
        }
        None
    }

    /// The object at the present place.
    pub(crate) fn object<'a>(&mut self, value: &'a Value) -> Option<&'a Object> {
        match value.as_ref() {
            ValueRef::Object(object) => Some(object),
            _ => {
                self.here(
                    "model_attributes_type",
                    "Input should be a valid dictionary or object to extract fields from",
                );
                None
            }
        }
    }
}

/// A closed list of the taxonomy.
pub(crate) struct ClosedList<T> {
    /// The value of a wire name.
    pub(crate) parse: fn(&str) -> Option<T>,
    /// All wire names.
    pub(crate) names: fn() -> Vec<&'static str>,
}

/// `'a', 'b' or 'c'`, as existing clients see the values that are allowed.
pub(crate) fn either(names: Vec<&'static str>) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
