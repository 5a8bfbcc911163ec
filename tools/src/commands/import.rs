use std::path::PathBuf;

use agenttracer_model::privacy::MessageWords;
use agenttracer_server::Config;
use agenttracer_server::config::parse_message_words;
use clap::Args;
use serde::Serialize;

use crate::client::{Client, Listener, Trust};
use crate::exit::Exit;
use crate::importer::{Outcome, Rejection, Source, Target, import};
use crate::output;
use crate::progress::Progress;

/// How many rejected lines the JSON object holds.
const NAMED: usize = 1000;

/// Takes runs in as `POST /v1/runs/batch` does: the same checks, privacy rules and idempotency, so the same lines can be
/// imported again. Each line that is rejected is named on stderr and gives exit code 1; all others are stored.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A file with a run a line, the directory of an `export --format ndjson`, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    source: PathBuf,
    /// The directory that takes the runs; it is made when it is not there, and no server may have it
    #[arg(long, env = "AGENTTRACER_DATA_DIR", value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Send the runs to the server with this ingest address instead: its scheme, host and port
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    trust: Trust,
    /// As of `serve`, for a directory: strict or relaxed
    #[arg(
        long,
        env = "AGENTTRACER_PRIVACY_MESSAGE_WORDS",
        value_name = "strict|relaxed",
        default_value = "strict",
        value_parser = parse_message_words
    )]
    privacy_message_words: MessageWords,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ImportJson {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// Values that the privacy rules removed, by rule.
    removed: std::collections::BTreeMap<String, u64>,
    /// The first that were rejected.
    rejected_lines: Vec<Rejection>,
}

impl Import {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let source = Source::of(&self.source)?;
        let target = match &self.url {
            Some(url) => Target::Server(Box::new(Client::new(url, Listener::Ingest, &self.trust)?)),
            None => Target::directory(&Config {
                message_words: self.privacy_message_words,
                ..Config::new(self.data_dir.clone())
            })?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut named = Vec::new();
        let bar = source.runs.map(|runs| Progress::of_runs(runs, "imported"));
        let mut progress = |outcome: &Outcome| {
            if let Some(bar) = &bar {
                bar.set(outcome.accepted + outcome.duplicates + outcome.rejected);
            }
        };
        let mut reject = |rejection: Rejection| {
            if self.json && named.len() < NAMED {
                named.push(rejection);
            } else {
                output::warning(&rejection.to_line());
            }
            Ok(())
        };
        let outcome = runtime.block_on(import(source, &target, &mut progress, &mut reject));
        drop(bar);
        // What was taken in stays, whatever came then.
        let closed = target.close();
        let outcome = outcome?;
        closed?;
        let Outcome { accepted, duplicates, rejected, removed } = outcome;
        if self.json {
            output::json(&ImportJson { accepted, duplicates, rejected, removed, rejected_lines: named })?;
        } else {
            let removed = removed.iter().map(|(rule, count)| format!(", removed {rule}={count}")).collect::<String>();
            output::line(&format!("accepted {accepted}, duplicates {duplicates}, rejected {rejected}{removed}"))?;
        }
        Ok(if rejected == 0 { Exit::Done } else { Exit::Failed })
    }
}
