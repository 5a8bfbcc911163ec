//! The document as a page: HTML that was made here, without a script, with one style sheet inside.

use std::fmt::Write;

use agenttracer_model::openapi::Document;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

static METHODS: [&str; 3] = ["get", "post", "delete"];

/// The page, and the policy under which it works: nothing may be loaded or run, and the one style sheet is this very one.
pub(super) fn of(document: &Document) -> (String, String) {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    (page(&document.to_value()), policy)
}

fn page(document: &Value) -> String {
    let title = escape(text(&document["info"]["title"]));
    let mut contents = String::new();
    let mut operations = String::new();
    let empty = serde_json::Map::new();
    let mut tags: Vec<&str> = Vec::new();
    let all: Vec<(&str, &str, &Value)> = document["paths"]
        .as_object()
        .unwrap_or(&empty)
        .iter()
        .flat_map(|(path, item)| METHODS.iter().map(move |method| (path.as_str(), *method, &item[*method])))
        .filter(|(_, _, operation)| operation.is_object())
        .collect();
    for (_, _, operation) in &all {
        let tag = text(&operation["tags"][0]);
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    for tag in tags {
        let _ = write!(contents, "<h3>{}</h3>\n<ul>\n", escape(tag));
        let _ = writeln!(operations, "<h2>{}</h2>", escape(tag));
        for (path, method, operation) in all.iter().filter(|(_, _, operation)| text(&operation["tags"][0]) == tag) {
            let id = escape(text(&operation["operationId"]));
            let _ = writeln!(
                contents,
                "<li><a href=\"#{id}\"><b>{}</b> <code>{}</code></a> {}</li>",
                method.to_uppercase(),
                escape(path),
                escape(text(&operation["summary"]))
            );
            operations.push_str(&operation_of(path, method, operation));
        }
        contents.push_str("</ul>\n");
    }
    let mut schemas = String::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap_or(&empty) {
        let _ = write!(
            schemas,
            "<section id=\"schema-{0}\">\n<h3><code>{0}</code></h3>\n{1}{2}</section>\n",
            escape(name),
            sentences(&schema["description"]),
            fields(schema)
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n<main>\n<h1>{title}</h1>\n{about}\
         <p>Version {version}. The same as JSON: <a href=\"openapi.json\"><code>openapi.json</code></a>.</p>\n\
         <nav aria-label=\"Endpoints\">\n{contents}</nav>\n{operations}<h2>Schemas</h2>\n{schemas}</main>\n</html>\n",
        about = sentences(&document["info"]["description"]),
        version = escape(text(&document["info"]["version"])),
    )
}

fn operation_of(path: &str, method: &str, operation: &Value) -> String {
    let mut out = format!(
        "<section id=\"{}\">\n<h3><b>{}</b> <code>{}</code></h3>\n<p><strong>{}</strong></p>\n{}",
        escape(text(&operation["operationId"])),
        method.to_uppercase(),
        escape(path),
        escape(text(&operation["summary"])),
        sentences(&operation["description"])
    );
    let parameters = items(&operation["parameters"]);
    if !parameters.is_empty() {
        out.push_str("<details open>\n<summary>Parameters</summary>\n<table>\n");
        for parameter in parameters {
            let _ = writeln!(
                out,
                "<tr><th><code>{}</code></th><td>{}{}</td><td>{}</td><td>{}{}</td></tr>",
                escape(text(&parameter["name"])),
                escape(text(&parameter["in"])),
                if parameter["required"] == true { ", required" } else { "" },
                kind(&parameter["schema"]),
                words(text(&parameter["description"])),
                default(&parameter["schema"]),
            );
        }
        out.push_str("</table>\n</details>\n");
    }
    if let Value::Object(contents) = &operation["requestBody"]["content"] {
        let _ = write!(out, "<h4>Body</h4>\n{}", sentences(&operation["requestBody"]["description"]));
        for (content_type, content) in contents {
            out.push_str(&content_of(content_type, content));
        }
    }
    out.push_str("<h4>Answers</h4>\n");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let _ = write!(
            out,
            "<details{}>\n<summary><b class=\"s{}\">{}</b> {}</summary>\n",
            if status == "200" || status == "201" { " open" } else { "" },
            escape(status.get(..1).unwrap_or_default()),
            escape(status),
            words(text(&response["description"]))
        );
        if let Value::Object(headers) = &response["headers"] {
            out.push_str("<table>\n");
            for (name, header) in headers {
                let about = words(text(&header["description"]));
                let schema = kind(&header["schema"]);
                let _ = writeln!(
                    out,
                    "<tr><th><code>{}</code></th><td>header</td><td>{schema}</td><td>{about}</td></tr>",
                    escape(name)
                );
            }
            out.push_str("</table>\n");
        }
        for (content_type, content) in response["content"].as_object().into_iter().flatten() {
            out.push_str(&content_of(content_type, content));
        }
        out.push_str("</details>\n");
    }
    out.push_str("</section>\n");
    out
}

fn content_of(content_type: &str, content: &Value) -> String {
    let example = match &content["example"] {
        Value::Null => String::new(),
        Value::String(text) => format!("<pre>{}</pre>\n", escape(text)),
        value => format!("<pre>{}</pre>\n", escape(&serde_json::to_string_pretty(value).unwrap_or_default())),
    };
    format!("<p><code>{}</code>: {}</p>\n{example}", escape(content_type), kind(&content["schema"]))
}

/// The fields of an object, or what else the schema says.
fn fields(schema: &Value) -> String {
    let variants = ["oneOf", "anyOf"].iter().flat_map(|key| items(&schema[*key]));
    let mut out: String = variants.map(fields).collect();
    let Value::Object(properties) = &schema["properties"] else {
        if out.is_empty() {
            let _ = writeln!(out, "<p>{}</p>", kind(schema));
        }
        return out;
    };
    let required = items(&schema["required"]);
    out.push_str("<table>\n");
    for (name, property) in properties {
        let always = if required.iter().any(|required| *required == name.as_str()) { "" } else { "optional" };
        let _ = writeln!(
            out,
            "<tr><th><code>{}</code></th><td>{always}</td><td>{}</td><td>{}{}</td></tr>",
            escape(name),
            kind(property),
            words(text(&property["description"])),
            default(property),
        );
    }
    out.push_str("</table>\n");
    out
}

/// The type of a value, with links to the schemas that it names.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Value::Array(values) = &schema["enum"] {
        let values: Vec<_> = values.iter().map(|value| format!("<code>{}</code>", escape(&plain(value)))).collect();
        return values.join(" | ");
    }
    for key in ["oneOf", "anyOf"] {
        if let Value::Array(variants) = &schema[key] {
            return variants.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    let types: Vec<_> = match &schema["type"] {
        Value::Array(types) => types.iter().map(plain).collect(),
        Value::String(one) => vec![one.clone()],
        _ => return "anything".to_owned(),
    };
    let mut out = types.join(" or ");
    if schema["items"].is_object() {
        let _ = write!(out, " of {}", kind(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        let _ = write!(out, " of {}", kind(&schema["additionalProperties"]));
    }
    if let Some(format) = schema["format"].as_str() {
        let _ = write!(out, " ({})", escape(format));
    }
    for (key, says) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "at least this long:"),
        ("maxLength", "at most this long:"),
        ("maxItems", "at most this many:"),
    ] {
        if schema[key].is_number() && schema[key] != 0 {
            let _ = write!(out, ", {says} {}", escape(&plain(&schema[key])));
        }
    }
    out
}

fn default(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null => String::new(),
        value => format!(" Default: <code>{}</code>.", escape(&plain(value))),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn sentences(value: &Value) -> String {
    match text(value) {
        "" => String::new(),
        text => format!("<p>{}</p>\n", words(text)),
    }
}

/// Text with what stands between backticks as code.
fn words(text: &str) -> String {
    let mut out = String::new();
    for (index, piece) in text.split('`').enumerate() {
        let piece = escape(piece);
        if index % 2 == 1 {
            let _ = write!(out, "<code>{piece}</code>");
        } else {
            out.push_str(&piece);
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

const STYLE: &str = "
:root { color-scheme: light dark; --page: light-dark(#f6f7f9, #111418); --card: light-dark(#fff, #191d23);
  --line: light-dark(#dfe3e8, #2c333c); --text: light-dark(#1b2027, #e6e9ed); --quiet: light-dark(#59636f, #9aa5b1);
  --link: light-dark(#0b5cad, #7cb8ff); --good: light-dark(#137a45, #5fd197); --bad: light-dark(#a8321f, #ff9b88) }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif }
main { margin: 0 auto; padding: 2.5rem 1.25rem; max-width: 64rem }
h1 { margin: 0; font-size: 1.75rem } h2 { margin: 2.5rem 0 .75rem; font-size: 1.3rem }
h3 { margin: 0 0 .5rem; font-size: 1.05rem } h4 { margin: 1rem 0 .25rem; font-size: .95rem }
p { margin: .4rem 0 } nav h3 { margin: 1rem 0 .25rem; color: var(--quiet) } nav ul { margin: 0; padding-left: 1.25rem }
section { margin: 1rem 0; padding: 1rem 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
details { margin: .35rem 0; overflow-x: auto } summary { cursor: pointer }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line) }
th { font-weight: 600; white-space: nowrap } td:nth-child(2) { color: var(--quiet); white-space: nowrap }
code, pre { font: .92em ui-monospace, monospace } pre { margin: .4rem 0; padding: .7rem .9rem; overflow: auto; max-height: 26rem;
  background: var(--page); border: 1px solid var(--line); border-radius: 6px }
a { color: var(--link); text-underline-offset: .15em } :focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
.s2, .s3 { color: var(--good) } .s4, .s5 { color: var(--bad) }
";
