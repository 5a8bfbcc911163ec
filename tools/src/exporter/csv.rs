//! CSV as in RFC 4180: a head of names, lines that end with CR LF, quotes where they must be. Null is an empty field,
//! which no other value is: an empty text is `""`.

use std::io::Write;

use super::files::{Finished, OutDir, OutFile};
use super::tables::{Cell, Table, TableWriter};

pub(crate) struct CsvTable {
    file: OutFile,
    line: Vec<u8>,
    rows: u64,
}

impl CsvTable {
    pub(crate) fn new(table: &Table, dir: &OutDir) -> anyhow::Result<Self> {
        let mut file = dir.file(&format!("{}.csv", table.name))?;
        let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        write!(file, "{}\r\n", names.join(","))?;
        Ok(Self { file, line: Vec::new(), rows: 0 })
    }
}

impl TableWriter for CsvTable {
    fn add(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        self.line.clear();
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.line.push(b',');
            }
            write_cell(&mut self.line, cell)?;
        }
        self.line.extend_from_slice(b"\r\n");
        self.file.write_all(&self.line)?;
        self.rows += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Finished> {
        self.file.finish(self.rows)
    }
}

fn write_cell(line: &mut Vec<u8>, cell: &Cell<'_>) -> anyhow::Result<()> {
    match cell {
        Cell::Null => {}
        Cell::Id(id) => write!(line, "{id}")?,
        Cell::Text(text) => write_text(line, text),
        Cell::Int(number) => write!(line, "{number}")?,
        Cell::Float(number) => write!(line, "{number}")?,
        Cell::Bool(value) => write!(line, "{value}")?,
        Cell::Time(time) => write!(line, "{time}")?,
        Cell::Json(metadata) => write_text(line, &serde_json::to_string(metadata)?),
    }
    Ok(())
}

fn write_text(line: &mut Vec<u8>, text: &str) {
    if !text.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use agenttracer_model::Timestamp;

    use super::*;

    #[test]
    fn what_could_be_misread_is_quoted() {
        let mut line = Vec::new();
        for cell in [
            Cell::Text("plain text"),
            Cell::Text("a,b"),
            Cell::Text("say \"no\""),
            Cell::Text(""),
            Cell::Null,
            Cell::Float(0.25),
            Cell::Bool(true),
            Cell::Time(Timestamp::MIN_SENT),
        ] {
            write_cell(&mut line, &cell).unwrap();
            line.push(b';');
        }
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, r#"plain text;"a,b";"say ""no""";"";;0.25;true;2000-01-01T00:00:00Z;"#);
    }
}
