//! Contract §1 and §6: every rule has its kind of error and its place, all independent errors come at once, and no
//! answer repeats what was sent.

use crate::world::{World, full, post, set, small, without};
use serde_json::{Value, json};

/// Stands in every refused value.
const CANARY: &str = "canary-7f3a";

fn table() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let long = |count: usize| json!(format!("{CANARY}{}", "é".repeat(count - CANARY.len())));
    let missing = Value::String("<missing>".to_owned());
    vec![
        ("/agent_id", missing.clone(), "missing", "agent_id"),
        ("/agent_id", Value::Null, "string_type", "agent_id"),
        ("/agent_id", json!(5), "string_type", "agent_id"),
        ("/agent_id", json!([CANARY]), "string_type", "agent_id"),
        ("/agent_id", json!(""), "string_too_short", "agent_id"),
        ("/agent_id", json!("\u{0}\u{1}"), "string_too_short", "agent_id"),
        ("/agent_id", long(256), "string_too_long", "agent_id"),
        ("/agent_version", missing.clone(), "missing", "agent_version"),
        ("/agent_version", json!(1.4), "string_type", "agent_version"),
        ("/agent_version", long(101), "string_too_long", "agent_version"),
        ("/environment", long(51), "string_too_long", "environment"),
        ("/environment", json!(true), "string_type", "environment"),
        ("/environment", Value::Null, "string_type", "environment"),
        ("/status", missing.clone(), "missing", "status"),
        ("/status", json!(CANARY), "enum", "status"),
        ("/status", json!("running"), "enum", "status"),
        ("/status", json!("SUCCESS"), "enum", "status"),
        ("/status", Value::Null, "enum", "status"),
        ("/started_at", missing.clone(), "missing", "started_at"),
        ("/started_at", json!(CANARY), "datetime_parsing", "started_at"),
        ("/started_at", Value::Null, "datetime_type", "started_at"),
        ("/started_at", json!(true), "datetime_type", "started_at"),
        ("/started_at", json!("1999-12-31T23:59:59Z"), "datetime_parsing", "started_at"),
        ("/started_at", json!("2100-01-01"), "datetime_parsing", "started_at"),
        ("/started_at", json!(1e300), "datetime_parsing", "started_at"),
        ("/started_at", json!(5), "datetime_parsing", "started_at"),
        ("/ended_at", json!("2026-11-22T09:59:59Z"), "value_error", "ended_at"),
        ("/ended_at", json!(CANARY), "datetime_parsing", "ended_at"),
        ("/run_id", json!(CANARY), "uuid_parsing", "run_id"),
        ("/run_id", json!(5), "uuid_type", "run_id"),
        ("/steps", Value::Null, "list_type", "steps"),
        ("/steps", json!({"a": CANARY}), "list_type", "steps"),
        ("/steps/0", json!(CANARY), "model_attributes_type", "steps.0"),
        ("/steps/0/seq", json!(1), "value_error", "steps"),
        ("/steps/1/seq", json!(2), "value_error", "steps"),
        ("/steps/0/seq", missing.clone(), "missing", "steps.0.seq"),
        ("/steps/0/seq", json!(-1), "greater_than_equal", "steps.0.seq"),
        ("/steps/0/seq", json!(0.5), "int_from_float", "steps.0.seq"),
        ("/steps/0/seq", json!(CANARY), "int_parsing", "steps.0.seq"),
        ("/steps/0/seq", json!(true), "int_type", "steps.0.seq"),
        ("/steps/0/seq", Value::Null, "int_type", "steps.0.seq"),
        ("/steps/0/step_type", json!(CANARY), "enum", "steps.0.step_type"),
        ("/steps/0/name", missing.clone(), "missing", "steps.0.name"),
        ("/steps/0/name", json!(""), "string_too_short", "steps.0.name"),
        ("/steps/0/name", long(256), "string_too_long", "steps.0.name"),
        ("/steps/0/latency_ms", missing.clone(), "missing", "steps.0.latency_ms"),
        ("/steps/0/latency_ms", json!(-1), "greater_than_equal", "steps.0.latency_ms"),
        ("/steps/0/latency_ms", json!((1_u64 << 53) + 1), "less_than_equal", "steps.0.latency_ms"),
        ("/steps/0/latency_ms", json!(u64::MAX), "less_than_equal", "steps.0.latency_ms"),
        ("/steps/0/latency_ms", json!("99999999999999999999"), "int_parsing_size", "steps.0.latency_ms"),
        ("/steps/0/latency_ms", json!(1e300), "int_parsing_size", "steps.0.latency_ms"),
        ("/steps/0/started_at", missing.clone(), "missing", "steps.0.started_at"),
        ("/steps/0/ended_at", missing.clone(), "missing", "steps.0.ended_at"),
        ("/steps/0/ended_at", Value::Null, "datetime_type", "steps.0.ended_at"),
        ("/steps/0/ended_at", json!("2026-11-22T09:00:00Z"), "value_error", "steps.0.ended_at"),
        ("/steps/0/metadata", json!([CANARY]), "dict_type", "steps.0.metadata"),
        ("/steps/0/metadata", json!(CANARY), "dict_type", "steps.0.metadata"),
        ("/steps/0/status", json!(CANARY), "enum", "steps.0.status"),
        ("/steps/0/error_code", json!(5), "string_type", "steps.0.error_code"),
        ("/steps/0/error_code", long(101), "string_too_long", "steps.0.error_code"),
        ("/steps/0/attempt", json!(0), "greater_than_equal", "steps.0.attempt"),
        ("/steps/0/attempt", json!(1_u64 << 40), "less_than_equal", "steps.0.attempt"),
        ("/steps/0/retry_of", json!(CANARY), "uuid_parsing", "steps.0.retry_of"),
        ("/steps/0/parent_step_id", json!(CANARY), "uuid_parsing", "steps.0.parent_step_id"),
        ("/steps/0/step_id", json!(CANARY), "uuid_parsing", "steps.0.step_id"),
        ("/failure", Value::Null, "value_error", "failure"),
        ("/failure", json!(CANARY), "model_attributes_type", "failure"),
        ("/failure/failure_type", json!(CANARY), "enum", "failure.failure_type"),
        ("/failure/failure_code", json!(""), "string_too_short", "failure.failure_code"),
        ("/failure/failure_code", long(101), "string_too_long", "failure.failure_code"),
        ("/failure/message", missing.clone(), "missing", "failure.message"),
        ("/failure/message", json!(""), "string_too_short", "failure.message"),
        ("/failure/message", json!(format!("{CANARY} password leaked")), "value_error", "failure.message"),
        ("/failure/step_id", json!(CANARY), "uuid_parsing", "failure.step_id"),
        ("/decisions", json!({}), "list_type", "decisions"),
        ("/decisions/0/decision_type", json!(CANARY), "enum", "decisions.0.decision_type"),
        ("/decisions/0/reason_code", json!(CANARY), "value_error", "decisions.0.reason_code"),
        ("/decisions/0/reason_code", json!("early_exit"), "value_error", "decisions.0.reason_code"),
        ("/decisions/0/reason_code", json!(5), "string_type", "decisions.0.reason_code"),
        ("/decisions/0/reason_code", missing.clone(), "missing", "decisions.0.reason_code"),
        ("/decisions/0/selected", json!(""), "string_too_short", "decisions.0.selected"),
        ("/decisions/0/selected", long(201), "string_too_long", "decisions.0.selected"),
        ("/decisions/0/candidates", json!(CANARY), "list_type", "decisions.0.candidates"),
        ("/decisions/0/candidates", json!(["a", 5]), "string_type", "decisions.0.candidates.1"),
        ("/decisions/0/confidence", json!(-0.1), "greater_than_equal", "decisions.0.confidence"),
        ("/decisions/0/confidence", json!(1.1), "less_than_equal", "decisions.0.confidence"),
        ("/decisions/0/confidence", json!(CANARY), "float_parsing", "decisions.0.confidence"),
        ("/decisions/0/confidence", json!("nan"), "finite_number", "decisions.0.confidence"),
        ("/decisions/0/confidence", json!([]), "float_type", "decisions.0.confidence"),
        ("/decisions/0/decision_id", json!(CANARY), "uuid_parsing", "decisions.0.decision_id"),
        ("/decisions/0/step_id", json!(CANARY), "uuid_parsing", "decisions.0.step_id"),
        ("/decisions/0/metadata", json!(5), "dict_type", "decisions.0.metadata"),
        ("/decisions/0/metadata/reasoning", json!(CANARY), "value_error", "decisions.0.metadata.reasoning"),
        ("/decisions/0/metadata/nested", json!({"a": CANARY}), "value_error", "decisions.0.metadata.nested"),
        ("/decisions/0/metadata/long", long(101), "value_error", "decisions.0.metadata.long"),
        ("/decisions/0/metadata/a key {}", json!([CANARY]), "value_error", "decisions.0.metadata.<key>"),
        ("/quality_signals/0/signal_type", json!(CANARY), "enum", "quality_signals.0.signal_type"),
        ("/quality_signals/0/signal_code", json!("timeout"), "value_error", "quality_signals.0.signal_code"),
        ("/quality_signals/0/value", missing.clone(), "missing", "quality_signals.0.value"),
        ("/quality_signals/0/value", json!(CANARY), "bool_parsing", "quality_signals.0.value"),
        ("/quality_signals/0/value", json!(2), "bool_parsing", "quality_signals.0.value"),
        ("/quality_signals/0/value", Value::Null, "bool_type", "quality_signals.0.value"),
        ("/quality_signals/0/weight", json!(2), "less_than_equal", "quality_signals.0.weight"),
        ("/quality_signals/0/signal_id", json!(CANARY), "uuid_parsing", "quality_signals.0.signal_id"),
        ("/quality_signals/0/metadata/Thought", json!(CANARY), "value_error", "quality_signals.0.metadata.Thought"),
        ("/steps/0/metadata/Prompt", json!(CANARY), "value_error", "steps.0.metadata.Prompt"),
        ("/steps/0/metadata/text", json!(5), "value_error", "steps.0.metadata.text"),
        ("/parent_run_id", json!(CANARY), "uuid_parsing", "parent_run_id"),
        ("/parent_step_id", json!(5), "uuid_type", "parent_step_id"),
        ("/session_id", long(129), "string_too_long", "session_id"),
        ("/session_id", json!(5), "string_type", "session_id"),
        ("/trace_id", json!(CANARY), "string_pattern_mismatch", "trace_id"),
        ("/trace_id", json!("g".repeat(32)), "string_pattern_mismatch", "trace_id"),
        ("/metadata", json!([CANARY]), "dict_type", "metadata"),
    ]
}

#[tokio::test]
async fn each_rule_alone() {
    let world = World::new();
    for (pointer, sent, kind, place) in table() {
        let body = if sent == "<missing>" { without(&full(), pointer) } else { set(&full(), pointer, sent.clone()) };
        let answer = world.post(&body).await;
        assert_eq!(answer.status, 422, "{pointer} = {sent}: {}", answer.text());
        assert_eq!(answer.errors(), [(kind.to_owned(), place.to_owned())], "{pointer} = {sent}");
        assert!(!answer.text().contains(CANARY), "{pointer} = {sent}: {}", answer.text());
        assert!(!answer.text().contains("a key"), "{}", answer.text());
    }
    assert_eq!(world.stored(), 0);
}

#[tokio::test]
async fn all_independent_errors_come_at_once() {
    let world = World::new();
    let body = json!({
        "agent_version": "", "environment": 5, "status": CANARY, "started_at": CANARY,
        "steps": [{"seq": "x"}, 7],
        "failure": {"failure_type": "x", "failure_code": "c"},
        "decisions": [{"decision_type": "tool_selection", "reason_code": "x", "selected": "", "confidence": 2}],
        "quality_signals": [{"signal_type": "x", "signal_code": "y"}],
        "metadata": 5
    });
    let answer = world.post(&body).await;
    let found: Vec<_> = answer.errors().into_iter().map(|(kind, place)| format!("{place} {kind}")).collect();
    assert_eq!(
        found,
        [
            "agent_id missing",
            "agent_version string_too_short",
            "environment string_type",
            "status enum",
            "started_at datetime_parsing",
            "steps.0.seq int_parsing",
            "steps.0.step_type missing",
            "steps.0.name missing",
            "steps.0.latency_ms missing",
            "steps.0.started_at missing",
            "steps.0.ended_at missing",
            "steps.1 model_attributes_type",
            "failure.failure_type enum",
            "failure.message missing",
            "decisions.0.selected string_too_short",
            "decisions.0.reason_code value_error",
            "decisions.0.confidence less_than_equal",
            "quality_signals.0.signal_type enum",
            "quality_signals.0.value missing",
            "metadata dict_type",
        ]
    );
    assert!(!answer.text().contains(CANARY));
}

#[tokio::test]
async fn an_enum_names_what_it_allows() {
    let world = World::new();
    let answer = world.post(&set(&small(), "/status", json!("x"))).await;
    assert_eq!(answer.json()["detail"][0]["msg"], "Input should be 'success', 'failure' or 'partial'");
}

#[tokio::test]
async fn lists_hold_ten_thousand() {
    let world = World::new();
    for list in ["steps", "decisions", "quality_signals"] {
        let body = set(&small(), &format!("/{list}"), json!(vec![0; 10_001]));
        assert_eq!(world.post(&body).await.errors(), [("too_long".to_owned(), list.to_owned())]);
    }
}

#[tokio::test]
async fn the_number_of_errors_is_bounded() {
    let world = World::new();
    let answer = world.post(&set(&small(), "/steps", json!(vec![json!({}); 10_000]))).await;
    assert_eq!(answer.errors().len(), 1000);
}

#[tokio::test]
async fn integers_beyond_64_bits_are_refused_in_metadata() {
    let world = World::new();
    let body = |number: &str| {
        format!(
            r#"{{"agent_id":"a","agent_version":"v","status":"success","started_at":1700000000,"metadata":{{"big":{number}}}}}"#
        )
    };
    for number in ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"] {
        let answer = world.post_bytes(body(number)).await;
        assert_eq!(answer.errors(), [("int_parsing_size".to_owned(), "metadata.big".to_owned())], "{number}");
        assert!(!answer.text().contains(number));
    }
    for number in ["18446744073709551615", "-9223372036854775808", "1e19", "18446744073709551616.0"] {
        assert_eq!(world.post_bytes(body(number)).await.status, 201, "{number}");
    }
    // A second doubtful number does not hide the first.
    let answer = world.post_bytes(body("1e30,\"other\":99999999999999999999")).await;
    assert_eq!(answer.errors(), [("int_parsing_size".to_owned(), "metadata.other".to_owned())]);
}

#[tokio::test]
async fn what_is_no_json_is_named_with_its_offset() {
    let world = World::new();
    for (body, offset) in [
        ("{", None),
        ("{\"agent_id\": NaN}", Some(13)),
        ("{\"agent_id\": Infinity}", Some(13)),
        ("{\"agent_id\": -Infinity}", None),
        ("{\"a\": 1e999}", None),
        ("{\"agent_id\": \"canary-7f3a}", None),
        ("{} canary-7f3a", None),
        ("canary-7f3a", Some(0)),
        ("{\"a\": \"\u{1}\"}", None),
        ("{\"a\": \"\\ud800\"}", None),
        ("{'a': 1}", None),
        ("{\"a\": 01}", None),
        ("{\"a\": 1,}", None),
    ] {
        let answer = world.post_bytes(body).await;
        let errors = answer.errors();
        assert_eq!(errors.len(), 1, "{body}");
        assert_eq!(errors[0].0, "json_invalid", "{body}");
        let found: usize = errors[0].1.parse().unwrap();
        assert!(found <= body.len(), "{body}: {found}");
        if let Some(offset) = offset {
            assert_eq!(found, offset, "{body}");
        }
        assert!(!answer.text().contains("canary"), "{}", answer.text());
    }
    let not_utf8 = world.post_bytes(b"{\"agent_id\": \"\xff\xfe\"}".to_vec()).await;
    assert_eq!(not_utf8.errors()[0].0, "json_invalid");
}

#[tokio::test]
async fn what_is_no_object_is_named() {
    let world = World::new();
    for body in ["[]", "5", "null", "\"canary-7f3a\"", "true"] {
        let answer = world.post_bytes(body).await;
        assert_eq!(answer.errors(), [("model_attributes_type".to_owned(), String::new())], "{body}");
        assert!(!answer.text().contains("canary"));
    }
}

#[tokio::test]
async fn an_empty_body_is_missing() {
    let world = World::new();
    for path in ["/v1/runs", "/v1/runs/batch"] {
        let answer = world.send(post(path, "")).await;
        assert_eq!(answer.text(), r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required"}]}"#);
        assert_eq!(answer.status, 422);
    }
}

#[tokio::test]
async fn a_body_of_another_content_type_is_refused() {
    let world = World::new();
    for content_type in [Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx"), None]
    {
        let mut request = http::Request::post("/v1/runs");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = world.send(request.body(small().to_string().into()).unwrap()).await;
        assert_eq!(answer.errors(), [("model_attributes_type".to_owned(), String::new())], "{content_type:?}");
    }
    assert_eq!(world.stored(), 0);
}

#[tokio::test]
async fn ids_and_references_that_contradict_each_other_are_a_conflict() {
    let world = World::new();
    let other = json!("99999999-9999-4999-8999-999999999999");
    let mut cases = vec![set(&full(), "/steps/1/step_id", full()["steps"][0]["step_id"].clone())];
    for (list, field) in [("decisions", "decision_id"), ("quality_signals", "signal_id")] {
        let mut twice = full();
        let copy = twice[list][0].clone();
        assert!(copy[field].is_string());
        twice[list].as_array_mut().unwrap().push(copy);
        cases.push(twice);
    }
    for pointer in [
        "/failure/step_id",
        "/decisions/0/step_id",
        "/quality_signals/0/step_id",
        "/steps/1/parent_step_id",
        "/steps/1/retry_of",
    ] {
        cases.push(set(&full(), pointer, other.clone()));
    }
    for body in cases {
        let answer = world.post(&body).await;
        assert_eq!(answer.status, 409, "{body}");
        let problem = answer.json();
        assert_eq!(problem.as_object().unwrap().keys().collect::<Vec<_>>(), ["error", "status_code", "path"]);
        assert_eq!((&problem["status_code"], &problem["path"]), (&json!(409), &json!("/v1/runs")));
        assert!(!answer.text().contains("99999999"));
    }
    assert_eq!(world.stored(), 0);
}
