//! How far a long command is: a bar on a terminal's stderr, and nothing anywhere else.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a known number of records or runs, with rate and time left. Clones move the same bar.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `records`, which say what is done to them (`"verified"`).
    pub(crate) fn of_records(records: u64, done: &'static str) -> Self {
        Self::new(records, "records", done)
    }

    /// A bar of `runs`.
    pub(crate) fn of_runs(runs: u64, done: &'static str) -> Self {
        Self::new(runs, "runs", done)
    }

    fn new(count: u64, what: &'static str, done: &'static str) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(count), target);
        let style = format!("{{bar:30}} {{percent:>3}} %  {{human_pos}} {what} {done}, {{per_sec}}, {{eta}} left");
        // The template is ours; a wrong one would only cost the bar its looks.
        bar.set_style(ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Says how many are done.
    pub(crate) fn set(&self, count: u64) {
        self.0.set_position(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
