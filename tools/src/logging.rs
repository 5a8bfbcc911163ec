//! The process log: to stderr, as lines for people or as JSON, and never with what a client sent.

use std::panic::PanicHookInfo;

use agenttracer_server::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts the process log. `RUST_LOG` chooses what is logged; without it everything from `info` on.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(crate::paint::on_stderr()).init(),
        LogFormat::Json => builder.json().with_ansi(false).init(),
    }
    std::panic::set_hook(Box::new(log_panic));
}

/// Says where a panic happened. What it says is told only when it stands in our source as it is: a formatted message
/// can hold a piece of what a client sent ("byte index 3 is not a char boundary of ...").
fn log_panic(panic: &PanicHookInfo<'_>) {
    let what = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(its message is not logged)");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(place, thread, "panic: {what}");
}
