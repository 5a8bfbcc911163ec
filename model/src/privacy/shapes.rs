//! Private shapes in a string: credentials, e-mail addresses, card and phone numbers, public IP addresses.
//!
//! One look over the bytes tells which shapes are possible at all; the scanners run only for those. Each scanner is
//! linear: it looks ahead a bounded number of bytes, or over bytes that no other match looks at.

use std::ops::Range;

use super::{Rule, digits, mail, secrets};

/// A private shape: where it stands and what it is.
pub(super) type Match = (Range<usize>, Rule);

/// Whether a neighbour belongs to the same word, so that there is no match: a letter, digit, `_` or `-`.
pub(super) fn touches(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether nothing touches a match that begins at `start`.
pub(super) fn free_before(bytes: &[u8], start: usize) -> bool {
    start == 0 || !touches(bytes[start - 1])
}

/// Whether nothing touches a match that ends before `end`.
pub(super) fn free_after(bytes: &[u8], end: usize) -> bool {
    bytes.get(end).is_none_or(|byte| !touches(*byte))
}

/// What bytes a string has.
struct Look {
    seen: u8,
    digits: usize,
    dots: usize,
    colons: usize,
}

const AT: u8 = 1;
const PERCENT: u8 = 2;
const ASSIGN: u8 = 4;
const DASH: u8 = 8;
const PLUS: u8 = 16;
const PAREN: u8 = 32;
const DIGIT: u8 = 64;
const DOT: u8 = 128;

static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    class[b'@' as usize] = AT;
    class[b'%' as usize] = PERCENT;
    class[b'=' as usize] = ASSIGN;
    class[b':' as usize] = ASSIGN;
    class[b'-' as usize] = DASH;
    class[b'+' as usize] = PLUS;
    class[b'(' as usize] = PAREN;
    class[b'.' as usize] = DOT;
    let mut digit = b'0';
    while digit <= b'9' {
        class[digit as usize] = DIGIT;
        digit += 1;
    }
    class
};

impl Look {
    fn at(text: &str) -> Self {
        let mut look = Self { seen: 0, digits: 0, dots: 0, colons: 0 };
        for &byte in text.as_bytes() {
            let class = CLASS[usize::from(byte)];
            look.seen |= class;
            look.digits += usize::from(class == DIGIT);
            look.dots += usize::from(class == DOT);
            look.colons += usize::from(byte == b':');
        }
        look
    }

    fn has(&self, class: u8) -> bool {
        self.seen & class != 0
    }
}

/// The rule of a private shape in `text`, if there is one. IP addresses are looked for in messages only.
pub(super) fn find(text: &str) -> Option<Rule> {
    let mut found = None;
    scan(text, false, &mut |(_, rule)| {
        found = Some(rule);
        true
    });
    found
}

/// All private shapes of a message, in order of their beginning; they may overlap.
pub(super) fn find_all(text: &str) -> Vec<Match> {
    let mut found = Vec::new();
    scan(text, true, &mut |hit| {
        found.push(hit);
        false
    });
    found.sort_by_key(|(range, _)| (range.start, range.end));
    found
}

/// Reports every shape; stops when `report` says so.
fn scan(text: &str, message: bool, report: &mut dyn FnMut(Match) -> bool) {
    // The shortest shapes: `a@b.co`, `token:abcd`.
    if text.len() < 6 {
        return;
    }
    let look = Look::at(text);
    let named = look.has(ASSIGN);
    if (named || text.len() >= secrets::SHORTEST) && secrets::scan(text, named, report) {
        return;
    }
    if look.has(AT) && look.has(ASSIGN) && secrets::scan_urls(text, report) {
        return;
    }
    if look.has(AT | PERCENT) && look.has(DOT) && mail::scan(text, report) {
        return;
    }
    if look.digits >= 12 && digits::scan_cards(text, report) {
        return;
    }
    if look.digits >= 8 && look.has(PLUS | PAREN | DASH) && digits::scan_phones(text, report) {
        return;
    }
    if message && look.digits >= 1 && (look.dots >= 3 || look.colons >= 2) {
        digits::scan_ips(text, report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_in_names() {
        for text in ["", "a", "billing_api", "550e8400-e29b-41d4-a716-446655440000", "2024-01-15T10:30:00.123456Z"] {
            assert_eq!(find(text), None, "{text}");
            assert_eq!(find_all(text), []);
        }
    }

    #[test]
    fn every_match_of_a_message_is_found_in_order() {
        let text = "call +14155552671 or mail jo@example.com from 203.0.113.9";
        let rules: Vec<_> = find_all(text).into_iter().map(|(range, rule)| (&text[range], rule)).collect();
        assert_eq!(rules, [("+14155552671", Rule::Phone), ("jo@example.com", Rule::Email), ("203.0.113.9", Rule::Ip)]);
        assert_eq!(find("203.0.113.9"), None);
    }
}
