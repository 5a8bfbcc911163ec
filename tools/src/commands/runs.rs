use clap::{Args, ValueEnum};

use crate::answers::{Summary, read};
use crate::client::{self, Answer, Client, QueryAddress};
use crate::exit::Exit;
use crate::filters::{Condition, Filters};
use crate::human::{Zone, grouped, whole_ms};
use crate::output;
use crate::paint::Ink;
use crate::table::{Cell, Column, Table};

const PATH: &str = "/v1/runs";
/// The most runs that a server puts on a page.
const PAGE_RUNS: usize = 100;
/// The most runs that are listed at once.
pub(crate) const MOST_RUNS: i64 = 100_000;

/// Lists runs of a running server, the newest first. `agenttracer run ID` shows one of them.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(flatten)]
    filters: Filters,
    /// By what they are sorted, the greatest first
    #[arg(long, value_enum, default_value = "started_at", help_heading = "What is shown")]
    sort: Sort,
    /// The smallest first
    #[arg(long, help_heading = "What is shown")]
    asc: bool,
    /// How many
    #[arg(
        long,
        short = 'n',
        value_name = "RUNS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=MOST_RUNS),
        help_heading = "What is shown"
    )]
    limit: u32,
    /// Go on behind a list, with what it said, and with the same filters and order
    #[arg(long, value_name = "CURSOR", help_heading = "What is shown")]
    cursor: Option<String>,
    /// Also runs that go on, which are otherwise listed only with --status running
    #[arg(long, help_heading = "What is shown")]
    live: bool,
    /// Times in UTC instead of local time
    #[arg(long, help_heading = "What is shown")]
    utc: bool,
    /// Print the server's answer: one JSON array of runs
    #[arg(long, help_heading = "What is shown")]
    json: bool,
    /// With --json: whole runs, with steps, failures, decisions and signals
    #[arg(long, requires = "json", help_heading = "What is shown")]
    full: bool,
    #[command(flatten)]
    address: QueryAddress,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Sort {
    #[value(alias = "started-at")]
    StartedAt,
    #[value(alias = "duration-ms", alias = "duration")]
    DurationMs,
    #[value(alias = "step-count", alias = "steps")]
    StepCount,
    #[value(alias = "retry-count", alias = "retries")]
    RetryCount,
}

/// Pages that were asked for, one after the other.
struct Pages {
    bodies: Vec<bytes::Bytes>,
    total: Option<Total>,
    /// Where the list goes on.
    next: Option<String>,
}

/// How many runs match, whether they are listed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Exactly(u64),
    /// A server does not count on for ever.
    AtLeast(u64),
}

impl Total {
    /// What the headers of a list say.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let number = |name: &str| answer.header(name)?.parse().ok();
        number("x-total-count").map(Self::Exactly).or_else(|| number("x-total-count-min").map(Self::AtLeast))
    }

    /// How many there are besides those that are listed, where there are any.
    pub(crate) fn besides(self, listed: usize) -> Option<Self> {
        let more = |total: u64| total.checked_sub(listed as u64).filter(|more| *more > 0);
        match self {
            Self::Exactly(total) => more(total).map(Self::Exactly),
            Self::AtLeast(total) => more(total).map(Self::AtLeast),
        }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(total) => out.write_str(&grouped(*total)),
            Self::AtLeast(total) => write!(out, "{}+", grouped(*total)),
        }
    }
}

impl Runs {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let pages = client::block_on(self.ask(&client))?;
        let mut runs: Vec<Summary> = Vec::new();
        if self.json {
            output::json_arrays(&pages.bodies)?;
        } else {
            for body in &pages.bodies {
                runs.extend(read::<Vec<Summary>>(&client, body)?);
            }
            if !runs.is_empty() {
                table(&runs, Zone::of(self.utc), false).print()?;
            }
        }
        if let Some(next) = pages.next {
            let total = pages.total.map_or_else(String::new, |total| total.to_string());
            output::note(&format!("{} of {total} runs; the next ones: --cursor {next}", self.limit));
        } else if !self.json && runs.is_empty() {
            output::note("no run matches");
        }
        Ok(Exit::Done)
    }

    async fn ask(&self, client: &Client) -> anyhow::Result<Pages> {
        let mut pages = Pages { bodies: Vec::new(), total: None, next: self.cursor.clone() };
        let mut left = self.limit as usize;
        loop {
            let size = left.min(PAGE_RUNS);
            let answer = client.get(PATH, &self.conditions(size, pages.next.as_deref())).await?;
            if pages.total.is_none() {
                pages.total = Total::of(&answer);
            }
            pages.next = answer.header("link").and_then(cursor_of);
            pages.bodies.push(answer.body);
            left -= size;
            if left == 0 || pages.next.is_none() {
                return Ok(pages);
            }
        }
    }

    fn conditions(&self, size: usize, cursor: Option<&str>) -> Vec<Condition> {
        let mut conditions = self.filters.conditions();
        let mut add = |name: &str, value: &str| conditions.push((name.to_owned(), value.to_owned()));
        if let Some(sort) = self.sort.to_possible_value() {
            add("sort", sort.get_name());
        }
        add("order", if self.asc { "asc" } else { "desc" });
        add("page_size", &size.to_string());
        add("view", if self.full { "full" } else { "summary" });
        if self.live && !self.filters.has_status() {
            add("live", "true");
        }
        if let Some(cursor) = cursor {
            add("cursor", cursor);
        }
        conditions
    }
}

/// The cursor in a header `Link: <..?cursor=..>; rel="next"`.
fn cursor_of(link: &str) -> Option<String> {
    let (_, query) = link.split_once('<')?.1.split_once('>')?.0.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())
}

/// Runs as rows.
pub(crate) fn table(runs: &[Summary], zone: Zone, indented: bool) -> Table {
    let times = zone.short(runs.iter().map(|run| run.started_at));
    let mut table = Table::of(vec![
        Column::new("started").left(),
        Column::new("outcome").shrinks_to(11),
        Column::new("agent").shrinks_to(9).left(),
        Column::new("version").shrinks_to(6).rank(3).left(),
        Column::new("environment").shrinks_to(6).rank(6).left(),
        Column::new("duration").rank(2).right(),
        Column::new("steps").rank(4).right(),
        Column::new("retries").rank(5).right(),
        Column::new("run").left(),
    ]);
    if indented {
        table = table.indented(2);
    }
    for run in runs {
        let retries = if run.retry_count == 0 { String::new() } else { grouped(run.retry_count) };
        table.cells([
            Cell::new(times.time(run.started_at)),
            run.outcome(),
            run.agent_id.as_str().into(),
            run.agent_version.as_str().into(),
            run.environment.as_str().into(),
            run.duration_ms.map_or_else(String::new, whole_ms).into(),
            grouped(run.step_count).into(),
            retries.into(),
            Cell::new(run.run_id.as_str()).ink(Ink::Dim),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Page;

    #[test]
    fn the_cursor_is_taken_from_the_link() {
        let link = r#"</v1/runs?agent_id=a&cursor=eyJ%2B1&page_size=2>; rel="next""#;
        assert_eq!(cursor_of(link), Some("eyJ+1".to_owned()));
        assert_eq!(cursor_of("nonsense"), None);
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        assert_eq!(Total::Exactly(50).besides(50), None);
        assert_eq!(Total::Exactly(1250).besides(50).unwrap().to_string(), "1,200");
        assert_eq!(Total::AtLeast(100_050).besides(50).unwrap().to_string(), "100,000+");
        // One that was stored between two questions is none too few.
        assert_eq!(Total::Exactly(49).besides(50), None);
    }

    #[test]
    fn a_list_fits_a_small_terminal_and_keeps_the_ids_whole() {
        let run: Summary = serde_json::from_value(serde_json::json!({
            "run_id": "01997f3c-5b0e-7c41-a3d2-6e1f0b9ad412", "agent_id": "support-triage-of-the-north", "agent_version": "2.4.1",
            "environment": "production", "status": "failure", "started_at": "2026-11-22T09:14:03Z", "duration_ms": 12400,
            "step_count": 14, "retry_count": 3, "failures": [
                {"failure_type": "orchestration", "failure_code": "uncaught_exception"},
                {"failure_type": "tool", "failure_code": "timeout"},
            ],
        }))
        .unwrap();
        for width in [80, 100, 140] {
            let text =
                table(std::slice::from_ref(&run), Zone::Utc, false).render(Page { width: Some(width), colours: false });
            assert!(text.lines().all(|line| console::measure_text_width(line) <= width), "{width}:\n{text}");
            assert!(text.contains(&run.run_id), "{text}");
        }
    }
}
