use serde::Serialize;

/// The body of an error that the application answers: 404, 409, 410, 413, 429 and 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// What is wrong, for a person; never the private value.
    pub error: String,
    /// The HTTP status once more, for clients that only keep the body.
    pub status_code: u16,
    /// The path that was asked.
    pub path: String,
}

/// One part of the place of an error inside a body: a field's name or an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// A field.
    Name(String),
    /// An element of an array.
    Index(usize),
}

/// One entry of the `detail` array of a 422. It names the place and the rule, never the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// A stable machine-readable kind, e.g. `missing`, `string_too_long`, `json_invalid`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where: `["body", "steps", 0, "name"]`.
    pub loc: Vec<Loc>,
    /// What is wrong, for a person.
    pub msg: String,
}
