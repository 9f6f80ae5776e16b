"""Continuous scales: a normal likelihood censored at the bounds, and numbers read strictly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.rng import stable_keys, uniforms

OPEN, BOUNDED = Continuous(), Continuous(0.0, 10.0)
NONE = torch.zeros(1)


def score(kind: Continuous, value: float, location: float, scale: float) -> float:
    params = torch.tensor([[location, math.log(scale)]], dtype=torch.float64)
    return float(kind.log_prob(params, torch.tensor([[value]], dtype=torch.float64), NONE))


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.2, 50.0])
def test_without_bounds_the_score_is_the_normal_log_density(value: float) -> None:
    assert score(OPEN, value, 1.5, 2.0) == pytest.approx(stats.norm.logpdf(value, 1.5, 2.0))


def test_an_answer_at_a_bound_scores_all_that_lies_beyond_it() -> None:
    assert score(BOUNDED, 0.0, 3.0, 2.0) == pytest.approx(stats.norm.logcdf(0, 3, 2))
    assert score(BOUNDED, 10.0, 3.0, 2.0) == pytest.approx(stats.norm.logsf(10, 3, 2))
    assert score(BOUNDED, 4.0, 3.0, 2.0) == pytest.approx(stats.norm.logpdf(4, 3, 2))
    assert score(BOUNDED, 10.0, -500.0, 2.0) == pytest.approx(stats.norm.logsf(10, -500, 2))


@pytest.mark.parametrize(("location", "scale"), [(3.0, 2.0), (-4.0, 1.0), (10.0, 8.0)])
def test_density_inside_and_mass_at_the_bounds_add_up_to_one(location: float, scale: float) -> None:
    inside, _ = integrate.quad(lambda y: math.exp(score(BOUNDED, y, location, scale)), 1e-12, 10 - 1e-12)
    ends = math.exp(score(BOUNDED, 0.0, location, scale)) + math.exp(score(BOUNDED, 10.0, location, scale))
    assert inside + ends == pytest.approx(1, abs=1e-8)


def test_raw_zeros_mean_the_centre_and_the_unit() -> None:
    params = Continuous(center=40.0, scale=20.0).base(torch.zeros(1, 2, dtype=torch.float64))
    assert params[0].numpy() == pytest.approx([40.0, math.log(20.0)])


@pytest.mark.parametrize("deviation", [0.0, 0.5, 2.0])
def test_averaging_over_the_population_gives_the_base_distribution_back(deviation: float) -> None:
    """Mixing over shift ~ N(0, s^2) with spread sqrt(1 + s^2): the mixture is N(location, scale^2) again."""
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    base = torch.tensor([[3.0, math.log(2.0)]], dtype=torch.float64).repeat(60, 1)
    spread = torch.full((60,), math.sqrt(1 + deviation**2), dtype=torch.float64)
    params = OPEN.shifted(base, torch.from_numpy(deviation * node)[:, None], spread).numpy()
    for y in (-1.0, 2.0, 3.0, 7.0):
        below = weight @ stats.norm.cdf(y, params[:, 0], np.exp(params[:, 1])) / weight.sum()
        assert below == pytest.approx(stats.norm.cdf(y, 3, 2), abs=1e-7)


def test_samples_follow_the_normal_distribution_and_stop_at_the_bounds() -> None:
    noise = uniforms(1, "test", stable_keys(np.arange(20_000)), stable_keys(["q"]), 1)
    params = np.repeat([[3.0, math.log(4.0)]], 20_000, axis=0)
    count = np.zeros(20_000, dtype=np.int64)
    free = OPEN.sample(params, noise, count)[:, 0]
    assert stats.kstest(free, stats.norm(3, 4).cdf).pvalue > 1e-3
    kept = BOUNDED.sample(params, noise, count)[:, 0]
    assert np.array_equal(kept, np.clip(free, 0, 10))
    for bound, mass in ((0.0, stats.norm.cdf(0, 3, 4)), (10.0, stats.norm.sf(10, 3, 4))):
        assert (kept == bound).mean() == pytest.approx(mass, abs=4 * math.sqrt(mass / 20_000))


def test_the_summary_is_the_quantiles_at_evenly_spaced_probabilities() -> None:
    """The numbers 0..1000 have their p-quantile at 1000 p."""
    summary = OPEN.summarise(np.arange(1001.0)[:, None])
    assert summary == pytest.approx(1000 * (np.arange(QUANTILES) + 0.5) / QUANTILES)
    assert OPEN.summarise(np.array([[7.0]])).tolist() == [7.0] * QUANTILES


def test_distance_is_the_wasserstein_distance_of_the_quantiles() -> None:
    rng = np.random.default_rng(2)
    p, q = OPEN.summarise(rng.normal(0, 1, (500, 1))), OPEN.summarise(rng.normal(1, 2, (300, 1)))
    assert OPEN.distance(p, q) == pytest.approx(stats.wasserstein_distance(p, q))
    assert OPEN.distance(p, p + 2.5) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.5", 3.5),
        ("Answer: 3.5", 3.5),
        ("answer=[3.5]", 3.5),
        ("Number: 3.5.", 3.5),
        ("1e1", 10.0),
        ("+.5", 0.5),
        ("0", 0.0),
        ("10.", 10.0),
    ],
)
def test_a_number_within_the_bounds_is_read(text: str, value: float) -> None:
    assert BOUNDED.parse(text).tolist() == [value]


@pytest.mark.parametrize(
    "text", ["-0.1", "10.001", "3,5", "1,000", "1 000", "3.5.5", "--3", "3 %", "$3", "1e", "e3", "+"]
)
def test_what_is_no_number_within_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="at least 0 and of at most 10"):
        BOUNDED.parse(text)


def test_python_spellings_of_numbers_are_refused() -> None:
    for text in ("1_0", "nan", "inf", "-inf", "Infinity", "1e400", "0x10", "\u0663", "1j", "True"):
        for read in (OPEN.parse, OPEN.read_cell):
            with pytest.raises(UnparsableAnswerError):
                read(text)


@pytest.mark.parametrize("value", [0.1, -1e-300, 1e22, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789])
def test_any_number_survives_its_cell(value: float) -> None:
    assert OPEN.read_cell(OPEN.write_cell(np.array([value]))).tolist() == [value]


@pytest.mark.parametrize("name", ["low", "high", "center", "scale"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "3", True, [1]], ids=str)
def test_settings_that_are_no_finite_numbers_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Continuous(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0)])
def test_bounds_the_wrong_way_round_are_refused(low: float, high: float) -> None:
    with pytest.raises(ConfigError, match="low < high"):
        Continuous(low, high)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_unit_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError, match="positive unit"):
        Continuous(scale=scale)
