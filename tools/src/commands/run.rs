use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use crate::answers::{self, Latency, Summary, read};
use crate::client::{self, QueryAddress};
use crate::commands::runs::Total;
use crate::exit::Exit;
use crate::human::Zone;
use crate::output;
use crate::run_page::RunPage;
use crate::table::Page;

/// The most sub-agents' runs that are listed.
const SUB_RUNS: &str = "50";

/// Shows one run: what failed and where, its steps in time, what was tried again, its decisions and signals, and where
/// the time went.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The run
    #[arg(value_name = "RUN")]
    run_id: Uuid,
    /// Every step; of a long run only what matters is shown otherwise
    #[arg(long)]
    all: bool,
    /// Times in UTC instead of local time
    #[arg(long)]
    utc: bool,
    /// Print the server's answer: one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    address: QueryAddress,
}

impl Run {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let path = format!("/v1/runs/{}", self.run_id);
        let page = client::block_on(async {
            let run = client.get(&path, &[]).await?.body;
            if self.json {
                output::raw_json(&run)?;
                return Ok(None);
            }
            let latency: Latency = read(&client, &client.get(&format!("{path}/latency"), &[]).await?.body)?;
            let conditions = [
                ("parent_run_id", self.run_id.to_string()),
                ("live", "true".to_owned()),
                ("view", "summary".to_owned()),
                ("page_size", SUB_RUNS.to_owned()),
                ("order", "asc".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value));
            let listed = client.get("/v1/runs", &conditions).await?;
            let sub_runs: Vec<Summary> = read(&client, &listed.body)?;
            let sub_runs_total = Total::of(&listed);
            let run: answers::Run = read(&client, &run)?;
            Ok(Some((run, latency, sub_runs, sub_runs_total)))
        })?;
        if let Some((run, latency, sub_runs, sub_runs_total)) = page {
            let page = RunPage {
                run: &run,
                latency: &latency,
                sub_runs: &sub_runs,
                sub_runs_total,
                zone: Zone::of(self.utc),
                page: Page::of_stdout(),
                all_steps: self.all,
            };
            output::text(&page.render())?;
        }
        Ok(Exit::Done)
    }
}

/// A value of metadata, in short.
pub(crate) fn fact(value: &Value) -> String {
    match value {
        Value::String(text) => crate::human::clean(text),
        other => other.to_string(),
    }
}
