//! The deliberate bugs in `bugs/`: `bugs/run` shows that each makes the simulator fail. Here only that they still are
//! what they say: changes of today's sources.

use std::path::Path;
use std::process::Command;

/// So many there are at least.
const BUGS: usize = 12;

#[test]
fn every_deliberate_bug_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let git = |arguments: &[&str]| Command::new("git").arg("-C").arg(root).args(arguments).output();
    if !git(&["rev-parse", "--is-inside-work-tree"]).is_ok_and(|answer| answer.status.success()) {
        // Sources without their history, as a release archive has them.
        return;
    }
    let bugs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/bugs");
    let files = std::fs::read_dir(&bugs).unwrap().map(|entry| entry.unwrap().path());
    let mut patches: Vec<_> = files.filter(|file| file.extension().is_some_and(|ext| ext == "patch")).collect();
    patches.sort();
    assert!(patches.len() >= BUGS, "{} patches in {}", patches.len(), bugs.display());
    let stale: Vec<String> = patches
        .iter()
        .filter_map(|patch| {
            let answer = git(&["apply", "--check", patch.to_str().unwrap()]).unwrap();
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            (!answer.status.success()).then(|| format!("{}: {said}", patch.display()))
        })
        .collect();
    assert!(stale.is_empty(), "the sources have moved on; make these bugs anew:\n{}", stale.join("\n"));
}
