//! Keys and sessions over HTTP, on the query listener and on that of the dashboard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_model::openapi::{Answer, Document, Endpoint, schema};
use agenttracer_model::taxonomy::Scope;
use agenttracer_model::{FieldError, Loc, Problem, Timestamp, lenient};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::file::Shown;
use super::guard::{self, Guard};
use super::sessions::{COOKIE, LASTS};
use super::{Action, Draft, Key, KeyError};

/// The longest body.
const MAX_BODY_BYTES: usize = 16 << 10;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A key as it is shown: without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyView {
    key_id: String,
    name: String,
    /// What it may do; `admin` may do everything.
    scopes: Vec<Scope>,
    created_at: Timestamp,
    /// From when on it is not valid.
    expires_at: Option<Timestamp>,
    /// When it got its present secret, if that is not the first.
    rotated_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    /// How many requests a second it may make.
    requests_per_second: Option<u32>,
}

/// A key that was just made or rotated.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewKey {
    /// What a client sends. It is shown this once.
    key: String,
    #[serde(flatten)]
    about: KeyView,
}

/// What was done to a key.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyAction {
    at: Timestamp,
    /// `created`, `rotated` or `revoked`.
    action: String,
    key_id: String,
    /// The id of the key that asked for it, or `command line`.
    by: String,
}

/// All keys, the former ones too.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<KeyView>,
    /// The last thousand, in their order.
    actions: Vec<KeyAction>,
}

/// Who a page is signed in as.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    /// Whether anybody must show a key to this server.
    required: bool,
    /// The id of the key; null when nobody is signed in.
    key_id: Option<String>,
    name: Option<String>,
    /// What may be done.
    scopes: Vec<Scope>,
    /// What to send as `X-CSRF-Token` with every write; null unless a cookie was shown.
    csrf_token: Option<String>,
    /// In how many seconds the session ends.
    ends_in_s: Option<u64>,
}

impl From<&Key> for KeyView {
    fn from(key: &Key) -> Self {
        Self {
            key_id: key.id.clone(),
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            rotated_at: key.rotated_at,
            revoked_at: key.revoked_at,
            requests_per_second: key.requests_per_second,
        }
    }
}

impl From<&Action> for KeyAction {
    fn from(action: &Action) -> Self {
        let Action { at, action, key_id, by } = action.clone();
        Self { at, action, key_id, by }
    }
}

impl From<Shown> for NewKey {
    fn from(shown: Shown) -> Self {
        Self { key: shown.text, about: KeyView::from(&shown.key) }
    }
}

/// What is said where something does not work: to clients, and as the examples of the description.
const UNREADABLE: &str = "the keys cannot be read or changed now";
const UNKNOWN: &str = "there is no such valid key";
const NOT_VALID: &str = "this key is not valid";
const TOO_SLOW: &str = "the body did not arrive in time";
const TOO_LARGE: &str = "the body must be at most 16 KiB";

type Row = (&'static str, fn() -> MethodRouter<Arc<Guard>>, fn() -> Endpoint);

static TABLE: &[Row] = &[
    (
        "/v1/keys",
        || get(list),
        || {
            admin(Endpoint::get("list_keys", "The keys, and what was done to them"))
            .answer(200, Answer::json::<KeyList>("Without their secrets.", json!({"keys": [example_key()], "actions": [
                {"at": "2026-11-22T18:25:32.235977Z", "action": "created", "key_id": "0f3a9c21d4e7", "by": "command line"},
            ]})))
        },
    ),
    (
        "/v1/keys",
        || post(create),
        || {
            admin(Endpoint::post("create_key", "Make a key"))
                .body::<KeyDraft>("What it is to be.", json!({"name": "dashboard", "scopes": ["query"]}))
                .answer(201, Answer::json::<NewKey>("The key, shown this once.", example_new_key()))
                .problem(
                    409,
                    "There are as many keys as may be.",
                    "there are 1000 keys already: revoke those that nobody uses",
                )
                .with(with_body)
        },
    ),
    (
        "/v1/keys/{key_id}/rotate",
        || post(rotate),
        || {
            admin(Endpoint::post("rotate_key", "Give a key a new secret"))
            .path("key_id", schema::any_text(), "The key's id.", "0f3a9c21d4e7")
            .query("grace_s", schema::integer(0, MOST_GRACE_S), "How many seconds the secret before stays valid; 0 when it is left out.")
            .answer(200, Answer::json::<NewKey>("The key, shown this once.", example_new_key()))
            .with(unknown)
            .answer(422, Answer::invalid(json!({"type": "int_parsing", "loc": ["query", "grace_s"], "msg": "Input should be a valid integer"})))
        },
    ),
    (
        "/v1/keys/{key_id}",
        || delete(revoke),
        || {
            admin(Endpoint::delete("revoke_key", "End a key"))
                .about("Its sessions and streams end within a few seconds.")
                .path("key_id", schema::any_text(), "The key's id.", "0f3a9c21d4e7")
                .answer(200, Answer::json::<KeyView>("The key, as it is now.", example_key()))
                .with(unknown)
        },
    ),
    (
        "/v1/session",
        || get(whoami),
        || {
            Endpoint::get("get_session", "Who is signed in, and what they may do")
                .tag("Access")
                .about("Answers without a key, too: then it says whether one is required.")
                .answer(200, session_answer("By key or by cookie."))
        },
    ),
    (
        "/v1/session",
        || post(sign_in),
        || {
            Endpoint::post("sign_in", "Sign a page in with a key")
            .tag("Access")
            .about(
                "The answer sets a cookie that no script can read and that no other site can send. Writes with it need the header \
                 `X-CSRF-Token`. A page of another origin cannot sign in.",
            )
            .body::<Credentials>("The key.", json!({"key": "at_0f3a9c21d4e7_secret"}))
            .answer(200, session_answer("The session.").header("Set-Cookie", schema::any_text(), "The cookie."))
            .problem(401, "The key is not valid.", NOT_VALID)
            .with(with_body)
        },
    ),
    (
        "/v1/session",
        || delete(sign_out),
        || {
            Endpoint::delete("sign_out", "End the session").tag("Access").answer(
                204,
                Answer::empty("There is none any more.").header(
                    "Set-Cookie",
                    schema::any_text(),
                    "Takes the cookie away.",
                ),
            )
        },
    ),
];

/// The longest time for which the secret before a rotation can stay valid.
const MOST_GRACE_S: u64 = 30 * 86_400;

/// What a new key is to be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is never made; it is read by the derive alone")]
struct KeyDraft {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// From when on it is not valid.
    expires_at: Option<Timestamp>,
    /// How many requests a second it may make; no limit when it is left out.
    #[schema(minimum = 1)]
    requests_per_second: Option<u32>,
}

/// What a page signs in with.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is never made; it is read by the derive alone")]
struct Credentials {
    key: String,
}

/// The description of these routes.
pub(crate) fn describe(document: &mut Document) {
    for (path, _, about) in TABLE {
        document.add(path, about());
    }
}

/// The routes.
pub(crate) fn routes(guard: Arc<Guard>) -> Router {
    let mut router = Router::new();
    for (path, methods, _) in TABLE {
        router = router.route(path, methods()).route(&format!("{path}/"), methods());
    }
    router.with_state(guard)
}

fn admin(endpoint: Endpoint) -> Endpoint {
    endpoint.tag("Access").scope(Scope::Admin).problem(500, "The keys could not be read or written.", UNREADABLE)
}

fn unknown(endpoint: Endpoint) -> Endpoint {
    endpoint.problem(404, "There is no such key, or it has ended.", UNKNOWN)
}

fn with_body(endpoint: Endpoint) -> Endpoint {
    endpoint
        .problem(408, "The body did not arrive in time.", TOO_SLOW)
        .problem(413, "The body is too large.", TOO_LARGE)
        .answer(422, Answer::invalid(json!({"type": "missing", "loc": ["body", "name"], "msg": "Field required"})))
}

fn example_key() -> Value {
    json!({
        "key_id": "0f3a9c21d4e7", "name": "dashboard", "scopes": ["query"], "created_at": "2026-11-22T18:25:32.235977Z",
        "expires_at": null, "rotated_at": null, "revoked_at": null, "requests_per_second": null,
    })
}

fn example_new_key() -> Value {
    let mut key = json!({"key": "at_0f3a9c21d4e7_secret"});
    if let (Value::Object(key), Value::Object(about)) = (&mut key, example_key()) {
        key.extend(about);
    }
    key
}

fn session_answer(about: &str) -> Answer {
    Answer::json::<SessionView>(
        about,
        json!({"required": true, "key_id": "0f3a9c21d4e7", "name": "dashboard", "scopes": ["query"],
               "csrf_token": "5d0c", "ends_in_s": 43200}),
    )
}

async fn list(State(guard): State<Arc<Guard>>, uri: Uri) -> Response {
    if let Some(refusal) = without_keys(&guard, &uri) {
        return refusal;
    }
    match blocking(move || guard.file.load()).await {
        Ok(keys) => json_answer(
            StatusCode::OK,
            &KeyList {
                keys: keys.keys.iter().map(KeyView::from).collect(),
                actions: keys.actions.iter().map(KeyAction::from).collect(),
            },
        ),
        Err(error) => failed(&error, &uri),
    }
}

async fn create(State(guard): State<Arc<Guard>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let draft = match object(body, &head.uri).await.map(|fields| draft(&fields)) {
        Ok(Ok(draft)) => draft,
        Ok(Err(errors)) => return unprocessable(&errors),
        Err(response) => return *response,
    };
    let by = by(&guard, &head.headers);
    changed(guard, &head.uri, StatusCode::CREATED, move |guard| guard.file.create(draft, &by).map(NewKey::from)).await
}

async fn rotate(State(guard): State<Arc<Guard>>, key_id: KeyId, uri: Uri, headers: HeaderMap) -> Response {
    let key_id = id_of(key_id);
    let grace = match grace(uri.query().unwrap_or_default()) {
        Ok(grace) => grace,
        Err(errors) => return unprocessable(&errors),
    };
    let by = by(&guard, &headers);
    changed(guard, &uri, StatusCode::OK, move |guard| guard.file.rotate(&key_id, grace, &by).map(NewKey::from)).await
}

async fn revoke(State(guard): State<Arc<Guard>>, key_id: KeyId, uri: Uri, headers: HeaderMap) -> Response {
    let key_id = id_of(key_id);
    let by = by(&guard, &headers);
    changed(guard, &uri, StatusCode::OK, move |guard| guard.file.revoke(&key_id, &by).map(|key| KeyView::from(&key)))
        .await
}

async fn whoami(State(guard): State<Arc<Guard>>, headers: HeaderMap) -> Response {
    json_answer(StatusCode::OK, &session_view(&guard, &headers))
}

async fn sign_in(State(guard): State<Arc<Guard>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // A page of another origin must not be able to put its own key behind what is done here.
    if head.headers.contains_key(header::ORIGIN) && !guard::is_own_origin(&head.headers, &head.uri) {
        return problem(StatusCode::FORBIDDEN, "a page of another origin cannot sign in", &head.uri);
    }
    let fields = match object(body, &head.uri).await {
        Ok(fields) => fields,
        Err(response) => return *response,
    };
    let Some(Value::String(text)) = fields.get("key") else {
        return unprocessable(&[error("missing", "key", "Field required")]);
    };
    let Some(key) = guard.newest_key(text.trim()).await else {
        return problem(StatusCode::UNAUTHORIZED, NOT_VALID, &head.uri);
    };
    let Ok((cookie, session)) = guard.sessions.begin(&key.id, Instant::now()) else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers", &head.uri);
    };
    // A proxy before the server says how it was reached. Who makes this up gets a cookie that is kept more safely, no more.
    let over_tls = head.extensions.get::<crate::edge::OverTls>().is_some()
        || head.headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    let secure = if over_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", LASTS.as_secs());
    let view = SessionView {
        required: guard.required,
        key_id: Some(key.id),
        name: Some(key.name),
        scopes: key.scopes,
        csrf_token: Some(session.csrf_token),
        ends_in_s: Some(LASTS.as_secs()),
    };
    with_cookie(json_answer(StatusCode::OK, &view), &cookie)
}

async fn sign_out(State(guard): State<Arc<Guard>>, uri: Uri, headers: HeaderMap) -> Response {
    if let Some(cookie) = guard::cookie(&headers) {
        let session = guard.sessions.find(cookie, Instant::now());
        if session.is_some_and(|session| !guard::is_own_write(&session, &headers, &uri)) {
            return problem(
                StatusCode::FORBIDDEN,
                "a write with the cookie needs the header X-CSRF-Token and our own origin",
                &uri,
            );
        }
        guard.sessions.end(cookie);
    }
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    with_cookie(StatusCode::NO_CONTENT.into_response(), &gone)
}

fn session_view(guard: &Guard, headers: &HeaderMap) -> SessionView {
    let caller = guard.caller(headers);
    let nobody = if guard.required { Vec::new() } else { Scope::ALL.to_vec() };
    let session = caller.as_ref().and_then(|caller| caller.session.clone());
    SessionView {
        required: guard.required,
        key_id: caller.as_ref().map(|caller| caller.key.id.clone()),
        name: caller.as_ref().map(|caller| caller.key.name.clone()),
        scopes: caller.map_or(nobody, |caller| caller.key.scopes),
        csrf_token: session.as_ref().map(|session| session.csrf_token.clone()),
        ends_in_s: session.map(|session| session.ends.saturating_duration_since(Instant::now()).as_secs()),
    }
}

/// Where nobody shows a key, nobody can make one either: it would outlive the day on which keys are asked for.
fn without_keys(guard: &Guard, uri: &Uri) -> Option<Response> {
    let why = "this server asks for no keys; `agenttracer keys` manages them beside its data";
    (!guard.required).then(|| problem(StatusCode::FORBIDDEN, why, uri))
}

/// Who asks for a change, for the list of actions.
fn by(guard: &Guard, headers: &HeaderMap) -> String {
    guard.caller(headers).map_or_else(|| "without a key".to_owned(), |caller| caller.key.id)
}

type KeyId = Result<Path<String>, PathRejection>;

/// What is no text is the id of no key.
fn id_of(path: KeyId) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}

/// Changes the file, and makes the change count at once.
async fn changed<T: Serialize + Send + 'static>(
    guard: Arc<Guard>,
    uri: &Uri,
    status: StatusCode,
    change: impl FnOnce(&Guard) -> Result<T, KeyError> + Send + 'static,
) -> Response {
    if let Some(refusal) = without_keys(&guard, uri) {
        return refusal;
    }
    let done = blocking(move || {
        let changed = change(&guard)?;
        let keys = guard.file.load()?;
        guard.keys.send_replace(keys);
        guard.forget_ended();
        Ok(changed)
    });
    match done.await {
        Ok(view) => json_answer(status, &view),
        Err(error) => failed(&error, uri),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, KeyError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Not cancelled, for nobody holds the handle: it panicked, and so does the request.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn failed(error: &KeyError, uri: &Uri) -> Response {
    match error {
        KeyError::Unknown(_) => problem(StatusCode::NOT_FOUND, UNKNOWN, uri),
        KeyError::TooMany => problem(StatusCode::CONFLICT, &error.to_string(), uri),
        error => {
            tracing::error!(%error, "the keys could not be read or changed");
            problem(StatusCode::INTERNAL_SERVER_ERROR, UNREADABLE, uri)
        }
    }
}

/// The body, which must be an object.
async fn object(body: Body, uri: &Uri) -> Result<Map<String, Value>, Box<Response>> {
    let bytes = match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return Err(Box::new(problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, uri)));
        }
        Err(_) => return Err(Box::new(problem(StatusCode::REQUEST_TIMEOUT, TOO_SLOW, uri))),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Box::new(unprocessable(&[whole("dict_type", "Input should be a valid dictionary")]))),
        Err(_) if bytes.is_empty() => Err(Box::new(unprocessable(&[whole("missing", "Field required")]))),
        Err(_) => Err(Box::new(unprocessable(&[whole("json_invalid", "The body is not valid JSON")]))),
    }
}

fn draft(fields: &Map<String, Value>) -> Result<Draft, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut wrong = |kind, name: &str, msg: &str| errors.push(error(kind, name, msg));
    let mut draft = Draft::default();
    match fields.get("name") {
        Some(Value::String(name)) if (1..=100).contains(&name.trim().chars().count()) => {
            draft.name = name.trim().to_owned()
        }
        Some(_) => wrong("string_type", "name", "Input should be a string of 1 to 100 characters"),
        None => wrong("missing", "name", "Field required"),
    }
    let scopes = fields.get("scopes").and_then(Value::as_array);
    let known: Option<Vec<_>> =
        scopes.and_then(|names| names.iter().map(|name| Scope::parse(name.as_str()?)).collect());
    match known.filter(|scopes| !scopes.is_empty()) {
        Some(scopes) => draft.scopes = scopes,
        None => wrong("enum", "scopes", "Input should be a list of 'ingest', 'query', 'erase' or 'admin'"),
    }
    match fields.get("expires_at") {
        None | Some(Value::Null) => {}
        Some(time) => match time.as_str().map(lenient::datetime) {
            Some(Ok(time)) => draft.expires_at = Some(time),
            _ => wrong("datetime_parsing", "expires_at", "Input should be a valid datetime"),
        },
    }
    match fields.get("requests_per_second") {
        None | Some(Value::Null) => {}
        Some(rate) => match rate.as_u64().and_then(|rate| u32::try_from(rate).ok()).filter(|rate| *rate > 0) {
            Some(rate) => draft.requests_per_second = Some(rate),
            None => wrong("int_parsing", "requests_per_second", "Input should be a whole number above 0"),
        },
    }
    if errors.is_empty() { Ok(draft) } else { Err(errors) }
}

fn grace(query: &str) -> Result<Duration, Vec<FieldError>> {
    let mut values =
        query.split('&').filter_map(|pair| pair.strip_prefix("grace_s=")).filter(|value| !value.is_empty());
    let Some(value) = values.next_back() else { return Ok(Duration::ZERO) };
    match value.parse::<u64>().ok().filter(|seconds| *seconds <= MOST_GRACE_S) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(vec![FieldError {
            kind: "int_parsing",
            loc: vec![Loc::Name("query".to_owned()), Loc::Name("grace_s".to_owned())],
            msg: format!("Input should be a whole number of seconds, at most {MOST_GRACE_S}"),
        }]),
    }
}

fn error(kind: &'static str, name: &str, msg: &str) -> FieldError {
    FieldError { kind, loc: vec![Loc::Name("body".to_owned()), Loc::Name(name.to_owned())], msg: msg.to_owned() }
}

fn whole(kind: &'static str, msg: &str) -> FieldError {
    FieldError { kind, loc: vec![Loc::Name("body".to_owned())], msg: msg.to_owned() }
}

fn unprocessable(errors: &[FieldError]) -> Response {
    json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": errors}))
}

pub(crate) fn problem(status: StatusCode, error: &str, uri: &Uri) -> Response {
    json_answer(status, &Problem { error: error.into(), status_code: status.as_u16(), path: uri.path().into() })
}

/// Nothing of this belongs into a cache.
fn json_answer(status: StatusCode, body: &impl Serialize) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, serde_json::to_vec(body).unwrap_or_default()).into_response()
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
