//! `agenttracer tail`: what it prints, that a lost connection costs nothing, and how it ends.

mod common;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Process, agenttracer, id, run, store};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// A connection between client and server that can be cut.
struct Cable {
    address: SocketAddr,
    up: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (up, open) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Vec::new())));
        let cable = Self { address, up: Arc::clone(&up), open: Arc::clone(&open) };
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                if !up.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(server).unwrap();
                open.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                    std::thread::spawn(move || {
                        // Ends when the cable is cut.
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        cable
    }

    fn cut(&self) {
        self.up.store(false, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            // It may have been closed by itself.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.up.store(true, Ordering::SeqCst);
    }
}

/// A `tail` that runs; killed when this is dropped.
struct Tail {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

impl Tail {
    fn start(address: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = agenttracer(&["tail", "--url", &format!("http://{address}")]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    fn line(&self) -> String {
        self.out
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("nothing came: {:?}", self.err.try_iter().collect::<Vec<_>>()))
    }

    fn note(&self) -> String {
        self.err.recv_timeout(DEADLINE).unwrap()
    }

    /// Ctrl-C; gives the exit code and what came yet.
    fn interrupt(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let signal = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let rest = |receiver: &Receiver<String>| {
            let mut lines = Vec::new();
            loop {
                match receiver.recv_timeout(DEADLINE) {
                    Ok(line) => lines.push(line),
                    Err(RecvTimeoutError::Disconnected) => return lines,
                    Err(RecvTimeoutError::Timeout) => panic!("the pipe stays open"),
                }
            }
        };
        (status.code(), rest(&self.out), rest(&self.err))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stores runs until the follower has shown one, and the last of them: it is connected then, and nothing is on its way.
async fn connected(client: &reqwest::Client, process: &Process, tail: &Tail) {
    let begun = std::time::Instant::now();
    loop {
        let stored = run();
        store(client, process, &stored).await;
        if let Ok(mut line) = tail.out.recv_timeout(Duration::from_millis(300)) {
            while !line.contains(&id(&stored)) {
                line = tail.line();
            }
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "the follower is not shown anything");
    }
}

#[tokio::test]
async fn a_lost_connection_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    let cable = Cable::to(process.query);
    let tail = Tail::start(cable.address, &["--json"]);
    connected(&client, &process, &tail).await;

    let mut sent = Vec::new();
    let before = run();
    store(&client, &process, &before).await;
    sent.push(id(&before));
    let mut seen = vec![serde_json::from_str::<Value>(&tail.line()).unwrap()["run_id"].as_str().unwrap().to_owned()];

    cable.cut();
    assert!(tail.note().contains("was lost; trying again from where it was"));
    for _ in 0..3 {
        let meanwhile = run();
        store(&client, &process, &meanwhile).await;
        sent.push(id(&meanwhile));
    }
    cable.mend();
    let after = run();
    store(&client, &process, &after).await;
    sent.push(id(&after));
    for _ in 0..4 {
        seen.push(serde_json::from_str::<Value>(&tail.line()).unwrap()["run_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, sent, "each once, in order");
    assert!(tail.note().contains("is there again"));
    let (code, out, err) = tail.interrupt();
    assert_eq!((code, out, err), (Some(0), Vec::new(), Vec::new()));
    assert_eq!(process.stop().status.code(), Some(0));
}

#[tokio::test]
async fn people_see_a_line_a_run_and_only_those_they_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    let tail = Tail::start(process.query, &["agent:support-agent", "--utc", "--failure-code", "timeout"]);
    connected(&client, &process, &tail).await;
    let mut other = run();
    other["agent_id"] = "someone-else".into();
    store(&client, &process, &other).await;
    let wanted = run();
    store(&client, &process, &wanted).await;
    let line = tail.line();
    for part in
        ["10:00:00Z", "✗ tool/timeout", "support-agent", "v1.0.0", "production", "5.25 s", "3 steps", &id(&wanted)]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    let (code, out, _) = tail.interrupt();
    assert_eq!((code, out), (Some(0), Vec::new()));
    // A server that stops ends its streams; the follower waits for the next one, and still ends by Ctrl-C.
    let tail = Tail::start(process.query, &["--json"]);
    connected(&client, &process, &tail).await;
    assert_eq!(process.stop().status.code(), Some(0));
    assert!(tail.note().contains("trying again"));
    let (code, _, _) = tail.interrupt();
    assert_eq!(code, Some(0));
}
