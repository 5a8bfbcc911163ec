use std::collections::HashMap;
use std::sync::Arc;

/// Texts with a number each, so that cells need not hold them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Texts {
    /// The number of a text, which is a new one when the text is.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.known(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// The number of a text that has one.
    pub(crate) fn known(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// All texts in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.texts.iter()
    }

    /// The text with this number.
    ///
    /// # Panics
    /// When [`number`](Self::number) never gave the number.
    pub(crate) fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}
