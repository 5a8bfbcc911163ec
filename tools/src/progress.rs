//! How far a long command is: a bar on a terminal's stderr, and nothing anywhere else.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over a number of records, runs or bytes, with rate and time left. Clones move the same bar.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `records`, which say what is done to them (`"verified"`).
    pub(crate) fn of_records(records: u64, done: &'static str) -> Self {
        Self::of_count(records, "records", done)
    }

    /// A bar of `runs`.
    pub(crate) fn of_runs(runs: u64, done: &'static str) -> Self {
        Self::of_count(runs, "runs", done)
    }

    fn of_count(count: u64, what: &str, done: &str) -> Self {
        let style = format!("{{bar:30}} {{percent:>3}} %  {{human_pos}} {what} {done}, {{per_sec}}, {{eta}} left");
        Self::new(count, &style)
    }

    /// A bar of bytes, whose number comes with [`set_bytes`](Self::set_bytes).
    pub(crate) fn of_bytes(done: &'static str) -> Self {
        let style =
            format!("{{bar:30}} {{percent:>3}} %  {{binary_bytes}} {done}, {{binary_bytes_per_sec}}, {{eta}} left");
        Self::new(0, &style)
    }

    fn new(all: u64, style: &str) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(all), target);
        // The template is ours; a wrong one would only cost the bar its looks.
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Says how many records or bytes are done.
    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says that so many more are done.
    pub(crate) fn add(&self, done: u64) {
        self.0.inc(done);
    }

    /// Says how many bytes are done, of how many.
    pub(crate) fn set_bytes(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
