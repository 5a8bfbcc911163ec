//! One run, as a page of text.

use std::collections::{BTreeMap, HashMap};

use crate::answers::{Latency, Run, Summary, mark};
use crate::commands::run::fact;
use crate::commands::runs::{self, MOST_RUNS, Total};
use crate::human::{Zone, clean, count, grouped, percent, share, shortened, whole_ms, wrapped};
use crate::paint::Ink;
use crate::table::{Cell, Column, Page, Table};
use crate::waterfall;

/// The widest bar of a share.
const BAR: usize = 24;
/// The steps of the critical path that are named.
const PATH_STEPS: usize = 4;
/// The decisions, and the signals, that are listed when nobody asks for all.
const LISTED: usize = 20;
/// Facts of metadata that are summed up over steps.
const SUMMED: [&str; 3] = ["input_tokens", "output_tokens", "cost_usd"];

/// What is shown of a run, and how.
pub(crate) struct RunPage<'a> {
    pub(crate) run: &'a Run,
    pub(crate) latency: &'a Latency,
    pub(crate) sub_runs: &'a [Summary],
    /// How many its sub-agents have, those that are not listed included.
    pub(crate) sub_runs_total: Option<Total>,
    pub(crate) zone: Zone,
    pub(crate) page: Page,
    /// Every step, decision and signal.
    pub(crate) all_steps: bool,
}

impl RunPage<'_> {
    pub(crate) fn render(&self) -> String {
        let mut text = self.head();
        text.push_str(&self.failures());
        text.push_str(&self.steps());
        text.push_str(&self.time());
        text.push_str(&self.decisions());
        text.push_str(&self.signals());
        text.push_str(&self.sub_runs());
        text
    }

    fn title(&self, title: &str) -> String {
        format!("\n{}\n", self.page.paint(title, Ink::Bold))
    }

    /// Lines of words, as wide as the page.
    fn lines(&self, words: &str, indent: usize) -> String {
        let lines = wrapped(words, self.page.full() - indent);
        lines.iter().map(|line| format!("{}{line}\n", " ".repeat(indent))).collect()
    }

    fn head(&self) -> String {
        let run = self.run;
        let (mark, ink) = mark(&run.status);
        let agent = self.page.paint(&format!("{} {}", clean(&run.agent_id), clean(&run.agent_version)), Ink::Bold);
        let status = self.page.paint(&format!("{mark} {}", clean(&run.status)), ink);
        let mut text = format!("{status}  {agent}  {}\n", clean(&run.environment));
        let took = run.duration_ms.map_or_else(|| "still running".to_owned(), |ms| format!("took {}", whole_ms(ms)));
        let mut facts = vec![format!("started {}, {took}", self.zone.time(run.started_at))];
        facts.push(count(run.steps.len() as u64, "step", "steps"));
        facts.extend(self.used());
        if run.removed_count > 0 {
            facts.push(count(run.removed_count, "private value removed", "private values removed"));
        }
        text.push_str(&self.lines(&facts.join(", "), 2));
        let mut rows = vec![("run", clean(&run.run_id))];
        let ids = [("sub-agent of", &run.parent_run_id), ("session", &run.session_id), ("trace", &run.trace_id)];
        rows.extend(ids.into_iter().filter_map(|(name, id)| Some((name, clean(id.as_ref()?)))));
        for (name, value) in rows {
            text.push_str(&format!("  {} {value}\n", self.page.paint(&format!("{name:<12}"), Ink::Dim)));
        }
        let facts = run.metadata.iter().map(|(key, value)| format!("{}={}", clean(key), fact(value)));
        let facts = wrapped(&facts.collect::<Vec<_>>().join(" "), self.page.full().saturating_sub(15));
        for (at, line) in facts.iter().enumerate() {
            let name = if at == 0 { "metadata" } else { "" };
            text.push_str(&format!("  {} {}\n", self.page.paint(&format!("{name:<12}"), Ink::Dim), line));
        }
        text
    }

    /// Tokens and cost, as the steps' metadata says.
    fn used(&self) -> Option<String> {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for step in &self.run.steps {
            for name in SUMMED {
                if let Some(amount) = step.metadata.get(name).and_then(serde_json::Value::as_f64) {
                    *sums.entry(name).or_default() += amount;
                }
            }
        }
        let tokens = |name: &str, way: &str| Some(format!("{} tokens {way}", grouped(*sums.get(name)? as u64)));
        let cost = sums.get("cost_usd").map(|cost| format!("{cost:.4} $"));
        let parts: Vec<_> =
            tokens("input_tokens", "in").into_iter().chain(tokens("output_tokens", "out")).chain(cost).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn step_of(&self, step_id: Option<&String>) -> Option<(u64, &str)> {
        let step = self.run.steps.iter().find(|step| Some(&step.step_id) == step_id)?;
        Some((step.seq, step.name.as_str()))
    }

    fn failures(&self) -> String {
        let mut text = String::new();
        for failure in &self.run.failures {
            let recovered = if self.run.status == "success" { ", recovered" } else { "" };
            let place = match self.step_of(failure.step_id.as_ref()) {
                Some((seq, name)) => format!(" in step {seq}, {}", clean(name)),
                None => String::new(),
            };
            let what = format!("✗ {}/{}", clean(&failure.failure_type), clean(&failure.failure_code));
            text.push_str(&format!("\n{}{place}{recovered}\n", self.page.paint(&what, Ink::Red)));
            text.push_str(&self.lines(&clean(&failure.message), 2));
        }
        text
    }

    fn steps(&self) -> String {
        if self.run.steps.is_empty() {
            return self.title("No steps");
        }
        let mut text = self.title("Steps");
        let (lines, folded) = waterfall::render(self.run, self.page, self.all_steps, 2);
        text.push_str(&lines);
        if folded > 0 {
            text.push_str(&self.lines("--all shows every step", 2));
        }
        text
    }

    fn time(&self) -> String {
        let latency = self.latency;
        let mut text = self.title("Where the time went");
        let idle = [
            ("before the first step", latency.idle.before_first_step_ms),
            ("between steps", latency.idle.between_steps_ms),
            ("after the last step", latency.idle.after_last_step_ms.unwrap_or(0)),
        ];
        let idle_ms: u64 = idle.iter().map(|(_, ms)| ms).sum();
        let most = latency.by_step_type.iter().map(|time| time.latency_ms).chain([idle_ms]).max().unwrap_or(0).max(1);
        let width = BAR.min(self.page.full() / 4);
        let bar = |ms: u64| "█".repeat((ms as f64 / most as f64 * width as f64).round() as usize);
        let columns = vec![
            Column::new("").left(),
            Column::new("").right(),
            Column::new("").right(),
            Column::new("").left(),
            Column::new("").shrinks_to(10).left(),
        ];
        let mut table = Table::of(columns).indented(2);
        for time in &latency.by_step_type {
            let retries = match time.retries {
                0 => String::new(),
                retries => format!(", {}", count(retries, "retry", "retries")),
            };
            table.cells([
                time.step_type.as_str().into(),
                whole_ms(time.latency_ms).into(),
                percent(time.share).into(),
                Cell::new(bar(time.latency_ms)).ink(waterfall::type_ink(&time.step_type)),
                Cell::new(format!("{}{retries}", count(time.steps, "step", "steps"))).ink(Ink::Dim),
            ]);
        }
        if idle_ms > 0 {
            let parts: Vec<_> =
                idle.iter().filter(|(_, ms)| *ms > 0).map(|(name, ms)| format!("{} {name}", whole_ms(*ms))).collect();
            table.cells([
                "no step".into(),
                whole_ms(idle_ms).into(),
                String::new().into(),
                Cell::new(bar(idle_ms)).ink(Ink::Dim),
                Cell::new(parts.join(", ")).ink(Ink::Dim),
            ]);
        }
        text.push_str(&table.render(self.page));
        let retries = &latency.retries;
        if retries.operations > 0 {
            let words = format!(
                "Retries: {} of {} cost {} in attempts that were not the last, and {} between attempts.",
                count(retries.attempts, "attempt", "attempts"),
                count(retries.operations, "operation", "operations"),
                whole_ms(retries.waste_ms),
                whole_ms(retries.backoff_ms),
            );
            text.push_str(&self.lines(&words, 2));
        }
        if latency.overlap_ms > 0 {
            text.push_str(&self.lines(&format!("Steps beside each other saved {}.", whole_ms(latency.overlap_ms)), 2));
        }
        let path = &latency.critical_path;
        if !path.steps.is_empty() {
            let mut longest: Vec<_> = path.steps.iter().collect();
            longest.sort_by_key(|step| std::cmp::Reverse(step.length_ms));
            let named = longest
                .iter()
                .take(PATH_STEPS)
                .map(|step| format!("{} {}", clean(&step.name), whole_ms(step.length_ms)));
            let more = if longest.len() > PATH_STEPS { ", .." } else { "" };
            let of = self
                .run
                .duration_ms
                .map_or_else(String::new, |ms| format!(" ({} of the run)", share(path.steps_ms, ms)));
            let words = format!(
                "The end waited for {} of {}{of}: {}{more}",
                whole_ms(path.steps_ms),
                count(path.steps.len() as u64, "step", "steps"),
                named.collect::<Vec<_>>().join(", ")
            );
            text.push_str(&self.lines(&words, 2));
        }
        text
    }

    fn seqs(&self) -> HashMap<&str, u64> {
        self.run.steps.iter().map(|step| (step.step_id.as_str(), step.seq)).collect()
    }

    fn decisions(&self) -> String {
        let decisions = &self.run.decisions;
        if decisions.is_empty() {
            return String::new();
        }
        let seqs = self.seqs();
        let mut text = self.title("Decisions");
        let mut table = Table::of(vec![
            Column::new("step").right(),
            Column::new("selected").shrinks_to(10).left(),
            Column::new("reason").shrinks_to(12).left(),
            Column::new("type").shrinks_to(8).rank(2).left(),
            Column::new("confidence").rank(1).right(),
            Column::new("of").shrinks_to(8).rank(3).left(),
        ])
        .indented(2);
        let most = if self.all_steps { usize::MAX } else { LISTED };
        for decision in decisions.iter().take(most) {
            let seq = decision.step_id.as_ref().and_then(|step| seqs.get(step.as_str()));
            let candidates = decision.metadata.get("candidates").and_then(serde_json::Value::as_array);
            let candidates = candidates.into_iter().flatten().map(fact).collect::<Vec<_>>().join(", ");
            table.cells([
                seq.map_or_else(String::new, u64::to_string).into(),
                decision.selected.as_str().into(),
                decision.reason_code.as_str().into(),
                Cell::new(decision.decision_type.as_str()).ink(Ink::Dim),
                decision.confidence.map_or_else(String::new, |confidence| format!("{confidence:.2}")).into(),
                Cell::new(shortened(&candidates, 48)).ink(Ink::Dim),
            ]);
        }
        text.push_str(&table.render(self.page));
        text.push_str(&self.not_listed(decisions.len(), most));
        text
    }

    fn signals(&self) -> String {
        let signals = &self.run.quality_signals;
        if signals.is_empty() {
            return String::new();
        }
        let seqs = self.seqs();
        let attention = signals.iter().filter(|signal| signal.tone == "attention").count();
        let title = match attention {
            0 => "Signals".to_owned(),
            attention => format!("Signals, {attention} of {} marked with !", signals.len()),
        };
        let mut text = self.title(&title);
        let mut table = Table::of(vec![
            Column::new(""),
            Column::new("step").right(),
            Column::new("signal").shrinks_to(20).left(),
            Column::new("value").left(),
            Column::new("weight").rank(1).right(),
        ])
        .indented(2);
        let most = if self.all_steps { usize::MAX } else { LISTED };
        // Those that ask for attention first; stable, so otherwise in their order.
        let mut sorted: Vec<_> = signals.iter().collect();
        sorted.sort_by_key(|signal| signal.tone != "attention");
        for signal in sorted.into_iter().take(most) {
            let is_marked = signal.tone == "attention";
            let seq = signal.step_id.as_ref().and_then(|step| seqs.get(step.as_str()));
            let name = format!("{}/{}", signal.signal_type, signal.signal_code);
            table.cells([
                Cell::new(if is_marked { "!" } else { "" }).ink(Ink::Yellow),
                seq.map_or_else(String::new, u64::to_string).into(),
                if is_marked { Cell::new(name).ink(Ink::Yellow) } else { Cell::new(name) },
                signal.value.to_string().into(),
                signal.weight.map_or_else(String::new, |weight| format!("{weight:.2}")).into(),
            ]);
        }
        text.push_str(&table.render(self.page));
        text.push_str(&self.not_listed(signals.len(), most));
        text
    }

    fn not_listed(&self, have: usize, most: usize) -> String {
        match have.saturating_sub(most) {
            0 => String::new(),
            more => self.lines(&format!("{} more: --all lists them", grouped(more as u64)), 2),
        }
    }

    fn sub_runs(&self) -> String {
        if self.sub_runs.is_empty() {
            return String::new();
        }
        let mut text = self.title("Runs of its sub-agents");
        text.push_str(&runs::table(self.sub_runs, self.zone, true).render(self.page));
        if let Some(more) = self.sub_runs_total.and_then(|total| total.besides(self.sub_runs.len())) {
            let parent = clean(&self.run.run_id);
            let all = format!("agenttracer runs parent:{parent} --live -n {MOST_RUNS}");
            text.push_str(&format!("  and {more} more:\n  {}\n", self.page.paint(&all, Ink::Cyan)));
        }
        text
    }
}
