//! Killed while runs are taken in and erased, while the log is compacted and purged offline, while a backup is taken: what
//! was acknowledged is there, what was erased never comes back, and when all is over the proof finds nothing of it.
//!
//! `AGENTTRACER_KILLS` says how often (6); `AGENTTRACER_SEED` repeats the moments of a run that failed.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Process, agenttracer, get, id, offline, run, serve, stderr, stdout};
use reqwest::Client;
use serde_json::{Value, json};

/// What the client knows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It was answered that the run is stored, or it was found after a kill.
    Stored,
    /// It was answered that the run is erased, or it was found to be gone after a kill.
    Erased,
    /// It was not stored when the server came again.
    Absent,
    /// There was no answer to the run.
    Sent,
    /// There was no answer to the erasure.
    Erasing,
}

type Runs = BTreeMap<String, Known>;

const CLIENTS: usize = 4;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Compaction,
    Backup,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_erased_comes_back() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("AGENTTRACER_KILLS").unwrap_or(6);
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    let seed = number("AGENTTRACER_SEED").unwrap_or_else(now);
    let _ = writeln!(std::io::stderr(), "AGENTTRACER_SEED={seed} AGENTTRACER_KILLS={kills}");
    let mut random = Random(seed);
    let (dir, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = backups.path().join("backup");
    let (mut all, mut cut_off) = (Runs::new(), 0);

    for kill in 0..kills {
        let victim = [Victim::Server, Victim::Compaction, Victim::Backup][kill as usize % 3];
        let process = Arc::new(start(dir.path()));
        check(&process, &mut all).await;
        let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(load(process.clone(), client, kill))).collect();
        // Now and then long enough for a pass of the maintenance in the background.
        let most = if kills >= 50 && kill % 10 == 0 { 8_000_000 } else { 400_000 };
        tokio::time::sleep(Duration::from_micros(1000 + random.below(most))).await;
        let mut second = None;
        if victim == Victim::Backup {
            let arguments = ["backup", backup.to_str().unwrap(), "--data-dir", dir.path().to_str().unwrap()];
            let mut child = agenttracer(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_micros(random.below(60_000))).await;
            child.kill().unwrap();
            second = Some(child.wait().unwrap());
        }
        // Through the shell, because the clients hold the process.
        let signal = format!("kill -KILL {}", process.pid());
        assert!(std::process::Command::new("sh").args(["-c", &signal]).status().unwrap().success());
        for client in clients {
            all.extend(client.await.unwrap());
        }
        let ended = Arc::into_inner(process).unwrap().kill();
        assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
        if victim == Victim::Compaction {
            let arguments = ["compact", "--data-dir", dir.path().to_str().unwrap()];
            let mut child = agenttracer(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_micros(random.below(250_000))).await;
            child.kill().unwrap();
            second = Some(child.wait().unwrap());
        }
        cut_off += u64::from(second.is_none_or(|status| status.code().is_none()));
        if let Some(code) = second.and_then(|status| status.code()) {
            assert_eq!(code, 0, "{victim:?} ended by itself");
        }
    }
    assert!(cut_off > 0, "everything had ended before it was killed");

    let process = start(dir.path());
    check(&process, &mut all).await;
    let ended = process.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    let done = |output: std::process::Output| {
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    };
    done(offline("compact", dir.path(), &[]));
    done(offline("verify", dir.path(), &[]));
    let proof: Value = serde_json::from_str(&done(offline("verify", dir.path(), &["--erasures", "--json"]))).unwrap();
    assert_eq!((&proof["holds"], &proof["pending"]), (&json!(true), &json!(0)), "{proof}");
    let erased = all.values().filter(|known| **known == Known::Erased).count();
    assert!(erased > 0 && proof["runs"].as_u64().unwrap() >= erased as u64, "{erased} erased, {proof}");
    // Whatever was left of a backup, the next one is whole, and after the purge it holds nothing of what was erased.
    done(offline("backup", dir.path(), &[backup.to_str().unwrap()]));
    let restored = backups.path().join("restored");
    let arguments = ["restore", backup.to_str().unwrap(), restored.to_str().unwrap()];
    done(agenttracer(&arguments).output().unwrap());
    let process = start(&restored);
    check(&process, &mut all).await;
    assert!(process.stop().status.success());
    done(offline("verify", &restored, &["--erasures"]));
}

fn start(dir: &Path) -> Process {
    Process::spawn(dir, serve(dir)).unwrap_or_else(|ended| panic!("{}", ended.stderr))
}

/// Sends runs and erases some of them, one by one and by session, until the server is gone.
async fn load(process: Arc<Process>, client: usize, round: u64) -> Runs {
    let http = Client::new();
    let (mut runs, mut group) = (Runs::new(), Vec::new());
    for count in 0.. {
        // Of eight runs one is erased by its id and the others with their session, and of sixteen eight stay.
        let session = format!("session-{round}-{client}-{}", count / 8);
        let mut run = run();
        run["session_id"] = json!(session);
        let sent = id(&run);
        group.push(sent.clone());
        runs.insert(sent.clone(), Known::Sent);
        match http.post(process.ingest_url("/v1/runs")).json(&run).send().await {
            Ok(answer) if answer.status() == 201 => runs.insert(sent.clone(), Known::Stored),
            _ => break,
        };
        if count % 8 == 0 {
            group.retain(|run| *run == sent);
        }
        if count % 8 == 3 {
            runs.insert(sent.clone(), Known::Erasing);
            match http.delete(process.query_url(&format!("/v1/runs/{sent}"))).send().await {
                Ok(answer) if answer.status() == 200 => runs.insert(sent, Known::Erased),
                _ => break,
            };
        } else if count % 16 == 7 {
            let body = json!({"session_id": session});
            let of_session: Vec<String> = group.drain(..).filter(|run| runs[run] == Known::Stored).collect();
            for run in &of_session {
                runs.insert(run.clone(), Known::Erasing);
            }
            match http.post(process.ingest_url("/v1/erasures")).json(&body).send().await {
                Ok(answer) if answer.status() == 201 => {
                    for run in of_session {
                        runs.insert(run, Known::Erased);
                    }
                }
                _ => break,
            }
        }
    }
    runs
}

/// Holds what the server shows to what is known, and settles what was open.
async fn check(process: &Process, all: &mut Runs) {
    let http = Client::new();
    let mut listed = BTreeSet::new();
    let mut next = Some("/v1/runs?view=summary&page_size=100".to_owned());
    while let Some(path) = next {
        let answer = http.get(process.query_url(&path)).send().await.unwrap();
        next = answer.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link[link.find("/v1/").unwrap()..link.find('>').unwrap()].to_owned()
        });
        for run in answer.json::<Vec<Value>>().await.unwrap() {
            assert!(listed.insert(id(&run)), "{} is listed twice", id(&run));
        }
    }
    let (_, stats) = get(&http, process, "/v1/stats").await;
    assert_eq!(serde_json::from_str::<Value>(&stats).unwrap()["total_runs"], listed.len());
    assert!(listed.iter().all(|run| all.contains_key(run)), "a run is listed that was never sent");
    for (index, (run, known)) in all.iter_mut().enumerate() {
        let is_there = listed.contains(run);
        match known {
            Known::Stored => assert!(is_there, "{run} is lost"),
            Known::Erased => assert!(!is_there, "{run} was erased, and came back"),
            Known::Absent => assert!(!is_there, "{run} should not be there"),
            Known::Sent => *known = if is_there { Known::Stored } else { Known::Absent },
            Known::Erasing => *known = if is_there { Known::Stored } else { Known::Erased },
        }
        if index % 10 == 0 {
            let (status, body) = get(&http, process, &format!("/v1/runs/{run}")).await;
            assert_eq!(status, if *known == Known::Stored { 200 } else { 404 }, "{run}, {known:?}: {body}");
        }
        if index % 10 == 1 && *known == Known::Erased {
            let again = json!({
                "run_id": run, "agent_id": "a", "agent_version": "1", "status": "success",
                "started_at": "2026-11-22T10:00:00Z",
            });
            let answer = http.post(process.ingest_url("/v1/runs")).json(&again).send().await.unwrap();
            assert_eq!(answer.status(), 410, "{run} was erased, and is taken again");
        }
    }
}

/// A small generator of its own, so that a seed means the same everywhere. Source: "Fast splittable pseudorandom
/// number generators" (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
