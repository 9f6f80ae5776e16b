"""Items: one per problem of a scale, one per option otherwise, laid out alike for every part of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm.belief.items import item_texts, make_items, widest
from crowdllm.belief.rowwise import rowwise_product
from crowdllm.data.problems import Problems
from crowdllm.embedding import fit_embedder
from crowdllm.errors import MismatchError
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

LEVELS = Ordinal(("1", "2", "3"))
CHOICE = Problems(
    np.array(["a", "b"], dtype=object),
    np.array(["First", "Second"], dtype=object),
    (("yes", "no"), ("red", "green", "blue")),
)


def items_of(problems: Problems, kind: Any, **options: Any) -> Any:
    embedder = fit_embedder("tfidf", item_texts(problems, kind))
    return make_items(problems, kind, embedder, None, **options)


def test_a_scale_has_one_item_per_problem() -> None:
    scale = replace(CHOICE, options=((), ()))
    items = items_of(scale, LEVELS)
    assert items.item_TU.tolist() == [[0], [1]]
    assert item_texts(scale, LEVELS) == ["First", "Second"]
    assert len(set(items.keys)) == len(items) == 2


def test_options_are_items_in_order_with_gaps_where_a_problem_has_fewer() -> None:
    items = items_of(CHOICE, Choice(4))
    assert items.item_TU.tolist() == [[0, 1, -1, -1], [2, 3, 4, -1]]
    assert item_texts(CHOICE, Choice(4)) == ["First yes", "First no", "Second red", "Second green", "Second blue"]


def test_the_width_is_that_of_the_study_or_of_a_problem_with_more_options() -> None:
    assert widest(CHOICE, Choice(4)) == 4
    assert widest(CHOICE, Choice(2)) == 3
    assert widest(CHOICE, Choice()) == 3
    assert widest(replace(CHOICE, options=((), ())), LEVELS) == 0


def test_the_options_of_a_single_problem_stand_without_it_unless_the_model_knows_several() -> None:
    one = CHOICE.take(np.array([0]))
    assert item_texts(one, Choice(2)) == ["yes", "no"]
    assert item_texts(one, Choice(2), several=True) == ["First yes", "First no"]
    assert item_texts(CHOICE, Choice(3), several=False)[0] == "yes"


def test_one_problem_of_several_has_the_features_that_it_has_among_them() -> None:
    embedder = fit_embedder("tfidf", item_texts(CHOICE, Choice(3)))
    both = make_items(CHOICE, Choice(3), embedder, None)
    alone = make_items(CHOICE.take(np.array([1])), Choice(3), embedder, None, several=True)
    np.testing.assert_array_equal(alone.x_IX, both.x_IX[2:])


def test_a_problem_without_options_is_refused_by_name() -> None:
    with pytest.raises(MismatchError, match="problem 'b' has no options, which a choice needs"):
        items_of(replace(CHOICE, options=(("yes", "no"), ())), Choice(2))


def test_a_row_of_a_product_does_not_depend_on_the_other_rows() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(333, 150)), rng.normal(size=(150, 5))
    whole = rowwise_product(a, b)
    np.testing.assert_allclose(whole, a @ b, atol=1e-12)
    for rows in ([7], [7, 300], list(range(100))):
        assert rowwise_product(a[rows], b).tobytes() == whole[rows].tobytes()


def test_products_with_nothing_are_zero() -> None:
    np.testing.assert_array_equal(rowwise_product(np.zeros((3, 0)), np.zeros((0, 2))), np.zeros((3, 2)))
    assert rowwise_product(np.zeros((0, 4)), np.zeros((4, 2))).shape == (0, 2)


def test_the_references_decision_is_laid_out_like_the_items(make_known: Callable[..., Any]) -> None:
    known = make_known("choice", people=10, problems=3)
    study = known.study
    embedder = fit_embedder("tfidf", item_texts(study.problems, study.response_type))
    items = make_items(study.problems, study.response_type, embedder, known.references)
    np.testing.assert_allclose(items.decision_TY, known.truth_TM)
    assert len(items.reference_IF) == len(items) == 3 + 4 + 5
