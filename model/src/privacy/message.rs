use super::shapes::{self, Match};
use super::text::cut;
use super::{MessageWords, REDACTED, Refusal, RefusalRule, Removed, Rule};

/// The longest message that is kept, in code points.
const LONGEST: usize = 500;

/// Why the message is refused: it mentions a credential as a word. `tokens`, `max_tokens`, a token limit, count, budget
/// or usage, and an unexpected token are no mentions; nor are names like `reset_password`.
pub fn refuse_message(message: &str, words: MessageWords) -> Option<Refusal> {
    if words == MessageWords::Relaxed || !mentions_credential(message.as_bytes()) {
        return None;
    }
    Some(Refusal {
        path: Vec::new(),
        rule: RefusalRule::MessageWords,
        msg: "the message mentions a password, an api_key, a token or a secret (privacy.message_words)".to_owned(),
    })
}

fn mentions_credential(message: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut previous: &[u8] = b"";
    let mut at = 0;
    while at < message.len() {
        let len = message[at..].iter().take_while(|byte| is_word(byte)).count();
        if len == 0 {
            at += 1;
            continue;
        }
        let word = &message[at..at + len];
        at += len;
        match len {
            8 if word.eq_ignore_ascii_case(b"password") => return true,
            7 if word.eq_ignore_ascii_case(b"api_key") => return true,
            6 if word.eq_ignore_ascii_case(b"secret") => return true,
            5 if word.eq_ignore_ascii_case(b"token") => {
                let gap = message[at..].iter().take_while(|byte| matches!(byte, b' ' | b'-')).count();
                let next = &message[at + gap..];
                let next = &next[..next.iter().take_while(|byte| is_word(byte)).count()];
                let counted =
                    gap > 0 && is_any(next, &["limit", "limits", "count", "counts", "budget", "budgets", "usage"]);
                if !counted && !previous.eq_ignore_ascii_case(b"unexpected") {
                    return true;
                }
            }
            _ => {}
        }
        previous = word;
    }
    false
}

fn is_any(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

/// The message with every private shape replaced (`[email]`, `[phone]`, `[card]`, `[ip]`, `[secret]`), cut at 500 code
/// points. Whatever stands beyond the cut was looked at too, so no half shape is left at the end.
pub fn clean_message(mut message: String, removed: &mut Removed) -> String {
    let mut was_cut = false;
    // A replacement or the cut can give birth to a shape (`secret: [card]x`), so this goes on until nothing is found.
    // Each round takes away text that is no placeholder; the bound is for an argument that proves wrong.
    for _ in 0..16 {
        let matches = shapes::find_all(&message);
        let clean = matches.is_empty();
        if !clean {
            message = replace(&message, matches, removed);
        }
        if cut(&mut message, LONGEST) {
            was_cut = true;
        } else if clean {
            if was_cut {
                removed.add(Rule::Size);
            }
            return message;
        }
    }
    removed.add(Rule::Secret);
    REDACTED.to_owned()
}

/// Replaces the matches; those that overlap become one, named after the first.
fn replace(message: &str, matches: Vec<Match>, removed: &mut Removed) -> String {
    let mut replaced = String::with_capacity(message.len());
    let mut done = 0;
    let mut matches = matches.into_iter().peekable();
    while let Some((mut range, rule)) = matches.next() {
        while let Some((overlapping, other)) = matches.next_if(|(next, _)| next.start < range.end) {
            // `user:password@host` looks like mail from its password on; the host may stay.
            let host = (rule, other) == (Rule::Secret, Rule::Email) && message.as_bytes().get(range.end) == Some(&b'@');
            if !host {
                range.end = range.end.max(overlapping.end);
            }
        }
        replaced.push_str(&message[done..range.start]);
        replaced.push_str(placeholder(rule));
        removed.add(rule);
        done = range.end;
    }
    replaced.push_str(&message[done..]);
    replaced
}

fn placeholder(rule: Rule) -> &'static str {
    match rule {
        Rule::Email => "[email]",
        Rule::Phone => "[phone]",
        Rule::Card => "[card]",
        Rule::Ip => "[ip]",
        Rule::Secret => "[secret]",
        Rule::Key | Rule::Prose | Rule::Size => REDACTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_refused_when_strict() {
        for message in [
            "wrong password",
            "Missing API_KEY header",
            "invalid token",
            "auth-token expired",
            "the SECRET was rotated",
            "token",
            "token: limit",
            "expected token",
        ] {
            assert!(refuse_message(message, MessageWords::Strict).is_some(), "{message}");
            assert_eq!(refuse_message(message, MessageWords::Relaxed), None);
        }
        let refusal = refuse_message("wrong password hunter2", MessageWords::Strict).unwrap();
        assert!(refusal.path.is_empty() && !refusal.msg.contains("hunter2"));
    }

    #[test]
    fn counting_tokens_and_naming_tools_is_no_mention() {
        for message in [
            "max_tokens exceeded",
            "4096 tokens used",
            "token limit reached",
            "Token  count too high",
            "token-budget exhausted",
            "token usage is high",
            "Unexpected token < in JSON at position 0",
            "reset_password timed out",
            "token_counter failed",
            "get_secret unavailable",
            "secretary bot is tokenless",
            "",
        ] {
            assert_eq!(refuse_message(message, MessageWords::Strict), None, "{message}");
        }
    }

    fn clean(message: &str) -> (String, Vec<(Rule, u32)>) {
        let mut removed = Removed::default();
        let cleaned = clean_message(message.to_owned(), &mut removed);
        let mut again = Removed::default();
        assert_eq!(clean_message(cleaned.clone(), &mut again), cleaned);
        assert!(again.is_empty());
        (cleaned, removed.iter().collect())
    }

    #[test]
    fn the_match_alone_is_replaced() {
        for (message, cleaned) in [
            ("External API timeout after 30s", "External API timeout after 30s"),
            ("mail to jo@example.com bounced", "mail to [email] bounced"),
            ("call +14155552671 or (415) 555-2671", "call [phone] or [phone]"),
            ("card 4111 1111 1111 1111 declined", "card [card] declined"),
            ("203.0.113.9:443 refused", "[ip]:443 refused"),
            ("login password=hunter2 failed", "login [secret] failed"),
            ("postgres://admin:letmein@db.example.com/x", "postgres://[secret]@db.example.com/x"),
            ("secret:4111 1111 1111 1111/abc", "secret:[card]/abc"),
        ] {
            assert_eq!(clean(message).0, cleaned);
        }
    }

    #[test]
    fn overlapping_matches_become_one() {
        assert_eq!(clean("password=jo@example.com x"), ("[secret] x".to_owned(), vec![(Rule::Secret, 1)]));
    }

    #[test]
    fn long_messages_are_cut_and_leave_no_half_shape() {
        let (cleaned, removed) = clean(&"é".repeat(501));
        assert_eq!((cleaned.chars().count(), removed), (500, vec![(Rule::Size, 1)]));
        assert_eq!(clean(&"x".repeat(500)).1, []);

        let straddling = format!("{} 415-555-2671 and more", "x".repeat(490));
        let (cleaned, _) = clean(&straddling);
        assert_eq!(cleaned, format!("{} [phone] a", "x".repeat(490)));

        // Only the cut frees this number from the digit that touched it.
        let freed = format!("{} 415-555-26719", "x".repeat(487));
        let (cleaned, removed) = clean(&freed);
        assert_eq!(cleaned, format!("{} [phone]", "x".repeat(487)));
        assert_eq!(removed, [(Rule::Phone, 1), (Rule::Size, 1)]);
    }
}
