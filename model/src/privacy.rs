//! What is refused, removed and kept (HTTP contract §2, told with examples in `docs/privacy.md`).
//!
//! *Refusing* looks and changes nothing; *cleaning* takes a value and gives back what may be stored. Both are pure, run
//! in time linear in the text, and allocate nothing as long as nothing is found. Cleaning is idempotent: what was
//! cleaned once is kept exactly as it is.
//!
//! Nothing here prints a value: a [`Refusal`] names the place and the rule.

mod digits;
mod keys;
mod mail;
mod message;
mod metadata;
mod prose;
mod secrets;
mod shapes;
mod text;

use std::fmt;

pub use keys::{CONTENT_KEYS, PRIVATE_KEY_ENDS, PRIVATE_KEYS, THOUGHT_KEYS};
pub use message::{clean_message, refuse_message};
pub use metadata::{clean_metadata, refuse_metadata};
pub use secrets::{NO_SECRETS, SECRET_PREFIXES};
pub use text::normalise_text;

/// What a required string becomes when a private shape stands in it.
pub const REDACTED: &str = "[redacted]";

/// The setting `privacy.message_words`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageWords {
    /// A message that mentions a password, an API key, a token or a secret is refused.
    #[default]
    Strict,
    /// Words are no reason to refuse; shapes are still replaced.
    Relaxed,
}

/// The rules by which something is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A metadata key that names content or a credential, or that is no key.
    Key,
    /// A metadata string that reads like prose.
    Prose,
    /// A credential.
    Secret,
    /// An e-mail address.
    Email,
    /// A payment card's number.
    Card,
    /// A phone number.
    Phone,
    /// A public IP address, in a message.
    Ip,
    /// Too long, too many, too deep, or not a scalar where only scalars may stand.
    Size,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 8] =
        [Self::Key, Self::Prose, Self::Secret, Self::Email, Self::Card, Self::Phone, Self::Ip, Self::Size];

    /// The rule's name in `X-Removed` and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Prose => "prose",
            Self::Secret => "secret",
            Self::Email => "email",
            Self::Card => "card",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::Size => "size",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many values were removed, by rule. Counts saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    counts: [u32; Rule::ALL.len()],
}

impl Removed {
    /// Counts one more.
    pub fn add(&mut self, rule: Rule) {
        self.add_many(rule, 1);
    }

    fn add_many(&mut self, rule: Rule, count: u32) {
        let slot = &mut self.counts[rule as usize];
        *slot = slot.saturating_add(count);
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (rule, count) in other.iter() {
            self.add_many(rule, count);
        }
    }

    /// How many by all rules together.
    pub fn total(&self) -> u32 {
        self.counts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count))
    }

    /// Whether nothing was removed.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// The rules that removed something, in the order of [`Rule::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Rule, u32)> + '_ {
        Rule::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count != 0)
    }
}

/// Whose metadata it is; the rules differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataOf {
    /// Of a run: scalars only, nothing is refused.
    Run,
    /// Of a step: may nest.
    Step,
    /// Of a decision: scalars only.
    Decision,
    /// Of a quality signal: scalars only.
    Signal,
}

/// Why a value is refused. Safe to print: no part of it comes from a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The place inside the metadata object, `<key>` for a key that is not a plain identifier; empty for a message.
    pub path: Vec<String>,
    /// What refuses, for metrics.
    pub rule: RefusalRule,
    /// The rule, for a person.
    pub msg: String,
}

/// The rules that refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalRule {
    /// A metadata key that names content, or reasoning.
    Key,
    /// A metadata value that is no short scalar, where only such may stand.
    Size,
    /// A message that mentions a credential.
    MessageWords,
}

impl RefusalRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Key, Self::Size, Self::MessageWords];

    /// The rule's name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Size => "size",
            Self::MessageWords => "message_words",
        }
    }
}

/// Cleans a string that must be there (names, codes, `selected`): a private shape makes it `[redacted]`.
pub fn clean_required(text: String, removed: &mut Removed) -> String {
    match shapes::find(&text) {
        None => text,
        Some(rule) => {
            removed.add(rule);
            REDACTED.to_owned()
        }
    }
}

/// Cleans a string that may be absent (a candidate, an error code, a session): a private shape drops it.
pub fn clean_optional(text: String, removed: &mut Removed) -> Option<String> {
    match shapes::find(&text) {
        None => Some(text),
        Some(rule) => {
            removed.add(rule);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_at_their_number() {
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index);
        }
        for (index, rule) in RefusalRule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index);
        }
    }

    #[test]
    fn counts_add_up_and_merge() {
        let mut removed = Removed::default();
        assert!(removed.is_empty());
        removed.add(Rule::Email);
        removed.add(Rule::Email);
        let mut other = Removed::default();
        other.add(Rule::Size);
        other.merge(&removed);
        assert_eq!(other.total(), 3);
        assert_eq!(other.iter().collect::<Vec<_>>(), [(Rule::Email, 2), (Rule::Size, 1)]);
    }

    #[test]
    fn a_required_string_is_replaced_and_an_optional_one_dropped() {
        let mut removed = Removed::default();
        assert_eq!(clean_required("ask jo@example.com".to_owned(), &mut removed), REDACTED);
        assert_eq!(clean_optional("ask jo@example.com".to_owned(), &mut removed), None);
        assert_eq!(removed.iter().collect::<Vec<_>>(), [(Rule::Email, 2)]);
        assert_eq!(clean_required("billing_api".to_owned(), &mut removed), "billing_api");
        assert_eq!(clean_optional("billing_api".to_owned(), &mut removed), Some("billing_api".to_owned()));
        assert_eq!(removed.total(), 2);
    }
}
