use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::client::{self, ClientError, QueryAddress};
use crate::comparison::{Comparison, Shown};
use crate::exit::Exit;
use crate::filters::parse_filter as parse_any_filter;
use crate::output;
use crate::table::Page;

const PATH: &str = "/v1/compare";

/// The codes of this command: those of the others would tell a pipeline nothing.
pub(crate) const HELP: &str = "\
Exit codes:
  0   nothing differs significantly with an effect of at least --min-effect
  1   something does
  2   a side has fewer than 30 runs: nothing can be told
  64  the command line, or the question, says what it cannot say
  69  the server could not be reached, or gave no answer

Effects are Cohen's h of rates, Cliff's delta of quantities, Cramér's V of distributions: docs/compare.md tells what they mean.

Examples:
  agenttracer compare v1.4.0 v1.5.0 --agent-id support-agent
  agenttracer compare staging production --by environment --filter agent_id=support-agent
  agenttracer compare 2026-11-01/2026-11-08 2026-11-08/2026-11-15 --by time --filter environment=production";

/// Compares the runs of two versions of an agent, of two environments, or of two times, on a running server. It says what
/// differs, by how much, and how sure that is; whether a difference is welcome is for you to say.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// What is compared with: a version, an environment, or a time as 2026-11-01/2026-11-08
    base: String,
    /// What is compared
    candidate: String,
    /// In what the two sides differ
    #[arg(long, value_enum, default_value = "agent_version")]
    by: By,
    /// The agent whose runs are compared; versions need one
    #[arg(long, value_name = "ID")]
    agent_id: Option<String>,
    /// Only runs that match, on both sides: a filter of `/v1/runs`, as environment=production. Repeated, one name means any
    /// of the values, different names mean all of them
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Smaller effects do not count for the exit code, however sure they are: 0.1 is about what Cohen calls small
    #[arg(long, value_name = "EFFECT", default_value = "0.1", value_parser = parse_effect)]
    min_effect: f64,
    /// Also list what does not differ significantly
    #[arg(long)]
    all: bool,
    /// Print the server's answer as one JSON object, with `min_effect` and how many `beyond_min_effect`
    #[arg(long, conflicts_with = "all")]
    json: bool,
    #[command(flatten)]
    address: QueryAddress,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    #[value(alias = "agent-version")]
    AgentVersion,
    Environment,
    Time,
}

fn parse_filter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name @ ("by" | "base" | "candidate"), _)) => Err(format!("{name} is no filter")),
        _ => parse_any_filter(text),
    }
}

fn parse_effect(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(effect) if (0.0..=4.0).contains(&effect) => Ok(effect),
        _ => Err("an effect is a number from 0 on, as 0.1".to_owned()),
    }
}

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let body = client::block_on(client.get(PATH, &self.conditions()))?.body;
        let unread = || ClientError::Unavailable(format!("{} gave an answer that is no comparison", client.base()));
        let mut answer: Value = serde_json::from_slice(&body).map_err(|_| unread())?;
        let comparison: Comparison = serde_json::from_value(answer.clone()).map_err(|_| unread())?;
        let beyond = comparison.beyond(self.min_effect);
        let printed = if self.json {
            if let Value::Object(fields) = &mut answer {
                fields.insert("min_effect".to_owned(), self.min_effect.into());
                fields.insert("beyond_min_effect".to_owned(), beyond.into());
            }
            output::json(&answer)
        } else {
            let shown = Shown { all: self.all, min_effect: self.min_effect, page: Page::of_stdout() };
            output::text(&comparison.render(shown)).map_err(anyhow::Error::from)
        };
        match printed {
            // The code is the answer, whether somebody reads the rest or not.
            Err(error) if !output::is_broken_pipe(&error) => return Err(error),
            _ => {}
        }
        Ok(if comparison.has_too_few_runs() {
            Exit::NotEnoughData
        } else if beyond > 0 {
            Exit::Significant
        } else {
            Exit::Done
        })
    }

    fn conditions(&self) -> Vec<(String, String)> {
        let by = match self.by {
            By::AgentVersion => "agent_version",
            By::Environment => "environment",
            By::Time => "time",
        };
        let own = [("by", by), ("base", self.base.as_str()), ("candidate", self.candidate.as_str())];
        let agent = self.agent_id.iter().map(|agent| ("agent_id", agent.as_str()));
        let named = own.into_iter().chain(agent).map(|(name, value)| (name.to_owned(), value.to_owned()));
        named.chain(self.filter.iter().cloned()).collect()
    }
}
