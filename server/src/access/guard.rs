//! What a request must show. The scope of each endpoint stands in its row of the table of endpoints, the OpenAPI document
//! tells it, and the guard reads it from there: there is no second list that could differ.

use std::sync::Arc;
use std::time::Instant;

use agenttracer_model::Timestamp;
use agenttracer_model::openapi::Document;
use agenttracer_model::taxonomy::Scope;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, watch};

use super::file::{Seen, now};
use super::rate::Rates;
use super::sessions::{COOKIE, Session, Sessions};
use super::{Key, KeyFile, Keys};

/// The header in which a key can be sent in place of `Authorization`.
const X_API_KEY: &str = "x-api-key";
/// The header in which a page sends the token of its session with a write.
pub(crate) const X_CSRF_TOKEN: &str = "x-csrf-token";

/// The keys, and the sessions that stand on them: shared by all listeners.
pub(crate) struct Guard {
    pub(crate) file: KeyFile,
    pub(crate) keys: watch::Sender<Keys>,
    /// Which state of the file `keys` is.
    pub(crate) seen: Mutex<Seen>,
    pub(crate) sessions: Sessions,
    rates: Rates,
    /// Whether a request must show a key at all.
    pub(crate) required: bool,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// 401: no key, or none that is valid.
    Unknown,
    /// 403: the key may not do this.
    Scope(Scope),
    /// 403: a write by a cookie that another page could have made.
    Csrf,
    /// 429.
    TooMany,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) key: Key,
    /// When the key was shown by a cookie.
    pub(crate) session: Option<Session>,
}

/// The endpoints of one listener, with what each asks for.
pub(crate) struct Endpoints(Vec<(Method, Vec<String>, Option<Scope>)>);

impl Endpoints {
    pub(crate) fn of(document: &Document) -> Self {
        let endpoints = document.scopes().iter().filter_map(|(method, path, scope)| {
            let method = Method::from_bytes(method.as_bytes()).ok()?;
            Some((method, segments(path).map(str::to_owned).collect::<Vec<_>>(), *scope))
        });
        Self(endpoints.collect())
    }

    /// What this request asks for. Of what is not described, a path of the API needs any valid key, and everything else none:
    /// it is a file of the dashboard, or not there.
    fn needs(&self, method: &Method, path: &str) -> Needs {
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        let asked: Vec<_> = segments(path).collect();
        let matches = |pattern: &[String]| {
            pattern.len() == asked.len()
                && pattern.iter().zip(&asked).all(|(pattern, part)| pattern.starts_with('{') || pattern == part)
        };
        // A path without a parameter wins over one with, as in the router.
        let found = self.0.iter().filter(|(of, pattern, _)| *of == method && matches(pattern));
        let found = found.min_by_key(|(_, pattern, _)| pattern.iter().filter(|part| part.starts_with('{')).count());
        match found {
            Some((_, _, Some(scope))) => Needs::Scope(*scope),
            Some((_, _, None)) => Needs::Nothing,
            None if asked.first() == Some(&"v1") => Needs::AnyKey,
            None => Needs::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    AnyKey,
    Scope(Scope),
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

impl Guard {
    pub(crate) fn new(file: KeyFile, keys: Keys, required: bool) -> Arc<Self> {
        let keys = watch::Sender::new(keys);
        Arc::new(Self {
            file,
            keys,
            seen: Mutex::default(),
            sessions: Sessions::default(),
            rates: Rates::default(),
            required,
        })
    }

    /// Lets a request through, or says why not. `Ok(None)`: nobody must show a key for this, or none was shown.
    pub(crate) fn admit<B>(&self, endpoints: &Endpoints, request: &Request<B>) -> Result<Option<Caller>, Refused> {
        if !self.required || *request.method() == Method::OPTIONS {
            return Ok(None);
        }
        let needs = endpoints.needs(request.method(), request.uri().path());
        let caller = self.caller(request.headers());
        if needs == Needs::Nothing {
            return Ok(caller);
        }
        let caller = caller.ok_or(Refused::Unknown)?;
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(session) = caller.session.as_ref().filter(|_| writes)
            && !is_own_write(session, request.headers(), request.uri())
        {
            return Err(Refused::Csrf);
        }
        if let Needs::Scope(scope) = needs
            && !caller.key.may(scope)
        {
            return Err(Refused::Scope(scope));
        }
        if let Some(per_second) = caller.key.requests_per_second
            && !self.rates.take(&caller.key.id, per_second, Instant::now())
        {
            return Err(Refused::TooMany);
        }
        Ok(Some(caller))
    }

    /// The key that a text is, if it is valid.
    pub(crate) fn key(&self, text: &str) -> Option<Key> {
        self.keys.borrow().find(text, now()).cloned()
    }

    /// As [`key`](Self::key), for somebody who waits: one that was made a moment ago is valid, too.
    pub(crate) async fn newest_key(&self, text: &str) -> Option<Key> {
        if let Some(key) = self.key(text) {
            return Some(key);
        }
        self.look().await;
        self.key(text)
    }

    /// Who sends these headers. A key that is shown and not valid is not made good by a cookie.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        if let Some(text) = shown_key(headers) {
            return self.key(text).map(|key| Caller { key, session: None });
        }
        let session = self.sessions.find(cookie(headers)?, Instant::now())?;
        let keys = self.keys.borrow();
        let key = keys.by_id(&session.key_id).filter(|key| key.is_valid(now()))?.clone();
        Some(Caller { key, session: Some(session) })
    }

    /// Returns when what a caller showed is valid no more.
    pub(crate) async fn ended(self: Arc<Self>, caller: Caller) {
        let mut keys = self.keys.subscribe();
        let is_valid = |keys: &Keys, now: Timestamp| keys.by_id(&caller.key.id).is_some_and(|key| key.is_valid(now));
        loop {
            let in_session = caller.session.as_ref().is_none_or(|session| Instant::now() < session.ends);
            if !in_session || !is_valid(&keys.borrow_and_update(), now()) {
                return;
            }
            tokio::select! {
                changed = keys.changed() => if changed.is_err() { return },
                // It can also expire.
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            }
        }
    }

    /// Forgets what belongs to keys that have ended.
    pub(crate) fn forget_ended(&self) {
        let (keys, now) = (self.keys.borrow().clone(), now());
        let valid = |id: &str| keys.by_id(id).is_some_and(|key| key.is_valid(now));
        self.sessions.keep(valid);
        self.rates.keep(valid);
    }
}

/// The key in `Authorization: Bearer` or `X-Api-Key`.
fn shown_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        let (scheme, text) = value.split_once(' ').unwrap_or((value, ""));
        // Another scheme is no key of ours, but it was meant as one.
        return Some(if scheme.eq_ignore_ascii_case("bearer") { text.trim() } else { "" });
    }
    headers.get(X_API_KEY).map(|value| value.to_str().unwrap_or_default().trim())
}

/// The value of our cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Whether a write with the cookie comes from a page of ours: it shows the session's token, which no page of another origin
/// can read, and names this very host as its origin.
pub(crate) fn is_own_write(session: &Session, headers: &HeaderMap, uri: &Uri) -> bool {
    let token = headers.get(X_CSRF_TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
    bool::from(token.ct_eq(session.csrf_token.as_bytes())) && is_own_origin(headers, uri)
}

/// Whether the page that asks came from the host that it asks. HTTP/2 names the host in the request's line.
pub(crate) fn is_own_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str().as_bytes()));
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes).unwrap_or_default();
    let named = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    named.is_some() && named == host
}
