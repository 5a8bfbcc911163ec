//! How long does a question take over HTTP when a million runs, or ten, are stored: asked for the first time after a start,
//! again by one client, and by several clients while runs arrive?

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::ingest::wait_until_indexed;
use crate::load::{Client, micros};
use crate::process::Server;
use crate::report::Table;
use crate::stored;
use crate::workload::Workload;

/// How long one client asks one question at the most.
const PATIENCE: Duration = Duration::from_secs(3);
/// Runs that arrive together, and how often: 2,000 a second.
const RUNS: u64 = 20;
const EVERY: Duration = Duration::from_millis(10);

/// The agent and the version that paths name.
const AGENT: &str = "agent-002";
const VERSION: &str = "v2.0.0";

/// Which runs: names of the data set, and every kind of filter.
const FILTERS: &[(&str, &str)] = &[
    ("all", ""),
    ("an agent", "agent_id=agent-000"),
    ("a version", "agent_id=agent-002&agent_version=v2.0.0"),
    ("an environment", "environment=staging"),
    ("a status", "status=failure"),
    ("a failure code", "failure_code=timeout"),
    ("a failure type", "failure_type=model"),
    ("a step", "step_name=tool_05"),
    ("retries", "has_retries=true"),
    ("long ones", "min_duration_ms=12000"),
    ("two days", "start_time=2026-01-11T06:00:00Z&end_time=2026-01-13T06:00:00Z"),
    ("an agent, a code, a time", "agent_id=agent-003&failure_code=rate_limited&start_time=2026-01-11T00:00:00Z"),
    ("a signal", "signal_type=empty_retrieval&signal_code=no_results&signal_value=true"),
    ("a fact", "meta.region=eu-2"),
    ("a search line", "q=agent:agent-00*+-code:timeout+duration:%3E2s"),
    ("none", "agent_id=no-such-agent"),
];

/// The questions whose answers are no lists.
const OTHERS: &[(&str, &str)] = &[
    ("newest 50, full runs", "/v1/runs?page_size=50"),
    ("slowest 50 failures", "/v1/runs?view=summary&page_size=50&sort=duration_ms&status=failure"),
    ("statistics: all", "/v1/stats"),
    ("statistics: an agent", "/v1/stats?agent_id=agent-000"),
    ("statistics: a version", "/v1/stats?agent_id=agent-002&agent_version=v2.0.0"),
    ("statistics: two days", "/v1/stats?start_time=2026-01-11T06:00:00Z&end_time=2026-01-13T06:00:00Z"),
    ("statistics: a failure code (matches)", "/v1/stats?failure_code=timeout"),
    ("days: all", "/v1/timeseries?interval=1d"),
    ("days: an agent", "/v1/timeseries?interval=1d&agent_id=agent-000"),
    ("histogram of starts", "/v1/runs/histogram"),
    ("facet: agents", "/v1/facets?field=agent_id"),
    ("facet: failure codes", "/v1/facets?field=failure_code"),
    ("facet: step names of an agent (matches)", "/v1/facets?field=step_name&agent_id=agent-000"),
    ("agents", "/v1/agents"),
    ("versions of an agent", "/v1/agents/{agent}/versions"),
    ("latency of a version (matches)", "/v1/agents/{agent}/versions/{version}/latency"),
    ("compare two versions (matches)", "/v1/compare?agent_id=agent-002&base=v1.3.0&candidate=v2.0.0"),
    ("decisions of an agent (matches)", "/v1/decisions?agent_id=agent-000"),
    ("signals of an agent (matches)", "/v1/signals?agent_id=agent-000"),
    ("failures of an agent (matches)", "/v1/failures?agent_id=agent-000"),
];

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
    /// Times each question is asked by one client.
    pub(crate) times: usize,
    /// Clients, while runs arrive.
    pub(crate) clients: usize,
    /// Seconds of them.
    pub(crate) seconds: u64,
}

/// One question; it is asked by one path after the other.
struct Asked {
    name: String,
    paths: Vec<String>,
}

/// Asks each question cold, warm, and by several clients while runs arrive.
pub(crate) async fn run(question: Question<'_>) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(question.dir)?;
    let data = question.keep.map_or_else(|| place.path().join("data"), Path::to_owned);
    stored::log_and_index(question.binary, &data, question.runs)?;
    let questions = Arc::new(questions(question.binary, &data).await?);

    forget(&data)?;
    let server = Server::agenttracer_with(question.binary, &data, &["--compact", "false"])?;
    let address = server.query.context("a server with a query listener")?;
    let mut client = Client::connect(address).await?;
    let mut cold = Vec::new();
    for asked in &*questions {
        let mut histogram = micros();
        ask(&mut client, &asked.paths[0], &mut histogram).await?;
        cold.push(histogram.max());
    }
    println!("RssAnon after one of each: {:.0} MB", server.anonymous_mb()?);

    let mut warm = Vec::new();
    for asked in &*questions {
        let (mut histogram, began) = (micros(), Instant::now());
        for path in asked.paths.iter().cycle().take(question.times) {
            if began.elapsed() > PATIENCE && histogram.len() >= 10 {
                break;
            }
            ask(&mut client, path, &mut histogram).await?;
        }
        warm.push(histogram);
    }
    println!("RssAnon after one client:  {:.0} MB", server.anonymous_mb()?);

    let stop = Arc::new(AtomicBool::new(false));
    let arriving = tokio::spawn(arrive(server.ingest, Arc::clone(&stop)));
    let clients: Vec<_> = (0..question.clients)
        .map(|at| tokio::spawn(ask_all(address, Arc::clone(&questions), at, Arc::clone(&stop))))
        .collect();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(question.seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut busy: Vec<_> = questions.iter().map(|_| micros()).collect();
    for client in clients {
        for (sum, histogram) in busy.iter_mut().zip(client.await??) {
            *sum += histogram;
        }
    }
    let (arrived, acknowledged) = arriving.await??;
    let beside = format!("{} clients", question.clients);
    let headings = ["ms", "cold", "warm p50", "p99", &format!("{beside} p50"), "p99", "p99 to p99"];
    let mut table = Table::new(&headings);
    let ms = |micros: u64| format!("{:.2}", micros as f64 / 1000.0);
    for (((asked, cold), warm), busy) in questions.iter().zip(cold).zip(&warm).zip(&busy) {
        let (p99, busy_p99) = (warm.value_at_quantile(0.99), busy.value_at_quantile(0.99));
        table.row(&[
            asked.name.clone(),
            ms(cold),
            ms(warm.value_at_quantile(0.5)),
            ms(p99),
            ms(busy.value_at_quantile(0.5)),
            ms(busy_p99),
            format!("{:.1}", busy_p99 as f64 / p99 as f64),
        ]);
    }
    println!("RssAnon after {beside}:  {:.0} MB\n\n{table}", server.anonymous_mb()?);
    println!(
        "beside the clients {:.0} runs/s arrived, {RUNS} a request, p99 {} ms",
        arrived as f64 / began.elapsed().as_secs_f64(),
        ms(acknowledged.value_at_quantile(0.99))
    );
    Ok(())
}

/// All questions; those about single runs need ids that are stored.
async fn questions(binary: &Path, data: &Path) -> anyhow::Result<Vec<Asked>> {
    let server = Server::agenttracer_with(binary, data, &["--compact", "false"])?;
    wait_until_indexed(&server).await?;
    let mut client = Client::connect(server.query.context("a server with a query listener")?).await?;
    let ids = some_ids(&mut client).await?;
    server.stop()?;
    let newest = FILTERS.iter().map(|(name, filter)| Asked {
        name: format!("newest 50: {name}"),
        paths: vec![format!("/v1/runs?view=summary&page_size=50&{filter}")],
    });
    let of_runs = |name: &str, behind: &str| Asked {
        name: name.to_owned(),
        paths: ids.iter().map(|id| format!("/v1/runs/{id}{behind}")).collect(),
    };
    let others = OTHERS.iter().map(|(name, path)| Asked {
        name: (*name).to_owned(),
        paths: vec![path.replace("{agent}", AGENT).replace("{version}", VERSION)],
    });
    Ok(newest.chain([of_runs("one run", ""), of_runs("latency of one run", "/latency")]).chain(others).collect())
}

/// Ids spread over the whole store: one page of each day.
async fn some_ids(client: &mut Client) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for day in 1..=30 {
        let path = format!("/v1/runs?view=summary&page_size=40&end_time=2026-01-{day:02}T12:00:00Z");
        let (_, body) = client.get(&path).await?;
        let runs: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
        ids.extend(runs.iter().filter_map(|run| run["run_id"].as_str().map(str::to_owned)));
    }
    ensure!(!ids.is_empty(), "no run was found");
    Ok(ids)
}

/// Lets the system forget what it has read of the files.
fn forget(data: &Path) -> anyhow::Result<()> {
    for part in ["log", "index"] {
        for entry in std::fs::read_dir(data.join(part))? {
            let mut input = std::ffi::OsString::from("if=");
            input.push(entry?.path());
            let dd = Command::new("dd").arg(input).args(["iflag=nocache", "count=0"]).stderr(Stdio::null()).status()?;
            ensure!(dd.success(), "dd ended with {dd}");
        }
    }
    Ok(())
}

async fn ask(client: &mut Client, path: &str, histogram: &mut Histogram<u64>) -> anyhow::Result<()> {
    let asked = Instant::now();
    let (status, body) = client.get(path).await?;
    histogram.saturating_record(asked.elapsed().as_micros() as u64);
    ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Asks one question after the other, from the `first` on, until it is told to stop.
async fn ask_all(
    address: SocketAddr,
    questions: Arc<Vec<Asked>>,
    first: usize,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Vec<Histogram<u64>>> {
    let mut client = Client::connect(address).await?;
    let mut histograms: Vec<_> = questions.iter().map(|_| micros()).collect();
    // Clients begin with different questions, and go on with different runs.
    let begin = first * 5;
    for (round, at) in (0..questions.len()).cycle().skip(begin).enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let paths = &questions[at].paths;
        ask(&mut client, &paths[(round + first * 31) % paths.len()], &mut histograms[at]).await?;
    }
    Ok(histograms)
}

/// Sends runs at their rate until it is told to stop: how many, and how long each request took.
async fn arrive(address: SocketAddr, stop: Arc<AtomicBool>) -> anyhow::Result<(u64, Histogram<u64>)> {
    let workload = Workload::new(7, 4096);
    let (mut client, mut histogram, mut sent) = (Client::connect(address).await?, micros(), 0);
    let mut ticks = tokio::time::interval(EVERY);
    // What the server could not take in time comes later, all of it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut body = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        body.clear();
        for number in sent..sent + RUNS {
            workload.write(number, Uuid::new_v4(), &mut body);
            body.push(b'\n');
        }
        let head = "POST /v1/runs/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                    Prefer: return=minimal\r\n";
        let mut request = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(&body);
        let asked = Instant::now();
        let (status, answer) = client.exchange(&request).await?;
        histogram.saturating_record(asked.elapsed().as_micros() as u64);
        ensure!(status == 200, "runs were answered {status}: {}", String::from_utf8_lossy(&answer));
        sent += RUNS;
    }
    Ok((sent, histogram))
}
