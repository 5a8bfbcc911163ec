use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::comparison::{Comparison, Shown};
use crate::exit::Exit;
use crate::output;

const PATH: &str = "/v1/compare";
/// How long a server may take for the answer.
const TIMEOUT: Duration = Duration::from_secs(120);

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
    /// The query address of the server
    #[arg(long, env = "AGENTTRACER_QUERY_URL", value_name = "URL", default_value = "http://127.0.0.1:8001")]
    url: String,
    /// Smaller effects do not count for the exit code, however sure they are: 0.1 is about what Cohen calls small
    #[arg(long, value_name = "EFFECT", default_value = "0.1", value_parser = parse_effect)]
    min_effect: f64,
    /// Also list what does not differ significantly
    #[arg(long)]
    all: bool,
    /// Print the server's answer as one JSON object, with `min_effect` and how many `beyond_min_effect`
    #[arg(long, conflicts_with = "all")]
    json: bool,
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
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if ["by", "base", "candidate"].contains(&name) {
        return Err(format!("{name} is no filter"));
    }
    let condition = (name.to_owned(), value.to_owned());
    agenttracer_query::filter_of(std::slice::from_ref(&condition))?;
    Ok(condition)
}

fn parse_effect(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(effect) if (0.0..=4.0).contains(&effect) => Ok(effect),
        _ => Err("an effect is a number from 0 on, as 0.1".to_owned()),
    }
}

/// Why there is no answer, with the code for it.
struct NoAnswer(Exit, anyhow::Error);

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let mut answer = match self.ask() {
            Ok(answer) => answer,
            Err(NoAnswer(exit, error)) => {
                output::error(&error);
                return Ok(exit);
            }
        };
        let comparison: Comparison = match serde_json::from_value(answer.clone()) {
            Ok(comparison) => comparison,
            Err(error) => {
                output::error(&anyhow!(error).context(format!("{} gave an answer that is no comparison", self.url)));
                return Ok(Exit::Unavailable);
            }
        };
        let beyond = comparison.beyond(self.min_effect);
        let printed = if self.json {
            if let Value::Object(fields) = &mut answer {
                fields.insert("min_effect".to_owned(), self.min_effect.into());
                fields.insert("beyond_min_effect".to_owned(), beyond.into());
            }
            output::json(&answer)
        } else {
            let shown = Shown { all: self.all, min_effect: self.min_effect, colours: output::colours() };
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

    fn ask(&self) -> Result<Value, NoAnswer> {
        let usage = |error| NoAnswer(Exit::Usage, error);
        let unavailable = |error| NoAnswer(Exit::Unavailable, error);
        if !self.url.starts_with("http://") {
            let error = anyhow!("{} is no address of a server: write it as http://127.0.0.1:8001", self.url);
            return Err(usage(error));
        }
        let by = match self.by {
            By::AgentVersion => "agent_version",
            By::Environment => "environment",
            By::Time => "time",
        };
        let own = [("by", by), ("base", self.base.as_str()), ("candidate", self.candidate.as_str())];
        let agent = self.agent_id.iter().map(|agent| ("agent_id", agent.as_str()));
        let filters = self.filter.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = format!("{}{PATH}", self.url.trim_end_matches('/'));
        let url = reqwest::Url::parse_with_params(&url, own.into_iter().chain(agent).chain(filters))
            .map_err(|error| usage(anyhow!(error).context(format!("{} is no address of a server", self.url))))?;
        let (status, body) = get(url).with_context(|| format!("asking {}", self.url)).map_err(unavailable)?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match (status, answer) {
            (200, Some(answer)) => Ok(answer),
            (422, Some(refusal)) => Err(usage(anyhow!(what_is_wrong(&refusal)))),
            (status, answer) => {
                let what = answer.as_ref().and_then(|answer| Some(answer.get("error")?.as_str()?.to_owned()));
                let what = what.unwrap_or_else(|| "no comparison".to_owned());
                Err(unavailable(anyhow!("{} answered {status}: {what}", self.url)))
            }
        }
    }
}

fn get(url: reqwest::Url) -> anyhow::Result<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let response = client.get(url).send().await.map_err(reqwest::Error::without_url)?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await?.to_vec()))
    })
}

/// What the server says of a question that is not well put.
fn what_is_wrong(refusal: &Value) -> String {
    let detail = refusal.get("detail").and_then(Value::as_array);
    let errors = detail.into_iter().flatten().map(|error| {
        let name = error.get("loc").and_then(|loc| loc.get(1)).and_then(Value::as_str).unwrap_or("question");
        let msg = error.get("msg").and_then(Value::as_str).unwrap_or("is not understood");
        let name = if name == "agent_id" { "--agent-id" } else { name };
        format!("{name}: {msg}")
    });
    errors.collect::<Vec<_>>().join("; ")
}
