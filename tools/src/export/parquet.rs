//! Parquet: a file a table, zstd, types as every reader knows them.
//!
//! | column | type |
//! |---|---|
//! | ids, names, codes | string; those whose values repeat with a dictionary |
//! | times | timestamp, microseconds, UTC |
//! | numbers | int64, double, boolean |
//! | metadata | string that holds a JSON object: DuckDB reads it with `->>`, pandas with `json.loads` |

use std::sync::Arc;

use anyhow::Context;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::columns::ColumnBuffer;
use super::files::{Finished, OutDir, OutFile};
use super::tables::{Cell, Column, Kind, Table, TableWriter};

/// A row group ends with this many rows, or bytes before compression: it is gathered in memory.
const GROUP_ROWS: usize = 128 * 1024;
const GROUP_BYTES: usize = 12 << 20;

pub(crate) struct ParquetTable {
    name: &'static str,
    writer: SerializedFileWriter<OutFile>,
    columns: Vec<ColumnBuffer>,
    /// Of the group that is gathered.
    group_rows: usize,
    group_bytes: usize,
    rows: u64,
}

impl ParquetTable {
    pub(crate) fn new(table: &Table, dir: &OutDir) -> anyhow::Result<Self> {
        let schema = parse_message_type(&schema(table)).context("the schema of a table")?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(concat!("agenttracer ", env!("CARGO_PKG_VERSION")).to_owned());
        for column in table.columns {
            let repeats = !matches!(column.kind, Kind::Id { unique: true } | Kind::LongText | Kind::Json);
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.name), repeats);
        }
        let file = dir.file(&format!("{}.parquet", table.name))?;
        Ok(Self {
            name: table.name,
            writer: SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))?,
            columns: table.columns.iter().map(ColumnBuffer::new).collect(),
            group_rows: 0,
            group_bytes: 0,
            rows: 0,
        })
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group.next_column()?.context("a column of the schema")?;
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        (self.group_rows, self.group_bytes) = (0, 0);
        Ok(())
    }
}

impl TableWriter for ParquetTable {
    fn add(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.group_bytes += column.push(cell)?;
        }
        self.group_rows += 1;
        self.rows += 1;
        if self.group_rows >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES {
            self.write_group().with_context(|| format!("writing {}.parquet", self.name))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<Finished> {
        if self.group_rows > 0 {
            self.write_group().with_context(|| format!("writing {}.parquet", self.name))?;
        }
        self.writer.into_inner()?.finish(self.rows)
    }
}

/// The schema in the notation of Parquet.
fn schema(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(field).collect();
    format!("message {} {{ {} }}", table.name, columns.join(" "))
}

fn field(column: &Column) -> String {
    let need = if column.nullable { "OPTIONAL" } else { "REQUIRED" };
    let name = column.name;
    match column.kind {
        Kind::Id { .. } | Kind::Text | Kind::LongText | Kind::Json => format!("{need} BYTE_ARRAY {name} (STRING);"),
        Kind::Int => format!("{need} INT64 {name};"),
        Kind::Float => format!("{need} DOUBLE {name};"),
        Kind::Bool => format!("{need} BOOLEAN {name};"),
        Kind::Time => format!("{need} INT64 {name} (TIMESTAMP(MICROS,true));"),
    }
}
