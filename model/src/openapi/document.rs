use utoipa::openapi::path::{HttpMethod, PathItem, Paths};
use utoipa::openapi::schema::{Components, Object, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr};

use super::answer::Schemas;
use super::{Answer, Endpoint};
use crate::taxonomy::Scope;

/// The description of one listener.
#[derive(Clone)]
pub struct Document {
    info: Info,
    paths: Paths,
    schemas: Schemas,
    scopes: Vec<(&'static str, String, Option<Scope>)>,
}

impl Document {
    /// Nothing but a title and what is to be said before everything else.
    pub fn new(title: &str, about: &str) -> Self {
        let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
        let info = InfoBuilder::new()
            .title(title)
            .description(Some(about))
            .version(env!("CARGO_PKG_VERSION"))
            .license(Some(license));
        Self { info: info.build(), paths: Paths::new(), schemas: Schemas::new(), scopes: Vec::new() }
    }

    /// Adds an endpoint at this path.
    ///
    /// # Panics
    /// When two schemas have one name and are not the same, or the path has such an endpoint already: our own mistakes.
    pub fn add(&mut self, path: &str, endpoint: Endpoint) {
        let scope = endpoint.scope;
        let (method, operation, schemas) = endpoint.into_operation();
        self.scopes.push((name_of(&method), path.to_owned(), scope));
        for (name, schema) in schemas {
            let known = self.schemas.entry(name).or_insert_with(|| schema.clone());
            assert!(*known == schema, "two schemas of {path} have one name: {}", to_text(&schema));
        }
        let item = PathItem::new(method, operation);
        match self.paths.paths.get_mut(path) {
            None => drop(self.paths.paths.insert(path.to_owned(), item)),
            Some(known) => known.merge_operations(item),
        }
    }

    /// Adds this answer to every operation that has none with this status.
    pub fn everywhere(&mut self, status: u16, answer: impl Fn() -> Answer) {
        for item in self.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
                operation.responses.responses.entry(status.to_string()).or_insert_with(|| {
                    let mut answer = answer();
                    self.schemas.append(&mut answer.schemas);
                    answer.into_response().into()
                });
            }
        }
    }

    /// The method and path of each endpoint, with what a key must be allowed to do for it.
    pub fn scopes(&self) -> &[(&'static str, String, Option<Scope>)] {
        &self.scopes
    }

    /// The document.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self.assemble()).unwrap_or_default()
    }

    /// The document as JSON for people: indented, with a line feed at its end.
    pub fn to_json(&self) -> String {
        let mut text = self.assemble().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    }

    fn assemble(&self) -> OpenApi {
        let mut components = Components::new();
        for (name, schema) in &self.schemas {
            components.schemas.insert(name.clone(), merged(schema, &self.schemas));
        }
        let mut document = OpenApiBuilder::new().info(self.info.clone()).paths(self.paths.clone()).build();
        // What was only a part of others is in them now.
        let paths = to_text(&document.paths);
        loop {
            let texts: Vec<_> = components.schemas.values().map(to_text).collect();
            let before = components.schemas.len();
            components.schemas.retain(|name, _| {
                let reference = format!("\"#/components/schemas/{name}\"");
                paths.contains(&reference) || texts.iter().any(|text| text.contains(&reference))
            });
            if components.schemas.len() == before {
                break;
            }
        }
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key, on a server that asks for one."));
        let header = ApiKeyValue::with_description("X-Api-Key", "A key, for clients that send it so.");
        let cookie = ApiKeyValue::with_description(
            "agenttracer_session",
            "The session of a page; a write needs X-CSRF-Token too.",
        );
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("header", SecurityScheme::ApiKey(ApiKey::Header(header)));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        document.components = Some(components);
        document
    }
}

fn name_of(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Post => "POST",
        HttpMethod::Delete => "DELETE",
        // An endpoint is one of the three.
        _ => "GET",
    }
}

fn to_text(part: &impl serde::Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}

/// The schema, and one that is put together of others as the one object that is written.
fn merged(schema: &RefOr<Schema>, all: &Schemas) -> RefOr<Schema> {
    let RefOr::T(Schema::AllOf(parts)) = schema else { return schema.clone() };
    let mut whole = Object::default();
    whole.description.clone_from(&parts.description);
    // serde writes a flattened part where it stands, and utoipa names all of them first; the order is only for the eye.
    for part in parts.items.iter().rev() {
        let part = match part {
            RefOr::Ref(reference) => {
                let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
                all.get(name).map(|part| merged(part, all))
            }
            part => Some(part.clone()),
        };
        if let Some(RefOr::T(Schema::Object(part))) = part {
            whole.properties.extend(part.properties);
            whole.required.extend(part.required);
            whole.description = whole.description.or(part.description);
        }
    }
    RefOr::T(Schema::Object(whole))
}
