//! `agenttracer completions` in a real bash, and `agenttracer man` through a real formatter.

mod common;

use std::process::{Command, Stdio};

use common::{agenttracer, stderr, stdout};

/// What bash offers behind these words.
fn completed(script: &std::path::Path, words: &[&str]) -> Vec<String> {
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    // As bash calls it when somebody types Tab.
    let line = format!(
        "source '{}'; COMP_WORDS=({list}); COMP_CWORD={}; COMP_LINE=\"${{COMP_WORDS[*]}}\"; COMP_POINT=${{#COMP_LINE}}; \
         name=$(complete -p agenttracer | grep -oE -- '-F [^ ]+' | cut -d' ' -f2); \
         \"$name\" agenttracer '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let output = Command::new("bash").args(["--norc", "-c", &line]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("agenttracer.bash");
    let output = agenttracer(&["completions", "bash"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    std::fs::write(&script, &output.stdout).unwrap();
    assert_eq!(completed(&script, &["agenttracer", "ru"]), ["runs", "run"]);
    assert_eq!(completed(&script, &["agenttracer", "runs", "--failure-t"]), ["--failure-type"]);
    assert_eq!(
        completed(&script, &["agenttracer", "runs", "--failure-type", ""]),
        ["tool", "model", "retrieval", "orchestration"]
    );
    assert_eq!(completed(&script, &["agenttracer", "runs", "--reason-code", "early"]), ["early_exit"]);
    assert_eq!(completed(&script, &["agenttracer", "keys", "rot"]), ["rotate"]);
    for (shell, part) in [("zsh", "#compdef agenttracer"), ("fish", "complete -c agenttracer")] {
        let output = agenttracer(&["completions", shell]).output().unwrap();
        assert!(stdout(&output).contains(part), "{shell}");
    }
    let output = agenttracer(&["completions", "sh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}

/// A page as a reader sees it; a formatter that warns fails.
fn rendered(page: &[u8]) -> String {
    use std::io::Write;
    let mut groff = Command::new("groff");
    groff.args(["-Kutf8", "-man", "-Tlatin1", "-P-c", "-ww", "-rLL=100n"]);
    let mut child =
        groff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("groff is needed");
    child.stdin.take().unwrap().write_all(page).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
    // Bold is written as a letter over itself.
    let mut text = String::new();
    for char in String::from_utf8_lossy(&output.stdout).chars() {
        match char {
            '\u{8}' => text.truncate(text.len().saturating_sub(1)),
            char => text.push(char),
        }
    }
    text
}

/// The names of the commands below one, by its help.
fn commands(of: &[&str]) -> Vec<String> {
    let help = agenttracer(&[of, &["--help"]].concat()).output().unwrap();
    let help = stdout(&help);
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    names
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_manual_page_that_renders() {
    let dir = tempfile::tempdir().unwrap();
    let output = agenttracer(&["man", dir.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut names = vec!["agenttracer".to_owned()];
    for command in commands(&[]) {
        names.extend(commands(&[&command]).iter().map(|sub| format!("agenttracer-{command}-{sub}")));
        names.push(format!("agenttracer-{command}"));
    }
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let page =
            std::fs::read(dir.path().join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = rendered(&page);
        assert!(text.contains("NAME") && text.contains("SYNOPSIS") && text.contains("OPTIONS"), "{name}:\n{text}");
        assert!(text.contains(&name.replace('-', " ")) || text.contains(name), "{name}:\n{text}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), names.len());
    let runs = rendered(&std::fs::read(dir.path().join("agenttracer-runs.1")).unwrap());
    for part in ["--failure-code", "Exit codes:", "AGENTTRACER_QUERY_URL"] {
        assert!(runs.contains(part), "{part} is missing:\n{runs}");
    }
    let main = agenttracer(&["man"]).output().unwrap();
    assert_eq!(main.stdout, std::fs::read(dir.path().join("agenttracer.1")).unwrap());
}
