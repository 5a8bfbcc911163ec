use super::shapes::touches;

/// The longest key that is looked up; longer ones can only be known by how they end.
const LONGEST_KNOWN: usize = 16;

/// A key in lower case, on the stack.
struct Lower([u8; LONGEST_KNOWN], usize);

impl Lower {
    fn new(key: &str) -> Option<Self> {
        let mut bytes = [0; LONGEST_KNOWN];
        bytes.get_mut(..key.len())?.copy_from_slice(key.as_bytes());
        bytes.make_ascii_lowercase();
        Some(Self(bytes, key.len()))
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// Keys for which a step's metadata is refused.
pub(super) fn is_refused(key: &str) -> bool {
    Lower::new(key).is_some_and(|key| is_content(key.as_bytes()))
}

/// Keys for which a decision's or a signal's metadata is refused.
pub(super) fn is_refused_in_facts(key: &str) -> bool {
    Lower::new(key).is_some_and(|key| is_content(key.as_bytes()) || is_thought(key.as_bytes()))
}

fn is_content(key: &[u8]) -> bool {
    matches!(key, b"prompt" | b"response" | b"output" | b"input" | b"content" | b"text" | b"message")
}

fn is_thought(key: &[u8]) -> bool {
    matches!(key, b"reasoning" | b"thought" | b"chain_of_thought" | b"explanation" | b"rationale")
}

/// Keys whose text is removed: they name content, a person, or a credential.
pub(super) fn is_private(key: &str) -> bool {
    let named = Lower::new(key).is_some_and(|key| {
        let key = key.as_bytes();
        is_content(key)
            || is_thought(key)
            || matches!(
                key,
                b"query"
                    | b"question"
                    | b"answer"
                    | b"body"
                    | b"document"
                    | b"documents"
                    | b"page_content"
                    | b"messages"
                    | b"instructions"
                    | b"arguments"
                    | b"result"
                    | b"completion"
                    | b"transcript"
                    | b"email"
                    | b"phone"
                    | b"ssn"
                    | b"authorization"
                    | b"cookie"
                    | b"client_ip"
            )
            || matches!(
                key,
                b"password"
                    | b"passwd"
                    | b"api_key"
                    | b"apikey"
                    | b"api-key"
                    | b"x-api-key"
                    | b"token"
                    | b"secret"
                    | b"access_token"
                    | b"auth_token"
                    | b"bearer_token"
                    | b"id_token"
                    | b"refresh_token"
                    | b"session_token"
                    | b"private_key"
            )
    });
    // `tokens_prompt` and its like are counts.
    named
        || (has_private_end(key.as_bytes())
            && !key.as_bytes().get(..7).is_some_and(|b| b.eq_ignore_ascii_case(b"tokens_")))
}

fn has_private_end(key: &[u8]) -> bool {
    const ENDS: [&[u8]; 10] = [
        b"_prompt",
        b"_input",
        b"_output",
        b"_query",
        b"_answer",
        b"_completion",
        b"_password",
        b"_passwd",
        b"_api_key",
        b"_secret",
    ];
    // The last letters of all ends.
    if !matches!(key.last().map(u8::to_ascii_lowercase), Some(b't' | b'y' | b'r' | b'n' | b'd')) {
        return false;
    }
    ENDS.iter().any(|end| key.len() >= end.len() && key[key.len() - end.len()..].eq_ignore_ascii_case(end))
}

/// Whether the key has the form of a key: `[A-Za-z_][A-Za-z0-9_.:/-]{0,99}`.
pub(super) fn is_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    let in_key = |byte: &u8| touches(*byte) || matches!(byte, b'.' | b':' | b'/');
    (1..=100).contains(&bytes.len()) && (bytes[0].is_ascii_alphabetic() || bytes[0] == b'_') && bytes.iter().all(in_key)
}

/// The key as an error may print it: itself when it is a plain identifier, else `<key>`.
pub(super) fn printable(key: &str) -> String {
    let bytes = key.as_bytes();
    let plain = (1..=64).contains(&bytes.len())
        && !bytes[0].is_ascii_digit()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && super::shapes::find(key).is_none();
    if plain { key.to_owned() } else { "<key>".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_refused_by_its_whole_name() {
        for key in ["prompt", "Response", "OUTPUT", "input", "content", "text", "message"] {
            assert!(is_refused(key) && is_refused_in_facts(key) && is_private(key), "{key}");
        }
        for key in ["reasoning", "Thought", "chain_of_thought", "explanation", "rationale"] {
            assert!(!is_refused(key) && is_refused_in_facts(key) && is_private(key), "{key}");
        }
        for key in ["prompts", "prompt_version", "response_length", "context", "message_count", "textual"] {
            assert!(!is_refused(key) && !is_refused_in_facts(key) && !is_private(key), "{key}");
        }
    }

    #[test]
    fn names_of_facts_pass() {
        for key in [
            "user_id",
            "session_id",
            "endpoint",
            "response_length",
            "tokens_prompt",
            "prompt_version",
            "input_tokens",
            "output_tokens",
            "max_token",
            "next_page_token",
            "query_ms",
            "secret_manager",
            "",
        ] {
            assert!(!is_private(key), "{key}");
        }
    }

    #[test]
    fn names_of_content_and_credentials_do_not() {
        for key in [
            "system_prompt",
            "User_Input",
            "llm_output",
            "sql_query",
            "final_answer",
            "last_completion",
            "client_secret",
        ] {
            assert!(is_private(key), "{key}");
        }
    }

    #[test]
    fn a_key_has_a_form() {
        for key in ["a", "_x", "gen_ai.usage:in/out-2", &"k".repeat(100)] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "1st", "a b", "é", "a@b", "-a", &"k".repeat(101)] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn only_identifiers_are_printed() {
        assert_eq!(printable("model_name"), "model_name");
        for key in ["jo@example.com", "two words", "a.b", "1a", "", &"k".repeat(65)] {
            assert_eq!(printable(key), "<key>");
        }
    }
}
