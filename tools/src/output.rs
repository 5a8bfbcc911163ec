//! What commands print: tables for people, JSON for programs, errors to stderr.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Writes one JSON value and a line end to stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Writes one line to stdout.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes lines to stdout, as they are.
pub(crate) fn text(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// Whether stdout is a terminal whose owner likes colours.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &anyhow::Error) {
    let mark = if crate::logging::colours() { "\u{1b}[31;1merror:\u{1b}[0m" } else { "error:" };
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

/// A table: columns as wide as they need, numbers to the right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(String::from).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Writes the table to stdout.
    pub(crate) fn print(&self) -> io::Result<()> {
        io::stdout().lock().write_all(self.render().as_bytes())
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<_> =
            (0..columns).map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
        // `12`, `0..12` and `1.5 MiB` are numbers; names of files and times begin with digits and are none.
        let is_number = |cell: &String| {
            let first = cell.split(' ').next().unwrap_or_default();
            cell == "-" || (!first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        };
        let right: Vec<_> = (0..columns).map(|column| cells(column).skip(1).all(is_number)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                let (before, after) = if right[column] { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
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
    fn a_table_lines_up() {
        let mut table = Table::new(["segment", "runs"]);
        table.row(["a".into(), "5".into()]);
        table.row(["bcdefghi".into(), "12345".into()]);
        assert_eq!(table.render(), "segment    runs\na             5\nbcdefghi  12345\n");
        let mut table = Table::new(["file", "positions", "bytes"]);
        table.row(["0001.seg".into(), "0..7".into(), "64.0 MiB".into()]);
        assert_eq!(table.render(), "file      positions     bytes\n0001.seg       0..7  64.0 MiB\n");
    }

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
