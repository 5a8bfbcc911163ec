use std::time::{Duration, Instant};

use agenttracer_server::signals;
use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::{Value, json};

use crate::client::{self, IngestAddress};
use crate::demo::{AGENT, Day, Live, Sent, VERSIONS};
use crate::exit::{Exit, Interrupted};
use crate::human::{count, grouped, parse_time};
use crate::importer::{Item, Outcome, RUNS, Rejection, Target, store};
use crate::output;
use crate::paint::{self, Ink, paint};
use crate::progress::Progress;

/// The codes of this command.
pub(crate) const HELP: &str = "\
Exit codes:
  0    the whole day was sent; with --live, also that further runs went on until they were interrupted
  1    it did not work
  64   the command line says what it cannot say
  69   the server could not be reached, or gave no answer
  130  Ctrl-C (SIGINT) before the whole day was sent
  143  SIGTERM before the whole day was sent

A server that asks for keys is shown the one in AGENTTRACER_API_KEY. What --url and --ca say can also stand in
AGENTTRACER_INGEST_URL and AGENTTRACER_CA.";

/// Where events are taken in.
const EVENTS: &str = "/v1/events";
/// Runs that are sent together.
const CHUNK: usize = 500;
/// How often what happened is sent.
const TICK: Duration = Duration::from_millis(250);

/// Sends a made-up day to a running server, so that every question and every page of the dashboard has something to show:
/// six agents, a newer version that is worse, retries, every type of failure, sub-agents, conversations, live runs. The
/// same seed and the same end give the same runs, and sending them again stores none of them twice.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which of the many days there could have been
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
    /// How many runs, beside four live ones
    #[arg(long, value_name = "RUNS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    runs: u64,
    /// Over how many hours they are spread
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
    /// When the day ends [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<String>,
    /// Go on with further runs as they would happen, until Ctrl-C
    #[arg(long)]
    live: bool,
    /// With --live: how many runs begin in a minute, on average
    #[arg(long, value_name = "RUNS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=6000))]
    per_minute: u32,
    /// Print one JSON object
    #[arg(long, conflicts_with = "live")]
    json: bool,
    #[command(flatten)]
    address: IngestAddress,
}

fn now_micros() -> i64 {
    Utc::now().timestamp_micros()
}

/// What is sent, and what became of it.
struct Sender {
    target: Target,
    outcome: Outcome,
}

impl Sender {
    async fn send(&mut self, path: &str, values: impl Iterator<Item = Value>) -> anyhow::Result<()> {
        let items = (1..).zip(values).map(|(line, value)| Item { line, bytes: value.to_string().into_bytes() });
        // What the demo sends is in order; a server that refuses some of it is another one than this was made for.
        let mut reject =
            |rejection: Rejection| bail!("the server refused what it should take: {}", rejection.to_line());
        store(path, "demo", items.collect(), &self.target, &mut self.outcome, &mut reject).await
    }
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let base = client.base().to_owned();
        let until_micros = match &self.until {
            None => now_micros(),
            Some(text) => micros_of(text)?,
        };
        let day = Day { seed: self.seed, runs: self.runs, hours: self.hours, until_micros };
        let begun = Instant::now();
        client::block_on(async {
            let mut sender = Sender { target: Target::Server(Box::new(client)), outcome: Outcome::default() };
            let mut signal = std::pin::pin!(signals().context("installing the signal handlers")?);
            let bar = Progress::of_runs(self.runs, "sent");
            let mut runs = day.runs();
            let mut sent = 0;
            let whole = async {
                loop {
                    let chunk: Vec<_> = runs.by_ref().take(CHUNK).collect();
                    if chunk.is_empty() {
                        break;
                    }
                    let more = chunk.len() as u64;
                    sender.send(RUNS, chunk.into_iter()).await?;
                    sent += more;
                    bar.set(sent);
                }
                let of_runs = std::mem::take(&mut sender.outcome);
                sender.send(EVENTS, day.live_events().into_iter()).await?;
                anyhow::Ok((of_runs, std::mem::take(&mut sender.outcome)))
            };
            let (of_runs, of_events) = tokio::select! {
                outcomes = whole => outcomes?,
                name = &mut signal => {
                    drop(bar);
                    return Err(self.interrupted(name, day, sent));
                }
            };
            drop(bar);
            let seconds = begun.elapsed().as_secs_f64();
            if self.json {
                self.print_json(day, sent, &of_runs, &of_events)?;
            } else {
                print(day, &base, sent, &of_runs, seconds)?;
            }
            if self.live {
                output::note(&format!("about {} runs a minute go on; Ctrl-C ends them", self.per_minute));
                live(&mut sender, day, f64::from(self.per_minute), &mut signal).await?;
            }
            Ok(())
        })?;
        Ok(Exit::Done)
    }

    /// What is told when a signal comes before the whole day was sent.
    fn interrupted(&self, signal: &'static str, day: Day, sent: u64) -> anyhow::Error {
        let until = DateTime::from_timestamp_micros(day.until_micros).unwrap_or_default();
        let (seed, runs, hours) = (self.seed, self.runs, self.hours);
        let rest = format!(
            "agenttracer demo --seed {seed} --runs {runs} --hours {hours} --until {}",
            until.to_rfc3339_opts(SecondsFormat::Micros, true)
        );
        Interrupted {
            signal,
            what: format!("{} of {} sent; `{rest}` sends the others", grouped(sent), count(runs, "run", "runs")),
        }
        .into()
    }

    fn print_json(&self, day: Day, runs: u64, of_runs: &Outcome, of_events: &Outcome) -> anyhow::Result<()> {
        let [succeeds, fails] = day.named().long;
        output::json(&json!({
            "seed": self.seed,
            "until": DateTime::from_timestamp_micros(day.until_micros).unwrap_or_default(),
            "runs": runs, "live_runs": Day::LIVE_RUNS,
            "accepted": of_runs.accepted, "duplicates": of_runs.duplicates, "removed": of_runs.removed,
            "events": {"accepted": of_events.accepted, "duplicates": of_events.duplicates},
            "agent_id": AGENT, "versions": [VERSIONS.0, VERSIONS.1],
            "long_run": {"succeeds": succeeds, "fails": fails},
        }))
    }
}

/// Sends what happens, until a signal; then ends what goes on.
async fn live(
    sender: &mut Sender,
    day: Day,
    per_minute: f64,
    signal: &mut (impl Future<Output = &'static str> + Unpin),
) -> anyhow::Result<()> {
    let mut live = Live::new(day, per_minute, now_micros());
    loop {
        let (mut runs, mut events) = (Vec::new(), Vec::new());
        for sent in live.until(now_micros()) {
            match sent {
                Sent::Run(run) => runs.push(run),
                Sent::Event(event) => events.push(event),
            }
        }
        if !runs.is_empty() {
            sender.send(RUNS, runs.into_iter()).await?;
        }
        if !events.is_empty() {
            sender.send(EVENTS, events.into_iter()).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = &mut *signal => break,
        }
    }
    let ends = live.cancelled(now_micros());
    let ended = ends.len() as u64 / 2;
    sender.send(EVENTS, ends.into_iter()).await?;
    output::note(&format!("{} that went on ended as cancelled", count(ended, "run", "runs")));
    Ok(())
}

fn print(day: Day, base: &str, sent: u64, outcome: &Outcome, seconds: f64) -> anyhow::Result<()> {
    let colours = paint::on_stdout();
    let mut text = format!(
        "{} and {} live ones sent to {base} in {seconds:.1} s",
        paint(&count(sent, "run", "runs"), Ink::Bold, colours),
        Day::LIVE_RUNS
    );
    if outcome.duplicates > 0 {
        text.push_str(&format!("; {} it had already", count(outcome.duplicates, "run", "runs")));
    }
    let removed: u64 = outcome.removed.values().sum();
    if removed > 0 {
        text.push_str(&format!(
            ".\n{} removed on the way in",
            count(removed, "private value was", "private values were")
        ));
    }
    text.push_str(
        ".\nOf the live runs one has ended, two go on, one fell silent: it is given up when its lease ends.\n\n",
    );
    let [succeeds, fails] = day.named().long;
    let compare = format!("agenttracer compare {} {} --agent-id {AGENT}", VERSIONS.0, VERSIONS.1);
    for (command, what) in [
        ("http://127.0.0.1:3000".to_owned(), "the dashboard, where `serve` puts it when nothing else is said"),
        ("agenttracer stats".to_owned(), "how many failed, and with which codes"),
        ("agenttracer failures".to_owned(), "what fails, together what came about in the same way"),
        (compare, "what the newer version of an agent changed"),
        (format!("agenttracer run {fails}"), "a long run that fails"),
        (format!("agenttracer run {succeeds}"), "the same, in the version before: it works out"),
        ("agenttracer runs --status running".to_owned(), "what goes on"),
    ] {
        text.push_str(&format!("  {}\n    {}\n", paint(&command, Ink::Cyan, colours), paint(what, Ink::Dim, colours)));
    }
    Ok(output::text(&text)?)
}

/// The time of day that `--until` names.
fn micros_of(text: &str) -> anyhow::Result<i64> {
    let time = agenttracer_model::lenient::datetime(text).map_err(|_| anyhow::anyhow!("--until is no time"))?;
    Ok(time.as_micros())
}
