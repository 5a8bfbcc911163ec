use std::net::{Ipv4Addr, Ipv6Addr};

use super::Rule;
use super::shapes::{Match, free_after, free_before};

/// How the digits of a card are grouped when they are, by single spaces or dashes.
static GROUPS: [&[usize]; 6] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 5], &[4, 4, 4]];

/// Card numbers: a brand's prefix with one of that brand's lengths, and a right check digit (Luhn).
///
/// The digits of a fraction (`0.4111..`) are no card.
pub(super) fn scan_cards(text: &str, report: &mut dyn FnMut(Match) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let run = digits_at(bytes, at);
        let mut next = at + run;
        if free_before(bytes, at) && !(at >= 2 && bytes[at - 1] == b'.' && bytes[at - 2].is_ascii_digit()) {
            let end = if run == 4 { grouped_card_end(bytes, at) } else { card_end(bytes, at, run) };
            if let Some(end) = end {
                if report((at..end, Rule::Card)) {
                    return true;
                }
                next = end;
            }
        }
        at = next;
    }
    false
}

fn digits_at(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn card_end(bytes: &[u8], start: usize, run: usize) -> Option<usize> {
    let end = start + run;
    if !(12..=19).contains(&run) || !ends_free(bytes, end) {
        return None;
    }
    is_card(bytes[start..end].iter().copied()).then_some(end)
}

fn grouped_card_end(bytes: &[u8], start: usize) -> Option<usize> {
    let separator = *bytes.get(start + 4).filter(|byte| matches!(byte, b' ' | b'-'))?;
    GROUPS.iter().find_map(|groups| {
        let mut at = start;
        for (index, &group) in groups.iter().enumerate() {
            if index > 0 {
                if bytes.get(at) != Some(&separator) {
                    return None;
                }
                at += 1;
            }
            if bytes.len() < at + group || digits_at(&bytes[..at + group], at) != group {
                return None;
            }
            at += group;
        }
        let digits = bytes[start..at].iter().copied().filter(u8::is_ascii_digit);
        (ends_free(bytes, at) && is_card(digits)).then_some(at)
    })
}

/// Nothing touches the end, and no fraction follows.
fn ends_free(bytes: &[u8], end: usize) -> bool {
    free_after(bytes, end) && !(bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit))
}

fn is_card(digits: impl DoubleEndedIterator<Item = u8> + Clone) -> bool {
    let (mut prefix, mut length) = (0u32, 0);
    for digit in digits.clone() {
        if length < 6 {
            prefix = prefix * 10 + u32::from(digit - b'0');
        }
        length += 1;
    }
    length >= 12 && has_brand(prefix, length) && has_check_digit(digits)
}

/// Whether a brand has numbers of this length that begin with these six digits.
fn has_brand(six: u32, length: usize) -> bool {
    let (two, three, four) = (six / 10_000, six / 1000, six / 100);
    match six / 100_000 {
        2 => match four {
            2200..=2204 => (16..=19).contains(&length), // Mir
            2221..=2720 => length == 16,                // Mastercard
            _ => false,
        },
        3 => match (two, three, four) {
            (34 | 37, ..) => length == 15, // American Express
            (36 | 38 | 39, ..) | (_, 300..=305, _) | (_, _, 3095) => (14..=19).contains(&length), // Diners Club
            (.., 3528..=3589) => (16..=19).contains(&length), // JCB
            _ => false,
        },
        4 => matches!(length, 13 | 16 | 18 | 19), // Visa
        5 => match (two, three, four) {
            (51..=55, ..) => length == 16,                                                // Mastercard
            (.., 5018 | 5019 | 5020 | 5038 | 5612 | 5893) => (12..=19).contains(&length), // Maestro, Dankort
            (_, 506..=509, _) => matches!(length, 16 | 18 | 19),                          // Verve, Elo, RuPay
            _ => false,
        },
        6 => match (two, three, four) {
            (.., 6304 | 6759 | 6761..=6763) => (12..=19).contains(&length), // Maestro
            (60 | 62 | 64 | 65, ..) => (16..=19).contains(&length),         // Discover, UnionPay, RuPay
            (_, 636..=639, _) => (16..=19).contains(&length),               // InterPayment, InstaPayment, Elo
            _ => false,
        },
        8 => matches!(two, 81 | 82) && (16..=19).contains(&length), // UnionPay, RuPay
        9 => four == 9792 && length == 16,                          // Troy
        _ => false,
    }
}

fn has_check_digit(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(index, digit)| match (u32::from(digit - b'0'), index % 2) {
            (digit, 0) => digit,
            (digit, _) if digit > 4 => digit * 2 - 9,
            (digit, _) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Phone numbers: `+` and 8 to 15 digits (with single separators between groups), `(ddd) ddd-dddd`, `ddd-ddd-dddd`,
/// the last two also behind `1-`.
pub(super) fn scan_phones(text: &str, report: &mut dyn FnMut(Match) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            _ if !free_before(bytes, at) => None,
            b'+' => international_end(bytes, at),
            b'(' | b'0'..=b'9' => national_end(bytes, at),
            _ => None,
        };
        match end {
            Some(end) => {
                if report((at..end, Rule::Phone)) {
                    return true;
                }
                at = end;
            }
            None => at += 1,
        }
    }
    false
}

fn international_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut digits, mut found) = (start + 1, 0, None);
    loop {
        let group = digits_at(&bytes[..bytes.len().min(at + 16)], at);
        digits += group;
        at += group;
        // The country code has at most three digits, unless all digits stand together.
        if group == 0 || digits > 15 {
            break;
        }
        if digits >= 8 && free_after(bytes, at) {
            found = Some(at);
        }
        if at - start - 1 == group && group > 3 {
            break;
        }
        at += match bytes.get(at..).unwrap_or_default() {
            [b')', b' ' | b'-', b'0'..=b'9', ..] | [b' ', b'(', b'0'..=b'9', ..] => 2,
            [b' ' | b'-' | b'.' | b'(' | b')', b'0'..=b'9', ..] => 1,
            _ => break,
        };
    }
    found
}

fn national_end(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = &bytes[start..];
    let trunk = if matches!(rest, [b'1', b'-' | b' ' | b'.', ..]) { 2 } else { 0 };
    let rest = &rest[trunk..];
    let number = if is_pattern(rest, b"(ddd) ddd-dddd") {
        14
    } else if is_pattern(rest, b"(ddd)ddd-dddd") {
        13
    } else if is_pattern(rest, b"ddd-ddd-dddd") {
        12
    } else {
        return None;
    };
    let end = start + trunk + number;
    free_after(bytes, end).then_some(end)
}

fn is_pattern(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.len() >= pattern.len()
        && pattern
            .iter()
            .zip(bytes)
            .all(|(want, byte)| if *want == b'd' { byte.is_ascii_digit() } else { want == byte })
}

/// Public IP addresses. Addresses of private and local networks stay, for they name no person; so do four-part
/// version numbers (`v1.2.3.4`, `version 1.2.3.4`).
pub(super) fn scan_ips(text: &str, report: &mut dyn FnMut(Match) -> bool) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
        if !is_part(&bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_part(byte)).count();
        if end - at >= 4
            && let Some((from, to)) = address_in(text, at, end)
            && report((from..to, Rule::Ip))
        {
            return true;
        }
        at = end;
    }
    false
}

/// A public address in a run of hex digits, dots and colons: the run itself, or what stands before or behind a `:`.
fn address_in(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let run = text[start..end].trim_end_matches('.');
    let mut candidates = [(start, run), (start, run.strip_suffix(':').unwrap_or(run)), (start, ""), (start, "")];
    if let Some((address, _)) = run.split_once(':') {
        candidates[2] = (start, address.trim_end_matches('.'));
    }
    if let Some((before, address)) = run.rsplit_once(':') {
        candidates[3] = (start + before.len() + 1, address);
    }
    candidates.into_iter().find_map(|(from, address)| {
        let to = from + address.len();
        let public = if address.contains(':') {
            address.len() <= 45 && address.parse().is_ok_and(is_public_v6)
        } else {
            address.len() <= 15 && address.parse().is_ok_and(is_public_v4) && !is_version(&text[..from])
        };
        (public && free_before(bytes, from) && free_after(bytes, to)).then_some((from, to))
    })
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.to_ipv4_mapped() {
        Some(address) => is_public_v4(address),
        // Global unicast is 2000::/3.
        None => address.segments()[0] & 0xe000 == 0x2000,
    }
}

/// Whether the text before a dotted quad says that it is a version.
fn is_version(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '=', ':']).as_bytes();
    ["version", "release", "build", " v"].iter().any(|word| {
        before.len() >= word.len() && before[before.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Scanner = fn(&str, &mut dyn FnMut(Match) -> bool) -> bool;

    fn found(scan: Scanner, text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        scan(text, &mut |(range, _)| {
            found.push(&text[range]);
            false
        });
        found
    }

    #[test]
    fn cards_of_every_brand_are_found() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "30569309025904",
            "3056 930902 5904",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
            "2200000000000004",
        ] {
            for text in [card.to_owned(), format!("card {card} was declined"), format!("({card}).")] {
                assert_eq!(found(scan_cards, &text), [card], "{text}");
            }
            for text in [format!("x{card}"), format!("{card}_1"), format!("1{card}"), format!("0.{card}")] {
                assert_eq!(found(scan_cards, &text), [""; 0], "{text}");
            }
        }
    }

    #[test]
    fn other_numbers_are_no_cards() {
        for text in ["4111111111111112", "1705312200000000", "411111111111111", "9111111111111111", "0000000000000000"]
        {
            assert_eq!(found(scan_cards, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn phones_are_found() {
        for phone in [
            "+14155552671",
            "+49301234567",
            "+1 415 555 2671",
            "+1 (415) 555-2671",
            "+44.20.7946.0958",
            "+33 1 23 45 67 89",
            "(415) 555-2671",
            "(415)555-2671",
            "415-555-2671",
            "1-415-555-2671",
        ] {
            for text in [phone.to_owned(), format!("call {phone}, please")] {
                assert_eq!(found(scan_phones, &text), [phone], "{text}");
            }
        }
    }

    #[test]
    fn other_numbers_are_no_phones() {
        for text in [
            "+1234567",
            "+1234567890123456",
            "1.0.0+20240115",
            "1e+10000000",
            "2024-01-15",
            "x415-555-2671",
            "415-555-26711",
            "415-555-2671-1",
            "550e8400-e29b-41d4-a716-446655440000",
            "12345678-123-123-1234",
            "10:30:00+05:30",
        ] {
            assert_eq!(found(scan_phones, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn public_addresses_are_found() {
        for (text, ip) in [
            ("connect to 8.8.8.8 failed", "8.8.8.8"),
            ("203.0.113.9:443: refused", "203.0.113.9"),
            ("from 203.0.113.9.", "203.0.113.9"),
            ("peer:203.0.113.9", "203.0.113.9"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8:0:1:1:1:1:1: refused", "2001:db8:0:1:1:1:1:1"),
        ] {
            assert_eq!(found(scan_ips, text), [ip], "{text}");
        }
    }

    #[test]
    fn local_addresses_and_versions_stay() {
        for text in [
            "127.0.0.1:8000",
            "10.0.0.7",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "version 1.2.3.4",
            "v8.8.8.8",
            "8.8.8.8.8",
            "256.1.1.1",
            "12:30:45",
            "std::io",
            "dead::beef",
        ] {
            assert_eq!(found(scan_ips, text), [""; 0], "{text}");
        }
    }
}
