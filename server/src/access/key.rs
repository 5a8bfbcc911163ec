//! A key, and all of them.

use agenttracer_model::taxonomy::Scope;
use agenttracer_model::{Timestamp, hex, lenient};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How every key begins, so that tools that look for secrets know it.
const PREFIX: &str = "at_";
/// How many revoked keys and actions are remembered.
const REMEMBERED: usize = 1000;
/// The most keys that are valid at a time.
pub(crate) const MOST_KEYS: usize = 1000;

/// What is kept of a key: its name, what it may do, and a hash. Who reads it cannot ask anything with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Names the key; the part of it that is no secret.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do.
    #[serde(deserialize_with = "scopes_of_file")]
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[serde(deserialize_with = "time_of_file")]
    pub created_at: Timestamp,
    /// From when on it is not valid any more.
    #[serde(default, deserialize_with = "optional_time_of_file")]
    pub expires_at: Option<Timestamp>,
    /// When it got its present secret, if that is not the first.
    #[serde(default, deserialize_with = "optional_time_of_file")]
    pub rotated_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "optional_time_of_file")]
    pub revoked_at: Option<Timestamp>,
    /// How many requests a second it may make; a burst of twice as many is let through.
    #[serde(default)]
    pub requests_per_second: Option<u32>,
    /// SHA-256 of the secret, in hex. Secrets are 256 random bits, so there is nothing to guess, and no slow hash is needed.
    pub(crate) sha256: Option<String>,
    /// The secret before, and until when it is still valid.
    #[serde(default)]
    pub(crate) before: Option<Before>,
}

/// A secret that a rotation replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    sha256: String,
    #[serde(deserialize_with = "time_of_file")]
    until: Timestamp,
}

/// What was done to a key, when, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When.
    #[serde(deserialize_with = "time_of_file")]
    pub at: Timestamp,
    /// `created`, `rotated` or `revoked`.
    pub action: String,
    /// Which key.
    pub key_id: String,
    /// The id of the key that asked for it over HTTP, or `command line`.
    pub by: String,
}

/// What a new key is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// For people: 1 to 100 characters.
    pub name: String,
    /// At least one.
    pub scopes: Vec<Scope>,
    /// From when on it is not valid any more.
    pub expires_at: Option<Timestamp>,
    /// How many requests a second it may make.
    pub requests_per_second: Option<u32>,
}

/// All keys, the valid and the former ones, and what was done to them: the content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Of the file.
    pub(crate) format: u32,
    /// In the order in which they were made.
    pub keys: Vec<Key>,
    /// In their order; the last thousand.
    pub actions: Vec<Action>,
}

impl Key {
    /// Whether requests with it are answered at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.sha256.is_some() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it may do this. `admin` may do everything.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// In a time that does not depend on the secret.
    fn is(&self, secret: &str, now: Timestamp) -> bool {
        let sent = hash(secret);
        let same = |known: &str| bool::from(known.as_bytes().ct_eq(sent.as_bytes()));
        let now_same = self.sha256.as_deref().is_some_and(same);
        let before_same = self.before.as_ref().is_some_and(|before| same(&before.sha256) && now < before.until);
        now_same | before_same
    }
}

impl Keys {
    /// The key with this text, if it is valid at `now`.
    pub(crate) fn find(&self, text: &str, now: Timestamp) -> Option<&Key> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        self.by_id(id).filter(|key| key.is(secret, now) && key.is_valid(now))
    }

    /// The key with this id.
    pub fn by_id(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Whether any key is valid at `now`.
    pub fn any_valid(&self, now: Timestamp) -> bool {
        self.keys.iter().any(|key| key.is_valid(now))
    }

    /// Adds a key; returns its id and its text, which nobody can find out again.
    pub(crate) fn create(
        &mut self,
        draft: Draft,
        now: Timestamp,
        by: &str,
    ) -> Result<(String, String), getrandom::Error> {
        let mut id = [0; 6];
        getrandom::fill(&mut id)?;
        let id = hex(&id);
        let secret = make_secret()?;
        self.keys.push(Key {
            id: id.clone(),
            name: draft.name,
            scopes: Scope::ALL.iter().copied().filter(|scope| draft.scopes.contains(scope)).collect(),
            created_at: now,
            // No text of a time is read beyond 2099, and nobody will wait for it.
            expires_at: draft.expires_at.filter(|end| *end < Timestamp::END_SENT),
            rotated_at: None,
            revoked_at: None,
            requests_per_second: draft.requests_per_second,
            sha256: Some(hash(&secret)),
            before: None,
        });
        self.acted(now, "created", &id, by);
        let text = format!("{PREFIX}{id}_{secret}");
        Ok((id, text))
    }

    /// Gives a key a new secret; the one before stays valid until `until`. `None` when no such key is valid.
    pub(crate) fn rotate(
        &mut self,
        id: &str,
        until: Timestamp,
        now: Timestamp,
        by: &str,
    ) -> Result<Option<String>, getrandom::Error> {
        let Some(key) = self.keys.iter_mut().find(|key| key.id == id && key.is_valid(now)) else { return Ok(None) };
        let until = until.min(Timestamp::from_micros(Timestamp::END_SENT.as_micros() - 1));
        let secret = make_secret()?;
        let before = key.sha256.replace(hash(&secret));
        key.before = before.filter(|_| until > now).map(|sha256| Before { sha256, until });
        key.rotated_at = Some(now);
        self.acted(now, "rotated", id, by);
        Ok(Some(format!("{PREFIX}{id}_{secret}")))
    }

    /// Ends a key, and forgets its hash. False when no such key was valid.
    pub(crate) fn revoke(&mut self, id: &str, now: Timestamp, by: &str) -> bool {
        let Some(key) = self.keys.iter_mut().find(|key| key.id == id && key.revoked_at.is_none()) else { return false };
        key.revoked_at = Some(now);
        key.sha256 = None;
        key.before = None;
        self.acted(now, "revoked", id, by);
        true
    }

    fn acted(&mut self, at: Timestamp, action: &str, key_id: &str, by: &str) {
        self.actions.push(Action { at, action: action.to_owned(), key_id: key_id.to_owned(), by: by.to_owned() });
        let over = self.actions.len().saturating_sub(REMEMBERED);
        self.actions.drain(..over);
        let mut over = self.keys.iter().filter(|key| key.revoked_at.is_some()).count().saturating_sub(REMEMBERED);
        self.keys.retain(|key| {
            let goes = over > 0 && key.revoked_at.is_some();
            over -= usize::from(goes);
            !goes
        });
    }
}

/// 256 random bits, in hex.
pub(crate) fn make_secret() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(hex(&secret))
}

pub(crate) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn time(text: &str) -> Result<Timestamp, String> {
    lenient::datetime(text).map_err(|_| "a time is not as it was written".to_owned())
}

fn time_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    time(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn optional_time_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = <Option<String>>::deserialize(deserializer)?;
    text.map(|text| time(&text)).transpose().map_err(serde::de::Error::custom)
}

fn scopes_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let names = <Vec<String>>::deserialize(deserializer)?;
    let scopes = names.iter().map(|name| Scope::parse(name).ok_or_else(|| "a scope is not known".to_owned()));
    scopes.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_371_932_000_000);
    const LATER: Timestamp = Timestamp::from_micros(1_795_371_999_000_000);

    fn one(scopes: &[Scope]) -> (Keys, String, String) {
        let mut keys = Keys::default();
        let draft = Draft { name: "n".into(), scopes: scopes.to_vec(), ..Draft::default() };
        let (id, text) = keys.create(draft, NOW, "command line").unwrap();
        (keys, id, text)
    }

    #[test]
    fn a_key_is_found_by_its_whole_text_alone() {
        let (keys, id, text) = one(&[Scope::Query]);
        assert_eq!(keys.find(&text, NOW).unwrap().id, id);
        for wrong in [
            "",
            "at_",
            &id,
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replace("at_", ""),
        ] {
            assert_eq!(keys.find(wrong, NOW), None, "{wrong}");
        }
        let (_, _, other) = one(&[Scope::Query]);
        assert_eq!(keys.find(&format!("at_{id}_{}", other.rsplit('_').next().unwrap()), NOW), None);
    }

    #[test]
    fn nothing_that_is_kept_holds_the_secret() {
        let (mut keys, id, text) = one(&[Scope::Query]);
        let secret = text.rsplit('_').next().unwrap().to_owned();
        let kept = serde_json::to_string(&keys).unwrap();
        assert!(!kept.contains(&secret) && kept.contains(&hash(&secret)));
        assert_eq!(serde_json::from_str::<Keys>(&kept).unwrap(), keys);
        assert!(keys.revoke(&id, NOW, "command line"));
        assert!(!serde_json::to_string(&keys).unwrap().contains(&hash(&secret)));
    }

    #[test]
    fn a_rotation_lets_the_old_secret_live_as_long_as_it_says() {
        let (mut keys, id, old) = one(&[Scope::Query]);
        let new = keys.rotate(&id, LATER, NOW, "command line").unwrap().unwrap();
        assert!(keys.find(&old, NOW).is_some() && keys.find(&new, NOW).is_some());
        assert!(keys.find(&old, LATER).is_none() && keys.find(&new, LATER).is_some());
        let newer = keys.rotate(&id, NOW, NOW, "command line").unwrap().unwrap();
        assert!(keys.find(&new, NOW).is_none() && keys.find(&newer, NOW).is_some());
        assert!(keys.revoke(&id, NOW, "command line") && keys.find(&newer, NOW).is_none());
        assert_eq!(keys.rotate(&id, LATER, NOW, "command line").unwrap(), None);
        assert!(!keys.revoke(&id, NOW, "command line"));
        let actions: Vec<_> = keys.actions.iter().map(|action| action.action.as_str()).collect();
        assert_eq!(actions, ["created", "rotated", "rotated", "revoked"]);
    }

    #[test]
    fn a_key_ends_when_it_expires() {
        let mut keys = Keys::default();
        let draft = Draft { name: "n".into(), scopes: vec![Scope::Query], expires_at: Some(LATER), ..Draft::default() };
        let (_, text) = keys.create(draft, NOW, "command line").unwrap();
        assert!(keys.find(&text, NOW).is_some() && keys.any_valid(NOW));
        assert!(keys.find(&text, LATER).is_none() && !keys.any_valid(LATER));
    }

    #[test]
    fn only_admin_may_everything() {
        for scope in Scope::ALL {
            let (keys, _, text) = one(&[*scope]);
            let key = keys.find(&text, NOW).unwrap();
            for asked in Scope::ALL {
                assert_eq!(key.may(*asked), scope == asked || *scope == Scope::Admin);
            }
        }
    }
}
