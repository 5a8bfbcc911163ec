//! The columns of a row group while it is gathered.

use bytes::Bytes;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;

use super::tables::{Cell, Column, Kind};

/// A test of the tables says that this does not happen.
const MISFIT: &str = "the cells and the schema are those of the table";

/// The values of one column.
pub(crate) struct ColumnBuffer {
    values: Values,
    /// For each row 1, or 0 where it is null; `None` when no row can be.
    levels: Option<Vec<i16>>,
}

enum Values {
    /// All texts, one behind the other, and where each ends.
    Text(Vec<u8>, Vec<usize>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
}

impl ColumnBuffer {
    pub(crate) fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Id { .. } | Kind::Text | Kind::LongText | Kind::Json => Values::Text(Vec::new(), Vec::new()),
            Kind::Int | Kind::Time => Values::Int(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Bool => Values::Bool(Vec::new()),
        };
        Self { values, levels: column.nullable.then(Vec::new) }
    }

    /// Adds a value; returns how many bytes the buffer grew by.
    pub(crate) fn push(&mut self, cell: &Cell<'_>) -> anyhow::Result<usize> {
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(!matches!(cell, Cell::Null)));
        }
        match (&mut self.values, cell) {
            (_, Cell::Null) => return Ok(2),
            (Values::Text(bytes, ends), cell) => {
                let before = bytes.len();
                match cell {
                    Cell::Id(id) => {
                        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                        bytes.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
                    }
                    Cell::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                    Cell::Json(metadata) => serde_json::to_writer(&mut *bytes, metadata)?,
                    _ => unreachable!("{MISFIT}"),
                }
                ends.push(bytes.len());
                return Ok(bytes.len() - before + size_of::<usize>());
            }
            (Values::Int(values), Cell::Int(value)) => values.push(*value),
            (Values::Int(values), Cell::Time(time)) => values.push(time.as_micros()),
            (Values::Float(values), Cell::Float(value)) => values.push(*value),
            (Values::Bool(values), Cell::Bool(value)) => values.push(*value),
            _ => unreachable!("{MISFIT}"),
        }
        Ok(size_of::<i64>())
    }

    /// Writes all values as the next column chunk, and forgets them.
    pub(crate) fn write(&mut self, writer: &mut ColumnWriter<'_>) -> anyhow::Result<()> {
        let levels = self.levels.as_deref();
        match (&mut self.values, writer) {
            (Values::Text(bytes, ends), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let all = Bytes::from(std::mem::take(bytes));
                let mut begin = 0;
                let slice = |end: usize| {
                    let value = ByteArray::from(all.slice(begin..end));
                    begin = end;
                    value
                };
                let values: Vec<_> = ends.drain(..).map(slice).collect();
                writer.write_batch(&values, levels, None)?;
            }
            (Values::Int(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (Values::Float(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (Values::Bool(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            _ => unreachable!("{MISFIT}"),
        }
        if let Some(levels) = &mut self.levels {
            levels.clear();
        }
        Ok(())
    }
}
