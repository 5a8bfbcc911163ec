//! What commands print: tables for people, JSON for programs, errors to stderr.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;

use crate::client::ClientError;

/// Writes one JSON value and a line end to stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Writes one JSON value, as a server gave it, and a line end to stdout.
pub(crate) fn raw_json(body: &[u8]) -> anyhow::Result<()> {
    serde_json::from_slice::<serde::de::IgnoredAny>(body)
        .map_err(|_| ClientError::Unavailable("the answer is no JSON: something else answers there".to_owned()))?;
    let mut out = io::stdout().lock();
    out.write_all(body.trim_ascii_end())?;
    Ok(out.write_all(b"\n")?)
}

/// Writes JSON arrays, as a server gave them, as one array with a line end.
pub(crate) fn json_arrays(bodies: &[bytes::Bytes]) -> anyhow::Result<()> {
    let mut joined = vec![b'['];
    for body in bodies {
        let items = body.trim_ascii().strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]"));
        let items = items.context("the answer is no list")?.trim_ascii();
        if !items.is_empty() && joined.len() > 1 {
            joined.push(b',');
        }
        joined.extend_from_slice(items);
    }
    joined.push(b']');
    raw_json(&joined)
}

/// Writes one line to stdout.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes lines to stdout, as they are.
pub(crate) fn text(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &anyhow::Error) {
    let mark = if crate::paint::on_stderr() { "\u{1b}[31;1merror:\u{1b}[0m" } else { "error:" };
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Transparent errors and contexts that quote their cause would otherwise say it twice.
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "{mark} {text}");
}

/// Writes a line to stderr, beside what a script reads from stdout.
pub(crate) fn note(text: &str) {
    // As above.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a warning to stderr.
pub(crate) fn warning(text: &str) {
    // As above.
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// Whether a command ended because nobody reads its output any more (`agenttracer replay | head`).
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

/// How many of something, for people: `1 segment`, `2 segments`.
pub(crate) fn count(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A number of bytes for people: `64.0 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| count(n, "batch", "batches")), ["0 batches", "1 batch", "2 batches"]);
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
