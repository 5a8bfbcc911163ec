//! How the types that write themselves are described. The closed lists describe themselves where they stand.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::schema;
use crate::taxonomy::{KNOWN_FAILURE_CODES, KNOWN_METADATA_KEYS, REASON_CODES, SIGNAL_CODES};
use crate::{Loc, Metadata, Position, Timestamp, Value};

/// Describes a type by a name and an expression.
macro_rules! described {
    ($($type:ty as $name:literal: $schema:expr;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

/// The code of a reason, whatever its type. Stands for a `&'static str` in a schema.
pub struct ReasonName;

/// The code of a signal, whatever its type. Stands for a `&'static str` in a schema.
pub struct SignalName;

/// The code of a failure. Stands for a `String` in a schema.
pub struct FailureCode;

described! {
    Timestamp as "Timestamp": schema::time()
        .description(Some("A time in UTC, ISO-8601 with Z; the fraction of the second is left out when it is zero and has 6 digits otherwise."))
        .examples(["2026-11-22T18:25:32.235977Z"]);
    Position as "Position": schema::count()
        .description(Some("A record's number in the log."));
    Metadata as "Metadata": ObjectBuilder::new()
        .description(Some(format!(
            "Facts, in the order in which they were sent: numbers, ids, names; never content. Keys with a known meaning: {}.",
            KNOWN_METADATA_KEYS.join(", ")
        )))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .examples([json!({"http_status": 200, "model": "gpt-4.1"})]);
    ReasonName as "ReasonCode": schema::one_of(REASON_CODES.iter().map(|row| row.code))
        .description(Some("Why a decision was made; each code belongs to one decision type."));
    SignalName as "SignalCode": schema::one_of(SIGNAL_CODES.iter().map(|row| row.code))
        .description(Some("What a signal observed; each code belongs to one signal type."));
    FailureCode as "FailureCode": schema::text(1, 100)
        .description(Some("What failed. The list is open; the examples are the codes with a known meaning."))
        .examples(KNOWN_FAILURE_CODES.iter().copied());
}

impl PartialSchema for Value {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue).into()
    }
}

impl ToSchema for Value {}

impl PartialSchema for Loc {
    fn schema() -> RefOr<Schema> {
        let types = utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Integer]);
        ObjectBuilder::new().schema_type(types).description(Some("A field's name or an index.")).into()
    }
}

impl ToSchema for Loc {}

/// A reference to the schema of this name.
pub(crate) fn reference(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}
