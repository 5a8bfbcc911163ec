use super::shapes::touches;

/// The longest key that is looked up; longer ones can only be known by how they end.
const LONGEST_KNOWN: usize = 16;

/// A short key in lower case, packed into a number: comparing two is one instruction, and no key is copied.
const fn pack(key: &[u8]) -> u128 {
    let (mut packed, mut index) = (0, 0);
    while index < key.len() {
        packed = packed << 8 | key[index].to_ascii_lowercase() as u128;
        index += 1;
    }
    packed
}

const fn pack_all<const N: usize>(keys: [&str; N]) -> [u128; N] {
    let (mut packed, mut index) = ([0; N], 0);
    while index < N {
        assert!(keys[index].len() <= LONGEST_KNOWN);
        packed[index] = pack(keys[index].as_bytes());
        index += 1;
    }
    packed
}

/// Keys that name content: refused in the metadata of a step, a decision and a signal.
pub const CONTENT_KEYS: [&str; 7] = ["prompt", "response", "output", "input", "content", "text", "message"];

/// Keys that name reasoning: refused in the metadata of a decision and a signal.
pub const THOUGHT_KEYS: [&str; 5] = ["reasoning", "thought", "chain_of_thought", "explanation", "rationale"];

/// Further keys whose text is removed.
pub const PRIVATE_KEYS: [&str; 34] = [
    "query",
    "question",
    "answer",
    "body",
    "document",
    "documents",
    "page_content",
    "messages",
    "instructions",
    "arguments",
    "result",
    "completion",
    "transcript",
    "email",
    "phone",
    "ssn",
    "authorization",
    "cookie",
    "client_ip",
    // Credentials: the words that a message may not mention, and their like.
    "password",
    "passwd",
    "api_key",
    "apikey",
    "api-key",
    "x-api-key",
    "token",
    "secret",
    "access_token",
    "auth_token",
    "bearer_token",
    "id_token",
    "refresh_token",
    "session_token",
    "private_key",
];

/// What a key ends with whose text is removed.
pub const PRIVATE_KEY_ENDS: [&str; 10] =
    ["_prompt", "_input", "_output", "_query", "_answer", "_completion", "_password", "_passwd", "_api_key", "_secret"];

static CONTENT: [u128; 7] = pack_all(CONTENT_KEYS);
static THOUGHT: [u128; 5] = pack_all(THOUGHT_KEYS);
static PRIVATE: [u128; 34] = pack_all(PRIVATE_KEYS);

/// Whether a list has the key, without regard to case.
fn is_one_of(key: &str, lists: &[&[u128]]) -> bool {
    if key.len() > LONGEST_KNOWN {
        return false;
    }
    let key = pack(key.as_bytes());
    // All of a list is compared, without a branch for each.
    lists.iter().any(|list| list.iter().fold(false, |found, known| found | (*known == key)))
}

/// Keys for which a step's metadata is refused.
pub(super) fn is_refused(key: &str) -> bool {
    is_one_of(key, &[&CONTENT])
}

/// Keys for which a decision's or a signal's metadata is refused.
pub(super) fn is_refused_in_facts(key: &str) -> bool {
    is_one_of(key, &[&CONTENT, &THOUGHT])
}

/// Keys whose text is removed: they name content, a person, or a credential.
pub(super) fn is_private(key: &str) -> bool {
    // `tokens_prompt` and its like are counts.
    is_one_of(key, &[&CONTENT, &THOUGHT, &PRIVATE])
        || (has_private_end(key.as_bytes())
            && !key.as_bytes().get(..7).is_some_and(|b| b.eq_ignore_ascii_case(b"tokens_")))
}

fn has_private_end(key: &[u8]) -> bool {
    // The last letters of all ends.
    if !matches!(key.last().map(u8::to_ascii_lowercase), Some(b't' | b'y' | b'r' | b'n' | b'd')) {
        return false;
    }
    // All ends have a `_`, and no further than eleven bytes from the last.
    if !key[key.len().saturating_sub(11)..].contains(&b'_') {
        return false;
    }
    PRIVATE_KEY_ENDS
        .iter()
        .any(|end| key.len() >= end.len() && key[key.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes()))
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
