"""Profiles as numbers: by hand, on training statistics only, missing values said and never filled in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.profiles import ProfileColumn, ProfileEncoder, Profiles, require_same_columns
from crowdllm.errors import MismatchError, UnknownNameError

AGE = ProfileColumn("age", "numeric")
PARTY = ProfileColumn("party", "categorical", ("red", "blue"))
SCHOOL = ProfileColumn("school", "ordinal", ("low", "middle", "high"))
NAN = np.nan


def people(rows: list[list[float]], columns: tuple[ProfileColumn, ...] = (AGE, PARTY, SCHOOL)) -> Profiles:
    ids = np.array([f"p{i}" for i in range(len(rows))], dtype=object)
    return Profiles(columns, ids, np.array(rows, dtype=float).reshape(len(rows), len(columns)))


def test_the_encoding_by_hand() -> None:
    """Ages 20 and 60 have mean 40 and SD 20; ranks 0 and 2 have mean 1 and SD 1."""
    train = people([[20, 0, 0], [60, 1, 2]])
    encoder = ProfileEncoder.fit(train)
    assert encoder.names == (
        *("age", "age?missing"),
        *("party=red", "party=blue", "party?missing"),
        *("school=low", "school=middle", "school=high", "school", "school?missing"),
    )
    v_NV = encoder.encode(people([[20, 0, 0], [50, 1, 1], [NAN, NAN, NAN]]))
    assert v_NV.dtype == np.float32
    assert v_NV.tolist() == [
        [-1, 0, 1, 0, 0, 1, 0, 0, -1, 0],
        [0.5, 0, 0, 1, 0, 0, 1, 0, 0, 0],
        [0, 1, 0, 0, 1, 0, 0, 0, 0, 1],
    ]


def test_statistics_come_from_the_people_learned_from_and_are_clipped_at_four() -> None:
    encoder = ProfileEncoder.fit(people([[0], [2]], (AGE,)))
    assert encoder.encode(people([[3], [1000], [-1000]], (AGE,)))[:, 0].tolist() == [2, 4, -4]


def test_missing_values_take_no_part_in_the_statistics() -> None:
    encoder = ProfileEncoder.fit(people([[0], [NAN], [2], [NAN]], (AGE,)))
    assert (encoder.center_C, encoder.scale_C) == ((1.0,), (1.0,))


@pytest.mark.parametrize("ages", [[], [NAN, NAN], [30], [30, 30]], ids=str)
def test_a_column_without_variation_is_finite(ages: list[float]) -> None:
    encoder = ProfileEncoder.fit(people([[a] for a in ages], (AGE,)))
    center = 30 if 30 in ages else 0
    assert encoder.encode(people([[center], [center + 2], [NAN]], (AGE,))).tolist() == [[0, 0], [2, 0], [0, 1]]


def test_a_person_is_encoded_the_same_whoever_stands_beside() -> None:
    train = people([[20, 0, 0], [60, 1, 2], [NAN, 1, NAN], [33, NAN, 1]])
    encoder = ProfileEncoder.fit(train)
    together = encoder.encode(train)
    order = np.array([2, 0, 3, 1])
    assert np.array_equal(encoder.encode(train.take(order)), together[order])


def test_each_column_of_levels_is_one_hot_or_missing() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(size=200), rng.integers(0, 2, 200), rng.integers(0, 3, 200)], axis=1).astype(float)
    values[rng.random(values.shape) < 0.2] = NAN
    train = people(values.tolist())
    encoder = ProfileEncoder.fit(train)
    v_NV, names = encoder.encode(train), encoder.names
    for column in (PARTY, SCHOOL):
        hot = [names.index(f"{column.name}={level}") for level in column.levels]
        assert (v_NV[:, [*hot, names.index(f"{column.name}?missing")]].sum(axis=1) == 1).all()


def test_people_without_columns_have_an_empty_encoding() -> None:
    nobody_asked = people([[], []], ())
    encoder = ProfileEncoder.fit(nobody_asked)
    assert encoder.encode(nobody_asked).shape == (2, 0)
    assert encoder.names == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((AGE, PARTY), "'school' is missing; the study has age, party"),
        ((), "'age' is missing; the study has none"),
        ((AGE, replace(PARTY, levels=("blue", "red")), SCHOOL), "'party' differs: expected categorical"),
        ((replace(AGE, kind="ordinal"), PARTY, SCHOOL), "'age' differs: expected numeric"),
        ((AGE, PARTY, SCHOOL, ProfileColumn("town", "categorical", ("x",))), "does not know: town"),
        ((PARTY, AGE, SCHOOL), "another order: expected age, party, school"),
    ],
)
def test_other_columns_are_refused_by_name(given: tuple[ProfileColumn, ...], words: str) -> None:
    encoder = ProfileEncoder.fit(people([[20, 0, 0], [60, 1, 2]]))
    with pytest.raises(MismatchError, match=words):
        encoder.encode(people([[0.0] * len(given)], given))


def test_a_label_is_no_difference() -> None:
    require_same_columns((AGE,), (replace(AGE, label="age in years"),))


def test_frames_survive_both_ways() -> None:
    train = people([[20, 0, 2], [NAN, NAN, NAN], [61.5, 1, 0]])
    frame = train.to_frame()
    assert frame.loc["p0"].tolist() == [20, "red", "high"]
    assert frame.loc["p1"].isna().all()
    back = Profiles.from_frame(frame, train.columns)
    assert np.array_equal(back.values_NC, train.values_NC, equal_nan=True)
    assert back.ids.tolist() == train.ids.tolist()


def test_an_undeclared_level_is_named() -> None:
    frame = pd.DataFrame({"party": ["red", "green"]}, index=["a", "b"])
    with pytest.raises(UnknownNameError, match="'green' in profile column 'party': choose from red, blue"):
        Profiles.from_frame(frame, (PARTY,))


def test_an_unknown_column_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'party'"):
        people([[0, 0, 0]]).position("partyy")
