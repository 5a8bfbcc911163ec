//! `export` and `import` on the command line: nothing is lost on the way, and whatever cannot be done is said.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{Process, agenttracer, get, id, offline, run, stderr, stdout, store};
use serde_json::{Value, json};
use uuid::Uuid;

/// Fields that each server makes anew.
const MADE: [&str; 4] = ["created_at", "position", "duration_ms", "removed_count"];

fn export(dir: &Path, format: &str, out: &Path, more: &[&str]) -> Output {
    offline("export", dir, &[&["--format", format, "--out", out.to_str().unwrap()], more].concat())
}

fn import(source: &Path, dir: &Path) -> Output {
    offline("import", dir, &[source.to_str().unwrap(), "--json"])
}

fn manifest(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap()
}

/// The runs of an NDJSON export, with or without what the server made.
fn lines(out: &Path, made: bool) -> Vec<Value> {
    let text = fs::read_to_string(out.join("runs.ndjson")).unwrap();
    let mut runs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if !made {
        runs.iter_mut().for_each(|run| run.as_object_mut().unwrap().retain(|key, _| !MADE.contains(&key.as_str())));
    }
    runs
}

/// Runs of every shape: with and without ids, with retries, candidates, several failures, private values, no children.
fn runs() -> Vec<Value> {
    let mut runs: Vec<Value> = (0..30).map(|_| run()).collect();
    for (n, run) in runs.iter_mut().enumerate() {
        run["started_at"] = json!(format!("2026-11-2{}T10:00:00.{n:06}Z", n % 3));
        run["ended_at"] = json!(format!("2026-11-2{}T10:01:00Z", n % 3));
        run["agent_id"] = json!(["support-agent", "billing-agent"][n % 2]);
        run["metadata"] = json!({"n": n, "big": u64::MAX, "minus": -5, "share": 0.1, "none": null, "key": Uuid::new_v4()});
    }
    runs[0]["steps"][2]["attempt"] = json!(2);
    runs[0]["steps"][2]["retry_of"] = runs[0]["steps"][1]["step_id"].clone();
    runs[1]["steps"][1]["name"] = json!("billing_api");
    runs[1]["steps"][1]["step_type"] = json!("tool");
    runs[1]["steps"][1]["status"] = json!("failed");
    runs[2]["decisions"][0]["candidates"] = json!(["api", "cache, \"warm\""]);
    runs[3].as_object_mut().unwrap().remove("failure");
    runs[3]["failures"] = json!([
        {"failure_type": "tool", "failure_code": "timeout", "message": "first"},
        {"failure_type": "model", "failure_code": "rate_limited", "message": "then"},
    ]);
    runs[4] = json!({"run_id": Uuid::new_v4(), "agent_id": "bare", "agent_version": "1", "status": "success",
        "started_at": "2026-11-22T10:00:00Z"});
    runs[5]["metadata"]["email"] = json!("somebody");
    runs[6]["failure"]["message"] = json!("line one, \"two\"");
    for step in runs[7]["steps"].as_array_mut().unwrap() {
        step.as_object_mut().unwrap().remove("step_id");
    }
    runs
}

/// A directory with these runs, its server stopped.
async fn stored(dir: &Path, runs: &[Value]) {
    let client = reqwest::Client::new();
    let process = Process::start(dir);
    for run in runs {
        store(&client, &process, run).await;
    }
    assert!(process.stop().status.success());
}

#[tokio::test]
async fn what_was_exported_is_imported_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let (origin, copy) = (place.path().join("origin"), place.path().join("copy"));
    stored(&origin, &runs()).await;
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let exported = export(&origin, "ndjson", &first, &[]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    let of_origin = lines(&first, false);
    assert_eq!(of_origin.len(), 30);

    let imported = import(&first, &copy);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let told: Value = serde_json::from_str(&stdout(&imported)).unwrap();
    assert_eq!((&told["accepted"], &told["duplicates"], &told["rejected"]), (&json!(30), &json!(0), &json!(0)));
    assert_eq!(told["removed"], json!({}), "what was clean stays as it is");
    assert!(export(&copy, "ndjson", &second, &[]).status.success());
    assert_eq!(lines(&second, false), of_origin);

    // Again, into the copy and into the origin, whose runs were sent without some of their ids: nothing is doubled.
    for dir in [&copy, &origin] {
        let again: Value = serde_json::from_str(&stdout(&import(&first, dir))).unwrap();
        assert_eq!((&again["accepted"], &again["duplicates"], &again["rejected"]), (&json!(0), &json!(30), &json!(0)));
    }

    // And to a server.
    let served = place.path().join("served");
    let process = Process::start(&served);
    let url = process.ingest_url("");
    let sent = agenttracer(&["import", first.to_str().unwrap(), "--url", &url]).output().unwrap();
    assert_eq!(stdout(&sent), "accepted 30, duplicates 0, rejected 0\n", "{}", stderr(&sent));
    let (_, body) = get(&reqwest::Client::new(), &process, "/v1/runs?page_size=100").await;
    let listed: Vec<Value> = serde_json::from_str(&body).unwrap();
    let ids = |runs: &[Value]| runs.iter().map(id).collect::<Vec<_>>();
    assert_eq!(ids(&listed), ids(&of_origin));
    assert!(process.stop().status.success());
}

#[tokio::test]
async fn filters_are_those_of_the_api_and_the_manifest_tells_all() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    stored(&dir, &runs()).await;
    let out = place.path().join("out");
    let filters = ["--filter", "agent_id=billing-agent", "--filter", "start_time=2026-11-21", "--filter", "end_time=2026-11-21T23:00:00Z"];
    let exported = export(&dir, "csv", &out, &[&filters[..], &["--json"]].concat());
    assert!(exported.status.success(), "{}", stderr(&exported));
    let manifest = manifest(&out);
    assert_eq!(serde_json::from_str::<Value>(&stdout(&exported)).unwrap(), manifest);
    assert_eq!(manifest["runs"], 5);
    assert_eq!(manifest["filters"][0], json!(["agent_id", "billing-agent"]));
    assert_eq!(manifest["format"], "csv");
    assert!(manifest["position"].as_u64().unwrap() > 100);
    let names: Vec<_> = manifest["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["runs.csv", "steps.csv", "failures.csv", "decisions.csv", "signals.csv"]);
    for file in manifest["files"].as_array().unwrap() {
        let bytes = fs::read(out.join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["bytes"], bytes.len());
        let rows = bytes.iter().filter(|byte| **byte == b'\n').count() - 1;
        assert_eq!(file["rows"], rows, "{}", file["name"]);
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 6, "nothing unfinished is left");

    // Nothing matches: the files are there, with their heads.
    let none = place.path().join("none");
    assert!(export(&dir, "csv", &none, &["--filter", "status=running"]).status.success());
    assert_eq!(fs::read_to_string(none.join("runs.csv")).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn what_cannot_be_exported_is_said() {
    let place = tempfile::tempdir().unwrap();
    let (dir, out) = (place.path().join("data"), place.path().join("out"));
    stored(&dir, &runs()[..3]).await;

    let mistyped = export(&dir, "csv", &out, &["--filter", "agentid=x"]);
    assert_eq!(mistyped.status.code(), Some(64));
    assert!(stderr(&mistyped).contains("`agentid` is no filter"), "{}", stderr(&mistyped));
    assert!(!out.exists());

    let process = Process::start(&dir);
    let in_use = export(&dir, "csv", &out, &[]);
    assert_eq!(in_use.status.code(), Some(1));
    assert!(stderr(&in_use).contains("in use by a server"), "{}", stderr(&in_use));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    assert!(process.stop().status.success());

    fs::write(out.join("mine.txt"), "not yours").unwrap();
    let taken = export(&dir, "csv", &out, &[]);
    assert_eq!(taken.status.code(), Some(1));
    assert!(stderr(&taken).contains("is not empty"), "{}", stderr(&taken));

    let nothing = export(&place.path().join("nowhere"), "csv", &place.path().join("o"), &[]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(!place.path().join("nowhere").exists(), "an export makes no data directory");
}

#[tokio::test]
async fn a_damaged_run_is_named_and_not_passed_over_in_silence() {
    let place = tempfile::tempdir().unwrap();
    let (dir, out) = (place.path().join("data"), place.path().join("out"));
    let runs = runs();
    stored(&dir, &runs[8..12]).await;
    // A clean stop sealed nothing: the only segment is written on. A start and a stop after a kill seal it.
    Process::start(&dir).kill();
    assert!(Process::start(&dir).stop().status.success());
    let segment = dir.join("log/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let broken = Uuid::parse_str(&id(&runs[9])).unwrap();
    let at = bytes.windows(16).position(|window| window == broken.as_bytes()).expect("the payload names its run");
    bytes[at + 40] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let exported = export(&dir, "ndjson", &out, &[]);
    assert_eq!(exported.status.code(), Some(1), "{}", stderr(&exported));
    assert!(stderr(&exported).contains(&format!("run {broken} at position")), "{}", stderr(&exported));
    let manifest = manifest(&out);
    assert_eq!((&manifest["runs"], &manifest["unreadable"]), (&json!(3), &json!(1)));
    assert_eq!(manifest["unreadable_runs"][0]["run_id"], json!(broken));
}

#[tokio::test]
async fn lines_that_are_no_runs_are_named_and_cost_no_other() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let (good, mut bad) = (run(), run());
    bad["steps"][1]["name"] = json!("");
    let mut other = good.clone();
    other["agent_version"] = json!("v2");
    let secret = json!({"agent_id": "a", "agent_version": "1", "status": "nonsense-PRIVATE", "started_at": "2026-11-22T10:00:00Z"});
    let long = "x".repeat((8 << 20) + 1);
    let text = format!("{good}\n\n{bad}\n{{broken\n{good}\n{other}\n{secret}\n{long}\n{}\n", run());
    let mut command = agenttracer(&["import", "-", "--data-dir", dir.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "accepted 2, duplicates 1, rejected 5\n");
    let told = stderr(&output);
    for place in ["-:3: 422 steps.1.name: ", "-:4: 422 ", "-:6: 409 ", "-:7: 422 status: ", "-:8: 413 "] {
        assert!(told.contains(place), "{place} is not in {told}");
    }
    assert!(!told.contains("PRIVATE"));
}

#[tokio::test]
async fn only_a_whole_export_is_imported() {
    let place = tempfile::tempdir().unwrap();
    let (dir, out, copy) = (place.path().join("data"), place.path().join("out"), place.path().join("copy"));
    stored(&dir, &runs()[..3]).await;
    assert!(export(&dir, "ndjson", &out, &[]).status.success());
    let lines = fs::read_to_string(out.join("runs.ndjson")).unwrap();
    fs::write(out.join("runs.ndjson"), lines.replace("support-agent", "suppert-agent")).unwrap();
    let changed = import(&out, &copy);
    assert_eq!(changed.status.code(), Some(1));
    assert!(stderr(&changed).contains("its checksum differs"), "{}", stderr(&changed));
    assert!(!copy.exists(), "nothing was begun");
    fs::remove_file(out.join("manifest.json")).unwrap();
    assert!(stderr(&import(&out, &copy)).contains("no complete export"));
    // A single file is taken as it is.
    assert!(import(&out.join("runs.ndjson"), &copy).status.success());
}
