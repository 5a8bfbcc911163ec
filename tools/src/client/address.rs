//! Where a server is, as it stands on a command line.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::{Client, ClientError, Listener};

/// The query side of a server.
#[derive(Debug, Args)]
pub(crate) struct QueryAddress {
    /// The query address of the server
    #[arg(
        long,
        env = "AGENTTRACER_QUERY_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8001",
        hide_env_values = true
    )]
    url: String,
    #[command(flatten)]
    trust: Trust,
}

impl QueryAddress {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url, Listener::Query, &self.trust)
    }
}

/// The ingest side of a server.
#[derive(Debug, Args)]
pub(crate) struct IngestAddress {
    /// The ingest address of the server
    #[arg(
        long,
        env = "AGENTTRACER_INGEST_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000",
        hide_env_values = true
    )]
    url: String,
    #[command(flatten)]
    trust: Trust,
}

impl IngestAddress {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url, Listener::Ingest, &self.trust)
    }
}

/// Which servers are believed to be who they say.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// With https: a PEM file with the authority of the server's certificate, or that certificate itself; nobody else is then
    /// trusted [default: the authorities of this machine]
    #[arg(long, env = "AGENTTRACER_CA", value_name = "FILE", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
}

impl Listener {
    /// Also the scope of a key for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query | Self::Any => "query",
        }
    }

    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::Ingest => "http://127.0.0.1:8000",
            Self::Query | Self::Any => "http://127.0.0.1:8001",
        }
    }

    /// How to name another server.
    pub(super) const fn another(self) -> &'static str {
        match self {
            Self::Ingest => "name another with --url",
            Self::Query => "name another with --url / AGENTTRACER_QUERY_URL",
            Self::Any => "name another",
        }
    }
}

/// Reads an address. What stands in one that cannot be used is not repeated: it may hold a password.
pub(super) fn parse(text: &str, listener: Listener) -> Result<Url, ClientError> {
    let wrong = || ClientError::Usage(format!("that is no address of a server: write it as {}", listener.example()));
    let mut url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Usage(format!(
            "an address must not hold a name or a password: a key is put into {}",
            super::API_KEY
        )));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_bad_ones_not_repeated() {
        for (text, base) in [
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001/"),
            ("https://traces.example/at/?x=1#y", "https://traces.example/at/"),
            ("http://[::1]:8001/", "http://[::1]:8001/"),
        ] {
            assert_eq!(parse(text, Listener::Query).unwrap().as_str(), base);
        }
        for text in ["127.0.0.1:8001", "localhost:8001", "ftp://a", "http://", "s3cret", "http://u:s3cret@127.0.0.1:1"]
        {
            let error = parse(text, Listener::Query).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
