//! What a text is apart from the digits that never repeat: `k-5f00c3a1` is `k-`, a mark for four bytes, and those.

/// In a form: so many bytes of digits follow, or, with a 0 behind it, itself.
const MARK: u8 = 0xff;
/// Shorter runs of digits are left as they are.
const MIN_DIGITS: usize = 4;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the form of `text` and its digits, two to a byte.
pub(super) fn split(text: &[u8], form: &mut Vec<u8>, digits: &mut Vec<u8>) {
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let run = rest.iter().take_while(|byte| digit(**byte).is_some()).count();
        if run == 0 {
            form.push(*first);
            if *first == MARK {
                form.push(0);
            }
            rest = behind;
            continue;
        }
        let (word, behind) = rest.split_at(run);
        rest = behind;
        // Words of a to f are none.
        let packed = if run >= MIN_DIGITS && word.iter().any(u8::is_ascii_digit) { run / 2 * 2 } else { 0 };
        for piece in word[..packed].chunks(2 * usize::from(u8::MAX)) {
            form.extend([MARK, (piece.len() / 2) as u8]);
            let nibble = |byte: u8| digit(byte).unwrap_or(0);
            digits.extend(piece.as_chunks::<2>().0.iter().map(|[high, low]| nibble(*high) << 4 | nibble(*low)));
        }
        form.extend_from_slice(&word[packed..]);
    }
}

/// Appends the text of which `form` is the form, whose digits are at the front of `digits`; `None` when they are not.
pub(super) fn join(form: &[u8], digits: &mut &[u8], text: &mut Vec<u8>, limit: usize) -> Option<()> {
    let mut rest = form;
    while let Some(at) = rest.iter().position(|byte| *byte == MARK) {
        text.extend_from_slice(&rest[..at]);
        let (&count, behind) = rest.get(at + 1..)?.split_first()?;
        rest = behind;
        if count == 0 {
            text.push(MARK);
            continue;
        }
        let (packed, left) = digits.split_at_checked(count.into())?;
        *digits = left;
        text.extend(packed.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
        if text.len() > limit {
            return None;
        }
    }
    text.extend_from_slice(rest);
    (text.len() <= limit).then_some(())
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut form, mut digits) = (Vec::new(), Vec::new());
        split(text, &mut form, &mut digits);
        (form, digits)
    }

    #[test]
    fn texts_come_back() {
        let texts = [
            &b""[..],
            b"k-5f00c3a1",
            b"agent-017",
            b"6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            b"12345",
            b"dead beef face",
            b"\xff\x00\xff1234\xff",
            &[b'7'; 2000],
        ];
        for text in texts {
            let (form, digits) = parts(text);
            let (mut rest, mut back) = (&digits[..], Vec::new());
            join(&form, &mut rest, &mut back, text.len()).unwrap();
            assert_eq!((&back[..], rest), (text, &b""[..]));
            assert!(text.is_empty() || join(&form, &mut &digits[..], &mut Vec::new(), text.len() - 1).is_none());
        }
    }

    #[test]
    fn random_digits_are_apart_and_words_are_not() {
        assert_eq!(parts(b"k-5f00c3a1"), (b"k-\xff\x04".to_vec(), vec![0x5f, 0x00, 0xc3, 0xa1]));
        assert_eq!(parts(b"12345"), (b"\xff\x025".to_vec(), vec![0x12, 0x34]));
        assert_eq!(parts(b"interface v1.4"), (b"interface v1.4".to_vec(), vec![]));
    }

    #[test]
    fn a_form_that_is_none_is_refused() {
        for (form, digits) in [(&b"\xff"[..], &b"123"[..]), (b"\xff\x04", b"123")] {
            assert!(join(form, &mut &digits[..], &mut Vec::new(), 1000).is_none());
        }
    }
}
