//! `agenttracer`: the server and every offline tool.
#![forbid(unsafe_code)]

mod commands;
mod comparison;
mod data_dir;
mod exit;
mod exporter;
mod importer;
mod logging;
mod output;
mod progress;
mod report;

use clap::{Parser, Subcommand};

use crate::commands::{
    backup, compact, compare, export, import, inspect, keys, rebuild, repair, replay, restore, serve, verify,
};
use crate::exit::Exit;

/// Requests make many small short-lived objects on several threads; the allocator of the C library returns them slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Privacy-safe observability for AI agents: one program over one directory.
#[derive(Debug, Parser)]
#[command(name = "agenttracer", version, after_help = exit::HELP, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take runs in and answer questions about them.
    #[command(after_help = exit::HELP)]
    Serve(serve::Serve),
    /// Show what the log holds: segments, counts, ranges.
    #[command(after_help = exit::HELP)]
    Inspect(inspect::Inspect),
    /// Make, list, rotate and end API keys, while the server serves or not.
    #[command(after_help = exit::HELP)]
    Keys(keys::Keys),
    /// Check every byte of the log, and the index against it.
    #[command(after_help = exit::HELP)]
    Verify(verify::Verify),
    /// Make the log small: compress it, merge small segments, drop what has expired.
    #[command(after_help = exit::HELP)]
    Compact(compact::Compact),
    /// Throw the index away and make it anew from the log.
    #[command(after_help = exit::HELP)]
    Rebuild(rebuild::Rebuild),
    /// Print the log's records, one JSON object a line.
    #[command(after_help = exit::HELP)]
    Replay(replay::Replay),
    /// Show what is damaged and what can be saved, and save it.
    #[command(after_help = exit::HELP)]
    Repair(repair::Repair),
    /// Take a backup, while the server serves or not.
    #[command(after_help = exit::HELP)]
    Backup(backup::Backup),
    /// Make a data directory from a backup.
    #[command(after_help = exit::HELP)]
    Restore(restore::Restore),
    /// Write runs into NDJSON or CSV files.
    #[command(after_help = exit::HELP)]
    Export(export::Export),
    /// Take runs in from NDJSON, into a directory or a server.
    #[command(after_help = exit::HELP)]
    Import(import::Import),
    /// Compare two versions, environments or times, on a running server.
    #[command(after_help = compare::HELP)]
    Compare(compare::Compare),
}

fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit.into();
        }
    };
    let outcome = match cli.command {
        Command::Serve(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Compact(command) => command.run(),
        Command::Rebuild(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Repair(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Compare(command) => command.run(),
    };
    match outcome {
        Ok(exit) => exit,
        Err(error) if output::is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            output::error(&error);
            Exit::of(&error)
        }
    }
    .into()
}
