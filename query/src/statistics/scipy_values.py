"""Write scipy_values.json beside this file: what scipy computes for the inputs that scipy_tests.rs asks about.

pip install scipy==1.17.1 && python3 query/src/statistics/scipy_values.py
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

Sides = tuple[int, int]
Rows = list[list[int]]
Row = dict[str, Any]

# As in the Rust code.
EXACT_UP_TO = 10_000
MIN_EXPECTED = 5

RNG = np.random.default_rng(20261125)

PROPORTIONS = [
    ((3, 40), (11, 55)),
    ((0, 30), (7, 31)),
    ((30, 30), (25, 33)),
    ((5, 31), (5, 300)),
    ((120, 1000), (158, 1000)),
    ((1, 4500), (9, 4800)),
    ((2, 900_000), (9, 800_000)),
    ((0, 1_000_000), (6, 1_000_000)),
    ((900, 12_000), (1020, 11_500)),
    ((50_000, 1_000_000), (50_700, 1_000_000)),
    ((7_000, 9_000), (300, 3_000)),
]

TABLES = [
    [[40, 50], [60, 50]],
    [[120, 90], [30, 44], [15, 12]],
    [[1000, 900], [300, 380], [20, 25], [77, 60]],
    [[250_000, 260_000], [50_000, 49_000], [900, 1_000]],
    [[90, 30], [10, 70]],
    [[33, 33], [20, 20]],
]

SMALL_TABLES = [
    [[30, 40], [4, 0], [1, 3]],
    [[50, 42], [3, 9], [2, 1], [0, 2]],
    [[200, 210], [2, 3], [1, 1]],
    [[31, 28], [0, 6]],
    [[40, 60], [20, 10], [3, 9], [1, 0], [0, 4]],
]


def wilson(count: int, of: int) -> tuple[float, float]:
    """Give the score interval of one proportion."""
    interval = stats.binomtest(count, of).proportion_ci(confidence_level=0.95, method="wilson")
    return interval.low, interval.high


def proportion(base: Sides, candidate: Sides) -> Row:
    """Make Newcombe's interval of scipy's Wilson intervals, and test."""
    table = [list(base), list(candidate)]
    cells = [[count, of - count] for count, of in table]
    (low1, high1), (low2, high2) = wilson(*base), wilson(*candidate)
    p1, p2 = base[0] / base[1], candidate[0] / candidate[1]
    small = base[1] + candidate[1] <= EXACT_UP_TO or stats.contingency.expected_freq(cells).min() < MIN_EXPECTED
    return {
        "base": base,
        "candidate": candidate,
        "interval": [p2 - p1 - math.hypot(p2 - low2, high1 - p1), p2 - p1 + math.hypot(high2 - p2, p1 - low1)],
        "test": "fisher" if small else "score",
        "p_value": stats.fisher_exact(cells).pvalue
        if small
        else stats.chi2_contingency(cells, correction=False).pvalue,
    }


def ranks(base: np.ndarray, candidate: np.ndarray) -> Row:
    """Compare numbers by ranks."""
    test = stats.mannwhitneyu(candidate, base, alternative="two-sided", method="asymptotic", use_continuity=True)
    return {
        "base": [int(x) for x in base],
        "candidate": [int(x) for x in candidate],
        "p_value": float(test.pvalue),
        "cliffs_delta": float(2 * test.statistic / (len(base) * len(candidate)) - 1),
    }


def chi_squared(rows: Rows) -> Row:
    """Compare distributions whose cells are large."""
    test = stats.chi2_contingency(rows, correction=False)
    return {"rows": rows, "p_value": test.pvalue, "cramers_v": stats.contingency.association(rows, method="cramer")}


def permuted(rows: Rows) -> Row:
    """Compare distributions by permutation, with many more tables than ours draws."""
    method = stats.MonteCarloMethod(n_resamples=400_000, rng=np.random.default_rng(1))
    return {"rows": rows, "p_value": stats.chi2_contingency(rows, correction=False, method=method).pvalue}


def order(size: int, percent: int) -> Row:
    """Give the interval of a percentile of 1..size: its ends are ranks; where scipy says NaN, it is open."""
    interval = stats.quantile_test(np.arange(1, size + 1), q=0, p=percent / 100).confidence_interval(0.95)
    ends = [None if math.isnan(end) else float(end) for end in interval]
    return {"size": size, "percent": percent, "interval": ends}


def main() -> None:
    """Write the file."""
    durations = [RNG.lognormal(7, 1, n).astype(int) for n in (45, 60, 200)]
    wastes = [RNG.choice([0, 0, 0, 0, 100, 250, 900], n) for n in (80, 120)]
    # In billionths of a dollar, of tokens at a price each: large, and often the same.
    tokens = [np.random.default_rng(seed).integers(1, 9, n) * 250 for seed, n in ((1, 70), (2, 110))]
    costs = [150 * of_side + 600 * (of_side // 5) for of_side in (tokens[0], tokens[1] + 250)]
    p_values = [list(RNG.uniform(0, 1, 7)), [0.001, 0.01, 0.01, 0.04, 0.2, 1.0, 1e-12], [0.5], [0.03] * 5]
    values = {
        "proportions": [proportion(*sides) for sides in PROPORTIONS],
        "ranks": [
            ranks(durations[0], durations[1]),
            ranks(durations[1], durations[2] * 2),
            ranks(wastes[0], wastes[1]),
            ranks(RNG.integers(0, 5, 30), RNG.integers(1, 6, 40)),
            ranks(tokens[0], tokens[1]),
            ranks(costs[0], costs[1]),
            ranks(costs[0] * 1_000_003, costs[1] * 1_000_003),
        ],
        "tables": [chi_squared(rows) for rows in TABLES],
        "small_tables": [permuted(rows) for rows in SMALL_TABLES],
        "orders": [
            order(size, percent) for size in (30, 31, 59, 72, 73, 100, 1000, 20_000, 300_000) for percent in (50, 95)
        ],
        "discoveries": [{"p_values": p, "adjusted": list(stats.false_discovery_control(p))} for p in p_values],
    }
    # One line a row, so that changes can be read.
    sections = []
    for name, rows in values.items():
        lines = ",\n".join(json.dumps(row) for row in rows)
        sections.append(f'"{name}": [\n{lines}\n]')
    Path(__file__).with_name("scipy_values.json").write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    main()
