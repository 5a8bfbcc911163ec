use clap::Args;
use serde_json::Value;

use crate::client::{self, Client, Listener, Trust};
use crate::exit::Exit;
use crate::human::clean;
use crate::output;

/// The codes of this command: what watches over containers knows no others.
pub(crate) const HELP: &str = "\
Exit codes:
  0   all of them are well
  1   one of them is not, or does not answer
  64  the command line says what it cannot say";

/// Asks listeners whether they are well. A listener is well when it answers 200 to /health, also when a part of the log is
/// damaged and everything else works: the line then says so.
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// Addresses of listeners
    #[arg(value_name = "URL", default_values = ["http://127.0.0.1:8000", "http://127.0.0.1:8001"])]
    urls: Vec<String>,
    #[command(flatten)]
    trust: Trust,
}

impl Healthcheck {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let clients = self.urls.iter().map(|url| Client::new(url, Listener::Any, &self.trust));
        let clients: Vec<_> = clients.collect::<Result<_, _>>()?;
        let mut exit = Exit::Done;
        client::block_on(async {
            for client in &clients {
                match client.health().await {
                    Ok(answer) => {
                        let health: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                        let word = |name: &str| health[name].as_str().map(clean);
                        let state = word("status").unwrap_or_else(|| format!("answered {}", answer.status));
                        let why = word("reason")
                            .or_else(|| word("warning"))
                            .map_or_else(String::new, |why| format!(": {why}"));
                        output::line(&format!("{} {state}{why}", client.base()))?;
                        if answer.status != 200 {
                            exit = Exit::Failed;
                        }
                    }
                    Err(error) => {
                        output::error(&error);
                        exit = Exit::Failed;
                    }
                }
            }
            Ok(())
        })?;
        Ok(exit)
    }
}
