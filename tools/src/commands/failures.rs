use clap::Args;

use crate::answers::{Cluster, Failures as FailuresAnswer, read};
use crate::client::{self, QueryAddress};
use crate::exit::Exit;
use crate::filters::Filters;
use crate::human::{Zone, ago, clean, count, grouped, percent, share, shortened};
use crate::output;
use crate::paint::Ink;
use crate::table::Page;

/// The versions of a cluster that are named.
const VERSIONS: usize = 4;

/// Shows the failures of runs, those together that came about in the same way: the same agent, code, step and path to it.
/// The largest first.
#[derive(Debug, Args)]
pub(crate) struct Failures {
    #[command(flatten)]
    filters: Filters,
    /// How many clusters
    #[arg(
        long,
        short = 'n',
        value_name = "CLUSTERS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = "What is shown"
    )]
    limit: u32,
    /// Times in UTC instead of local time
    #[arg(long, help_heading = "What is shown")]
    utc: bool,
    /// Print the server's answer: one JSON object
    #[arg(long, help_heading = "What is shown")]
    json: bool,
    #[command(flatten)]
    address: QueryAddress,
}

impl Failures {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let client = self.address.client()?;
        let mut conditions = self.filters.conditions();
        conditions.push(("limit".to_owned(), self.limit.to_string()));
        let answer = client::block_on(client.get("/v1/failures", &conditions))?;
        if self.json {
            output::raw_json(&answer.body)?;
            return Ok(Exit::Done);
        }
        let failures: FailuresAnswer = read(&client, &answer.body)?;
        if failures.total_runs == 0 {
            output::note("no run matches");
        } else {
            output::text(&render(&failures, Zone::of(self.utc), Page::of_stdout()))?;
        }
        Ok(Exit::Done)
    }
}

fn render(failures: &FailuresAnswer, zone: Zone, page: Page) -> String {
    let runs = count(failures.total_runs, "run", "runs");
    if failures.runs_with_failure == 0 {
        return format!("{runs}, none with a failure\n");
    }
    let title = format!(
        "{} of {runs} have a failure ({}), in {}",
        grouped(failures.runs_with_failure),
        share(failures.runs_with_failure, failures.total_runs),
        count(failures.total_clusters, "cluster", "clusters"),
    );
    let mut text = format!("{}\n", page.paint(&title, Ink::Bold));
    let width = failures.clusters.first().map_or(0, |largest| grouped(largest.runs).len());
    for cluster in &failures.clusters {
        text.push_str(&block(cluster, width, zone, page));
    }
    let more = failures.total_clusters.saturating_sub(failures.clusters.len() as u64);
    if more > 0 {
        text.push_str(&format!("\n{}: --limit shows more\n", count(more, "further cluster", "further clusters")));
    }
    text
}

/// A cluster: how many and what, then how it came about, then where to look.
fn block(cluster: &Cluster, width: usize, zone: Zone, page: Page) -> String {
    let mut text = String::from("\n");
    let mut what = String::from("failed without a reason");
    let (mut agent, mut path) = (String::new(), Vec::new());
    if let Some(cause) = &cluster.cause {
        if let (Some(kind), Some(code)) = (&cause.failure_type, &cause.failure_code) {
            what = format!("{}/{}", clean(kind), clean(code));
        }
        agent = format!("  {}", clean(&cause.agent_id));
        path = cause.path.iter().chain(&cause.step).map(|step| clean(&step.name)).collect();
    }
    text.push_str(&format!(
        "{:>width$}  {}{}  {}\n",
        grouped(cluster.runs),
        page.paint(&what, Ink::Red),
        page.paint(&agent, Ink::Bold),
        page.paint(&format!("{} of all", percent(cluster.share)), Ink::Dim),
    ));
    let indent = width + 2;
    let line = |text: &mut String, name: &str, value: &str| {
        let value = shortened(value, page.width.map_or(usize::MAX, |columns| columns.saturating_sub(indent + 9)));
        text.push_str(&format!("{}{} {value}\n", " ".repeat(indent), page.paint(&format!("{name:<8}"), Ink::Dim)));
    };
    if !path.is_empty() {
        line(&mut text, "path", &path.join(" → "));
    }
    let mut versions: Vec<_> = cluster
        .versions
        .iter()
        .take(VERSIONS)
        .map(|version| format!("{} ({})", clean(&version.agent_version), grouped(version.runs)))
        .collect();
    if cluster.versions.len() > VERSIONS {
        versions.push(format!("and {} more", cluster.versions.len() - VERSIONS));
    }
    line(&mut text, "versions", &versions.join(", "));
    let seen = match cluster.first_seen == cluster.last_seen {
        true => format!("once, {}", zone.time(cluster.last_seen)),
        false => format!("{} to {}", zone.time(cluster.first_seen), zone.time(cluster.last_seen)),
    };
    line(&mut text, "seen", &format!("{seen}, {}", ago(cluster.last_seen)));
    if let Some(example) = cluster.examples.first() {
        line(&mut text, "look at", &format!("agenttracer run {}", clean(example)));
    }
    line(&mut text, "all", &format!("agenttracer runs cluster:{}", clean(&cluster.cluster)));
    text
}
