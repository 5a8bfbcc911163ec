//! Apache Parquet: typed columns, row groups of bounded size, zstd. Text, ids and metadata are strings, instants are
//! microseconds of UTC, so that a column has the same type in every reader.

use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{ColumnPath, Type, TypePtr};
use anyhow::Context;
use bytes::Bytes;

use super::files::{Finished, OutDir, OutFile};
use super::tables::{Cell, Column, Kind, Table, TableWriter};

/// A row group is written when so much is gathered: about 60,000 steps. A reader works on row groups in parallel and skips them by their
/// ranges; five tables gather at the same time.
const GROUP_BYTES: usize = 16 << 20;
/// Higher levels take several times as long for a few percent.
const LEVEL: i32 = 3;

pub(crate) struct ParquetTable {
    file: SerializedFileWriter<OutFile>,
    columns: Vec<Gathered>,
    gathered_bytes: usize,
    rows: u64,
}

/// The values of a column for the row group to come.
struct Gathered {
    /// For each row 1, or 0 where the cell is null; empty when none may be.
    levels: Vec<i16>,
    nullable: bool,
    values: Values,
}

enum Values {
    /// All texts behind each other, and where each ends.
    Text {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
}

impl ParquetTable {
    pub(crate) fn new(table: &Table, dir: &OutDir) -> anyhow::Result<Self> {
        let name = format!("{}.parquet", table.name);
        let file = SerializedFileWriter::new(dir.file(&name)?, schema(table)?, Arc::new(properties(table)?))
            .with_context(|| format!("beginning {name}"))?;
        let columns = table.columns.iter().map(Gathered::new).collect();
        Ok(Self { file, columns, gathered_bytes: 0, rows: 0 })
    }

    /// Writes what is gathered as a row group.
    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.gathered_bytes == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group.next_column()?.context("a column for each of the table")?;
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        self.gathered_bytes = 0;
        Ok(())
    }
}

impl TableWriter for ParquetTable {
    fn add(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.gathered_bytes += column.add(cell)?;
        }
        self.rows += 1;
        if self.gathered_bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<Finished> {
        self.write_group()?;
        self.file.into_inner()?.finish(self.rows)
    }
}

impl Gathered {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Id { .. } | Kind::Text | Kind::LongText | Kind::Json => {
                Values::Text { bytes: Vec::new(), ends: Vec::new() }
            }
            Kind::Int | Kind::Time => Values::Int(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Bool => Values::Bool(Vec::new()),
        };
        Self { levels: Vec::new(), nullable: column.nullable, values }
    }

    /// Adds a cell; about how many bytes it takes until it is written.
    fn add(&mut self, cell: &Cell<'_>) -> anyhow::Result<usize> {
        let is_null = matches!(cell, Cell::Null);
        assert!(self.nullable || !is_null, "a null in a column that has none");
        if self.nullable {
            self.levels.push(i16::from(!is_null));
        }
        let text = |bytes: &mut Vec<u8>, ends: &mut Vec<usize>, text: &[u8]| {
            bytes.extend_from_slice(text);
            ends.push(bytes.len());
            text.len()
        };
        let len = match (&mut self.values, cell) {
            (_, Cell::Null) => 0,
            (Values::Text { bytes, ends }, Cell::Text(value)) => text(bytes, ends, value.as_bytes()),
            (Values::Text { bytes, ends }, Cell::Id(id)) => {
                text(bytes, ends, id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes())
            }
            (Values::Text { bytes, ends }, Cell::Json(metadata)) => text(bytes, ends, &serde_json::to_vec(metadata)?),
            (Values::Int(values), Cell::Int(value)) => {
                values.push(*value);
                0
            }
            (Values::Int(values), Cell::Time(time)) => {
                values.push(time.as_micros());
                0
            }
            (Values::Float(values), Cell::Float(value)) => {
                values.push(*value);
                0
            }
            (Values::Bool(values), Cell::Bool(value)) => {
                values.push(*value);
                0
            }
            _ => unreachable!("a cell of another kind than its column"),
        };
        Ok(len + size_of::<usize>())
    }

    /// Writes all of it, and begins anew.
    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> anyhow::Result<()> {
        let levels = self.nullable.then_some(self.levels.as_slice());
        match &mut self.values {
            Values::Text { bytes, ends } => {
                let bytes = Bytes::from(std::mem::take(bytes));
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let values: Vec<_> =
                    starts.zip(ends.iter()).map(|(start, end)| ByteArray::from(bytes.slice(start..*end))).collect();
                write::<ByteArrayType>(writer, &values, levels)?;
                ends.clear();
            }
            Values::Int(values) => write::<Int64Type>(writer, values, levels).map(|()| values.clear())?,
            Values::Float(values) => write::<DoubleType>(writer, values, levels).map(|()| values.clear())?,
            Values::Bool(values) => write::<BoolType>(writer, values, levels).map(|()| values.clear())?,
        }
        self.levels.clear();
        Ok(())
    }
}

fn write<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> anyhow::Result<()> {
    let written = writer.typed::<T>().write_batch(values, levels, None)?;
    assert_eq!(written, values.len(), "each value has its level");
    Ok(())
}

fn schema(table: &Table) -> anyhow::Result<TypePtr> {
    let column = |column: &Column| -> anyhow::Result<TypePtr> {
        let (physical, logical) = match column.kind {
            Kind::Id { .. } | Kind::Text | Kind::LongText | Kind::Json => {
                (Physical::BYTE_ARRAY, Some(LogicalType::String))
            }
            Kind::Int => (Physical::INT64, None),
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Kind::Float => (Physical::DOUBLE, None),
            Kind::Bool => (Physical::BOOLEAN, None),
        };
        let repetition = if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let built = Type::primitive_type_builder(column.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(built))
    };
    let columns: anyhow::Result<_> = table.columns.iter().map(column).collect();
    Ok(Arc::new(Type::group_type_builder(table.name).with_fields(columns?).build()?))
}

fn properties(table: &Table) -> anyhow::Result<WriterProperties> {
    let start = WriterProperties::builder()
        .set_created_by(concat!("agenttracer ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    let column = |builder: WriterPropertiesBuilder, column: &Column| {
        let path = ColumnPath::from(column.name);
        match column.kind {
            // Values that never repeat make a dictionary that is given up after it was built.
            Kind::Id { unique: true } | Kind::LongText | Kind::Json => {
                builder.set_column_dictionary_enabled(path, false)
            }
            // In the order of the export each is close to the one before.
            Kind::Time => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Kind::Id { unique: false } | Kind::Text | Kind::Int | Kind::Float | Kind::Bool => builder,
        }
    };
    Ok(table.columns.iter().fold(start, column).build())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use agenttracer_model::{Metadata, Timestamp, Value};

    use super::*;
    use crate::exporter::tables::Column;

    const TABLE: Table = Table {
        name: "table",
        columns: &[
            Column { name: "id", kind: Kind::Id { unique: true }, nullable: false },
            Column { name: "text", kind: Kind::LongText, nullable: true },
            Column { name: "number", kind: Kind::Int, nullable: false },
            Column { name: "share", kind: Kind::Float, nullable: true },
            Column { name: "yes", kind: Kind::Bool, nullable: false },
            Column { name: "time", kind: Kind::Time, nullable: true },
            Column { name: "metadata", kind: Kind::Json, nullable: false },
        ],
    };

    /// A text of 1 MiB now and then makes several row groups of few rows.
    fn text(row: i64) -> Option<String> {
        match row % 3 {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!("{row}{}", "x".repeat(1 << 20))),
        }
    }

    #[test]
    fn every_cell_comes_back_over_several_row_groups() {
        const ROWS: i64 = 100;
        let place = tempfile::tempdir().unwrap();
        let out = OutDir::create(place.path()).unwrap();
        let mut table = Box::new(ParquetTable::new(&TABLE, &out).unwrap());
        for row in 0..ROWS {
            let metadata = Metadata(vec![("row".to_owned(), Value::Uint(row as u64))]);
            let text = text(row);
            let some = |cell| if row % 2 == 0 { cell } else { Cell::Null };
            table
                .add(&[
                    Cell::Id(uuid::Uuid::from_u128(row as u128)),
                    text.as_deref().map_or(Cell::Null, Cell::Text),
                    Cell::Int(i64::MAX - row),
                    some(Cell::Float(row as f64 / 8.0)),
                    Cell::Bool(row % 5 == 0),
                    some(Cell::Time(Timestamp::from_micros(1_767_225_600_000_000 - row))),
                    Cell::Json(&metadata),
                ])
                .unwrap();
            assert!(table.gathered_bytes < GROUP_BYTES);
        }
        let finished = table.finish().unwrap();
        assert_eq!(finished.rows, ROWS as u64);
        out.finish(["table.parquet"]).unwrap();

        let path = place.path().join("table.parquet");
        assert_eq!(path.metadata().unwrap().len(), finished.bytes);
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 3);
        let mut rows = 0;
        for (row, read) in (0..ROWS).zip(reader.get_row_iter(None).unwrap()) {
            let read: Vec<Field> = read.unwrap().into_columns().into_iter().map(|(_, field)| field).collect();
            let some = |field| if row % 2 == 0 { field } else { Field::Null };
            let expected = [
                Field::Str(format!("00000000-0000-0000-0000-{row:012x}")),
                text(row).map_or(Field::Null, Field::Str),
                Field::Long(i64::MAX - row),
                some(Field::Double(row as f64 / 8.0)),
                Field::Bool(row % 5 == 0),
                some(Field::TimestampMicros(1_767_225_600_000_000 - row)),
                Field::Str(format!("{{\"row\":{row}}}")),
            ];
            assert!(read == expected, "row {row}");
            rows += 1;
        }
        assert_eq!(rows, ROWS);
    }

    #[test]
    fn a_table_without_rows_is_a_file_too() {
        let place = tempfile::tempdir().unwrap();
        let out = OutDir::create(place.path()).unwrap();
        Box::new(ParquetTable::new(&TABLE, &out).unwrap()).finish().unwrap();
        out.finish(["table.parquet"]).unwrap();
        let reader = SerializedFileReader::new(File::open(place.path().join("table.parquet")).unwrap()).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert_eq!(reader.metadata().file_metadata().schema().get_fields().len(), TABLE.columns.len());
    }
}
