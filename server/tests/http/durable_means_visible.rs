//! P1: what got a 2xx is in the next answer, while the index commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::common::{TestServer, full_run, id, small_run};

const CLIENTS: u64 = 16;
const RUNS_PER_CLIENT: u64 = 250;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_in_the_very_next_answers_while_others_write() {
    let server = Arc::new(TestServer::boot().await);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let clients = (0..CLIENTS).map(|client| {
        let (server, acknowledged) = (server.clone(), acknowledged.clone());
        tokio::spawn(async move {
            let agent = format!("agent-{client}");
            for count in 1..=RUNS_PER_CLIENT {
                let mut run = if count % 5 == 0 { full_run() } else { small_run(json!({})) };
                run["agent_id"] = json!(agent);
                let posted = server.post(&run).await.expect(201);
                let all = acknowledged.fetch_add(1, Ordering::SeqCst) + 1;

                match count % 3 {
                    0 => {
                        let stats = server.get(&format!("/v1/stats?agent_id={agent}")).await.expect(200).json();
                        assert_eq!(stats["total_runs"], count, "{agent}: a run is missing or doubled");
                    }
                    1 => {
                        let stats = server.get("/v1/stats").await.expect(200).json();
                        let total = stats["total_runs"].as_u64().unwrap();
                        assert!(total >= all, "{total} of {all} acknowledged runs are counted");
                    }
                    _ => {
                        let path = format!("/v1/runs?agent_id={agent}&view=summary&page_size=100");
                        let list = server.get(&path).await.expect(200);
                        assert_eq!(list.header("x-total-count"), Some(count.to_string().as_str()));
                        let list = list.json();
                        let mut ids: Vec<_> = list.as_array().unwrap().iter().map(id).collect();
                        if count <= 100 {
                            assert!(ids.contains(&id(&run)), "{agent}: {count}");
                        }
                        assert_eq!(ids.len() as u64, count.min(100));
                        ids.sort_unstable();
                        ids.dedup();
                        assert_eq!(ids.len() as u64, count.min(100), "{agent}: a run is doubled");
                    }
                }
                let read = server.get(&format!("/v1/runs/{}", id(&run))).await.expect(200);
                assert_eq!(read.text(), posted.text());
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["total_runs"], CLIENTS * RUNS_PER_CLIENT);
}
