use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Content, ContentBuilder, Header, RefOr, Response, ResponseBuilder};

use super::schema;
use super::values::reference;

/// Named schemas.
pub(crate) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// What an endpoint answers with one status.
pub struct Answer {
    about: String,
    contents: Vec<(String, Content)>,
    headers: Vec<(&'static str, Header)>,
    pub(crate) schemas: Schemas,
}

impl Answer {
    /// An answer without a body.
    pub fn empty(about: impl Into<String>) -> Self {
        Self { about: about.into(), contents: Vec::new(), headers: Vec::new(), schemas: Schemas::new() }
    }

    /// A `T` as JSON.
    pub fn json<T: ToSchema>(about: impl Into<String>, example: Value) -> Self {
        Self::json_as::<T>(&T::name(), about, example)
    }

    /// A `T` as JSON, under another name than its own: one generic type can be several bodies.
    pub fn json_as<T: ToSchema>(name: &str, about: impl Into<String>, example: Value) -> Self {
        Self::empty(about).or_json_as::<T>(name, example)
    }

    /// An array of `T` as JSON.
    pub fn list<T: ToSchema>(about: impl Into<String>, example: Value) -> Self {
        let mut answer = Self::empty(about);
        answer.gather::<T>(&T::name());
        let items = ArrayBuilder::new().items(reference(&T::name())).build();
        answer.content("application/json", items, example)
    }

    /// An `A` or a `B` as JSON.
    pub fn json_of_either<A: ToSchema, B: ToSchema>(about: impl Into<String>, example: Value) -> Self {
        let mut answer = Self::empty(about);
        let either = answer.either::<A, B>();
        answer.content("application/json", either, example)
    }

    /// An array of `A` or `B` as JSON.
    pub fn list_of_either<A: ToSchema, B: ToSchema>(about: impl Into<String>, example: Value) -> Self {
        let mut answer = Self::empty(about);
        let either = answer.either::<A, B>();
        answer.content("application/json", ArrayBuilder::new().items(RefOr::T(either)).build(), example)
    }

    fn either<A: ToSchema, B: ToSchema>(&mut self) -> Schema {
        self.gather::<A>(&A::name());
        self.gather::<B>(&B::name());
        Schema::AnyOf(AnyOfBuilder::new().item(reference(&A::name())).item(reference(&B::name())).build())
    }

    /// Any JSON.
    pub fn any_json(about: impl Into<String>, example: Value) -> Self {
        Self::empty(about).content("application/json", ObjectBuilder::new(), example)
    }

    /// Text of another type.
    pub fn text(about: impl Into<String>, content_type: &str, example: &str) -> Self {
        Self::empty(about).content(content_type, schema::any_text(), example.into())
    }

    /// Or a `T` as JSON, when the client asks for that.
    #[must_use]
    pub fn or_json<T: ToSchema>(self, example: Value) -> Self {
        self.or_json_as::<T>(&T::name(), example)
    }

    /// What several answers have in common.
    #[must_use]
    pub fn with(self, common: impl FnOnce(Self) -> Self) -> Self {
        common(self)
    }

    fn or_json_as<T: ToSchema>(mut self, name: &str, example: Value) -> Self {
        self.gather::<T>(name);
        let schema = reference(name);
        self.content("application/json", schema, example)
    }

    /// The event streams' events carry a `T` as JSON; the schema is told, though the body is text.
    #[must_use]
    pub fn mentions<T: ToSchema>(mut self) -> Self {
        self.gather::<T>(&T::name());
        self
    }

    /// A header that the answer has, or can have.
    #[must_use]
    pub fn header(mut self, name: &'static str, schema: ObjectBuilder, about: &str) -> Self {
        self.headers.push((name, HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()));
        self
    }

    fn content(mut self, content_type: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        self.contents.push((content_type.to_owned(), content));
        self
    }

    fn gather<T: ToSchema>(&mut self, name: &str) {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        schemas.push((name.to_owned(), T::schema()));
        self.schemas.extend(schemas.into_iter().map(|(name, schema)| (name, with_all_fields(schema))));
    }

    pub(crate) fn into_response(self) -> Response {
        let mut response = ResponseBuilder::new().description(self.about);
        for (content_type, content) in self.contents {
            response = response.content(content_type, content);
        }
        for (name, header) in self.headers {
            response = response.header(name, header);
        }
        response.build()
    }
}

/// An answer has all of its fields: one that can be null is there as null. A field that can be absent says so by not being
/// nullable (`#[schema(nullable = false)]` on an `Option` that is skipped).
fn with_all_fields(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            for (name, property) in &object.properties {
                if is_nullable(property) && !object.required.contains(name) {
                    object.required.push(name.clone());
                }
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::AllOf(mut all)) => {
            all.items = all.items.into_iter().map(with_all_fields).collect();
            RefOr::T(Schema::AllOf(all))
        }
        schema => schema,
    }
}

fn is_nullable(schema: &RefOr<Schema>) -> bool {
    let has_null = |kind: &SchemaType| match kind {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => true,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => has_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => has_null(&array.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(is_nullable),
        _ => false,
    }
}
