//! Options, exit codes, and what the offline commands print.

mod common;

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Process, agenttracer, files, get, id, offline, run, serve, stderr, stdout, store};
use serde_json::Value;

#[test]
fn help_documents_the_exit_codes() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["verify", "--help"]] {
        let help = agenttracer(arguments).output().unwrap();
        assert_eq!(help.status.code(), Some(0));
        assert!(stdout(&help).contains("Exit codes:"), "{}", stdout(&help));
    }
    let version = agenttracer(&["--version"]).output().unwrap();
    assert_eq!(stdout(&version), format!("agenttracer {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_cannot_be_said_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agenttracer.toml");
    std::fs::write(&file, "data_dri = \"x\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, hint) in [
        (vec!["serve", "--sync", "sometimes"], "write always, or interval="),
        (vec!["serve", "--ingest-addr", "8000"], "write IP:PORT"),
        (vec!["serve", "--no-such-option"], "--no-such-option"),
        (vec!["serve", "--config", file], "data_dri"),
        (vec!["serve", "--config", "/no/such/file"], "/no/such/file"),
        (vec!["no-such-command"], "no-such-command"),
        (vec![], "Usage:"),
    ] {
        let output = agenttracer(&arguments).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(hint), "{arguments:?}: {}", stderr(&output));
    }
    let mut command = agenttracer(&["serve"]);
    let output = command.env("AGENTTRACER_LOG_FORMAT", "xml").current_dir(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    assert!(!dir.path().join("data").exists());
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agenttracer.toml");
    std::fs::write(
        &config,
        "data_dir = \"from-file\"\nsync = \"interval=7ms\"\nlog_format = \"json\"\n\
         ingest_addr = \"127.0.0.1:0\"\nquery_addr = \"127.0.0.1:0\"\nui_addr = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    let mut command = agenttracer(&["serve", "--data-dir", "from-flag", "--config", "agenttracer.toml"]);
    command
        .current_dir(dir.path())
        .env("AGENTTRACER_DATA_DIR", "from-environment")
        .env("AGENTTRACER_SYNC", "interval=9ms");
    let data = dir.path().join("from-flag");
    let process = Process::spawn(&data, command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let client = reqwest::Client::new();
    let response = client.post(process.ingest_url("/v1/runs")).json(&run()).send().await.unwrap();
    assert_eq!(response.headers()["x-durability"], "interval=9ms");
    let ended = process.stop();
    assert!(ended.status.success());
    for line in ended.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(!dir.path().join("from-file").exists() && !dir.path().join("from-environment").exists());
}

#[tokio::test]
async fn a_variable_that_is_empty_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agenttracer.toml");
    let addresses = "ingest_addr = \"127.0.0.1:0\"\nquery_addr = \"127.0.0.1:0\"\nui_addr = \"127.0.0.1:0\"\n";
    std::fs::write(&config, format!("sync = \"interval=7ms\"\n{addresses}")).unwrap();
    let help = stdout(&agenttracer(&["serve", "--help"]).output().unwrap());
    let variables: Vec<_> = help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap()).collect();
    assert!(variables.len() > 15, "{variables:?}");
    let mut command = agenttracer(&["serve", "--config", "agenttracer.toml"]);
    command.current_dir(dir.path()).envs(variables.iter().map(|name| (name, "")));
    let process = Process::spawn(&dir.path().join("data"), command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let client = reqwest::Client::new();
    let response = client.post(process.ingest_url("/v1/runs")).json(&run()).send().await.unwrap();
    assert_eq!(response.headers()["x-durability"], "interval=7ms", "of the file");
    let url = format!("http://{}", process.query);
    let output = agenttracer(&["stats", "--url", &url]).env("AGENTTRACER_CA", "").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(process.stop().status.success());
    let mut command = agenttracer(&["keys", "list"]);
    let output = command.current_dir(dir.path()).env("AGENTTRACER_DATA_DIR", "").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "./data is there: {}", stderr(&output));
    let output = agenttracer(&["stats"]).env("AGENTTRACER_QUERY_URL", "").output().unwrap();
    assert_ne!(output.status.code(), Some(64), "{}", stderr(&output));
    // White space is a value, and a wrong one.
    let output = agenttracer(&["stats"]).env("AGENTTRACER_QUERY_URL", " ").output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}

#[tokio::test]
async fn serve_says_where_it_listens_and_stops_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    let run = run();
    let body = store(&client, &process, &run).await;
    let expected = format!("ingest http://{}\nquery  http://{}\n", process.ingest, process.query);
    let begun = Instant::now();
    let ended = process.stop();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, expected);
    assert!(!dir.path().join("run/addresses.json").exists());

    let process = Process::start(dir.path());
    assert_eq!(get(&client, &process, &format!("/v1/runs/{}", id(&run))).await, (200, body));
    let ended = process.stop();
    assert!(ended.stderr.contains("closed cleanly"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_directory_in_use_and_an_address_taken_are_clear_errors() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let second = serve(dir.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("in use"), "{}", stderr(&second));
    for command in ["inspect", "verify", "rebuild", "replay", "repair"] {
        let output = offline(command, dir.path(), &[]);
        assert_eq!(output.status.code(), Some(1), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains("in use"), "{command}: {}", stderr(&output));
    }
    assert!(process.stop().status.success());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = agenttracer(&["serve", "--data-dir", dir.path().to_str().unwrap(), "--ingest-addr", &address]);
    let output = command.args(["--query-addr", "off", "--ui-addr", "off"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}

#[test]
fn an_offline_command_makes_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    for command in ["inspect", "verify", "rebuild", "replay", "repair"] {
        let output = offline(command, &nowhere, &[]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(stderr(&output).contains("nowhere"), "{command}: {}", stderr(&output));
        assert!(!nowhere.exists(), "{command}");
    }
}

#[tokio::test]
async fn offline_commands_tell_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let client = reqwest::Client::new();
    let process = Process::start(dir.path());
    let mut stored = HashMap::new();
    for _ in 0..200 {
        let run = run();
        stored.insert(id(&run), store(&client, &process, &run).await);
    }
    let (_, list) = get(&client, &process, "/v1/runs?page_size=100").await;
    assert!(process.stop().status.success());

    let inspect = offline("inspect", dir.path(), &["--json"]);
    assert_eq!(inspect.status.code(), Some(0), "{}", stderr(&inspect));
    let report: Value = serde_json::from_slice(&inspect.stdout).unwrap();
    let segments = report["segments"].as_array().unwrap();
    let on_disk = files(&dir.path().join("log")).into_iter();
    let on_disk = on_disk.filter(|file| file.extension().is_some_and(|extension| extension == "seg")).count();
    assert_eq!(segments.len(), on_disk, "{report}");
    // Started, three steps, failure, decision, signal, ended.
    assert_eq!(report["records"], 200 * 8, "{report}");
    assert_eq!(report["batches"], 200, "{report}");
    let table = offline("inspect", dir.path(), &[]);
    assert!(stdout(&table).contains(segments[0]["file"].as_str().unwrap()), "{}", stdout(&table));
    assert!(stderr(&table).is_empty(), "there is no bar without a terminal: {}", stderr(&table));

    let verify = offline("verify", dir.path(), &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    assert!(stderr(&verify).is_empty(), "{}", stderr(&verify));
    let rebuild = offline("rebuild", dir.path(), &[]);
    assert_eq!(rebuild.status.code(), Some(0), "{}{}", stdout(&rebuild), stderr(&rebuild));
    let verify = offline("verify", dir.path(), &["--json"]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    let report: Value = serde_json::from_slice(&verify.stdout).unwrap();
    assert_eq!(report["runs"], 200, "{report}");

    let process = Process::start(dir.path());
    assert_eq!(get(&client, &process, "/v1/runs?page_size=100").await.1, list);
    for (run, body) in &stored {
        assert_eq!(&get(&client, &process, &format!("/v1/runs/{run}")).await.1, body);
    }
    assert!(process.stop().status.success());
}

#[tokio::test]
async fn replay_prints_records_from_a_position_a_time_or_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let client = reqwest::Client::new();
    let process = Process::start(dir.path());
    let mut bodies = Vec::new();
    for _ in 0..20 {
        bodies.push(serde_json::from_str::<Value>(&store(&client, &process, &run()).await).unwrap());
    }
    assert!(process.stop().status.success());
    let records = |arguments: &[&str]| -> Vec<Value> {
        let output = offline("replay", dir.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = records(&[]);
    assert_eq!(all.len(), 20 * 8);
    for (position, record) in all.iter().enumerate() {
        assert_eq!(record["position"], position, "{record}");
        assert!(record["run_id"].is_string() && record["type"].is_string(), "{record}");
    }
    let middle = bodies[10]["position"].as_u64().unwrap();
    assert_eq!(records(&["--from-position", &middle.to_string()]), all[middle as usize..]);
    // In the middle of a batch: from that very record on.
    assert_eq!(records(&["--from-position", &(middle + 3).to_string()]), all[middle as usize + 3..]);
    assert_eq!(records(&["--run", bodies[10]["run_id"].as_str().unwrap()]), all[middle as usize..][..8]);
    let created = bodies[10]["created_at"].as_str().unwrap();
    let since = records(&["--since", created]);
    assert_eq!(since, all[all.len() - since.len()..]);
    assert!(since.contains(&all[middle as usize]));
    assert_eq!(records(&["--since", "2099-01-01T00:00:00Z"]), [Value::Null; 0]);
    let wrong = offline("replay", dir.path(), &["--since", "noon"]);
    assert_eq!(wrong.status.code(), Some(64), "{}", stderr(&wrong));
}

#[tokio::test]
async fn acknowledged_data_that_is_damaged_stops_the_start_with_code_two() {
    let dir = tempfile::tempdir().unwrap();
    let client = reqwest::Client::new();
    let process = Process::start(dir.path());
    for _ in 0..20 {
        store(&client, &process, &run()).await;
    }
    assert!(process.stop().status.success());
    let is_segment = |file: &std::path::PathBuf| file.extension().is_some_and(|extension| extension == "seg");
    let active = files(&dir.path().join("log")).into_iter().rfind(is_segment).unwrap();
    let intact = std::fs::read(&active).unwrap();
    let mut damaged = intact.clone();
    damaged[4096 + 20] ^= 1;
    std::fs::write(&active, &damaged).unwrap();

    let name = active.file_name().unwrap().to_str().unwrap();
    for command in [serve(dir.path()), agenttracer(&["rebuild", "--data-dir", dir.path().to_str().unwrap()])] {
        let mut command = command;
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        for part in [name, "bytes 4096..", "positions 0..", "agenttracer verify"] {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
    }
    assert_eq!(std::fs::read(&active).unwrap(), damaged, "nothing was changed");
    assert!(dir.path().join("index").is_dir());
    std::fs::write(&active, &intact).unwrap();
    let process = Process::start(dir.path());
    let (_, stats) = get(&client, &process, "/v1/stats").await;
    assert_eq!(serde_json::from_str::<Value>(&stats).unwrap()["total_runs"], 20);
}

#[tokio::test]
async fn verify_holds_the_index_to_the_log() {
    let client = reqwest::Client::new();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let store_20 = async |dir: &Path| {
        let process = Process::start(dir);
        for _ in 0..20 {
            store(&client, &process, &run()).await;
        }
        assert!(process.stop().status.success());
    };
    store_20(dirs[0].path()).await;
    // Two lives of one log: as many runs in each, the first 20 the same, the others not.
    copy(dirs[0].path(), dirs[1].path());
    for dir in &dirs {
        store_20(dir.path()).await;
    }
    let index = dirs[0].path().join("index");
    std::fs::rename(&index, dirs[0].path().join("kept")).unwrap();
    let absent = offline("verify", dirs[0].path(), &[]);
    assert_eq!(absent.status.code(), Some(0), "an index that is not there is made anew: {}", stdout(&absent));
    std::fs::rename(dirs[1].path().join("index"), &index).unwrap();
    let output = offline("verify", dirs[0].path(), &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["index"]["differences"], 20, "{report}");
    assert_eq!((&report["sound"], &report["runs"]), (&Value::Bool(false), &Value::from(20)));
    let rebuild = offline("rebuild", dirs[0].path(), &[]);
    assert_eq!(rebuild.status.code(), Some(0), "{}", stderr(&rebuild));
    let output = offline("verify", dirs[0].path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

/// Copies a directory and what is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[tokio::test]
async fn an_index_of_another_log_proves_nothing() {
    let client = reqwest::Client::new();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        let process = Process::start(dir.path());
        store(&client, &process, &run()).await;
        assert!(process.stop().status.success());
    }
    let index = dirs[0].path().join("index");
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::rename(dirs[1].path().join("index"), &index).unwrap();
    let output = offline("verify", dirs[0].path(), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "it is made anew: {}{}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["index"]["absent"], "it belongs to another log", "{report}");
}

#[tokio::test]
async fn compact_makes_the_log_small_and_every_answer_stays() {
    let dir = tempfile::tempdir().unwrap();
    let client = reqwest::Client::new();
    let process = Process::start(dir.path());
    let runs: Vec<_> = (0..300).map(|_| run()).collect();
    for run in &runs {
        store(&client, &process, run).await;
    }
    let refused = offline("compact", dir.path(), &[]);
    assert_eq!(refused.status.code(), Some(1), "a running server has the directory: {}", stderr(&refused));
    assert!(process.stop().status.success());
    let process = Process::start(dir.path());
    let (_, list) = get(&client, &process, "/v1/runs?page_size=100").await;
    assert!(process.stop().status.success());

    let before = files(dir.path());
    let told: Value = serde_json::from_str(&stdout(&offline("compact", dir.path(), &["--dry-run", "--json"]))).unwrap();
    assert!(told["bytes"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(files(dir.path()), before, "a dry run changes nothing");
    let output = offline("compact", dir.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let (was, is) = (done["bytes_before"].as_u64().unwrap(), done["bytes_after"].as_u64().unwrap());
    assert!(is > 0 && is < was * 2 / 3, "{done}");
    let verified = offline("verify", dir.path(), &[]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
    // Nothing is left to be done, and people are told so.
    let again = offline("compact", dir.path(), &[]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stdout(&again).starts_with("0 B became 0 B"), "{}", stdout(&again));

    let process = Process::start(dir.path());
    assert_eq!(get(&client, &process, "/v1/runs?page_size=100").await, (200, list));
    for run in &runs {
        let (status, body) = get(&client, &process, &format!("/v1/runs/{}", id(run))).await;
        assert_eq!(status, 200, "{body}");
    }
    assert!(process.stop().status.success());
    // When the time has passed, everything goes.
    let begun = Instant::now();
    loop {
        let output = offline("compact", dir.path(), &["--retain", "1s", "--json"]);
        let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
        if done["dropped_segments"].as_u64().unwrap() > 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{done}");
    }
    let process = Process::start(dir.path());
    let (status, _) = get(&client, &process, &format!("/v1/runs/{}", id(&runs[0]))).await;
    assert_eq!(status, 404);
    assert!(process.stop().status.success());
}
