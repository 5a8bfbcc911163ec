//! `repair` through the command line: what a damaged directory holds is served again, what is lost is told, and nothing is touched
//! before somebody says so.

mod common;

use std::path::{Path, PathBuf};

use common::{Process, files, get, id, offline, run, serve, stderr, stdout, store};
use serde_json::Value;

const RECORDS: u64 = 8;

fn segments(dir: &Path) -> Vec<PathBuf> {
    let is_segment =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg" || extension == "cseg");
    files(&dir.join("log")).into_iter().filter(is_segment).collect()
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir).into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// Runs stored in a directory whose server is stopped: run id, answer, position.
async fn stored(dir: &Path, runs: usize) -> Vec<(String, String, u64)> {
    let client = reqwest::Client::new();
    let process = Process::start(dir);
    let mut stored = Vec::new();
    for _ in 0..runs {
        let run = run();
        let body = store(&client, &process, &run).await;
        let position = serde_json::from_str::<Value>(&body).unwrap()["position"].as_u64().unwrap();
        stored.push((id(&run), body, position));
    }
    assert!(process.stop().status.success());
    stored
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// Repairs `dir` and holds what is served then to `stored`, of which what lies in `lost` is gone.
async fn repaired(dir: &Path, stored: &[(String, String, u64)]) -> Value {
    let before = contents(dir);
    let dry = offline("repair", dir, &["--json"]);
    assert_eq!(dry.status.code(), Some(1), "{}{}", stdout(&dry), stderr(&dry));
    let people = offline("repair", dir, &[]);
    assert_eq!(people.status.code(), Some(1));
    assert!(stdout(&people).contains("Nothing was changed"), "{}", stdout(&people));
    let lock = dir.join("LOCK");
    let changed =
        |contents: Vec<(PathBuf, Vec<u8>)>| contents.into_iter().filter(|(path, _)| *path != lock).collect::<Vec<_>>();
    assert!(changed(contents(dir)) == changed(before), "a dry run changes nothing");

    let applied = offline("repair", dir, &["--apply", "--json"]);
    assert_eq!(applied.status.code(), Some(0), "{}{}", stdout(&applied), stderr(&applied));
    let told = json(&applied);
    assert_eq!((&told["lost"], &told["segments"]), (&json(&dry)["lost"], &json(&dry)["segments"]));
    assert_eq!(told["applied"], true);
    let again = offline("repair", dir, &["--apply"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(stdout(&again).contains("Nothing needs repair"), "{}", stdout(&again));
    let lost: Vec<_> =
        told["lost"].as_array().unwrap().iter().map(|range| range[0].as_u64()..range[1].as_u64()).collect();

    let verify = offline("verify", dir, &["--json"]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    assert_eq!(json(&verify)["lost"], told["lost"]);
    let client = reqwest::Client::new();
    let process = Process::start(dir);
    let mut gone = 0;
    for (run, body, position) in stored {
        let (status, answer) = get(&client, &process, &format!("/v1/runs/{run}")).await;
        if lost.iter().any(|range| range.contains(&Some(*position))) {
            assert_eq!(status, 404, "{answer}");
            gone += 1;
        } else {
            assert_eq!((status, &answer), (200, body));
        }
    }
    let (_, health) = get(&client, &process, "/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    let state = if gone > 0 { "degraded" } else { "healthy" };
    assert_eq!(health["status"], state, "{health}");
    let (_, stats) = get(&client, &process, "/v1/stats").await;
    assert_eq!(serde_json::from_str::<Value>(&stats).unwrap()["total_runs"], stored.len() - gone);
    // What was lost may be sent again.
    if let Some((run_id, ..)) =
        stored.iter().find(|(_, _, position)| lost.iter().any(|range| range.contains(&Some(*position))))
    {
        let mut again = run();
        again["run_id"] = Value::from(run_id.as_str());
        store(&client, &process, &again).await;
    }
    assert!(process.stop().status.success());
    let verify = offline("verify", dir, &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    if gone > 0 {
        assert!(stdout(&verify).contains("LOST positions"), "{}", stdout(&verify));
        // The notes are seen to: health is well again.
        std::fs::remove_dir_all(dir.join("quarantine")).unwrap();
        let process = Process::start(dir);
        let (_, health) = get(&client, &process, "/health").await;
        assert!(health.contains(r#""status":"healthy""#), "{health}");
        assert!(process.stop().status.success());
    }
    told
}

#[tokio::test]
async fn damage_in_sealed_segments_costs_what_it_hit() {
    let dir = tempfile::tempdir().unwrap();
    let stored = stored(dir.path(), 300).await;
    let segments = segments(dir.path());
    assert!(segments.len() > 3);
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    bytes[10] ^= 1;
    bytes[4096 + 200] ^= 1;
    std::fs::write(&segments[0], &bytes).unwrap();
    let mut bytes = std::fs::read(&segments[1]).unwrap();
    let end = bytes.len() - 3;
    bytes[end] ^= 1;
    std::fs::write(&segments[1], bytes).unwrap();
    let told = repaired(dir.path(), &stored).await;
    assert_eq!(told["lost"], serde_json::json!([[0, RECORDS]]));
    assert_eq!(told["segments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_damaged_active_segment_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let stored = stored(dir.path(), 20).await;
    let active = segments(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&active).unwrap();
    bytes[4096 + 20] ^= 1;
    std::fs::write(&active, &bytes).unwrap();
    let refused = serve(dir.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("agenttracer repair"), "{}", stderr(&refused));
    let told = repaired(dir.path(), &stored).await;
    assert_eq!(told["lost"], serde_json::json!([[0, RECORDS]]));
}

#[tokio::test]
async fn a_missing_segment_and_a_missing_manifest_are_told_and_the_rest_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let stored = stored(dir.path(), 300).await;
    let all = segments(dir.path());
    std::fs::remove_file(&all[1]).unwrap();
    for slot in ["manifest.a", "manifest.b"] {
        std::fs::remove_file(dir.path().join(slot)).unwrap();
    }
    let told = repaired(dir.path(), &stored).await;
    assert_eq!(told["manifest"], true);
    let first = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap()[..20].parse::<u64>().unwrap();
    assert_eq!(told["lost"], serde_json::json!([[first(&all[1]), first(&all[2])]]));
}

#[tokio::test]
async fn a_log_that_ends_before_its_index_is_filled_up() {
    let dir = tempfile::tempdir().unwrap();
    let stored = stored(dir.path(), 10).await;
    for path in segments(dir.path()) {
        std::fs::remove_file(path).unwrap();
    }
    let refused = serve(dir.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let told = repaired(dir.path(), &stored).await;
    assert_eq!(told["lost"], serde_json::json!([[0, 10 * RECORDS]]));
}

#[tokio::test]
async fn a_torn_manifest_slot_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let _ = stored(dir.path(), 10).await;
    let slot = dir.path().join("manifest.a");
    let mut bytes = std::fs::read(&slot).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&slot, bytes).unwrap();
    let verify = offline("verify", dir.path(), &["--json"]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    assert!(json(&verify)["torn_slot"]["file"] == "manifest.a", "{}", stdout(&verify));
    let repair = offline("repair", dir.path(), &[]);
    assert_eq!(repair.status.code(), Some(0), "{}{}", stdout(&repair), stderr(&repair));
    assert!(Process::start(dir.path()).stop().status.success());
    let verify = offline("verify", dir.path(), &["--json"]);
    assert_eq!(json(&verify)["torn_slot"], Value::Null);
}
