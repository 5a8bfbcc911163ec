use std::borrow::Cow;

/// The parameters of a request's query string, decoded, in the order they came.
///
/// Decoding never fails: a broken escape stays as it is written, and bytes that are no UTF-8 become U+FFFD.
#[derive(Debug, Default)]
pub(crate) struct QueryString<'a> {
    raw: &'a str,
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> QueryString<'a> {
    /// Decodes `raw`, the part of a URI behind the `?`.
    pub(crate) fn new(raw: &'a str) -> Self {
        let pairs = raw
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (decode(name), decode(value))
            })
            .collect();
        Self { raw, pairs }
    }

    /// All values of `name` that are not empty.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// The last value of `name` that is not empty.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// The names that begin with `prefix` and have a value that is not empty, each once, ascending; without the prefix.
    pub(crate) fn names_under(&self, prefix: &str) -> Vec<&str> {
        let with_value = self.pairs.iter().filter(|(_, value)| !value.is_empty());
        let mut names: Vec<_> = with_value.filter_map(|(name, _)| name.strip_prefix(prefix)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The same parameters as they were written, with `name` set to `value`, which needs no escape. What could end a
    /// link in a header is escaped.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let mut query = String::with_capacity(self.raw.len() + name.len() + value.len() + 2);
        for part in self.raw.split('&') {
            let key = part.split_once('=').map_or(part, |(key, _)| key);
            if part.is_empty() || decode(key) == name {
                continue;
            }
            for byte in part.bytes() {
                if byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b',' | b';') {
                    query.push(char::from(byte));
                } else {
                    query.push_str(&format!("%{byte:02X}"));
                }
            }
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        query.push_str(value);
        query
    }
}

/// Decodes `+` and percent escapes.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1).copied().and_then(hex_digit).zip(bytes.get(at + 2).copied().and_then(hex_digit)))
            .flatten();
        match (bytes[at], escaped) {
            (_, Some((high, low))) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            (b'+', None) => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, None) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(decoded) => decoded,
        Err(broken) => String::from_utf8_lossy(broken.as_bytes()).into_owned(),
    })
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_keeps_the_order() {
        let query = QueryString::new("agent_id=a%20b&agent_id=c+d&agent_id=&x&status=%zz%4&q=%FF");
        assert_eq!(query.all("agent_id").collect::<Vec<_>>(), ["a b", "c d"]);
        assert_eq!(query.last("agent_id"), Some("c d"));
        assert_eq!(query.last("x"), None);
        assert_eq!(query.last("status"), Some("%zz%4"));
        assert_eq!(query.last("q"), Some("\u{FFFD}"));
        assert_eq!(QueryString::new("").last("q"), None);
        let facts = QueryString::new("meta.b=1&meta.a=&meta.b=2&meta.%C3%A9=3&meta=4&metal=5");
        assert_eq!(facts.names_under("meta."), ["b", "é"]);
    }

    #[test]
    fn a_link_keeps_the_other_parameters_as_they_were_written() {
        let query = QueryString::new("agent_id=a%20b&cursor=old&c%75rsor=older&page_size=2&&x=<é>");
        assert_eq!(query.with("cursor", "new"), "agent_id=a%20b&page_size=2&x=%3C%C3%A9%3E&cursor=new");
        assert_eq!(QueryString::new("").with("cursor", "new"), "cursor=new");
    }
}
