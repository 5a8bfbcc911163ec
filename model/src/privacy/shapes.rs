//! Private shapes in a string: credentials, e-mail addresses, card and phone numbers, public IP addresses.
//!
//! One look over the bytes tells which shapes are possible at all; the scanners run only for those. Each scanner is
//! linear: it looks ahead a bounded number of bytes, or over bytes that no other match looks at.

use std::ops::Range;

use super::{Rule, digits, mail, secrets};

/// A private shape: where it stands and what it is.
pub(super) type Match = (Range<usize>, Rule);

static TOUCHES: [bool; 256] = {
    let mut touches = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        touches[byte] = b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        byte += 1;
    }
    touches
};

/// Whether a neighbour belongs to the same word, so that there is no match: a letter, digit, `_` or `-`.
pub(super) fn touches(byte: u8) -> bool {
    TOUCHES[usize::from(byte)]
}

/// Whether nothing touches a match that begins at `start`.
pub(super) fn free_before(bytes: &[u8], start: usize) -> bool {
    start == 0 || !touches(bytes[start - 1])
}

/// Whether nothing touches a match that ends before `end`.
pub(super) fn free_after(bytes: &[u8], end: usize) -> bool {
    bytes.get(end).is_none_or(|byte| !touches(*byte))
}

/// How many bytes of each kind a string has. Counts of very long strings saturate.
#[derive(Default)]
pub(super) struct Look {
    digits: u32,
    dots: u32,
    /// `:` and `=`
    assigns: u32,
    /// `_`, `+` and `%`: they can stand in for spaces.
    pub(super) stand_ins: u32,
    ats: u32,
    /// `-` and `(`
    dashes: u32,
    /// ASCII white space.
    pub(super) spaces: u32,
    /// Bytes outside ASCII.
    pub(super) wide: u32,
}

/// What each byte adds to the eight counts, packed into a word of eight bits each.
static KINDS: [u64; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let place = match byte as u8 {
            b'0'..=b'9' => 0,
            b'.' => 1,
            b':' | b'=' => 2,
            b'_' | b'+' | b'%' => 3,
            b'@' => 4,
            b'-' | b'(' => 5,
            b' ' | b'\t'..=b'\r' => 6,
            0x80.. => 7,
            _ => 64,
        };
        if place < 64 {
            kinds[byte] = 1 << (8 * place);
        }
        byte += 1;
    }
    kinds
};

impl Look {
    pub(super) fn at(text: &str) -> Self {
        let mut look = Self::default();
        // No packed count overflows in 255 bytes.
        for chunk in text.as_bytes().chunks(255) {
            let packed: u64 = chunk.iter().map(|byte| KINDS[usize::from(*byte)]).sum();
            let count = |place: u32| (packed >> (8 * place)) as u32 & 0xff;
            let add = |slot: &mut u32, place| *slot = slot.saturating_add(count(place));
            add(&mut look.digits, 0);
            add(&mut look.dots, 1);
            add(&mut look.assigns, 2);
            add(&mut look.stand_ins, 3);
            add(&mut look.ats, 4);
            add(&mut look.dashes, 5);
            add(&mut look.spaces, 6);
            add(&mut look.wide, 7);
        }
        look
    }
}

/// The rule of a private shape in `text`, if there is one. IP addresses are looked for in messages only.
pub(super) fn find(text: &str) -> Option<Rule> {
    if text.len() < SHORTEST { None } else { find_with(text, &Look::at(text)) }
}

/// As [`find`], when the look was taken already.
pub(super) fn find_with(text: &str, look: &Look) -> Option<Rule> {
    let mut found = None;
    scan(text, look, false, &mut |(_, rule)| {
        found = Some(rule);
        true
    });
    found
}

/// All private shapes of a message, in order of their beginning; they may overlap.
pub(super) fn find_all(text: &str) -> Vec<Match> {
    let mut found = Vec::new();
    scan(text, &Look::at(text), true, &mut |hit| {
        found.push(hit);
        false
    });
    found.sort_by_key(|(range, _)| (range.start, range.end));
    found
}

/// The shortest shape: `a@b.co`.
const SHORTEST: usize = 6;

/// Reports every shape; stops when `report` says so.
fn scan(text: &str, look: &Look, message: bool, report: &mut dyn FnMut(Match) -> bool) {
    if text.len() < SHORTEST {
        return;
    }
    let named = look.assigns > 0;
    // What a credential has that needs no name: a digit, the space behind `Bearer` or in a PEM header, a JWT's dots.
    let bare = text.len() >= secrets::SHORTEST && (look.digits > 0 || look.spaces > 0 || look.dots >= 2);
    if (named || bare) && secrets::scan(text, named, report) {
        return;
    }
    if look.ats > 0 && named && secrets::scan_urls(text, report) {
        return;
    }
    if (look.ats > 0 || (look.stand_ins > 0 && text.contains('%'))) && look.dots > 0 && mail::scan(text, report) {
        return;
    }
    if look.digits >= 12 && digits::scan_cards(text, report) {
        return;
    }
    if look.digits >= 8 && (look.dashes > 0 || look.stand_ins > 0) && digits::scan_phones(text, report) {
        return;
    }
    if message && look.digits > 0 && (look.dots >= 3 || look.assigns >= 2) {
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
