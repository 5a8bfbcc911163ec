//! Configuration: what an operator may say, and what it comes to.
//!
//! [`Options`] is what one source says (flags and environment, or a TOML file); every part may be missing.
//! `flags.or(file).resolve()` gives the [`Config`] a server starts with: the first source that says something wins.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use agenttracer_model::privacy::MessageWords;
use agenttracer_storage::SyncMode;
use http::HeaderValue;
use serde::{Deserialize, Deserializer};

use crate::tls::TlsFiles;

/// What one source of configuration says. The names are the keys of the TOML file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The directory that holds everything; relative to the working directory of the process.
    pub data_dir: Option<PathBuf>,
    /// Where runs are taken in.
    pub ingest_addr: Option<ListenAddr>,
    /// Where questions are answered.
    pub query_addr: Option<ListenAddr>,
    /// Where the dashboard is, with the query routes beside it.
    pub ui_addr: Option<ListenAddr>,
    /// What a 2xx means: `always` or `interval=50ms`.
    #[serde(default, deserialize_with = "sync_mode_of_file")]
    pub sync: Option<SyncMode>,
    /// How the process log is written.
    pub log_format: Option<LogFormat>,
    /// The origins whose pages may call the API, and write to a loopback listener.
    pub cors_origins: Option<Vec<Origin>>,
    /// The length of a segment of the log, in bytes; a run must fit into one.
    pub segment_bytes: Option<u64>,
    /// How long a live run may be silent before it is given up: `15m`.
    #[serde(default, deserialize_with = "lease_of_file")]
    pub lease: Option<Duration>,
    /// Whether sealed segments are compacted in the background.
    pub compact: Option<bool>,
    /// How much of the log a second is read to compact it, as `32MiB`; `off` for no limit.
    pub compact_rate: Option<Limit<Bytes>>,
    /// How long runs are kept, as `30d`; `off` for ever.
    pub retain: Option<Limit<Age>>,
    /// How much log and index may take, as `50GiB`; `off` for no limit.
    pub max_disk: Option<Limit<Bytes>>,
    /// Whether every request must show a key, also on loopback.
    pub require_keys: Option<bool>,
    /// Whether others may reach a listener without showing a key.
    pub insecure: Option<bool>,
    /// The certificate chain of the listeners, in PEM; then they speak TLS alone.
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// The privacy rules that can be chosen.
    #[serde(default)]
    pub privacy: PrivacyOptions,
}

/// The table `[privacy]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyOptions {
    /// Which words a failure's message may not mention: `strict` or `relaxed`.
    #[serde(default, deserialize_with = "message_words_of_file")]
    pub message_words: Option<MessageWords>,
}

impl Options {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, names a key that does not exist, or gives a key a value it cannot
    /// have. The message names the file, the line and the key.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::File { file: path.to_owned(), what: error.to_string().trim_end().to_owned() })
    }

    /// What `self` says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            ingest_addr: self.ingest_addr.or(other.ingest_addr),
            query_addr: self.query_addr.or(other.query_addr),
            ui_addr: self.ui_addr.or(other.ui_addr),
            sync: self.sync.or(other.sync),
            log_format: self.log_format.or(other.log_format),
            cors_origins: self.cors_origins.or(other.cors_origins),
            segment_bytes: self.segment_bytes.or(other.segment_bytes),
            lease: self.lease.or(other.lease),
            compact: self.compact.or(other.compact),
            compact_rate: self.compact_rate.or(other.compact_rate),
            retain: self.retain.or(other.retain),
            max_disk: self.max_disk.or(other.max_disk),
            require_keys: self.require_keys.or(other.require_keys),
            insecure: self.insecure.or(other.insecure),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            privacy: PrivacyOptions { message_words: self.privacy.message_words.or(other.privacy.message_words) },
        }
    }

    /// The configuration these options come to, with the defaults for what nobody said.
    ///
    /// # Errors
    /// When the options contradict each other or a number is out of its range.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let default = Config::new(PathBuf::from("./data"));
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            _ => return Err(ConfigError::HalfTls),
        };
        let config = Config {
            data_dir: self.data_dir.unwrap_or(default.data_dir),
            ingest_addr: self.ingest_addr.unwrap_or(default.ingest_addr),
            query_addr: self.query_addr.unwrap_or(default.query_addr),
            ui_addr: self.ui_addr.unwrap_or(default.ui_addr),
            sync: self.sync.unwrap_or(default.sync),
            log_format: self.log_format.unwrap_or(default.log_format),
            cors_origins: self.cors_origins.unwrap_or(default.cors_origins),
            segment_bytes: self.segment_bytes.unwrap_or(default.segment_bytes),
            lease: self.lease.unwrap_or(default.lease),
            compact: self.compact.unwrap_or(default.compact),
            compact_rate: self.compact_rate.unwrap_or(default.compact_rate),
            retain: self.retain.unwrap_or(default.retain),
            max_disk: self.max_disk.unwrap_or(default.max_disk),
            require_keys: self.require_keys.unwrap_or(default.require_keys),
            insecure: self.insecure.unwrap_or(default.insecure),
            tls,
            message_words: self.privacy.message_words.unwrap_or(default.message_words),
        };
        let listeners = [config.ingest_addr, config.query_addr, config.ui_addr];
        if listeners.iter().all(|address| *address == ListenAddr::Off) {
            return Err(ConfigError::NothingToServe);
        }
        if config.require_keys && config.insecure {
            return Err(ConfigError::KeysAndInsecure);
        }
        if !SEGMENT_BYTES.contains(&config.segment_bytes) {
            return Err(ConfigError::SegmentBytes(config.segment_bytes));
        }
        // A spare and the reserve are as long as a segment each, and the active one needs its place.
        if let Limit::At(Bytes(max)) = config.max_disk
            && max < 4 * config.segment_bytes
        {
            return Err(ConfigError::MaxDisk { max_disk: max, segment_bytes: config.segment_bytes });
        }
        Ok(config)
    }
}

/// The lengths a segment may have. Below the largest frame (16 MiB) large runs are answered with 413; above, a segment
/// could not be mapped and rewritten in one go.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(1 << 30);

/// What a server starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The directory that holds everything; made when it is not there.
    pub data_dir: PathBuf,
    /// Where runs are taken in. Default `127.0.0.1:8000`.
    pub ingest_addr: ListenAddr,
    /// Where questions are answered. Default `127.0.0.1:8001`.
    pub query_addr: ListenAddr,
    /// Where the dashboard is. Default `127.0.0.1:3000`.
    pub ui_addr: ListenAddr,
    /// What a 2xx means. Default [`SyncMode::Always`].
    pub sync: SyncMode,
    /// How the process log is written. Default text.
    pub log_format: LogFormat,
    /// The origins whose pages may call the API. Default `http://localhost:3000` and `http://localhost:5173`.
    pub cors_origins: Vec<Origin>,
    /// The length of a segment of the log, in bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// How long a live run may be silent before it is given up. Default 15 min.
    pub lease: Duration,
    /// Whether sealed segments are compacted in the background. Default yes.
    pub compact: bool,
    /// How much of the log a second is read to compact it. Default 32 MiB.
    pub compact_rate: Limit<Bytes>,
    /// How long runs are kept, by when the server took them in. Default for ever.
    pub retain: Limit<Age>,
    /// How much log and index may take. Default no limit.
    pub max_disk: Limit<Bytes>,
    /// Whether every request must show a key, also on loopback. Default no: then keys are needed as soon as one listener is not
    /// on loopback.
    pub require_keys: bool,
    /// Whether others may reach a listener without showing a key. Default no.
    pub insecure: bool,
    /// The certificate with which the listeners speak TLS. Default none: they speak plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Which words a failure's message may not mention. Default strict.
    pub message_words: MessageWords,
}

impl Config {
    /// The defaults over `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        let local = |port| ListenAddr::At(SocketAddr::from(([127, 0, 0, 1], port)));
        let origin = |text: &'static str| Origin(HeaderValue::from_static(text));
        Self {
            data_dir,
            ingest_addr: local(8000),
            query_addr: local(8001),
            ui_addr: local(3000),
            sync: SyncMode::Always,
            log_format: LogFormat::Text,
            cors_origins: vec![origin("http://localhost:3000"), origin("http://localhost:5173")],
            segment_bytes: 64 << 20,
            lease: Duration::from_secs(15 * 60),
            compact: true,
            compact_rate: Limit::At(Bytes(32 << 20)),
            retain: Limit::Off,
            max_disk: Limit::Off,
            require_keys: false,
            insecure: false,
            tls: None,
            message_words: MessageWords::Strict,
        }
    }
}

impl Config {
    /// The listeners that others than this machine can reach, with their addresses.
    pub fn reachable(&self) -> Vec<(&'static str, SocketAddr)> {
        let listeners = [("ingest", self.ingest_addr), ("query", self.query_addr), ("ui", self.ui_addr)];
        let reachable = listeners.into_iter().filter_map(|(name, address)| match address {
            ListenAddr::At(address) if !address.ip().is_loopback() => Some((name, address)),
            _ => None,
        });
        reachable.collect()
    }

    /// Whether a request must show a key.
    pub fn needs_keys(&self) -> bool {
        self.require_keys || !self.insecure && !self.reachable().is_empty()
    }
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// Nowhere.
    Off,
    /// At this address; port 0 picks a free one.
    At(SocketAddr),
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        numeric.parse().map(Self::At).map_err(|_| {
            format!("`{text}` is no address: write IP:PORT (as 127.0.0.1:8000 or [::1]:8000; port 0 picks one) or off")
        })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// A bound that can be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
    /// There is none.
    Off,
    /// There is this one.
    At(T),
}

impl<T> Limit<T> {
    /// The bound, if there is one.
    pub fn bound(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(bound) => Some(bound),
        }
    }
}

impl<T: FromStr<Err = String>> FromStr for Limit<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A number of bytes, written as `50GiB`, `32MiB`, `64KiB` or `1000B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];
        let size = units.iter().find_map(|(unit, bytes)| {
            text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*bytes).filter(|size| *size > 0)
        });
        size.map(Self).ok_or_else(|| format!("`{text}` is no size: write a number and B, KiB, MiB, GiB or TiB, or off"))
    }
}

/// A time that is counted back from now, written as `30d`, `12h`, `90m` or `600s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
        let seconds = units.iter().find_map(|(unit, seconds)| {
            text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*seconds).filter(|age| *age > 0)
        });
        let age = seconds.map(|seconds| Self(Duration::from_secs(seconds)));
        age.ok_or_else(|| format!("`{text}` is no time: write a number and d, h, m or s, as 30d, or off"))
    }
}

/// How the process log is written, always to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is no log format: write text or json")),
        }
    }
}

/// An origin as a browser sends it: scheme, host and port, nothing behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    /// The value of the `Origin` header that this origin sends.
    pub fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no origin: write SCHEME://HOST[:PORT], as http://localhost:3000");
        let lower = text.to_ascii_lowercase();
        let host = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")).ok_or_else(wrong)?;
        if host.is_empty() || host.contains(['/', '?', '#', '@', '*', ' ', ',']) {
            return Err(wrong());
        }
        HeaderValue::from_str(&lower).map(Self).map_err(|_| wrong())
    }
}

/// Reads `always`, or `interval=` and a duration from 1 ms to 10 s as `50ms` or `1s`.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse_sync_mode(text: &str) -> Result<SyncMode, String> {
    let wrong = || format!("`{text}` is no sync mode: write always, or interval= and 1ms to 10s, as interval=50ms");
    if text == "always" {
        return Ok(SyncMode::Always);
    }
    let duration = text.strip_prefix("interval=").ok_or_else(wrong)?;
    let (number, unit_ms) = match duration.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (duration.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)).ok_or_else(wrong)?;
    if !(1..=10_000).contains(&millis) {
        return Err(wrong());
    }
    Ok(SyncMode::Interval(Duration::from_millis(millis)))
}

/// Reads how long a live run may be silent: a whole number with `s`, `m` or `h`, from one second to a week.
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse_lease(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no lease: write 15m, from 1s to 168h");
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let (number, unit_s) =
        units.iter().find_map(|(name, seconds)| Some((text.strip_suffix(*name)?, *seconds))).ok_or_else(wrong)?;
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_s)).ok_or_else(wrong)?;
    if !(1..=7 * 24 * 3600).contains(&seconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

fn lease_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_lease(&text).map(Some).map_err(serde::de::Error::custom)
}

fn sync_mode_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SyncMode>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_sync_mode(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Reads `strict` (password, api_key, token and secret are refused) or `relaxed` (only the shapes of secrets are removed).
///
/// # Errors
/// A sentence that says what can be written.
pub fn parse_message_words(text: &str) -> Result<MessageWords, String> {
    match text {
        "strict" => Ok(MessageWords::Strict),
        "relaxed" => Ok(MessageWords::Relaxed),
        _ => Err(format!("`{text}` is no rule for message words: write strict or relaxed")),
    }
}

fn message_words_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MessageWords>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_message_words(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A type that a file spells as a string and a flag as the same string.
macro_rules! deserialize_from_str {
    ($($name:ident)+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

deserialize_from_str!(ListenAddr LogFormat Origin);

/// Why there is no configuration to start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
    /// The file says what it cannot say.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: PathBuf,
        /// The line, the key and what is wrong.
        what: String,
    },
    /// Every listener is off.
    #[error("ingest_addr, query_addr and ui_addr are all off: there is nothing to serve")]
    NothingToServe,
    /// A certificate without its key, or the other way round.
    #[error("tls_cert and tls_key belong together: give both, or neither for plain HTTP")]
    HalfTls,
    /// Keys are asked for, and are not.
    #[error("require_keys and insecure contradict each other: leave one of them out")]
    KeysAndInsecure,
    /// A segment cannot have this length.
    #[error("segment_bytes is {0}: a segment has from 65536 bytes (64 KiB) to 1073741824 bytes (1 GiB)")]
    SegmentBytes(u64),
    /// The bound leaves no room for what a log needs at least.
    #[error("max_disk is {max_disk} bytes: it must hold four segments of {segment_bytes} bytes (segment_bytes)")]
    MaxDisk {
        /// The bound.
        max_disk: u64,
        /// The length of a segment.
        segment_bytes: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Options, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agenttracer.toml");
        std::fs::write(&path, text).unwrap();
        Options::from_file(&path)
    }

    #[test]
    fn nothing_said_gives_the_defaults() {
        let config = Options::default().resolve().unwrap();
        assert_eq!(config, Config::new("./data".into()));
        assert_eq!(config.ingest_addr.to_string(), "127.0.0.1:8000");
        assert_eq!(config.query_addr.to_string(), "127.0.0.1:8001");
        assert_eq!(config.ui_addr.to_string(), "127.0.0.1:3000");
    }

    #[test]
    fn a_file_can_say_everything() {
        let options = file(
            r#"
            data_dir = "/var/lib/agenttracer"
            ingest_addr = "0.0.0.0:9000"
            query_addr = "[::1]:0"
            ui_addr = "off"
            sync = "interval=50ms"
            log_format = "json"
            cors_origins = ["https://traces.example", "http://LOCALHOST:5173"]
            segment_bytes = 1048576
            lease = "2h"
            compact = false
            compact_rate = "off"
            retain = "30d"
            max_disk = "50GiB"
            require_keys = true
            tls_cert = "cert.pem"
            tls_key = "key.pem"
            [privacy]
            message_words = "relaxed"
            "#,
        )
        .unwrap();
        let config = options.resolve().unwrap();
        assert_eq!(config.data_dir, Path::new("/var/lib/agenttracer"));
        assert_eq!(config.ingest_addr, ListenAddr::At("0.0.0.0:9000".parse().unwrap()));
        assert_eq!(config.query_addr, ListenAddr::At("[::1]:0".parse().unwrap()));
        assert_eq!(config.ui_addr, ListenAddr::Off);
        assert_eq!(config.sync, SyncMode::Interval(Duration::from_millis(50)));
        assert_eq!(config.log_format, LogFormat::Json);
        let origins: Vec<_> = config.cors_origins.iter().map(|origin| origin.header_value().clone()).collect();
        assert_eq!(origins, ["https://traces.example", "http://localhost:5173"]);
        assert_eq!(config.segment_bytes, 1 << 20);
        assert_eq!(config.lease, Duration::from_secs(7200));
        assert!(!config.compact);
        assert_eq!(config.compact_rate, Limit::Off);
        assert_eq!(config.retain, Limit::At(Age(Duration::from_secs(30 * 86_400))));
        assert_eq!(config.max_disk, Limit::At(Bytes(50 << 30)));
        assert!(config.require_keys && !config.insecure);
        assert_eq!(config.tls, Some(TlsFiles { cert: "cert.pem".into(), key: "key.pem".into() }));
        assert_eq!(config.message_words, MessageWords::Relaxed);
    }

    #[test]
    fn keys_are_needed_as_soon_as_others_can_reach_a_listener() {
        let open = Options { query_addr: Some("0.0.0.0:8001".parse().unwrap()), ..Options::default() };
        let config = open.clone().resolve().unwrap();
        assert_eq!(config.reachable(), [("query", "0.0.0.0:8001".parse().unwrap())]);
        assert!(config.needs_keys());
        assert!(!Options { insecure: Some(true), ..open }.resolve().unwrap().needs_keys());
        assert!(!Options::default().resolve().unwrap().needs_keys());
        assert!(Options { require_keys: Some(true), ..Options::default() }.resolve().unwrap().needs_keys());
    }

    #[test]
    fn the_first_source_that_speaks_wins() {
        let flags = Options { sync: Some(SyncMode::Always), ..Options::default() };
        let both = flags.or(file("sync = \"interval=1s\"\nui_addr = \"off\"").unwrap());
        assert_eq!(both.sync, Some(SyncMode::Always));
        assert_eq!(both.ui_addr, Some(ListenAddr::Off));
        assert_eq!(both.data_dir, None);
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (text, key) in [("ingest_adr = \"off\"", "ingest_adr"), ("[privacy]\nwords = \"strict\"", "words")] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
            assert!(error.contains("agenttracer.toml"), "{error}");
        }
    }

    #[test]
    fn a_wrong_value_says_what_can_be_written() {
        for (text, hint) in [
            ("ingest_addr = \"8000\"", "write IP:PORT"),
            ("sync = \"sometimes\"", "write always, or interval="),
            ("log_format = \"xml\"", "write text or json"),
            ("cors_origins = [\"localhost:3000\"]", "write SCHEME://HOST"),
            ("cors_origins = [\"*\"]", "write SCHEME://HOST"),
            ("privacy.message_words = \"none\"", "write strict or relaxed"),
            ("sync = 50", "expected a string"),
            ("lease = \"15\"", "write 15m"),
            ("retain = \"30\"", "write a number and d, h, m or s"),
            ("retain = \"0d\"", "write a number and d, h, m or s"),
            ("max_disk = \"50GB\"", "write a number and B, KiB"),
            ("compact_rate = \"99999999999TiB\"", "write a number and B, KiB"),
        ] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
        assert!(matches!(Options::from_file(Path::new("/no/such/file")), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn contradictions_are_refused() {
        let off = Some(ListenAddr::Off);
        let options = Options { ingest_addr: off, query_addr: off, ui_addr: off, ..Options::default() };
        assert!(matches!(options.resolve(), Err(ConfigError::NothingToServe)));
        let options = Options { tls_cert: Some("c.pem".into()), ..Options::default() };
        assert!(matches!(options.resolve(), Err(ConfigError::HalfTls)));
        let options = Options { require_keys: Some(true), insecure: Some(true), ..Options::default() };
        assert!(matches!(options.resolve(), Err(ConfigError::KeysAndInsecure)));
        let options = Options { segment_bytes: Some(10), ..Options::default() };
        assert!(matches!(options.resolve(), Err(ConfigError::SegmentBytes(10))));
        let options = Options { max_disk: Some(Limit::At(Bytes(255 << 20))), ..Options::default() };
        assert!(matches!(options.resolve(), Err(ConfigError::MaxDisk { .. })));
    }

    #[test]
    fn sync_modes_are_read() {
        assert_eq!(parse_sync_mode("always"), Ok(SyncMode::Always));
        assert_eq!(parse_sync_mode("interval=2s"), Ok(SyncMode::Interval(Duration::from_secs(2))));
        for wrong in ["", "interval", "interval=", "interval=0ms", "interval=11s", "interval=5", "interval=-5ms"] {
            assert!(parse_sync_mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn leases_are_read() {
        assert_eq!(parse_lease("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_lease("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_lease("168h"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "m", "0s", "15", "-1m", "1.5h", "169h", "15 m", "9999999999999999999h"] {
            assert!(parse_lease(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn localhost_is_an_address() {
        assert_eq!("localhost:80".parse(), Ok(ListenAddr::At("127.0.0.1:80".parse().unwrap())));
        assert!("localhost:".parse::<ListenAddr>().is_err());
    }
}
