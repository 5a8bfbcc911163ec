/// Tab, CR and LF become a space; other control characters (C0, DEL, C1) are removed. Costs one look over the bytes
/// when there is nothing to do.
pub fn normalise_text(text: String) -> String {
    // C1 controls are 0xC2 0x80..=0x9F in UTF-8.
    let suspect = |byte: &u8| *byte < 0x20 || *byte == 0x7f || *byte == 0xc2;
    // No early exit: a loop without one runs over many bytes at once.
    let plain = text.as_bytes().iter().fold(true, |plain, byte| plain & !suspect(byte));
    if plain || !text.chars().any(char::is_control) {
        return text;
    }
    text.chars()
        .filter_map(|c| match c {
            '\t' | '\r' | '\n' => Some(' '),
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}

/// Shortens `text` to at most `limit` code points; whether it was longer.
pub(super) fn cut(text: &mut String, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    match text.char_indices().nth(limit) {
        Some((offset, _)) => {
            text.truncate(offset);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_spaces_and_controls_vanish() {
        assert_eq!(normalise_text("a\tb\r\nc".to_owned()), "a b  c");
        assert_eq!(normalise_text("a\0b\u{1b}[0mc\u{7f}\u{85}\u{9f}d".to_owned()), "ab[0mcd");
        assert_eq!(normalise_text("£ é 日本 \u{a0}x".to_owned()), "£ é 日本 \u{a0}x");
    }

    #[test]
    fn cuts_by_code_points() {
        let mut text = "äöü".to_owned();
        assert!(!cut(&mut text, 3));
        assert!(cut(&mut text, 2));
        assert_eq!(text, "äö");
    }
}
