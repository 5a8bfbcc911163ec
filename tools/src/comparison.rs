//! The answer of `/v1/compare`, and how it is shown to people: words say what changed, and never whether that is good.

use serde::Deserialize;

use crate::human::{self, clean, count, shortened, wrapped};
use crate::paint::Ink;
use crate::table::{Cell, Column, Page, Table};

/// What is read of the answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Comparison {
    agent_id: Option<String>,
    base: Side,
    candidate: Side,
    state: String,
    tested: usize,
    significant: usize,
    false_discovery_rate: f64,
    min_runs: u64,
    rates: Vec<Rate>,
    failures_left_out: usize,
    quantities: Vec<Quantity>,
    distributions: Vec<Distribution>,
}

#[derive(Debug, Deserialize)]
struct Side {
    name: String,
    runs: u64,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    state: String,
    p_adjusted: Option<f64>,
    effect_size: Option<f64>,
}

type Ends = [Option<f64>; 2];

#[derive(Debug, Deserialize)]
struct Rate {
    metric: String,
    name: Option<String>,
    base: Share,
    candidate: Share,
    difference: f64,
    confidence_interval: Option<Ends>,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Debug, Deserialize)]
struct Share {
    runs: u64,
    share: f64,
}

#[derive(Debug, Deserialize)]
struct Quantity {
    metric: String,
    name: Option<String>,
    base: Numbers,
    candidate: Numbers,
    p50: Difference,
    p95: Difference,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Debug, Deserialize)]
struct Numbers {
    p50: Option<f64>,
    p95: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Difference {
    difference: Option<f64>,
    confidence_interval: Option<Ends>,
}

#[derive(Debug, Deserialize)]
struct Distribution {
    metric: String,
    name: Option<String>,
    categories: Vec<Category>,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Debug, Deserialize)]
struct Category {
    values: Vec<String>,
    other: bool,
    base: Share,
    candidate: Share,
    difference: f64,
    confidence_interval: Option<Ends>,
}

/// What is shown, and how.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    /// Also what does not differ significantly.
    pub(crate) all: bool,
    /// What is at least as large is marked.
    pub(crate) min_effect: f64,
    pub(crate) page: Page,
}

/// What is always shown.
const HEADLINES: [&str; 5] = ["failure_rate", "retry_rate", "duration_ms", "retry_waste_ms", "cost_usd"];
/// The most categories of a distribution that are shown without `all`.
const CATEGORIES: usize = 5;
/// The longest label.
const LABEL: usize = 36;

const NOT_ENOUGH_DATA: &str = "not_enough_data";
const SIGNIFICANT: &str = "significant";

impl Verdict {
    fn is_significant(&self) -> bool {
        self.state == SIGNIFICANT
    }

    fn is_beyond(&self, min_effect: f64) -> bool {
        self.is_significant() && self.effect_size.is_some_and(|effect| effect.abs() >= min_effect)
    }

    /// p-value and effect.
    fn cells(&self) -> [String; 2] {
        if let (Some(p), Some(effect)) = (self.p_adjusted, self.effect_size) {
            let p = if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") };
            return [p, format!("{effect:.2}")];
        }
        let why = match self.state.as_str() {
            NOT_ENOUGH_DATA => "too few runs",
            "too_many_values" => "too many values",
            _ => "not tested",
        };
        [why.to_owned(), String::new()]
    }
}

impl Comparison {
    /// Whether nothing can be told.
    pub(crate) fn has_too_few_runs(&self) -> bool {
        self.state == NOT_ENOUGH_DATA
    }

    /// How many comparisons are significant and have at least such an effect.
    pub(crate) fn beyond(&self, min_effect: f64) -> usize {
        self.verdicts().filter(|verdict| verdict.is_beyond(min_effect)).count()
    }

    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        let rates = self.rates.iter().map(|rate| &rate.verdict);
        let quantities = self.quantities.iter().map(|quantity| &quantity.verdict);
        rates.chain(quantities).chain(self.distributions.iter().map(|distribution| &distribution.verdict))
    }

    /// The comparison as text.
    pub(crate) fn render(&self, shown: Shown) -> String {
        let mut rows = Rows { shown, rows: Vec::new(), left_out: 0 };
        rows.add_rates(&self.rates);
        rows.add_quantities(&self.quantities);
        rows.add_distributions(&self.distributions);
        let page = shown.page;
        let mut text = String::new();
        if let Some(agent) = &self.agent_id {
            text.push_str(&format!("{}\n", page.paint(&clean(agent), Ink::Bold)));
        }
        let columns = [Column::new("").left(), Column::new("").right(), Column::new("").shrinks_to(8).left()];
        let mut sides = Table::of(columns.to_vec());
        for (what, side) in [("base", &self.base), ("candidate", &self.candidate)] {
            sides.cells([
                Cell::new(what),
                count(side.runs, "run", "runs").into(),
                Cell::new(side.name.as_str()).ink(Ink::Bold),
            ]);
        }
        text.push_str(&sides.render(page));
        text.push('\n');
        text.push_str(&rows.render());
        text.push('\n');
        let mut conclusions = vec![self.conclusion(shown.min_effect)];
        if rows.left_out > 0 {
            let comparisons = counted(rows.left_out, "comparison", "comparisons");
            conclusions.push(format!("{comparisons} not shown: --all lists them."));
        }
        if self.failures_left_out > 0 {
            let codes = counted(self.failures_left_out, "rare failure code", "rare failure codes");
            conclusions.push(format!("{codes} not compared."));
        }
        for line in conclusions.iter().flat_map(|words| wrapped(words, page.width.unwrap_or(usize::MAX))) {
            text.push_str(&format!("{line}\n"));
        }
        text
    }

    fn conclusion(&self, min_effect: f64) -> String {
        if self.has_too_few_runs() {
            let (least, base, candidate) = (self.min_runs, self.base.runs, self.candidate.runs);
            return format!("Not enough data: {base} and {candidate} runs, where each side needs {least}.");
        }
        let rate = self.false_discovery_rate * 100.0;
        if self.significant == 0 {
            return format!("None of {} comparisons shows a significant difference.", self.tested);
        }
        format!(
            "{} of {} comparisons significant (at most {rate} % of such findings are expected to be chance), {} of them \
             with an effect of {min_effect} or more.",
            self.significant,
            self.tested,
            self.beyond(min_effect),
        )
    }
}

/// How a row looks.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    Title,
    /// Significant, and beyond the effect that was asked for.
    Beyond,
    /// Significant.
    Small,
    Plain,
}

struct Row {
    look: Look,
    label: String,
    /// Base, candidate, difference, its interval, p-value, effect.
    cells: [String; 6],
}

struct Rows {
    shown: Shown,
    rows: Vec<Row>,
    left_out: usize,
}

impl Rows {
    /// Whether a comparison is shown; counts those that are not.
    fn shows(&mut self, metric: &str, verdict: &Verdict) -> bool {
        let shows = self.shown.all || verdict.is_significant() || HEADLINES.contains(&metric);
        self.left_out += usize::from(!shows);
        shows
    }

    fn look(&self, verdict: &Verdict) -> Look {
        match (verdict.is_significant(), verdict.is_beyond(self.shown.min_effect)) {
            (_, true) => Look::Beyond,
            (true, false) => Look::Small,
            (false, false) => Look::Plain,
        }
    }

    fn title(&mut self, title: &str) {
        self.rows.push(Row { look: Look::Title, label: title.to_owned(), cells: Default::default() });
    }

    /// Removes a title under which nothing came.
    fn end_section(&mut self) {
        if self.rows.last().is_some_and(|row| row.look == Look::Title) {
            self.rows.pop();
        }
    }

    fn add_rates(&mut self, rates: &[Rate]) {
        self.title("Share of runs");
        for rate in rates {
            if !self.shows(&rate.metric, &rate.verdict) {
                continue;
            }
            let label = match (rate.metric.as_str(), &rate.name) {
                ("failure_rate", _) => "failed".to_owned(),
                ("retry_rate", _) => "with retries".to_owned(),
                (metric, Some(name)) => format!("{metric} {name}"),
                (metric, None) => metric.to_owned(),
            };
            let [base, candidate, difference, interval] =
                shares(&rate.base, &rate.candidate, rate.difference, rate.confidence_interval);
            let [p, effect] = rate.verdict.cells();
            let cells = [base, candidate, difference, interval, p, effect];
            self.rows.push(Row { look: self.look(&rate.verdict), label, cells });
        }
        self.end_section();
    }

    fn add_quantities(&mut self, quantities: &[Quantity]) {
        self.title("Per run");
        for quantity in quantities {
            if !self.shows(&quantity.metric, &quantity.verdict) {
                continue;
            }
            let (what, unit) = match quantity.metric.as_str() {
                "duration_ms" => ("duration", Unit::Ms),
                "step_latency_ms" => ("latency of steps", Unit::Ms),
                "retry_waste_ms" => ("retry waste", Unit::Ms),
                "input_tokens" => ("input tokens", Unit::Count),
                "output_tokens" => ("output tokens", Unit::Count),
                "cost_usd" => ("cost", Unit::Usd),
                other => (other, Unit::Count),
            };
            let what = quantity.name.as_ref().map_or_else(|| what.to_owned(), |name| format!("{what} {name}"));
            let look = self.look(&quantity.verdict);
            let [p, effect] = quantity.verdict.cells();
            for (percentile, base, candidate, difference, verdict) in [
                ("p50", quantity.base.p50, quantity.candidate.p50, &quantity.p50, [p, effect]),
                ("p95", quantity.base.p95, quantity.candidate.p95, &quantity.p95, Default::default()),
            ] {
                let label = format!("{} {percentile}", shortened(&what, LABEL - 4));
                let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| unit.format(value));
                let [p, effect] = verdict;
                let cells = [
                    value(base),
                    value(candidate),
                    difference.difference.map_or_else(|| "-".to_owned(), |by| unit.signed(by)),
                    interval(difference.confidence_interval, |end| unit.signed(end)),
                    p,
                    effect,
                ];
                self.rows.push(Row { look, label, cells });
            }
        }
        self.end_section();
    }

    fn add_distributions(&mut self, distributions: &[Distribution]) {
        self.title("What runs chose");
        for distribution in distributions {
            if !self.shows(&distribution.metric, &distribution.verdict) {
                continue;
            }
            let name = distribution.name.as_deref().unwrap_or_default();
            let [p, effect] = distribution.verdict.cells();
            let cells = [String::new(), String::new(), String::new(), String::new(), p, effect];
            let label = format!("{} {name}", distribution.metric);
            self.rows.push(Row { look: self.look(&distribution.verdict), label, cells });
            let most = if self.shown.all { usize::MAX } else { CATEGORIES };
            for category in distribution.categories.iter().take(most) {
                let values = match (category.other, category.values.as_slice()) {
                    (true, _) => "(all others)".to_owned(),
                    (false, []) => "(none)".to_owned(),
                    (false, values) => values.join(" + "),
                };
                let [base, candidate, difference, interval] =
                    shares(&category.base, &category.candidate, category.difference, category.confidence_interval);
                let cells = [base, candidate, difference, interval, String::new(), String::new()];
                self.rows.push(Row { look: Look::Plain, label: format!("  {values}"), cells });
            }
        }
        self.end_section();
    }

    fn render(&self) -> String {
        let mut table = Table::of(vec![
            Column::new("").shrinks_to(12).left(),
            Column::new("base").right(),
            Column::new("candidate").right(),
            Column::new("difference").rank(1).right(),
            Column::new("95 % interval").rank(3).right(),
            Column::new("p adjusted").rank(2).right(),
            Column::new("effect").right(),
        ]);
        for row in &self.rows {
            let (mark, ink) = match row.look {
                Look::Title => ("", Some(Ink::Bold)),
                Look::Beyond => ("● ", Some(Ink::Yellow)),
                Look::Small => ("○ ", None),
                Look::Plain => ("  ", None),
            };
            let label = format!("{mark}{}", shortened(&clean(&row.label), LABEL));
            let cells = [label].into_iter().chain(row.cells.iter().cloned());
            table.cells(cells.map(|text| Cell::new(text).ink(ink)));
        }
        table.render(self.shown.page)
    }
}

/// Base, candidate, difference and interval of a share.
fn shares(base: &Share, candidate: &Share, difference: f64, ends: Option<Ends>) -> [String; 4] {
    let percent =
        |share: &Share| if share.runs == 0 { "-".to_owned() } else { format!("{:.1} %", share.share * 100.0) };
    let points = |difference: f64| format!("{:+.1}", difference * 100.0);
    [percent(base), percent(candidate), format!("{} pp", points(difference)), interval(ends, points)]
}

fn interval(ends: Option<Ends>, format: impl Fn(f64) -> String) -> String {
    let Some([low, high]) = ends else { return String::new() };
    let end = |end: Option<f64>| end.map_or_else(|| "?".to_owned(), &format);
    format!("{} .. {}", end(low), end(high))
}

#[derive(Clone, Copy)]
enum Unit {
    Ms,
    Usd,
    Count,
}

impl Unit {
    fn format(self, value: f64) -> String {
        match self {
            Self::Ms => human::ms(value),
            Self::Usd => format!("{value:.4} $"),
            Self::Count => format!("{value:.0}"),
        }
    }

    fn signed(self, value: f64) -> String {
        let text = self.format(value);
        if value >= 0.0 { format!("+{text}") } else { text }
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    crate::output::count(count as u64, one, many)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A comparison in which everything that somebody else names is `name`.
    fn comparison(name: &str) -> Comparison {
        let share = |share: f64| json!({"runs": 2000, "share": share});
        let verdict = json!({"state": "significant", "p_adjusted": 0.00002, "effect_size": 0.7});
        let with = |value: Value| {
            let (Value::Object(mut fields), Value::Object(verdict)) = (value, verdict.clone()) else { unreachable!() };
            fields.extend(verdict);
            Value::Object(fields)
        };
        let difference = json!({"difference": 0.23, "confidence_interval": [0.1, 0.3]});
        let rate = |metric: &str| {
            with(json!({
                "metric": metric, "name": name, "base": share(0.02), "candidate": share(0.25), "difference": 0.23,
                "confidence_interval": [0.1, 0.3],
            }))
        };
        let quantity = |metric: &str| {
            with(json!({
                "metric": metric, "name": name, "base": {"p50": 1.0, "p95": 2.0}, "candidate": {"p50": 1.5, "p95": null},
                "p50": difference, "p95": difference,
            }))
        };
        let distribution = with(json!({
            "metric": name, "name": name,
            "categories": [{
                "values": [name, name], "other": false, "base": share(0.5), "candidate": share(0.25), "difference": -0.25,
                "confidence_interval": null,
            }],
        }));
        let answer = json!({
            "agent_id": name, "base": {"name": name, "runs": 2000}, "candidate": {"name": name, "runs": 1},
            "state": "significant", "tested": 5, "significant": 5, "false_discovery_rate": 0.05, "min_runs": 30,
            "rates": [rate("failure_rate"), rate("failure"), rate(name)], "failures_left_out": 1,
            "quantities": [quantity("step_latency_ms"), quantity(name)], "distributions": [distribution],
        });
        serde_json::from_value(answer).unwrap()
    }

    fn rendered(name: &str, width: Option<usize>) -> String {
        comparison(name).render(Shown { all: true, min_effect: 0.1, page: Page { width, colours: false } })
    }

    #[test]
    fn names_cannot_draw() {
        for text in [rendered("a\u{1b}[2J\u{202e}\u{9b}\r\u{7}b", None), rendered("a\u{1b}[2J\u{7}b", Some(60))] {
            assert!(text.contains("a[2Jb"), "{text}");
            let draws = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
            assert!(!text.contains(draws), "{text:?}");
        }
    }

    #[test]
    fn it_fits_a_terminal_and_a_pipe_gets_all() {
        let name = "agent-with-a-rather-long-name-for-its-age";
        for width in [60, 80, 100, 140] {
            let text = rendered(name, Some(width));
            assert!(text.lines().skip(1).all(|line| console::measure_text_width(line) <= width), "{width}:\n{text}");
            assert!(text.contains("● failed") && text.contains("25.0 %"), "{text}");
        }
        let text = rendered(name, None);
        for part in ["p adjusted", "95 % interval", "+23.0 pp", "+10.0 .. +30.0", "<0.0001", name] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(
            text.starts_with(&format!("{name}\nbase       2,000 runs  {name}\ncandidate       1 run  {name}\n\n")),
            "{text}"
        );
    }

    #[test]
    fn numbers_read_well() {
        let ms = |value: f64| Unit::Ms.signed(value);
        assert_eq!(
            [0.0, -40.0, 999.0, 2310.0, -61_000.0, 900_000.0, 7_200_000.0].map(ms),
            ["+0 ms", "-40 ms", "+999 ms", "+2.31 s", "-61.00 s", "+15.0 min", "+2.0 h"]
        );
        assert_eq!(interval(Some([Some(-0.5), None]), |end| format!("{end:+}")), "-0.5 .. ?");
    }
}
