//! Starting, stopping, and who holds the directory.

use std::sync::Arc;
use std::time::Duration;

use agenttracer_server::config::ListenAddr;
use agenttracer_server::{Server, StartError};
use agenttracer_storage::OpenError;
use serde_json::json;

use crate::common::{TestServer, config, full_run, id, small_run};

#[tokio::test]
async fn a_second_server_on_a_directory_is_refused() {
    let server = TestServer::boot().await;
    let second = Server::start(config(server.dir())).await;
    assert!(matches!(second.err(), Some(StartError::Log(OpenError::Locked(path))) if path.starts_with(server.dir())));
    server.store(&full_run()).await;
    let dir = server.stop().await;
    TestServer::boot_in(dir, |_| {}).await.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = TestServer::boot().await;
    let taken = server.query_url("").strip_prefix("http://").unwrap().parse().unwrap();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let mut second = config(dir.path());
    second.query_addr = ListenAddr::At(taken);
    let error = Server::start(second).await.err().unwrap();
    assert!(matches!(&error, StartError::Bind { listener: "query", address, .. } if *address == taken), "{error}");
    // And nothing is left that would hold the directory.
    TestServer::boot_in(dir, |_| {}).await.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_stop_also_in_interval_mode() {
    use agenttracer_storage::SyncMode;

    for sync in [SyncMode::Always, SyncMode::Interval(Duration::from_secs(10))] {
        let server = TestServer::boot_with(|config| config.sync = sync).await;
        let runs: Vec<_> = (0..50).map(|_| small_run(json!({}))).collect();
        server.store_all(&runs).await;
        let server = server.restart(|_| {}).await;
        for run in &runs {
            server.get(&format!("/v1/runs/{}", id(run))).await.expect(200);
        }
        assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 50);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_listener_can_be_off() {
    let server = TestServer::boot_with(|config| config.ui_addr = ListenAddr::Off).await;
    let file = std::fs::read_to_string(server.dir().join("run/addresses.json")).unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(addresses.as_object().unwrap().keys().collect::<Vec<_>>(), ["ingest", "query"]);
    assert_eq!(server.ingest_url(""), format!("http://{}", addresses["ingest"].as_str().unwrap()));
    let path = server.dir().join("run/addresses.json");
    let _dir = server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_frees_the_port() {
    let server = TestServer::boot().await;
    server.store(&full_run()).await;
    let address = server.ingest_url("").strip_prefix("http://").unwrap().to_owned();
    let idle = std::net::TcpStream::connect(&address).unwrap();
    let _dir = tokio::time::timeout(Duration::from_secs(10), server.stop()).await.unwrap();
    assert!(std::net::TcpStream::connect(&address).is_err());
    drop(idle);
}
