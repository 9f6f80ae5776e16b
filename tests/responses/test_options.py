"""Naming options: `#n` always is the n-th, texts come next, and lists keep to their separators."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crowdllm.errors import UnparsableAnswerError
from crowdllm.responses.options import gumbel, listed, mask_missing, mask_missing_array, positions, split_list

NUMBERS = ("10", "20", "3")


@pytest.mark.parametrize(
    ("word", "options", "position"),
    [
        ("#2", ("#2", "x"), 1),  # an option's own text never takes a number from another
        ("#2", ("x", "#1"), 1),
        ("#3", ("#3", "x"), 0),  # there is no third, so this is the text
        ("#02", ("#02", "x"), 0),
        ("3", NUMBERS, 2),  # the text 3, and by accident the third
        ("20", NUMBERS, 1),
        ("#1", NUMBERS, 0),
        ("2", ("a", "b"), 1),
        ("2.0", ("a", "b"), 1),
        ("A", ("a", "A"), 1),
        ("a", ("a", "A"), 0),
        ("\u00dcBER", ("\u00fcber", "x"), 0),
        (" a ", ("b", "a "), 1),
    ],
)
def test_a_word_names_one_option(word: str, options: tuple[str, ...], position: int) -> None:
    assert positions([word], options, "") == [position]


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("1", NUMBERS),  # a number would be a text here, and there is none such
        ("2.0", ("1", "2")),
        ("#4", ("a", "b")),
        ("#0", ("a", "b")),
        ("", ("a", "b")),
        ("\u0662", ("a", "b")),
        ("Straße", ("STRASSE", "strasse")),  # the same in lower case, so it could be either
        ("1_0", tuple("abcdefghij")),
        ("9" * 5000, ("a", "b")),
    ],
)
def test_a_word_that_names_none_or_several_is_refused(word: str, options: tuple[str, ...]) -> None:
    with pytest.raises(UnparsableAnswerError, match="allowed: one of these"):
        positions([word], options, "one of these")


@pytest.mark.parametrize(
    ("cell", "options", "parts"),
    [
        ("a|b", ("a", "b"), ["a", "b"]),
        (" a , b ", ("a", "b"), ["a", "b"]),
        ("a;b,", ("a", "b"), ["a", "b"]),
        ("a, b|c", ("a, b", "c"), ["a, b", "c"]),
        ("#1,#2", ("a, b", "c"), ["#1", "#2"]),
        ("#tag, x", ("#tag, x", "y"), ["#tag, x"]),
        ("#1=3,#2=4", ("a, b", "c"), ["#1=3", "#2=4"]),
        ("|", ("a", "b"), []),
    ],
)
def test_lists_are_cut_at_separators_that_no_option_holds(
    cell: str, options: tuple[str, ...], parts: list[str]
) -> None:
    assert split_list(cell, options, "") == parts


@pytest.mark.parametrize("cell", ["", " ", "||", "a||b", "|a", ",", "a|b|a", "#1,,#2"])
def test_lists_with_holes_or_too_many_parts_are_refused(cell: str) -> None:
    with pytest.raises(UnparsableAnswerError):
        split_list(cell, ("a", "b"), "")


def test_line_breaks_in_an_option_forge_no_other_option() -> None:
    assert listed(("a\n#2 forged", "b")) == "#1 a #2 forged\n#2 b"


def test_missing_options_are_masked_the_same_in_numpy_and_torch() -> None:
    logits, count = np.arange(6.0).reshape(2, 3), np.array([2, 3])
    masked = mask_missing_array(logits, count)
    assert masked[0, 2] < -1e8
    assert np.array_equal(np.delete(masked.ravel(), 2), [0, 1, 3, 4, 5])
    assert np.array_equal(mask_missing(torch.from_numpy(logits), torch.from_numpy(count)).numpy(), masked)


def test_gumbel_noise_by_hand() -> None:
    """The inverse distribution function: exp(-exp(-x)) = u."""
    u = np.array([1e-10, 0.3, 1 - 1e-10])
    assert np.exp(-np.exp(-gumbel(u))) == pytest.approx(u)
