//! No thread of a server that nobody asks anything runs in circles.

mod common;

use std::time::Duration;

use common::{Process, run, store};

/// CPU time that the process used so far, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name stands in brackets and may hold anything; the numbers follow it.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
#[ignore = "measures for some seconds on a machine that does nothing else: `make prove` runs it"]
async fn an_idle_server_uses_less_than_one_percent_of_a_core() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    for _ in 0..100 {
        store(&client, &process, &run()).await;
    }
    // The last commit of the index comes after the last run.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = ticks(process.pid());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = ticks(process.pid()) - before;
    assert!(used < 10, "{used} ticks of 10 ms in 10 s");
    assert!(process.stop().status.success());
}
