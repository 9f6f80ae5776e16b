"""Small parts of the command line: the printed table, progress without a terminal, numbers in options."""

from __future__ import annotations

import pandas as pd
import pytest

from crowdllm.cli.numbers import numbers
from crowdllm.cli.progress import progress_bar
from crowdllm.cli.table import print_table
from crowdllm.errors import ConfigError

KEYS = ["dataset", "split", "train_fraction", "references", "method", "crowd_size", "aggregator", "metric"]


def summary(*rows: tuple[str, int, str, str, float, float, float], fraction: float = 1.0) -> pd.DataFrame:
    """Rows are (method, crowd size, aggregator, metric, mean, low, high)."""
    full = [("toy", "problem", fraction, "none", *row[:4], *row[4:], 3) for row in rows]
    return pd.DataFrame(full, columns=[*KEYS, "mean", "low", "high", "seeds"])


def rows_of(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if line.strip()]


def test_means_stand_with_half_their_interval(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        summary(
            ("random", 20, "mean", "mae", 1.25, 1.2, 1.3),
            ("random", 0, "", "fit_seconds", 2.34, 2.3, 2.4),
            ("random", 20, "", "subgroup_wd:age=18-24", 9.0, 8.0, 10.0),
            ("floor", 20, "mean", "mae", 0.25, 0.2, 0.3),
        )
    )
    out = capsys.readouterr().out
    assert "toy, split problem, references none, 100% of the training people, crowd of 20, 3 splits" in out
    assert ["random", "1.250", "2.3"] in rows_of(out)
    assert ["±0.050", "±0.1"] in rows_of(out)
    assert ["floor", "0.250"] in rows_of(out)
    assert "subgroup" not in out, "the table stays readable; metrics.csv has all"


def test_decisions_aggregated_in_several_ways_have_a_table_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    nan = float("nan")
    print_table(
        summary(
            ("random", 20, "mean", "mae", 1.25, 1.2, 1.3),
            ("random", 20, "mean", "rmse", 1.75, 1.7, 1.8),
            ("random", 20, "majority_vote", "mae", 1.5, nan, nan),
            ("random", 20, "majority_vote", "rmse", 2.5, nan, nan),
        )
    )
    out = capsys.readouterr().out
    first, second = out.split("the crowd's decisions, by aggregator")
    assert ["random", "1.250", "1.750"] in rows_of(first)
    assert ["random", "1.250", "1.500"] in rows_of(second)  # no interval where there is one split only
    assert "(majority vote)" in second
    assert "majority" not in first


def test_log_scores_with_known_answers_have_a_table_of_those_who_have_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        summary(
            ("random", 20, "mean", "mae", 1.25, 1.2, 1.3),
            ("twins", 20, "mean", "mae", 1.0, 0.9, 1.1),
            ("twins", 0, "", "nll_known_0", 1.6, 1.6, 1.6),
            ("twins", 0, "", "nll_known_10", 1.4, 1.4, 1.4),
        )
    )
    first, second = capsys.readouterr().out.split("with so many of the person's answers known")
    assert "known" not in first
    assert ["twins", "1.600", "1.400"] in rows_of(second)
    assert "random" not in second


def test_one_split_is_one_split(capsys: pytest.CaptureFixture[str]) -> None:
    nan = float("nan")
    print_table(summary(("random", 20, "mean", "mae", 1.25, nan, nan)).assign(seeds=1))
    assert "crowd of 20, 1 split\n" in capsys.readouterr().out


def test_every_crowd_size_and_training_fraction_has_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("random", size, "mean", "mae", 1.0, 0.9, 1.1) for size in (20, 1000)]
    print_table(pd.concat([summary(*rows, fraction=f) for f in (0.1, 1.0)]))
    out = capsys.readouterr().out
    for fraction in ("10%", "100%"):
        for size in ("20", "1,000"):
            assert f"{fraction} of the training people, crowd of {size}, 3 splits" in out


def test_without_a_terminal_progress_is_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        for step in range(100):
            progress("training", step, 100)
        progress("[red]done[/red]", 100, 100)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "[0/100] training\n[100/100] [red]done[/red]\n"


def test_numbers_are_read_from_a_list() -> None:
    assert numbers("20, 1000", "--crowd-size", whole=True) == [20, 1000]
    assert numbers("0.1,1", "--train-fraction") == [0.1, 1]


@pytest.mark.parametrize("text", ["", "a", "1,,2", "nan", "inf", "1e999", "2.5"])
def test_what_is_no_number_is_named_with_its_option(text: str) -> None:
    with pytest.raises(ConfigError, match="--crowd-size: "):
        numbers(text, "--crowd-size", whole=True)
