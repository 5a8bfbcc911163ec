//! Contract §6, and of §7 what there is.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{TestServer, full_run, id, send, small_run, with};

/// Runs that differ in everything a filter names, newest first.
fn varied() -> Vec<Value> {
    (0..60_u32)
        .map(|index| {
            let minute = 59 - index;
            let mut run = full_run();
            run["agent_id"] = json!(["support-agent", "billing-agent"][index as usize % 2]);
            run["agent_version"] = json!(format!("v1.{}.0", index % 3));
            run["environment"] = json!(["production", "staging"][(index / 2) as usize % 2]);
            run["status"] = json!(["success", "failure", "partial"][index as usize % 3]);
            run["started_at"] = json!(format!("2026-11-22T10:{minute:02}:00Z"));
            run["ended_at"] = json!(format!("2026-11-22T10:{minute:02}:00.{:06}Z", 10_000 + index * 1000));
            run["failure"]["failure_code"] = json!(["timeout", "rate_limited"][index as usize % 2]);
            run["failure"]["failure_type"] = json!(["tool", "model"][(index / 3) as usize % 2]);
            run["steps"][1]["name"] = json!(format!("search_{}", index % 5));
            if run["status"] != "failure" {
                run.as_object_mut().unwrap().remove("failure");
            }
            if index % 10 == 0 {
                run["steps"].as_array_mut().unwrap().truncate(1);
                run["decisions"] = json!([]);
                run["quality_signals"] = json!([]);
                if let Some(failure) = run.get_mut("failure") {
                    failure["step_id"] = json!(null);
                }
            }
            run
        })
        .collect()
}

fn ids(runs: &Value) -> Vec<String> {
    runs.as_array().unwrap().iter().map(|run| id(run).to_owned()).collect()
}

async fn listed(server: &TestServer, query: &str) -> Vec<String> {
    ids(&server.get(&format!("/v1/runs?{query}")).await.expect(200).json())
}

#[tokio::test]
async fn the_list_is_newest_first_and_filtered() {
    let server = TestServer::boot().await;
    let runs = varied();
    let mut shuffled = runs.clone();
    shuffled.rotate_left(17);
    server.store_all(&shuffled).await;
    let all: Vec<_> = runs.iter().map(|run| id(run).to_owned()).collect();

    assert_eq!(listed(&server, "").await, all[..20]);
    assert_eq!(listed(&server, "page=2").await, all[20..40]);
    assert_eq!(listed(&server, "page=3&page_size=25").await, all[50..]);
    assert_eq!(listed(&server, "page_size=100").await, all);
    assert_eq!(listed(&server, "page=4").await, [""; 0]);
    assert_eq!(listed(&server, "page=1000000000").await, [""; 0]);

    type Keeps = fn(&Value) -> bool;
    let cases: [(&str, Keeps); 19] = [
        ("agent_id=support-agent", |run| run["agent_id"] == "support-agent"),
        ("agent_id=", |_| true),
        ("agent_id=support", |_| false),
        ("agent_version=v1.2.0", |run| run["agent_version"] == "v1.2.0"),
        ("environment=staging", |run| run["environment"] == "staging"),
        ("status=failure", |run| run["status"] == "failure"),
        ("status=success&status=partial", |run| run["status"] != "failure"),
        ("status=sideways", |_| false),
        ("unknown=1", |_| true),
        ("agent_id=billing-agent&status=partial", |run| {
            run["agent_id"] == "billing-agent" && run["status"] == "partial"
        }),
        ("start_time=2026-11-22T10:30:00Z", |run| run["started_at"].as_str() >= Some("2026-11-22T10:30:00Z")),
        ("end_time=2026-11-22T10:30:00", |run| run["started_at"].as_str() <= Some("2026-11-22T10:30:00Z")),
        ("start_time=2026-11-22T10:10:00Z&end_time=2026-11-22T10:12:00Z", |run| {
            ["10:10", "10:11", "10:12"].iter().any(|at| run["started_at"].as_str().unwrap().contains(&format!("T{at}")))
        }),
        ("failure_code=rate_limited", |run| run["failure"]["failure_code"] == "rate_limited"),
        ("failure_type=model", |run| run["failure"]["failure_type"] == "model"),
        ("step_name=search_3", |run| run["steps"].as_array().unwrap().iter().any(|step| step["name"] == "search_3")),
        ("has_retries=true", |_| false),
        ("has_retries=false", |_| true),
        ("min_duration_ms=20&max_duration_ms=30", |run| {
            (20..=30).any(|ms| run["ended_at"].as_str().unwrap().ends_with(&format!(".{:06}Z", ms * 1000)))
        }),
    ];
    for (query, keeps) in cases {
        let expected: Vec<_> = runs.iter().filter(|run| keeps(run)).map(|run| id(run).to_owned()).collect();
        let answer = server.get(&format!("/v1/runs?page_size=100&{query}")).await.expect(200);
        assert_eq!(ids(&answer.json()), expected, "{query}");
        assert_eq!(answer.header("x-total-count"), Some(expected.len().to_string().as_str()), "{query}");
    }
}

#[tokio::test]
async fn equal_times_are_ordered_by_run_id() {
    let server = TestServer::boot().await;
    let runs: Vec<_> = (0..30).map(|_| small_run(json!({}))).collect();
    server.store_all(&runs).await;
    let mut expected: Vec<_> = runs.iter().map(|run| id(run).to_owned()).collect();
    expected.sort();
    assert_eq!(listed(&server, "page_size=100").await, expected);
    let pages = [
        listed(&server, "page_size=11").await,
        listed(&server, "page_size=11&page=2").await,
        listed(&server, "page_size=11&page=3").await,
    ];
    assert_eq!(pages.concat(), expected);
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_their_place() {
    let server = TestServer::boot().await;
    for (query, name) in [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("start_time=noon", "start_time"),
        ("end_time=2026-13-01", "end_time"),
        ("cursor=zzz", "cursor"),
    ] {
        let answer = server.get(&format!("/v1/runs?{query}")).await.expect(422);
        assert_eq!(answer.places(), [json!(["query", name])], "{query}");
    }
    let both = server.get("/v1/runs?page=0&page_size=0").await.expect(422);
    assert_eq!(both.places().len(), 2);
}

#[tokio::test]
async fn a_cursor_walks_the_list_as_it_was() {
    let server = TestServer::boot().await;
    let runs = varied();
    server.store_all(&runs).await;
    let mut seen = Vec::new();
    let mut next = Some("/v1/runs?page_size=7&view=summary".to_owned());
    while let Some(path) = next {
        let answer = server.get(&path).await.expect(200);
        seen.extend(ids(&answer.json()));
        next = answer.header("link").map(|link| {
            let (target, rel) = link.split_once('>').unwrap();
            assert_eq!(rel, "; rel=\"next\"");
            let target = target.strip_prefix('<').unwrap();
            target[target.find("/v1/").unwrap()..].to_owned()
        });
        // What comes in meanwhile is newer than the cursor, wherever it sorts.
        server.store(&small_run(json!({"started_at": "2026-11-22T10:30:30Z"}))).await;
    }
    assert_eq!(seen, runs.iter().map(|run| id(run).to_owned()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_summary_has_no_children() {
    let server = TestServer::boot().await;
    server.store(&full_run()).await;
    let full = server.get("/v1/runs").await.json();
    let summary = server.get("/v1/runs?view=summary").await.json();
    for field in ["run_id", "agent_id", "status", "started_at", "created_at", "duration_ms", "position"] {
        assert_eq!(summary[0][field], full[0][field], "{field}");
    }
    for field in ["steps", "decisions", "quality_signals"] {
        assert!(summary[0].get(field).is_none_or(|list| !list.is_array()), "{field}: {summary}");
    }
}

#[tokio::test]
async fn one_run_and_its_parts_are_answered() {
    let server = TestServer::boot().await;
    let run = full_run();
    let stored = server.store(&run).await;
    let path = format!("/v1/runs/{}", id(&run));
    assert_eq!(server.get(&path).await.expect(200).json(), stored);
    assert_eq!(server.get(&format!("{path}/")).await.expect(200).json(), stored);
    assert_eq!(server.get(&path.to_uppercase().replace("/V1/RUNS", "/v1/runs")).await.expect(200).json(), stored);
    assert_eq!(server.get(&format!("{path}/steps")).await.expect(200).json(), stored["steps"]);
    assert_eq!(server.get(&format!("{path}/failures")).await.expect(200).json(), stored["failures"]);
    let events = server.get(&format!("{path}/events")).await.expect(200).json();
    let events = events.as_array().unwrap();
    // Started, three steps, a failure, a decision, a signal, ended.
    assert_eq!(events.len(), 8);
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["position"].as_u64(), Some(stored["position"].as_u64().unwrap() + index as u64));
    }
    assert_eq!(events[0]["type"], "run_started");
    assert_eq!(events[7]["type"], "run_ended");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_clients_rely_on() {
    let server = TestServer::boot().await;
    let unknown = Uuid::new_v4();
    let path = format!("/v1/runs/{unknown}");
    assert_eq!(
        server.get(&path).await.expect(404).json(),
        json!({"error": format!("Run {unknown} not found"), "status_code": 404, "path": path})
    );
    assert_eq!(
        server.get(&format!("{path}/steps")).await.expect(404).json(),
        json!({"error": format!("No steps found for run {unknown}"), "status_code": 404, "path": format!("{path}/steps")})
    );
    assert_eq!(server.get(&format!("{path}/failures")).await.expect(200).json(), json!([]));
    server.get("/v1/runs/no-uuid").await.expect(422);
    let bare = small_run(json!({}));
    server.store(&bare).await;
    server.get(&format!("/v1/runs/{}/steps", id(&bare))).await.expect(404);
    assert_eq!(server.get("/v1/nothing").await.expect(404).json(), json!({"detail": "Not Found"}));
    let answer = send(server.client().request(Method::PATCH, server.query_url("/v1/runs"))).await.expect(405);
    assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
}

#[tokio::test]
async fn statistics_count_everything_the_filter_names() {
    let server = TestServer::boot().await;
    assert_eq!(
        server.get("/v1/stats").await.expect(200).text(),
        r#"{"total_runs":0,"total_failures":0,"success_rate":0.0,"avg_latency_ms":0.0,"failure_breakdown":{},"step_type_breakdown":{}}"#
    );
    let runs = varied();
    server.store_all(&runs).await;
    for (query, keeps) in [
        ("", (|_| true) as fn(&Value) -> bool),
        ("agent_id=support-agent", |run| run["agent_id"] == "support-agent"),
        ("agent_version=v1.1.0&environment=staging", |run| {
            run["agent_version"] == "v1.1.0" && run["environment"] == "staging"
        }),
        ("start_time=2026-11-22T10:15:00Z&end_time=2026-11-22T10:44:00Z", |run| {
            (Some("2026-11-22T10:15:00Z")..=Some("2026-11-22T10:44:00Z")).contains(&run["started_at"].as_str())
        }),
    ] {
        let kept: Vec<_> = runs.iter().filter(|run| keeps(run)).collect();
        let failed = kept.iter().filter(|run| run["status"] == "failure").count();
        let steps: Vec<&Value> = kept.iter().flat_map(|run| run["steps"].as_array().unwrap()).collect();
        let latency: u64 = steps.iter().map(|step| step["latency_ms"].as_u64().unwrap()).sum();
        let two_digits = |value: f64| (value * 100.0).round() / 100.0;
        let stats = server.get(&format!("/v1/stats?{query}")).await.expect(200).json();
        assert_eq!(stats["total_runs"], kept.len(), "{query}");
        assert_eq!(stats["total_failures"], failed, "{query}");
        let rate = 100.0 * (kept.len() - failed) as f64 / kept.len() as f64;
        assert_eq!(stats["success_rate"], two_digits(rate), "{query}");
        assert_eq!(stats["avg_latency_ms"], two_digits(latency as f64 / steps.len() as f64), "{query}");
        for kind in ["plan", "retrieve", "tool", "respond", "other"] {
            let count = steps.iter().filter(|step| step["step_type"] == kind).count();
            let expected = if count == 0 { Value::Null } else { json!(count) };
            assert_eq!(stats["step_type_breakdown"][kind], expected, "{query} {kind}");
        }
        for kind in ["tool", "model"] {
            for code in ["timeout", "rate_limited"] {
                let matches =
                    |run: &&&Value| run["failure"]["failure_type"] == kind && run["failure"]["failure_code"] == code;
                let count = kept.iter().filter(matches).count();
                let expected = if count == 0 { Value::Null } else { json!(count) };
                assert_eq!(stats["failure_breakdown"][format!("{kind}/{code}")], expected, "{query}");
            }
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = TestServer::boot().await;
    let run = full_run();
    server.store(&run).await;
    for path in ["/v1/runs".to_owned(), format!("/v1/runs/{}", id(&run)), "/v1/stats".into(), "/health".into()] {
        let answer = send(server.client().head(server.query_url(&path))).await.expect(200);
        assert_eq!(answer.body, b"", "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
}

#[tokio::test]
async fn a_failure_without_its_status_is_in_the_breakdown_but_no_failed_run() {
    let server = TestServer::boot().await;
    server.store(&with(full_run(), "/status", Some(json!("success")))).await;
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["total_failures"], 0);
    assert_eq!(stats["success_rate"], 100.0);
    assert_eq!(stats["failure_breakdown"], json!({"tool/timeout": 1}));
}
