"""Response types from settings: what is unknown or makes no scale is named, with what is allowed."""

from __future__ import annotations

import pytest

from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.responses import RESPONSE_TYPES, response_type_from_dict
from crowdllm.responses.ordinal import Ordinal


def test_an_unknown_type_lists_all_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ordinal'") as caught:
        response_type_from_dict({"type": "ordnal"})
    assert caught.value.valid == list(RESPONSE_TYPES)


def test_a_missing_type_lists_all() -> None:
    with pytest.raises(ConfigError, match="continuous, ordinal, choice"):
        response_type_from_dict({"levels": ["1", "2"]})


def test_an_unknown_setting_lists_those_of_the_type() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'levels'") as caught:
        response_type_from_dict({"type": "ordinal", "level": ["1", "2"]})
    assert caught.value.valid == ["levels", "points", "ends"]


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "ordinal"},
        {"type": "ordinal", "levels": 5},
        {"type": "ordinal", "levels": "12345"},
        {"type": "ordinal", "levels": ["a", "b"], "points": 3},
        {"type": "ordinal", "levels": ["a", "b"], "points": ["x", "y"]},
        {"type": "ordinal", "levels": ["a", "b"], "ends": ["a"]},
        {"type": "continuous", "low": "0"},
        {"type": "continuous", "low": None, "high": float("nan")},
        {"type": "ballot", "max_picks": 2},
        {"type": "ballot", "min_picks": 0, "max_picks": [2]},
        {"type": "points", "budget": 1.5},
        {"type": "ranking", "depth": None},
        {"type": "choice", "max_options": "many"},
    ],
    ids=str,
)
def test_settings_that_make_no_scale_are_refused_in_words(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        response_type_from_dict(settings)


def test_numbers_as_levels_become_texts() -> None:
    assert response_type_from_dict({"type": "ordinal", "levels": [1, 2, 3]}) == Ordinal(("1", "2", "3"))
