//! A load generator: raw HTTP/1.1 over kept-alive connections, so that little of the machine is spent on the client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::workload::Workload;

/// How to load a server.
#[derive(Clone)]
pub(crate) struct Load {
    /// The ingest listener.
    pub(crate) address: SocketAddr,
    /// Connections, each with one request in flight.
    pub(crate) connections: usize,
    /// Runs a request: 1 uses `POST /v1/runs`, more `POST /v1/runs/batch`.
    pub(crate) batch: usize,
    /// Whether `Prefer: return=minimal` is asked for.
    pub(crate) minimal: bool,
    /// How long.
    pub(crate) duration: Duration,
}

/// What a load measured.
pub(crate) struct Measured {
    /// Runs acknowledged with 2xx a second.
    pub(crate) runs_per_s: f64,
    /// Request latency in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// The same for each second of the run.
    pub(crate) by_second: Vec<Histogram<u64>>,
    /// Runs acknowledged.
    pub(crate) runs: u64,
    /// Answers that were not 2xx.
    pub(crate) refused: u64,
}

/// A histogram of microseconds up to a minute.
pub(crate) fn micros() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

/// A place in the sequence of runs, shared by all connections and all loads of one server.
pub(crate) type Sequence = Arc<AtomicU64>;

impl Load {
    /// Runs it. Every run gets an id of its own.
    pub(crate) async fn run(&self, workload: &Arc<Workload>, sequence: &Sequence) -> anyhow::Result<Measured> {
        let began = Instant::now();
        let tasks: Vec<_> = (0..self.connections)
            .map(|_| tokio::spawn(connection(self.clone(), workload.clone(), sequence.clone(), began)))
            .collect();
        let mut all = Measured { runs_per_s: 0.0, latency_us: micros(), by_second: Vec::new(), runs: 0, refused: 0 };
        for task in tasks {
            let one = task.await??;
            all.latency_us += &one.latency_us;
            all.runs += one.runs;
            all.refused += one.refused;
            for (second, histogram) in one.by_second.into_iter().enumerate() {
                match all.by_second.get_mut(second) {
                    Some(sum) => *sum += &histogram,
                    None => all.by_second.push(histogram),
                }
            }
        }
        all.runs_per_s = all.runs as f64 / began.elapsed().as_secs_f64();
        Ok(all)
    }
}

async fn connection(
    load: Load,
    workload: Arc<Workload>,
    sequence: Sequence,
    began: Instant,
) -> anyhow::Result<Measured> {
    let mut client = Client::connect(load.address).await?;
    let mut one = Measured { runs_per_s: 0.0, latency_us: micros(), by_second: Vec::new(), runs: 0, refused: 0 };
    let (mut body, mut request) = (Vec::new(), Vec::new());
    while began.elapsed() < load.duration {
        body.clear();
        let first = sequence.fetch_add(load.batch as u64, Ordering::Relaxed);
        for number in first..first + load.batch as u64 {
            workload.write(number, Uuid::new_v4(), &mut body);
            body.push(b'\n');
        }
        let (path, kind) = match load.batch {
            1 => ("/v1/runs", "application/json"),
            _ => ("/v1/runs/batch", "application/x-ndjson"),
        };
        let prefer = if load.minimal { "Prefer: return=minimal\r\n" } else { "" };
        request.clear();
        request.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{prefer}Content-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        );
        request.extend_from_slice(&body);
        let sent = Instant::now();
        let (status, answer) = client.exchange(&request).await?;
        let took = sent.elapsed().as_micros() as u64;
        one.latency_us.saturating_record(took.max(1));
        let second = began.elapsed().as_secs() as usize;
        while one.by_second.len() <= second {
            one.by_second.push(micros());
        }
        one.by_second[second].saturating_record(took.max(1));
        match status {
            200 | 201 if load.batch > 1 => {
                ensure!(
                    answer.windows(14).any(|window| window == b"\"rejected\":[],") || answer.ends_with(b"\"bare\"}"),
                    "a run of a batch was refused: {}",
                    String::from_utf8_lossy(&answer)
                );
                one.runs += load.batch as u64;
            }
            201 => one.runs += 1,
            429 | 503 => {
                one.refused += load.batch as u64;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => bail!("the server answered {other}: {}", String::from_utf8_lossy(&answer)),
        }
    }
    Ok(one)
}

/// One kept-alive connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Asks for a path.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await
    }

    /// Sends a request and reads the answer: its status and its body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head, length) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break (head + 4, content_length(&self.buffer[..head])?);
            }
        };
        while self.buffer.len() < head + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection inside an answer");
            }
        }
        let status = std::str::from_utf8(&self.buffer[9..12])?.parse()?;
        Ok((status, self.buffer[head..head + length].to_vec()))
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head)?;
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("the answer has no Content-Length")
        .and_then(|(_, value)| Ok(value.trim().parse()?))
}
