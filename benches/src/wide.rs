//! What do acknowledgements and short questions notice of wide ones, which go over every run?

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::ingest::wait_until_indexed;
use crate::load::{Client, micros};
use crate::process::Server;
use crate::report::Table;
use crate::stored;
use crate::workload::Workload;

/// Questions that neither rollups nor an early stop make short.
const WIDE: &[&str] = &[
    "/v1/facets?has_retries=false",
    "/v1/stats?q=-agent:no-such-agent+-code:none",
    "/v1/runs?view=summary&sort=duration_ms&status=success",
    "/v1/signals",
    "/v1/decisions",
    "/v1/failures",
];
const SHORT: &[&str] =
    &["/v1/runs?view=summary&page_size=50", "/v1/stats", "/v1/agents", "/v1/runs?view=summary&status=failure"];
/// The short question that took longest.
#[derive(Default)]
struct Slowest {
    path: &'static str,
    took: Duration,
    /// When it was asked, since the first.
    after: Duration,
}

/// Between two requests of a client that is measured: it must not be what loads the machine.
const PAUSE: Duration = Duration::from_millis(4);

/// What is to be measured.
pub(crate) struct Question<'a> {
    /// The program under test.
    pub(crate) binary: &'a Path,
    /// Where a directory is made when none is kept.
    pub(crate) dir: &'a Path,
    /// Runs stored.
    pub(crate) runs: u64,
    /// The directory of the runs.
    pub(crate) keep: Option<&'a Path>,
    /// Clients who ask wide questions.
    pub(crate) clients: usize,
    /// Seconds, without and with them.
    pub(crate) seconds: u64,
}

/// Measures without and with clients who ask wide questions all the time.
pub(crate) async fn run(question: Question<'_>) -> anyhow::Result<()> {
    let Question { binary, runs, clients, seconds, .. } = question;
    let place = tempfile::tempdir_in(question.dir)?;
    let data = question.keep.map_or_else(|| place.path().join("data"), Path::to_owned);
    stored::log_and_index(binary, &data, runs)?;
    let server = Server::agenttracer(binary, &data)?;
    let workload = Arc::new(Workload::new(7, 4096));
    let sequence = Arc::new(AtomicU64::new(0));
    wait_until_indexed(&server).await?;
    let query = server.query.context("a server with a query listener")?;
    for path in WIDE.iter().chain(SHORT) {
        let mut client = Client::connect(query).await?;
        let asked = Instant::now();
        let (status, body) = client.get(path).await?;
        ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
        println!("{:8.2} ms alone: {path}", asked.elapsed().as_secs_f64() * 1000.0);
    }

    let mut table = Table::new(&["measured", "wide clients", "p50 ms", "p99 ms", "max ms", "wide answers/s"]);
    for clients in [0, clients] {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let asking: Vec<_> = (0..clients)
            .map(|at| tokio::spawn(ask_wide(query, at, Arc::clone(&stop), Arc::clone(&answered))))
            .collect();
        let duration = Duration::from_secs(seconds);
        let acks =
            tokio::spawn(acknowledgements(server.ingest, Arc::clone(&workload), Arc::clone(&sequence), duration));
        let short = tokio::spawn(short_questions(query, duration));
        let (short, slowest) = short.await??;
        let measured = [("acknowledgement of a run", acks.await??), ("short question", short)];
        stop.store(true, Ordering::Relaxed);
        for task in asking {
            task.await??;
        }
        let Slowest { path, took, after } = slowest;
        println!(
            "slowest beside {clients}: {path}, {:.0} ms, {:.1} s after the first",
            took.as_secs_f64() * 1000.0,
            after.as_secs_f64()
        );
        let answers = answered.load(Ordering::Relaxed) as f64 / seconds as f64;
        for (name, histogram) in measured {
            let ms = |micros: u64| format!("{:.2}", micros as f64 / 1000.0);
            table.row(&[
                name.to_owned(),
                clients.to_string(),
                ms(histogram.value_at_quantile(0.5)),
                ms(histogram.value_at_quantile(0.99)),
                ms(histogram.max()),
                format!("{answers:.1}"),
            ]);
        }
    }
    println!("\n{table}");
    Ok(())
}

/// Asks one wide question after the other.
async fn ask_wide(
    address: SocketAddr,
    first: usize,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut client = Client::connect(address).await?;
    for path in WIDE.iter().cycle().skip(first) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (status, _) = client.get(path).await?;
        ensure!(matches!(status, 200 | 429 | 503), "{path} answered {status}");
        answered.fetch_add(u64::from(status == 200), Ordering::Relaxed);
    }
    Ok(())
}

async fn acknowledgements(
    address: SocketAddr,
    workload: Arc<Workload>,
    sequence: Arc<AtomicU64>,
    duration: Duration,
) -> anyhow::Result<Histogram<u64>> {
    let (mut client, mut histogram) = (Client::connect(address).await?, micros());
    let began = Instant::now();
    while began.elapsed() < duration {
        let mut body = Vec::new();
        workload.write(sequence.fetch_add(1, Ordering::Relaxed), Uuid::new_v4(), &mut body);
        let head =
            "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: return=minimal\r\n";
        let mut request = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(&body);
        let sent = Instant::now();
        let (status, _) = client.exchange(&request).await?;
        histogram.saturating_record(sent.elapsed().as_micros() as u64);
        ensure!(status == 201, "a run was answered {status}");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(histogram)
}

/// Asks the short questions in turn: how long they took, and which took longest, when.
async fn short_questions(address: SocketAddr, duration: Duration) -> anyhow::Result<(Histogram<u64>, Slowest)> {
    let (mut client, mut histogram) = (Client::connect(address).await?, micros());
    let (began, mut slowest) = (Instant::now(), Slowest::default());
    for path in SHORT.iter().cycle() {
        if began.elapsed() >= duration {
            break;
        }
        let asked = Instant::now();
        let (status, _) = client.get(path).await?;
        let took = asked.elapsed();
        histogram.saturating_record(took.as_micros() as u64);
        ensure!(status == 200, "{path} answered {status}");
        if took > slowest.took {
            slowest = Slowest { path, took, after: asked - began };
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok((histogram, slowest))
}
