//! Runs as files for other programs: NDJSON, CSV and Parquet.
//!
//! Memory is bounded whatever the size of the log: runs come in pages, are read from the log in chunks of bounded size,
//! and go out row by row, to Parquet in row groups of bounded size.

mod csv;
mod files;
mod lines;
mod manifest;
mod parquet;
mod runs;
mod tables;

use agenttracer_model::{FoldedRun, RunBatch, RunView};

pub(crate) use files::{Finished, OutDir, sha256_of};
pub(crate) use lines::{Line, MADE_BY_SERVER};
pub(crate) use manifest::{MANIFEST, Manifest, Unreadable};
pub(crate) use runs::{Runs, read_batches};

use self::csv::CsvTable;
use self::lines::Lines;
use self::parquet::ParquetTable;
use self::tables::{TABLES, TableWriter, each_row};

/// How runs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One run a line, as it can be sent again
    Ndjson,
    /// One file a kind, as text
    Csv,
    /// One file a kind, with typed columns
    Parquet,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Takes runs and makes files of them.
pub(crate) enum Sink {
    Lines(Lines),
    Tables(Vec<Box<dyn TableWriter>>),
}

impl Sink {
    /// Begins the files of an export in `dir`.
    pub(crate) fn new(format: Format, dir: &OutDir) -> anyhow::Result<Self> {
        let tables: anyhow::Result<Vec<Box<dyn TableWriter>>> = match format {
            Format::Ndjson => return Ok(Self::Lines(Lines::new(dir)?)),
            Format::Csv => TABLES.iter().map(|table| Ok(Box::new(CsvTable::new(table, dir)?) as _)).collect(),
            Format::Parquet => TABLES.iter().map(|table| Ok(Box::new(ParquetTable::new(table, dir)?) as _)).collect(),
        };
        Ok(Self::Tables(tables?))
    }

    /// Adds the run that these batches are; false when they hold none.
    pub(crate) fn add(&mut self, batches: Vec<RunBatch>) -> anyhow::Result<bool> {
        match self {
            Self::Lines(lines) => {
                let Some(run) = FoldedRun::fold(batches) else { return Ok(false) };
                lines.add(&run)?;
            }
            Self::Tables(tables) => {
                let Some(run) = RunView::fold(batches) else { return Ok(false) };
                each_row(&run, |table, cells| tables[table].add(cells))?;
            }
        }
        Ok(true)
    }

    /// Completes the files; they have their names only when the [`OutDir`] is finished too.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<Finished>> {
        match self {
            Self::Lines(lines) => Ok(vec![lines.finish()?]),
            Self::Tables(tables) => tables.into_iter().map(TableWriter::finish).collect(),
        }
    }
}
