use agenttracer_model::sample;
use http::StatusCode;

use crate::support::World;

#[tokio::test]
async fn runs_that_arrive_later_never_show_and_none_is_missed() {
    let world = World::new();
    for seed in (0..60).step_by(2) {
        world.add(&sample::run(seed));
        if seed == 20 {
            world.freeze();
        }
    }
    let expected = world.ids("/v1/runs?page_size=100").await;
    assert_eq!(expected.len(), 30);

    let mut reply = world.get("/v1/runs?page_size=4").await;
    let mut seen = reply.ids();
    let mut arriving = (1..60).step_by(2);
    while let Some(next) = reply.next() {
        // Newer and older ones, between the pages and moving into the cold index.
        for seed in arriving.by_ref().take(3) {
            world.add(&sample::run(seed));
        }
        if seen.len() % 8 == 0 {
            world.freeze();
        }
        reply = world.get(&next).await;
        assert_eq!(reply.header("x-total-count"), Some("30"));
        seen.extend(reply.ids());
    }
    assert_eq!(seen, expected);
    assert!(world.ids("/v1/runs?page_size=100").await.len() > 45);
}

#[tokio::test]
async fn many_runs_of_one_instant_are_paged_by_their_ids() {
    let world = World::new();
    let mut ids = Vec::new();
    for seed in 0..25 {
        let mut run = sample::run(seed);
        run.started_at = sample::run(0).started_at;
        ids.push(world.add(&run).run_id.to_string());
        if seed == 11 {
            world.freeze();
        }
    }
    ids.sort();
    let mut reply = world.get("/v1/runs?page_size=3&view=summary").await;
    let mut seen = reply.ids();
    while let Some(next) = reply.next() {
        reply = world.get(&next).await;
        seen.extend(reply.ids());
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn the_link_keeps_the_other_parameters() {
    let world = World::new();
    for seed in 0..30 {
        world.add(&sample::run(seed));
    }
    let query = "environment=production&environment=dev&environment=staging&page_size=4&view=summary&x=a%20b";
    let first = world.get(&format!("/v1/runs?{query}&page=2")).await;
    let next = first.next().unwrap();
    assert!(next.starts_with(&format!("/v1/runs?{query}&page=2&cursor=")), "{next}");
    // The cursor goes on behind the second page, and counts instead of the page.
    let second = world.get(&next).await;
    assert_eq!(second.ids(), world.ids(&format!("/v1/runs?{query}&page=3")).await);
    // The order of the values and the size of the page may change on the way.
    let cursor = next.rsplit_once("cursor=").unwrap().1;
    let turned = "environment=staging&environment=dev&environment=production";
    let third = world.ids(&format!("/v1/runs?{turned}&page_size=2&cursor={cursor}")).await;
    assert_eq!(third, second.ids()[..2]);
}

#[tokio::test]
async fn a_cursor_of_another_question_is_refused() {
    let world = World::new();
    for seed in 0..30 {
        world.add(&sample::run(seed));
    }
    let next = world.get("/v1/runs?page_size=4").await.next().unwrap();
    let refused = world.get(&format!("{next}&status=success")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = &refused.json()["detail"][0];
    assert_eq!(detail["loc"], serde_json::json!(["query", "cursor"]));
    assert!(detail["msg"].as_str().unwrap().contains("other filters"), "{detail}");
    for broken in ["cursor=abc", "cursor=%00", "cursor=AAAA%2FAAAA"] {
        let refused = world.get(&format!("/v1/runs?{broken}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{broken}");
    }
}
