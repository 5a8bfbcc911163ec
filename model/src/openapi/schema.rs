//! Short words for the schemas of parameters, headers and fields.

use serde_json::Value;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};

/// A string of `least..=most` code points.
pub fn text(least: usize, most: usize) -> ObjectBuilder {
    any_text().min_length((least > 0).then_some(least)).max_length(Some(most))
}

/// Any string.
pub fn any_text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A string that is one of these.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    any_text().enum_values(Some(names))
}

/// A UUID.
pub fn uuid() -> ObjectBuilder {
    any_text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

/// A time as it is answered, and as every client can send it.
pub fn time() -> ObjectBuilder {
    any_text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// A whole number of `least..=most`.
pub fn integer(least: u64, most: u64) -> ObjectBuilder {
    // JSON Schema compares numbers as they are written, but many readers hold them as floats.
    count().minimum(Some(least as f64)).maximum((most < 1 << 53).then_some(most as f64))
}

/// A whole number that is not negative.
pub fn count() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::Custom("uint64".to_owned())))
        .minimum(Some(0))
}

/// `true` or `false`.
pub fn boolean() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

/// The same schema, or null.
pub fn nullable(schema: ObjectBuilder) -> ObjectBuilder {
    let mut object = schema.build();
    if let SchemaType::Type(kind) = object.schema_type {
        object.schema_type = SchemaType::from_iter([kind, Type::Null]);
    }
    object.into()
}

/// A schema with a default.
pub fn with_default(schema: ObjectBuilder, default: impl Into<Value>) -> ObjectBuilder {
    schema.default(Some(default.into()))
}
