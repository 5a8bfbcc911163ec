use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, RefOr, Required};

use super::Answer;
use super::answer::Schemas;
use super::values::reference;
use crate::taxonomy::Scope;

/// One method of one path: what it takes, and everything that it can answer.
pub struct Endpoint {
    pub(crate) method: HttpMethod,
    id: &'static str,
    summary: &'static str,
    about: String,
    tag: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBodyBuilder>,
    answers: BTreeMap<u16, Answer>,
    pub(crate) scope: Option<Scope>,
    pub(crate) schemas: Schemas,
}

impl Endpoint {
    /// A `GET`. `id` names the operation in generated clients, `summary` is a few words.
    pub fn get(id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Get, id, summary)
    }

    /// A `POST`.
    pub fn post(id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Post, id, summary)
    }

    /// A `DELETE`.
    pub fn delete(id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Delete, id, summary)
    }

    fn new(method: HttpMethod, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            id,
            summary,
            about: String::new(),
            tag: "API",
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            scope: None,
            schemas: Schemas::new(),
        }
    }

    /// Whole sentences about it.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    /// The heading that it stands under.
    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// What a key must be allowed to do for this; without a scope nobody needs a key.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// What several endpoints have in common.
    #[must_use]
    pub fn with(self, common: impl FnOnce(Self) -> Self) -> Self {
        common(self)
    }

    /// A parameter of the path.
    #[must_use]
    pub fn path(self, name: &str, schema: ObjectBuilder, about: &str, example: impl Into<Value>) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        let parameter = parameter.schema(Some(schema)).description(Some(about)).example(Some(example.into()));
        self.parameter(parameter)
    }

    /// A parameter of the query string that has one value.
    #[must_use]
    pub fn query(self, name: &str, schema: ObjectBuilder, about: &str) -> Self {
        self.parameter(optional(name, ParameterIn::Query, about).schema(Some(schema)))
    }

    /// A parameter of the query string that can be repeated.
    #[must_use]
    pub fn queries(self, name: &str, schema: ObjectBuilder, about: &str) -> Self {
        let several = ArrayBuilder::new().items(schema);
        let parameter = optional(name, ParameterIn::Query, about).style(Some(ParameterStyle::Form)).explode(Some(true));
        self.parameter(parameter.schema(Some(several)))
    }

    /// Parameters of the query string whose names begin with `name` and a point.
    #[must_use]
    pub fn queries_under(self, name: &str, value: ObjectBuilder, about: &str) -> Self {
        let names = super::schema::any_text().pattern(Some(format!("^{name}\\..+$")));
        let several = ObjectBuilder::new()
            .property_names(Some(names))
            .additional_properties(Some(AdditionalProperties::from(RefOr::<Schema>::from(value))));
        let parameter = optional(name, ParameterIn::Query, about).style(Some(ParameterStyle::Form)).explode(Some(true));
        self.parameter(parameter.schema(Some(several)))
    }

    /// A header of the request that has a meaning here.
    #[must_use]
    pub fn header(self, name: &str, schema: ObjectBuilder, about: &str) -> Self {
        self.parameter(optional(name, ParameterIn::Header, about).schema(Some(schema)))
    }

    fn parameter(mut self, parameter: ParameterBuilder) -> Self {
        self.parameters.push(parameter.build());
        self
    }

    /// The body is a `T` as JSON.
    #[must_use]
    pub fn body<T: ToSchema>(self, about: &str, example: Value) -> Self {
        let schema = reference(&T::name());
        self.gather::<T>().content(about, "application/json", schema, example)
    }

    /// The body is an array of `T` as JSON, or one `T` a line.
    #[must_use]
    pub fn body_of_many<T: ToSchema>(self, about: &str, most: usize, example: Value) -> Self {
        let lines = match &example {
            Value::Array(items) => items.iter().map(|item| format!("{item}\n")).collect(),
            _ => String::new(),
        };
        let items = ArrayBuilder::new().items(reference(&T::name())).max_items(Some(most));
        let text = super::schema::any_text().description(Some(format!("One `{}` a line.", T::name())));
        self.gather::<T>().content(about, "application/json", items, example).content(
            about,
            "application/x-ndjson",
            text,
            lines.into(),
        )
    }

    fn content(mut self, about: &str, kind: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        let body = self.body.take().unwrap_or_default().description(Some(about)).required(Some(Required::True));
        self.body = Some(body.content(kind, content));
        self
    }

    fn gather<T: ToSchema>(mut self) -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        self.schemas.extend(schemas);
        self.schemas.insert(T::name().into_owned(), T::schema());
        self
    }

    /// What it can answer. Each status has one answer; the last counts.
    #[must_use]
    pub fn answer(mut self, status: u16, answer: Answer) -> Self {
        self.answers.insert(status, answer);
        self
    }

    /// An error of the application. `error` is an example of what it says.
    #[must_use]
    pub fn problem(self, status: u16, about: &str, error: &str) -> Self {
        self.answer(status, Answer::problem(status, about, error))
    }

    /// The operation, and the schemas that it refers to.
    pub(crate) fn into_operation(self) -> (HttpMethod, OperationBuilder, Schemas) {
        let Self { method, id, summary, about, tag, parameters, body, answers, scope, mut schemas } = self;
        let mut operation = OperationBuilder::new()
            .operation_id(Some(id))
            .summary(Some(summary))
            .description((!about.is_empty()).then_some(about))
            .tag(tag)
            .request_body(body.map(RequestBodyBuilder::build));
        if let Some(scope) = scope {
            operation = operation
                .security(SecurityRequirement::new("bearer", [scope.as_str()]))
                .security(SecurityRequirement::new("header", [scope.as_str()]))
                .security(SecurityRequirement::new("cookie", [scope.as_str()]));
        }
        for parameter in parameters {
            operation = operation.parameter(parameter);
        }
        for (status, mut answer) in answers {
            schemas.append(&mut answer.schemas);
            operation = operation.response(status.to_string(), answer.into_response());
        }
        (method, operation, schemas)
    }
}

fn optional(name: &str, place: ParameterIn, about: &str) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).required(Required::False).description(Some(about))
}
