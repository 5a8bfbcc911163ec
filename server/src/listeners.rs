//! Accepting connections: HTTP/1.1 with keep-alive, and HTTP/2 over TLS; bounded in number, and in the size and the time
//! that a request's head may take.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::edge::Edge;
use crate::shutdown::Switch;
use crate::tls::Tls;

/// How long a connection may be idle between requests, or take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request: method, path, query string and all headers. A longer one is answered with 431.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;
/// Requests that one HTTP/2 connection has at a time.
const MAX_STREAMS: u32 = 100;
/// How often an HTTP/2 connection is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);

/// The answer to a connection past the bound. Nothing of a request was read, so it is safe to send it again.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 69\r\n\r\n\
    {\"error\":\"too many connections are open\",\"status_code\":503,\"path\":\"\"}";

/// How many connections may be open at a time, over all listeners.
#[derive(Clone)]
pub(crate) struct ConnectionLimit(Arc<Semaphore>);

impl ConnectionLimit {
    /// What the process may open, less what the log, the index and the runtime need.
    pub(crate) fn of_process() -> Self {
        const RESERVED: usize = 512;
        raise_open_files();
        let files = std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| max_open_files(&limits));
        Self(Arc::new(Semaphore::new(files.unwrap_or(1024).saturating_sub(RESERVED).clamp(64, 16_384))))
    }
}

/// Every connection is an open file, and the soft limit is often far below what the system lets a process have.
fn raise_open_files() {
    const WANTED: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(WANTED).min(WANTED);
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The soft limit of "Max open files" in the text of `/proc/self/limits`.
fn max_open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(usize::MAX) } else { soft.parse().ok() }
}

/// Takes an address without listening yet: a client is refused until the server is ready, and does not wait for it.
pub(crate) fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the last connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens; from here on, connections wait in the system's queue.
pub(crate) fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(1024)
}

/// Accepts until the switch is turned, then lets every connection finish the request it is in, and returns when all
/// are gone. Dropping the future ends them at once.
pub(crate) async fn serve(listener: TcpListener, edge: Edge, limit: ConnectionLimit, tls: Option<Tls>, switch: Switch) {
    let mut connections = JoinSet::new();
    let mut stopped = pin!(switch.turned());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if !is_of_one_connection(&error) {
                        // No file descriptor or no memory: what is open goes on, and some of it will end.
                        tracing::warn!(%error, "accepting a connection failed; trying again");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
            () = &mut stopped => break,
        };
        match limit.0.clone().try_acquire_owned() {
            Ok(permit) => {
                let (edge, tls) = (edge.clone(), tls.clone());
                let stopped = switch.turned();
                connections.spawn(async move {
                    connection(stream, edge, tls, stopped).await;
                    drop(permit);
                });
            }
            Err(_) => {
                connections.spawn(turn_away(stream));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, edge: Edge, tls: Option<Tls>, stopped: impl Future<Output = ()>) {
    // An answer is one small write; waiting for more of it would cost the client 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    let Some(tls) = tls else { return http1(TokioIo::new(stream), edge, stopped).await };
    let mut stopped = pin!(stopped);
    let handshake = TlsAcceptor::from(tls.config()).accept(stream);
    let stream = tokio::select! {
        done = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        },
        () = &mut stopped => return,
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (stream, edge) = (TokioIo::new(stream), edge.over_tls());
    match is_http2 {
        true => http2(stream, edge, stopped).await,
        false => http1(stream, edge, stopped).await,
    }
}

/// Serves a connection to its end; when `stopped`, to the end of the requests that it is in.
macro_rules! drive {
    ($connection:expr, $stopped:expr) => {
        let mut connection = pin!($connection);
        let mut stopped = pin!($stopped);
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    };
}

async fn http1(stream: impl Read + Write + Unpin, edge: Edge, stopped: impl Future<Output = ()>) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    drive!(builder.serve_connection(stream, edge), stopped);
}

async fn http2(stream: impl Read + Write + Unpin, edge: Edge, stopped: impl Future<Output = ()>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    drive!(builder.serve_connection(stream, edge), stopped);
}

async fn turn_away(mut stream: TcpStream) {
    let answer = async {
        stream.write_all(TOO_MANY).await?;
        stream.shutdown().await
    };
    // Who does not take the answer gets none.
    let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
}

/// Whether accepting failed because of the one connection that would have been accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(max_open_files(text), Some(1024));
        assert_eq!(max_open_files("Max open files  unlimited  unlimited  files"), Some(usize::MAX));
        assert_eq!(max_open_files(""), None);
    }

    #[test]
    fn the_refusal_of_a_connection_is_a_whole_response() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_connection_past_the_bound_is_turned_away_and_a_stop_lets_requests_finish() {
        let (entered, mut has_entered) = tokio::sync::mpsc::channel(1);
        let release = Arc::new(tokio::sync::Notify::new());
        let waiting = release.clone();
        let routes = Router::new().route(
            "/slow",
            get(async move || {
                entered.send(()).await.unwrap();
                waiting.notified().await;
                "done"
            }),
        );
        let listener = listen(reserve(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let switch = Switch::new();
        let limit = ConnectionLimit(Arc::new(Semaphore::new(1)));
        let serving =
            tokio::spawn(serve(listener, Edge::new("test", routes, &[], true, None), limit, None, switch.clone()));

        let slow = tokio::spawn(exchange(address, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        has_entered.recv().await.unwrap();
        let refused = exchange(address, "").await;
        assert_eq!(refused.as_bytes(), TOO_MANY);

        switch.turn();
        release.notify_one();
        assert!(slow.await.unwrap().ends_with("\r\n\r\ndone"));
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
