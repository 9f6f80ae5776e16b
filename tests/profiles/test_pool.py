"""Filters: what they let through, how they are written, and what is said about one that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.profiles.pool import parse_filter, parse_filters, qualified

AGE = ProfileColumn("age", "ordinal", ("18-24", "25-29", "30-34", ">65"))
GENDER = ProfileColumn("gender", "categorical", ("Woman", "Man"))
WORK = ProfileColumn("work", "categorical", ("Employed", "Other, specify", "Other"))
INCOME = ProfileColumn("income", "numeric")
COLUMNS = (AGE, GENDER, WORK, INCOME)
PEOPLE = Profiles(
    COLUMNS,
    np.array(["a", "b", "c", "d"], dtype=object),
    np.array([[0, 0, 0, 100.0], [1, 1, 1, 200.0], [3, 0, 2, np.nan], [np.nan, 1, 0, 300.0]]),
)


def test_filter_holds_on_every_column_and_missing_never_qualifies() -> None:
    assert qualified(PEOPLE, {"gender": ["Woman"]}).tolist() == [True, False, True, False]
    assert qualified(PEOPLE, {"income": (100, 200)}).tolist() == [True, True, False, False]
    assert qualified(PEOPLE, {"income": (150, None)}).tolist() == [False, True, False, True]
    assert qualified(PEOPLE, {"income": [(100, 100), (250, 400)]}).tolist() == [True, False, False, True]
    assert qualified(PEOPLE, {"age": AGE.levels}).tolist() == [True, True, True, False]
    assert qualified(PEOPLE, {"gender": "Man", "income": (250, None)}).tolist() == [False, False, False, True]
    assert qualified(PEOPLE, {}).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age=18-24,30-34", ["18-24", "30-34"]),
        ("age = >65", [">65"]),
        ("age>=25-29", ["25-29", "30-34", ">65"]),
        ("age>25-29", ["30-34", ">65"]),
        ("age<=25-29", ["18-24", "25-29"]),
        ("age<25-29", ["18-24"]),
        ("age!=>65", ["18-24", "25-29", "30-34"]),
        ("work=Other, specify", ["Other, specify"]),
        ("work=Other, specify,Employed", ["Employed", "Other, specify"]),
        ("work=Other,Employed", ["Employed", "Other"]),
    ],
)
def test_levels_are_read_from_text(text: str, expected: list[str]) -> None:
    assert list(parse_filter(text, COLUMNS).values()) == [expected]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("income>=200", [200, 1e9], [199.9]),
        ("income>200", [200.01], [200]),
        ("income<200", [199.99, -5], [200]),
        ("income=100-200,300", [100, 150, 200, 300], [99, 201, 299]),
        ("income!=100-200", [99.99, 200.01], [100, 150, 200]),
    ],
)
def test_numbers_are_read_from_text(text: str, inside: list[float], outside: list[float]) -> None:
    values = np.array([*inside, *outside])[:, None]
    crowd = Profiles((INCOME,), np.arange(len(values)).astype(object), values)
    expected = [True] * len(inside) + [False] * len(outside)
    assert qualified(crowd, parse_filter(text, COLUMNS)).tolist() == expected


def test_two_texts_on_one_column_must_both_hold() -> None:
    where = parse_filters(["income>=150", "income<=250", "gender=Man"], COLUMNS)
    assert qualified(PEOPLE, where).tolist() == [False, True, False, False]
    assert parse_filters(["gender=Man", "gender=Woman"], COLUMNS) == {"gender": []}
    assert not qualified(PEOPLE, parse_filters(["income<150", "income>250"], COLUMNS)).any()


def test_longest_column_name_wins_even_with_an_operator_in_it() -> None:
    columns = (GENDER, ProfileColumn("gender=now", "categorical", ("x",)))
    assert parse_filter("gender=now=x", columns) == {"gender=now": ["x"]}


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'income'"):
        parse_filter("incom>=3", COLUMNS)
    with pytest.raises(UnknownNameError, match="did you mean 'Employed'"):
        parse_filter("work=employd", COLUMNS)
    with pytest.raises(UnknownNameError, match="did you mean 'Woman'"):
        qualified(PEOPLE, {"gender": ["Women"]})
    with pytest.raises(UnknownNameError, match="did you mean 'age'"):
        qualified(PEOPLE, {"ages": ["18-24"]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("income", "is not of the form"),
        (">=3", "is not of the form"),
        ("gender>=Woman", "have no order"),
        ("income>=lots", "'lots' is no number or range"),
        ("income=__import__('os')", "is no number or range"),
        ("income=30-20", "is no number or range"),
    ],
)
def test_text_that_is_no_filter_says_what_would_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_filter(text, COLUMNS)


def test_numbers_for_levels_and_levels_for_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="has levels, not numbers"):
        qualified(PEOPLE, {"age": (18, 30)})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="needs \\(low, high\\) numbers"):
        qualified(PEOPLE, {"income": ["many"]})
    with pytest.raises(ConfigError, match="swap its ends"):
        qualified(PEOPLE, {"income": (5, 2)})
