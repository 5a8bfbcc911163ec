use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use agenttracer_model::Timestamp;
use agenttracer_model::taxonomy::Scope;
use agenttracer_server::access::{Draft, Key, KeyFile};
use agenttracer_server::config::Age;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output;
use crate::table::Table;

/// Who changed the keys, where the list of actions says so.
const BY: &str = "command line";

/// Keys let clients in. A server that runs takes a change up within a second or two; it need not be stopped or told.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// The directory that holds everything
    #[arg(long, env = "AGENTTRACER_DATA_DIR", value_name = "DIR", default_value = "./data", global = true)]
    data_dir: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and show it, this once
    Create(Create),
    /// List the keys and what they may do; never their secrets
    List,
    /// Give a key a new secret and show it, this once
    Rotate(Rotate),
    /// End a key, and within seconds its sessions and streams
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Create {
    /// What it is for, for people
    #[arg(long)]
    name: String,
    /// What it may do: ingest, query, erase or admin (everything); can be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = parse_scope)]
    scopes: Vec<Scope>,
    /// After which time it ends, as 90d [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<Age>,
    /// How many requests a second it may make [default: no limit]
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

#[derive(Debug, Args)]
struct Rotate {
    /// The key's id, as `list` shows it
    id: String,
    /// How long the secret before stays valid, as 24h, so that clients can be changed one by one [default: not at all]
    #[arg(long, value_name = "TIME")]
    grace: Option<Age>,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The key's id, as `list` shows it
    id: String,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "write ingest, query, erase or admin".to_owned())
}

impl Keys {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        if !self.data_dir.is_dir() {
            // A container's first key is made before its first start.
            if !matches!(self.command, Command::Create(_)) {
                bail!(
                    "{} is no directory; --data-dir names the one that `agenttracer serve` writes",
                    self.data_dir.display()
                );
            }
            std::fs::create_dir_all(&self.data_dir)?;
        }
        let file = KeyFile::of(&self.data_dir);
        match &self.command {
            Command::Create(create) => {
                let name = create.name.trim();
                if name.is_empty() || name.chars().count() > 100 {
                    bail!("a name has 1 to 100 characters");
                }
                let draft = Draft {
                    name: name.to_owned(),
                    scopes: create.scopes.clone(),
                    expires_at: create.expires.map(|age| after(age.0)),
                    requests_per_second: create.rate,
                };
                let shown = file.create(draft, BY)?;
                self.show(&shown.key, &shown.text)?;
            }
            Command::Rotate(rotate) => {
                let shown = file.rotate(&rotate.id, rotate.grace.map_or(Duration::ZERO, |age| age.0), BY)?;
                self.show(&shown.key, &shown.text)?;
            }
            Command::Revoke(revoke) => {
                let key = file.revoke(&revoke.id, BY)?;
                match self.json {
                    true => output::json(&as_json(&key))?,
                    false => output::line(&format!("revoked {} ({})", key.id, key.name))?,
                }
            }
            Command::List => self.list(&file)?,
        }
        Ok(Exit::Done)
    }

    /// The key alone on stdout, so that a script can take it; what it is on stderr.
    fn show(&self, key: &Key, text: &str) -> anyhow::Result<()> {
        if self.json {
            let mut value = as_json(key);
            value["key"] = text.into();
            return output::json(&value);
        }
        output::note(&format!("key {} ({}), for {}. It is shown this once:", key.id, key.name, scopes(key)));
        Ok(output::line(text)?)
    }

    fn list(&self, file: &KeyFile) -> anyhow::Result<()> {
        let keys = file.load()?;
        if self.json {
            let actions = serde_json::to_value(&keys.actions)?;
            let all: Vec<_> = keys.keys.iter().map(as_json).collect();
            return output::json(&json!({"keys": all, "actions": actions}));
        }
        let mut table = Table::new(["id", "name", "scopes", "created", "state"]);
        for key in &keys.keys {
            table.row([key.id.clone(), key.name.clone(), scopes(key), key.created_at.to_string(), state(key)]);
        }
        Ok(table.print()?)
    }
}

fn after(time: Duration) -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_add(time);
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn scopes(key: &Key) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}

fn state(key: &Key) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(time), _) => format!("revoked {time}"),
        (None, Some(time)) if time <= after(Duration::ZERO) => format!("expired {time}"),
        (None, Some(time)) => format!("valid until {time}"),
        (None, None) => "valid".to_owned(),
    }
}

fn as_json(key: &Key) -> Value {
    json!({
        "key_id": key.id, "name": key.name, "scopes": key.scopes, "created_at": key.created_at,
        "expires_at": key.expires_at, "rotated_at": key.rotated_at, "revoked_at": key.revoked_at,
        "requests_per_second": key.requests_per_second,
    })
}
