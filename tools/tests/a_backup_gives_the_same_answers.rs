//! `backup` while the server serves, `restore`, and a server over what was restored: the same answers, byte for byte.

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Process, agenttracer, files, get, id, offline, run, stderr, stdout, store};
use serde_json::Value;

fn take(dir: &Path, target: &Path, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend([target.to_str().unwrap(), "--json"]);
    let output = offline("backup", dir, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).is_empty(), "there is no bar without a terminal: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn restore(source: &Path, dir: &Path) -> std::process::Output {
    agenttracer(&["restore", source.to_str().unwrap(), dir.to_str().unwrap(), "--json"]).output().unwrap()
}

#[tokio::test]
async fn a_restored_server_gives_the_same_answers() {
    let place = tempfile::tempdir().unwrap();
    let (dir, target, restored) = (place.path().join("data"), place.path().join("backup"), place.path().join("again"));
    let client = reqwest::Client::new();
    let process = Process::start(&dir);
    let mut runs = Vec::new();
    for _ in 0..150 {
        let run = run();
        store(&client, &process, &run).await;
        runs.push(id(&run));
    }
    let first = take(&dir, &target, &[]);
    for _ in 0..150 {
        let run = run();
        store(&client, &process, &run).await;
        runs.push(id(&run));
    }
    let second = take(&dir, &target, &[]);
    assert_eq!(second["position"], 300 * 8, "{second}");
    assert!(second["reused"].as_u64() >= Some(1) && second["linked"].as_u64() >= Some(1), "{first} {second}");
    assert!(second["copied"].as_u64() <= Some(1), "hard links: {second}");

    let mut questions: Vec<String> = ["/v1/runs?page_size=100", "/v1/runs?page_size=100&page=3", "/v1/stats"]
        .into_iter()
        .map(String::from)
        .collect();
    questions.push("/v1/runs?failure_code=timeout&sort=-duration_ms".to_owned());
    questions.extend(
        ["?agent_id=support-agent&status=failure", "?view=summary&page_size=50"].map(|q| format!("/v1/runs{q}")),
    );
    for run in &runs {
        questions.extend(["", "/steps", "/failures", "/events"].map(|part| format!("/v1/runs/{run}{part}")));
    }
    let mut answers = HashMap::new();
    for question in &questions {
        answers.insert(question, get(&client, &process, question).await);
    }
    // What comes later is not in it.
    store(&client, &process, &run()).await;
    assert!(process.stop().status.success());

    let output = restore(&target, &restored);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["position"], &told["restored"]), (&Value::from(300 * 8), &Value::Bool(true)));
    let verify = offline("verify", &restored, &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    let process = Process::start(&restored);
    for question in &questions {
        assert_eq!(&get(&client, &process, question).await, &answers[question], "{question}");
    }
    // It takes runs in again, and a backup of it goes on with the same target.
    store(&client, &process, &run()).await;
    let third = take(&restored, &target, &[]);
    assert_eq!(third["position"], 301 * 8, "{third}");
    assert!(process.stop().status.success());

    let list = offline("backup", &dir, &["--list", "--json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list["backups"][0]["position"], 300 * 8, "{list}");
    assert_eq!(list["backups"][0]["state"], "changed", "the third one took its place: {list}");
    let list = offline("backup", &restored, &["--list"]);
    assert!(stdout(&list).contains("present"), "{}", stdout(&list));
}

#[tokio::test]
async fn what_was_acknowledged_when_a_backup_began_is_in_it() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let process = Arc::new(Process::start(&dir));
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut writers = Vec::new();
    for _ in 0..4 {
        let (process, stop, acknowledged) = (process.clone(), stop.clone(), acknowledged.clone());
        writers.push(tokio::spawn(async move {
            let client = reqwest::Client::new();
            while !stop.load(Ordering::Relaxed) {
                let run = run();
                let body = store(&client, &process, &run).await;
                acknowledged.lock().unwrap().push((id(&run), body));
            }
        }));
    }
    let mut backups = Vec::new();
    for n in 0..4 {
        // Some rotations lie between two of them.
        let wanted = (n + 1) * 150;
        while acknowledged.lock().unwrap().len() < wanted {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let before = acknowledged.lock().unwrap().clone();
        // The first two one after the other to the same target.
        let target = place.path().join(format!("backup-{}", n / 2));
        let dir = dir.clone();
        let copy: &[&str] = if n % 2 == 0 { &["--copy"] } else { &[] };
        let to = target.clone();
        tokio::task::spawn_blocking(move || take(&dir, &to, copy)).await.unwrap();
        if n % 2 == 1 {
            backups.push((target, before));
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let Ok(process) = Arc::try_unwrap(process) else { panic!("somebody still has the server") };
    assert!(process.stop().status.success());
    let client = reqwest::Client::new();
    for (target, before) in backups {
        let again = target.with_extension("restored");
        assert_eq!(restore(&target, &again).status.code(), Some(0));
        let process = Process::start(&again);
        for (run, body) in &before {
            assert_eq!(&get(&client, &process, &format!("/v1/runs/{run}")).await, &(200, body.clone()));
        }
        assert!(process.stop().status.success());
        let verify = offline("verify", &again, &[]);
        assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
    }
}

#[tokio::test]
async fn the_command_line_of_backups_keeps_its_word() {
    let place = tempfile::tempdir().unwrap();
    let (dir, target) = (place.path().join("data"), place.path().join("backup"));
    let client = reqwest::Client::new();
    let process = Process::start(&dir);
    for _ in 0..100 {
        store(&client, &process, &run()).await;
    }
    assert!(process.stop().status.success());
    // Of a stopped server's directory too.
    take(&dir, &target, &[]);
    let source = target.to_str().unwrap();
    let check = agenttracer(&["restore", source, "--check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", stderr(&check));

    for inside in [dir.join("backup"), dir.clone(), place.path().to_owned()] {
        let output = offline("backup", &dir, &[inside.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        assert!(stderr(&output).contains("contain each other"), "{}", stderr(&output));
    }
    let output = restore(&target, &dir);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("choose an empty directory"), "{}", stderr(&output));
    for arguments in [vec!["restore", source], vec!["backup"], vec!["restore", source, "a", "--check"]] {
        assert_eq!(agenttracer(&arguments).output().unwrap().status.code(), Some(64), "{arguments:?}");
    }
    let output = agenttracer(&["restore", place.path().to_str().unwrap(), "--check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("backup.json"), "{}", stderr(&output));

    let segment = files(&target.join("log")).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[5000] ^= 1;
    // Not through the link: the data directory has the same file.
    std::fs::remove_file(&segment).unwrap();
    std::fs::write(&segment, bytes).unwrap();
    let again = place.path().join("again");
    let output = restore(&target, &again);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(stderr(&output).contains(name) && stderr(&output).contains("SHA-256"), "{}", stderr(&output));
    assert!(!again.exists(), "nothing was written");
    let list = offline("backup", &dir, &["--list"]);
    assert_eq!(list.status.code(), Some(0));
    assert!(stdout(&list).contains(source) && stdout(&list).contains("0..800"), "{}", stdout(&list));
}
