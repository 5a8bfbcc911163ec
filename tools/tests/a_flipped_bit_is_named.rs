//! P3 through the command line: a bit of a sealed segment is flipped, wherever it is; `verify` names it, the run it hit
//! is an error that says so, and everything else is answered.

mod common;

use std::path::{Path, PathBuf};

use common::{Process, files, get, id, offline, run, stderr, stdout};
use serde_json::Value;

/// Bytes of a segment header and of a block that groups are padded to.
const BLOCK: usize = 4096;

struct Place {
    what: &'static str,
    offset: usize,
    /// Whether a run is lost with it.
    hits_a_run: bool,
}

/// One place of each kind in the first segment, whose bytes these are.
fn places(bytes: &[u8]) -> Vec<Place> {
    let place = |what, offset, hits_a_run| Place { what, offset, hits_a_run };
    let agent = b"support-agent";
    let payload = bytes.windows(agent.len()).position(|window| window == agent).unwrap();
    let second =
        BLOCK + bytes[BLOCK + 8..].windows(4).position(|window| window == &bytes[BLOCK..BLOCK + 4]).unwrap() + 8;
    let padding = (second..bytes.len() - 64)
        .find(|&at| at % 8 == 0 && at % BLOCK < BLOCK - 64 && bytes[at..at + 64].iter().all(|byte| *byte == 0))
        .unwrap();
    vec![
        place("segment header", 9, false),
        place("segment header's padding", BLOCK - 7, false),
        place("magic of a frame", BLOCK + 1, true),
        place("first frame header", BLOCK + 20, true),
        place("payload", payload + 3, true),
        place("second frame header", second + 20, true),
        place("padding", padding + 5, false),
        place("end of the file", bytes.len() - 9, false),
    ]
}

fn first_segment(dir: &Path) -> PathBuf {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
    files(&dir.join("log")).into_iter().find(is_segment).unwrap()
}

#[tokio::test]
async fn a_flipped_bit_of_a_sealed_segment_is_named_and_costs_at_most_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let client = reqwest::Client::new();
    let process = Process::start(dir.path());
    let mut stored: Vec<(String, String, u64)> = Vec::new();
    for _ in 0..400 {
        let run = run();
        let body = common::store(&client, &process, &run).await;
        let position = serde_json::from_str::<Value>(&body).unwrap()["position"].as_u64().unwrap();
        stored.push((id(&run), body, position));
    }
    assert!(process.stop().status.success());
    let verify = offline("verify", dir.path(), &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));

    let segment = first_segment(dir.path());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let intact = std::fs::read(&segment).unwrap();
    let segments = files(&dir.path().join("log")).len();
    assert!(segments >= 3, "there are only {segments} segments");

    for place in places(&intact) {
        let mut damaged = intact.clone();
        damaged[place.offset] ^= 0x10;
        std::fs::write(&segment, &damaged).unwrap();

        let verify = offline("verify", dir.path(), &["--json"]);
        let what = format!("{} at {}: {}{}", place.what, place.offset, stdout(&verify), stderr(&verify));
        assert_eq!(verify.status.code(), Some(1), "{what}");
        let report: Value = serde_json::from_slice(&verify.stdout).unwrap();
        let damage = report["damage"].as_array().unwrap_or_else(|| panic!("{what}"));
        let named = damage.iter().find(|damage| {
            let (start, end) = (damage["offsets"][0].as_u64().unwrap(), damage["offsets"][1].as_u64().unwrap());
            damage["file"].as_str().unwrap().ends_with(name) && (start..end).contains(&(place.offset as u64))
        });
        let named = named.unwrap_or_else(|| panic!("{what}"));
        let (start, end) = (named["positions"][0].as_u64().unwrap(), named["positions"][1].as_u64().unwrap());
        assert_eq!(start < end, place.hits_a_run, "{what}");
        let people = offline("verify", dir.path(), &[]);
        assert_eq!(people.status.code(), Some(1));
        assert!(stdout(&people).contains(name), "{}", stdout(&people));

        let process = Process::start(dir.path());
        let mut lost = 0;
        for (run, body, position) in &stored {
            let (status, answer) = get(&client, &process, &format!("/v1/runs/{run}")).await;
            if (start..end).contains(position) {
                assert!(status >= 500 && answer.contains("damage"), "{status} {answer}, {what}");
                lost += 1;
            } else {
                assert_eq!((status, &answer), (200, body), "{what}");
            }
        }
        assert_eq!(lost > 0, place.hits_a_run, "{what}");
        assert!(lost <= 1, "{lost} runs are lost, {what}");
        assert!(process.stop().status.success());
        std::fs::write(&segment, &intact).unwrap();
    }
    let verify = offline("verify", dir.path(), &[]);
    assert_eq!(verify.status.code(), Some(0), "{}{}", stdout(&verify), stderr(&verify));
}
