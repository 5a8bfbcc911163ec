//! Keys, scopes, sessions: what a request must show, and that nothing else helps.

use std::time::Duration;

use agenttracer_model::taxonomy::Scope;
use agenttracer_server::access::{Draft, KeyFile, Shown};
use agenttracer_server::config::ListenAddr;
use agenttracer_server::{Server, StartError};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::common::{Answer, TestServer, config, full_run, send};

fn key(dir: &std::path::Path, scopes: &[Scope]) -> Shown {
    let draft = Draft { name: "test".into(), scopes: scopes.to_vec(), ..Draft::default() };
    KeyFile::of(dir).create(draft, "command line").unwrap()
}

/// A server that asks for keys, and a key of each scope.
async fn guarded() -> (TestServer, Vec<(Scope, Shown)>) {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let keys = Scope::ALL.iter().map(|scope| (*scope, key(dir.path(), &[*scope]))).collect();
    let server = TestServer::boot_in(dir, |config| config.require_keys = true).await;
    (server, keys)
}

fn of(keys: &[(Scope, Shown)], scope: Scope) -> &Shown {
    &keys.iter().find(|(of, _)| *of == scope).unwrap().1
}

fn url(server: &TestServer, listener: &str, path: &str) -> String {
    match listener {
        "ingest" => server.ingest_url(path),
        "query" => server.query_url(path),
        _ => server.ui_url(path),
    }
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn every_route_asks_for_the_scope_that_its_description_names() {
    let (server, keys) = guarded().await;
    let mut guarded_operations = 0;
    for listener in ["ingest", "query", "ui"] {
        let document = send(server.client().get(url(&server, listener, "/openapi.json"))).await.expect(200).json();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let asked = path.replace("{run_id}", "01a20481-9a4b-71d8-a64b-5bae045ba445").replace(['{', '}'], "");
                let place = format!("{listener}: {method} {path}");
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let ask = || server.client().request(method.clone(), url(&server, listener, &asked));
                let Some(needed) = operation["security"][0]["bearer"][0].as_str() else {
                    assert!(!path.starts_with("/v1/") || path == "/v1/session", "{place} asks for no scope");
                    continue;
                };
                guarded_operations += 1;
                let needed = Scope::parse(needed).unwrap();
                for wrong in [None, Some("Bearer at_000000000000_0"), Some("Bearer"), Some("Basic Zm9vOmJhcg==")] {
                    let request = wrong.iter().fold(ask(), |request, value| request.header("authorization", *value));
                    let answer = request.send().await.unwrap();
                    assert_eq!(answer.status(), 401, "{place} with {wrong:?}");
                    assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{place}");
                    let body: Value = answer.json().await.unwrap();
                    assert_eq!(body["status_code"], 401, "{place}");
                }
                for (scope, shown) in &keys {
                    let found = status(ask().bearer_auth(&shown.text)).await;
                    let by_other_header = status(ask().header("x-api-key", &shown.text)).await;
                    if *scope == needed || *scope == Scope::Admin {
                        assert!(found != 401 && found != 403, "{place} with the scope {scope}: {found}");
                        assert!(by_other_header != 401 && by_other_header != 403, "{place} with the scope {scope}");
                    } else {
                        assert_eq!(
                            (found.as_u16(), by_other_header.as_u16()),
                            (403, 403),
                            "{place} with the scope {scope}"
                        );
                    }
                    // Managing keys must not have taken away those that the test needs.
                    assert!(
                        KeyFile::of(server.dir()).load().unwrap().by_id(&shown.key.id).unwrap().revoked_at.is_none()
                    );
                }
            }
        }
    }
    assert!(guarded_operations > 40, "{guarded_operations}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_described_gives_nothing_away() {
    let (server, keys) = guarded().await;
    for path in
        ["/v1/runs/..", "/v1/nothing", "/v1//runs", "/v1/runs/", "/v1/%72uns", "//v1/runs", "/v1/runs/x/steps/y"]
    {
        let answer = send(server.client().get(server.query_url(path))).await;
        assert!(answer.status == 401 || answer.status == 404, "{path}: {}", answer.status);
        let text = answer.text();
        assert!(!text.starts_with('['), "{path}: {text}");
    }
    assert_eq!(send(server.client().head(server.query_url("/v1/runs"))).await.status, 401);
    let query = of(&keys, Scope::Query);
    assert_eq!(status(server.client().head(server.query_url("/v1/runs")).bearer_auth(&query.text)).await, 200);
    assert_eq!(status(server.client().put(server.query_url("/v1/runs"))).await, 401);
    assert_eq!(send(server.client().get(server.query_url("/health"))).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_others_can_reach_does_not_start_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let open = |insecure| {
        let mut config = config(dir.path());
        config.query_addr = ListenAddr::At(([0, 0, 0, 0], 0).into());
        config.insecure = insecure;
        config
    };
    let error = Server::start(open(false)).await.err().unwrap();
    assert!(matches!(&error, StartError::NoKeys { listener: "query", .. }), "{error}");
    let told = error.to_string();
    let dir_of_command = format!("agenttracer keys create --data-dir {} --name first --scope", dir.path().display());
    for hint in [dir_of_command.as_str(), "127.0.0.1", "--insecure", "query_addr 0.0.0.0:0"] {
        assert!(told.contains(hint), "{told}");
    }

    // Who wants keys also where nobody else comes is told of that, and not of others.
    for address in [[127, 0, 0, 1], [0, 0, 0, 0]] {
        let mut config = config(dir.path());
        config.query_addr = ListenAddr::At((address, 0).into());
        config.require_keys = true;
        let error = Server::start(config).await.err().unwrap();
        assert!(matches!(&error, StartError::NoRequiredKeys { .. }), "{error}");
        let told = error.to_string();
        assert!(told.contains(&dir_of_command) && told.contains("require_keys is set"), "{told}");
        assert!(!told.contains("reached by others") && !told.contains("--insecure"), "{told}");
    }

    let server = Server::start(open(true)).await.unwrap();
    let port = server.addresses().query.unwrap().port();
    for port in [port, server.addresses().ingest.unwrap().port()] {
        let health: Value =
            reqwest::get(format!("http://127.0.0.1:{port}/health")).await.unwrap().json().await.unwrap();
        assert!(health["warning"].as_str().unwrap().contains("--insecure"), "{health}");
    }
    server.stop().await.unwrap();

    let shown = key(dir.path(), &[Scope::Query]);
    let server = Server::start(open(false)).await.unwrap();
    let url = format!("http://127.0.0.1:{}/v1/runs", server.addresses().query.unwrap().port());
    let client = reqwest::Client::new();
    assert_eq!(status(client.get(&url)).await, 401);
    assert_eq!(status(client.get(&url).bearer_auth(&shown.text)).await, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn keys_are_managed_over_http_and_count_at_once() {
    let (server, keys) = guarded().await;
    let admin = of(&keys, Scope::Admin);
    let ask =
        |method: Method, path: &str| server.client().request(method, server.query_url(path)).bearer_auth(&admin.text);
    let draft = json!({"name": "dashboard", "scopes": ["query"], "requests_per_second": 5});
    let made = send(ask(Method::POST, "/v1/keys").json(&draft)).await.expect(201).json();
    let (id, text) = (made["key_id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let runs = |text: &str| status(server.client().get(server.query_url("/v1/runs")).bearer_auth(text));
    assert_eq!(runs(text).await, 200);

    let rotated = send(ask(Method::POST, &format!("/v1/keys/{id}/rotate?grace_s=60"))).await.expect(200).json();
    let new = rotated["key"].as_str().unwrap();
    assert!(new != text && runs(new).await == 200 && runs(text).await == 200);
    send(ask(Method::POST, &format!("/v1/keys/{id}/rotate"))).await.expect(200);
    assert_eq!(runs(new).await, 401);

    send(ask(Method::DELETE, &format!("/v1/keys/{id}"))).await.expect(200);
    send(ask(Method::DELETE, &format!("/v1/keys/{id}"))).await.expect(404);
    let list = send(ask(Method::GET, "/v1/keys")).await.expect(200).json();
    let known: Vec<_> = list["actions"].as_array().unwrap().iter().filter(|action| action["key_id"] == id).collect();
    let told: Vec<_> = known.iter().map(|action| action["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["created", "rotated", "rotated", "revoked"]);
    assert!(known.iter().all(|action| action["by"] == admin.key.id.as_str()));
    let everything = format!("{list}{}", std::fs::read_to_string(server.dir().join("keys.json")).unwrap());
    for secret in [text, new, &admin.text] {
        assert!(!everything.contains(secret.rsplit('_').next().unwrap()));
    }

    for (wrong, place) in [
        (json!({}), vec!["name", "scopes"]),
        (json!({"name": "", "scopes": []}), vec!["name", "scopes"]),
        (json!({"name": "n", "scopes": ["root"]}), vec!["scopes"]),
        (
            json!({"name": "n", "scopes": ["query"], "expires_at": "soon", "requests_per_second": 0}),
            vec!["expires_at", "requests_per_second"],
        ),
    ] {
        let answer = send(ask(Method::POST, "/v1/keys").json(&wrong)).await.expect(422);
        let places: Vec<_> = answer.places().iter().map(|place| place[1].as_str().unwrap().to_owned()).collect();
        assert_eq!(places, place, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_is_revoked_beside_the_server_ends_its_streams_and_sessions() {
    let (server, keys) = guarded().await;
    let query = of(&keys, Scope::Query);
    let signed_in = sign_in(&server, &query.text).await.expect(200);
    let cookie = cookie_of(&signed_in);
    let mut stream = server.client().get(server.query_url("/v1/tail")).bearer_auth(&query.text).send().await.unwrap();
    let mut by_cookie = server.client().get(server.ui_url("/v1/tail")).header("cookie", &cookie).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some() && by_cookie.chunk().await.unwrap().is_some());

    KeyFile::of(server.dir()).revoke(&query.key.id, "command line").unwrap();
    // The bound is the contract's; a stream that goes on fails here.
    let ended = async {
        while stream.chunk().await.unwrap().is_some() {}
        while by_cookie.chunk().await.unwrap().is_some() {}
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the streams go on");
    assert_eq!(status(server.client().get(server.query_url("/v1/runs")).bearer_auth(&query.text)).await, 401);
    assert_eq!(status(server.client().get(server.ui_url("/v1/runs")).header("cookie", &cookie)).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_was_made_a_moment_ago_signs_in() {
    let (server, _) = guarded().await;
    for _ in 0..5 {
        let made = key(server.dir(), &[Scope::Query]);
        sign_in(&server, &made.text).await.expect(200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cookie_is_secure_where_the_page_came_by_https() {
    let (server, keys) = guarded().await;
    let query = of(&keys, Scope::Query);
    for (proto, is_secure) in [(None, false), (Some("http"), false), (Some("https"), true), (Some("HTTPS"), true)] {
        let request = server.client().post(server.ui_url("/v1/session")).json(&json!({"key": query.text}));
        let request = proto.iter().fold(request, |request, proto| request.header("x-forwarded-proto", *proto));
        let answer = send(request).await.expect(200);
        assert_eq!(answer.header("set-cookie").unwrap().contains("; Secure"), is_secure, "{proto:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_that_it_needs_a_key() {
    let (server, keys) = guarded().await;
    let page = "http://localhost:3000";
    let ask = || server.client().get(server.query_url("/v1/runs")).header("origin", page);
    let ingest = of(&keys, Scope::Ingest);
    for (request, status) in [(ask(), 401), (ask().bearer_auth(&ingest.text), 403)] {
        let answer = send(request).await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(page));
    }
    let foreign = server.client().get(server.query_url("/v1/runs")).header("origin", "http://evil.example");
    assert_eq!(send(foreign).await.expect(401).header("access-control-allow-origin"), None);
    server.stop().await;
}

async fn sign_in(server: &TestServer, key: &str) -> Answer {
    send(server.client().post(server.ui_url("/v1/session")).json(&json!({"key": key}))).await
}

fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_signs_in_and_only_its_own_writes_count() {
    let (server, keys) = guarded().await;
    let admin = of(&keys, Scope::Admin);
    let anonymous = send(server.client().get(server.ui_url("/v1/session"))).await.expect(200).json();
    assert_eq!(
        (&anonymous["required"], &anonymous["key_id"], &anonymous["scopes"]),
        (&json!(true), &Value::Null, &json!([]))
    );
    sign_in(&server, "at_000000000000_0").await.expect(401);

    let answer = sign_in(&server, &admin.text).await.expect(200);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict") && set.contains("; Path=/"), "{set}");
    assert!(!set.contains(&admin.text) && answer.header("cache-control") == Some("no-store"));
    let (cookie, token) = (cookie_of(&answer), answer.json()["csrf_token"].as_str().unwrap().to_owned());
    let me = send(server.client().get(server.ui_url("/v1/session")).header("cookie", &cookie)).await.expect(200).json();
    assert_eq!((&me["key_id"], &me["csrf_token"]), (&json!(admin.key.id), &json!(token)));
    assert_eq!(status(server.client().get(server.ui_url("/v1/runs")).header("cookie", &cookie)).await, 200);

    let own = server.ui_url("");
    let write = |origin: Option<&str>, token: Option<&str>| {
        let mut request = server.client().post(server.ui_url("/v1/keys")).header("cookie", &cookie);
        request = request.json(&json!({"name": "n", "scopes": ["query"]}));
        request = origin.iter().fold(request, |request, origin| request.header("origin", *origin));
        status(token.iter().fold(request, |request, token| request.header("x-csrf-token", *token)))
    };
    assert_eq!(write(Some(&own), Some(&token)).await, 201);
    assert_eq!(write(None, Some(&token)).await, 403);
    assert_eq!(write(Some("http://evil.example"), Some(&token)).await, 403);
    assert_eq!(write(Some(&own), None).await, 403);
    assert_eq!(write(Some(&own), Some("0")).await, 403);

    let foreign = server.client().post(server.ui_url("/v1/session")).header("origin", "http://evil.example");
    assert_eq!(status(foreign.json(&json!({"key": admin.text}))).await, 403);
    let sign_out = || server.client().delete(server.ui_url("/v1/session")).header("cookie", &cookie);
    assert_eq!(status(sign_out()).await, 403);
    assert_eq!(status(sign_out().header("origin", &own).header("x-csrf-token", &token)).await, 204);
    assert_eq!(status(server.client().get(server.ui_url("/v1/runs")).header("cookie", &cookie)).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_key_makes_no_more_requests_than_it_may() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let draft =
        Draft { name: "slow".into(), scopes: vec![Scope::Query], requests_per_second: Some(1), ..Draft::default() };
    let slow = KeyFile::of(dir.path()).create(draft, "command line").unwrap();
    let other = key(dir.path(), &[Scope::Query]);
    let server = TestServer::boot_in(dir, |config| config.require_keys = true).await;
    let ask = |text: &str| server.client().get(server.query_url("/v1/stats")).bearer_auth(text).send();
    let mut refused = None;
    // A burst of two is let through, and then one a second: far fewer than these.
    for _ in 0..200 {
        let answer = ask(&slow.text).await.unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(refused.unwrap().headers()["retry-after"], "1");
    assert_eq!(ask(&other.text).await.unwrap().status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_keys_makes_none_and_says_so() {
    let server = TestServer::boot().await;
    let draft = json!({"name": "n", "scopes": ["admin"]});
    send(server.client().post(server.query_url("/v1/keys")).json(&draft)).await.expect(403);
    send(server.client().get(server.query_url("/v1/keys"))).await.expect(403);
    assert!(!server.dir().join("keys.json").exists());
    let me = send(server.client().get(server.query_url("/v1/session"))).await.expect(200).json();
    assert_eq!((&me["required"], &me["scopes"]), (&json!(false), &json!(["ingest", "query", "erase", "admin"])));
    server.store(&full_run()).await;
    server.stop().await;
}
