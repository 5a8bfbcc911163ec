//! P4: only the log matters.

use serde_json::{Value, json};

use crate::common::{TestServer, full_run, id};

/// Runs that differ in what the questions ask for, the same in every call but for their ids.
fn runs() -> Vec<Value> {
    (0..400_u32)
        .map(|index| {
            let mut run = full_run();
            run["agent_id"] = json!(format!("agent-{}", index % 4));
            run["agent_version"] = json!(format!("v1.{}", index % 3));
            run["environment"] = json!(["production", "staging"][index as usize % 2]);
            run["status"] = json!(["success", "failure", "partial"][index as usize % 3]);
            run["started_at"] = json!(format!("2026-11-{:02}T10:{:02}:00Z", 1 + index % 20, index % 60));
            run["ended_at"] =
                json!(format!("2026-11-{:02}T10:{:02}:00.{:06}Z", 1 + index % 20, index % 60, index * 999));
            run["failure"]["failure_code"] = json!(["timeout", "rate_limited", "tool_error"][index as usize % 3]);
            run["steps"][2]["status"] = json!(["ok", "failed"][index as usize % 2]);
            if index % 7 == 0 {
                run["steps"][1]["step_type"] = json!("tool");
                run["steps"][1]["name"] = json!("billing_api");
                run["steps"][1]["status"] = json!("failed");
            }
            run
        })
        .collect()
}

fn questions(runs: &[Value]) -> Vec<String> {
    let mut questions: Vec<String> = [
        "/v1/runs",
        "/v1/runs?page=2",
        "/v1/runs?page=7&page_size=33",
        "/v1/runs?page_size=100&view=summary",
        "/v1/runs?agent_id=agent-1",
        "/v1/runs?agent_id=agent-1&agent_id=agent-2&page=3",
        "/v1/runs?agent_version=v1.2&view=summary",
        "/v1/runs?environment=staging",
        "/v1/runs?status=failure",
        "/v1/runs?status=success&status=partial&page_size=50",
        "/v1/runs?status=running",
        "/v1/runs?status=sideways",
        "/v1/runs?start_time=2026-11-10T00:00:00Z",
        "/v1/runs?end_time=2026-11-10T10:30:00Z",
        "/v1/runs?start_time=2026-11-05&end_time=2026-11-07",
        "/v1/runs?failure_code=timeout",
        "/v1/runs?failure_type=tool&page=2",
        "/v1/runs?step_name=billing_api&view=summary",
        "/v1/runs?has_retries=true",
        "/v1/runs?has_retries=false&page_size=5",
        "/v1/runs?min_duration_ms=100",
        "/v1/runs?max_duration_ms=100",
        "/v1/runs?agent_id=agent-0&status=failure&environment=production&min_duration_ms=10",
        "/v1/runs?page=1000",
        "/v1/runs?page_size=101",
        "/v1/stats",
        "/v1/stats?agent_id=agent-3",
        "/v1/stats?agent_version=v1.0",
        "/v1/stats?environment=staging",
        "/v1/stats?start_time=2026-11-03T10:05:00Z&end_time=2026-11-13T10:45:00Z",
        "/v1/stats?agent_id=nobody",
        "/v1/runs/no-uuid",
        "/v1/runs/00000000-0000-4000-8000-000000000000",
    ]
    .map(String::from)
    .to_vec();
    for (run, part) in
        [(0, ""), (17, ""), (399, ""), (100, "/steps"), (100, "/failures"), (100, "/events"), (7, "/steps")]
    {
        questions.push(format!("/v1/runs/{}{part}", id(&runs[run])));
    }
    assert_eq!(questions.len(), 40);
    questions
}

async fn answers(server: &TestServer, questions: &[String]) -> Vec<(u16, Option<String>, Option<String>, String)> {
    let mut answers = Vec::new();
    for question in questions {
        let answer = server.get(question).await;
        let header = |name| answer.header(name).map(str::to_owned);
        answers.push((answer.status, header("x-total-count"), header("link").map(path_of_link), answer.text()));
    }
    answers
}

/// The link without the address, which is another one after a restart.
fn path_of_link(link: String) -> String {
    link[link.find("/v1/").unwrap()..].to_owned()
}

#[tokio::test]
async fn forty_questions_get_the_same_bytes_after_the_index_was_deleted() {
    let server = TestServer::boot().await;
    let runs = runs();
    for chunk in runs.chunks(100) {
        server.store_all(chunk).await;
    }
    let questions = questions(&runs);
    let hot = answers(&server, &questions).await;
    let server = server.restart(|_| {}).await;
    let cold = answers(&server, &questions).await;
    let server = server
        .restart(|dir| {
            assert!(dir.join("index").is_dir());
            std::fs::remove_dir_all(dir.join("index")).unwrap();
        })
        .await;
    let rebuilt = answers(&server, &questions).await;
    for (index, question) in questions.iter().enumerate() {
        assert_eq!(hot[index], cold[index], "{question}");
        assert_eq!(hot[index], rebuilt[index], "{question}");
    }
    assert!(hot.iter().filter(|answer| answer.0 == 200 && answer.3 != "[]").count() >= 30);
}
