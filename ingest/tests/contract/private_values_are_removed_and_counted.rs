//! Contract §2 as it shows at the write side; the rules themselves are tested in `model`.

use agenttracer_ingest::Options;
use agenttracer_model::privacy::MessageWords;
use serde_json::json;

use crate::world::{World, full, set, small, without};

#[tokio::test]
async fn removals_show_in_the_run_the_header_and_the_metrics() {
    let world = World::new();
    let mut body = full();
    body["agent_id"] = json!("jo@example.com");
    body["session_id"] = json!("+4915112345679");
    body["steps"][0]["metadata"]["query"] = json!("where is my parcel");
    body["steps"][0]["metadata"]["note"] = json!("the customer asked where the parcel was and why");
    body["steps"][1]["error_code"] = json!("jo@example.com");
    body["failure"]["message"] = json!("mail to jo@example.com bounced");
    body["decisions"][0]["candidates"] = json!(["api", "jo@example.com", "x".repeat(201)]);
    let answer = world.post(&body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let run = answer.json();
    assert_eq!(run["agent_id"], "[redacted]");
    assert_eq!(run["session_id"], json!(null));
    assert_eq!(run["steps"][0]["metadata"].get("query"), None);
    assert_eq!(run["steps"][0]["metadata"].get("note"), None);
    assert_eq!(run["steps"][0]["metadata"]["model"], "gpt-4o");
    assert_eq!(run["steps"][1]["error_code"], json!(null));
    assert_eq!(run["failures"][0]["message"], "mail to [email] bounced");
    assert_eq!(run["decisions"][0]["metadata"]["candidates"], json!(["api"]));
    assert_eq!(run["removed_count"], 8);
    assert_eq!(answer.header("x-removed"), Some("key=1, prose=1, email=4, phone=1, size=1"));
    assert!(!answer.text().contains("example.com"));
    assert!(!answer.text().contains("parcel"));

    let metrics = world.get("/metrics").await.text();
    assert!(metrics.contains("agenttracer_values_removed_total{rule=\"email\"} 4"), "{metrics}");
    assert!(!metrics.contains("example.com"));

    // The same body once more: known, and its removals told again.
    let again = world.post(&body).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.header("x-removed"), answer.header("x-removed"));
    assert!(world.get("/metrics").await.text().contains("agenttracer_values_removed_total{rule=\"email\"} 4"));
}

#[tokio::test]
async fn sizes_are_cut() {
    let world = World::new();
    let mut body = full();
    body["failure"]["message"] = json!("é".repeat(600));
    body["decisions"][0]["candidates"] = json!((0..70).map(|index| format!("c{index}")).collect::<Vec<_>>());
    let run = world.post(&body).await.json();
    assert_eq!(run["failures"][0]["message"].as_str().unwrap().chars().count(), 500);
    assert_eq!(run["decisions"][0]["metadata"]["candidates"].as_array().unwrap().len(), 64);
    assert_eq!(run["removed_count"], 7);
}

#[tokio::test]
async fn a_private_failure_code_is_not_spelled_out_with_underscores() {
    let world = World::new();
    let body = set(&without(&full(), "/run_id"), "/failure/failure_code", json!("jo@example.com"));
    let run = world.post(&body).await.json();
    assert_eq!(run["failures"][0]["failure_code"], "[redacted]");
}

#[tokio::test]
async fn relaxed_words_keep_a_message_that_strict_words_refuse() {
    let body = set(&full(), "/failure/message", json!("the password was wrong"));
    assert_eq!(World::new().post(&body).await.status, 422);
    let relaxed = World::with(Options { message_words: MessageWords::Relaxed, ..Options::default() });
    let answer = relaxed.post(&body).await;
    assert_eq!(answer.json()["failures"][0]["message"], "the password was wrong");
}

#[tokio::test]
async fn run_metadata_keeps_its_scalars() {
    let world = World::new();
    let body = set(&small(), "/metadata", json!({"region": "eu-1", "nested": {"a": 1}, "prompt": "hello", "n": 1}));
    let answer = world.post(&body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["metadata"], json!({"region": "eu-1", "n": 1}));
}
