use super::Rule;
use super::shapes::{Match, free_after};

/// The longest local part and the longest domain that are looked at, in bytes.
const LONGEST_PART: usize = 255;

/// E-mail addresses: a local part, `@` (or `%40`), labels, and an alphabetic top-level domain of two letters or more.
///
/// Letters of any script count. A "domain" that begins like a version number (`lib@1.2.3-beta.rc`) is none.
pub(super) fn scan(text: &str, report: &mut dyn FnMut(Match) -> bool) -> bool {
    let bytes = text.as_bytes();
    for at in 0..bytes.len() {
        let domain = match bytes[at] {
            b'@' => at + 1,
            b'%' if bytes[at + 1..].starts_with(b"40") => at + 3,
            _ => continue,
        };
        let Some(end) = domain_end(text, domain) else { continue };
        let Some(start) = local_start(text, at) else { continue };
        if free_after(bytes, end) && report((start..end, Rule::Email)) {
            return true;
        }
    }
    false
}

fn local_start(text: &str, at: usize) -> Option<usize> {
    let mut start = at;
    let mut has_name = false;
    for (offset, c) in text[..at].char_indices().rev() {
        let name = c.is_alphanumeric();
        if !(name || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'')) || at - offset > LONGEST_PART {
            break;
        }
        has_name |= name;
        start = offset;
    }
    has_name.then_some(start)
}

/// The end of the longest run of labels whose last one is alphabetic.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let (mut end, mut labels, mut label_start) = (None, 0, start);
    let (mut alphabetic, mut letters, mut numeric_first) = (true, 0, false);
    let rest = text[start..].char_indices().map(|(offset, c)| (start + offset, c)).chain([(text.len(), ' ')]);
    for (offset, c) in rest {
        if c.is_alphanumeric() || c == '-' {
            alphabetic &= c.is_alphabetic();
            letters += 1;
            if offset - start <= LONGEST_PART {
                continue;
            }
        }
        // A label ends here.
        if offset == label_start {
            break;
        }
        let begins_with_digit = text.as_bytes()[label_start].is_ascii_digit();
        match labels {
            0 => numeric_first = text[label_start..offset].trim_start_matches('v').bytes().all(|b| b.is_ascii_digit()),
            1 if numeric_first && begins_with_digit => return None,
            _ => {}
        }
        labels += 1;
        if labels >= 2 && alphabetic && letters >= 2 {
            end = Some(offset);
        }
        if c != '.' {
            break;
        }
        (label_start, alphabetic, letters) = (offset + 1, true, 0);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        scan(text, &mut |(range, _)| {
            found.push(&text[range]);
            false
        });
        found
    }

    #[test]
    fn addresses_are_found() {
        for (text, address) in [
            ("jo@example.com", "jo@example.com"),
            ("<jo.doe+tag@mail.example.co.uk>.", "jo.doe+tag@mail.example.co.uk"),
            ("mailto:o'neil@example.org?x", "o'neil@example.org"),
            ("jörg@müller.de!", "jörg@müller.de"),
            ("用户@例子.公司", "用户@例子.公司"),
            ("x@163.com", "x@163.com"),
            ("/users/jo%40example.com/mail", "jo%40example.com"),
            ("jo@example.com.", "jo@example.com"),
            ("jo@example.com.2", "jo@example.com"),
        ] {
            assert_eq!(found(text), [address], "{text}");
        }
    }

    #[test]
    fn other_uses_of_the_sign_are_not() {
        for text in [
            "@app.route",
            "jo@localhost",
            "lib@1.2.3",
            "lib@1.2.3-beta.rc",
            "lib@v1.2.alpha",
            "gecko@latest",
            "bison@001",
            "a@b.c",
            "__@example.com",
            "jo@example.com_x",
            "jo@.com",
            "img@sha256:0123",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
