"""The British Election Panel items, one scale at a time."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from crowdllm.datasets import load_dataset
from crowdllm.datasets.beps import ITEM_SETS


@pytest.mark.parametrize(
    ("item_set", "problems", "levels"),
    [("ratings", 5, range(1, 6)), ("europe", 1, range(1, 12)), ("knowledge", 1, range(4))],
)
def test_each_item_set_has_its_own_scale_and_the_file_s_answers(
    published, item_set: str, problems: int, levels: range
) -> None:
    with published("surveys/carData_BEPS.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    study = load_dataset("beps", item_set=item_set)
    assert study.describe() == f"N=1525 T={problems} R={1525 * problems}"
    assert study.response_type.levels == tuple(str(level) for level in levels)
    got = study.responses.values_RD[:, 0].reshape(1525, problems) + levels[0]
    expected = [[float(row[item]) for item in ITEM_SETS[item_set].items] for row in rows]
    np.testing.assert_array_equal(got, expected)


def test_vote_age_and_gender_are_profile_columns(published) -> None:
    published("surveys/carData_BEPS.csv")
    people = load_dataset("beps").profiles.to_frame()
    assert people.iloc[0].tolist() == ["Liberal Democrat", 43, "female"]
    assert not people.isna().any().any()


def test_leaders_are_rated_highest_by_their_own_voters(published) -> None:
    # the direction of the 1-5 scales, which the documentation does not give
    published("surveys/carData_BEPS.csv")
    study = load_dataset("beps")
    table = study.responses.values_RD[:, 0].reshape(1525, 5)
    vote = study.profiles.to_frame()["vote"].to_numpy()
    for column, party in ((2, "Labour"), (3, "Conservative"), (4, "Liberal Democrat")):
        means = {p: table[vote == p, column].mean() for p in set(vote)}
        assert max(means, key=means.__getitem__) == party
