use super::shapes::Look;
use super::{MetadataOf, Refusal, RefusalRule, Removed, Rule, keys, prose, shapes};
use crate::{Metadata, Value};

/// The most keys that metadata may have at its top.
const MOST_KEYS: usize = 64;
/// How deep a step's metadata may nest; the metadata object itself is the first level.
const DEEPEST: usize = 4;
/// The largest step metadata, in bytes of JSON without white space and escapes.
const LARGEST: usize = 16 * 1024;
/// The longest string in the metadata of a decision or a signal, in code points.
const LONGEST_FACT: usize = 100;

/// What makes the request invalid: existing clients expect these to be refused. Only keys at the top count; deeper
/// ones are removed by [`clean_metadata`].
pub fn refuse_metadata(of: MetadataOf, metadata: &Metadata) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |key: &str, rule: RefusalRule, msg: &str| {
        refusals.push(Refusal { path: vec![keys::printable(key)], rule, msg: msg.to_owned() });
    };
    match of {
        MetadataOf::Run => {}
        MetadataOf::Step => {
            for (key, _) in &metadata.0 {
                if keys::is_refused(key) {
                    refuse(key, RefusalRule::Key, "metadata may not hold content (privacy rule: key)");
                }
            }
        }
        MetadataOf::Decision | MetadataOf::Signal => {
            for (key, value) in &metadata.0 {
                if keys::is_refused_in_facts(key) {
                    refuse(key, RefusalRule::Key, "metadata may not hold content or reasoning (privacy rule: key)");
                    continue;
                }
                match value {
                    Value::Array(_) | Value::Object(_) => {
                        refuse(
                            key,
                            RefusalRule::Size,
                            "a metadata value here must be a string, a number, a boolean or null",
                        );
                    }
                    Value::String(text) if text.len() > LONGEST_FACT && text.chars().count() > LONGEST_FACT => {
                        refuse(key, RefusalRule::Size, "a metadata string here may have at most 100 characters");
                    }
                    _ => {}
                }
            }
        }
    }
    refusals
}

/// What of the metadata may be stored, in the order in which it was sent.
///
/// An entry goes when its key is private and its value text, when its key is no key (whatever the value, for the key
/// itself may be the private text), or when its string is prose or holds a private shape. Below a private key every
/// string goes, however deep. Where only scalars may stand, an array or object counts as [`Rule::Size`]; so does an
/// entry beyond the 64th, one that nests deeper than four levels, and one that does not fit into 16 KiB with those
/// before it.
pub fn clean_metadata(of: MetadataOf, mut metadata: Metadata, removed: &mut Removed) -> Metadata {
    let deepest = if of == MetadataOf::Step { DEEPEST } else { 1 };
    let (mut count, mut size) = (0, 2);
    metadata.0.retain_mut(|(key, value)| {
        if !keep_entry(key, value, false, 2, deepest, removed) {
            return false;
        }
        let entry_size = key.len() + 4 + json_size(value);
        if count == MOST_KEYS || (of == MetadataOf::Step && size + entry_size > LARGEST) {
            removed.add(Rule::Size);
            return false;
        }
        count += 1;
        size += entry_size;
        true
    });
    metadata
}

/// Cleans one entry; whether it stays. `level` is the level at which a container in `value` would stand.
fn keep_entry(
    key: &str,
    value: &mut Value,
    below_private: bool,
    level: usize,
    deepest: usize,
    removed: &mut Removed,
) -> bool {
    if !keys::is_key(key) {
        removed.add(Rule::Key);
        return false;
    }
    // A shape in the form of a key has a name and `:`, many digits, or a credential's length.
    if (key.len() >= 8 && key.bytes().any(|byte| byte.is_ascii_digit() || byte == b':'))
        && let Some(rule) = shapes::find(key)
    {
        removed.add(rule);
        return false;
    }
    let holds_text = matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_));
    let private = holds_text && (below_private || keys::is_private(key));
    keep_value(value, private, level, deepest, removed)
}

fn keep_value(value: &mut Value, private: bool, level: usize, deepest: usize, removed: &mut Removed) -> bool {
    let rule = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) => None,
        Value::String(_) if private => Some(Rule::Key),
        Value::String(text) => {
            let look = Look::at(text);
            shapes::find_with(text, &look).or(prose::is_prose(text, &look).then_some(Rule::Prose))
        }
        Value::Array(_) | Value::Object(_) if level > deepest => Some(Rule::Size),
        Value::Array(values) => {
            values.retain_mut(|value| keep_value(value, private, level + 1, deepest, removed));
            None
        }
        Value::Object(object) => {
            object.0.retain_mut(|(key, value)| keep_entry(key, value, private, level + 1, deepest, removed));
            None
        }
    };
    if let Some(rule) = rule {
        removed.add(rule);
    }
    rule.is_none()
}

/// About the length of the value's JSON; numbers count as eight bytes.
fn json_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Int(_) | Value::Uint(_) | Value::Float(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => 2 + values.iter().map(|value| 1 + json_size(value)).sum::<usize>(),
        Value::Object(object) => {
            2 + object.0.iter().map(|(key, value)| key.len() + 4 + json_size(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn object<const N: usize>(entries: [(&str, Value); N]) -> Metadata {
        Metadata(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn clean(of: MetadataOf, metadata: Metadata) -> (Metadata, Vec<(Rule, u32)>) {
        let mut removed = Removed::default();
        let metadata = clean_metadata(of, metadata, &mut removed);
        (metadata, removed.iter().collect())
    }

    #[test]
    fn content_in_a_step_is_refused_by_its_key_whatever_the_value() {
        let metadata = object([
            ("Prompt", text("x")),
            ("output", Value::Uint(1)),
            ("reasoning", text("x")),
            ("deep", Value::Object(object([("input", text("x"))]))),
        ]);
        let refusals = refuse_metadata(MetadataOf::Step, &metadata);
        assert_eq!(refusals.iter().map(|r| r.path[0].as_str()).collect::<Vec<_>>(), ["Prompt", "output"]);
        assert_eq!(refuse_metadata(MetadataOf::Run, &metadata), []);
    }

    #[test]
    fn facts_are_scalars_and_short() {
        let metadata = object([
            ("rationale", text("x")),
            ("list", Value::Array(vec![])),
            ("object", Value::Object(object([]))),
            ("fits", text(&"ä".repeat(100))),
            ("long", text(&"ä".repeat(101))),
            ("jo@example.com", text(&"x".repeat(101))),
            ("cost_usd", Value::Float(0.1)),
        ]);
        for of in [MetadataOf::Decision, MetadataOf::Signal] {
            let paths: Vec<_> = refuse_metadata(of, &metadata).into_iter().map(|r| r.path.join("/")).collect();
            assert_eq!(paths, ["rationale", "list", "object", "long", "<key>"]);
        }
    }

    #[test]
    fn private_keys_lose_their_text_at_every_level_and_keep_their_numbers() {
        let (kept, removed) = clean(
            MetadataOf::Step,
            object([
                ("query", text("short")),
                ("answer", Value::Uint(42)),
                ("body", Value::Null),
                (
                    "call",
                    Value::Object(object([
                        ("prompt", text("x")),
                        ("result", Value::Array(vec![text("a"), Value::Uint(1), Value::Bool(true)])),
                        ("arguments", Value::Object(object([("city", text("Oslo")), ("days", Value::Uint(3))]))),
                        ("tool", text("weather")),
                    ])),
                ),
            ]),
        );
        let expected = object([
            ("answer", Value::Uint(42)),
            ("body", Value::Null),
            (
                "call",
                Value::Object(object([
                    ("result", Value::Array(vec![Value::Uint(1), Value::Bool(true)])),
                    ("arguments", Value::Object(object([("days", Value::Uint(3))]))),
                    ("tool", text("weather")),
                ])),
            ),
        ]);
        assert_eq!((kept, removed), (expected, vec![(Rule::Key, 4)]));
    }

    #[test]
    fn a_key_that_is_no_key_goes_with_any_value() {
        let (kept, removed) = clean(
            MetadataOf::Run,
            object([
                ("what is this", Value::Uint(1)),
                ("sk-abcdefghijklmnopqrst1234", Value::Uint(1)),
                ("ok", Value::Null),
            ]),
        );
        assert_eq!((kept, removed), (object([("ok", Value::Null)]), vec![(Rule::Key, 1), (Rule::Secret, 1)]));
    }

    #[test]
    fn only_steps_may_nest_and_only_four_levels() {
        let nested = |levels: usize| {
            (1..levels).fold(object([("leaf", Value::Uint(1))]), |inner, _| object([("in", Value::Object(inner))]))
        };
        assert_eq!(clean(MetadataOf::Step, nested(4)), (nested(4), vec![]));
        let (kept, removed) = clean(MetadataOf::Step, nested(5));
        assert_ne!(kept, nested(5));
        assert_eq!(removed, [(Rule::Size, 1)]);
        assert_eq!(clean(MetadataOf::Run, nested(2)), (object([]), vec![(Rule::Size, 1)]));
    }

    #[test]
    fn keys_beyond_the_bound_and_entries_that_do_not_fit_are_dropped() {
        let many = Metadata((0..70).map(|i| (format!("k{i}"), Value::Uint(i))).collect());
        let (kept, removed) = clean(MetadataOf::Signal, many);
        assert_eq!((kept.0.len(), kept.0[63].0.as_str(), removed), (64, "k63", vec![(Rule::Size, 6)]));

        let large = Value::Array(vec![Value::Uint(1); 1000]);
        let metadata = object([("a", large.clone()), ("b", large), ("c", Value::Uint(1))]);
        let (kept, removed) = clean(MetadataOf::Step, metadata);
        assert_eq!(kept.0.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(removed, [(Rule::Size, 1)]);
    }

    #[test]
    fn prose_and_shapes_are_dropped() {
        let (kept, removed) = clean(
            MetadataOf::Run,
            object([
                ("note", text("the user would like to know when")),
                ("contact", text("jo@example.com")),
                ("model", text("gpt-4o-mini-2024-07-18")),
            ]),
        );
        assert_eq!(kept, object([("model", text("gpt-4o-mini-2024-07-18"))]));
        assert_eq!(removed, [(Rule::Prose, 1), (Rule::Email, 1)]);
    }
}
