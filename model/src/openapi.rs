//! How the API is described: an OpenAPI 3.1 document, made of what stands next to the routes.
//!
//! Who adds a route describes it with an [`Endpoint`] in the same table, and the [`Document`] of a listener is made of these
//! tables; so nothing is served that is not described. The bodies describe themselves: what is answered derives
//! [`utoipa::ToSchema`] on the very structs that are serialised.
//!
//! ```
//! use agenttracer_model::openapi::{Answer, Document, Endpoint, schema};
//! use serde_json::json;
//!
//! #[derive(utoipa::ToSchema)]
//! struct Greeting {
//!     text: String,
//! }
//!
//! let endpoint = Endpoint::get("greet", "Say hello")
//!     .query("name", schema::text(1, 100), "Who is greeted.")
//!     .answer(200, Answer::json::<Greeting>("The greeting.", json!({"text": "hello"})));
//! let mut document = Document::new("Greetings", "An API that greets.");
//! document.add("/v1/greeting", endpoint);
//! assert!(document.to_json().contains(r#""operationId": "greet""#));
//! ```

mod answer;
mod document;
mod endpoint;
mod errors;
mod example;
pub mod schema;
mod values;

pub use answer::Answer;
pub use document::Document;
pub use endpoint::Endpoint;
pub use example::{example_run, example_step};
pub use values::{FailureCode, ReasonName, SignalName};
