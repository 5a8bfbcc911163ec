//! Colours and weights, where somebody sees them.

use clap::ValueEnum;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

/// When colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into a pipe
    Always,
    Never,
}

static WHEN: OnceLock<When> = OnceLock::new();

/// Says when colours are written, once for the process.
pub(crate) fn set(when: When) {
    // Set once, by `main`.
    let _ = WHEN.set(when);
}

/// Whether what is written to stdout is coloured.
pub(crate) fn on_stdout() -> bool {
    is_wanted(&io::stdout())
}

/// Whether what is written to stderr is coloured.
pub(crate) fn on_stderr() -> bool {
    is_wanted(&io::stderr())
}

fn is_wanted(stream: &impl IsTerminal) -> bool {
    match WHEN.get() {
        Some(When::Always) => true,
        Some(When::Never) => false,
        // https://no-color.org: set, to whatever but nothing.
        Some(When::Auto) | None => {
            stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// How a piece of text looks. Colours say nothing that the text does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

/// The text, in `ink` where there are colours.
pub(crate) fn paint(text: &str, ink: Ink, colours: bool) -> String {
    if colours && !text.is_empty() { format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code()) } else { text.to_owned() }
}
