"""Intervals: which kind there is, what it says of itself, and its ends by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crowdllm.belief.checkpoint import read_meta
from crowdllm.estimation.conformal import Calibration
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.studio.calibration import Reach, load_reach, save_reach
from crowdllm.studio.crowd import Answer
from crowdllm.studio.interval import answer_interval

TWO = Ordinal(("1", "2"))
ERRORS = np.linspace(0.01, 0.2, 20)


def answer(kind: str = "ordinal", value: tuple[float, ...] = (36.0, 64.0), unit: str = "% of people") -> Answer:
    return Answer(
        kind,
        unit,
        ("1", "2"),
        (("", ""),),
        np.array([10_000]),
        np.array([value]),
        np.array([0.48, 0.48]),
        np.array([1.64 if kind == "ordinal" else np.nan]),
        0.0048,
    )


def reach(problems: int = 20) -> Reach:
    errors = ERRORS[:problems]
    return Reach(Calibration(errors, 0.1), (Calibration(errors, 0.1), Calibration(2 * errors, 0.2)), problems)


def test_without_a_calibration_the_interval_is_of_sampling_and_says_so() -> None:
    found = answer_interval(answer(), TWO, None, True)
    assert found.kind == "sampling"
    assert "does not say how far" in found.words
    np.testing.assert_allclose(found.high_M - found.low_M, 2 * 1.959964 * 0.48)
    assert found.mean == pytest.approx((1.64 - 1.959964 * 0.0048, 1.64 + 1.959964 * 0.0048))


def test_a_calibration_widens_by_the_errors_on_problems_with_humans() -> None:
    """20 problems at 95 %: rank ceil(.95 * 21) = 20, the largest error; sqrt(.36 * .64) = .48 of it for a share."""
    found = answer_interval(answer(), TWO, reach(), True)
    assert found.kind == found.values == "conformal"
    assert "95 % conformal" in found.words
    assert "20 problems" in found.words
    first = np.hypot(100 * 0.2 * 0.48, 1.959964 * 0.48)
    assert found.low_M[0] == pytest.approx(36 - first)
    second = np.hypot(100 * 0.4 * 0.48, 1.959964 * 0.48)
    assert found.high_M[1] == pytest.approx(64 + second)
    half = np.hypot(0.2, 1.959964 * 0.0048)
    assert found.mean == pytest.approx((1.64 - half, 1.64 + half))


def test_too_few_problems_give_a_lower_level_or_none() -> None:
    assert "90 % conformal" in answer_interval(answer(), TWO, reach(10), True).words
    few = answer_interval(answer(), TWO, reach(3), True)
    assert few.kind == "sampling"
    assert "3 problems" in few.words


def test_a_choice_of_people_has_no_calibrated_interval() -> None:
    found = answer_interval(answer(), TWO, reach(), False)
    assert found.kind == "sampling"
    assert "measured for everybody" in found.words


def test_shares_stay_between_nothing_and_all() -> None:
    found = answer_interval(answer(value=(1.0, 99.0)), TWO, reach(), True)
    assert found.low_M[0] == 0.0
    assert found.high_M[1] == 100.0


def test_points_are_parts_of_the_budget() -> None:
    one = Reach(None, (Calibration(ERRORS, 0.1),), 20)
    given = answer("points", (4.0, 6.0), "points on average")
    found = answer_interval(given, Points(10, 1, 2), one, True)
    half = np.hypot(10 * 0.2 * np.sqrt(0.24), 1.959964 * 0.48)
    assert found.high_M[1] == pytest.approx(6 + half)


def test_ranges_of_numbers_keep_their_sampling_whiskers_and_it_is_said() -> None:
    given = answer("continuous")
    found = answer_interval(given, Continuous(), Reach(Calibration(ERRORS, 0.1), (), 20), True)
    assert (found.kind, found.values) == ("conformal", "sampling")
    assert "whiskers of the bars are sampling" in found.words


def test_rankings_have_a_sampling_interval_only() -> None:
    found = answer_interval(answer("ranking", unit="rank points on average"), TWO, Reach(None, (), 20), True)
    assert found.kind == "sampling"


def test_errors_of_another_model_are_not_used(model_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(model_folder, tmp_path / "model")
    save_reach(reach(), folder)
    own = str(read_meta(folder)["model_hash"])
    held = load_reach(folder, own)
    assert held is not None
    np.testing.assert_allclose(held.parts[1].error_T, 2 * ERRORS)
    assert load_reach(folder, "another") is None
    (folder / "intervals.json").write_text("{")
    assert load_reach(folder, own) is None
