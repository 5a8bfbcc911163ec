//! `agenttracer demo`: the same seed gives the same runs, and every question has something true to answer.

mod common;

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Process, agenttracer, demo, get, serve, stderr, stdout};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);
const DAY: [&str; 6] = ["--runs", "1200", "--until", "2026-11-22T12:00:00Z", "--seed", "3"];

async fn json(client: &reqwest::Client, process: &Process, path: &str) -> Value {
    let (status, body) = get(client, process, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// All runs, without what the server makes.
async fn runs(client: &reqwest::Client, process: &Process) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for page in 1.. {
        let runs = json(client, process, &format!("/v1/runs?page_size=100&live=1&page={page}")).await;
        let runs = runs.as_array().unwrap().clone();
        if runs.is_empty() {
            break;
        }
        all.extend(runs);
    }
    for run in &mut all {
        forget(run);
    }
    all
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // The position says in which order they arrived, failures have no ids of their own.
            fields.retain(|name, _| !["created_at", "recorded_at", "position", "failure_id"].contains(&name.as_str()));
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

#[tokio::test]
async fn a_seed_gives_the_same_runs_on_any_server_and_none_twice() {
    let client = reqwest::Client::new();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let processes = dirs.each_ref().map(|dir| Process::start(dir.path()));
    for process in &processes {
        let output = demo(process, &DAY);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("1,200 runs and 4 live ones sent to http://"), "{}", stdout(&output));
    }
    let first = runs(&client, &processes[0]).await;
    assert_eq!(first.len(), 1204);
    assert_eq!(first, runs(&client, &processes[1]).await);

    let again = demo(&processes[0], &[&DAY[..], &["--json"]].concat());
    let answer: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&0.into(), &1200.into()), "{answer}");
    assert_eq!(answer["events"]["accepted"], 0, "{answer}");
    assert_eq!(runs(&client, &processes[0]).await.len(), 1204);
    // Another end is another day: nothing conflicts.
    let later = demo(&processes[0], &["--runs", "50", "--until", "2026-11-22T13:00:00Z", "--seed", "3", "--json"]);
    assert_eq!(later.status.code(), Some(0), "{}", stderr(&later));
    let other = demo(&processes[1], &["--runs", "50", "--json"]);
    assert_eq!(other.status.code(), Some(0), "{}", stderr(&other));
    for process in processes {
        assert_eq!(process.stop().status.code(), Some(0));
    }
}

#[tokio::test]
async fn every_page_has_something_to_show() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.args(["--lease", "1s"]);
    let process = Process::spawn(dir.path(), command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let client = reqwest::Client::new();
    let output = demo(&process, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let sent: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&sent["accepted"], &sent["duplicates"]), (&2000.into(), &0.into()), "{sent}");
    assert!(sent["removed"].as_object().is_some_and(|removed| !removed.is_empty()), "{sent}");

    let agents = json(&client, &process, "/v1/agents").await;
    assert_eq!(agents["total_agents"], 6, "{agents}");
    let list = |value: &Value, name: &str| value[name].as_array().unwrap().clone();
    let models = list(&agents, "agents").into_iter().flat_map(|agent| list(&agent, "models"));
    let cost: f64 = models.map(|model| model["cost_usd"].as_f64().unwrap()).sum();
    assert!(cost > 1.0, "{agents}");
    let facets = json(&client, &process, "/v1/facets?limit=100").await;
    let distinct = |name: &str| {
        let facet = facets["facets"].as_array().unwrap().iter().find(|facet| facet["field"] == name).unwrap();
        facet["distinct"].as_u64().unwrap()
    };
    assert_eq!(distinct("failure_type"), 4);
    assert_eq!(distinct("failure_code"), 27);
    assert_eq!(distinct("decision_type"), 5);
    assert_eq!(distinct("signal_type"), 7);
    assert_eq!(distinct("step_type"), 5);
    assert_eq!(distinct("environment"), 3);
    assert!(distinct("reason_code") == 25 && distinct("signal_code") == 25, "{facets}");
    // Hours of a day, none without a run, busier and less busy.
    let hours = json(&client, &process, "/v1/timeseries?interval=1h").await;
    let counts: Vec<u64> =
        hours["buckets"].as_array().unwrap().iter().map(|bucket| bucket["runs"].as_u64().unwrap()).collect();
    assert!((24..=25).contains(&counts.len()), "{counts:?}");
    let full = &counts[1..counts.len() - 1];
    assert!(
        full.iter().min() > Some(&10) && full.iter().max() > full.iter().min().map(|least| least * 2).as_ref(),
        "{counts:?}"
    );

    let compared = agenttracer(&["compare", "2.4.0", "2.4.1", "--agent-id", "support-triage", "--json", "--url"])
        .arg(format!("http://{}", process.query))
        .output()
        .unwrap();
    assert_eq!(compared.status.code(), Some(1), "the newer version differs: {}", stderr(&compared));
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let rate = |metric: &str| {
        compared["rates"].as_array().unwrap().iter().find(|rate| rate["metric"] == metric).unwrap().clone()
    };
    for metric in ["failure_rate", "retry_rate"] {
        assert_eq!(rate(metric)["state"], "significant", "{metric}: {}", rate(metric));
        assert!(rate(metric)["difference"].as_f64().unwrap() > 0.03, "{metric}: {}", rate(metric));
    }
    let [succeeds, fails] = ["succeeds", "fails"].map(|name| sent["long_run"][name].as_str().unwrap().to_owned());
    let (good, bad) = (
        json(&client, &process, &format!("/v1/runs/{succeeds}")).await,
        json(&client, &process, &format!("/v1/runs/{fails}")).await,
    );
    assert_eq!((&good["status"], &bad["status"]), (&"success".into(), &"failure".into()));
    assert!(good["steps"].as_array().unwrap().len() > 40 && bad["steps"].as_array().unwrap().len() > 40);

    // What fell silent is given up by the server itself.
    let begun = Instant::now();
    loop {
        let (_, body) = get(&client, &process, "/v1/runs?status=running").await;
        if body == "[]" {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let abandoned = json(&client, &process, "/v1/runs?failure_code=abandoned&agent_id=billing-assistant").await;
    assert_eq!(abandoned.as_array().unwrap().len(), 1, "{abandoned}");
    assert_eq!(process.stop().status.code(), Some(0));
}

#[tokio::test]
async fn what_is_live_goes_on_until_it_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    let url = format!("http://{}", process.ingest);
    let mut command = agenttracer(&["demo", "--runs", "20", "--live", "--per-minute", "3000", "--url", &url]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    loop {
        let running = json(&client, &process, "/v1/runs?status=running&view=summary&page_size=100").await;
        if running.as_array().unwrap().len() > 20 {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "nothing goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let signal = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut notes = String::new();
    child.stderr.take().unwrap().read_to_string(&mut notes).unwrap();
    assert!(notes.contains("ended as cancelled"), "{notes}");
    // Nothing is left open but the three of the day before that went on already.
    let running = json(&client, &process, "/v1/runs?status=running&view=summary&page_size=100").await;
    assert_eq!(running.as_array().unwrap().len(), 3, "{running}");
    let cancelled = json(&client, &process, "/v1/runs?failure_code=cancelled&view=summary&page_size=100").await;
    assert!(cancelled.as_array().unwrap().len() > 10, "{cancelled}");
    assert_eq!(process.stop().status.code(), Some(0));
}

#[test]
fn a_day_that_is_interrupted_is_no_success_and_can_be_sent_to_its_end() {
    // A server that takes the connection, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let url = format!("http://{}", process.ingest);
    for (signal, name, code, more) in [("INT", "SIGINT", 130, "--json"), ("TERM", "SIGTERM", 143, "--live")] {
        let mut command = agenttracer(&["demo", "--runs", "30", "--hours", "2", more, "--url", &silent_url]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut connection, _) = silent.accept().unwrap();
        assert_eq!(connection.read(&mut [0]).unwrap(), 1, "it sends");
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
        let told = stderr(&output);
        assert!(told.starts_with(&format!("error: ended by {name}: 0 of 30 runs sent; `agenttracer ")), "{told}");
        // What it says to type sends that day.
        let rest: Vec<&str> = told.split('`').nth(1).unwrap().split(' ').skip(1).collect();
        let sent = agenttracer(&rest).args(["--url", &url]).output().unwrap();
        assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
        assert!(stdout(&sent).starts_with("30 runs and 4 live ones sent"), "{}", stdout(&sent));
    }
    assert_eq!(process.stop().status.code(), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let url = format!("http://{}", process.ingest);
    assert_eq!(process.stop().status.code(), Some(0));
    let output = agenttracer(&["demo", "--url", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains("start one with `agenttracer serve`"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    let output = agenttracer(&["demo", "--until", "tomorrow"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}
