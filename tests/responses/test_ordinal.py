"""Ordinal scales: cut points from shares, a shift that keeps them, words and numbers read exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from crowdllm.errors import ConfigError, UnparsableAnswerError
from crowdllm.responses.ordinal import TINY, Ordinal

FIVE = Ordinal(("1", "2", "3", "4", "5"))
WORDS = Ordinal(("Never", "Now and then", "Always."))
SHARES = np.array([0.1, 0.2, 0.4, 0.25, 0.05])


def cut_points(shares: np.ndarray) -> torch.Tensor:
    return FIVE.base(torch.log(torch.from_numpy(shares))[None])


def test_points_are_the_numbers_of_the_labels_or_count_from_one() -> None:
    assert Ordinal(("-3", "0", "2.5")).points == (-3.0, 0.0, 2.5)
    assert WORDS.points == (1.0, 2.0, 3.0)
    assert Ordinal(("1", "2", "more")).points == (1.0, 2.0, 3.0)
    assert Ordinal(("low", "high"), points=(0.0, 10.0)).points == (0.0, 10.0)


def test_cut_points_are_normal_quantiles_of_the_cumulated_shares() -> None:
    expected = stats.norm.ppf([0.1, 0.3, 0.7, 0.95])
    assert cut_points(SHARES)[0].numpy() == pytest.approx(expected, abs=1e-4)


def test_a_shift_moves_the_probabilities_as_a_normal_variable() -> None:
    """P(y <= m) = Phi(tau_m - shift), by SciPy."""
    base = cut_points(SHARES)
    params = FIVE.shifted(base, torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([1.0]))
    below = stats.norm.cdf(base[0].numpy() - 0.7)
    expected = np.diff(np.r_[0, below, 1])
    assert FIVE.probabilities(params)[0].numpy() == pytest.approx(expected, abs=1e-12)
    scores = FIVE.log_prob(params.repeat(5, 1), torch.arange(5.0).double()[:, None], torch.zeros(5))
    assert scores.numpy() == pytest.approx(np.log(expected), abs=1e-9)


@pytest.mark.parametrize("deviation", [0.0, 0.3, 1.0, 2.5])
def test_averaging_over_the_population_gives_the_shares_back(deviation: float) -> None:
    """E over shift ~ N(0, s^2) with spread sqrt(1 + s^2): by Gauss-Hermite quadrature, exact to rounding here."""
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    spread = torch.full((80,), float(np.sqrt(1 + deviation**2)), dtype=torch.float64)
    params = FIVE.shifted(cut_points(SHARES).repeat(80, 1), torch.from_numpy(deviation * node)[:, None], spread)
    average = weight @ FIVE.probabilities(params).numpy() / weight.sum()
    assert average == pytest.approx(SHARES, abs=1e-5)


def test_every_level_keeps_a_tiny_share_however_certain_the_logits() -> None:
    raw = torch.tensor([[900.0, 0, 0, 0, -900.0]], dtype=torch.float64)
    shares = FIVE.probabilities(FIVE.base(raw))[0].numpy()
    assert shares == pytest.approx([1 - 4 * TINY, TINY, TINY, TINY, TINY], rel=1e-6)


def test_evenly_spaced_noise_gives_each_level_its_share() -> None:
    noise = (np.arange(1000) + 0.5)[:, None] / 1000
    params = np.repeat(cut_points(SHARES).numpy(), 1000, axis=0)
    values = FIVE.sample(params, noise, np.zeros(1000, dtype=np.int64))
    assert np.bincount(values[:, 0].astype(int)).tolist() == [100, 200, 400, 250, 50]


def test_more_noise_never_gives_a_lower_level() -> None:
    params = np.repeat(cut_points(SHARES).numpy(), 3, axis=0)
    values = FIVE.sample(params, np.array([[1e-10], [0.5], [1 - 1e-10]]), np.zeros(3, dtype=np.int64))
    assert values[:, 0].tolist() == [0, 2, 4]


def test_shares_are_counted_by_level() -> None:
    values = np.array([[0.0], [2], [2], [4]])
    assert FIVE.summarise(values).tolist() == [0.25, 0, 0.5, 0, 0.25]


def test_distance_is_measured_on_the_points() -> None:
    """All mass from 0 to 10 on the points 0, 1, 10 travels 10; half of it to the middle travels 0.5."""
    uneven = Ordinal(("a", "b", "c"), points=(0.0, 1.0, 10.0))
    start = np.array([1.0, 0, 0])
    assert uneven.distance(start, np.array([0, 0, 1.0])) == pytest.approx(10)
    assert uneven.distance(start, np.array([0.5, 0.5, 0])) == pytest.approx(0.5)


def test_distance_is_the_wasserstein_distance_of_scipy() -> None:
    rng = np.random.default_rng(4)
    uneven = Ordinal(tuple("abcde"), points=(-2.0, 0.0, 0.5, 3.0, 10.0))
    for p, q in rng.dirichlet(np.ones(5), size=(20, 2)):
        expected = stats.wasserstein_distance(uneven.points, uneven.points, p, q)
        assert uneven.distance(p, q) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("4", 3),
        (" 4.0 ", 3),
        ("+4", 3),
        ("4e0", 3),
        ("Rating: 4", 3),
        ("rating = 4", 3),
        ("RATING:4.", 3),
        ("Answer: [4]", 3),
        ("Response: (4).", 3),
        ("'4'", 3),
        ('"4"', 3),
    ],
)
def test_a_number_on_the_scale_is_read(text: str, level: int) -> None:
    assert FIVE.parse(text).tolist() == [level]


@pytest.mark.parametrize(
    "text", ["0", "6", "-4", "3.5", "4,0", "4/5", "4 4", "[4", "4]", "[[4]]", "Score: 4", "4 stars"]
)
def test_what_is_off_the_scale_or_more_than_a_number_is_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError, match="1, 2, 3, 4, 5"):
        FIVE.parse(text)


def test_an_underscore_in_a_number_is_not_ten() -> None:
    """Python reads "1_0" as 10."""
    ten = Ordinal(tuple(str(m) for m in range(1, 11)))
    assert ten.parse("10").tolist() == [9]
    for text in ("1_0", "Rating: 1_0", "\u0661\u0660"):
        with pytest.raises(UnparsableAnswerError):
            ten.parse(text)


@pytest.mark.parametrize(
    ("text", "level"), [("NEVER", 0), ("now and then.", 1), ("Rating: Always.", 2), ("[never]", 0)]
)
def test_words_are_read_whatever_their_case_and_full_stops(text: str, level: int) -> None:
    assert WORDS.parse(text).tolist() == [level]


@pytest.mark.parametrize("text", ["sometimes", "1", "Never always.", "not never", "Always"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UnparsableAnswerError):
        WORDS.parse(text)


def test_levels_that_look_like_decorations_are_read() -> None:
    odd = Ordinal(("[a]", "'b'", "rating: c", "."))
    for m, level in enumerate(odd.levels):
        assert odd.parse(level).tolist() == [m]
        assert odd.parse(f"Rating: {level}").tolist() == [m]


@pytest.mark.parametrize(
    "levels",
    [(), ("1",), ("1", "1"), ("1", "1.0"), ("a", "A"), ("a", " a"), ("a", ""), ("a", " "), "abc", (1, 2, 3)],
    ids=str,
)
def test_levels_that_cannot_be_told_apart_are_refused(levels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="two different levels"):
        Ordinal(levels)


@pytest.mark.parametrize(
    "points",
    [(1.0, 2.0), (1.0, 1.0, 2.0), (3.0, 2.0, 1.0), (1.0, 2.0, np.nan), (1.0, 2.0, np.inf), (-np.inf, 0.0, 1.0)],
)
def test_points_that_do_not_rise_are_refused(points: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="rise level by level"):
        Ordinal(("a", "b", "c"), points=points)


def test_numeric_labels_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="rise level by level"):
        Ordinal(("3", "2", "1"))


def test_ends_are_two_texts_shown_in_the_question() -> None:
    scale = Ordinal(("1", "2"), ends=("bad", "good"))
    assert "1 means 'bad' and 2 means 'good'" in scale.instructions()
    with pytest.raises(ConfigError, match="two texts"):
        Ordinal(("1", "2"), ends=("bad",))  # type: ignore[arg-type]
