//! P2 against the real program: killed under load at random moments, again and again on one data directory, it loses
//! nothing that it acknowledged, shows nothing half, and says what it found.
//!
//! `AGENTTRACER_KILLS` says how often (5); `AGENTTRACER_SEED` repeats the moments of a run that failed.

mod common;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use common::{Process, get, id, offline, run, serve, stderr, stdout};
use reqwest::Client;
use serde_json::{Value, json};

/// What the client knows of a run.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    /// It got a 201 with this body.
    Acknowledged(String),
    /// A batch answered that it took it, or it was found to be there after a kill.
    Accepted,
    /// It got a 4xx, or was found to be absent after a kill.
    Refused,
    /// There was no answer.
    Open,
}

type Sent = HashMap<String, Known>;

const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_it_loses_nothing_and_shows_nothing_half() {
    let kills: u64 = std::env::var("AGENTTRACER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let seed = std::env::var("AGENTTRACER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
    });
    say(&format!("AGENTTRACER_SEED={seed} AGENTTRACER_KILLS={kills}"));
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut all = Sent::new();

    for kill in 0..kills {
        // What is written and not yet synced outlives the process too, so either mode keeps its word here.
        let mut command = serve(dir.path());
        command.args(["--sync", if kill % 2 == 0 { "always" } else { "interval=50ms" }]);
        let process = Process::spawn(dir.path(), command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
        let process = Arc::new(process);
        check(&process, &mut all, kill.checked_sub(1)).await;

        let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(load(process.clone(), client, kill))).collect();
        tokio::time::sleep(Duration::from_micros(1000 + random.below(400_000))).await;
        let signal = format!("kill -KILL {}", process.pid());
        assert!(std::process::Command::new("sh").args(["-c", &signal]).status().unwrap().success());
        let mut fresh = 0;
        for client in clients {
            let sent = client.await.unwrap();
            fresh += sent.values().filter(|known| matches!(known, Known::Acknowledged(_) | Known::Accepted)).count();
            all.extend(sent);
        }
        let ended = Arc::into_inner(process).unwrap().kill();
        assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
        assert!(ended.stderr.contains("the log is open"), "start-up said nothing: {}", ended.stderr);
        say(&format!("kill {kill}: {fresh} runs acknowledged"));
    }

    let process = Process::start(dir.path());
    check(&process, &mut all, None).await;
    let acknowledged = all.values().filter(|known| matches!(known, Known::Acknowledged(_) | Known::Accepted)).count();
    assert!(acknowledged > 0, "no run was acknowledged between the kills");
    let ended = process.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    let verify = offline("verify", dir.path(), &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
}

/// Sends runs one by one and in batches, valid and not, until the server is gone.
async fn load(process: Arc<Process>, client: usize, round: u64) -> Sent {
    let http = Client::new();
    let mut sent = Sent::new();
    for count in 0.. {
        let marked = |refused: bool| {
            let mut run = run();
            run["agent_id"] = json!(format!("agent-{client}"));
            run["session_id"] = json!(format!("round-{round}"));
            if refused {
                run["steps"][1]["seq"] = json!(7);
            }
            run
        };
        let gone = if count % 7 == 3 {
            let runs: Vec<Value> = (0..20).map(|index| marked(index % 10 == 9)).collect();
            for run in &runs {
                sent.insert(id(run), Known::Open);
            }
            match http.post(process.ingest_url("/v1/runs/batch")).json(&runs).send().await {
                Ok(response) if response.status().as_u16() == 200 => match response.json::<Value>().await {
                    Ok(answer) => {
                        let rejected = answer["rejected"].as_array().unwrap().iter().map(id).collect::<HashSet<_>>();
                        for run in runs.iter().map(id) {
                            let known = if rejected.contains(&run) { Known::Refused } else { Known::Accepted };
                            sent.insert(run, known);
                        }
                        false
                    }
                    Err(_) => true,
                },
                Ok(response) => response.status().is_success(),
                Err(_) => true,
            }
        } else {
            let run = marked(count % 11 == 5);
            sent.insert(id(&run), Known::Open);
            match http.post(process.ingest_url("/v1/runs")).json(&run).send().await {
                Ok(response) => match (response.status().as_u16(), response.text().await) {
                    (201, Ok(body)) => {
                        sent.insert(id(&run), Known::Acknowledged(body));
                        false
                    }
                    (400..500, Ok(_)) => {
                        sent.insert(id(&run), Known::Refused);
                        false
                    }
                    (_, outcome) => outcome.is_err(),
                },
                Err(_) => true,
            }
        };
        if gone {
            break;
        }
    }
    sent
}

/// Asks whether the list, the statistics and the runs by id agree with what is known, of the runs of `round` for every
/// one by id (of all with `None`), and settles what was open: from now on it stays there, or stays away.
async fn check(process: &Process, all: &mut Sent, round: Option<u64>) {
    let http = Client::new();
    let last = round.map(|round| format!("round-{round}"));
    let mut listed = HashMap::new();
    let mut next = Some("/v1/runs?view=summary&page_size=100".to_owned());
    while let Some(path) = next {
        let response = http.get(process.query_url(&path)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        next = response.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link[link.find("/v1/").unwrap()..link.find('>').unwrap()].to_owned()
        });
        for run in response.json::<Vec<Value>>().await.unwrap() {
            let session = run["session_id"].as_str().unwrap().to_owned();
            assert_eq!(listed.insert(id(&run), session), None, "{} is listed twice", id(&run));
        }
    }
    let (_, stats) = get(&http, process, "/v1/stats").await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["total_runs"], listed.len());
    // Three steps each: no run is half.
    assert_eq!(stats["step_type_breakdown"]["tool"].as_u64().unwrap_or(0), listed.len() as u64);

    for run in listed.keys() {
        assert!(all.contains_key(run), "{run} was never sent");
    }
    for (index, (run, known)) in all.iter_mut().enumerate() {
        match known {
            Known::Acknowledged(_) | Known::Accepted => assert!(listed.contains_key(run), "{run} is lost"),
            Known::Refused => assert!(!listed.contains_key(run), "{run} should not be there"),
            Known::Open if listed.contains_key(run) => *known = Known::Accepted,
            Known::Open => *known = Known::Refused,
        }
        let Some(session) = listed.get(run) else { continue };
        if last.as_ref().is_none_or(|last| last == session) || index % 20 == 0 {
            let (status, body) = get(&http, process, &format!("/v1/runs/{run}")).await;
            assert_eq!(status, 200, "{run}: {body}");
            if let Known::Acknowledged(answered) = &known {
                assert_eq!(&body, answered, "{run} is not what was acknowledged");
            }
            let whole: Value = serde_json::from_str(&body).unwrap();
            for (part, count) in [("steps", 3), ("failures", 1), ("decisions", 1), ("quality_signals", 1)] {
                assert_eq!(whole[part].as_array().unwrap().len(), count, "{run}: {part}");
            }
        }
    }
}

/// Says something for whoever reads the output of a test that failed.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
