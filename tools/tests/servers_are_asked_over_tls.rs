//! `https`, certificates and keys, for every command that asks a server.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Process, agenttracer, id, run, serve, stderr, stdout};

/// A server that speaks TLS, and the certificate that it signed itself.
fn server(dir: &Path, arguments: &[&str]) -> (Process, PathBuf) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = serve(&dir.join("data"));
    command.args(["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]).args(arguments);
    let process = Process::spawn(&dir.join("data"), command).unwrap_or_else(|ended| panic!("{}", ended.stderr));
    (process, cert)
}

fn at(arguments: &[&str], url: &str, ca: Option<&Path>) -> Command {
    let mut command = agenttracer(arguments);
    if arguments[0] == "healthcheck" {
        command.arg(url);
    } else {
        command.args(["--url", url]);
    }
    if let Some(ca) = ca {
        command.args(["--ca", ca.to_str().unwrap()]);
    }
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn every_command_speaks_tls_with_whom_it_trusts_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (process, cert) = server(dir.path(), &[]);
    let [ingest, query] = [process.ingest, process.query].map(|address| format!("https://{address}"));
    let (stored, lines) = (run(), dir.path().join("runs.ndjson"));
    std::fs::write(&lines, format!("{stored}\n")).unwrap();
    let lines = lines.to_str().unwrap();
    let run_id = id(&stored);

    let imported = at(&["import", lines], &ingest, Some(&cert)).output().unwrap();
    assert_eq!(code(&imported), Some(0), "{}", stderr(&imported));
    assert_eq!(stdout(&imported), "accepted 1, duplicates 0, rejected 0\n");
    let listed = at(&["runs", "--json"], &query, Some(&cert)).output().unwrap();
    assert!(stdout(&listed).contains(&run_id), "{}{}", stdout(&listed), stderr(&listed));
    let shown = at(&["run", &run_id], &query, None).env("AGENTTRACER_CA", &cert).output().unwrap();
    assert!(stdout(&shown).contains("✗ tool/timeout"), "{}{}", stdout(&shown), stderr(&shown));
    let demo = at(&["demo", "--runs", "20", "--json"], &ingest, Some(&cert)).output().unwrap();
    assert_eq!(code(&demo), Some(0), "{}", stderr(&demo));
    let health = at(&["healthcheck", &ingest], &query, Some(&cert)).output().unwrap();
    assert_eq!(code(&health), Some(0), "{}", stderr(&health));
    assert_eq!(stdout(&health), format!("{ingest} healthy\n{query} healthy\n"));

    // A certificate that nobody here knows.
    for (arguments, url) in [
        (vec!["import", lines], &ingest),
        (vec!["demo"], &ingest),
        (vec!["runs"], &query),
        (vec!["tail"], &query),
        (vec!["compare", "a", "b", "--agent-id", "x"], &query),
        (vec!["healthcheck"], &query),
    ] {
        let expected = if arguments[0] == "healthcheck" { 1 } else { 69 };
        // The machine that tests may have no authorities at all.
        let other = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
        let ca = dir.path().join("other.pem");
        std::fs::write(&ca, other.cert.pem()).unwrap();
        let output = at(&arguments, url, Some(&ca)).output().unwrap();
        assert_eq!(code(&output), Some(expected), "{arguments:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert!(
            text.contains("certificate that is not trusted here") && text.contains("--ca FILE"),
            "{arguments:?}: {text}"
        );
    }
    // Spoken to in the wrong way, on either side.
    let plain = query.replace("https", "http");
    let output = at(&["runs"], &plain, None).output().unwrap();
    assert_eq!(code(&output), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains("if it speaks TLS, write https://"), "{}", stderr(&output));
    for (text, part) in
        [("", "no certificate"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used")]
    {
        let file = dir.path().join("bad.pem");
        std::fs::write(&file, text).unwrap();
        let output = at(&["runs"], &query, Some(&file)).output().unwrap();
        assert_eq!(code(&output), Some(64), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert!(process.stop().status.success());

    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let output = at(&["runs"], &format!("https://{}", process.query), Some(&cert)).output().unwrap();
    assert_eq!(code(&output), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains("does not speak TLS: write http://"), "{}", stderr(&output));
    let health = at(&["healthcheck"], &format!("http://{}", process.query), None).output().unwrap();
    assert_eq!((code(&health), stdout(&health)), (Some(0), format!("http://{} healthy\n", process.query)));
    let query = process.query;
    assert!(process.stop().status.success());
    let health = at(&["healthcheck"], &format!("http://{query}"), None).output().unwrap();
    assert_eq!((code(&health), stdout(&health)), (Some(1), String::new()));
    assert!(stderr(&health).contains("no server answers"), "{}", stderr(&health));
}

#[test]
fn a_key_is_asked_for_used_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let made =
        agenttracer(&["keys", "create", "--data-dir", data.to_str().unwrap(), "--name", "cli", "--scope", "query"]);
    let made = { made }.output().unwrap();
    let key = stdout(&made).trim().to_owned();
    assert!(!key.is_empty(), "{}", stderr(&made));
    let (process, cert) = server(dir.path(), &["--require-keys"]);
    let query = format!("https://{}", process.query);
    let ingest = format!("https://{}", process.ingest);

    let without = at(&["runs"], &query, Some(&cert)).output().unwrap();
    assert_eq!(code(&without), Some(69));
    assert!(stderr(&without).contains("agenttracer keys create --name cli --scope query"), "{}", stderr(&without));
    for command in ["runs", "stats", "failures"] {
        let with = at(&[command], &query, Some(&cert)).env("AGENTTRACER_API_KEY", &key).output().unwrap();
        assert_eq!(code(&with), Some(0), "{}", stderr(&with));
    }
    // One that is not valid, and one that may not do this.
    let wrong = format!("{key}x");
    for command in ["runs", "tail"] {
        let output = at(&[command], &query, Some(&cert)).env("AGENTTRACER_API_KEY", &wrong).output().unwrap();
        assert_eq!(code(&output), Some(69), "{}", stderr(&output));
        assert!(stderr(&output).contains("the key in AGENTTRACER_API_KEY is not valid"), "{}", stderr(&output));
        assert!(!stderr(&output).contains(&key), "{}", stderr(&output));
    }
    let output = at(&["demo", "--runs", "1"], &ingest, Some(&cert)).env("AGENTTRACER_API_KEY", &key).output().unwrap();
    assert_eq!(code(&output), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains("refuses this") && stderr(&output).contains("ingest"), "{}", stderr(&output));
    assert!(!stderr(&output).contains(&key), "{}", stderr(&output));
    assert!(process.stop().status.success());
}
