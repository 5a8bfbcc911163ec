//! No harmless string is touched, no private one is missed.

mod make;

use agenttracer_model::Value;
use agenttracer_model::privacy::{
    MessageWords, MetadataOf, REDACTED, Removed, clean_message, clean_metadata, clean_optional, clean_required,
    normalise_text, refuse_message, refuse_metadata,
};
use make::metadata;

const HARMLESS: &str = include_str!("corpora/harmless.txt");
const PRIVATE: &str = include_str!("corpora/private.txt");

fn lines(corpus: &'static str) -> impl Iterator<Item = &'static str> {
    corpus.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn rules(removed: &Removed) -> Vec<(&'static str, u32)> {
    removed.iter().map(|(rule, count)| (rule.as_str(), count)).collect()
}

#[test]
fn nothing_harmless_is_touched() {
    let (mut count, mut hits) = (0, Vec::new());
    for line in lines(HARMLESS) {
        let (place, string) = line.split_once('\t').unwrap();
        count += 1;
        let mut removed = Removed::default();
        let kept = match place {
            "name" => {
                clean_required(string.to_owned(), &mut removed) == string
                    && clean_optional(string.to_owned(), &mut removed).as_deref() == Some(string)
            }
            "value" | "key" => {
                let sent = match place {
                    "key" => metadata(&[(string, text("x"))]),
                    _ => metadata(&[("fact", text(string))]),
                };
                let nested = metadata(&[("in", Value::Object(sent.clone()))]);
                let of = [MetadataOf::Run, MetadataOf::Step, MetadataOf::Decision, MetadataOf::Signal];
                of.iter().all(|of| refuse_metadata(*of, &sent).is_empty())
                    && of.iter().all(|of| clean_metadata(*of, sent.clone(), &mut removed) == sent)
                    && clean_metadata(MetadataOf::Step, nested.clone(), &mut removed) == nested
            }
            "message" => {
                refuse_message(string, MessageWords::Strict).is_none()
                    && clean_message(string.to_owned(), &mut removed) == string
            }
            _ => panic!("no such place: {line}"),
        };
        let unchanged = normalise_text(string.to_owned()) == string;
        if !(kept && unchanged && removed.is_empty()) {
            hits.push(format!("{line} {:?}", rules(&removed)));
        }
    }
    assert!(hits.is_empty(), "{}", hits.join("\n"));
    assert!(count >= 300, "{count}");
}

#[test]
fn nothing_private_is_missed() {
    let (mut count, mut misses) = (0, Vec::new());
    for line in lines(PRIVATE) {
        let mut parts = line.splitn(3, '\t');
        let (place, rule, string) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let string = string.replace('·', "");
        count += 1;
        let mut removed = Removed::default();
        let caught = match (place, rule) {
            ("message", "refused") => {
                refuse_message(&string, MessageWords::Strict).is_some()
                    && refuse_message(&string, MessageWords::Relaxed).is_none()
            }
            ("message", _) => {
                let cleaned = clean_message(string.clone(), &mut removed);
                cleaned.contains(&format!("[{rule}]")) && removed.iter().all(|(found, _)| found.as_str() == rule)
            }
            ("name", _) => {
                let dropped = clean_optional(string.clone(), &mut Removed::default()).is_none();
                dropped && clean_required(string.clone(), &mut removed) == REDACTED
            }
            ("key" | "value" | "nested", _) => {
                let entry = match place {
                    "key" => metadata(&[(&string, text("x"))]),
                    "value" => metadata(&[("fact", text(&string))]),
                    _ => metadata(&[("a", Value::Object(metadata(&[("b", Value::Array(vec![text(&string)]))])))]),
                };
                let cleaned = clean_metadata(MetadataOf::Step, entry, &mut removed);
                !holds(&Value::Object(cleaned), &string)
            }
            _ => panic!("no such place: {line}"),
        };
        let by_rule = rule == "refused" || removed.iter().any(|(found, _)| found.as_str() == rule);
        if !(caught && by_rule) {
            misses.push(format!("{line} {:?}", rules(&removed)));
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
    assert!(count >= 300, "{count}");
}

/// Whether the string stands in the value as a key or a string, however deep.
fn holds(value: &Value, string: &str) -> bool {
    match value {
        Value::String(text) => text == string,
        Value::Array(values) => values.iter().any(|value| holds(value, string)),
        Value::Object(object) => object.0.iter().any(|(key, value)| key == string || holds(value, string)),
        _ => false,
    }
}
