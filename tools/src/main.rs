//! `agenttracer`: the server and every offline tool.
#![forbid(unsafe_code)]

mod answers;
mod client;
mod commands;
mod comparison;
mod data_dir;
mod demo;
mod exit;
mod exporter;
mod filters;
mod human;
mod importer;
mod logging;
mod output;
mod paint;
mod progress;
mod report;
mod run_page;
mod table;
mod waterfall;

use std::ffi::OsStr;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    backup, compact, compare, completions, demo as demo_command, export, failures, healthcheck, import, inspect, keys,
    man, rebuild, repair, replay, restore, run, runs, serve, stats, tail, verify,
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
    /// When to colour what is printed
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", display_order = 900)]
    color: paint::When,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take runs in and answer questions about them.
    #[command(after_help = exit::HELP)]
    Serve(serve::Serve),
    /// List runs, by filters and search lines.
    #[command(after_help = client::HELP)]
    Runs(runs::Runs),
    /// Show one run: what failed, its steps in time, where the time went.
    #[command(after_help = client::HELP)]
    Run(run::Run),
    /// Count runs, failures and steps.
    #[command(after_help = client::HELP)]
    Stats(stats::Stats),
    /// Show what fails, together what came about in the same way.
    #[command(after_help = client::HELP)]
    Failures(failures::Failures),
    /// Follow runs as they arrive.
    #[command(after_help = client::HELP)]
    Tail(tail::Tail),
    /// Compare two versions, environments or times.
    #[command(after_help = compare::HELP)]
    Compare(compare::Compare),
    /// Send a made-up day of several agents to a running server.
    #[command(after_help = demo_command::HELP)]
    Demo(demo_command::Demo),
    /// Ask running servers whether they are well.
    #[command(after_help = healthcheck::HELP)]
    Healthcheck(healthcheck::Healthcheck),
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
    /// Write runs into NDJSON, CSV or Parquet files.
    #[command(after_help = exit::HELP)]
    Export(export::Export),
    /// Take runs in from NDJSON, into a directory or a server.
    #[command(after_help = exit::HELP)]
    Import(import::Import),
    /// Print what makes a shell complete these commands.
    #[command(after_help = completions::HELP)]
    Completions(completions::Completions),
    /// Print or write the manual pages.
    #[command(after_help = exit::HELP)]
    Man(man::Man),
}

/// The command without the variables that are set to nothing: a file of variables is often written so where one has no value.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(None::<&str>),
            _ => arg,
        })
        .mut_subcommands(without_empty_variables)
}

fn main() -> std::process::ExitCode {
    let mut command = without_empty_variables(Cli::command());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit.into();
        }
    };
    paint::set(cli.color);
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
        Command::Runs(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Stats(command) => command.run(),
        Command::Failures(command) => command.run(),
        Command::Tail(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Healthcheck(command) => command.run(),
        Command::Completions(command) => command.run(Cli::command()),
        Command::Man(command) => command.run(Cli::command()),
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
