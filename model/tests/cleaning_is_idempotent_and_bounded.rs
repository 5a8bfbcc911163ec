//! Properties of the privacy rules over any text.

mod make;

use agenttracer_model::privacy::{
    MetadataOf, REDACTED, Removed, Rule, clean_message, clean_metadata, clean_optional, clean_required, normalise_text,
};
use agenttracer_model::{Metadata, Value};
use proptest::prelude::*;

/// Text in which shapes, halves of shapes and what may touch them come together.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "jo@example.com",
            "@",
            "example.com",
            "4111111111111111",
            "4111 1111 1111 1111",
            "+14155550100",
            "(415) 555-0100",
            "415-555-0100",
            "203.0.113.9",
            "2001:db8::1",
            "password=",
            "token:",
            "secret",
            ": ",
            "=",
            "sk-",
            "abcdefghijklmnopqrst1",
            "Bearer ",
            "eyJhbGciOiJub25lIn0.",
            "-----BEGIN ",
            "KEY-----",
            "-----END KEY-----",
            "://",
            "a:b@",
            "[card]",
            "[email]",
            "[secret]",
            "[redacted]",
            "null",
            "1",
            "-",
            "_",
            " ",
            ".",
            "/",
            "\"",
            "'",
            "%40",
            "%20",
            "+",
            "漢",
            "é",
            "x",
            "\n",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
        any::<String>(),
        "[0-9 +-]{0,24}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::Uint),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            // Wide ones are tested at the top: wide at each depth they are megabytes.
            entries(inner, 8).prop_map(Value::Object),
        ]
    })
}

fn entries(value: impl Strategy<Value = Value>, most: usize) -> impl Strategy<Value = Metadata> {
    let key = prop_oneof![
        "[a-z]{1,4}",
        prop::sample::select(vec!["prompt", "body", "model", "sql_query", "tokens", "a b"]).prop_map(str::to_owned),
        text(),
    ];
    prop::collection::vec((key, value), 0..most).prop_map(|mut entries| {
        let mut seen = std::collections::HashSet::new();
        entries.retain(|(key, _)| seen.insert(key.clone()));
        Metadata(entries)
    })
}

proptest! {
    #[test]
    fn a_clean_message_stays_as_it_is(message in text()) {
        let message = normalise_text(message);
        let mut removed = Removed::default();
        let cleaned = clean_message(message.clone(), &mut removed);
        prop_assert!(cleaned.chars().count() <= 500);
        prop_assert_eq!(removed.is_empty(), cleaned == message);
        let mut again = Removed::default();
        prop_assert_eq!(&clean_message(cleaned.clone(), &mut again), &cleaned);
        prop_assert!(again.is_empty());
    }

    #[test]
    fn a_long_message_is_bounded_and_stays(pieces in prop::collection::vec(text(), 1..40)) {
        let mut removed = Removed::default();
        let cleaned = clean_message(pieces.concat(), &mut removed);
        prop_assert!(cleaned.chars().count() <= 500);
        let mut again = Removed::default();
        prop_assert_eq!(&clean_message(cleaned.clone(), &mut again), &cleaned);
        prop_assert!(again.is_empty());
    }

    #[test]
    fn a_clean_name_stays_as_it_is(name in text()) {
        let mut removed = Removed::default();
        let cleaned = clean_required(name.clone(), &mut removed);
        prop_assert!(cleaned == name || (cleaned == REDACTED && removed.total() == 1));
        let mut again = Removed::default();
        prop_assert_eq!(clean_optional(cleaned.clone(), &mut again), Some(cleaned));
        prop_assert!(again.is_empty());
    }

    #[test]
    fn plain_text_is_only_normalised_once(text in any::<String>()) {
        let normal = normalise_text(text);
        prop_assert!(!normal.chars().any(char::is_control));
        prop_assert_eq!(normalise_text(normal.clone()), normal);
    }

    #[test]
    fn a_shape_is_found_at_any_place_and_not_inside_a_word(
        before in "[A-Za-z ,;.!?/()é]{0,40}",
        after in "[A-Za-z ,;!?/()é]{0,40}",
        (shape, rule) in prop::sample::select(SHAPES.to_vec()),
        touching in prop::sample::select(vec!["x", "7", "_", "-"]),
    ) {
        let found = |text: &str| {
            let mut removed = Removed::default();
            let cleaned = clean_message(text.to_owned(), &mut removed);
            (removed.iter().any(|(found, _)| found == rule), cleaned.contains(shape))
        };
        let free = format!("{before} {shape} {after}");
        prop_assert_eq!(found(&free), (true, false));
        // What touches an address or a credential from the left belongs to it; a number is then no match.
        if matches!(rule, Rule::Card | Rule::Phone | Rule::Ip) && !shape.starts_with("2001") {
            let touched = format!("{before} {touching}{shape} {after}");
            prop_assert_eq!(found(&touched), (false, true), "{}", touched);
            // One more digit makes another phone number or address.
            if touching != "7" || !(shape.starts_with('+') || rule == Rule::Ip) {
                let touched = format!("{before} {shape}{touching} {after}");
                prop_assert_eq!(found(&touched), (false, true), "{}", touched);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("AGENTTRACER_PROVE").is_some() { 2000 } else { 64 }))]

    #[test]
    fn clean_metadata_stays_as_it_is(metadata in entries(value(), 80)) {
        for of in [MetadataOf::Run, MetadataOf::Step, MetadataOf::Decision, MetadataOf::Signal] {
            let mut removed = Removed::default();
            let cleaned = clean_metadata(of, metadata.clone(), &mut removed);
            prop_assert!(cleaned.0.len() <= 64);
            prop_assert_eq!(removed.is_empty(), cleaned == metadata);
            let mut again = Removed::default();
            prop_assert_eq!(&clean_metadata(of, cleaned.clone(), &mut again), &cleaned);
            prop_assert!(again.is_empty());
        }
    }
}

const SHAPES: [(&str, Rule); 14] = [
    ("jo@example.com", Rule::Email),
    ("jo.doe+x@mail.example.org", Rule::Email),
    ("4111111111111111", Rule::Card),
    ("378282246310005", Rule::Card),
    ("+14155550100", Rule::Phone),
    ("415-555-0100", Rule::Phone),
    ("203.0.113.9", Rule::Ip),
    ("2001:db8::1", Rule::Ip),
    ("sk-abcdefghijklmnopqrst1", Rule::Secret),
    ("Bearer abcdefghijklmnopqrstu", Rule::Secret),
    ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.eHh4", Rule::Secret),
    ("password=hunter2", Rule::Secret),
    ("api_key: abcd", Rule::Secret),
    ("-----BEGIN TEST KEY-----", Rule::Secret),
];
