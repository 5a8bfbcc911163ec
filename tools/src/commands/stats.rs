use clap::Args;

use crate::answers::{Stats as StatsAnswer, Timeseries, read};
use crate::client::{self, QueryAddress};
use crate::exit::Exit;
use crate::filters::Filters;
use crate::human::{Zone, count, grouped, ms, percent, share, whole_ms};
use crate::output;
use crate::paint::Ink;
use crate::table::{Cell, Column, Page, Table};

/// The widest bar.
const BAR: usize = 30;
/// The failure codes that are shown.
const CODES: usize = 20;
/// A row of small bars, from nothing to the most.
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Tells how many runs there are, how many failed and with which codes, and how long they took. Runs that go on are not
/// counted.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    filters: Filters,
    /// Times in UTC instead of local time
    #[arg(long, help_heading = "What is shown")]
    utc: bool,
    /// Print the server's answer: one JSON object
    #[arg(long, help_heading = "What is shown")]
    json: bool,
    #[command(flatten)]
    address: QueryAddress,
}

impl Stats {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let conditions = self.filters.conditions();
        let page = Page::of_stdout();
        let answers = client::block_on(async {
            let stats = client.get("/v1/stats", &conditions).await?.body;
            if self.json {
                output::raw_json(&stats)?;
                return Ok(None);
            }
            let buckets = (page.full().saturating_sub(12)).clamp(10, 60);
            let timed = [conditions.as_slice(), &[("buckets".to_owned(), buckets.to_string())]].concat();
            let timeseries: Timeseries = read(&client, &client.get("/v1/timeseries", &timed).await?.body)?;
            Ok(Some((read::<StatsAnswer>(&client, &stats)?, timeseries)))
        })?;
        if let Some((stats, timeseries)) = answers {
            if stats.total_runs == 0 {
                output::note("no run matches");
            } else {
                output::text(&render(&stats, &timeseries, Zone::of(self.utc), page))?;
            }
        }
        Ok(Exit::Done)
    }
}

fn render(stats: &StatsAnswer, timeseries: &Timeseries, zone: Zone, page: Page) -> String {
    let title = |text: &str| format!("\n{}\n", page.paint(text, Ink::Bold));
    let mut text = format!(
        "{}  {}\n",
        page.paint(&count(stats.total_runs, "run", "runs"), Ink::Bold),
        if stats.total_failures == 0 {
            page.paint("none failed", Ink::Green)
        } else {
            let failed = format!("{} failed", grouped(stats.total_failures));
            let rate = percent(100.0 - stats.success_rate);
            format!("{} ({rate})", page.paint(&failed, Ink::Red))
        }
    );
    if let Some(total) = &timeseries.total {
        let [p50, p95, p99] = [total.duration_ms.p50, total.duration_ms.p95, total.duration_ms.p99]
            .map(|value| value.map_or_else(|| "-".to_owned(), whole_ms));
        text.push_str(&format!("  {} p50 {p50}, p95 {p95}, p99 {p99}\n", page.paint("duration", Ink::Dim)));
    }
    text.push_str(&format!("  {} {} on average\n", page.paint("a step  ", Ink::Dim), ms(stats.avg_latency_ms)));

    if let (Some(first), Some(last)) = (timeseries.buckets.first(), timeseries.buckets.last()) {
        let width = timeseries.interval.as_deref().unwrap_or_default();
        text.push_str(&title(&format!("Over time, each column {width}")));
        // Each row has its own scale, and says which; what is not nothing is seen.
        let row = |of: &dyn Fn(usize) -> u64, ink: Option<Ink>| {
            let values: Vec<_> = (0..timeseries.buckets.len()).map(of).collect();
            let most = values.iter().copied().max().unwrap_or(0);
            let height = |value: u64| HEIGHTS[(value * 8).div_ceil(most.max(1)) as usize];
            let heights: String = values.into_iter().map(height).collect();
            let heights = ink.map_or_else(|| heights.clone(), |ink| page.paint(&heights, ink));
            format!("{heights}  {}", page.paint(&format!("at most {}", grouped(most)), Ink::Dim))
        };
        text.push_str(&format!("  runs    {}\n", row(&|at| timeseries.buckets[at].runs, None)));
        text.push_str(&format!("  failed  {}\n", row(&|at| timeseries.buckets[at].failures, Some(Ink::Red))));
        let times = zone.short([first.start, last.end]);
        let (from, to) = (times.time(first.start), times.time(last.end));
        let axis = format!(
            "{from}{to:>width$}",
            width = timeseries.buckets.len().saturating_sub(from.len()).max(to.len() + 1)
        );
        text.push_str(&format!("          {}\n", page.paint(&axis, Ink::Dim)));
    }

    let mut codes: Vec<_> = stats.failure_breakdown.iter().collect();
    // Stable: equal counts stay in the order of their names.
    codes.sort_by_key(|(_, failures)| std::cmp::Reverse(**failures));
    if !codes.is_empty() {
        let all: u64 = codes.iter().map(|(_, failures)| **failures).sum();
        text.push_str(&title(&count(all, "failure", "failures")));
        let shown = codes.iter().take(CODES).map(|(code, failures)| (code.as_str(), **failures));
        text.push_str(&bars(shown, all, page, Ink::Red));
        if codes.len() > CODES {
            text.push_str(&format!(
                "  and {}: --json has them\n",
                count((codes.len() - CODES) as u64, "code", "codes")
            ));
        }
    }
    let steps: Vec<_> =
        stats.step_type_breakdown.iter().map(|(kind, count)| (kind.as_str(), count.as_u64().unwrap_or(0))).collect();
    let all: u64 = steps.iter().map(|(_, count)| count).sum();
    if all > 0 {
        text.push_str(&title(&count(all, "step", "steps")));
        text.push_str(&bars(steps, all, page, Ink::Cyan));
    }
    text
}

fn bars<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>, all: u64, page: Page, ink: Ink) -> String {
    let counts: Vec<_> = counts.into_iter().collect();
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let width = BAR.min(page.full() / 3);
    let columns = vec![
        Column::new("").shrinks_to(16).left(),
        Column::new("").right(),
        Column::new("").right(),
        Column::new("").left().rank(1),
    ];
    let mut table = Table::of(columns).indented(2);
    for (name, count) in counts {
        let bar = "█".repeat(((count * width as u64).div_ceil(most) as usize).min(width));
        table.cells([Cell::new(name), grouped(count).into(), share(count, all).into(), Cell::new(bar).ink(ink)]);
    }
    table.render(page)
}
