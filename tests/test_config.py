"""Loose settings become checked ones, or an error in words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from crowdllm.config import make_settings
from crowdllm.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class Settings:
    names: tuple[str, ...]
    level: float = 0.95
    pairs: tuple[tuple[str, str], ...] = ()


def test_settings_take_lists_for_tuples_and_whole_numbers_for_numbers() -> None:
    made = make_settings(Settings, {"names": ["a"], "level": 1, "pairs": [["a", "b"]]}, "try")
    assert made == Settings(("a",), 1.0, (("a", "b"),))


def test_an_unknown_setting_lists_those_that_may_be_set() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown setting 'levl' in try: choose from level, pairs; .*'level'"):
        make_settings(Settings, {"names": ("a",), "levl": 1}, "try", fixed=("names",))


@pytest.mark.parametrize("value", ["high", None, (1,)])
def test_a_value_of_another_type_is_named(value: object) -> None:
    with pytest.raises(ConfigError, match="setting 'level'"):
        make_settings(Settings, {"names": ("a",), "level": value}, "try")
