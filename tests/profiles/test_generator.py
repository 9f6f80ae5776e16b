"""Recruiting: what is learned, what is never made up, and what a person depends on."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.profiles.fidelity import margin_distances
from crowdllm.profiles.generator import CHUNK, ProfileGenerator
from crowdllm.profiles.pool import Where, qualified

GENDER = ProfileColumn("gender", "categorical", ("Woman", "Man", "Non-binary"))
CLASS = ProfileColumn("class", "ordinal", ("low", "middle", "high"))
AGE = ProfileColumn("age", "numeric")
COLUMNS = (GENDER, CLASS, AGE)


def people(rows: object, *columns: ProfileColumn) -> Profiles:
    values = np.asarray(rows, dtype=float).reshape(-1, len(columns)) if columns else np.zeros((len(rows), 0))  # type: ignore[arg-type]
    return Profiles(columns, np.array([f"p{i}" for i in range(len(values))], dtype=object), values)


def society(n: int, seed: int = 0) -> Profiles:
    """Class rises with age; one person in ten keeps the class to themselves; nobody is Non-binary."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n)
    rank = np.where(age < 35, 0.0, np.where(age < 55, 1.0, 2.0))
    rank[rng.random(n) < 0.1] = np.nan
    return people(np.stack([rng.integers(0, 2, n), rank, age], axis=1), *COLUMNS)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=True)


FITTED = ProfileGenerator.fit(society(600))


def test_recruiting_more_leaves_the_first_people_unchanged() -> None:
    few, many = FITTED.recruit(10, seed=5), FITTED.recruit(1000, seed=5)
    assert same(many.values_NC[:10], few.values_NC)
    assert many.ids[:2].tolist() == ["s0000000", "s0000001"]
    assert len(set(many.ids)) == 1000
    assert not same(FITTED.recruit(1000, seed=6).values_NC, many.values_NC)


def test_blocks_give_the_same_people_as_one_call_across_the_chunk_border() -> None:
    whole = FITTED.recruit(CHUNK + 100, seed=1)
    part = FITTED.recruit(200, seed=1, start=CHUNK - 100)
    assert same(part.values_NC, whole.values_NC[CHUNK - 100 :])
    assert part.ids.tolist() == whole.ids[CHUNK - 100 :].tolist()


def test_blocks_give_the_same_people_under_filter_and_margins() -> None:
    wanted = {"gender": {"Woman": 0.9, "Man": 0.1}}
    where = {"age": (30, 60)}
    whole = FITTED.recruit(500, 2, margins=wanted, where=where)
    part = FITTED.recruit(100, 2, start=300, margins=wanted, where=where)
    assert same(part.values_NC, whole.values_NC[300:400])


def test_dependence_between_columns_of_different_kinds_is_learned() -> None:
    real, made = society(4000, seed=9), FITTED.recruit(4000, seed=0)
    found = margin_distances(real, made).set_index("columns")["distance"]
    shuffled = made.values_NC.copy()
    shuffled[:, 1] = np.random.default_rng(0).permutation(shuffled[:, 1])
    independent = margin_distances(real, Profiles(COLUMNS, made.ids, shuffled)).set_index("columns")["distance"]
    assert found["class x age"] < 0.15
    assert independent["class x age"] > 0.5


def test_margins_are_those_of_the_people_and_missing_stays_missing() -> None:
    train = society(600)
    made = FITTED.recruit(20_000, seed=0)
    for c in (0, 1):
        for level in (0, 1, 2):
            share = (train.values_NC[:, c] == level).mean()
            assert (made.values_NC[:, c] == level).mean() == pytest.approx(share, abs=0.02)
    assert np.isnan(made.values_NC[:, 1]).mean() == pytest.approx(np.isnan(train.values_NC[:, 1]).mean(), abs=0.015)
    assert made.values_NC[:, 2].mean() == pytest.approx(train.values_NC[:, 2].mean(), abs=0.7)


cell = st.one_of(st.none(), st.integers(0, 2))
person = st.tuples(cell, cell, st.one_of(st.none(), st.integers(0, 30).map(lambda x: x / 2)))


@settings(max_examples=40, deadline=None)
@given(st.lists(person, min_size=1, max_size=60), st.integers(0, 1000))
def test_nothing_unseen_is_ever_made(rows: list[tuple[float | None, ...]], seed: int) -> None:
    train = people(np.array(rows, dtype=float), *COLUMNS)
    made = ProfileGenerator.fit(train, seed=seed).recruit(300, seed)
    for c in (0, 1):
        seen = {str(x) for x in train.values_NC[:, c]}
        assert {str(x) for x in made.values_NC[:, c]} <= seen
    before, after = train.values_NC[:, 2], made.values_NC[:, 2]
    assert np.isnan(after).any() <= np.isnan(before).any()
    if np.isnan(before).all():
        assert np.isnan(after).all()
        return
    after = after[~np.isnan(after)]
    assert ((after >= np.nanmin(before)) & (after <= np.nanmax(before))).all()
    assert (after * 2 == np.round(after * 2)).all()


def test_one_person_is_all_that_can_come_of_one_person() -> None:
    made = ProfileGenerator.fit(people([(1, np.nan, 37)], *COLUMNS)).recruit(50, 0)
    assert same(made.values_NC, np.tile([1, np.nan, 37.0], (50, 1)))


def test_three_people_no_columns_all_missing_and_one_level_work() -> None:
    three = ProfileGenerator.fit(people([(0, 0, 20), (1, 1, 30), (0, 2, 40)], *COLUMNS)).recruit(200, 0)
    assert set(three.values_NC[:, 2]) == {20.0, 30.0, 40.0}
    none = ProfileGenerator.fit(people([(), ()])).recruit(5, 0)
    assert none.values_NC.shape == (5, 0)
    empty = ProfileGenerator.fit(people([(np.nan, np.nan, np.nan)] * 40, *COLUMNS)).recruit(5, 0)
    assert np.isnan(empty.values_NC).all()
    only = ProfileColumn("only", "categorical", ("x",))
    assert (ProfileGenerator.fit(people([(0, 1), (0, 2)] * 30, only, AGE)).recruit(9, 0).values_NC[:, 0] == 0).all()
    assert len(FITTED.recruit(0, 0)) == 0


def test_nobody_to_learn_from_and_negative_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one person"):
        ProfileGenerator.fit(people([], *COLUMNS))
    with pytest.raises(ConfigError, match="0 or more, not -1 and 0"):
        FITTED.recruit(-1, 0)


def test_survey_weights_count() -> None:
    generator = ProfileGenerator.fit(people([(0,), (1,), (2,)], GENDER), weights_N=np.array([3.0, 1.0, 0.0]))
    np.testing.assert_allclose(generator.mixture.margin(0), [0.75, 0.25, 0, 0])
    assert generator.people == 2


weights3 = st.lists(st.floats(0.02, 1), min_size=3, max_size=3).map(lambda x: np.array(x) / sum(x))


@settings(max_examples=30, deadline=None)
@given(weights3, weights3)
def test_raked_margins_hold_exactly(classes: np.ndarray, ages: np.ndarray) -> None:
    labels = ("18-33", "34-50", "51-80")
    raked = FITTED.raked(
        {"class": dict(zip(CLASS.levels, classes, strict=True)), "age": dict(zip(labels, ages, strict=True))}
    )
    missing = FITTED.mixture.margin(1)[3]
    np.testing.assert_allclose(raked.mixture.margin(1), [*((1 - missing) * classes), missing], atol=1e-6)
    cells, share = raked.cells[2], raked.mixture.margin(2)
    for limits, wanted in zip([(18, 33), (34, 50), (51, 80)], ages, strict=True):
        assert share[cells.inside([limits])].sum() == pytest.approx(wanted, abs=1e-6)


def test_recruits_have_the_target_margins() -> None:
    n = 20_000
    wanted = {"gender": {"Woman": 0.8, "Man": 0.2}, "age": {"18-29": 0.5, ">=30": 0.5}}
    made = FITTED.recruit(n, seed=3, margins=wanted)
    assert abs((made.values_NC[:, 0] == 0).mean() - 0.8) < 4 * np.sqrt(0.16 / n)
    assert abs((made.values_NC[:, 2] < 30).mean() - 0.5) < 4 * np.sqrt(0.25 / n)


def test_margin_for_a_level_nobody_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="'Non-binary' should have a share of 0.1, but nobody is there"):
        FITTED.recruit(5, 0, margins={"gender": {"Woman": 0.5, "Man": 0.4, "Non-binary": 0.1}})
    with pytest.raises(UnknownNameError, match="did you mean 'gender'"):
        FITTED.recruit(5, 0, margins={"gendre": {"Woman": 1.0}})


@pytest.mark.parametrize(
    "where",
    [
        {"gender": ["Man"]},
        {"class": ["low", "high"], "age": (41, 47)},
        {"age": [(18, 20), (70, None)], "gender": ["Woman"]},
    ],
)
def test_only_the_qualified_are_recruited(where: Where) -> None:
    made = FITTED.recruit(3000, seed=0, where=where)
    assert qualified(made, where).all()
    free = FITTED.recruit(20_000, seed=1)
    assert FITTED.share(where) == pytest.approx(qualified(free, where).mean(), abs=0.01)


def test_filter_changes_what_depends_on_it_as_conditioning_does() -> None:
    where: Where = {"age": (18, 30)}
    free = FITTED.recruit(40_000, seed=1)
    kept = free.take(np.flatnonzero(qualified(free, where)))
    made = FITTED.recruit(len(kept), seed=2, where=where)
    assert margin_distances(kept, made)["distance"].max() < 0.05


def test_margins_hold_among_the_qualified() -> None:
    both = FITTED.restricted({"age": (30, 60)}).raked({"gender": {"Woman": 0.9, "Man": 0.1}})
    np.testing.assert_allclose(both.mixture.margin(0)[:2], [0.9, 0.1], atol=1e-8)
    assert both.share({"age": (30, 60)}) == pytest.approx(1)


def test_filter_that_nobody_can_satisfy_says_how_many_people_do() -> None:
    with pytest.raises(ConfigError, match=r"gender = Non-binary \(0 of 600 training people") as caught:
        FITTED.recruit(5, 0, where={"gender": ["Non-binary"], "age": (18, 200)})
    assert "age = 18 to 200 (600 of 600 training people" in str(caught.value)
    with pytest.raises(ConfigError, match=r"age = 90 to inf \(0 of 600 training people; the column has 18 to 79"):
        FITTED.recruit(5, 0, where={"age": (90, None)})
    assert FITTED.share({"age": (90, None)}) == 0


def test_saved_generator_recruits_the_same_people() -> None:
    source = ProfileGenerator.fit(
        people(np.random.default_rng(0).normal(size=(50, 1)), ProfileColumn("score", "numeric", label="a score"))
    )
    for generator in (FITTED, source, FITTED.restricted({"age": (20, 33)})):
        state = json.loads(json.dumps(generator.to_dict(), allow_nan=False))
        loaded = ProfileGenerator.from_dict(state)
        assert loaded.columns == generator.columns
        assert same(loaded.recruit(500, 1).values_NC, generator.recruit(500, 1).values_NC)


def test_state_does_not_grow_with_the_people_and_a_lacking_part_is_named() -> None:
    small, large = (len(json.dumps(ProfileGenerator.fit(society(n)).to_dict())) for n in (1000, 8000))
    assert large < 3 * small
    state = FITTED.to_dict()
    del state["classes"]
    with pytest.raises(MismatchError, match="lacks 'classes'"):
        ProfileGenerator.from_dict(state)


MARGINS = {
    "gender": {"Woman": 0.5, "Man": 0.3, "(missing)": 0.2},
    "class": {"low": 0.25, "high": 0.75},
    "age": {"18-30": 0.5, "30-40": 0.5},
}


def test_margins_alone_give_independent_columns_with_these_shares() -> None:
    n = 40_000
    generator = ProfileGenerator.from_margins(COLUMNS, MARGINS)
    made = generator.recruit(n, seed=0)
    gender, rank, age = made.values_NC.T
    for share, wanted in [
        ((gender == 0).mean(), 0.5),
        (np.isnan(gender).mean(), 0.2),
        ((rank == 2).mean(), 0.75),
        ((age < 30).mean(), 0.5),
        (((gender == 1) & (rank == 0)).mean(), 0.075),
    ]:
        assert abs(share - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / n)
    assert set(age) == set(range(18, 41))
    assert not (rank == 1).any()


def test_margins_alone_keep_the_decimals_of_their_ranges() -> None:
    made = ProfileGenerator.from_margins((AGE,), {"age": {"0.5-1.0": 1.0}}).recruit(500, 0)
    assert sorted(set(made.values_NC[:, 0])) == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_margins_alone_need_every_column_and_closed_ranges() -> None:
    with pytest.raises(ConfigError, match="'age' has no margin"):
        ProfileGenerator.from_margins(COLUMNS, {k: v for k, v in MARGINS.items() if k != "age"})
    with pytest.raises(ConfigError, match="'>=65' is open"):
        ProfileGenerator.from_margins((AGE,), {"age": {"18-64": 0.5, ">=65": 0.5}})
    with pytest.raises(ConfigError, match=r"gender = Non-binary \(share 0;"):
        ProfileGenerator.from_margins(COLUMNS, MARGINS).recruit(5, 0, where={"gender": ["Non-binary"]})


def test_a_million_people_are_recruited() -> None:
    made = FITTED.recruit(1_000_000, seed=0)
    assert made.values_NC.shape == (1_000_000, 3)
    assert made.ids[-1] == "s0999999"


@pytest.mark.skipif(
    "CROWDLLM_DATA_DIR" not in os.environ,
    reason="needs the bfi data: set CROWDLLM_DATA_DIR to a folder that holds surveys/psych_bfi.csv",
)
def test_recruits_are_nearer_to_held_out_people_than_independent_columns() -> None:
    from crowdllm.datasets import load_dataset

    split = load_dataset("bfi").split(by="participant", fraction=0.2, seed=0)
    train, held = split.train.profiles, split.test.profiles
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(column) for column in train.values_NC.T], axis=1)
    independent = Profiles(train.columns, train.ids, shuffled)
    made = ProfileGenerator.fit(train).recruit(len(train), seed=0)
    ours, theirs = (
        margin_distances(held, crowd).groupby("ways")["distance"].mean()[2] for crowd in (made, independent)
    )
    assert ours < 0.8 * theirs
