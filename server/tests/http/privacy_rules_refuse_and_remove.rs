//! Contract §2, over HTTP. The rules themselves are tested one by one in `model`.

use serde_json::{Value, json};

use crate::common::{TestServer, full_run, id, with};

#[tokio::test]
async fn what_clients_expect_to_be_refused_is_refused_without_an_echo() {
    let server = TestServer::boot().await;
    let secret = "zanzibar-4711";
    let mut cases = Vec::new();
    for key in ["prompt", "response", "output", "input", "content", "text", "message", "Prompt", "MESSAGE"] {
        cases.push((format!("/steps/0/metadata/{key}"), json!(secret)));
    }
    for list in ["decisions", "quality_signals"] {
        for key in ["prompt", "reasoning", "thought", "chain_of_thought", "explanation", "rationale"] {
            cases.push((format!("/{list}/0/metadata/{key}"), json!(secret)));
        }
        cases.push((format!("/{list}/0/metadata/rank"), json!([secret])));
        cases.push((format!("/{list}/0/metadata/rank"), json!({"a": secret})));
        cases.push((format!("/{list}/0/metadata/rank"), json!(secret.repeat(10))));
    }
    for mention in ["password", "API_KEY", "the token was", "a secret,"] {
        cases.push(("/failure/message".into(), json!(format!("{mention} {secret}"))));
    }
    for (pointer, value) in cases {
        let run = with(full_run(), &pointer, Some(value));
        let answer = server.post(&run).await;
        let case = format!("{pointer}: {}", answer.text());
        assert_eq!(answer.status, 422, "{case}");
        assert!(!answer.text().contains(secret), "{case}");
        let places = answer.places();
        let place = places[0].as_array().unwrap().iter().map(|part| match part {
            Value::String(text) => text.to_lowercase(),
            other => other.to_string(),
        });
        let place: Vec<_> = place.collect();
        assert!(format!("/body{pointer}").to_lowercase().starts_with(&format!("/{}", place.join("/"))), "{case}");
        server.get(&format!("/v1/runs/{}", id(&run))).await.expect(404);
    }
}

#[tokio::test]
async fn a_metadata_key_that_is_no_identifier_is_not_repeated() {
    let server = TestServer::boot().await;
    let key = "zanzibar 4711 has a long story";
    let run = with(full_run(), &format!("/decisions/0/metadata/{key}"), Some(json!({"a": 1})));
    let answer = server.post(&run).await.expect(422);
    assert!(!answer.text().contains("zanzibar"), "{}", answer.text());
    assert!(answer.text().contains("<key>"), "{}", answer.text());
}

#[tokio::test]
async fn harmless_words_are_no_mentions() {
    let server = TestServer::boot().await;
    for message in ["max_tokens reached", "token limit exceeded", "unexpected token at 5", "secretary timed out"] {
        let run = with(full_run(), "/failure/message", Some(json!(message)));
        assert_eq!(server.store(&run).await["failures"][0]["message"], message);
    }
    let run = with(full_run(), "/steps/0/name", Some(json!("reset_password")));
    assert_eq!(server.store(&run).await["steps"][0]["name"], "reset_password");
}

#[tokio::test]
async fn what_is_removed_is_gone_and_counted() {
    let server = TestServer::boot().await;
    let mut run = full_run();
    run["steps"][0]["metadata"]["query"] = json!("zanzibar");
    run["steps"][0]["metadata"]["user_prompt"] = json!("zanzibar");
    run["steps"][0]["metadata"]["note"] = json!("zanzibar is a place where one can walk for a long time");
    run["steps"][0]["metadata"]["mail"] = json!("zanzibar@example.com");
    run["steps"][0]["metadata"]["key one"] = json!("zanzibar");
    run["steps"][1]["name"] = json!("zanzibar@example.com");
    run["metadata"] = json!({"answer": "zanzibar", "answer_ms": 5});
    let answer = server.post(&run).await.expect(201);
    assert!(!answer.text().contains("zanzibar"), "{}", answer.text());
    let stored = answer.json();
    assert_eq!(
        stored["steps"][0]["metadata"],
        json!({"model": "m-large-1", "tokens_prompt": 812, "cached": false, "ratio": 0.25})
    );
    assert_eq!(stored["steps"][1]["name"], "[redacted]");
    assert_eq!(stored["metadata"], json!({"answer_ms": 5}));
    assert_eq!(stored["removed_count"], 7);
    assert!(answer.header("x-removed").is_some_and(|rules| !rules.is_empty()), "{:?}", answer.headers);

    let clean = server.post(&full_run()).await.expect(201);
    assert_eq!(clean.json()["removed_count"], 0);
}

#[tokio::test]
async fn in_a_message_only_the_match_is_replaced() {
    let server = TestServer::boot().await;
    for (sent, stored) in [
        ("mail to ann@example.com bounced", "mail to [email] bounced"),
        ("call +14155550123 failed", "call [phone] failed"),
        ("card 4111 1111 1111 1111 declined", "card [card] declined"),
        ("peer 8.8.8.8 reset", "peer [ip] reset"),
        ("peer 10.0.0.7 reset", "peer 10.0.0.7 reset"),
        ("key sk-abcdefghijklmnopqrst1234 is wrong", "key [secret] is wrong"),
    ] {
        let run = with(full_run(), "/failure/message", Some(json!(sent)));
        assert_eq!(server.store(&run).await["failures"][0]["message"], stored, "{sent}");
    }
    let run = with(full_run(), "/failure/message", Some(json!("x".repeat(600))));
    assert_eq!(server.store(&run).await["failures"][0]["message"], "x".repeat(500));
}

#[tokio::test]
async fn sizes_are_bounded() {
    let server = TestServer::boot().await;
    let candidates: Value = (0..70).map(|number| json!(format!("c{number}"))).collect();
    let stored = server.store(&with(full_run(), "/decisions/0/candidates", Some(candidates))).await;
    assert_eq!(stored["decisions"][0]["metadata"]["candidates"].as_array().unwrap().len(), 64);
    let metadata: Value =
        (0..70).map(|number| (format!("k{number}"), json!(number))).collect::<serde_json::Map<_, _>>().into();
    let stored = server.store(&with(full_run(), "/steps/0/metadata", Some(metadata))).await;
    assert_eq!(stored["steps"][0]["metadata"].as_object().unwrap().len(), 64);
    let deep = json!({"a": {"b": {"c": {"d": {"e": 1}}}}, "kept": 1});
    let stored = server.store(&with(full_run(), "/steps/0/metadata", Some(deep))).await;
    assert_eq!(stored["steps"][0]["metadata"]["kept"], 1);
    assert!(!stored["steps"][0]["metadata"].to_string().contains("\"e\""));
}

#[tokio::test]
async fn message_words_can_be_relaxed() {
    use agenttracer_model::privacy::MessageWords;

    let server = TestServer::boot_with(|config| config.message_words = MessageWords::Relaxed).await;
    let run = with(full_run(), "/failure/message", Some(json!("the password reset page timed out")));
    assert_eq!(server.store(&run).await["failures"][0]["message"], "the password reset page timed out");
    let run = with(full_run(), "/failure/message", Some(json!("password=hunter22 was refused")));
    assert_eq!(server.store(&run).await["failures"][0]["message"], "[secret] was refused");
}
