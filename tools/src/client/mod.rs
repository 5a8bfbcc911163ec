//! Asks a running server, over HTTP or HTTPS: one way for every command that does.
//!
//! Connections go straight to the server, whatever `HTTP_PROXY` says, and no redirect is followed: so the key is shown to
//! nobody but the address that was named.

mod address;
mod error;
mod events;
mod tls;

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use url::Url;

pub(crate) use address::{IngestAddress, QueryAddress, Trust};
pub(crate) use error::ClientError;
pub(crate) use events::Events;

use crate::human;

/// The part of `--help` that documents the codes of commands that ask a server.
pub(crate) const HELP: &str = "\
Exit codes:
  0   answered, also when nothing matches
  1   there is no such run, or it did not work
  64  the command line, or the question, says what it cannot say
  69  the server could not be reached, or gave no answer

A server that asks for keys is shown the one in AGENTTRACER_API_KEY. What --url and --ca say can also stand in
AGENTTRACER_QUERY_URL and AGENTTRACER_CA.";

/// Where the key of a server that asks for one stands: never on a command line, which others can see.
pub(crate) const API_KEY: &str = "AGENTTRACER_API_KEY";
/// How long a server may take for an answer; of a stream of events, to begin it.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a question is asked of a server that is busy.
const TRIES: u32 = 5;
/// The longest that is waited because a server says so.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Which listener is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Ingest,
    Query,
    /// Whichever, for what all of them answer.
    Any,
}

/// A server, and what to show it.
pub(crate) struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Url,
    listener: Listener,
    key: Option<String>,
    /// How long an answer may take; of a stream, its beginning.
    timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The value of a header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    /// A client of the server with this base, as `http://127.0.0.1:8001`, which is reached when it is asked first.
    ///
    /// # Errors
    /// `ClientError::Usage` when the address, the key or the certificates cannot be used.
    pub(crate) fn new(base: &str, listener: Listener, trust: &Trust) -> anyhow::Result<Self> {
        let base = address::parse(base, listener)?;
        let key = match std::env::var(API_KEY) {
            Ok(key) if !key.trim().is_empty() => Some(key.trim().to_owned()),
            _ => None,
        };
        if key.as_ref().is_some_and(|key| HeaderValue::try_from(key.as_str()).is_err()) {
            return Err(ClientError::Usage(format!("{API_KEY} holds what no key holds")).into());
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(trust, base.scheme() == "https")?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, base, listener, key, timeout: TIMEOUT })
    }

    /// The address, for messages.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The body of a 200. A server that is busy is asked again, as often as it says.
    ///
    /// # Errors
    /// A `ClientError` that says the next step.
    pub(crate) async fn get(&self, path: &str, conditions: &[(String, String)]) -> anyhow::Result<Answer> {
        let mut tries = 0;
        loop {
            let answer = self.send(Method::GET, path, conditions, HeaderMap::new(), Bytes::new()).await?;
            tries += 1;
            match answer.status {
                200 => return Ok(answer),
                429 if tries < TRIES => {
                    tokio::time::sleep(answer.retry_after().unwrap_or_default().min(LONGEST_PAUSE)).await;
                }
                _ => return Err(self.refused(answer.status, &answer.body).into()),
            }
        }
    }

    /// What a listener says of itself, whatever its status.
    ///
    /// # Errors
    /// As of [`get`](Self::get), when there is no answer.
    pub(crate) async fn health(&self) -> anyhow::Result<Answer> {
        self.send(Method::GET, "/health", &[], HeaderMap::new(), Bytes::new()).await
    }

    /// The answer to lines that are posted, whatever its status.
    ///
    /// # Errors
    /// As of [`get`](Self::get), when there is no answer.
    pub(crate) async fn post_lines(&self, path: &str, lines: Bytes) -> anyhow::Result<Answer> {
        let headers =
            HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))]);
        self.send(Method::POST, path, &[], headers, lines).await
    }

    /// A stream of server-sent events, behind the event with the id `last`. It must begin as soon as any other answer; then it
    /// may take as long as it likes.
    ///
    /// # Errors
    /// As of [`get`](Self::get).
    pub(crate) async fn follow(
        &self,
        path: &str,
        conditions: &[(String, String)],
        last: Option<&str>,
    ) -> anyhow::Result<Incoming> {
        let mut headers = HeaderMap::new();
        if let Some(last) = last.and_then(|last| HeaderValue::try_from(last).ok()) {
            headers.insert(HeaderName::from_static("last-event-id"), last);
        }
        let response = self.in_time(self.request(Method::GET, path, conditions, headers, Bytes::new())).await?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response.into_body());
        }
        let body = tokio::time::timeout(self.timeout, response.into_body().collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(self.refused(status, &body).into())
    }

    /// What a server gives in the time that it may take.
    async fn in_time<T>(&self, answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::time::timeout(self.timeout, answer).await.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs();
            Err(ClientError::Unavailable(format!("{} did not answer within {seconds} s", self.base())).into())
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        conditions: &[(String, String)],
        headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        self.in_time(async {
            let response = self.request(method, path, conditions, headers, body).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| {
                ClientError::Unavailable(format!("the answer of {} broke off: {error}", self.base()))
            })?;
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
        })
        .await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        conditions: &[(String, String)],
        headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !conditions.is_empty() {
            url.query_pairs_mut().extend_pairs(conditions);
        }
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(key) = &self.key {
            let mut value = HeaderValue::try_from(format!("Bearer {key}"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut request = request.body(Full::new(body)).with_context(|| format!("asking {}", self.base()))?;
        request.headers_mut().extend(headers);
        self.http.request(request).await.map_err(|error| error::unreachable(self.base(), self.listener, &error).into())
    }

    /// What an answer other than 200 means.
    pub(crate) fn refused(&self, status: u16, body: &[u8]) -> ClientError {
        let base = self.base();
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let told = answer["error"].as_str().map(|text| self.clean(text));
        let no_reason = || "no reason was given".to_owned();
        match status {
            401 if self.key.is_none() => ClientError::Refused(format!(
                "{base} asks for a key: make one with `agenttracer keys create --name cli --scope {}`, and put it into \
                 {API_KEY}",
                self.listener.name()
            )),
            401 => ClientError::Refused(format!("the key in {API_KEY} is not valid at {base}")),
            403 => ClientError::Refused(format!("{base} refuses this: {}", told.unwrap_or_else(no_reason))),
            422 => ClientError::Usage(self.clean(&error::what_is_wrong(&answer))),
            404 | 405 => match told {
                Some(told) => ClientError::NotFound(told),
                None => ClientError::Unavailable(format!(
                    "{base} answers, but not to this: is it the {} address of an agenttracer server, as {}?",
                    self.listener.name(),
                    self.listener.example()
                )),
            },
            300..=399 => ClientError::Unavailable(format!("{base} answered {status}: it points elsewhere; name that")),
            _ => ClientError::Unavailable(format!("{base} answered {status}: {}", told.unwrap_or_else(no_reason))),
        }
    }

    /// What a server says, fit for a terminal: whoever answers must not be able to draw on it, or to show the key.
    fn clean(&self, text: &str) -> String {
        let text = human::clean(text);
        let text = match &self.key {
            Some(key) => text.replace(key.as_str(), "[key]"),
            None => text,
        };
        human::shortened(&text, 1000)
    }
}

/// Runs what asks servers to its end, on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let outcome = runtime.block_on(work);
    // A name that is still being looked up must not hold the process back.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection on which a client asked for a stream, and what it got.
    async fn asked(timeout: Duration) -> (TcpStream, tokio::task::JoinHandle<anyhow::Result<Incoming>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut client = Client::new(&base, Listener::Query, &Trust { ca: None }).unwrap();
        client.timeout = timeout;
        let stream = tokio::spawn(async move { client.follow("/v1/tail", &[], None).await });
        (listener.accept().await.unwrap().0, stream)
    }

    #[tokio::test]
    async fn a_server_that_never_begins_a_stream_is_given_up() {
        let (connection, stream) = asked(Duration::from_secs(1)).await;
        let outcome = tokio::time::timeout(Duration::from_secs(60), stream).await.expect("it waits for ever");
        let error = outcome.unwrap().unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(ClientError::Unavailable(_))), "{error}");
        assert!(error.to_string().ends_with("did not answer within 1 s"), "{error}");
        drop(connection);
    }

    #[tokio::test]
    async fn a_stream_that_has_begun_may_take_its_time() {
        let timeout = Duration::from_secs(2);
        let (mut connection, stream) = asked(timeout).await;
        connection.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let mut stream = stream.await.unwrap().unwrap();
        // Longer than a server may take for anything else.
        tokio::time::sleep(timeout + timeout / 4).await;
        connection.write_all(b"4\r\n: hi\r\n").await.unwrap();
        let frame = stream.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), ": hi");
    }
}
