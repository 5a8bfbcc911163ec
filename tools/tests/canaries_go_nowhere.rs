//! P5: strings sent in every place that is refused or removed are in no file, no log line and no answer.

mod common;

use common::{Process, files, get, offline, run, serve, stdout};
use serde_json::{Value, json};
use uuid::Uuid;

/// A word of its own for each place, so that a leak names it. It reads like prose where that matters.
fn canary(place: usize) -> String {
    format!("zq{place:03}xvkanarie")
}

/// Where private text can stand: a JSON pointer, the text around the canary, and whether the run is refused for it.
fn places() -> Vec<(String, String, bool)> {
    let mut places = Vec::new();
    let mut add =
        |pointer: &str, text: &str, refused: bool| places.push((pointer.to_owned(), text.to_owned(), refused));
    for key in ["prompt", "response", "output", "input", "content", "text", "message", "PROMPT"] {
        add(&format!("/steps/0/metadata/{key}"), "@", true);
    }
    for list in ["decisions", "quality_signals"] {
        for key in ["prompt", "reasoning", "thought", "chain_of_thought", "explanation", "rationale"] {
            add(&format!("/{list}/0/metadata/{key}"), "@", true);
        }
    }
    add("/failure/message", "password @", true);
    add("/failure/message", "the secret is @", true);
    for key in [
        "query",
        "question",
        "answer",
        "body",
        "document",
        "documents",
        "page_content",
        "messages",
        "instructions",
        "arguments",
        "result",
        "completion",
        "transcript",
        "email",
        "phone",
        "ssn",
        "authorization",
        "cookie",
        "client_ip",
        "system_prompt",
        "user_input",
        "raw_output",
        "sql_query",
        "final_answer",
        "chat_completion",
        "key with @ inside",
    ] {
        add(&format!("/steps/0/metadata/{key}"), "@", false);
        add(&format!("/metadata/{key}"), "@", false);
        add(&format!("/decisions/0/metadata/{key}"), "@", false);
    }
    add("/steps/0/metadata/note", "@ is a word in a sentence that somebody wrote", false);
    add("/steps/0/metadata/note", "@_is_a_word_in_a_sentence_that_somebody_has_written_here_for_us_all", false);
    for place in [
        "/agent_id",
        "/agent_version",
        "/environment",
        "/steps/0/name",
        "/decisions/0/selected",
        "/session_id",
        "/steps/0/error_code",
        "/failure/failure_code",
        "/failure/message",
        "/steps/0/metadata/note",
        "/metadata/note",
    ] {
        add(place, "@@example.com", false);
        add(place, "sk-@1234567890abcdefgh", false);
        add(place, "https://user:@@example.com/", false);
    }
    add("/failure/message", "token=@", true);
    add("/steps/0/name", "api_key=@", false);
    add("/decisions/0/candidates", "[@@example.com]", false);
    places
}

fn with_canary(place: usize, pointer: &str, text: &str) -> Value {
    let canary = canary(place);
    let mut run = run();
    run["metadata"] = json!({});
    run["decisions"][0]["metadata"] = json!({});
    run["quality_signals"][0]["metadata"] = json!({});
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    // `@@example.com` is an address: the first sign stands for the canary.
    let text = text.replacen('@', &canary, 1);
    let value = match text.strip_prefix('[') {
        Some(element) => json!([element.trim_end_matches(']')]),
        None => json!(text),
    };
    run.pointer_mut(parent).unwrap()[key.replacen('@', &canary, 1)] = value;
    run
}

/// Where one of the canaries stands in `bytes`.
fn found(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(9).position(|window| window.eq_ignore_ascii_case(b"xvkanarie"))?;
    Some(String::from_utf8_lossy(&bytes[at.saturating_sub(40)..(at + 20).min(bytes.len())]).into_owned())
}

#[tokio::test]
async fn what_is_refused_or_removed_is_nowhere() {
    assert!(found(canary(1).as_bytes()).is_some(), "a leak would be seen");
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.env("RUST_LOG", "trace");
    let process = Process::spawn(dir.path(), command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let client = reqwest::Client::new();
    let places = places();
    let mut batch = Vec::new();
    let mut stored = 0;
    for (place, (pointer, text, refused)) in places.iter().enumerate() {
        let run = with_canary(place, pointer, text);
        let response = client.post(process.ingest_url("/v1/runs")).json(&run).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        let body = response.text().await.unwrap();
        let expected = if *refused { 422 } else { 201 };
        assert_eq!(status, expected, "{pointer} {text}: {body}");
        assert_eq!(found(body.as_bytes()), None, "{pointer} {text}");
        assert_eq!(found(headers.as_bytes()), None, "{pointer} {text}");
        stored += usize::from(!refused);
        let mut again = run;
        again["run_id"] = json!(Uuid::new_v4());
        batch.push(again);
    }
    // The same in a batch, and bodies that are no run at all.
    let response = client.post(process.ingest_url("/v1/runs/batch")).json(&batch).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(found(response.text().await.unwrap().as_bytes()), None);
    let whole = canary(999);
    for body in
        [whole.clone(), format!("{{\"agent_id\": \"{whole}"), format!("[\"{whole}\"]"), format!("{{\"{whole}\": 1}}")]
    {
        for path in ["/v1/runs", "/v1/runs/batch"] {
            let request = client.post(process.ingest_url(path)).header("content-type", "application/json");
            let response = request.body(body.clone()).send().await.unwrap();
            assert_eq!(found(response.text().await.unwrap().as_bytes()), None, "{path} {body}");
        }
    }
    for path in ["/v1/runs?page_size=100", "/v1/stats", "/metrics"] {
        assert_eq!(found(get(&client, &process, path).await.1.as_bytes()), None, "{path}");
    }
    let metrics = client.get(process.ingest_url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert_eq!(found(metrics.as_bytes()), None);
    let stats: Value = serde_json::from_str(&get(&client, &process, "/v1/stats").await.1).unwrap();
    assert_eq!(stats["total_runs"], 2 * stored);

    let ended = process.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.len() > 1000, "the log was not captured");
    assert_eq!(found(ended.stderr.as_bytes()), None);
    assert_eq!(found(ended.stdout.as_bytes()), None);
    let files = files(dir.path());
    assert!(files.iter().any(|file| file.extension().is_some_and(|extension| extension == "seg")));
    for file in files {
        assert_eq!(found(&std::fs::read(&file).unwrap()), None, "{}", file.display());
    }
    // Once more out of the decoded records: bytes could hide in an encoding.
    let replay = offline("replay", dir.path(), &[]);
    assert_eq!(replay.status.code(), Some(0));
    let records = stdout(&replay);
    assert!(records.lines().count() > 8 * stored);
    assert_eq!(found(records.as_bytes()), None);
}
