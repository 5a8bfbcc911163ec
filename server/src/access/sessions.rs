//! Sessions of the dashboard: somebody showed a key once, and the browser holds a cookie in its place. They are in memory: a
//! restart of the server ends them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::key::{hash, make_secret};

/// How long a session lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 3600);
/// The name of the cookie.
pub(crate) const COOKIE: &str = "agenttracer_session";
/// The most sessions; one more ends the one that ends first.
const MOST: usize = 1000;

/// What a session stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) key_id: String,
    /// What a page shows with a write, so that no other page can write with its cookie.
    pub(crate) csrf_token: String,
    pub(crate) ends: Instant,
}

/// All sessions, by the hash of their cookie: who reads the memory of a crash cannot use them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Begins a session of this key; returns the value of its cookie.
    pub(crate) fn begin(&self, key_id: &str, now: Instant) -> Result<(String, Session), getrandom::Error> {
        let cookie = make_secret()?;
        let session = Session { key_id: key_id.to_owned(), csrf_token: make_secret()?, ends: now + LASTS };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| now < session.ends);
        if sessions.len() >= MOST {
            let first = sessions.iter().min_by_key(|(_, session)| session.ends).map(|(id, _)| id.clone());
            first.and_then(|id| sessions.remove(&id));
        }
        sessions.insert(hash(&cookie), session.clone());
        Ok((cookie, session))
    }

    /// The session of this cookie, if it goes on.
    pub(crate) fn find(&self, cookie: &str, now: Instant) -> Option<Session> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&hash(cookie)).filter(|session| now < session.ends).cloned()
    }

    /// Ends the session of this cookie.
    pub(crate) fn end(&self, cookie: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(cookie));
    }

    /// Ends the sessions of keys of which `valid` says that they have ended.
    pub(crate) fn keep(&self, valid: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, session| valid(&session.key_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_time_by_sign_out_and_with_its_key() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (cookie, session) = sessions.begin("a", now).unwrap();
        assert_eq!(sessions.find(&cookie, now), Some(session.clone()));
        assert_eq!(sessions.find(&cookie, now + LASTS), None);
        assert_eq!(sessions.find(&session.csrf_token, now), None);
        sessions.end(&cookie);
        assert_eq!(sessions.find(&cookie, now), None);
        let (of_a, _) = sessions.begin("a", now).unwrap();
        let (of_b, _) = sessions.begin("b", now).unwrap();
        sessions.keep(|key_id| key_id == "b");
        assert!(sessions.find(&of_a, now).is_none() && sessions.find(&of_b, now).is_some());
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (first, _) = sessions.begin("a", now).unwrap();
        let mut last = String::new();
        for seconds in 1..=MOST as u64 {
            last = sessions.begin("a", now + Duration::from_secs(seconds)).unwrap().0;
        }
        let at = now + Duration::from_secs(MOST as u64);
        assert!(sessions.find(&first, at).is_none() && sessions.find(&last, at).is_some());
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }
}
