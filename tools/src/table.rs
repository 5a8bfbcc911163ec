//! A table: columns as wide as they need, numbers to the right; on a terminal no wider than it, by columns that shrink and
//! columns that are left out.

use std::io::{self, IsTerminal, Write};

use console::{Term, measure_text_width};

use crate::human::{clean, shortened};
use crate::paint::{self, Ink, paint};

/// What a table is shown on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// How many columns a terminal has; anything else has no end.
    pub(crate) width: Option<usize>,
    pub(crate) colours: bool,
}

/// The narrowest terminal that is drawn for.
const LEAST_WIDTH: usize = 40;
/// How wide something is drawn that fills a terminal, where there is none.
const USUAL_WIDTH: usize = 120;

impl Page {
    /// That of stdout.
    pub(crate) fn of_stdout() -> Self {
        let size = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns).max(LEAST_WIDTH));
        let width = if io::stdout().is_terminal() { size() } else { None };
        Self { width, colours: paint::on_stdout() }
    }

    /// How wide something is that fills the page.
    pub(crate) fn full(self) -> usize {
        self.width.unwrap_or(USUAL_WIDTH)
    }

    pub(crate) fn paint(self, text: &str, ink: Ink) -> String {
        paint(text, ink, self.colours)
    }
}

/// Between two columns.
const GAP: usize = 2;

/// What a column does where there is no room for it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    head: &'static str,
    /// Numbers are, in a table; `None` finds out.
    right: Option<bool>,
    /// It shrinks down to twice so many characters before a column is left out, and to so many after that; 0 is never.
    least: usize,
    /// Columns of the highest rank are left out first; 0 is never.
    rank: u8,
}

impl Column {
    /// A column that stays as it is.
    pub(crate) const fn new(head: &'static str) -> Self {
        Self { head, right: None, least: 0, rank: 0 }
    }

    /// It may shrink to so many characters; below twice as many, other columns are left out first.
    pub(crate) const fn shrinks_to(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// It may be left out, before those of lower ranks.
    pub(crate) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    pub(crate) const fn right(self) -> Self {
        Self { right: Some(true), ..self }
    }

    pub(crate) const fn left(self) -> Self {
        Self { right: Some(false), ..self }
    }
}

/// A piece of a row: text without anything that a terminal takes as an order, whoever named what stands in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    ink: Option<Ink>,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: clean(&text.into()), ink: None }
    }

    pub(crate) fn ink(self, ink: impl Into<Option<Ink>>) -> Self {
        Self { ink: ink.into(), ..self }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// Rows under heads.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table whose columns stay as they are.
    pub(crate) fn new<const N: usize>(head: [&'static str; N]) -> Self {
        Self::of(head.map(Column::new).to_vec())
    }

    pub(crate) const fn of(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new(), indent: 0 }
    }

    /// Moves it to the right.
    pub(crate) fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.map(Cell::from));
    }

    pub(crate) fn cells(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes the table to stdout.
    pub(crate) fn print(&self) -> io::Result<()> {
        io::stdout().lock().write_all(self.render(Page::of_stdout()).as_bytes())
    }

    /// The table as lines.
    pub(crate) fn render(&self, page: Page) -> String {
        let has_head = self.columns.iter().any(|column| !column.head.is_empty());
        let of = |at: usize| self.rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.text.as_str());
        let natural = |at: usize| of(at).chain([self.columns[at].head]).map(measure_text_width).max().unwrap_or(0);
        let natural: Vec<_> = (0..self.columns.len()).map(natural).collect();
        let right = (0..self.columns.len()).map(|at| self.columns[at].right.unwrap_or_else(|| of(at).all(is_number)));
        let layout = Layout::fit(&self.columns, &natural, right.collect(), page.width.map(|width| width - self.indent));
        let mut text = String::new();
        let indent = " ".repeat(self.indent);
        if has_head {
            let heads: Vec<_> = self.columns.iter().map(|column| Cell::new(column.head)).collect();
            text.push_str(&format!("{indent}{}\n", page.paint(&layout.line(&heads, false), Ink::Dim)));
        }
        for row in &self.rows {
            text.push_str(&format!("{indent}{}\n", layout.line(row, page.colours)));
        }
        text
    }
}

/// `12`, `0..12` and `1.5 MiB` are numbers; names of files and times begin with digits and are none.
fn is_number(cell: &str) -> bool {
    let first = cell.split(' ').next().unwrap_or_default();
    cell == "-" || (!first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')))
}

/// Which columns are shown, how wide, and on which side their text stands.
pub(crate) struct Layout {
    shown: Vec<(usize, usize)>,
    right: Vec<bool>,
}

impl Layout {
    /// For rows that come one by one: columns whose usual widths are known before.
    pub(crate) fn of(columns: &[(Column, usize)], width: Option<usize>) -> Self {
        let right = columns.iter().map(|(column, _)| column.right == Some(true)).collect();
        let natural: Vec<_> = columns.iter().map(|(_, natural)| *natural).collect();
        let columns: Vec<_> = columns.iter().map(|(column, _)| column.clone()).collect();
        Self::fit(&columns, &natural, right, width)
    }

    fn fit(columns: &[Column], natural: &[usize], right: Vec<bool>, width: Option<usize>) -> Self {
        let mut shown: Vec<usize> = (0..columns.len()).collect();
        let Some(width) = width else {
            return Self { shown: shown.into_iter().map(|at| (at, natural[at])).collect(), right };
        };
        let least = |at: usize| if columns[at].least == 0 { natural[at] } else { columns[at].least.min(natural[at]) };
        let total = |shown: &[usize], width_of: &dyn Fn(usize) -> usize| {
            shown.iter().map(|&at| width_of(at)).sum::<usize>() + GAP * shown.len().saturating_sub(1)
        };
        let readable =
            |at: usize| if columns[at].least == 0 { natural[at] } else { natural[at].min(2 * columns[at].least) };
        while total(&shown, &readable) > width {
            let Some(last) =
                shown.iter().copied().filter(|&at| columns[at].rank > 0).max_by_key(|&at| columns[at].rank)
            else {
                break;
            };
            shown.retain(|&at| at != last);
        }
        let mut widths = natural.to_vec();
        // The widest gives first, so that what is short stays whole.
        while total(&shown, &|at| widths[at]) > width {
            let Some(widest) = shown.iter().copied().filter(|&at| widths[at] > least(at)).max_by_key(|&at| widths[at])
            else {
                break;
            };
            widths[widest] -= 1;
        }
        Self { shown: shown.into_iter().map(|at| (at, widths[at])).collect(), right }
    }

    /// One row.
    pub(crate) fn line(&self, row: &[Cell], colours: bool) -> String {
        let mut line = String::new();
        let mut waiting = 0;
        for &(at, width) in &self.shown {
            let empty = Cell::default();
            let cell = row.get(at).unwrap_or(&empty);
            let text = shortened(&cell.text, width);
            let blank = width.saturating_sub(measure_text_width(&text));
            let (before, after) = if self.right[at] { (blank, 0) } else { (0, blank) };
            waiting += before;
            if !text.is_empty() {
                line.push_str(&" ".repeat(waiting));
                waiting = 0;
                line.push_str(&cell.ink.map_or_else(|| text.clone(), |ink| paint(&text, ink, colours)));
            }
            waiting += after + GAP;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Page = Page { width: None, colours: false };

    #[test]
    fn a_table_lines_up() {
        let mut table = Table::new(["segment", "runs"]);
        table.row(["a".into(), "5".into()]);
        table.row(["bcdefghi".into(), "12345".into()]);
        assert_eq!(table.render(PIPE), "segment    runs\na             5\nbcdefghi  12345\n");
        let mut table = Table::new(["file", "positions", "bytes"]);
        table.row(["0001.seg".into(), "0..7".into(), "64.0 MiB".into()]);
        assert_eq!(table.render(PIPE), "file      positions     bytes\n0001.seg       0..7  64.0 MiB\n");
    }

    #[test]
    fn a_table_is_no_wider_than_its_page() {
        let mut table = Table::of(vec![
            Column::new("agent").shrinks_to(6),
            Column::new("environment").rank(2),
            Column::new("steps").rank(1),
            Column::new("run"),
        ]);
        table.row(["support-triage".into(), "production".into(), "12".into(), "0199".into()]);
        table.row(["計画計画計画計画".into(), String::new(), "1,204".into(), "0200".into()]);
        let at = |width| table.render(Page { width: Some(width), colours: false });
        assert_eq!(
            at(80),
            "agent             environment  steps   run\n\
             support-triage    production      12  0199\n\
             計画計画計画計画               1,204  0200\n"
        );
        assert_eq!(at(26), "agent          steps   run\nsupport-tria…     12  0199\n計画計画計画…  1,204  0200\n");
        assert_eq!(at(24), "agent              run\nsupport-triage    0199\n計画計画計画計画  0200\n");
        assert_eq!(at(14), "agent      run\nsupport…  0199\n計画計…   0200\n");
        for width in 14..60 {
            assert!(at(width).lines().all(|line| measure_text_width(line) <= width), "{width}:\n{}", at(width));
        }
    }

    #[test]
    fn a_name_cannot_draw() {
        let mut table = Table::of(vec![Column::new("a"), Column::new("b").left()]);
        table.cells([Cell::new("x\u{1b}[2J\u{7}").ink(Ink::Red), Cell::new("\u{202e}1\r\n")]);
        assert_eq!(table.render(PIPE), "a     b\nx[2J  1\n");
    }

    #[test]
    fn colours_take_no_room() {
        let mut table = Table::of(vec![Column::new("a"), Column::new("b").left()]);
        table.cells([Cell::new("x").ink(Ink::Red), Cell::new("1")]);
        assert_eq!(
            table.render(Page { width: None, colours: true }),
            "\u{1b}[2ma  b\u{1b}[0m\n\u{1b}[31mx\u{1b}[0m  1\n"
        );
    }
}
