use std::path::PathBuf;
use std::time::Duration;

use agenttracer_model::privacy::MessageWords;
use agenttracer_server::config::{
    Age, Bytes, Limit, ListenAddr, LogFormat, Origin, PrivacyOptions, parse_lease, parse_message_words, parse_sync_mode,
};
use agenttracer_server::{Options, Server, signals};
use agenttracer_storage::SyncMode;
use anyhow::Context;
use clap::Args;

use crate::exit::Exit;
use crate::{logging, output};

/// Every option can also stand in the environment, or with its name in snake_case in a TOML file. A flag wins over the
/// environment, the environment over the file.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The directory that holds everything [default: ./data]
    #[arg(long, env = "AGENTTRACER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where runs are taken in; port 0 picks a free one, off disables it [default: 127.0.0.1:8000]
    #[arg(long, env = "AGENTTRACER_INGEST_ADDR", value_name = "IP:PORT|off")]
    ingest_addr: Option<ListenAddr>,
    /// Where questions are answered [default: 127.0.0.1:8001]
    #[arg(long, env = "AGENTTRACER_QUERY_ADDR", value_name = "IP:PORT|off")]
    query_addr: Option<ListenAddr>,
    /// Where the dashboard is [default: 127.0.0.1:3000]
    #[arg(long, env = "AGENTTRACER_UI_ADDR", value_name = "IP:PORT|off")]
    ui_addr: Option<ListenAddr>,
    /// What a 2xx means: synced, or synced at most so much later (1ms to 10s) [default: always]
    #[arg(long, env = "AGENTTRACER_SYNC", value_name = "always|interval=50ms", value_parser = parse_sync_mode)]
    sync: Option<SyncMode>,
    /// A TOML file with any of these options
    #[arg(long, env = "AGENTTRACER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the process log is written to stderr; RUST_LOG chooses what [default: text]
    #[arg(long, env = "AGENTTRACER_LOG_FORMAT", value_name = "text|json")]
    log_format: Option<LogFormat>,
    /// The origins whose pages may call the API [default: http://localhost:3000,http://localhost:5173]
    #[arg(long, env = "AGENTTRACER_CORS_ORIGINS", value_name = "ORIGIN,..", value_delimiter = ',')]
    cors_origins: Option<Vec<Origin>>,
    /// The length of a segment of the log, in bytes [default: 67108864]
    #[arg(long, env = "AGENTTRACER_SEGMENT_BYTES", value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// How long a live run may be silent before it is given up (1s to 168h) [default: 15m]
    #[arg(long, env = "AGENTTRACER_LEASE", value_name = "15m", value_parser = parse_lease)]
    lease: Option<Duration>,
    /// Whether sealed segments are compacted in the background [default: true]
    #[arg(long, env = "AGENTTRACER_COMPACT", value_name = "BOOL")]
    compact: Option<bool>,
    /// How much of the log a second is read to compact it, or off for no limit [default: 32MiB]
    #[arg(long, env = "AGENTTRACER_COMPACT_RATE", value_name = "SIZE|off")]
    compact_rate: Option<Limit<Bytes>>,
    /// How long runs are kept, by when the server took them in: 30d, 12h [default: off, for ever]
    #[arg(long, env = "AGENTTRACER_RETAIN", value_name = "TIME|off")]
    retain: Option<Limit<Age>>,
    /// How much log and index may take, as 50GiB: the oldest runs go first [default: off, no limit]
    #[arg(long, env = "AGENTTRACER_MAX_DISK", value_name = "SIZE|off")]
    max_disk: Option<Limit<Bytes>>,
    /// Whether every request must show an API key, also on loopback [default: only when a listener is not on loopback]
    #[arg(long, env = "AGENTTRACER_REQUIRE_KEYS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    require_keys: Option<bool>,
    /// Let others reach a listener without a key; only where something in front lets nobody else in [default: false]
    #[arg(long, env = "AGENTTRACER_INSECURE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    insecure: Option<bool>,
    /// The certificate chain of all listeners, in PEM; then they speak TLS alone. Read again when it changes
    #[arg(long, env = "AGENTTRACER_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long, env = "AGENTTRACER_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Refuse failure messages that mention password, api_key, token or secret, or only remove the shapes of secrets
    /// [default: strict]
    #[arg(
        long,
        env = "AGENTTRACER_PRIVACY_MESSAGE_WORDS",
        value_name = "strict|relaxed",
        value_parser = parse_message_words
    )]
    privacy_message_words: Option<MessageWords>,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let file = match &self.config {
            Some(path) => Options::from_file(path)?,
            None => Options::default(),
        };
        let config = self.options().or(file).resolve()?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        logging::start(config.log_format);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data_dir = %config.data_dir.display(),
            sync = %config.sync,
            "starting"
        );
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("http")
            .build()
            .context("starting the runtime")?;
        let outcome = runtime.block_on(async {
            let mut signal = std::pin::pin!(signals().context("installing the signal handlers")?);
            let server = tokio::select! {
                server = Server::start(config) => server?,
                // Whatever opening was at: it is as safe to leave as in a crash.
                name = &mut signal => {
                    tracing::info!("{name} before the server was ready");
                    return Ok(Exit::Done);
                }
            };
            for (listener, address) in server.addresses().iter() {
                // A server whose output nobody reads serves all the same.
                let _ = output::line(&format!("{listener:<7}{scheme}://{address}"));
            }
            let name = signal.await;
            tracing::info!("{name}: stopping");
            server.stop().await?;
            tracing::info!("stopped");
            Ok(Exit::Done)
        });
        // Reads that nobody waits for any more must not hold the process back.
        runtime.shutdown_background();
        outcome
    }

    /// What the flags and the environment say.
    fn options(self) -> Options {
        Options {
            data_dir: self.data_dir,
            ingest_addr: self.ingest_addr,
            query_addr: self.query_addr,
            ui_addr: self.ui_addr,
            sync: self.sync,
            log_format: self.log_format,
            cors_origins: self.cors_origins,
            segment_bytes: self.segment_bytes,
            lease: self.lease,
            compact: self.compact,
            compact_rate: self.compact_rate,
            retain: self.retain,
            max_disk: self.max_disk,
            require_keys: self.require_keys,
            insecure: self.insecure,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            privacy: PrivacyOptions { message_words: self.privacy_message_words },
        }
    }
}
