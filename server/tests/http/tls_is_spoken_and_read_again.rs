use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_server::{Server, StartError, TlsError, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::config;

/// Writes a new certificate for localhost, and gives it.
fn certify(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // The key first: between the two writes they do not belong together, and the server keeps what it has.
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") }
}

/// Connects, trusting this certificate alone.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

#[tokio::test]
async fn every_listener_speaks_tls_and_http2() {
    let dir = tempfile::tempdir().unwrap();
    let tls = files(dir.path());
    let certificate = certify(&tls);
    let mut config = config(&dir.path().join("data"));
    config.tls = Some(tls);
    let server = Server::start(config).await.unwrap();
    for (name, address) in server.addresses().iter() {
        let mut stream = connect(address, &certificate, b"http/1.1").await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A peer may close without saying so in TLS once it has answered.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""status":"healthy""#),
            "{name}: {answer}"
        );

        let stream = connect(address, &certificate, b"h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()), "{name}");
        let (mut sender, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        let driven = tokio::spawn(connection);
        let request = http::Request::get("https://localhost/health").body(axum::body::Body::empty()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2), "{name}");
        drop((answer, sender));
        driven.abort();

        // Who speaks plain HTTP to it gets no answer of ours.
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{name}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let tls = files(dir.path());
    let old = certify(&tls);
    let mut config = config(&dir.path().join("data"));
    config.tls = Some(tls.clone());
    let server = Server::start(config).await.unwrap();
    let address = server.addresses().query.unwrap();
    connect(address, &old, b"http/1.1").await.unwrap();
    std::fs::write(&tls.cert, "broken").unwrap();
    connect(address, &old, b"http/1.1").await.unwrap();
    let new = certify(&tls);
    let deadline = Instant::now() + Duration::from_secs(60);
    while connect(address, &new, b"http/1.1").await.is_err() {
        assert!(Instant::now() < deadline, "the new certificate was never served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(connect(address, &old, b"http/1.1").await.is_err());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_used_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let tls = files(dir.path());
    certify(&tls);
    std::fs::write(&tls.key, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n").unwrap();
    let mut config = config(&dir.path().join("data"));
    config.tls = Some(tls.clone());
    let error = Server::start(config).await.err().unwrap();
    assert!(matches!(&error, StartError::Tls(TlsError::File { .. } | TlsError::Pair { .. })), "{error}");
    assert!(error.to_string().contains("key.pem") && !error.to_string().contains("c2VjcmV0"), "{error}");
}
