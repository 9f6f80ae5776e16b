"""Distances between crowds of profiles, against hand calculations and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.profiles.fidelity import copy_share, margin_distances, profile_wasserstein

GENDER = ProfileColumn("gender", "categorical", ("Woman", "Man"))
CLASS = ProfileColumn("class", "ordinal", ("low", "middle", "high"))
AGE = ProfileColumn("age", "numeric")


def people(rows: list[tuple[float, ...]], *columns: ProfileColumn) -> Profiles:
    values = np.array(rows, dtype=float).reshape(len(rows), len(columns))
    return Profiles(columns, np.array([f"p{i}" for i in range(len(rows))], dtype=object), values)


def distances(real: Profiles, made: Profiles) -> dict[str, float]:
    frame = margin_distances(real, made)
    return dict(zip(frame["columns"], frame["distance"], strict=True))


def test_one_way_and_two_way_distances_match_the_hand_calculation() -> None:
    # Same margins (gender 1/2 1/2, class 1/2 0 1/2), but the columns agree only in one crowd: four cells have
    # shares 1/2 0 0 1/2 against 1/4 1/4 1/4 1/4, so half of the sum of four times 1/4 is 1/2.
    real = people([(0, 0), (0, 0), (1, 2), (1, 2)], GENDER, CLASS)
    made = people([(0, 0), (0, 2), (1, 0), (1, 2)], GENDER, CLASS)
    assert distances(real, made) == pytest.approx({"gender": 0, "class": 0, "gender x class": 0.5})
    assert margin_distances(real, made)["ways"].tolist() == [1, 1, 2]


def test_missing_values_are_a_level_of_their_own() -> None:
    real, made = people([(0,), (0,), (np.nan,), (1,)], GENDER), people([(0,), (0,), (0,), (1,)], GENDER)
    assert distances(real, made) == pytest.approx({"gender": 0.25})
    nothing = people([(np.nan,), (np.nan,)], AGE)
    assert distances(nothing, people([(5,), (np.nan,)], AGE)) == pytest.approx({"age": 0.5})
    assert distances(nothing, nothing) == {"age": 0}


def test_numeric_columns_are_cut_at_the_deciles_of_both() -> None:
    low, high = people([(x,) for x in range(50)], AGE), people([(x + 100,) for x in range(50)], AGE)
    assert distances(low, high) == {"age": 1.0}
    mixed = people([(x,) for x in (*range(25), *range(100, 125))], AGE)
    # Ten bins of ten values of the 75 different ones; half of `mixed` lies where nobody of `low` does.
    assert distances(low, mixed)["age"] == pytest.approx(0.5, abs=0.1)


def test_copies_are_profiles_equal_in_every_column() -> None:
    train = people([(0, 1.5), (1, np.nan)], GENDER, AGE)
    made = people([(0, 1.5), (1, np.nan), (0, 1.0), (1, 1.5)], GENDER, AGE)
    assert copy_share(train, made) == 0.5
    assert copy_share(train, train) == 1.0
    assert np.isnan(copy_share(train, people([], GENDER, AGE)))
    assert copy_share(people([], GENDER, AGE), made) == 0.0


def test_wasserstein_of_one_numeric_column_is_scipys_over_the_range() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=60), rng.normal(0.5, 2, size=60)
    span = max(a.max(), b.max()) - min(a.min(), b.min())
    found = profile_wasserstein(people([(x,) for x in a], AGE), people([(x,) for x in b], AGE), limit=60)
    assert found == pytest.approx(wasserstein_distance(a, b) / span)


def test_wasserstein_adds_up_columns_and_counts_missing_as_one() -> None:
    real = people([(0, 0, np.nan)] * 3, GENDER, CLASS, AGE)
    made = people([(1, 1, 7.0)] * 6, GENDER, CLASS, AGE)
    # 1 for another gender, 1 of 2 steps of class, 1 for missing against known.
    assert profile_wasserstein(real, made, limit=6) == pytest.approx(2.5)
    assert profile_wasserstein(real, real, limit=3) == 0


def test_crowds_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(MismatchError, match="'gender'"):
        margin_distances(people([(0,)], GENDER), people([(0,)], CLASS))
    with pytest.raises(ConfigError, match="1 real and 0 made"):
        margin_distances(people([(0,)], GENDER), people([], GENDER))
    with pytest.raises(ConfigError, match="4 made profiles are needed"):
        profile_wasserstein(people([(0,), (1,)], GENDER), people([(0,)] * 3, GENDER), limit=5)
