use super::Rule;
use super::shapes::{Match, touches};

/// The shortest credential that needs no `=` or `:`, in bytes: `AKIA` and 16 characters.
pub(super) const SHORTEST: usize = 20;

/// Credentials that are known by how they begin: the prefix, and the least number of characters behind it, one of which
/// must be a digit.
///
/// The first three are the contract's; the others are forms that well-known services print on purpose, so that tools
/// like this one can find them.
pub const SECRET_PREFIXES: [(&str, usize); 21] = [
    ("sk-", 20),
    ("pk-", 20),
    ("rk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("pk_live_", 16),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("AIza", 35),
    ("AKIA", 16),
    ("ASIA", 16),
    ("hf_", 30),
];

/// What a value behind `token:` may be without being a credential.
pub const NO_SECRETS: [&str; 22] = [
    "null",
    "true",
    "false",
    "missing",
    "invalid",
    "expired",
    "none",
    "undefined",
    "unknown",
    "empty",
    "required",
    "expected",
    "unexpected",
    "malformed",
    "revoked",
    "denied",
    "rejected",
    "unauthorized",
    "forbidden",
    "redacted",
    "[redacted]",
    "[secret]",
];

/// What stands in a message where a shape was replaced.
static PLACEHOLDERS: [&str; 5] = ["[email]", "[phone]", "[card]", "[ip]", "[secret]"];

/// Credentials by their own form, and with `named` also those behind `password=` and its like.
///
/// A match begins where a run of word characters begins, so nothing can touch it from the left.
pub(super) fn scan(text: &str, named: bool, report: &mut dyn FnMut(Match) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !touches(bytes[at]) {
            at += 1;
            continue;
        }
        let end = run_end(bytes, at);
        let run = &bytes[at..end];
        let found = if run.len() >= SHORTEST && is_prefixed(run) {
            Some(end)
        } else if run.starts_with(b"eyJ") {
            jwt_end(bytes, at)
        } else if run.starts_with(b"-----BEGIN") {
            pem_end(text, at)
        } else if run.eq_ignore_ascii_case(b"bearer") {
            bearer_end(bytes, end)
        } else if named {
            assigned_end(text, at, end)
        } else {
            None
        };
        match found {
            Some(found) => {
                if report((at..found, Rule::Secret)) {
                    return true;
                }
                at = found;
            }
            // A PEM header may hang on a word: look on behind that word's letters.
            None => at = end - pem_tail(run),
        }
    }
    false
}

/// The end of the run of word characters that begins at `start`.
fn run_end(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| touches(**byte)).count()
}

fn is_prefixed(run: &[u8]) -> bool {
    if !matches!(run[0], b's' | b'p' | b'r' | b'g' | b'x' | b'A' | b'h') {
        return false;
    }
    SECRET_PREFIXES.iter().any(|(prefix, least)| {
        run.strip_prefix(prefix.as_bytes())
            .is_some_and(|rest| rest.len() >= *least && rest.iter().any(u8::is_ascii_digit))
    })
}

/// Three parts of base64url with dots between them, the last one possibly empty; further parts (JWE) belong to it.
fn jwt_end(bytes: &[u8], start: usize) -> Option<usize> {
    let head = run_end(bytes, start);
    if head - start < 10 || bytes.get(head) != Some(&b'.') {
        return None;
    }
    let body = run_end(bytes, head + 1);
    if body - head < 5 || bytes.get(body) != Some(&b'.') {
        return None;
    }
    let mut end = run_end(bytes, body + 1);
    while bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(|byte| touches(*byte)) {
        end = run_end(bytes, end + 1);
    }
    Some(end)
}

/// A PEM block: from its header to the end of its footer, or of the string when the footer is missing.
fn pem_end(text: &str, start: usize) -> Option<usize> {
    let header = &text[start + 10..];
    let title = header.find("-----")?;
    if !header[..title].bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ') {
        return None;
    }
    let body = start + 10 + title + 5;
    let Some(footer) = text[body..].find("-----END") else { return Some(text.len()) };
    let footer = body + footer + 8;
    Some(text[footer..].find("-----").map_or(text.len(), |end| footer + end + 5))
}

/// How many bytes at the end of a run are the beginning of a PEM header.
fn pem_tail(run: &[u8]) -> usize {
    if run.len() > 10 && run.ends_with(b"-----BEGIN") { 10 } else { 0 }
}

/// `Bearer` and at least 20 characters of a token.
fn bearer_end(bytes: &[u8], word_end: usize) -> Option<usize> {
    let gap = bytes[word_end..].iter().take_while(|b| matches!(b, b' ' | b':' | b'"' | b'\'')).count();
    let start = word_end + gap;
    let len = bytes[start..]
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'-'))
        .count();
    (gap > 0 && len >= 20).then_some(start + len)
}

/// `password=value` and its like. The word may be the last part of a longer name (`DB_PASSWORD=..`, `client-secret: ..`),
/// which is then part of the match; behind a longer name and `:` only a quoted value or one of 8 with a digit counts, for
/// `get_secret:prod` is a name.
fn assigned_end(text: &str, start: usize, end: usize) -> Option<usize> {
    const WORDS: [&[u8]; 7] = [b"password", b"passwd", b"api_key", b"secret", b"token", b"api-key", b"apikey"];
    let bytes = text.as_bytes();
    let run = &bytes[start..end];
    if !matches!(run.last()?.to_ascii_lowercase(), b'd' | b'y' | b't' | b'n') {
        return None;
    }
    let word = WORDS
        .iter()
        .find(|word| run.len() >= word.len() && run[run.len() - word.len()..].eq_ignore_ascii_case(word))?;
    let longer_name = match run.len() - word.len() {
        0 => false,
        before if matches!(run[before - 1], b'_' | b'-') => true,
        _ => return None,
    };
    let mut at = end;
    if matches!(bytes.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    at += spaces(bytes, at);
    let sign = *bytes.get(at).filter(|sign| matches!(sign, b'=' | b':'))?;
    at += 1;
    at += spaces(bytes, at);
    let quoted = bytes.get(at).copied().filter(|quote| matches!(quote, b'"' | b'\''));
    let value_start = at + usize::from(quoted.is_some());
    let quote_end = quoted.and_then(|quote| text[value_start..].find(char::from(quote)));
    let value_end = match quote_end {
        Some(len) => value_start + len,
        None => {
            let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&');
            value_start + text[value_start..].find(ends).unwrap_or(text.len() - value_start)
        }
    };
    let value = &text[value_start..value_end];
    let long_enough = value.chars().nth(3).is_some();
    let strong = value.len() >= 8 && value.bytes().any(|b| b.is_ascii_digit());
    (long_enough && !is_no_value(value) && (!longer_name || sign == b'=' || quote_end.is_some() || strong))
        .then_some(value_end)
}

fn spaces(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().take_while(|byte| **byte == b' ').count()
}

/// A number, one of the words that tell of a value instead of being it, a placeholder, a time, a version, or no value
/// at all (`token::x`, `secret == x`, `secret://x`).
fn is_no_value(value: &str) -> bool {
    let word = value.trim_end_matches(['.', '!', '?', ')', ']', '}', ':']);
    NO_SECRETS.iter().any(|no| value.eq_ignore_ascii_case(no) || word.eq_ignore_ascii_case(no))
        || PLACEHOLDERS.iter().any(|placeholder| value.starts_with(placeholder))
        || value.starts_with([':', '='])
        || value.starts_with("//")
        || is_number(word)
        || is_version_or_time(word)
}

fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']).trim_end_matches('%');
    digits.starts_with(|c: char| c.is_ascii_digit())
        && (digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'_'))
            || digits.parse::<f64>().is_ok())
}

/// `v1.2.3`, `1.2.3-rc.1`, or an ISO time.
fn is_version_or_time(word: &str) -> bool {
    let bytes = word.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' {
        return (0..4).chain(5..7).chain(8..10).all(is_digit)
            && bytes[10..].iter().all(|b| b.is_ascii_digit() || matches!(b, b'T' | b'Z' | b':' | b'.' | b'+' | b'-'));
    }
    let mut parts = word.trim_start_matches('v').splitn(3, '.');
    let mut number = || parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    number()
        && number()
        && parts.next().is_some_and(|rest| {
            let patch = rest.bytes().take_while(u8::is_ascii_digit).count();
            patch > 0
                && (rest.len() == patch || (rest.len() - patch <= 16 && rest[patch..].starts_with(['-', '.', '+'])))
        })
}

/// `user:password` in a URL. The match is that pair alone, so that the host stays readable.
pub(super) fn scan_urls(text: &str, report: &mut dyn FnMut(Match) -> bool) -> bool {
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        let len = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>'))
            .unwrap_or(text.len() - start);
        let authority = &text[start..start + len];
        let scheme = from + found > 0 && text.as_bytes()[from + found - 1].is_ascii_alphanumeric();
        if let Some((pair, _)) = authority.rsplit_once('@').filter(|_| scheme)
            && pair.split_once(':').is_some_and(|(_, password)| !password.is_empty())
            && report((start..start + pair.len(), Rule::Secret))
        {
            return true;
        }
        from = start;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut report = |(range, _): Match| {
            found.push(&text[range]);
            false
        };
        scan(text, true, &mut report);
        scan_urls(text, &mut report);
        found
    }

    #[test]
    fn credentials_are_found() {
        let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl";
        for (text, secret) in [
            ("key sk-abcdefghijklmnopqrst1234, used", "sk-abcdefghijklmnopqrst1234"),
            ("\"pk-lf-00000000-1111-2222-3333-444444444444\"", "pk-lf-00000000-1111-2222-3333-444444444444"),
            ("Authorization: bearer abcdefghij.klmnopqrst/uv==", "bearer abcdefghij.klmnopqrst/uv=="),
            (&format!("got {jwt}!"), jwt),
            ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0."),
            (
                "x -----BEGIN TEST KEY----- AAAA -----END TEST KEY----- y",
                "-----BEGIN TEST KEY----- AAAA -----END TEST KEY-----",
            ),
            ("key-----BEGIN TEST KEY----- AAAA", "-----BEGIN TEST KEY----- AAAA"),
            ("login failed: password=hunter2 for x", "password=hunter2"),
            ("{\"api_key\": \"abcd efgh\"}", "api_key\": \"abcd efgh"),
            ("DB_PASSWORD=letmein&x=1", "DB_PASSWORD=letmein"),
            ("client-secret: abc123def", "client-secret: abc123def"),
            ("secret = zażółć", "secret = zażółć"),
            ("postgres://admin:letmein@db.internal/x", "admin:letmein"),
            ("redis://:p@ss@cache:6379", ":p@ss"),
        ] {
            assert_eq!(found(text), [secret], "{text}");
        }
    }

    #[test]
    fn names_and_outcomes_are_not() {
        for text in [
            "task-abcdefghijklmnopqrst1234",
            "sk-learn-classifier-production",
            "sk-short1",
            "risk-assessment-agent-v2-production",
            "Bearer authentication failed",
            "eyJhbGciOiJub25lIn0",
            "password: missing",
            "token: invalid.",
            "token=4096",
            "secret: null",
            "token: abc",
            "tokens: 123456",
            "get_secret:prod",
            "reset_password",
            "token::parse_error",
            "secret://vault/path",
            "token:1.2.3",
            "api_key: 2024-01-15T10:30:00Z",
            "mytoken=abcdef",
            "http://localhost:8000/a@b",
            "https://host:443/x",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
