//! P2 and P6 against the real program on a real file system that is filled to the last byte while it is under load: new
//! runs get 503 with the reason, nothing that was acknowledged is lost, reads go on, and when space is given back it takes
//! runs again by itself.
//!
//! A small tmpfs is mounted for this. Without the right to do so the test runs itself once more in a user and mount
//! namespace of its own; where that is not allowed either, it says so and proves nothing.

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Process, get, id, offline, run, stderr, stdout};
use reqwest::Client;
use serde_json::{Value, json};

/// How often the disk is filled, and with it that many bytes of tmpfs.
const ROUNDS: u64 = 3;
const DISK_BYTES: u64 = 24 << 20;
const CLIENTS: usize = 4;
/// How long anything may take before the test gives up.
const DEADLINE: Duration = Duration::from_secs(60);
/// Set for the second attempt, in a namespace.
const INSIDE: &str = "AGENTTRACER_TEST_IN_NAMESPACE";

/// A small file system, gone with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self, String> {
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        let mounted = mounted.map_err(|error| format!("mount: {error}"))?;
        match mounted.status.success() {
            true => Ok(Self(at.to_owned())),
            false => Err(stderr(&mounted).trim().to_owned()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_costs_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let refused = match SmallDisk::mount(dir.path()) {
        Ok(disk) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            return runtime.block_on(fill_and_free(&disk.0));
        }
        Err(refused) => refused,
    };
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().unwrap();
        let test = "a_disk_that_is_full_to_the_last_byte_costs_nothing_that_was_acknowledged";
        let again = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .arg(this)
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output();
        if let Ok(again) = again {
            let said = format!("{}{}", stdout(&again), stderr(&again));
            if again.status.success() {
                return say(&said);
            }
            assert!(!said.contains("test result: FAILED"), "{said}");
        }
    }
    say(&format!("skipped, nothing is proved: no file system can be mounted here ({refused})"));
    // The attempt in a namespace tells the one outside by its exit code.
    if std::env::var_os(INSIDE).is_some() {
        std::process::exit(3);
    }
}

/// What the clients know.
#[derive(Default)]
struct Known {
    /// The bodies of the 201s, by run id.
    acknowledged: Mutex<HashMap<String, String>>,
    /// The bodies of the answers that were no 201, by status.
    refused: Mutex<HashMap<u16, String>>,
    stop: AtomicBool,
}

async fn fill_and_free(disk: &Path) {
    let data = disk.join("data");
    std::fs::create_dir(&data).unwrap();
    let process =
        Arc::new(Process::spawn(&data, common::serve(&data)).unwrap_or_else(|ended| panic!("{}", ended.stderr)));
    let known = Arc::new(Known::default());
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(load(process.clone(), known.clone()))).collect();
    let http = Client::new();
    for round in 0..ROUNDS {
        wait("runs are taken", || async { count(&known) > (round + 1) as usize * 20 }).await;
        known.refused.lock().unwrap().clear();
        let ballast = fill(&disk.join("ballast"));
        wait("new runs are refused", || async { known.refused.lock().unwrap().contains_key(&503) }).await;
        // What was freed meanwhile, by a merge of the index for one, is taken away too: not a byte is left.
        let more = fill(&disk.join("ballast"));
        let refusal = known.refused.lock().unwrap()[&503].clone();
        let refusal: Value = serde_json::from_str(&refusal).unwrap();
        assert!(refusal["error"].as_str().unwrap().contains("disk is full"), "{refusal}");
        let health = http.get(process.ingest_url("/health")).send().await.unwrap();
        let (status, health) = (health.status().as_u16(), health.json::<Value>().await.unwrap());
        assert_eq!((status, &health["reason"]), (503, &json!("the disk is full")), "{health}");
        // Reads go on.
        let some: Vec<_> = known.acknowledged.lock().unwrap().iter().take(20).map(clone).collect();
        for (run, answered) in some {
            assert_eq!(get(&http, &process, &format!("/v1/runs/{run}")).await, (200, answered));
        }
        let before = count(&known);
        std::fs::remove_file(disk.join("ballast")).unwrap();
        wait("runs are taken again", || async { count(&known) > before + 50 }).await;
        say(&format!("round {round}: {ballast} and {more} bytes of ballast, {} runs acknowledged", count(&known)));
    }
    known.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let statuses: Vec<_> = known.refused.lock().unwrap().keys().copied().collect();
    assert!(statuses.iter().all(|status| [429, 503].contains(status)), "{statuses:?}");
    let acknowledged = std::mem::take(&mut *known.acknowledged.lock().unwrap());
    let found = |process: Arc<Process>| async {
        let (http, process) = (Client::new(), process);
        for (run, answered) in &acknowledged {
            assert_eq!(get(&http, &process, &format!("/v1/runs/{run}")).await, (200, answered.clone()), "{run}");
        }
    };
    found(process.clone()).await;
    let ended = Arc::into_inner(process).unwrap().stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    // From the disk alone.
    let process = Process::spawn(&data, common::serve(&data)).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    let process = Arc::new(process);
    found(process.clone()).await;
    assert!(Arc::into_inner(process).unwrap().stop().status.success());
    let verify = offline("verify", &data, &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
}

/// Sends one run after the other.
async fn load(process: Arc<Process>, known: Arc<Known>) {
    let http = Client::new();
    while !known.stop.load(Ordering::SeqCst) {
        let run = run();
        let response = http.post(process.ingest_url("/v1/runs")).json(&run).send().await.unwrap();
        let (status, body) = (response.status().as_u16(), response.text().await.unwrap());
        if status == 201 {
            known.acknowledged.lock().unwrap().insert(id(&run), body);
        } else {
            known.refused.lock().unwrap().insert(status, body);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn count(known: &Known) -> usize {
    known.acknowledged.lock().unwrap().len()
}

fn clone((run, body): (&String, &String)) -> (String, String) {
    (run.clone(), body.clone())
}

/// Writes to a file until nothing more fits, not even a byte; returns how much did.
fn fill(file: &Path) -> u64 {
    let mut file = File::options().create(true).append(true).open(file).unwrap();
    let (zeros, mut piece, mut written) = (vec![0; 1 << 20], 1 << 20, 0);
    while piece > 0 {
        match file.write(&zeros[..piece]) {
            Ok(0) => piece /= 2,
            Ok(taken) => written += taken as u64,
            Err(error) if error.kind() == ErrorKind::StorageFull => piece /= 2,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

async fn wait<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Says something for whoever reads the output of a test that failed.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
