use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agenttracer_erasure::{Eraser, ErasureState};
use agenttracer_ingest::IngestState;
use agenttracer_query::{QueryOptions, QueryState};
use agenttracer_storage::compaction::Policy;
use axum::Router;
use prometheus::Registry;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::access::{Endpoints, Guard, KeyFile};
use crate::addresses::{AddressFile, Addresses};
use crate::config::{Config, ListenAddr};
use crate::edge::{Access, Edge};
use crate::erasures::Erasures;
use crate::listeners::{self, ConnectionLimit};
use crate::maintenance::{self, Background, Maintenance};
use crate::node::{Node, Reporter};
use crate::probes::{self, Does, Probes};
use crate::shutdown::{DRAIN, Switch};
use crate::tls::Tls;
use crate::ui::{self, Files};
use crate::{StartError, StopError, access, documentation, edge, metrics};

/// How long the last commit of the index may take. It is derived data: the next start reads from the log what is
/// missing.
const CLOSE_INDEX: Duration = Duration::from_secs(2);
/// How long the log may take to close.
const CLOSE_LOG: Duration = Duration::from_secs(2);

/// A running server: one data directory, and the listeners in front of it.
///
/// Dropping it instead of [`stop`](Self::stop)ping it is safe, as a crash is.
pub struct Server {
    addresses: Addresses,
    address_file: AddressFile,
    node: Node,
    questions: QueryState,
    switch: Switch,
    serving: JoinSet<()>,
    background: Background,
    eraser: Arc<Eraser>,
}

impl Server {
    /// Opens the data directory and listens. When this returns, the server is ready: requests are answered, and
    /// `DATA_DIR/run/addresses.json` says where.
    ///
    /// # Errors
    /// See [`StartError`]: the directory is in use or damaged, or an address is taken.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // Before the directory is opened, which can take long: what is wrong with the configuration is better known at once.
        let guard = guard(&config)?;
        let tls = config.tls.as_ref().map(Tls::open).transpose()?;
        let ingest = reserve("ingest", config.ingest_addr)?;
        let query = reserve("query", config.query_addr)?;
        let ui = reserve("ui", config.ui_addr)?;
        let address = |reserved: &Reserved| reserved.as_ref().map(|(_, _, address)| *address);
        let addresses = Addresses { ingest: address(&ingest), query: address(&query), ui: address(&ui) };

        let (node, config) = tokio::task::spawn_blocking(move || {
            let mut reporter = Reporter::new();
            Node::open(&config, &mut |progress| reporter.report(progress)).map(|node| (node, config))
        })
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let address_file = AddressFile::prepare(&config.data_dir)?;

        let limit = ConnectionLimit::of_process();
        let switch = Switch::new();
        let mut serving = JoinSet::new();
        let (ingest_document, query_document) = (documentation::ingest_document(), documentation::query_document());
        let mut serve = |reserved: Reserved, routes: Router| -> Result<(), StartError> {
            let Some((listener, socket, address)) = reserved else { return Ok(()) };
            let document = if listener == "ingest" { &ingest_document } else { &query_document };
            let access = Access { guard: guard.clone(), endpoints: Endpoints::of(document) };
            let edge = Edge::new(listener, routes, &config.cors_origins, address.ip().is_loopback(), Some(access));
            let socket = listeners::listen(socket).map_err(|source| StartError::Bind { listener, address, source })?;
            serving.spawn(listeners::serve(socket, edge, limit.clone(), tls.clone(), switch.clone()));
            Ok(())
        };
        let cached = Arc::new(OnceLock::new());
        let erasures = Arc::new(erasures(&node, &config, cached.clone()));
        let eraser = erasures.eraser();
        let maintenance = maintain(&node, &config, erasures);
        let (writes, questions) = states(&node, &config, maintenance.done(), addresses.ingest)?;
        let _ = cached.set(questions.clone());
        // What a crash cut off is hidden before anybody can ask.
        let completing = eraser.clone();
        let completed = tokio::task::spawn_blocking(move || completing.complete()).await;
        match completed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ok(0) => {}
            Ok(erasures) => tracing::info!(erasures, "erasures that a crash had cut off were completed"),
            Err(error) => tracing::error!(%error, "an erasure was not completed; it is tried again"),
        }
        let erasures = agenttracer_erasure::routes(ErasureState::new(eraser.clone()));
        // What both sides answer to an unknown method, the routes that are merged in answer too.
        let ingest_routes = agenttracer_ingest::routes(writes.clone()).merge(erasures.clone());
        let ingest_routes = ingest_routes.method_not_allowed_fallback(edge::method_not_allowed);
        let query_routes = agenttracer_query::routes(questions.clone()).merge(erasures);
        let query_routes = query_routes.method_not_allowed_fallback(edge::method_not_allowed);
        let probes = Probes { log: node.log(), index: node.index.clone() };
        let query_routes = query_routes.merge(probes::routes(&probes, Does::Query));
        let query_routes = query_routes.merge(documentation::routes(&query_document));
        let query_routes = query_routes.merge(access::routes::routes(guard.clone()));
        let query_routes = ui::beside(query_routes.layer(compression()), Files::built_in());
        let ingest_routes = ingest_routes.merge(documentation::routes(&ingest_document));
        let ingest_routes = ingest_routes.merge(probes::routes(&probes, Does::Ingest));
        serve(ingest, ingest_routes)?;
        serve(query, query_routes.clone())?;
        serve(ui, query_routes)?;
        serving.spawn(access::watch(guard.clone(), switch.turned()));
        if let (Some(tls), Some(files)) = (tls, config.tls.clone()) {
            serving.spawn(tls.watch(files, switch.turned()));
        }
        serving.spawn(give_up_silent_runs(writes, config.lease, switch.turned()));
        address_file.publish(&addresses)?;
        let background = Background::start(maintenance)
            .map_err(|source| StartError::Io { file: config.data_dir.clone(), source })?;
        Ok(Self { addresses, address_file, node, questions, switch, serving, background, eraser })
    }

    /// Where the server listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Stops accepting, lets requests in flight finish, commits, writes the checkpoint and closes the log; within 10 s.
    ///
    /// # Errors
    /// When the log could not be closed cleanly. Everything that was acknowledged is there all the same.
    pub async fn stop(mut self) -> Result<(), StopError> {
        if let Err(error) = self.address_file.remove() {
            tracing::warn!(%error, "addresses.json could not be removed");
        }
        self.switch.turn();
        self.questions.close();
        self.eraser.close();
        let drained = timeout(DRAIN, async { while self.serving.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("requests that took too long were cut off");
            self.serving.shutdown().await;
        }
        let Node { log, index, .. } = self.node;
        // It writes into the directory, which is let go with the log.
        let background = self.background;
        if tokio::task::spawn_blocking(move || background.stop()).await.is_err() {
            tracing::error!("stopping the maintenance panicked");
        }
        // The index first: the log holds the lock, and nobody else may have the directory before both are done.
        let closed = timeout(CLOSE_INDEX, tokio::task::spawn_blocking(move || index.close())).await;
        match closed {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last commit of the index failed; the log has it all"),
            Ok(Err(_)) => tracing::error!("closing the index panicked"),
            Err(_) => tracing::warn!("the last commit of the index was cut off; the log has it all"),
        }
        match timeout(CLOSE_LOG, tokio::task::spawn_blocking(move || log.close())).await {
            Ok(Ok(closed)) => Ok(closed?),
            Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StopError::TimedOut),
        }
    }
}

/// The erasures of a node, which empty `cached` when it is there.
fn erasures(node: &Node, config: &Config, cached: Arc<OnceLock<QueryState>>) -> Erasures {
    let (log, index, clock, disk) = (node.log.clone(), node.index.clone(), node.clock.clone(), node.disk.clone());
    let forget = move || {
        if let Some(cached) = cached.get() {
            cached.forget_runs();
        }
    };
    Erasures::new(log, index, clock, disk, &config.data_dir, Box::new(forget))
}

/// Who may ask. Refuses a server that others could reach and nobody would have to show a key to.
fn guard(config: &Config) -> Result<Arc<Guard>, StartError> {
    let file = KeyFile::of(&config.data_dir);
    let keys = file.load()?;
    let required = config.needs_keys();
    let reachable = config.reachable();
    if required && !keys.any_valid(access::now()) {
        let data_dir = config.data_dir.clone();
        return Err(match reachable.first() {
            Some(&(listener, address)) if !config.require_keys => StartError::NoKeys { listener, address, data_dir },
            _ => StartError::NoRequiredKeys { data_dir },
        });
    }
    match (required, reachable.first()) {
        (false, Some((listener, address))) => tracing::warn!(
            listener, %address, "anybody who reaches this address can read and write everything: insecure is set"
        ),
        (true, Some((listener, address))) if config.tls.is_none() => tracing::warn!(
            listener, %address, "keys travel in clear over this address: set tls_cert and tls_key, or put TLS in front of it"
        ),
        _ => {}
    }
    Ok(Guard::new(file, keys, required))
}

/// What `/health` warns of.
const INSECURE: &str = "anybody who reaches this server can read and write everything: it was started with --insecure";

/// Looks for live runs whose lease has ended, until `stopped`: each is found at most a second, or a tenth of its lease,
/// after that.
async fn give_up_silent_runs(writes: IngestState, lease: Duration, stopped: impl Future<Output = ()>) {
    let mut ticks = tokio::time::interval((lease / 10).clamp(Duration::from_millis(10), Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopped = std::pin::pin!(stopped);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let runs = writes.abandon_expired();
                if runs > 0 {
                    tracing::info!(runs, "live runs were silent for their lease and are given up");
                }
            }
            () = &mut stopped => return,
        }
    }
}

/// Compresses answers for clients that ask for it. A run of ten thousand steps is megabytes of JSON, and a tenth of that
/// compressed; the fastest level gives nearly all of it. A stream of events stays as it is, since it would be held back.
fn compression() -> CompressionLayer {
    CompressionLayer::new().quality(CompressionLevel::Fastest)
}

/// What the write side and the read side stand on. Their metrics share one registry, so that either listener tells
/// all of them.
fn states(
    node: &Node,
    config: &Config,
    done: Arc<maintenance::Done>,
    takes_runs_at: Option<SocketAddr>,
) -> Result<(IngestState, QueryState), StartError> {
    let registry = Registry::new();
    metrics::register(&registry, node.log(), node.index.clone(), done, &config.data_dir)?;
    let warning = (!config.needs_keys() && !config.reachable().is_empty()).then_some(INSECURE);
    let ingest = node.ingest_state(config, warning, &registry)?;
    let ingest_port = takes_runs_at.map(|address| address.port());
    let options = QueryOptions { ingest_port, warning, ..QueryOptions::default() };
    let query = QueryState::new(node.index.clone(), node.log(), &registry, &options)?;
    Ok((ingest, query))
}

/// What keeps the directory small.
fn maintain(node: &Node, config: &Config, unwanted: Arc<Erasures>) -> Maintenance {
    let options = maintenance::Options {
        compact: config.compact,
        bytes_per_second: config.compact_rate.bound().map(|rate| rate.0),
        retain: config.retain.bound().map(|age| age.0),
        max_disk_bytes: config.max_disk.bound().map(|bytes| bytes.0),
        policy: Policy { target_bytes: config.segment_bytes },
    };
    let (log, index, clock) = (node.log.clone(), node.index.clone(), node.clock.clone());
    Maintenance::new(log, index, node.disk.clone(), clock, config.data_dir.clone(), options, unwanted)
}

/// A listener's name, its socket and its address; `None` when it is off.
type Reserved = Option<(&'static str, TcpSocket, SocketAddr)>;

fn reserve(listener: &'static str, address: ListenAddr) -> Result<Reserved, StartError> {
    let ListenAddr::At(address) = address else { return Ok(None) };
    let failed = |source| StartError::Bind { listener, address, source };
    let socket = listeners::reserve(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Some((listener, socket, address)))
}
