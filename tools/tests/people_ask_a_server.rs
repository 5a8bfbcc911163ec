//! `agenttracer runs`, `run`, `stats` and `failures`: what they print for people and for programs, and how they end.

mod common;

use std::process::{Command, Output, Stdio};

use common::{Process, agenttracer, demo, get, id, run, stderr, stdout, store};
use serde_json::Value;

/// The runs of the demo's day, and the live one that has ended.
const ALL: usize = 401;

/// A server with the demo's day, which ends always at the same time.
fn server(dir: &std::path::Path) -> Process {
    let process = Process::start(dir);
    let output = demo(&process, &["--runs", "400", "--until", "2026-11-22T12:00:00Z"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    process
}

fn ask(process: &Process, arguments: &[&str]) -> Output {
    agenttracer(arguments).args(["--url", &format!("http://{}", process.query)]).output().unwrap()
}

/// What a command prints that works.
fn told(process: &Process, arguments: &[&str]) -> String {
    let output = ask(process, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// Runs a command line as a person does, in a terminal that is so wide.
fn in_a_terminal(process: &Process, columns: u32, environment: &str, arguments: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_agenttracer");
    let line =
        format!("stty cols {columns} rows 50; {environment} {binary} {arguments} --url http://{}", process.query);
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output).replace('\r', "")
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut pieces = text.split('\u{1b}');
    plain.push_str(pieces.next().unwrap());
    for piece in pieces {
        plain.push_str(piece.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[tokio::test]
async fn runs_are_listed_filtered_sorted_and_paged() {
    let dir = tempfile::tempdir().unwrap();
    let process = server(dir.path());
    let client = reqwest::Client::new();

    let text = told(&process, &["runs", "--utc"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 21, "{text}");
    assert!(lines[0].starts_with("started") && lines[0].ends_with("run"), "{text}");
    let (_, body) = get(&client, &process, "/v1/runs?page_size=20&view=summary").await;
    let runs: Vec<Value> = serde_json::from_str(&body).unwrap();
    for (line, run) in lines[1..].iter().zip(&runs) {
        for part in ["run_id", "agent_id", "agent_version", "environment"] {
            assert!(line.contains(run[part].as_str().unwrap()), "{part}: {line}");
        }
    }
    assert_eq!(told(&process, &["runs", "--json"]).trim_end(), body, "the API's own answer");

    // Page behind page, and all at once.
    let all: Vec<Value> = serde_json::from_str(&told(&process, &["runs", "--json", "-n", "1000"])).unwrap();
    assert_eq!(all.len(), ALL);
    let mut paged: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut arguments = vec!["runs", "--json", "-n", "150"];
        arguments.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let output = ask(&process, &arguments);
        paged.extend(serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap());
        let note = stderr(&output);
        let Some((before, next)) = note.trim_end().split_once("--cursor ") else { break };
        assert!(before.starts_with(&format!("150 of {ALL} runs")), "{note}");
        cursor = Some(next.to_owned());
    }
    assert_eq!(paged, all);

    let failed = told(&process, &["runs", "--status", "failure", "-n", "1000", "--json"]);
    let failed: Vec<Value> = serde_json::from_str(&failed).unwrap();
    let expected = all.iter().filter(|run| run["status"] == "failure").count();
    assert!(expected > 10 && failed.len() == expected, "{} of {expected}", failed.len());
    let searched = told(&process, &["runs", "status:failure", "agent:support*", "-n", "1000", "--json"]);
    let searched: Vec<Value> = serde_json::from_str(&searched).unwrap();
    assert!(!searched.is_empty() && searched.iter().all(|run| run["agent_id"] == "support-triage"));
    let flagged =
        told(&process, &["runs", "-q", "status:failure", "--agent-id", "support-triage", "-n", "1000", "--json"]);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&flagged).unwrap(), searched);
    let longest = told(&process, &["runs", "--sort", "duration", "--json"]);
    let longest: Vec<Value> = serde_json::from_str(&longest).unwrap();
    assert!(longest.is_sorted_by_key(|run| std::cmp::Reverse(run["duration_ms"].as_u64())), "{longest:?}");
    let whole = told(&process, &["runs", "--json", "--full", "-n", "1"]);
    assert!(serde_json::from_str::<Value>(&whole).unwrap()[0]["steps"].is_array());

    let nothing = ask(&process, &["runs", "agent:nobody"]);
    assert_eq!(
        (nothing.status.code(), stdout(&nothing), stderr(&nothing)),
        (Some(0), String::new(), "no run matches\n".into())
    );
    let live = told(&process, &["runs", "--status", "running"]);
    assert!(live.lines().skip(1).all(|line| line.contains("▸ running")) && live.lines().count() > 1, "{live}");
    assert_eq!(process.stop().status.code(), Some(0));
}

#[tokio::test]
async fn a_run_is_shown_with_what_failed_and_where_the_time_went() {
    let dir = tempfile::tempdir().unwrap();
    let process = server(dir.path());
    let client = reqwest::Client::new();
    let again = demo(&process, &["--runs", "400", "--until", "2026-11-22T12:00:00Z", "--json"]);
    let sent: Value = serde_json::from_slice(&again.stdout).unwrap();
    let fails = sent["long_run"]["fails"].as_str().unwrap();
    let text = told(&process, &["run", fails, "--utc", "--all"]);
    let (_, body) = get(&client, &process, &format!("/v1/runs/{fails}")).await;
    let run: Value = serde_json::from_str(&body).unwrap();
    for part in [
        "✗ failure  support-triage 2.4.1  production",
        "✗ tool/timeout in step",
        "tickets.update: no answer within 5 s, 4 attempts",
        "attempt 4/4",
        "Where the time went",
        "Decisions",
        "retry_budget_exhausted",
        "retry_occurred/max_retries_reached",
        run["started_at"].as_str().unwrap()[..19].replace('T', " ").as_str(),
        run["session_id"].as_str().unwrap(),
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    // A row for each step, in their order.
    for step in run["steps"].as_array().unwrap() {
        let row = format!(" {}  ", step["seq"]);
        let name = step["name"].as_str().unwrap();
        assert!(text.lines().any(|line| line.contains(&row) && line.contains(name)), "{row}{name}:\n{text}");
    }
    assert_eq!(told(&process, &["run", fails, "--json"]).trim_end(), body);

    // What a sub-agent did stands with the run that it was for.
    let (_, crews) = get(&client, &process, "/v1/runs?agent_id=research-crew&view=summary").await;
    let crews: Vec<Value> = serde_json::from_str(&crews).unwrap();
    let text = told(&process, &["run", crews[0]["run_id"].as_str().unwrap()]);
    assert!(text.contains("Runs of its sub-agents") && text.contains("research-worker"), "{text}");
    assert!(text.lines().any(|line| line.contains("  tool      worker.")), "below the step they belong to:\n{text}");

    let unknown = ask(&process, &["run", "00000000-0000-4000-8000-000000000000"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    assert_eq!(stderr(&unknown), "error: Run 00000000-0000-4000-8000-000000000000 not found\n");
    assert_eq!(process.stop().status.code(), Some(0));
}

#[tokio::test]
async fn of_many_sub_agents_runs_it_is_said_how_many_are_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    let parent = run();
    store(&client, &process, &parent).await;
    let parent = id(&parent);
    let send = |many: usize| {
        let of_parent = |_| {
            let mut run = run();
            run["parent_run_id"] = parent.as_str().into();
            run
        };
        let runs: Vec<Value> = (0..many).map(of_parent).collect();
        client.post(process.ingest_url("/v1/runs/batch")).json(&runs).send()
    };
    assert_eq!(send(50).await.unwrap().status(), 200);
    let shows = |text: &str| text.lines().filter(|line| line.contains("v1.0.0") && !line.contains(&parent)).count();
    let text = told(&process, &["run", &parent]);
    assert!(text.contains("Runs of its sub-agents") && !text.contains(" more:"), "all are there:\n{text}");
    assert_eq!(send(7).await.unwrap().status(), 200);
    let text = told(&process, &["run", &parent]);
    let (_, listed) = text.split_once("Runs of its sub-agents\n").unwrap();
    assert_eq!(shows(listed), 50, "{listed}");
    let (_, command) = listed.split_once("  and 7 more:\n  agenttracer ").unwrap();
    let command: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(shows(&told(&process, &command)), 57, "what it says to type shows all");
    assert_eq!(process.stop().status.code(), Some(0));
}

#[tokio::test]
async fn numbers_and_failures_are_those_of_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let process = server(dir.path());
    let client = reqwest::Client::new();
    let (_, body) = get(&client, &process, "/v1/stats").await;
    assert_eq!(told(&process, &["stats", "--json"]).trim_end(), body);
    let stats: Value = serde_json::from_str(&body).unwrap();
    let text = told(&process, &["stats"]);
    let failures = stats["total_failures"].to_string();
    assert!(text.starts_with(&format!("{ALL} runs  {failures} failed (")), "{text}");
    let (code, count) =
        stats["failure_breakdown"].as_object().unwrap().iter().max_by_key(|(_, count)| count.as_u64()).unwrap();
    let row = text.lines().find(|line| line.contains(code.as_str())).unwrap();
    let count = count.to_string();
    assert!(row.split_whitespace().any(|word| word == count), "{row}");
    assert!(text.contains("p95") && text.contains("Over time"), "{text}");

    let (_, body) = get(&client, &process, "/v1/failures?agent_id=support-triage&limit=20").await;
    assert_eq!(told(&process, &["failures", "--agent-id", "support-triage", "--json"]).trim_end(), body);
    let failures: Value = serde_json::from_str(&body).unwrap();
    let text = told(&process, &["failures", "--agent-id", "support-triage"]);
    for cluster in failures["clusters"].as_array().unwrap() {
        let name = cluster["cluster"].as_str().unwrap();
        assert!(text.contains(&format!("agenttracer runs cluster:{name}")), "{name}:\n{text}");
        // What it says to type finds the runs of the cluster.
        let search = format!("cluster:{name}");
        let runs: Vec<Value> =
            serde_json::from_str(&told(&process, &["runs", &search, "-n", "1000", "--json"])).unwrap();
        assert_eq!(runs.len() as u64, cluster["runs"].as_u64().unwrap(), "{name}");
    }
    assert!(text.contains("tickets.update") && text.contains("2.4.1 ("), "{text}");
    assert_eq!(process.stop().status.code(), Some(0));
}

#[test]
fn a_terminal_gets_what_fits_and_colours_unless_it_wants_none() {
    let dir = tempfile::tempdir().unwrap();
    let process = server(dir.path());
    let again = demo(&process, &["--runs", "400", "--until", "2026-11-22T12:00:00Z", "--json"]);
    let sent: Value = serde_json::from_slice(&again.stdout).unwrap();
    let run = format!("run {}", sent["long_run"]["fails"].as_str().unwrap());
    // No effect is so large, so that it ends as the others do.
    let compare = "compare 2.4.0 2.4.1 --agent-id support-triage --all --min-effect 4";
    for arguments in ["runs -n 30", &run, "stats", "failures", compare] {
        for columns in [80, 140] {
            let text = in_a_terminal(&process, columns, "", arguments);
            assert!(text.contains("\u{1b}["), "{arguments}: no colours on a terminal:\n{text}");
            let plain = without_colours(&text);
            // The note of the next page is one word that nobody can break.
            for line in plain.lines().filter(|line| !line.contains("--cursor")) {
                let width = line.chars().count();
                assert!(width <= columns as usize, "{arguments} in {columns} columns: {width}: {line}\n{plain}");
            }
        }
        let plain = in_a_terminal(&process, 100, "NO_COLOR=1", arguments);
        assert!(!plain.contains('\u{1b}'), "{arguments}: {plain}");
        let plain = in_a_terminal(&process, 100, "", &format!("{arguments} --color never"));
        assert!(!plain.contains('\u{1b}'), "{arguments}: {plain}");
        let words: Vec<&str> = arguments.split(' ').collect();
        assert!(!told(&process, &words).contains('\u{1b}'), "{arguments}: colours in a pipe");
        assert!(told(&process, &[&words[..], &["--color", "always"]].concat()).contains('\u{1b}'), "{arguments}");
    }
    assert_eq!(process.stop().status.code(), Some(0));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let process = server(dir.path());
    let binary = env!("CARGO_BIN_EXE_agenttracer");
    for arguments in ["runs -n 400", "runs -n 400 --json --full", "stats", "failures", "man", "completions bash"] {
        let url = if arguments.starts_with("man") || arguments.starts_with("comp") {
            String::new()
        } else {
            format!("--url http://{}", process.query)
        };
        let line = format!("set -o pipefail; {binary} {arguments} {url} | head -c 20");
        let output = Command::new("bash").args(["-c", &line]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", stderr(&output));
        assert!(
            !stderr(&output).contains("panic") && !stderr(&output).contains("error"),
            "{arguments}: {}",
            stderr(&output)
        );
        assert_eq!(output.stdout.len(), 20, "{arguments}");
    }
    assert_eq!(process.stop().status.code(), Some(0));
}

#[test]
fn what_cannot_be_asked_is_said_without_the_question() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let private = "jane.doe@private.example";
    for (arguments, code, part) in [
        (vec!["runs", "-q", "nofield:jane.doe@private.example"], 64, "search line, column 1"),
        (vec!["runs", "--cursor", private], 64, "cursor: Input should be a cursor"),
        (vec!["stats", "-q", "duration:jane.doe@private.example"], 64, "column"),
        (vec!["failures", "-q", "(jane.doe@private.example:"], 64, "column"),
        (vec!["tail", "-q", "nofield:jane.doe@private.example"], 64, "column"),
    ] {
        let output = ask(&process, &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains(private), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
    let ingest = format!("http://{}", process.ingest);
    let output = agenttracer(&["runs", "--url", &ingest]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains("is it the query address"), "{}", stderr(&output));

    // The address of a server that was.
    let query = format!("http://{}", process.query);
    assert_eq!(process.stop().status.code(), Some(0));
    for command in ["runs", "stats", "failures", "tail"] {
        let output = agenttracer(&[command, "--url", &query]).output().unwrap();
        assert_eq!(output.status.code(), Some(69), "{command}: {}", stderr(&output));
        let expected = format!(
            "error: no server answers at {query}: start one with `agenttracer serve`, or name another with --url / \
             AGENTTRACER_QUERY_URL\n"
        );
        assert_eq!(stderr(&output), expected);
    }
    for url in ["http://user:s3cret-word@127.0.0.1:1", "127.0.0.1:8001", "ftp://s3cret-word"] {
        for command in ["runs", "stats", "demo", "healthcheck"] {
            let flag = if command == "healthcheck" { vec![url] } else { vec!["--url", url] };
            let output = agenttracer(&[&[command][..], &flag].concat()).output().unwrap();
            assert_eq!(output.status.code(), Some(64), "{command} {url}: {}", stderr(&output));
            assert!(!stderr(&output).contains("s3cret-word"), "{}", stderr(&output));
        }
    }
    let output =
        agenttracer(&["runs"]).env("AGENTTRACER_QUERY_URL", "http://user:s3cret-word@127.0.0.1:1").output().unwrap();
    assert!(!stderr(&output).contains("s3cret-word"), "{}", stderr(&output));
    let help =
        agenttracer(&["runs", "--help"]).env("AGENTTRACER_QUERY_URL", "http://u:s3cret-word@h").output().unwrap();
    assert!(!stdout(&help).contains("s3cret-word"), "{}", stdout(&help));
}
