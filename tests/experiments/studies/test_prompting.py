"""Prompting against beliefs: spread, the temperature that gives it, and the claims on a made-up table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crowdllm.experiments.studies import prompting
from crowdllm.experiments.studies.prompting import (
    AS_HUMANS,
    AS_IS,
    AS_PERSONAS,
    FLOOR,
    GRID,
    NINE,
    Config,
    claims,
    spread,
    temperature_for,
    tempered,
)

POINTS = np.arange(1.0, 6.0)


def test_spread_is_the_root_of_the_mean_variance() -> None:
    shares = np.array([[0.5, 0, 0, 0, 0.5], [0, 0, 1, 0, 0], [np.nan] * 5])
    assert spread(shares, POINTS) == pytest.approx(np.sqrt((4 + 0) / 2))


def test_temperature_one_leaves_shares_but_for_the_floor() -> None:
    shares = np.array([[0.6, 0.4, 0, 0, 0]])
    expected = np.array([0.61, 0.41, 0.01, 0.01, 0.01]) / 1.05
    assert FLOOR == 0.01
    assert tempered(shares, 1.0)[0] == pytest.approx(expected)


def test_temperature_two_takes_the_square_root() -> None:
    found = tempered(np.array([[0.63, 0.35, 0.15, 0.03, 0.0]]), 2.0)[0]
    roots = np.array([0.8, 0.6, 0.4, 0.2, 0.1])
    assert found == pytest.approx(roots / roots.sum())


@pytest.mark.parametrize("target", [0.3, 0.8, 1.3])
def test_the_temperature_found_gives_the_spread_that_is_wanted(target: float) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(5), 40)
    tau = temperature_for(shares, POINTS, target)
    assert spread(tempered(shares, tau), POINTS) == pytest.approx(target, abs=1e-6)


def test_a_spread_beyond_that_of_even_shares_cannot_be_had() -> None:
    shares = np.array([[0.9, 0.1, 0, 0, 0]])
    # even shares of 1..5 have variance 2
    assert np.isnan(temperature_for(shares, POINTS, 1.5))
    assert np.isnan(tempered(shares, np.nan)).all()


def made(wd: dict[str, float], own: dict[str, float]) -> pd.DataFrame:
    rows = []
    for way, value in wd.items():
        for seed in (0, 1):
            for matched, at in ((AS_IS, own[way]), (AS_HUMANS, 0.9), (AS_PERSONAS, 0.5), (GRID, 0.4), (GRID, 0.8)):
                rows.append(
                    {"way": way, "matched": matched, "spread": at, "tau": 1.0, "seed": seed, "mae": value,
                     "avg_wd": value + seed / 1000, "cosine": 0.8, "own_spread": own[way], "human_spread": 0.9}
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_claims_at_the_spread_of_personas_and_of_humans() -> None:
    config = Config((0, 1), models=("crowdllm",), personas=("gpt4-personas",))
    table = made({"crowdllm": 0.4, "gpt4-personas": 0.6, NINE: 0.5}, {"crowdllm": 0.9, "gpt4-personas": 0.5, NINE: 0.7})
    found = list(claims(config, table))
    assert [claim.holds for claim in found] == [True, True, True]
    assert "is 0.40 " in found[0].words
    assert "0.200" in found[1].words
    figure = prompting.report(config, {"a": table}).pictures[0].draw()
    assert [len(axis.lines) for axis in figure.axes] == [3, 3, 3]
