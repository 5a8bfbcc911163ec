use std::time::Duration;

use agenttracer_server::signals;
use anyhow::{Context, anyhow};
use clap::Args;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::answers::{Missed, Summary, read};
use crate::client::{self, Client, ClientError, Events, QueryAddress};
use crate::exit::Exit;
use crate::filters::{Condition, Filters};
use crate::human::{Zone, clean, count, grouped, whole_ms};
use crate::output;
use crate::paint::Ink;
use crate::table::{Cell, Column, Layout, Page};

const PATH: &str = "/v1/tail";
/// A server says something every 15 s; one that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// Between two tries to reach a server that was there: the first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Follows runs as they arrive and grow, until Ctrl-C. A connection that is lost is made again, and goes on where it was: no
/// run is missed, none is shown again.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    filters: Filters,
    /// Times in UTC instead of local time
    #[arg(long, help_heading = "What is shown")]
    utc: bool,
    /// Print each run as the server sends it: one JSON object a line
    #[arg(long, help_heading = "What is shown")]
    json: bool,
    #[command(flatten)]
    address: QueryAddress,
}

impl Tail {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let conditions = self.filters.conditions();
        let mut shown = Shown::new(&self);
        client::block_on(async {
            let signal = signals().context("installing the signal handlers")?;
            tokio::select! {
                outcome = follow(&client, &conditions, &mut shown) => outcome,
                _ = signal => Ok(Exit::Done),
            }
        })
    }
}

/// Follows for ever; ends with what cannot be mended by trying again.
async fn follow(client: &Client, conditions: &[Condition], shown: &mut Shown) -> anyhow::Result<Exit> {
    let mut events = Events::default();
    let mut pause = PAUSES.0;
    let mut stream = client.follow(PATH, conditions, None).await?;
    loop {
        let why = follow_one(client, &mut stream, &mut events, shown, &mut pause).await?;
        output::note(&format!("{why}; trying again from where it was"));
        // What came only half comes again.
        events = Events::after(events.last_id().map(str::to_owned));
        stream = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            match client.follow(PATH, conditions, events.last_id()).await {
                Ok(stream) => break stream,
                Err(error) if !is_temporary(&error) => return Err(error),
                Err(_) => {}
            }
        };
        output::note(&format!("{} is there again", client.base()));
    }
}

/// Follows one connection to its end, and says why it ended.
async fn follow_one(
    client: &Client,
    stream: &mut Incoming,
    events: &mut Events,
    shown: &mut Shown,
    pause: &mut Duration,
) -> anyhow::Result<String> {
    loop {
        let frame = match tokio::time::timeout(SILENCE, stream.frame()).await {
            Err(_) => return Ok(format!("{} says nothing any more", client.base())),
            Ok(None | Some(Err(_))) => return Ok(format!("the connection to {} was lost", client.base())),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(bytes) = frame.into_data() else { continue };
        *pause = PAUSES.0;
        let found = events.read(&bytes).ok_or_else(|| anyhow!("{} sends no events", client.base()))?;
        for event in found {
            match event.name.as_str() {
                "run" => shown.run(client, &event.data)?,
                "missed" => {
                    let missed: Missed = read(client, event.data.as_bytes())?;
                    let records = count(missed.to.saturating_sub(missed.from), "record was", "records were");
                    output::warning(&format!("{records} not looked at: {}", clean(&missed.reason)));
                }
                _ => {}
            }
        }
    }
}

/// Whether a server may be there again later: what it says of the key or of the question stays.
fn is_temporary(error: &anyhow::Error) -> bool {
    let told = error.downcast_ref();
    !matches!(told, Some(ClientError::Usage(_) | ClientError::NotFound(_) | ClientError::Refused(_)))
}

/// Writes runs as they come.
struct Shown {
    json: bool,
    zone: Zone,
    page: Page,
    layout: Layout,
}

impl Shown {
    fn new(tail: &Tail) -> Self {
        let page = Page::of_stdout();
        // What is to come is not known: usual widths.
        let columns = [
            (Column::new(""), if tail.utc { 9 } else { 8 }),
            (Column::new("").shrinks_to(12), 28),
            (Column::new("").shrinks_to(10), 24),
            (Column::new("").rank(2), 12),
            (Column::new("").rank(4), 12),
            (Column::new("").right().rank(1), 8),
            (Column::new("").right().rank(3), 12),
            (Column::new(""), 36),
        ];
        let layout = Layout::of(&columns, Some(page.width.unwrap_or(usize::MAX)));
        Self { json: tail.json, zone: Zone::of(tail.utc), page, layout }
    }

    fn run(&self, client: &Client, data: &str) -> anyhow::Result<()> {
        if self.json {
            return output::raw_json(data.as_bytes());
        }
        let run: Summary = read(client, data.as_bytes())?;
        let attention = if run.attention_count == 0 { String::new() } else { format!(" !{}", run.attention_count) };
        let cells = [
            Cell::new(self.zone.clock(run.started_at)),
            run.outcome(),
            run.agent_id.as_str().into(),
            run.agent_version.as_str().into(),
            run.environment.as_str().into(),
            run.duration_ms.map_or_else(String::new, whole_ms).into(),
            Cell::new(format!("{} steps{attention}", grouped(run.step_count))),
            Cell::new(run.run_id.as_str()).ink(Ink::Dim),
        ];
        Ok(output::line(&self.layout.line(&cells, self.page.colours))?)
    }
}
