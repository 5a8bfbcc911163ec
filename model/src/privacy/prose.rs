use super::shapes::Look;

/// The longest metadata string without white space, in code points.
const LONGEST_WORD: usize = 128;
/// The longest metadata string with white space, in code points.
const LONGEST_PHRASE: usize = 64;
/// How much white space a phrase may have.
const MOST_SPACES: usize = 3;
/// How many code points of scripts that are written without spaces a string may have.
const MOST_UNSPACED: usize = 16;
/// From this many on, `_`, `%20` and `+` are taken for the spaces of a sentence.
const MOST_STAND_INS: usize = 12;

/// Whether a metadata string reads like prose; `look` is the look at it.
pub(super) fn is_prose(text: &str, look: &Look) -> bool {
    let (mut spaces, mut length, mut unspaced) = (look.spaces as usize, text.len(), 0);
    if look.wide > 0 {
        length = 0;
        for c in text.chars() {
            length += 1;
            unspaced += usize::from(is_unspaced(c));
            spaces += usize::from(!c.is_ascii() && is_space(c));
        }
    }
    if look.stand_ins as usize > MOST_STAND_INS {
        let stand_ins = stand_ins(text.as_bytes());
        if stand_ins > MOST_STAND_INS {
            spaces += stand_ins;
        }
    }
    let kept = if spaces == 0 { length <= LONGEST_WORD } else { length <= LONGEST_PHRASE && spaces <= MOST_SPACES };
    !kept || unspaced > MOST_UNSPACED
}

fn stand_ins(bytes: &[u8]) -> usize {
    let stands_in = |(index, byte): (usize, &u8)| match byte {
        b'_' | b'+' => true,
        b'%' => bytes[index + 1..].starts_with(b"20"),
        _ => false,
    };
    bytes.iter().enumerate().filter(|entry| stands_in(*entry)).count()
}

/// White space, and the characters of no width that stand for it.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{180e}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// Whether the character belongs to a script in which whole sentences may stand without a space.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}' // Myanmar
        | '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}' // Hangul
        | '\u{1780}'..='\u{17ff}' | '\u{19e0}'..='\u{19ff}' // Khmer
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' // Han: radicals, marks, numerals
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' // Han
        | '\u{3040}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}') // Kana, Bopomofo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_contract() {
        for (text, prose) in [
            (String::new(), false),
            ("x".repeat(128), false),
            ("x".repeat(129), true),
            ("ä".repeat(128), false),
            (format!("a {}", "x".repeat(62)), false),
            (format!("a {}", "x".repeat(63)), true),
            ("one two three four".to_owned(), false),
            ("one two three four five".to_owned(), true),
            ("a\u{3000}b\u{a0}c\u{2003}d\u{200b}e".to_owned(), true),
            ("a_b_c_d_e_f_g_h_i_j_k_l_m".to_owned(), false),
            ("a_b_c_d_e_f_g_h_i_j_k_l_m_n".to_owned(), true),
            ("a%20".repeat(12), false),
            ("a%20".repeat(13), true),
            ("a+b_c%20".repeat(5), true),
            ("漢".repeat(16), false),
            ("漢".repeat(17), true),
            ("ก".repeat(17), true),
            ("한국".repeat(9), true),
            ("かカ".repeat(8) + "漢", true),
            ("Ж".repeat(40), false),
        ] {
            assert_eq!(is_prose(&text, &Look::at(&text)), prose, "{text}");
        }
    }
}
